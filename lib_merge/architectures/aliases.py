"""Canonical keys for the names of tensors in a file: pure functions of names and shapes.

Files name the same tensors differently (their spelling): with prefixes of trainers, without a prefix, in
older layouts. The loaders agree on the meaning: AUTOMATIC1111 (modules/sd_models.py,
`get_state_dict_from_checkpoint`) handles those of its own layouts, ComfyUI (comfy/model_detection.py,
comfy/supported_models.py) bare networks, prefixes and norms. A part is recognised only by a tensor that no
other kind of file has, so that a LoRA or a T5 text encoder, whose names also begin with `double_blocks.` or
`encoder.`, is not renamed. Spellings of a single family are in its data (`Family.network`,
`Family.spellings`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from lib_merge.architectures.families import FAMILIES
from lib_merge.architectures.family import Network, Spelling
from lib_merge.architectures.keys import (
    AIO_VAE_PREFIX,
    COMFY_TEXT_PREFIX,
    POSITION_IDS,
    SGM_ENCODER_PREFIX,
    TEXT_PREFIX,
    UNET_PREFIX,
    VAE_DECODER_CONV_IN,
    VAE_PREFIX,
    VAE_PREFIXES,
)
from lib_merge.architectures.openclip import open_clip_name
from lib_merge.checkpoint import EqualTensors, Shapes
from lib_merge.errors import CheckpointError

# Names that torch.compile, DataParallel, FSDP and similar wrappers insert between the names of modules.
WRAPPERS = frozenset(
    {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
)
# Prefixes of the parts of a checkpoint; a trainer's class may add its own prefix before each of them.
COMPONENT_PREFIXES = (UNET_PREFIX, VAE_PREFIX, TEXT_PREFIX, SGM_ENCODER_PREFIX, COMFY_TEXT_PREFIX)
# The prefixes to which a spelling may move the keys below a component's prefix.
RENAMED_PREFIXES: Mapping[str, tuple[str, ...]] = {
    VAE_PREFIX: (AIO_VAE_PREFIX,),
    SGM_ENCODER_PREFIX: (TEXT_PREFIX,),
    COMFY_TEXT_PREFIX: (TEXT_PREFIX, SGM_ENCODER_PREFIX),
}
VAE_MARKERS = (VAE_DECODER_CONV_IN, "encoder.conv_in.weight")
VAE_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
OTHER_NETWORKS = re.compile(r"(?:^|\.)(?:control|adapter|low_scale_model)")  # contain keys of a U-Net or VAE

COMFY_CLIP = rf"{re.escape(COMFY_TEXT_PREFIX)}clip_\w+\."
FLAT_CLIP = re.compile(
    rf"((?:{re.escape(TEXT_PREFIX)}|{re.escape(SGM_ENCODER_PREFIX)}\d+\.|{COMFY_CLIP})transformer\.)"
    r"(embeddings|encoder|final_layer_norm)\."
)
BARE_CLIP = re.compile(rf"({COMFY_CLIP})(text_model|text_projection)\.")


def _without_wrappers(name: str) -> str:
    parts = name.split(".")
    return ".".join(part for part in parts if part not in WRAPPERS)


def _without_state_dict(name: str) -> str:
    return name.removeprefix("state_dict.")


def _clip_with_model(name: str) -> str:
    """A CLIP key with `transformer.` and `text_model.`, which NAI and transformers < 4.31 and >= 5 leave
    out."""
    name = BARE_CLIP.sub(r"\1transformer.\2.", name)
    return FLAT_CLIP.sub(r"\1text_model.\2.", name)


def _without_wrappers_and_variants(names: Iterable[str]) -> dict[str, str]:
    """Without the names of wrappers, and with the replacements of every family's network."""
    return {stored: name_in_network(_without_state_dict(_without_wrappers(stored))) for stored in names}


def name_in_network(name: str) -> str:
    """The name with the replacements of every family's network, whose modules programs name differently."""
    for pattern, new in _replacements():
        name = pattern.sub(new, name)
    return name


@cache
def _replacements() -> tuple[tuple[re.Pattern[str], str], ...]:
    pairs = (pair for network in _networks() for pair in network.replacements)
    return tuple((re.compile(pattern), new) for pattern, new in pairs)


@cache
def _networks() -> tuple[Network, ...]:
    """The networks of all families, without duplicates: similar families share one."""
    return tuple(dict.fromkeys(family.network for family in FAMILIES if family.network is not None))


@cache
def _modules(network: Network) -> tuple[str, ...]:
    """The prefixes of the network's keys in all families that share it."""
    sharing = (family for family in FAMILIES if family.network == network)
    return tuple(dict.fromkeys(module for family in sharing for module in family.modules))


