"""What the merged U-Net predicts (noise, v), and the markers that tell loaders so.

A U-Net computes one thing or the other, and loaders believe markers (`v_pred`, `ztsnr`, `edm_vpred.*`), not
the weights. So the markers follow the weights: those of the ingredient with the largest share of the U-Net.

    share(F) = sum over the U-Net's keys(n_key c_key(F)) / sum over them(n_key)

with c_key(F) the coefficient of file F and n_key how many numbers the tensor holds. Files that predict alike
are counted together first: in A + (B - C) with A and C predicting noise and B v, noise cancels and v is left.
Where the decision is the user's own (`--prediction`), it is taken as said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from lib_merge.architectures import Component, Family, Identity
from lib_merge.checkpoint import Header
from lib_merge.dtypes import F32
from lib_merge.errors import MergeError, RecipeError
from lib_merge.methods import METHODS
from lib_merge.plan.fold import Application, Combination, Expression, Rounded, Source
from lib_merge.plan.model import KeyPlan
from lib_merge.recipe import KEEP_A, TAKE_B, Recipe

V_MARKER, ZERO_SNR = "v_pred", "ztsnr"
SAID = {"eps": (), "v": (V_MARKER,), "v-ztsnr": (V_MARKER, ZERO_SNR)}  # the markers of what a user may say
EDM, EDM_V = ("edm_mean", "edm_std"), ("edm_vpred.sigma_max", "edm_vpred.sigma_min")
NEARLY = 1e-6  # a share that is nothing but rounding
Shares = Mapping[int, float]
Name = TypeVar("Name")


@dataclass(frozen=True)
class Prediction:
    """What the result predicts, and where its markers come from.

    kind     "eps", "v", ...; "" where the files do not tell
    source   the ingredient whose markers it has
    markers  the entries that write them
    notes    what the user should know
    """

    kind: str
    source: int
    markers: tuple[KeyPlan, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Totals:
    """How much of the U-Net each file makes up, by the files' numbers."""

    shares: dict[int, float] = field(default_factory=dict[int, float])
    kinds: set[str] = field(default_factory=set[str])  # those that some tensor has a share of
    numel: int = 0


def predicted(
    recipe: Recipe,
    base: int,
    identities: Sequence[Identity],
    sources: Sequence[Header],
    names: Sequence[str],
    keys: Iterable[KeyPlan],
) -> Prediction:
    """What the result of these entries predicts; `base` is A, `names` are those of messages."""
    family = identities[base].family
    kinds = [kind_of(family, identities[n], sources[n]) for n in range(len(identities))]
    if not family.markers:
        return Prediction(kinds[base], base)
    totals = _totals(family, kinds, keys)
    source = _leading(totals, kinds, base)
    kind = kinds[source]
    notes = _notes(totals, kinds, base, source, names, sources, family)
    if recipe.prediction in SAID:
        wanted = recipe.prediction
        notes = _notes(totals, kinds, base, source, names, sources, family, marked=wanted)
        if not _is_as_said(kind, wanted):
            notes = [*notes[: len(totals.kinds) > 1], _contradiction(names[source], kind, wanted)]
        return Prediction(
            wanted.split("-")[0], source, _said(SAID[wanted], sources, len(kinds)), tuple(notes)
        )
    if recipe.prediction:
        chosen = _chosen(recipe, base)
        notes = _notes(totals, kinds, base, source, names, sources, family, marked=kinds[chosen])
        if chosen != source and kinds[chosen] != kind:
            notes = [*notes[: len(totals.kinds) > 1], _contradiction(names[source], kind, kinds[chosen])]
        source, kind = chosen, kinds[chosen]
    return Prediction(kind, source, tuple(_copied(family, sources[source], source)), tuple(notes))


def problems_of(recipe: Recipe, family: Family) -> Iterator[MergeError]:
    """A prediction that the recipe chooses where there is none to choose."""
    if recipe.prediction and not family.markers:
        yield RecipeError(
            f"what {family.title} predicts cannot be chosen",
            hint="leave --prediction out (in a recipe: prediction)",
        )
    if recipe.prediction == TAKE_B and len(recipe.ingredients) < 2:
        yield RecipeError("there is no B to take the prediction from", hint="--prediction a, eps or v")


