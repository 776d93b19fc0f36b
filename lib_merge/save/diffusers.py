"""A merge as a diffusers folder: what `StableDiffusionPipeline.from_pretrained(FOLDER)` loads.

The weights are written in one pass, each to its offset in the file of its part. Neither diffusers nor
transformers is needed: the configs follow from the shapes, the tokenizer from its merges.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.architectures import FAMILIES, Component, component_of
from lib_merge.architectures.pipeline import Config, Pipeline, PipelinePart
from lib_merge.checkpoint import StreamingWriter, TensorSpec, check_folder
from lib_merge.checkpoint.system_errors import write_failure
from lib_merge.errors import MergeError, OutputError
from lib_merge.execute import (
    DEFAULT_OPTIONS,
    FinalHashes,
    MergeOptions,
    Overflow,
    check_device,
    open_sources,
    run,
    with_final_hashes,
    with_placeholder_hashes,
)
from lib_merge.plan import KeyPlan, Plan
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

TOKENIZER = ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json")


class FolderSink:
    """Writes each chunk to the file of its part, under its diffusers name."""

    keeps_device = False

    def __init__(self, places: Mapping[str, tuple[StreamingWriter, str]]) -> None:
        self._places = places

    def buffer(self, entry: KeyPlan, start: int, count: int) -> Tensor | None:
        """None: a file has no buffer."""
        return None

    def accept(self, entry: KeyPlan, start: int, chunk: Tensor) -> None:
        """Write a chunk; keys without a diffusers name (position_ids) are skipped, diffusers creates them."""
        if entry.key in self._places:
            writer, name = self._places[entry.key]
            writer.write(name, start * entry.dtype.itemsize, chunk.view(torch.uint8).numpy().data)


def merge_to_folder(
    plan: Plan,
    target: Path,
    options: MergeOptions = DEFAULT_OPTIONS,
    *,
    recorded: FinalHashes | None = None,
) -> Overflow:
    """Carry the plan out into a diffusers folder, which gets its name when it is complete.

    Raises and returns what `execute.merge_to_file` does; a folder that `overwrite` replaces is removed once
    the new one has its name.
    """
    check_device(options.device)
    inputs = [source.path for source in plan.sources]
    for problem in folder_problems(plan, target, inputs=inputs, overwrite=options.overwrite):
        raise problem
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.mkdir()
        overflow = _write(plan, part, options, recorded)
        _publish(part, target)
    except OSError as error:
        raise write_failure(error, target) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return overflow


def folder_problems(
    plan: Plan, target: Path, *, inputs: Iterable[Path] = (), overwrite: bool = False
) -> list[MergeError]:
    """All problems of saving this folder; a folder that is replaced must not contain other files."""
    problems: list[MergeError] = []
    if plan.identity.family.pipeline is None:
        problems.append(
            OutputError(
                f"a diffusers folder can be written of an SD1 model, and this is {plan.identity.title}",
                hint="save as .safetensors: diffusers loads that with from_single_file",
            )
        )
    elif Component.UNET not in _parts(plan):
        problems.append(OutputError("a diffusers folder needs a U-Net, and this result has none"))
    else:
        problems += _incomplete(plan)
    if not target.name:  # "./" or "/"
        return [*problems, OutputError("the folder needs a name", where=f"'{target}'", hint="-o NAME/")]
    problems += check_folder(target, plan.nbytes)
    if not os.path.lexists(target):
        return problems
    if not overwrite:
        problems.append(write_failure(OSError(errno.EEXIST, ""), target))
    elif target.is_symlink() or not (target / "model_index.json").is_file():
        what = f"'{target.name}' is there, and is no diffusers folder that could be replaced"
        problems.append(OutputError(what, where=str(target), hint="choose another name"))
    else:
        problems += _lost(target, inputs)
    return problems


def _lost(target: Path, inputs: Iterable[Path]) -> Iterator[MergeError]:
    """Problems of replacing the folder: it holds an input, or a file that this module does not write."""
    hint = "choose another name"
    resolved_target = target.resolve()
    for path in inputs:
        if resolved_target in path.resolve().parents:
            what = f"the result would replace '{path.name}', which it is made from"
            yield OutputError(what, where=str(target), hint=hint)
            return
    pipelines = (family.pipeline for family in FAMILIES if family.pipeline)
    models = [model for pipeline in pipelines for model in _models(pipeline).values()]
    ours = {f"{model.name}/config.json" for model in models}
    ours |= {model.path for model in models}
    ours |= {f"tokenizer/{name}" for name in TOKENIZER}
    ours |= {"scheduler/scheduler_config.json", "model_index.json"}
    names = (path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir())
    other = min((name for name in names if name not in ours), default=None)
    if other is not None:
        what = f"'{target.name}' holds more than is written here, and '{other}' would be lost"
        yield OutputError(what, where=str(target), hint=hint)


def _models(pipeline: Pipeline) -> dict[Component, PipelinePart]:
    return {Component.UNET: pipeline.unet, Component.VAE: pipeline.vae, Component.TEXT: pipeline.text_encoder}


def _pipeline(plan: Plan) -> Pipeline:
    pipeline = plan.identity.family.pipeline
    assert pipeline is not None  # `folder_problems` reports it
    return pipeline


def _parts(plan: Plan) -> dict[Component, PipelinePart]:
    """The models of the pipeline that the result contains."""
    present = {component_of(plan.identity.family, entry.key) for entry in plan.keys}
    return {part: model for part, model in _models(_pipeline(plan)).items() if part in present}


def _write(
    plan: Plan,
    folder: Path,
    options: MergeOptions,
    recorded: FinalHashes | None,
) -> Overflow:
    from lib_merge.architectures.diffusers_names import diffusers_name, to_diffusers

    models = _parts(plan)
    layouts: dict[Component, list[TensorSpec]] = {part: [] for part in models}
    parts_by_key: dict[str, tuple[Component, str]] = {}
    for entry in plan.keys:
        part, name = component_of(plan.identity.family, entry.key), diffusers_name(entry.key)
        if part is None or name is None or entry.expression is None:
            continue
        shape = to_diffusers(name, torch.empty(entry.shape, device="meta")).shape
        layouts[part].append((name, entry.dtype, tuple(shape)))
        parts_by_key[entry.key] = part, name
    _write_configs(plan, folder)
    with ExitStack() as stack:
        writers = {
            part: stack.enter_context(
                StreamingWriter(folder / models[part].path, layout, with_placeholder_hashes(plan).metadata)
            )
            for part, layout in layouts.items()
        }
        places = {key: (writers[part], name) for key, (part, name) in parts_by_key.items()}
        with open_sources(plan) as checkpoints:
            overflow = run(plan, checkpoints, FolderSink(places), options)
            metadata = with_final_hashes(plan, recorded).metadata
        for writer in writers.values():
            writer.commit(metadata)
    return overflow


def _configs(plan: Plan) -> dict[PipelinePart, Config]:
    """Each model's config; KeyError or IndexError where a tensor is missing or has an unexpected shape."""
    shapes = {entry.key: entry.shape for entry in plan.keys}
    configs: dict[PipelinePart, Config] = {}
    for model in _parts(plan).values():
        configs[model] = {**model.config_extras, **model.infer_config(shapes)}
    return configs


