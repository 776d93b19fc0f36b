"""The choice in the lists above the tabs, and the merge request that it makes with the faders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lib_merge.architectures import FAMILIES
from lib_merge.errors import MergeError
from lib_merge.hosts.host import DrawSettings
from lib_merge.methods import METHODS
from lib_merge.picture import read_settings
from lib_merge.recipe import BLEND, KEEP_A, TAKE_B, options
from lib_merge.recipe.weights.rules import VAE_SLOT_ID
from lib_merge.registry import Method
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest
from lib_merge.service.server_paths import without_paths

# parameters that have a fader for each block; the others are single sliders
FADER_PARAMETERS = tuple(option.parameter for option in options.LIST_OPTIONS)
SLOT_IDS = frozenset(slot.id for family in FAMILIES for slot in family.slots)
TRIAL_AMOUNT = 0.37  # of all faders, for a plan in which no block is A's or B's alone
VAE_OF_A, VAE_OF_B, VAE_FADER = (options.VAE_OPTION.list_title(word) for word in (KEEP_A, TAKE_B, BLEND))
DTYPE_OF_A = options.DTYPE_OPTION.list_title(options.DTYPE_OPTION.default)


@dataclass(frozen=True)
class Selection:
    """The choice in the lists; method, vae and dtype as the lists show them.

    align  whether B is aligned to A first
    """

    a: str = ""
    b: str = ""
    c: str = ""
    method: str = ""
    vae: str = VAE_OF_A
    dtype: str = DTYPE_OF_A
    align: bool = False

    @classmethod
    def of(cls, values: Sequence[object]) -> Selection:
        """From what Gradio's lists hold, in the order of the fields; an empty list holds None."""
        *texts, align = values
        return cls(*(str(text or "") for text in texts), align=bool(align))


@dataclass(frozen=True)
class ListOptions:
    """The choices of the lists.

    loaded      A until the user chooses
    unreadable  the files that cannot be read, and why, "" for none
    """

    checkpoints: tuple[str, ...]
    methods: tuple[str, ...]
    vaes: tuple[str, ...]
    dtypes: tuple[str, ...]
    loaded: str
    unreadable: str = ""


@dataclass(frozen=True)
class ParameterView:
    """One parameter of a method, as a slider.

    title  its name in words
    kind   float, int, bool or str
    """

    name: str
    title: str
    kind: str
    low: float
    high: float
    step: float
    default: Any
    help: str


def options_of(service: MergeService, *, refresh: bool = False) -> ListOptions:
    """The choices of the lists; `refresh` reads the folders again."""
    host = service.host
    names = tuple(file.name for file in host.checkpoints(refresh=refresh))
    status = service.status()
    return ListOptions(
        names,
        tuple(method.title for method in desk_methods()),
        (*options.VAE_OPTION.list_titles, *(file.name for file in host.vaes())),
        tuple(options.DTYPE_OPTION.list_titles),
        status.next_base or status.base,
        unreadable_note(service),
    )


def unreadable_note(service: MergeService) -> str:
    """The files that cannot be read, as far as they were looked at, and why; "" for none."""
    return "; ".join(f"{name}: {without_paths(why)}" for name, why in service.unreadable_files().items())


# --- methods ---


def desk_methods() -> tuple[Method, ...]:
    """The methods that merge at most three whole models and need no weight for each of them."""
    return tuple(
        method
        for method in METHODS.all()
        if not any(parameter.per_model and not parameter.default for parameter in method.parameters)
        and not any(model.delta for model in method.inputs)
        and (method.max_models or 2) in (1, 2, 3)
    )


def method_by_title(title: str) -> Method:
    """The method of the desk with this title in the list; the first method for an unknown title."""
    methods = desk_methods()
    return next((method for method in methods if title in (method.title, method.id)), methods[0])


