"""Puts the sample checkpoints together from their parts: `python samples/assemble.py [FOLDER]`.

The repository holds the VAE and the text encoder once; a host wants four whole files, each with the YAML that
tells it their sizes, and the folder of the text encoder's configuration that the YAML points to.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs as a file, from any folder

from lib_merge.architectures import open_checkpoint
from lib_merge.checkpoint import StreamingWriter
from lib_merge.clip_tokenizer import MERGES, write_tokenizer
from samples.fetch import PARTS, fetch_parts

HERE = Path(__file__).resolve().parent
MODELS = HERE / "models"
OUTPUT = HERE.parent / "output"  # for what is made of the samples
NAMES = ("base", "ink", "pastel", "other")
SHARED = ("vae", "text_encoder")
METADATA = {"format": "pt", "modelspec.resolution": "128x128"}  # pixels at which the samples draw best


def assemble(folder: Path = MODELS, parts: Path = PARTS) -> dict[str, Path]:
    """The four checkpoints in `folder`, each with its YAML; what is there and current is left alone."""
    if parts == PARTS:
        fetch_parts()
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    text_encoder = _text_encoder(folder / "text_encoder")
    settings = (HERE / "config.yaml").read_text(encoding="utf-8")
    settings = settings.replace("version: {text_encoder}", f"version: {json.dumps(str(text_encoder))}")
    checkpoints: dict[str, Path] = {}
    for name in NAMES:
        checkpoints[name] = folder / f"{name}.safetensors"
        _checkpoint(checkpoints[name], [parts / f"{part}.safetensors" for part in (f"unet_{name}", *SHARED)])
        _text(checkpoints[name].with_suffix(".yaml"), settings)
    return checkpoints


def _current(path: Path, sources: Iterable[Path]) -> bool:
    """Whether the file was made after all its sources."""
    return path.exists() and path.stat().st_mtime_ns >= max(source.stat().st_mtime_ns for source in sources)


def _text(path: Path, text: str) -> None:
    """Writes a file under another name first, so that no half of one is ever found under its own."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _checkpoint(path: Path, parts: list[Path]) -> None:
    """One whole checkpoint: the tensors of all parts."""
    if _current(path, parts):
        return
    with ExitStack() as stack:
        opened = [stack.enter_context(open_checkpoint(part)) for part in parts]
        sources = {key: part for part in opened for key in part.header.tensors}
        tensors = [(key, part.info(key).dtype, part.info(key).shape) for key, part in sources.items()]
        writer = stack.enter_context(StreamingWriter(path, tensors, METADATA, overwrite=True))
        for key, part in sources.items():
            writer.write(key, 0, part.bytes(key))
        if not _current(path, parts):  # another process may have made it meanwhile, and be reading it
            writer.commit()


def _text_encoder(folder: Path) -> Path:
    """The folder that transformers reads the text encoder's sizes and the tokenizer from."""
    source = HERE / "text_encoder_config.json"
    if not _current(folder / "vocab.json", [MERGES]):
        write_tokenizer(folder)
    _text(folder / "config.json", source.read_text(encoding="utf-8"))
    return folder


def _main() -> None:
    parser = argparse.ArgumentParser(description="Assembles the sample checkpoints.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=MODELS, help="where to (default: %(default)s)"
    )
    for checkpoint in assemble(parser.parse_args().folder).values():
        print(checkpoint)


if __name__ == "__main__":
    _main()
