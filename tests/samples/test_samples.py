"""The sample checkpoints are small files with the layout of SD1, and draw what the prompt names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lib_merge.architectures.diffusers_names import CLIP_PREFIX, UNET_PREFIX, VAE_PREFIX
from lib_merge.clip_tokenizer import load_tokenizer, vocabulary, write_tokenizer
from samples import train
from samples.assemble import NAMES, assemble
from samples.check import look
from samples.drawings import SIDE, draw_at_random, paint, to_image
from samples.fetch import fetch_parts
from samples.training import export, state, text, unet
from samples.training.evaluate import Judgement, judge, requests
from samples.training.latents import Lessons

PARTS = Path(export.PARTS)
MEGABYTE = 1_000_000
PARTS_BUDGET = 71 * MEGABYTE


def model(name: str) -> dict[str, Tensor]:
    """All tensors of one sample."""
    return train.whole(name, PARTS)


def mixed(alpha: float) -> dict[str, Tensor]:
    """A weighted sum of ink and pastel."""
    ink, pastel = model("ink"), model("pastel")
    return {
        key: (value.float() * (1 - alpha) + pastel[key].float() * alpha).half()
        if key.startswith(UNET_PREFIX)
        else value
        for key, value in ink.items()
    }


@pytest.mark.parametrize("corner", ["base", "ink", "pastel"])
@pytest.mark.parametrize("side", [64, 128])
def test_the_pixel_check_is_right_about_drawings_whose_truth_is_known(corner: str, side: int) -> None:
    rng = np.random.default_rng(3)
    drawings = [draw_at_random(rng, corner) for _ in range(100)]
    seen = [look(to_image(paint(drawing, side))) for drawing in drawings]
    right = [
        saw.shape == drawing.shape and saw.colour == drawing.colour and corner in ("base", saw.style)
        for saw, drawing in zip(seen, drawings, strict=True)
    ]
    assert np.mean(right) >= 0.98


def test_the_same_drawing_always_gives_the_same_pixels() -> None:
    first, second = (draw_at_random(np.random.default_rng(8)) for _ in range(2))
    assert first == second
    assert paint(first).tobytes() == paint(second).tobytes()


def test_the_tokenizer_gives_the_ids_of_clip() -> None:
    assert load_tokenizer()("a red circle").input_ids == [49406, 320, 736, 7117, 49407]
    tokens = vocabulary()
    assert len(tokens) == 49408
    assert sorted(tokens.values()) == list(range(49408))


def test_the_tokenizer_folder_loads_without_a_network(tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    write_tokenizer(tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    padded = tokenizer("a red circle", padding="max_length", max_length=77).input_ids
    assert padded[:5] == [49406, 320, 736, 7117, 49407]
    assert padded[5:] == [49407] * 72


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_has_every_key_of_a_real_file_in_its_rank(name: str) -> None:
    tensors = model(name)
    counts = [
        sum(key.startswith(prefix) for key in tensors) for prefix in (UNET_PREFIX, CLIP_PREFIX, VAE_PREFIX)
    ]
    assert counts == [686, 197, 248]
    assert len(tensors) == 1131
    assert tensors[UNET_PREFIX + "input_blocks.1.1.proj_in.weight"].ndim == 4
    assert tensors[VAE_PREFIX + "decoder.mid.attn_1.q.weight"].ndim == 4
    assert {value.dtype for value in tensors.values()} == {torch.float16, torch.int64}
    ids = tensors[CLIP_PREFIX + "text_model.embeddings.position_ids"]
    assert torch.equal(ids, torch.arange(77, dtype=torch.int64)[None])
    assert all(value.isfinite().all() for value in tensors.values())


def test_the_parts_keep_within_their_budget() -> None:
    fetch_parts()
    assert sum(path.stat().st_size for path in PARTS.iterdir()) <= PARTS_BUDGET


def test_other_shares_no_tensor_with_base() -> None:
    base, other = export.read_part("unet_base"), export.read_part("unet_other")
    assert not [key for key in base if torch.equal(base[key], other[key])]
    key = UNET_PREFIX + "middle_block.0.in_layers.2.weight"
    similarity = torch.cosine_similarity(base[key].float().flatten(), other[key].float().flatten(), dim=0)
    assert abs(float(similarity)) < 0.05


def test_ink_and_pastel_are_near_base() -> None:
    base = export.read_part("unet_base")
    for name in ("ink", "pastel"):
        tuned = export.read_part(f"unet_{name}")
        moved = sum(float((tuned[key].float() - base[key].float()).square().sum()) for key in base)
        assert moved < 0.1 * sum(float(base[key].float().square().sum()) for key in base)


def test_the_assembled_files_are_whole_and_left_alone_the_second_time(tmp_path: Path) -> None:
    from safetensors import safe_open

    checkpoints = assemble(tmp_path)
    for path in checkpoints.values():
        with safe_open(path, framework="pt") as file:
            assert len(list(file.keys())) == 1131
        assert str((tmp_path / "text_encoder").resolve()) in path.with_suffix(".yaml").read_text(
            encoding="utf-8"
        )
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assemble(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_the_text_encoder_folder_is_what_transformers_reads(tmp_path: Path) -> None:
    from transformers import CLIPTextConfig

    assemble(tmp_path)
    config = CLIPTextConfig.from_pretrained(tmp_path / "text_encoder")
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (48, 12, 12)


@pytest.fixture(scope="module")
def drawn() -> dict[str, Judgement]:
    """Each model's pictures for the same 16 prompts, with seeds that no training run looked at."""
    prompts = requests(16, 4242)
    return {name: judge(model(name), prompts, first_seed=90_000) for name in NAMES}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_draws_shape_and_colour_as_asked(name: str, drawn: dict[str, Judgement]) -> None:
    assert drawn[name].accuracy >= 0.9


