"""What all WebUIs whose model can hold a merge have in common; each one's class says where its model is."""

from __future__ import annotations

import copy
import inspect
import logging
import os
import weakref
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from lib_merge.architectures import open_checkpoint, read_header
from lib_merge.architectures.keys import block_prefix
from lib_merge.checkpoint.suffixes import SAFETENSORS, has_suffix
from lib_merge.errors import MergeError
from lib_merge.hosts.detect import has_module
from lib_merge.hosts.host import HostError, ListedFile, Loaded
from lib_merge.hosts.pinned import SeenModel, pinned_of
from lib_merge.hosts.webui import FilesOnlyWebUI
from lib_merge.hosts.webui_modules import host_module, part
from lib_merge.live import LiveModel, MergeIdent
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

LOADED_HALF_WAY = ("refiner_checkpoint_info", "hr_checkpoint_info")  # attributes of a job
COPY = "merge_desk_copy"  # attribute of a copy of a checkpoint info by `another_copy`
CHECKPOINT_OPTION = "sd_model_checkpoint"
SILENT: Mapping[str, Any] = {
    "outputs": [],
    "show_progress": "hidden",
    "api_name": False,
}  # of Gradio's events
# Neo writes the name into a hidden box, the others into a variable
NAME_ON_CARD = """() => [
    (typeof desiredCheckpointName === "string" && desiredCheckpointName) ||
    document.querySelector("#change_checkpoint_text textarea")?.value || ""
]"""

log = logging.getLogger(__name__)


class WebUIModel(LiveModel, Protocol):
    """A WebUI's model, which may have LoRAs in its weights."""

    def has_lora(self, key: str) -> bool:
        """Whether a LoRA is added to the tensors of this key now."""
        ...


