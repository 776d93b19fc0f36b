"""What a study searches, as a value: stored with its trials, so that every worker does the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from lib_merge.errors import MergeError, PlanError, RecipeError, did_you_mean
from lib_merge.json_data import expect_list, expect_number, expect_object, expect_text, expect_texts
from lib_merge.limits import MAX_PICTURE_SEED, MAX_SEED
from lib_merge.picture import RANDOM_SEED, DrawSettings, read_settings

SPEC_FORMAT = "merge-desk study "
SPEC_VERSION = 1
MOST_PICTURES = 1000  # of one trial
MOST_OBJECTIVES = 2
DEFAULT_BUDGET = "50 trials"
EYE_SCORE = "eye"  # the user's own
EYE_TERM = re.compile(rf"(^|[\s+*-]){EYE_SCORE}(?=[\s+-]|$)")
BUDGET_PART = re.compile(r"(?P<number>\d{1,9}(?:\.\d+)?)\s*(?P<unit>(?:trials?|minutes?|min)?)")
BUDGET_SEPARATOR = re.compile(r"\s*,\s*|\s+or\s+")
SAMPLER_TITLES: Mapping[str, str] = {
    "tpe": "tree-structured Parzen estimator: the usual choice, up to some hundred trials",
    "cma-es": "covariance matrix adaptation: numbers only, a hundred trials and more",
    "gp": "Gaussian process: few trials of few dimensions",
    "random": "independent random points, to compare with",
}
# fields whose option of the command line has another name; those with a blank have none
SPEC_OPTIONS: Mapping[str, str] = {
    "recipe": "the merge",
    "objectives": "score",
    "prompts": "prompt",
    "seed": "sampler-seed",
    "start": "the start of the penalty",
    "prune_after": "prune",
    "time_limit": "trial-limit",
}
DRAWING_OPTIONS: Mapping[str, str] = {
    "sampler": "the sampler of the pictures",
    "scheduler": "the scheduler of the pictures",
    "cfg": "guidance",
    "styles": "the styles",
}


@dataclass(frozen=True)
class View:
    """One picture of every trial."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class Budget:
    """When a search ends: after so many trials of the study, or minutes of this run; None for no end."""

    trials: int | None = None
    minutes: float | None = None

    def __str__(self) -> str:
        trials = "" if self.trials is None else f"{self.trials} trials"
        minutes = "" if self.minutes is None else f"{self.minutes:g} minutes"
        return " or ".join(filter(None, (trials, minutes))) or "no end"


def parse_budget(text: str) -> Budget:
    """The budget of a text: `50`, `50 trials`, `10 minutes`, `50 trials or 10 minutes`."""
    trials: int | None = None
    minutes: float | None = None
    for part in BUDGET_SEPARATOR.split(text.strip()):
        match = BUDGET_PART.fullmatch(part)
        if match is None or float(match["number"]) <= 0:
            raise RecipeError(f"'{text}' is no budget", hint="'50 trials', '10 minutes', or both")
        is_minutes = match["unit"].startswith("m")
        if (minutes if is_minutes else trials) is not None:
            raise RecipeError(f"'{text}' is two budgets", hint="'50 trials', '10 minutes', or both")
        if is_minutes:
            minutes = float(match["number"])
        elif float(match["number"]).is_integer():
            trials = int(float(match["number"]))
        else:
            raise RecipeError(f"'{text}' is no number of trials", hint="'50 trials'")
    return Budget(trials, minutes)


