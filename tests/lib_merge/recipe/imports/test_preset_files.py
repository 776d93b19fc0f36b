"""Presets: every one that other tools ship has their numbers, and their files are taken over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from lib_merge.architectures import Family, family_by_id
from lib_merge.library.presets import import_presets, own_presets
from lib_merge.recipe.imports.preset_files import read_presets
from lib_merge.recipe.weights.presets import PURPOSE_PRESETS, family_presets, preset_amounts, preset_names

pytestmark = pytest.mark.newest_only

SD1, SDXL = family_by_id("sd1"), family_by_id("sdxl")

# Of each list w: the sums of w, i w and i i w, where i counts from 0 for BASE.
# hako-mikan/sd-webui-supermerger 0b1c491, scripts/mbwpresets_master.txt: 38 rows of 26
SUPERMERGER = {
    "GRAD_V": (13, 169, 3211.0),
    "GRAD_A": (12, 156, 2314.0),
    "FLAT_25": (6.25, 81.25, 1381.2),
    "FLAT_75": (18.75, 243.75, 4143.8),
    "WRAP08": (8, 104, 2244.0),
    "WRAP12": (12, 156, 3146.0),
    "WRAP14": (14, 182, 3556.0),
    "WRAP16": (16, 208, 3944.0),
    "MID12_50": (7, 87.5, 1207.5),
    "OUT07": (7, 154, 3416.0),
    "OUT12": (12, 234, 4706.0),
    "OUT12_5": (12.5, 240.5, 4790.5),
    "RING08_SOFT": (8, 104, 1564.0),
    "RING08_5": (8, 104, 1524.0),
    "RING10_5": (10, 130, 1960.0),
    "RING10_3": (10, 130, 1870.0),
    "SMOOTHSTEP": (12.5, 226.18, 4418.3),
    "REVERSE-SMOOTHSTEP": (12.5, 98.82, 1106.7),
    "SMOOTHSTEP*2": (9.021, 117.27, 1668.5),
    "R_SMOOTHSTEP*2": (15.979, 207.73, 3856.5),
    "SMOOTHSTEP*3": (12.5, 199.83, 3733.1),
    "R_SMOOTHSTEP*3": (12.5, 125.17, 1791.9),
    "SMOOTHSTEP*4": (9.81, 127.53, 1922.9),
    "R_SMOOTHSTEP*4": (15.19, 197.47, 3602.1),
    "SMOOTHSTEP/2": (12, 156, 2258.4),
    "R_SMOOTHSTEP/2": (13, 169, 3266.6),
    "SMOOTHSTEP/3": (12.5, 174.98, 3087.1),
    "R_SMOOTHSTEP/3": (12.5, 150.02, 2437.9),
    "SMOOTHSTEP/4": (12, 156, 2517.6),
    "R_SMOOTHSTEP/4": (13, 169, 3007.4),
    "COSINE": (12.5, 98.06, 1086.9),
    "REVERSE_COSINE": (12.5, 226.94, 4438.1),
    "TRUE_CUBIC_HERMITE": (12.979, 190.61, 3433.4),
    "TRUE_REVERSE_CUBIC_HERMITE": (12.021, 134.39, 2091.6),
    "FAKE_CUBIC_HERMITE": (12.5, 186.53, 3387.3),
    "FAKE_REVERSE_CUBIC_HERMITE": (12.5, 138.47, 2137.7),
    "ALL_A": (0, 0, 0.0),
    "ALL_B": (26, 325, 5525.0),
}
# wkpark/sd-webui-model-mixer 8d55c1d, scripts/mbwpresets.tsv.in: 34 rows of 20
MODEL_MIXER_XL = {
    "GRAD_V": (10, 100, 1450.0),
    "GRAD_A": (9, 90, 1020.0),
    "FLAT_25": (4.75, 47.5, 617.5),
    "FLAT_75": (14.25, 142.5, 1852.5),
    "WRAP08": (8, 80, 1260.0),
    "WRAP12": (12, 120, 1742.0),
    "WRAP14": (14, 140, 1960.0),
    "WRAP16": (16, 160, 2168.0),
    "MID12_50": (6.5, 65, 741.0),
    "OUT07": (7, 112, 1820.0),
    "OUT09": (9, 135, 2085.0),
    "OUT09_5": (9.5, 140, 2135.0),
    "RING08_SOFT": (8, 80, 1012.0),
    "RING08_5": (7, 70, 728.0),
    "RING10_5": (10, 100, 1270.0),
    "RING10_3": (10, 100, 1180.0),
    "SMOOTHSTEP": (9.5, 131.98, 1974.7),
    "REVERSE-SMOOTHSTEP": (9.5, 58.02, 495.3),
    "SMOOTHSTEP*2": (6.778, 67.78, 738.5),
    "R_SMOOTHSTEP*2": (12.222, 122.22, 1731.5),
    "SMOOTHSTEP*3": (9.5, 117.02, 1675.4),
    "R_SMOOTHSTEP*3": (9.5, 72.98, 794.6),
    "SMOOTHSTEP*4": (7.358, 73.58, 847.8),
    "R_SMOOTHSTEP*4": (11.642, 116.42, 1622.2),
    "SMOOTHSTEP/2": (9, 90, 997.2),
    "R_SMOOTHSTEP/2": (10, 100, 1472.8),
    "SMOOTHSTEP/3": (9.5, 103.19, 1398.7),
    "R_SMOOTHSTEP/3": (9.5, 86.81, 1071.3),
    "SMOOTHSTEP/4": (9, 90, 1123.1),
    "R_SMOOTHSTEP/4": (10, 100, 1346.9),
    "COSINE": (10, 100, 1347.1),
    "REVERSE_COSINE": (9, 90, 1122.9),
    "CUBIC_HERMITE": (9.5, 102.45, 1383.9),
    "REVERSE_CUBIC_HERMITE": (9.5, 87.55, 1086.1),
}


def numbers(name: str, family: Family) -> list[float]:
    """A preset as a list."""
    values = preset_amounts(preset_names()[name], family)
    return [values[family.groups.get(slot, (slot,))[0]] for slot in family.listed_names]


def check(name: str, family: Family, theirs: Mapping[str, tuple[float, float, float]]) -> None:
    """That a preset has the sums of the other tool's."""
    mine = numbers(name, family)
    sums = [sum(index**power * number for index, number in enumerate(mine)) for power in range(3)]
    for ours, other, apart in zip(sums, theirs[name], (1e-3, 1e-2, 1e-1), strict=True):
        assert ours == pytest.approx(other, abs=apart, rel=0), name


