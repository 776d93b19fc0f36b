"""The menu of axes: every kind in its group, with values to pick."""

from __future__ import annotations

from lib_merge.desk.selection import desk_methods
from lib_merge.desk.tabs.grid.view import AxisView
from lib_merge.grid import axis_kinds
from lib_merge.grid.axes.amounts import all_parameters
from lib_merge.grid.cell import AxisKind, AxisRank
from lib_merge.recipe.options import ADJUST_OPTION, DTYPE_OPTION, LIST_OPTIONS, VAE_OPTION
from lib_merge.service.merging import MergeService

BLOCK_WEIGHTS, METHOD_PARAMETERS, MODELS_AND_FILES, PICTURE_SETTINGS = (
    "Block weights",
    "Parameters of the method",
    "Models and files",
    "Picture",
)
AMOUNTS = tuple(option.parameter for option in LIST_OPTIONS)  # alpha, beta
OF_FILES = (AxisRank.RECIPE, AxisRank.MODELS, AxisRank.SAVE_OPTIONS)
EXAMPLES = {
    "seed": ("1, 2, 3", "-1, -1, -1"),
    "steps": ("10, 20, 30",),
    "cfg": ("4, 7, 10",),
    "size": ("512x512, 512x768, 768x512",),
    "amount": ("0.5, 1, 1.5",),
    "random": ("-1, -1, -1",),
    **dict.fromkeys(AMOUNTS, ("0-1 [5]", "0, 0.5, 1", "0.3-0.7 (+0.1)")),
}


def axis_views(merging: MergeService) -> tuple[AxisView, ...]:
    """Every kind of axis."""
    choices = _choices(merging)
    return tuple(
        AxisView(
            kind.id,
            kind.help,
            kind.merges,
            kind.lines,
            axis_group(kind),
            choices.get(kind.id, ()),
            EXAMPLES.get(kind.id) or _range_example(kind.id),
        )
        for kind in axis_kinds()
    )


def axis_group(kind: AxisKind) -> str:
    """The heading in the menu that a kind of axis is under."""
    if not kind.merges:
        return PICTURE_SETTINGS
    if kind.id not in AMOUNTS and (kind.id in all_parameters() or ADJUST_OPTION.axis in kind.id):
        return METHOD_PARAMETERS
    return MODELS_AND_FILES if kind.rank in OF_FILES else BLOCK_WEIGHTS


def _choices(merging: MergeService) -> dict[str, tuple[str, ...]]:
    """Axis -> values that are names."""
    host = merging.host
    files = tuple(file.name for file in host.checkpoints())
    can = host.capabilities()
    return {
        **dict.fromkeys(("model A", "model B", "model C", "checkpoint"), files),
        "method": tuple(method.id for method in desk_methods()),
        VAE_OPTION.axis: ("a", "b", "blend", *(file.name for file in host.vaes())),
        DTYPE_OPTION.axis: ("fp16", "bf16", "fp32", "source"),
        "sampler": can.samplers,
        "scheduler": can.schedulers,
    }


def _range_example(name: str) -> tuple[str, ...]:
    """Five numbers over a parameter's range, its two values, or nothing."""
    parameter = all_parameters().get(name)
    if parameter is None or parameter.kind is str:
        return ()
    if parameter.kind is bool:
        return ("true, false",)
    return (f"{parameter.range.low:g}-{parameter.range.high:g} [5]",)
