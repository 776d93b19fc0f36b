"""Writes the parts of the documentation that are generated from the code: `python3 start.py docs`.

In README.md and in the pages of this folder such a part stands between two lines, wherever a page wants it:

    <!-- NAME: written by python3 start.py docs -->
    <!-- end of NAME -->

NAME is one of PARTS. The types of the page's scripts, types/desk.d.ts, and the page's style sheet, style.css,
are written with them. Tests hold all of it to what would be written.

`python3 start.py docs --pictures [NAME ...]` draws the pictures instead: those of the guide
(docs/guide/draw.py) and those of the page (docs/screenshots.py).
"""

from __future__ import annotations

import ast
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from docs.errors import error_list
from docs.http_api import http_api
from lib_merge.architectures import LAYOUTS
from lib_merge.desk.languages.handlers import LANGUAGES, texts_of
from lib_merge.desk.static import assembled_style, style
from lib_merge.desk.table import TABS, endpoints
from lib_merge.grid import axis_kinds
from lib_merge.grid.axes.amounts import all_parameters
from lib_merge.methods import METHODS
from lib_merge.recipe.imports.detect import IMPORTERS
from lib_merge.recipe.options import OPTIONS, Option, SaveOption
from lib_merge.registry import Method
from lib_merge.report.similarity.kinds import REPORT_KINDS
from lib_merge.search.scorers.plugins import builtin_scorers
from lib_merge.search.spec import SAMPLER_TITLES
from tests.lib_merge.methods.agreements import peers_of
from tests.support.page_types import FILE as TYPES
from tests.support.page_types import page_types

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "docs" / "measured.json"  # method -> time of a full-size merge; a method may be missing
SEARCHED = ROOT / "docs" / "searched.json"  # results of tests/bench/search.py
REVIEWS = (
    ROOT / "docs" / "reviews.json"
)  # language -> which native speaker has reviewed its texts, "" for none
PART = re.compile(
    r"(<!-- ([a-z ]+): written by python3 start\.py docs -->\n)(.*?)(<!-- end of \2 -->)", re.DOTALL
)


