"""Recipes of other tools are imported with the same arithmetic, or refused with the reason."""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import load_file, save_file

from lib_merge.architectures import family_by_id, read_header
from lib_merge.checkpoint import hash_file
from lib_merge.cli import main
from lib_merge.dtypes import BF16, F16
from lib_merge.errors import MergeError, RecipeError
from lib_merge.library.presets import own_presets
from lib_merge.plan import Plan, make_plan
from lib_merge.plan.fold import Combination, Source, fold
from lib_merge.plan.rule_resolver import RuleResolver
from lib_merge.recipe import (
    Numbers,
    Recipe,
    Rules,
    Slots,
    import_from_text,
    overlay_rules,
    parse_recipe,
    parse_rules,
    print_recipe,
    read_imported,
    read_weights,
    recipe_from_text,
)
from lib_merge.recipe.imports.detect import IMPORTERS
from lib_merge.recipe.imports.importer import Importer, ImportSource
from lib_merge.recipe.imports.unsupported import CHATTIORI, COMFYUI
from tests.support.full_size import write_tiny
from tests.support.merging import same_bits

pytestmark = pytest.mark.newest_only

NUMBERS = ",".join(str(n / 25) for n in range(26))
A, B, C = "aa" * 32, "bb" * 32, "cc" * 32
MODELS = {
    sha: {"name": f"folder/{name}.safetensors [{sha[:10]}]", "legacy_hash": "00000000"}
    for sha, name in ((A, "ink"), (B, "pastel"), (C, "base"))
}


def metadata(**recipe: object) -> str:
    return json.dumps({"sd_merge_recipe": json.dumps(recipe), "sd_merge_models": json.dumps(MODELS)})


def webui(**changed: object) -> str:
    fields = {
        "type": "webui",
        "primary_model_hash": A,
        "secondary_model_hash": B,
        "tertiary_model_hash": C,
        "interp_method": "Add difference",
        "multiplier": 0.3,
        "save_as_half": True,
        "bake_in_vae": "None",
        "discard_weights": "",
    }
    return metadata(**{**fields, **changed})


def supermerger(**changed: object) -> str:
    fields = {
        "type": "sd-webui-supermerger",
        "weights_alpha": None,
        "weights_beta": None,
        "model_a": A,
        "model_b": B,
        "model_c": C,
        "base_alpha": 0.25,
        "base_beta": 0.5,
        "mode": "Weight sum",
        "mbw": False,
        "elemental_merge": "",
        "calcmode": "normal",
        "Exclude": [],
    }
    return metadata(**{**fields, **changed})


def shares(recipe: Recipe) -> dict[str, Fraction]:
    expression = fold(recipe, lambda amount: float(amount))  # type: ignore[arg-type]
    terms = expression.terms if isinstance(expression, Combination) else ((expression, Fraction(1)),)
    return {recipe.ingredients[part.model].file: share for part, share in terms if isinstance(part, Source)}


def alpha(recipe: Recipe) -> object:
    return dict(recipe.steps[-1].settings)["alpha"]


EVERY_IMPORTER = pytest.mark.parametrize(
    "importer", IMPORTERS, ids=lambda importer: f"{importer.tool} {importer.reads}"
)


@EVERY_IMPORTER
def test_an_example_is_recognised_by_its_own_importer_alone(importer: Importer) -> None:
    source = ImportSource(importer.example)
    assert [candidate for candidate in IMPORTERS if candidate.recognises(source)] == [importer]


@EVERY_IMPORTER
def test_an_example_is_read_as_three_to_one_or_refused_by_name(importer: Importer) -> None:
    if importer in (COMFYUI, CHATTIORI):
        with pytest.raises(RecipeError, match=importer.tool):
            import_from_text(importer.example)
        return
    read = import_from_text(importer.example)
    assert read.tool == importer.tool
    assert sorted(float(share) for share in shares(read.recipe).values()) == [0.25, 0.75]
    assert parse_recipe(print_recipe(read.recipe)) == read.recipe


