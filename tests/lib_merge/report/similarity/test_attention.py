"""Attention similarity: laws first, then each form beside the script that it repeats."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lib_merge.architectures import family_by_id, read_header
from lib_merge.errors import FamilyError, StoppedError
from lib_merge.progress import NoProgress
from lib_merge.report.similarity.attention import ATTENTION_METHODS, attention_similarity
from lib_merge.report.similarity.kinds import report_kind
from samples.assemble import assemble
from tests.support.full_size import write_file, write_tiny
from tests.support.merging import rewrite

EVERY_FORM = pytest.mark.parametrize("form", ATTENTION_METHODS)
INPUTS = ["IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "M00"]
OUTPUTS = [f"OUT{number:02}" for number in range(3, 12)]


@pytest.fixture(scope="module")
def samples() -> dict[str, Path]:
    return assemble()


@functools.cache
def similarity(a: Path, b: Path, form: str = "attention", seed: int | None = None) -> dict[str, float]:
    usual = report_kind(form).seed if seed is None else seed
    assert usual is not None
    return attention_similarity(read_header(a), read_header(b), form, usual)


@EVERY_FORM
def test_a_model_is_wholly_similar_to_itself(samples: dict[str, Path], form: str) -> None:
    values = similarity(samples["ink"], samples["ink"], form)
    assert values == pytest.approx(dict.fromkeys(values, 1))


@EVERY_FORM
def test_similarity_is_the_same_both_ways(samples: dict[str, Path], form: str) -> None:
    there = similarity(samples["base"], samples["ink"], form)
    assert there == pytest.approx(similarity(samples["ink"], samples["base"], form), abs=1e-5)


@EVERY_FORM
def test_a_seed_gives_the_same_digits_again_and_another_seed_others(
    samples: dict[str, Path], form: str
) -> None:
    similarity.cache_clear()
    usual = similarity(samples["base"], samples["ink"], form)
    assert usual == similarity(samples["base"], samples["ink"], form, report_kind(form).seed)
    assert usual != similarity(samples["base"], samples["ink"], form, 2)


def test_the_callers_random_numbers_stay_as_they_were(samples: dict[str, Path]) -> None:
    before = torch.get_rng_state()
    similarity(samples["base"], samples["ink"])
    assert torch.equal(torch.get_rng_state(), before)


@EVERY_FORM
def test_fine_tunes_of_one_base_are_alike_and_a_stranger_is_not(samples: dict[str, Path], form: str) -> None:
    assert min(similarity(samples["base"], samples["ink"], form).values()) > 0.9
    assert max(similarity(samples["base"], samples["other"], form).values()) < 0.5


def test_each_form_has_its_blocks(samples: dict[str, Path]) -> None:
    slots_by_form = {
        form: list(similarity(samples["base"], samples["ink"], form)) for form in ATTENTION_METHODS
    }
    sixteen = [*INPUTS, *OUTPUTS]
    assert slots_by_form == {
        "sdsim": OUTPUTS[:-1],
        "supermerger": sixteen,
        "attention": sixteen,
        "asim2": sixteen,
    }


@EVERY_FORM
@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_every_form_works_on_every_family(family: str, form: str, tmp_path: Path) -> None:
    files = [write_tiny(tmp_path / f"{seed}.safetensors", family, seed) for seed in (1, 2)]
    slots = list(similarity.__wrapped__(files[0], files[1], form))  # another test may have had these paths
    inputs, outputs = INPUTS, OUTPUTS[: -1 if form == "sdsim" else None]
    if family == "sdxl":
        inputs, outputs = ["IN04", "IN05", "IN07", "IN08", "M00"], [f"OUT{n:02}" for n in range(6)]
    assert slots == ([] if form == "sdsim" else inputs) + outputs


def test_attention_repeats_sdsim_where_both_look(samples: dict[str, Path]) -> None:
    longer = similarity(samples["base"], samples["ink"], "attention")
    shorter = similarity(samples["base"], samples["ink"], "sdsim")
    assert shorter.items() <= longer.items()


def by_the_script(
    a: dict[str, Tensor], b: dict[str, Tensor], blocks: Sequence[str], both: bool
) -> list[float]:
    """The scripts' way, on the global generator; `both`: draws the Linears of both models (SuperMerger)."""

    def attention(weights: dict[str, Tensor], block: str, x: Tensor, builds: bool) -> Tensor:
        q, k, v = (
            weights[f"model.diffusion_model.{block}.1.transformer_blocks.0.attn1.to_{n}.weight"].float()
            for n in "qkv"
        )
        if builds:
            [torch.nn.Linear(*reversed(m.shape), bias=False) for m in (q, k, v)]
        scores = torch.softmax((x @ q.T) @ (x @ k.T).T, dim=-1)
        return scores * (x @ v.T).sum(dim=0)

    values: list[float] = []
    for block in blocks:
        key = f"model.diffusion_model.{block}.1.transformer_blocks.0.attn1.to_q.weight"
        x = torch.randn(a[key].shape)
        one, other = attention(a, block, x, True), attention(b, block, x, both)
        values.append(torch.cosine_similarity(one, other).mean().item())
    return values


