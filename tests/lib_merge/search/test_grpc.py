"""A study behind Optuna's gRPC proxy: workers reach a storage that they cannot open themselves."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")
pytest.importorskip("grpc", reason="grpcio is not installed")

from lib_merge.errors import RecipeError, StoreError
from lib_merge.search.storage import open_storage
from lib_merge.search.study import DONE
from tests.support.grid_host import Bench
from tests.support.ports import free_port
from tests.support.search_bench import SearchBench

pytestmark = [pytest.mark.newest_only]
SERVER = """
import sys
from optuna.storages import run_grpc_proxy_server
from lib_merge.search.storage import open_storage

run_grpc_proxy_server(open_storage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
"""


@contextmanager
def proxy(file: Path) -> Generator[str]:
    """A proxy of a storage in a process of its own; its address, once it answers."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(file), str(port)], stderr=subprocess.DEVNULL)
    address = f"grpc://127.0.0.1:{port}"
    try:
        wait_for(address, server)
        yield address
    finally:
        server.kill()
        server.wait()


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until a proxy answers."""
    import grpc

    end = time.monotonic() + 60
    with grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
        while time.monotonic() < end:
            assert server.poll() is None, "the proxy has ended"
            try:
                grpc.channel_ready_future(channel).result(timeout=1)
                return
            except grpc.FutureTimeoutError:
                continue
    raise AssertionError("the proxy does not answer")


def test_a_study_behind_a_proxy_is_the_same_as_in_the_file_behind_it(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    with proxy(file) as address:
        search = SearchBench(bench, address)
        study = search.study(name="shared", sampler="tpe", seed=3)
        ended = search.run(study, 4)
        assert ended.reason == "4 trials are done"
        rows = study.rows()
    assert [row.state for row in rows] == [DONE] * 4
    assert SearchBench(bench, str(file)).again(name="shared").rows() == rows


def test_a_proxy_that_does_not_answer_is_one_sentence_with_its_address(bench: Bench) -> None:
    address = f"grpc://127.0.0.1:{free_port()}"
    with pytest.raises(StoreError, match="the storage of the study cannot be used") as problem:
        SearchBench(bench, address).study(name="nowhere")
    assert address in (problem.value.where or "")


def test_the_port_of_a_proxy_is_a_number() -> None:
    with pytest.raises(RecipeError, match="'many' is no port"):
        open_storage("grpc://localhost:many")
