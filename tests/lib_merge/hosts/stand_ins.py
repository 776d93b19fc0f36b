"""Stand-ins for WebUIs: the modules that scripts/merge_desk.py imports, without models and pictures.

What a real one lacks is lacking here: the names and shapes are those of A1111 v1.10.1, Forge dfdcbab, Neo
2.26, reForge 3b56b26 and SD.Next of 2025.
"""

from __future__ import annotations

import runpy
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
EVENTS = ("on_ui_settings", "on_ui_tabs", "on_app_started", "on_after_component", "on_infotext_pasted")
FOREIGN = ("forge", "neo", "reforge", "sdnext", "old_a1111", "bare")


class Opts:
    """The host's settings."""

    def __init__(self, **data: object) -> None:
        self.data: dict[str, object] = dict(data)
        self.data_labels: dict[str, Any] = {"sd_model_checkpoint": SimpleNamespace(onchange=None)}

    def __getattr__(self, key: str) -> object:
        try:
            return self.__dict__["data"][key]
        except KeyError:
            raise AttributeError(key) from None

    def add_option(self, key: str, info: Any) -> None:
        self.data_labels[key] = info


class Option:
    """OptionInfo and OptionHTML."""

    def __init__(self, default: object = None, label: str = "") -> None:
        self.default, self.label, self.section, self.infotext = default, label, None, None


class State:
    """The host's running job."""

    interrupted = False

    def begin(self, job: str = "") -> None:
        self.job = job

    def end(self) -> None:
        self.job = ""

    def interrupt(self) -> None:
        self.interrupted = True


class Info:
    """A checkpoint of the host's list."""

    known: dict[str, Info] = {}  # noqa: RUF012  the host's own are module globals

    def __init__(self, filename: str) -> None:
        self.filename, self.name = filename, Path(filename).name
        self.name_for_extra, self.title = Path(filename).stem, self.name

    def register(self) -> None:
        self.known[self.title] = self


class StandIn:
    """One WebUI, and what our script has put into it."""

    def __init__(self, folder: Path, kind: str, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.kind, self.patch = folder, kind, patch
        self.callbacks: dict[str, list[Callable[..., Any]]] = {}
        self.state, self.opts = State(), Opts(sd_model_checkpoint="a.safetensors")
        Info.known = {}
        for path in sorted(folder.glob("*.safetensors")):
            Info(str(path)).register()
        self._modules()

    def _add(self, name: str, **names: object) -> ModuleType:
        module = ModuleType(name)
        module.__dict__.update(names)
        self.patch.setitem(sys.modules, name, module)
        if "." in name:
            setattr(sys.modules[name.rsplit(".", 1)[0]], name.rsplit(".", 1)[1], module)
        return module

    def _modules(self) -> None:
        own = "ckpt_dirs" if self.kind == "neo" else "ckpt_dir"
        folders = [str(self.folder)] if self.kind == "neo" else str(self.folder)
        flags = SimpleNamespace(api=True, nowebui=False, api_auth=None, **{own: folders})
        self._add("modules", __path__=[])
        self._add("modules.script_callbacks", **{name: self._hearer(name) for name in EVENTS})
        self.xyz = SimpleNamespace(axis_options=[], Script=type("Script", (), {"run": None}))
        script = type("Script", (), {"__module__": "xyz_grid.py"})
        data = [SimpleNamespace(script_class=script, module=self.xyz)]
        self._add("modules.scripts", Script=object, AlwaysVisible=object(), scripts_data=data)
        if self.kind == "bare":
            self._add("modules.shared", opts=self.opts, cmd_opts=SimpleNamespace())
            self._add("modules.paths", data_path=str(self.folder), models_path=str(self.folder / "models"))
            (self.folder / "models").mkdir(exist_ok=True)
            (self.folder / "models/Stable-diffusion").symlink_to(self.folder, target_is_directory=True)
            return
        options = {"OptionInfo": Option, "OptionHTML": Option}
        self._add("modules.shared", opts=self.opts, cmd_opts=flags, state=self.state, **options)
        self._add("modules.paths", data_path=str(self.folder), models_path=str(self.folder))
        self._add("modules.call_queue", queue_lock=threading.Lock())
        self._add("modules.devices", device=None)
        names = {"checkpoints_list": Info.known, "CheckpointInfo": Info, "model_path": str(self.folder)}
        models = self._add("modules.sd_models", list_models=lambda: None, **names)
        models.model_data = SimpleNamespace(**self._memory())
        self._add("modules.sd_samplers", visible_sampler_names=lambda: ["Euler a"])
        getattr(self, f"_{self.kind}")()

    def _memory(self) -> dict[str, object]:
        if self.kind in ("forge", "neo"):
            return {"sd_model": object(), "forge_loading_parameters": {}, "forge_hash": ""}
        if self.kind == "reforge":
            model = SimpleNamespace(filename="a.safetensors", sd_checkpoint_info=Info("a.safetensors"))
            return {"sd_model": model, "loaded_sd_models": [model], "was_loaded_at_least_once": True}
        return {"sd_model": None}

    def _forge(self) -> None:
        self._add("backend", __path__=[])
        self._add("backend.memory_management")
        for name in ("sd_hijack", "lowvram", "sd_unet", "progress", "sd_schedulers"):
            self._add(f"modules.{name}")
        self._add("modules.sd_vae", vae_dict={})

    def _neo(self) -> None:
        self._add("backend", __path__=[])
        self._add("backend.memory_management")

    def _reforge(self) -> None:
        self._add("ldm_patched", __path__=[])
        self._add("ldm_patched.modules", __path__=[])
        self._add("ldm_patched.modules.model_management")
        for name in ("sd_hijack", "lowvram", "sd_unet"):
            self._add(f"modules.{name}")
        self._add("modules.sd_vae", vae_dict={}, base_vae=None, loaded_vae_file=None)

    def _sdnext(self) -> None:
        for name in ("sd_hijack", "lowvram", "sd_unet", "modeldata"):
            self._add(f"modules.{name}")
        self._add("modules.sd_vae", vae_dict={}, base_vae=None, loaded_vae_file=None)
        self.state.begin = lambda title="", api=None: None  # type: ignore[method-assign]

    def _old_a1111(self) -> None:
        for name in ("sd_hijack", "lowvram", "sd_unet"):
            self._add(f"modules.{name}")

    def _toy(self) -> None:
        """Of toy_host.py."""
        self._add("modules.toy_memory", model=None, ident=None)
        self.xyz.AxisOption = lambda label, *_, **__: SimpleNamespace(label=label)

    def _hearer(self, name: str) -> Callable[[Callable[..., Any]], None]:
        def hear(callback: Callable[..., Any]) -> None:
            self.callbacks.setdefault(name, []).append(callback)

        return hear

    def start(self) -> dict[str, Any]:
        """Has our script executed, as the host executes it; returns its names."""
        from lib_merge.hosts.webui import KEPT_ON_RELOAD

        KEPT_ON_RELOAD.clear()
        try:
            return runpy.run_path(str(ROOT / "scripts/merge_desk.py"), run_name="merge_desk.py")
        finally:
            KEPT_ON_RELOAD.clear()
