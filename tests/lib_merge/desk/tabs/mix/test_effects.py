"""The law of the strip and the board: what they name is what acts in the plan that is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lib_merge.desk.lists.handlers import family_of_checkpoint, ui_state
from lib_merge.desk.lists.view import UiState
from lib_merge.desk.selection import (
    FADER_PARAMETERS,
    VAE_FADER,
    VAE_OF_A,
    VAE_OF_B,
    Selection,
    desk_methods,
    merge_request,
    method_by_title,
    neutral_amounts,
    parameter_views,
)
from lib_merge.desk.tabs.mix.effects import Effects
from lib_merge.desk.tabs.mix.overrides import KEPT, RuleOverride
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.plan import Plan, Source
from lib_merge.plan.amounts import Amounts, vae_source
from lib_merge.recipe import BLEND, Rules, Step
from lib_merge.registry import Method
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny
from tests.support.strategies import knob_values

pytestmark = pytest.mark.newest_only

SD1 = ("ink", "pastel", "third", "unet")
SDXL = ("xl", "xl2")
INSIDE = (0.25, 0.5, 0.625)  # amounts at which no model is taken as it is
ELSEWHERE = 0.375
TARGETS = ("OUT", "IN", "OUT05", "BASE", "VAE", "attn1", "M00: attn", "*", "TIME", "IN04-IN07")
AMOUNTS = ("0", "0.2", "0.9", "1", "GRAD_V", "0.5*GRAD_V + 0.5*COSINE", "uniform(0, 1, seed = 3)", "0.123")
LINES = st.one_of(
    st.tuples(st.sampled_from(TARGETS), st.sampled_from(AMOUNTS)).map(": ".join),
    st.tuples(st.sampled_from(("include ", "exclude ")), st.sampled_from(("OUT", "OUT05", "attn2"))).map(
        "".join
    ),
    st.sampled_from(("GRAD_V", "normal(0.5, 0.1, seed = 2)", "# uniform(0, 1)", "---", "")),
)
RULES = st.one_of(
    st.just(""),
    st.lists(LINES, max_size=4).map("\n".join),
    st.sampled_from(
        [", ".join(["0.25"] * count) for count in (26, 25, 20, 19)] + ["  ", "R" + ", 0.5" * 25, "OUT05 0.5"]
    ),
)
ADJUST = st.sampled_from(("", "", "0, 0, 0, 0.1", "0, 0, 0, 0, 0, 0, 0, 0", " ", "0,0,0,0,0,0,0,-2", "x"))


@dataclass(frozen=True)
class DrawnDesk:
    """What a user has chosen; `faders`: parameter -> slot -> where its slider stands."""

    selection: Selection
    faders: Mapping[str, Mapping[str, float]]
    scalars: Mapping[str, Any]
    rules: str
    adjust: str

    @property
    def parameters(self) -> dict[str, Any]:
        """As the page sends them."""
        return {**self.faders, **self.scalars, "weights": self.rules, "adjust": self.adjust}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> PaperService:
    models = tmp_path_factory.mktemp("models")
    for name in (*SD1[:3], *SDXL):
        write_tiny(models / f"{name}.safetensors", "sdxl" if name in SDXL else "sd1", seed=len(name))
    whole = load_file(models / "ink.safetensors")
    unet = {key: tensor for key, tensor in whole.items() if key.startswith("model.diffusion_model.")}
    save_file(unet, models / "unet.safetensors")
    return PaperService(PaperHost(models, tmp_path_factory.mktemp("data")))


@st.composite
def desks(draw: st.DrawFn, service: PaperService) -> DrawnDesk:
    """Any choice of lists, and whatever the page sends with it."""
    names = draw(st.sampled_from((SD1, SD1, SDXL)))
    a, b, c = (draw(st.sampled_from(names)) for _ in "abc")
    # most merges are of methods with sliders
    methods = [method for method in desk_methods() if neutral_amounts(method) is not None]
    method = draw(st.sampled_from(methods) | st.sampled_from(desk_methods()))
    vae = draw(st.sampled_from((VAE_OF_A, VAE_OF_B, VAE_FADER)))
    selection = Selection(a, b, c, method.title, vae, align=draw(st.booleans()))
    family = family_of_checkpoint(service, a)
    assert family is not None
    slots = [slot.id for slot in family.slots]
    parameters = {parameter.name for parameter in method.parameters}
    faders = {
        name: {slot: draw(st.sampled_from(INSIDE)) for slot in slots}
        for name in FADER_PARAMETERS
        if name in parameters
    }
    knobs = draw(knob_values(method, method.max_models or 3))
    scalars = {view.name: knobs[view.name] for view in parameter_views(method) if view.name not in faders}
    return DrawnDesk(selection, faders, scalars, draw(RULES), draw(ADJUST))


def plan_of(service: PaperService, desk: DrawnDesk) -> Plan:
    return service.plan(merge_request(service, desk.selection, desk.parameters))


def with_faders(desk: DrawnDesk, name: str, amounts: Mapping[str, float]) -> DrawnDesk:
    return replace(desk, faders={**desk.faders, name: {**desk.faders[name], **amounts}})


def mixed_keys(plan: Plan) -> dict[str, list[str]]:
    """Slot -> the keys that are computed, and not taken from a file as they are."""
    slots: dict[str, list[str]] = {}
    for entry in plan.keys:
        if not isinstance(entry.expression, Source | None):
            slots.setdefault(entry.slot, []).append(entry.key)
    return slots


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_a_slider_acts_unless_the_board_says_that_it_does_not_and_the_strip_names_all_else_that_acts(
    service: PaperService, data: st.DataObject
) -> None:
    desk = data.draw(desks(service))
    page = DeskPage(service, desk.selection)
    effects: Effects = page.data("mix.effects", parameters=desk.parameters).effects
    try:
        plan = plan_of(service, desk)
    except MergeError:
        event("cannot be merged")
        return
    board = ui_state(service, desk.selection)
    check_items(desk, effects, plan)
    desk = replace(desk, adjust="")  # whose step comes after, whatever the sliders do
    plan = plan_of(service, desk)
    reachable = mixed_keys(plan_of(service, replace(desk, rules="")))
    for name in desk.faders:
        moved = with_faders(desk, name, dict.fromkeys(desk.faders[name], ELSEWHERE))
        check_sliders(board, effects.overrides.get(name, {}), plan, plan_of(service, moved), reachable)
        check_values(service, desk, name, effects.overrides.get(name, {}), plan, reachable)


def check_items(desk: DrawnDesk, effects: Effects, plan: Plan) -> None:
    """The strip names what the recipe holds besides the method with numbers by block, and nothing else."""
    texts = {item.kind: item.text for item in effects.items}
    assert len(texts) == len(effects.items)
    recipe = plan.recipe
    merging, *later = recipe.steps
    assert [step.method for step in later] == ["adjust"] * ("adjust" in texts)
    aligned = [part.alignment.source for part in recipe.ingredients if part.alignment]
    assert bool(aligned) == ("align" in texts)
    assert all(letter in texts["align"] for letter in aligned)
    rules = [
        setting for _, setting in merging.settings if not isinstance(setting, (bool, str, tuple, float, int))
    ]
    by_rules = bool(desk.rules.strip()) and "alpha" in desk.faders
    assert by_rules or not any(isinstance(setting, Rules) for setting in rules)
    event(f"rules {'act' if effects.overrides else 'have no effect'}" if by_rules else "no rules")
    assert (effects.overrides != {}) == ("rules" in texts and "no effect" not in texts["rules"] and by_rules)
    assert ("rules" in texts) == bool(desk.rules.strip())


def check_sliders(
    board: UiState,
    overrides: Mapping[str, RuleOverride],
    plan: Plan,
    moved: Plan,
    reachable: Mapping[str, Sequence[str]],
) -> None:
    """Every slider of a parameter was moved: what has changed is what the board says that sliders set."""
    before = {entry.key: entry.expression for entry in plan.keys}
    changed = {entry.key for entry in moved.keys if before[entry.key] != entry.expression}
    still = {entry.key for entry in moved.keys if isinstance(entry.expression, Source)}
    for slot in board.block_notes:
        keys = set(reachable.get(slot, ()))
        override = overrides.get(slot)
        if slot in board.disabled_faders:
            assert not keys & changed, f"{slot} is disabled, and acts"
            assert override is None, f"{slot} has nothing that rules could set"
        elif override is None:
            assert keys, f"{slot} is not disabled, and has nothing to mix"
            assert keys <= changed | still, f"{slot} does not act on all of its block, and nothing says so"
        elif override.complete:
            assert not keys & changed, f"{slot} acts, and is said to be {override.text}"
        else:
            assert override.text.startswith(f"{len(keys - changed)} of {len(keys)} tensors") or keys & still
    assert changed <= {key for keys in reachable.values() for key in keys}


def check_values(
    service: PaperService,
    desk: DrawnDesk,
    name: str,
    overrides: Mapping[str, RuleOverride],
    plan: Plan,
    reachable: Mapping[str, Sequence[str]],
) -> None:
    """The value that is shown of a block is what the applied recipe has for its tensors."""
    method = method_by_title(desk.selection.method)
    amounts = Amounts(
        plan.identity.family,
        tuple(plan.sources[plan.base].tensors),
        blend=vae_source(plan.recipe) == BLEND,
    )
    step = plan.recipe.steps[0]
    for slot, override in overrides.items():
        if override.complete:
            numbers = {amount_at(amounts, step, method, name, slot, key) for key in reachable[slot]}
            kept = None in numbers
            shown = override.value.replace(" where excluded", "")
            values = [number for number in numbers if number is not None]
            listed = [shown_range(min(values), max(values))] if values else []
            if kept:
                listed.append(kept_text(method, name))
            assert shown == ", ".join(dict.fromkeys(listed)), (slot, override)


def amount_at(amounts: Amounts, step: Step, method: Method, name: str, slot: str, key: str) -> float | None:
    """What the plan merges a tensor with; None where it copies A."""
    if amounts.is_excluded(step, slot, key):
        return None
    setting: Any = step.setting(METHODS.get(step.method).parameter(name))
    number = amounts.vae_amount(setting, key) if slot == "VAE" else amounts.amount(setting, slot, key)
    return round(number, 4)


def shown_range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def kept_text(method: Method, name: str) -> str:
    neutral = neutral_amounts(method)
    return f"{neutral[name]:g}" if neutral and name in neutral else KEPT


def test_rules_act_on_a_model_that_lacks_blocks_that_the_page_has_faders_for(service: PaperService) -> None:
    page = DeskPage(service, Selection("unet", "ink", method="Weighted sum"))
    everything = {slot: 0.0 for slot in page.data("lists.changed").block_notes}
    page.data("mix.apply", parameters={"alpha": everything, "weights": "OUT: 0.9"})
    assert service.requests[-1].block_lists == {"weights": "OUT: 0.9"}


def test_rules_for_what_is_not_mixed_are_named_as_such(service: PaperService) -> None:
    page = DeskPage(service, Selection("ink", "pastel", method="Weighted sum"))
    effects = page.data("mix.effects", parameters={"weights": "VAE: 0.5"}).effects
    assert [item.text for item in effects.items] == ["rules VAE: 0.5, with no effect on what is mixed here"]
    assert effects.overrides == {}