@pytest.mark.parametrize("name", SUPERMERGER)
def test_a_preset_of_supermergers_file_has_its_numbers(name: str) -> None:
    check(name, SD1, SUPERMERGER)


@pytest.mark.parametrize("name", MODEL_MIXER_XL)
def test_a_preset_of_model_mixers_for_sdxl_has_its_numbers(name: str) -> None:
    check(name, SDXL, MODEL_MIXER_XL)


def test_no_preset_is_missing_and_none_is_there_twice() -> None:
    roles = {role.name for role in PURPOSE_PRESETS}
    assert {preset_names()[name] for name in SUPERMERGER} == set(family_presets(SD1)) - roles
    assert len(SUPERMERGER) == len(set(SUPERMERGER.values())) == 38
    there = {preset_names()[name] for name in MODEL_MIXER_XL}
    assert there == set(family_presets(SDXL)) - roles - {"ALL_A", "ALL_B"}


# --- files of other tools ---


def test_what_every_desk_has_is_left_and_the_rest_joins_the_users_own(tmp_path: Path) -> None:
    lists = "\n".join(f"{name}\t{','.join(map(str, numbers(name, SD1)))}" for name in SUPERMERGER)
    letters = "\n".join(f"ALL_{letter}\t{','.join(letter * 26)}" for letter in "RUX")
    mine = f"mine\t{','.join(map(str, range(26)))}\nGRAD_V of mine:{','.join(['.5'] * 26)}"
    text = f"preset_name\tpreset_weights\r\n{lists}\n{letters}\n\n{mine}\ndice\tR,{','.join('0' * 25)}\n"
    taken = import_presets(tmp_path, text, SD1)
    assert taken.names == ("mine", "GRAD_V of mine")
    assert len(taken.already_shipped) == 38
    assert [line.partition(":")[0] for line in taken.rejected] == ["dice"]
    assert taken.summary == "2 presets were taken over; 38 are here already"
    assert {preset.name: preset.values["M00"] for preset in own_presets(tmp_path)} == {
        "mine": 13,
        "GRAD_V of mine": 0.5,
    }


def test_what_was_left_out_is_listed_up_to_a_few(tmp_path: Path) -> None:
    taken = import_presets(tmp_path, "\n".join(f"no {n}" for n in range(5)), SD1)
    assert taken.summary == "0 presets were taken over"
    assert taken.rejected_lines(2) == ("not taken over: no 0", "not taken over: no 1", "and 3 more")
    assert len(taken.rejected_lines(5)) == 5


def test_a_file_that_is_taken_twice_is_taken_once(tmp_path: Path) -> None:
    one, two = (f"mine\t{','.join([number] * 26)}" for number in ("0.1", "0.2"))
    import_presets(tmp_path, one, SD1)
    import_presets(tmp_path, two, SD1)
    assert [(preset.name, preset.values["IN05"]) for preset in own_presets(tmp_path)] == [("mine", 0.2)]


def test_on_sdxl_a_list_of_26_is_read_as_supermerger_reads_it(tmp_path: Path) -> None:
    import_presets(tmp_path, f"mine\t{','.join(map(str, range(26)))}\nodd\t{','.join('0' * 23)}", SDXL)
    (preset,) = own_presets(tmp_path)
    assert [preset.values[slot] for slot in ("CLIP_G", "IN08", "M00", "OUT00", "OUT08")] == [0, 9, 13, 14, 22]


def test_untitledmergers_sliders_are_presets_of_blocks(tmp_path: Path) -> None:
    column = [target for n in range(12) for target in (f"in.{n}", n / 100)]
    first, second = (
        ["clip", 0.5, *column],
        ["mid", 0.9, *[t for n in range(12) for t in (f"out.{n}", n / 50)]],
    )
    less = [2, "in.0", 1, "in.1", 1, "out.0", 0.4, "out.1", 1]
    fine = [2, "in.4.attn1", 1, "", 0]
    taken = import_presets(
        tmp_path, json.dumps({"blocks": [26, *first, *second], "less": less, "fine": fine, "odd": 3}), SD1
    )
    assert taken.names == ("blocks", "less")
    assert [line.partition(":")[0] for line in taken.rejected] == ["odd", "fine"]
    blocks, shown = (preset.values for preset in own_presets(tmp_path))
    assert [blocks[slot] for slot in ("BASE", "IN07", "M00", "OUT11", "TIME", "VAE")] == [
        0.5,
        0.07,
        0.9,
        0.22,
        0,
        0,
    ]
    assert {slot: number for slot, number in shown.items() if number} == {"IN00": 1, "OUT00": 0.4}


def test_what_is_no_preset_file_says_so() -> None:
    assert read_presets("{broken") == ({}, ["this begins as JSON and is none"])
    assert read_presets("hello") == ({}, ["hello"])