BLOCKS = [f"input_blocks.{n}" for n in (1, 2, 4, 5, 7, 8)] + ["middle_block"]
BLOCKS += [f"output_blocks.{n}" for n in range(3, 12)]


def test_supermerger_is_what_its_loop_gives(samples: dict[str, Path]) -> None:
    files = [load_file(samples[name]) for name in ("base", "ink")]
    with torch.random.fork_rng():
        torch.manual_seed(2244096)
        exact = by_the_script(files[0], files[1], BLOCKS, both=True)
    values = similarity(samples["base"], samples["ink"], "supermerger")
    assert list(values.values()) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("blocks", [BLOCKS[:7], BLOCKS[7:]], ids=["inputs", "outputs"])
def test_attention_is_what_the_script_gives_for_inputs_and_for_outputs(
    samples: dict[str, Path], blocks: list[str]
) -> None:
    files = [load_file(samples[name]) for name in ("base", "ink")]
    with torch.random.fork_rng():
        torch.manual_seed(114514)
        exact = by_the_script(files[0], files[1], blocks, both=False)
    values = list(similarity(samples["base"], samples["ink"]).values())
    assert (values[:7] if blocks == BLOCKS[:7] else values[7:]) == pytest.approx(exact, abs=1e-6)


def test_sdsim_is_the_package_to_the_last_digit(samples: dict[str, Path]) -> None:
    if importlib.util.find_spec("sdsim") is None:
        pytest.skip("the package sdsim is not installed: python3 start.py test installs it")
    files = [str(samples[name]) for name in ("base", "ink", "other")]
    program = f"import json, sdsim; print(json.dumps(sdsim.similarity({files[0]!r}, {files[1:]!r})))"
    process = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    theirs = json.loads(process.stdout)
    for name in ("ink", "other"):
        exact = theirs[f"{name}.safetensors"]["similarity"]
        exact.pop("mean")
        ours = similarity(samples["base"], samples[name], "sdsim")
        assert ours == {f"OUT{int(number):02}": value for number, value in exact.items()}


def test_asim2_does_not_depend_on_the_width_and_the_communitys_form_does(tmp_path: Path) -> None:
    wide = {"output_blocks.9": 320, "output_blocks.6": 640, "output_blocks.3": 1280}
    shapes: dict[str, tuple[int, ...]] = {
        "model.diffusion_model.middle_block.1.proj_in.weight": (8, 8, 1, 1),
        "model.diffusion_model.input_blocks.11.0.in_layers.0.weight": (8,),
    }
    for block, width in wide.items():
        for name in ("to_q", "to_k", "to_v", "to_out.0"):
            key = f"model.diffusion_model.{block}.1.transformer_blocks.0.attn1.{name}.weight"
            shapes[key] = (width, width)
    a = write_file(tmp_path / "a.safetensors", shapes, family_by_id("sd1"), seed=1, dtype="F32")
    b = write_file(
        tmp_path / "b.safetensors", shapes, family_by_id("sd1"), seed=2, near=a, scale=0.0015, dtype="F32"
    )
    fair, biased = similarity(a, b, "asim2"), similarity(a, b, "attention")
    assert max(fair.values()) - min(fair.values()) < 0.001
    assert fair["OUT03"] == pytest.approx(0.995, abs=0.001)
    # 5 % of noise on weights of spread 0.03, docs/references.md#attention-similarity
    assert [biased[slot] for slot in ("OUT09", "OUT06", "OUT03")] == pytest.approx(
        [0.977, 0.934, 0.892], abs=0.02
    )


def test_a_file_without_a_u_net_is_refused(tmp_path: Path) -> None:
    vae = write_tiny(tmp_path / "vae.safetensors", parts=["vae"])
    with pytest.raises(FamilyError, match="no blocks with self-attention"):
        similarity(vae, vae)


def test_models_of_two_widths_are_refused(samples: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(FamilyError, match=r"differ in width: \(64, 64\) in 'base', \(2, 2\) in 'tiny'"):
        similarity(samples["base"], write_tiny(tmp_path / "tiny.safetensors"))


def test_a_lacking_weight_is_named(samples: dict[str, Path], tmp_path: Path) -> None:
    key = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_k.weight"
    broken = rewrite(samples["ink"], {key: None}, tmp_path / "broken.safetensors")
    with pytest.raises(
        FamilyError, match=r"'broken' lacks a self-attention weight\n  at   .*attn1.to_k.weight"
    ):
        similarity(samples["base"], broken)


def test_attention_stops_when_asked(samples: dict[str, Path]) -> None:
    class Impatient(NoProgress):
        def stopped(self) -> bool:
            return True

    headers = [read_header(samples[name]) for name in ("base", "ink")]
    with pytest.raises(StoppedError):
        attention_similarity(headers[0], headers[1], "attention", 1, Impatient())
