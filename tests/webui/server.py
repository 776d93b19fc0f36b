"""A real WebUI, started on data of our own: the user's settings, models and extensions stay untouched."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tests.webui.kinds import A1111, COMMON, kind

ROOT = Path(__file__).parents[2]
UP = 400  # seconds that a start may take, on a machine that may be busy
ANSWERED = 580  # seconds that an answer may take
DRAWING = {
    "prompt": "a red circle",
    "width": 128,
    "height": 128,
    "steps": 6,
    "sampler_name": "DPM++ 2M",
    "scheduler": "Automatic",
    "seed": 1,
    "cfg_scale": 5,
}


class RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:500]}")
        self.status, self.text = status, text

    @property
    def error(self) -> dict[str, str]:
        return json.loads(self.text)["error"]


class Drawn:
    """A picture's pixels and what the host says of it."""

    def __init__(self, png: bytes, infotext: str) -> None:
        self.pixels = Image.open(io.BytesIO(png)).convert("RGB").tobytes()
        self.infotext = infotext

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Drawn) and self.pixels == other.pixels

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{hashlib.sha256(self.pixels).hexdigest()[:8]} {self.infotext.splitlines()[-1]}>"


def python_of(webui: Path) -> Path:
    """The interpreter that the installation runs with."""
    given = os.environ.get("WEBUI_PYTHON")
    places = [Path(given)] if given else [webui / "venv/bin/python", webui.parent / "venv/bin/python"]
    return next((place for place in places if place.exists()), Path(sys.executable))


def calculates_in_half(webui: Path) -> bool:
    """Whether the installation's torch multiplies and convolves fp16 on a CPU: 2.1.2 does not, 2.3.1 does."""
    layers = "torch.nn.Linear(1, 1).half()(zeros), torch.nn.Conv2d(1, 1, 1).half()(zeros)"
    code = f"import torch; zeros = torch.zeros(1, 1, 1, 1).half(); {layers}"
    tried = subprocess.run([python_of(webui), "-c", code], capture_output=True, text=True, check=False)
    return "not implemented for 'Half'" not in tried.stderr


