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
from lib_merge.recipe.dice import EACH, has_letters
from lib_merge.recipe.imports.common import Imported, Maker, block_weights, number_of, text_of
from lib_merge.recipe.imports.history_csv import check_row, history_rows
from lib_merge.recipe.model import BLEND, Amount, Setting
from lib_merge.recipe.numbers import print_number
from lib_merge.recipe.rules import optional, over
from lib_merge.recipe.rules_text import parse_rules

A1111, SUPERMERGER = "AUTOMATIC1111's merger", "SuperMerger"
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


def read_a1111(found: Mapping[str, object], models: Models) -> Imported:
    """`sd_merge_recipe` of type "webui"."""
    maker = Maker(A1111)
    hashes = [text_of(found, f"{which}_model_hash") for which in ("primary", "secondary", "tertiary")]
    names = [maker.model(_name(models, sha), sha) for sha in hashes if sha]
    kind, alpha = text_of(found, "interp_method"), number_of(found, "multiplier", 0.5)
    if kind == "Weighted sum" and len(names) >= 2:
        result = maker.step("weighted_sum", names[:2], alpha=alpha)
    elif kind == "Add difference" and len(names) == 3:
        result = maker.step("add_difference", names, alpha=alpha)
    elif kind == "No interpolation" and names:
        result = names[0]
    else:
        raise maker.refuse(f"'{kind}' of {len(names)} models is nothing that it makes")
    bake = text_of(found, "bake_in_vae")
    if text_of(found, "discard_weights"):
        maker.note(f"weights that fit '{found['discard_weights']}' were discarded; here all are kept")
    vae = bake if bake not in ("", "None", "Automatic") else BLEND
    return maker.done(result, vae=vae, dtype=F16 if found.get("save_as_half") is True else None)


def read_supermerger(found: Mapping[str, object], models: Models) -> Imported:
    """`sd_merge_recipe` of type "sd-webui-supermerger"."""
    hashes = {word: text_of(found, f"model_{word}") for word in "abc"}
    files = {word: (_name(models, sha), sha) for word, sha in hashes.items() if sha}
    fields = dict(found)
    for word in ("alpha", "beta"):
        numbers = found.get(f"weights_{word}")
        if isinstance(numbers, list):  # without BASE, which stands beside it
            listed = cast("list[object]", numbers)
            fields[f"weights_{word}"] = ",".join(map(str, [found.get(f"base_{word}"), *listed]))
    maker = Maker(SUPERMERGER)
    left_out = [
        name for name in ("Include", "Exclude") if any(cast("Sequence[object]", found.get(name) or ()))
    ]
    for name in left_out:
        maker.note(f"its list '{name}' {found[name]} is not carried over: set it with include or exclude")
    maker.note("it records no VAE, no Adjust, no gamma and no seed: check those")
    return _supermerger(maker, fields, files)


def read_history(text: str, entry: str = "") -> Imported:
    """One row of mergehistory.csv: the one of that ID, or the last."""
    rows = history_rows(text)
    if not rows:
        raise RecipeError(f"{SUPERMERGER}: this history is empty")
    row = next((row for row in rows if row["id"] == entry), None) if entry else rows[-1]
    if row is None:
        raise RecipeError(
            f"{SUPERMERGER}: this history has no ID {entry}", hint=f"IDs {rows[0]['id']} to {rows[-1]['id']}"
        )
    return read_row(row)


def read_row(row: Mapping[str, str]) -> Imported:
    """The merge that one row of a history tells."""
    check_row(row)
    maker = Maker(SUPERMERGER)
    files = {
        word: (f"[{row[f'model_{word}']}]", row[f"model_{word}"])
        for word in "abc"
        if row.get(f"model_{word}")
    }
    maker.note("its history names models by their short hashes: they are found by those")
    if row.get("adjust"):
        maker.note(f"Adjust {row['adjust']} is not carried over: add it as a step of its own")
    if row.get("blocks", "").strip("[] ") or row.get("elements"):
        maker.note(
            f"its list '{row.get('inex')}' {row.get('blocks')} {row.get('elements')} is not carried over"
        )
    return _supermerger(maker, row, files)


