"""The handlers of the tab *Search* for your eye as the score: the pair to compare, and clicks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lib_merge.desk.common import data_url
from lib_merge.desk.protocol import Action, action
from lib_merge.errors import RecipeError
from lib_merge.search.eye import EyeStudy, is_eye
from lib_merge.search.preference import Answer
from lib_merge.service.eye_searches import EyeLook, EyeSearch
from lib_merge.service.search_jobs import OpenStudy
from lib_merge.service.services import Services


@dataclass(frozen=True)
class EyeSeen:
    """The trials whose pictures the page has."""

    pictures: tuple[int, ...] = ()


@dataclass(frozen=True)
class EyeClick:
    """A click on a pair.

    left, right  the numbers of its trials
    answer       left, right, neither or both bad
    clicks       how many clicks the page knew of: one that was made twice is ignored
    pictures     the trials whose pictures the page has
    """

    left: int
    right: int
    answer: Answer
    clicks: int
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True)
class EyePictures:
    """The pictures of a trial as data URLs."""

    number: int
    urls: tuple[str, ...]


@dataclass(frozen=True)
class EyeView:
    """What is compared, and what the clicks say so far.

    goal         after how many clicks the search ends, 0 for no end
    drawn        how many trials have pictures
    left, right  the trials to compare; -1 while they are being drawn
    ahead        how many trials are drawn that were not shown yet
    best         the trial that is liked best, -1 for none
    chance       how probable it is that none of the others is better
    trials       pictures that the page does not have
    """

    running: bool = False
    clicks: int = 0
    goal: int = 0
    drawn: int = 0
    left: int = -1
    right: int = -1
    ahead: int = 0
    best: int = -1
    chance: float = 0.0
    trials: tuple[EyePictures, ...] = ()


@action("search.eye", queued=False, status=False)
def eye(service: Services, action: Action[EyeSeen]) -> EyeView:
    """The pair to compare."""
    return _view(service, action.data.pictures)


@action("search.eye_click", queued=False, status=False)
def eye_click(service: Services, action: Action[EyeClick]) -> EyeView:
    """Keeps which of two pictures is better, and brings the next pair."""
    data = action.data
    _running(service).answer(data.left, data.right, data.answer, data.clicks)
    return _view(service, data.pictures)


@action("search.eye_back", queued=False, status=False)
def eye_back(service: Services, action: Action[EyeSeen]) -> EyeView:
    """Takes the last click back, and brings its pair again."""
    _running(service).take_back()
    return _view(service, action.data.pictures)


def _running(service: Services) -> EyeSearch:
    job = service.searches.job
    if not isinstance(job, EyeSearch) or not job.running:
        raise RecipeError("no search by eye is running", hint="Go on continues it")
    return job


def _view(service: Services, there: Collection[int]) -> EyeView:
    shown, job = service.searches.shown(), service.searches.job
    if shown is None or not is_eye(shown.study.spec):
        return EyeView()
    own = job if isinstance(job, EyeSearch) and job.study is shown.study else None
    state = own.look() if own is not None else _ended(shown)
    left, right = state.pair or (-1, -1)
    wanted = dict.fromkeys((left, right, *state.ahead, state.best))
    return EyeView(
        running=own is not None and own.running,
        clicks=state.clicks,
        goal=state.goal or 0,
        drawn=state.drawn,
        left=left,
        right=right,
        ahead=len(state.ahead),
        best=state.best,
        chance=state.chance,
        trials=tuple(
            _pictures(shown, number)
            for number in wanted
            if number not in there and shown.pictures.has_all(number, len(shown.study.spec.views))
        ),
    )


def _ended(shown: OpenStudy) -> EyeLook:
    """What the clicks of an earlier search say."""
    eye = EyeStudy(shown.study)
    likings = eye.likings()
    return EyeLook(len(eye.clicks()), None, len(likings), None, (), *(eye.best() or (-1, 0.0)))


def _pictures(shown: OpenStudy, number: int) -> EyePictures:
    files = (shown.pictures.read(number, index) for index in range(shown.pictures.count(number)))
    return EyePictures(number, tuple(data_url(raw, "image/webp") for raw in files if raw is not None))
