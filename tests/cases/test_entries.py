"""Texts, names and metadata as they circulate: each is understood, or refused in a sentence.

The project's own smaller copies of the cases that use in the real world has found.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from tests.cases.kit import BLOCK, Case, is_sum, sd1

ROOT = Path(__file__).parents[2]


def strict(text: str) -> object:
    """Read as a browser reads it: NaN is a syntax error there."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


# --- 09: metadata ---

ODD = {
    "null": {"sd_merge_recipe": "null", "sd_merge_models": "null"},
    "a list": {"sd_merge_recipe": "[1, 2]", "sd_merge_models": "[]"},
    "NaN": {"sd_merge_recipe": '{"type": "webui", "multiplier": NaN}', "sd_merge_models": '{"x": NaN}'},
    "infinity": {"sd_merge_models": '{"abc": {"name": "x", "w": Infinity}}'},
    "nested deeply": {"sd_merge_recipe": "[" * 5000 + "]" * 5000, "sd_merge_models": '{"a": ' + "[" * 5000},
    "nonsense in our own": {"merge_desk.recipe": "nonsense (", "merge_desk.ancestry": '{"x": 5}'},
    "NaN in our own": {"merge_desk.ancestry": '{"x": {"file": "f", "recipe": NaN}}'},
    "half a surrogate pair": {"sd_merge_recipe": '{"custom_name": "\\ud83d"}'},
    "5,000 digits": {"sd_merge_recipe": "1" * 5000, "modelspec.resolution": "9" * 5000 + "x512"},
    "a digit that is none": {"modelspec.resolution": "5²x512"},
    "control characters": {"title": "a\x00b\x1b[2Jc", "modelspec.title": "\x1b[31mRED"},
}


@pytest.mark.parametrize("metadata", ODD.values(), ids=list(ODD))
def test_odd_metadata_of_an_ingredient_harms_no_merge(case: Case, metadata: dict[str, str]) -> None:
    a, b = case.put("a", sd1(1), metadata), case.put("b", sd1(2))
    assert is_sum(case.merge(a, b, "--alpha", 0.5), sd1(1), sd1(2), 0.5)
    for words in (("inspect", a), ("inspect", a, "--json"), ("sheet", "merged.safetensors")):
        assert case.run(*words).status == 0
    for words in (("recipe", a), ("recipe", "--ancestry", "merged.safetensors")):
        done = case.run(*words)
        assert done.status == 0 or done.refused()
        done.out.encode("utf-8")


# --- 16, 17: code pages and names ---


