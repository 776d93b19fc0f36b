"""Searches in no time: a renderer whose pictures are the amounts of the blocks, and scores of these.

Each picture is a row of grey pixels, one for each dimension of the space: as bright as the amount there. So
a score of pictures is a known function of the point, rounded to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lib_merge.live import SwapReport
from lib_merge.picture import DrawSettings, Picture
from lib_merge.progress import NoProgress, Progress
from lib_merge.recipe import Recipe, print_recipe
from lib_merge.search.bound import BoundSpace, bind_space
from lib_merge.search.run import Objectives, SearchRun, TrialResult, TrialRunner
from lib_merge.search.scorers.plugins import FunctionScorer
from lib_merge.search.space import parse_space
from lib_merge.search.spec import Budget, StudySpec
from lib_merge.search.studies import create_study, load_study
from lib_merge.search.study import SearchStudy
from tests.support.grid_host import Bench

SPACE = "IN00: 0..1; M00: 0..1; OUT00: 0..1 step 0.05"
HIDDEN = (0.2, 0.7, 0.4)  # the optimum of `near_hidden` for SPACE
Score = Callable[[Sequence[Image.Image], Sequence[str]], float]


class RowRenderer:
    """See above; counts what it does, and draws what `draws` says otherwise."""

    def __init__(self, space: BoundSpace) -> None:
        self.space, self.recipe = space, None
        self.merged, self.drawn = 0, list[DrawSettings]()
        self.draws: Callable[[DrawSettings], None] = lambda settings: None

    def holds(self, recipe: Recipe) -> bool:
        return recipe == self.recipe

    def merge(self, recipe: Recipe, progress: Progress) -> SwapReport:
        self.recipe, self.merged = recipe, self.merged + 1
        return SwapReport(ident=None, slots=(), keys=0, nbytes=0, seconds=0.0)

    def draw(self, settings: DrawSettings) -> Picture:
        self.drawn.append(settings)
        self.draws(settings)
        assert self.recipe is not None
        point = self.space.point_of(self.recipe)
        row = [round(255 * float(point[part.name])) for part in self.space.dimensions]
        return Picture(Image.fromarray(np.array([row], dtype=np.uint8)), print_recipe(self.recipe))


def amounts_in(image: Image.Image) -> list[float]:
    """The amounts that a picture shows."""
    return [value / 255 for value in np.asarray(image.convert("L")).ravel().tolist()]


def near_hidden(images: Sequence[Image.Image], prompts: Sequence[str]) -> float:
    """Up to 0, which is at HIDDEN."""
    return -sum(
        (amount - target) ** 2
        for image in images
        for amount, target in zip(amounts_in(image), HIDDEN, strict=True)
    ) / len(images)


class SearchBench:
    """A study over the tiny models of tests/lib_merge/conftest.py."""

    def __init__(self, bench: Bench, address: str, space: str = SPACE) -> None:
        self.bench, self.address = bench, address
        self.space = bind_space(parse_space(space), bench.base(bench.recipe(alpha=0.5)))
        self.renderer = RowRenderer(self.space)

    def spec(self, **fields: object) -> StudySpec:
        """A specification with these fields."""
        drawing = DrawSettings(steps=2, width=8, height=8)
        values: dict[str, object] = {"objectives": ("near_hidden",), "drawing": drawing, **fields}
        recipe = print_recipe(self.space.base.cell.recipe)
        return StudySpec(recipe=recipe, space=str(self.space.space), **values)  # type: ignore[arg-type]

    def study(self, name: str = "study", **fields: object) -> SearchStudy:
        """A new study."""
        return create_study(self.address, name, self.spec(**fields), self.space)

    def again(self, name: str = "study") -> SearchStudy:
        """The study as another process finds it."""
        return load_study(self.address, name, self.space)

    def run(
        self,
        study: SearchStudy,
        trials: int,
        score: Score = near_hidden,
        *,
        on_trial: Callable[[TrialResult], None] = lambda result: None,
        **options: object,
    ) -> SearchRun:
        """Trials until there are so many."""
        scorers = tuple(FunctionScorer(score) for _ in study.spec.objectives)
        objectives = Objectives(scorers, scorers if study.spec.held_out else ())
        runner = TrialRunner(
            study,
            self.renderer,
            objectives,
            options.pop("progress", NoProgress()),  # type: ignore[arg-type]
            on_trial=on_trial,
            **options,  # type: ignore[arg-type]
        )
        return runner.run(Budget(trials=trials))


def points(study: SearchStudy) -> list[Mapping[str, float | str]]:
    """The points of all trials, by number."""
    return [row.point for row in study.rows()]


def sqlite(folder: Path) -> str:
    """The address of a SQLite file there."""
    return str(folder / "search.db")
