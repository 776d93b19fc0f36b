"""Each change recipe of docs/architecture.md, carried out on a copy of the repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.docs.pages import page
from tests.lib_merge.architectures.test_new_architecture import DATA_FILE
from tests.support.full_size import write_tiny
from tests.support.repository_copy import (
    WRITE_DOCUMENTATION,
    RepositoryCopy,
    Step,
    command,
    program,
    recipes,
    run_tests,
)

pytestmark = pytest.mark.slow  # each starts some fresh processes


@pytest.fixture(scope="module")
def shared_copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RepositoryCopy]:
    """One copy for all recipes: its bytecode is compiled once, and torch is imported once."""
    copy = RepositoryCopy(tmp_path_factory.mktemp("copy"))
    yield copy
    copy.close()


@pytest.fixture
def copy(shared_copy: RepositoryCopy, request: pytest.FixtureRequest) -> Iterator[RepositoryCopy]:
    """The copy for the recipe whose test this is; in the end all of the recipe's files have been changed."""
    (recipe,) = (other for other in recipes().values() if other.test == request.node.originalname)
    shared_copy.begin(recipe)
    yield shared_copy
    untouched = shared_copy.untouched()
    shared_copy.restore()
    assert untouched == set()


def up_to_date(page: str) -> str:
    """The test that a page is what the program would write."""
    return f"tests/docs/test_written_parts.py::test_a_page_is_what_the_program_would_write[{page}]"


def tiny(path: Path, family: str, variant: str = "") -> Step:
    """The step that writes a tiny checkpoint of what only the copy knows."""
    text = "import pathlib, sys; from tests.support.full_size import write_tiny; path, *kind = sys.argv[1:]"
    write = "write_tiny(pathlib.Path(path), kind[0], variant=kind[1])"
    return program(f"{text}; {write}", str(path), family, variant)


def test_a_method_is_a_function_and_an_example(copy: RepositoryCopy, tmp_path: Path) -> None:
    (method,) = page("docs/architecture.md").blocks("python")
    copy.append("lib_merge/methods/linear.py", f"\n\n{method}")
    examples = "tests/lib_merge/methods/test_worked_examples.py"
    row = '    ("midpoint_plus", [[1], [5]], {"alpha": 0.25}, [4]),'  # 0.25 * 1 + 0.75 * 5
    copy.insert(examples, "    # 0.75 * 1 + 0.25 * 5", row)
    files = [str(write_tiny(tmp_path / f"{name}.safetensors", seed=ord(name))) for name in "ab"]
    target = str(tmp_path / "m.safetensors")
    laws = ("tests/laws/test_every_method.py", examples)
    *_, plan, _, recipe = copy.run(
        WRITE_DOCUMENTATION,
        run_tests(*laws, "-k", "midpoint_plus or every_method_has_an_example"),
        run_tests(up_to_date("docs/methods.md")),
        command("plan", *files, "--method", "midpoint_plus"),
        command("merge", *files, "--method", "midpoint_plus", "-o", target),
        command("recipe", target),
    )
    formula = "(0.5 - alpha) A + (0.5 + alpha) B"
    assert f"| `midpoint_plus` | `{formula}` | `alpha` -0.5 to 0.5 |" in copy.text("docs/methods.md")
    assert "0.5 A + 0.5 B" in plan
    assert "midpoint_plus(" not in plan
    assert "midpoint_plus(A, B" in recipe


PERCENT = """

def _percents(text: str, base: GridBase) -> Sequence[AxisValue]:
    return [AxisValue(f"{format_number(number)} %", number / 100) for number in parse_axis_numbers(text)]


PERCENT = AxisKind(
    "alpha percent",
    "alpha in percent",
    True,
    AxisRank.AMOUNTS,
    _percents,
    lambda cell, value, _: with_parameter(cell, "alpha", "", lambda old: cast("Setting", value)),
    ("alpha",),
    aliases=("mbw percent",),
    in_webui=True,
)
"""
PERCENT_TEST = """

def test_percent_is_a_hundredth_of_alpha(bench: Bench) -> None:
    assert alphas(bench.plan(x="mbw percent: 10, 50")) == {0: 0.1, 1: 0.5}
"""
OFFERED = """
from types import SimpleNamespace
from lib_merge.desk.webui.xyz import MergeAxes
from lib_merge.grid import axis_kinds

class AxisOption:
    def __init__(self, label, *_, **__):
        self.label = label

module = SimpleNamespace(AxisOption=AxisOption, axis_options=[])
script = SimpleNamespace(module=module, script_class=SimpleNamespace(run=print))
MergeAxes(None).register(script)
print(*(each.id for each in axis_kinds()), *(each.label for each in module.axis_options), sep="; ")
"""


