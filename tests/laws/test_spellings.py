"""How a file spells a model makes no difference to merges, reports and live swaps."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lib_merge.architectures import read_header
from lib_merge.cli import main
from lib_merge.live import LiveSession
from lib_merge.report.health.check import check
from lib_merge.report.similarity.cache import content_digest
from lib_merge.report.similarity.comparison import compare
from tests.support.forge_names import save_as_forge
from tests.support.full_size import write_tiny
from tests.support.live_model import Memory
from tests.support.merging import same_bits, simple_recipe

pytestmark = pytest.mark.newest_only

MERGES = {
    "A": ["first.safetensors", "second.safetensors"],
    "B": ["second.safetensors", "first.safetensors"],
    "C": [f"{name}.safetensors" for name in ("second", "third", "first")] + ["--method", "add_difference"],
    "B by whole tensors": ["second.safetensors", "first.safetensors", "--method", "slerp"],
    "text encoder": ["second.safetensors", "first.safetensors", "--text-encoder", "b"],
}


@pytest.fixture(scope="module", params=["sd2", "sdxl"])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Three models of one family, and the same of which Forge saved the first."""
    plain, forge, family = *(tmp_path_factory.mktemp(name) for name in ("plain", "forge")), str(request.param)
    for seed, name in enumerate(("first", "second", "third")):
        path = write_tiny(plain / f"{name}.safetensors", family, seed=seed)
        shutil.copy(path, forge / path.name)
    save_as_forge(plain / "first.safetensors", family, forge / "first.safetensors")
    return plain, forge


def merged(words: list[str], folder: Path, target: Path) -> dict[str, torch.Tensor]:
    named = [str(folder / word) if word.endswith(".safetensors") else word for word in words]
    assert main(["merge", *named, "--alpha", "0.3", "-o", str(target)]) == 0
    return load_file(target)


@pytest.mark.parametrize("place", MERGES)
def test_a_merge_is_the_same_whether_forge_or_another_saved_the_model(
    folders: tuple[Path, Path], place: str, tmp_path: Path
) -> None:
    plain, forge = (
        merged(MERGES[place], folder, tmp_path / f"{folder.name}.safetensors") for folder in folders
    )
    assert forge.keys() == plain.keys()
    assert all(same_bits(forge[key], plain[key]) for key in plain)
    assert any(key.endswith("attn.in_proj_weight") for key in plain)


def test_a_live_swap_is_the_same_whether_forge_or_another_saved_the_model(folders: tuple[Path, Path]) -> None:
    def swapped(folder: Path) -> dict[str, torch.Tensor]:
        files = [folder / "second.safetensors", folder / "first.safetensors"]
        model, headers = Memory(files[0], torch.float16), {path.name: read_header(path) for path in files}
        LiveSession().apply(model, files[0], simple_recipe(files, alpha=0.3), headers)
        return model.copy()

    plain, forge = map(swapped, folders)
    assert all(same_bits(forge[key], plain[key]) for key in plain)
    before = load_file(folders[0] / "second.safetensors")
    swaps = [key for key in plain if key.endswith(("in_proj_weight", "text_projection"))]
    assert swaps
    assert all(not torch.equal(plain[key], before[key]) for key in swaps)


def test_reports_find_no_difference_between_the_two_and_nothing_wrong(folders: tuple[Path, Path]) -> None:
    plain, forge = (read_header(folder / "first.safetensors") for folder in folders)
    assert check(forge).findings == ()
    assert content_digest(forge) == content_digest(plain)
    seen = compare(plain, [forge]).models[0]
    assert set(seen.values.values()) == {1.0}
    assert not seen.left_out
