"""Reading a command line: what begins with a minus and is a value, and whole numbers within bounds."""

from __future__ import annotations

import argparse
import re
from typing import Any

MOST_THREADS = 256
MOST_ID = 2**63 - 1  # that SQLite numbers a row with
MINUS_FIRST = re.compile(r"-[\d.A-Z(\[{]")  # no option of ours begins so


class Parser(argparse.ArgumentParser):
    """Takes `-2,0,0,2` and `-0.5*GRAD_V+1` for values; argparse knows no more than a plain number."""

    def _parse_optional(self, arg_string: str) -> Any:
        return None if MINUS_FIRST.match(arg_string) else super()._parse_optional(arg_string)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _within(text, 1, MOST_ID)


def threads(text: str) -> int:
    """How many threads."""
    return _within(text, 1, MOST_THREADS)


def entry(text: str) -> int:
    """The number of an entry of the history, or how many of them."""
    return _within(text, 0, MOST_ID)


def _within(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[+-]?\d{1,40}", text.strip(), re.ASCII):
        shown = text if len(text) < 40 else f"{text[:20]} ..."
        raise argparse.ArgumentTypeError(f"'{shown}' is no whole number from {low} to {high}")
    number = int(text)
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{number} is no whole number from {low} to {high}")
    return number
