"""One pure tensor function per merge method; importing this package registers them all."""

# the order of imports is the order of the methods in lists and documentation
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

from lib_merge.callables import make_callable
from lib_merge.registry import METHODS as METHODS

make_callable(__name__)  # `lib_merge.methods()` is a function of the public library too
