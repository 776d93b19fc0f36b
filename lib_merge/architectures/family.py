"""The data types that describe a family of models: its components, its slots, its lists of block weights.

A *slot* is the set of keys that one fader controls, given by prefixes. The lists of block weights that users
paste have a number for BASE (the text encoder) and for each block (IN00.., M00, OUT00..). All other keys have
slots too (TIME, OUT, VAE; LABEL, CLIP_L and CLIP_G on SDXL), of which tools treat some differently: an
*unlisted slot* has no number in a list, and a *layout* (of a tool) says which number it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from lib_merge.architectures.part_topology import ShapeMap, Tensors
from lib_merge.architectures.pipeline import Pipeline
from lib_merge.architectures.symmetry import Heads, Symmetries
from lib_merge.architectures.topology import Topology


class Component(str, Enum):
    """The models in a checkpoint, each of which can be replaced as a whole."""

    UNET = "unet"
    TEXT = "text"
    VAE = "vae"


class Role(str, Enum):
    """How a merge treats a key."""

    WEIGHT = "weight"  # merged
    IDS = "ids"  # position_ids: written as int64 0..76
    MARKER = "marker"  # v_pred, ztsnr: copied from A
    EMA = "ema"  # EMA weights: dropped, since they would not belong to the merged weights
    SCHEDULE = (
        "schedule"  # betas and other buffers of the noise schedule: dropped, every loader computes them
    )
    UNKNOWN = "unknown"  # a key that the family does not know: dropped with a note


@dataclass(frozen=True)
class Slot:
    """The keys of one fader: all keys with one of the prefixes (the longest matching prefix of all slots
    decides)."""

    id: str
    component: Component
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Fingerprint:
    """A condition on a file's tensors: a key exists, or (`absent`) does not exist.

    rank        the number of axes that the tensor must have; None for any
    axis, size  the axis that must have this size; None for any. Widths are tested only where the structure
                does not decide, so that models of any width are recognised
    """

    key: str
    absent: bool = False
    rank: int | None = None
    axis: int = 0
    size: int | None = None

    def matches(self, tensors: Tensors) -> bool:
        """Whether the file's tensors meet the condition."""
        info = tensors.get(self.key)
        if info is None or self.absent:
            return self.absent and info is None
        if self.rank is not None and len(info.shape) != self.rank:
            return False
        return self.size is None or (len(info.shape) > self.axis and info.shape[self.axis] == self.size)


Fingerprints = tuple[tuple[Fingerprint, ...], ...]  # recognised where all conditions of one row are met


@dataclass(frozen=True)
class Network:
    """The U-Net (or transformer) of a family: how to recognise it under other prefixes, and to rename its
    keys.

    prefix             canonical prefix of the network's keys
    marker_key         a key below the prefix that no other network has
    vae_prefix         canonical prefix of the VAE in the same file
    modules            prefixes of keys below the prefix, in addition to those of the slots
    excluded_prefixes  prefixes of names that only other files with the same marker key have (a ControlNet)
    replacements       (regular expression, replacement) for keys with two names
    """

    prefix: str
    marker_key: str
    vae_prefix: str
    modules: tuple[str, ...] = ()
    excluded_prefixes: tuple[str, ...] = ()
    replacements: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Spelling:
    """A naming scheme of files that differs from the canonical keys by prefixes.

    title    which files use it
    renames  pairs of (prefix in the file, canonical prefix); the first that matches a name applies
    applies  whether a file uses it, from all its names and shapes
    """

    title: str
    renames: tuple[tuple[str, str], ...]
    applies: Callable[[Mapping[str, tuple[int, ...]]], bool]

    def rename(self, name: str) -> str:
        """The name with its prefix replaced; unchanged where no prefix matches."""
        for old, new in self.renames:
            if name.startswith(old):
                return new + name.removeprefix(old)
        return name


