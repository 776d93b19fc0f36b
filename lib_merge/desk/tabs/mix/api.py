"""The HTTP API of merges: status, plan, apply, restore, save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lib_merge.desk.route import route, unknown_names_as_404
from lib_merge.errors import OutputError, RecipeError
from lib_merge.live import MergeIdent, SwapReport
from lib_merge.recipe.options import OPTIONS
from lib_merge.save.saving import SAVE_FORMATS, file_name
from lib_merge.schema import EmptyRequest, FieldDescription
from lib_merge.service.request import MergeRequest
from lib_merge.service.server_paths import folders_of, without_paths
from lib_merge.service.services import Services


@dataclass(frozen=True)
class MergeBody:
    """A merge, with the names of the command line's options.

    recipe   the text of a recipe; no other field may be given with it
    method   the merge method (default: weighted_sum); its parameters are fields too, each a number or an
             object of numbers by slot, "*" for all other slots
    a, b, c  the checkpoints, by their names in the host's list
    """

    merge: MergeRequest

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> MergeBody:
        """Parse the JSON body; raises RecipeError or MethodError for a field that the method lacks."""
        return cls(MergeRequest.from_json(body))

    @classmethod
    def further_notes(cls) -> tuple[FieldDescription, ...]:
        """The options of every merge."""
        return tuple(
            FieldDescription(option.name, option.value or "true or false", "", option.help)
            for option in OPTIONS
        )


@dataclass(frozen=True)
class SaveBody:
    """A merge, as for `plan`, and the file.

    name       the file's name, without a folder
    format     safetensors, ckpt or diffusers
    overwrite  true: a file of this name is replaced
    """

    merge: MergeRequest
    name: str = ""
    format: str = SAVE_FORMATS[0]
    overwrite: bool = False

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> SaveBody:
        """Parse the JSON body; raises RecipeError where the file name is not allowed."""
        fields = dict(body)
        name, overwrite = fields.pop("name", ""), fields.pop("overwrite", False)
        format = fields.pop("format", None) or SAVE_FORMATS[0]
        if not isinstance(name, str) or not isinstance(format, str) or not isinstance(overwrite, bool):
            raise RecipeError("name and format must be text, and overwrite true or false")
        try:
            file_name(name, format)
        except OutputError as cause:
            raise RecipeError(cause.what, where=cause.where, hint=cause.hint) from cause
        return cls(MergeRequest.from_json(fields), name, format, overwrite)


@dataclass(frozen=True)
class LiveMerge:
    """A merge in memory: its name, its id and its recipe."""

    name: str
    id: str
    recipe: str


@dataclass(frozen=True)
class Swap:
    """What changed in memory.

    live   the merge in memory afterwards, null for the checkpoint's own weights
    slots  the blocks that were changed
    keys   how many tensors were written
    bytes  how many bytes were written
    """

    live: LiveMerge | None
    slots: tuple[str, ...]
    keys: int
    bytes: int
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SwapAnswer:
    """What changed in memory; null where nothing had to change."""

    report: Swap | None


@dataclass(frozen=True)
class StatusAnswer:
    """What is in memory, and the names that requests may use.

    host         the program that Merge Desk runs in
    base         the checkpoint that it loaded
    next         the selected checkpoint that it loads with its next picture or merge, "" for none
    live         the merge in memory, null for none
    last         what the last swap did
    refusal      why no merge can be loaded into memory, "" where one can
    note         warnings, in sentences
    engaged      whether a merge is engaged: loaded again where the host loses it
    checkpoints, vaes  the names that requests may use
    unreadable   files that cannot be read, and why
    """

    host: str
    base: str
    next: str
    live: LiveMerge | None
    last: Swap | None
    refusal: str
    note: str
    engaged: bool
    checkpoints: tuple[str, ...]
    vaes: tuple[str, ...]
    unreadable: Mapping[str, str]


@dataclass(frozen=True)
class PlanAnswer:
    """What a merge would do.

    sources       A, B, C -> its file
    slots         what happens in each block
    keys          how many tensors
    disk_bytes    the size of the file, and `memory_bytes` the memory that it takes to make it
    """

    family: str
    variant: str
    prediction: str
    sources: Mapping[str, str]
    slots: Mapping[str, object]
    keys: int
    notes: tuple[str, ...]
    disk_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class SaveAnswer:
    """The file that was written.

    name     in the host's list
    clipped  how many numbers were clamped to the largest of the dtype
    """

    name: str
    file: str
    bytes: int
    keys: int
    sha256: str
    md5: str
    autov1: str
    autov2: str
    autov3: str
    clipped: int


@route("GET", "status")
def status(service: Services, request: EmptyRequest) -> StatusAnswer:
    """What is in memory, and the names that requests may use."""
    merging, host = service.merging, service.merging.host
    folders, now = folders_of(host), merging.status()
    return StatusAnswer(
        host.id,
        now.base,
        now.next_base,
        _live(now.live),
        _swap(now.last_report),
        without_paths(now.unavailable_reason, folders),
        without_paths(now.note, folders),
        merging.engaged is not None,
        tuple(file.name for file in host.checkpoints()),
        tuple(file.name for file in host.vaes()),
        {name: without_paths(why, folders) for name, why in merging.unreadable_files().items()},
    )


@route("POST", "plan")
def plan(service: Services, request: MergeBody) -> PlanAnswer:
    """What a merge would do; reads headers only."""
    from lib_merge.execute import default_threads
    from lib_merge.plan import plan_to_dict

    _find(service, request.merge)
    merge_plan = service.merging.plan(request.merge)
    data = plan_to_dict(merge_plan, default_threads())
    data |= {
        "sources": dict(zip(merge_plan.names, merge_plan.recipe.files, strict=True)),
        "keys": len(merge_plan.keys),
    }
    return PlanAnswer(**data)


@route("POST", "apply")
def apply(service: Services, request: MergeBody) -> SwapAnswer:
    """Merges into the model in memory."""
    _find(service, request.merge)
    merge = service.merging.prepare(request.merge)
    with service.merging.job("merging") as job:
        report = job.apply(merge)
    return SwapAnswer(_swap(report))


@route("POST", "restore")
def restore(service: Services, request: EmptyRequest) -> SwapAnswer:
    """Unloads the merge: the checkpoint's own weights are used again; null where no merge was in memory."""
    service.merging.disengage()
    service.merging.stop_previews()
    with service.merging.job("unloading the merge") as job:
        report = job.restore()
    return SwapAnswer(_swap(report))


@route("POST", "save")
def save(service: Services, request: SaveBody) -> SaveAnswer:
    """Writes a merge into the host's folder."""
    _find(service, request.merge)
    saved = service.saves.save_now(
        request.merge, request.name, format=request.format, overwrite=request.overwrite
    )
    hashes = saved.hashes
    return SaveAnswer(
        saved.checkpoint.name,
        saved.checkpoint.path.name,
        saved.nbytes,
        len(saved.plan.keys),
        hashes.sha256 or "",
        hashes.md5 or "",
        hashes.autov1 or "",
        hashes.autov2 or "",
        hashes.autov3 or "",
        saved.overflow.total,
    )


def _find(service: Services, request: MergeRequest) -> None:
    """UnknownNameError for a name that is not in the lists, apart from errors that a host raises later."""
    with unknown_names_as_404():
        service.merging.resolve(request)


def _live(ident: MergeIdent | None) -> LiveMerge | None:
    return LiveMerge(ident.name, ident.id, ident.recipe) if ident else None


def _swap(report: SwapReport | None) -> Swap | None:
    if report is None:
        return None
    return Swap(
        _live(report.ident),
        tuple(report.slots),
        report.keys,
        report.nbytes,
        report.seconds,
        tuple(report.notes),
    )