class WebUI:
    """One running WebUI; use as a context.

    way        one of its kind's ways of holding weights in memory
    flags      more of its command line
    extension  whether ours is there
    disabled   whether ours is there and switched off in the WebUI's settings
    """

    def __init__(
        self,
        webui: Path,
        folder: Path,
        way: str = "float32",
        *flags: str,
        extension: bool = True,
        disabled: bool = False,
    ) -> None:
        self.kind = kind(webui)
        self._webui, self._folder = webui, folder
        self._flags = [*COMMON.split(), *self.kind.flags.split(), *self.kind.ways[way].split(), *flags]
        self._extension, self._disabled = extension, disabled
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.checkpoints, self.data = folder / "checkpoints", folder / "data"
        self.auth = ""
        self.drawing: dict[str, object] = dict(DRAWING)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> WebUI:
        for name in ("extensions", "models/Lora", "models/VAE", "embeddings"):
            (self.data / name).mkdir(parents=True, exist_ok=True)
        self._link("merge-desk", ROOT if self._extension else None)
        # the samples are narrower than what the forks know: the extension that NARROW names teaches them
        narrow = None if self.kind is A1111 else os.environ.get("NARROW")
        self._link("aa-narrow", Path(narrow) if narrow else None)
        self._write_settings()
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "2",
            "OMP_WAIT_POLICY": "PASSIVE",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "GRADIO_ANALYTICS_ENABLED": "False",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [str(python_of(self._webui)), "launch.py", *self._flags, "--port", str(self.port)]
        command += ["--data-dir", str(self.data), self.kind.checkpoint_flag, str(self.checkpoints)]
        with (self._folder / "log.txt").open("ab") as log:
            self._before = log.tell()
            self._process = subprocess.Popen(
                command, cwd=self._webui, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait("Startup time:", *([] if self.kind.lazy else [self.kind.loaded]))
            self._wait_for_port()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self, *words: str) -> None:
        """Asks nothing before the host has said all of this: an early request breaks its start, and one for
        another checkpoint the load of the first, which it does on another thread without a lock.
        """
        assert self._process is not None
        end = time.monotonic() + UP
        while time.monotonic() < end and self._process.poll() is None:
            if all(word in self._words() for word in words):
                return
            if self.kind.loaded in words and "Stable diffusion model failed to load" in self._words():
                break
            time.sleep(0.3)
        raise AssertionError(f"the WebUI did not come up; its last words:\n{self.log()[-4000:]}")

    def _link(self, name: str, target: Path | None) -> None:
        """An extension under this name, or none."""
        link = self.data / "extensions" / name
        if link.is_symlink():
            link.unlink()
        if target is not None:
            link.symlink_to(target, target_is_directory=True)

    def _write_settings(self) -> None:
        """What must stand in the WebUI's settings before it starts; it keeps the others of its last run."""
        path = self.data / "config.json"
        settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        settings |= {**self.kind.settings, "disabled_extensions": ["merge-desk"] if self._disabled else []}
        path.write_text(json.dumps(settings), encoding="utf-8")

    def _wait_for_port(self) -> None:
        """Without a page the host says that it is up before it listens, and our routes come last."""
        end = time.monotonic() + UP
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{self.url}/merge-desk/v1/status", timeout=60).close()
                return
            except urllib.error.HTTPError as answer:  # it listens: an account is asked for
                if answer.code != 404 or not self._extension or self._disabled:
                    return
            except OSError:
                pass
            time.sleep(0.3)
        raise AssertionError(f"nothing listens at {self.url}; its last words:\n{self.log()[-4000:]}")

    def reload_page(self) -> None:
        """Presses *Reload UI*, which runs all scripts again in the same process."""
        page = self.get("/config")
        button = next(
            each["id"]
            for each in page["components"]
            if each["props"].get("elem_id") == "settings_restart_gradio"
        )
        number = next(
            index for index, each in enumerate(page["dependencies"]) if _pressed(each["targets"], button)
        )
        self._before = (self._folder / "log.txt").stat().st_size
        with contextlib.suppress(OSError):
            self.post("/run/predict", {"fn_index": number, "data": [], "session_hash": "test"})
        self._wait("Startup time:")
        self._wait_for_port()

    def memory(self) -> int:
        """Bytes of RAM that its process holds."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])

    def stop(self) -> None:
        """Ends the process group that was started here."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Ends it as a crash does."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(20)

    def log(self) -> str:
        return (self._folder / "log.txt").read_text(encoding="utf-8", errors="replace")

    def _words(self) -> str:
        with (self._folder / "log.txt").open("rb") as log:
            log.seek(self._before)
            return log.read().decode(errors="replace")

    # --- talking ---

    def _send(self, request: urllib.request.Request) -> Any:
        if self.auth:
            request.add_header("Authorization", "Basic " + base64.b64encode(self.auth.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=ANSWERED) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            raise RefusedError(refused.code, refused.read().decode()) from None

    def get(self, path: str) -> Any:
        return self._send(urllib.request.Request(self.url + path))

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        data = json.dumps(body or {}).encode()
        return self._send(urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}))

    def desk(self, word: str, **body: object) -> Any:
        """POST to one of our own routes."""
        return self.post(f"/merge-desk/v1/{word}", body)

    def status(self) -> Any:
        return self.get("/merge-desk/v1/status")

    def options(self, **values: object) -> None:
        """As the host's own settings page does."""
        self.post("/sdapi/v1/options", values)

    def pick(self, name: str, **options: object) -> None:
        """As the host's own list of checkpoints does.

        options  more options that change with it
        """
        self.options(**options, sd_model_checkpoint=f"{name}.safetensors")

    def load(self, name: str, **options: object) -> None:
        """Picks a checkpoint and has it in memory, where hosts load it at the next picture too."""
        self.pick(name, **options)
        if self.kind.lazy:
            self.draw(steps=1)

    def fresh(self) -> None:
        """As a new user finds it: ink is chosen, nothing merged, no option changed."""
        self.pick("ink", **self.kind.fresh)
        self.desk("restore")

    def draw_all(self, *, route: str = "txt2img", **more: object) -> list[Drawn]:
        hires = self.kind.hires if more.get("enable_hr") else {}
        answer = self.post(f"/sdapi/v1/{route}", {**self.drawing, **more, **hires})
        said = json.loads(answer["info"])
        return [
            Drawn(base64.b64decode(image), infotext)
            for image, infotext in zip(answer["images"], said["infotexts"], strict=True)
        ]

    def draw(self, *, route: str = "txt2img", **more: object) -> Drawn:
        return self.draw_all(route=route, **more)[0]


def _pressed(targets: list[Any], button: int) -> bool:
    """Whether an event listens to this button; Gradio 3.41 lists ids, or pairs of id and event."""
    return any(button == (each[0] if isinstance(each, list) else each) for each in targets)
