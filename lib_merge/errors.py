"""The errors that a user can cause: each says what happened, where, and what to try.

    MergeError
    ├── CheckpointError   a file cannot be read, is damaged, or is not a checkpoint
    ├── FamilyError       a model of an unknown family, or models of different families
    ├── MethodError       an unknown merge method, or a parameter that it does not have
    ├── RecipeError       a recipe or a request that cannot be parsed
    ├── PlanError         all problems of a planned merge, in one error
    ├── NumericalError    NaN, infinity or overflow met in the arithmetic
    ├── OutputError       the result cannot be written
    ├── StoreError        a file of the program's own (history, presets, ...) cannot be used
    ├── ExtraError        a feature whose packages are not installed
    └── StoppedError      the user asked to stop

The command line prints all three parts and exits with status 2; the desk shows `what` as the headline and the
other parts below it. Any other exception that reaches the user is a bug in Merge Desk.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

MAX_SHOWN = 2000  # characters of `what`, `where` or `hint`, which may quote text of any length
SURROGATE = re.compile("[\ud800-\udfff]")  # a lone surrogate, which UTF-8 cannot encode
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters but \t and \n
MAX_WORD = 100  # characters; for a longer word `did_you_mean` does not search (difflib is quadratic)


class MergeError(Exception):
    """The base of all errors that a user can cause.

    what   what happened, in one sentence
    where  the file, key or parameter; "" where there is none
    hint   what to try; "" where there is nothing to suggest
    All three are made printable: control characters and lone surrogates are escaped (see `printable`).
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        what, where, hint = (printable(text) for text in (what, where, hint))
        self.what, self.where, self.hint = what, where, hint
        lines = [what, where and f"  at   {where}", hint and f"  try  {hint}"]
        super().__init__("\n".join(line for line in lines if line))


class CheckpointError(MergeError):
    """A file cannot be read, is damaged, or is not a checkpoint."""


class FamilyError(MergeError):
    """A model of an unknown family, or models of different families."""


class MethodError(MergeError):
    """An unknown merge method, or a parameter that it does not have."""


class RecipeError(MergeError):
    """A recipe or a request that cannot be parsed."""


class NumericalError(MergeError):
    """NaN, infinity or overflow met in the arithmetic."""


class OutputError(MergeError):
    """The result cannot be written."""


class StoreError(MergeError):
    """A file of the program's own is damaged, locked, or written by a newer version."""


class ExtraError(MergeError):
    """A feature whose packages are not installed."""


class StoppedError(MergeError):
    """The user asked to stop."""


class PlanError(MergeError):
    """All problems of a planned merge, in one error; `problems` has them one by one."""

    def __init__(self, problems: Sequence[MergeError]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            only = self.problems[0]
            super().__init__(only.what, where=only.where, hint=only.hint)
            return
        super().__init__(f"this merge has {len(self.problems)} problems:")
        listed = [f"{n}. {problem}" for n, problem in enumerate(self.problems, 1)]
        self.what = "\n".join([self.what, *listed])
        self.args = (self.what,)


def encodable(text: str) -> str:
    r"""The text with every lone surrogate escaped, so that UTF-8 can encode it.

    A byte of a file name that is not UTF-8 (os.fsdecode maps it to U+DC80..U+DCFF) becomes `\xe8`, any other
    surrogate `\ud83d`.
    """
    return SURROGATE.sub(_escape_surrogate, text)


def _escape_surrogate(surrogate: re.Match[str]) -> str:
    code = ord(surrogate[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A hint for a misspelled word: the closest of the choices, else all of up to 12 choices, else ""."""
    choices = sorted(choices)
    if len(word) > MAX_WORD:
        return ""
    matches = difflib.get_close_matches(word, choices, n=3, cutoff=0.5)
    if matches:
        return "did you mean " + " or ".join(f"'{name}'" for name in matches) + "?"
    return "one of " + ", ".join(choices) if 0 < len(choices) <= 12 else ""


def printable(text: str) -> str:
    """The text with control characters and lone surrogates escaped, so that any terminal can show it.

    A text of more than MAX_SHOWN characters is cut in the middle.
    """
    if len(text) > MAX_SHOWN:
        half = MAX_SHOWN // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), encodable(text))
