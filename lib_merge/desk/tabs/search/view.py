"""The requests and results of the tab *Search*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lib_merge.desk.common import Problem
from lib_merge.desk.tabs.mix.view import ParameterValue
from lib_merge.service.search_plans import SearchOptions


@dataclass(frozen=True)
class SearchInput:
    """The search to plan or to start.

    parameters  amounts of the faders, see FaderAmounts: the merge that it begins with
    options     what is chosen on the tab
    """

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict[str, ParameterValue])
    options: SearchOptions = field(default_factory=SearchOptions)


@dataclass(frozen=True)
class StudyName:
    """A study, "" for the one that is shown; and the budget that it goes on with, "" for that of before."""

    study: str = ""
    budget: str = ""


@dataclass(frozen=True)
class SearchSeen:
    """What the page has of a study: `first` is the first trial that may still change for it."""

    study: str = ""
    first: int = 0


@dataclass(frozen=True)
class TrialNumber:
    """A trial of the study that is shown, and which of its pictures."""

    number: int = 0
    picture: int = 0


@dataclass(frozen=True)
class ReferenceInput:
    """A picture that a score is to compare with, as a data URL, and its file's name."""

    picture: str = ""
    name: str = ""


@dataclass(frozen=True)
class ReferenceName:
    """The name that the picture has in a score."""

    name: str


@dataclass(frozen=True)
class ScorerView:
    """A scorer as the list offers it.

    argument  what is in its brackets, "" for nothing
    missing   what it lacks here, "" where it can be used
    """

    name: str
    help: str
    argument: str = ""
    missing: str = ""


@dataclass(frozen=True)
class DimensionView:
    """A number (or word) that a study searches.

    low, high  the ends of its range; None for words
    choices    the words, or numbers without an order
    slots      the blocks that it sets; none for what is no block weight
    """

    name: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrialView:
    """A trial as the page shows it.

    state      done, failed, pruned, running, waiting or given back
    values     what is maximized: the objectives less the penalty; empty unless it is done
    scores     the objectives
    held_out   the objectives on held-out prompts; empty where they were not drawn
    origin     where its values are from, "" for the sampler
    problem    why it failed
    same_as    the trial with the same values whose score it has, -1 for its own
    point      dimension -> value
    pictures   how many of its pictures are kept
    thumbnail  the first one, small, as a data URL; "" for none
    """

    number: int
    state: str
    values: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    held_out: tuple[float, ...] = ()
    origin: str = ""
    problem: str = ""
    seconds: float = 0.0
    same_as: int = -1
    point: Mapping[str, float | str] = field(default_factory=dict[str, float | str])
    pictures: int = 0
    thumbnail: str = ""


@dataclass(frozen=True)
class SearchUpdate:
    """The study that is shown, and its trials from the first one that the page may not have.

    study        its name, "" for none
    running      whether it runs
    ending       whether it was paused or stopped, and still finishes a picture
    waiting      whether it is paused
    message      its progress, or how it ended, in a sentence
    problem      why it has ended early
    options      what was chosen for it
    objectives   the scores, as text
    first        the number of the first of `trials`
    trials       in their order
    more         whether there are more trials, which are to be asked for
    best         the number of the best trial, -1 for none
    front        of two objectives: the trials that no other one beats in both
    importances  dimension -> share of the variance of good trials; empty while it is not known
    """

    study: str = ""
    running: bool = False
    ending: bool = False
    waiting: bool = False
    message: str = ""
    problem: Problem | None = None
    options: SearchOptions = field(default_factory=SearchOptions)
    objectives: tuple[str, ...] = ()
    dimensions: tuple[DimensionView, ...] = ()
    first: int = 0
    trials: tuple[TrialView, ...] = ()
    more: bool = False
    best: int = -1
    front: tuple[int, ...] = ()
    importances: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class SearchMenu:
    """What the tab offers.

    missing   what has to be installed first, None where a search can run
    scorers   every scorer that there is
    samplers  name and description
    studies   the names of the studies that there are
    chosen    what was chosen last, None for nothing yet
    update    the study that runs or ran last
    """

    missing: Problem | None
    scorers: tuple[ScorerView, ...]
    samplers: tuple[tuple[str, str], ...]
    studies: tuple[str, ...]
    chosen: SearchOptions | None
    update: SearchUpdate


@dataclass(frozen=True)
class SearchPlanned:
    """What a search would do, in a sentence; or what prevents it."""

    summary: str = ""
    problem: Problem | None = None


@dataclass(frozen=True)
class TrialPicture:
    """A picture of a trial as a data URL."""

    number: int
    picture: int
    url: str
