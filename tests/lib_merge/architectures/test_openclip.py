"""OpenCLIP text encoders in transformers' names: put together from thirds, turned, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib_merge.architectures import identify, open_checkpoint, read_header
from lib_merge.checkpoint import Checkpoint, tensor_bytes
from lib_merge.errors import CheckpointError
from tests.support.forge_names import as_forge_saved, save_as_forge
from tests.support.full_size import write_tiny
from tests.support.merging import rewrite, same_bits

pytestmark = pytest.mark.newest_only

GIVEN = "text_encoders.clip_g.transformer.text_model.encoder.layers.0.self_attn."
CLIP_G = "conditioner.embedders.1.model."
ATTENTION = f"{CLIP_G}transformer.resblocks.0.attn."
WHOLE = f"{ATTENTION}in_proj_weight"

Way = Callable[[Path], Checkpoint]
families = pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner"])


def read_only(path: Path) -> Checkpoint:
    return open_checkpoint(path).unmapped()


def pickled(path: Path) -> Checkpoint:
    torch.save({"state_dict": load_file(path)}, path.with_suffix(".ckpt"))
    return open_checkpoint(path.with_suffix(".ckpt"))


ways = pytest.mark.parametrize("way", [open_checkpoint, read_only, pickled])


@pytest.fixture
def forge(tmp_path: Path) -> Path:
    """SDXL as Forge saved it."""
    return save_as_forge(
        write_tiny(tmp_path / "plain.safetensors", "sdxl"), "sdxl", tmp_path / "f.safetensors"
    )


def in_pieces(file: Checkpoint, key: str, count: int) -> Tensor:
    """A flat tensor read `count` elements at a time."""
    whole = file.info(key).numel
    dtype = file.tensor(key).dtype

    def piece(start: int) -> Tensor:
        return file.read_chunk(key, start, lambda most: torch.empty(min(count, most), dtype=dtype))

    return torch.cat([piece(start) for start in range(0, whole, count)])


@families
@ways
def test_a_file_of_forge_reads_as_the_file_that_it_was_loaded_from(
    family: str, way: Way, tmp_path: Path
) -> None:
    plain = write_tiny(tmp_path / "plain.safetensors", family)
    forge = save_as_forge(plain, family, tmp_path / "forge.safetensors")
    header, tensors = read_header(forge), load_file(plain)
    assert identify(header.tensors).family.id == family
    with way(forge) as file:
        assert set(file.header.tensors) == set(header.tensors) == set(tensors)
        for key, tensor in tensors.items():
            assert header.tensors[key].shape == tensor.shape
            assert same_bits(file.tensor(key), tensor), key
            assert bytes(file.bytes(key)) == bytes(tensor_bytes(tensor))


@ways
@pytest.mark.parametrize("count", [1, 2, 4, 7, 100])
def test_pieces_of_a_tensor_that_is_put_together_are_those_of_the_whole(
    forge: Path, way: Way, count: int
) -> None:
    with way(forge) as file:
        for key in (WHOLE, f"{ATTENTION}in_proj_bias", f"{CLIP_G}text_projection", f"{CLIP_G}ln_final.bias"):
            whole = file.tensor(key)
            assert same_bits(in_pieces(file, key, count), whole.reshape(-1))
            raw = bytes(tensor_bytes(whole))
            assert file.read_bytes(key, 3, count) == raw[3 : 3 + count]
            assert file.read_bytes(key, len(raw) - 1, count) == raw[-1:]


def test_query_key_and_value_are_the_thirds_of_the_rows_in_this_order(tmp_path: Path, forge: Path) -> None:
    values: dict[str, Tensor | None] = {
        f"{GIVEN}{letter}_proj.{kind}": torch.full(shape, float(n), dtype=torch.float16)
        for n, letter in enumerate("qkv", 1)
        for kind, shape in (("weight", (3, 3)), ("bias", (3,)))
    }
    with open_checkpoint(rewrite(forge, values, tmp_path / "told.safetensors")) as file:
        assert file.tensor(WHOLE).shape == (9, 3)
        assert file.tensor(WHOLE)[:, 0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert file.tensor(f"{ATTENTION}in_proj_bias").tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("key", ["text_projection.weight", "transformer.text_projection.weight"])
def test_a_projection_of_transformers_is_transposed(key: str, tmp_path: Path) -> None:
    plain = write_tiny(tmp_path / "plain.safetensors", "sdxl")
    projection = torch.arange(6, dtype=torch.float16).reshape(2, 3)
    changes = {f"{CLIP_G}text_projection": None, CLIP_G + key: projection}
    with open_checkpoint(rewrite(plain, changes, tmp_path / "linear.safetensors")) as file:
        assert set(file.header.tensors) == set(load_file(plain))
        assert file.tensor(f"{CLIP_G}text_projection").tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_projection_of_transformers_beside_openclips_own_is_not_read_for_it(tmp_path: Path) -> None:
    plain = write_tiny(tmp_path / "plain.safetensors", "sdxl")
    more = {f"{CLIP_G}text_projection.weight": torch.zeros(3, 3)}
    with open_checkpoint(rewrite(plain, more, tmp_path / "both.safetensors")) as file:
        wanted = load_file(plain)[f"{CLIP_G}text_projection"]
        assert same_bits(file.tensor(f"{CLIP_G}text_projection"), wanted)


@pytest.mark.parametrize("kind", ["weight", "bias"])
@pytest.mark.parametrize("left", ["q", "k", "v"])
def test_a_third_without_the_two_others_is_refused(left: str, kind: str, forge: Path, tmp_path: Path) -> None:
    gone = {f"{GIVEN}{letter}_proj.{kind}": None for letter in "qkv" if letter != left}
    broken = rewrite(forge, gone, tmp_path / "broken.safetensors")
    for reader in (read_header, open_checkpoint):
        with pytest.raises(
            CheckpointError, match=rf"the file has '{ATTENTION}{left}_proj.{kind}', but not"
        ) as raised:
            reader(broken)
        assert raised.value.where == str(broken)


@pytest.mark.parametrize(
    ("third", "said"),
    [
        (torch.zeros(3, 3), r"fp16 with the shape \[3, 3\], but .*k_proj.* is fp32 with the shape \[3, 3\]"),
        (
            torch.zeros(2, 3).half(),
            r"fp16 with the shape \[3, 3\], but .*k_proj.* is fp16 with the shape \[2, 3\]",
        ),
    ],
)
def test_thirds_that_differ_are_refused_with_what_differs(
    third: Tensor, said: str, forge: Path, tmp_path: Path
) -> None:
    broken = rewrite(forge, {f"{GIVEN}k_proj.weight": third}, tmp_path / "broken.safetensors")
    with pytest.raises(CheckpointError, match=said):
        read_header(broken)


def test_thirds_beside_their_whole_are_refused_as_a_mixture(tmp_path: Path) -> None:
    plain = write_tiny(tmp_path / "plain.safetensors", "sdxl")
    both = rewrite(
        plain, {f"{ATTENTION}q_proj.weight": torch.zeros(3, 3).half()}, tmp_path / "both.safetensors"
    )
    with pytest.raises(CheckpointError, match="two tensors of this file stand for the same one"):
        read_header(both)


def test_what_forge_has_in_memory_and_no_file_of_sdxl_holds_keeps_its_name(
    forge: Path, tmp_path: Path
) -> None:
    more: dict[str, Tensor | None] = {
        "text_encoders.clip_l.logit_scale": torch.tensor(4.6),
        "text_encoders.clip_l.transformer.text_projection.weight": torch.eye(3),
    }
    header = read_header(rewrite(forge, more, tmp_path / "more.safetensors"))
    assert {key for key in header.tensors if key.startswith("text_encoders.")} == set(more)


@pytest.mark.parametrize("name", ["sd3", "sd35-medium", "flux"])
def test_the_text_encoders_of_sd3_and_flux_keep_transformers_names(name: str, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "plain.safetensors", name)
    header = read_header(path)
    assert not header.joined
    assert set(header.tensors) == set(load_file(path))


@pytest.mark.skipif(not hasattr(torch, "float8_e4m3fn"), reason="this torch has no fp8")
def test_eight_bit_floats_are_put_together_and_turned_too(tmp_path: Path) -> None:
    plain = write_tiny(tmp_path / "plain.safetensors", "sdxl")
    eight = {key: tensor.to(torch.float8_e4m3fn) for key, tensor in load_file(plain).items()}
    save_file(as_forge_saved(eight, "sdxl"), tmp_path / "eight.safetensors")
    with open_checkpoint(tmp_path / "eight.safetensors") as file:
        for key in (WHOLE, f"{CLIP_G}text_projection"):
            assert same_bits(file.tensor(key), eight[key])
