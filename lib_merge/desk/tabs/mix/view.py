"""The requests and results of the tab *Mix*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lib_merge.architectures import read_header
from lib_merge.checkpoint import Header, TensorInfo
from lib_merge.desk.tabs.mix.effects import Effects
from lib_merge.library.desk_state import FieldValue
from lib_merge.library.presets import NamedPreset
from lib_merge.picture import RANDOM_SEED
from lib_merge.report.render.sheet import FactSheet, read_fact_sheet
from lib_merge.save.saving import SAVE_FORMATS
from lib_merge.service.saving import SavedMerge

ParameterValue = bool | str | int | float | Mapping[str, float]


@dataclass(frozen=True)
class FaderAmounts:
    """The settings of the faders.

    parameters  parameter -> value, or -> slot -> amount; rules under `weights`, eight numbers under `adjust`
    engaged     id of the merge in memory that the page knows of (StatusView.engaged); None: any
    seed        of the picture that A is compared with, where the seed on the page is random; None: any
    """

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict[str, ParameterValue])
    engaged: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class SaveRequest:
    """What to save, and how.

    parameters    see FaderAmounts
    save_options  the checked boxes of recipe.options.CHECKBOXES
    previewed     whether the picture on the page is of this merge
    """

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict[str, ParameterValue])
    name: str = ""
    format: str = SAVE_FORMATS[0]
    overwrite: bool = False
    save_options: tuple[str, ...] = ()
    previewed: bool = True


@dataclass(frozen=True)
class PresetName:
    """A preset of the user, by its name."""

    name: str = ""
    family: str = ""


@dataclass(frozen=True)
class PresetAmounts:
    """A preset of the user: slot -> amount."""

    name: str = ""
    family: str = ""
    amounts: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class PresetRename:
    """A preset of the user, and its new name."""

    name: str = ""
    new_name: str = ""
    family: str = ""


@dataclass(frozen=True)
class PresetText:
    """The text of another tool's preset file."""

    text: str = ""
    family: str = ""


@dataclass(frozen=True)
class NumberText:
    """A pasted list of numbers, the layout that it is written in, and the parameter that it is for."""

    text: str = ""
    layout: str = ""
    family: str = ""
    parameter: str = "alpha"


@dataclass(frozen=True)
class MixResult:
    """The result of a merge in memory.

    picture            a PNG as a data URL, "" where none was generated
    history_id         of this merge's entry in the history, 0 where it has none
    picture_id         under which it is kept for a page that is opened again, "" where it is not
    infotext           its generation parameters
    seed               that it was generated with, also where the page asked for a random one
    drawing_key        of the fields that it was generated with: see EffectsResult
    comparison_key     what A's picture depends on: while it stays the same, so does that picture
    note               a sentence to show after the status: nothing changed, or what rules override
    effects            what is in effect besides the faders
    changed_elsewhere  true: nothing was done, because a merge is in memory that this page has not seen
    changes            how that merge differs from this page
    """

    picture: str = ""
    history_id: int = 0
    picture_id: str = ""
    infotext: str = ""
    seed: int = RANDOM_SEED
    drawing_key: str = ""
    comparison_key: str = ""
    note: str = ""
    effects: Effects | None = None
    changed_elsewhere: bool = False
    changes: str = ""


@dataclass(frozen=True)
class EffectsResult:
    """What is in effect besides the faders.

    changes      how the merge in memory differs from this page
    drawing_key  of the fields of a picture's settings as they are now, to be compared with a picture's
    fields       those that hold a plain value, for undo
    """

    effects: Effects
    changes: str = ""
    drawing_key: str = ""
    fields: Mapping[str, FieldValue] = field(default_factory=dict[str, FieldValue])


@dataclass(frozen=True)
class ProgressRequest:
    """A question what the running job does.

    engaged  the id of the merge that the page knows to be in memory, "" for none
    wait     milliseconds that the response may wait for another merge, at most MOST_WAIT
    """

    engaged: str = ""
    wait: int = 0


@dataclass(frozen=True)
class MixProgress:
    """What the running job does now.

    text     such as "step 7 of 15, about 4 s left"; "" where none runs
    share    how much of that is done, from 0 to 1
    preview  the picture as far as it is, as a data URL; "" where the host gives none
    """

    text: str = ""
    share: float = 0.0
    preview: str = ""


@dataclass(frozen=True)
class SaveResult:
    """The file that was written.

    sheet      its fact sheet, as rows of name and value
    card       its model card as text
    previewed  as SaveRequest has it
    """

    sheet: tuple[tuple[str, str], ...]
    card: str
    previewed: bool


@dataclass(frozen=True)
class PresetsResult:
    """Every preset of the family, and the notes of an import."""

    presets: tuple[NamedPreset, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NumbersResult:
    """What a list of numbers sets.

    amounts  slot -> amount; other slots keep theirs
    problem  what is wrong with the list as far as it is typed, "" where it is complete
    """

    amounts: Mapping[str, float] = field(default_factory=dict[str, float])
    problem: str = ""


def fact_sheet(saved: SavedMerge) -> FactSheet:
    """The fact sheet of a saved file; of a diffusers folder, from the plan that wrote it."""
    path = saved.checkpoint.path
    if path.is_file():
        return read_fact_sheet(read_header(path), saved.hashes)
    tensors = {entry.key: TensorInfo(entry.dtype, entry.shape) for entry in saved.plan.keys}
    header = Header(path, tensors, saved.plan.metadata, file_size=saved.nbytes, data_start=1)
    sheet = read_fact_sheet(header, saved.hashes)
    return sheet if path.suffix else replace(sheet, format="diffusers folder")
