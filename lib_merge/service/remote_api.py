"""The client of Merge Desk's HTTP API in a WebUI on another machine: addresses, accounts, errors.

Only the address of the WebUI is asked, without a proxy, and a redirection is refused, so that the password
goes nowhere else.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from lib_merge.errors import MergeError, RecipeError, StoppedError, printable
from lib_merge.grid.run import RendererLostError
from lib_merge.json_data import expect_object, load
from lib_merge.schema import parse_dataclass
from lib_merge.search.scorers.http_hook import NoRedirection

ROOT_PATH = "/merge-desk/v1"
USUAL_PORT = 7860  # of A1111, Forge and their like
REQUEST_SECONDS = 30.0
RECONNECT_SECONDS = 40.0  # less than the time after which a silent session ends
RECONNECT_PAUSE = 1.0
UNAUTHORIZED, MISSING = 401, 404

T = TypeVar("T")


@dataclass(frozen=True)
class Account:
    """A user and the password, which no message shows."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Account({self.user!r})"


class RemoteUnreachableError(MergeError):
    """The address does not answer."""


class RemoteRefusedError(MergeError):
    """The account is refused, or Merge Desk does not answer there."""


class RemoteStoppedError(StoppedError):
    """The WebUI has stopped what it was asked for."""


def parse_address(text: str) -> str:
    """The address of a WebUI, `http://NAME[:PORT][/PATH]`, with its port; RecipeError for another text."""
    hint = f"--host http://192.168.1.20:{USUAL_PORT}"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as cause:
        raise RecipeError(f"'{text}' is no address of a WebUI", hint=hint) from cause
    if parts.username is not None or parts.password is not None:
        raise RecipeError("an account is not written into the address", hint="--user NAME")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise RecipeError(f"'{text}' is no address of a WebUI", hint=hint)
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is None and parts.scheme == "http":
        port = USUAL_PORT
    return f"{parts.scheme}://{name}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


class RemoteApi:
    """Sends requests to one WebUI.

    address  as `parse_address` returns it
    """

    def __init__(self, address: str, account: Account | None = None) -> None:
        self.address, self._account = address, account
        self._opener = build_opener(ProxyHandler({}), NoRedirection())
        self.answered = False  # whether it ever has

    def post(
        self,
        path: str,
        request: Any,
        answer: type[T],
        *,
        seconds: float = REQUEST_SECONDS,
        patient: bool = True,
    ) -> T:
        """Send a request, a dataclass, and parse the answer as another.

        patient  whether a lost connection is tried again for some time, where the WebUI has answered before
        """
        body = json.dumps(asdict(request)).encode()
        began = time.monotonic()
        while True:
            try:
                text = self._sent(path, body, seconds)
                break
            except RemoteUnreachableError as lost:
                if not (patient and self.answered):
                    raise
                if time.monotonic() - began > RECONNECT_SECONDS:
                    raise RendererLostError(lost.what, where=lost.where, hint=lost.hint) from lost
                time.sleep(RECONNECT_PAUSE)
        self.answered = True
        try:
            return parse_dataclass(answer, expect_object(load(text)), path)
        except (ValueError, MergeError) as cause:
            raise self._no_merge_desk(f"its answer to {path} is not Merge Desk's") from cause

    def _sent(self, path: str, body: bytes, seconds: float) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._account is not None:
            pair = f"{self._account.user}:{self._account.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        request = Request(f"{self.address}{ROOT_PATH}/{path}", body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return answer.read()
        except HTTPError as refusal:
            with refusal:
                raise self._error(refusal.code, refusal.read()) from refusal
        except (URLError, OSError, http.client.HTTPException) as cause:
            reason = getattr(cause, "reason", None) or cause
            what = f"the WebUI does not answer: {reason or type(cause).__name__}"
            hint = "is it running, started with --listen, and the port right?"
            raise RemoteUnreachableError(what, where=self.address, hint=hint) from cause

    def _error(self, status: int, text: bytes) -> MergeError:
        """The error of an answer that is no success."""
        if status == UNAUTHORIZED:
            if self._account is None:
                hint = "--user NAME, and the password in MERGE_DESK_PASSWORD"
                return RemoteRefusedError("the WebUI asks for an account", where=self.address, hint=hint)
            what = f"the WebUI refuses this password of '{self._account.user}'"
            return RemoteRefusedError(what, where=self.address, hint="--user, MERGE_DESK_PASSWORD")
        with suppress(ValueError, KeyError):
            error = expect_object(expect_object(load(text))["error"])
            what, where = (printable(str(error.get(name, ""))) for name in ("what", "where"))
            place = f"{self.address}, {where}" if where else self.address
            kind = RemoteStoppedError if what.startswith("stopped") else MergeError
            return kind(what, where=place, hint=str(error.get("try", "")))
        if status == MISSING:
            return self._no_merge_desk("there is no Merge Desk, or an older one")
        return self._no_merge_desk(f"the answer is no Merge Desk's (HTTP {status})")

    def _no_merge_desk(self, what: str) -> MergeError:
        hint = "install or update Merge Desk in that WebUI, and start it with --api"
        return RemoteRefusedError(what, where=self.address, hint=hint)
