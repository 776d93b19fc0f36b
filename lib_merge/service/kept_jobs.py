"""The jobs of the queue as values in one JSON file, so that they outlive the server."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from lib_merge.errors import MergeError
from lib_merge.grid import GridRequest, grid_request_to_dict, parse_grid_request
from lib_merge.json_data import expect_list, expect_number, expect_object, expect_text
from lib_merge.recipe import parse_recipe
from lib_merge.save.saving import SAVE_FORMATS
from lib_merge.search.spec import StudySpec, parse_budget, spec_from_dict, spec_to_dict
from lib_merge.search.study import StartPoint
from lib_merge.store import JsonFile

JOBS_FILE = "queue.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptSave:
    """A save that waits.

    recipe   the text of its recipe
    name     of its file, as it was asked for
    summary  what it would do, in a sentence
    """

    recipe: str
    name: str
    format: str = SAVE_FORMATS[0]
    overwrite: bool = False
    is_previewed: bool = True
    summary: str = ""


@dataclass(frozen=True)
class KeptGrid:
    """A grid that waits.

    recipe   the text of the recipe that it varies
    request  from which it is planned again
    summary  its plan, in a line
    """

    recipe: str
    request: GridRequest
    summary: str = ""


@dataclass(frozen=True)
class KeptSearch:
    """A search that waits.

    spec     what its study does
    name     of the study, "" for a new one
    budget   "50 trials", "10 minutes", or both
    starts   the trials that are made before the sampler chooses
    summary  its plan, in a line
    """

    recipe: str
    spec: StudySpec
    name: str = ""
    budget: str = ""
    starts: tuple[StartPoint, ...] = ()
    summary: str = ""


KeptJob = KeptSave | KeptGrid | KeptSearch


def read_kept_jobs(folder: Path) -> tuple[KeptJob, ...]:
    """Those that waited when the server ended; none where their file cannot be read."""
    try:
        return _file(folder).read(_parse) or ()
    except MergeError as error:
        log.warning("the queue is empty: %s", error)
        return ()


def keep_jobs(folder: Path, jobs: Sequence[KeptJob]) -> None:
    """Replace those that are kept; the queue itself goes on where the folder cannot be written."""
    _file(folder).write_cached({"jobs": [_to_dict(job) for job in jobs]})


def _file(folder: Path) -> JsonFile:
    return JsonFile(folder / JOBS_FILE, "the queue", "queue")


def _to_dict(job: KeptJob) -> dict[str, object]:
    if isinstance(job, KeptSave):
        return {"kind": "save", **asdict(job)}
    if isinstance(job, KeptSearch):
        return {"kind": "search", **asdict(job), "spec": spec_to_dict(job.spec)}
    request = grid_request_to_dict(job.request)
    return {"kind": "grid", "recipe": job.recipe, "request": request, "summary": job.summary}


def _parse(data: object) -> tuple[KeptJob, ...]:
    rows = expect_object(data)["jobs"]
    if not isinstance(rows, list):
        raise ValueError("'jobs' is no list")
    return tuple(map(_job, cast("list[object]", rows)))


def _job(row: object) -> KeptJob:
    fields = expect_object(row)
    recipe, summary = expect_text(fields["recipe"]), expect_text(fields["summary"])
    parse_recipe(recipe)
    if fields["kind"] == "grid":
        return KeptGrid(recipe, parse_grid_request(fields["request"]), summary)
    if fields["kind"] == "search":
        return _search(fields, recipe, summary)
    name, format = expect_text(fields["name"]), expect_text(fields["format"])
    if format not in SAVE_FORMATS:
        raise ValueError(f"there is no format {format}")
    return KeptSave(
        recipe, name, format, fields["overwrite"] is True, fields["is_previewed"] is True, summary
    )


def _search(fields: Mapping[str, object], recipe: str, summary: str) -> KeptSearch:
    budget = expect_text(fields["budget"])
    parse_budget(budget)
    return KeptSearch(
        recipe=recipe,
        spec=spec_from_dict(fields["spec"]),
        name=expect_text(fields["name"]),
        budget=budget,
        starts=tuple(map(_start, expect_list(fields["starts"]))),
        summary=summary,
    )


def _start(row: object) -> StartPoint:
    fields = expect_object(row)
    point = expect_object(fields["point"])
    return StartPoint(
        {name: value if isinstance(value, str) else expect_number(value) for name, value in point.items()},
        expect_text(fields["origin"]),
    )
