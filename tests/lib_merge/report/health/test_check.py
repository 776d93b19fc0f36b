"""Health: healthy files raise nothing; damage of each kind is planted, found, and named."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lib_merge.architectures import family_by_id, identify, read_header
from lib_merge.checkpoint import Header, TensorInfo
from lib_merge.dtypes import F16
from lib_merge.errors import StoppedError
from lib_merge.progress import NoProgress
from lib_merge.report.health.check import check
from lib_merge.report.health.finding import Finding
from lib_merge.report.health.outliers import broken_blocks, robust_scores
from lib_merge.report.health.structure import structure_findings
from samples.assemble import assemble
from tests.support.full_size import write_full_size, write_tiny
from tests.support.merging import rewrite

pytestmark = pytest.mark.newest_only

UNET = "model.diffusion_model."
MIDDLE = f"{UNET}middle_block.1.transformer_blocks.0.attn1.to_q.weight"
IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"
VAE = "first_stage_model.decoder.conv_in.weight"
CLIP_G = "conditioner.embedders.1.model."
# For each family: a text encoder's positions and tokens, one tensor of it that is left out, and its width.
TEXTS = {
    "sd1": (
        IDS.replace("ids", "embedding.weight"),
        IDS.replace("position_ids", "token_embedding.weight"),
        IDS.replace("embeddings.position_ids", "encoder.layers.0.mlp.fc1.weight"),
        768,
    ),
    "sd2": (
        "cond_stage_model.model.positional_embedding",
        "cond_stage_model.model.token_embedding.weight",
        "cond_stage_model.model.transformer.resblocks.0.mlp.c_fc.weight",
        1024,
    ),
    "sdxl": (
        f"{CLIP_G}positional_embedding",
        f"{CLIP_G}token_embedding.weight",
        f"{CLIP_G}transformer.resblocks.0.mlp.c_fc.weight",
        1280,
    ),
}

Damage = Callable[[dict[str, Tensor]], Mapping[str, Tensor | None]]


@pytest.fixture(scope="module")
def samples() -> dict[str, Path]:
    return assemble()


def findings(path: Path, reference: Path | None = None) -> tuple[Finding, ...]:
    return check(read_header(path), read_header(reference) if reference else None).findings


@pytest.mark.parametrize("name", ["base", "ink", "pastel", "other"])
def test_the_samples_are_healthy(samples: dict[str, Path], name: str) -> None:
    assert findings(samples[name]) == ()


def test_fine_tunes_of_one_base_are_healthy_compared_with_it(samples: dict[str, Path]) -> None:
    assert findings(samples["ink"], samples["base"]) == ()
    assert findings(samples["pastel"], samples["ink"]) == ()


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner", "sd3", "flux"])
def test_files_of_every_family_are_healthy(family: str, dtype: str, tmp_path: Path) -> None:
    assert findings(write_tiny(tmp_path / "a.safetensors", family, dtype=dtype)) == ()


@pytest.mark.parametrize(
    "options", [{"variant": "inpaint"}, {"schedule": True}, {"parts": ["unet"]}], ids=str
)
def test_special_and_pruned_files_are_healthy(options: dict[str, object], tmp_path: Path) -> None:
    assert findings(write_tiny(tmp_path / "a.safetensors", **options)) == ()  # pyright: ignore


def structure(family: str, changes: Mapping[str, tuple[int, ...]], without: str) -> list[Finding]:
    """What is wrong with the keys and shapes of a full-size file, some of them changed or left out."""
    shapes = {**family_by_id(family).shapes, **changes}
    tensors = {key: TensorInfo(F16, shape) for key, shape in shapes.items() if not key.startswith(without)}
    return structure_findings(Header(Path("a.safetensors"), tensors), identify(tensors))


@pytest.mark.parametrize("positions", [77, 248])
@pytest.mark.parametrize("tokens", [49408, 49410])
@pytest.mark.parametrize("family", TEXTS)
def test_more_positions_and_tokens_than_usual_are_no_damage_where_keys_are_missing_either(
    family: str, positions: int, tokens: int
) -> None:
    position, token, layer, width = TEXTS[family]
    changes: dict[str, tuple[int, ...]] = {position: (positions, width), token: (tokens, width)}
    if family == "sd1":
        changes[IDS] = (1, positions)
    assert [finding.kind for finding in structure(family, changes, layer)] == ["missing"]


def test_position_ids_that_do_not_fit_the_positions_are_damage() -> None:
    position, _, layer, width = TEXTS["sd1"]
    problems = structure("sd1", {position: (248, width), IDS: (1, 77)}, layer)
    assert [finding.kind for finding in problems] == ["missing", "misshapen"]
    assert "position_ids has the shape 1x77, not 1x248" in problems[1].text


@pytest.mark.parametrize(
    ("shape", "said"), [((76, 768), "76x768"), ((248, 760), "248x760"), ((768, 77), "the axes")]
)
def test_fewer_positions_or_others_of_another_width_are_damage(shape: tuple[int, ...], said: str) -> None:
    position, _, layer, _ = TEXTS["sd1"]
    missing, misshapen = structure("sd1", {position: shape}, layer)
    assert (missing.kind, misshapen.kind) == ("missing", "misshapen")
    assert said in misshapen.text


def filled(key: str, value: float) -> Damage:
    return lambda tensors: {key: torch.full_like(tensors[key], value)}


def first(key: str, value: float) -> Damage:
    def plant(tensors: dict[str, Tensor]) -> Mapping[str, Tensor]:
        tensor = tensors[key].clone()
        tensor.view(-1)[0] = value
        return {key: tensor}

    return plant


def middle_times(factor: float) -> Damage:
    return lambda tensors: {k: t * factor for k, t in tensors.items() if k.startswith(f"{UNET}middle_block.")}


def swapped(tensors: dict[str, Tensor]) -> Mapping[str, Tensor]:
    key = MIDDLE.replace("to_q", "to_out.0").replace("attn1.to_out.0", "ff.net.2")
    return {key: tensors[key].T.contiguous()}


DAMAGE: dict[str, tuple[Damage, str, str]] = {
    "missing": (
        lambda _: {MIDDLE: None},
        "M00",
        f"1 tensor missing from M00: {MIDDLE}; take M00 from another model",
    ),
    "extra": (
        lambda _: {f"{UNET}ghost.weight": torch.ones(2)},
        "",
        "1 tensor in the file that no model of this family has: model.diffusion_model.ghost.weight; "
        "a merge leaves them out",
    ),
    "misshapen": (swapped, "M00", "has the shape 256x64, not 64x256, the axes are swapped; take M00 from"),
    "not_finite": (first(MIDDLE, math.nan), "M00", "M00 holds NaN or infinity, once in 1 tensor: "),
    "zero": (
        filled(MIDDLE, 0),
        "M00",
        f"M00 has 1 tensor of zeros only: {MIDDLE}; take M00 from another model",
    ),
    "constant": (filled(VAE, 0.5), "VAE", "VAE has 1 tensor of one constant value: "),
    "position_ids": (
        lambda _: {IDS: torch.arange(77).mul(0.99).long()[None]},
        "BASE",
        "position_ids are damaged: 76 of 77 are wrong, index 1 is 0; prompts lose or repeat words",
    ),
    "outlier": (middle_times(6), "M00", "M00 looks broken: its weights are "),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_planted_damage_is_found_and_nothing_else(
    samples: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    plant, slot, text = DAMAGE[kind]
    damaged = rewrite(samples["ink"], plant(load_file(samples["ink"])), tmp_path / "damaged.safetensors")
    (finding,) = findings(damaged)
    assert (finding.kind, finding.slot) == (kind, slot)
    assert text in finding.text


def test_a_whole_attention_missing_is_found_though_the_u_net_is_recognised_by_it(tmp_path: Path) -> None:
    torn = write_tiny(tmp_path / "torn.safetensors", without=[f"{UNET}middle_block.1."])
    (finding,) = findings(torn)
    assert (finding.kind, finding.slot, len(finding.keys)) == ("missing", "M00", 26)


def test_infinity_is_found_too(samples: dict[str, Path], tmp_path: Path) -> None:
    changes = first(MIDDLE, -math.inf)(load_file(samples["ink"]))
    (finding,) = findings(rewrite(samples["ink"], changes, tmp_path / "damaged.safetensors"))
    assert finding.kind == "not_finite"


def test_a_block_much_too_small_is_found(samples: dict[str, Path], tmp_path: Path) -> None:
    changes = middle_times(1 / 6)(load_file(samples["ink"]))
    (finding,) = findings(rewrite(samples["ink"], changes, tmp_path / "damaged.safetensors"))
    assert (finding.kind, finding.slot) == ("outlier", "M00")
    assert "times smaller than in other blocks" in finding.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_numbers_beyond_fp16_are_found(samples: dict[str, Path], dtype: torch.dtype, tmp_path: Path) -> None:
    wide = {key: t.to(dtype) for key, t in load_file(samples["ink"]).items() if t.is_floating_point()}
    changes = {**wide, **first(MIDDLE, 1e5)(wide)}
    problems = findings(rewrite(samples["ink"], changes, tmp_path / "damaged.safetensors"))
    assert "overflow" in {finding.kind for finding in problems}
    text = next(finding.text for finding in problems if finding.kind == "overflow")
    assert "which overflow fp16 (65504)" in text
    assert text.endswith("keep this file in bf16 or fp32")


def test_averages_of_another_model_are_stale_and_those_of_this_one_are_not(tmp_path: Path) -> None:
    from lib_merge.architectures import ema_key

    stale = write_tiny(tmp_path / "stale.safetensors", ema=True)
    (finding,) = findings(stale)
    assert finding.kind == "stale_ema"
    assert "differ from the weights by 141 %" in finding.text
    tensors = load_file(stale)
    fresh = {ema_key(k): t * 1.01 for k, t in tensors.items() if k.startswith(UNET)}
    assert findings(rewrite(stale, fresh, tmp_path / "fresh.safetensors")) == ()


def test_a_block_of_noise_is_found_beside_the_base(samples: dict[str, Path], tmp_path: Path) -> None:
    other = load_file(samples["other"])
    changes = {key: tensor for key, tensor in other.items() if key.startswith(f"{UNET}middle_block.")}
    broken = rewrite(samples["ink"], changes, tmp_path / "broken.safetensors")
    assert findings(broken) == ()  # its sizes are those of a sound block: alone it cannot be told
    broken_blocks = [
        finding for finding in findings(broken, samples["base"]) if finding.kind == "broken_block"
    ]
    assert [finding.slot for finding in broken_blocks] == ["M00"]
    assert broken_blocks[0].text.startswith("M00 of broken looks broken: it differs from base's by ")
    assert broken_blocks[0].text.endswith("; take base's?")


def test_a_tensor_of_another_scale_is_found_beside_the_base(samples: dict[str, Path], tmp_path: Path) -> None:
    changes = {VAE: load_file(samples["ink"])[VAE] * 2.5}
    (finding,) = findings(rewrite(samples["ink"], changes, tmp_path / "a.safetensors"), samples["base"])
    assert (finding.kind, finding.slot) == ("scale", "VAE")
    assert "VAE has 1 tensor 2.5 times base's size: " in finding.text


def test_a_block_taken_from_elsewhere_is_no_damage() -> None:
    blocks = [f"IN{n:02}" for n in range(12)]
    assert broken_blocks({**dict.fromkeys(blocks, 0.0), "M00": 0.4}, "B", "A") == ()


def test_what_is_usual_for_a_block_is_taken_off_first() -> None:
    blocks = {f"IN{n:02}": 0.1 for n in range(12)}
    usual = {**blocks, "M00": 0.3}
    assert [f.slot for f in broken_blocks(usual, "B", "A")] == ["M00"]
    assert broken_blocks(usual, "B", "A", [usual, {**blocks, "M00": 0.31}]) == ()
    assert [f.slot for f in broken_blocks({**blocks, "M00": 1.2}, "B", "A", [usual])] == ["M00"]


def test_robust_scores_by_hand() -> None:
    # logs 0, 1, 2, 3, 10: median 2, deviations 2, 1, 0, 1, 8: MAD 1
    scores = robust_scores({str(x): math.exp(x) for x in (0, 1, 2, 3, 10)}, spread=0.1)
    assert scores["10"] == pytest.approx(8 * 0.6745)
    assert robust_scores({"a": 1.0, "b": 2.0}, spread=0.1) == {}


def test_a_check_stops_when_asked(samples: dict[str, Path]) -> None:
    class Impatient(NoProgress):
        def stopped(self) -> bool:
            return True

    with pytest.raises(StoppedError):
        check(read_header(samples["ink"]), progress=Impatient())


def edit_header(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Tell other things of the same bytes, in the room that the header has."""
    with path.open("r+b") as file:
        room = int.from_bytes(file.read(8), "little")
        edited = json.dumps(change(json.loads(file.read(room))), separators=(",", ":")).encode()
        assert len(edited) <= room
        file.seek(8)
        file.write(edited.ljust(room))


