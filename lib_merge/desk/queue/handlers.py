"""The handlers of the queue: what waits, what is being saved, what has been saved."""

from __future__ import annotations

from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.desk.queue.view import QueueNumber, QueueState, queue_state
from lib_merge.service.services import Services


@action("queue.poll", queued=False, status=False)
def poll(service: Services, action: Action[EmptyRequest]) -> QueueState:
    """The queue now; does not touch the model."""
    return queue_state(service)


@action("queue.remove", queued=False, status=False)
def remove(service: Services, action: Action[QueueNumber]) -> QueueState:
    """Takes a waiting job out of the queue."""
    service.queue.remove(action.data.number)
    return queue_state(service)


@action("queue.restore", queued=False, status=False)
def restore(service: Services, action: Action[QueueNumber]) -> QueueState:
    """Puts a removed job back in its place."""
    service.queue.restore(action.data.number)
    return queue_state(service)


@action("queue.next", queued=False, status=False)
def next_(service: Services, action: Action[EmptyRequest]) -> QueueState:
    """Starts the first job of the queue, after Stop."""
    service.queue.start_next()
    return queue_state(service)


@action("queue.stop", queued=False, status=False)
def stop(service: Services, action: Action[QueueNumber]) -> QueueState:
    """Stops a save that is being written."""
    service.saves.stop(action.data.number)
    return queue_state(service)


@action("queue.dismiss", queued=False, status=False)
def dismiss(service: Services, action: Action[QueueNumber]) -> QueueState:
    """Closes the result of a save."""
    service.saves.dismiss(action.data.number)
    return queue_state(service)
