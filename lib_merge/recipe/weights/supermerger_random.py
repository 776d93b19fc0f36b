"""SuperMerger's letters for numbers drawn at random, in a list of block weights.

    R     from 0 to 1
    U     from -0.5 to 1.5
    X     from `low` to `high`
    D     `high` and up to half of `low` more or less
    ER EU EX   a number for each tensor of the block: 0 to 1, -1 to 1, `low` to `high`

R, U, X and D are rounded to `digits` and kept between `least` and `most`, which are 0 and 1 as on its page:
a U that is drawn at 1.3 is 1. They are its very numbers: the one at place i of the list is the i-th that
NumPy's MT19937 draws from the seed, after `skip` (for beta it passes over 50). What it draws for a tensor
hangs on the order of the tensors in a file; ours hangs on the tensor's name.

Read off hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/mergers.py (randdealer, eratiodealer,
RANDMAP) and scripts/supermerger.py (Let the Dice roll).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

from lib_merge.architectures import DEFAULT_LAYOUT, EXTENDED_NAMES, parse_numbers
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.limits import MAX_SEED
from lib_merge.recipe.weights.lists import print_number

RANGE_LETTERS = ("R", "U", "X")  # of a tensor, or with E before them of every tensor of a block
PER_TENSOR_LETTERS = tuple(f"E{letter}" for letter in RANGE_LETTERS)
RANDOM_LETTERS = (*RANGE_LETTERS, "D", *PER_TENSOR_LETTERS)
PRESETS = {f"ALL_{letter}": letter for letter in RANGE_LETTERS}  # that it adds to every preset file
LETTER = r"(?:E?[RUX]|D)(?![\w-])"
OPTION = re.compile(r"[\s,]*(\w+)\s*=\s*(\[[^\]]*\]|[^,\[\]]+)")
COUNT = 26
ELEMENT_U = (-1.0, 1.0)


@dataclass(frozen=True)
class RandomWeights:
    """A list of numbers and letters; a bound has one number for each entry, or one for all.

    seed  of the numbers; what is written without one is drawn from 0
    """

    layout: str
    entries: tuple[float | str, ...]
    seed: int = 0
    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (1.0,)
    least: tuple[float, ...] = (0.0,)
    most: tuple[float, ...] = (1.0,)
    digits: int = 3
    skip: int = 0

    @property
    def is_extended(self) -> bool:
        """Whether it is a list of SuperMerger's extended names of SDXL."""
        return self.layout == DEFAULT_LAYOUT.id and len(self.entries) == len(EXTENDED_NAMES)

    @property
    def is_per_key(self) -> bool:
        """Whether tensors of one block get different numbers."""
        return self.is_extended or any(entry in PER_TENSOR_LETTERS for entry in self.entries)

    def sample(self, index: int) -> float | None:
        """The number of the entry at `index`; None where every tensor of it has a number of its own."""
        entry = self.entries[index]
        if isinstance(entry, float):
            return entry
        if entry in PER_TENSOR_LETTERS:
            return None
        assert isinstance(entry, str)
        share = numpy_random(self.seed, len(self.entries) + self.skip)[index + self.skip]
        low, high = self.bounds(index)
        value = {
            "R": share,
            "U": -2 * share + 1.5,
            "X": (low - high) * share + high,
            "D": high + low * (share - 0.5),
        }[entry]
        kept = max(min(value, _at(self.most, index)), _at(self.least, index))
        # there a number that is drawn is NumPy's, a limit is Python's, and halves round otherwise
        return (_rounded(kept, self.digits) if kept == value else round(kept, self.digits)) + 0.0

    def bounds(self, index: int) -> tuple[float, float]:
        """Lower and upper bound of the random numbers of an entry's tensors."""
        plain = {"ER": (0.0, 1.0), "EU": ELEMENT_U}.get(str(self.entries[index]))
        return plain or (_at(self.low, index), _at(self.high, index))


def _at(bound: tuple[float, ...], index: int) -> float:
    return bound[0] if len(bound) == 1 else bound[index]


@lru_cache(maxsize=32)
def numpy_random(seed: int, count: int) -> tuple[float, ...]:
    """The first numbers of a seed, from 0 to 1: those of numpy.random.seed(seed), numpy.random.rand."""
    import numpy as np

    return tuple(np.random.RandomState(seed).random_sample(count).tolist())


