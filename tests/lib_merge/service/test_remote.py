"""A WebUI over HTTP as a search's host: the same pictures as here, and the model afterwards as before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")

import fastapi

from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid.edit import checkpoint_recipe
from lib_merge.grid.run import RendererLostError
from lib_merge.picture import DrawSettings
from lib_merge.progress import NoProgress
from lib_merge.recipe import parse_recipe, print_recipe
from lib_merge.schema import EmptyRequest
from lib_merge.service import remote_api, render_sessions
from lib_merge.service.remote_api import (
    Account,
    RemoteApi,
    RemoteRefusedError,
    RemoteUnreachableError,
    parse_address,
)
from lib_merge.service.remote_webui import RemoteService
from lib_merge.service.render_messages import SessionAnswer, SessionRequest
from lib_merge.service.request import MergeRequest
from tests.support.api_server import application, serving
from tests.support.grid_host import SIDE, Bench

DRAWING = DrawSettings(prompt="a cat", steps=2, width=SIDE, height=SIDE)


@dataclass
class Remote:
    """A WebUI that is served here, and the client of it."""

    bench: Bench
    address: str
    folder: Path
    sentences: list[str] = field(default_factory=list[str])

    def service(self, account: Account | None = None) -> RemoteService:
        return RemoteService(RemoteApi(self.address, account), self.folder / "own", self.sentences.append)

    def api(self) -> RemoteApi:
        return RemoteApi(self.address)


@pytest.fixture
def remote(bench: Bench, tmp_path: Path) -> Generator[Remote]:
    with serving(application(bench.service)) as address:
        yield Remote(bench, address, tmp_path)


def engage(bench: Bench, alpha: float) -> str:
    """The user of the WebUI has a merge in memory; its id."""
    request = MergeRequest.from_json({"method": "weighted_sum", "a": "a", "b": "b", "alpha": alpha})
    with bench.service.job("the user") as job:
        job.apply(bench.service.prepare(request))
    ident = bench.service.live_ident()
    assert ident is not None
    return ident.id


# --- pictures ---


def test_the_pictures_are_those_that_the_same_host_draws_here(remote: Remote, tmp_path: Path) -> None:
    service, bench = remote.service(), remote.bench
    recipes = [bench.recipe(alpha=amount) for amount in (0.25, 0.75)] + [checkpoint_recipe("a.safetensors")]
    with service.job("search"):
        for number, recipe in enumerate(recipes):
            assert not service.backend.holds(recipe)
            service.backend.merge(recipe, NoProgress())
            assert service.backend.holds(recipe)
            here = bench.alone(bench.base(recipe).cell, tmp_path / str(number))
            assert service.backend.draw(DRAWING).image.tobytes() == here.tobytes()
    assert remote.sentences == [f"the model of {remote.address} is what it was before: a"]


def test_a_file_is_found_by_its_hash_under_another_name(remote: Remote) -> None:
    backend, bench = remote.service().backend, remote.bench
    recipe = backend.describe(bench.recipe(alpha=0.5), hashed=True)
    assert all(len(ingredient.sha256) == 64 for ingredient in recipe.ingredients)
    moved = parse_recipe(print_recipe(recipe).replace("b.safetensors", "pastel (1).safetensors"))
    assert backend.describe(moved).files == ("a.safetensors", "pastel (1).safetensors")
    assert backend.header("pastel (1).safetensors").tensors == backend.header("b.safetensors").tensors
    with pytest.raises(MergeError, match=r"there is no 'd\.safetensors'"):
        backend.describe(parse_recipe(print_recipe(bench.recipe(alpha=0.5)).replace("b.safe", "d.safe")))


# --- the model afterwards ---


def test_the_users_merge_is_in_memory_again_after_a_session(remote: Remote) -> None:
    before = engage(remote.bench, 0.5)
    service = remote.service()
    with service.job("search"):
        service.backend.merge(remote.bench.recipe(alpha=0.1), NoProgress())
        assert remote.bench.service.live_ident() is not None
    ident = remote.bench.service.live_ident()
    assert ident is not None
    assert ident.id == before
    assert remote.sentences == [
        f"the model of {remote.address} is what it was before: a with the merge {before}"
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MergeError("the scorer has failed")])
def test_the_model_is_restored_after_ctrl_c_and_after_an_error(remote: Remote, error: BaseException) -> None:
    service = remote.service()

    def work() -> None:
        with service.job("search"):
            service.backend.merge(remote.bench.recipe(alpha=0.1), NoProgress())
            raise error

    with pytest.raises(type(error)):
        work()
    assert not remote.bench.service.is_live()
    assert remote.sentences[-1].endswith("is what it was before: a")


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something of another thread."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_program_that_is_gone_is_waited_for_and_then_the_model_is_restored(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_sessions, "PATIENCE", 0.5)
    api = remote.api()
    state = api.post("render/begin", EmptyRequest(), SessionAnswer)
    session = SessionRequest(state.session)
    assert state.ready
    until(lambda: api.post("render/keep", session, SessionAnswer).ready)
    time.sleep(1.2)  # no request
    until(lambda: api.post("render/keep", session, SessionAnswer).ended)
    ended = api.post("render/keep", session, SessionAnswer)
    assert ended.problem.startswith("no request has come for")
    assert ended.restored


def test_interrupt_in_the_webui_ends_the_session_with_a_sentence(remote: Remote) -> None:
    service = remote.service()

    def work() -> None:
        with service.job("search"):
            service.backend.merge(remote.bench.recipe(alpha=0.1), NoProgress())
            remote.bench.host.interrupt()
            until(lambda: not remote.bench.service.is_live())
            service.backend.draw(DRAWING)

    with pytest.raises(RendererLostError, match="the WebUI's job was interrupted there"):
        work()
    assert remote.sentences[-1].endswith("is what it was before: a")


def test_a_connection_that_is_lost_is_said_honestly(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_api, "RECONNECT_SECONDS", 0.3)
    monkeypatch.setattr(remote_api, "RECONNECT_PAUSE", 0.1)
    monkeypatch.setattr("lib_merge.service.remote_webui.ENDING_SECONDS", 0.5)
    sentences: list[str] = []
    server = serving(application(bench.service))
    address = server.__enter__()
    service = RemoteService(RemoteApi(address), tmp_path / "own", sentences.append)

    def work() -> None:
        with service.job("search"):
            service.backend.merge(bench.recipe(alpha=0.1), NoProgress())
            server.__exit__(None, None, None)
            service.backend.draw(DRAWING)

    with pytest.raises(RendererLostError, match="the WebUI does not answer"):
        work()
    assert "its model may hold the last trial, and is restored 60 s after" in sentences[-1]


def test_one_program_at_a_time_and_another_one_waits_as_long_as_one_may_be_silent(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_sessions, "PATIENCE", 1.0)
    monkeypatch.setattr("lib_merge.service.remote_webui.ENDING_SECONDS", 0.5)
    monkeypatch.setattr("lib_merge.service.remote_webui.KEEP_SECONDS", 0.1)
    first, second = remote.service(), remote.service()
    with first.job("search"), pytest.raises(MergeError, match="another program renders"):
        second.job("search").__enter__()
    with second.job("search"):
        second.backend.merge(remote.bench.recipe(alpha=0.1), NoProgress())


def test_the_session_of_a_program_that_was_killed_is_waited_for(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_sessions, "PATIENCE", 3.0)
    monkeypatch.setattr("lib_merge.service.remote_webui.KEEP_SECONDS", 0.1)
    killed = RemoteApi(remote.address).post("render/begin", EmptyRequest(), SessionAnswer)
    assert killed.session  # and no request comes any more
    service = remote.service()
    with service.job("search"):
        service.backend.merge(remote.bench.recipe(alpha=0.1), NoProgress())
    assert remote.sentences[0].startswith(f"waiting for {remote.address}: ")


def test_a_busy_webui_is_waited_for(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_sessions, "MOST_WAIT", 0.1)
    service, begun = remote.service(), threading.Event()

    def work() -> None:
        with service.job("search"):
            begun.set()

    thread = threading.Thread(target=work)
    with remote.bench.service.job("the user's"):
        thread.start()
        until(lambda: bool(remote.sentences))
        assert not begun.is_set()
    assert remote.sentences == [f"waiting for {remote.address}: it runs another job, or loads its checkpoint"]
    thread.join()
    assert begun.is_set()


# --- errors in a sentence ---


def test_an_address_that_does_not_answer(tmp_path: Path) -> None:
    service = RemoteService(RemoteApi("http://127.0.0.1:9"), tmp_path, print)
    with pytest.raises(RemoteUnreachableError, match="the WebUI does not answer") as caught:
        service.job("search").__enter__()
    assert caught.value.where == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("account", "what"),
    [
        (None, "the WebUI asks for an account"),
        (Account("me", "wrong"), "the WebUI refuses this password of 'me'"),
    ],
)
def test_credentials_are_checked(bench: Bench, tmp_path: Path, account: Account | None, what: str) -> None:
    with serving(application(bench.service, "me:secret word")) as address:
        service = RemoteService(RemoteApi(address, account), tmp_path, print)
        with pytest.raises(RemoteRefusedError, match=what) as caught:
            service.job("search").__enter__()
        assert "wrong" not in str(caught.value)
        right = RemoteService(RemoteApi(address, Account("me", "secret word")), tmp_path, lambda text: None)
        with right.job("search"):
            right.backend.merge(bench.recipe(alpha=0.1), NoProgress())
    assert "secret" not in repr(Account("me", "secret word"))


def test_a_server_without_merge_desk(tmp_path: Path) -> None:
    with serving(fastapi.FastAPI()) as address:
        service = RemoteService(RemoteApi(address), tmp_path, print)
        with pytest.raises(RemoteRefusedError, match="there is no Merge Desk") as caught:
            service.job("search").__enter__()
    assert "--api" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://127.0.0.1", "http://127.0.0.1:7860"),
        (" http://gpu-3:7861/ ", "http://gpu-3:7861"),
        ("https://webui.example/sd/", "https://webui.example/sd"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "gpu-3:7860", "ftp://gpu", "http://", "http://x:99999", "http://me:pw@x"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_address(text)
    assert "pw" not in str(caught.value)