def test_a_grid_axis_is_a_kind_in_the_file_of_its_like(copy: RepositoryCopy) -> None:
    copy.append("lib_merge/grid/axes/amounts.py", PERCENT)
    copy.insert("lib_merge/grid/axes/amounts.py", "        RANDOM,", "        PERCENT,")
    copy.append("tests/lib_merge/grid/axes/test_axes.py", PERCENT_TEST)
    *_, offered = copy.run(
        WRITE_DOCUMENTATION,
        run_tests("tests/lib_merge/grid/axes/test_axes.py", "-k", "percent or name_of_its_own"),
        run_tests(up_to_date("docs/grids.md")),
        program(OFFERED),
    )
    assert "| `alpha percent` | alpha in percent | yes |" in copy.text("docs/grids.md")
    assert {"alpha percent", "[Merge] alpha percent"} <= set(offered.strip().split("; "))


def test_a_variant_is_an_entry_of_its_family(copy: RepositoryCopy, tmp_path: Path) -> None:
    entry = '("depth", (Fingerprint(CONV_IN, axis=1, size=5),))'
    old, new = "variants=(INPAINT, PIX2PIX),", f"variants=(INPAINT, PIX2PIX, {entry}),"
    copy.replace("lib_merge/architectures/families/sd1.py", old, new)
    file, row = (
        "tests/lib_merge/architectures/test_detect.py",
        '("sd1", "depth", "Stable Diffusion 1, depth"),',
    )
    copy.insert(file, '        ("sd1", "pix2pix"', f"        {row}")
    path = tmp_path / "depth.safetensors"
    *_, inspected = copy.run(
        run_tests(file, "-k", "depth or variant"),
        tiny(path, "sd1", "depth"),
        command("inspect", str(path)),
    )
    assert "Stable Diffusion 1, depth" in inspected


LENGTHS = '''"""How alike in length the weights of two models are, slot by slot."""

from __future__ import annotations

from lib_merge.architectures import open_from_header, slot_of
from lib_merge.checkpoint import Header
from lib_merge.report.similarity.kinds import ComparisonSettings, Similarity
from lib_merge.report.similarity.weights import common_family


def compare_lengths(a: Header, b: Header, settings: ComparisonSettings) -> Similarity:
    """The shorter over the longer."""
    family = common_family([a, b])
    lengths = []
    for header in (a, b):
        found = {}
        with open_from_header(header) as file:
            for key in sorted(header.tensors):
                slot = slot_of(family, key)
                if slot:
                    found[slot] = found.get(slot, 0.0) + file.tensor(key).double().square().sum().item()
        lengths.append(found)
    one, other = lengths
    return Similarity({slot: min(one[slot], other[slot]) / max(one[slot], other[slot]) for slot in one})
'''
LENGTHS_ROW = """    ReportKind(
        id="lengths",
        title="Lengths",
        value="ratio of the squared lengths",
        help="how long the weights of a slot are",
        compare=_lengths,
    ),"""
LENGTHS_CALL = """def _lengths(a: Header, b: Header, settings: ComparisonSettings) -> Similarity:
    from lib_merge.report.similarity.lengths import compare_lengths

    return compare_lengths(a, b, settings)

"""


def test_a_report_kind_is_a_function_and_a_row(copy: RepositoryCopy, tmp_path: Path) -> None:
    kinds = "lib_merge/report/similarity/kinds.py"
    copy.write("lib_merge/report/similarity/lengths.py", LENGTHS)
    copy.insert(kinds, "REPORT_KINDS: tuple", LENGTHS_CALL)
    copy.insert(kinds, "    _attention(\n", LENGTHS_ROW)
    files = [str(write_tiny(tmp_path / f"{name}.safetensors", seed=ord(name))) for name in "ab"]
    titles_of_page = (
        "from lib_merge.desk.tabs.report.render import kind_views as v; print([k.title for k in v()])"
    )
    *_, report, titles = copy.run(
        WRITE_DOCUMENTATION,
        run_tests(up_to_date("docs/reports.md")),
        command("compare", "--kind", "lengths", "--plot", str(tmp_path / "p.png"), *files),
        program(titles_of_page),
    )
    assert "| `lengths` | how long the weights of a slot are |  |" in copy.text("docs/reports.md")
    assert report.startswith("ratio of the squared lengths, in percent, compared with a\n")
    assert "totals" in report
    assert "'Lengths'" in titles


IMPORT_OF_MIXTAPE = "from lib_merge.recipe.imports.mixtape import MIXTAPE"
MIXTAPE = '''"""The recipes of Mixtape, a tool that is made up: `MIXTAPE a b 0.25`."""

from __future__ import annotations

from lib_merge.recipe.imports.common import Imported, RecipeBuilder
from lib_merge.recipe.imports.importer import Importer, ImportSource

TOOL = "Mixtape"


def _read(source: ImportSource) -> Imported:
    builder = RecipeBuilder(TOOL)
    _, a, b, amount = source.text.split()
    models = [builder.add_model(a), builder.add_model(b)]
    return builder.build(builder.add_step("weighted_sum", models, alpha=float(amount)), vae="a")


MIXTAPE = Importer(
    tool=TOOL,
    reads="its one line",
    example="MIXTAPE a b 0.25",
    recognises=lambda source: source.text.startswith("MIXTAPE "),
    read=_read,
)
'''


