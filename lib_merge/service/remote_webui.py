"""A WebUI on another machine as the host of a search: merges, pictures and files are the WebUI's."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.architectures import Family
from lib_merge.checkpoint import Header, TensorInfo
from lib_merge.dtypes import BY_NAME, Dtype
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid.edit import checkpoint_recipe
from lib_merge.grid.run import RendererLostError
from lib_merge.library.history import History
from lib_merge.live import SwapReport, ident_of
from lib_merge.picture import DrawSettings, Picture, random_seed
from lib_merge.progress import NoProgress, Progress
from lib_merge.recipe import Recipe, parse_recipe, print_recipe
from lib_merge.schema import EmptyRequest
from lib_merge.service.grids import find_preset
from lib_merge.service.remote_api import RemoteApi, RemoteStoppedError
from lib_merge.service.render_messages import (
    DescribeAnswer,
    DescribedFile,
    DescribeRequest,
    FindAnswer,
    FindRequest,
    NameKind,
    OrderAnswer,
    OrderRequest,
    SessionAnswer,
    SessionRequest,
)
from lib_merge.service.request import Resolved

if TYPE_CHECKING:
    from PIL.Image import Image

HASHING_SECONDS = 3600.0  # that a WebUI may take to hash files of gigabytes for the first time
KEEP_SECONDS = 10.0
ENDING_SECONDS = 60.0  # that a WebUI may take to end a picture and restore its model
BEGIN_PAUSE = 1.0  # seconds until a program asks again whether the model is free


class RemoteCatalog:
    """The files of a WebUI's lists, and a `Resolver` of them; see grid.cell.ModelCatalog."""

    def __init__(self, api: RemoteApi, data: Path) -> None:
        self._api, self._data = api, data
        self._headers: dict[str, Header] = {}

    def describe(self, recipe: Recipe, *, hashed: bool = False) -> Recipe:
        """Find the files of a recipe there, by name and hash; the recipe, with all hashes if they are needed.

        MergeError for a file that the WebUI lacks.
        """
        request = DescribeRequest(print_recipe(recipe), hashed)
        answer = self._api.post("render/describe", request, DescribeAnswer, seconds=HASHING_SECONDS)
        self._headers |= {file: _header(file, entry) for file, entry in answer.files.items()}
        return parse_recipe(answer.recipe)

    def checkpoint(self, name: str) -> str:
        """The name in recipes of a checkpoint of the WebUI's list."""
        return name if name in self._headers else self._find("checkpoint", name).name

    def vae(self, name: str) -> str:
        """The name in recipes of a VAE file of the WebUI's list."""
        return name if name in self._headers else self._find("vae", name).name

    def header(self, file: str) -> Header:
        """The tensors of a file, without their places in it."""
        if file not in self._headers:
            self.describe(checkpoint_recipe(file))
        return self._headers[file]

    def preset(self, name: str, family: Family) -> Mapping[str, float]:
        """A preset of this machine."""
        return find_preset(self._data, name, family)

    def recipe(self, text: str) -> Recipe:
        """The recipe of a merged checkpoint of the WebUI's list."""
        return parse_recipe(self._find("recipe", text).recipe)

    def from_history(self, text: str) -> Recipe:
        """A merge of the WebUI's history."""
        return parse_recipe(self._find("history", text).recipe)

    def samplers(self) -> Sequence[str]:
        """(): the WebUI checks the names."""
        return ()

    def schedulers(self) -> Sequence[str]:
        """(): the WebUI checks the names."""
        return ()

    def loras(self) -> Sequence[str] | None:
        """None: the WebUI reads LoRAs from the prompt."""
        return None

    def random_seed(self) -> int:
        """A random seed."""
        return random_seed()

    def name_models(self, models: Sequence[str], vae: str) -> Sequence[tuple[str, str]]:
        """See service.request.Resolver; the files are names of the WebUI."""
        names = [self.checkpoint(model) for model in models] + ([self.vae(vae)] if vae else [])
        return [(name, name) for name in names]

    def locate(self, recipe: Recipe) -> Resolved[str]:
        """See service.request.Resolver."""
        located = self.describe(recipe)
        return Resolved(located, {file: file for file in located.files})

    def _find(self, kind: NameKind, name: str) -> FindAnswer:
        return self._api.post("render/find", FindRequest(kind, name), FindAnswer)


