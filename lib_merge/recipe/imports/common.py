"""What all imports are made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lib_merge.architectures import parse_numbers
from lib_merge.dtypes import Dtype
from lib_merge.errors import RecipeError
from lib_merge.recipe.model import Amount, Ingredient, Recipe, Setting, Step
from lib_merge.recipe.numbers import Numbers
from lib_merge.recipe.rules import whole


@dataclass(frozen=True)
class Imported:
    """A recipe, whose it was, and what of it is said otherwise here or not at all."""

    recipe: Recipe
    tool: str
    notes: tuple[str, ...] = ()


@dataclass
class Maker:
    """Puts a recipe together, one ingredient and one step after the other."""

    tool: str
    ingredients: list[Ingredient] = field(default_factory=list[Ingredient])
    steps: list[Step] = field(default_factory=list[Step])
    notes: list[str] = field(default_factory=list[str])

    def model(self, file: str, sha256: str = "") -> str:
        """The name of a file's ingredient; the same file has one."""
        known = next((each for each in self.ingredients if (each.file, each.sha256) == (file, sha256)), None)
        if known is None:
            known = Ingredient(_letter(len(self.ingredients)), file, sha256)
            self.ingredients.append(known)
        return known.name

    def step(self, method: str, inputs: Sequence[str], **settings: Setting) -> str:
        """The name of a new step."""
        name = f"M{len(self.steps) + 1}"
        self.steps.append(Step(name, method, tuple(inputs), tuple(sorted(settings.items()))))
        return name

    def note(self, text: str) -> None:
        """Something that is said otherwise here, or not at all."""
        self.notes.append(text)

    def refuse(self, what: str, hint: str = "") -> RecipeError:
        """The error for what cannot be expressed."""
        return RecipeError(f"{self.tool}: {what}", hint=hint)

    def done(self, result: str, *, vae: str = "", dtype: Dtype | None = None) -> Imported:
        """The whole."""
        recipe = Recipe(tuple(self.ingredients), tuple(self.steps), result, vae, dtype)
        return Imported(recipe, self.tool, tuple(dict.fromkeys(self.notes)))


def _letter(number: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number] if number < 26 else f"A{number}"


def block_weights(text: str, base: float | None = None) -> Amount:
    """A list of block weights as SuperMerger and Model Mixer write it."""
    numbers = parse_numbers(text)
    return whole(Numbers("supermerger", numbers, base if len(numbers) in (25, 19) else None))


def text_of(found: Mapping[str, object], name: str) -> str:
    """A field as text, "" where it is missing or null."""
    value = found.get(name)
    return "" if value is None else str(value).strip()


def number_of(found: Mapping[str, object], name: str, default: float) -> float:
    """A field as a number; RecipeError where it is none."""
    text = text_of(found, name)
    try:
        return float(text) if text else default
    except ValueError as cause:
        raise RecipeError(f"{name} is '{text}', and a number is expected") from cause
