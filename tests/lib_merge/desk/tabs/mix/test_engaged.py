"""A page loads the merge in memory that it did not request: after a reload, in a second tab, from the API."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lib_merge.architectures import family_by_id
from lib_merge.desk.protocol import Response
from lib_merge.desk.selection import VAE_FADER, VAE_OF_B, Selection, merge_request
from lib_merge.desk.status import engaged_id
from lib_merge.desk.tabs.history.paste import PageSetup
from lib_merge.desk.tabs.mix.engaged import EngagedMerge, engaged_merge, render_changes_text
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny
from tests.support.swaps import asked, restore, swap_in

pytestmark = pytest.mark.newest_only

BOTH = Selection("ink", "pastel", method="Weighted sum")
SLOTS = tuple(slot.id for slot in family_by_id("sd1").slots)
CHAIN = """merge-desk recipe 2
A = "ink.safetensors"
B = "pastel.safetensors"
X = weighted_sum(A, B, alpha = 0.5)
Y = weighted_sum(X, A, alpha = 0.25)
save Y
"""


@pytest.fixture
def service(tmp_path: Path) -> PaperService:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("ink", "pastel", "third"):
        write_tiny(models / f"{name}.safetensors", seed=len(name))
    return PaperService(PaperHost(models, tmp_path / "data"))


def faders(**amounts: float) -> dict[str, float]:
    """As the page sends them: every slot by name."""
    return {slot: amounts.get(slot, 0.0) for slot in SLOTS}


def apply(page: DeskPage, request_id: str, **amounts: float) -> Response:
    return page.ask("mix.apply", parameters={"alpha": faders(**amounts)}, engaged=request_id)


def engaged(response: Response) -> str:
    assert response.status is not None
    return response.status.engaged


def setup(merge: EngagedMerge) -> PageSetup:
    assert merge.setup is not None
    return merge.setup


@pytest.mark.parametrize(
    ("choice", "parameters"),
    [
        (BOTH, {"alpha": faders(OUT05=0.5, IN00=-0.25)}),
        (Selection("pastel", "ink", method="Weighted sum", vae=VAE_OF_B, dtype="fp16"), {"alpha": faders()}),
        (Selection("ink", "pastel", method="Weighted sum", vae=VAE_FADER), {"alpha": faders(VAE=0.5)}),
        (
            Selection("ink", "pastel", "third", "Triple sum", align=True),
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
        (Selection("ink", "pastel", method="DARE"), {"density": 0.3, "scale": 2.0, "elect": True, "seed": 5}),
        (Selection("ink", method="Adjust"), {"contrast": 0.5}),
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
def test_what_a_page_asked_for_is_what_another_continues_with(
    service: PaperService, choice: Selection, parameters: dict[str, object]
) -> None:
    service.engaged = merge_request(service, choice, parameters)
    merge = engaged_merge(service)
    assert merge.notes == ()
    taken = setup(merge)
    assert taken.why == ""
    again = Selection(
        taken.lists["a"],
        taken.lists.get("b", ""),
        taken.lists.get("c", ""),
        taken.lists["method"],
        taken.lists["vae"],
        taken.lists["dtype"],
        merge.align,
    )
    restored = merge_request(service, again, {**taken.amounts, **taken.scalars, **taken.extras})
    for name, setting in service.engaged.settings.items():
        assert restored.settings[name] == setting
    assert replace(restored, settings={}) == replace(service.engaged, settings={})


def test_nothing_is_taken_up_where_no_merge_is_engaged(service: PaperService) -> None:
    assert engaged_merge(service) == EngagedMerge()
    swap_in(service, merge_request(service, BOTH, {"alpha": faders()}))
    assert engaged_merge(service).id
    restore(service)
    assert engaged_merge(service) == EngagedMerge()


def test_numbers_of_the_api_stand_on_the_faders_and_what_no_fader_shows_is_said(
    service: PaperService,
) -> None:
    body = {
        "method": "weighted_sum",
        "a": "ink",
        "b": "pastel",
        "alpha": 0.5,
        "text_encoder": "b",
        "vae": "none",
    }
    swap_in(service, body)
    merge = engaged_merge(service)
    assert setup(merge).amounts["alpha"]["OUT05"] == 0.5
    assert merge.notes == (
        "Not shown on this page, and lost with the next change: the text encoder, a merge without VAE.",
    )


def test_a_recipe_with_faders_is_shown_and_a_chain_says_why_it_is_not(service: PaperService) -> None:
    one = CHAIN.replace("Y = weighted_sum(X, A, alpha = 0.25)\nsave Y", "save X")
    service.engaged = asked({"recipe": one})
    assert setup(engaged_merge(service)).lists["b"] == "pastel"
    service.engaged = asked({"recipe": CHAIN})
    shown = setup(engaged_merge(service))
    assert (shown.why, dict(shown.lists)) == ("it has 2 steps, and the sliders show one", {})
    assert "Y = weighted_sum(X, A" in shown.recipe


def test_an_engaged_merge_whose_file_is_gone_is_reported_and_raises_nothing(service: PaperService) -> None:
    service.engaged = asked({"method": "weighted_sum", "a": "gone", "b": "ink"})
    assert "gone" in setup(engaged_merge(service)).why


def test_the_id_follows_what_is_asked_for(service: PaperService) -> None:
    ids = [engaged_id(service)]
    for alpha in (0.5, 0.6, 0.5):
        swap_in(service, {"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": alpha})
        ids.append(engaged_id(service))
    assert ids[0] == ""
    assert ids[1] == ids[3] != ids[2]


def test_a_merge_that_a_page_has_not_seen_is_not_replaced_by_its_next_move(service: PaperService) -> None:
    mine, theirs = DeskPage(service, BOTH), DeskPage(service, BOTH)
    first = apply(mine, "", OUT05=0.5)
    other = apply(theirs, engaged(first), IN00=0.5)
    held = apply(mine, engaged(first), OUT05=0.6)
    assert (held.data.changed_elsewhere, engaged(held), held.problem) == (True, engaged(other), None)
    assert held.data.changes == "IN00 is 0.5, OUT05 is 0"
    assert len(service.requests) == 2
    again = apply(mine, engaged(held), OUT05=0.6)
    assert (again.data.changed_elsewhere, len(service.requests)) == (False, 3)


def test_a_page_whose_merge_was_taken_out_elsewhere_goes_on(service: PaperService) -> None:
    page = DeskPage(service, BOTH)
    first = apply(page, "", OUT05=0.5)
    restore(service)
    again = apply(page, engaged(first), OUT05=0.6)
    assert (again.data.changed_elsewhere, len(service.requests)) == (False, 2)


@pytest.mark.parametrize(
    ("theirs", "text"),
    [
        ({"b": "third"}, "B is third"),
        (
            {"alpha": {"OUT05": 0.5}, "weights": "OUT: 0.9\nattn1: 0.2"},
            "the text of rules is OUT: 0.9 attn1: 0.2, OUT05 is 0.5",
        ),
        ({"recipe": CHAIN}, "it was made from a recipe"),
        ({"alpha": dict.fromkeys(SLOTS, 1.0)}, "BASE is 1, IN00 is 1, IN01 is 1, IN02 is 1 and 25 more"),
    ],
)
def test_what_was_changed_elsewhere_is_shown(theirs: dict[str, object], text: str) -> None:
    mine: dict[str, object] = {"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": {"OUT05": 0.0}}
    other = theirs if "recipe" in theirs else {**mine, **theirs}
    assert render_changes_text(asked(mine), asked(other)) == text
