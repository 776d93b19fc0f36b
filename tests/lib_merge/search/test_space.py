"""A search space says what it means, reads back as it was written, and gives recipes within its ranges."""

# pyright: basic
from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from lib_merge.architectures import family_by_id
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid.cell import GridBase
from lib_merge.plan.amounts import Amounts
from lib_merge.recipe import Recipe, parse_rules
from lib_merge.search.bound import BoundSpace, _check_levels, bind_space, level_groups
from lib_merge.search.ranges import Choices, FixedValue, NumberRange, Values, parse_values
from lib_merge.search.space import SearchSpace, SpaceEntry, Tie, parse_space
from tests.support.examples import examples
from tests.support.grid_host import Bench

WORDS = ("OUT04-OUT11", "IN", "OUT", "M00", "BASE TIME", "NOT M00", "UNET", "beta OUT05", "alpha", "M.alpha")


@st.composite
def number_ranges(draw: st.DrawFn) -> NumberRange:
    low = draw(st.integers(-200, 200))
    if draw(st.booleans()):
        return NumberRange(low / 100, (low + draw(st.integers(1, 300))) / 100)
    step, count = draw(st.integers(1, 50)), draw(st.integers(1, 40))
    return NumberRange(low / 100, (low + step * count) / 100, step / 100)


FIXED = st.floats(-2, 2).map(lambda number: parse_values(repr(number)))
CHOICES = st.lists(
    st.sampled_from(("GRAD_V", "COSINE", "0", "0.5")), min_size=2, max_size=4, unique=True
).map(lambda options: Choices(tuple(options)))


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    entries: list[SpaceEntry] = []
    for _ in range(draw(st.integers(1, 5))):
        values: Values = draw(st.one_of(number_ranges(), FIXED, CHOICES))
        ties = [Tie.EACH] if isinstance(values, FixedValue) else list(Tie)
        entries.append(SpaceEntry(draw(st.sampled_from(WORDS)), values, draw(st.sampled_from(ties))))
    return SearchSpace(tuple(entries))


@st.composite
def block_spaces(draw: st.DrawFn) -> SearchSpace:
    """Spaces over blocks alone, of which at least one varies."""
    targets = ("OUT04-OUT11", "IN", "OUT", "M00", "BASE TIME", "NOT M00", "UNET", "IN05", "FINAL", "VAE")
    kinds = st.one_of(number_ranges(), FIXED)
    entries = [SpaceEntry("OUT11", draw(number_ranges()))]
    for target in draw(st.lists(st.sampled_from(targets), max_size=4, unique=True)):
        values: Values = draw(kinds)
        ties = [Tie.EACH] if isinstance(values, FixedValue) else list(Tie)
        entries.append(SpaceEntry(target, values, draw(st.sampled_from(ties))))
    return SearchSpace(tuple(entries))


def amounts_of(recipe: Recipe, base: GridBase, parameter: str = "alpha") -> Mapping[str, float]:
    """Slot -> amount."""
    setting = dict(recipe.steps[-1].settings)[parameter]
    amounts = Amounts(base.family)
    return {slot.id: amounts.amount(setting, slot.id) for slot in base.family.slots}  # type: ignore[arg-type]


def bound_space(bench: Bench, text: str, recipe: Recipe | None = None) -> BoundSpace:
    return bind_space(parse_space(text), bench.base(recipe or bench.recipe(alpha=0.25)))


def low_point(bound: BoundSpace) -> dict[str, float | str]:
    return {
        part.name: part.values.low if isinstance(part.values, NumberRange) else part.values.options[0]  # type: ignore[union-attr]
        for part in bound.dimensions
    }


# --- the text ---


@given(space=spaces())
def test_a_space_reads_back_as_it_was_written(space: SearchSpace) -> None:
    assert parse_space(str(space)) == space


@given(values=number_ranges(), number=st.floats(-10, 10))
def test_the_nearest_number_of_a_range_is_in_it_and_on_its_step(values: NumberRange, number: float) -> None:
    nearest = values.nearest(number)
    assert values.low <= nearest <= values.high
    assert values.nearest(nearest) == nearest
    if values.step is not None:
        steps = (Fraction(repr(nearest)) - Fraction(repr(values.low))) / Fraction(repr(values.step))
        assert steps.denominator == 1


def test_three_steps_of_a_tenth_are_three_tenths() -> None:
    assert NumberRange(0, 1, 0.1).nearest(0.1 + 0.2) == 0.3