class RemoteBackend(RemoteCatalog):
    """A GridRenderer of a WebUI, within a session of `RemoteService.job`."""

    def __init__(self, api: RemoteApi, data: Path) -> None:
        super().__init__(api, data)
        self.session: RemoteSession | None = None
        self._recipe: Recipe | None = None

    def holds(self, recipe: Recipe) -> bool:
        """Whether this session has merged this recipe last."""
        return self._recipe is not None and ident_of(self._recipe).id == ident_of(recipe).id

    def merge(self, recipe: Recipe, progress: Progress) -> SwapReport:
        """Have the WebUI merge into its model, unless it holds that merge."""
        self._recipe = None
        answer = self._current().order(print_recipe(recipe), None)
        self._recipe = recipe
        slots = tuple(answer.slots)
        return SwapReport(
            ident=None, slots=slots, keys=answer.keys, nbytes=answer.bytes, seconds=answer.seconds
        )

    def draw(self, settings: DrawSettings) -> Picture:
        """Have the WebUI draw the merge; it merges again where something else is in its memory."""
        if self._recipe is None:
            raise RecipeError("nothing is merged yet")
        answer = self._current().order(print_recipe(self._recipe), settings)
        return Picture(_read_png(answer.picture), answer.infotext)

    def begin(self, session: RemoteSession | None) -> None:
        """Use a session, in which nothing is merged yet; None for none."""
        self.session, self._recipe = session, None

    def _current(self) -> RemoteSession:
        if self.session is None:
            raise RendererLostError("there is no session with the WebUI")
        return self.session


class RemoteSession:
    """The exclusive use of a WebUI's model, from `begin` to `end`; kept by a thread in between."""

    def __init__(self, api: RemoteApi, state: SessionAnswer) -> None:
        self._api, self._state = api, state
        self._number = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="merge-desk-keep", daemon=True)
        self._thread.start()

    @classmethod
    def begin(cls, api: RemoteApi, on_wait: Callable[[], None]) -> RemoteSession:
        """Begin a session, and wait for the WebUI's other jobs; `on_wait` is called once where it has any.

        Another program's session is waited for as long as one may be silent: its program may be gone.
        """
        state, began, waiting = cls._begun(api), time.monotonic(), False
        while not state.session:
            if time.monotonic() - began > state.patience + ENDING_SECONDS:
                what = "another program renders with this WebUI"
                raise MergeError(what, where=api.address, hint="one at a time: wait, or end that one")
            if not waiting:
                waiting = True
                on_wait()
            time.sleep(BEGIN_PAUSE)
            state = cls._begun(api)
        session = cls(api, state)
        try:
            while not session._state.ready and not session._state.ended:
                if not waiting:
                    waiting = True
                    on_wait()
                time.sleep(1.0)
                session._ask()
            if session._state.ended:
                raise MergeError(session._state.problem or "the session has ended", where=api.address)
        except BaseException:
            session.end()
            raise
        return session

    @staticmethod
    def _begun(api: RemoteApi) -> SessionAnswer:
        return api.post("render/begin", EmptyRequest(), SessionAnswer, patient=False)

    @property
    def patience(self) -> float:
        """Seconds without a request after which the WebUI ends it."""
        return self._state.patience

    def order(self, recipe: str, drawing: DrawSettings | None) -> OrderAnswer:
        """Have a merge made, and drawn; asks until it is done."""
        self._number += 1
        fields = None if drawing is None else asdict(drawing)
        request = OrderRequest(self._state.session, self._number, recipe, fields)
        while True:
            try:
                answer = self._api.post("render/order", request, OrderAnswer)
            except MergeError as problem:
                if self._ending.is_set():
                    raise RemoteStoppedError("stopped", where=self._api.address) from problem
                if isinstance(problem, (RendererLostError, RemoteStoppedError)) or self._has_ended():
                    raise self._lost(problem) from problem
                raise
            if answer.done:
                return answer

    def end(self) -> SessionAnswer | None:
        """End it, also from another thread; the state that it ended with, None where that is unknown."""
        self._ending.set()
        request, began = SessionRequest(self._state.session), time.monotonic()
        while not self._state.ended and time.monotonic() - began < ENDING_SECONDS:
            try:
                self._state = self._api.post("render/end", request, SessionAnswer, patient=False)
            except MergeError:
                time.sleep(1.0)
        return self._state if self._state.ended else None

    def _lost(self, problem: MergeError) -> RendererLostError:
        ended = None if isinstance(problem, RendererLostError) else self.end()
        what = (ended.problem if ended else "") or problem.what
        return RendererLostError(what, where=self._api.address)

    def _has_ended(self) -> bool:
        with suppress(MergeError):
            self._ask()
        return self._state.ended

    def _ask(self) -> None:
        self._state = self._api.post("render/keep", SessionRequest(self._state.session), SessionAnswer)

    def _keep(self) -> None:
        while not self._ending.wait(KEEP_SECONDS):
            with suppress(MergeError):  # the next order reports it
                self._ask()


