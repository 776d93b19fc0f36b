"""CLIP's tokenizer, built offline from its BPE merges: the vocabulary is computed from them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.errors import ExtraError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77  # tokens of a CLIP text model's context
MERGES = Path(__file__).with_name("merges.txt")


def byte_symbols() -> list[str]:
    """A printable character for each of the 256 bytes, in the order of CLIP's vocabulary.

    Printable bytes come first and are their own characters; the others are U+0100, U+0101, ...
    """
    printing = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = 256 - len(printing)
    return [chr(code) for code in printing] + [chr(256 + number) for number in range(others)]


def vocabulary() -> dict[str, int]:
    """Token -> id for the 49,408 tokens: bytes, bytes that end a word, merges, start, end."""
    symbols = byte_symbols()
    merges = MERGES.read_text(encoding="utf-8").splitlines()[1:]
    tokens = [*symbols, *(symbol + "</w>" for symbol in symbols)]
    tokens += ["".join(merge.split()) for merge in merges]
    return {token: number for number, token in enumerate([*tokens, START, END])}


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=None) + "\n", encoding="utf-8")


def write_tokenizer(folder: Path) -> None:
    """Write the four files from which every version of transformers loads a `CLIPTokenizer` offline."""
    folder.mkdir(parents=True, exist_ok=True)
    special_tokens = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    _write_json(folder / "vocab.json", vocabulary())
    (folder / "merges.txt").write_bytes(MERGES.read_bytes())
    _write_json(folder / "special_tokens_map.json", special_tokens)
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True}
    _write_json(
        folder / "tokenizer_config.json",
        {**settings, "add_prefix_space": False, "errors": "replace", **special_tokens},
    )


def load_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer as a transformers object; "a red circle" gives 49406 320 736 7117 49407.

    Raises ExtraError where transformers is not installed.
    """
    try:
        from transformers import CLIPTokenizer
    except ImportError as missing:
        raise ExtraError(
            "CLIP's tokenizer needs transformers, which is not installed",
            hint="pip install transformers",
        ) from missing
    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
