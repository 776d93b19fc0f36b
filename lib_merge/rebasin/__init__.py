"""Aligns two models before they are merged: rearranges B's channels to be most like A's, and no output."""

from lib_merge.rebasin.arrange import ArrangedCheckpoint, Arrangement, Arranger
from lib_merge.rebasin.groups import Group, Grouping, Member, Part, groups_of, strange_keys
from lib_merge.rebasin.options import Options
from lib_merge.rebasin.solve import Solution, align
from lib_merge.rebasin.store import Alignments

__all__ = [
    "Alignments",
    "ArrangedCheckpoint",
    "Arrangement",
    "Arranger",
    "Group",
    "Grouping",
    "Member",
    "Options",
    "Part",
    "Solution",
    "align",
    "groups_of",
    "strange_keys",
]