def test_a1111s_metadata_names_its_models_and_says_the_same_sum() -> None:
    read = import_from_text(webui())
    assert read.tool == "AUTOMATIC1111's merger"
    assert [(ingredient.file, ingredient.sha256) for ingredient in read.recipe.ingredients] == [
        ("ink.safetensors", A),
        ("pastel.safetensors", B),
        ("base.safetensors", C),
    ]
    assert {name: float(share) for name, share in shares(read.recipe).items()} == {
        "ink.safetensors": 1,
        "pastel.safetensors": 0.3,
        "base.safetensors": -0.3,
    }
    assert (read.recipe.vae, read.recipe.dtype) == ("blend", F16)


def test_a1111s_weighted_sum_takes_two_and_a_baked_vae_is_a_file() -> None:
    read = import_from_text(
        webui(interp_method="Weighted sum", bake_in_vae="kl.vae.pt", discard_weights="ema")
    )
    assert read.recipe.steps[0].inputs == ("A", "B")
    assert read.recipe.vae == "kl.vae.pt"
    assert "discarded" in read.notes[0]


MODES = {
    "Weight sum": {"ink": 0.75, "pastel": 0.25},
    "Add difference": {"ink": 1, "pastel": 0.25, "base": -0.25},
    "Triple sum": {"ink": 0.25, "pastel": 0.25, "base": 0.5},
    "sum Twice": {"ink": 0.375, "pastel": 0.125, "base": 0.5},
}


@pytest.mark.parametrize("mode", MODES)
def test_supermergers_modes_are_our_methods(mode: str) -> None:
    recipe = recipe_from_text(supermerger(mode=mode))
    assert {name.partition(".")[0]: float(share) for name, share in shares(recipe).items()} == MODES[mode]
    assert recipe.vae == "blend"


def test_supermergers_lists_get_their_base_back_and_its_elements_become_rules() -> None:
    weights = [n / 25 for n in range(1, 26)]
    recipe = recipe_from_text(supermerger(mbw=True, weights_alpha=weights, base_alpha=0))
    assert alpha(recipe) == Numbers("supermerger", tuple(float(word) for word in NUMBERS.split(",")))
    deep = recipe_from_text(
        supermerger(mbw=True, weights_alpha=weights, elemental_merge="IN04-IN08:attn1:0.5,:norm:0")
    )
    rules = alpha(deep)
    assert isinstance(rules, Rules)
    assert parse_recipe(print_recipe(deep)) == deep


def test_supermergers_list_of_110_numbers_is_that_of_its_extended_names() -> None:
    weights = [n / 1000 for n in range(1, 110)]
    amount = alpha(recipe_from_text(supermerger(mbw=True, weights_alpha=weights, base_alpha=0)))
    assert amount == read_weights(", ".join(map(str, [0, *weights])), layout="supermerger")
    deep = recipe_from_text(supermerger(mbw=True, weights_alpha=weights, elemental_merge="IN40:attn1:0.5"))
    assert parse_recipe(print_recipe(deep)) == deep


def test_its_letters_are_drawn_from_the_seed_that_it_recorded_and_that_is_said() -> None:
    read = import_from_text(supermerger(elemental_merge="IN05:attn1:R,M00:ff:0.5", seed=7))
    rules = parse_rules("optional IN05:attn1:ER(seed = 7)\noptional M00:ff:0.5")
    assert alpha(read.recipe) == overlay_rules(0.25, rules)
    assert any("drawn again, from seed 7" in note for note in read.notes)


@pytest.mark.parametrize(
    ("calc", "method"), [("cosineA", "supermerger_cosine_a"), ("trainDifference", "train_difference")]
)
def test_supermergers_calcmodes_are_methods_of_their_own(calc: str, method: str) -> None:
    assert recipe_from_text(supermerger(calcmode=calc)).steps[0].method == method


def test_what_supermerger_does_and_we_do_not_is_said() -> None:
    with pytest.raises(MergeError) as caught:
        recipe_from_text(supermerger(calcmode="combineKits"))
    assert "'combineKits' has no counterpart" in caught.value.what
    notes = import_from_text(supermerger(Exclude=["IN00", "print"])).notes
    assert any("Exclude" in note for note in notes)
    assert any("no VAE, no Adjust" in note for note in notes)


