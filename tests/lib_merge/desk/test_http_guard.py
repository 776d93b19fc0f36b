"""Requests that another site makes a browser send are refused everywhere, and no other requests are."""

from __future__ import annotations

import asyncio
import http.client
import socket
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from lib_merge.desk.http_guard import (
    BadRequestError,
    ForbiddenError,
    check_request,
    is_loopback,
    listens_on_loopback_only,
    read_limited,
)
from lib_merge.desk.serve import check_port
from lib_merge.errors import MergeError
from tests.support.desk_host import PaperHost

PORT = 7860


def check(host: str, *, loopback_only: bool = True, method: str = "GET", site: str = "") -> None:
    headers = {"host": host, **({"sec-fetch-site": site} if site else {})}
    check_request(method, headers, port=PORT, loopback_only=loopback_only)


@pytest.mark.parametrize("site", ["", "same-origin", "same-site", "none"])
def test_what_the_page_itself_or_a_program_sends_is_let_in(site: str) -> None:
    check(f"127.0.0.1:{PORT}", method="POST", site=site)


def test_what_a_browser_marks_as_cross_site_may_change_nothing() -> None:
    for method in ("POST", "PUT", "DELETE"):
        with pytest.raises(ForbiddenError, match="another site"):
            check(f"127.0.0.1:{PORT}", loopback_only=False, method=method, site="Cross-Site ")
    check(f"127.0.0.1:{PORT}", site="cross-site")  # a link that is followed


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "[::1]", "merge.localhost", "[0:0::1]"]
)
def test_every_name_of_loopback_is_let_in(host: str) -> None:
    check(f"{host}:{PORT}")
    check(host)


@pytest.mark.parametrize(
    "host",
    [
        f"evil.example:{PORT}",
        f"127.0.0.1.evil.example:{PORT}",
        f"localhost.evil.example:{PORT}",
        f"192.168.1.5:{PORT}",
        f"0.0.0.0:{PORT}",
        f"[::ffff:1.2.3.4]:{PORT}",
        f"127.0.0.1@evil.example:{PORT}",
        f"evil.example:0{PORT}",
        ":",
        f":{PORT}",
        "a:b:c",
    ],
)
def test_a_name_that_was_made_to_lead_here_is_refused_where_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(ForbiddenError):
        check(host)
    check(host, loopback_only=False)


@pytest.mark.parametrize("host", ["abc123.gradio.live", "pod-7860.proxy.example:443", "backend.example:8443"])
def test_a_tunnel_or_a_proxy_is_called_by_another_port_and_let_in(host: str) -> None:
    check(host)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80"])
def test_on_the_usual_port_a_name_without_a_port_is_checked_too(host: str) -> None:
    with pytest.raises(ForbiddenError):
        check_request("GET", {"host": host}, port=80, loopback_only=True)


@pytest.mark.parametrize(
    ("options", "environ", "only"),
    [
        ({"listen": False}, {}, True),
        ({"listen": False, "server_name": "127.0.0.1"}, {}, True),
        ({"listen": False, "server_name": "localhost", "share": False, "ngrok": None}, {}, True),
        ({"listen": True}, {}, False),
        ({"listen": False, "share": True}, {}, False),
        ({"listen": False, "ngrok": "token"}, {}, False),
        ({"listen": False, "server_name": "0.0.0.0"}, {}, False),
        ({"listen": False, "server_name": "backend"}, {}, False),
        ({"listen": False}, {"GRADIO_SERVER_NAME": "0.0.0.0"}, False),
        ({"listen": False}, {"GRADIO_SHARE": "True"}, False),
        ({}, {}, False),  # a host that we do not know: no harm
    ],
)
def test_names_are_checked_only_where_the_webui_serves_this_machine_alone(
    options: Mapping[str, object], environ: Mapping[str, str], only: bool
) -> None:
    assert listens_on_loopback_only(Namespace(**options), environ) is only


def test_loopback_is_detected_without_looking_a_name_up() -> None:
    assert not is_loopback("no.such.name.invalid")


# --- bodies ---


def read(length: str, chunks: list[bytes]) -> tuple[bytes | str, int]:
    """What was read, or why not, and how many chunks were taken."""
    taken = 0

    async def sent() -> AsyncIterator[bytes]:
        nonlocal taken
        for chunk in chunks:
            taken += 1
            yield chunk

    try:
        return asyncio.run(read_limited(length, sent(), most=10)), taken
    except BadRequestError as refused:
        return refused.what, taken


def test_a_body_is_measured_while_it_is_read_and_not_afterwards() -> None:
    assert read("", [b"12345", b"67890"]) == (b"1234567890", 2)
    assert read("", [b"12345"] * 1000) == ("the body is longer than 10 bytes", 3)
    assert read("3", [b"12345"] * 1000) == (
        "the body is longer than 10 bytes",
        3,
    )  # a length that is not true


@pytest.mark.parametrize("length", ["11", "9" * 5000])
def test_a_body_that_says_that_it_is_too_long_is_not_read_at_all(length: str) -> None:
    assert read(length, [b"1"]) == ("the body is longer than 10 bytes", 0)


@pytest.mark.parametrize("length", ["-1", "²", "x", ""])
def test_a_length_that_is_no_number_counts_as_none(length: str) -> None:
    assert read(length, [b"1"]) == (b"1", 1)


# --- the standalone desk ---


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    pytest.importorskip("gradio")
    import gradio

    if int(gradio.__version__.split(".")[0]) < 6:
        pytest.skip("the standalone desk runs on the Gradio that requirements/ pins")
    from lib_merge.desk.serve import serve

    folder: Path = tmp_path_factory.mktemp("desk")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    app = serve(PaperHost(folder, folder / "data"), port=number, open_browser=False, block=False)  # type: ignore[arg-type]
    yield number
    app.close() if hasattr(app, "close") else None


def status(port: int, method: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named, body=b"{}" if method == "POST" else None)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_the_standalone_desk_answers_to_loopback_alone(port: int) -> None:
    assert status(port, "GET", "/") == 200
    assert status(port, "GET", "/", Host=f"localhost:{port}") == 200
    for path in ("/", "/config", "/gradio_api/queue/join"):
        assert status(port, "GET", path, Host=f"evil.example:{port}") == 403


def test_the_standalone_desk_does_nothing_for_another_sites_page(port: int) -> None:
    assert status(port, "POST", "/gradio_api/queue/join", Sec_Fetch_Site="cross-site") == 403
    assert status(port, "POST", "/gradio_api/queue/join", Sec_Fetch_Site="same-origin") != 403


def test_a_port_in_use_is_reported_at_once_with_the_way_out(port: int) -> None:
    """F8: 17 seconds of nothing, and a traceback after the address was printed."""
    with pytest.raises(MergeError, match=f"port {port} is taken") as error:
        check_port(port)
    assert "--port" in error.value.hint


@pytest.mark.parametrize("number", [0, -1, 65_536, 10**30])
def test_a_port_that_cannot_be_is_refused(number: int) -> None:
    with pytest.raises(MergeError, match="there is no port") as error:
        check_port(number)
    assert "--port" in error.value.hint