@pytest.mark.slow
def test_ink_and_pastel_differ_in_style(drawn: dict[str, Judgement]) -> None:
    assert drawn["ink"].styled("ink") >= 0.9
    assert drawn["pastel"].styled("pastel") >= 0.9


@pytest.mark.slow
def test_every_mix_of_ink_and_pastel_still_draws(drawn: dict[str, Judgement]) -> None:
    prompts = requests(8, 4243)
    between = {alpha: judge(mixed(alpha), prompts, first_seed=91_000) for alpha in (0.25, 0.5, 0.75)}
    assert min(judged.accuracy for judged in between.values()) >= 0.8
    means = [np.mean([saw.pastel for saw in judged.seen]) for judged in between.values()]
    ends = [np.mean([saw.pastel for saw in drawn[name].seen]) for name in ("ink", "pastel")]
    assert sorted([ends[0], *means, ends[1]]) == [ends[0], *means, ends[1]]


def test_training_runs_from_start_to_parts_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts, states = tmp_path / "parts", tmp_path / "states"
    arguments = ["--out", str(states), "--parts", str(parts), "--steps-scale", "0.001"]
    monkeypatch.setattr(unet, "BATCH", {unet.HALF: 2, SIDE: 2})
    monkeypatch.setattr(text, "BATCH", 2)
    train.main([*arguments, "--stage", "ink"])  # needs base, and base the others
    assert {path.stem for path in states.iterdir()} >= {"text", "vae", "unet_base", "unet_ink"}
    half_way = (states / "unet_base.pt").read_bytes()
    train.main(arguments)
    assert (states / "unet_base.pt").read_bytes() == half_way
    assert len(list(parts.iterdir())) == 6
    assert "pastel at 128 px: " in capsys.readouterr().out


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = torch.Generator().manual_seed(0)
    latents, states = (torch.randn(*shape, generator=chance) for shape in ((4, 4, 8, 8), (3, 77, 48)))
    lessons = Lessons(latents, states, torch.tensor([1, 2, 1, 2]))
    plan = unet.Plan("tiny", 7, "base", small=4, whole=0, rate=1e-3)
    monkeypatch.setattr(unet, "BATCH", {unet.HALF: 2})
    monkeypatch.setattr(unet, "Keeper", partial(state.Keeper, every=0.0))
    whole = unet.train(tmp_path / "whole", plan, 1.0, lambda side: lessons)
    with monkeypatch.context() as patch:
        patch.setattr(unet, "loss_of", _until(2, unet.loss_of))
        with pytest.raises(InterruptedError):
            unet.train(tmp_path / "cut", plan, 1.0, lambda side: lessons)
    resumed = unet.train(tmp_path / "cut", plan, 1.0, lambda side: lessons)
    for (name, value), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(value, other), name


def _until(last: int, loss_of: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss that stops the run at a step."""

    def stopping(*arguments: Any) -> Tensor:
        if arguments[3] == last:
            raise InterruptedError
        return loss_of(*arguments)

    return stopping
