"""What the always-on script does: a running job sees the merge that it should, or says that it does not.

A host may load its checkpoint over a merge in the middle of a job (refiner, hires checkpoint, a
setting). The merge is then swapped in again before the next batch. Where that fails the job is
stopped: the host swallows what a script raises, and would draw with other weights than it tells.
Where no merge has to do with a job, no error of ours stops or alters it.

A job may ask for other weights than those that are engaged: a checkpoint by its override settings (also
the X/Y/Z script's axis *Checkpoint name*), a refiner, a hires checkpoint, or a recipe that came out of a
picture's infotext. It gets them, and the engaged merge is back for the next job.
"""

from __future__ import annotations

import re
from typing import Any, cast

from lib_merge.desk.mixer import Mixer
from lib_merge.desk.request import Asked
from lib_merge.desk.studio import Studio
from lib_merge.desk.xyz import Axes
from lib_merge.errors import MergeError, StoppedError
from lib_merge.hosts.host import HostError, find
from lib_merge.hosts.webui import RECIPE, RECIPE_OPTION, WebUIHost
from lib_merge.live import MergeIdent

OTHER = "merge-"  # how the ids of merges begin, which are no hashes of files
MERGE_ID = re.compile(OTHER + "[0-9a-f]{8}")
LENT = "lent"  # under the mixer's rooms: the merge that the last job brought with it
JOB = "a job's begin"  # where errors are told of
LOADERS = ("refiner_checkpoint_info", "hr_checkpoint_info")  # what a job loads half way


class Watch:
    """One host's eye on its jobs; called by the host inside its jobs."""

    def __init__(self, mixer: Mixer, host: WebUIHost) -> None:
        self._mixer, self._host = mixer, host
        self.axes = Axes(mixer)

    # --- a job ---

    def before(self, p: Any) -> None:
        """Before a job and each of its batches, after the host has seen to its model. Never raises."""
        try:
            self._see_to(p)
            self._mixer.troubles.pop(JOB, None)
        except Exception as failure:  # the host would swallow it and draw
            if self._at_stake(p):
                self._stop(p, str(failure) or type(failure).__name__)
            else:
                self._mixer.trouble(JOB, failure)

    def before_second_pass(self, p: Any) -> None:
        """Before the second pass of the hires fix; a refiner in the first has had the host load its
        checkpoint over the merge, and that is what would draw on. Never raises.
        """
        merge = str(getattr(p, "sd_model_hash", None) or "")
        try:
            if getattr(p, "hr_checkpoint_info", None) or not merge.startswith(OTHER) or self._holds(merge):
                return
            self._see_to(p)
            if not self._holds(merge):
                raise HostError("the merge of the first pass could not be swapped in again")
            self._host.condition_again(p)
        except Exception as failure:
            self._stop(p, str(failure) or type(failure).__name__)

    def _holds(self, merge: str) -> bool:
        ident = self._host.ident()
        return ident is not None and ident.id == merge

    def _see_to(self, p: Any) -> None:
        if self.axes.wants(p):
            self.axes.bring(p, self._host.inside())
        elif checkpoint_of(p):
            self._leave_alone(p)
        elif not self._bring_its_own(p):
            self._bring_engaged(p)
        self._host.tidy()
        self._keep_apart(p)
        self._sign(p)

    def _at_stake(self, p: Any) -> bool:
        """Whether a merge has to do with this job."""
        if self._mixer.asked is not None or self.axes.wants(p):
            return True
        try:
            return self._host.ident() is not None
        except Exception as failure:  # then nothing of ours was ever swapped in
            self._mixer.trouble(JOB, failure)
            return False

    # --- with which weights ---

    def _leave_alone(self, p: Any) -> None:
        """A checkpoint of the job's own: the host does not load it where the merge lies over that one."""
        if self._mixer.is_live():
            self._mixer.restore_inside(self._host.inside())
        self.axes.moved = True
        loaded = self._host.loaded().checkpoint
        name = loaded.name if loaded else "the checkpoint"
        if self._mixer.asked is not None:
            _comment(p, f"this picture is {name}'s alone, by its own settings")
        if recipe_of_job(p):
            _comment(p, f"the recipe among its settings is not used, since they choose {name} as well")

    def _bring_its_own(self, p: Any) -> bool:
        """A recipe of the job's own; whether the model holds it. Where it cannot be had the job says so."""
        recipe = recipe_of_job(p)
        if not recipe:
            return False
        try:
            asked = self._read(recipe)
            self.axes.moved = True
            if not Studio(self._mixer, asked.files).holds(asked.recipe):
                self._mixer.rooms[LENT] = self._mixer.swap_inside(asked, self._host.inside()).ident
        except StoppedError:
            _comment(p, "stopped before the merge was in memory")
        except MergeError as failure:
            _comment(p, f"the recipe among this job's settings was not swapped in: {failure}")
            return False
        return True

    def _read(self, recipe: str) -> Asked:
        """From the text, or from the id of a merge in the history."""
        if not MERGE_ID.fullmatch(recipe):
            return self._mixer.read({"recipe": recipe})
        return self._mixer.locate(Studio(self._mixer).remembered(recipe))

    def _bring_engaged(self, p: Any) -> None:
        """The merge that is engaged, or the plain checkpoint, after whatever the job before has left."""
        live = self._mixer.is_live()
        if self._mixer.asked is None:
            if live:
                self._mixer.restore_inside(self._host.inside())
        elif not live or self._mixer.session.ident == cast("MergeIdent | None", self._mixer.rooms.get(LENT)):
            self._bring_back(p)

    def _bring_back(self, p: Any) -> None:
        loaded = self._host.loaded().checkpoint
        if loaded is not None and loaded.path != self._host.merged:
            self._mixer.asked = None
            return
        if not self._host.option("merge_desk_keep", True) and not self._mixer.is_live():
            self._mixer.asked = None
            return
        assert self._mixer.asked is not None
        try:
            self._mixer.apply_inside(self._mixer.asked, self._host.inside())
            self._mixer.rooms.pop(LENT, None)
        except StoppedError:
            _comment(p, "stopped before the merge was in memory")
        except MergeError as failure:
            self._stop(p, str(failure))

    def _keep_apart(self, p: Any) -> None:
        """What a job loads half way is the file, also where a merge lies over it now."""
        for name in LOADERS:
            if info := getattr(p, name, None):
                setattr(p, name, self._host.apart(info))

    def _sign(self, p: Any) -> None:
        """The infotext names what is in memory now; the host filled it in before we were asked."""
        told = getattr(p, "extra_generation_params", None)
        signed = RECIPE in (told or {}) or str(getattr(p, "sd_model_hash", None) or "").startswith(OTHER)
        if not signed and self._host.ident() is None:
            return  # it is as the host has written it
        p.sd_model_name, p.sd_model_hash = self._host.signature()
        p.extra_generation_params = told if told is not None else {}
        p.extra_generation_params.pop(RECIPE, None)
        p.extra_generation_params.update(self._host.infotext())

    def _stop(self, p: Any, why: str) -> None:
        """Nothing that fails on the way keeps the rest from being done."""
        self._mixer.asked = None
        for act in (self._host.interrupt, lambda: _comment(p, why), self._mixer.restore_inside):
            try:
                act()
            except Exception as failure:
                self._mixer.trouble(JOB, failure)

    # --- the page ---

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
        if loaded is None or not title or not self._mixer.is_live():
            return
        if find(self._host.checkpoints(), title).path == loaded.path:
            self._mixer.restore()

    def pasted(self, params: dict[str, Any]) -> None:
        """An infotext goes into the page's fields; see `recipe_from_infotext`."""
        recipe_from_infotext(params, self._host)


