"""Every host has all that the desk, the API, the grid and the WebUI's jobs use, as the protocol writes it."""

from __future__ import annotations

import inspect

import pytest

from lib_merge.hosts.host import Host, WebUIHost
from lib_merge.hosts.table import WEBUIS as TABLE
from tests.lib_merge.hosts.every_host import HOSTS, WEBUIS

PAIRS = [*((Host, host) for host in (*HOSTS, *WEBUIS)), *((WebUIHost, host) for host in WEBUIS)]


def promised(protocol: type) -> dict[str, inspect.Signature]:
    """The methods of a protocol and of those that it extends."""
    return {
        name: inspect.signature(value)
        for base in protocol.__mro__
        for name, value in vars(base).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def shape(signature: inspect.Signature) -> list[tuple[object, ...]]:
    """Names, kinds and whether there is a default; types are pyright's."""
    empty = inspect.Parameter.empty
    return [
        (parameter.name, parameter.kind, parameter.default is empty)
        for parameter in signature.parameters.values()
    ]


def test_the_protocols_are_read_whole() -> None:
    assert {"capabilities", "job", "interrupt", "release_unused", "weights_altered"} <= promised(Host).keys()
    assert promised(WebUIHost).keys() > promised(Host).keys()


@pytest.mark.parametrize(("protocol", "host"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_host_has_every_method_with_the_same_parameters(protocol: type, host: type) -> None:
    lacking = [name for name in promised(protocol) if not callable(getattr(host, name, None))]
    assert lacking == []
    for name, signature in promised(protocol).items():
        assert shape(inspect.signature(getattr(host, name))) == shape(signature), f"{host.__name__}.{name}"


def test_every_webui_of_the_table_is_among_them() -> None:
    assert set(TABLE) <= set(WEBUIS)
