"""Presets: the shipped curves by their known numbers, and the user's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib_merge.architectures import family_by_id
from lib_merge.errors import RecipeError, StoreError
from lib_merge.library.presets import (
    FILE,
    NamedPreset,
    delete_preset,
    own_presets,
    rename_preset,
    save_preset,
    shipped_presets,
)

SD1, SDXL = family_by_id("sd1"), family_by_id("sdxl")


def numbers(name: str, family: str = "sd1") -> list[float]:
    """A shipped preset as a list of 26 or 20."""
    shown_family = family_by_id(family)
    preset = next(preset for preset in shipped_presets(shown_family) if preset.name == name)
    return [preset.values[shown_family.groups.get(slot, (slot,))[0]] for slot in shown_family.listed_names]


# rows of supermerger 0b1c491, scripts/mbwpresets_master.txt
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "GRAD_V",
            [0, 1, *(round(1 - i / 12, 6) for i in range(1, 13)), *(round(i / 12, 6) for i in range(1, 13))],
        ),
        ("FLAT_25", [0, *[0.25] * 25]),
        ("WRAP08", [0, *[1] * 4, *[0] * 17, *[1] * 4]),
        ("MID12_50", [0, *[0] * 5, *[0.5] * 14, *[0] * 6]),
        ("OUT07", [0, *[0] * 18, *[1] * 7]),
        ("OUT12_5", [0, *[0] * 12, 0.5, *[1] * 12]),
        ("RING08_SOFT", [0, *[0] * 5, 0.5, 1, 1, 1, 0.5, *[0] * 5, 0.5, 1, 1, 1, 0.5, *[0] * 5]),
        ("RING08_5", [0, *[0] * 6, *[1] * 4, *[0] * 5, *[1] * 4, *[0] * 6]),
        ("RING10_3", [0, *[0] * 6, *[1] * 5, *[0] * 3, *[1] * 5, *[0] * 6]),
        ("ALL_B", [1] * 26),
    ],
)
def test_a_shipped_preset_is_what_other_tools_call_so(name: str, expected: list[float]) -> None:
    assert numbers(name) == pytest.approx(expected, abs=1e-6)


def test_smooth_curves_go_through_their_known_points() -> None:
    assert numbers("SMOOTHSTEP")[13] == pytest.approx(0.5)
    assert numbers("COSINE")[1:26:12] == pytest.approx([1, 0.5, 0])
    assert numbers("TRUE_CUBIC_HERMITE")[1:3] == pytest.approx([0, 0.199032], abs=1e-5)
    assert numbers("COSINE", "sdxl")[1:20:9] == pytest.approx([1, 1, 1])


def test_a_curve_and_its_reverse_add_up_to_one() -> None:
    pairs = (
        ("SMOOTHSTEP", "REVERSE-SMOOTHSTEP"),
        ("3SMOOTHSTEP", "3R_SMOOTHSTEP"),
        ("COSINE", "REVERSE_COSINE"),
    )
    for one, other in pairs:
        assert [a + b for a, b in zip(numbers(one)[1:], numbers(other)[1:], strict=True)] == pytest.approx(
            [1] * 25
        )


def test_time_and_out_follow_a_preset_as_they_follow_a_pasted_list() -> None:
    values = next(preset for preset in shipped_presets(SD1) if preset.name == "GRAD_V").values
    assert (values["TIME"], values["OUT"], values["VAE"]) == (values["IN00"], values["OUT11"], 0)


def test_a_family_without_down_up_block_pairs_has_no_shipped_presets() -> None:
    assert shipped_presets(family_by_id("flux")) == ()


def test_presets_of_ones_own_are_kept_in_order_and_replaced_by_name(tmp_path: Path) -> None:
    save_preset(tmp_path, NamedPreset("faces", "sd1", {"OUT05": 0.5}))
    save_preset(tmp_path, NamedPreset("lines", "sd1", {"IN00": 1.0}))
    save_preset(tmp_path, NamedPreset("faces", "sd1", {"OUT05": 0.7}))
    assert [(preset.name, dict(preset.values)) for preset in own_presets(tmp_path)] == [
        ("faces", {"OUT05": 0.7}),
        ("lines", {"IN00": 1.0}),
    ]


def test_a_preset_is_renamed_and_deleted(tmp_path: Path) -> None:
    save_preset(tmp_path, NamedPreset("faces", "sd1", {"OUT05": 0.5}))
    rename_preset(tmp_path, "faces", " portraits ", "sd1")
    assert [preset.name for preset in own_presets(tmp_path)] == ["portraits"]
    delete_preset(tmp_path, "portraits", "sd1")
    assert own_presets(tmp_path) == ()


def test_a_rename_never_swallows_another_preset(tmp_path: Path) -> None:
    save_preset(tmp_path, NamedPreset("one", "sd1", {}))
    save_preset(tmp_path, NamedPreset("two", "sd1", {}))
    with pytest.raises(RecipeError, match="a preset 'two' already"):
        rename_preset(tmp_path, "one", "two", "sd1")


def test_a_file_of_presets_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"not": "a list"}')
    with pytest.raises(StoreError, match="cannot be read"):
        own_presets(tmp_path)


@pytest.mark.parametrize("name", ["", "  ", "x" * 61])
def test_a_preset_needs_a_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="needs a name"):
        save_preset(tmp_path, NamedPreset(name, "sd1", {}))
