"""The mixer's guide names what there is: methods, parameters, axes, options, rules, labels, recipe lines."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from PIL import Image, ImageSequence

from docs.write import ROOT
from lib_merge.cli import main
from lib_merge.errors import RecipeError
from lib_merge.grid.axes.read import find_axis_kind
from lib_merge.methods import METHODS
from lib_merge.recipe.imports.detect import import_text
from lib_merge.recipe.imports.unsupported import COMMAND
from lib_merge.recipe.weights.parse import parse_rules

GUIDE = ROOT / "docs" / "guide"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(GUIDE.glob("*.md"))}
TOOLS = ("from-supermerger", "from-model-mixer", "from-chattiori", "from-comfyui")
MOST_BYTES = 3_000_000  # of all pictures of the documentation

Row = dict[str, str]


def tables(page: str) -> Iterator[list[Row]]:
    """The tables of a page, each row by the names of its columns."""
    for block in re.findall(r"(?:^\|.*\|\n)+", PAGES[page] + "\n", re.MULTILINE):
        head, _, *rows = (line.strip()[1:-1].split("|") for line in block.splitlines())
        names = [name.strip() for name in head]
        yield [dict(zip(names, (cell.strip() for cell in row), strict=True)) for row in rows]


def rows(page: str, *columns: str) -> list[Row]:
    """The rows of all tables of a page that have these columns."""
    return [row for table in tables(page) for row in table if set(columns) <= set(row)]


def spans(cell: str) -> list[str]:
    """What a cell has in code spans."""
    return re.findall(r"`([^`]+)`", cell)


@cache
def flags() -> frozenset[str]:
    """Every flag of the commands that the guide names."""
    texts: list[str] = []
    for command in ("merge", "grid", "draw", "compare", "sheet"):
        with pytest.MonkeyPatch.context() as patch:
            printed = io.StringIO()
            patch.setattr("sys.stdout", printed)
            with pytest.raises(SystemExit):
                main([command, "--help"])
            texts.append(printed.getvalue())
    return frozenset(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(texts)))


@cache
def sources() -> str:
    """All that the page is made of, where its labels are."""
    folders = ("javascript", "lib_merge/desk", "lib_merge/recipe", "lib_merge/library", "lib_merge/methods")
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*"))]
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file.suffix in (".js", ".py"))


def methods_of(page: str) -> list[Row]:
    return [row for row in rows(page, "method", "parameters") if row["method"] != "none"]


@pytest.mark.parametrize("page", TOOLS)
def test_every_method_and_parameter_of_a_table_is_there(page: str) -> None:
    assert methods_of(page)
    for row in methods_of(page):
        (name,) = spans(row["method"])
        parameters = {parameter.name for parameter in METHODS.get(name).parameters}
        assert set(spans(row["parameters"])) <= parameters, row


@pytest.mark.parametrize("page", PAGES)
def test_every_option_of_a_table_is_a_flag(page: str) -> None:
    names = [
        word
        for table in tables(page)
        for row in table
        for column, cell in row.items()
        if column in ("on the command line", "option", "here", "written as", "note")
        for span in spans(cell)
        for word in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", span)
    ]
    assert set(names) <= flags()


@pytest.mark.parametrize("page", PAGES)
def test_every_label_in_bold_is_on_the_page(page: str) -> None:
    """In bold are labels of the page, sentences (with a full stop) and the first words of list items."""
    text = re.sub(r"\s+", " ", re.sub(r"^- \*\*[^*]+\*\*", "", PAGES[page], flags=re.MULTILINE))
    labels = {label for label in re.findall(r"\*\*([^*]+)\*\*", text) if not label.endswith(".")}
    for label in labels - {"alpha = 1 - ratio"}:
        assert re.search(rf"[\"'`>]{re.escape(label)}(?![A-Za-z])", sources()), label


def test_every_axis_of_supermerger_is_read_under_its_own_name() -> None:
    no_merge: Any = None  # needed for names of blocks alone
    table = rows("from-supermerger", "axis type there", "axis")
    assert len(table) > 20
    for row in table:
        (theirs,), (ours,) = spans(row["axis type there"]), spans(row["axis"])
        assert find_axis_kind(theirs, no_merge).id == ours


def supermerger(mode: str, calculation: str) -> str:
    """What SuperMerger writes into a file."""
    recipe = {"type": "sd-webui-supermerger", "mode": mode, "calcmode": calculation, "base_alpha": 0.25}
    hashes = {f"model_{letter}": letter * 10 for letter in "abc"}
    return json.dumps({"sd_merge_recipe": {**recipe, **hashes}})


def model_mixer(mode: str, calculation: str = "Normal") -> str:
    """What Model Mixer writes into the infotext of a picture."""
    fields = {"model a": "a [aaaaaaaaaa]", "base model": "c [cccccccccc]", "use model b": "True"}
    others = {"model b": "b [bbbbbbbbbb]", "merge mode b": mode, "calcmode b": calculation, "alpha b": "0.25"}
    settings = ", ".join(f"ModelMixer {name}: {value}" for name, value in {**fields, **others}.items())
    return f"a cat\nSteps: 20, {settings}"


def imports_as(text: str) -> str | None:
    """The method of a text's last step; None where it is refused."""
    try:
        imported = import_text(text)
    except RecipeError:
        return None
    assert imported is not None
    return imported.recipe.steps[-1].method


