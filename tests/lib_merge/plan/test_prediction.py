"""The prediction markers follow the U-Net, a mixture is reported, and the user may set them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lib_merge.architectures import read_header
from lib_merge.dtypes import F32
from lib_merge.errors import PlanError, RecipeError
from lib_merge.execute import merge_to_file
from lib_merge.plan import KeyPlan, Plan, Source, make_plan, replan
from lib_merge.recipe import Recipe, Setting, Slots, parse_recipe, print_recipe
from tests.support.full_size import write_tiny
from tests.support.merging import plan_of, simple_recipe

pytestmark = pytest.mark.newest_only

PREDICTION_TYPE = "modelspec.prediction_type"
V = {"v_pred": (0,), "ztsnr": (0,)}
EDM_V = {"edm_vpred.sigma_max": (), "edm_vpred.sigma_min": ()}
MARKERS = {*V, *EDM_V, "edm_mean", "edm_std"}
Files = Callable[..., list[Path]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes a.safetensors, b.safetensors, ... of SDXL, each with the markers (or metadata) given."""

    def write(*marks: dict[str, tuple[int, ...]] | str, family: str = "sdxl") -> list[Path]:
        return [
            write_tiny(
                tmp_path / f"{name}.safetensors",
                family,
                seed=number,
                extra={} if isinstance(mark, str) else mark,
                metadata={PREDICTION_TYPE: mark} if isinstance(mark, str) else None,
            )
            for number, (name, mark) in enumerate(zip("abcd", marks, strict=False))
        ]

    return write


def planned(
    files: list[Path], method: str = "weighted_sum", prediction: str = "", **settings: Setting
) -> Plan:
    recipe = replace(simple_recipe(files, method, **settings), prediction=prediction)
    return plan_of(recipe, files[0].parent)


def markers(plan: Plan) -> dict[str, object]:
    """The markers of the result, and which file each is from."""
    return {entry.key: entry.expression for entry in plan.keys if entry.key in MARKERS}


def of(source: int, *names: str) -> dict[str, object]:
    return dict.fromkeys(names, Source(source))


@pytest.mark.parametrize(
    ("alpha", "marked", "kind"),
    [(0.0, {}, "eps"), (0.3, {}, "eps"), (0.7, of(1, *V), "v"), (1.0, of(1, *V), "v")],
)
def test_the_markers_are_those_of_the_model_that_the_u_net_has_most_of(
    files: Files, alpha: float, marked: dict[str, object], kind: str
) -> None:
    plan = planned(files({}, V), alpha=alpha)
    assert (markers(plan), plan.prediction) == (marked, kind)


@pytest.mark.parametrize(("alpha", "marked"), [(0.0, of(0, *V)), (0.3, of(0, *V)), (0.7, {}), (1.0, {})])
def test_the_markers_of_a_go_where_its_u_net_goes(
    files: Files, alpha: float, marked: dict[str, object]
) -> None:
    assert markers(planned(files(V, {}), alpha=alpha)) == marked


@pytest.mark.parametrize("marks", [V, EDM_V, {"edm_mean": (1, 4, 1, 1), "edm_std": (1, 4, 1, 1)}])
def test_replace_brings_bs_markers_with_its_u_net(files: Files, marks: dict[str, tuple[int, ...]]) -> None:
    assert markers(planned(files({}, marks), "replace")) == of(1, *marks)
    assert markers(planned(files(marks, {}), "replace")) == {}


def test_only_the_u_net_decides(files: Files) -> None:
    two = files({}, V)
    assert markers(planned(two, alpha=Slots((("BASE", 1.0),)))) == {}
    blocks = Slots((("BASE", 0.0), ("OUT", 0.0), ("TIME", 0.0)), rest=1.0)
    assert markers(planned(two, alpha=blocks)) == of(1, *V)


def test_a_difference_of_two_that_predict_noise_leaves_v(files: Files) -> None:
    for marks in (({}, V, {}), (V, {}, {})):
        plan = planned(files(*marks), "add_difference", alpha=1.0)
        assert plan.prediction == "v"
        assert not any("mixes" in note for note in plan.notes)


@pytest.mark.parametrize("method", ["slerp", "geometric_sum", "cosine_a", "tensor_sum"])
def test_methods_that_are_not_linear_count_as_they_move(files: Files, method: str) -> None:
    two = files({}, V)
    assert planned(two, method, alpha=0.8).prediction == "v"
    assert planned(two, method, alpha=0.2).prediction == "eps"


def test_a_base_and_a_model_count_as_task_arithmetic_takes_them(files: Files) -> None:
    two = files({}, V)
    assert planned(two, "ties", scale=1.0).prediction == "v"
    assert planned(two, "ties", scale=0.3).prediction == "eps"


def test_a_mixture_is_reported_with_both_predictions_and_the_way_out(files: Files) -> None:
    (note,) = planned(files({}, V), alpha=0.4).notes
    assert note == (
        "the U-Net mixes models of different prediction types (A eps, B v) and may draw badly; "
        "it is marked to predict eps, the largest share (--prediction changes that)"
    )
    by_block = planned(files({}, V), alpha=Slots((("OUT05", 1.0),)))
    assert any("mixes" in note for note in by_block.notes)


