"""What the buttons do, on a mixer that notes what it is asked."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from lib_merge.architectures import family_by_id
from lib_merge.desk.grid_handlers import GridRoom
from lib_merge.desk.handlers import Choice, Desk
from lib_merge.desk.history_view import Memory
from lib_merge.desk.methods import shelf
from lib_merge.desk.report_handlers import ReportDesk
from lib_merge.desk.view import VAE_FADER, VAE_OF_B, Answer, Marks, desk_methods, to_json
from lib_merge.desk.weights import tried
from lib_merge.errors import MergeError, NumbersError, PlanError
from lib_merge.methods import METHODS
from lib_merge.plan.amounts import Amounts
from lib_merge.registry import Method
from tests.desk_host import PaperHost, PaperMixer
from tests.full_size import write_tiny

BOTH = Choice("ink", "pastel", method="Weighted sum")


@pytest.fixture
def mixer(tmp_path: Path) -> PaperMixer:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("ink", "pastel"):
        write_tiny(models / f"{name}.safetensors", seed=len(name))
    return PaperMixer(PaperHost(models, tmp_path / "data"))


@pytest.fixture
def desk(mixer: PaperMixer) -> Desk:
    return Desk(mixer)


def move(action: str, **facts: Any) -> str:
    return json.dumps({"seq": 7, "action": action, **facts})


def apply(desk: Desk, choice: Choice = BOTH, **parameters: Any) -> Answer:
    return desk.turn(move("apply", parameters=parameters), choice, {"prompt": "a cat", "seed": 3})


def test_the_lists_offer_what_the_host_has(desk: Desk) -> None:
    offer = desk.offer()
    assert (offer.checkpoints, offer.loaded) == (("ink", "pastel"), "ink")
    assert offer.methods[0] == "Weighted sum"


def test_an_empty_desk_says_what_to_do_first(desk: Desk) -> None:
    assert desk.scene(Choice()).empty.startswith("Choose A to begin")
    assert desk.scene(Choice("ink")).empty.startswith("Choose B to begin")
    assert desk.scene(Choice("ink", "pastel", method="Triple sum")).empty.startswith("Choose C")
    assert desk.scene(BOTH).empty == ""


def test_the_faders_are_those_of_the_family_of_a(desk: Desk, mixer: PaperMixer) -> None:
    write_tiny(mixer.host.checkpoints()[0].path.with_name("xl.safetensors"), "sdxl")
    assert (desk.scene(BOTH).family, desk.scene(Choice("xl")).family) == ("sd1", "sdxl")


def test_an_a_that_is_gone_leaves_faders_and_a_plain_word(desk: Desk) -> None:
    scene = desk.scene(Choice("inc", "pastel"))
    assert scene.board.left
    assert scene.problem is not None
    assert scene.problem.what == "There is no checkpoint called 'inc'"


def test_a_move_is_swapped_in_and_drawn_with_the_fields_of_the_page(desk: Desk, mixer: PaperMixer) -> None:
    answer = apply(desk, alpha={"OUT05": 0.5, "VAE": 0.5})
    assert mixer.bodies == [
        {
            "method": "weighted_sum",
            "a": "ink",
            "b": "pastel",
            "alpha": {"OUT05": 0.5},
            "vae": "a",
            "dtype": "source",
        }
    ]
    assert (mixer.settings[0].prompt, mixer.settings[0].seed, mixer.settings[0].sampler) == (
        "a cat",
        3,
        "Euler a",
    )
    assert (answer.seq, answer.action, answer.problem) == (7, "apply", None)
    assert answer.picture.startswith("data:image/png;base64,")
    assert answer.status.startswith("ink + pastel (unsaved) is in memory, on top of ink. 1 block changed")


def test_the_vae_fader_counts_only_where_the_vae_is_blended(desk: Desk, mixer: PaperMixer) -> None:
    apply(desk, Choice("ink", "pastel", vae=VAE_FADER), alpha={"VAE": 0.5})
    apply(desk, Choice("ink", "pastel", vae=VAE_OF_B), alpha={"VAE": 0.5})
    assert [(body["vae"], body["alpha"]) for body in mixer.bodies] == [("blend", {"VAE": 0.5}), ("b", {})]
    assert desk.scene(BOTH).still.keys() == {"VAE"}
    assert not desk.scene(Choice("ink", "pastel", vae=VAE_FADER)).still


@pytest.mark.parametrize("method", desk_methods(), ids=lambda method: method.id)
def test_a_method_without_block_weights_says_so_and_its_faders_do_nothing(desk: Desk, method: Method) -> None:
    scene = desk.scene(Choice("ink", "pastel", "ink", method.title, VAE_FADER))
    slots = {slot.id for slot in family_by_id("sd1").slots}
    taken = {parameter.name for parameter in method.parameters} & {"alpha", "beta"}
    assert set(scene.still) == (set() if taken else slots)
    assert scene.unused.startswith(f"{method.title} has no block weights") is not bool(taken)


@pytest.mark.parametrize(
    ("family", "absent"), [("sd1", set()), ("sd2", {"LABEL"}), ("sdxl", set()), ("sdxl-refiner", set())]
)
def test_every_fader_of_whole_models_moves_something(
    desk: Desk, mixer: PaperMixer, family: str, absent: set[str]
) -> None:
    folder = mixer.host.checkpoints()[0].path.parent
    for seed, name in enumerate(("one", "two")):
        write_tiny(folder / f"{name}.safetensors", family, seed=seed)
    for title in ("Weighted sum", "Cosine A", "Scale (self)"):
        assert desk.scene(Choice("one", "two", method=title, vae=VAE_FADER)).still.keys() == absent


def test_a_fader_of_what_one_of_the_models_does_not_have_says_so(desk: Desk, mixer: PaperMixer) -> None:
    whole = mixer.host.checkpoints()[0].path
    unet = {
        key: tensor for key, tensor in load_file(whole).items() if key.startswith("model.diffusion_model.")
    }
    save_file(unet, whole.with_name("unet.safetensors"))
    of_b = desk.scene(Choice("ink", "unet", method="Weighted sum"))
    of_a = desk.scene(Choice("unet", "ink", method="Weighted sum"))
    assert (of_a.problem, of_b.problem) == (None, None)
    assert of_b.still["BASE"] == "only A has tensors here, and they stay"
    assert of_a.still["BASE"] == "A has no tensors here"
    assert of_a.still.keys() == of_b.still.keys() == {"BASE", "VAE"}


def test_what_shapes_the_merge_besides_the_faders_is_named(desk: Desk) -> None:
    asked = {"weights": "OUT: 0.9\nattn1: 0.2", "adjust": "0, 0, 0, 0.1, 0, 0, 0, -2"}
    choice = Choice("ink", "pastel", method="Weighted sum", align=True)
    effects = desk.look(move("look", parameters=asked), choice).effects
    assert effects is not None
    assert [(each.kind, each.text) for each in effects.items] == [
        ("align", "B is aligned to A"),
        ("rules", "rules OUT: 0.9; attn1: 0.2"),
        ("adjust", "Adjust contrast 0.1, yellow blue -2"),
    ]
    assert effects.held["OUT05"].text.startswith("held at 0.2 to 0.9 by the rules OUT: 0.9, attn1: 0.2")
    assert effects.held["IN01"].whole is False
    assert "IN00" not in effects.held


def test_random_weights_are_named_and_a_method_without_block_weights_says_that_it_leaves_rules_out(
    desk: Desk,
) -> None:
    asked = {"weights": "uniform(0, 1, seed = 3)"}
    random = desk.look(move("look", parameters=asked), BOTH).effects
    unused = desk.look(move("look", parameters=asked), Choice("ink", "pastel", method="TIES")).effects
    assert random is not None
    assert unused is not None
    assert random.items[0].text == "random weights uniform(0, 1, seed = 3)"
    assert unused.items[0].text == "rules, which TIES does not use: it has no block weights"
    assert (len(random.held) > 20, unused.held) == (True, {})


@pytest.mark.parametrize(
    "rules",
    [
        "OUT: 0.9",
        "0.5*GRAD_V + 0.5*COSINE",
        "OUT05: 0.3; exclude FINAL",
        ", ".join(["0.25"] * 26),
        "IN00-IN03: 1",
    ],
)
def test_what_holds_a_fader_is_what_the_merge_does(desk: Desk, mixer: PaperMixer, rules: str) -> None:
    apply(desk, alpha={"OUT05": 0.5, "IN00": 0.5}, weights=rules)
    effects = desk.look(move("look", parameters={"weights": rules}), BOTH).effects
    assert effects is not None
    asked = mixer.read(mixer.bodies[-1])
    amounts = Amounts(family_by_id("sd1"), tuple(mixer.header(asked.files["ink.safetensors"]).tensors))
    step = asked.recipe.steps[0]
    whole = {slot: held.value for slot, held in effects.held.items() if held.whole and slot != "VAE"}
    assert whole
    for slot, value in whole.items():
        setting = step.setting(METHODS.get(step.method).parameter("alpha"))
        kept = amounts.keeps(step, slot)
        assert float(value) == pytest.approx(0 if kept else amounts.at(setting, slot), abs=1e-3)  # type: ignore[arg-type]


def test_a_moved_fader_that_a_rule_holds_is_told_which(desk: Desk) -> None:
    answer = apply(desk, alpha={"OUT05": 0.5, "IN00": 0.5}, weights="OUT05: 0.9")
    assert answer.status.endswith("OUT05 is held at 0.9 by the rule OUT05: 0.9.")
    again = apply(desk, alpha={"OUT05": 0.5, "IN00": 0.6}, weights="OUT05: 0.9")
    assert "held" not in again.status  # it was not moved


def test_rules_that_are_not_understood_are_named_and_hold_nothing(desk: Desk) -> None:
    effects = desk.look(move("look", parameters={"weights": "OUT05 0.5"}), BOTH).effects
    assert effects is not None
    assert ([each.text for each in effects.items], effects.held) == (["rules OUT05 0.5"], {})


def test_a_move_that_asks_for_nothing_does_nothing(desk: Desk, mixer: PaperMixer) -> None:
    assert desk.turn("{}", BOTH, {}).problem is None
    assert mixer.bodies == []


@pytest.mark.parametrize(
    "value", ["x", "0.5", None, True, [1], {"a": 1}, float("nan"), float("inf"), 10**400]
)
def test_a_preset_that_is_no_numbers_is_refused_and_nothing_is_kept(desk: Desk, value: object) -> None:
    answer = desk.keep(move("keep", name="mine", parameters={"IN00": value}))
    assert answer.problem is not None
    assert "error of its own" not in answer.problem.what
    assert not [each for each in answer.presets or () if each.own]


def test_the_page_is_told_names_of_files_and_no_folder(desk: Desk, mixer: PaperMixer) -> None:
    lost = mixer.host.data() / "My models" / "lost.safetensors"
    failures = [
        MergeError("there is already a file of that name", where=str(lost)),
        PlanError([MergeError("it is gone", where=str(lost)), MergeError(f"'{lost}' is cut short")]),
        OSError(f"[Errno 28] No space left on device: '{mixer.host.data() / 'lost.safetensors'}'"),
    ]
    for failure in failures:
        mixer.failure = failure
        problem = apply(desk, alpha=0.5).problem
        assert problem is not None
        assert "lost.safetensors" in str(problem)
        assert str(mixer.host.data()) not in str(problem)


def test_a_parameter_of_another_method_is_left_out(desk: Desk, mixer: PaperMixer) -> None:
    apply(desk, alpha=0.5, beta=0.5)
    assert "beta" not in mixer.bodies[0]


def test_a_third_model_goes_in_where_the_method_takes_three(desk: Desk, mixer: PaperMixer) -> None:
    three = Choice("ink", "pastel", "ink", "Add difference")
    apply(desk, three, alpha=1.0)
    apply(desk, Choice("ink", "pastel", "ink", "Weighted sum"), alpha=1.0)
    assert [body.get("c") for body in mixer.bodies] == ["ink", None]


def test_a_missing_b_is_asked_for(desk: Desk) -> None:
    answer = apply(desk, Choice("ink"))
    assert answer.problem is not None
    assert answer.problem.what == "Choose B first"


def test_a_failure_keeps_the_status_and_shows_no_traceback(desk: Desk, mixer: PaperMixer) -> None:
    apply(desk, alpha=0.5)
    mixer.failure = NumbersError("NaN in the result", where="OUT05", hint="less of B")
    answer = apply(desk, alpha=0.9)
    assert answer.problem is not None
    assert (answer.problem.what, answer.problem.where, answer.picture) == ("NaN in the result", "OUT05", "")
    assert "is in memory" in answer.status


def test_a_field_that_is_no_number_is_answered_not_thrown(desk: Desk) -> None:
    answer = desk.turn(move("apply"), BOTH, {"steps": "many"})
    assert answer.problem is not None


def test_an_empty_prompt_is_an_empty_prompt_and_an_empty_number_the_usual_one(desk: Desk) -> None:
    settings = desk.settings({"prompt": "", "steps": None, "width": 64.0})
    assert (settings.prompt, settings.steps, settings.width) == ("", 20, 64)


def test_comparing_draws_a_alone_and_brings_the_merge_back(desk: Desk, mixer: PaperMixer) -> None:
    apply(desk, alpha=0.5)
    answer = desk.turn(move("compare"), BOTH, {})
    assert [body["alpha"] for body in mixer.bodies] == [0.5, 0.0, 0.5]
    assert answer.picture
    assert mixer.asked is not None
    assert mixer.asked["alpha"] == 0.5


def test_comparing_before_any_merge_leaves_the_checkpoint(desk: Desk, mixer: PaperMixer) -> None:
    desk.turn(move("compare"), BOTH, {})
    assert not mixer.is_live()


def test_the_picture_of_a_holds_until_a_or_the_settings_change(desk: Desk) -> None:
    same = [desk.turn(move("apply"), BOTH, {"seed": 1}).against for _ in range(2)]
    assert same[0] == same[1]
    assert desk.turn(move("apply"), BOTH, {"seed": 2}).against != same[0]
    assert desk.turn(move("apply"), Choice("pastel", "ink"), {"seed": 1}).against != same[0]


def test_restore_puts_the_checkpoint_back(desk: Desk, mixer: PaperMixer) -> None:
    apply(desk, alpha=0.5)
    answer = desk.turn(move("restore"), BOTH, {})
    assert not mixer.is_live()
    assert answer.status == "ink is in memory, as its file is."


def test_a_saved_merge_shows_its_fact_sheet(desk: Desk) -> None:
    sheet = dict(desk.save(move("save", parameters={"alpha": 0.5}), BOTH, "mix", "safetensors", False).sheet)
    assert sheet["File"] == "mix.safetensors"
    assert sheet["Made from"] == "ink.safetensors, pastel.safetensors"
    assert sheet["SHA256"] == "ab" * 32
    assert sheet["Share of the U-Net"] == "ink 50%, pastel 50%"
    card = desk.save(move("save"), BOTH, "mix", "safetensors", False).card
    assert card.startswith("# mix\n")


def test_parts_are_left_out_of_the_file_alone(desk: Desk, mixer: PaperMixer) -> None:
    left_out = ("without VAE", "without text encoder", "cut what outgrows the format")
    answer = desk.save(move("save"), BOTH, "mix", "safetensors", False, left_out)
    assert dict(answer.sheet)["Embedded VAE"] == "no"
    assert dict(answer.sheet)["Text encoder"] == "no"
    asked = mixer.bodies[-1]
    assert (asked["vae"], asked["text_encoder"], asked["overflow"]) == ("none", "none", "clip")


def test_a_save_that_fails_says_why(desk: Desk, mixer: PaperMixer) -> None:
    mixer.failure = MergeError("there is a file of this name", hint="tick overwrite")
    answer = desk.save(move("save"), BOTH, "mix", "safetensors", False)
    assert answer.problem is not None
    assert answer.problem.hint == "tick overwrite"


def test_own_presets_come_first_and_follow_the_family(desk: Desk) -> None:
    facts = {"name": "faces", "family": "sd1", "parameters": {"OUT05": 0.5}}
    answer = desk.keep(move("keep", **facts))
    assert answer.presets is not None
    assert (answer.presets[0].name, answer.presets[0].own) == ("faces", True)
    assert desk.keep(move("rename", name="faces", new_name="eyes", family="sd1")).presets[0].name == "eyes"  # type: ignore[index]
    assert desk.keep(move("drop", name="eyes", family="sd1")).presets[0].name == "GRAD_V"  # type: ignore[index]


def test_presets_of_another_tool_are_taken_over_with_a_word_on_what_was_not(desk: Desk) -> None:
    text = f"mine\t{', '.join(['0.3'] * 26)}\nALL_A\t{', '.join('0' * 26)}\nodd\t1, 2"
    answer = desk.keep(move("import", family="sd1", parameters={"text": text}))
    assert answer.presets is not None
    assert (answer.presets[0].name, answer.presets[0].values["OUT05"]) == ("mine", 0.3)
    told, odd = answer.notes
    assert told == "1 preset was taken over; 1 is here already"
    assert odd.startswith("not taken over: odd: 2 numbers were given")


def test_differences_mark_the_faders_and_their_failure_is_silent(desk: Desk, mixer: PaperMixer) -> None:
    assert desk.marks(BOTH).at["OUT05"] == 0.2
    assert desk.marks(Choice("ink")) == Marks("ink", "")
    mixer.differences = lambda a, b: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    assert desk.marks(BOTH) == Marks("ink", "pastel")


def test_a_block_that_is_not_finite_is_named_and_reaches_the_page_as_json(
    desk: Desk, mixer: PaperMixer
) -> None:
    found = {"IN00": 0.02, "OUT05": math.nan, "M00": math.inf}
    mixer.differences = lambda a, b: found  # type: ignore[assignment, method-assign]
    marks = desk.marks(BOTH)
    assert (marks.at, marks.broken) == ({"IN00": 0.02}, ("OUT05", "M00"))
    assert json.loads(to_json(marks), parse_constant=pytest.fail)["broken"] == ["OUT05", "M00"]


def test_a_b_of_another_family_is_told_before_the_first_move(desk: Desk, mixer: PaperMixer) -> None:
    write_tiny(mixer.host.checkpoints()[0].path.with_name("xl.safetensors"), "sdxl")
    problem = desk.scene(Choice("ink", "xl", method="Weighted sum")).problem
    assert problem is not None
    assert problem.what.endswith("they cannot be merged")
    assert desk.scene(BOTH).problem is None
    assert desk.scene(Choice("ink", "xl", method="Triple sum")).problem is None  # C is asked for first


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"steps": -3}, "steps cannot be -3"),
        ({"width": 100}, "width cannot be 100"),
        ({"height": 0}, "height cannot be 0"),
        ({"seed": 1e300}, "seed cannot be a number of 997 bits"),
        ({"cfg": math.nan}, "cfg must be a number, not nan"),
    ],
)
def test_a_field_that_nothing_can_be_drawn_with_is_one_sentence(
    desk: Desk, mixer: PaperMixer, fields: dict[str, object], what: str
) -> None:
    answer = desk.turn(move("apply"), BOTH, fields)
    assert answer.problem is not None
    assert answer.problem.what == what
    assert answer.problem.hint
    assert mixer.bodies == []


JUNK = (
    "{",
    "[]",
    "null",
    '"a"',
    "[" * 100_000,
    '{"seq": "x"}',
    '{"seq": NaN}',
    '{"seq": 1e999}',
    '{"seq": [1]}',
    '{"action": "look", "parameters": [1]}',
)


@pytest.mark.parametrize("text", JUNK, ids=range(len(JUNK)))
def test_whatever_the_page_sends_is_answered_in_a_sentence_of_ours(
    desk: Desk, mixer: PaperMixer, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    grid, report, memory = GridRoom(desk), ReportDesk(mixer), Memory(mixer)
    answers = [
        desk.turn(text, BOTH, {}),
        desk.look(text, BOTH),
        desk.keep(text),
        desk.save(text, BOTH, "mix", "safetensors", False),
        tried(desk, text, BOTH),
        grid.turn(text, BOTH, {}),
        grid.take(text)[0],
        report.ask(text, BOTH),
        memory.ask(text),
        shelf(text, BOTH),
    ]
    problems = [answer.problem for answer in answers if getattr(answer, "problem", None)]
    assert all(answer.problem for answer in answers[:3])
    assert not [each for each in problems if each and "error of its own" in each.what]
    assert mixer.bodies == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    for answer in answers:
        json.loads(to_json(answer), parse_constant=pytest.fail)


def test_what_cannot_be_read_stands_below_the_lists_with_the_reason(desk: Desk, mixer: PaperMixer) -> None:
    assert desk.offer().unreadable == ""
    (mixer.host.folders()[0] / "torn <b>.safetensors").touch()
    assert desk.scene(replace(BOTH, a="torn <b>")).problem is not None
    offer = desk.offer(refresh=True)
    assert offer.unreadable == "torn <b>: the file is empty"