def test_entries_stand_on_lines_or_between_semicolons_and_comments_are_skipped() -> None:
    space = parse_space("OUT: 0..1 step 0.5 # the style\n\nM00: 0.3 ; IN: by level -0.5..1")
    assert str(space) == "OUT: 0..1 step 0.5; M00: 0.3; IN: by level -0.5..1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the search space is empty"),
        ("OUT04", "it is not said what is searched"),
        (": 0..1", "it is not said what is searched"),
        ("OUT: 1..0", "has no numbers to choose from"),
        ("OUT: 0..1 step 0.3", "the steps of 0..1 step 0.3 do not reach 1"),
        ("OUT: 0..1 step 0", "is not above 0"),
        ("OUT: 0..1 step 1e-9", "has more than 1000000 steps"),
        ("OUT: 0...1", "is no range"),
        ("OUT: 0..one", "is no range"),
        ("OUT: tied 0.3", "'tied' needs a range"),
        ("preset: GRAD_V | ", "a value is missing"),
        ("preset: GRAD_V | GRAD_V", "'GRAD_V' is listed twice"),
        ("OUT: 0..1e999", "has no end"),
    ],
)
def test_a_text_that_is_no_space_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(MergeError) as caught:
        parse_space(text)
    assert said in str(caught.value)


def test_all_wrong_entries_are_named_at_once() -> None:
    with pytest.raises(MergeError, match=r"(?s)line 1: OUT: 1\.\.0.*line 2: IN"):
        parse_space("OUT: 1..0\nIN")


# --- over a recipe ---


@examples(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(space=block_spaces(), data=st.data())
def test_every_point_is_a_recipe_within_the_ranges(
    space: SearchSpace, data: st.DataObject, bench: Bench
) -> None:
    base = bench.base(bench.recipe(alpha=0.25))
    bound = bind_space(space, base)
    point: dict[str, float | str] = {}
    for part in bound.dimensions:
        assert isinstance(part.values, NumberRange)
        point[part.name] = part.values.nearest(data.draw(st.floats(part.values.low, part.values.high)))
    amounts = amounts_of(bound.recipe(point), base)
    named: set[str] = set()
    for part in bound.parts:
        slots = part.target.slots  # type: ignore[union-attr]
        assert named.isdisjoint(slots)
        named.update(slots)
        values = {amounts[slot] for slot in slots}
        expected = part.values.number if isinstance(part.values, FixedValue) else point[part.name]
        assert values == {expected}
    assert all(amounts[slot] == 0.25 for slot in amounts.keys() - named - {"VAE"})


def test_the_last_convolution_stands_beside_output_blocks_that_share_a_number(bench: Bench) -> None:
    bound = bound_space(bench, "OUT: tied 0..1; FINAL: 0..1")
    assert [(part.name, "OUT" in part.target.slots) for part in bound.dimensions] == [  # type: ignore[union-attr]
        ("OUT", False),
        ("FINAL", True),
    ]


def test_a_range_of_blocks_is_a_dimension_for_each(bench: Bench) -> None:
    bound = bound_space(bench, "OUT04-OUT06: 0..1")
    assert [part.name for part in bound.dimensions] == ["OUT04", "OUT05", "OUT06"]


def test_tied_blocks_share_one_number_and_levels_one_each(bench: Bench) -> None:
    bound = bound_space(bench, "IN: tied 0..1; OUT: by level 0..1")
    assert [part.name for part in bound.dimensions] == [
        *("IN", "OUT00-OUT02", "OUT03-OUT05", "OUT06-OUT08", "OUT09-OUT11", "OUT"),
    ]


def test_a_transformer_has_no_levels() -> None:
    with pytest.raises(RecipeError, match="have one resolution"):
        _check_levels(Tie.LEVELS, family_by_id("flux"))
    _check_levels(Tie.LEVELS, family_by_id("sdxl"))
    assert [len(group) for group in level_groups([f"OUT{n:02}" for n in range(9)]).values()] == [3, 3, 3]


def test_the_entry_that_names_the_fewest_blocks_sets_them(bench: Bench) -> None:
    bound = bound_space(bench, "M00: 0.3; IN05: 0.7; UNET: tied 0..1")
    amounts = amounts_of(bound.recipe({"UNET": 0.9}), bound.base)
    assert (amounts["M00"], amounts["IN05"], amounts["IN04"]) == (0.3, 0.7, 0.9)


def test_shares_of_presets_are_added_and_blocks_are_laid_over_them(bench: Bench) -> None:
    bound = bound_space(bench, "GRAD_V: 0..1; ALL_B: 0..1; M00: 0..1")
    amounts = amounts_of(bound.recipe({"GRAD_V": 0.5, "ALL_B": 0.25, "M00": 0.125}), bound.base)
    assert (amounts["IN00"], amounts["M00"], amounts["BASE"]) == (0.75, 0.125, 0.25)


def test_whatever_an_axis_of_a_grid_sets_can_be_searched(bench: Bench) -> None:
    bound = bound_space(
        bench,
        "preset: GRAD_V | GRAD_A; amount: 0..1; adjust contrast: -1..1; adjust brightness: 0..1; VAE: 0.5",
    )
    recipe = bound.recipe(
        {"preset": "GRAD_A", "amount": 0.5, "adjust contrast": 0.0125, "adjust brightness": 0.25}
    )
    weighted, adjust = recipe.steps
    assert dict(adjust.settings)["contrast"] == 0.0125
    assert dict(adjust.settings)["brightness"] == 0.25
    assert Amounts(bound.base.family).amount(dict(weighted.settings)["alpha"], "M00") == 0.5  # type: ignore[arg-type]


def test_a_number_of_a_small_range_is_written_without_an_exponent(bench: Bench) -> None:
    bound = bound_space(bench, "amount: 0..0.001")
    assert amounts_of(bound.recipe({"amount": 2e-05}), bound.base)["M00"] == 0.25 * 2e-05


def test_an_integer_is_searched_as_one(bench: Bench) -> None:
    bound = bound_space(bench, "random: 1..50")
    assert bound.recipe({"random": 7.4}) == bound.recipe({"random": 7.0})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("OUT4: 0..1", "has no block 'OUT4'"),
        ("outside: 0..1", "there is no axis 'outside'"),
        ("seed: 1..5", "changes the picture and not the merge"),
        ("beta OUT: 0..1", "takes no beta"),
        ("alpha: tied 0..1", "'tied' is for blocks"),
        ("OUT: GRAD_V | COSINE", "'GRAD_V' is no number"),
        ("M00: 0.3", "nothing varies"),
        ("alpha: 0..1; M.alpha: 0..1", "both set M.alpha"),
        ("alpha: 0..1; alpha: 0..2", "in two entries"),
        ("GRAD_V: 0..1; alpha: 0..1", "both set M.alpha"),
        ("OUT: 0..1e7", "alpha cannot be"),
        ("method: nosuch | ties", "nosuch"),
        ("NOT: 0..1", "NOT stands before nothing"),
    ],
)
def test_an_entry_that_does_not_fit_the_recipe_says_why(text: str, said: str, bench: Bench) -> None:
    with pytest.raises(MergeError) as caught:
        bound_space(bench, text)
    assert said in str(caught.value)


