"""One pure tensor function per merge method; importing this room fills the registry."""

from lib_merge.methods import linear as linear
from lib_merge.registry import METHODS as METHODS