HISTORY = (
    '"ID","time","name","weights alpha","weights beta","model A","model B","model C","alpha","beta","mode",'
    '"use MBW","plus lora","custum name","save setting","use ID"\n'
    f'1,2023.05.01 10.00.00,one,"{NUMBERS}",,{{a}},{{b}},,0.5,0.25,Weight sum:A*(1-alpha)+B*alpha,True,,,,\n'
    "2,2023.05.01 11.00.00,two,,,{a},{b},{c},0.3,0.25,Add difference:A+(B-C)*alpha,False"
    ",,,,,normal,-1,,0.3,Off,,\n"
)


def test_supermergers_history_is_read_by_its_id_and_models_are_found_by_short_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {name: write_tiny(Path(f"{name}.safetensors"), seed=ord(name)) for name in "abc"}
    hashes = {name: (hash_file(path).sha256 or "")[:10] for name, path in files.items()}
    Path("mergehistory.csv").write_text(HISTORY.format(**hashes), encoding="utf-8")
    assert main(["merge", "--recipe", "mergehistory.csv", "--models", ".", "-o", "m.safetensors"]) == 0
    options = ("--method", "add_difference", "--alpha", "0.3", "--vae", "blend", "-o", "n.safetensors")
    assert main(["merge", *map(str, files.values()), *options]) == 0
    one, other = load_file("m.safetensors"), load_file("n.safetensors")
    assert all(same_bits(one[key], other[key]) for key in other)
    capsys.readouterr()
    Path("mergehistory.csv").rename("MERGEHISTORY.CSV")
    assert main(["recipe", "MERGEHISTORY.CSV#1"]) == 0
    Path("MERGEHISTORY.CSV").rename("mergehistory.csv")
    assert main(["recipe", "mergehistory.csv#1"]) == 0
    out, err = capsys.readouterr()
    assert f"supermerger[{NUMBERS.replace(',', ', ').replace('0.0,', '0,').replace('1.0', '1')}]" in out
    assert "note: read as a recipe of SuperMerger" in err
    assert main(["recipe", "mergehistory.csv#7"]) == 2
    assert "no ID 7" in capsys.readouterr().err


def test_supermergers_preset_files_join_the_desks_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mbwpresets.txt"
    file.write_text(f"preset_name\tpreset_weights\nmine\t{NUMBERS}\nold one:{NUMBERS}\nodd\t1,2\nnothing\n")
    assert main(["presets", "--import", str(file), "--data", str(tmp_path / "data")]) == 0
    out, err = capsys.readouterr()
    assert out == "2 presets were taken over\n"
    assert "odd" in err
    assert "nothing" in err
    values_by_name = {preset.name: preset.values for preset in own_presets(tmp_path / "data")}
    assert list(values_by_name) == ["mine", "old one"]
    assert (values_by_name["mine"]["IN00"], values_by_name["mine"]["OUT11"]) == (0.04, 1)


MIXER = (
    "a red circle\nNegative prompt: blue\nSteps: 20, Sampler: Euler a, "
    "ModelMixer model a: ink.safetensors [aaaaaaaaaa], ModelMixer base model: v1-5.safetensors [1111111111], "
    "ModelMixer max models: 3, ModelMixer use model b: True, "
    "ModelMixer model b: folder/pastel.safetensors [bbbbbbbbbb], ModelMixer merge mode b: Sum, "
    "ModelMixer calcmode b: Normal, ModelMixer alpha b: 0.25, ModelMixer use model c: True, "
    "ModelMixer model c: F222.safetensors [cccccccccc], ModelMixer merge mode c: Add-Diff, "
    "ModelMixer alpha c: 0.5, ModelMixer mbw c: True, "
    f'ModelMixer mbw weights c: "{NUMBERS}", Version: v1.10.1'
)


def test_model_mixers_infotext_is_a_chain_of_its_models() -> None:
    recipe = import_from_text(MIXER).recipe
    assert [(step.method, step.inputs) for step in recipe.steps] == [
        ("weighted_sum", ("A", "B")),
        ("add_difference", ("M1", "C", "D")),
    ]
    assert [(ingredient.file, ingredient.sha256) for ingredient in recipe.ingredients][1] == (
        "pastel.safetensors",
        "bbbbbbbbbb",
    )
    assert recipe.ingredients[3].file == "v1-5.safetensors"
    assert alpha(recipe) == Numbers("supermerger", tuple(float(word) for word in NUMBERS.split(",")))
    assert recipe.vae == "a"


