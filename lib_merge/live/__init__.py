"""Merges into a model in memory: a session for a WebUI's live model, and apply.py for any other."""

from lib_merge.live.model import LiveModel, MergeIdent, Place, ident_of
from lib_merge.live.session import BrokenModelError, LiveSession, SwapReport

__all__ = [
    "BrokenModelError",
    "LiveModel",
    "LiveSession",
    "MergeIdent",
    "Place",
    "SwapReport",
    "ident_of",
]
