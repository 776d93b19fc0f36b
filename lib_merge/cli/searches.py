"""`merge-desk search`, and `merge-desk search worker`, which joins a study of another process."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.cli.output import print_json
from lib_merge.cli.remote import connect_remote, read_remote_merge
from lib_merge.cli.request import ReadMerge, data_folder, read_merge
from lib_merge.cli.search_arguments import SearchCommand
from lib_merge.cli.standalone import StandaloneOptions, located_files, standalone_backend
from lib_merge.errors import MergeError, PlanError, RecipeError
from lib_merge.recipe import Recipe, parse_recipe, print_recipe, without_hashes

if TYPE_CHECKING:
    from lib_merge.search.run import SearchRun, TrialResult
    from lib_merge.search.spec import StudySpec
    from lib_merge.search.study import SearchStudy, TrialRow
    from lib_merge.service.remote_webui import RemoteService
    from lib_merge.service.searches import SearchBackend, SearchService

PNG = (".png",)
MOST_SHOWN = 8  # dimensions
MOST_NAME_BYTES = 100  # of a folder's name
NAME_DIGITS = 8  # hexadecimal
CTRL_C_STATUS = 130
NO_TRIAL = 1  # exit status where no trial at all was scored


def search(options: SearchCommand) -> int:
    """`merge-desk search A B --space S --score S --budget B`; 1 where no trial was scored."""
    from lib_merge.search.spec import DEFAULT_BUDGET, parse_budget
    from lib_merge.search.storage import need_optuna
    from lib_merge.search.summary import best_row, study_to_dict
    from lib_merge.service.searches import run_search_job

    need_optuna()
    remote = connect_remote(options, _data(options))
    service, backend, study = _joined(options, remote) if options.is_worker else _opened(options, remote)
    _check_eye(study.spec.objectives)
    budget = parse_budget(options.budget or study.budget or DEFAULT_BUDGET)
    if not options.is_worker:
        study.budget = str(budget)
    if not options.json:
        count = len(study.space.dimensions)
        print(f"study '{study.name}': {count} dimension{'s' * (count != 1)}, {budget}", flush=True)

    def tell(result: TrialResult) -> None:
        if not options.json:
            print(_render_row(result.row), flush=True)

    try:
        run = run_search_job(service, study, backend, budget, on_trial=tell)
    except KeyboardInterrupt:
        print(f"merge-desk: stopped; --resume goes on with the study '{study.name}'", file=sys.stderr)
        return CTRL_C_STATUS
    rows = study.rows()
    best = best_row(rows)
    picture = _save_best(options, service, backend, study, best)
    if options.json:
        print_json({**study_to_dict(study, rows), **_run_to_dict(run), "picture": picture})
    else:
        print(_render_end(study, rows, run, best, picture))
    return 0 if best is not None else NO_TRIAL


# --- a new study, or one that is resumed ---


def _opened(
    options: SearchCommand, remote: RemoteService | None
) -> tuple[SearchService, SearchBackend, SearchStudy]:
    """The study of models or a recipe, begun or resumed; PlanError with all problems."""
    from lib_merge.checkpoint import check_targets
    from lib_merge.search.studies import check_same, create_study, has_study, load_study, read_spec
    from lib_merge.service.searches import bind_study_space, check_objectives, starting_points

    problems: list[MergeError] = []
    if options.output is not None:
        targets = [(Path(options.output), PNG)]
        problems += check_targets(targets, inputs=options.recipe_file, overwrite=options.overwrite)
    request = read_remote_merge(options, remote.backend) if remote else read_merge(options, hashed=True)
    try:
        spec = _spec(options, request)
    except PlanError as error:
        raise PlanError([*problems, *error.problems]) from error
    except MergeError as problem:
        raise PlanError([*problems, problem]) from problem
    if problems:
        raise PlanError(problems)
    files = {file: header.path for file, header in request.headers.items()}
    service, backend = (remote, remote.backend) if remote else _service(options, files)
    problems += check_objectives(service, spec)
    try:
        space = bind_study_space(spec, backend)
    except PlanError as error:
        raise PlanError([*error.problems, *problems]) from error
    if problems:
        raise PlanError(problems)
    if options.resume and has_study(options.storage, options.study):
        check_same(read_spec(options.storage, options.study), spec, options.study)
        return service, backend, load_study(options.storage, options.study, space)
    entries = service.history.entries(starred=True) if options.starred else ()
    starts = starting_points(space, options.presets, entries)
    study = create_study(options.storage, options.study, spec, space)
    study.enqueue(starts)
    return service, backend, study


def _spec(options: SearchCommand, request: ReadMerge) -> StudySpec:
    from lib_merge.hosts.pictures import default_size
    from lib_merge.picture import DrawSettings, read_settings
    from lib_merge.search.space import SPACE_HINT, parse_space
    from lib_merge.search.spec import StudySpec, parse_budget

    _check_eye(options.objectives)
    problems: list[MergeError] = []
    if not options.space:
        problems.append(RecipeError("a search needs a space", hint=f"--space: {SPACE_HINT}"))
    if not options.objectives:
        problems.append(
            RecipeError("a search needs a score", hint="--score sharpness: docs/search.md has all")
        )
    if problems:
        raise PlanError(problems)
    width, height = default_size(next(iter(request.headers.values())).metadata)
    drawing = {
        "negative": options.negative,
        "steps": options.steps,
        "cfg": options.guidance,
        "width": width if options.width is None else options.width,
        "height": height if options.height is None else options.height,
    }
    if options.budget:
        parse_budget(options.budget)
    return StudySpec(
        recipe=print_recipe(_with_hashes(request)),
        space=str(parse_space(options.space or "")),
        objectives=options.objectives,
        drawing=read_settings(drawing, DrawSettings()),
        prompts=options.prompts or ("",),
        seeds=_seeds(options.seeds),
        held_out=options.held_out,
        sampler=options.sampler,
        seed=options.sampler_seed,
        penalty=options.penalty,
        prune_after=options.prune_after,
        time_limit=options.time_limit,
    )


def _check_eye(objectives: Sequence[str]) -> None:
    """RecipeError where pictures are to be compared by a user, who is at the desk."""
    from lib_merge.search.spec import EYE_SCORE

    if EYE_SCORE in objectives:
        what = f"the score '{EYE_SCORE}' is your own: you compare pictures on the desk"
        raise RecipeError(what, hint="another score here, or the tab Search of the desk")


def _with_hashes(request: ReadMerge) -> Recipe:
    """The recipe with the hashes of its files, by which workers find them under other names."""
    if request.hashes is None:  # a WebUI has computed them
        return request.recipe
    with request.hashes:
        return request.hashes.with_all_hashes(request.recipe)


def _seeds(text: str) -> tuple[int, ...]:
    from lib_merge.grid.axes.values import parse_axis_numbers

    return tuple(int(number) for number in parse_axis_numbers(text, whole=True, where="--seeds"))


def _data(options: SearchCommand) -> Path:
    """The folder of history and scorers."""
    return data_folder(options.data_dir) or Path(f"{_plain_name(options.study)}.data")


def _plain_name(study: str) -> str:
    """A folder's name for a study: short, and without what has a meaning in a path."""
    plain = "".join(letter if letter.isalnum() or letter in " -_." else "_" for letter in study)
    short = plain.encode()[:MOST_NAME_BYTES].decode(errors="ignore").lstrip(".")
    if short == study:
        return study
    digest = hashlib.sha256(study.encode()).hexdigest()  # names that become alike differ in it
    return f"{short}-{digest[:NAME_DIGITS]}"


