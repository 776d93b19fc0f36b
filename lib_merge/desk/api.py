"""The desk for programs: JSON over HTTP under /merge-desk/v1/, in the words of the command line.

Answers hold names, never paths of the server. An error is {"error": {"what", "where", "try"}}.
"""

# no postponed annotations: FastAPI reads those of the handlers, whose types are imported where it is
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from lib_merge.architectures import DEFAULT_LAYOUT
from lib_merge.desk.grid_api import grid_act, grid_status
from lib_merge.desk.http_guard import BadRequestError, ForbiddenError, check_request, read_limited
from lib_merge.desk.mixer import FORMATS, Body, Mixer, Saved, Status, file_name
from lib_merge.desk.report_request import check_named, compare_named
from lib_merge.desk.server_paths import without_paths
from lib_merge.errors import MergeError, OutputError, PlanError, RecipeError, StoppedError
from lib_merge.hosts.host import Ckpt, HostError
from lib_merge.json_data import dump, load
from lib_merge.live import BrokenModelError, MergeIdent, SwapReport
from lib_merge.methods import METHODS
from lib_merge.plan import Plan
from lib_merge.plan.tester import report_as_data as rules_as_data
from lib_merge.plan.tester import report_of_header
from lib_merge.recipe import read_weights
from lib_merge.report.comparison import comparison_as_data
from lib_merge.report.describe import method_as_data

ROOT = "/merge-desk/v1"
UNAVAILABLE = 503  # HTTP: what was asked was right, and cannot be done now

Data = dict[str, Any]
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class UnknownNameError(MergeError):
    """A name that is not in the host's lists."""


class Answers:
    """What each route answers, as plain data; raises MergeError."""

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer

    def status(self, body: Body) -> Data:
        """What is in memory, and what can be asked for."""
        host, known = self._mixer.host, paths(self._mixer)
        status = self._mixer.status()
        refusal, note = (without_paths(text, known) for text in (status.refusal, status.note))
        return {
            "host": host.id,
            **status_as_data(replace(status, refusal=refusal, note=note)),
            "engaged": self._mixer.asked is not None,
            "checkpoints": [each.name for each in host.checkpoints()],
            "vaes": [each.name for each in host.vaes()],
            "unreadable": {name: without_paths(why, known) for name, why in self._mixer.unreadable().items()},
        }

    def methods(self, body: Body) -> list[Data]:
        """Every method's schema."""
        return [method_as_data(method) for method in METHODS.all()]

    def plan(self, body: Body) -> Data:
        """What a merge would do; reads headers alone."""
        self._known(body)
        return plan_as_answer(self._mixer.plan(body))

    def apply(self, body: Body) -> Data:
        """Swap a merge into the model in memory."""
        self._known(body)
        return {"report": report_as_data(self._mixer.apply(body))}

    def restore(self, body: Body) -> Data:
        """Bring the checkpoint back; null where nothing was to be brought back."""
        if body:
            raise RecipeError("restore takes nothing", where=", ".join(body), hint="send {} or no body")
        report = self._mixer.restore()
        return {"report": report_as_data(report) if report else None}

    def save(self, body: Body) -> Data:
        """Write a merge into the host's folder."""
        rest = dict(body)
        name, overwrite = rest.pop("name", ""), rest.pop("overwrite", False)
        format = rest.pop("format", None) or FORMATS[0]
        if not isinstance(name, str) or not isinstance(format, str) or not isinstance(overwrite, bool):
            raise RecipeError("name and format must be text, and overwrite true or false")
        try:
            file_name(name, format)
        except OutputError as cause:
            raise RecipeError(cause.what, where=cause.where, hint=cause.hint) from cause
        self._known(rest)
        return saved_as_data(self._mixer.save(rest, name, format=format, overwrite=overwrite))

    def compare(self, body: Body) -> Data:
        """How models differ from a reference; results are kept on the disk."""
        return comparison_as_data(self._found(compare_named, body))

    def check(self, body: Body) -> Data:
        """What is broken in models."""
        return {"files": [health.as_data() for health in self._found(check_named, body)]}

    def rules(self, body: Body) -> Data:
        """What block weights do to a model: which tensors each rule hits, and what each tensor ends with."""
        odd = [word for word in body if word not in ("a", "weights", "layout")]
        if odd:
            raise RecipeError(f"'{odd[0]}' is nothing that rules takes", hint="a, weights, layout")
        given = {word: str(body.get(word) or "") for word in ("a", "weights", "layout")}
        amount = read_weights(given["weights"], layout=given["layout"] or DEFAULT_LAYOUT.id, where="weights")
        try:
            checkpoint = self._mixer.checkpoint(given["a"])
        except HostError as cause:
            raise UnknownNameError(cause.what, where=cause.where, hint=cause.hint) from cause
        return rules_as_data(report_of_header(amount, self._mixer.header(checkpoint)))

    def grid_status(self, body: Body) -> Data:
        """How far the grid is."""
        return _problems_without_paths(grid_status(self._mixer), paths(self._mixer))

    def grid(self, body: Body) -> Data:
        """Plan, start, resume or stop a grid."""
        try:
            return _problems_without_paths(grid_act(self._mixer, body), paths(self._mixer))
        except HostError as cause:  # it asks the host for names alone
            raise UnknownNameError(cause.what, where=cause.where, hint=cause.hint) from cause

    def _found(self, report: Callable[[Mixer, Body], Result], body: Body) -> Result:
        try:
            return report(self._mixer, body)
        except HostError as cause:  # a report asks the host for names alone
            raise UnknownNameError(cause.what, where=cause.where, hint=cause.hint) from cause

    def _known(self, body: Body) -> None:
        """Tells a name that is not in the lists from all that a host refuses later."""
        try:
            self._mixer.read(body)
        except HostError as cause:
            raise UnknownNameError(cause.what, where=cause.where, hint=cause.hint) from cause


