"""Every place where a text from outside is read, with real texts for each and the tokens of its grammar.

A reader answers with a value or raises a MergeError, whatever the text: test_scanning.py, test_fuzz.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lib_merge.architectures import Family, family_by_id, parse_numbers
from lib_merge.checkpoint import Header, metadata_dict
from lib_merge.desk.api import read_body
from lib_merge.desk.common import to_json
from lib_merge.desk.protocol import Response, dispatch
from lib_merge.desk.selection import Selection
from lib_merge.desk.table import endpoints
from lib_merge.errors import RecipeError
from lib_merge.grid import GridBase, GridCell, axis_kinds
from lib_merge.grid.axes.amounts import all_parameters
from lib_merge.grid.axes.read import find_axis_kind, parse_axis_spec, read_axes
from lib_merge.picture import DrawSettings
from lib_merge.plan.rule_resolver import RuleResolver
from lib_merge.recipe import (
    Recipe,
    Rules,
    import_from_text,
    parse_recipe,
    parse_rules,
    print_recipe,
    print_rules,
    read_recipe_text,
    read_weights,
    with_adjust,
)
from lib_merge.recipe.imports.history_csv import history_rows
from lib_merge.recipe.imports.preset_files import read_presets
from lib_merge.recipe.names import unique_names
from lib_merge.recipe.options import DTYPE_OPTION
from lib_merge.recipe.weights.presets import preset_amounts
from lib_merge.service.request import MergeRequest, Resolved
from lib_merge.service.services import Services
from tests.support.desk_host import PaperHost, PaperService

RECIPES = Path(__file__).parents[2] / "recipes"
SD1, SDXL = family_by_id("sd1"), family_by_id("sdxl")
MERGE = 'merge-desk recipe 2\nA = "a.safetensors"\nB = "b.safetensors"\nM = weighted_sum(A, B, alpha = 0.3)\n'
NUMBERS = ",".join(["0.5"] * 26)


@dataclass(frozen=True)
class Entry:
    """One place that reads texts.

    tokens   what its grammar is made of
    samples  real texts that it takes
    """

    name: str
    reads: Callable[[str], object]
    tokens: tuple[str, ...]
    samples: tuple[str, ...]


# --- what the readers do with what they read, as a program would ---


def _recipe(text: str) -> Recipe:
    read = parse_recipe(text)
    printed = print_recipe(read)
    printed.encode("utf-8")
    assert parse_recipe(printed) == read, printed
    return read


def _imported(text: str, entry: str = "") -> Recipe:
    read = import_from_text(text, entry).recipe
    print_recipe(read).encode("utf-8")
    return read


def _rules(text: str) -> Rules:
    read = parse_rules(text)
    printed = print_rules(read)
    assert parse_rules(printed) == read, printed
    for family in (SD1, SDXL):
        ruler = RuleResolver(read, family, tuple(family.shapes))
        if not list(ruler.problems("here")):
            list(ruler.rule_stats())
    return read


def _weights(text: str) -> object:
    return read_weights(text, layout="supermerger", plain=0.3)


class Catalog:
    """Names of which every one is there."""

    def checkpoint(self, name: str) -> str:
        return name

    def vae(self, name: str) -> str:
        return name

    def header(self, file: str) -> Header:
        raise RecipeError("there is no such file", where=file)

    def preset(self, name: str, family: Family) -> Mapping[str, float]:
        return preset_amounts(name, family)

    def recipe(self, text: str) -> Recipe:
        return parse_recipe(text)

    def from_history(self, text: str) -> Recipe:
        raise RecipeError("there is no such merge", where=text)

    def samplers(self) -> Sequence[str]:
        return ("Euler a",)

    def schedulers(self) -> Sequence[str]:
        return ("Karras",)

    def loras(self) -> Sequence[str] | None:
        return ("ink", "wool")

    def random_seed(self) -> int:
        return 7


@cache
def base() -> GridBase:
    """A merge of two SD1 models, to vary."""
    found = GridBase(GridCell(parse_recipe(MERGE), DrawSettings(prompt="a cat <lora:ink:0.5>")), Catalog())
    found.__dict__["family"] = SD1  # in place of reading A's header
    return found


def _axis(name: str, text: str) -> object:
    start = base()
    kind = find_axis_kind(name, start)
    return [kind.apply(start.cell, value.value, start) for value in kind.read(text, start)][:1]


def _axis_line(text: str) -> object:
    return read_axes({"x": parse_axis_spec(text)}, base())


def _metadata(text: str) -> object:
    return metadata_dict({"merge_desk.ancestry": text}, "merge_desk.ancestry")


def _body(text: str) -> object:
    """A body of the API, or what the page sends for a merge."""
    body = read_body(text.encode("utf-8", "surrogatepass"))
    request = MergeRequest.from_json(body)
    return print_recipe(request.recipe(_Anywhere()).recipe).encode("utf-8")


class _Anywhere:
    """Any name is that of a file; a recipe's files are not looked for."""

    def name_models(self, models: Sequence[str], vae: str) -> list[tuple[str, Path]]:
        paths = [Path("models", name.replace("\0", "")) for name in (*models, *([vae] if vae else []))]
        return list(zip(unique_names(paths), paths, strict=True))

    def locate(self, recipe: Recipe) -> Resolved[Path]:
        return Resolved(recipe, {})


