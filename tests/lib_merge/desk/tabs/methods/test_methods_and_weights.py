"""The handlers of the tabs Weights and Methods, and the merge requests that follow from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib_merge.desk.selection import Selection, desk_methods, merge_request
from lib_merge.desk.tabs.methods.view import method_groups
from lib_merge.methods import METHODS
from lib_merge.recipe import Rules, parse_rules
from lib_merge.registry import PURPOSES
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny


@pytest.fixture
def service(tmp_path: Path) -> PaperService:
    for name in "ab":
        write_tiny(tmp_path / f"{name}.safetensors", seed=ord(name))
    return PaperService(PaperHost(tmp_path, tmp_path / "out"))


@pytest.fixture
def page(service: PaperService) -> DeskPage:
    return DeskPage(service)


def test_rules_are_tried_on_a_or_on_its_family_while_there_is_none(page: DeskPage) -> None:
    for a in ("", "a"):
        rules = {"text": "0.5; OUT: 0.7; OUT attn1: 0.2", "family": "sd1"}
        result = page.data("weights.test", Selection(a=a), **rules)
        assert [(stat.hits, stat.wins) for stat in result.stats[1:]] == [(388, 343), (45, 45)]
        assert (
            result.amount_by_slot["IN05"],
            result.amount_by_slot["OUT05"],
            result.amount_by_slot["VAE"],
        ) == (0.5, 0.7, 0.0)
        assert result.tensors_by_amount["OUT05"] == {"0.7 (rule 2)": 35, "0.2 (rule 3)": 5}
        assert page.data("weights.copy", Selection(a=a), **rules) == result


def test_a_mistake_in_the_rules_is_shown_in_the_tab(page: DeskPage) -> None:
    assert "'OUT05'" in page.problem("weights.test", text="out05: 1").hint


def test_the_tab_opens_with_presets_by_name_and_the_sliders_of_adjust(page: DeskPage) -> None:
    opened = page.data("weights.open", family="sd1")
    assert len(opened.presets) == 42
    assert ("GRAD_V", "") in opened.presets
    assert dict(opened.presets)["STYLE"].startswith("the manner of drawing")
    assert [parameter.name for parameter in opened.adjust][3:5] == ["contrast", "brightness"]
    assert page.data("weights.open", family="flux").presets == opened.presets
    assert opened.own == ()


def test_the_tab_has_the_users_presets_as_rules_which_a_recipe_can_hold(page: DeskPage) -> None:
    page.data("mix.save_preset", name="first try", amounts={"OUT05": 0.6, "OUT": 0.6, "IN01": 0.2, "VAE": 0})
    assert page.data("weights.open", family="sd1").own == (("first try", "OUT05 FINAL: 0.6\nIN01: 0.2"),)
    assert page.data("weights.open", family="sdxl").own == ()


def test_rules_and_adjust_go_into_what_the_desk_asks_for(service: PaperService) -> None:
    choice = Selection(a="a", b="b", method="Weighted sum")
    parameters = {"alpha": {"OUT05": 0.3}, "weights": "attn1: 0.2", "adjust": "0,0,0,2"}
    recipe = service.resolve(merge_request(service, choice, parameters)).recipe
    alpha = dict(recipe.steps[0].settings)["alpha"]
    assert alpha == Rules(parse_rules("*: 0\nOUT05: 0.3\n---\nattn1: 0.2").lines)
    assert recipe.steps[1].method == "adjust"
    near = merge_request(service, Selection(a="a", b="b", method="NearSwap"), {"weights": "attn1: 0.2"})
    assert not near.block_lists, "it has no amount by block"


def test_every_method_has_one_card_with_a_sentence_a_formula_and_a_drawing() -> None:
    cards = [card for group in method_groups() for card in group.cards]
    assert [group.purpose for group in method_groups()] == list(PURPOSES)
    assert sorted(card.id for card in cards) == sorted(method.id for method in METHODS.all())
    for card in cards:
        assert card.summary
        assert card.formula
        assert card.drawing["a"]
        assert len(card.drawing["out"]) == len(card.drawing["a"])
        assert bool(card.unavailable_reason) == (METHODS.get(card.id) not in desk_methods())


def test_what_the_desk_cannot_use_cannot_be_chosen(page: DeskPage) -> None:
    assert page.data("methods.choose", name="add_difference").title == "Add difference"
    assert page.data("methods.choose", name="weighted_models").title is None
    assert page.data("methods.choose", name="nonsense").title is None


def test_the_cards_say_what_is_chosen(page: DeskPage) -> None:
    cards = page.data("methods.open", Selection(method="Add difference"))
    assert (cards.chosen, len(cards.groups)) == ("add_difference", len(PURPOSES))
