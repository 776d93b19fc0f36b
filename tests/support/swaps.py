"""What the desk's buttons do with the model, in one call each."""

from __future__ import annotations

from collections.abc import Mapping

from lib_merge.live import SwapReport
from lib_merge.picture import DrawSettings, Picture
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest


def asked(wanted: MergeRequest | Mapping[str, object]) -> MergeRequest:
    """A request, or the one of a body of JSON."""
    return wanted if isinstance(wanted, MergeRequest) else MergeRequest.from_json(wanted)


def swap_in(service: MergeService, wanted: MergeRequest | Mapping[str, object]) -> SwapReport:
    """Swap in and engage what a body asks for."""
    merge = service.prepare(asked(wanted))
    with service.job("swapping blocks") as job:
        return job.apply(merge)


def restore(service: MergeService) -> SwapReport | None:
    """Bring the checkpoint back, and engage nothing."""
    with service.job("restoring") as job:
        return job.restore()


def draw(service: MergeService, settings: DrawSettings) -> Picture:
    """A picture with the model as it is."""
    with service.job("preview") as job:
        return job.draw(settings)
