"""The names of classes and functions in a checkpoint's pickle: which are allowed, ignored, or refused.

Nothing is imported because a pickle names it: a name is looked up in the tables below. Training frameworks
store much beside the weights (settings, callbacks, dates, paths, arrays); such classes are harmless since
their objects are not created, and they are ignored. A file with any other name, a function or class that no
checkpoint needs and that would do something when called, is refused.
"""

from __future__ import annotations

import re
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass
from enum import Enum


class PickleRole(Enum):
    """How the unpickler treats a name."""

    TENSOR = "rebuilds a tensor from a storage"
    MAPPING = "is a dictionary"
    INERT = "is ignored, also when it is called"
    NAMED = "is ignored, but refused when it is called"
    REFUSED = "makes the file refused"


@dataclass(frozen=True)
class PickleName:
    """A class or function that a pickle names; `full` is "module.name" in Python 3."""

    full: str
    role: PickleRole


# The functions that rebuild tensors; some rebuild kinds that cannot be merged (sparse, quantised, nested,
# meta).
TORCH_UTILS = "torch._utils"
REBUILDS = re.compile(r"_rebuild_\w+")
FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
GET_LAYOUT = "torch.serialization._get_layout"  # "torch.sparse_coo" -> that layout
PARAMETERS = ("torch.nn.parameter.Parameter", "torch.nn.Parameter")
# Subclasses of Tensor whose data is that of a plain tensor.
PLAIN_TENSORS = ("torch.Tensor", "torch._tensor.Tensor", *PARAMETERS, "torch.nn.parameter.Buffer")

MAPPINGS = frozenset(
    {"builtins.dict", "collections.OrderedDict", "collections.defaultdict", "collections.Counter"}
)

# Harmless names of the standard library, torch and NumPy that settings and logs contain. (A class of any
# other package is recognised by the capital letter of its name, and ignored.)
HARMLESS_NAMES = frozenset(
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
        "_codecs.encode",  # creates bytes in protocol 2
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

# Modules of the standard library whose classes are harmless.
HARMLESS_MODULES = ("abc", "builtins", "dataclasses", "enum", "numbers", "typing", "zoneinfo")

# Functions that the settings of a training may refer to, but not call.
FUNCTIONS = re.compile(r"torch\.(nn\.functional|nn\.init|_C\._nn)\.\w+")
# torch.float16, torch.contiguous_format, torch.per_tensor_affine; numpy.float64
CONSTANTS = re.compile(
    r"torch\.(bool|[a-z]+\d+\w*|\w+_format|per_(tensor|channel)\w+|strided|sparse_\w+)"
    r"|numpy\.(bool_?|[a-z]+\d+|str_|bytes_|intc|longlong|object_)"
)

# Functions that rebuild objects of Cython classes, such as NumPy's seed sequences.
CYTHON_REBUILD = re.compile(r"__pyx_unpickle_[A-Z]\w*")

# Packages, and modules of torch and NumPy, that can run commands, download files or unpickle.
DANGEROUS_PACKAGES = frozenset(
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
DANGEROUS_PREFIXES = (
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


def look_up(module: str, name: str) -> PickleName:
    """The Python 3 name and its role, for a name from a pickle of Python 2 or 3."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    full = f"{module}.{name}"
    return PickleName(full, _role(module, name, full))


def _role(module: str, name: str, full: str) -> PickleRole:
    if full in MAPPINGS:
        return PickleRole.MAPPING
    if full in HARMLESS_NAMES or CONSTANTS.fullmatch(full):
        return PickleRole.INERT
    if full in (FROM_TYPE, *PARAMETERS) or (module == TORCH_UTILS and REBUILDS.fullmatch(name)):
        return PickleRole.TENSOR
    package = module.partition(".")[0]
    is_class = all(_is_capital(part) for part in name.split("."))
    if package in DANGEROUS_PACKAGES or full.startswith(DANGEROUS_PREFIXES):
        return PickleRole.REFUSED
    if package in sys.stdlib_module_names:
        return PickleRole.INERT if is_class and module in HARMLESS_MODULES else PickleRole.REFUSED
    if is_class or CYTHON_REBUILD.fullmatch(name):
        return PickleRole.INERT
    if package in ("torch", "numpy"):
        return PickleRole.NAMED if FUNCTIONS.fullmatch(full) else PickleRole.REFUSED
    return PickleRole.NAMED if name.isidentifier() else PickleRole.REFUSED


def _is_capital(part: str) -> bool:
    return part.isidentifier() and part.lstrip("_")[:1].isupper()