def in_code_page(page: str, *words: object, folder: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": page, "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lib_merge", *(str(word) for word in words)]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, timeout=280)


@pytest.mark.parametrize("page", ["cp1252", "ascii"])
def test_a_name_that_the_code_page_lacks_is_printed_all_the_same(case: Case, page: str) -> None:
    path = case.put("モデル", sd1(1))
    for words in (
        ("inspect", path),
        ("inspect", path, "--json"),
        ("inspect", path.with_name("모델.safetensors")),
    ):
        done = in_code_page(page, *words, folder=case.folder)
        assert b"Traceback" not in done.stderr
        assert done.returncode == (2 if "모" in str(words[1]) else 0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_no_utf8_is_read_and_keeps_no_other_from_being_found(case: Case) -> None:
    plain = case.put("plain", sd1(2))
    name = case.put("tmp", sd1(1)).rename(case.folder / os.fsdecode(b"mod\xe8le.safetensors"))
    for words in (("inspect", name), ("inspect", name, "--json"), ("check", name), ("plan", name, plain)):
        done = in_code_page("utf-8", *words, folder=case.folder)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    merged = case.merge("--recipe", "plain x 0.5 + plain x 0.5 = M", "--models", case.folder)
    assert is_sum(merged, sd1(2), sd1(2), 0.5)


# --- 18: numbers that begin with a minus ---


def test_a_list_of_numbers_may_begin_with_a_minus(case: Case) -> None:
    a, b = case.put("a", sd1(1)), case.put("b", sd1(2))
    case.merge(a, b, "--alpha", 0.5, "--adjust", "-2,0,0,2,0,0,0,0")
    case.merge(a, b, "--method", "weighted_models", "--model-weights", "-0.5,1.5")
    numbers = "-0.1," + ",".join(["0"] * 25)
    case.merge(a, b, "--weights", numbers)
    assert case.run("rules", "-0.5*GRAD_V + 1", a).status == 0


# --- 19: mergehistory.csv ---

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
    *(
        "mode",
        "use MBW",
        "custum name",
        "save setting",
        "use ID",
        "elemental merge",
        "calcmode",
        "random seed",
    ),
    *("adjust", "option", "In/Ex", "blocks", "elements"),
]


def history(a: Path, b: Path, *, quoting: int = csv.QUOTE_ALL, delimiter: str = ",", rows: int = 1) -> str:
    """SuperMerger's file, with a merge at 0.2 of B in every block."""
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest()[:10] for path in (a, b))
    weights = ",".join(["0.2"] * 25)
    row = [
        *("1", "2024-05-01 10:00:00", "混合", weights, "", first, second, "", "0.2", "0.25"),
        *(
            "Weight sum:A*(1-alpha)+B*alpha",
            "True",
            "",
            "[]",
            "",
            "",
            "normal",
            "123",
            "",
            "",
            "Off",
            "[]",
            "",
        ),
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=quoting, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([COLUMNS, *[row] * rows])
    return stream.getvalue()


@pytest.mark.parametrize(
    ("quoting", "delimiter", "page"),
    [
        (csv.QUOTE_ALL, ",", "utf-8"),
        (csv.QUOTE_ALL, ",", "utf-8-sig"),
        (csv.QUOTE_MINIMAL, ",", "utf-8"),
        (csv.QUOTE_MINIMAL, ";", "utf-8"),
        (csv.QUOTE_MINIMAL, "\t", "utf-16"),
        (csv.QUOTE_ALL, ",", "cp932"),
    ],
)
def test_mergehistory_is_read_as_written_and_as_a_spreadsheet_saves_it(
    case: Case, quoting: int, delimiter: str, page: str
) -> None:
    a, b = case.put("a", sd1(1)), case.put("b", sd1(2))
    path = case.folder / "mergehistory.csv"
    path.write_bytes(history(a, b, quoting=quoting, delimiter=delimiter).encode(page))
    assert is_sum(case.merge("--recipe", path, "--models", case.folder), sd1(1), sd1(2), 0.2)
    assert case.run("history", "--import", path, "--data", case.folder / "data").status == 0


def test_a_mergehistory_without_a_merge_is_an_error_and_not_0_of_0(case: Case) -> None:
    path = case.folder / "mergehistory.csv"
    path.write_text(history(case.put("a", sd1(1)), case.put("b", sd1(2)), rows=0), encoding="utf-8")
    case.run("history", "--import", path, "--data", case.folder / "data").refused()


# --- 26: sd-mecha 1.1.8 ---


def number(value: float, at: int) -> list[str]:
    """A number as sd-mecha 1.1.8 writes it: a dictionary, a literal of it, its conversion."""
    literal = f'literal &{at} model_config="singleton-mecha" merge_space=null'
    return [f"dict key={value}", literal, f'merge "convert_singleton" &{at + 1}']


def model(name: str) -> str:
    """A model as sd-mecha 1.1.8 writes it."""
    return f'model "{name}.safetensors" model_config="sd1-ldm" merge_space="weight"'


def test_the_recipes_that_sd_mecha_1_1_8_writes_are_read(case: Case) -> None:
    for place, name in enumerate("abc"):
        case.put(name, sd1(place))
    a, b, c = (sd1(place)[BLOCK].double() for place in range(3))
    blocks = [
        "dict BASE=0.1 OUT05=0.7",
        'literal &2 model_config="sd1-supermerger_blocks" merge_space=null',
        'merge "weighted_sum" &0 &1 &3',
    ]
    recipes = [
        ([model("a"), model("b"), *number(0.3, 2), 'merge "weighted_sum" &0 &1 &4'], 0.7 * a + 0.3 * b),
        ([model("a"), model("b"), model("c"), 'merge "n_average" &0 &1 &2'], (a + b + c) / 3),
        ([model("a"), model("b"), *blocks], 0.3 * a + 0.7 * b),
        (
            [
                *(model("a"), model("b"), model("c"), 'merge "subtract" &1 &2', *number(1.0, 4)),
                *('merge "add_difference" &0 &3 &6', 'merge "fallback" &7 &0'),
            ],
            a + b - c,
        ),
    ]
    for lines, wanted in recipes:
        (case.folder / "r.mecha").write_text("\n".join(["version 0.1.0", *lines]))
        merged = case.merge("--recipe", "r.mecha", "--models", case.folder)
        assert torch.allclose(merged[BLOCK].double(), wanted, rtol=2e-3, atol=2e-3), lines


# --- 33: NaN in a model ---


def test_no_json_of_ours_holds_nan(case: Case) -> None:
    broken = sd1(2)
    broken[BLOCK][0] = float("nan")
    a, b = case.put("a", sd1(1)), case.put("b", broken)
    for words in (("compare", a, b), ("check", b), ("check", b, "--base", a), ("inspect", b), ("plan", a, b)):
        strict(case.run(*words, "--json").out)


# --- 34: recipes as people paste them ---


def test_a_checkpoint_is_named_as_a1111_shows_it(case: Case) -> None:
    a, b = case.put("ink", sd1(1)), case.put("folder/pastel", sd1(2))
    short = hashlib.sha256(b.read_bytes()).hexdigest()[:10]
    for name in (f"pastel.safetensors [{short}]", f"folder/pastel.safetensors [{short}]", "folder\\pastel"):
        merged = case.merge("--recipe", f"ink x 0.7 + {name} x 0.3 = M", "--models", case.folder)
        assert is_sum(merged, sd1(1), sd1(2), 0.3)
    wrong = "ink x 0.7 + pastel.safetensors [0123456789] x 0.3 = M"
    assert "0123456789" in case.refused("--recipe", wrong, "--models", case.folder)
    assert a.exists()


# --- 35: a file that shrinks ---

SHRINKING = """
import os, sys
from lib_merge.checkpoint import reader
from lib_merge.cli import main
opened = reader.open_checkpoint_as
def shrinking(path, *args, **more):
    found = opened(path, *args, **more)
    if path.name == "b.safetensors":
        os.truncate(path, 20000)
    return found
reader.open_checkpoint_as = shrinking
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody shorten a mapped file")
def test_a_file_that_shrinks_while_it_is_read_ends_no_process(case: Case) -> None:
    big = {**sd1(1), "model.diffusion_model.input_blocks.4.1.proj_in.weight": torch.zeros(2000, 5000).half()}
    a, b = case.put("a", big), case.put("b", big)
    command = [sys.executable, "-c", SHRINKING, "merge", a, b, "--alpha", "0.5", "-o", "out.safetensors"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=case.folder, env=environment, capture_output=True, text=True, timeout=280
    )
    assert (done.returncode, "merge-desk: " in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    assert not (case.folder / "out.safetensors").exists()
