"""Pictures of merges for a program on another machine: `merge-desk search --host` and its like."""

from __future__ import annotations

import base64

from lib_merge.checkpoint import Hashes, Header
from lib_merge.desk.route import route, unknown_names_as_404
from lib_merge.hosts.pictures import png_bytes
from lib_merge.picture import read_settings
from lib_merge.recipe import (
    parse_recipe,
    print_recipe,
    recorded_files,
    rename_files,
    with_hashes,
)
from lib_merge.recipe.hashing import required_hashes
from lib_merge.schema import EmptyRequest
from lib_merge.service.grids import GridBackend
from lib_merge.service.render_messages import (
    DescribeAnswer,
    DescribedFile,
    DescribeRequest,
    FindAnswer,
    FindRequest,
    OrderAnswer,
    OrderRequest,
    SessionAnswer,
    SessionRequest,
)
from lib_merge.service.render_sessions import RenderOrder
from lib_merge.service.services import Services

MOST_TEXT = 1000  # characters of a text in a header that is sent


@route("POST", "render/describe")
def describe(service: Services, request: DescribeRequest) -> DescribeAnswer:
    """The files of a recipe in the WebUI's lists, found by name and hash."""
    recipe, merging = parse_recipe(request.recipe), service.merging
    with unknown_names_as_404():
        resolved = merging.locate(recipe)
    headers = merging.headers(resolved)
    pairs = zip(recorded_files(recipe), recorded_files(resolved.recipe), strict=True)
    here = {before.file: after.file for before, after in pairs}
    if request.hashed:
        wanted = required_hashes(recipe)
        hashes: dict[str, Hashes] = {
            file: merging.hash_cache.hashes(listed.path, wanted) for file, listed in resolved.files.items()
        }
        there = {after: before for before, after in here.items()}
        recipe = rename_files(with_hashes(resolved.recipe, hashes), there)
    files = {file: _described(headers[name]) for file, name in here.items()}
    return DescribeAnswer(print_recipe(recipe), files)


@route("POST", "render/find")
def find(service: Services, request: FindRequest) -> FindAnswer:
    """The file, or the recipe, that a name of the WebUI's lists means."""
    backend = GridBackend(service.merging)
    with unknown_names_as_404():
        if request.kind == "checkpoint":
            return FindAnswer(name=backend.checkpoint(request.name))
        if request.kind == "vae":
            return FindAnswer(name=backend.vae(request.name))
        recipe = (
            backend.recipe(request.name) if request.kind == "recipe" else backend.from_history(request.name)
        )
    return FindAnswer(recipe=print_recipe(recipe))


@route("POST", "render/begin")
def begin_rendering(service: Services, request: EmptyRequest) -> SessionAnswer:
    """Begins a session: the model in memory is this program's until `render/end`."""
    return service.rendering.begin()


@route("POST", "render/keep")
def keep_rendering(service: Services, request: SessionRequest) -> SessionAnswer:
    """Keeps a session, which ends without requests, and tells its state."""
    return service.rendering.state(request.session)


@route("POST", "render/order")
def order_rendering(service: Services, request: OrderRequest) -> OrderAnswer:
    """Merges in a session, and draws; waits some seconds for the result."""
    merging = service.merging
    resolved = merging.locate(parse_recipe(request.recipe))
    drawing = None
    if request.drawing is not None:
        drawing = read_settings(request.drawing, merging.host.default_settings())
    result = service.rendering.carry_out(request.session, RenderOrder(request.number, resolved, drawing))
    if result is None:
        return OrderAnswer(done=False)
    picture, report = result.picture, result.report
    text = base64.b64encode(png_bytes(picture)).decode("ascii") if picture else ""
    infotext = picture.infotext if picture else ""
    if report is None:
        return OrderAnswer(True, text, infotext)
    return OrderAnswer(
        True,
        text,
        infotext,
        tuple(report.slots),
        report.keys,
        report.nbytes,
        report.seconds,
        tuple(report.notes),
    )


@route("POST", "render/end")
def end_rendering(service: Services, request: SessionRequest) -> SessionAnswer:
    """Ends a session, also in the middle of a picture; the model is then what it was before."""
    return service.rendering.end(request.session)


def _described(header: Header) -> DescribedFile:
    tensors = {key: (info.dtype.name, tuple(info.shape)) for key, info in header.tensors.items()}
    metadata = {name: text for name, text in header.metadata.items() if len(text) <= MOST_TEXT}
    return DescribedFile(tensors, metadata, header.file_size)
