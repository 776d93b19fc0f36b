"""What a family of models is, as data: its parts, its slots, and how a list of numbers is read.

A *slot* is what one fader moves: a set of key prefixes. The block slots (IN00.., M00, OUT00..) and
BASE make up the number lists that mixers paste. Every key outside of them has a slot of its own
(TIME, OUT, VAE; LABEL, CLIP_L and CLIP_G on SDXL), so that no list ever means two things: a *layout*
says which number of a list such a homeless slot follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from lib_merge.architectures.symmetry import Symmetries
from lib_merge.architectures.topology import Shapes, Tensors, Topology


class Component(str, Enum):
    """The parts of a checkpoint that people swap whole."""

    UNET = "unet"
    TEXT = "text"
    VAE = "vae"


class Role(str, Enum):
    """What a key is to a merge."""

    WEIGHT = "weight"  # arithmetic makes sense
    IDS = "ids"  # position_ids: written as int64 0..76, never merged
    MARKER = "marker"  # v_pred, ztsnr: copied from A
    EMA = "ema"  # training averages: stale after a merge, dropped
    SCHEDULE = "schedule"  # betas and their kin: rebuilt by every loader, dropped
    UNKNOWN = "unknown"  # nothing the family knows: left behind, and said so


@dataclass(frozen=True)
class Slot:
    """One fader's keys: every key that begins with one of the prefixes."""

    id: str
    component: Component
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Clue:
    """One thing to look for in a file: a key that is there (or is not), with so many axes, of such a size.

    axis, size  the axis that must have this size; widths decide nothing where structure can, so that
                models of any width are recognised
    """

    key: str
    absent: bool = False
    rank: int | None = None
    axis: int = 0
    size: int | None = None

    def holds(self, tensors: Tensors) -> bool:
        """Whether the file is as the clue says."""
        info = tensors.get(self.key)
        if info is None or self.absent:
            return self.absent and info is None
        if self.rank is not None and len(info.shape) != self.rank:
            return False
        return self.size is None or (len(info.shape) > self.axis and info.shape[self.axis] == self.size)


Signs = tuple[tuple[Clue, ...], ...]  # recognised where every clue of one of the rows holds


@dataclass(frozen=True)
class Family:
    """One family of models.

    id            short and stable, as stored in recipes: sd1, sd2, sdxl, ...
    slots         every slot; a key belongs to the slot with the longest matching prefix
    numbers       what a full list of block weights stands for, in order: BASE, IN00, ...
    groups        names that stand for several slots: BASE -> CLIP_L, CLIP_G on SDXL
    homeless      slots that no number of a list stands for
    lists         longer lists that people paste, as names in order; "" is a number without a home
    schedule      keys (exact) that loaders rebuild
    markers       keys (exact) that say how a model was trained
    carried       prefixes of a special model's extra parts (the depth estimator): copied from A
    leftovers     prefixes of what training left behind inside a slot (the VAE's loss): no weights
    ema           prefixes of training averages
    position_ids  keys (exact) that count 0..76
    conv_in       the convolution whose input channels tell inpainting models from plain ones
    signs         what each part of such a model is recognised by
    variants      kinds of this family and what they are recognised by; the first that fits
    v_signs       markers that say the model predicts v
    usual_prediction  what a file without any marker predicts, "" where that differs from file to file
    latents       which latents its VAE makes: VAEs of families that share them may be exchanged
    modelspec     modelspec.architecture of a plain model
    modelspec_v   the same of a model that predicts v, where it differs
    topology      the full-size model: every key and shape that its files hold
    symmetries    which channels may be rearranged without changing what the model computes; empty where
                  nobody has worked that out
    mergeable     False for families that are recognised and no more
    """

    id: str
    title: str
    slots: tuple[Slot, ...]
    numbers: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    homeless: tuple[str, ...] = ()
    lists: tuple[tuple[str, ...], ...] = ()
    schedule: frozenset[str] = frozenset()
    markers: frozenset[str] = frozenset()
    carried: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    ema: tuple[str, ...] = ()
    position_ids: frozenset[str] = frozenset()
    conv_in: str = ""
    signs: Mapping[Component, Signs] = field(default_factory=dict[Component, Signs])
    variants: tuple[tuple[str, tuple[Clue, ...]], ...] = ()
    v_signs: frozenset[str] = frozenset()
    usual_prediction: str = ""
    latents: str = ""
    modelspec: str = ""
    modelspec_v: str = ""
    topology: Topology = field(default_factory=Topology)
    symmetries: Symmetries = field(default_factory=Symmetries)
    mergeable: bool = True

    def __hash__(self) -> int:
        """By id: a family holds mappings, which have no hash."""
        return hash(self.id)

    @cached_property
    def slot_by_prefix(self) -> Mapping[str, Slot]:
        """Every prefix without its last dot, and the slot that it leads to."""
        return {prefix.removesuffix("."): slot for slot in self.slots for prefix in slot.prefixes}

    @cached_property
    def shapes(self) -> Shapes:
        """Every key and shape of the full-size model."""
        return self.topology.shapes()

    @cached_property
    def slot_by_id(self) -> Mapping[str, Slot]:
        """Every slot under its id."""
        return {slot.id: slot for slot in self.slots}


@dataclass(frozen=True)
class Identity:
    """What a checkpoint was recognised as.

    variant     "" (plain), "inpaint", "pix2pix", "depth", "upscaler", ...: mostly by conv_in's channels
    prediction  "eps", "v", or "" where the file does not tell
    components  the parts that the file holds
    ema         whether training averages are in it
    """

    family: Family
    variant: str = ""
    prediction: str = ""
    components: frozenset[Component] = frozenset()
    ema: bool = False

    @property
    def title(self) -> str:
        """Family and variant in words."""
        return f"{self.family.title}, {self.variant}" if self.variant else self.family.title

    @property
    def is_vae_only(self) -> bool:
        """Whether the file is a VAE alone, which fits every family of its latents."""
        return self.components == frozenset({Component.VAE})

    @property
    def modelspec(self) -> str:
        """modelspec.architecture of this model."""
        special = self.family.modelspec_v if self.prediction == "v" else ""
        return special or self.family.modelspec


@dataclass(frozen=True)
class Layout:
    """How another tool reads a list of numbers: what each homeless slot follows.

    follows     homeless slot -> "IN00", "BASE", "LAST_OUT" (the last number of the list), or
                "A" (stays A's)
    exceptions  family id -> what its slots follow instead
    lists       family id -> lists that this tool alone knows, as names in order
    source      where this was read
    """

    id: str
    title: str
    follows: Mapping[str, str]
    source: str = ""
    exceptions: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    lists: Mapping[str, tuple[tuple[str, ...], ...]] = field(
        default_factory=dict[str, tuple[tuple[str, ...], ...]]
    )
