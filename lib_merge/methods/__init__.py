"""One pure tensor function per merge method; importing this room fills the registry."""

# the order of import is the order of the lists that people see
# isort: off
from lib_merge.methods import linear as linear
from lib_merge.methods import difference as difference
from lib_merge.methods import smooth as smooth
from lib_merge.methods import cosine as cosine
from lib_merge.methods import tasks as tasks
from lib_merge.methods import dropping as dropping
from lib_merge.methods import spherical as spherical
from lib_merge.methods import rotation as rotation
from lib_merge.methods import parts as parts
from lib_merge.methods import noise as noise
from lib_merge.methods import adjust as adjust
# isort: on

from lib_merge.registry import METHODS as METHODS
