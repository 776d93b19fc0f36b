"""Searches for hidden block weights, by pictures: `python -m tests.bench.search [--score NAME] [--write]`.

For every seed five numbers are drawn: the amounts of pastel in five groups of ink's blocks. The target is
the picture of the merge with these. Each sampler has the same number of trials and knows nothing of the
numbers. Two scores, both 1 at the hidden numbers, and at most 1:

    closeness   how close the pixels are to the target's (docs/search.md, closeness)
    attributes  1 less the mean difference from the target's in shape, colour and style: how much of its
                outline the drawing shares with a circle, how much of its colour is red, and how far it is
                from ink to pastel (samples/check.py)

A picture is of 64 x 64 pixels in 4 steps, at which the samples draw blurred shapes: the bench is about
searching, not about beauty.

--write puts the table into docs/searched.json, from which docs/search.md has it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lib_merge.grid import GridBase, GridCell
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.picture import DrawSettings
from lib_merge.progress import NoProgress
from lib_merge.recipe import Ingredient, Recipe, Step, print_recipe
from lib_merge.search.bound import BoundSpace, bind_space
from lib_merge.search.run import Objectives, TrialRunner
from lib_merge.search.scorers.closeness import ClosenessScorer
from lib_merge.search.scorers.scorer import Scorer
from lib_merge.search.space import parse_space
from lib_merge.search.spec import Budget, StudySpec
from lib_merge.search.studies import create_study
from lib_merge.search.summary import best_row
from lib_merge.service.grids import GridBackend
from lib_merge.service.merging import MergeService
from samples.assemble import MODELS, assemble
from samples.check import Measured, measure

SEARCHED = Path(__file__).parents[2] / "docs" / "searched.json"
SPACE = (
    "IN00-IN05: tied 0..1; IN06-IN11: tied 0..1; M00: 0..1; OUT00-OUT05: tied 0..1; OUT06-OUT11: tied 0..1"
)
SAMPLERS = ("random", "tpe", "cma-es")
SHAPE, COLOUR = "circle", "red"
DRAWING = DrawSettings(f"a {COLOUR} {SHAPE}", steps=4, cfg=4.0, width=64, height=64, seed=1000)


@dataclass(frozen=True)
class AttributeScorer:
    """1 less the mean difference from the target in shape, colour and style, of every picture."""

    target: Measured

    def score(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> float:
        """The mean over the pictures."""
        return sum(map(self._score, images)) / len(images)

    def _score(self, image: Image.Image) -> float:
        seen, target = measure(image), self.target
        differences = (
            seen.shapes[SHAPE] - target.shapes[SHAPE],
            seen.colours[COLOUR] - target.colours[COLOUR],
            seen.pastel - target.pastel,
        )
        return 1 - sum(map(abs, differences)) / len(differences)


SCORES: Mapping[str, Callable[[Image.Image], Scorer]] = {  # each makes a scorer of the target
    "closeness": lambda target: ClosenessScorer((target,)),
    "attributes": lambda target: AttributeScorer(measure(target)),
}


class HiddenWeights:
    """The samples in memory, and the pictures of their merges."""

    def __init__(self, folder: Path) -> None:
        assemble()
        self.folder = folder
        host = StandaloneHost([MODELS], output=folder, data=folder)
        host.load(next(file for file in host.checkpoints() if file.name == "ink"))
        self.service = MergeService(host, threads=1)
        self.backend = GridBackend(self.service)
        step = Step("M", "weighted_sum", ("A", "B"), (("alpha", 0.5),))
        files = (Ingredient("A", "ink.safetensors"), Ingredient("B", "pastel.safetensors"))
        recipe = Recipe(files, (step,), "M")
        self.space: BoundSpace = bind_space(
            parse_space(SPACE), GridBase(GridCell(recipe, DRAWING), self.backend)
        )

    def hidden(self, seed: int) -> Mapping[str, float]:
        """The numbers that are searched for."""
        drawn = np.random.default_rng(seed).uniform(0.1, 0.9, len(self.space.dimensions))
        return {part.name: round(float(x), 2) for part, x in zip(self.space.dimensions, drawn, strict=True)}

    def best(self, score: str, sampler: str, seed: int, trials: int) -> float:
        """The score of the best of so many trials."""
        spec = StudySpec(
            recipe=print_recipe(self.space.base.cell.recipe),
            space=SPACE,
            objectives=(score,),
            drawing=DRAWING,
            prompts=(DRAWING.prompt,),
            seeds=(DRAWING.seed,),
            sampler=sampler,
            seed=seed,
        )
        study = create_study(str(self.folder / f"{score} {sampler} {seed}.db"), "bench", spec, self.space)
        with self.service.job("bench") as job:
            self.service.host.model()
            self.backend.merge(self.space.recipe(self.hidden(seed)), job.progress)
            target = self.backend.draw(DRAWING).image
            scorer = SCORES[score](target)
            TrialRunner(study, self.backend, Objectives((scorer,)), NoProgress()).run(Budget(trials))
        best = best_row(study.rows())
        assert best is not None
        return best.values[0]


def table_of(score: str, rows: list[dict[str, float]], trials: int) -> dict[str, object]:
    """The results of one score as docs/searched.json has them."""
    won = {
        sampler: sum(row[sampler] > row["random"] for row in rows)
        for sampler in SAMPLERS
        if sampler != "random"
    }
    mean = {sampler: round(sum(row[sampler] for row in rows) / len(rows), 6) for sampler in SAMPLERS}
    return {
        "trials": trials,
        "steps": DRAWING.steps,
        "rows": rows,
        "better_than_random": won,
        "mean": mean,
        "lowest": {sampler: min(row[sampler] for row in rows) for sampler in SAMPLERS},
    }


def write_table(score: str, table: Mapping[str, object]) -> None:
    """Replace the results of one score in docs/searched.json."""
    tables = json.loads(SEARCHED.read_text("utf-8"))
    tables[score] = table
    SEARCHED.write_text(json.dumps({"space": SPACE, **tables}, indent=2) + "\n", "utf-8")


def main() -> None:
    """Run all searches, print each, and write the table where that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--score", choices=tuple(SCORES), default="closeness")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # two threads that wait for each other are slower on a busy machine
    rows: list[dict[str, float]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        bench = HiddenWeights(Path(folder))
        for seed in range(options.seeds):
            row: dict[str, float] = {"seed": seed}
            for sampler in SAMPLERS:
                row[sampler] = round(bench.best(options.score, sampler, seed, options.trials), 6)
            rows.append(row)
            print(f"{time.monotonic() - began:.0f} s", json.dumps(row), flush=True)
    table = table_of(options.score, rows, options.trials)
    if options.write:
        write_table(options.score, table)
    print(json.dumps({key: value for key, value in table.items() if key != "rows"}))


if __name__ == "__main__":
    main()
