"""A PostgreSQL server of a test's own: a new cluster in a temporary folder, on loopback, gone afterwards.

Debian's package `postgresql` has the programs; .ci/run installs it. The server refuses to run as root: then
it runs as the user `postgres` that the package makes.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("initdb", "postgres", "pg_isready")
WAIT = 60.0  # seconds until a server answers, on a busy machine


def programs() -> Path | None:
    """The folder of the newest version's programs; None where there is none."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    folders = [*reversed(versions), *map(Path, os.get_exec_path())]
    return next((folder for folder in folders if all((folder / name).exists() for name in PROGRAMS)), None)


@dataclass
class Postgres:
    """A running server.

    url  for SQLAlchemy, of a database that is empty at first
    """

    folder: Path
    port: int
    server: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://merge_desk@127.0.0.1:{self.port}/postgres"

    def kill(self) -> None:
        """Without a word to its clients and without a last write, as a power cut would."""
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()

    def start(self) -> None:
        """Begin, or begin again after `kill`: the database recovers what was committed."""
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        self.server = _serve(self.folder, self.port)


def _user() -> str | None:
    return "postgres" if os.name == "posix" and os.getuid() == 0 else None


def _serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    where = programs()
    assert where
    words = ["-D", "data", "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", ""]
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [where / "postgres", *words],
            cwd=folder,
            user=_user(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    until = time.monotonic() + WAIT
    while subprocess.call([where / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], cwd=folder):
        assert server.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < until, (folder / "log").read_text()
        time.sleep(0.1)
    return server


@contextmanager
def postgres() -> Generator[Postgres]:
    """A server with an empty database, until the block ends."""
    where = programs()
    assert where, "PostgreSQL is not installed: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="merge-desk-postgres-"))
    user = _user()
    try:
        if user:
            shutil.chown(folder, user, user)
        initdb = [
            where / "initdb",
            "-D",
            "data",
            "-U",
            "merge_desk",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        subprocess.run(initdb, cwd=folder, user=user, check=True, stdout=subprocess.DEVNULL)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        running = Postgres(folder, port, _serve(folder, port))
        try:
            yield running
        finally:
            if running.server.poll() is None:
                running.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
