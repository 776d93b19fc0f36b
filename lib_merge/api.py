"""The functions of the public library; `import lib_merge` offers them all.

A merge is described in one of three ways, and every function that takes one takes all of them:

    paths and settings   plan("ink.safetensors", "pastel.safetensors", alpha=0.3, dtype="fp16")
    a recipe             plan(read_recipe("mix.recipe"), folders=["models"])
    a plan               merge(planned, output="mix.safetensors")

Settings are the method's parameters and the options of the command line, with the same names and values:
`merge-desk merge A B --alpha 0.3 --text-encoder A -o OUT` is `merge(A, B, alpha=0.3, text_encoder="A",
output=OUT)`, and writes the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lib_merge.architectures import open_checkpoint as open_file
from lib_merge.architectures import read_header
from lib_merge.checkpoint import Checkpoint
from lib_merge.errors import MergeError, PlanError, RecipeError
from lib_merge.execute import DEFAULT_OPTIONS, MergeOptions
from lib_merge.library.hashes import HashCache
from lib_merge.methods import METHODS
from lib_merge.plan import Plan, make_plan
from lib_merge.progress import Progress
from lib_merge.recipe import Recipe
from lib_merge.recipe import read_recipe as read_recipe_text
from lib_merge.recipe.hashing import InputHashes
from lib_merge.registry import Method
from lib_merge.report.similarity.kinds import DEFAULT_KIND
from lib_merge.save.saving import format_of, save_merge, saving_problems
from lib_merge.service.files import FileResolver, Folders, read_headers
from lib_merge.service.request import DEFAULT_METHOD, MergeRequest

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from lib_merge.live.apply import ApplyResult
    from lib_merge.report.health.check import Health
    from lib_merge.report.similarity.comparison import Comparison

PathLike = str | os.PathLike[str]
Merge = PathLike | Recipe | Plan  # a model's path; or alone: a whole recipe, a whole plan
SettingArgument = float | bool | str | Sequence[float] | Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class MergeResult:
    """A merge that was written.

    path    the file or folder
    plan    what was done to every tensor; `plan.recipe` has the sha256 of the inputs, if they are recorded
    notes   what the user should know, such as values that were clamped because they overflow the dtype
    """

    path: Path
    plan: Plan
    notes: tuple[str, ...] = ()


def open_checkpoint(path: PathLike) -> Checkpoint:
    """Open a checkpoint for reading: safetensors, or a pickle of torch.save, which is never executed.

    Tensors have canonical names, whatever spelling the file has; a tensor is read when it is asked for.
    Raises CheckpointError where the file cannot be read, or is no checkpoint.

    >>> import lib_merge
    >>> with lib_merge.open_checkpoint("samples/models/ink.safetensors") as checkpoint:
    ...     key = "model.diffusion_model.out.2.bias"
    ...     len(checkpoint.keys()), checkpoint.info(key).dtype.label, tuple(checkpoint.tensor(key).shape)
    (1131, 'fp16', (4,))
    """
    return open_file(Path(path))


def read_recipe(source: PathLike) -> Recipe:
    """Read a recipe from a text, or from the file of that name.

    source  the text of a recipe; or the path of a recipe file, a merged checkpoint, a picture that was drawn
            with a merge, or a file of another tool (SuperMerger, Model Mixer, mergekit, sd-mecha, ...)
    Raises RecipeError where there is none, CheckpointError for a checkpoint that cannot be read.

    >>> import lib_merge
    >>> recipe = lib_merge.read_recipe("A = ink\\nB = pastel\\nM = weighted_sum(A, B, alpha=0.3)\\nsave M")
    >>> recipe.files
    ('ink', 'pastel')
    """
    return read_recipe_text(os.fspath(source))


def methods() -> tuple[Method, ...]:
    """Every merge method: id, title, summary, formula, source, parameters with ranges and defaults.

    >>> import lib_merge
    >>> method = lib_merge.methods()[0]
    >>> method.id, method.formula, [parameter.name for parameter in method.parameters]
    ('weighted_sum', 'out = (1 - alpha) A + alpha B', ['alpha'])
    """
    return METHODS.all()


def plan(
    *models: Merge,
    method: str = DEFAULT_METHOD,
    folders: Iterable[PathLike] = (),
    **settings: SettingArgument,
) -> Plan:
    """Plan a merge from the headers of its files: what happens to every tensor, without reading one.

    models    paths, in the order of the method's inputs (A, B, C); or one recipe
    method    id of a merge method, see `methods`
    folders   where a recipe's files are looked for, by name and by hash; default: the current folder
    settings  parameters of the method: a number, a number per block {"IN04": 0.3, "*": 0.5}, for a per-model
              parameter a list; and options of the command line: weights="...", dtype="fp16", vae="B", ...
    Raises PlanError with every problem of the merge at once; RecipeError and MethodError for
    settings that no merge can have.

    >>> import lib_merge
    >>> a, b = "samples/models/ink.safetensors", "samples/models/pastel.safetensors"
    >>> planned = lib_merge.plan(a, b, alpha={"OUT05": 0.6, "*": 0.2}, dtype="fp16")
    >>> planned.identity.title, len(planned.keys), planned.nbytes
    ('Stable Diffusion 1', 1131, 26608606)
    """
    first = models[0] if models else None
    if isinstance(first, (Recipe, Plan)):
        extra = [*(os.fspath(cast("PathLike", model)) for model in models[1:]), *settings]
        if extra or method != DEFAULT_METHOD:
            what = f"{extra or [method]} beside a {type(first).__name__.lower()}, which says the whole merge"
            raise RecipeError(what, hint="leave it out, or write it into the recipe")
        if isinstance(first, Plan):
            return first
        request = MergeRequest.from_recipe(first)
    else:
        paths = [os.fspath(cast("PathLike", model)) for model in models]
        request = MergeRequest.from_call(paths, method, settings)
    places = [Path(folder) for folder in folders]
    resolver = FileResolver(
        Folders(places or [Path()], named_by_user=bool(places)),
        HashCache(),
        DEFAULT_OPTIONS.progress,
        trust_names=False,
    )
    resolved = request.recipe(resolver)
    planned = make_plan(resolved.recipe, read_headers(resolved.files))
    return replace(planned, notes=(*resolved.notes, *planned.notes))


def merge(
    *models: Merge,
    output: PathLike,
    method: str = DEFAULT_METHOD,
    folders: Iterable[PathLike] = (),
    record_hashes: bool = True,
    metadata: Mapping[str, str] | None = None,
    options: MergeOptions = DEFAULT_OPTIONS,
    **settings: SettingArgument,
) -> MergeResult:
    """Merge into a file, which appears under its name only when it is complete.

    models, method, folders, settings  see `plan`; or one plan alone
    output         NAME.safetensors, NAME.ckpt, or NAME/ for a diffusers folder
    record_hashes  write the sha256 of the inputs into the recipe that the file carries
    metadata       further entries of the file's metadata, such as {"modelspec.title": "My mix"}
    Raises PlanError with every problem at once, OutputError, NumericalError (NaN, infinity,
    overflow of the dtype), CheckpointError (an input changed meanwhile), StoppedError. Whatever happens, the
    output is as it was or complete.

    >>> import lib_merge
    >>> a, b = "samples/models/ink.safetensors", "samples/models/pastel.safetensors"
    >>> result = lib_merge.merge(a, b, output="half.safetensors", alpha=0.5)
    >>> lib_merge.read_recipe(result.path).files
    ('ink.safetensors', 'pastel.safetensors')
    >>> lib_merge.merge(a, b, output="half.safetensors", alpha=0.5)
    Traceback (most recent call last):
    lib_merge.errors.PlanError: 'half.safetensors' is there already
      at   half.safetensors
      try  choose another name, or allow overwriting
    """
    target, name = Path(output), os.fspath(output)
    planned = plan_of(models, method, folders, settings)
    _check_output(planned, target, name, overwrite=options.overwrite)
    planned = replace(planned, extra={**planned.extra, **(metadata or {})})
    hashes = InputHashes(HashCache(), _paths(planned)) if record_hashes else None
    if hashes:
        planned = replace(planned, recipe=hashes.with_known_hashes(planned.recipe))
    with hashes or nullcontext():
        overflow = save_merge(
            planned, target, format_of(name), options, recorded=hashes.with_all_hashes if hashes else None
        )
        if hashes:
            planned = replace(planned, recipe=hashes.with_all_hashes(planned.recipe))
    notes = (*planned.notes, overflow.note()) if overflow else planned.notes
    return MergeResult(path=target, plan=planned, notes=notes)


def apply_to(
    target: Module | MutableMapping[str, Tensor] | object,
    *models: Merge,
    method: str = DEFAULT_METHOD,
    folders: Iterable[PathLike] = (),
    options: MergeOptions = DEFAULT_OPTIONS,
    **settings: SettingArgument,
) -> ApplyResult:
    """Merge into a model in memory: its own tensors get the result, in their dtype and on their device.

    target  a torch.nn.Module (A1111's model object; a U-Net, VAE or text encoder of LDM or diffusers), a
            diffusers pipeline with `unet`, `vae` and `text_encoder`, or a state dict. Tensors may have any
            spelling that a file may have, or the names of diffusers and transformers. The two text encoders
            of an SDXL pipeline are refused: apply to its `unet` and its `vae`
    models, method, folders, settings  see `plan`; or one plan alone
    A part that the target lacks is skipped: a bare U-Net gets the merge's U-Net. EMA weights, schedules and
    position ids are not written. The arithmetic always starts from the files, never from the target's
    values, so that applying twice changes nothing.
    Raises PlanError where the target is of another architecture or size, NumericalError, CheckpointError;
    whatever is raised, the target is as it was.

    >>> import lib_merge
    >>> from safetensors.torch import load_file
    >>> a, b = "samples/models/ink.safetensors", "samples/models/pastel.safetensors"
    >>> state = load_file(a)
    >>> result = lib_merge.apply_to(state, a, b, alpha=1.0)
    >>> len(result.written), result.unused
    (1130, ())
    """
    from lib_merge.live.apply import apply_plan

    return apply_plan(target, plan_of(models, method, folders, settings), options)


def compare(
    reference: PathLike,
    *others: PathLike,
    kind: str = DEFAULT_KIND,
    base: PathLike | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """How similar models are to a reference, block by block: 1 is equal.

    kind  what is compared, see `merge-desk compare --help`
    base  compare the models' differences to this one
    seed  of kinds that compare what the models make of noise; None for the kind's own
    Raises MergeError for settings that do not go together, CheckpointError, FamilyError, StoppedError.

    >>> import lib_merge
    >>> report = lib_merge.compare("samples/models/ink.safetensors", "samples/models/pastel.safetensors")
    >>> {name: f"{value:.1%}" for name, value in report.models[0].totals.items()}
    {'input': '99.7%', 'output': '99.8%', 'overall': '99.7%'}
    """
    from lib_merge.report.similarity.comparison import compare as compare_headers

    if not others:
        raise MergeError("there is nothing to compare this model with", hint="name two or more")
    headers = [read_header(Path(other)) for other in others]
    base_header = read_header(Path(base)) if base is not None else None
    return compare_headers(
        read_header(Path(reference)), headers, kind, base=base_header, seed=seed, progress=progress
    )


def check(path: PathLike, *, reference: PathLike | None = None, progress: Progress | None = None) -> Health:
    """What is damaged in a checkpoint: missing, extra or misshapen keys, NaN, infinity, outlier blocks.

    reference  a known-good model of the same family: also report the blocks that are far from its own
    Raises CheckpointError for a file that cannot be read, FamilyError for one of no known family.

    >>> import lib_merge
    >>> health = lib_merge.check("samples/models/ink.safetensors")
    >>> health.title, health.findings
    ('Stable Diffusion 1', ())
    """
    from lib_merge.report.health.check import check as check_header

    header = read_header(Path(reference)) if reference is not None else None
    return check_header(read_header(Path(path)), header, progress)


def plan_of(
    models: Sequence[Merge], method: str, folders: Iterable[PathLike], settings: Mapping[str, SettingArgument]
) -> Plan:
    """`plan` for a caller whose own arguments are the same."""
    return plan(*models, method=method, folders=folders, **settings)


def _check_output(planned: Plan, target: Path, name: str, *, overwrite: bool) -> None:
    """Raise PlanError with every reason why a plan cannot be written there."""
    inputs = [source.path for source in planned.sources]
    problems = saving_problems(planned, target, format_of(name), inputs=inputs, overwrite=overwrite)
    if problems:
        raise PlanError(problems)


def _paths(planned: Plan) -> dict[str, Path]:
    """The path of every file, by its name in the recipe."""
    files = zip(planned.recipe.files, planned.sources, strict=True)
    return {file: source.path for file, source in files}