class LiveWebUI(FilesOnlyWebUI):
    """A WebUI whose model merges are loaded into; the model stays pinned to its checkpoint (hosts.pinned).

    own_modules  modules that together tell this WebUI from the others
    used         module under `modules` -> its attributes that the class uses
    """

    own_modules: ClassVar[Sequence[str]]
    used: ClassVar[Mapping[str, Sequence[str]]]

    def __init__(self, id: str, title: str) -> None:
        super().__init__(id, title, unavailable_reason="")
        self._seen: SeenModel | None = None
        self._checked: tuple[weakref.ref[Any], str] | None = None
        self._compared: tuple[weakref.ref[Any], Sequence[str]] | None = None

    # --- detection ---

    @classmethod
    def detect(cls) -> bool:
        """By every attribute that is used: forks keep names and version strings, but not every attribute."""
        return cls.looks_like_it() and not cls.missing()

    @classmethod
    def looks_like_it(cls) -> bool:
        """Whether the process has the modules that tell this WebUI from others."""
        return all(has_module(name) for name in cls.own_modules)

    @classmethod
    def missing(cls) -> Sequence[str]:
        """The attributes that the class uses and this WebUI does not have."""
        absent = object()
        return [
            f"{module}.{name}"
            for module, names in cls.used.items()
            for name in names
            if part(module, name, absent) is absent
        ]

    # --- what each WebUI does its own way ---

    @abstractmethod
    def model_in_memory(self) -> Any:
        """The host's model, or None where there is none that pictures are generated with; loads none."""

    @abstractmethod
    def file_of(self, model: Any) -> Path | None:
        """The file that the model was loaded from."""

    @abstractmethod
    def live_model(self, model: Any) -> WebUIModel:
        """The host's model under the keys of files."""

    @abstractmethod
    def state_reason(self, model: Any) -> str:
        """Why no merge can be loaded into the model in its present state, "" where one can."""

    @abstractmethod
    def weights_reason(self, model: Any) -> str:
        """Why its weights cannot be written at all, "" where they can; asked once for each model."""

    def is_complete(self, model: Any) -> bool:
        """Whether its load has finished; hosts with unfinished models override this."""
        return True

    def next_checkpoint(self, model: Any) -> ListedFile | None:
        """None: the host loads a checkpoint as soon as it is selected."""
        return None

    # --- the model ---

    def loaded(self) -> Loaded:
        """The file that the model was loaded from; never loads one."""
        model = self.model_in_memory()
        path = None if model is None else self.file_of(model)
        following = self.next_checkpoint(model)
        if path is None:
            return Loaded(None, next_checkpoint=following)
        return Loaded(self.listed_file(path), self._reason_against(model), following)

    def _reason_against(self, model: Any) -> str:
        if reason := self.state_reason(model):
            return reason
        if self._checked is None or self._checked[0]() is not model:
            self._checked = weakref.ref(model), self.weights_reason(model)
        return self._checked[1]

    def live_ident(self) -> MergeIdent | None:
        """The merge that the host's own info of its model names."""
        pinned = pinned_of(self.model_in_memory())
        return pinned.ident if pinned else None

    def infotext_model(self) -> tuple[str, str | None]:
        """Name and hash as the host writes them into infotexts."""
        model = self.model_in_memory()
        return model.sd_checkpoint_info.name_for_extra, model.sd_model_hash

    def model(self) -> LiveModel:
        """The model in memory; its parameters are looked up on first use."""
        loaded = self.loaded()
        if loaded.unavailable_reason:
            raise HostError(loaded.unavailable_reason)
        if loaded.checkpoint is None:
            raise HostError("no checkpoint is loaded yet", hint=self.another_checkpoint())
        return self.live_model(self.model_in_memory())

    def token(self, model: Any) -> object:
        """See live.model; the same object until somebody puts another info into the model."""
        if self._seen is None or not self._seen.still(model):
            info = model.sd_checkpoint_info
            self._seen = SeenModel(weakref.ref(model), info, info.filename)
        return self._seen

    def forget_weights(self) -> None:
        """Something else has written into the model, or will: no merge counts as in memory."""
        self._seen = None

    # --- loading ---

    def file_to_load(self, checkpoint: ListedFile | None) -> Path:
        """A checkpoint's file, by default the one in memory; HostError where there is none."""
        model = self.model_in_memory()
        path = checkpoint.path if checkpoint else None if model is None else self.file_of(model)
        if path is None:
            raise HostError("no checkpoint is loaded yet", hint=self.another_checkpoint())
        return path

    @contextmanager
    def loading(self) -> Generator[None]:
        """Turns whatever the host's loaders raise into a HostError that names another checkpoint."""
        try:
            yield
        except Exception as cause:
            raise HostError(
                "the WebUI could not load its checkpoint", where=str(cause), hint=self.another_checkpoint()
            ) from cause

    # --- jobs ---

    def separate_checkpoints(self, p: Any) -> None:
        """Another spelling of the path in the job's infos is enough where the host compares file names."""
        for name in LOADED_HALF_WAY:
            if info := getattr(p, name, None):
                setattr(p, name, self.another_copy(info))

    def another_copy(self, info: Any) -> Any:
        """The info with another spelling of its path, so that the host loads the file: the model in memory,
        which was loaded from it, holds a merge.

        The same info where that is not so.
        """
        model = self.model_in_memory()
        here = self.file_of(model) if model is not None else None
        if pinned_of(model) is None or info is None or Path(info.filename) != here or hasattr(info, COPY):
            return info
        folder, name = os.path.split(info.filename)
        other = copy.copy(info)
        other.filename = os.path.join(folder, ".", name)  # noqa: PTH118  pathlib would tidy it up
        setattr(other, COPY, True)
        other.calculate_shorthash = info.calculate_shorthash  # its own would join the host's list
        return other

    def recompute_conditioning(self, p: Any) -> None:
        """Compute the conditioning of the hires pass again: the weights have changed since the first pass."""
        p.hr_c = p.hr_uc = None
        with host_module("devices").autocast(), torch.no_grad():
            p.calculate_hr_conds()

    def on_checkpoint_option(self, then: Callable[[], None]) -> Callable[[], None]:
        """Call `then` after the host's own handler of the setting."""
        label = host_module("shared").opts.data_labels[CHECKPOINT_OPTION]
        before = label.onchange

        def changed() -> None:
            try:
                if before is not None:
                    before()
            finally:
                then()

        def undo() -> None:
            if label.onchange is changed:
                label.onchange = before

        label.onchange = changed
        return undo

    def checkpoint_listener(self, then: Callable[[str], None]) -> Callable[[Any, str], None]:
        """Listens to the list of checkpoints at the top of the page, and to the hidden button that the
        checkpoint cards click.
        """
        lists: list[Any] = []

        def listen(component: Any, name: str) -> None:
            if chosen := self.checkpoint_list(component, name):
                lists.append(chosen)
                chosen.select(then, inputs=[chosen], **SILENT)
            if name == "change_checkpoint" and lists:  # before the host, which takes the name away
                component.click(then, inputs=lists[-1:], **{_js_argument(component): NAME_ON_CARD}, **SILENT)

        return listen

    def checkpoint_list(self, component: Any, name: str) -> Any:
        """The list of checkpoints, where this component is it; None for others."""
        return component if name == "setting_sd_model_checkpoint" else None

    # --- what somebody else did to the weights ---

    def weights_altered(self) -> bool:
        """Whether the weights in memory differ from the loaded file though no merge is in memory.

        Compares one row of one tensor of each block.

        False while a job runs, where LoRAs are in the weights, and where the file cannot be read in part.
        """
        model, queue = self.model_in_memory(), part("call_queue", "queue_lock")
        if model is None or queue is None or pinned_of(model) or not self.is_complete(model):
            return False
        path = self.file_of(model)
        # a legacy file would be read whole
        if path is None or not has_suffix(path, SAFETENSORS) or not queue.acquire(blocking=False):
            return False
        try:
            live = self.live_model(model)
            return _differs(live, path, self._samples(model, live))
        except (MergeError, OSError) as cause:
            log.info("the weights in memory could not be compared: %s", cause)
            return False
        finally:
            queue.release()

    def _samples(self, model: Any, live: WebUIModel) -> Sequence[str]:
        if self._compared is None or self._compared[0]() is not model:
            self._compared = weakref.ref(model), _largest_of_blocks(live)
        return self._compared[1]

    # --- messages ---

    def another_checkpoint(self) -> str:
        """Hint that names a readable checkpoint other than the selected one, which the host believes to be
        loaded.
        """
        model = self.model_in_memory()
        here = self.file_of(model) if model is not None else None
        chosen = str(self.option(CHECKPOINT_OPTION, "") or "")
        for checkpoint in self.checkpoints():
            if here is None and chosen.startswith((f"{checkpoint.name}.", f"{checkpoint.path.name} ")):
                continue
            if checkpoint.path != here and _readable(checkpoint.path):
                return f"choose another checkpoint in the WebUI, such as {checkpoint.name}"
        return "choose another checkpoint in the WebUI"