@dataclass(frozen=True)
class SelfAttention:
    """The self-attention layers of a U-Net.

    layer   regular expression that matches the key of a layer's query matrix; group `layer` is the prefix of
            the layer's keys, group `depth` the layer's index within its block
    heads   how its channels are divided into heads
    query, key, value, out  the layer's four matrices, as keys below its prefix
    """

    layer: str
    heads: Heads
    query: str
    key: str
    value: str
    out: str

    @property
    def matrices(self) -> Mapping[str, str]:
        """The keys of the four matrices under the letters of the formulas: q, k, v, out."""
        return {"q": self.query, "k": self.key, "v": self.value, "out": self.out}


# The change of the last three latent channels, in fiftieths, for one step of Adjust's brightness, cyan-red,
# magenta-green and yellow-blue.
LatentShift = tuple[float, float, float]
ToneVectors = tuple[LatentShift, LatentShift, LatentShift, LatentShift]
RangeAmounts = tuple[tuple[str, float], ...]  # (slot or range of slots, amount): ("IN00-IN03", 1)


@dataclass(frozen=True)
class Family:
    """One family of models.

    id              short and stable, as stored in recipes: "sd1", "sdxl"
    title           name in messages: "Stable Diffusion 1"
    slots           all slots; a key belongs to the slot with the longest matching prefix
    listed_names    the slots or groups that a full list of block weights has numbers for, in order: BASE,
                    IN00, ...
    groups          group -> its slots: BASE -> CLIP_L, CLIP_G on SDXL
    unlisted_slots  slots that have no number in a list
    other_lists     further lists that users paste, as names in order; "" for a number that is ignored
    schedule        keys of buffers of the noise schedule, which loaders compute
    markers         keys that say how a model was trained
    passthrough_prefixes  prefixes of extra models in special variants (the depth estimator): copied from A
    dropped_prefixes      prefixes of keys within a slot that are not weights of the model (the VAE's loss)
    ema_prefixes    prefixes of EMA weights
    position_ids    keys of position_ids buffers (0..76)
    conv_in         key of the convolution whose input channels distinguish inpainting models
    fingerprints    component -> conditions by which it is recognised (see `Fingerprints`)
    variants        (name, conditions) of the family's variants; the first whose conditions are met
    v_markers       markers of models with v-prediction
    default_prediction    what a file without a marker predicts; "" where that is unknown
    latent_space    name of its VAE's latent space: the VAEs of families that share it can be exchanged
    modelspec       modelspec.architecture of a plain model
    modelspec_v     modelspec.architecture of a model with v-prediction, where it differs
    topology        all keys and shapes of the full-size model
    symmetries      which channels can be permuted without changing the model's output; empty where unknown
    mergeable       False for families that are only recognised
    short_title     short name, in the list of supported families in messages
    network         its U-Net or transformer (see `Network`)
    spellings       other naming schemes of its files, each applied to the result of the previous one
    attention       its self-attention layers; None where the attention report does not support it
    purpose_presets       preset name (COMPOSITION, ...) -> its amounts
    embedding_slots       slots of time and size embeddings, which are not saved as fp8: it would spoil them
    tone_vectors    the effect of Adjust's brightness and tones on the last convolution; None as on SD1
    optional_suffixes     suffixes of keys that complete files may lack
    pipeline        its diffusers pipeline; None where there is none
    """

    id: str
    title: str
    slots: tuple[Slot, ...]
    listed_names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    unlisted_slots: tuple[str, ...] = ()
    other_lists: tuple[tuple[str, ...], ...] = ()
    schedule: frozenset[str] = frozenset()
    markers: frozenset[str] = frozenset()
    passthrough_prefixes: tuple[str, ...] = ()
    dropped_prefixes: tuple[str, ...] = ()
    ema_prefixes: tuple[str, ...] = ()
    position_ids: frozenset[str] = frozenset()
    conv_in: str = ""
    fingerprints: Mapping[Component, Fingerprints] = field(default_factory=dict[Component, Fingerprints])
    variants: tuple[tuple[str, tuple[Fingerprint, ...]], ...] = ()
    v_markers: frozenset[str] = frozenset()
    default_prediction: str = ""
    latent_space: str = ""
    modelspec: str = ""
    modelspec_v: str = ""
    topology: Topology = field(default_factory=Topology)
    symmetries: Symmetries = field(default_factory=Symmetries)
    mergeable: bool = True
    short_title: str = ""
    network: Network | None = None
    spellings: tuple[Spelling, ...] = ()
    attention: SelfAttention | None = None
    purpose_presets: Mapping[str, RangeAmounts] = field(default_factory=dict[str, RangeAmounts])
    embedding_slots: tuple[str, ...] = ()
    tone_vectors: ToneVectors | None = None
    optional_suffixes: tuple[str, ...] = ()
    pipeline: Pipeline | None = None

    def __hash__(self) -> int:
        """The hash of the id, since mappings cannot be hashed."""
        return hash(self.id)

    @cached_property
    def slot_by_prefix(self) -> Mapping[str, Slot]:
        """Prefix without its last dot -> slot."""
        return {prefix.removesuffix("."): slot for slot in self.slots for prefix in slot.prefixes}

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """Prefixes of the network's keys below `network.prefix`: modules, and whole keys."""
        if self.network is None:
            return ()
        prefix = self.network.prefix
        within = (name.removeprefix(prefix) for name in self.slot_prefixes if name.startswith(prefix))
        first = (name.partition(".")[0] + "." if "." in name else name for name in within)
        return tuple(dict.fromkeys((*first, *self.network.modules)))

    @cached_property
    def slot_prefixes(self) -> tuple[str, ...]:
        """The prefixes of all slots."""
        return tuple(prefix for slot in self.slots for prefix in slot.prefixes)

    @cached_property
    def shapes(self) -> ShapeMap:
        """Key -> shape of the full-size model."""
        return self.topology.shapes()

    def problems(self) -> Iterator[str]:
        """Contradictions in the data, as messages."""
        slots = [slot.id for slot in self.slots]
        for slot in sorted({slot for slot in slots if slots.count(slot) > 1}):
            yield f"two slots are called '{slot}'"
        listed = {slot for name in self.listed_names for slot in self.groups.get(name, (name,))}
        for slot in sorted({*self.unlisted_slots, *listed} - {*slots}):
            yield f"there is no slot '{slot}'"
        for slot in slots:
            if (slot in listed) == (slot in self.unlisted_slots):
                yield f"slot '{slot}' must be in `listed_names` (or in their `groups`) or in `unlisted_slots`"

    @cached_property
    def slot_by_id(self) -> Mapping[str, Slot]:
        """Id -> slot."""
        return {slot.id: slot for slot in self.slots}


