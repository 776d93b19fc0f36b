"""Tests for modules of a WebUI, by which each host detects it: forks keep names and version strings."""

from __future__ import annotations

import importlib.util
import sys


def has_module(name: str) -> bool:
    """Whether a module can be imported, without importing it; a missing parent package is no error."""
    parts = name.split(".")
    return all(_is_there(".".join(parts[: count + 1])) for count in range(len(parts)))


def _is_there(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):  # the parent is not a package
        return False
