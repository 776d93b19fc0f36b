"""The search that a desk asks for: what is chosen, what of it is wrong, and what it would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lib_merge.errors import MergeError, PlanError, RecipeError
from lib_merge.grid import GridBase, GridCell, Speeds, read_speeds
from lib_merge.grid.axes.values import parse_axis_numbers
from lib_merge.grid.plan import drawing_cost, format_duration
from lib_merge.hosts.host import ListedFile
from lib_merge.picture import RANDOM_SEED, DrawSettings
from lib_merge.recipe import Recipe, print_recipe
from lib_merge.search.bound import BoundSpace, bind_space
from lib_merge.search.scorers.closeness import MODEL_NAMES
from lib_merge.search.scorers.plugins import all_scorers, check_scorer, make_scorer
from lib_merge.search.scorers.scorer import ScorerContext, ScorerKind, parse_score
from lib_merge.search.scorers.settings import SETTINGS_FILE, read_scorer_settings
from lib_merge.search.space import SPACE_HINT, parse_space
from lib_merge.search.spec import DEFAULT_BUDGET, Budget, StudySpec, View, parse_budget
from lib_merge.search.storage import need_optuna
from lib_merge.search.study import StartPoint
from lib_merge.service.grids import GridBackend
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest, Resolved
from lib_merge.service.searches import starting_points

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

REFERENCES_FOLDER = "references"  # under the data folder: pictures that a score compares with
SET_ON_THE_SERVER = ("FILE", "ADDRESS")  # what is in the brackets of such scorers
FIRST_SEED = 1  # where the desk's seed is random: a search draws with the same in every trial


@dataclass(frozen=True)
class SearchOptions:
    """What a search is to do, with the names of the command line's options.

    space         what is searched; docs/search.md has the syntax
    score         a sum of scorers, or two of them for two objectives
    budget        "50 trials", "10 minutes", or both
    prompt        the prompts of every trial; without any that of the picture's settings
    held_out      prompts that no trial is chosen by
    seeds         "1, 2" or "1-4"; "" for that of the picture's settings
    sampler       tpe, cma-es, gp or random
    sampler_seed  the same seed proposes the same trials
    penalty       subtracted from a score, times the mean square distance to the merge as it is
    prune         end a trial after so many pictures where it is clearly worse; 0 for never
    trial_limit   seconds that the pictures of a trial, or their score, may take
    start         presets that are tried first
    starred       whether starred merges of the history with the same files are tried first
    study         the name of the study; "" for a new one
    """

    space: str = ""
    score: tuple[str, ...] = ()
    budget: str = ""
    prompt: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    seeds: str = ""
    sampler: str = "tpe"
    sampler_seed: int = 0
    penalty: float = 0.0
    prune: int = 0
    trial_limit: float = 300.0
    start: tuple[str, ...] = ()
    starred: bool = False
    study: str = ""


def options_of_study(spec: StudySpec, budget: str, name: str) -> SearchOptions:
    """What was chosen for a study, for the fields of a page."""
    return SearchOptions(
        space=spec.space,
        score=spec.objectives,
        budget=budget,
        prompt=spec.prompts,
        held_out=spec.held_out,
        seeds=", ".join(map(str, spec.seeds)),
        sampler=spec.sampler,
        sampler_seed=spec.seed,
        penalty=spec.penalty,
        prune=spec.prune_after,
        trial_limit=spec.time_limit,
        study=name,
    )


@dataclass(frozen=True)
class SearchPlan:
    """A search, ready to be started.

    starts  the trials that are made before the sampler chooses
    speeds  measured last, for the estimate of the duration
    """

    name: str
    spec: StudySpec
    space: BoundSpace
    backend: GridBackend
    budget: Budget
    starts: tuple[StartPoint, ...]
    speeds: Speeds = field(default_factory=Speeds)

    @property
    def trial_seconds(self) -> float | None:
        """How long a trial takes about, by the speeds measured last; None where nothing was measured."""
        if self.speeds.draw is None:
            return None
        recipe = self.space.base.cell.recipe
        merged = self.backend.header(recipe.ingredients[0].file).path.stat().st_size
        merging = merged / self.speeds.merge if self.speeds.merge else 0.0
        return merging + self.speeds.draw * drawing_cost(self.spec.drawing) * len(self.spec.views)

    @property
    def seconds(self) -> float | None:
        """How long the search takes about; None where that is not known."""
        limit = None if self.budget.minutes is None else 60 * self.budget.minutes
        each_trial = self.trial_seconds
        if each_trial is None or self.budget.trials is None:
            return limit
        trials = each_trial * self.budget.trials
        return trials if limit is None else min(trials, limit)


def render_search_plan(plan: SearchPlan) -> str:
    """What a search would do, in a line."""
    dimensions, pictures = len(plan.space.dimensions), len(plan.spec.views)
    numbers = "1 number to find" if dimensions == 1 else f"{dimensions} numbers to find"
    drawn = "1 picture per trial" if pictures == 1 else f"{pictures} pictures per trial"
    time = "time not measured yet" if plan.seconds is None else f"about {format_duration(plan.seconds)}"
    return f"{numbers}, {drawn}, {plan.budget}: {time}"


class SearchPlanner:
    """Makes plans of searches over the models of one service."""

    def __init__(self, service: MergeService) -> None:
        self._service = service

    @property
    def references(self) -> Path:
        """The folder of the pictures that scores compare with."""
        return self._service.host.data_dir() / REFERENCES_FOLDER

    def plan(
        self,
        make_request: Callable[[], MergeRequest],
        options: SearchOptions,
        drawing: DrawSettings,
        *,
        name: str,
        is_starting: bool = False,
    ) -> SearchPlan:
        """The plan of a search; PlanError with all problems, before anything is kept.

        make_request  the merge that the search begins with
        is_starting   whether it is about to start: plug-ins are run and weights of scorers read then
        """
        problems = _Problems()
        problems.gather(need_optuna)
        problems.gather(self.check_live)
        budget = problems.gather(lambda: parse_budget(options.budget or DEFAULT_BUDGET))
        resolved = problems.gather(lambda: self._service.resolve(make_request()))
        spec = problems.gather(lambda: self._spec(options, drawing, resolved))
        bound: tuple[BoundSpace, GridBackend] | None = None
        if resolved is not None:
            bound = problems.gather(lambda: self._bound(options, drawing, resolved))
        starts: list[StartPoint] | None = None
        if bound is not None:
            space, _ = bound
            starts = problems.gather(lambda: self._starts(space, options))
        self._check_scores(options, spec, resolved, problems, is_starting)
        if problems.all or budget is None or spec is None or bound is None:
            raise PlanError(problems.all)
        speeds = read_speeds(self._service.host.data_dir())
        return SearchPlan(name, spec, *bound, budget, tuple(starts or ()), speeds)

    def check_live(self) -> None:
        """MergeError where the host cannot draw a merge that is in memory."""
        host = self._service.host
        if not host.capabilities().live:
            why = host.loaded().unavailable_reason
            hint = "the command line searches without a WebUI: merge-desk search"
            raise MergeError(f"the trials of a search cannot be drawn here: {why}", hint=hint)

    def _spec(
        self, options: SearchOptions, drawing: DrawSettings, resolved: Resolved[ListedFile] | None
    ) -> StudySpec:
        problems = _Problems()
        space = problems.gather(lambda: _space_text(options.space))
        seeds = problems.gather(lambda: _seeds(options.seeds, drawing))
        recipe = "" if resolved is None else print_recipe(self._service.with_known_hashes(resolved))
        spec = problems.gather(
            lambda: StudySpec(
                recipe=recipe,
                space=space or "",
                objectives=tuple(filter(None, map(str.strip, options.score))),
                drawing=drawing,
                prompts=options.prompt or (drawing.prompt,),
                seeds=seeds or (FIRST_SEED,),
                held_out=options.held_out,
                sampler=options.sampler,
                seed=options.sampler_seed,
                penalty=options.penalty,
                prune_after=options.prune,
                time_limit=options.trial_limit,
            )
        )
        if problems.all or spec is None:
            raise PlanError(problems.all)
        return spec

    def _bound(
        self, options: SearchOptions, drawing: DrawSettings, resolved: Resolved[ListedFile]
    ) -> tuple[BoundSpace, GridBackend] | None:
        backend = GridBackend(self._service, resolved.files)
        try:
            space = parse_space(options.space)
        except MergeError:  # the specification has said what is wrong with it
            return None
        return bind_space(space, GridBase(GridCell(resolved.recipe, drawing), backend)), backend

    def _starts(self, space: BoundSpace, options: SearchOptions) -> list[StartPoint]:
        entries = self._service.history.entries(starred=True) if options.starred else ()
        return starting_points(space, options.start, entries)

    # --- scores ---

    def scorers(self) -> Mapping[str, ScorerKind]:
        """Every scorer that there is here."""
        return all_scorers(self._service.host.data_dir())

    def missing(self, kind: ScorerKind) -> MergeError | None:
        """What a scorer lacks that the server's settings have to name; None where it can be used."""
        if kind.argument not in SET_ON_THE_SERVER:
            return None
        try:
            (kind.check or kind.make)("", self._context((), None))
        except MergeError as problem:
            return problem
        return None

    def _settings(self) -> Mapping[str, Mapping[str, str]]:
        return read_scorer_settings(self._service.host.data_dir())

    def _context(self, views: Sequence[View], recipe: Recipe | None) -> ScorerContext:
        def no_pictures(letter: str) -> Sequence[Image]:
            if recipe is not None and MODEL_NAMES.index(letter) >= len(recipe.ingredients):
                raise RecipeError(f"this merge has no {letter}", hint="closeness(A)")
            return ()

        return ScorerContext(tuple(views), self._settings(), self.references, no_pictures)

    def _check_scores(
        self,
        options: SearchOptions,
        spec: StudySpec | None,
        resolved: Resolved[ListedFile] | None,
        problems: _Problems,
        is_starting: bool,
    ) -> None:
        """What is wrong with the scorers, of each objective and for the held-out prompts too."""
        recipe = None if resolved is None else resolved.recipe
        contexts = [self._context(spec.views if spec else (), recipe)]
        if spec is not None and spec.held_out_views:
            contexts.append(self._context(spec.held_out_views, recipe))
        for text in filter(None, map(str.strip, options.score)):
            for context in contexts:
                problems.gather(partial(self._check_score, text, context, is_starting))

    def _check_score(self, text: str, context: ScorerContext, is_starting: bool) -> None:
        score, kinds = parse_score(text), self.scorers()
        for term in score.terms:
            _check_argument(term.argument, kinds.get(term.scorer))
        if is_starting:
            make_scorer(score, kinds, context)
        else:
            check_scorer(score, kinds, context)