def test_model_mixers_metadata_is_read_with_its_lists() -> None:
    text = metadata(
        type="sd-webui-model-mixer", mode=["Sum", "Sum"], calcmode=["Normal", "Normal"], alpha=[0.5, 0.25]
    )
    shares_by_model = {
        name.partition(".")[0]: float(share) for name, share in shares(recipe_from_text(text)).items()
    }
    assert shares_by_model == {"ink": 0.375, "pastel": 0.375, "base": 0.25}


LINEAR = """models:
  - model: psmathur/orca_mini_v3_13b
    parameters:
      weight: 1.0
  - model: WizardLM/WizardLM-13B-V1.2
    parameters:
      weight: 0.3
  - model: garage-bAInd/Platypus2-13B
    parameters:
      weight: 0.5
merge_method: linear
dtype: bfloat16
"""


def test_mergekits_linear_is_normalised_as_it_is_there() -> None:
    pytest.importorskip("yaml")
    recipe = recipe_from_text(LINEAR)
    assert sum(shares(recipe).values()) == 1
    assert float(shares(recipe)["psmathur/orca_mini_v3_13b"]) == pytest.approx(1 / 1.8)
    assert recipe.dtype == BF16


def test_mergekits_task_arithmetic_and_gradients() -> None:
    pytest.importorskip("yaml")
    text = (
        "base_model: base\nmerge_method: task_arithmetic\nparameters:\n  lambda: 0.5\nmodels:\n"
        "  - model: a\n    parameters: {weight: 0.8}\n  - model: b\n    parameters: {weight: 0.2}\n"
    )
    step = recipe_from_text(text).steps[0]
    assert (step.method, dict(step.settings)) == (
        "task_arithmetic",
        {"model_weights": (0.8, 0.2), "scale": 0.5},
    )
    slerp = import_from_text(
        "merge_method: slerp\nbase_model: a\nmodels:\n  - model: a\n  - model: b\n"
        "parameters:\n  t: [0, 1, 0]\n"
    )
    amount = alpha(slerp.recipe)
    assert isinstance(amount, Numbers)
    assert (amount.numbers[1], amount.numbers[13], amount.numbers[25]) == (0, 1, 0)
    assert "gradient" in slerp.notes[0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("merge_method: ties\nmodels: []\n", "'ties' is not imported"),
        ("merge_method: linear\nslices: []\n", "slices and modules stack layers"),
        ("version 0.1.0\nmodel \"a\"\nmerge \"crossover\" &0 &0\n", "'crossover' is not imported"),
        ("version 0.1.0\nmodel \"a\"\nmodel \"b\"\nmerge \"subtract\" &0 &1\n", "ends with a difference"),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_said(text: str, what: str) -> None:
    pytest.importorskip("yaml")
    with pytest.raises(MergeError) as caught:
        recipe_from_text(text)
    assert what in caught.value.what


MECHA = """version 0.1.0
model "models/ink.safetensors" model_config="sd1-ldm" merge_space="weight"
model "models/pastel.safetensors" model_config="sd1-ldm" merge_space="weight"
# a comment
model "models/base.safetensors" model_config="sd1-ldm" merge_space="weight"
merge "weighted_sum" &0 &1 alpha=0.25
merge "subtract" &1 &2
merge "add_difference" &3 &4 alpha=0.5
"""


def test_sd_mechas_recipes_say_the_same_sum() -> None:
    shares_by_model = {
        name.partition(".")[0]: float(share) for name, share in shares(recipe_from_text(MECHA)).items()
    }
    assert shares_by_model == {"ink": 0.75, "pastel": 0.75, "base": -0.5}
    blocks = MECHA.replace("alpha=0.5", "alpha=&5").replace(
        'merge "add', 'dict unet_in04=0.3 base=0.1\nmerge "add'
    )
    last = recipe_from_text(blocks).steps[-1]
    assert dict(last.settings)["model_weights"] == (1.0, Slots((("BASE", 0.1), ("IN04", 0.3))))


def test_a_file_that_a1111_merged_is_built_again_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hashes = {}
    for name in "ab":
        path = write_tiny(Path(f"{name}.safetensors"), seed=ord(name))
        hashes[name] = hash_file(path).sha256
    fields = {"type": "webui", "primary_model_hash": hashes["a"], "secondary_model_hash": hashes["b"]}
    fields |= {"tertiary_model_hash": None, "interp_method": "Weighted sum", "multiplier": 0.25}
    models = {sha: {"name": f"{name}.safetensors"} for name, sha in hashes.items()}
    old = {"sd_merge_recipe": json.dumps(fields), "sd_merge_models": json.dumps(models)}
    a, b = load_file("a.safetensors"), load_file("b.safetensors")
    save_file(a, "old.safetensors", metadata=old)
    assert main(["merge", "--recipe", "old.safetensors", "--models", ".", "-o", "new.safetensors"]) == 0
    key = "model.diffusion_model.middle_block.0.in_layers.2.weight"
    rebuilt = load_file("new.safetensors")
    assert same_bits(rebuilt[key], (0.75 * a[key].float() + 0.25 * b[key].float()).half())


COLUMNS = [
    *(
        "ID",
        "time",
        "name",
        "weights alpha",
        "weights beta",
        "model A",
        "model B",
        "model C",
        "alpha",
        "beta",
    ),
    *("mode", "use MBW", "custum name", "save setting", "use ID", "elemental merge", "calcmode"),
    *("random seed", "adjust", "option", "In/Ex", "blocks", "elements"),
]
ROW = [
    *("1", "2024-05-01", "混合", "0.5,0.2", "", "aaaaaaaaaa", "bbbbbbbbbb", "", "0.35", "0.25"),
    *("Weight sum:A*(1-alpha)+B*alpha", "False", "", "[]", "", "", "normal"),
    *("123", "", "", "Off", "[]", ""),
]


def saved_again(delimiter: str, quoting: int, **changed: str) -> str:
    """The history as a spreadsheet saves it, with some cells as it changes them."""
    row = [changed.get(name.replace(" ", "_"), cell) for name, cell in zip(COLUMNS, ROW, strict=True)]
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting)
    writer.writerows([COLUMNS, row])
    return stream.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_a_history_is_read_as_a_spreadsheet_saves_it(
    encoding: str, delimiter: str, quoting: int, tmp_path: Path
) -> None:
    path = tmp_path / "mergehistory.csv"
    path.write_bytes(saved_again(delimiter, quoting, alpha="0,35", use_MBW="FALSE").encode(encoding))
    (step,) = read_imported(str(path)).recipe.steps
    assert dict(step.settings) == {"alpha": 0.35}