def add_routes(
    app: Any, mixer: Mixer, auth: Callable[..., Any] | None = None, *, loopback_only: bool = False
) -> None:
    """Put the routes into a FastAPI application.

    auth           a dependency that raises where the caller may not; None where everybody may
    loopback_only  whether the server listens on loopback alone (http_guard)
    """
    from fastapi import Depends, Request
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    guards = [Depends(auth)] if auth else []
    answers = Answers(mixer)

    async def body_of(request: Request) -> Body:
        headers = {name.lower(): value for name, value in request.headers.items()}
        port = (request.scope.get("server") or (None, None))[1]
        check_request(request.method, headers, port=port, loopback_only=loopback_only)
        if request.method != "POST":
            return {}
        check_kind(headers.get("content-type", ""))
        return read_body(await read_limited(headers.get("content-length", ""), request.stream()))

    def add(name: str, verb: str, answer: Callable[[Body], object]) -> None:
        async def handle(request: Request) -> Response:
            try:
                body = await body_of(request)
            except MergeError as problem:
                text, status = dump(error_as_data(problem)), status_of(problem)
            else:
                text, status = await run_in_threadpool(answered, answer, body, mixer)
            return Response(text.encode("utf-8"), status, media_type="application/json")

        app.add_api_route(
            f"{ROOT}/{name}", handle, methods=[verb], dependencies=guards, name=f"merge_desk_{name}"
        )

    add("status", "GET", answers.status)
    add("methods", "GET", answers.methods)
    add("plan", "POST", answers.plan)
    add("apply", "POST", answers.apply)
    add("restore", "POST", answers.restore)
    add("save", "POST", answers.save)
    add("compare", "POST", answers.compare)
    add("check", "POST", answers.check)
    add("rules", "POST", answers.rules)
    add("grid", "GET", answers.grid_status)
    add("grid", "POST", answers.grid)


def answered(answer: Callable[[Body], object], body: Body, mixer: Mixer) -> tuple[str, int]:
    """What a route answers, as JSON text, and the HTTP status; every error is a sentence for a person."""
    try:
        try:
            return dump(answer(body)), 200
        except MergeError as problem:
            return dump(error_as_data(problem, paths(mixer))), status_of(problem)
    except Exception as error:  # a defect of ours, or of the host: its log has the whole of it
        log.exception("Merge Desk could not answer a request")
        return dump(defect_as_data(error)), UNAVAILABLE


def basic_auth(accounts: str) -> Callable[..., Any]:
    """A dependency like the host's own for `--api-auth`, which does not cover the routes of extensions.

    accounts  "user:password,other:password"
    """
    from secrets import compare_digest

    from fastapi import Depends, HTTPException
    from fastapi.security import HTTPBasic, HTTPBasicCredentials

    # an account without a colon keeps A1111 from starting; where a host starts all the same, nobody is it
    known = [account.partition(":") for account in accounts.split(",") if ":" in account]

    def allowed(given: HTTPBasicCredentials = Depends(HTTPBasic())) -> bool:  # noqa: B008  FastAPI's way
        for user, _, password in known:
            same_user = compare_digest(given.username.encode(), user.encode())
            if compare_digest(given.password.encode(), password.encode()) and same_user:
                return True
        raise HTTPException(401, "Incorrect username or password", headers={"WWW-Authenticate": "Basic"})

    return allowed


