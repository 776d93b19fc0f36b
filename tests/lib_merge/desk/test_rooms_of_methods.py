"""The rooms Weights and Methods: what they answer, and what the desk asks for with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lib_merge.desk.handlers import Choice, Desk
from lib_merge.desk.methods import groups, shelf, title_of
from lib_merge.desk.view import desk_methods, to_json
from lib_merge.desk.weights import Trial, tried
from lib_merge.methods import METHODS
from lib_merge.recipe import Rules, parse_rules
from lib_merge.registry import PURPOSES
from tests.desk_host import PaperHost, PaperMixer
from tests.full_size import write_tiny

Move = dict[str, object]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    for name in "ab":
        write_tiny(tmp_path / f"{name}.safetensors", seed=ord(name))
    return Desk(PaperMixer(PaperHost(tmp_path, tmp_path / "out")))


def ask(desk: Desk, rules: str, *, a: str = "", family: str = "sd1", action: str = "test") -> Trial:
    text = json.dumps({"seq": 3, "action": action, "family": family, "parameters": {"text": rules}})
    return tried(desk, text, Choice(a=a))


def test_rules_are_tried_on_a_or_on_its_family_while_there_is_none(desk: Desk) -> None:
    for a in ("", "a"):
        trial = ask(desk, "0.5; OUT: 0.7; OUT attn1: 0.2", a=a)
        assert trial.problem is None
        assert [(hit.hits, hit.wins) for hit in trial.hits[1:]] == [(388, 343), (45, 45)]
        assert trial.slots is not None
        assert (trial.slots["IN05"], trial.slots["OUT05"], trial.slots["VAE"]) == (0.5, 0.7, 0.0)
        assert trial.ways is not None
        assert trial.ways["OUT05"] == {"0.7 (rule 2)": 35, "0.2 (rule 3)": 5}
        assert json.loads(to_json(trial))["seq"] == 3


def test_a_mistake_in_the_rules_is_told_in_the_room(desk: Desk) -> None:
    problem = ask(desk, "out05: 1").problem
    assert problem is not None
    assert "'OUT05'" in problem.hint


def test_the_room_opens_with_presets_by_name_and_the_sliders_of_adjust(desk: Desk) -> None:
    opened = ask(desk, "", action="open")
    assert len(opened.names) == 42
    assert ("GRAD_V", "") in opened.names
    assert dict(opened.names)["STYLE"].startswith("the manner of drawing")
    assert [knob.name for knob in opened.adjust][3:5] == ["contrast", "brightness"]
    assert ask(desk, "", action="open", family="flux").names == opened.names


def test_rules_and_adjust_go_into_what_the_desk_asks_for(desk: Desk) -> None:
    choice = Choice(a="a", b="b", method="Weighted sum")
    body = desk.body(choice, {"alpha": {"OUT05": 0.3}, "weights": "attn1: 0.2", "adjust": "0,0,0,2"})
    recipe = desk.mixer.read(body).recipe
    alpha = dict(recipe.steps[0].settings)["alpha"]
    assert alpha == Rules(parse_rules("*: 0\nOUT05: 0.3\n---\nattn1: 0.2").lines)
    assert recipe.steps[1].method == "adjust"
    near = desk.body(Choice(a="a", b="b", method="NearSwap"), {"weights": "attn1: 0.2"})
    assert "weights" not in near, "it has no amount by block"


def test_every_method_has_one_card_with_a_sentence_a_formula_and_a_drawing() -> None:
    cards = [card for group in groups() for card in group.cards]
    assert [group.purpose for group in groups()] == list(PURPOSES)
    assert sorted(card.id for card in cards) == sorted(method.id for method in METHODS.all())
    for card in cards:
        assert card.summary
        assert card.formula
        assert card.drawing["a"]
        assert len(card.drawing["out"]) == len(card.drawing["a"])
        assert bool(card.refusal) == (METHODS.get(card.id) not in desk_methods())


def test_what_the_desk_cannot_use_cannot_be_chosen() -> None:
    assert title_of('{"name": "add_difference"}') == "Add difference"
    assert title_of('{"name": "weighted_models"}') is None
    assert title_of('{"name": "nonsense"}') is None


def test_the_shelf_says_what_is_chosen() -> None:
    told = shelf('{"seq": 4, "action": "open"}', Choice(method="Add difference"))
    assert (told.seq, told.chosen, len(told.groups)) == (4, "add_difference", len(PURPOSES))
    assert shelf("{}", Choice()).groups == ()