def test_a_history_with_bare_line_ends_of_an_old_macintosh_is_read() -> None:
    text = saved_again(",", csv.QUOTE_ALL).replace("\r\n", "\r")
    assert recipe_from_text(text).steps[0].method == "weighted_sum"


def test_a_hash_that_a_spreadsheet_has_changed_is_mended_or_reported() -> None:
    mended = recipe_from_text(saved_again(";", csv.QUOTE_MINIMAL, model_A="12345678"))
    assert mended.ingredients[0].sha256 == "0012345678"
    with pytest.raises(MergeError, match="which is no hash"):
        recipe_from_text(saved_again(";", csv.QUOTE_MINIMAL, model_A="1,23E+09"))


def planned(text: str, folder: Path) -> Plan:
    """The plan of another tool's merge over two files of SD1."""
    recipe = recipe_from_text(text)
    headers = {file: read_header(write_tiny(folder / "m.safetensors", seed=1)) for file in recipe.files}
    return make_plan(recipe, headers)


def test_an_element_of_supermerger_that_matches_nothing_is_skipped_with_a_note(tmp_path: Path) -> None:
    rules = "OUT05::0.3\nIN01:attn_of_another_model:0.1,IN13:attn1:0.7,M00 IN99:attn1:0.2"
    for text in (saved_again(",", csv.QUOTE_ALL, elemental_merge=rules), supermerger(elemental_merge=rules)):
        plan = planned(text, tmp_path)
        skipped = [note for note in plan.notes if "skipped" in note]
        assert len(skipped) == 3
        assert "optional IN01:attn_of_another_model:0.1" in skipped[0]
        assert "has no block IN99" in skipped[2]
        amounts = dict(plan.recipe.steps[0].settings)["alpha"]
        assert isinstance(amounts, Rules)
        assert (
            RuleResolver(amounts, plan.identities[0].family, tuple(plan.sources[0].tensors)).amount("OUT05")
            == 0.3
        )
        assert parse_recipe(print_recipe(plan.recipe)) == plan.recipe