def test_an_importer_is_a_file_and_a_line(copy: RepositoryCopy) -> None:
    detect = "lib_merge/recipe/imports/detect.py"
    copy.write("lib_merge/recipe/imports/mixtape.py", MIXTAPE)
    copy.insert(detect, "from lib_merge.recipe.imports.model_mixer", IMPORT_OF_MIXTAPE)
    copy.insert(detect, "    CHATTIORI,", "    MIXTAPE,")
    *_, recipe = copy.run(
        WRITE_DOCUMENTATION,
        run_tests("tests/lib_merge/recipe/imports/test_imports.py", "-k", "example"),
        run_tests(up_to_date("docs/recipes.md")),
        command("recipe", "MIXTAPE ink pastel 0.3\n"),
    )
    assert "| Mixtape | its one line |" in copy.text("docs/recipes.md")
    assert "M1 = weighted_sum(A, B, alpha = 0.3)" in recipe


TINY_LORA = """    LoraFormat(
        "TinyLoRA",
        "lora_unet_mid_block_attentions_0_proj_in.tiny_v",
        suffixes=(".tiny_v",),
    ),"""


def test_a_lora_format_is_a_row(copy: RepositoryCopy, tmp_path: Path) -> None:
    copy.insert("lib_merge/architectures/families/lora.py", '    LoraFormat("DoRA"', TINY_LORA)
    path = tmp_path / "tiny.safetensors"
    save_file({"lora_unet_mid_block_attentions_0_proj_in.tiny_v": torch.zeros(4)}, path)
    _, inspected = copy.run(
        run_tests("tests/lib_merge/architectures/test_lora_formats.py"),
        command("inspect", "--json", str(path)),
    )
    assert "this is a LoRA (TinyLoRA), not a checkpoint" in inspected


# the made-up family as a file of families/, which cannot import the package that it is a part of
MIXERS = DATA_FILE.replace(
    """from lib_merge.architectures import (
    Component,
    Family,
    Fingerprint,
    KeyShapes,
    ListedTopology,
    Network,
    Slot,
    Topology,
)""",
    "from lib_merge.architectures.family import Component, Family, Fingerprint, Network, Slot\n"
    "from lib_merge.architectures.topology import Topology",
).replace("import linear, norm", "import KeyShapes, ListedTopology, linear, norm")
MIXERS_TEST = '''"""Mixers are detected by their first block."""

from lib_merge.architectures import family_by_id, identify
from lib_merge.checkpoint import TensorInfo
from lib_merge.dtypes import F16


def test_its_files_are_detected() -> None:
    shapes = family_by_id("mixers").topology.shapes()
    assert identify({key: TensorInfo(F16, shape) for key, shape in shapes.items()}).title == "Mixers"
'''


def test_a_family_is_a_data_file_and_a_line(copy: RepositoryCopy, tmp_path: Path) -> None:
    families = "lib_merge/architectures/families/__init__.py"
    copy.write("lib_merge/architectures/families/mixers.py", MIXERS)
    line = "from lib_merge.architectures.families.mixers import MIXERS"
    copy.insert(families, "from lib_merge.architectures.families.sd1 ", line)
    copy.insert(families, "        VAE_ALONE,", "        MIXERS,")
    copy.write("tests/lib_merge/architectures/test_mixers.py", MIXERS_TEST)
    files = [f"tests/lib_merge/architectures/test_{name}.py" for name in ("mixers", "keys", "topology")]
    models = [tmp_path / f"{name}.safetensors" for name in "ab"]
    *_, plan = copy.run(
        run_tests(*files, "-k", "mixers"),
        *(tiny(model, "mixers") for model in models),
        command("plan", *map(str, models), "--weights", "1, 0, 0.5, 1, 0.25"),
    )
    assert "K03" in plan


IN_ITS_WEBUI = """
import sys, types
for name in ("modules", "modules.toy_memory"):
    sys.modules[name] = types.ModuleType(name)
from lib_merge.hosts.table import webui_host
print(type(webui_host()).__name__)
"""