@dataclass(frozen=True)
class StudySpec:
    """A study, without its budget.

    recipe       the recipe that the space changes, canonical text
    space        see `space.py`
    objectives   what is maximized: the text of a sum of scorers, or two of them for a Pareto front
    drawing      size, steps, ... of all pictures; its prompt and seed are those of the views
    prompts, seeds  every trial draws each prompt with each seed
    held_out     prompts that no trial is chosen by: what improves the best is scored on them too
    sampler      one of SAMPLER_TITLES
    seed         of the sampler: the same seed proposes the same trials
    penalty      what is subtracted from a score for the distance to `start`, times its square
    start        the recipe that the distance is measured from; "" for `recipe`
    prune_after  pictures after which a trial that is clearly worse ends; 0 for never
    time_limit   seconds that the pictures of a trial, or their score, may take
    """

    recipe: str
    space: str
    objectives: tuple[str, ...]
    drawing: DrawSettings = field(default_factory=DrawSettings)
    prompts: tuple[str, ...] = ("",)
    seeds: tuple[int, ...] = (1,)
    held_out: tuple[str, ...] = ()
    sampler: str = "tpe"
    seed: int = 0
    penalty: float = 0.0
    start: str = ""
    prune_after: int = 0
    time_limit: float = 300.0

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise PlanError(problems)

    @property
    def views(self) -> tuple[View, ...]:
        """The pictures of every trial, in the order in which they are drawn: each seed with all prompts."""
        return tuple(View(prompt, seed) for seed in self.seeds for prompt in self.prompts)

    @property
    def held_out_views(self) -> tuple[View, ...]:
        """The pictures by which no trial is chosen."""
        return tuple(View(prompt, seed) for seed in self.seeds for prompt in self.held_out)

    def settings(self, view: View) -> DrawSettings:
        """The settings of one picture."""
        return replace(self.drawing, prompt=view.prompt, seed=view.seed)

    def _problems(self) -> Sequence[MergeError]:
        problems: list[MergeError] = []

        def refuse(wrong: bool, what: str, hint: str = "") -> None:
            if wrong:
                problems.append(RecipeError(what, hint=hint))

        names = ", ".join(SAMPLER_TITLES)
        refuse(
            self.sampler not in SAMPLER_TITLES,
            f"there is no sampler '{self.sampler}'",
            did_you_mean(self.sampler, SAMPLER_TITLES) or names,
        )
        refuse(not self.objectives, "a search needs a score", "such as sharpness")
        refuse(
            len(self.objectives) > MOST_OBJECTIVES, "a search has two objectives at most", "a sum of scorers"
        )
        by_eye = any(EYE_TERM.search(text) for text in self.objectives)
        refuse(
            by_eye and self.objectives != (EYE_SCORE,),
            "your eye is a score of its own",
            "'eye', and no other",
        )
        refuse(by_eye and self.prune_after > 0, "your eye compares whole trials", "no pruning")
        refuse(by_eye and bool(self.held_out), "your eye sees every picture", "no held-out prompts")
        several = len(self.objectives) > 1
        refuse(several and self.sampler == "cma-es", "cma-es searches for one objective", "tpe, or one sum")
        refuse(several and self.prune_after > 0, "trials of two objectives are not pruned", "prune after 0")
        refuse(not self.prompts or not self.seeds, "a trial needs a prompt and a seed", "a cat; 1, 2")
        refuse(
            len(self.views) > MOST_PICTURES, f"{len(self.views)} pictures a trial are too many", "fewer seeds"
        )
        refuse(RANDOM_SEED in self.seeds, "the seeds are the same in every trial", "numbers of at least 0")
        beyond = any(not RANDOM_SEED <= seed <= MAX_PICTURE_SEED for seed in self.seeds)
        refuse(beyond, "a seed of the pictures is out of range", f"0 to {MAX_PICTURE_SEED}")
        refuse(
            not 0 <= self.seed <= MAX_SEED, f"the sampler's seed cannot be {self.seed}", f"0 to {MAX_SEED}"
        )
        refuse(not 0 <= self.penalty < float("inf"), f"the penalty cannot be {self.penalty:g}", "0 or more")
        refuse(not self.time_limit > 0, "the time limit of a trial is above 0 seconds", "such as 300")
        wrong = self.prune_after < 0 or (self.prune_after and self.prune_after >= len(self.views))
        hint = f"1 to {len(self.views) - 1}" if len(self.views) > 1 else "more prompts or seeds"
        refuse(
            bool(wrong),
            f"trials of {len(self.views)} pictures cannot be pruned after {self.prune_after}",
            hint,
        )
        return problems


def spec_to_dict(spec: StudySpec) -> dict[str, Any]:
    """The specification as a dictionary for JSON."""
    return {"format": f"{SPEC_FORMAT}{SPEC_VERSION}", **asdict(spec)}


def spec_from_dict(data: object) -> StudySpec:
    """The specification that `spec_to_dict` has written; ValueError or MergeError for anything else."""
    value = expect_object(data)
    version = expect_text(value.get("format")).removeprefix(SPEC_FORMAT)
    if not version.isdigit():
        raise ValueError("it is no study of Merge Desk")
    if int(version) > SPEC_VERSION:
        raise ValueError("a newer Merge Desk has written it")
    return StudySpec(
        recipe=expect_text(value["recipe"]),
        space=expect_text(value["space"]),
        objectives=expect_texts(value["objectives"]),
        drawing=read_settings(expect_object(value["drawing"]), DrawSettings()),
        prompts=expect_texts(value["prompts"]),
        seeds=tuple(int(expect_number(seed)) for seed in expect_list(value["seeds"])),
        held_out=expect_texts(value["held_out"]),
        sampler=expect_text(value["sampler"]),
        seed=int(expect_number(value["seed"])),
        penalty=expect_number(value["penalty"]),
        start=expect_text(value["start"]),
        prune_after=int(expect_number(value["prune_after"])),
        time_limit=expect_number(value["time_limit"]),
    )


def spec_differences(old: StudySpec, new: StudySpec) -> tuple[str, ...]:
    """What differs, each as the command line's option for it."""
    drawing = [_option(name, DRAWING_OPTIONS) for name in _different(old.drawing, new.drawing)]
    others = [_option(name, SPEC_OPTIONS) for name in _different(old, new) if name != "drawing"]
    return (*others, *drawing)


def _different(old: StudySpec | DrawSettings, new: StudySpec | DrawSettings) -> Sequence[str]:
    """The names of the fields that differ."""
    return [part.name for part in fields(old) if getattr(old, part.name) != getattr(new, part.name)]


def _option(field_name: str, options: Mapping[str, str]) -> str:
    name = options.get(field_name, field_name)
    return name if " " in name else f"--{name.replace('_', '-')}"
