"""The prediction type of the merged U-Net (noise or v), and the marker tensors that state it.

Loaders go by markers (`v_pred`, `ztsnr`, `edm_vpred.*`), not by the weights. So the markers follow the
weights: the result has those of the ingredient with the largest share of the U-Net.

    share(F) = sum over the U-Net's keys(n_key c_key(F)) / sum over them(n_key)

with c_key(F) the coefficient of file F and n_key the number of elements of the tensor. Shares are summed by
prediction type first: in A + (B - C) with A and C predicting noise and B v, noise cancels and v remains.
A choice of the user (`--prediction`) overrides this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from lib_merge.architectures import Component, Family, Identity
from lib_merge.architectures.keys import EDM, EDM_V, V_MARKER, ZERO_SNR
from lib_merge.checkpoint import Header
from lib_merge.dtypes import F32
from lib_merge.errors import MergeError, RecipeError
from lib_merge.methods import METHODS
from lib_merge.plan.fold import Application, Combination, Expression, Rounded, Source
from lib_merge.plan.model import KeyPlan
from lib_merge.recipe import KEEP_A, TAKE_B, Recipe

MARKERS_BY_CHOICE = {
    "eps": (),
    "v": (V_MARKER,),
    "v-ztsnr": (V_MARKER, ZERO_SNR),
}  # the choices of --prediction
NEARLY_ZERO = 1e-6  # shares below this are rounding errors
SharesByModel = Mapping[int, float]
Name = TypeVar("Name")


@dataclass(frozen=True)
class Prediction:
    """The prediction type of the result, and its markers.

    kind     "eps", "v", ...; "" where the files do not state it
    source   the index of the ingredient whose markers it has
    markers  the entries that write them
    notes    for the user
    """

    kind: str
    source: int
    markers: tuple[KeyPlan, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Totals:
    """The share of every file in the U-Net.

    shares  index of the file -> share times elements
    kinds   the prediction types that some tensor has a share of
    numel   elements of the U-Net
    """

    shares: dict[int, float] = field(default_factory=dict[int, float])
    kinds: set[str] = field(default_factory=set[str])
    numel: int = 0


def resolve_prediction(
    recipe: Recipe,
    base: int,
    identities: Sequence[Identity],
    sources: Sequence[Header],
    names: Sequence[str],
    keys: Iterable[KeyPlan],
) -> Prediction:
    """The prediction type of a result with these entries.

    base   the index of A
    names  of the files, for messages
    """
    family = identities[base].family
    kinds = [prediction_of_file(family, identities[n], sources[n]) for n in range(len(identities))]
    if not family.markers:
        return Prediction(kinds[base], base)
    totals = _totals(family, kinds, keys)
    source = _leading(totals, kinds, base)
    kind = kinds[source]
    notes = _notes(totals, kinds, base, source, names, sources, family)
    if recipe.prediction in MARKERS_BY_CHOICE:
        chosen_kind = recipe.prediction
        notes = _notes(totals, kinds, base, source, names, sources, family, marked=chosen_kind)
        if not _agrees(kind, chosen_kind):
            notes = [*notes[: len(totals.kinds) > 1], _contradiction(names[source], kind, chosen_kind)]
        return Prediction(
            chosen_kind.split("-")[0],
            source,
            _chosen_markers(MARKERS_BY_CHOICE[chosen_kind], sources, len(kinds)),
            tuple(notes),
        )
    if recipe.prediction:
        chosen = _chosen_source(recipe, base)
        notes = _notes(totals, kinds, base, source, names, sources, family, marked=kinds[chosen])
        if chosen != source and kinds[chosen] != kind:
            notes = [*notes[: len(totals.kinds) > 1], _contradiction(names[source], kind, kinds[chosen])]
        source, kind = chosen, kinds[chosen]
    return Prediction(kind, source, tuple(_copied_markers(family, sources[source], source)), tuple(notes))


def prediction_problems(recipe: Recipe, family: Family) -> Iterator[MergeError]:
    """A choice of the prediction for a family without markers, or of B without a B."""
    if recipe.prediction and not family.markers:
        yield RecipeError(
            f"the prediction of {family.title} cannot be chosen",
            hint="leave out --prediction (in a recipe: prediction)",
        )
    if recipe.prediction == TAKE_B and len(recipe.ingredients) < 2:
        yield RecipeError("there is no B to take the prediction from", hint="use --prediction a, eps or v")


def prediction_of_file(family: Family, identity: Identity, header: Header) -> str:
    """The prediction type of a file: "eps", "v", "edm", "edm-v", or "" where it does not state one."""
    if any(marker in header.tensors for marker in EDM_V):
        return "edm-v"
    if identity.prediction == "v":
        return "v"
    if family.markers and any(marker in header.tensors for marker in EDM):
        return "edm"
    return identity.prediction or family.default_prediction


def note_for_loaded_model(loaded: str, merged: str) -> str:
    """A note where the weights of a merge predict something else than the model that they are loaded into.

    A host sets up its sampler when it loads a file; swapping in a merge changes the weights alone.

    loaded, merged  prediction types; "" is unknown
    Returns "" where both agree.
    """
    if loaded == merged or not loaded or not merged:
        return ""
    return (
        f"the model in memory was loaded to predict {render_prediction(loaded)}, and this merge predicts "
        f"{render_prediction(merged)}: pictures drawn now are wrong; save the merge and load that file"
    )


def _totals(family: Family, kinds: Sequence[str], keys: Iterable[KeyPlan]) -> _Totals:
    totals = _Totals()
    numel: dict[int, int] = {}  # by id: the keys of a slot share one expression
    expressions: dict[int, Expression] = {}
    for entry in keys:
        slot = family.slot_by_id.get(entry.slot)
        if slot is None or slot.component is not Component.UNET or entry.expression is None:
            continue
        identity = id(entry.expression)
        expressions[identity] = entry.expression
        numel[identity] = numel.get(identity, 0) + entry.numel
        totals.numel += entry.numel
    for identity, expression in expressions.items():
        by_kind: dict[str, float] = {}
        for model, share in shares_by_model(expression).items():
            if model < len(kinds):
                totals.shares[model] = totals.shares.get(model, 0.0) + share * numel[identity]
                by_kind[kinds[model]] = by_kind.get(kinds[model], 0.0) + share
        totals.kinds |= {kind for kind, share in by_kind.items() if abs(share) > NEARLY_ZERO}
    return totals


def _leading(totals: _Totals, kinds: Sequence[str], base: int) -> int:
    """The ingredient with the largest share, of the prediction type with the largest; A on a tie."""
    if not totals.shares:
        return base
    by_kind: dict[str, float] = {}
    for model, share in totals.shares.items():
        by_kind[kinds[model]] = by_kind.get(kinds[model], 0.0) + share
    tolerance = NEARLY_ZERO * totals.numel
    kind = _largest(by_kind, kinds[base], tolerance)
    among = {model: share for model, share in totals.shares.items() if kinds[model] == kind}
    return _largest(among, base, tolerance)


def _largest(amounts: Mapping[Name, float], preferred: Name, tolerance: float) -> Name:
    most = max(amounts.values())
    if preferred in amounts and amounts[preferred] >= most - tolerance:
        return preferred
    return next(name for name, amount in amounts.items() if amount >= most - tolerance)


def shares_by_model(expression: Expression) -> SharesByModel:
    """File -> its share in an expression; methods that are not linear count as in `_input_shares`."""
    if isinstance(expression, Source):
        return {expression.model: 1.0}
    if isinstance(expression, Rounded):
        return shares_by_model(expression.inner)
    if isinstance(expression, Combination):
        parts = [(part, float(share)) for part, share in expression.terms]
    else:
        parts = list(zip(expression.inputs, _input_shares(expression), strict=True))
    total: dict[int, float] = {}
    for part, share in parts:
        for model, inner_share in shares_by_model(part).items():
            total[model] = total.get(model, 0.0) + share * inner_share
    return total


def _input_shares(application: Application) -> Sequence[float]:
    """The share of each input of a method that is not linear: that of the linear method of its purpose."""
    method, count = METHODS.get(application.method), len(application.inputs)
    settings = dict(application.settings)
    if method.purpose == "limits" or count == 1:
        return [1.0] + [0.0] * (count - 1)
    if method.purpose == "difference":
        amount = _number(settings, "gamma", _number(settings, "alpha", 1.0))
        return [1.0, amount, -amount]
    if method.purpose == "tasks":
        scale = _number(settings, "scale", 1.0)
        weights = [scale * share for share in _model_weights(settings, count - 1)]
        return [1.0 - sum(weights), *weights]
    if "alpha" in settings:
        amount = _number(settings, "alpha", 0.5)
        return [1.0 - amount, amount] + [0.0] * (count - 2)
    return _model_weights(settings, count)


def _number(settings: Mapping[str, object], name: str, default: float) -> float:
    value = settings.get(name, default)
    return float(value) if isinstance(value, (int, float)) else default


def _model_weights(settings: Mapping[str, object], count: int) -> Sequence[float]:
    """The weights of `count` models, divided by their sum where that is above 1."""
    weights = settings.get("model_weights")
    if not isinstance(weights, tuple):
        return [1.0 / count] * count
    numbers = [float(weight) for weight in weights]  # type: ignore[reportUnknownVariableType]
    if len(numbers) == 1:
        numbers *= count
    total = max(1.0, sum(numbers))
    return [number / total for number in numbers]


def _notes(
    totals: _Totals,
    kinds: Sequence[str],
    base: int,
    source: int,
    names: Sequence[str],
    sources: Sequence[Header],
    family: Family,
    marked: str = "",
) -> list[str]:
    """Notes on the prediction types in the U-Net.

    marked  the prediction that the user chose, "" for none
    """
    kind = kinds[source]
    if len(totals.kinds) > 1:
        used = [n for n in range(len(kinds)) if abs(totals.shares.get(n, 0.0)) > NEARLY_ZERO * totals.numel]
        models = ", ".join(f"{names[n]} {render_prediction(kinds[n])}" for n in used)
        mark = f"{render_prediction(kind)}, the largest share (--prediction changes that)"
        if marked:
            mark = f"{render_prediction(marked)}, as chosen"
        return [
            f"the U-Net mixes models of different prediction types ({models}) and may draw badly; "
            f"it is marked to predict {mark}"
        ]
    if source == base or kind == kinds[base]:
        return []
    markers = [marker for marker in sorted(family.markers) if marker in sources[source].tensors]
    text = f"with the markers {', '.join(markers)}" if markers else "without A's markers"
    return [
        f"the U-Net predicts {render_prediction(kind)}, as {names[source]} does: the result is saved {text}"
    ]


def _contradiction(name: str, kind: str, chosen: str) -> str:
    return (
        f"the result is marked to predict {render_prediction(chosen)} as chosen, though its U-Net is mostly "
        f"that of {name}, which predicts {render_prediction(kind)}"
    )


def render_prediction(kind: str) -> str:
    """A prediction type as messages name it."""
    titles = {"": "unknown", "edm": "EDM", "edm-v": "v (EDM)", "v-ztsnr": "v with zero terminal SNR"}
    return titles.get(kind, kind)


def _agrees(kind: str, chosen: str) -> bool:
    return not kind or kind == chosen.split("-")[0]


def _chosen_source(recipe: Recipe, base: int) -> int:
    others = [n for n in range(len(recipe.ingredients)) if n != base]
    return base if recipe.prediction == KEEP_A or not others else others[0]


def _copied_markers(family: Family, header: Header, source: int) -> Iterator[KeyPlan]:
    """The entries that copy the markers of one file."""
    for key in sorted(family.markers):
        if (info := header.tensors.get(key)) is not None:
            yield KeyPlan(key, "", info.dtype, info.shape, Source(source))


def _chosen_markers(markers: Sequence[str], sources: Sequence[Header], count: int) -> tuple[KeyPlan, ...]:
    """The entries of these markers: copied from an ingredient, else empty tensors as ComfyUI writes them."""
    entries: list[KeyPlan] = []
    for key in markers:
        holder = next((n for n in range(count) if key in sources[n].tensors), None)
        info = sources[holder].tensors[key] if holder is not None else None
        empty = KeyPlan(key, "", F32, (0,), None)
        entries.append(
            empty
            if info is None or holder is None
            else KeyPlan(key, "", info.dtype, info.shape, Source(holder))
        )
    return tuple(entries)
