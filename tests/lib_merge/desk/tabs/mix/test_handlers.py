"""The handlers of the tab Mix, with a service that records its calls."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import safetensors.torch

from lib_merge.architectures import family_by_id
from lib_merge.desk.common import to_json
from lib_merge.desk.lists.view import Differences, UiState
from lib_merge.desk.protocol import Response
from lib_merge.desk.selection import VAE_FADER, VAE_OF_B, Selection, desk_methods, drawing_settings
from lib_merge.desk.tabs.mix.effects import Effects
from lib_merge.errors import MergeError, NumericalError, PlanError
from lib_merge.hosts.host import DrawSettings
from lib_merge.plan.amounts import Amounts
from lib_merge.recipe import Slots
from lib_merge.registry import Method
from lib_merge.service.request import MergeRequest
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny

BOTH = Selection("ink", "pastel", method="Weighted sum")


@pytest.fixture
def service(tmp_path: Path) -> PaperService:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("ink", "pastel"):
        write_tiny(models / f"{name}.safetensors", seed=len(name))
    return PaperService(PaperHost(models, tmp_path / "data"))


@pytest.fixture
def page(service: PaperService) -> DeskPage:
    opened = DeskPage(service, BOTH)
    opened.drawing = {"prompt": "a cat", "seed": 3}
    return opened


def apply(page: DeskPage, selection: Selection = BOTH, **parameters: Any) -> Response:
    return page.ask("mix.apply", selection, parameters=parameters)


def test_a_response_on_progress_waits_until_another_merge_is_in_memory(
    page: DeskPage, service: PaperService
) -> None:
    before = apply(page, alpha=0.5).status
    assert before is not None
    with ThreadPoolExecutor(1) as other:
        look = other.submit(DeskPage(service).ask, "mix.progress", engaged=before.engaged, wait=60_000)
        after = apply(page, alpha=0.6).status
        seen = look.result(30).status
    assert after is not None
    assert seen is not None
    assert seen.engaged == after.engaged != before.engaged


def test_a_response_on_progress_waits_no_longer_than_it_was_asked_to(page: DeskPage) -> None:
    status = page.ask("mix.progress", engaged="", wait=1).status
    assert status is not None
    assert not status.engaged


def drawn_by(service: PaperService) -> list[DrawSettings]:
    assert isinstance(service.host, PaperHost)
    return service.host.drawn


def state(page: DeskPage, selection: Selection) -> UiState:
    return page.data("lists.changed", selection)


def look(page: DeskPage, selection: Selection, **parameters: Any) -> Effects:
    return page.data("mix.effects", selection, parameters=parameters).effects


def test_the_lists_offer_what_the_host_has(page: DeskPage) -> None:
    offer = page.data("lists.open")
    assert (offer.checkpoints, offer.loaded) == (("ink", "pastel"), "ink")
    assert offer.methods[0] == "Weighted sum"


def test_an_empty_desk_says_what_to_do_first(page: DeskPage) -> None:
    assert state(page, Selection()).next_step.startswith("Choose A to begin")
    assert state(page, Selection("ink")).next_step.startswith("Choose B to begin")
    assert state(page, Selection("ink", "pastel", method="Triple sum")).next_step.startswith("Choose C")
    assert state(page, BOTH).next_step == ""


def test_a_checkpoint_that_was_chosen_twice_is_pointed_out(page: DeskPage) -> None:
    assert state(page, BOTH).same_models == ""
    twice = state(page, Selection("ink", "ink"))
    assert twice.same_models.startswith("A and B are the same checkpoint")
    assert (twice.next_step, twice.problem) == ("", None)
    zero = state(page, Selection("ink", "pastel", "pastel", method="Add difference"))
    assert zero.same_models.startswith("B and C are the same checkpoint, so that B - C is zero")
    assert state(page, Selection("ink", "ink", "pastel", method="Add difference")).same_models == ""


def test_the_parameters_of_a_method_have_readable_titles(page: DeskPage) -> None:
    titles = {each.name: each.title for each in state(page, Selection("ink", method="Adjust")).method.scalars}
    assert titles["detail_out2"] == "Detail, last layer"
    assert titles["cyan_red"] == "Cyan to red"
    assert titles["contrast"] == "Contrast"
    votes = state(page, Selection("ink", "pastel", method="TIES")).method.scalars
    assert "Count votes" in [each.title for each in votes]


def test_faders_are_grouped_by_text_encoders_columns_and_levels(page: DeskPage) -> None:
    groups = {group.title: group.slots for group in state(page, BOTH).fader_groups}
    assert groups["Text encoders (BASE)"] == ("BASE",)
    assert groups["OUT03-OUT05"] == ("OUT03", "OUT04", "OUT05")
    assert len(groups["All IN"]) == len(groups["All OUT"]) == 12
    assert groups["M00"] == ("M00",)
    assert len(groups["All blocks and text encoders"]) == 26


def test_the_faders_are_those_of_the_family_of_a(page: DeskPage, service: PaperService) -> None:
    write_tiny(service.host.checkpoints()[0].path.with_name("xl.safetensors"), "sdxl")
    assert (state(page, BOTH).family, state(page, Selection("xl")).family) == ("sd1", "sdxl")


def test_an_a_that_is_gone_leaves_faders_and_a_plain_word(page: DeskPage) -> None:
    scene = state(page, Selection("inc", "pastel"))
    assert scene.fader_layout.left
    assert scene.problem is not None
    assert scene.problem.what == "There is no checkpoint called 'inc'"


def test_a_move_is_swapped_in_and_drawn_with_the_fields_of_the_page(
    page: DeskPage, service: PaperService
) -> None:
    answer = apply(page, alpha={"OUT05": 0.5, "VAE": 0.5})
    assert service.requests == [
        MergeRequest(
            models=("ink", "pastel"), settings={"alpha": Slots((("OUT05", 0.5),))}, save_options={"vae": "a"}
        )
    ]
    drawn = drawn_by(service)[0]
    assert (drawn.prompt, drawn.seed, drawn.sampler) == (
        "a cat",
        3,
        "Euler a",
    )
    assert answer.problem is None
    data: Any = answer.data
    assert data.picture.startswith("data:image/png;base64,")
    status = answer.status
    assert status is not None
    assert (status.live, status.base, status.name) == (True, "ink", "ink + pastel (unsaved)")
    assert status.text.startswith("Loaded: ink + pastel (unsaved). 1 block changed")


def test_a_random_seed_is_drawn_once_and_a_is_compared_with_that_very_seed(
    page: DeskPage, service: PaperService
) -> None:
    page.drawing = {"prompt": "a cat", "seed": -1}
    first, second = (page.data("mix.apply", BOTH, parameters={"alpha": {"OUT05": at}}) for at in (0.5, 0.6))
    of_a = page.data("mix.compare", BOTH, seed=first.seed)
    assert [drawn.seed for drawn in drawn_by(service)] == [first.seed, second.seed, first.seed]
    assert first.seed != second.seed >= 0
    assert of_a.comparison_key == first.comparison_key != second.comparison_key


def test_a_page_sees_whether_the_fields_of_a_picture_have_changed_since_it_was_drawn(page: DeskPage) -> None:
    def key(**fields: object) -> str:
        page.drawing = fields
        return page.data("mix.effects", BOTH).drawing_key

    cat, none = key(prompt="a cat", seed=-1), key()
    assert page.data("mix.apply", BOTH).drawing_key == none
    assert key(seed=-1, prompt="a cat") == cat
    others = [
        key(prompt="a cat", seed=1),
        key(prompt="a dog", seed=-1),
        key(prompt="a cat", seed=-1, steps=-3),
    ]
    assert len({cat, none, *others}) == 5


def test_the_vae_fader_counts_only_where_the_vae_is_blended(page: DeskPage, service: PaperService) -> None:
    apply(page, Selection("ink", "pastel", vae=VAE_FADER), alpha={"VAE": 0.5})
    apply(page, Selection("ink", "pastel", vae=VAE_OF_B), alpha={"VAE": 0.5})
    blended, of_b = service.requests
    assert (blended.save_options["vae"], blended.settings["alpha"]) == ("blend", Slots((("VAE", 0.5),)))
    assert (of_b.save_options["vae"], of_b.settings["alpha"]) == ("b", Slots(()))
    assert state(page, BOTH).disabled_faders.keys() == {"VAE"}
    assert not state(page, Selection("ink", "pastel", vae=VAE_FADER)).disabled_faders


@pytest.mark.parametrize("method", desk_methods(), ids=lambda method: method.id)
def test_a_method_without_block_weights_says_so_and_its_faders_do_nothing(
    page: DeskPage, method: Method
) -> None:
    scene = state(page, Selection("ink", "pastel", "ink", method.title, VAE_FADER))
    slots = {slot.id for slot in family_by_id("sd1").slots}
    taken = {parameter.name for parameter in method.parameters} & {"alpha", "beta"}
    assert set(scene.disabled_faders) == (set() if taken else slots)
    assert scene.no_block_weights.startswith(f"{method.title} has no block weights") is not bool(taken)


@pytest.mark.newest_only
@pytest.mark.parametrize(
    ("family", "absent"), [("sd1", ""), ("sd2", "LABEL"), ("sdxl", ""), ("sdxl-refiner", "")]
)
def test_every_fader_of_whole_models_moves_something(
    page: DeskPage, service: PaperService, family: str, absent: str
) -> None:
    folder = service.host.checkpoints()[0].path.parent
    for seed, name in enumerate(("one", "two")):
        write_tiny(folder / f"{name}.safetensors", family, seed=seed)
    for title in ("Weighted sum", "Cosine A", "Scale (self)"):
        assert state(
            page, Selection("one", "two", method=title, vae=VAE_FADER)
        ).disabled_faders.keys() == set(absent.split())


def test_a_fader_of_what_one_of_the_models_does_not_have_says_so(
    page: DeskPage, service: PaperService
) -> None:
    whole = service.host.checkpoints()[0].path
    unet = {
        key: tensor
        for key, tensor in safetensors.torch.load_file(whole).items()
        if key.startswith("model.diffusion_model.")
    }
    safetensors.torch.save_file(unet, whole.with_name("unet.safetensors"))
    of_b = state(page, Selection("ink", "unet", method="Weighted sum"))
    of_a = state(page, Selection("unet", "ink", method="Weighted sum"))
    assert (of_a.problem, of_b.problem) == (None, None)
    assert of_b.disabled_faders["BASE"] == "only A has tensors in this block; they stay unchanged"
    assert of_a.disabled_faders["BASE"] == "A has no tensors in this block"
    assert of_a.disabled_faders.keys() == of_b.disabled_faders.keys() == {"BASE", "VAE"}


def test_what_shapes_the_merge_besides_the_faders_is_named(page: DeskPage) -> None:
    parameters = {"weights": "OUT: 0.9\nattn1: 0.2", "adjust": "0, 0, 0, 0.1, 0, 0, 0, -2"}
    choice = Selection("ink", "pastel", method="Weighted sum", align=True)
    effects = look(page, choice, **parameters)
    assert [(effect.kind, effect.text) for effect in effects.items] == [
        ("align", "B is aligned to A"),
        ("rules", "rules OUT: 0.9; attn1: 0.2"),
        ("adjust", "Adjust contrast 0.1, yellow blue -2"),
    ]
    overrides = effects.overrides["alpha"]
    assert overrides["OUT05"].text.startswith("set to 0.2 to 0.9 by the rules OUT: 0.9, attn1: 0.2")
    assert overrides["IN01"].complete is False
    assert "IN00" not in overrides


def test_random_weights_are_named_and_a_method_without_block_weights_says_that_it_leaves_rules_out(
    page: DeskPage,
) -> None:
    parameters = {"weights": "uniform(0, 1, seed = 3)"}
    random = look(page, BOTH, **parameters)
    unused = look(page, Selection("ink", "pastel", method="TIES"), **parameters)
    assert random.items[0].text == "random weights uniform(0, 1, seed = 3)"
    assert unused.items[0].text == "rules, not used by TIES: it has no block weights"
    assert (len(random.overrides["alpha"]) > 20, unused.overrides) == (True, {})


def test_a_moved_fader_that_a_rule_overrides_names_the_rule(page: DeskPage) -> None:
    first: Any = apply(page, alpha={"OUT05": 0.5, "IN00": 0.5}, weights="OUT05: 0.9").data
    assert first.note == "OUT05 is set to 0.9 by the rule OUT05: 0.9."
    again: Any = apply(page, alpha={"OUT05": 0.5, "IN00": 0.6}, weights="OUT05: 0.9").data
    assert again.note == ""  # it was not moved


def test_rules_that_are_not_understood_are_named_and_hold_nothing(page: DeskPage) -> None:
    effects = look(page, BOTH, **{"weights": "OUT05 0.5"})
    assert ([effect.text for effect in effects.items], effects.overrides) == (["rules OUT05 0.5"], {})


def test_a_move_that_asks_for_nothing_does_nothing(page: DeskPage, service: PaperService) -> None:
    assert page.send("{}").problem is None
    assert service.requests == []


@pytest.mark.parametrize(
    "value", ["x", "0.5", None, True, [1], {"a": 1}, float("nan"), float("inf"), 10**400]
)
def test_a_preset_that_is_no_numbers_is_refused_and_nothing_is_kept(page: DeskPage, value: object) -> None:
    problem = page.problem("mix.save_preset", name="mine", amounts={"IN00": value})
    assert "error of its own" not in problem.what
    assert not [preset for preset in state(page, BOTH).presets if preset.own]


def test_the_page_gets_names_of_files_and_no_folder(page: DeskPage, service: PaperService) -> None:
    lost = service.host.data_dir() / "My models" / "lost.safetensors"
    failures = [
        MergeError("'lost.safetensors' is there already", where=str(lost)),
        PlanError([MergeError("it is gone", where=str(lost)), MergeError(f"'{lost}' is cut short")]),
        OSError(f"[Errno 28] No space left on device: '{service.host.data_dir() / 'lost.safetensors'}'"),
    ]
    for failure in failures:
        service.failure = failure
        problem = apply(page, alpha=0.5).problem
        assert problem is not None
        assert "lost.safetensors" in str(problem)
        assert str(service.host.data_dir()) not in str(problem)


def test_a_parameter_of_another_method_is_left_out(page: DeskPage, service: PaperService) -> None:
    apply(page, alpha=0.5, beta=0.5)
    assert "beta" not in service.requests[0].settings


def test_a_third_model_goes_in_where_the_method_takes_three(page: DeskPage, service: PaperService) -> None:
    three = Selection("ink", "pastel", "ink", "Add difference")
    apply(page, three, alpha=1.0)
    apply(page, Selection("ink", "pastel", "ink", "Weighted sum"), alpha=1.0)
    assert [request.models[2:] for request in service.requests] == [("ink",), ()]


def test_a_missing_b_is_asked_for(page: DeskPage) -> None:
    answer = apply(page, Selection("ink"))
    assert answer.problem is not None
    assert answer.problem.what == "Choose B first"


def test_a_failure_keeps_the_status_and_shows_no_traceback(page: DeskPage, service: PaperService) -> None:
    apply(page, alpha=0.5)
    service.failure = NumericalError("NaN in the result", where="OUT05", hint="less of B")
    answer = apply(page, alpha=0.9)
    assert answer.problem is not None
    assert (answer.problem.what, answer.problem.where, answer.data) == ("NaN in the result", "OUT05", None)
    assert answer.status is not None
    assert answer.status.text.startswith("Loaded: ")


def test_a_field_that_is_no_number_is_answered_not_raised(page: DeskPage) -> None:
    page.drawing = {"steps": "many"}
    answer = apply(page)
    assert answer.problem is not None


def test_an_empty_prompt_is_an_empty_prompt_and_an_empty_number_the_usual_one(service: PaperService) -> None:
    settings = drawing_settings(service, {"prompt": "", "steps": None, "width": 64.0})
    assert (settings.prompt, settings.steps, settings.width) == ("", 20, 64)


def test_comparing_draws_a_alone_and_brings_the_merge_back(page: DeskPage, service: PaperService) -> None:
    apply(page, alpha=0.5)
    answer = page.data("mix.compare")
    assert [request.settings["alpha"] for request in service.requests] == [0.5, 0.0, 0.5]
    assert answer.picture
    assert service.engaged is not None
    assert service.engaged.settings["alpha"] == 0.5


def test_comparing_before_any_merge_leaves_the_checkpoint(page: DeskPage, service: PaperService) -> None:
    page.data("mix.compare")
    assert not service.is_live()


def test_the_picture_of_a_holds_until_a_or_the_settings_change(page: DeskPage) -> None:
    def against(selection: Selection, seed: int) -> str:
        page.drawing = {"seed": seed}
        return page.data("mix.apply", selection).comparison_key

    same = against(BOTH, 1)
    assert against(BOTH, 1) == same
    assert against(BOTH, 2) != same
    assert against(Selection("pastel", "ink"), 1) != same


def test_restore_puts_the_checkpoint_back(page: DeskPage, service: PaperService) -> None:
    apply(page, alpha=0.5)
    response = page.ask("mix.unload")
    assert not service.is_live()
    assert response.status is not None
    assert (response.status.live, response.status.text) == (False, "Loaded: ink (original).")


def save(page: DeskPage, *save_options: str, **parameters: Any) -> Any:
    response = page.saved(name="mix", save_options=save_options, parameters=parameters)
    assert response.problem is None, response.problem
    return response.data


def test_a_saved_merge_shows_its_fact_sheet(page: DeskPage) -> None:
    sheet = dict(save(page, alpha=0.5).sheet)
    assert sheet["File"] == "mix.safetensors"
    assert sheet["Made from"] == "ink.safetensors, pastel.safetensors"
    assert sheet["SHA256"] == "ab" * 32
    assert sheet["Share of the U-Net"] == "ink 50%, pastel 50%"
    assert save(page).card.startswith("# mix\n")


def test_parts_are_left_out_of_the_file_alone(page: DeskPage, service: PaperService) -> None:
    sheet = dict(save(page, "without VAE", "without text encoder", "clamp overflow").sheet)
    assert sheet["Embedded VAE"] == "no"
    assert sheet["Text encoder"] == "no"
    assert service.requests[-1].save_options == {"vae": "none", "text_encoder": "none", "overflow": "clip"}


def test_a_save_that_fails_says_why(page: DeskPage, service: PaperService) -> None:
    service.failure = MergeError("there is a file of this name", hint="tick overwrite")
    assert page.problem("mix.save", name="mix").hint == "tick overwrite"
    assert page.problem("mix.save", save_options=["in gold"]).what == "The Save box has no checkbox 'in gold'"


def test_own_presets_come_first_and_follow_the_family(page: DeskPage) -> None:
    kept = page.data("mix.save_preset", name="faces", family="sd1", amounts={"OUT05": 0.5}).presets[0]
    assert (kept.name, kept.own) == ("faces", True)
    renamed = page.data("mix.rename_preset", name="faces", new_name="eyes", family="sd1")
    assert renamed.presets[0].name == "eyes"
    assert page.data("mix.delete_preset", name="eyes", family="sd1").presets[0].name == "GRAD_V"


def test_presets_of_another_tool_are_taken_over_with_a_word_on_what_was_not(page: DeskPage) -> None:
    text = f"mine\t{', '.join(['0.3'] * 26)}\nALL_A\t{', '.join('0' * 26)}\nodd\t1, 2"
    answer = page.data("mix.import_presets", family="sd1", text=text)
    assert (answer.presets[0].name, answer.presets[0].values["OUT05"]) == ("mine", 0.3)
    summary, odd = answer.notes
    assert summary == "1 preset was taken over; 1 is here already"
    assert odd.startswith("not taken over: odd: the list has 2 numbers")


def test_a_list_leaves_slots_outside_of_it_at_the_amount_that_keeps_a(page: DeskPage) -> None:
    ones = ", ".join(["0.5"] * 26)
    for method, kept in (("Weighted sum", 0), ("Scale (self)", 1)):
        chosen = replace(BOTH, method=method)
        amounts = page.data("mix.numbers", chosen, text=ones, family="sd1", parameter="alpha").amounts
        assert (amounts["IN00"], amounts["VAE"]) == (0.5, kept)


def test_a_slider_of_a_method_that_scales_starts_where_it_keeps_a(page: DeskPage) -> None:
    chosen = replace(BOTH, method="Scale (self)")
    view = state(page, chosen).method
    assert view.neutral == {"alpha": 1}
    amounts = dict.fromkeys(Amounts(family_by_id("sd1")).family.listed_names, 1.0)
    assert apply(page, chosen, alpha=amounts | {"OUT05": 0.9}).problem is None


def test_differences_mark_the_faders_and_where_they_cannot_be_said_there_are_none(
    page: DeskPage, service: PaperService
) -> None:
    assert page.data("lists.differences").by_slot["OUT05"] == 0.2
    assert page.data("lists.differences", Selection("ink")) == Differences("ink", "")

    def refused(a: str, b: str) -> NoReturn:
        raise MergeError("they are of two families")

    service.slot_differences = refused  # type: ignore[assignment, method-assign]
    assert page.data("lists.differences") == Differences("ink", "pastel")


def test_a_block_that_is_not_finite_is_named_and_reaches_the_page_as_json(
    page: DeskPage, service: PaperService
) -> None:
    by_slot = {"IN00": 0.02, "OUT05": math.nan, "M00": math.inf}
    service.slot_differences = lambda a, b: by_slot  # type: ignore[assignment, method-assign]
    differences = page.data("lists.differences")
    assert (differences.by_slot, differences.not_finite) == ({"IN00": 0.02}, ("OUT05", "M00"))
    assert json.loads(to_json(differences), parse_constant=pytest.fail)["not_finite"] == ["OUT05", "M00"]


def test_a_b_of_another_family_is_reported_before_the_first_move(
    page: DeskPage, service: PaperService
) -> None:
    write_tiny(service.host.checkpoints()[0].path.with_name("xl.safetensors"), "sdxl")
    problem = state(page, Selection("ink", "xl", method="Weighted sum")).problem
    assert problem is not None
    assert problem.what.endswith("they cannot be merged")
    assert state(page, BOTH).problem is None
    assert state(page, Selection("ink", "xl", method="Triple sum")).problem is None  # C is asked for first


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
    page: DeskPage, service: PaperService, fields: dict[str, object], what: str
) -> None:
    page.drawing = fields
    answer = apply(page)
    assert answer.problem is not None
    assert answer.problem.what == what
    assert answer.problem.hint
    assert service.requests == []


def test_what_cannot_be_read_stands_below_the_lists_with_the_reason(
    page: DeskPage, service: PaperService
) -> None:
    assert page.data("lists.open").unreadable == ""
    (service.host.folders()[0] / "torn <b>.safetensors").touch()
    assert state(page, replace(BOTH, a="torn <b>")).problem is not None
    offer = page.data("lists.refresh")
    assert offer.unreadable == "torn <b>: the file is empty"


def test_what_the_host_lists_and_cannot_be_read_is_named_once_the_files_are_compared_with_a(
    page: DeskPage, service: PaperService
) -> None:
    """WebUIs list every file; after a restart it is named again, though the kinds of files are kept."""
    (service.host.folders()[0] / "torn.safetensors").touch()
    for _ in range(2):
        fit = page.data("lists.fit", BOTH)
        service.kinds.join()
        fit = page.data("lists.fit", BOTH) if fit.left else fit
        assert fit.unreadable == "torn: the file is empty"
        service = PaperService(service.host)
        page = DeskPage(service)
