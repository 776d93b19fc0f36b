"""Every host, as pyright checks it against the protocol; test_protocol.py runs over the same."""

from __future__ import annotations

from lib_merge.hosts.a1111 import A1111Host
from lib_merge.hosts.forge import ForgeHost
from lib_merge.hosts.host import Host, WebUIHost
from lib_merge.hosts.reforge import ClassicHost, ReForgeHost
from lib_merge.hosts.sdnext import SDNextHost
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.hosts.table import UnknownWebUI
from lib_merge.hosts.webui import FilesOnlyWebUI
from tests.lib_merge.hosts.toy_host import ToyHost
from tests.support.desk_host import PaperHost
from tests.support.grid_host import NoiseHost
from tests.support.webui_host import FakeWebUI

HOSTS: tuple[type[Host], ...] = (StandaloneHost, PaperHost, NoiseHost)
WEBUIS: tuple[type[WebUIHost], ...] = (
    FilesOnlyWebUI,
    A1111Host,
    ForgeHost,
    ReForgeHost,
    ClassicHost,
    SDNextHost,
    UnknownWebUI,
    ToyHost,
    FakeWebUI,
)
