"""The always-on script: a running job uses the merge that it should, or says that it does not.

A host may load its checkpoint over a merge in the middle of a job (refiner, hires checkpoint, a
setting). The merge is then swapped in again before the next batch. Where that fails the job is
stopped: the host ignores exceptions of a script, and would draw with other weights than the infotext says.
A job without a merge is neither stopped nor changed by our errors.

A job may select other weights than the engaged ones: a checkpoint by its override settings (also the X/Y/Z
script's axis *Checkpoint name*), a refiner, a hires checkpoint, or the recipe of a picture's infotext. The
engaged merge is loaded again for the next job.
"""

from __future__ import annotations

import re
from typing import Any, cast

from lib_merge.desk.webui.xyz import MergeAxes, checkpoint_of
from lib_merge.errors import MergeError, StoppedError
from lib_merge.hosts.host import HostError, ListedFile, WebUIHost, find_file
from lib_merge.hosts.webui import INFOTEXT_KEY, RECIPE_OPTION
from lib_merge.recipe import recipe_from_text
from lib_merge.service.grids import GridBackend
from lib_merge.service.merging import MergeJob, MergeService
from lib_merge.service.request import Resolved

MERGE_ID_PREFIX = "merge-"  # how the ids of merges begin, which are no hashes of files
MERGE_ID = re.compile(MERGE_ID_PREFIX + "[0-9a-f]{8}")
JOB_START = "a job's begin"  # where an error happened, for the status


class JobGuard:
    """Makes the jobs of one host use the right weights; called by the host inside its jobs."""

    def __init__(self, service: MergeService, host: WebUIHost) -> None:
        self._service, self._host = service, host
        self.axes = MergeAxes(service)

    # --- a job ---

    def before(self, p: Any) -> None:
        """Before a job and each of its batches, after the host has loaded its checkpoint. Never raises."""
        try:
            self._prepare_model(p)
            self._service.failures.pop(JOB_START, None)
        except Exception as failure:  # the host would ignore it and generate
            if self._concerns_merge(p):
                self._stop(p, str(failure) or type(failure).__name__)
            else:
                self._service.report_failure(JOB_START, failure)

    def before_second_pass(self, p: Any) -> None:
        """Before the second pass of the hires fix: load the merge again where a refiner in the first pass has
        made the host load its checkpoint over it. Never raises.

        Forge loads none then, and goes on with the refiner's weights.
        """
        merge = str(getattr(p, "sd_model_hash", None) or "")
        try:
            if (
                getattr(p, "hr_checkpoint_info", None)
                or not merge.startswith(MERGE_ID_PREFIX)
                or self._holds(merge)
                or self._another_is_loaded()
            ):
                return
            self._prepare_model(p)
            if not self._holds(merge):
                raise HostError("the merge of the first pass could not be loaded again")
            self._host.recompute_conditioning(p)
        except Exception as failure:
            self._stop(p, str(failure) or type(failure).__name__)

    def _inside(self) -> MergeJob:
        """The host's running job, which calls this guard."""
        return self._service.current(self._host.current_progress())

    def _another_is_loaded(self) -> bool:
        loaded = self._host.loaded().checkpoint
        return loaded is not None and loaded.path != self._host.merged_checkpoint

    def _holds(self, merge: str) -> bool:
        ident = self._host.live_ident()
        return ident is not None and ident.id == merge

    def _prepare_model(self, p: Any) -> None:
        if self.axes.is_merge_cell(p):
            self.axes.apply_to_cell(p, self._host.current_progress())
        elif checkpoint_of(p):
            self._use_own_checkpoint(p)
        elif not self._use_own_recipe(p):
            self._use_engaged_merge(p)
        self._host.release_unused()
        self._host.separate_checkpoints(p)
        self._stamp_infotext(p)

    def _concerns_merge(self, p: Any) -> bool:
        """Whether this job uses a merge: engaged, of its own, or in memory."""
        if self._service.engaged is not None or self.axes.is_merge_cell(p):
            return True
        try:
            return self._host.live_ident() is not None
        except Exception as failure:  # then nothing of ours was ever swapped in
            self._service.report_failure(JOB_START, failure)
            return False

    # --- with which weights ---

    def _use_own_checkpoint(self, p: Any) -> None:
        """Unload the merge for a job that selects a checkpoint: the host does not reload the loaded one."""
        if self._service.is_live():
            self._inside().restore()
        loaded = self._host.loaded().checkpoint
        name = loaded.name if loaded else "the checkpoint"
        if self._service.engaged is not None:
            _comment(p, f"this picture is generated with {name} alone: its settings choose that checkpoint")
        if recipe_of_job(p):
            _comment(p, f"the recipe in its settings is not used, because they also choose {name}")

    def _use_own_recipe(self, p: Any) -> bool:
        """Load the recipe that the job carries; returns whether the model holds it, else comments the job."""
        recipe = recipe_of_job(p)
        if not recipe:
            return False
        try:
            resolved = self._read(recipe)
            if not GridBackend(self._service, resolved.files).holds(resolved.recipe):
                self._service.job_merge = self._inside().apply(self._service.prepare(resolved)).ident
        except StoppedError:
            _comment(p, "stopped before the merge was loaded")
        except MergeError as failure:
            _comment(p, f"the recipe in this job's settings was not applied: {failure}")
            return False
        return True

    def _read(self, recipe: str) -> Resolved[ListedFile]:
        """The recipe and files of a text, or of the merge of the history with this id."""
        if not MERGE_ID.fullmatch(recipe):
            return self._service.locate(recipe_from_text(recipe))
        return self._service.locate(GridBackend(self._service).from_history(recipe))

    def _use_engaged_merge(self, p: Any) -> None:
        """Load the engaged merge, or the checkpoint where none is engaged, if another is in memory."""
        live = self._service.is_live()
        if self._service.engaged is None:
            if live:
                self._inside().restore()
        elif not live or self._service.session.ident == self._service.job_merge:
            self._reload_engaged(p)

    def _reload_engaged(self, p: Any) -> None:
        if self._another_is_loaded():
            self._service.disengage()
            return
        if not self._host.option("merge_desk_keep", True) and not self._service.is_live():
            self._service.disengage()
            return
        assert self._service.engaged is not None
        try:
            self._inside().apply(self._service.prepare(self._service.engaged))
            self._service.job_merge = None
        except StoppedError:
            _comment(p, "stopped before the merge was loaded")
        except MergeError as failure:
            self._stop(p, str(failure))

    def _stamp_infotext(self, p: Any) -> None:
        """Write what is in memory now into the infotext, which the host has filled in before."""
        params = getattr(p, "extra_generation_params", None)
        signed = INFOTEXT_KEY in (params or {}) or str(getattr(p, "sd_model_hash", None) or "").startswith(
            MERGE_ID_PREFIX
        )
        if not signed and self._host.live_ident() is None:
            return  # it is as the host has written it
        p.sd_model_name, p.sd_model_hash = self._host.infotext_model()
        p.extra_generation_params = params if params is not None else {}
        p.extra_generation_params.pop(INFOTEXT_KEY, None)
        p.extra_generation_params.update(self._host.infotext_fields())

    def _stop(self, p: Any, why: str) -> None:
        """Disengage, interrupt the job, say why, restore the checkpoint; a failed step does not end this."""
        self._service.disengage()
        for act in (self._host.interrupt, lambda: _comment(p, why), self._service.current().restore):
            try:
                act()
            except Exception as failure:
                self._service.report_failure(JOB_START, failure)

    # --- the page ---

    def checkpoint_loaded(self) -> None:
        """After the user has selected a checkpoint: disengage the merge of another one."""
        if self._another_is_loaded() or self._host.loaded().next_checkpoint is not None:
            self._service.disengage()

    def checkpoint_chosen(self, title: str) -> None:
        """After the user has selected a checkpoint in the host's list. The host does nothing where it is
        loaded already; if a merge was loaded over it, its own weights are restored.
        """
        loaded = self._host.loaded().checkpoint
        if loaded is None or not title or not self._service.is_live():
            return
        if find_file(self._host.checkpoints(), title).path == loaded.path:
            self._service.disengage()
            with self._service.job("unloading the merge") as job:
                job.restore()

    def infotext_pasted(self, params: dict[str, Any]) -> None:
        """Before an infotext is pasted into the page's fields; see `recipe_from_infotext`."""
        recipe_from_infotext(params, self._host)


