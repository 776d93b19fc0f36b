"""An example of a second WebUI that merges are loaded into: all that it needs is in this file."""

from __future__ import annotations

from typing import Any

from lib_merge.hosts.detect import has_module
from lib_merge.hosts.host import ListedFile, Loaded
from lib_merge.hosts.webui import FilesOnlyWebUI
from lib_merge.hosts.webui_modules import host_module
from lib_merge.live import LiveModel, MergeIdent
from tests.support.live_model import Memory


class ToyModel(Memory):
    """Plain tensors, and the name of what they hold in the WebUI's own notes."""

    def commit(self, ident: MergeIdent | None, keys: Any) -> None:
        super().commit(ident, keys)
        notes = host_module("toy_memory")
        notes.ident = ident
        if ident is not None:
            notes.host.merged_checkpoint = notes.host.loaded().checkpoint.path


class ToyHost(FilesOnlyWebUI):
    """Its model is an attribute of `modules.toy_memory`."""

    def __init__(self) -> None:
        super().__init__("toy", "Toy WebUI", unavailable_reason="")

    @classmethod
    def detect(cls) -> bool:
        return has_module("modules.toy_memory")

    def loaded(self) -> Loaded:
        return Loaded(self.checkpoints()[0])

    def ensure_loaded(self) -> None:
        if host_module("toy_memory").model is None:
            self.load()

    def load(self, checkpoint: ListedFile | None = None) -> None:
        notes, file = host_module("toy_memory"), checkpoint or self.checkpoints()[0]
        notes.model, notes.ident, notes.host = ToyModel(file.path), None, self

    def model(self) -> LiveModel:
        self.ensure_loaded()
        return host_module("toy_memory").model

    def live_ident(self) -> MergeIdent | None:
        return host_module("toy_memory").ident

    def infotext_model(self) -> tuple[str, str | None]:
        ident, loaded = self.live_ident(), self.loaded().checkpoint
        return (ident.name, ident.id) if ident else (loaded.name if loaded else "", None)