def test_supermergers_modes_are_imported_as_the_table_says() -> None:
    table = rows("from-supermerger", "Merge Mode", "Calculation Mode", "method", "imported")
    assert len(table) > 12
    for row in table:
        method = imports_as(supermerger(row["Merge Mode"], row["Calculation Mode"]))
        assert method == (spans(row["method"])[0] if row["imported"] == "yes" else None), row


def test_model_mixers_modes_are_imported_as_the_tables_say() -> None:
    modes = rows("from-model-mixer", "mode", "method", "imported")
    assert {spans(row["mode"])[0] for row in modes} >= {"Sum", "Add-Diff", "DARE", "TIES", "Self", "Replace"}
    for row in modes:
        method = imports_as(model_mixer(*spans(row["mode"])))
        assert method == (spans(row["method"])[0] if row["imported"] == "yes" else None), row
    calculations = rows("from-model-mixer", "calcmode", "imported")
    assert len(calculations) > 5
    for row in calculations:
        method = imports_as(model_mixer("Sum", *spans(row["calcmode"])))
        assert (method is not None) == (row["imported"] == "yes"), row


def test_every_mode_of_chattiori_that_we_recognise_has_a_row() -> None:
    (modes,) = re.findall(r"\?:([\w|]+)\)", COMMAND.pattern)
    assert set(modes.split("|")) <= {
        spans(row["mode"])[0] for row in rows("from-chattiori", "mode", "method")
    }


def test_a_command_of_chattiori_and_a_workflow_are_refused_as_their_pages_say() -> None:
    assert imports_as('python merge.py "WS" "models" "a.safetensors" "b.safetensors" --alpha 0.45') is None
    assert imports_as('{"3": {"class_type": "ModelMergeSimple", "inputs": {"ratio": 0.7}}}') is None


@pytest.mark.parametrize(
    ("page", "column"),
    [
        ("from-comfyui", "rule"),
        ("from-chattiori", "blocks of SDXL"),
    ],
)
def test_every_rule_of_a_table_is_read(page: str, column: str) -> None:
    names = [span for row in rows(page, column) for span in spans(row[column])]
    assert len(names) > 4
    for span in names:
        parse_rules(span if ":" in span else f"{span}: 0.5")


@pytest.mark.parametrize(
    "name",
    [
        "PastelMix-dpep4",
        "DunkMash",
        "chillyMixBase",
        "chillyMixBase-V1-NED",
        "StoreBoughtGyoza",
        "CreationMix",
    ],
)
def test_every_line_of_a_recipe_is_explained(name: str) -> None:
    lines = (ROOT / "recipes" / f"{name}.recipe").read_text(encoding="utf-8").splitlines()
    column = f"line of `recipes/{name}.recipe`"
    explained = [spans(row[column])[0] for row in rows("mixes", column)]
    assert explained == [line for line in lines if line and not line.startswith("#")]


def test_every_ingredient_of_a_recipe_is_among_the_downloads() -> None:
    table = (ROOT / "recipes" / "INGREDIENTS.md").read_text(encoding="utf-8")
    files = set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    named = {
        name
        for line in re.findall(r"^Downloads: .*(?:\n.+)*", PAGES["mixes"], re.MULTILINE)
        for name in spans(line)
    }
    assert files == named


def test_every_picture_of_the_guide_is_shown_and_drawn_by_the_script() -> None:
    from docs.guide.draw import PICTURES

    pictures = {path.stem for path in (GUIDE / "images").iterdir()}
    shown = {name for text in PAGES.values() for name in re.findall(r"\]\(images/(\w+)\.webp\)", text)}
    assert pictures == shown == set(PICTURES)


def test_the_pictures_of_the_documentation_are_small() -> None:
    files = [path for folder in ("docs/pictures", "docs/guide/images") for path in (ROOT / folder).iterdir()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    for path in files:
        with Image.open(path) as image:
            assert image.width <= 1280, path


def test_the_animated_picture_shows_sliders_and_a_picture_that_follows() -> None:
    file = ROOT / "docs" / "pictures" / "drag.webp"
    assert file.stat().st_size < 1_500_000
    with Image.open(file) as image:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    assert len(frames) > 15
    width, height = frames[0].size
    for box in ((0, 0, width * 3 // 5, height), (width * 5 // 8, height // 4, width, height)):
        first, last = (frame.crop(box) for frame in (frames[0], frames[-1]))
        assert first.tobytes() != last.tobytes()  # the sliders; the picture


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_has_a_text_for_those_who_do_not_see_it(page: str) -> None:
    assert all(len(alt) > 20 for alt in re.findall(r"!\[([^\]]*)\]", PAGES[page]))
