"""Suffixes of file names, compared without regard to case: files called X.SAFETENSORS exist."""

from __future__ import annotations

from pathlib import PurePath

SAFETENSORS = ".safetensors"
CKPT = ".ckpt"
CHECKPOINTS = (SAFETENSORS, CKPT, ".pt", ".pth")  # of checkpoints and VAE files


def has_suffix(path: str | PurePath, *suffixes: str) -> bool:
    """Whether a file's name has one of the suffixes, which are lower-case and begin with a dot."""
    return PurePath(path).suffix.lower() in suffixes


def is_checkpoint(path: str | PurePath) -> bool:
    """Whether a file has the suffix of a checkpoint or VAE file."""
    return has_suffix(path, *CHECKPOINTS)


def without_suffix(name: str, *suffixes: str) -> str:
    """A file's name or path without its suffix, where that is one of `suffixes` (default: those of
    checkpoints)."""
    low = name.lower()
    matches = (suffix for suffix in suffixes or CHECKPOINTS if low.endswith(suffix) and low != suffix)
    return name[: len(name) - len(next(matches, ""))]