def test_an_element_that_a_person_types_and_that_hits_nothing_is_refused(tmp_path: Path) -> None:
    for rule in ("IN01:attn_of_another_model:0.1", "IN13:attn1:0.7"):
        text = f'merge-desk recipe 2\nA = "a"\nB = "b"\nM = weighted_sum(A, B, alpha = rules["{rule}"])\n'
        with pytest.raises(MergeError):
            planned(text, tmp_path)


def test_letters_in_a_historys_weights_are_drawn_from_its_seed_as_supermerger_draws_them() -> None:
    """numpy.random.seed(123), numpy.random.rand: BASE stands first there, and beta passes over 50."""
    draws = np.random.RandomState(123).random_sample(100)
    weights = ",".join(["R", "0.25", "U", *["R"] * 22])
    fields = {"use_MBW": "True", "weights_alpha": weights, "mode": "Triple sum", "model_C": "cccccccccc"}
    read = import_from_text(saved_again(",", csv.QUOTE_ALL, weights_beta=weights, **fields))
    settings = dict(read.recipe.steps[0].settings)
    for word, first in (("alpha", 0), ("beta", 50)):
        rules = settings[word]
        assert isinstance(rules, Rules)
        ruler = RuleResolver(rules, family_by_id("sd1"), ())
        assert ruler.amount("BASE") == {"alpha": 0.35, "beta": 0.25}[word]
        assert ruler.amount("IN00") == round(draws[first + 1], 3)
        assert ruler.amount("IN01") == 0.25
        assert ruler.amount("IN02") == round(min(max(-2 * draws[first + 3] + 1.5, 0), 1), 3)
        assert ruler.amount("OUT11") == round(draws[first + 25], 3)
    assert any("drawn from its seed 123" in note for note in read.notes)


@pytest.mark.parametrize(
    ("letter", "seed", "what"),
    [
        ("X", "123", "draw a number between limits, which it does not record"),
        ("R", "", "no seed is recorded"),
        ("R", "²", "no seed is recorded"),
        ("R", "9" * 40, "seed is an integer"),
        ("Q", "123", "Q"),
    ],
)
def test_letters_that_cannot_be_drawn_again_are_refused_in_words(letter: str, seed: str, what: str) -> None:
    weights = ",".join([letter, *["R"] * 24])
    with pytest.raises(MergeError, match=what):
        recipe_from_text(
            saved_again(",", csv.QUOTE_ALL, use_MBW="True", weights_alpha=weights, random_seed=seed)
        )


def test_a_history_without_a_models_hash_says_which_model() -> None:
    with pytest.raises(MergeError, match="no hash of model A"):
        recipe_from_text(saved_again(",", csv.QUOTE_ALL, model_A=""))


@pytest.mark.parametrize("rows", [[], ["no row at all"]])
def test_a_history_of_which_nothing_can_be_taken_over_is_an_error(rows: list[str], tmp_path: Path) -> None:
    path = tmp_path / "mergehistory.csv"
    path.write_text("\n".join([",".join(COLUMNS), *rows]), encoding="utf-8")
    assert main(["history", "--import", str(path), "--data", str(tmp_path)]) == 2


def mecha_number(value: float, at: int) -> str:
    """A plain number as sd-mecha 1.1.8 writes it, from its line `at` on."""
    return (
        f'dict key={value}\nliteral &{at} model_config="singleton-mecha" merge_space=null\n'
        f'merge "convert_singleton" &{at + 1}'
    )


MECHA_FILES = (
    'version 0.1.0\nmodel "a.safetensors" model_config="sd1-ldm" merge_space="weight"\n'
    'model "b.safetensors"\n'
)


def test_a_weighted_sum_of_sd_mecha_1_1_8_is_read() -> None:
    (step,) = recipe_from_text(f'{MECHA_FILES}{mecha_number(0.3, 2)}\nmerge "weighted_sum" &0 &1 &4\n').steps
    assert (step.method, dict(step.settings)) == ("weighted_sum", {"alpha": 0.3})


