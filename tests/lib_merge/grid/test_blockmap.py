"""The map of effective blocks: one slot at a time, its change, its place in the U."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lib_merge.architectures import FAMILIES, family_by_id
from lib_merge.desk.studio import paint
from lib_merge.errors import RecipeError
from lib_merge.grid import Base, Cell, plan_grid
from lib_merge.grid.blockmap import change, draw_map, influences, map_axis, map_recipe, slots_of_map, u_shape
from lib_merge.grid.sheet import tiles_of
from lib_merge.picture import DrawSettings
from lib_merge.recipe import Ingredient
from tests.grid_host import SIDE, Bench


def plain(grey: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (grey, grey, grey))


def test_the_change_of_known_pictures() -> None:
    assert change(plain(0), plain(255)) == 100
    assert change(plain(0), plain(51)) == pytest.approx(20)
    half = plain(0)
    half.paste((255, 255, 255), (0, 0, 2, 4))
    assert change(plain(0), half) == pytest.approx(100 / np.sqrt(2))
    with pytest.raises(RecipeError):
        change(plain(0), Image.new("RGB", (5, 4)))


@given(st.integers(0, 255), st.integers(0, 255))
def test_the_change_is_a_distance(one: int, other: int) -> None:
    assert change(plain(one), plain(other)) == change(plain(other), plain(one))
    assert (change(plain(one), plain(other)) == 0) == (one == other)


@pytest.mark.parametrize("family", [family.id for family in FAMILIES if family.mergeable])
def test_the_u_has_every_slot_once(family: str) -> None:
    slots = [slot.id for slot in family_by_id(family).slots if slot.id != "VAE"]
    shown = [slot for row in u_shape(family_by_id(family)) for slot in row if slot]
    assert sorted(shown) == sorted(slots)


def test_skip_partners_face_each_other() -> None:
    assert ("IN00", "OUT11") in u_shape(family_by_id("sd1"))
    assert u_shape(family_by_id("sd1"))[-1] == ("M00",)


def test_one_click_swaps_one_slot_at_a_time(bench: Bench) -> None:
    recipe = map_recipe(Ingredient("A", "a.safetensors"), Ingredient("B", "b.safetensors"))
    drawing = DrawSettings(steps=2, width=SIDE, height=SIDE)
    base = Base(Cell(recipe, drawing), bench.studio)
    plan = plan_grid(base, {"x": map_axis(base.family)}, now=bench.studio.now())
    assert plan.cells == 29  # A, and 28 slots
    assert all(len(change.slots) <= 2 for change in plan.changes)  # one back to A, the next to B
    paint(bench.mixer, plan, bench.studio, bench.store())
    tiles = tiles_of(plan, bench.store())
    found = influences(plan, tiles)
    assert set(found) == set(slots_of_map(plan)) == {s.id for s in base.family.slots} - {"VAE"}
    assert all(value > 0 for value in found.values())
    by_slot = {slot: tiles[place, 0, 0] for slot, place in slots_of_map(plan).items()}
    drawn = draw_map(base.family, by_slot, found, (SIDE, SIDE))
    assert drawn.width > 2 * SIDE
    assert drawn.height > 13 * SIDE