@pytest.mark.parametrize(("prediction", "said"), [("b", "v"), ("v", "v"), ("eps", "eps"), ("a", "eps")])
def test_what_is_said_of_a_mixture_is_what_was_asked_for(files: Files, prediction: str, said: str) -> None:
    notes = planned(files({}, V), prediction=prediction, alpha=0.1).notes
    assert notes[0].endswith(f"; it is marked to predict {said}, as chosen")
    assert not any("the largest share" in note for note in notes)


def test_a_change_of_prediction_without_a_mixture_is_reported(files: Files) -> None:
    (note,) = planned(files({}, V), "replace").notes
    assert note.endswith("the result is saved with the markers v_pred, ztsnr")
    (note,) = planned(files(V, {}), "replace").notes
    assert note.endswith("the result is saved without A's markers")


def test_models_that_predict_alike_need_no_note(files: Files) -> None:
    assert planned(files(V, V), alpha=0.5).notes == ()
    assert planned(files({}, "epsilon"), alpha=0.5).notes == ()


@pytest.mark.parametrize(
    ("prediction", "marked"),
    [
        ("a", {}),
        ("b", of(1, *V)),
        ("eps", {}),
        ("v", of(1, "v_pred")),
        ("v-ztsnr", of(1, *V)),
    ],
)
def test_the_recipe_may_set_it(files: Files, prediction: str, marked: dict[str, object]) -> None:
    for alpha in (0.2, 0.8):
        assert markers(planned(files({}, V), prediction=prediction, alpha=alpha)) == marked


def test_what_contradicts_the_u_net_is_reported(files: Files) -> None:
    (note,) = planned(files({}, V), "replace", prediction="eps").notes
    assert note.startswith(
        "the result is marked to predict eps as chosen, though its U-Net is mostly that of B"
    )


def test_a_marker_that_no_file_has_is_written_empty_as_comfyui_does(files: Files, tmp_path: Path) -> None:
    two = files({}, {})
    plan = planned(two, prediction="v-ztsnr", alpha=0.5)
    written = {entry.key: entry for entry in plan.keys if entry.key in MARKERS}
    assert written == {name: KeyPlan(name, "", F32, (0,), None) for name in V}
    merge_to_file(plan, tmp_path / "m.safetensors")
    result = read_header(tmp_path / "m.safetensors")
    assert {name: result.tensors[name].shape for name in V} == {name: (0,) for name in V}
    assert plan_of(simple_recipe([tmp_path / "m.safetensors"], "self"), tmp_path).prediction == "v"


@pytest.mark.parametrize(
    ("marks", "options", "prediction_type"),
    [
        (("epsilon", "v"), {"alpha": 1.0}, "v"),
        (("v", "epsilon"), {"alpha": 1.0}, "epsilon"),
        (("epsilon", V), {"alpha": 1.0}, "v"),
        ((V, "epsilon"), {"alpha": 1.0}, "epsilon"),
        (("v", {}), {"alpha": 1.0}, None),
        (("epsilon", "epsilon"), {"alpha": 0.5, "prediction": "v"}, "v"),
    ],
)
def test_the_metadata_says_what_the_markers_say(
    files: Files,
    marks: tuple[dict[str, tuple[int, ...]] | str, ...],
    options: dict[str, object],
    prediction_type: str,
) -> None:
    plan = planned(files(*marks), **options)  # type: ignore[arg-type]
    assert plan.metadata.get(PREDICTION_TYPE) == prediction_type


def test_the_metadata_of_sd2_names_the_architecture_that_predicts_v(files: Files) -> None:
    two = files("epsilon", "v", family="sd2")
    assert planned(two, "replace").metadata["modelspec.architecture"] == "stable-diffusion-v2-768-v"


def test_a_family_without_markers_has_nothing_to_choose(files: Files) -> None:
    with pytest.raises(PlanError, match=r"the prediction of Flux\.1 cannot be chosen"):
        planned(files({}, {}, family="flux"), prediction="v", alpha=0.5)


def test_a_fader_that_moves_takes_the_markers_along(files: Files) -> None:
    two = files({}, V)
    headers = {file.name: read_header(file) for file in two}
    plan = make_plan(simple_recipe(two, alpha=0.2), headers)
    for alpha, kind in ((0.9, "v"), (0.1, "eps"), (1.0, "v"), (0.0, "eps")):
        again = replan(plan, simple_recipe(two, alpha=alpha), headers)
        assert again is not None
        plan = again
        fresh = make_plan(simple_recipe(two, alpha=alpha), headers)
        assert (plan.prediction, plan.keys, plan.notes) == (kind, fresh.keys, fresh.notes)


def test_a_recipe_keeps_it_in_its_text() -> None:
    text = 'merge-desk recipe 2\nA = "a.safetensors"\nsave A, dtype = source, prediction = v-ztsnr\n'
    recipe = parse_recipe(text)
    assert (recipe.prediction, print_recipe(recipe)) == ("v-ztsnr", text)


def test_an_unknown_prediction_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(RecipeError, match="'vee' is not a prediction type"):
        Recipe((), (), "A", prediction="vee")