# --- points of recipes and presets ---


def test_the_point_of_a_recipe_gives_that_recipe_again(bench: Bench) -> None:
    bound = bound_space(bench, "OUT04-OUT06: 0..1 step 0.05; IN: tied 0..1")
    point: dict[str, float | str] = {"OUT04": 0.35, "OUT05": 0.0, "OUT06": 1.0, "IN": 0.6}
    assert bound.point_of(bound.recipe(point)) == point


def test_the_point_of_another_recipe_is_the_nearest_one(bench: Bench) -> None:
    bound = bound_space(bench, "OUT04: 0..1 step 0.5; alpha: 0..0.5; IN00-IN01: tied 0..1")
    assert bound.point_of(bench.recipe(alpha=0.8)) == {"OUT04": 1.0, "alpha": 0.5, "IN00-IN01": 0.8}
    ruled = bench.recipe(alpha=parse_rules("OUT04: 0.4; IN00: 0.2; IN01: 0.4"))
    assert bound.point_of(ruled) == {"OUT04": 0.5, "IN00-IN01": pytest.approx(0.3)}


def test_the_point_of_a_preset_has_its_amounts(bench: Bench) -> None:
    bound = bound_space(bench, "IN00: 0..1; M00: 0..1; OUT: by level 0..1")
    point = bound.point_of_preset("GRAD_V")
    assert (point["IN00"], point["M00"]) == (1.0, 0.0)
    levels = [point[name] for name in ("OUT00-OUT02", "OUT03-OUT05", "OUT06-OUT08", "OUT09-OUT11")]
    assert all(low < high for low, high in pairwise(levels))  # type: ignore[operator]


def test_the_distance_of_two_points_is_a_share_of_the_ranges(bench: Bench) -> None:
    bound = bound_space(bench, "IN00: 0..2; M00: 0..1; preset: GRAD_V | GRAD_A")
    start = low_point(bound)
    assert bound.distance(start, start) == 0
    far = {"IN00": 2.0, "M00": 0.0, "preset": "GRAD_A"}
    assert bound.distance(far, start) == pytest.approx(2 / 3)
