"""sd-mecha's recipes (.mecha), of its linear methods and slerp, as its versions to 1.1.8 write them.

Read off ljleb/sd-mecha, sd_mecha/serialization.py: one instruction a line, `dict`, `literal`, `model` or
`merge`; `&3` is the result of the fourth one; the last is the whole. A number by block is a `dict` of
sd-mecha's block names. Its version 1.1 writes a plain number as three lines: `dict key=0.3`, a `literal` of
that, and `merge "convert_singleton"` of the literal; a difference may end in `merge "fallback"`, which takes
keys that it lacks from its second model.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from lib_merge.errors import RecipeError
from lib_merge.recipe.imports.common import Imported, Maker
from lib_merge.recipe.model import BLEND, Amount, Setting
from lib_merge.recipe.numbers import Slots

TOOL = "sd-mecha"
FIRST = "version 0.1.0"
CONSTANTS = {"null": None, "true": True, "false": False}
BLOCK = re.compile(r"(?:.*_)?(in|out)(\d+)$|(?:.*_)?(mid)(?:dle)?(?:\d+)?$", re.IGNORECASE)
USUAL = {"weighted_sum": 0.5, "slerp": 0.5, "add_difference": 1.0, "scale": 1.0}
CONVERT = "convert_"  # between its kinds of models; a number or numbers by block stay what they are
SINGLE = {"key"}  # the one block of a plain number
PASSED = ("cast", "omit_non_finite")  # what they change of numbers is done here anyway


@dataclass(frozen=True)
class Node:
    """A model: the name of an ingredient or step, and whether it is a difference."""

    name: str
    delta: bool = False


def read_mecha(text: str) -> Imported:
    """A recipe; RecipeError for what cannot be said here."""
    maker = Maker(TOOL)
    results: list[object] = []
    for number, line in enumerate(text.splitlines()[1:], 2):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            try:
                results.append(_instruction(maker, bare, results))
            except (ValueError, IndexError) as cause:
                raise RecipeError(
                    f"{TOOL}: this line cannot be read", where=f"line {number}: {bare}"
                ) from cause
    last = results[-1] if results else None
    if not isinstance(last, Node):
        raise maker.refuse("the recipe ends without a model")
    if last.delta:
        raise maker.refuse("the recipe ends with a difference of models, not a model")
    return maker.done(last.name, vae=BLEND)  # it merges the VAE like everything else


def _instruction(maker: Maker, line: str, results: Sequence[object]) -> object:
    command, *words = shlex.split(line, posix=True)
    positional = [_value(word, results) for word in words if not re.match(r"\w+=", word)]
    pairs = (word.partition("=") for word in words if re.match(r"\w+=", word))
    named = {name: _value(value, results) for name, _, value in pairs}
    if command == "dict":
        return named
    if command == "literal":
        return positional[0]
    if command == "model":
        space = str(named.get("merge_space") or "weight")
        file = str(positional[0]).replace("\\", "/").rsplit("/", 1)[-1]
        return Node(maker.model(file), delta=space == "delta")
    if command == "merge":
        return _merge(maker, str(positional[0]), positional[1:], named)
    raise maker.refuse(f"'{command}' is no instruction of its version 0.1.0")


def _value(word: str, results: Sequence[object]) -> object:
    if word in CONSTANTS:
        return CONSTANTS[word]
    if re.fullmatch(r"&\d{1,9}", word, re.ASCII):
        return results[int(word[1:])]
    try:
        return float(word)
    except ValueError:
        return word


def _merge(maker: Maker, method: str, inputs: Sequence[object], named: Mapping[str, object]) -> object:
    if method.startswith(CONVERT) and len(inputs) == 1:
        return inputs[0]
    nodes = [each for each in inputs if isinstance(each, Node)]
    names = [node.name for node in nodes]
    rest = [each for each in inputs if not isinstance(each, Node)]
    if method == "fallback" and nodes:
        maker.note("'fallback' is left out: keys that a model lacks are A's here anyway")
        return nodes[0]
    if method in PASSED:
        maker.note(f"'{method}' is left out: numbers are rounded once here, and looked through")
        return nodes[0]
    known = method in (*USUAL, "n_average", "subtract")
    alpha = _amount(maker, named.get("alpha", rest[0] if rest else USUAL.get(method, 1.0))) if known else 0.0
    if method in ("weighted_sum", "slerp") and len(nodes) == 2:  # its slerp is ours, by tensor
        return Node(maker.step(method, names, alpha=alpha), nodes[0].delta)
    if method == "n_average":
        ones: Setting = tuple(1.0 for _ in nodes)
        return Node(maker.step("weighted_models", names, shares=ones, normalise=True), nodes[0].delta)
    if method == "subtract" and len(nodes) == 2:
        return Node(maker.step("weighted_models", names, shares=(1.0, -1.0)), delta=True)
    if method == "add_difference" and len(nodes) == 2:
        shares: Setting = (1.0, alpha)
        return Node(maker.step("weighted_models", names, shares=shares), nodes[0].delta)
    if method == "scale" and len(nodes) == 1:
        return Node(maker.step("self", names, alpha=alpha), nodes[0].delta)
    raise maker.refuse(
        f"its method '{method}' is not imported",
        "weighted_sum, slerp, n_average, subtract, add_difference and scale are",
    )


def _amount(maker: Maker, value: object) -> Amount:
    if isinstance(value, float):
        return value
    if isinstance(value, Mapping):
        blocks = cast("Mapping[str, object]", value)
        if set(blocks) == SINGLE:
            return float(str(blocks["key"]))
        return Slots(tuple(sorted((_slot(maker, name), float(str(each))) for name, each in blocks.items())))
    raise maker.refuse(f"{value!r} is no amount")


def _slot(maker: Maker, name: str) -> str:
    """Our slot of a block of its: unet_in04, in04 and IN04 are IN04."""
    found = BLOCK.match(name)
    if found and found[1]:
        return f"{found[1].upper()}{int(found[2]):02}"
    if found and found[3]:
        return "M00"
    plain = name.lower().rsplit("_", 1)[-1]
    known = {"base": "BASE", "txt": "BASE", "clip": "BASE", "vae": "VAE", "time": "TIME", "m00": "M00"}
    if plain in known:
        return known[plain]
    raise maker.refuse(f"its block '{name}' has no counterpart here")
