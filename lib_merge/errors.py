"""Every error a user can cause: what happened, where, and what to try, in that order.

    MergeError
    ├── CheckpointError   a file is not what it says, or cannot be read
    ├── FamilyError       a model is of no known family, or two do not fit together
    ├── MethodError       no such merge method, or a parameter it does not take
    ├── RecipeError       a recipe that cannot be understood
    ├── PlanError         everything that stands in the way of a merge, all at once
    ├── NumbersError      NaN, infinity or overflow met in the arithmetic
    ├── OutputError       the result cannot be written
    ├── ExtraError        a feature whose packages are not installed
    └── StoppedError      the user asked to stop

The command line prints an error whole and exits with 2; the desk shows `what` as the headline and
the rest beneath it. Anything else that escapes is a defect of ours.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

MOST_SHOWN = 2000  # characters of what, where or hint; it may quote a text of any length
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: what no encoding of text can hold
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # but \t and \n
MOST_WORD = 100  # characters of a word that is looked up among known ones


class MergeError(Exception):
    """What happened, where, and what to do about it; all of it can be printed and encoded."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        what, where, hint = (printable(text) for text in (what, where, hint))
        self.what, self.where, self.hint = what, where, hint
        lines = [what, where and f"  at   {where}", hint and f"  try  {hint}"]
        super().__init__("\n".join(line for line in lines if line))


class CheckpointError(MergeError):
    """A file is not what it says, or cannot be read."""


class FamilyError(MergeError):
    """A model is of no known family, or two models do not fit together."""


class MethodError(MergeError):
    """No such merge method, or a parameter that it does not take."""


class RecipeError(MergeError):
    """A recipe that cannot be understood."""


class NumbersError(MergeError):
    """NaN, infinity or overflow met in the arithmetic."""


class OutputError(MergeError):
    """The result cannot be written."""


class ExtraError(MergeError):
    """A feature whose packages are not installed."""


class StoppedError(MergeError):
    """The user asked to stop."""


class PlanError(MergeError):
    """Everything that stands in the way of a merge, all at once."""

    def __init__(self, problems: Sequence[MergeError]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            only = self.problems[0]
            super().__init__(only.what, where=only.where, hint=only.hint)
            return
        super().__init__(f"{len(self.problems)} things stand in the way of this merge:")
        listed = [f"{n}. {problem}" for n, problem in enumerate(self.problems, 1)]
        self.what = "\n".join([self.what, *listed])
        self.args = (self.what,)


def encodable(text: str) -> str:
    r"""The text with escapes in place of what no encoding can hold.

    A byte of a file name that is not UTF-8 (os.fsdecode) becomes `\xe8`, any other half of a surrogate pair
    `\ud83d`.
    """
    return SURROGATE.sub(_escaped, text)


def _escaped(half: re.Match[str]) -> str:
    code = ord(half[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known words as a hint, or the whole list where it is short, or nothing."""
    known = sorted(known)
    if len(word) > MOST_WORD:
        return ""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    return "one of " + ", ".join(known) if 0 < len(known) <= 12 else ""


def printable(text: str) -> str:
    """The text as any terminal takes it: control characters and halves of characters are escaped.

    A text of more than MOST_SHOWN characters is cut in the middle.
    """
    if len(text) > MOST_SHOWN:
        half = MOST_SHOWN // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), encodable(text))