def _incomplete(plan: Plan) -> Iterator[MergeError]:
    """Parts with missing tensors, for which no config and no complete folder can be written."""
    try:
        _configs(plan)
    except (KeyError, IndexError) as missing:
        is_misshapen = isinstance(missing, IndexError)
        lacks = "has other shapes than SD1's" if is_misshapen else f"lacks '{missing.args[0]}'"
        what = f"a diffusers folder needs every tensor of its parts, and this result {lacks}"
        yield OutputError(what, hint="save as NAME.safetensors, or merge whole checkpoints")


def _write_configs(plan: Plan, folder: Path) -> None:
    from lib_merge.clip_tokenizer import write_tokenizer

    pipeline, present = _pipeline(plan), _parts(plan)
    if Component.TEXT in present:
        write_tokenizer(folder / "tokenizer")
    for model, config in _configs(plan).items():
        _write_json(folder / model.name / "config.json", config)
    prediction = "v_prediction" if plan.identity.prediction == "v" else "epsilon"
    _write_json(
        folder / "scheduler" / "scheduler_config.json", {**pipeline.scheduler, "prediction_type": prediction}
    )
    _write_json(folder / "model_index.json", _index(pipeline, present))


def _index(pipeline: Pipeline, present: Collection[Component]) -> dict[str, Any]:
    """The parts of the pipeline for model_index.json; a missing part is null, to be passed when loading."""
    nothing = [None, None]
    parts = {
        model.name: [model.library, model.class_name] if part in present else nothing
        for part, model in _models(pipeline).items()
    }
    tokenizer = ["transformers", "CLIPTokenizer"] if Component.TEXT in present else nothing
    return {
        "_class_name": pipeline.class_name,
        **parts,
        "tokenizer": tokenizer,
        "scheduler": ["diffusers", pipeline.scheduler["_class_name"]],
        "safety_checker": nothing,
        "feature_extractor": nothing,
        "requires_safety_checker": False,
    }


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _publish(part: Path, target: Path) -> None:
    """Rename the finished folder; an old folder of this name is moved aside first, and removed at the end."""
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
