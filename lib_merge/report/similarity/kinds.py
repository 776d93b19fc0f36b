"""The table of kinds of comparison, for the command line, the page and the documentation.

Cheap to import, so that help is printed quickly: a kind imports its implementation on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lib_merge.errors import MergeError, did_you_mean

if TYPE_CHECKING:
    from lib_merge.checkpoint import Header
    from lib_merge.progress import Progress

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class ComparisonSettings:
    """The settings of a comparison: a base for differences, and the random seed of the noise."""

    base: Header | None
    seed: int | None
    progress: Progress


@dataclass(frozen=True)
class Similarity:
    """The result of comparing two models.

    values    slot -> similarity, 1 for equal blocks; NaN where a file holds NaN
    measures  slot -> all other measures of the slot, for a kind with `measures`
    parts     component -> the same measures
    left_out  keys that could not be compared
    """

    values: Numbers
    measures: Mapping[str, Numbers] = field(default_factory=dict[str, Numbers])
    parts: Mapping[str, Numbers] = field(default_factory=dict[str, Numbers])
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportKind:
    """One way to compare two models.

    id       its name on the command line and in JSON
    title    what the page calls it
    value    name of its measure; `value_to_base` the same with a base, whose name replaces {}
    help     what it compares, for the documentation
    same_as  the reference implementation with the same values
    compare  two headers and the settings -> the result; raises FamilyError for models of different families,
             and StoppedError when the progress is stopped
    seed     default seed of its noise; None for a kind without noise
    measures whether it also computes PairKernel's measures of every slot
    """

    id: str
    title: str
    value: str
    help: str
    compare: Callable[[Header, Header, ComparisonSettings], Similarity]
    same_as: str = ""
    value_to_base: str = ""
    seed: int | None = None
    measures: bool = False

    @property
    def takes_base(self) -> bool:
        """Whether differences to a base can be compared."""
        return bool(self.value_to_base)


def _weights(a: Header, b: Header, settings: ComparisonSettings) -> Similarity:
    from lib_merge.report.similarity.weights import compare_weights

    seen = compare_weights(a, b, settings.base, settings.progress)
    measures = {slot: group.measures for slot, group in seen.slots.items()}
    value = "cosine_concatenated" if settings.base is None else "cosine_of_differences"
    return Similarity(
        values={slot: numbers[value] for slot, numbers in measures.items()},
        measures=measures,
        parts={part: group.measures for part, group in seen.components.items()},
        left_out=seen.left_out,
    )


def _attention(form: str, title: str, help: str, seed: int, same_as: str = "") -> ReportKind:
    """A kind of attention similarity; see report.similarity.attention."""

    def compare(a: Header, b: Header, settings: ComparisonSettings) -> Similarity:
        from lib_merge.report.similarity.attention import attention_similarity

        chosen = seed if settings.seed is None else settings.seed
        return Similarity(attention_similarity(a, b, form, chosen, settings.progress))

    value = f"attention similarity, method: {form}"
    return ReportKind(
        id=form, title=title, value=value, help=help, compare=compare, same_as=same_as, seed=seed
    )


REPORT_KINDS: tuple[ReportKind, ...] = (
    ReportKind(
        id="weights",
        title="Weights",
        value="cosine of the weights",
        value_to_base="cosine of the differences to {}",
        help="all weights of a slot: cosine (as one vector, mean and least of its keys), 1 - cosine, "
        "relative L2, RMS, largest difference, equal elements; with `--base` the cosine of the differences "
        "to it",
        same_as="float64, to 1e-9",
        compare=_weights,
        measures=True,
    ),
    _attention(
        "attention",
        "Attention similarity (16 blocks, with totals)",
        "what the first self-attention of 16 blocks makes of noise, with totals of inputs and outputs",
        114514,
        same_as="`sdsim` where both look",
    ),
    _attention(
        "sdsim",
        "Attention, as the package sdsim",
        "the same for OUT03 to OUT10",
        114514,
        same_as="the package `sdsim`, every digit",
    ),
    _attention(
        "supermerger",
        "Attention, as SuperMerger",
        "the same 16 blocks with its order of noise",
        2244096,
        same_as="SuperMerger's asimilarity",
    ),
    _attention(
        "asim2",
        "Attention with heads, whatever the width",
        "every self-attention with heads, scaling and output, softened so that width does not count",
        114514,
    ),
)
DEFAULT_KIND = REPORT_KINDS[0].id


def report_kind(id: str) -> ReportKind:
    """The kind of this id; MergeError where there is none."""
    kind_by_id = {kind.id: kind for kind in REPORT_KINDS}
    if id not in kind_by_id:
        raise MergeError(f"there is no comparison of kind '{id}'", hint=did_you_mean(id, kind_by_id))
    return kind_by_id[id]


def seed_for_kind(kind: ReportKind, base: Header | None, seed: int | None) -> int | None:
    """The seed to use; MergeError for a base or a seed that the kind does not take."""
    if base is not None and not kind.takes_base:
        hint = f"--kind {next((other.id for other in REPORT_KINDS if other.takes_base), DEFAULT_KIND)}"
        raise MergeError(f"'{kind.id}' compares models without a base", where="--base", hint=hint)
    if seed is not None and kind.seed is None:
        hint = f"--kind {next((other.id for other in REPORT_KINDS if other.seed is not None), DEFAULT_KIND)}"
        raise MergeError(f"'{kind.id}' compares models without a seed", where="--seed", hint=hint)
    return kind.seed if seed is None else seed
