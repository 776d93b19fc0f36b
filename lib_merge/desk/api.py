"""The HTTP API: JSON under /merge-desk/v1/, with the names of the command line's options.

Answers contain names, never paths of the server. An error is {"error": {"what", "where", "try"}}.
"""

# no postponed annotations: FastAPI reads those of the handlers, whose types are imported where it is
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lib_merge.desk.common import to_plain
from lib_merge.desk.http_guard import BadRequestError, ForbiddenError, check_request, read_limited
from lib_merge.desk.route import API_ROOT, Route, UnknownNameError
from lib_merge.desk.tab import Tab
from lib_merge.desk.table import TABS
from lib_merge.errors import MergeError, OutputError, PlanError, StoppedError
from lib_merge.hosts.host import HostError
from lib_merge.json_data import dump, load
from lib_merge.live import BrokenModelError
from lib_merge.schema import parse_dataclass
from lib_merge.service.server_paths import folders_of, without_paths
from lib_merge.service.services import Services

UNAVAILABLE = 503  # HTTP: the request is valid, and cannot be done now

Data = dict[str, Any]

log = logging.getLogger(__name__)


def add_routes(
    app: Any,
    service: Services,
    auth: Callable[..., Any] | None = None,
    *,
    loopback_only: bool = False,
    tabs: Sequence[Tab] = TABS,
) -> None:
    """Adds the routes of the tabs to a FastAPI application.

    auth           a dependency that raises for a caller without permission; None to admit every caller
    loopback_only  whether the server listens on loopback alone (http_guard)
    """
    from fastapi import Depends, Request
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    guards = [Depends(auth)] if auth else []

    async def body_of(request: Request) -> Mapping[str, object]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        port = (request.scope.get("server") or (None, None))[1]
        check_request(request.method, headers, port=port, loopback_only=loopback_only)
        if request.method != "POST":
            return {}
        check_content_type(headers.get("content-type", ""))
        return read_body(await read_limited(headers.get("content-length", ""), request.stream()))

    def add(route: Route) -> None:
        async def handle(request: Request) -> Response:
            try:
                body = await body_of(request)
            except MergeError as problem:
                text, status = dump(error_to_dict(problem)), status_of(problem)
            else:
                text, status = await run_in_threadpool(answer_text, route, body, service)
            return Response(text.encode("utf-8"), status, media_type="application/json")

        name = f"merge_desk_{route.path.replace('/', '_')}"
        app.add_api_route(
            f"{API_ROOT}/{route.path}", handle, methods=[route.verb], dependencies=guards, name=name
        )

    for tab in tabs:
        for route in tab.routes:
            add(route)


def answer_text(route: Route, body: Mapping[str, object], service: Services) -> tuple[str, int]:
    """A route's answer as JSON text, and the HTTP status; errors become an answer too."""
    try:
        try:
            answer = route.run(service, parse_dataclass(route.request, body, route.path))
            return dump(to_plain(answer)), 200
        except MergeError as problem:
            return dump(error_to_dict(problem, folders_of(service.merging.host))), status_of(problem)
    except Exception as error:  # a defect of ours or of the host: the traceback is in the log
        log.exception("internal error in Merge Desk")
        return dump(defect_to_dict(error)), UNAVAILABLE


def basic_auth(accounts: str) -> Callable[..., Any]:
    """A dependency like the host's own for `--api-auth`, which does not cover the routes of extensions.

    accounts  "user:password,other:password"
    """
    from secrets import compare_digest

    from fastapi import Depends, HTTPException
    from fastapi.security import HTTPBasic, HTTPBasicCredentials

    # A1111 does not start with an account without a colon; where another host does, no caller matches it
    pairs = [account.partition(":") for account in accounts.split(",") if ":" in account]

    def allowed(credentials: HTTPBasicCredentials = Depends(HTTPBasic())) -> bool:  # noqa: B008  FastAPI's way
        for user, _, password in pairs:
            same_user = compare_digest(credentials.username.encode(), user.encode())
            if compare_digest(credentials.password.encode(), password.encode()) and same_user:
                return True
        raise HTTPException(401, "Incorrect username or password", headers={"WWW-Authenticate": "Basic"})

    return allowed


def check_content_type(kind: str) -> None:
    """Raise BadRequestError where a body, even an empty one, is not sent as JSON.

    kind  the content type: a browser sends a preflight request before a page of another site may send JSON,
          but none before text, a form or an empty body
    """
    if kind.split(";")[0].strip().lower() != "application/json":
        raise BadRequestError("the body must be sent as JSON", hint="Content-Type: application/json")


def read_body(raw: bytes) -> Mapping[str, object]:
    """Parse a JSON object; an empty body is an empty object."""
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
    """The HTTP status of an error: 4xx for what the caller can correct."""
    if isinstance(problem, BadRequestError):
        return 400
    if isinstance(problem, UnknownNameError):
        return 404
    if isinstance(problem, ForbiddenError):
        return 403
    if isinstance(problem, BrokenModelError):
        return UNAVAILABLE
    problems = problem.problems if isinstance(problem, PlanError) else (problem,)
    is_conflict = problems and all(isinstance(error, OutputError) for error in problems)
    return 409 if is_conflict or isinstance(problem, (HostError, StoppedError)) else 422


def error_to_dict(problem: MergeError, folders: Sequence[Path] = ()) -> Data:
    """What happened, where, and what to try, without folders of the server."""
    texts = {"what": problem.what, "where": problem.where, "try": problem.hint}
    if isinstance(problem, PlanError) and len(problem.problems) > 1:
        texts["where"] = "\n".join(str(error) for error in problem.problems)
        texts["what"] = f"{len(problem.problems)} problems prevent this merge"
    return {"error": {name: without_paths(text, folders) for name, text in texts.items()}}


def defect_to_dict(error: Exception) -> Data:
    """An error that is not a MergeError, and so a defect of ours."""
    what = f"internal error in Merge Desk ({type(error).__name__})"
    return {
        "error": {"what": what, "where": "", "try": "the WebUI's log has the details; please report them"}
    }
