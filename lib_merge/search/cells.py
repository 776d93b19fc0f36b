"""Cells of a grid in Optuna's storage, where workers of several machines claim them.

A grid is a study: each of its trials is a cell, named by the process that started the grid, and the study
has the recipe and the settings of every cell. A worker claims a waiting trial, makes the cell, and puts its
record there; the trial of a worker that died is given back (`claims`). The PNG of a cell travels through the
storage too, in a trial of a second study, so that workers which look for cells never read pictures; it is
emptied there as soon as the process that started the grid has the picture in its folder.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lib_merge.errors import MergeError, StoreError, did_you_mean
from lib_merge.grid import CellRecord
from lib_merge.grid.store import record_from_dict
from lib_merge.json_data import expect_list, expect_number, expect_object, expect_text
from lib_merge.picture import DrawSettings, read_settings
from lib_merge.search.claims import DIED, PROBLEM, Claims
from lib_merge.search.storage import one_process, open_storage, storage_errors, without_password
from lib_merge.search.studies import has_study

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

GRID_ATTRIBUTE = "merge_desk_grid"  # of a study
GRID_FORMAT = "merge-desk cells 1"
PICTURES = " (pictures)"  # after the name of the study with them
CELL, RECORD, PICTURE, PIECE = "cell", "record", "picture", "png"  # of a trial
PIECE_SIZE = 1_000_000  # characters of one attribute: gRPC takes messages of 4 MB
MOST_LOST = 3  # workers that may die of one cell
LOST = "3 workers in a row died while they made this cell"


@dataclass(frozen=True)
class SharedCell:
    """A cell as a worker needs it.

    name    the name of its files, which tells equal cells
    recipe  canonical text, with the hashes of its files
    """

    name: str
    recipe: str
    drawing: DrawSettings


@dataclass
class ClaimedCell:
    """A cell that this process makes."""

    cell: SharedCell
    trial: FrozenTrial
    claim: ExitStack = field(default_factory=ExitStack)


@dataclass(frozen=True)
class FinishedShare:
    """A cell that a worker has finished: its record, and the trial that has its picture, None for none."""

    name: str
    record: CellRecord
    picture: int | None


class SharedGrid:
    """One grid in a storage; made by `share_cells` and `join_cells`."""

    def __init__(self, address: str, study: Study, pictures: int) -> None:
        self.address, self._study, self._pictures = address, study, pictures
        self._storage: BaseStorage = study._storage  # pyright: ignore[reportPrivateUsage]
        self._claims = Claims(study, address)
        self._cells: dict[str, SharedCell] = {}
        self._last_recipe = ""
        self._taken: set[int] = set()  # numbers of the trials that `finished` has returned

    @property
    def name(self) -> str:
        """The name of its study."""
        return self._study.study_name

    def cells(self) -> Mapping[str, SharedCell]:
        """Its cells by name, as far as they have been shared."""
        with storage_errors(self.address):
            self._cells = _cells_from_dict(self._study.user_attrs.get(GRID_ATTRIBUTE))
        return self._cells

    # --- the process that started it ---

    def share(self, cells: Iterable[SharedCell]) -> int:
        """Let these cells wait for workers, but for those that wait or are made already; returns how many."""
        from optuna.trial import TrialState

        wanted = {cell.name: cell for cell in cells}
        with storage_errors(self.address):
            merged = {**self.cells(), **wanted}
            self._study.set_user_attr(GRID_ATTRIBUTE, _cells_to_dict(merged.values()))
            busy = {
                _name(trial)
                for trial in self._study.get_trials(deepcopy=False)
                if trial.state in (TrialState.WAITING, TrialState.RUNNING)
                or (trial.state == TrialState.COMPLETE and self._has_picture(trial))
            }
            new = [name for name in wanted if name not in busy]
            for name in new:
                self._study.enqueue_trial({CELL: name})
        return len(new)

    def finished(self) -> Iterator[FinishedShare]:
        """The finished cells that were not returned yet; one is once the caller asks for the next."""
        with storage_errors(self.address):
            trials = self._study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.number not in self._taken and trial.state.name == "COMPLETE":
                record = record_from_dict(trial.user_attrs[RECORD])
                yield FinishedShare(_name(trial), record, trial.user_attrs.get(PICTURE))
                self._taken.add(trial.number)

    def picture(self, share: FinishedShare) -> bytes:
        """The PNG of a finished cell, b"" where it has none or it was emptied."""
        if share.picture is None:
            return b""
        with storage_errors(self.address):
            pieces = _pieces(self._storage.get_trial(share.picture))
        return base64.b64decode("".join(pieces))

    def empty_picture(self, share: FinishedShare) -> None:
        """Take the PNG of a cell out of the storage, once it is in the folder."""
        if share.picture is None:
            return
        with storage_errors(self.address):
            for index, _ in enumerate(_pieces(self._storage.get_trial(share.picture))):
                self._storage.set_trial_user_attr(share.picture, f"{PIECE} {index}", "")

    def remove(self) -> None:
        """Remove the grid from the storage."""
        with storage_errors(self.address):
            self._storage.delete_study(self._pictures)
            self._storage.delete_study(self._study._study_id)  # pyright: ignore[reportPrivateUsage]

    # --- workers ---

    def claim(self) -> ClaimedCell | None:
        """The next cell, which is this process's until it ends; None where none waits.

        First cells of the merge that this process has made last, then those of merges that no other process
        is at, so that a merge is made by as few processes as possible.
        """
        with storage_errors(self.address):
            self._claims.give_back_lost()
            trials = self._study.get_trials(deepcopy=False)
            for trial in self._in_order(trials):
                if self._take(trial):
                    cell = self._cells.get(_name(trial)) or self.cells()[_name(trial)]
                    claimed = ClaimedCell(cell, trial)
                    claimed.claim.enter_context(self._claims.beating(_id(trial)))
                    if self._is_deadly(trial, trials):
                        self.finish(claimed, CellRecord(cell.recipe, cell.drawing, problem=LOST), b"")
                        continue
                    self._last_recipe = cell.recipe
                    return claimed
        return None

    def is_open(self) -> bool:
        """Whether a cell waits or is being made; False for a grid that was removed."""
        try:
            with storage_errors(self.address):
                return any(not trial.state.is_finished() for trial in self._study.get_trials(deepcopy=False))
        except StoreError:
            if has_study(self.address, self.name):
                raise
            return False

    def finish(self, claimed: ClaimedCell, record: CellRecord, png: bytes) -> bool:
        """Keep a cell's record and picture; False where it was given back meanwhile."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        claimed.claim.close()
        trial_id = _id(claimed.trial)
        with storage_errors(self.address), suppress(UpdateFinishedTrialError):
            if png:
                picture = self._storage.create_new_trial(self._pictures, _picture_trial(png))
                self._storage.set_trial_user_attr(trial_id, PICTURE, picture)
            self._storage.set_trial_user_attr(trial_id, RECORD, asdict(record))
            with one_process(self.address):
                self._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [record.draw_seconds])
            return True
        return False

    def give_back(self, claimed: ClaimedCell, why: str) -> None:
        """Leave a cell to the next worker."""
        claimed.claim.close()
        with storage_errors(self.address):
            self._claims.give_back(claimed.trial.number, why)

    def _in_order(self, trials: Sequence[FrozenTrial]) -> Sequence[FrozenTrial]:
        """The waiting trials, those first that this process takes first."""
        waiting = [trial for trial in trials if trial.state.name == "WAITING"]
        if any(_name(trial) not in self._cells for trial in waiting):
            self.cells()
        begun = {self._recipe(trial) for trial in trials if trial.state.name == "RUNNING"}

        def rank(trial: FrozenTrial) -> int:
            recipe = self._recipe(trial)
            return 0 if recipe == self._last_recipe else 2 if recipe in begun else 1

        return sorted(waiting, key=lambda trial: (rank(trial), trial.number))

    def _recipe(self, trial: FrozenTrial) -> str:
        cell = self._cells.get(_name(trial))
        return cell.recipe if cell else ""

    def _take(self, trial: FrozenTrial) -> bool:
        """Whether this process is the one that takes a waiting trial."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        try:
            with one_process(self.address):
                return self._storage.set_trial_state_values(_id(trial), TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _is_deadly(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
        lost = Counter(_name(other) for other in trials if other.user_attrs.get(PROBLEM) == DIED)
        return lost[_name(trial)] >= MOST_LOST

    def _has_picture(self, trial: FrozenTrial) -> bool:
        picture = trial.user_attrs.get(PICTURE)
        return picture is not None and any(_pieces(self._storage.get_trial(picture)))


def share_cells(address: str, name: str, cells: Sequence[SharedCell]) -> SharedGrid:
    """The grid of this name, made where there is none; its cells wait for workers."""
    import optuna

    storage = open_storage(address)
    with storage_errors(address):
        pictures = optuna.create_study(storage=storage, study_name=name + PICTURES, load_if_exists=True)
        study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        shared = SharedGrid(address, study, pictures._study_id)  # pyright: ignore[reportPrivateUsage]
    shared.share(cells)
    return shared


def join_cells(address: str, name: str) -> SharedGrid:
    """A grid that another process has started; StoreError where there is none of this name."""
    import optuna

    storage = open_storage(address)
    with storage_errors(address):
        ids = {study.study_name: study._study_id for study in storage.get_all_studies()}  # pyright: ignore
        if name not in ids or name + PICTURES not in ids:
            hint = did_you_mean(name, shared_names(address)) or "--study NAME"
            raise StoreError(f"there is no grid called '{name}'", where=without_password(address), hint=hint)
        study = optuna.load_study(study_name=name, storage=storage)
    return SharedGrid(address, study, ids[name + PICTURES])


def shared_names(address: str) -> Sequence[str]:
    """The names of the grids of a storage, the oldest first."""
    storage = open_storage(address)
    with storage_errors(address):
        studies = storage.get_all_studies()
        return [study.study_name for study in studies if GRID_ATTRIBUTE in study.user_attrs]


def _id(trial: FrozenTrial) -> int:
    return trial._trial_id  # pyright: ignore[reportPrivateUsage]


def _name(trial: FrozenTrial) -> str:
    """The name of a trial's cell."""
    return str(trial.system_attrs.get("fixed_params", {}).get(CELL, ""))


