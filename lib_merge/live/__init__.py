"""A session on a live model: knows what each key holds, and redoes only what changed."""

from lib_merge.live.model import LiveModel, MergeIdent, ident_of
from lib_merge.live.session import BrokenModelError, LiveSession, SwapReport

__all__ = ["BrokenModelError", "LiveModel", "LiveSession", "MergeIdent", "SwapReport", "ident_of"]
