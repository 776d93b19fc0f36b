"""How lists of numbers are read: docs/references.md#lists-of-numbers, and laws of parsing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.architectures import (
    FAMILIES,
    LAYOUTS,
    Family,
    Layout,
    family_by_id,
    layout_by_name,
    parse_numbers,
    read_numbers,
)
from lib_merge.errors import RecipeError

pytestmark = pytest.mark.newest_only

SD1, SDXL, FLUX = family_by_id("sd1"), family_by_id("sdxl"), family_by_id("flux")
# BASE 0.5, IN00 0.01 .. IN11 0.12, M00 0.13, OUT00 0.14 .. OUT11 0.25: every number says its place.
LIST_26 = (0.5, *(number / 100 for number in range(1, 26)))
LIST_20 = LIST_26[:20]  # OUT08 is 0.19


def read(numbers: tuple[float, ...], family: Family, layout: str, base: float = 0.9) -> dict[str, float]:
    return read_numbers(numbers, family, layout_by_name(layout), base=base)


@pytest.mark.parametrize(
    ("layout", "time", "out", "vae"),
    [
        ("supermerger", 0.01, 0.25, 0.0),  # IN00, OUT11, A
        ("mbw", 0.01, 0.25, 0.5),  # IN00, OUT11, BASE
        ("model-mixer", 0.0, 0.0, 0.0),  # A, A, A
        ("model-mixer-extra", 0.25, 0.25, 0.0),  # OUT11, OUT11, A
        ("mecha", 0.5, 0.25, 0.5),  # BASE, OUT11, BASE
    ],
)
def test_on_sd1_the_unlisted_slots_follow_the_layout(
    layout: str, time: float, out: float, vae: float
) -> None:
    values = read(LIST_26, SD1, layout)
    assert (values["TIME"], values["OUT"], values["VAE"]) == (time, out, vae)


@pytest.mark.parametrize(
    ("layout", "time", "label", "out", "vae"),
    [
        ("supermerger", 0.01, 0.01, 0.19, 0.0),
        ("mbw", 0.01, 0.01, 0.19, 0.5),
        ("model-mixer", 0.0, 0.0, 0.0, 0.0),
        ("model-mixer-extra", 0.19, 0.19, 0.19, 0.0),
        ("mecha", 0.5, 0.5, 0.19, 0.0),  # its VAE has a block of its own
    ],
)
def test_on_sdxl_the_unlisted_slots_follow_the_layout(
    layout: str, time: float, label: float, out: float, vae: float
) -> None:
    values = read(LIST_20, SDXL, layout)
    assert (values["TIME"], values["LABEL"], values["OUT"], values["VAE"]) == (time, label, out, vae)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.id)
def test_the_blocks_are_read_alike_by_every_layout(layout: Layout) -> None:
    values = read(LIST_26, SD1, layout.id)
    assert tuple(values[name] for name in SD1.listed_names) == LIST_26


@pytest.mark.parametrize(("numbers", "family"), [(LIST_26[1:], SD1), (LIST_20[1:], SDXL)])
def test_a_list_without_base_takes_the_amount_given_for_it(
    numbers: tuple[float, ...], family: Family
) -> None:
    whole = read((0.9, *numbers), family, "supermerger")
    assert read(numbers, family, "supermerger", base=0.9) == whole


def test_base_moves_both_text_encoders_of_sdxl() -> None:
    values = read(LIST_20, SDXL, "supermerger")
    assert (values["CLIP_L"], values["CLIP_G"]) == (0.5, 0.5)
    assert "BASE" not in values


@pytest.mark.parametrize("numbers", [LIST_26, LIST_26[1:]])
def test_a_list_for_sd1_drops_the_blocks_that_sdxl_lacks(numbers: tuple[float, ...]) -> None:
    values = read(numbers, SDXL, "supermerger", base=0.5)
    # SuperMerger keeps list[1:10] and list[13:23]: IN00..IN08, then M00, OUT00..OUT08.
    assert tuple(values[name] for name in SDXL.listed_names[1:]) == (*LIST_26[1:10], *LIST_26[13:23])
    assert values["OUT"] == LIST_26[22]
    assert values["CLIP_L"] == 0.5


def test_supermergers_list_for_flux_has_numbers_for_the_parts_beside_the_blocks() -> None:
    numbers = tuple(number / 100 for number in range(61))
    values = read(numbers, FLUX, "supermerger")
    assert (values["CLIP_L"], values["T5"], values["IN"], values["OUT"]) == (0.0, 0.01, 0.02, 0.6)
    assert (values["D00"], values["D18"], values["S00"], values["S37"]) == (0.03, 0.21, 0.22, 0.59)
    with pytest.raises(RecipeError):
        read(numbers, FLUX, "mbw")


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.listed_names], ids=lambda f: f.id)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.id)
def test_every_slot_gets_a_number(family: Family, layout: Layout) -> None:
    values = read_numbers([0.25] * len(family.listed_names), family, layout, base=0.0)
    assert list(values) == [slot.id for slot in family.slots]
    assert set(values.values()) <= {0.0, 0.25}


@pytest.mark.parametrize(
    ("family", "count", "what", "hint"),
    [
        (
            SD1,
            24,
            "the list has 24 numbers, but Stable Diffusion 1 takes 26 (BASE, IN00..IN11, M00, OUT00..OUT11) "
            "or 25 without BASE",
            "",
        ),
        (
            SDXL,
            1,
            "the list has 1 number, but Stable Diffusion XL takes 20 (BASE, IN00..IN08, M00, OUT00..OUT08) "
            "or 19 without BASE",
            "lists of 26/25 numbers can be read too",
        ),
        (
            FLUX,
            60,
            "the list has 60 numbers, but Flux.1 takes 58 (BASE, D00..D18, S00..S37) or 57 without BASE",
            "lists of 61 numbers can be read too",
        ),
        (family_by_id("vae"), 26, "the list has 26 numbers, but VAE alone has no blocks", ""),
    ],
)
def test_a_list_of_the_wrong_length_is_refused_with_the_right_ones(
    family: Family, count: int, what: str, hint: str
) -> None:
    with pytest.raises(RecipeError) as raised:
        read_numbers([0.0] * count, family, layout_by_name("supermerger"), base=0.0, where="step 2")
    assert (raised.value.what, raised.value.where, raised.value.hint) == (what, "step 2", hint)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_list_with_nan_or_infinity_is_refused(bad: float) -> None:
    with pytest.raises(RecipeError, match="number 26 of the list"):
        read((*LIST_26[:25], bad), SD1, "supermerger")


def test_an_unknown_layout_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'supermerger'"):
        layout_by_name("super-merger")


NUMBERS = st.floats(-10, 10, allow_nan=False)
SEPARATORS = st.sampled_from([",", ", ", " ", "\n", ",\n", "\t", ";", " , "])


@given(st.lists(NUMBERS, min_size=1, max_size=30), st.data())
def test_numbers_survive_any_separators(numbers: list[float], data: st.DataObject) -> None:
    separated = [repr(number) + data.draw(SEPARATORS) for number in numbers]
    assert parse_numbers("".join(separated)) == tuple(numbers)


@given(
    st.lists(NUMBERS, min_size=1, max_size=5),
    st.sampled_from(["()", "[]", "{}", "  "]),
    st.sampled_from(["", ",", "\n", ", "]),
)
def test_brackets_and_a_comma_at_the_end_change_nothing(numbers: list[float], around: str, end: str) -> None:
    text = around[0] + ",".join(map(repr, numbers)) + end + around[1]
    assert parse_numbers(text) == tuple(numbers)


@given(st.text(max_size=40))
def test_any_text_gives_finite_numbers_or_an_error_of_ours(text: str) -> None:
    try:
        numbers = parse_numbers(text)
    except RecipeError:
        return
    assert numbers
    assert all(map(math.isfinite, numbers))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0.5", (0.5,)),
        ("1,.5, 1.,+0.25,-1e-2", (1.0, 0.5, 1.0, 0.25, -0.01)),
        ("[(0,1)]", (0.0, 1.0)),
        ("\n 0 1\n 0,5 \n", (0.0, 1.0, 0.0, 5.0)),
    ],
)
def test_lists_are_read_as_people_write_them(text: str, numbers: tuple[float, ...]) -> None:
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("0.1, 0.2, O.3", "number 3 is 'O.3', which is not a number", "--alpha, column 11"),
        ("0.1,\n0.2,\n x", "number 3 is 'x', which is not a number", "--alpha, line 3, column 2"),
        ("0.1,,0.3", "number 2 is missing", "--alpha, column 6"),
        (",0.3", "number 1 is missing", "--alpha, column 2"),
        ("0.1, nan", "number 2 is 'nan', which is not a number", "--alpha, column 6"),
        ("1e999", "number 1 is '1e999', which is not a number", "--alpha, column 1"),
        ("1_0", "number 1 is '1_0', which is not a number", "--alpha, column 1"),
        (" \n", "the list has no numbers", "--alpha"),
    ],
)
def test_a_bad_number_is_pointed_at(text: str, what: str, where: str) -> None:
    with pytest.raises(RecipeError) as raised:
        parse_numbers(text, where="--alpha")
    assert (raised.value.what, raised.value.where) == (what, where)
