"""A page that did not ask for the merge in memory takes it up: a reload, a second tab, the API's merge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lib_merge.architectures import family_by_id
from lib_merge.desk.engaged import Engaged, changes_in_words, engaged_id, engaged_of
from lib_merge.desk.handlers import Choice, Desk
from lib_merge.desk.paste import Setup
from lib_merge.desk.view import VAE_FADER, VAE_OF_B
from tests.desk_host import PaperHost, PaperMixer
from tests.full_size import write_tiny

BOTH = Choice("ink", "pastel", method="Weighted sum")
SLOTS = tuple(slot.id for slot in family_by_id("sd1").slots)
CHAIN = """merge-desk recipe 2
A = "ink.safetensors"
B = "pastel.safetensors"
X = weighted_sum(A, B, alpha = 0.5)
Y = weighted_sum(X, A, alpha = 0.25)
save Y
"""


@pytest.fixture
def mixer(tmp_path: Path) -> PaperMixer:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("ink", "pastel", "third"):
        write_tiny(models / f"{name}.safetensors", seed=len(name))
    return PaperMixer(PaperHost(models, tmp_path / "data"))


@pytest.fixture
def desk(mixer: PaperMixer) -> Desk:
    return Desk(mixer)


def faders(**amounts: float) -> dict[str, float]:
    """As the page sends them: every slot by name."""
    return {slot: amounts.get(slot, 0.0) for slot in SLOTS}


def move(action: str = "apply", **facts: Any) -> str:
    return json.dumps({"seq": 7, "action": action, **facts})


def setup(found: Engaged) -> Setup:
    assert found.setup is not None
    return found.setup


@pytest.mark.parametrize(
    ("choice", "parameters"),
    [
        (BOTH, {"alpha": faders(OUT05=0.5, IN00=-0.25)}),
        (Choice("pastel", "ink", method="Weighted sum", vae=VAE_OF_B, dtype="fp16"), {"alpha": faders()}),
        (Choice("ink", "pastel", method="Weighted sum", vae=VAE_FADER), {"alpha": faders(VAE=0.5)}),
        (
            Choice("ink", "pastel", "third", "Triple sum", align=True),
            {"alpha": faders(M00=0.3), "beta": faders(OUT11=1.5)},
        ),
        (
            BOTH,
            {
                "alpha": faders(OUT05=0.5),
                "weights": "OUT: 0.9\nattn1: 0.2",
                "adjust": "0, 0, 0, 0.1, 0, 0, 0, 0",
            },
        ),
        (Choice("ink", "pastel", method="DARE"), {"density": 0.3, "scale": 2.0, "elect": True, "seed": 5}),
        (Choice("ink", method="Adjust"), {"contrast": 0.5}),
    ],
    ids=[
        "amounts",
        "vae and dtype",
        "vae fader",
        "three models, aligned",
        "rules and Adjust",
        "knobs",
        "one model",
    ],
)
def test_what_a_page_asked_for_is_what_another_takes_up(
    desk: Desk, choice: Choice, parameters: dict[str, object]
) -> None:
    desk.mixer.asked = dict(desk.body(choice, parameters))
    found = desk.take()
    assert found.notes == ()
    taken = setup(found)
    assert taken.why == ""
    again = Choice(
        taken.lists["a"],
        taken.lists.get("b", ""),
        taken.lists.get("c", ""),
        taken.lists["method"],
        taken.lists["vae"],
        taken.lists["dtype"],
        found.align,
    )
    body = desk.body(again, {**taken.amounts, **taken.knobs, **taken.extras})
    assert {word: body.get(word) for word in desk.mixer.asked} == desk.mixer.asked


def test_nothing_is_taken_up_where_no_merge_is_engaged(desk: Desk) -> None:
    assert desk.take() == Engaged()
    desk.mixer.apply(desk.body(BOTH, {"alpha": faders()}))
    assert desk.take().id
    desk.mixer.restore()
    assert desk.take() == Engaged()


def test_numbers_of_the_api_stand_on_the_faders_and_what_no_fader_shows_is_said(desk: Desk) -> None:
    body = {
        "method": "weighted_sum",
        "a": "ink",
        "b": "pastel",
        "alpha": 0.5,
        "text_encoder": "b",
        "vae": "none",
    }
    desk.mixer.apply(body)
    found = desk.take()
    assert setup(found).amounts["alpha"]["OUT05"] == 0.5
    assert found.notes == (
        "Not shown here, and left out by the next move: the text encoder, a merge without VAE.",
    )


def test_a_recipe_with_faders_is_shown_and_a_chain_says_why_it_is_not(mixer: PaperMixer) -> None:
    mixer.asked = {"recipe": CHAIN.replace("Y = weighted_sum(X, A, alpha = 0.25)\nsave Y", "save X")}
    assert setup(engaged_of(mixer)).lists["b"] == "pastel"
    mixer.asked = {"recipe": CHAIN}
    found = setup(engaged_of(mixer))
    assert (found.why, dict(found.lists)) == ("it has 2 steps, and the faders show one", {})
    assert "Y = weighted_sum(X, A" in found.recipe


def test_an_engaged_merge_whose_file_is_gone_is_told_and_raises_nothing(mixer: PaperMixer) -> None:
    mixer.asked = {"method": "weighted_sum", "a": "gone", "b": "ink"}
    assert "gone" in setup(engaged_of(mixer)).why


def test_the_id_follows_what_is_asked_for(mixer: PaperMixer) -> None:
    ids = [engaged_id(mixer)]
    for alpha in (0.5, 0.6, 0.5):
        mixer.apply({"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": alpha})
        ids.append(engaged_id(mixer))
    assert ids[0] == ""
    assert ids[1] == ids[3] != ids[2]


def test_a_merge_that_a_page_has_not_seen_is_not_replaced_by_its_next_move(mixer: PaperMixer) -> None:
    mine, theirs = Desk(mixer), Desk(mixer)
    first = mine.turn(move(parameters={"alpha": faders(OUT05=0.5)}, engaged=""), BOTH, {})
    other = theirs.turn(move(parameters={"alpha": faders(IN00=0.5)}, engaged=first.engaged), BOTH, {})
    held = mine.turn(move(parameters={"alpha": faders(OUT05=0.6)}, engaged=first.engaged), BOTH, {})
    assert (held.elsewhere, held.engaged, held.problem) == (True, other.engaged, None)
    assert held.changes == "IN00 is 0.5, OUT05 is 0"
    assert len(mixer.bodies) == 2
    again = mine.turn(move(parameters={"alpha": faders(OUT05=0.6)}, engaged=held.engaged), BOTH, {})
    assert (again.elsewhere, len(mixer.bodies)) == (False, 3)


def test_a_page_whose_merge_was_taken_out_elsewhere_goes_on(mixer: PaperMixer) -> None:
    desk = Desk(mixer)
    first = desk.turn(move(parameters={"alpha": faders(OUT05=0.5)}, engaged=""), BOTH, {})
    mixer.restore()
    again = desk.turn(move(parameters={"alpha": faders(OUT05=0.6)}, engaged=first.engaged), BOTH, {})
    assert (again.elsewhere, len(mixer.bodies)) == (False, 2)


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        ({"b": "third"}, "B is third"),
        (
            {"alpha": {"OUT05": 0.5}, "weights": "OUT: 0.9\nattn1: 0.2"},
            "the text of rules is OUT: 0.9 attn1: 0.2, OUT05 is 0.5",
        ),
        ({"recipe": "x"}, "it was made by a recipe"),
        ({"alpha": dict.fromkeys(SLOTS, 1.0)}, "BASE is 1, IN00 is 1, IN01 is 1, IN02 is 1 and 25 more"),
    ],
)
def test_what_was_changed_elsewhere_is_told(theirs: dict[str, object], told: str) -> None:
    mine: dict[str, object] = {"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": {"OUT05": 0.0}}
    assert changes_in_words(mine, {**mine, **theirs}) == told
