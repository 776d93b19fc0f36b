"""The map of effective blocks: one slot at a time, its change, its place in the U."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lib_merge.architectures import FAMILIES, family_by_id
from lib_merge.errors import RecipeError
from lib_merge.grid import GridBase, GridCell, plan_grid
from lib_merge.grid.blockmap import (
    block_changes,
    draw_map,
    map_axis,
    map_columns,
    map_recipe,
    picture_change,
    u_shape,
)
from lib_merge.grid.sheet import load_tiles
from lib_merge.picture import DrawSettings
from lib_merge.recipe import Ingredient
from lib_merge.service.grids import run_grid_job
from tests.support.grid_host import SIDE, Bench


def plain(grey: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (grey, grey, grey))


def test_the_change_of_known_pictures() -> None:
    assert picture_change(plain(0), plain(255)) == 100
    assert picture_change(plain(0), plain(51)) == pytest.approx(20)
    half = plain(0)
    half.paste((255, 255, 255), (0, 0, 2, 4))
    assert picture_change(plain(0), half) == pytest.approx(100 / np.sqrt(2))
    with pytest.raises(RecipeError):
        picture_change(plain(0), Image.new("RGB", (5, 4)))


@given(st.integers(0, 255), st.integers(0, 255))
def test_the_change_is_a_distance(one: int, other: int) -> None:
    assert picture_change(plain(one), plain(other)) == picture_change(plain(other), plain(one))
    assert (picture_change(plain(one), plain(other)) == 0) == (one == other)


@pytest.mark.parametrize("family", [family.id for family in FAMILIES if family.mergeable])
def test_the_u_has_every_slot_once(family: str) -> None:
    slots = [slot.id for slot in family_by_id(family).slots if slot.id != "VAE"]
    shown = [slot for row in u_shape(family_by_id(family)) for slot in row if slot]
    assert sorted(shown) == sorted(slots)


def test_skip_partners_are_in_one_row() -> None:
    assert ("IN00", "OUT11") in u_shape(family_by_id("sd1"))
    assert u_shape(family_by_id("sd1"))[-1] == ("M00",)


def test_one_click_swaps_one_slot_at_a_time(bench: Bench) -> None:
    recipe = map_recipe(Ingredient("A", "a.safetensors"), Ingredient("B", "b.safetensors"))
    drawing = DrawSettings(steps=2, width=SIDE, height=SIDE)
    base = GridBase(GridCell(recipe, drawing), bench.backend)
    plan = plan_grid(base, {"x": map_axis(base.family)}, loaded=bench.backend.now())
    assert plan.num_cells == 29  # A, and 28 slots
    assert all(len(change.slots) <= 2 for change in plan.planned_merges)  # one back to A, the next to B
    run_grid_job(bench.service, plan, bench.backend, bench.store())
    tiles = load_tiles(plan, bench.store())
    changes = block_changes(plan, tiles)
    assert set(changes) == set(map_columns(plan)) == {s.id for s in base.family.slots} - {"VAE"}
    assert all(value > 0 for value in changes.values())
    by_slot = {slot: tiles[column, 0, 0] for slot, column in map_columns(plan).items()}
    drawn = draw_map(base.family, by_slot, changes, (SIDE, SIDE))
    assert drawn.width > 2 * SIDE
    assert drawn.height > 13 * SIDE
