"""A host and a mixer for the desk's tests that merge nothing: they note what they are asked, and answer.

No torch is needed, so that the tab can be tried on the Gradio of any WebUI.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from PIL import Image

from lib_merge.checkpoint import Hashes
from lib_merge.desk.mixer import Body, Mixer, Saved
from lib_merge.hosts.host import Ckpt, DrawSettings, Host, Loaded, Picture, Surface
from lib_merge.live import MergeIdent, SwapReport
from lib_merge.progress import Progress, Silent


class PaperHost:
    """Checkpoints by name in one folder; nothing in memory."""

    id = "paper"
    title = "Merge Desk"

    def __init__(self, folder: Path, data: Path, refusal: str = "") -> None:
        self.folder, self._data, self.refusal = folder, data, refusal
        self.stopped = 0

    def surface(self) -> Surface:
        return Surface(samplers=("Euler a", "DPM++ 2M"), schedulers=("Automatic", "Karras"))

    def checkpoints(self, *, refresh: bool = False) -> Sequence[Ckpt]:
        return [Ckpt(path.stem, path) for path in sorted(self.folder.glob("*.safetensors"))]

    def vaes(self) -> Sequence[Ckpt]:
        return ()

    def unreadable(self) -> Mapping[str, str]:
        return {}

    def loaded(self) -> Loaded:
        known = self.checkpoints()
        return Loaded(known[0] if known else None, self.refusal)

    def usual(self) -> DrawSettings:
        return DrawSettings(prompt="a red circle", width=64, height=64, sampler="Euler a", scheduler="Karras")

    def device(self) -> str:
        return "cpu"

    def folders(self) -> Sequence[Path]:
        return (self.folder,)

    def data(self) -> Path:
        self._data.mkdir(parents=True, exist_ok=True)
        return self._data

    def interrupt(self) -> None:
        self.stopped += 1

    @contextmanager
    def job(self, label: str, task: str = "", *, model: bool = True) -> Generator[Progress]:
        yield Silent()


class PaperMixer(Mixer):
    """Notes every body; a picture's grey is its number among the pictures."""

    def __init__(self, host: PaperHost) -> None:
        super().__init__(cast("Host", host))
        self.bodies: list[Body] = []
        self.settings: list[DrawSettings] = []
        self.live: MergeIdent | None = None
        self.failure: Exception | None = None

    def is_live(self) -> bool:
        return self.live is not None

    def apply(self, body: Body, task: str = "") -> SwapReport:
        if self.failure:
            raise self.failure
        self.bodies.append(body)
        self.asked = dict(body)
        self.session.ident = self.live = MergeIdent(f"{body['a']} + {body['b']} (unsaved)", "merge-1", "")
        self._last = SwapReport(self.live, ("OUT05",), 3, 4096, 0.012)
        return self._last

    def apply_and_draw(
        self, body: Body, settings: DrawSettings, task: str = ""
    ) -> tuple[SwapReport, Picture]:
        report = self.apply(body, task)
        self.settings.append(settings)
        grey = 40 * len(self.bodies) % 256
        return report, Picture(Image.new("RGB", (64, 64), (grey, grey, grey)), f"Seed: {settings.seed}")

    def restore(self, task: str = "") -> SwapReport | None:
        self.asked = self.live = None
        return None

    def save(self, body: Body, name: str, **options: Any) -> Saved:
        if self.failure:
            raise self.failure
        self.bodies.append(body)
        return Saved(Ckpt(name, Path(f"{name}.safetensors")), self.plan(body), 4096, Hashes(sha256="ab" * 32))

    def differences(self, a: str, b: str) -> Mapping[str, float]:
        return {"IN00": 0.02, "OUT05": 0.2, "VAE": 0.0}