def _picture_trial(png: bytes) -> FrozenTrial:
    """A trial that has a picture; it never ends, because attributes of an ended one cannot be emptied."""
    from optuna.trial import TrialState, create_trial

    text = base64.b64encode(png).decode("ascii")
    pieces = [text[start : start + PIECE_SIZE] for start in range(0, len(text), PIECE_SIZE)]
    attributes = {f"{PIECE} {index}": piece for index, piece in enumerate(pieces)}
    return create_trial(state=TrialState.RUNNING, user_attrs=attributes)


def _pieces(trial: FrozenTrial) -> Sequence[str]:
    attributes, pieces = trial.user_attrs, list[str]()
    while (name := f"{PIECE} {len(pieces)}") in attributes:
        pieces.append(str(attributes[name]))
    return pieces


# --- as JSON, in which each recipe and each of the settings stands once ---


def _cells_to_dict(cells: Iterable[SharedCell]) -> Mapping[str, Any]:
    recipes: dict[str, int] = {}
    drawings: dict[DrawSettings, int] = {}
    rows = [
        [
            cell.name,
            recipes.setdefault(cell.recipe, len(recipes)),
            drawings.setdefault(cell.drawing, len(drawings)),
        ]
        for cell in cells
    ]
    settings = [asdict(drawing) for drawing in drawings]
    return {"format": GRID_FORMAT, "recipes": list(recipes), "drawings": settings, "cells": rows}


def _cells_from_dict(data: object) -> dict[str, SharedCell]:
    if data is None:  # it is being made
        return {}
    try:
        value = expect_object(data)
        if value.get("format") != GRID_FORMAT:
            raise ValueError("a newer Merge Desk has written it")
        recipes = [expect_text(recipe) for recipe in expect_list(value["recipes"])]
        drawings = [
            read_settings(expect_object(entry), DrawSettings()) for entry in expect_list(value["drawings"])
        ]
        rows = [expect_list(row) for row in expect_list(value["cells"])]
        return {
            expect_text(name): SharedCell(
                expect_text(name), recipes[int(expect_number(recipe))], drawings[int(expect_number(drawing))]
            )
            for name, recipe, drawing in rows
        }
    except (ValueError, KeyError, IndexError, MergeError) as cause:
        raise StoreError(
            f"the cells of this grid cannot be read: {cause}", hint="update Merge Desk"
        ) from cause