def _check_argument(argument: str, kind: ScorerKind | None) -> None:
    """RecipeError for a file or an address: the owner of a server names these, and no page does."""
    if not argument or kind is None or argument in MODEL_NAMES:
        return
    if kind.argument in SET_ON_THE_SERVER:
        what = f"the files and addresses of scorers are set on the server, not on the page: '{argument}'"
        raise RecipeError(what, hint=f"{SETTINGS_FILE} in the data folder names them: docs/search.md")
    if Path(argument).name != argument or "\\" in argument or argument.startswith("."):
        what = f"'{argument}' is not a picture that was given to Merge Desk"
        raise RecipeError(what, hint="choose a picture, or A, B or C")


def _space_text(text: str) -> str:
    if not text.strip():
        raise RecipeError("it is not said yet what is searched", hint=SPACE_HINT)
    return str(parse_space(text))


def _seeds(text: str, drawing: DrawSettings) -> tuple[int, ...]:
    if not text.strip():
        return (FIRST_SEED if drawing.seed == RANDOM_SEED else drawing.seed,)
    return tuple(int(number) for number in parse_axis_numbers(text, whole=True, where="seeds"))


@dataclass
class _Problems:
    """Problems of a request, gathered so that all of them are said at once."""

    all: list[MergeError] = field(default_factory=list[MergeError])

    def gather(self, make: Callable[[], T]) -> T | None:
        """What this makes; None where it raises a problem, which is kept unless it was said before."""
        try:
            return make()
        except PlanError as error:
            new = list(error.problems)
        except MergeError as problem:
            new = [problem]
        said = {(problem.what, problem.where) for problem in self.all}
        self.all += [problem for problem in new if (problem.what, problem.where) not in said]
        return None
