"""The settings a picture is generated with, and the generated picture: values that hosts, grids and the desk
share."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, cast

from lib_merge.errors import RecipeError
from lib_merge.limits import MAX_PICTURE_SEED, MAX_SEED

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class DrawSettings:
    """The settings of txt2img; width and height in pixels, styles by the names that the WebUI lists."""

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
    """A generated picture and its infotext (the generation parameters as the WebUI writes them into PNG
    files)."""

    image: Image.Image
    infotext: str = ""


@dataclass(frozen=True)
class SettingRange:
    """The values that a numeric setting accepts: `low` to `high`, both included, in multiples of `step`."""

    low: int
    high: int
    step: int = 1

    def __str__(self) -> str:
        multiples = f", a multiple of {self.step}" if self.step > 1 else ""
        return f"{self.low} to {self.high}{multiples}"


RANDOM_SEED = -1  # the WebUI's value for a random seed
LATENT_SCALE = 8  # pixels of the image per pixel of the latent image
SETTING_RANGES: Mapping[str, SettingRange] = {
    "steps": SettingRange(1, 1000),  # a noise schedule has 1000
    "cfg": SettingRange(0, 100),
    "width": SettingRange(LATENT_SCALE, 8192, LATENT_SCALE),
    "height": SettingRange(LATENT_SCALE, 8192, LATENT_SCALE),
    "seed": SettingRange(RANDOM_SEED, MAX_PICTURE_SEED),
}
TEXT_SETTINGS = ("prompt", "negative", "sampler", "scheduler")
MAX_PROMPT = 100_000  # characters of a prompt
MAX_STYLES = 1000
SETTING_NAMES = tuple(field.name for field in fields(DrawSettings))


def random_seed() -> int:
    """A random seed from the operating system, 0 to MAX_SEED."""
    return random.SystemRandom().randrange(MAX_SEED + 1)


def with_seed(settings: DrawSettings) -> DrawSettings:
    """The settings with a random seed in place of RANDOM_SEED, so that the infotext can name the seed."""
    return replace(settings, seed=random_seed()) if settings.seed == RANDOM_SEED else settings


def read_settings(values: Mapping[str, object], defaults: DrawSettings) -> DrawSettings:
    """The default settings with `values` in their place; RecipeError for an unknown setting or an invalid
    value.

    values  setting name (a field of DrawSettings) -> int or float (integers for all but cfg), text, or for
            styles a list of texts; None keeps the default
    """
    unknown = [name for name in values if name not in SETTING_NAMES]
    if unknown:
        what = f"'{shortened(unknown[0])}' is not a setting of pictures"
        raise RecipeError(what, hint=", ".join(SETTING_NAMES))
    read = {name: read_setting(name, value) for name, value in values.items() if value is not None}
    return replace(defaults, **read)  # type: ignore[arg-type]


def read_setting(name: str, value: object) -> str | int | float | tuple[str, ...]:
    """A setting's value, checked for its type and range; RecipeError where it is invalid."""
    if name in TEXT_SETTINGS:
        return _text(name, value)
    if name == "styles":
        return _styles(value)
    allowed = SETTING_RANGES[name]
    number = _number(name, value, allowed)
    if name != "cfg" and number != int(number):
        raise RecipeError(f"{name} is {_format_number(number)}, not an integer", hint=str(allowed))
    number = number if name == "cfg" else int(number)
    if not allowed.low <= number <= allowed.high or (allowed.step > 1 and number % allowed.step):
        raise RecipeError(f"{name} cannot be {_format_number(number)}", hint=str(allowed))
    return float(number) if name == "cfg" else number


def _number(name: str, value: object, allowed: SettingRange) -> int | float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise RecipeError(f"{name} must be a number, not {shortened(repr(value))}", hint=str(allowed))
    return cast("int | float", value)


def _format_number(number: int | float) -> str:
    """A number for an error message, shortened where it has more than 20 digits."""
    if abs(number) < 10**20:
        return str(number)
    return f"{number:.6g}" if isinstance(number, float) else f"a number of {number.bit_length()} bits"


def _text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise RecipeError(f"{what} must be text, not {shortened(repr(value))}")
    if len(value) > MAX_PROMPT:
        raise RecipeError(f"{what} has {len(value)} characters", hint=f"{MAX_PROMPT} at most")
    return value.encode("utf-8", "replace").decode("utf-8")  # "?" in place of lone surrogates


def _styles(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise RecipeError(f"styles must be a list of names, not {shortened(repr(value))}")
    names = cast("Sequence[object]", value)
    if len(names) > MAX_STYLES:
        raise RecipeError(f"there are {len(names)} styles", hint=f"{MAX_STYLES} at most")
    return tuple(_text("a style", name) for name in names)


def shortened(text: str, max_length: int = 60) -> str:
    """Text from outside, cut to `max_length` characters for an error message; lone surrogates are escaped."""
    cut = text if len(text) <= max_length else text[: max_length - 3] + "..."
    return cut.encode("utf-8", "backslashreplace").decode("utf-8")
