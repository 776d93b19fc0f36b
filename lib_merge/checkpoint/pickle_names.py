"""What the names in a checkpoint's pickle stand for, and which of them make it a program.

Nothing here is imported because a pickle names it: a name is looked up in these tables and stays a name.
Training leaves much beside the weights (settings, callbacks, dates, paths, arrays); such classes are
harmless where nobody builds them, and are passed over. What remains are functions and classes that no
checkpoint needs and that do something when they are called: the file is refused.
"""

from __future__ import annotations

import re
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What may be done with a name."""

    TENSOR = "rebuilds a tensor from a storage"
    MAPPING = "is a dictionary"
    INERT = "is passed over, also where it is called"
    NAMED = "is passed over where it is named, and refused where it is called"
    REFUSED = "makes the file a program"


@dataclass(frozen=True)
class Name:
    """A class or a function as a pickle names it."""

    full: str
    role: Role


# The functions of torch._utils whose arguments say what a tensor is; the other _rebuild_* make tensors
# that no merge can use (sparse, quantised, nested, meta).
TORCH_UTILS = "torch._utils"
REBUILDS = re.compile(r"_rebuild_\w+")
FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
GET_LAYOUT = "torch.serialization._get_layout"  # "torch.sparse_coo" -> that layout
PARAMETERS = ("torch.nn.parameter.Parameter", "torch.nn.Parameter")
# Classes of tensors that hold what a plain tensor holds.
PLAIN_TENSORS = ("torch.Tensor", "torch._tensor.Tensor", *PARAMETERS, "torch.nn.parameter.Buffer")

MAPPINGS = frozenset(
    {"builtins.dict", "collections.OrderedDict", "collections.defaultdict", "collections.Counter"}
)

# Of the standard library, what settings and logs hold. (A class of any other package is passed over by
# its name's capital letter.)
LEFTOVERS = frozenset(
    {
        *(
            f"builtins.{name}"
            for name in [
                "bool",
                "bytearray",
                "bytes",
                "complex",
                "float",
                "frozenset",
                "int",
                "list",
                "object",
                "range",
                "set",
                "slice",
                "str",
                "tuple",
                "type",
            ]
        ),
        "_codecs.encode",  # how protocol 2 holds bytes
        "copyreg._reconstructor",
        "copyreg.__newobj__",
        "argparse.Namespace",
        "types.SimpleNamespace",
        "collections.deque",
        "collections.ChainMap",
        "collections.UserDict",
        "collections.UserList",
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *(
            f"{module}.{name}"
            for module in ("pathlib", "pathlib._local")  # the second since Python 3.13
            for name in (
                "Path",
                "PosixPath",
                "WindowsPath",
                "PurePath",
                "PurePosixPath",
                "PureWindowsPath",
            )
        ),
        "decimal.Decimal",
        "fractions.Fraction",
        "uuid.UUID",
        "re._compile",
        "logging.getLogger",
        "time.struct_time",
        "itertools.count",
        "torch.device",
        "torch.Size",
        GET_LAYOUT,
        "numpy.dtype",
        "numpy.ndarray",
        *(
            f"numpy.{core}.{name}"
            for core in ("core", "_core")  # the second since numpy 2
            for name in (
                "multiarray.scalar",
                "multiarray._reconstruct",
                "numeric._frombuffer",
            )
        ),
        *(f"numpy.random._pickle.__{name}_ctor" for name in ("randomstate", "generator", "bit_generator")),
    }
)

# Modules of the standard library whose classes say types and kinds.
TYPES = ("abc", "builtins", "dataclasses", "enum", "numbers", "typing", "zoneinfo")

# Functions that the settings of a training may name, but never call.
FUNCTIONS = re.compile(r"torch\.(nn\.functional|nn\.init|_C\._nn)\.\w+")
# torch.float16, torch.contiguous_format, torch.per_tensor_affine; numpy.float64
CONSTANTS = re.compile(
    r"torch\.(bool|[a-z]+\d+\w*|\w+_format|per_(tensor|channel)\w+|strided|sparse_\w+)"
    r"|numpy\.(bool_?|[a-z]+\d+|str_|bytes_|intc|longlong|object_)"
)

# What Cython's classes are rebuilt with: numpy's seeds among them.
CYTHON = re.compile(r"__pyx_unpickle_[A-Z]\w*")

# Packages, and parts of torch and numpy, that run, fetch or unpack what they are asked to.
RUNNERS = frozenset(
    [
        "IPython",
        "aiohttp",
        "cloudpickle",
        "commands",
        "dill",
        "distutils",
        "fsspec",
        "httpx",
        "imp",
        "joblib",
        "lib2to3",
        "modules",
        "nose",
        "nt",
        "paramiko",
        "pexpect",
        "pip",
        "pkg_resources",
        "pytest",
        "requests",
        "setuptools",
        "urllib2",
        "urllib3",
    ]
)
PARTS_THAT_RUN = (
    "torch._inductor.",
    "torch.distributed.",
    "torch.hub.",
    "torch.jit.",
    "torch.package.",
    "torch.utils.collect_env.",
    "torch.utils.cpp_extension.",
    "numpy.distutils.",
    "numpy.f2py.",
    "numpy.testing.",
)


def look_up(module: str, name: str) -> Name:
    """The name and its role, by what Python 3 calls it."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    full = f"{module}.{name}"
    return Name(full, _role(module, name, full))


def _role(module: str, name: str, full: str) -> Role:
    if full in MAPPINGS:
        return Role.MAPPING
    if full in LEFTOVERS or CONSTANTS.fullmatch(full):
        return Role.INERT
    if full in (FROM_TYPE, *PARAMETERS) or (module == TORCH_UTILS and REBUILDS.fullmatch(name)):
        return Role.TENSOR
    package = module.partition(".")[0]
    is_class = all(_is_capital(part) for part in name.split("."))
    if package in RUNNERS or full.startswith(PARTS_THAT_RUN):
        return Role.REFUSED
    if package in sys.stdlib_module_names:
        return Role.INERT if is_class and module in TYPES else Role.REFUSED
    if is_class or CYTHON.fullmatch(name):
        return Role.INERT
    if package in ("torch", "numpy"):
        return Role.NAMED if FUNCTIONS.fullmatch(full) else Role.REFUSED
    return Role.NAMED if name.isidentifier() else Role.REFUSED


def _is_capital(part: str) -> bool:
    return part.isidentifier() and part.lstrip("_")[:1].isupper()