def check_kind(kind: str) -> None:
    """BadRequestError where a body, even an empty one, does not come as JSON.

    kind  the content type: a browser asks the server before it lets another site's page send JSON, but
          lets it send text, a form or nothing
    """
    if kind.split(";")[0].strip().lower() != "application/json":
        raise BadRequestError("the body must be sent as JSON", hint="Content-Type: application/json")


def read_body(raw: bytes) -> Body:
    """A JSON object; nothing at all is an empty one."""
    if not raw.strip():
        return {}
    try:
        body = load(raw)
    except ValueError as cause:
        raise BadRequestError("the body is not JSON", where=str(cause)[:200]) from cause
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object", hint='{"a": "ink", "b": "pastel"}')
    return cast("dict[str, object]", body)


def status_of(problem: MergeError) -> int:
    """The HTTP status of an error: 4xx for what the caller can mend."""
    if isinstance(problem, BadRequestError):
        return 400
    if isinstance(problem, UnknownNameError):
        return 404
    if isinstance(problem, ForbiddenError):
        return 403
    if isinstance(problem, BrokenModelError):
        return UNAVAILABLE
    in_the_way = problem.problems if isinstance(problem, PlanError) else (problem,)
    taken = in_the_way and all(isinstance(each, OutputError) for each in in_the_way)
    return 409 if taken or isinstance(problem, (HostError, StoppedError)) else 422


def error_as_data(problem: MergeError, known: Sequence[Path] = ()) -> Data:
    """What happened, where, and what to try, without folders of the server."""
    texts = {"what": problem.what, "where": problem.where, "try": problem.hint}
    if isinstance(problem, PlanError) and len(problem.problems) > 1:
        texts["where"] = "\n".join(str(each) for each in problem.problems)
        texts["what"] = f"{len(problem.problems)} things stand in the way of this merge"
    return {"error": {word: without_paths(text, known) for word, text in texts.items()}}


def defect_as_data(error: Exception) -> Data:
    """An error that is no MergeError, and so a defect of ours, in a sentence for a person."""
    what = f"Merge Desk met an error of its own ({type(error).__name__})"
    return {"error": {"what": what, "where": "", "try": "the WebUI's log says more; please report it"}}


def paths(mixer: Mixer) -> list[Path]:
    """Every folder that an error could name, the longest first."""
    host = mixer.host
    files: Iterable[Ckpt] = (*host.checkpoints(), *host.vaes())
    folders = {*host.folders(), *(each.path.parent for each in files)}
    folders |= {folder.resolve() for folder in folders}
    return sorted(folders, key=lambda folder: -len(str(folder)))


def _problems_without_paths(grid: Data, known: Sequence[Path]) -> Data:
    """What a grid answers, with the names of files only wherever it says what went wrong."""
    cells = [{**cell, "problem": without_paths(cell["problem"], known)} for cell in grid.get("cells", ())]
    told: Data = {"cells": cells} if "cells" in grid else {}
    if "problem" in grid:
        told["problem"] = without_paths(grid["problem"], known)
    return {**grid, **told}


def status_as_data(status: Status) -> Data:
    """As JSON holds it."""
    return {
        "base": status.base,
        "live": ident_as_data(status.live) if status.live else None,
        "last": report_as_data(status.last) if status.last else None,
        "refusal": status.refusal,
        "note": status.note,
    }


def ident_as_data(ident: MergeIdent) -> Data:
    """As JSON holds it."""
    return {"name": ident.name, "id": ident.id, "recipe": ident.recipe}


def report_as_data(report: SwapReport) -> Data:
    """As JSON holds it."""
    return {
        "live": ident_as_data(report.ident) if report.ident else None,
        "slots": list(report.slots),
        "keys": report.keys,
        "bytes": report.nbytes,
        "seconds": report.seconds,
        "notes": list(report.notes),
    }


def plan_as_answer(plan: Plan) -> Data:
    """The command line's data, with file names in place of paths, and without the list of keys."""
    from lib_merge.execute import default_threads
    from lib_merge.plan import plan_as_data

    data = plan_as_data(plan, default_threads())
    data["sources"] = dict(zip(plan.names, plan.recipe.files, strict=True))
    data["keys"] = len(plan.keys)
    return data


def saved_as_data(saved: Saved) -> Data:
    """As JSON holds it."""
    return {
        "name": saved.checkpoint.name,
        "file": saved.checkpoint.path.name,
        "bytes": saved.nbytes,
        "keys": len(saved.plan.keys),
        "sha256": saved.hashes.sha256 or "",
        "md5": saved.hashes.md5 or "",
        "autov1": saved.hashes.autov1 or "",
        "autov2": saved.hashes.autov2 or "",
        "autov3": saved.hashes.autov3 or "",
        "clipped": saved.overflow.numbers,
    }
