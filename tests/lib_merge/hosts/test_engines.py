"""Which parameters a model of Forge's kin has, by its text encoders and the host's own marks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lib_merge.hosts.engines import CLIP_G, CLIP_H, CLIP_L, T5, engine_of


def model_with(*encoders: str, **marks: bool) -> SimpleNamespace:
    clip = SimpleNamespace(cond_stage_model=SimpleNamespace(**dict.fromkeys(encoders)))
    return SimpleNamespace(forge_objects_original=SimpleNamespace(clip=clip), **marks)


def test_sd2_is_recognised_by_its_text_encoder_as_reforge_marks_it_as_sd1() -> None:
    for marks in ({"is_sd1": True, "is_sd2": False}, {"is_sd2": True}, {}):
        engine = engine_of(model_with(CLIP_H, **marks))
        assert engine is not None
        assert engine.encoders == {CLIP_H: "cond_stage_model.model."}


@pytest.mark.parametrize("encoders", [(CLIP_L,), (CLIP_L, CLIP_G), (CLIP_G,)])
def test_another_architecture_with_the_text_encoders_of_a_known_one_is_not_it(
    encoders: tuple[str, ...],
) -> None:
    assert engine_of(model_with(*encoders)) is None
    assert engine_of(model_with(*encoders, is_sd1=True, is_sdxl=True)) is not None


def test_text_encoders_of_no_known_architecture_are_none() -> None:
    assert engine_of(model_with(CLIP_H, T5, is_sd2=True)) is None
