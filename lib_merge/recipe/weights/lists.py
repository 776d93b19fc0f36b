"""Numbers as recipes write them, and lists of them."""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.architectures import DEFAULT_LAYOUT, EXTENDED_NAMES


@dataclass(frozen=True)
class Numbers:
    """A pasted list of block weights and the layout that says what each number stands for.

    base  the amount for BASE where the list leaves it open (25 numbers on SD1, 19 on SDXL)
    """

    layout: str
    numbers: tuple[float, ...]
    base: float | None = None

    @property
    def is_per_key(self) -> bool:
        """Whether it is a list of SuperMerger's extended names of SDXL, which are finer than slots."""
        return self.layout == DEFAULT_LAYOUT.id and len(self.numbers) == len(EXTENDED_NAMES)


@dataclass(frozen=True)
class Slots:
    """One value for each named slot, and one for all the rest."""

    values: tuple[tuple[str, float], ...]
    rest: float = 0.0


def print_number(number: float) -> str:
    """The shortest decimal that reads back as the same number, without the tail of 1.0."""
    return repr(float(number)).removesuffix(".0")


def print_numbers(amount: Numbers) -> str:
    """A list as a recipe has it: `supermerger[0.5, 0, 0.25]`."""
    base = [] if amount.base is None else [f"base = {print_number(amount.base)}"]
    return f"{amount.layout}[{', '.join([*map(print_number, amount.numbers), *base])}]"