class RemoteJob:
    """A session as a job.

    progress  shows nothing, since the WebUI does; the next order says that the session was interrupted there
    """

    def __init__(self) -> None:
        self.progress: Progress = NoProgress()

    @contextmanager
    def preserving(self) -> Generator[None]:
        """Does nothing: the end of the session restores the model."""
        yield


class RemoteHost:
    """What a search needs of a host, for a WebUI on another machine."""

    def __init__(self, backend: RemoteBackend, data: Path) -> None:
        self._backend, self._data = backend, data

    def model(self) -> object:
        """None: the WebUI loads its model when the session begins."""
        return None

    def interrupt(self) -> None:
        """End the session, and the picture that is being drawn."""
        if self._backend.session is not None:
            self._backend.session.end()

    def data_dir(self) -> Path:
        """Merge Desk's folder on this machine: its history and its scorers."""
        self._data.mkdir(parents=True, exist_ok=True)
        return self._data


class RemoteService:
    """What a search needs of a `MergeService`, for a WebUI on another machine.

    say  gets sentences: that the WebUI is busy, and what its model is afterwards
    """

    def __init__(self, api: RemoteApi, data: Path, say: Callable[[str], None]) -> None:
        self._api, self._say = api, say
        self.backend = RemoteBackend(api, data)
        self.host = RemoteHost(self.backend, data)
        self.history = History(self.host.data_dir())

    @contextmanager
    def job(self, label: str, task: str = "") -> Generator[RemoteJob]:
        """A session: afterwards the WebUI's model is what it was before, or `say` gets what is known."""
        session = RemoteSession.begin(self._api, self._say_busy)
        self.backend.begin(session)
        try:
            yield RemoteJob()
        finally:
            self.backend.begin(None)
            self._say(self._ending(session, session.end()))

    def _say_busy(self) -> None:
        self._say(f"waiting for {self._api.address}: it runs another job, or loads its checkpoint")

    def _ending(self, session: RemoteSession, state: SessionAnswer | None) -> str:
        if state is None:
            return (
                f"{self._api.address} does not answer: its model may hold the last trial, and is restored "
                f"{session.patience:g} s after the last request that it heard, unless that WebUI has ended"
            )
        if not state.restored:
            return f"the model of {self._api.address} is not what it was before: it is now {state.held}"
        return f"the model of {self._api.address} is what it was before: {state.held}"


def _header(file: str, described: DescribedFile) -> Header:
    tensors = {
        key: TensorInfo(BY_NAME.get(dtype) or Dtype(dtype, dtype.lower(), "", 1, False), tuple(shape))
        for key, (dtype, shape) in described.tensors.items()
    }
    return Header(Path(file), tensors, dict(described.metadata), file_size=described.bytes)


def _read_png(text: str) -> Image:
    from PIL import Image

    try:
        with Image.open(BytesIO(base64.b64decode(text, validate=True))) as image:
            return image.convert("RGB")
    except (ValueError, OSError) as cause:
        raise MergeError("the WebUI's picture cannot be read") from cause
