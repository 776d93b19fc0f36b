"""The contact sheet: further pictures of the merge in memory, with other seeds or prompts.

The page asks for one at a time, so that nothing is left to stop once it asks for no more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lib_merge.desk.common import data_url
from lib_merge.desk.protocol import Action, action
from lib_merge.desk.selection import Selection, drawing_settings
from lib_merge.desk.status import engaged_id
from lib_merge.desk.tabs.mix.pictures import drawing_key, png_of
from lib_merge.errors import RecipeError
from lib_merge.hosts.host import DrawSettings, HostError, Picture
from lib_merge.picture import RANDOM_SEED, read_setting
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest
from lib_merge.service.services import Services

GENERATE = "press Generate: the pictures of the sheet then follow its picture"


@dataclass(frozen=True)
class FurtherPicture:
    """One picture more of the merge in memory.

    engaged  the id of the merge that the page means (StatusView.engaged)
    drawing  the drawing_key of the sheet's first picture: the other settings must still be those
    seed     of this picture
    prompt   of this picture, None for the one in the field
    of_a     true: a picture of A alone with this seed and prompt
    """

    engaged: str = ""
    drawing: str = ""
    seed: int = RANDOM_SEED
    prompt: str | None = None
    of_a: bool = False


@dataclass(frozen=True)
class FurtherResult:
    """A picture of the sheet: a PNG as a data URL, its generation parameters and its seed."""

    picture: str
    infotext: str
    seed: int


@action("mix.further_picture", drawing=True)
def further_picture(services: Services, action: Action[FurtherPicture]) -> FurtherResult:
    """Generates one more picture of the merge in memory, or of A; merges nothing, loads no model."""
    merging, wanted = services.merging, action.data
    settings = _settings(merging, action)
    _require_same(merging, wanted, drawing_key(action.drawing))
    with merging.job("preview", action.task, preview=True) as job:
        # another page may have merged while this waited for its turn
        _require_same(merging, wanted, drawing_key(action.drawing))
        if wanted.of_a:
            with job.preserving():
                job.apply(merging.prepare(only_a(action.selection)))
                picture = job.draw(settings)
        else:
            picture = job.draw(settings)
    return _result(picture, settings)


def only_a(selection: Selection) -> MergeRequest:
    """The merge that is A alone."""
    return MergeRequest(models=(selection.a, selection.b or selection.a), settings={"alpha": 0.0})


def _settings(merging: MergeService, action: Action[FurtherPicture]) -> DrawSettings:
    """The page's settings with this seed and prompt; RecipeError for a seed that is none."""
    wanted = action.data
    if wanted.seed == RANDOM_SEED:
        raise RecipeError("a further picture needs its seed", hint="a number from 0")
    settings = drawing_settings(merging, {**action.drawing, "seed": wanted.seed})
    if wanted.prompt is None:
        return settings
    return replace(settings, prompt=str(read_setting("prompt", wanted.prompt)))


def _require_same(merging: MergeService, wanted: FurtherPicture, drawing: str) -> None:
    """HostError where the merge or the settings are no longer those of the sheet's first picture."""
    if not wanted.engaged or engaged_id(merging) != wanted.engaged or not merging.is_live():
        raise HostError("the merge in memory is no longer the one of this sheet", hint=GENERATE)
    if drawing != wanted.drawing:
        raise HostError(
            "the settings of the pictures have been changed since this sheet began", hint=GENERATE
        )


def _result(picture: Picture, settings: DrawSettings) -> FurtherResult:
    return FurtherResult(data_url(png_of(picture), "image/png"), picture.infotext, settings.seed)