def _service(options: SearchCommand, files: Mapping[str, Path]) -> tuple[SearchService, SearchBackend]:
    return standalone_backend(
        options, files, StandaloneOptions(_data(options), options.device, options.threads)
    )


# --- what is printed and written ---


def _save_best(
    options: SearchCommand,
    service: SearchService,
    backend: SearchBackend,
    study: SearchStudy,
    best: TrialRow | None,
) -> str:
    """Draw the best trial again and save it with its recipe; returns the file, "" where none is asked for."""
    from lib_merge.checkpoint import write_file
    from lib_merge.hosts.pictures import png_bytes
    from lib_merge.search.summary import trial_recipe

    if options.output is None or best is None:
        return ""
    recipe = trial_recipe(study, best)
    with service.job("search") as job, job.preserving():
        if not backend.holds(recipe):
            backend.merge(recipe, job.progress)
        picture = backend.draw(study.spec.settings(study.spec.views[0]))
    write_file(Path(options.output), png_bytes(picture), overwrite=options.overwrite, suffixes=PNG)
    return options.output


def _render_row(row: TrialRow) -> str:
    """One line for a trial."""
    values = ", ".join(f"{value:.4g}" for value in row.values)
    held_out = f" (held out: {', '.join(f'{value:.4g}' for value in row.held_out)})" if row.held_out else ""
    origin = f", {row.origin}" if row.origin else ""
    if row.problem:
        return f"trial {row.number}: {row.state}, {row.problem}"
    same = f"as trial {row.same_as}" if row.same_as >= 0 else f"in {row.seconds:.1f} s"
    return f"trial {row.number}: {values or row.state}{held_out}, {same}{origin}"


def _render_end(
    study: SearchStudy, rows: Sequence[TrialRow], run: SearchRun, best: TrialRow | None, picture: str
) -> str:
    from lib_merge.search.summary import dimension_importances, pareto_front, trial_recipe

    lines = [f"{run.reason}; {len(rows)} trials in the study '{study.name}'"]
    if len(study.spec.objectives) > 1:
        lines += [f"  on the front: {_render_row(row)}" for row in pareto_front(rows)]
    if importances := dimension_importances(study, rows):
        shares = ", ".join(f"{name} {share:.0%}" for name, share in list(importances.items())[:MOST_SHOWN])
        lines.append(f"what matters: {shares}")
    if best is not None:
        lines += [
            f"best: {_render_row(best)}",
            print_recipe(without_hashes(trial_recipe(study, best))).rstrip(),
        ]
    if picture:
        lines.append(f"saved as {picture}")
    return "\n".join(lines)


def _run_to_dict(run: SearchRun) -> Mapping[str, Any]:
    return {"ended": run.reason, "stopped": run.stopped, "trials_of_this_run": run.trials}


# --- a worker ---


def _joined(
    options: SearchCommand, remote: RemoteService | None
) -> tuple[SearchService, SearchBackend, SearchStudy]:
    """The study that another process has begun; its files are found by name and hash."""
    from lib_merge.search.studies import load_study, read_spec
    from lib_merge.service.searches import bind_study_space

    spec = read_spec(options.storage, options.study)
    recipe = parse_recipe(spec.recipe)
    if remote is not None:
        remote.backend.describe(recipe)
        service, backend = remote, remote.backend
    else:
        service, backend = _service(options, located_files(options, recipe))
    study = load_study(options.storage, options.study, bind_study_space(spec, backend))
    return service, backend, study