def kind_of(family: Family, identity: Identity, header: Header) -> str:
    """What one file predicts: "eps", "v", "edm", "edm-v", or "" where it does not tell."""
    if any(marker in header.tensors for marker in EDM_V):
        return "edm-v"
    if identity.prediction == "v":
        return "v"
    if family.markers and any(marker in header.tensors for marker in EDM):
        return "edm"
    return identity.prediction or family.usual_prediction


def note_for_memory(held: str, wanted: str) -> str:
    """What to say where a model that was loaded to predict one thing gets weights that predict another.

    A host chooses how it samples when it loads a file, and a swap changes weights alone. "" where they agree.
    """
    if held == wanted or not held or not wanted:
        return ""
    return (
        f"the model in memory was loaded to predict {in_words(held)}, and this merge predicts "
        f"{in_words(wanted)}: what it draws here is wrong, and right once it is saved and the file is loaded"
    )


def _totals(family: Family, kinds: Sequence[str], keys: Iterable[KeyPlan]) -> _Totals:
    totals = _Totals()
    known: dict[int, Shares] = {}  # a slot's keys share one expression
    numbers: dict[int, int] = {}
    kept: dict[int, Expression] = {}
    for entry in keys:
        slot = family.slot_by_id.get(entry.slot)
        if slot is None or slot.component is not Component.UNET or entry.expression is None:
            continue
        place = id(entry.expression)
        kept[place] = entry.expression
        numbers[place] = numbers.get(place, 0) + entry.numel
        totals.numel += entry.numel
    for place, expression in kept.items():
        known[place] = shares_of_files(expression)
        by_kind: dict[str, float] = {}
        for model, share in known[place].items():
            if model < len(kinds):
                totals.shares[model] = totals.shares.get(model, 0.0) + share * numbers[place]
                by_kind[kinds[model]] = by_kind.get(kinds[model], 0.0) + share
        totals.kinds |= {kind for kind, share in by_kind.items() if abs(share) > NEARLY}
    return totals


def _leading(totals: _Totals, kinds: Sequence[str], base: int) -> int:
    """The ingredient with the largest share among those whose prediction has the largest; A where all tie."""
    if not totals.shares:
        return base
    by_kind: dict[str, float] = {}
    for model, share in totals.shares.items():
        by_kind[kinds[model]] = by_kind.get(kinds[model], 0.0) + share
    slack = NEARLY * totals.numel
    kind = _largest(by_kind, kinds[base], slack)
    among = {model: share for model, share in totals.shares.items() if kinds[model] == kind}
    return _largest(among, base, slack)


def _largest(amounts: Mapping[Name, float], preferred: Name, slack: float) -> Name:
    most = max(amounts.values())
    if preferred in amounts and amounts[preferred] >= most - slack:
        return preferred
    return next(each for each, amount in amounts.items() if amount >= most - slack)


def shares_of_files(expression: Expression) -> Shares:
    """How much of each file an expression is made of; a method that is not linear counts as it moves."""
    if isinstance(expression, Source):
        return {expression.model: 1.0}
    if isinstance(expression, Rounded):
        return shares_of_files(expression.inner)
    if isinstance(expression, Combination):
        parts = [(part, float(share)) for part, share in expression.terms]
    else:
        parts = list(zip(expression.inputs, _split(expression), strict=True))
    total: dict[int, float] = {}
    for part, share in parts:
        for model, each in shares_of_files(part).items():
            total[model] = total.get(model, 0.0) + share * each
    return total


