"""Detects a file's family from its keys and shapes; by the structure of the model, not by widths, where
possible."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from lib_merge.architectures.families import (
    FAMILIES,
    FOREIGN_FILES,
    LOOKALIKES,
    OTHER_TRANSFORMERS,
    ForeignFile,
)
from lib_merge.architectures.families.common import OPEN_CLIP_OPTIONAL, SCHEDULE
from lib_merge.architectures.family import Component, Family, Identity, Role
from lib_merge.architectures.keys import UNET_PREFIX, role_of
from lib_merge.architectures.part_topology import Tensors
from lib_merge.checkpoint.quantised import refuse_codes
from lib_merge.errors import FamilyError

NO_METADATA: Mapping[str, str] = {}

# modelspec.prediction_type as sd-scripts writes it, modelspec.predict_key as ComfyUI does.
PREDICTION_KEYS = ("modelspec.prediction_type", "modelspec.predict_key")
PREDICTIONS = {
    "epsilon": "eps",
    "eps": "eps",
    "v": "v",
    "v-prediction": "v",
    "v_prediction": "v",
}


def identify(tensors: Tensors, *, metadata: Mapping[str, str] = NO_METADATA, where: str = "") -> Identity:
    """The family, variant and components of a file with these canonical keys.

    where  the file, for error messages
    Raises FamilyError for a file of no supported family, with what it is instead where that can be detected,
    and CheckpointError for quantised weights.
    """
    refuse_codes(tensors, learnt=OPEN_CLIP_OPTIONAL, buffers=SCHEDULE, where=where)
    family = _family(tensors, where)
    _require_mostly_known(family, tensors, where)
    return Identity(
        family=family,
        variant=_variant(family, tensors),
        prediction=_prediction(family, tensors, metadata),
        components=frozenset(part for part in Component if _has_component(family, part, tensors)),
        ema=any(key.startswith(family.ema_prefixes) for key in tensors),
    )


def require_same_family(identities: Mapping[str, Identity]) -> Family:
    """The family that all models have; FamilyError where they differ. `identities` maps model name ->
    identity."""
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


def _has_component(family: Family, part: Component, tensors: Tensors) -> bool:
    rows = family.fingerprints.get(part, ())
    return any(all(fingerprint.matches(tensors) for fingerprint in row) for row in rows)


def _family(tensors: Tensors, where: str) -> Family:
    _refuse_foreign(LOOKALIKES, tensors, where)
    unet, text, vae = (
        [family for family in FAMILIES if _has_component(family, part, tensors)]
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
    network = [key for key in tensors if key.startswith(UNET_PREFIX)]
    if network and not unet:  # damaged, but identified by its text encoder, or of no known family
        text = [family for family in text if _knows_most(family, network)]
        if not text:
            raise _unknown(tensors, where)
    if not unet:
        _refuse_foreign(OTHER_TRANSFORMERS, tensors, where)
    alone = [family for family in vae if set(family.fingerprints) == {Component.VAE}]
    fitting = unet or text or alone
    if not fitting:
        raise _unknown(tensors, where)
    return fitting[0]


def _require_mostly_known(family: Family, tensors: Tensors, where: str) -> None:
    """Raise FamilyError where the family does not know most of the file's keys: it is another kind of
    file."""
    if not _knows_most(family, tensors):
        unknown = [key for key in tensors if role_of(family, key) is Role.UNKNOWN]
        raise FamilyError(
            f"{len(unknown)} of the {len(tensors)} tensors of this file have names that {family.title} "
            f"does not know: they begin with {_first_prefixes(unknown)}",
            where=where,
            hint=f"rename them, the U-Net's to '{UNET_PREFIX}...', or use another copy of the model",
        )


def _knows_most(family: Family, keys: Collection[str]) -> bool:
    unknown = sum(role_of(family, key) is Role.UNKNOWN for key in keys)
    return 2 * unknown <= len(keys)


def _variant(family: Family, tensors: Tensors) -> str:
    for name, fingerprints in family.variants:
        if all(fingerprint.matches(tensors) for fingerprint in fingerprints):
            return name
    default = family.shapes.get(family.conv_in)
    info = tensors.get(family.conv_in)
    if default is None or info is None or len(info.shape) < 2 or info.shape[1] == default[1]:
        return ""
    return f"{info.shape[1]} input channels"


def _prediction(family: Family, tensors: Tensors, metadata: Mapping[str, str]) -> str:
    if any(marker in tensors for marker in family.v_markers):
        return "v"
    values = (metadata.get(key, "").strip().lower() for key in PREDICTION_KEYS)
    return next((PREDICTIONS[value] for value in values if value in PREDICTIONS), "")


def _unknown(tensors: Tensors, where: str) -> FamilyError:
    if not tensors:
        return FamilyError("this file contains no tensors", where=where, hint="use another copy of it")
    _refuse_foreign(FOREIGN_FILES, tensors, where)
    titles = ", ".join(family.title for family in FAMILIES if set(family.fingerprints) != {Component.VAE})
    return FamilyError(
        f"this is a model of no known family: its {len(tensors)} keys begin with {_first_prefixes(tensors)}",
        where=where,
        hint=f"supported are {titles}, and a VAE alone",
    )


def _refuse_foreign(kinds: Iterable[ForeignFile], tensors: Tensors, where: str) -> None:
    """Raise FamilyError with the description of the first kind that matches the file."""
    for foreign in kinds:
        key = foreign.matching_key(tensors)
        if key is not None:
            raise FamilyError(
                f"this is {foreign.description}: it has '{key}'",
                where=where,
                hint=foreign.hint or _supported_families(),
            )


def _supported_families() -> str:
    *others, last = dict.fromkeys(family.short_title for family in FAMILIES if family.short_title)
    return f"choose models of a family that is supported: {', '.join(others)} or {last}"


def _first_prefixes(keys: Iterable[str]) -> str:
    first = dict.fromkeys(".".join(key.split(".")[:2]) for key in keys)
    return ", ".join(f"'{name}'" for name in islice(first, 3))