def _supermerger(maker: Maker, found: Mapping[str, object], files: Mapping[str, tuple[str, str]]) -> Imported:
    mode = text_of(found, "mode").split(":")[0]
    calc = text_of(found, "calcmode") or "normal"
    by_block = text_of(found, "mbw") in ("True", "true")
    alpha = _amount(maker, found, "alpha", by_block)
    beta = _amount(maker, found, "beta", by_block) if _uses_beta(mode, calc) else 0.0
    if text_of(found, "elemental_merge"):
        alpha = _elemental(maker, alpha, text_of(found, "elemental_merge"), text_of(found, "seed"))
    names = {word: maker.model(*file) for word, file in files.items() if word != "c" or _uses_c(mode, calc)}
    needed = "a" if calc == "self" else "ab"
    if missing := [word.upper() for word in needed if word not in names]:
        raise maker.refuse(f"it recorded no hash of model {' and '.join(missing)}, so it cannot be found")
    if calc != "normal":
        return maker.done(_calc(maker, calc, names, alpha, beta), vae=BLEND)
    inputs = [names[word] for word in "abc" if word in names]
    if mode == "Weight sum":
        result = maker.step("weighted_sum", inputs[:2], alpha=alpha)
    elif mode == "Add difference" and len(inputs) == 3:
        result = maker.step("add_difference", inputs, alpha=alpha)
    elif mode in ("Triple sum", "sum Twice") and len(inputs) == 3:
        method = "triple_sum" if mode == "Triple sum" else "sum_twice"
        result = maker.step(method, inputs, alpha=alpha, beta=beta)
    else:
        raise maker.refuse(f"'{mode}' of {len(inputs)} models is nothing that it makes")
    return maker.done(result, vae=BLEND)


def _uses_c(mode: str, calc: str) -> bool:
    return mode in ("Add difference", "Triple sum", "sum Twice", "Add") or CALCMODES.get(calc) in WITH_C


def _uses_beta(mode: str, calc: str) -> bool:
    return mode in ("Triple sum", "sum Twice") or CALCMODES.get(calc) in WITH_BETA


def _calc(maker: Maker, calc: str, names: Mapping[str, str], alpha: Amount, beta: Amount) -> str:
    method = CALCMODES.get(calc)
    if method is None:
        raise maker.refuse(f"its calcmode '{calc}' has no counterpart here", "merge-desk methods")
    if method == "self":
        return maker.step(method, [names["a"]], alpha=alpha)
    words = "abc" if method in WITH_C else "ab"
    if any(word not in names for word in words):
        raise maker.refuse(f"{calc} works with {len(words)} models")
    settings: dict[str, Setting] = {"alpha": alpha, **({"beta": beta} if method in WITH_BETA else {})}
    return maker.step(method, [names[word] for word in words], **settings)


def _amount(maker: Maker, found: Mapping[str, object], word: str, by_block: bool) -> Amount:
    text = text_of(found, f"weights_{word}").strip("[]")
    base = number_of(found, f"base_{word}", 0.5 if word == "alpha" else 0.25)
    if by_block and has_letters(text):
        return _drawn(maker, text, base, word, text_of(found, "seed"))
    return block_weights(text, base) if by_block and text else base


def _drawn(maker: Maker, text: str, base: float, word: str, seed: str) -> Amount:
    """Block weights with its letters for numbers drawn at random, from the seed that it recorded."""
    letters = sorted(set(re.findall(r"[A-Za-z]+", text)))
    shown = ", ".join(letters)
    if not set(letters) <= {"R", "U", *EACH}:
        bounds = "a number between limits, which it does not record"
        raise maker.refuse(f"its weights hold {shown}: X and D draw {bounds}", "write the numbers themselves")
    if not _is_seed(seed):
        what = f"its weights hold {shown}, numbers drawn at random, and no seed is recorded to draw them from"
        raise maker.refuse(what, "write the numbers themselves")
    entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
    if len(entries) in (25, 19):  # BASE stands beside them
        entries.insert(0, print_number(base))
    if len(entries) not in (26, 20, len(EXTENDED_NAMES)):
        raise maker.refuse(f"its weights are {len(entries)} numbers and letters", "26, or 20 on SDXL")
    if set(letters) & set(EACH):
        maker.note("its letters with E draw for every tensor by the order of the file: here by its name")
    skip = f", skip = {SKIPPED}" if word == "beta" else ""
    maker.note(f"its letters {shown} are drawn from its seed {seed}, kept from 0 to 1, with 3 digits")
    return parse_rules(f"supermerger[{', '.join(entries)}, seed = {seed}{skip}]")


def _is_seed(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _elemental(maker: Maker, amount: Amount, text: str, seed: str) -> Amount:
    """Its lines of BLOCKS:ELEMENTS:RATIO, laid over the amount by block."""
    lines = [line.strip() for line in text.replace(",", "\n").splitlines() if line.count(":") == 2]
    if not lines:
        return amount
    number = seed if _is_seed(seed) else "0"
    drawn = [LETTER_RATIO.sub(rf":E\1(seed = {number})", line) for line in lines]
    if drawn != lines:
        what = "its letters draw a number for every tensor by the order of the file: here they are drawn anew"
        maker.note(f"{what}, from seed {number}")
    return over(amount, optional(parse_rules("\n".join(drawn))))


def _name(models: Models, sha256: str) -> str:
    """What `sd_merge_models` calls a file, without its folder and hash; else its short hash."""
    known = models.get(sha256)
    name = str(cast("Mapping[str, object]", known).get("name", "")) if isinstance(known, Mapping) else ""
    bare = name.rsplit(" [", 1)[0].replace("\\", "/").rsplit("/", 1)[-1]
    return bare or f"[{sha256[:10]}]"