def pages() -> list[Path]:
    """Every page that may have such a part."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def written(text: str) -> str:
    """A page with its parts as they should be; KeyError for a name that PARTS does not have."""
    return PART.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}\n{match[4]}", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "|" + "|".join(f" {cell} " if cell != "---" else cell for cell in line) + "|" for line in lines
    )


# --- methods ---


def methods() -> str:
    """Every method with what it computes."""
    rows = [
        (f"`{m.id}`", f"`{m.formula.splitlines()[0].removeprefix('out = ')}`", _ranges(m))
        for m in METHODS.all()
    ]
    return table(("method", "result", "parameters"), rows)


def _ranges(method: Method) -> str:
    return ", ".join(
        f"`{p.name}` " + ("true or false" if p.kind is bool else f"{p.range.low:g} to {p.range.high:g}")
        for p in method.parameters
    )


def agreements() -> str:
    """What the tests hold of each method, and how long a merge of full size takes where that was measured."""
    measured: Mapping[str, str] = json.loads(MEASURED.read_text(encoding="utf-8"))
    rows = [(f"`{m.id}`", _ends(m), peers_of(m.id), measured.get(m.id, "")) for m in METHODS.all()]
    return table(("method", "ends, exact to the bit", "numbers agree with", "full size"), rows)


def _ends(method: Method) -> str:
    """The settings at which a method gives one of its models, to the bit."""
    names = [model.name for model in method.inputs]
    ends: list[str] = []
    for end in method.exact:
        at = list(end.at.items())
        all_zero = len(at) > 3 and not any(value for _, value in at)
        where = "all 0" if all_zero else ", ".join(f"{name} {value:g}" for name, value in at) or "always"
        model = names[end.model] if -len(names) <= end.model < len(names) else names[-1]
        ends.append(f"{where}: {model.upper()}")
    return "; ".join(ends) or "none"


def sources() -> str:
    """Where each method comes from."""
    return table(("method", "source"), ((f"`{m.id}`", m.source) for m in METHODS.all()))


# --- recipes ---


def layouts() -> str:
    """Which number of a list each slot takes that no list names, by tool."""
    slots = list(dict.fromkeys(slot for layout in LAYOUTS for slot in layout.fallback_for))
    rows = [
        (f"`{layout.id}`", layout.title, *(layout.fallback_for[slot] for slot in slots), layout.source)
        for layout in LAYOUTS
    ]
    return table(("layout", "tool", *slots, "source"), rows)


def importers() -> str:
    """The tools whose recipes are read, and what is read of them."""
    return table(("recipe of", "what is read"), ((importer.tool, importer.reads) for importer in IMPORTERS))


# --- reports ---


def report_kinds() -> str:
    """Every kind of comparison."""
    rows = [(f"`{kind.id}`", kind.help, kind.same_as) for kind in REPORT_KINDS]
    return table(("kind", "what it compares", "the same number as"), rows)


# --- options ---


def options() -> str:
    """Every option of a merge beside models, method and its parameters, under each of its names."""
    rows = [
        (_flag(option), f"`{option.name}`", _ticks(option), option.help.replace("|", "\\|"))
        for option in OPTIONS
    ]
    return table(("flag", "in JSON", "in the Save box", "meaning"), rows)


def _flag(option: Option) -> str:
    value = "" if option.switch else f" {option.value}"
    return f"`{option.flag}{value}`".replace("|", "\\|")


def _ticks(option: Option) -> str:
    titles = (*option.list_titles, *option.checkboxes) if isinstance(option, SaveOption) else ()
    return ", ".join(titles)


# --- languages ---


def languages() -> str:
    """Every language of the page: its file, how many texts it has, and who has reviewed them."""
    reviews: Mapping[str, str] = json.loads(REVIEWS.read_text(encoding="utf-8"))
    rows = [
        (name, f"`{name}.json`", str(len(texts_of(name))), reviews[name] or "not yet reviewed")
        for name in LANGUAGES
    ]
    return table(("language", "file", "texts", "reviewed by a native speaker"), rows)


# --- grids ---


def axes() -> str:
    """Every axis of a grid that has a name of its own; those of one help share a row."""
    numbers = [kind.id for kind in axis_kinds() if kind.merges and kind.id in all_parameters()]
    first = f"`{'`, `'.join(numbers[:2])}`, ... (any number of a method: {', '.join(numbers[2:])})"
    rows = [(first, "`0, 0.5`, `0-1 [5]` (five of them), `0-1 (+0.25)`", "`alpha`, `beta`")]
    others = (kind for kind in axis_kinds() if kind.id not in numbers)
    for (text, offered), group in groupby(others, key=lambda kind: (kind.help, kind.in_webui)):
        names = ", ".join(f"`{kind.id}`" for kind in group)
        rows.append((names, text.replace("|", "\\|"), "yes" if offered else ""))
    return table(("axis", "values", "in the WebUI's X/Y/Z plot"), rows)


# --- searches ---


def scorers() -> str:
    """Every scorer that comes with Merge Desk."""
    rows = [
        (f"`{kind.id}{f'({kind.argument})' if kind.argument else ''}`", kind.help)
        for kind in builtin_scorers()
    ]
    return table(("scorer", "what it measures"), rows)


def samplers() -> str:
    """Every sampler of searches."""
    return table(("`--sampler`", "what it is"), ((f"`{id}`", title) for id, title in SAMPLER_TITLES.items()))


SEARCH_SCORES: Mapping[str, str] = {  # of tests/bench/search.py
    "closeness": "the closeness of the best picture's pixels to those of the hidden merge",
    "attributes": "1 less the mean difference from the hidden merge in shape, colour and style "
    "(`samples/check.py`)",
}


def searches() -> str:
    """Searches for hidden block weights, as tests/bench/search.py has measured them."""
    data = json.loads(SEARCHED.read_text(encoding="utf-8"))
    begin = (
        f"Hidden block weights over `{data['space']}` of the samples ink and pastel are searched for by "
        "pictures of 64 x 64 pixels. The score is 1 at the hidden weights, and never more; all samplers have "
        "the same number of trials.\n\n"
    )
    parts = (_search_table(score, data[score]) for score in SEARCH_SCORES if score in data)
    return begin + "\n\n".join(parts)


def _search_table(score: str, data: Mapping[str, Any]) -> str:
    names = list(data["mean"])
    rows = [(str(row["seed"]), *(f"{row[name]:.5f}" for name in names)) for row in data["rows"]]
    rows.append(("mean", *(f"{data['mean'][name]:.5f}" for name in names)))
    won = "; ".join(f"{name} in {count}" for name, count in data["better_than_random"].items())
    far = "; ".join(f"{name} {1 - data['lowest'][name]:.4f}" for name in data["better_than_random"])
    return (
        f"**{score}**: {SEARCH_SCORES[score]}, after {data['trials']} trials with pictures in "
        f"{data['steps']} steps (`python -m tests.bench.search --score {score} --write`). Of "
        f"{len(data['rows'])} searches it is better than random: {won}. The farthest from the optimum: {far}."
        "\n\n" + table(("seed", *names), rows)
    )


# --- the packages ---

LAYERS = re.compile(r'id = "layers".*?^layers = \[\n(.*?)^\]', re.MULTILINE | re.DOTALL)  # of pyproject.toml
# the first package of each band of layers
BANDS = {
    "cli": "what people and programs use",
    "service": "jobs and what they need",
    "grid": "grids and reports",
    "live": "one merge, from text to bytes",
    "methods": "arithmetic and model families",
    "store": "files and numbers",
}
WIDTH, MARGIN = 110, 16


def packages() -> str:
    """Every package of lib_merge in the order of imports, each with the first sentence of its docstring."""
    lines: list[str] = []
    for name in layers():
        if not (package := _package(name)):
            continue  # a package that is not built yet
        if name in BANDS:
            lines += [f"+- {BANDS[name]} ".ljust(WIDTH - 1, "-") + "+"]
        wrapped = textwrap.wrap(_sentence(package), WIDTH - MARGIN - 4)
        rows = zip([name, *[""] * len(wrapped)], wrapped, strict=False)
        lines += [f"| {margin:{MARGIN}}{text}".ljust(WIDTH - 1) + "|" for margin, text in rows]
    return "\n".join(["```text", *lines, "+".ljust(WIDTH - 1, "-") + "+", "```"])


def layers() -> list[str]:
    """The packages and modules of lib_merge from the top down, as import-linter has them."""
    (block,) = LAYERS.findall((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return re.findall(r"\w+", re.sub(r"#.*", "", block))


def _package(name: str) -> Path | None:
    paths = (ROOT / "lib_merge" / name / "__init__.py", ROOT / "lib_merge" / f"{name}.py")
    return next((path for path in paths if path.exists()), None)


def _sentence(package: Path) -> str:
    docstring = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split())


# --- errors ---


def errors() -> str:
    """Every message of the errors that users meet."""
    return error_list(ROOT / "lib_merge", table)


# --- the API ---


def http() -> str:
    """Every route of the HTTP API."""
    return http_api(TABS, table)


PARTS: Mapping[str, Callable[[], str]] = {
    "http api": http,
    "methods": methods,
    "agreements": agreements,
    "sources": sources,
    "layouts": layouts,
    "importers": importers,
    "report kinds": report_kinds,
    "options": options,
    "languages": languages,
    "axes": axes,
    "scorers": scorers,
    "samplers": samplers,
    "searches": searches,
    "packages": packages,
    "errors": errors,
}


def main(arguments: Sequence[str] = ()) -> int:
    """Write what is not up to date and print which files that were; with --pictures, draw pictures."""
    if arguments[:1] == ["--pictures"]:
        return _pictures(arguments[1:])
    files = {page: written(page.read_text(encoding="utf-8")) for page in pages()}
    files |= {TYPES: page_types(endpoints()), style(): assembled_style()}
    for file, new in files.items():
        if new != file.read_text(encoding="utf-8"):
            file.write_text(new, encoding="utf-8", newline="\n")
            print(f"{file.relative_to(ROOT)}: written")
    return 0


def _pictures(names: Sequence[str]) -> int:
    """Draw the pictures of these names, or all."""
    from docs import screenshots
    from docs.guide import draw

    drawn = [name for name in names or draw.PICTURES if name in draw.PICTURES]
    captured = [name for name in names or screenshots.NAMES if name in screenshots.NAMES]
    if unknown := [name for name in names if name not in (*drawn, *captured)]:
        print(f"no picture is called {unknown[0]}: {', '.join((*draw.PICTURES, *screenshots.NAMES))}")
        return 2
    return (draw.main(drawn) if drawn else 0) or (screenshots.main(captured) if captured else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