def test_a_difference_of_sd_mecha_1_1_8_that_ends_in_a_fallback_is_read() -> None:
    lines = [
        MECHA_FILES + 'model "c.safetensors"',
        'merge "subtract" &1 &2',
        mecha_number(1.0, 4),
        'merge "add_difference" &0 &3 &6\nmerge "fallback" &7 &0',
    ]
    read = import_from_text("\n".join(lines))
    assert [step.method for step in read.recipe.steps] == ["weighted_models", "weighted_models"]
    assert dict(read.recipe.steps[1].settings) == {"model_weights": (1.0, 1.0)}
    assert any("fallback" in note for note in read.notes)


def test_a_slerp_of_sd_mecha_1_1_8_is_ours() -> None:
    (step,) = recipe_from_text(f'{MECHA_FILES}{mecha_number(0.3, 2)}\nmerge "slerp" &0 &1 &4\n').steps
    assert (step.method, step.inputs, dict(step.settings)) == ("slerp", ("A", "B"), {"alpha": 0.3})
    (usual,) = recipe_from_text(f'{MECHA_FILES}merge "slerp" &0 &1\n').steps
    assert dict(usual.settings) == {"alpha": 0.5}


def test_weights_by_block_of_sd_mecha_1_1_8_are_read() -> None:
    blocks = 'dict BASE=0.1 OUT05=0.7\nliteral &2 model_config="sd1-supermerger_blocks" merge_space=null\n'
    (step,) = recipe_from_text(f'{MECHA_FILES}{blocks}merge "weighted_sum" &0 &1 &3\n').steps
    assert dict(step.settings)["alpha"] == Slots((("BASE", 0.1), ("OUT05", 0.7)))


@pytest.mark.parametrize(
    "text",
    [
        "models: x\nmerge_method: linear\n",
        "models: [x]\nmerge_method: linear\n",
        "models: [{model: [a]}]\nmerge_method: linear\n",
        "models: [{model: a, parameters: x}, {model: b}]\nmerge_method: linear\n",
        "models: [{model: a, parameters: {weight: [a, b]}}, {model: b}]\nmerge_method: linear\n",
        "models: [{model: a, parameters: {weight: .nan}}, {model: b}]\nmerge_method: linear\n",
        "models: [{model: a, parameters: {weight: true}}, {model: b}]\nmerge_method: linear\n",
        f"models: [{{model: a, parameters: {{weight: {'9' * 5000}}}}}, {{model: b}}]\nmerge_method: linear\n",
        f"models: {'[' * 5000}\nmerge_method: linear\n",
        "x: &x [a, a]\ny: &y [*x, *x]\nmodels: *y\nmerge_method: linear\n",
        "merge_method: linear\nmodels: [{model: a, parameters: {weight: [{value: [{value: 1}]}]}}]\n",
    ],
)
def test_a_configuration_of_mergekit_that_is_none_is_refused_in_words(text: str) -> None:
    with pytest.raises(MergeError):
        recipe_from_text(text)


WORKFLOW = json.dumps({"3": {"class_type": "ModelMergeBlocks", "inputs": {"input": 1.0}}})


def test_what_comfyui_writes_is_called_by_its_name(tmp_path: Path) -> None:
    metadata = {"prompt": WORKFLOW, "workflow": json.dumps({"nodes": []})}
    merged = write_tiny(tmp_path / "merged.safetensors", metadata=metadata)
    facts = PngInfo()
    facts.add_text("prompt", WORKFLOW)
    picture = tmp_path / "drawn.png"
    Image.new("RGB", (1, 1)).save(picture, pnginfo=facts)
    for source in (WORKFLOW + "\n", str(merged), str(picture)):
        with pytest.raises(MergeError, match="a workflow of ComfyUI"):
            read_imported(source)


def test_a_command_of_chattiori_is_called_by_its_name() -> None:
    with pytest.raises(MergeError, match="Chattiori"):
        recipe_from_text('python merge.py "WS" "C:\\models" "a.safetensors" "b.safetensors" --output M = x')


def test_a_picture_with_more_pixels_than_pillow_reads_is_refused(tmp_path: Path) -> None:
    picture = tmp_path / "large.png"
    Image.new("1", (1, 1)).save(picture)
    raw = picture.read_bytes()
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    picture.write_bytes(raw[:12] + header + struct.pack(">I", zlib.crc32(header)) + raw[33:])
    with pytest.raises(MergeError, match="more pixels than are read"):
        read_imported(str(picture))