def _is_bare_network(network: Network, shapes: Shapes) -> bool:
    other = network.excluded_prefixes and any(name.startswith(network.excluded_prefixes) for name in shapes)
    return network.marker_key in shapes and not other


def _is_bare_vae(shapes: Shapes) -> bool:
    return any(sign in shapes for sign in VAE_MARKERS)


def _add_prefix(target: str, prefixes: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple((prefix, target + prefix) for prefix in prefixes)


@cache
def _spellings() -> tuple[Spelling, ...]:
    """All spellings, in the order in which they are applied: each to the result of the previous one."""
    return (
        *(_bare_network(network) for network in _networks()),
        Spelling("a bare VAE", _add_prefix(VAE_PREFIX, VAE_PARTS), _is_bare_vae),
        *(spelling for family in FAMILIES for spelling in family.spellings),
        Spelling(
            "a VAE under `first_stage_model.` instead of `vae.`",
            ((VAE_PREFIX, AIO_VAE_PREFIX),),
            _has_aio_vae,
        ),
        Spelling(
            "a VAE under `vae.` instead of `first_stage_model.`",
            ((AIO_VAE_PREFIX, VAE_PREFIX),),
            _has_misplaced_aio_vae,
        ),
    )


def _bare_network(network: Network) -> Spelling:
    renames = _add_prefix(network.prefix, _modules(network))
    return Spelling("a bare network", renames, lambda shapes: _is_bare_network(network, shapes))


def _has_aio_vae(shapes: Shapes) -> bool:
    """Whether the file's network is one whose VAE has the prefix `vae.`"""
    markers = (
        network.prefix + network.marker_key for network in _networks() if network.vae_prefix == AIO_VAE_PREFIX
    )
    return any(marker in shapes for marker in markers)


def _has_misplaced_aio_vae(shapes: Shapes) -> bool:
    return not _has_aio_vae(shapes) and any(AIO_VAE_PREFIX + sign in shapes for sign in VAE_MARKERS)


# Diffusers stores each part of a model in a separate file, under names that no WebUI loads.
DIFFUSERS_PREFIXES = (
    "down_blocks.",
    "mid_block.",
    "up_blocks.",
    "encoder.down_blocks.",
    "decoder.up_blocks.",
    "transformer_blocks.",
    "single_transformer_blocks.",
)
DIFFUSERS_WITHIN = tuple(
    root + start for root in (UNET_PREFIX, *VAE_PREFIXES) for start in DIFFUSERS_PREFIXES[:5]
)
# Tensors of models whose original names are those of diffusers: Qwen-Image, LTX-Video, Lens, Mage-Flow.
NATIVE_DIFFUSERS_NAMES = ("txt_norm.weight", "patchify_proj.weight", "transformer_blocks.0.img_mlp.w1.weight")


def canonical_names(shapes: Shapes, *, where: str = "", same: EqualTensors | None = None) -> dict[str, str]:
    """Name in the file -> canonical key, in the file's order.

    same   whether two tensors of the file have equal values. Where two names have the same canonical key, the
           second is left out if the tensors are equal; otherwise, and where `same` is None, the file is
           refused
    where  the file, for error messages
    Raises CheckpointError for such a file, and for a part of a model in Diffusers layout.
    """
    _refuse_diffusers(shapes, DIFFUSERS_PREFIXES, where)
    names = _without_wrappers_and_variants(shapes)
    for step in (_without_outer_prefix, _network_under_prefix, _vae_under_prefix, _apply_spellings):
        names = step(names, shapes)
    names = {stored: open_clip_name(_clip_with_model(name)) for stored, name in names.items()}
    _refuse_diffusers(names.values(), DIFFUSERS_WITHIN, where)
    return _without_duplicates(names, where, same and _ignoring_position_id_values(same, shapes))


def _without_outer_prefix(names: Mapping[str, str], shapes: Shapes) -> dict[str, str]:
    """Without a prefix that a trainer's class added: `model.model.diffusion_model.` and the like.

    Where a file has a component twice, with and without such a prefix, both stay where they are, whichever of
    its canonical prefixes the one without has: the canonical keys of a file do not change when they are read
    again.
    """
    prefixes: list[tuple[str, str]] = []
    for root in COMPONENT_PREFIXES:
        outer = {name[:start] for name in names.values() if (start := _component_start(root, name)) >= 0}
        if any(name.startswith(RENAMED_PREFIXES.get(root, ())) for name in names.values()):
            outer.add("")
        if len(outer) == 1 and (prefix := outer.pop()) and not OTHER_NETWORKS.search(prefix):
            # keys at the level of the U-Net (EMA weights, markers) have the same prefix
            prefixes.append((prefix, prefix if root == UNET_PREFIX else prefix + root))
    prefixes.sort(key=lambda pair: -len(pair[1]))  # the longest start is that of the name's own component
    result: dict[str, str] = {}
    for stored, name in names.items():
        matching = (prefix for prefix, start in prefixes if name.startswith(start))
        result[stored] = name.removeprefix(next(matching, ""))
    return result


def _component_start(root: str, name: str) -> int:
    """The index at which a prefix begins in a name, at the start or after a dot; -1 where it does not
    occur."""
    if name.startswith(root):
        return 0
    dot = name.find("." + root)
    return dot + 1 if dot >= 0 else -1


def _network_under_prefix(names: Mapping[str, str], shapes: Shapes) -> dict[str, str]:
    """The U-Net or transformer under its canonical prefix, in place of an unknown one."""
    signs = tuple(network.marker_key for network in _networks() if network.prefix == UNET_PREFIX)
    return _move_prefix(names, signs, (UNET_PREFIX,), UNET_PREFIX)


def _vae_under_prefix(names: Mapping[str, str], shapes: Shapes) -> dict[str, str]:
    """The VAE under its canonical prefix, in place of an unknown one."""
    return _move_prefix(names, VAE_MARKERS, VAE_PREFIXES, VAE_PREFIX)


def _move_prefix(
    names: Mapping[str, str], signs: tuple[str, ...], canonical_prefixes: tuple[str, ...], target: str
) -> dict[str, str]:
    """The keys under an unknown prefix, recognised by one of the marker keys, renamed to the prefix
    `target`."""
    prefixes = {
        name.removesuffix(sign) for name in names.values() for sign in signs if _ends_with(name, sign)
    }
    prefixes = {prefix for prefix in prefixes if not OTHER_NETWORKS.search(prefix)}
    if len(prefixes) != 1 or prefixes & {"", *canonical_prefixes}:
        return dict(names)
    (prefix,) = prefixes
    return {
        stored: target + name.removeprefix(prefix) if name.startswith(prefix) else name
        for stored, name in names.items()
    }


def _ends_with(name: str, sign: str) -> bool:
    return name == sign or name.endswith("." + sign)


def _apply_spellings(names: Mapping[str, str], shapes: Shapes) -> dict[str, str]:
    """The names with every spelling that applies to the file renamed."""
    renamed = dict(names)
    for spelling in _spellings():
        if spelling.applies({now: shapes[stored] for stored, now in renamed.items()}):
            renamed = {stored: spelling.rename(now) for stored, now in renamed.items()}
    return renamed


def _refuse_diffusers(names: Iterable[str], starts: tuple[str, ...], where: str) -> None:
    names, signs = tuple(names), (*NATIVE_DIFFUSERS_NAMES, *_native_marker_keys())
    if any(_ends_with(name, sign) for name in names for sign in signs):
        return
    for name in names:
        if name.startswith(starts):
            raise CheckpointError(
                f"this is one part of a model in Diffusers layout, not a checkpoint: it has '{name}'",
                where=where,
                hint="use the single-file checkpoint of the same model",
            )


@cache
def _native_marker_keys() -> tuple[str, ...]:
    """The marker keys of the supported networks whose original names are those of diffusers."""
    native = (
        network for network in _networks() if any(m.startswith(DIFFUSERS_PREFIXES) for m in _modules(network))
    )
    return tuple(network.marker_key for network in native)


def _without_duplicates(names: Mapping[str, str], where: str, same: EqualTensors | None) -> dict[str, str]:
    """Without the second of two equal tensors with the same canonical key; CheckpointError where they
    differ."""
    first: dict[str, str] = {}
    for stored, name in _canonical_first(names):
        if name not in first:
            first[name] = stored
        elif same is None or not same(first[name], stored):
            pair = sorted((first[name], stored), key=list(names).index)
            raise CheckpointError(
                f"two tensors of this file stand for the same one: '{pair[0]}' and '{pair[1]}'",
                where=where,
                hint="the file mixes two naming schemes; create it again, or use another copy",
            )
    kept = set(first.values())
    return {stored: name for stored, name in names.items() if stored in kept}


def _ignoring_position_id_values(same: EqualTensors, shapes: Shapes) -> EqualTensors:
    """`same`, except that position_ids of equal shape are equal whatever their dtype."""

    def equal(one: str, other: str) -> bool:
        if one.endswith(POSITION_IDS) and other.endswith(POSITION_IDS):
            return shapes[one] == shapes[other]
        return same(one, other)

    return equal


def _canonical_first(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The pairs of `names`, those that are canonical in the file first."""
    yield from ((stored, name) for stored, name in names.items() if stored == name)
    yield from ((stored, name) for stored, name in names.items() if stored != name)