def parameter_views(method: Method) -> tuple[ParameterView, ...]:
    """A method's parameters as the page draws them, but for those with one number for each model."""
    return tuple(
        ParameterView(
            parameter.name,
            parameter.range.title or parameter.name.replace("_", " ").capitalize(),
            parameter.kind.__name__,
            parameter.range.low,
            parameter.range.high,
            parameter.range.step,
            parameter.default,
            parameter.range.help,
        )
        for parameter in method.parameters
        if not parameter.per_model
    )


# --- requests ---


def merge_request(
    service: MergeService, selection: Selection, parameters: Mapping[str, object], ticks: Sequence[str] = ()
) -> MergeRequest:
    """The merge that the lists and faders ask for; MergeError where something is not chosen yet.

    parameters  parameter -> amount, or slot -> amount; and the text of rules under `weights`, eight numbers
                under `adjust`
    ticks       of the Save box
    """
    method = method_by_title(selection.method)
    models = method.max_models or (3 if selection.c else 2)
    names = (selection.a, selection.b, selection.c)[:models]
    for letter, name in zip("ABC", names, strict=False):
        if not name:
            raise MergeError(f"choose {letter} first", hint=next_step(selection, models))
    slots = _slots_of(service, selection.a)
    # a U-Net alone is merged without a VAE
    vae_default = selection.vae == VAE_OF_A and slots is not None and VAE_SLOT_ID not in slots
    return MergeRequest.from_page(
        names,
        method,
        {name: _without_other_slots(value, slots) for name, value in parameters.items()},
        vae="" if vae_default else selection.vae,
        dtype=selection.dtype,
        align=selection.align,
        ticks=ticks,
    )


def has_block_weights(method: Method) -> bool:
    """Whether a method has block weights for rules to set."""
    return any(parameter.name == "alpha" for parameter in method.parameters)


def neutral_amounts(method: Method) -> Mapping[str, float] | None:
    """The amounts of a method's faders that keep A; None where no amounts do, or it has no faders."""
    return method.neutral_amounts(FADER_PARAMETERS)


def resting_amount(method: Method, name: str) -> float:
    """Where the faders of a parameter stand until they are moved: at the neutral amount, if there is one."""
    neutral = neutral_amounts(method) or {}
    default = next((parameter.default for parameter in method.parameters if parameter.name == name), 0.0)
    return float(neutral.get(name, default))


def next_step(selection: Selection, models: int) -> str:
    """What to choose first, "" where everything is; `models` is how many the method works on."""
    if not selection.a:
        return "Choose A to begin: the checkpoint to start from."
    if not selection.b and models > 1:
        return "Choose B to begin: the sliders then show how much A and B differ in each block."
    if models == 3 and not selection.c:
        return "Choose C as well: this method merges three models."
    return ""


def _slots_of(service: MergeService, name: str) -> frozenset[str] | None:
    """The slots, and names of several, that a checkpoint has tensors in; None for one that cannot be read."""
    try:
        return service.slots(service.checkpoint(name))
    except MergeError:
        return None  # the merge says what is wrong with this file


def _without_other_slots(value: object, slots: frozenset[str] | None) -> object:
    """The amounts of the faders that A has tensors for: rules refuse a block that the model lacks."""
    if slots is None or not isinstance(value, Mapping):
        return value
    amounts = cast("Mapping[str, object]", value)
    return {slot: amount for slot, amount in amounts.items() if slot in slots or slot not in SLOT_IDS}


# --- pictures ---


def default_draw_settings(service: MergeService) -> DrawSettings:
    """The default settings of a picture, also where the host has no checkpoint yet."""
    try:
        return service.host.default_settings()
    except (MergeError, OSError):
        return DrawSettings()


def drawing_settings(service: MergeService, fields: Mapping[str, object]) -> DrawSettings:
    """The settings in the fields of the page; an empty field has the host's default."""
    settings = {name: value for name, value in fields.items() if value not in (None, "")}
    for name in ("prompt", "negative"):  # these may be empty, and then they are
        if name in fields:
            settings[name] = fields[name] or ""
    return read_settings(settings, default_draw_settings(service))
