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

ROOT = Path(__file__).parents[2]
UP = 240  # seconds that a start may take
LOADED = "Model loaded in"
FLAGS = (
    "--skip-python-version-check --skip-prepare-environment --skip-torch-cuda-test --skip-version-check "
    "--use-cpu all --disable-nan-check --api --do-not-download-clip --no-download-sd-model --no-hashing"
)
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


def is_forge(webui: Path) -> bool:
    """Whether an installation is Forge's, by what it has."""
    return (webui / "backend/memory_management.py").exists()


class WebUI:
    """One running WebUI; use as a context."""

    def __init__(self, webui: Path, folder: Path, *flags: str, extension: bool = True) -> None:
        self._webui, self._folder, self._flags, self._extension = webui, folder, flags, extension
        self.forge = is_forge(webui)
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
        if self.forge:
            self._prepare_forge()
        link = self.data / "extensions" / "merge-desk"
        if link.is_symlink() and not self._extension:
            link.unlink()
        elif not link.exists() and self._extension:
            link.symlink_to(ROOT, target_is_directory=True)
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
        known = FLAGS.replace("--use-cpu all", "--always-cpu") if self.forge else FLAGS
        command = [str(python_of(self._webui)), "launch.py", *known.split(), *self._flags]
        command += [
            "--port",
            str(self.port),
            "--data-dir",
            str(self.data),
            "--ckpt-dir",
            str(self.checkpoints),
        ]
        with (self._folder / "log.txt").open("ab") as log:
            self._before = log.tell()
            self._process = subprocess.Popen(
                command, cwd=self._webui, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            # Forge loads its model at the first picture
            self._wait("Startup time:", *([] if self.forge else [LOADED]))
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
            if LOADED in words and "Stable diffusion model failed to load" in self._words():
                break
            time.sleep(0.3)
        raise AssertionError(f"the WebUI did not come up; its last words:\n{self.log()[-4000:]}")

    def _prepare_forge(self) -> None:
        """The samples are narrower than what Forge knows: an extension (NARROW names it) has it take them.
        Its live previews ask the net for a file.
        """
        narrow = os.environ.get("NARROW")
        link = self.data / "extensions" / "aa-narrow"
        if narrow and not link.exists():
            link.symlink_to(narrow, target_is_directory=True)
        settings = self.data / "config.json"
        if not settings.exists():
            settings.write_text('{"live_previews_enable": false}', encoding="utf-8")

    def _wait_for_port(self) -> None:
        """Without a page the host says that it is up before it listens, and our routes come last."""
        end = time.monotonic() + UP
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{self.url}/merge-desk/v1/status", timeout=60).close()
                return
            except urllib.error.HTTPError as answer:  # it listens: an account is asked for
                if answer.code != 404 or not self._extension:
                    return
            except OSError:
                pass
            time.sleep(0.3)
        raise AssertionError(f"nothing listens at {self.url}; its last words:\n{self.log()[-4000:]}")

    def reload_page(self) -> None:
        """Presses *Reload UI*, which runs all scripts anew in the same process."""
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

    def stop(self) -> None:
        """Ends the process group that was started here."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
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
            with urllib.request.urlopen(request, timeout=280) as answer:
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

    def pick(self, name: str) -> None:
        """As the host's own list of checkpoints does."""
        self.options(sd_model_checkpoint=f"{name}.safetensors")

    def draw_all(self, *, route: str = "txt2img", **more: object) -> list[Drawn]:
        answer = self.post(f"/sdapi/v1/{route}", {**self.drawing, **more})
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
