"""Refuses HTTP requests that a page of another site makes a browser send.

Three attacks are prevented, on every server that a WebUI or the standalone desk runs:

- a form or script of another site (CSRF): a request that changes something must be sent as JSON, which a
  browser does not send to another site without a preflight request, and must not be marked as cross-site
  (Sec-Fetch-Site, Fetch Metadata);
- a host name of another site that resolves to this machine (DNS rebinding): where the server listens on
  loopback alone, `Host` must name loopback. Such a page can only call the server's own port, so that requests
  through a tunnel or a proxy, which has another port, are accepted;
- a body without end: its length is checked while it is read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from lib_merge.errors import MergeError
from lib_merge.json_data import dump

SAFE = ("GET", "HEAD", "OPTIONS")
MOST_BYTES = 1 << 20  # of a body; a recipe has a few hundred
HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
USUAL_PORTS = (80, 443)  # which a browser leaves out of Host
OPEN_TO_OTHERS = ("listen", "share", "ngrok")  # flags of WebUIs with which other machines can connect

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ForbiddenError(MergeError):
    """A request that a page of another site has caused."""


class BadRequestError(MergeError):
    """The body is not a JSON object, or too large."""


def check_request(method: str, headers: Mapping[str, str], *, port: int | None, loopback_only: bool) -> None:
    """Raise ForbiddenError for a request that a page of another site has caused.

    headers        by lower-case names
    port           the server's own, None where it is not known
    loopback_only  whether the server listens on loopback alone
    """
    if method not in SAFE and headers.get("sec-fetch-site", "").strip().lower() == "cross-site":
        raise ForbiddenError(
            "a page of another site sent this request",
            hint="send it from a program, or from the WebUI's own page",
        )
    host = headers.get("host", "")
    if loopback_only and not _is_addressed_here(host, port):
        raise ForbiddenError(
            f"this server listens on this machine alone, and was called as '{host[:100]}'",
            hint="http://127.0.0.1:PORT or http://localhost:PORT; to be called by another name: --listen",
        )


def _is_addressed_here(host: str, port: int | None) -> bool:
    match = HOST.fullmatch(host.strip())
    if match is None:
        return False
    ports = USUAL_PORTS if match["port"] is None else (int(match["port"]),)
    return is_loopback(match["name"]) or (port is not None and port not in ports)


def is_loopback(name: str) -> bool:
    """Whether a host name or address is loopback, by its text: no name is looked up."""
    name = name.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761: these lead nowhere else
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def listens_on_loopback_only(options: object, environ: Mapping[str, str]) -> bool:
    """Whether a WebUI with these options serves this machine alone; False where that is not clear."""
    if not hasattr(options, "listen") or environ.get("GRADIO_SHARE", "").lower() in ("1", "true"):
        return False
    if any(getattr(options, name, None) for name in OPEN_TO_OTHERS):
        return False
    name = getattr(options, "server_name", None) or environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    return is_loopback(str(name))


async def read_limited(length: str, chunks: AsyncIterator[bytes], most: int = MOST_BYTES) -> bytes:
    """Read a body of at most `most` bytes; raises BadRequestError as soon as it is longer.

    length  the header Content-Length, which may be missing or wrong
    """
    too_long = BadRequestError(f"the body is longer than {most} bytes", hint=f"{most} bytes at most")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > most):
        raise too_long
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise too_long
    return bytes(body)


class HttpGuard:
    """An application (ASGI) behind `check_request`, for a server that listens on loopback alone."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with status 403."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        server = scope.get("server") or (None, None)
        try:
            check_request(
                scope.get("method", "GET"), request_headers(scope), port=server[1], loopback_only=True
            )
        except ForbiddenError as problem:
            await _refuse(scope, send, problem)
            return
        await self._app(scope, receive, send)


def request_headers(scope: Scope) -> dict[str, str]:
    """A request's headers by lower-case names; of several of one name the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def _refuse(scope: Scope, send: Send, problem: ForbiddenError) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": problem.what[:100]})
        return
    body = {"error": {"what": problem.what, "where": problem.where, "try": problem.hint}}
    kind = [(b"content-type", b"application/json; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": kind})
    await send({"type": "http.response.body", "body": dump(body).encode("utf-8")})
