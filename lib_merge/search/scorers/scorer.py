"""What a scorer is, what it may ask for, and how a sum of scorers is written.

sharpness                              one scorer
2*sharpness - 0.5*contrast             a sum, each with a factor
closeness(target.png) + clip           what is in brackets is the scorer's own: a file, an address, a model
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lib_merge.errors import RecipeError
from lib_merge.limits import MAX_ENTRY, check_text
from lib_merge.recipe.weights.lists import print_number
from lib_merge.search.spec import View

if TYPE_CHECKING:
    from PIL.Image import Image

TERM = re.compile(
    r"\s*(?P<sign>[+-]?)\s*(?:(?P<factor>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*\*\s*)?"
    r"(?P<name>[A-Za-z_][\w-]*)\s*(?:\((?P<argument>[^()]*)\))?\s*"
)
SCORE_HINT = (
    "such as 'sharpness', '2*contrast - sharpness', 'closeness(target.png)', 'clip', 'http(http://...)'"
)


class Scorer(Protocol):
    """Gives pictures a score: the higher, the better. A person who compares pictures can be one too."""

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """The score of pictures that belong together, one for each prompt; any exception fails the trial."""
        ...


@dataclass(frozen=True)
class ScorerContext:
    """What a scorer may ask for when it is made.

    views      what will be drawn, in the order in which `score` gets it (or the first of it)
    settings   scorer -> name -> value of its settings, such as paths of weight files
    folder     relative paths start here
    model_pictures  the pictures of the views with the model of a letter (A, B, C), merged with nothing
    """

    views: tuple[View, ...]
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    folder: Path = Path()
    model_pictures: Callable[[str], Sequence[Image]] = lambda letter: ()

    def setting(self, scorer: str, name: str) -> str:
        """A setting of a scorer, "" where it is not set."""
        return self.settings.get(scorer, {}).get(name, "")


MakeScorer = Callable[[str, ScorerContext], Scorer]
CheckScorer = Callable[[str, ScorerContext], object]


@dataclass(frozen=True)
class ScorerKind:
    """A kind of scorer.

    id        its name in the text of a score
    help      what it measures, and its range
    make      makes one from what is in its brackets; MergeError where something is missing
    argument  what is in the brackets, "" for nothing
    check     says quickly what is missing, as `make` would; None where `make` is quick itself
    """

    id: str
    help: str
    make: MakeScorer
    argument: str = ""
    check: CheckScorer | None = None


@dataclass(frozen=True)
class ScoreTerm:
    """One scorer of a sum."""

    factor: float
    scorer: str
    argument: str = ""

    def __str__(self) -> str:
        factor = "" if abs(self.factor) == 1 else f"{print_number(abs(self.factor))}*"
        return f"{factor}{self.scorer}{f'({self.argument})' if self.argument else ''}"


@dataclass(frozen=True)
class ScoreSum:
    """A sum of scorers, each times a factor."""

    terms: tuple[ScoreTerm, ...]

    def __str__(self) -> str:
        text = ""
        for term in self.terms:
            sign = ("- " if term.factor < 0 else "+ ") if text else ("-" if term.factor < 0 else "")
            text += f"{' ' if text else ''}{sign}{term}"
        return text


def parse_score(text: str) -> ScoreSum:
    """The sum of scorers of a text; whether there are such scorers is checked when they are made."""
    check_text(text, MAX_ENTRY, "this score")
    terms: list[ScoreTerm] = []
    position = 0
    while position < len(text) or not terms:
        match = TERM.match(text, position)
        if match is None or (terms and not match["sign"]):
            rest = text[position:].strip() or text
            raise RecipeError(f"'{rest}' is no score", where=text, hint=SCORE_HINT)
        sign = -1.0 if match["sign"] == "-" else 1.0
        factor = sign * float(match["factor"] or 1)
        if not math.isfinite(factor):
            raise RecipeError(
                f"the factor {match['factor']} is no finite number", where=text, hint=SCORE_HINT
            )
        terms.append(ScoreTerm(factor, match["name"], (match["argument"] or "").strip()))
        position = match.end()
    return ScoreSum(tuple(terms))


@dataclass(frozen=True)
class SummedScorer:
    """The sum of scorers, each times its factor."""

    parts: tuple[tuple[float, Scorer], ...]

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """The sum of all scores."""
        return sum(factor * float(scorer.score(images, prompts)) for factor, scorer in self.parts)
