"""The page on troubleshooting quotes errors that the program makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.errors import messages
from docs.write import ROOT
from lib_merge.errors import MergeError
from lib_merge.recipe import parse_recipe
from tests.docs.pages import page

FREQUENT = page("docs/troubleshooting.md").text.partition("## Frequent errors")[2].partition("\n## ")[0]
QUOTED = re.findall(r"^\| `([^`]+)` \|", FREQUENT, re.MULTILINE)
LIBRARY = ROOT / "lib_merge"


def test_the_page_quotes_errors() -> None:
    assert len(QUOTED) > 20


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_quoted_error_is_how_a_message_of_the_code_begins(quoted: str) -> None:
    assert [message.what for message in messages(LIBRARY) if message.what.startswith(quoted)]


def test_an_error_that_is_raised_is_on_the_list() -> None:
    with pytest.raises(MergeError) as caught:
        parse_recipe('merge-desk recipe 2\nA = "a"\nM = no_such_method(A)\nsave M\n')
    patterns = [re.escape(message.what).replace("…", ".*") for message in messages(LIBRARY)]
    assert any(re.fullmatch(pattern, caught.value.what, re.DOTALL) for pattern in patterns)


CODE = '''
class MergeError(Exception): ...
class ToyError(MergeError):
    """A toy is broken."""
def fail(what: str) -> None:
    raise ToyError(what, hint="a new toy")
def play(path: str, many: bool) -> None:
    fail(f"the wheel of {path} " + ("is gone" if many else "is stuck"))
    raise ToyError("no toy is here", hint=f"one of {path}")
def wind(turns: int) -> None:
    what = f"{turns} turns are too many" if turns > 9 else "a turn is missing"
    hint = FEWER
    raise ToyError(what, hint=hint)
    raise ValueError("not an error of users")
FEWER = "turn it less"
'''


def test_messages_are_read_off_classes_and_off_functions_that_make_them(tmp_path: Path) -> None:
    (tmp_path / "errors.py").write_text(CODE, encoding="utf-8")
    assert [(message.kind, message.what, message.hint) for message in messages(tmp_path)] == [
        ("ToyError", "a turn is missing", "turn it less"),
        ("ToyError", "no toy is here", "one of …"),
        ("ToyError", "the wheel of … is gone", ""),
        ("ToyError", "the wheel of … is stuck", ""),
        ("ToyError", "… turns are too many", "turn it less"),
    ]
