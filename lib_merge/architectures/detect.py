"""Which family a file is of, from its keys and shapes alone; no width decides where structure can."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from lib_merge.architectures.families import FAMILIES, FOREIGN, LOOKALIKES, NATIVE, Foreign
from lib_merge.architectures.families.common import UNET
from lib_merge.architectures.family import Component, Family, Identity, Role
from lib_merge.architectures.keys import role_of
from lib_merge.architectures.topology import Tensors
from lib_merge.checkpoint.quantised import refuse_codes
from lib_merge.errors import FamilyError

NOTHING: Mapping[str, str] = {}

# modelspec.prediction_type as sd-scripts writes it, modelspec.predict_key as ComfyUI does.
PREDICTION_KEYS = ("modelspec.prediction_type", "modelspec.predict_key")
PREDICTIONS = {
    "epsilon": "eps",
    "eps": "eps",
    "v": "v",
    "v-prediction": "v",
    "v_prediction": "v",
}


def identify(tensors: Tensors, *, metadata: Mapping[str, str] = NOTHING, where: str = "") -> Identity:
    """The family, kind and parts of a file whose keys have their canonical names.

    Raises FamilyError, which says what the file is instead where that can be told, and CheckpointError for
    quantised weights.
    """
    refuse_codes(tensors, where=where)
    family = _family(tensors, where)
    _require_known(family, tensors, where)
    return Identity(
        family=family,
        variant=_variant(family, tensors),
        prediction=_prediction(family, tensors, metadata),
        components=frozenset(part for part in Component if _holds(family, part, tensors)),
        ema=any(key.startswith(family.ema) for key in tensors),
    )


def require_same_family(identities: Mapping[str, Identity]) -> Family:
    """The family that all the models share; `identities` are by the models' names."""
    named = iter(identities.items())
    first_name, first = next(named)
    for name, identity in named:
        if identity.family != first.family:
            alone = identity.is_vae_only or first.is_vae_only
            raise FamilyError(
                f"'{first_name}' is {first.title}, but '{name}' is {identity.title}: they cannot be merged",
                hint="a VAE is baked into the result, not merged" if alone else "choose models of one family",
            )
    return first.family


def _holds(family: Family, part: Component, tensors: Tensors) -> bool:
    rows = family.signs.get(part, ())
    return any(all(clue.holds(tensors) for clue in row) for row in rows)


def _family(tensors: Tensors, where: str) -> Family:
    _refuse_by_name(LOOKALIKES, tensors, where)
    unet, text, vae = (
        [family for family in FAMILIES if _holds(family, part, tensors)]
        for part in (Component.UNET, Component.TEXT, Component.VAE)
    )
    if unet and text:
        both = [family for family in unet if family in text]
        if not both:
            raise FamilyError(
                f"the U-Net is that of {unet[0].title}, but the text encoder that of {text[0].title}",
                where=where,
                hint="the file is a mixture of two models; use another copy",
            )
        return both[0]
    network = [key for key in tensors if key.startswith(UNET)]
    if network and not unet:  # a damaged one, which its text encoder tells, or one of no known family
        text = [family for family in text if _knows_most(family, network)]
        if not text:
            raise _unknown(tensors, where)
    if not unet:
        _refuse_by_name(NATIVE, tensors, where)
    alone = [family for family in vae if set(family.signs) == {Component.VAE}]
    fitting = unet or text or alone
    if not fitting:
        raise _unknown(tensors, where)
    return fitting[0]


def _require_known(family: Family, tensors: Tensors, where: str) -> None:
    """A file most of whose tensors the family does not know is something else, or spelled in another way."""
    if not _knows_most(family, tensors):
        unknown = [key for key in tensors if role_of(family, key) is Role.UNKNOWN]
        raise FamilyError(
            f"{len(unknown)} of the {len(tensors)} tensors of this file have names that {family.title} "
            f"does not know: they begin with {_beginnings(unknown)}",
            where=where,
            hint=f"rename them, the U-Net's to '{UNET}...', or use another copy of the model",
        )


def _knows_most(family: Family, keys: Collection[str]) -> bool:
    unknown = sum(role_of(family, key) is Role.UNKNOWN for key in keys)
    return 2 * unknown <= len(keys)


def _variant(family: Family, tensors: Tensors) -> str:
    for name, clues in family.variants:
        if all(clue.holds(tensors) for clue in clues):
            return name
    usual = family.shapes.get(family.conv_in)
    info = tensors.get(family.conv_in)
    if usual is None or info is None or len(info.shape) < 2 or info.shape[1] == usual[1]:
        return ""
    return f"{info.shape[1]} input channels"


def _prediction(family: Family, tensors: Tensors, metadata: Mapping[str, str]) -> str:
    if any(marker in tensors for marker in family.v_signs):
        return "v"
    said = (metadata.get(key, "").strip().lower() for key in PREDICTION_KEYS)
    return next((PREDICTIONS[word] for word in said if word in PREDICTIONS), "")


def _unknown(tensors: Tensors, where: str) -> FamilyError:
    if not tensors:
        return FamilyError("this file holds no tensors", where=where, hint="use another copy of it")
    _refuse_by_name(FOREIGN, tensors, where)
    known = ", ".join(family.title for family in FAMILIES[:-1])
    return FamilyError(
        f"this is a model of no known family: its {len(tensors)} keys begin with {_beginnings(tensors)}",
        where=where,
        hint=f"known are {known}, and a VAE alone",
    )


def _refuse_by_name(kinds: Iterable[Foreign], tensors: Tensors, where: str) -> None:
    """Raise FamilyError with the name of the first kind that the file is of."""
    for foreign in kinds:
        key = foreign.sign(tensors)
        if key is not None:
            raise FamilyError(f"this is {foreign.what}: it has '{key}'", where=where, hint=foreign.hint)


def _beginnings(keys: Iterable[str]) -> str:
    first = dict.fromkeys(".".join(key.split(".")[:2]) for key in keys)
    return ", ".join(f"'{name}'" for name in islice(first, 3))