def _split(application: Application) -> Sequence[float]:
    """What a method that is not linear takes of each of its inputs, as the linear one of its kind would."""
    method, count = METHODS.get(application.method), len(application.inputs)
    settings = dict(application.settings)
    if method.purpose == "limits" or count == 1:
        return [1.0] + [0.0] * (count - 1)
    if method.purpose == "difference":
        amount = _number(settings, "gamma", _number(settings, "alpha", 1.0))
        return [1.0, amount, -amount]
    if method.purpose == "tasks":
        scale = _number(settings, "scale", 1.0)
        moved = [scale * share for share in _each(settings, count - 1)]
        return [1.0 - sum(moved), *moved]
    if "alpha" in settings:
        amount = _number(settings, "alpha", 0.5)
        return [1.0 - amount, amount] + [0.0] * (count - 2)
    return _each(settings, count)


def _number(settings: Mapping[str, object], name: str, default: float) -> float:
    value = settings.get(name, default)
    return float(value) if isinstance(value, (int, float)) else default


def _each(settings: Mapping[str, object], count: int) -> Sequence[float]:
    """The shares of so many models, together at most one."""
    shares = settings.get("shares")
    given = [float(share) for share in shares] if isinstance(shares, tuple) else [1.0]  # type: ignore[reportUnknownVariableType]
    numbers = given * count if len(given) == 1 else given
    whole = max(1.0, sum(numbers))
    return [number / whole for number in numbers] if isinstance(shares, tuple) else [1.0 / count] * count


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
    """What to say of the models in the U-Net; `marked` is what a user chose, "" where nobody did."""
    kind = kinds[source]
    if len(totals.kinds) > 1:
        used = [n for n in range(len(kinds)) if abs(totals.shares.get(n, 0.0)) > NEARLY * totals.numel]
        told = ", ".join(f"{names[n]} {in_words(kinds[n])}" for n in used)
        mark = f"{in_words(kind)}, of which it has most (--prediction sets that)"
        if marked:
            mark = f"{in_words(marked)}, as asked"
        return [
            f"the U-Net mixes models that predict different things ({told}) and may draw well as neither; "
            f"it is marked to predict {mark}"
        ]
    if source == base or kind == kinds[base]:
        return []
    markers = [marker for marker in sorted(family.markers) if marker in sources[source].tensors]
    told = f"with the markers {', '.join(markers)}" if markers else "without A's markers"
    return [
        f"the U-Net is {names[source]}'s in what it predicts, {in_words(kind)}: the result is saved {told}"
    ]


def _contradiction(name: str, kind: str, wanted: str) -> str:
    return (
        f"the result is marked to predict {in_words(wanted)} as asked, though its U-Net is mostly that of "
        f"{name}, which predicts {in_words(kind)}"
    )


def in_words(kind: str) -> str:
    """A kind as messages say it."""
    words = {"": "unknown", "edm": "EDM", "edm-v": "v (EDM)", "v-ztsnr": "v with zero terminal SNR"}
    return words.get(kind, kind)


def _is_as_said(kind: str, wanted: str) -> bool:
    return not kind or kind == wanted.split("-")[0]


def _chosen(recipe: Recipe, base: int) -> int:
    others = [n for n in range(len(recipe.ingredients)) if n != base]
    return base if recipe.prediction == KEEP_A or not others else others[0]


def _copied(family: Family, header: Header, source: int) -> Iterator[KeyPlan]:
    """The markers of one file, as it has them."""
    for key in sorted(family.markers):
        if (info := header.tensors.get(key)) is not None:
            yield KeyPlan(key, "", info.dtype, info.shape, Source(source))


def _said(wanted: Sequence[str], sources: Sequence[Header], count: int) -> tuple[KeyPlan, ...]:
    """Markers by name: copied where some ingredient has them, else the empty tensor that ComfyUI writes."""
    found: list[KeyPlan] = []
    for key in wanted:
        holder = next((n for n in range(count) if key in sources[n].tensors), None)
        info = sources[holder].tensors[key] if holder is not None else None
        made = KeyPlan(key, "", F32, (0,), None)
        found.append(
            made
            if info is None or holder is None
            else KeyPlan(key, "", info.dtype, info.shape, Source(holder))
        )
    return tuple(found)