class InactiveJobGuard:
    """The guard of a host whose model holds no merges: it comments jobs whose recipe is not used."""

    def __init__(self, service: MergeService, host: WebUIHost) -> None:
        self._service, self._host = service, host

    def before(self, p: Any) -> None:
        """Before a job; touches nothing of it."""
        if recipe_of_job(p):
            _comment(p, f"the recipe in this job's settings was not applied: {self._host.unavailable_reason}")

    def before_second_pass(self, p: Any) -> None:
        """Do nothing: there is no merge to load again."""

    def checkpoint_chosen(self, title: str) -> None:
        """Do nothing: there is no merge to unload."""

    def infotext_pasted(self, params: dict[str, Any]) -> None:
        """Before an infotext is pasted into the page's fields; see `recipe_from_infotext`."""
        recipe_from_infotext(params, self._host)


def recipe_from_infotext(params: dict[str, Any], host: WebUIHost) -> None:
    """Remove the id of a merge from *Model hash*, since it is no checkpoint. The recipe in the infotext
    becomes an override setting (see RECIPE_OPTION); where the infotext has none, the id does.
    """
    merge = str(params.get("Model hash", ""))
    if not merge.startswith(MERGE_ID_PREFIX):
        return
    params.pop("Model hash")
    if INFOTEXT_KEY not in host.option("infotext_skip_pasting", ()):
        params.setdefault(INFOTEXT_KEY, merge)


def recipe_of_job(p: Any) -> str:
    """The recipe, or the id of a merge, in a job's override settings."""
    settings = cast("dict[str, object]", getattr(p, "override_settings", None) or {})
    return str(settings.get(RECIPE_OPTION) or "").strip()


def _comment(p: Any, text: str) -> None:
    """Show a text under the picture, where the host has comments."""
    comment = getattr(p, "comment", None)
    if comment is not None:
        comment(f"Merge Desk: {text}")
