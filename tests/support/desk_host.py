"""A host and a service for the desk's tests that merge nothing: they note what they are asked, and answer.

No torch is needed, so that the tab can be tried on the Gradio of any WebUI.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from lib_merge.checkpoint import Hashes
from lib_merge.hosts.host import Capabilities, DrawSettings, HostDefaults, ListedFile, Loaded, Picture
from lib_merge.live import LiveModel, MergeIdent, SwapReport
from lib_merge.plan import make_plan
from lib_merge.progress import NoProgress, Progress
from lib_merge.service.merging import MergeService, PreparedMerge
from lib_merge.service.request import MergeRequest
from lib_merge.service.saving import PreparedSave, SavedMerge


class PaperHost(HostDefaults):
    """Checkpoints by name in one folder; nothing in memory."""

    id = "paper"
    title = "Merge Desk"

    def __init__(self, folder: Path, data: Path, refusal: str = "") -> None:
        self.folder, self._data, self.refusal = folder, data, refusal
        self.stopped = 0
        self.drawn: list[DrawSettings] = []

    def capabilities(self) -> Capabilities:
        return Capabilities(samplers=("Euler a", "DPM++ 2M"), schedulers=("Automatic", "Karras"))

    def checkpoints(self, *, refresh: bool = False) -> Sequence[ListedFile]:
        return [ListedFile(path.stem, path) for path in sorted(self.folder.glob("*.safetensors"))]

    def vaes(self) -> Sequence[ListedFile]:
        return ()

    def loaded(self) -> Loaded:
        known = self.checkpoints()
        return Loaded(known[0] if known else None, self.refusal)

    def default_settings(self) -> DrawSettings:
        return DrawSettings(prompt="a red circle", width=64, height=64, sampler="Euler a", scheduler="Karras")

    def device(self) -> str:
        return "cpu"

    def folders(self) -> Sequence[Path]:
        return (self.folder,)

    def load(self, checkpoint: ListedFile | None = None) -> None:
        raise NotImplementedError

    def model(self) -> LiveModel:
        raise NotImplementedError

    def register(self, path: Path) -> ListedFile:
        return ListedFile(path.stem, path)

    def save_grid(self, image: Image.Image, infotext: str, data: Mapping[str, object]) -> Path | None:
        return None

    def data_dir(self) -> Path:
        self._data.mkdir(parents=True, exist_ok=True)
        return self._data

    def interrupt(self) -> None:
        self.stopped += 1

    def draw(self, settings: DrawSettings) -> Picture:
        self.drawn.append(settings)
        grey = 40 * len(self.drawn) % 256
        return Picture(Image.new("RGB", (64, 64), (grey, grey, grey)), f"Seed: {settings.seed}")

    @contextmanager
    def job(self, label: str, task: str = "", *, model: bool = True) -> Generator[Progress]:
        yield NoProgress()


class PaperService(MergeService):
    """Notes every request that is swapped in."""

    def __init__(self, host: PaperHost) -> None:
        super().__init__(host)
        self.requests: list[MergeRequest] = []
        self.live: MergeIdent | None = None
        self.failure: Exception | None = None

    def is_live(self) -> bool:
        return self.live is not None

    def apply_merge(self, merge: PreparedMerge, progress: Progress) -> SwapReport:
        if self.failure:
            raise self.failure
        assert merge.request is not None
        self.requests.append(merge.request)
        number = len(self.requests)
        name = f"{' + '.join(merge.request.models)} (unsaved)"
        self.session.ident = self.live = MergeIdent(name, f"merge-{number}", "")
        self._last = SwapReport(ident=self.live, slots=("OUT05",), keys=3, nbytes=4096, seconds=0.012)
        return self._last

    def restore_checkpoint(self, progress: Progress) -> SwapReport | None:
        self.live = None
        return None

    def prepare_save(self, request: MergeRequest, name: str, **options: Any) -> PreparedSave:
        if self.failure:
            raise self.failure
        self.requests.append(request)
        return super().prepare_save(request, name, **options)

    def write_save(
        self, save: PreparedSave, task: str = "", *, is_wanted: Callable[[], bool] = lambda: True
    ) -> SavedMerge:
        with self.work_on_files("saving", task):
            assert is_wanted()
            plan = make_plan(save.resolved.recipe, save.headers)
        name = save.target.stem
        return SavedMerge(ListedFile(name, save.target), plan, 4096, Hashes(sha256="ab" * 32))

    def slot_differences(self, a: str, b: str) -> Mapping[str, float]:
        return {"IN00": 0.02, "OUT05": 0.2, "VAE": 0.0}
