"""The handlers of the box *Save the merge*: a save goes into the queue, and its result is asked for later."""

from __future__ import annotations

from lib_merge.desk.protocol import Action, action
from lib_merge.desk.queue.view import QueueNumber, QueueState, queue_state
from lib_merge.desk.selection import merge_request
from lib_merge.desk.tabs.mix.view import SaveRequest, SaveResult, fact_sheet
from lib_merge.report.render.sheet import render_model_card
from lib_merge.service.saving import SavedMerge
from lib_merge.service.services import Services

SHOWN_FOLDERS = 2  # of the path of a saved file, the last ones


@action("mix.save", queued=False)
def save(service: Services, action: Action[SaveRequest]) -> QueueState:
    """Lets the merge be written to a file in the host's folder of checkpoints, in its turn."""
    order = action.data
    request = merge_request(service.merging, action.selection, order.parameters, order.save_options)
    service.saves.add(
        request, order.name, format=order.format, overwrite=order.overwrite, is_previewed=order.previewed
    )
    return queue_state(service)


@action("mix.saved", stopped="Stopped: no file was written.")
def saved(service: Services, action: Action[QueueNumber]) -> SaveResult:
    """The file that a save has written, or why it has written none."""
    job = service.saves.result(action.data.number)
    if job.failure is not None:
        raise job.failure
    assert job.saved is not None
    return _result(job.saved, previewed=job.is_previewed)


def _result(saved: SavedMerge, *, previewed: bool) -> SaveResult:
    sheet = fact_sheet(saved)
    cut = (("Clamped", saved.overflow.note()),) if saved.overflow else ()
    name, *facts = sheet.rows()
    folder = "/".join(saved.checkpoint.path.parent.parts[-SHOWN_FOLDERS:])  # never the server's whole path
    where = (("Folder", folder),) if folder else ()
    return SaveResult((name, *where, *facts, *cut), render_model_card(sheet), previewed)
