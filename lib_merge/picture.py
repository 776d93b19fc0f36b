"""What a picture is drawn with, and what comes back: two values that hosts, grids and the desk share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, cast

from lib_merge.errors import RecipeError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class DrawSettings:
    """What a picture is drawn with; width and height in pixels, cfg without a unit."""

    prompt: str = ""
    negative: str = ""
    sampler: str = ""
    scheduler: str = ""
    steps: int = 20
    cfg: float = 5.0
    width: int = 512
    height: int = 512
    seed: int = 1
    styles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A drawn picture and what the host says of it, as an infotext."""

    image: Image.Image
    infotext: str = ""


@dataclass(frozen=True)
class Limits:
    """The numbers that a setting takes: from `low` to `high`, multiples of `step` where it has one."""

    low: int
    high: int
    step: int = 1

    def __str__(self) -> str:
        multiples = f", a multiple of {self.step}" if self.step > 1 else ""
        return f"{self.low} to {self.high}{multiples}"


GRAIN = 8  # pixels: the side of one pixel of the latent image
LIMITS: Mapping[str, Limits] = {
    "steps": Limits(1, 1000),  # a noise schedule has 1000
    "cfg": Limits(0, 100),
    "width": Limits(GRAIN, 8192, GRAIN),
    "height": Limits(GRAIN, 8192, GRAIN),
    "seed": Limits(-1, 2**63 - 1),  # -1 is the WebUI's word for a random one; torch takes 64 bits
}
TEXTS = ("prompt", "negative", "sampler", "scheduler")
LONGEST_TEXT = 100_000  # characters of a prompt
MOST_STYLES = 1000
SETTINGS = tuple(each.name for each in fields(DrawSettings))


def read_settings(given: Mapping[str, object], usual: DrawSettings) -> DrawSettings:
    """`usual` with what was given in place of its own; RecipeError for what a picture cannot be drawn with.

    given  by the names of DrawSettings: numbers as int or float (whole ones for all but cfg), texts, a list
           of texts for styles; None leaves a setting as it is
    """
    unknown = [name for name in given if name not in SETTINGS]
    if unknown:
        what = f"'{printable(unknown[0])}' is not a setting that a picture is drawn with"
        raise RecipeError(what, hint=", ".join(SETTINGS))
    read = {name: read_setting(name, value) for name, value in given.items() if value is not None}
    return replace(usual, **read)  # type: ignore[arg-type]


def read_setting(name: str, value: object) -> str | int | float | tuple[str, ...]:
    """One setting, of the right kind and within its limits; RecipeError where it is not."""
    if name in TEXTS:
        return _text(name, value)
    if name == "styles":
        return _styles(value)
    limits = LIMITS[name]
    number = _number(name, value, limits)
    if name != "cfg" and number != int(number):
        raise RecipeError(f"{name} is {_shown(number)}, not a whole number", hint=str(limits))
    number = number if name == "cfg" else int(number)
    if not limits.low <= number <= limits.high or (limits.step > 1 and number % limits.step):
        raise RecipeError(f"{name} cannot be {_shown(number)}", hint=str(limits))
    return float(number) if name == "cfg" else number


def _number(name: str, value: object, limits: Limits) -> int | float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or (isinstance(value, float) and not math.isfinite(value)):
        raise RecipeError(f"{name} must be a number, not {printable(repr(value))}", hint=str(limits))
    return cast("int | float", value)


def _shown(number: int | float) -> str:
    """A number in an error, never hundreds of digits of it."""
    if abs(number) < 10**20:
        return str(number)
    return f"{number:.6g}" if isinstance(number, float) else f"a number of {number.bit_length()} bits"


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise RecipeError(f"{name} must be text, not {printable(repr(value))}")
    if len(value) > LONGEST_TEXT:
        raise RecipeError(f"{name} has {len(value)} characters", hint=f"{LONGEST_TEXT} at most")
    return value.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is in no text


def _styles(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise RecipeError(f"styles must be a list of names, not {printable(repr(value))}")
    names = cast("Sequence[object]", value)
    if len(names) > MOST_STYLES:
        raise RecipeError(f"{len(names)} styles are named", hint=f"{MOST_STYLES} at most")
    return tuple(_text("a style", name) for name in names)


def printable(text: str, most: int = 60) -> str:
    """A piece of what was sent, short enough for an error and without what no encoding takes."""
    cut = text if len(text) <= most else text[: most - 3] + "..."
    return cut.encode("utf-8", "backslashreplace").decode("utf-8")
