"""The services of one host, which all pages and the HTTP API share: merges, grids, saves, reports,
sessions of other programs."""

from __future__ import annotations

from lib_merge.service.grid_jobs import Grids
from lib_merge.service.job_queue import JobQueue
from lib_merge.service.merging import MergeService
from lib_merge.service.render_sessions import RenderSessions
from lib_merge.service.reports import Reports
from lib_merge.service.saves import Saves


class Services:
    """The services that handlers and routes use; one object for each host, thread-safe."""

    def __init__(self, merging: MergeService) -> None:
        self.merging = merging
        self.queue = JobQueue()
        self.grids = Grids(merging, self.queue)
        self.saves = Saves(merging, self.queue)
        self.reports = Reports(merging)
        self.rendering = RenderSessions(merging)
