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
from lib_merge.recipe.imports.common import Imported, RecipeBuilder
from lib_merge.recipe.imports.importer import Importer, ImportSource
from lib_merge.recipe.model import Amount, Setting
from lib_merge.recipe.options import BLEND
from lib_merge.recipe.weights.lists import Slots

TOOL = "sd-mecha"
MECHA_FIRST_LINE = "version 0.1.0"
CONSTANTS = {"null": None, "true": True, "false": False}
BLOCK_NAME = re.compile(r"(?:.*_)?(in|out)(\d+)$|(?:.*_)?(mid)(?:dle)?(?:\d+)?$", re.IGNORECASE)
DEFAULT_AMOUNTS = {"weighted_sum": 0.5, "slerp": 0.5, "add_difference": 1.0, "scale": 1.0}
CONVERT = "convert_"  # between its kinds of models; a number or numbers by block stay what they are
SINGLE = {"key"}  # the one block of a plain number
PASSED = ("cast", "omit_non_finite")  # what they change of numbers is done here anyway


@dataclass(frozen=True)
class Node:
    """A model: the name of an ingredient or step, and whether it is a difference."""

    name: str
    delta: bool = False


def read_mecha(text: str) -> Imported:
    """Imports a recipe; RecipeError for what has no counterpart here."""
    maker = RecipeBuilder(TOOL)
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
        raise maker.unsupported("the recipe ends without a model")
    if last.delta:
        raise maker.unsupported("the recipe ends with a difference of models, not a model")
    return maker.build(last.name, vae=BLEND)  # it merges the VAE like everything else


def _instruction(maker: RecipeBuilder, line: str, results: Sequence[object]) -> object:
    command, *arguments = shlex.split(line, posix=True)
    positional = [_value(word, results) for word in arguments if not re.match(r"\w+=", word)]
    pairs = (word.partition("=") for word in arguments if re.match(r"\w+=", word))
    named = {name: _value(value, results) for name, _, value in pairs}
    if command == "dict":
        return named
    if command == "literal":
        return positional[0]
    if command == "model":
        space = str(named.get("merge_space") or "weight")
        file = str(positional[0]).replace("\\", "/").rsplit("/", 1)[-1]
        return Node(maker.add_model(file), delta=space == "delta")
    if command == "merge":
        return _merge(maker, str(positional[0]), positional[1:], named)
    raise maker.unsupported(f"'{command}' is no instruction of its version 0.1.0")


def _value(word: str, results: Sequence[object]) -> object:
    if word in CONSTANTS:
        return CONSTANTS[word]
    if re.fullmatch(r"&\d{1,9}", word, re.ASCII):
        return results[int(word[1:])]
    try:
        return float(word)
    except ValueError:
        return word


def _merge(
    maker: RecipeBuilder, method: str, inputs: Sequence[object], named: Mapping[str, object]
) -> object:
    if method.startswith(CONVERT) and len(inputs) == 1:
        return inputs[0]
    nodes = [argument for argument in inputs if isinstance(argument, Node)]
    names = [node.name for node in nodes]
    rest = [argument for argument in inputs if not isinstance(argument, Node)]
    if method == "fallback" and nodes:
        maker.add_note("'fallback' is left out: keys that a model lacks are A's here anyway")
        return nodes[0]
    if method in PASSED:
        maker.add_note(f"'{method}' is left out: numbers are rounded once here, and looked through")
        return nodes[0]
    takes_alpha = method in (*DEFAULT_AMOUNTS, "n_average", "subtract")
    alpha = (
        _amount(maker, named.get("alpha", rest[0] if rest else DEFAULT_AMOUNTS.get(method, 1.0)))
        if takes_alpha
        else 0.0
    )
    if method in ("weighted_sum", "slerp") and len(nodes) == 2:  # its slerp is ours, by tensor
        return Node(maker.add_step(method, names, alpha=alpha), nodes[0].delta)
    if method == "n_average":
        ones: Setting = tuple(1.0 for _ in nodes)
        return Node(
            maker.add_step("weighted_models", names, model_weights=ones, normalize=True), nodes[0].delta
        )
    if method == "subtract" and len(nodes) == 2:
        return Node(maker.add_step("weighted_models", names, model_weights=(1.0, -1.0)), delta=True)
    if method == "add_difference" and len(nodes) == 2:
        shares: Setting = (1.0, alpha)
        return Node(maker.add_step("weighted_models", names, model_weights=shares), nodes[0].delta)
    if method == "scale" and len(nodes) == 1:
        return Node(maker.add_step("self", names, alpha=alpha), nodes[0].delta)
    raise maker.unsupported(
        f"its method '{method}' is not imported",
        "weighted_sum, slerp, n_average, subtract, add_difference and scale are",
    )


def _amount(maker: RecipeBuilder, value: object) -> Amount:
    if isinstance(value, float):
        return value
    if isinstance(value, Mapping):
        blocks = cast("Mapping[str, object]", value)
        if set(blocks) == SINGLE:
            return float(str(blocks["key"]))
        return Slots(
            tuple(sorted((_slot(maker, name), float(str(amount))) for name, amount in blocks.items()))
        )
    raise maker.unsupported(f"{value!r} is no amount")


def _slot(maker: RecipeBuilder, name: str) -> str:
    """The slot of a block by sd-mecha's name: unet_in04, in04 and IN04 are IN04."""
    match = BLOCK_NAME.match(name)
    if match and match[1]:
        return f"{match[1].upper()}{int(match[2]):02}"
    if match and match[3]:
        return "M00"
    plain = name.lower().rsplit("_", 1)[-1]
    slot_by_name = {"base": "BASE", "txt": "BASE", "clip": "BASE", "vae": "VAE", "time": "TIME", "m00": "M00"}
    if plain in slot_by_name:
        return slot_by_name[plain]
    raise maker.unsupported(f"its block '{name}' has no counterpart here")


def _read(source: ImportSource) -> Imported:
    return read_mecha(source.text)


MECHA = Importer(
    tool=TOOL,
    reads="recipes (`.mecha`) of its linear methods and slerp",
    example='version 0.1.0\nmodel "a.safetensors" "sd1-ldm"\nmodel "b.safetensors" "sd1-ldm"\n'
    'merge "weighted_sum" &0 &1 alpha=0.25\n',
    recognises=lambda source: source.text.startswith("version 0.1"),
    read=_read,
)
