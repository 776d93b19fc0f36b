"""What AUTOMATIC1111's own merger and SuperMerger write into files, and SuperMerger's mergehistory.csv.

Read off AUTOMATIC1111/stable-diffusion-webui v1.10.1, modules/extras.py, and hako-mikan/sd-webui-supermerger
0b1c491, scripts/mergers/mergers.py (smerge, rwmergelog). Both merge every key with "model" in its name, the
VAE too: the VAE is blended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

from lib_merge.architectures import EXTENDED_NAMES
from lib_merge.dtypes import F16
from lib_merge.errors import RecipeError
from lib_merge.limits import MAX_HISTORY
from lib_merge.recipe.imports.common import Imported, RecipeBuilder, block_weights, number_field, text_field
from lib_merge.recipe.imports.history_csv import check_row, history_rows, is_history
from lib_merge.recipe.imports.importer import Importer, ImportSource
from lib_merge.recipe.model import Amount, Setting
from lib_merge.recipe.options import BLEND
from lib_merge.recipe.weights.lists import print_number
from lib_merge.recipe.weights.parse import parse_rules
from lib_merge.recipe.weights.rules import make_optional, overlay_rules
from lib_merge.recipe.weights.supermerger_random import PER_TENSOR_LETTERS, has_letters

A1111_TOOL, SUPERMERGER_TOOL = "AUTOMATIC1111's merger", "SuperMerger"
SKIPPED = 50  # of the numbers drawn, before beta's
LETTER_RATIO = re.compile(r":\s*([RUX])\s*$")
# calcmode -> (our method, whether it takes beta), for its modes Weight sum and Add difference
CALCMODES = {
    "cosineA": "supermerger_cosine_a",
    "cosineB": "supermerger_cosine_b",
    "trainDifference": "train_difference",
    "smoothAdd": "smooth_add",
    "smoothAdd MT": "smooth_add",
    "extract": "extract",
    "tensor": "tensor_sum",
    "tensor2": "tensor2_sum",
    "self": "self",
}
WITH_C = ("train_difference", "smooth_add", "extract", "add_difference")
WITH_BETA = ("tensor_sum", "tensor2_sum", "extract")

Models = Mapping[str, object]


def read_a1111(metadata: Mapping[str, object], models: Models) -> Imported:
    """Imports `sd_merge_recipe` of type "webui"."""
    maker = RecipeBuilder(A1111_TOOL)
    hashes = [text_field(metadata, f"{which}_model_hash") for which in ("primary", "secondary", "tertiary")]
    names = [maker.add_model(_name(models, sha), sha) for sha in hashes if sha]
    kind, alpha = text_field(metadata, "interp_method"), number_field(metadata, "multiplier", 0.5)
    if kind == "Weighted sum" and len(names) >= 2:
        result = maker.add_step("weighted_sum", names[:2], alpha=alpha)
    elif kind == "Add difference" and len(names) == 3:
        result = maker.add_step("add_difference", names, alpha=alpha)
    elif kind == "No interpolation" and names:
        result = names[0]
    else:
        raise maker.unsupported(f"'{kind}' of {len(names)} models is nothing that it makes")
    bake = text_field(metadata, "bake_in_vae")
    if text_field(metadata, "discard_weights"):
        maker.add_note(f"weights that fit '{metadata['discard_weights']}' were discarded; here all are kept")
    vae = bake if bake not in ("", "None", "Automatic") else BLEND
    return maker.build(result, vae=vae, dtype=F16 if metadata.get("save_as_half") is True else None)


def read_supermerger(metadata: Mapping[str, object], models: Models) -> Imported:
    """Imports `sd_merge_recipe` of type "sd-webui-supermerger"."""
    hashes = {letter: text_field(metadata, f"model_{letter}") for letter in "abc"}
    files = {word: (_name(models, sha), sha) for word, sha in hashes.items() if sha}
    fields = dict(metadata)
    for word in ("alpha", "beta"):
        numbers = metadata.get(f"weights_{word}")
        if isinstance(numbers, list):  # without BASE, which has a field of its own
            listed = cast("list[object]", numbers)
            fields[f"weights_{word}"] = ",".join(map(str, [metadata.get(f"base_{word}"), *listed]))
    maker = RecipeBuilder(SUPERMERGER_TOOL)
    left_out = [
        name for name in ("Include", "Exclude") if any(cast("Sequence[object]", metadata.get(name) or ()))
    ]
    for name in left_out:
        maker.add_note(
            f"its list '{name}' {metadata[name]} is not carried over: set it with include or exclude"
        )
    maker.add_note("it records no VAE, no Adjust, no gamma and no seed: check those")
    return _supermerger(maker, fields, files)


def read_history(text: str, entry: str = "") -> Imported:
    """Imports one row of mergehistory.csv: the row of an ID, or the last."""
    rows = history_rows(text)
    if not rows:
        raise RecipeError(f"{SUPERMERGER_TOOL}: this history is empty")
    row = next((row for row in rows if row["id"] == entry), None) if entry else rows[-1]
    if row is None:
        raise RecipeError(
            f"{SUPERMERGER_TOOL}: this history has no ID {entry}",
            hint=f"IDs {rows[0]['id']} to {rows[-1]['id']}",
        )
    return read_row(row)


def read_row(row: Mapping[str, str]) -> Imported:
    """Imports the merge of one row of a history."""
    check_row(row)
    maker = RecipeBuilder(SUPERMERGER_TOOL)
    files = {
        word: (f"[{row[f'model_{word}']}]", row[f"model_{word}"])
        for word in "abc"
        if row.get(f"model_{word}")
    }
    maker.add_note("its history names models by their short hashes: they are found by those")
    if row.get("adjust"):
        maker.add_note(f"Adjust {row['adjust']} is not carried over: add it as a step of its own")
    if row.get("blocks", "").strip("[] ") or row.get("elements"):
        maker.add_note(
            f"its list '{row.get('inex')}' {row.get('blocks')} {row.get('elements')} is not carried over"
        )
    return _supermerger(maker, row, files)


def _supermerger(
    maker: RecipeBuilder, fields: Mapping[str, object], files: Mapping[str, tuple[str, str]]
) -> Imported:
    mode = text_field(fields, "mode").split(":")[0]
    calc = text_field(fields, "calcmode") or "normal"
    by_block = text_field(fields, "mbw") in ("True", "true")
    alpha = _amount(maker, fields, "alpha", by_block)
    beta = _amount(maker, fields, "beta", by_block) if _uses_beta(mode, calc) else 0.0
    if text_field(fields, "elemental_merge"):
        alpha = _elemental(maker, alpha, text_field(fields, "elemental_merge"), text_field(fields, "seed"))
    names = {
        word: maker.add_model(*file) for word, file in files.items() if word != "c" or _uses_c(mode, calc)
    }
    needed = "a" if calc == "self" else "ab"
    if missing := [word.upper() for word in needed if word not in names]:
        raise maker.unsupported(f"it recorded no hash of model {', '.join(missing)}, so it cannot be found")
    if calc != "normal":
        return maker.build(_calc(maker, calc, names, alpha, beta), vae=BLEND)
    inputs = [names[word] for word in "abc" if word in names]
    if mode == "Weight sum":
        result = maker.add_step("weighted_sum", inputs[:2], alpha=alpha)
    elif mode == "Add difference" and len(inputs) == 3:
        result = maker.add_step("add_difference", inputs, alpha=alpha)
    elif mode in ("Triple sum", "sum Twice") and len(inputs) == 3:
        method = "triple_sum" if mode == "Triple sum" else "sum_twice"
        result = maker.add_step(method, inputs, alpha=alpha, beta=beta)
    else:
        raise maker.unsupported(f"'{mode}' of {len(inputs)} models is nothing that it makes")
    return maker.build(result, vae=BLEND)


def _uses_c(mode: str, calc: str) -> bool:
    return mode in ("Add difference", "Triple sum", "sum Twice", "Add") or CALCMODES.get(calc) in WITH_C


def _uses_beta(mode: str, calc: str) -> bool:
    return mode in ("Triple sum", "sum Twice") or CALCMODES.get(calc) in WITH_BETA


def _calc(maker: RecipeBuilder, calc: str, names: Mapping[str, str], alpha: Amount, beta: Amount) -> str:
    method = CALCMODES.get(calc)
    if method is None:
        raise maker.unsupported(f"its calcmode '{calc}' has no counterpart here", "merge-desk methods")
    if method == "self":
        return maker.add_step(method, [names["a"]], alpha=alpha)
    letters = "abc" if method in WITH_C else "ab"
    if any(word not in names for word in letters):
        raise maker.unsupported(f"{calc} works with {len(letters)} models")
    settings: dict[str, Setting] = {"alpha": alpha, **({"beta": beta} if method in WITH_BETA else {})}
    return maker.add_step(method, [names[word] for word in letters], **settings)


def _amount(maker: RecipeBuilder, fields: Mapping[str, object], word: str, by_block: bool) -> Amount:
    text = text_field(fields, f"weights_{word}").strip("[]")
    base = number_field(fields, f"base_{word}", 0.5 if word == "alpha" else 0.25)
    if by_block and has_letters(text):
        return _drawn(maker, text, base, word, text_field(fields, "seed"))
    return block_weights(text, base) if by_block and text else base


def _drawn(maker: RecipeBuilder, text: str, base: float, word: str, seed: str) -> Amount:
    """Block weights with its letters for numbers drawn at random, from the seed that it recorded."""
    letters = sorted(set(re.findall(r"[A-Za-z]+", text)))
    shown = ", ".join(letters)
    if not set(letters) <= {"R", "U", *PER_TENSOR_LETTERS}:
        what = f"its weights hold {shown}: X and D draw a number between limits, which it does not record"
        raise maker.unsupported(what, "write the numbers themselves")
    if not _is_seed(seed):
        what = f"its weights hold {shown}, numbers drawn at random, and no seed is recorded to draw them from"
        raise maker.unsupported(what, "write the numbers themselves")
    entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
    if len(entries) in (25, 19):  # BASE stands beside them
        entries.insert(0, print_number(base))
    if len(entries) not in (26, 20, len(EXTENDED_NAMES)):
        raise maker.unsupported(f"its weights are {len(entries)} numbers and letters", "26, or 20 on SDXL")
    if set(letters) & set(PER_TENSOR_LETTERS):
        maker.add_note("its letters with E draw for every tensor by the order of the file: here by its name")
    skip = f", skip = {SKIPPED}" if word == "beta" else ""
    maker.add_note(f"its letters {shown} are drawn from its seed {seed}, kept from 0 to 1, with 3 digits")
    return parse_rules(f"supermerger[{', '.join(entries)}, seed = {seed}{skip}]")


def _is_seed(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _elemental(maker: RecipeBuilder, amount: Amount, text: str, seed: str) -> Amount:
    """Its lines of BLOCKS:ELEMENTS:RATIO, laid over the amount by block."""
    lines = [line.strip() for line in text.replace(",", "\n").splitlines() if line.count(":") == 2]
    if not lines:
        return amount
    number = seed if _is_seed(seed) else "0"
    drawn = [LETTER_RATIO.sub(rf":E\1(seed = {number})", line) for line in lines]
    if drawn != lines:
        maker.add_note(
            "its letters draw a number for every tensor by the order of the file: "
            f"here they are drawn again, from seed {number}"
        )
    return overlay_rules(amount, make_optional(parse_rules("\n".join(drawn))))


def _name(models: Models, sha256: str) -> str:
    """What `sd_merge_models` calls a file, without its folder and hash; else its short hash."""
    entry = models.get(sha256)
    name = str(cast("Mapping[str, object]", entry).get("name", "")) if isinstance(entry, Mapping) else ""
    bare = name.rsplit(" [", 1)[0].replace("\\", "/").rsplit("/", 1)[-1]
    return bare or f"[{sha256[:10]}]"


# --- importers ---


def _read_a1111(source: ImportSource) -> Imported:
    return read_a1111(source.recipe, source.models)


def _read_supermerger(source: ImportSource) -> Imported:
    return read_supermerger(source.recipe, source.models)


def _read_history(source: ImportSource) -> Imported:
    return read_history(source.text, source.entry)


A1111_METADATA = Importer(
    tool=A1111_TOOL,
    reads="metadata of its files",
    example='{"sd_merge_recipe": {"type": "webui", "primary_model_hash": "aaaaaaaaaa", '
    '"secondary_model_hash": "bbbbbbbbbb", "interp_method": "Weighted sum", "multiplier": 0.25}}',
    recognises=lambda source: source.type == "webui",
    read=_read_a1111,
)
SUPERMERGER_METADATA = Importer(
    tool=SUPERMERGER_TOOL,
    reads="metadata of its files",
    example='{"sd_merge_recipe": {"type": "sd-webui-supermerger", "model_a": "aaaaaaaaaa", "model_b": '
    '"bbbbbbbbbb", "mode": "Weight sum", "base_alpha": 0.25, "calcmode": "normal"}}',
    recognises=lambda source: source.type == "sd-webui-supermerger",
    read=_read_supermerger,
)
SUPERMERGER_HISTORY = Importer(
    tool=SUPERMERGER_TOOL,
    reads="a row of `mergehistory.csv#ID`",
    example="ID,Time,Name,Weights alpha,Weights beta,Model A,Model B,Model C,alpha,beta,Mode,use MBW\n"
    "1,,M,,,aaaaaaaaaa,bbbbbbbbbb,,0.25,0,Weight sum,False\n",
    recognises=lambda source: is_history(source.text),
    read=_read_history,
    most=MAX_HISTORY,
)
