"""What the always-on script does: a running job sees the engaged merge, or says that it does not.

A host may load its checkpoint over a merge in the middle of a job (refiner, hires checkpoint, a
setting). The merge is then swapped in again before the next batch. Where that fails the job is
stopped: the host swallows what a script raises, and would draw with other weights than it tells.
"""

from __future__ import annotations

from typing import Any

from lib_merge.desk.mixer import Mixer
from lib_merge.desk.xyz import Axes
from lib_merge.errors import MergeError, StoppedError
from lib_merge.hosts.host import find
from lib_merge.hosts.webui import RECIPE, WebUIHost

OTHER = "merge-"  # how the ids of merges begin, which are no hashes of files


class Watch:
    """One host's eye on its jobs; called by the host inside its jobs."""

    def __init__(self, mixer: Mixer, host: WebUIHost) -> None:
        self._mixer, self._host = mixer, host
        self.axes = Axes(mixer)

    def before(self, p: Any) -> None:
        """Before a job and each of its batches, after the host has seen to its model. Never raises."""
        try:
            if self.axes.wants(p):
                self.axes.bring(p, self._host.inside())
            elif self._mixer.asked is not None and not self._mixer.is_live():
                self._bring_back(p)
            self._host.tidy()
            self._sign(p)
        except Exception as failure:  # the host would swallow it and draw
            self._stop(p, str(failure) or type(failure).__name__)

    def picked(self) -> None:
        """A person has chosen a checkpoint: what is not the engaged merge's ends it."""
        loaded = self._host.loaded().checkpoint
        if loaded is not None and loaded.path != self._host.merged:
            self._mixer.asked = None

    def chosen(self, title: str) -> None:
        """A person has chosen in the host's list of checkpoints. The host does nothing where that is
        the one that it holds already, though a merge may lie over it: then its own weights come back.
        """
        loaded = self._host.loaded().checkpoint
        if loaded is None or not self._mixer.is_live():
            return
        if find(self._host.checkpoints(), title).path == loaded.path:
            self._mixer.restore()

    def pasted(self, params: dict[str, Any]) -> None:
        """An infotext goes into the page's fields: a merge's id is no checkpoint to look for."""
        if str(params.get("Model hash", "")).startswith(OTHER):
            params.pop("Model hash")

    def _bring_back(self, p: Any) -> None:
        loaded = self._host.loaded()
        if loaded.checkpoint is not None and loaded.checkpoint.path != self._host.merged:
            if p.override_settings.get("sd_model_checkpoint"):
                p.comment(
                    f"Merge Desk: this picture is {loaded.checkpoint.name}'s alone, by its own settings"
                )
            else:
                self._mixer.asked = None
            return
        if not self._host.option("merge_desk_keep", True):
            self._mixer.asked = None
            return
        assert self._mixer.asked is not None
        try:
            self._mixer.apply_inside(self._mixer.asked, self._host.inside())
        except StoppedError:
            p.comment("Merge Desk: stopped before the merge was in memory")
        except MergeError as failure:
            self._stop(p, str(failure))

    def _sign(self, p: Any) -> None:
        """The infotext names what is in memory now; the host filled it in before we were asked."""
        p.sd_model_name, p.sd_model_hash = self._host.signature()
        p.extra_generation_params.pop(RECIPE, None)
        p.extra_generation_params.update(self._host.infotext())

    def _stop(self, p: Any, why: str) -> None:
        self._mixer.asked = None
        self._host.interrupt()
        p.comment(f"Merge Desk: {why}")
        self._mixer.restore_inside()