@pytest.mark.slow
@pytest.mark.full_size
def test_damage_of_every_kind_is_found_in_one_file_of_real_size(tmp_path: Path) -> None:
    path = write_full_size(tmp_path / "full.safetensors", dtype="F16", scale=0.03)
    assert findings(path) == ()
    header = read_header(path)
    nan, zero, constant = (
        f"{UNET}{block}.1.transformer_blocks.0.attn1.to_q.weight"
        for block in ("input_blocks.4", "output_blocks.5", "output_blocks.9")
    )
    middle = [key for key in header.tensors if key.startswith(f"{UNET}middle_block.")]
    with path.open("r+b") as file:
        for key, value in ((nan, math.nan), (zero, 0.0), (constant, 0.25)):
            info = header.tensors[key]
            file.seek(info.start)
            file.write(torch.full((info.numel,), value, dtype=torch.float16).numpy().tobytes())
        for key in middle:
            info = header.tensors[key]
            file.seek(info.start)
            noise = torch.frombuffer(bytearray(file.read(info.nbytes)), dtype=torch.float16)
            file.seek(info.start)
            file.write((noise * 8).numpy().tobytes())
        ids = header.tensors[IDS]
        file.seek(ids.start)
        file.write(torch.zeros(77, dtype=torch.int64).numpy().tobytes())
    ghost, swapped, wide = f"{UNET}ghost.weight", f"{UNET}input_blocks.1.0.emb_layers.1.weight", VAE
    with path.open("r+b") as file:
        info = header.tensors[wide]
        file.seek(info.start)
        file.write(torch.full((info.numel,), 1e5, dtype=torch.bfloat16).view(torch.int16).numpy().tobytes())
    edit_header(
        path,
        lambda entries: {
            **{key: entry for key, entry in entries.items() if key != MIDDLE},
            ghost: entries[MIDDLE],
            swapped: {**entries[swapped], "shape": entries[swapped]["shape"][::-1]},
            wide: {**entries[wide], "dtype": "BF16"},
        },
    )
    problems = {(finding.kind, finding.slot) for finding in findings(path)}
    assert problems == {
        ("missing", "M00"),
        ("extra", ""),
        ("misshapen", "IN01"),
        ("overflow", "VAE"),
        ("constant", "VAE"),
        ("not_finite", "IN04"),
        ("zero", "OUT05"),
        ("constant", "OUT09"),
        ("outlier", "M00"),
        ("position_ids", "BASE"),
    }