def _rounded(value: float, digits: int) -> float:
    import numpy as np

    return float(np.round(value, digits))


def repeat_letter(letter: str, options: str, where: str) -> RandomWeights:
    """`R(seed = 7)`: a list of 26 entries that are all this letter."""
    return read_random_weights(", ".join([*([letter] * COUNT), options]), DEFAULT_LAYOUT.id, where)


def has_letters(text: str) -> bool:
    """Whether a list has letters among its numbers."""
    return re.search(rf"(?<![\w-]){LETTER}", text) is not None


def read_random_weights(text: str, layout: str, where: str) -> RandomWeights:
    """Parses a list with letters: entries, then options such as `seed = 7`."""
    listed = text[: _options_at(text)]
    entries = [_entry(word, where) for word in re.split(r"[\s,]+", listed.strip(" ,\n"))]
    options: dict[str, tuple[float, ...]] = {}
    at = len(listed)
    while at < len(text) and (option := OPTION.match(text, at)):
        options[option[1]] = parse_numbers(option[2], where=where)
        at = option.end()
    form = "supermerger[R, 0.5, X, seed = 7, low = 0.2, high = 0.8]"
    if text[at:].strip(" ,\n"):
        raise RecipeError(f"'{text[at:].strip(' ,')}' is not understood", where=where, hint=form)
    option_names = [field.name for field in fields(RandomWeights)][2:]
    for name, numbers in options.items():
        if name not in option_names:
            raise RecipeError(
                f"random numbers have no '{name}'", where=where, hint=did_you_mean(name, option_names) or form
            )
        several = name in ("low", "high", "least", "most")
        if len(numbers) not in ((1, len(entries)) if several else (1,)):
            what = f"{name} has {len(numbers)} numbers, and the list {len(entries)}"
            raise RecipeError(what, where=where, hint="one for every place, or one for all")
    usual = RandomWeights(layout, tuple(entries))
    return RandomWeights(
        layout,
        tuple(entries),
        _whole(options, "seed", usual.seed, MAX_SEED, where),
        options.get("low", usual.low),
        options.get("high", usual.high),
        options.get("least", usual.least),
        options.get("most", usual.most),
        _whole(options, "digits", usual.digits, 12, where),
        _whole(options, "skip", usual.skip, 1000, where),
    )


def _options_at(text: str) -> int:
    """The index of the name before the first =; the text's length where there is none."""
    equals = text.find("=")
    if equals < 0:
        return len(text)
    at = len(text[:equals].rstrip())
    while at > 0 and (text[at - 1].isalnum() or text[at - 1] == "_"):
        at -= 1
    return at


def _entry(word: str, where: str) -> float | str:
    return word if word in RANDOM_LETTERS else parse_numbers(word, where=where)[0]


def _whole(options: Mapping[str, tuple[float, ...]], name: str, usual: int, most: int, where: str) -> int:
    (number,) = options.get(name, (usual,))
    if number != int(number) or not 0 <= number <= most:
        raise RecipeError(f"{name} is an integer from 0 to {most}", where=where, hint=f"{name} = 3")
    return int(number)


def print_random_weights(weights: RandomWeights) -> str:
    """The text of the list in a recipe; 26 equal letters are written `R(seed = 0)`."""
    usual = RandomWeights("", ())
    options = [f"seed = {weights.seed}"]
    for name in ("low", "high", "least", "most"):
        bound = getattr(weights, name)
        if bound != getattr(usual, name):
            values = ", ".join(map(print_number, bound))
            options.append(f"{name} = {values if len(bound) == 1 else f'[{values}]'}")
    options += [
        f"{name} = {getattr(weights, name)}"
        for name in ("digits", "skip")
        if getattr(weights, name) != getattr(usual, name)
    ]
    first = weights.entries[0]
    alike = (
        isinstance(first, str) and weights.entries == (first,) * COUNT and weights.layout == DEFAULT_LAYOUT.id
    )
    if alike:
        return f"{first}({', '.join(options)})"
    entries = [entry if isinstance(entry, str) else print_number(entry) for entry in weights.entries]
    return f"{weights.layout}[{', '.join([*entries, *options])}]"
