"""Applies a plan to a model in memory that no WebUI holds: a module, a diffusers pipeline, a state dict.

The names of the model's tensors are read as those of a file are (architectures/aliases.py), or as diffusers'
and transformers' (architectures/diffusers_names.py). Everything is computed before the first tensor is
written, so that an error leaves the model as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from lib_merge.architectures import Component, Family, Role, canonical_names, component_of, role_of
from lib_merge.architectures.keys import POSITION_IDS
from lib_merge.errors import FamilyError, MergeError, PlanError
from lib_merge.execute import DEFAULT_OPTIONS, MergeOptions, merge_to_memory
from lib_merge.plan import KeyPlan, Plan
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

MEMORY = "the model in memory"
HIJACK = "wrapped"  # A1111 puts a module of that name around some modules (modules/sd_hijack.py)
ADAPTED = "base_layer"  # PEFT puts the adapted layer under that name (peft/tuners/lora/layer.py)
ADAPTERS = ("lora_", "lokr_", "hada_", "ia3_", "oft_", "modules_to_save")  # PEFT's own parameters
PARTS = {Component.UNET: "unet", Component.VAE: "vae", Component.TEXT: "text_encoder"}  # of a pipeline


@dataclass(frozen=True, kw_only=True)
class ApplyResult:
    """The tensors of a model in memory that a merge was written to, and the others.

    written    canonical names of the tensors that were written
    unused     canonical names of weights of the merge that the model has no tensor for (another part)
    untouched  names of the model's tensors that the merge has nothing for: buffers, adapters, another part
    notes      what the user should know
    """

    written: tuple[str, ...]
    unused: tuple[str, ...] = ()
    untouched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Match:
    """Which tensors of a model in memory hold which keys of a plan.

    tensors    key -> its tensors in the model
    untouched  names of tensors that the plan has nothing for
    left_over  those of them that are weights of a component of which the plan has other weights
    unnamed    parts of a pipeline none of whose names is recognised
    """

    tensors: dict[str, list[Tensor]] = field(default_factory=dict[str, "list[Tensor]"])
    untouched: list[str] = field(default_factory=list[str])
    left_over: list[str] = field(default_factory=list[str])
    unnamed: list[str] = field(default_factory=list[str])

    def add(self, part: str, other: _Match) -> None:
        """Adds the match of one part of a pipeline."""
        for key, tensors in other.tensors.items():
            self.tensors.setdefault(key, []).extend(tensors)
        self.untouched += [f"{part}.{name}" for name in other.untouched]
        self.left_over += [f"{part}.{name}" for name in other.left_over]
        if not other.tensors:
            self.unnamed.append(part)


def apply_plan(target: object, plan: Plan, options: MergeOptions = DEFAULT_OPTIONS) -> ApplyResult:
    """Write the result of a plan into a model's own tensors, in their dtype and on their device.

    A value is rounded to the plan's dtype first and to the tensor's then, so that the model computes what the
    saved file would. EMA weights, schedules and position ids are not written.
    Raises PlanError with everything that does not fit; whatever is raised, the model is as it was.
    """
    weights = {
        entry.key: entry for entry in plan.keys if role_of(plan.identity.family, entry.key) is Role.WEIGHT
    }
    match = _match(target, weights, plan.identity.family)
    problems = list(_problems(match, weights, plan))
    if problems:
        raise PlanError(problems)
    wanted = tuple(entry for key, entry in weights.items() if key in match.tensors)
    values = merge_to_memory(replace(plan, keys=wanted), options)
    with torch.inference_mode():  # parameters that need gradients, and tensors made in inference mode
        for key, tensors in match.tensors.items():
            for tensor in tensors:
                tensor.copy_(values[key].reshape(tensor.shape))
    return ApplyResult(
        written=tuple(entry.key for entry in wanted),
        unused=tuple(key for key in weights if key not in match.tensors),
        untouched=tuple(match.untouched),
        notes=plan.notes,
    )


def _match(target: object, weights: Mapping[str, KeyPlan], family: Family) -> _Match:
    """The tensors of whatever the caller has: a state dict, a module, or a pipeline of modules."""
    if isinstance(target, Mapping):
        return _match_state(_state_dict(cast("Mapping[object, object]", target)), weights, family)
    if isinstance(target, torch.nn.Module):
        _check_adapters(target)
        return _match_state(target.state_dict(), weights, family)
    parts = {part: getattr(target, name, None) for part, name in PARTS.items()}
    modules = {part: module for part, module in parts.items() if isinstance(module, torch.nn.Module)}
    if Component.UNET not in modules:
        raise MergeError(
            f"a {type(target).__name__} is no model that a merge can be applied to",
            hint="a torch.nn.Module, a diffusers pipeline, or a dict of tensors",
        )
    match = _Match()
    for part, module in modules.items():
        _check_adapters(module)
        own = {key: entry for key, entry in weights.items() if component_of(family, key) is part}
        if own:  # the merge may have no VAE: the pipeline keeps its own
            match.add(PARTS[part], _match_state(module.state_dict(), own, family))
    return match


def _state_dict(target: Mapping[object, object]) -> dict[str, Tensor]:
    for name, value in target.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise MergeError(
                f"a state dict holds tensors by name, and this one has {type(value).__name__} under {name!r}",
                hint="pass the inner dict, often under 'state_dict'",
            )
    return cast("dict[str, Tensor]", dict(target))


def _check_adapters(module: Module) -> None:
    """Refuses a model with an A1111 LoRA: it keeps a copy of the weights and would restore it."""
    modules = cast("Iterator[tuple[str, Module]]", module.named_modules())
    for name, part in modules:
        if getattr(part, "network_current_names", ()):
            raise MergeError(
                "a LoRA is added to the weights of this model", where=name, hint="take it off first"
            )


def _match_state(state: Mapping[str, Tensor], weights: Mapping[str, KeyPlan], family: Family) -> _Match:
    """The tensors of one state dict, in the spelling that fits the most of its names."""
    names = {name: _plain(name) for name in state if not _is_adapter(name)}
    match = _Match()
    diffusers = _diffusers_keys(names, weights)
    keys = diffusers or _canonical_keys(names, state)
    for name, tensor in state.items():
        key = keys.get(name, "")
        if key in weights:
            match.tensors.setdefault(key, []).append(tensor)
        else:
            match.untouched.append(name)
    components = {component_of(family, key) for key in match.tensors}
    for name in match.untouched:
        key = keys.get(name, "")
        part_of_it = role_of(family, key) is Role.WEIGHT and component_of(family, key) in components
        if part_of_it or (diffusers and name in names and not name.endswith(POSITION_IDS)):
            match.left_over.append(name)
    return match


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in (HIJACK, ADAPTED))


def _is_adapter(name: str) -> bool:
    return any(part.startswith(ADAPTERS) for part in name.split("."))


def _diffusers_keys(names: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    """Name in memory -> key, where most names are those that diffusers or transformers have for one part."""
    from lib_merge.architectures.diffusers_names import diffusers_names_of, without_text_model

    tables: dict[str, dict[str, str]] = {}
    for key, name in diffusers_names_of(keys).items():
        table = tables.setdefault(key.partition(".")[0], {})
        table[name] = table[without_text_model(name)] = key
    for table in tables.values():
        keys_by_name = {name: table[plain] for name, plain in names.items() if plain in table}
        if 2 * len(keys_by_name) > len(names):
            return keys_by_name
    return {}


def _canonical_keys(names: Mapping[str, str], state: Mapping[str, Tensor]) -> dict[str, str]:
    """Name in memory -> key, for the spellings of files."""
    stored = {plain: name for name, plain in names.items()}
    shapes = {plain: tuple(state[name].shape) for plain, name in stored.items()}
    return {stored[plain]: key for plain, key in canonical_names(shapes, where=MEMORY).items()}


def _problems(match: _Match, weights: Mapping[str, KeyPlan], plan: Plan) -> Iterator[MergeError]:
    """The reasons why the merge cannot be applied: no common key, other shapes, a part without weights."""
    title = plan.identity.title
    if not match.tensors:
        yield FamilyError(
            f"no tensor of {MEMORY} is one of the merge's ({title})",
            where=next(iter(match.untouched), ""),
            hint="a model of the same architecture, or its state dict",
        )
        return
    for part in match.unnamed:
        yield FamilyError(
            f"a pipeline's {part} of {title} has names that are not known here",
            hint="apply to pipeline.unet and pipeline.vae, or merge to a file and load that",
        )
    if match.left_over:
        what = f"{MEMORY} has {len(match.left_over)} weights that the merge has nothing for"
        yield FamilyError(what, where=match.left_over[0], hint=f"a model of {title} of the same size")
    misfits = [
        (key, tensor)
        for key, tensors in match.tensors.items()
        for tensor in tensors
        if _axes(tensor.shape) != _axes(weights[key].shape)
    ]
    if misfits:
        key, tensor = misfits[0]
        more = f", and {len(misfits) - 1} more" if len(misfits) > 1 else ""
        what = f"{MEMORY} has the shape {tuple(tensor.shape)} where the merge has {weights[key].shape}{more}"
        yield FamilyError(what, where=key, hint=f"a model of {title} of the same size")


def _axes(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without axes of length one: 1x1 convolutions of LDM are linear layers of diffusers."""
    return tuple(size for size in shape if size != 1)
