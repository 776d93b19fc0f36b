"""The arguments of `merge-desk search`, and of its workers."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from lib_merge.cli.arguments import threads
from lib_merge.cli.remote import RemoteFlags, add_remote_arguments

WORKER = "worker"  # in place of A: join a study that another process has begun
STUDY_NAME = "search"
STORAGE = "search.db"
SAMPLERS = "tpe, cma-es (numbers only), gp (few trials of few dimensions), random"


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `search` but those of a recipe and --json."""
    add = parser.add_argument
    add("--space", metavar="SPACE", help="'OUT04-OUT11: 0..1 step 0.05; IN: tied 0..1': see docs/search.md")
    text = "a sum of scorers, '2*contrast - sharpness', 'closeness(target.png)'; given twice, two objectives"
    add("--score", dest="objectives", action="append", metavar="SCORE", help=text)
    text = "'50 trials' of the study, '10 minutes' of this run, or both (default: as before, or 50 trials)"
    add("--budget", metavar="BUDGET", help=text)
    add(
        "--prompt",
        dest="prompts",
        action="append",
        metavar="PROMPT",
        help="of every trial; several are allowed",
    )
    text = "a prompt that no trial is chosen by; what is better than all before is scored on it too"
    add("--held-out", dest="held_out", action="append", metavar="PROMPT", help=text)
    add(
        "--seeds",
        default="1",
        metavar="N,N",
        help="each prompt is drawn with each seed (default: %(default)s)",
    )
    add("--negative", default="", metavar="PROMPT")
    add("--steps", type=int, default=20)
    add("--guidance", type=float, default=5.0)
    add("--width", type=int, help="in pixels (default: the size that the model was trained for)")
    add("--height", type=int)
    add("--sampler", default="tpe", metavar="NAME", help=f"{SAMPLERS} (default: %(default)s)")
    text = "the same seed proposes the same trials (default: %(default)s)"
    add("--sampler-seed", type=int, default=0, metavar="N", help=text)
    text = (
        "subtracted from a score, times the mean square distance to the merge as given (default: %(default)s)"
    )
    add("--penalty", type=float, default=0.0, metavar="X", help=text)
    text = "end a trial after N pictures where it is clearly worse than others were (default: never)"
    add("--prune", dest="prune_after", type=int, default=0, metavar="N", help=text)
    text = "seconds that the pictures of a trial, or their score, may take (default: %(default)s)"
    add("--trial-limit", dest="time_limit", type=float, default=300.0, metavar="S", help=text)
    add("--start", dest="presets", action="append", metavar="PRESET", help="presets that are tried first")
    add("--starred", action="store_true", help="try starred merges of the history with the same files first")
    text = "a SQLite file, a .journal file, or the URL of a database (default: %(default)s)"
    add("--storage", metavar="URL", default=STORAGE, help=text)
    add("--study", metavar="NAME", default=STUDY_NAME, help="name of the study (default: %(default)s)")
    add("--resume", action="store_true", help="go on with the study of this name")
    add("-o", "--output", metavar="PNG", help="save a picture of the best trial, with its recipe")
    add("--overwrite", action="store_true", help="replace PNG where it exists")
    add("--device", default="cpu", help="where to merge and generate: cpu (default), cuda, ...")
    add("--threads", type=threads, help="threads to merge with")
    add_remote_arguments(parser)


@dataclass(frozen=True, kw_only=True)
class SearchCommand(RemoteFlags):
    """The arguments of `search`; models are A, B ..., or the word `worker`."""

    space: str | None
    objectives: tuple[str, ...]
    budget: str | None
    prompts: tuple[str, ...]
    held_out: tuple[str, ...]
    seeds: str
    negative: str
    steps: int
    guidance: float
    width: int | None
    height: int | None
    sampler: str
    sampler_seed: int
    penalty: float
    prune_after: int
    time_limit: float
    presets: tuple[str, ...]
    starred: bool
    storage: str
    study: str
    resume: bool
    output: str | None
    overwrite: bool
    device: str
    threads: int | None
    json: bool

    @property
    def is_worker(self) -> bool:
        """Whether it joins a study that another process has begun."""
        return self.models == (WORKER,)