@dataclass(frozen=True)
class Identity:
    """The detected family, variant and components of a checkpoint.

    variant     "" (plain), "inpaint", "pix2pix", "depth", "upscaler", ...; mostly by the input channels of
                conv_in
    prediction  what the U-Net predicts: "eps" (noise), "v" (velocity), or "" where the file does not say
    components  the components that the file contains
    ema         whether it contains EMA weights
    """

    family: Family
    variant: str = ""
    prediction: str = ""
    components: frozenset[Component] = frozenset()
    ema: bool = False

    @property
    def title(self) -> str:
        """The titles of family and variant: "Stable Diffusion 1, inpaint"."""
        return f"{self.family.title}, {self.variant}" if self.variant else self.family.title

    @property
    def is_vae_only(self) -> bool:
        """Whether the file contains only a VAE, which fits every family with the same latent space."""
        return self.components == frozenset({Component.VAE})

    @property
    def modelspec(self) -> str:
        """modelspec.architecture of this model."""
        v_prediction = self.family.modelspec_v if self.prediction == "v" else ""
        return v_prediction or self.family.modelspec


@dataclass(frozen=True)
class Layout:
    """How a tool reads a list of block weights: which number each unlisted slot takes.

    fallback_for  unlisted slot -> the name whose number it takes: "IN00", "BASE", "LAST_OUT" (the list's last
                  number), or "A" (the slot stays A's)
    exceptions    family id -> entries that replace those of `fallback_for`
    lists         family id -> further lists that only this tool has, as names in order
    source        the tool's source code that this was taken from
    """

    id: str
    title: str
    fallback_for: Mapping[str, str]
    source: str = ""
    exceptions: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    lists: Mapping[str, tuple[tuple[str, ...], ...]] = field(
        default_factory=dict[str, tuple[tuple[str, ...], ...]]
    )
