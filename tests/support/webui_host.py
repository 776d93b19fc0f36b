"""A WebUI in memory, as far as its jobs and ours meet: plain tensors for a model, no pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lib_merge.hosts.host import ListedFile
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.hosts.webui import INFOTEXT_KEY
from lib_merge.live import LiveModel, MergeIdent
from lib_merge.progress import NoProgress
from tests.support.live_model import Memory


class Pinned(Memory):
    """A model that says which checkpoint the last merge was swapped into."""

    host: Any = None

    def commit(self, ident: MergeIdent | None, keys: Any) -> None:
        super().commit(ident, keys)
        self.host.named = ident
        if ident is not None:
            self.host.merged_checkpoint = self.host.loaded().checkpoint.path


class FakeWebUI(StandaloneHost):
    """What Watch asks of a WebUI, over plain tensors."""

    merged_checkpoint: Path | None = None
    unavailable_reason = ""
    named: MergeIdent | None = None
    memory: Pinned | None = None
    interrupted = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options = {"merge_desk_keep": True}

    def model(self) -> LiveModel:
        loaded = self.loaded().checkpoint
        assert loaded is not None
        if self.memory is None:
            self.memory = Pinned(loaded.path)
            self.memory.host = self
        return self.memory

    def load(self, checkpoint: ListedFile | None = None) -> None:
        super().load(checkpoint)
        self.memory, self.named = None, None

    def live_ident(self) -> MergeIdent | None:
        return self.named

    def infotext_model(self) -> tuple[str, str | None]:
        loaded = self.loaded().checkpoint
        return (self.named.name, self.named.id) if self.named else (loaded.name if loaded else "", None)

    def infotext_fields(self) -> Mapping[str, str]:
        return {INFOTEXT_KEY: self.named.recipe} if self.named else {}

    def option(self, key: str, default: Any) -> Any:
        return self.options.get(key, default)

    def current_progress(self) -> NoProgress:
        return NoProgress()

    def interrupt(self) -> None:
        self.interrupted += 1

    def on_checkpoint_option(self, then: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def checkpoint_listener(self, then: Callable[[str], None]) -> Callable[[Any, str], None]:
        return lambda component, name: None

    def separate_checkpoints(self, p: Any) -> None:
        for name in ("refiner_checkpoint_info", "hr_checkpoint_info"):
            if info := getattr(p, name, None):
                setattr(p, name, ("apart", info))

    def recompute_conditioning(self, p: Any) -> None:
        p.conditioned += 1
