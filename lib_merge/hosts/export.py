"""A merge as a diffusers folder: what `StableDiffusionPipeline.from_pretrained(FOLDER)` loads.

The weights are written in one pass, each straight to its place in the file of its part. Neither diffusers
nor transformers is needed: the sizes in the configs are read off the shapes, the tokenizer is made from
its merges.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.architectures import Component, component_of
from lib_merge.checkpoint import StreamingWriter, TensorSpec, check_place
from lib_merge.checkpoint.words import write_failure
from lib_merge.errors import MergeError, OutputError
from lib_merge.execute import Overflow, Settle, check_device, opened, run, settled, with_room
from lib_merge.plan import KeyPlan, Plan
from lib_merge.progress import Progress, Silent
from lib_merge.rebasin import Alignments
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

FILES = {
    Component.UNET: ("unet", "diffusion_pytorch_model.safetensors"),
    Component.VAE: ("vae", "diffusion_pytorch_model.safetensors"),
    Component.TEXT: ("text_encoder", "model.safetensors"),
}
CLASSES = {
    Component.UNET: ["diffusers", "UNet2DConditionModel"],
    Component.VAE: ["diffusers", "AutoencoderKL"],
    Component.TEXT: ["transformers", "CLIPTextModel"],
}
TOKENIZER = ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json")
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "clip_sample": False,
}


class FolderSink:
    """Hands each piece to the file of its part, under its diffusers name."""

    keeps_device = False

    def __init__(self, places: Mapping[str, tuple[StreamingWriter, str]]) -> None:
        self._places = places

    def room(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """A file has none."""
        return None

    def accept(self, entry: KeyPlan, start: int, piece: Tensor) -> None:
        """A key without a place (position ids) is passed over: diffusers makes it anew."""
        if entry.key in self._places:
            writer, name = self._places[entry.key]
            writer.write(name, start * entry.dtype.itemsize, piece.view(torch.uint8).numpy().data)


def merge_to_folder(
    plan: Plan,
    target: Path,
    *,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
    alignments: Alignments | None = None,
    recorded: Settle | None = None,
) -> Overflow:
    """Carry the plan out into a diffusers folder, which appears under its name when it is whole.

    Raises and tells what `execute.merge_to_file` does; a folder that `overwrite` replaces goes when the
    new one is in its place.
    """
    check_device(device)
    inputs = [source.path for source in plan.sources]
    for problem in folder_problems(plan, target, inputs=inputs, overwrite=overwrite):
        raise problem
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.mkdir()
        overflow = _write(plan, part, device, threads, progress or Silent(), alignments, recorded)
        _publish(part, target)
    except OSError as error:
        raise write_failure(error, target) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return overflow


def folder_problems(
    plan: Plan, target: Path, *, inputs: Iterable[Path] = (), overwrite: bool = False
) -> list[MergeError]:
    """Everything that stands in the way of such a folder; one that is replaced must hold no other files."""
    found: list[MergeError] = []
    if plan.identity.family.id != "sd1":
        found.append(
            OutputError(
                f"a diffusers folder can be written of an SD1 model, and this is {plan.identity.title}",
                hint="save as .safetensors: diffusers loads that with from_single_file",
            )
        )
    elif Component.UNET not in _parts(plan):
        found.append(OutputError("a diffusers folder needs a U-Net, and this result has none"))
    else:
        found += _incomplete(plan)
    if not target.name:  # "./" or "/"
        return [*found, OutputError("the folder needs a name", where=f"'{target}'", hint="-o NAME/")]
    found += check_place(target, plan.nbytes)
    if not os.path.lexists(target):
        return found
    if not overwrite:
        found.append(OutputError(f"'{target.name}' is there already", hint="--overwrite, or another name"))
    elif target.is_symlink() or not (target / "model_index.json").is_file():
        what = f"'{target.name}' is there, and is no diffusers folder that could be replaced"
        found.append(OutputError(what, where=str(target), hint="choose another name"))
    else:
        found += _lost(target, inputs)
    return found


def _lost(target: Path, inputs: Iterable[Path]) -> Iterator[MergeError]:
    """What would go with the old folder: an input, or a file that no folder of ours holds."""
    hint = "choose another name"
    place = target.resolve()
    for path in inputs:
        if place in path.resolve().parents:
            what = f"the result would replace '{path.name}', which it is made from"
            yield OutputError(what, where=str(target), hint=hint)
            return
    parts = ("unet", "vae", "text_encoder")
    ours = {f"{part}/config.json" for part in parts} | {"/".join(FILES[part]) for part in FILES}
    ours |= {f"tokenizer/{name}" for name in TOKENIZER}
    ours |= {"scheduler/scheduler_config.json", "model_index.json"}
    names = (path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir())
    other = min((name for name in names if name not in ours), default=None)
    if other is not None:
        what = f"'{target.name}' holds more than is written here, and '{other}' would be lost"
        yield OutputError(what, where=str(target), hint=hint)


def _parts(plan: Plan) -> list[Component]:
    present = {component_of(plan.identity.family, entry.key) for entry in plan.keys}
    return [part for part in FILES if part in present]


def _write(
    plan: Plan,
    folder: Path,
    device: str,
    threads: int | None,
    progress: Progress,
    alignments: Alignments | None,
    recorded: Settle | None,
) -> Overflow:
    from lib_merge.architectures.diffusers_names import diffusers_name, to_diffusers

    layouts: dict[Component, list[TensorSpec]] = {part: [] for part in _parts(plan)}
    homes: dict[str, tuple[Component, str]] = {}
    for entry in plan.keys:
        part, name = component_of(plan.identity.family, entry.key), diffusers_name(entry.key)
        if part is None or name is None or entry.expression is None:
            continue
        shape = to_diffusers(name, torch.empty(entry.shape, device="meta")).shape
        layouts[part].append((name, entry.dtype, tuple(shape)))
        homes[entry.key] = part, name
    _write_configs(plan, folder)
    with ExitStack() as stack:
        writers = {
            part: stack.enter_context(
                StreamingWriter(folder / FILES[part][0] / FILES[part][1], layout, with_room(plan).metadata)
            )
            for part, layout in layouts.items()
        }
        places = {key: (writers[part], name) for key, (part, name) in homes.items()}
        with opened(plan) as checkpoints:
            overflow = run(
                plan,
                checkpoints,
                FolderSink(places),
                device=device,
                threads=threads,
                progress=progress,
                alignments=alignments,
            )
            metadata = settled(plan, recorded).metadata
        for writer in writers.values():
            writer.commit(metadata)
    return overflow


def _configs(plan: Plan) -> dict[Component, dict[str, Any]]:
    """Each part's config; KeyError or IndexError where a tensor that tells a size is missing or odd."""
    from lib_merge.hosts.drawing import text_config, unet_config, vae_config

    state: Any = {entry.key: torch.empty(entry.shape, device="meta") for entry in plan.keys}
    configs: dict[Component, dict[str, Any]] = {}
    present = _parts(plan)
    for part, make in ((Component.UNET, unet_config), (Component.VAE, vae_config)):
        if part in present:
            configs[part] = {"_class_name": CLASSES[part][1], **make(state)}
    if Component.TEXT in present:
        text = {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", **text_config(state)}
        configs[Component.TEXT] = text
    return configs


def _incomplete(plan: Plan) -> Iterator[MergeError]:
    """A part of which tensors are missing: neither its config nor the folder would be whole."""
    try:
        _configs(plan)
    except (KeyError, IndexError) as missing:
        odd = isinstance(missing, IndexError)
        lacks = "has other shapes than SD1's" if odd else f"lacks '{missing.args[0]}'"
        what = f"a diffusers folder needs every tensor of its parts, and this result {lacks}"
        yield OutputError(what, hint="save as NAME.safetensors, or merge whole checkpoints")


def _write_configs(plan: Plan, folder: Path) -> None:
    from lib_merge.hosts.clip_tokenizer import write_tokenizer

    present = _parts(plan)
    if Component.TEXT in present:
        write_tokenizer(folder / "tokenizer")
    for part, config in _configs(plan).items():
        _write_json(folder / FILES[part][0] / "config.json", config)
    prediction = "v_prediction" if plan.identity.prediction == "v" else "epsilon"
    _write_json(folder / "scheduler" / "scheduler_config.json", {**SCHEDULER, "prediction_type": prediction})
    _write_json(folder / "model_index.json", _index(present))


def _index(present: list[Component]) -> dict[str, Any]:
    """What the pipeline is made of; a part that was left out is null, to be given when it is loaded."""
    nothing = [None, None]
    parts = {FILES[part][0]: CLASSES[part] if part in present else nothing for part in FILES}
    tokenizer = ["transformers", "CLIPTokenizer"] if Component.TEXT in present else nothing
    return {
        "_class_name": "StableDiffusionPipeline",
        **parts,
        "tokenizer": tokenizer,
        "scheduler": ["diffusers", SCHEDULER["_class_name"]],
        "safety_checker": nothing,
        "feature_extractor": nothing,
        "requires_safety_checker": False,
    }


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _publish(part: Path, target: Path) -> None:
    """The folder gets its name; one that has it is moved aside first, and removed at the end."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    try:
        part.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
