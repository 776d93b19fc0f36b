"""The services of one host, which all pages and the HTTP API share."""

from __future__ import annotations

from collections.abc import Sequence

from lib_merge.service.grid_jobs import Grids
from lib_merge.service.job_queue import Job, JobQueue
from lib_merge.service.kept_jobs import KeptGrid, KeptJob, KeptSave, keep_jobs, read_kept_jobs
from lib_merge.service.merging import MergeService
from lib_merge.service.render_sessions import RenderSessions
from lib_merge.service.reports import Reports
from lib_merge.service.saves import Saves
from lib_merge.service.search_jobs import Searches


class Services:
    """The services that handlers and routes use; one object for each host, thread-safe.

    Jobs that waited when the server before it ended wait again, until the user begins the first of them.
    """

    def __init__(self, merging: MergeService) -> None:
        self.merging = merging
        self.queue = JobQueue(self._keep)
        self.grids = Grids(merging, self.queue)
        self.searches = Searches(merging, self.queue)
        self.saves = Saves(merging, self.queue)
        self.reports = Reports(merging)
        self.rendering = RenderSessions(merging)
        self.queue.hold(list(map(self._job_of, read_kept_jobs(merging.host.data_dir()))))

    def _job_of(self, kept: KeptJob) -> Job:
        if isinstance(kept, KeptSave):
            return self.saves.job_of(kept)
        return self.grids.order_of(kept) if isinstance(kept, KeptGrid) else self.searches.order_of(kept)

    def _keep(self, jobs: Sequence[KeptJob]) -> None:
        keep_jobs(self.merging.host.data_dir(), jobs)