def test_a_host_is_a_file_and_a_line(copy: RepositoryCopy) -> None:
    made_up = copy.text("tests/lib_merge/hosts/toy_host.py")
    copy.write("lib_merge/hosts/made_up.py", made_up.replace("ToyHost", "MadeUpHost"))
    line = "from lib_merge.hosts.made_up import MadeUpHost"
    copy.insert("lib_merge/hosts/table.py", "from lib_merge.hosts.webui", line)
    copy.replace("lib_merge/hosts/table.py", "(*LIVE, ", "(MadeUpHost, *LIVE, ")
    copy.insert("tests/lib_merge/hosts/every_host.py", "from lib_merge.hosts.standalone", line)
    copy.insert("tests/lib_merge/hosts/every_host.py", "    ForgeHost,", "    MadeUpHost,")
    _, host = copy.run(run_tests("tests/lib_merge/hosts/test_protocol.py"), program(IN_ITS_WEBUI))
    assert host.strip() == "MadeUpHost"


DICE = '''"""A tab that is made up: *Dice* throws some."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from lib_merge.desk.protocol import Action, action, endpoints_of
from lib_merge.desk.route import route, routes_of
from lib_merge.desk.tab import Binding, Page, Tab
from lib_merge.service.services import Services


@dataclass(frozen=True)
class Throw:
    """A throw of dice.

    dice  how many
    """

    dice: int = 1


@dataclass(frozen=True)
class ThrowResult:
    """What was thrown.

    eyes  of each die
    """

    eyes: tuple[int, ...]


@action("dice.throw")
def throw(service: Services, action: Action[Throw]) -> ThrowResult:
    """Throws dice."""
    return ThrowResult(tuple(range(1, action.data.dice + 1)))


@route("POST", "dice")
def throw_for_programs(service: Services, request: Throw) -> ThrowResult:
    """Throws dice for programs."""
    return ThrowResult(tuple(range(1, request.dice + 1)))


def _build(page: Page) -> Mapping[str, Binding]:
    page.mount("dice")
    return {}


MODULE = sys.modules[__name__]
DICE_TAB = Tab("dice", "Dice", endpoints_of(MODULE), routes_of(MODULE), _build)
'''
DICE_SCRIPT = """"use strict";
/* The tab Dice. Python's side is lib_merge/desk/tabs/dice.py. */
{
  /** @param {DeskPage} page @returns {DeskTab} */
  function create({ wire }) {
    const { make } = globalThis.mergeDesk.dom;
    /** @param {HTMLElement} place */
    function draw(place) {
      const onclick = () => wire.ask("dice.throw", { dice: 2 }, {});
      place.replaceChildren(make("button", { onclick }, "Throw"));
    }
    return { draw };
  }
  const dice = { create };
  if (typeof module !== "undefined") module.exports = dice;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, views: { ...globalThis.mergeDesk?.views, dice } };
}
"""
DICE_PROGRAM = """
import json, sys, pathlib
from lib_merge.desk.page import build
from lib_merge.desk.static import scripts
from lib_merge.service.services import Services
from tests.support.desk_host import PaperHost, PaperService

folder = pathlib.Path(sys.argv[1])
page = build(Services(PaperService(PaperHost(folder, folder / "data"))))
ids = [each["props"].get("elem_id") for each in page.get_config_file()["components"]]
print([id for id in ids if id and "dice" in id], [each.name for each in scripts() if "dice" in each.name])
(event,) = [each for each in page.fns.values() if "'dice.throw'" in str(each.js) and each.fn]
asked = json.dumps({"seq": 5, "name": "dice.throw", "data": {"dice": 3}})
print(event.fn(asked, "ink", None, None, "Weighted sum", "A's", "as in A", False))
"""


def test_a_tab_is_a_module_a_line_and_a_script(copy: RepositoryCopy, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    table = "lib_merge/desk/table.py"
    copy.write("lib_merge/desk/tabs/dice.py", DICE)
    copy.insert(table, "from lib_merge.desk.tabs.grid", "from lib_merge.desk.tabs.dice import DICE_TAB")
    copy.replace(table, "SEARCH_TAB, HISTORY_TAB)", "SEARCH_TAB, HISTORY_TAB, DICE_TAB)")
    copy.write("javascript/view_dice.js", DICE_SCRIPT)
    write_tiny(tmp_path / "ink.safetensors")
    *_, page = copy.run(
        WRITE_DOCUMENTATION,
        run_tests(up_to_date("docs/http-api.md"), "tests/lib_merge/desk/test_page_types.py"),
        program(DICE_PROGRAM, str(tmp_path)),
    )
    assert "## POST /merge-desk/v1/dice\n\nThrows dice for programs." in copy.text("docs/http-api.md")
    assert '"dice.throw": ThrowResult;' in copy.text("types/desk.d.ts")
    placed, answer = page.strip().splitlines()[-2:]
    for id in ("tab_dice", "dice", "dice_throw", "dice_throw_response"):
        assert f"'merge_desk_{id}'" in placed
    assert "view_dice.js" in placed
    assert "&quot;eyes&quot;: [1, 2, 3]" in answer
