"""Makes studies in a storage, and finds them again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from lib_merge.errors import MergeError, OutputError, RecipeError, StoreError, did_you_mean
from lib_merge.search.bound import BoundSpace
from lib_merge.search.neighbours import RandomOrder
from lib_merge.search.ranges import NumberRange
from lib_merge.search.spec import StudySpec, spec_differences, spec_from_dict, spec_to_dict
from lib_merge.search.storage import need_optuna, open_storage, storage_errors, without_password
from lib_merge.search.study import SearchStudy, distribution

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

SPEC_ATTRIBUTE = "merge_desk"  # of a study in Optuna's storage
KEEP_BEST = 75.0  # percent of trials that go on after their first pictures
TRIALS_BEFORE_PRUNING = 8
MOST_STUDY_NAME = 200


def create_study(address: str, name: str, spec: StudySpec, space: BoundSpace) -> SearchStudy:
    """A new study in a storage; OutputError where it has one of this name."""
    need_optuna()
    import optuna
    from optuna.study import StudyDirection

    if not name.strip() or len(name) > MOST_STUDY_NAME:
        raise RecipeError(f"a study cannot be called '{name}'", hint=f"1 to {MOST_STUDY_NAME} characters")
    storage = open_storage(address)
    with storage_errors(address):
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                sampler=_sampler(spec, space),
                pruner=_pruner(spec),
                directions=[StudyDirection.MAXIMIZE] * len(spec.objectives),
            )
        except optuna.exceptions.DuplicatedStudyError as cause:
            hint = "--resume goes on with it; --study gives the new one another name"
            what = f"there is a study called '{name}' already"
            raise OutputError(what, where=without_password(address), hint=hint) from cause
        study.set_user_attr(SPEC_ATTRIBUTE, spec_to_dict(spec))
    return SearchStudy(study, spec, space, address)


def read_spec(address: str, name: str) -> StudySpec:
    """What a study searches; StoreError where there is none of this name, or it is not Merge Desk's."""
    storage = open_storage(address)
    with storage_errors(address):
        study_id = _study_id(storage, name, address)
        attributes = storage.get_study_user_attrs(study_id)
    try:
        return spec_from_dict(attributes.get(SPEC_ATTRIBUTE))
    except (ValueError, KeyError, MergeError) as cause:
        what = f"the study '{name}' cannot be read: {cause}"
        raise StoreError(what, where=without_password(address), hint="update Merge Desk") from cause


def _study_id(storage: BaseStorage, name: str, address: str) -> int:
    names = {study.study_name: study._study_id for study in storage.get_all_studies()}  # pyright: ignore
    if name not in names:
        hint = did_you_mean(name, names) or "--study NAME"
        raise StoreError(f"there is no study called '{name}'", where=without_password(address), hint=hint)
    return names[name]


def has_study(address: str, name: str) -> bool:
    """Whether a storage has a study of this name."""
    return name in study_names(address)


def study_names(address: str) -> Sequence[str]:
    """The names of all studies of a storage."""
    storage = open_storage(address)
    with storage_errors(address):
        return sorted(study.study_name for study in storage.get_all_studies())


def load_study(address: str, name: str, space: BoundSpace) -> SearchStudy:
    """A study of a storage, with its space over the same recipe."""
    need_optuna()
    import optuna

    spec = read_spec(address, name)
    storage = open_storage(address)
    with storage_errors(address):
        study = optuna.load_study(
            study_name=name, storage=storage, sampler=_sampler(spec, space), pruner=_pruner(spec)
        )
    return SearchStudy(study, spec, space, address)


def check_same(old: StudySpec, new: StudySpec, name: str) -> None:
    """OutputError where a study searches something else than is asked for now."""
    differences = spec_differences(old, new)
    if differences:
        what = f"the study '{name}' was begun with other settings: {', '.join(differences)}"
        raise OutputError(what, hint="the same as then, or another name with --study")


def _sampler(spec: StudySpec, space: BoundSpace) -> BaseSampler:
    from lib_merge.search.samplers import make_sampler, random_sampler

    stepped = any(
        isinstance(part.values, NumberRange) and part.values.step is not None for part in space.dimensions
    )
    distributions = {part.name: distribution(part) for part in space.dimensions}
    order = RandomOrder(spec.sampler, partial(random_sampler, spec.seed), space, distributions)
    return make_sampler(spec.sampler, spec.seed, stepped=stepped, number_of=order.number_of)


def _pruner(spec: StudySpec) -> BasePruner:
    from optuna.pruners import NopPruner, PercentilePruner

    if not spec.prune_after:
        return NopPruner()
    return PercentilePruner(KEEP_BEST, n_startup_trials=TRIALS_BEFORE_PRUNING)
