"""Parsing of the command line: values that begin with a minus, and integers within bounds."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from lib_merge.errors import MergeError, did_you_mean
from lib_merge.recipe.options import Option

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Command = TypeVar("Command", bound=DataclassInstance)

MOST_THREADS = 256
MOST_ID = 2**63 - 1  # the largest row id of SQLite
MISTAKE = 2  # exit status
INVALID_CHOICE = re.compile(
    r"argument COMMAND: invalid choice: '(?P<word>.*)' \(choose from (?P<choices>.*)\)"
)
MINUS_FIRST = re.compile(r"-[\d.A-Z(\[{]")  # no option begins like this


class Parser(argparse.ArgumentParser):
    """Accepts `-2,0,0,2` and `-0.5*GRAD_V+1` as values; argparse accepts plain numbers only."""

    def _parse_optional(self, arg_string: str) -> Any:
        return None if MINUS_FIRST.match(arg_string) else super()._parse_optional(arg_string)

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Refuse an unknown flag here, where the flags of its command are at hand for the hint."""
        parsed, unknown = super().parse_known_args(args, namespace)
        flag = next((word.partition("=")[0] for word in unknown if word.startswith("--")), "")
        if flag:
            hint = did_you_mean(flag, self._option_string_actions)
            self._refuse(f"unrecognized arguments: {' '.join(unknown)}", hint)
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """One sentence and a hint, without the usage, which has a line for every few flags."""
        choice = INVALID_CHOICE.match(message)
        if choice is None:
            self._refuse(message)
        choices = choice["choices"].replace("'", "").split(", ")
        self._refuse(f"there is no command '{choice['word']}'", did_you_mean(choice["word"], choices))

    def _refuse(self, message: str, hint: str = "") -> NoReturn:
        text = MergeError(message, hint=hint or f"{self.prog} --help shows all flags")
        self.exit(MISTAKE, f"{self.prog}: {text}\n")


class Collect(argparse.Action):
    """Collects the values of flags in one mapping, under the name of the option or parameter.

    says  the value of a flag that takes none
    """

    def __init__(self, option_strings: Sequence[str], dest: str, *, name: str, says: Any = None, **how: Any):
        super().__init__(option_strings, dest, nargs=None if says is None else 0, **how)
        self._name, self._says = name, says

    def __call__(
        self, parser: argparse.ArgumentParser, into: argparse.Namespace, values: Any, flag: str | None = None
    ) -> None:
        """Store the value of one flag."""
        value = values if self._says is None else self._says
        setattr(into, self.dest, {**getattr(into, self.dest), self._name: value})


def add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    """Add the flag of an option; its value is validated where the request is read."""
    how: dict[str, Any] = {"says": option.switch_value} if option.switch else {"metavar": option.value}
    add_option_value(parser, option.flag, option.name, help=option.help, **how)


def add_option_value(parser: argparse.ArgumentParser, flag: str, name: str, **how: Any) -> None:
    """Add a flag whose value is collected in `option_values`."""
    parser.add_argument(flag, dest="option_values", action=Collect, default={}, name=name, **how)


def read_command(kind: type[Command], options: argparse.Namespace) -> Command:
    """The arguments as the command's dataclass; the only function that reads argparse's namespace."""
    values = {field.name: getattr(options, field.name) for field in fields(kind)}
    lists = {field.name for field in fields(kind) if str(field.type).startswith("tuple")}
    return kind(**{name: tuple(value or ()) if name in lists else value for name, value in values.items()})


def positive(text: str) -> int:
    """An integer of at least 1."""
    return _within(text, 1, MOST_ID)


def threads(text: str) -> int:
    """A number of threads."""
    return _within(text, 1, MOST_THREADS)


def entry(text: str) -> int:
    """The id of a history entry, or a number of entries."""
    return _within(text, 0, MOST_ID)


def _within(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[+-]?\d{1,40}", text.strip(), re.ASCII):
        shown = text if len(text) < 40 else f"{text[:20]} ..."
        raise argparse.ArgumentTypeError(f"'{shown}' is not an integer from {low} to {high}")
    number = int(text)
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{number} is not an integer from {low} to {high}")
    return number