@cache
def _services() -> Services:
    folder = Path(mkdtemp())
    return Services(PaperService(PaperHost(folder, folder / "data")))


def _page(text: str) -> Response:
    """What the page's script sends: every mistake is a problem in the one response, and no defect of ours."""
    response = dispatch(text, endpoints(), _services(), Selection("a", "b"))
    to_json(response).encode("utf-8")
    assert response.problem is None or "error of its own" not in response.problem.what, response.problem
    return response


# --- bytes, one letter of Latin-1 each ---


def _file(ending: str, read: Callable[[Path], object], text: str) -> object:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"file{ending}"
        path.write_bytes(text.encode("latin-1", "replace"))
        return read(path)


def _source(path: Path) -> object:
    return import_from_text(read_recipe_text(str(path))).recipe


def _picture(format: str) -> str:
    stream = BytesIO()
    image = Image.new("RGB", (4, 4))
    if format == "PNG":
        facts = PngInfo()
        facts.add_itxt("parameters", INFOTEXT, zip=True)
        image.save(stream, format, pnginfo=facts)
    else:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + INFOTEXT.encode("utf-16-be")
        image.save(stream, format, exif=exif)
    return stream.getvalue().decode("latin-1")


def _checkpoint() -> str:
    header = {"__metadata__": json.loads(WEBUI), "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    raw = json.dumps(header).encode()
    return (len(raw).to_bytes(8, "little") + raw + b"\0").decode("latin-1")


# --- real texts ---

HISTORY = (
    '"ID","time","name","weights alpha","weights beta","model A","model B","model C","alpha","beta","mode",'
    '"use MBW","custum name","save setting","use ID","elemental merge","calcmode","random seed","adjust",'
    '"option","In/Ex","blocks","elements"\n'
    '"1","2024-05-01 10:00:00","x","0.5,0.2","","aabbccddee","bbccddeeff","","0.5","0.25",'
    '"Weight sum:A*(1-alpha)+B*alpha","False","","[]","","OUT05:attn1:0.3","normal",'
    '"123","","","Off","[]",""\n'
)
MECHA = (
    'version 0.1.0\ndict BASE=0.1 IN00=0.5\nmodel "a.safetensors" merge_space="weight"\n'
    'model "b.safetensors" merge_space="weight"\nmerge "weighted_sum" &1 &2 alpha=&0\n'
)
MERGEKIT = (
    "models:\n  - model: a.safetensors\n    parameters: {weight: [0.1, 0.9]}\n  - model: b.safetensors\n"
    "    parameters:\n      weight:\n        - filter: attn1\n          value: 0.5\n        - value: 1.0\n"
    "merge_method: linear\nbase_model: a.safetensors\nparameters:\n  normalize: true\ndtype: float16\n"
)
MIXER = (
    "a cat\nSteps: 20, ModelMixer model a: ink.safetensors [3f2a9c01d4], ModelMixer use model b: True, "
    'ModelMixer model b: "pastel [aabbccddee]", ModelMixer merge mode b: Sum, ModelMixer alpha b: 0.3, '
    'ModelMixer mbw weights b: "0.5,0.5"\n'
)
WEBUI = json.dumps(
    {
        "sd_merge_recipe": json.dumps(
            {
                "type": "webui",
                "primary_model_hash": "aa" * 32,
                "secondary_model_hash": "bb" * 32,
                "interp_method": "Weighted sum",
                "multiplier": 0.3,
                "save_as_half": True,
                "bake_in_vae": "None",
            }
        ),
        "sd_merge_models": json.dumps({"aa" * 32: {"name": "a.safetensors"}, "bb" * 32: {"name": "b"}}),
    }
)
SUPERMERGER = json.dumps(
    {
        "sd_merge_recipe": {
            "type": "sd-webui-supermerger",
            "weights_alpha": [0.5] * 25,
            "weights_beta": None,
            "model_a": "aa" * 32,
            "model_b": "bb" * 32,
            "model_c": None,
            "base_alpha": 0.5,
            "mode": "Weight sum",
            "mbw": True,
            "elemental_merge": "OUT05:attn1:0.3\nIN01::R",
            "calcmode": "cosineA",
        },
        "sd_merge_models": {},
    }
)
INFOTEXT = f"a cat\nNegative prompt: dog\nSteps: 20, Seed: 1, Merge recipe: {json.dumps(MERGE)}, Size: 8x8"
SUMS = (
    "ink x 0.7 + pastel x 0.3 = M\nM + (wool - base) x 1 = N\n",
    "75% Nothing v2.3 : 25% rebasin(MeinaMix 9, to = Nothing v2.3) = D1\n"
    "slerp(D1, ICBINP, alpha = 0.4) = D2\n",
    "MERGE_BASE (1-alpha) + NED x alpha = V1, alpha = 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0\n",
    "A + B x GRAD_V = M\n0.7(A) + 0.3(B)\n",
)
RULES = (
    "0.5*GRAD_V + 0.5*COSINE\nIN04-IN08: 0.3\nOUT: 0.7; attn1: 0.2\nOUT03-OUT05 attn2.to_k: 0.4\n---\n"
    "*.proj_out.bias: 0\nexclude TIME FINAL\n",
    "NOT M00: uniform(0, 1, seed = 7)\nBASE: normal(0.5, 0.2, low = 0, high = 1, seed = 1, each = key)\n",
    f"supermerger[{NUMBERS}]\nOUT05:attn1:0.3\nXL IN40:attn1:EX(seed = 3)\nin.2-5.attn1: 0.5\n",
    f"slider_a: 0.3\nin.0-3: slider_a\nR, U, X{', 0.5' * 23}, seed = 7, low = 0.2, high = [0.8]\n",
)
PRESETS = (
    f"preset_name\tpreset_weights\nGRAD_V\t{NUMBERS}\nold:{NUMBERS}\nALL_R\tR,R\n",
    '{"mine": [2, "in.0-3", 0.5, "out", 0.25, "", 0, "", 0]}',
)
BODY = json.dumps(
    {
        "method": "weighted_sum",
        "a": "ink",
        "b": "pastel",
        "alpha": {"OUT05": 0.3, "*": 0.5},
        "weights": "OUT: 0.7",
        "adjust": "0,0,0,1",
        "vae": "b",
        "dtype": "fp16",
        "overflow": "clip",
        "align": False,
    }
)
AXES = {
    "number": ("0-1 [5]", "0, 0.25, 1", "0-1 (+0.25)", "1-0 (-0.5)", "1-5"),
    "weights": (NUMBERS, "GRAD_V\nOUT: 0.7; attn1: 0.2", f"{NUMBERS} | {NUMBERS}"),
    "words": ("IN05, OUT10 OUT11, NOT M00, OUT05=0.3", "OUT03-OUT05 attn2", "IN40:attn1, OUT00", "ALL"),
    "recipe": ('A = "ink"; B = "pastel"; M = weighted_sum(A, B)',),
    "names": ("ink, wool, pastel.safetensors", "a cat, a dog", "512x768, 640x640", "<lora:ink:0.5>"),
}

RECIPE_TOKENS = ("merge-desk recipe 2\n", 'A = "a"\n', '"', "\\", "= ", "(", "[0, ", "{OUT: ", "A, ", "save ")
SUM_TOKENS = (
    "A + ",
    "A - ",
    "x 0.5 ",
    "(",
    "(A + ",
    "alpha ",
    "(1-alpha) ",
    "1 - ",
    "( 1",
    "75% ",
    "1.",
    ": ",
)
RULE_TOKENS = (
    *(
        "0.5, ",
        "1.",
        "1e",
        "5e+",
        "R ",
        "ER",
        "seed = ",
        ", seed",
        "IN00-",
        "NOT ",
        "*",
        "a*",
        ".a",
        "; ",
        "---",
    ),
    *(
        "uniform(",
        "(0,",
        "[0",
        "1-2,",
        "in.",
        ".1-",
        "GRAD_V",
        "+ 0.1*",
        "slider_a ",
        ": ",
        "low=",
        "XL ",
        "- ",
    ),
)
AXIS_TOKENS = (
    "1-",
    "0-1 ",
    "[5]",
    "(+1",
    "+",
    ", ",
    '"',
    '""',
    "NOT ",
    "IN05 ",
    "a.",
    "1.a",
    " :",
    "OUT ",
    "x1",
)
JSON_TOKENS = ("[", '{"a":', '"', "\\u", "\\ud83d", "NaN, ", "1e9", "-", "[[],")
CSV_TOKENS = ('"1","', '""', '","', "\r", "1;2;", "1\t", "\n")
MECHA_TOKENS = ('model "a"\n', "&0 ", "dict a=1 ", 'merge "', "literal ", "'", "\\")
YAML_TOKENS = (
    "- ",
    "  ",
    "a: ",
    "[",
    "{",
    "&a ",
    "*a ",
    "!!",
    "? ",
    "| ",
    "models: x\n",
    "merge_method: a\n",
)
INFO_TOKENS = ("Merge recipe: ", '"\\"', "ModelMixer model a: ", 'ModelMixer a: "', "ModelMixer ", "Steps: ")


ACTIONS = (
    '{"seq": 1, "name": "mix.effects", "task": "", "revision": 2, "data": {"parameters": {"alpha": 0.5}}}',
    '{"seq": 1, "name": "mix.numbers", "data": {"text": "1, 2", "layout": "supermerger"}}',
    '{"seq": 1, "name": "grid.plan", "data": {"axes": {"x": ["alpha", "0-1"]}}}',
    '{"seq": 1, "name": "grid.load_cell", "data": {"place": [0, 0, 0]}}',
    '{"seq": 1, "name": "history.list", "data": {"query": "a", "starred": true}}',
)


def entries() -> Iterator[Entry]:
    """Every one of them."""
    yield Entry(
        "recipe", _recipe, RECIPE_TOKENS, (MERGE, *(path.read_text() for path in RECIPES.glob("*.recipe")))
    )
    yield Entry("sum", _recipe, SUM_TOKENS, SUMS)
    imports = (HISTORY, MECHA, MERGEKIT, MIXER, WEBUI, SUPERMERGER, INFOTEXT)
    tokens = (CSV_TOKENS, MECHA_TOKENS, YAML_TOKENS, INFO_TOKENS, JSON_TOKENS, JSON_TOKENS, INFO_TOKENS)
    names = ("history", "sd-mecha", "mergekit", "Model Mixer", "A1111", "SuperMerger", "infotext")
    for name, text, used in zip(names, imports, tokens, strict=True):
        yield Entry(name, _imported, used, (text,))
    yield Entry("history by ID", partial(_imported, entry="1"), CSV_TOKENS, (HISTORY,))
    yield Entry("rows of a history", history_rows, CSV_TOKENS, (HISTORY,))
    yield Entry("preset file", read_presets, ("a\t", "0,", "a:", *JSON_TOKENS, "R,"), PRESETS)
    yield Entry("rules", _rules, RULE_TOKENS, RULES)
    yield Entry("weights", _weights, RULE_TOKENS, (NUMBERS, *RULES))
    yield Entry(
        "numbers", parse_numbers, ("1", ",", "1,", "[", "(", ") ", "e", "1e", "-."), (NUMBERS, f"[{NUMBERS}]")
    )
    yield Entry(
        "adjust", lambda text: with_adjust(parse_recipe(MERGE), text), ("1", ",", "1,", "["), ("-2,0,0,2",)
    )
    yield Entry("number format", DTYPE_OPTION.parse, ("fp16", "a"), ("fp16", "source"))
    yield Entry("metadata", _metadata, JSON_TOKENS, (WEBUI, BODY))
    yield Entry("body", _body, JSON_TOKENS, (BODY, json.dumps({"recipe": MERGE})))
    yield Entry("axis", _axis_line, AXIS_TOKENS, ("alpha: 0-1 [5]", "OUT05: 0, 0.5, 1", "blocks: IN05"))
    for ending, format in ((".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP")):
        yield Entry(
            f"picture {format}", partial(_file, ending, _source), ("IDAT", "\0", "tEXt"), (_picture(format),)
        )
    yield Entry("checkpoint", partial(_file, ".safetensors", _source), JSON_TOKENS, (_checkpoint(),))
    yield Entry("history file", partial(_file, ".csv", _source), CSV_TOKENS, (HISTORY,))
    yield Entry("page", _page, JSON_TOKENS, ACTIONS)
    every = tuple(text for texts in AXES.values() for text in texts)
    plain = [kind.id for kind in axis_kinds() if kind.id not in all_parameters()]
    for kind in (
        "alpha",
        "normalize",
        *plain,
        "OUT05",
        "IN03-IN05",
        "M.alpha",
        "lora ink",
        "adjust contrast",
    ):
        yield Entry(f"axis {kind}", partial(_axis, kind), AXIS_TOKENS, every)
