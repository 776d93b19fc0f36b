"""The words of the project: what is denied, and where it may stand after all.

`python -m tests.test_words [AREA]` prints every place where a denied word stands, with what to write instead.
docs/glossary.md has the terms that are meant.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.newest_only

# A word or phrase, and what to write instead. "(s)" may be there or not. Case does not matter, and words
# within names are words: `told`, `Told`, `is_told` and `isTold` are one.
DENIED: Mapping[str, str] = {
    "told": "printed, reported, shown, or a message that says what happened",
    "foretold": "predicted (noise prediction)",
    "anew": "again",
    "lie(s) in": "is in, is within",
    "lie(s) there": "is there",
    "homeless": "unlisted (of a slot: no number of the list is its own)",
    "thrown": "drawn, random",
    "throws": "random numbers, random_u16",
    "dice": "random numbers, random weights, seed",
    "room(s)": "tab (page), package (code), buffer (memory), space (disk)",
    "stand(s) in": "is in, replaces, is a placeholder for",
    "outgrow(s)": "overflows",
    "training averages": "EMA weights",
    "whole number(s)": "integer",
    "likeness(es)": "similarity",
    "number format(s)": "dtype (on the page: Precision)",
    "heads turned": "attention heads rotated",
    "turned heads": "rotated attention heads",
    "gone over": "scanned",
    "beside it": "next to it, compared with it",
    "bell(s)": "trigger",
    "shelf": "catalog, list",
    "carrier(s)": "payload",
    "lamp": "status dot",
    "clue(s)": "fingerprint",
    "coin(s)": "Bernoulli mask",
    "survey(s)": "reduction",
    "studio": "grid backend",
    "painter": "renderer",
    "brake": "progress",
    "ruler(s)": "rule resolver",
    "tally": "statistics",
    "knob(s)": "range (of a parameter), parameter, slider, button",
    "small letters": "lowercase",
    "of equals": "on a tie",
    "face(s) each other": "pairs of down and up blocks",
    "nobody listens": "is not reported",
    "fall alike": "device-independent",
    "rolled": "sampled",
    "stretch(es)": "chunk",
    "passed over": "skipped",
    "let(s) go": "releases",
    "leftovers": "dropped keys, what training left in the file",
    "take(s) up": "loads, resumes, continues with",
    "set apart": "different from",
    "kin": "variants, forks",
    "heirs": "forks, successors",
    "house": "project, code",
    "likewise": "say again what it does",
    "its own place": "say what it does",
    "as json holds it": "as a dictionary for JSON",
    "as_data": "to_dict",
    "as_text": "render_text",
    "in_words": "render_text",
    "ladder": "layers",
    "in vain": "without effect",
    "foretell": "predict",
    "nowhere to be": "missing",
}


class Allowed(NamedTuple):
    """A place where a denied word may stand: on lines of these files (a glob) that match."""

    files: str
    line: str
    reason: str


ALLOWED = (
    Allowed("lib_merge/rebasin/report.py", r'"likeness": "similarity"', "a field of version 0.1's JSON"),
    Allowed("lib_merge/rebasin/store.py", r'"(likeness|told)"', "names in files of version 0.1"),
    Allowed("lib_merge/desk/tabs/grid/api.py", r"^    told(:|  )", "a field of version 0.1's JSON"),
    Allowed("docs/http-api.md", r"^\| `told` \|", "a field of version 0.1's JSON"),
    Allowed("docs/glossary.md", r"^\|[^|]+\|[^|]+\|$", "the table of old names, the one of two columns"),
    Allowed("docs/other-tools.md", r"Merge Studio", "the name of a tool"),
    Allowed("docs/guide/from-supermerger.md", r"^\| Let the Dice roll", "a label of SuperMerger"),
    Allowed("lib_merge/recipe/weights/supermerger_random.py", "Let the Dice roll", "a label of SuperMerger"),
    Allowed("lib_merge/rebasin/report.py", "FORMER_FIELDS = ", "a field of the JSON of 0.1.0"),
)

SEARCHED = (
    *("lib_merge", "javascript", "types", "scripts", "samples", "recipes", "docs", "requirements"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "pyproject.toml"),
    *("start.py", "install.py", "setup.py", "style.css"),
)
ENDINGS = (".py", ".js", ".ts", ".css", ".md", ".in", ".toml", ".recipe")
BETWEEN = r"[\s#*/_-]+"  # also where a comment or a docstring is broken into lines


class Hit(NamedTuple):
    """A denied word in a file."""

    area: str
    file: str
    line: int
    word: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: '{self.word}' ({DENIED[self.word]}): {self.text.strip()}"


def pattern(phrase: str) -> str:
    """A regular expression that finds a phrase in prose and in names."""
    return ("_" if "_" in phrase else BETWEEN).join(_word(word) for word in re.split(r"[ _]", phrase))


def _word(word: str) -> str:
    optional = re.sub(r"\((\w+)\)", r"(?:\1)?", word)
    capital = optional[0].upper() + optional[1:]
    shouted = re.sub(r"(?<!\?)\w", lambda letter: letter[0].upper(), optional)
    before, after = r"(?<![A-Za-z])", r"(?![A-Za-z])"
    lower, camel = rf"{before}(?:{optional}|{capital})", rf"(?<=[a-z0-9]){capital}"
    return rf"(?:(?:{lower}|{camel})(?![a-z])|{before}{shouted}{after})"


FINDERS = {word: re.compile(pattern(word)) for word in DENIED}


def area_of(file: str) -> str:
    """What an area is called: a package of lib_merge or its tests, a top folder, or a file of its own."""
    parts = file.split("/")
    if parts[0] == "tests":
        return "/".join(parts[: 3 if parts[1] == "lib_merge" else 2])
    return "/".join(parts[:2]) if parts[0] == "lib_merge" else parts[0]


def texts() -> Iterator[tuple[str, str, str]]:
    """Area, file and text of all that is searched; of tests only the names."""
    for name in SEARCHED:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            file = path.relative_to(ROOT).as_posix()
            if path.suffix in ENDINGS and path.is_file() and not file.startswith("samples/models"):
                yield area_of(file), file, path.read_text("utf-8")
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if ".cache" in path.parts:  # environments that tests make, with the tests of others
            continue
        lines = path.read_text("utf-8").splitlines()
        found = [re.match(r"\s*(?:def (?=test_)|class )(\w+)", line) for line in lines]
        names = [name[1].replace("_", " ") if name else "" for name in found]
        file = path.relative_to(ROOT).as_posix()
        yield area_of(file), file, "\n".join([*names, path.stem])


def hits_in(area: str, file: str, text: str) -> Iterator[Hit]:
    """The denied words of a text, without the allowed ones."""
    lines, lowered = text.splitlines(), text.lower()
    passes = [re.compile(entry.line) for entry in ALLOWED if Path(file).match(entry.files)]
    for word, finder in FINDERS.items():
        if re.split(r"[ _(]", word)[0] not in lowered:
            continue  # much faster than the search
        for match in finder.finditer(text):
            number = text.count("\n", 0, match.start())
            if not any(allowed.search(lines[number]) for allowed in passes):
                yield Hit(area, file, number + 1, word, lines[number])


@cache
def hits() -> tuple[Hit, ...]:
    """Every denied word of the project."""
    return tuple(hit for area, file, text in texts() for hit in hits_in(area, file, text))


def test_no_denied_word_is_used() -> None:
    assert not hits(), "\n".join(str(hit) for hit in hits()[:200])


@pytest.mark.parametrize("entry", ALLOWED, ids=lambda entry: entry.files)
def test_every_allowed_place_is_there_and_needed(entry: Allowed) -> None:
    lines = [
        line
        for _, file, text in texts()
        if Path(file).match(entry.files)
        for line in text.splitlines()
        if re.search(entry.line, line) and any(finder.search(line) for finder in FINDERS.values())
    ]
    assert entry.reason
    assert lines


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("what it is told", "told"),
        ("class Told:", "told"),
        ("const isTold = 1", "told"),
        ("MOST_TOLD = 3", "told"),
        ("grid_room()", "room(s)"),
        ("the Rooms of", "room(s)"),
        ('"""What lies\n    in memory."""', "lie(s) in"),
        ("# 64 whole\n# numbers", "whole number(s)"),
        ("def plan_as_data()", "as_data"),
        ("DICE", "dice"),
    ],
)
def test_a_denied_word_is_found_in_prose_and_in_names(text: str, word: str) -> None:
    assert [hit.word for hit in hits_in("x", "x.py", text)] == [word]


@pytest.mark.parametrize(
    "text", ["mushroom", "bedrooms", "believes in", "indices", "retold", "roomy", "KINDS"]
)
def test_a_word_within_another_is_not_found(text: str) -> None:
    assert not list(hits_in("x", "x.py", text))


def test_no_phrase_is_written_in_capitals_where_case_does_not_matter() -> None:
    assert [word for word in DENIED if word != word.lower()] == []


def main(areas: list[str]) -> None:
    """Prints what is found, of some areas or of all, and how many in each."""
    wanted = [hit for hit in hits() if not areas or any(hit.area.startswith(area) for area in areas)]
    print(*wanted, sep="\n")
    for area, count in sorted(Counter(hit.area for hit in wanted).items()):
        print(f"{area}: {count}")


if __name__ == "__main__":
    main(sys.argv[1:])