def load_selected() -> None:
    """Load the selected checkpoint where another one is in memory, or none, as AUTOMATIC1111 and reForge do
    before each picture.
    """
    models = host_module("sd_models")
    if models.model_data.was_loaded_at_least_once:
        models.reload_model_weights()
    else:
        _ = host_module("shared").sd_model


def quantised_reason(key: str) -> str:
    """Why nothing is written into a model whose tensor of this key is no plain matrix of numbers."""
    return f"the model's weights are quantised or absent ({key}), so no merge can be loaded into them"


def _js_argument(component: Any) -> str:
    """What Gradio calls an event's script: `js` since Gradio 4. The WebUIs on it accept `_js` too, but only
    once a component is complete.
    """
    return "js" if "js" in inspect.signature(component.click).parameters else "_js"


def _readable(path: Path) -> bool:
    try:
        return bool(read_header(path).tensors)
    except MergeError:
        return False


def _largest_of_blocks(live: WebUIModel) -> Sequence[str]:
    """The key of the largest matrix of each block of the U-Net."""
    largest: dict[str, tuple[int, str]] = {}
    for key in live.keys():  # noqa: SIM118  a protocol, no mapping
        block = block_prefix(key)
        for place in live.places(key) if block else ():
            if place.tensor.ndim > 1 and place.start == 0:
                largest[block] = max(largest.get(block, (0, "")), (place.tensor.numel(), key))
    return tuple(key for _, key in largest.values())


def _differs(live: WebUIModel, path: Path, keys: Sequence[str]) -> bool:
    with open_checkpoint(path) as file, torch.inference_mode():
        for key in keys:
            if key not in file.header.tensors or live.has_lora(key):
                continue
            parameter = live.places(key)[0].tensor
            if not parameter.is_meta and not _row_equal(parameter, file.tensor(key)):
                return True
    return False


def _row_equal(parameter: Tensor, stored: Tensor) -> bool:
    """Whether the first rows are equal in the parameter's dtype; the host may convert to fp8 through fp16."""
    if parameter.shape != stored.shape:
        return False
    current, row = parameter[0].cpu(), stored[0]
    return torch.equal(current.float(), row.to(current.dtype).float()) or torch.equal(
        current.float(), row.half().to(current.dtype).float()
    )
