"""Where studies are kept: a SQLite file by default, any database by its URL, a journal file, or a gRPC proxy.

search.db                          a SQLite file
search.journal                     Optuna's journal file, for network folders without a database
postgresql://USER:PASSWORD@HOST/DB  whatever SQLAlchemy reads, where its driver is installed
grpc://HOST:PORT                   Optuna's proxy of another storage
"""

from __future__ import annotations

import re
import sqlite3
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lib_merge.errors import ExtraError, MergeError, RecipeError, StoreError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

T = TypeVar("T")

JOURNAL_SUFFIXES = (".journal", ".log")
GRPC_SCHEME, GRPC_PORT = "grpc://", 13000
SQLITE_SCHEME = "sqlite:///"
SQLITE_URL = re.compile(r"sqlite(\+\w+)?:///(?P<path>[^?]*)")  # of SQLAlchemy, also with a driver's name
PASSWORD = re.compile(r"(://[^/@:]*:)[^@]*@")
LOCK_SUFFIX = ".lock"  # of the file that is held while a trial is taken
DATABASE_WAIT = 60.0  # seconds for other workers to finish writing
STORAGE_PATIENCE = 180.0  # seconds in which a database may come back
STORAGE_PAUSE = 2.0
EXTRA_HINT = "pip install optuna cmaes"


class SqliteConnection(sqlite3.Connection):
    """Commits without waiting for the disk, so that a trial costs milliseconds; readers never wait.

    A process that is killed loses nothing; after a power cut the last trials may be missing.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = NORMAL")


def need_optuna(what: str = "searching") -> None:
    """Import Optuna, and keep its log to errors; ExtraError where it is not installed, of `what` needs it."""
    try:
        import optuna
    except ImportError as missing:
        raise ExtraError(f"{what} needs {missing.name}, which is not installed", hint=EXTRA_HINT) from missing
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def without_password(text: str) -> str:
    """An address or a message without the password of an URL."""
    return PASSWORD.sub(r"\1***@", text)


@contextmanager
def storage_errors(address: str) -> Generator[None]:
    """Errors of the database as one StoreError; those of Merge Desk pass."""
    try:
        yield
    except (MergeError, KeyboardInterrupt):
        raise
    except ImportError as missing:
        what = f"this database needs {missing.name}, which is not installed"
        raise ExtraError(
            what, where=without_password(address), hint=f"pip install {missing.name}"
        ) from missing
    except Exception as cause:
        first = (without_password(str(cause)).splitlines() or [type(cause).__name__])[0]
        hint = "is the address right, the server up, and the file on a disk that can be written?"
        what = "the storage of the study cannot be used"
        raise StoreError(what, where=f"{without_password(address)}: {first}", hint=hint) from cause


def retry_storage(
    action: Callable[[], T], stopped: Callable[[], bool], clock: Callable[[], float] = time.monotonic
) -> T:
    """Do this with a storage; where it is away, again until it is back, or StoreError after three minutes."""
    began = clock()
    while True:
        try:
            return action()
        except StoreError:
            if stopped() or clock() - began > STORAGE_PATIENCE:
                raise
            time.sleep(STORAGE_PAUSE)


@contextmanager
def one_process(address: str) -> Generator[None]:
    """What this block does to the state of a trial no other process does at the same time.

    Optuna reads the state and then writes it. A database on a server holds the row in between (SELECT ... FOR
    UPDATE), and the journal its file; SQLite knows no such lock, so that two processes could take one trial.
    They wait here for each other, by a lock of SQLite's own on a file beside that of the study.
    """
    path = _sqlite_path(address)
    if path is None:
        yield
        return
    lock = sqlite3.connect(f"{path}{LOCK_SUFFIX}", timeout=DATABASE_WAIT, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        lock.close()


def _sqlite_path(address: str) -> str | None:
    """The file of a SQLite storage, None for another one."""
    address = address.strip()
    if url := SQLITE_URL.match(address):
        return url["path"] or None
    return None if "://" in address or Path(address).suffix in JOURNAL_SUFFIXES else address


def open_storage(address: str) -> BaseStorage:
    """The storage of an address; see the top of this module."""
    need_optuna()
    if not address.strip():
        raise RecipeError("the storage has no address", hint="--storage search.db")
    with storage_errors(address):
        return _opened(address.strip())


def _opened(address: str) -> BaseStorage:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if address.startswith(GRPC_SCHEME):
        return _grpc_proxy(address)
    if "://" not in address:
        path = Path(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in JOURNAL_SUFFIXES:
            return JournalStorage(JournalFileBackend(str(path)))
        address = f"{SQLITE_SCHEME}{path.absolute()}"
    if address.startswith("sqlite"):
        options: dict[str, Any] = {"connect_args": {"timeout": DATABASE_WAIT, "factory": SqliteConnection}}
    else:
        options = {"pool_pre_ping": True}  # a server that was restarted meanwhile is connected to again
    return RDBStorage(address, engine_kwargs=options)


def _grpc_proxy(address: str) -> BaseStorage:
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import GrpcStorageProxy

    host, _, port = address.removeprefix(GRPC_SCHEME).rstrip("/").partition(":")
    if port and not port.isdigit():
        raise RecipeError(f"'{port}' is no port", where=address, hint=f"{GRPC_SCHEME}{host}:{GRPC_PORT}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # that its interface may change: it is tested
        return GrpcStorageProxy(host=host, port=int(port or GRPC_PORT))
