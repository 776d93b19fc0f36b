"""The tick *Align to A first*: what it asks for, what it says, and that the search is made once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lib_merge.desk.aligning import alignment_note
from lib_merge.desk.handlers import Choice, Desk
from lib_merge.errors import RecipeError
from lib_merge.recipe import print_recipe
from samples.assemble import assemble
from tests.desk_host import PaperHost, PaperMixer
from tests.full_size import write_tiny

TICKED = Choice("base", "other", method="Weighted sum", align=True)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(PaperMixer(PaperHost(assemble()["base"].parent, tmp_path / "data")))


def steps(desk: Desk, choice: Choice) -> list[str]:
    """The recipe's lines behind the files."""
    lines = print_recipe(desk.mixer.read(desk.body(choice, {})).recipe).splitlines()
    return [line for line in lines if "(" in line]


def test_without_the_tick_nothing_is_aligned_and_nothing_said(desk: Desk) -> None:
    plain = Choice("base", "other", method="Weighted sum")
    assert "align" not in desk.body(plain, {})
    assert alignment_note(desk, plain) == ""
    assert alignment_note(desk, Choice("base", method="Weighted sum", align=True)) == ""  # no B yet


def test_the_tick_aligns_b_for_every_move(desk: Desk) -> None:
    assert steps(desk, TICKED) == ["B2 = rebasin(B, to = A)", "M = weighted_sum(A, B2)"]
    desk.turn(json.dumps({"seq": 1, "action": "apply", "parameters": {"alpha": 0.5}}), TICKED, {})
    assert desk.mixer.bodies[-1]["align"] is True  # type: ignore[attr-defined]


def test_a_base_is_aligned_and_what_was_trained_from_it_moves_as_it_does(desk: Desk) -> None:
    choice = Choice("other", "ink", "base", "Add difference", align=True)
    lines = ["B2 = rebasin(B, to = A, by = C)", "C2 = rebasin(C, to = A)", "M = add_difference(A, B2, C2)"]
    assert steps(desk, choice) == lines


def test_models_that_are_mixed_are_each_aligned_for_themselves(desk: Desk) -> None:
    choice = Choice("base", "other", "ink", "Triple sum", align=True)
    assert steps(desk, choice)[:2] == ["B2 = rebasin(B, to = A)", "C2 = rebasin(C, to = A)"]


def test_it_says_what_moved_and_what_that_costs_and_keeps_what_it_found(desk: Desk) -> None:
    said = alignment_note(desk, TICKED)
    assert said.startswith("B: 83 of 138 groups moved, ")
    assert said.endswith("LoRAs trained on B do not fit the result; those of A do.")
    (kept,) = (desk.mixer.host.data() / "alignments").iterdir()
    written = kept.stat().st_mtime_ns
    again = Desk(PaperMixer(desk.mixer.host))  # type: ignore[arg-type]
    assert alignment_note(again, TICKED) == said
    assert kept.stat().st_mtime_ns == written


def test_it_says_plainly_where_nothing_was_to_be_done(desk: Desk) -> None:
    said = alignment_note(desk, Choice("base", "ink", method="Weighted sum", align=True))
    assert said.startswith("B is already aligned: ")
    assert "LoRA" not in said


def test_an_error_is_told_in_its_own_words(tmp_path: Path) -> None:
    for name, family in (("a", "sd1"), ("b", "sdxl")):
        write_tiny(tmp_path / f"{name}.safetensors", family=family)
    desk = Desk(PaperMixer(PaperHost(tmp_path, tmp_path / "data")))
    assert alignment_note(desk, Choice("a", "b", method="Weighted sum", align=True)).startswith(
        "Not aligned: "
    )


def test_over_http_it_is_true_or_false(desk: Desk) -> None:
    body = {"method": "weighted_sum", "a": "base", "b": "other"}
    assert len(desk.mixer.read({**body, "align": True}).recipe.ingredients) == 3
    assert len(desk.mixer.read({**body, "align": False}).recipe.ingredients) == 2
    with pytest.raises(RecipeError, match="align is true or false"):
        desk.mixer.read({**body, "align": "yes"})