class Bystander:
    """What is left of Watch where nothing is swapped in: a job says that its own recipe is not used."""

    def __init__(self, mixer: Mixer, host: WebUIHost) -> None:
        self._mixer, self._host = mixer, host

    def before(self, p: Any) -> None:
        """Before a job; touches nothing of it."""
        if recipe_of_job(p):
            _comment(p, f"the recipe among this job's settings was not swapped in: {self._host.refusal}")

    def before_second_pass(self, p: Any) -> None:
        """Nothing."""

    def pasted(self, params: dict[str, Any]) -> None:
        """An infotext goes into the page's fields; see `recipe_from_infotext`."""
        recipe_from_infotext(params, self._host)


def recipe_from_infotext(params: dict[str, Any], host: WebUIHost) -> None:
    """A merge's id is no checkpoint to look for. The recipe beside it becomes an override setting by its own
    name (see RECIPE_OPTION); where a picture has none, the id takes its place.
    """
    merge = str(params.get("Model hash", ""))
    if not merge.startswith(OTHER):
        return
    params.pop("Model hash")
    if RECIPE not in host.option("infotext_skip_pasting", ()):
        params.setdefault(RECIPE, merge)


def checkpoint_of(p: Any) -> str:
    """The checkpoint that a job chooses for itself; the host has taken out what it does not know."""
    return _own_setting(p, "sd_model_checkpoint")


def recipe_of_job(p: Any) -> str:
    """The recipe, or a merge's id, that a job brings with it."""
    return _own_setting(p, RECIPE_OPTION)


def _own_setting(p: Any, key: str) -> str:
    settings = cast("dict[str, object]", getattr(p, "override_settings", None) or {})
    return str(settings.get(key) or "").strip()


def _comment(p: Any, text: str) -> None:
    """Under the picture; hosts that have no place for it have it in their log."""
    comment = getattr(p, "comment", None)
    if comment is not None:
        comment(f"Merge Desk: {text}")
