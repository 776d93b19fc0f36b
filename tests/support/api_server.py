"""Our HTTP API behind a real socket, as a WebUI serves it.

`python -m tests.support.api_server MODELS FOLDER [ACCOUNTS]` serves the standalone host, which draws, and
prints its address.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lib_merge.service.merging import MergeService


def application(service: MergeService, accounts: str = "") -> Any:
    """The routes of a service; `accounts` as `--api-auth` has them."""
    import fastapi

    from lib_merge.desk.api import add_routes, basic_auth
    from lib_merge.service.services import Services

    app = fastapi.FastAPI()
    add_routes(app, Services(service), basic_auth(accounts) if accounts else None)
    return app


@contextmanager
def serving(app: Any) -> Generator[str]:
    """The address of an application, until the block ends."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


def main(models: str, folder: str, accounts: str = "") -> None:
    """Serve until the process is ended."""
    from lib_merge.hosts.standalone import StandaloneHost

    host = StandaloneHost([Path(models)], output=Path(folder, "out"), data=Path(folder, "data"))
    with serving(application(MergeService(host), accounts)) as address:
        print(address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
