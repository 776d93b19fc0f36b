"""What the importers share: the imported recipe, its builder, and fields of other tools' JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lib_merge.architectures import parse_numbers
from lib_merge.dtypes import Dtype
from lib_merge.errors import RecipeError
from lib_merge.recipe.model import Amount, Ingredient, Recipe, Setting, Step
from lib_merge.recipe.weights.lists import Numbers
from lib_merge.recipe.weights.rules import list_or_rules


@dataclass(frozen=True)
class Imported:
    """An imported recipe, the tool that it is from, and notes on what is imported differently or not."""

    recipe: Recipe
    tool: str
    notes: tuple[str, ...] = ()


@dataclass
class RecipeBuilder:
    """Puts a recipe together, one ingredient and one step after the other."""

    tool: str
    ingredients: list[Ingredient] = field(default_factory=list[Ingredient])
    steps: list[Step] = field(default_factory=list[Step])
    notes: list[str] = field(default_factory=list[str])

    def add_model(self, file: str, sha256: str = "") -> str:
        """The name of a file's ingredient; the same file has one."""
        ingredient = next(
            (
                candidate
                for candidate in self.ingredients
                if (candidate.file, candidate.sha256) == (file, sha256)
            ),
            None,
        )
        if ingredient is None:
            ingredient = Ingredient(_letter(len(self.ingredients)), file, sha256)
            self.ingredients.append(ingredient)
        return ingredient.name

    def add_step(self, method: str, inputs: Sequence[str], **settings: Setting) -> str:
        """The name of a new step."""
        name = f"M{len(self.steps) + 1}"
        self.steps.append(Step(name, method, tuple(inputs), tuple(sorted(settings.items()))))
        return name

    def add_note(self, text: str) -> None:
        """Adds a note on something that is imported differently, or not at all."""
        self.notes.append(text)

    def unsupported(self, what: str, hint: str = "") -> RecipeError:
        """The error for what has no counterpart in a recipe."""
        return RecipeError(f"{self.tool}: {what}", hint=hint)

    def build(self, result: str, *, vae: str = "", dtype: Dtype | None = None) -> Imported:
        """The recipe with all models and steps that were added, and the notes."""
        recipe = Recipe(tuple(self.ingredients), tuple(self.steps), result, vae, dtype)
        return Imported(recipe, self.tool, tuple(dict.fromkeys(self.notes)))


def _letter(number: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number] if number < 26 else f"A{number}"


def block_weights(text: str, base: float | None = None) -> Amount:
    """A list of block weights as SuperMerger and Model Mixer write it."""
    numbers = parse_numbers(text)
    return list_or_rules(Numbers("supermerger", numbers, base if len(numbers) in (25, 19) else None))


def text_field(fields: Mapping[str, object], name: str) -> str:
    """A field as text, "" where it is missing or null."""
    value = fields.get(name)
    return "" if value is None else str(value).strip()


def number_field(fields: Mapping[str, object], name: str, default: float) -> float:
    """A field as a number; RecipeError where it is none."""
    text = text_field(fields, name)
    try:
        return float(text) if text else default
    except ValueError as cause:
        raise RecipeError(f"{name} is '{text}', and a number is expected") from cause
