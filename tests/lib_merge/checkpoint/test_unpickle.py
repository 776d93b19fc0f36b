"""A pickle is read as data: leftovers of training are passed over, programs are refused, nothing runs."""

from __future__ import annotations

import argparse
import collections
import contextlib
import copyreg
import ctypes
import datetime
import decimal
import enum
import fractions
import functools
import io
import operator
import os
import pathlib
import pickle
import random
import re
import struct
import subprocess
import sys
import types
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lib_merge.architectures import open_checkpoint, read_header
from lib_merge.errors import CheckpointError

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}
CONTAINERS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
REFUSED = "this file is refused, because loading it would run code: its pickle calls '"


def contained(pickled: bytes, path: Path, *, zipped: bool) -> Path:
    """A checkpoint with this pickle in it, and no tensors."""
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/version", "3\n")
        return path
    heads = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    path.write_bytes(b"".join(pickle.dumps(head, 2) for head in heads) + pickled + pickle.dumps([], 2))
    return path


def refused(path: Path) -> CheckpointError:
    for read in (read_header, open_checkpoint):
        with pytest.raises(CheckpointError) as caught:
            read(path)
    assert caught.value.where == str(path)
    assert caught.value.hint
    return caught.value


def holds_the_weights(path: Path) -> bool:
    with open_checkpoint(path) as checkpoint:
        tensors = {key: checkpoint.tensor(key) for key in checkpoint.header.tensors}
        return list(tensors) == list(WEIGHTS) and all(
            torch.equal(tensors[key], WEIGHTS[key]) for key in WEIGHTS
        )


# --- what would run code -------------------------------------------------------------------------


class Call:
    """Pickled as a call of any function, its arguments and what is called included."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def called(module: str, name: str, *arguments: str, protocol: int = 2) -> bytes:
    """A call of a function with texts, opcode by opcode."""
    argument_tuple = b"(" + b"".join(text(argument) for argument in arguments) + b"t"
    return b"\x80" + bytes([protocol]) + named(module, name) + argument_tuple + b"R."


SYSTEM = os.system.__module__


def programs(proof: Path) -> dict[str, bytes]:
    """Pickles that leave the file `proof` behind when they are unpickled without care."""
    touch, code = f"touch '{proof}'", f"open({str(proof)!r}, 'w').close()"

    def dumped(function: object, *arguments: object, protocol: int = 2) -> bytes:
        return pickle.dumps({"state_dict": Call(function, *arguments)}, protocol)

    return {
        "system": called(SYSTEM, "system", touch),
        "system by os": called("os", "system", touch),
        "popen": called("os", "popen", touch),
        "eval": called("__builtin__", "eval", code),
        "exec": called("builtins", "exec", code, protocol=3),
        "open": dumped(open, str(proof), "w"),
        "subprocess.Popen": dumped(subprocess.check_output, ["touch", str(proof)]),
        "subprocess.Popen as a new object": b"\x80\x02"
        + named("subprocess", "getoutput")
        + b"("
        + text(touch)
        + b"tR.",
        "getattr": dumped(Path.touch, proof),
        "operator.methodcaller": dumped(operator.methodcaller("touch"), proof),
        "operator.attrgetter": called("operator", "attrgetter", "system"),
        "functools.partial": dumped(functools.partial(os.system, touch)),
        "map": dumped(list, Call(map, os.system, [touch])),
        "a frozen name": b"\x80\x04\x8c\x02os\x8c\x06system\x93(" + text(touch) + b"tR.",
        "a frozen name from the memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93("
        + text(touch)
        + b"tR.",
        "a dotted name": b"\x80\x04\x8c\x06shutil\x8c\x09os.system\x93(" + text(touch) + b"tR.",
        "a dotted name of torch": b"\x80\x04\x8c\x0ctorch._utils\x8c\x09os.system\x93("
        + text(touch)
        + b"tR.",
        "a dotted name like torch's": called("torch._utils", "_rebuild_tensor.os.system", touch, protocol=4),
        "a module like torch's": called("torch._utils._rebuild_x", "system", touch),
        "INST": b"(" + text(touch) + b"i" + SYSTEM.encode() + b"\nsystem\n.",
        "OBJ": b"(" + named("subprocess", "Popen") + text(f"touch {proof}".split()[0]) + b"o.",
        "a function in the memo": b"\x80\x02"
        + named(SYSTEM, "system")
        + b"q\x000h\x00("
        + text(touch)
        + b"tR.",
        "a state": b"\x80\x02" + named("__builtin__", "setattr") + b"0" + called("os", "system", touch)[2:],
        "runpy": dumped(__import__("runpy").run_path, str(proof.parent / "code.py")),
        "importlib": dumped(__import__("importlib").import_module, "planted_module"),
        "__import__": dumped(__import__, "planted_module"),
        "codecs": dumped(__import__("codecs").open, str(proof), "w"),
        "ctypes": dumped(ctypes.CDLL, None),
        "webbrowser": called("webbrowser", "open", "about:blank"),
        "pydoc": called("pydoc", "pipepager", "", touch),
        "timeit": called("timeit", "timeit", code),
        "pty": called("pty", "spawn", "true"),
        "marshal": called("marshal", "loads", ""),
        "code": called("code", "InteractiveInterpreter"),
        "cProfile": called("cProfile", "run", code),
        "shutil": called("shutil", "rmtree", str(proof.parent / "nothing")),
        "socket": called("socket", "create_connection", ""),
        "code objects": named("types", "CodeType") + b".",
        "nt": called("nt", "system", touch),
        "commands of Python 2": called("commands", "getoutput", touch),
        "pip": called("pip._internal.cli.main", "main", "install"),
        "torch.load": called("torch", "load", str(proof)),
        "a pickle within": called("torch.storage", "_load_from_bytes", ""),
        "a pickle in a pickle": called("pickle", "loads", ""),
        "torch.hub": called("torch.hub", "load", "owner/name", "model"),
        "torch's own subprocesses": called(
            "torch.distributed.elastic.multiprocessing.subprocess_handler", "SubprocessHandler", touch
        ),
        "torch.jit": called("torch.jit", "load", str(proof)),
        "numpy.load": called("numpy", "load", str(proof)),
        "numpy's tests": called("numpy.testing._private.utils", "runstring", code, ""),
        "a function of a package": called("planted_module", "run", touch),
        "a rebuilt subclass": b"\x80\x02"
        + named("torch._tensor", "_rebuild_from_type_v2")
        + b"("
        + named("planted_module", "run")
        + named("torch", "Tensor")
        + b"("
        + text(touch)
        + b"t}tR.",
        "a module of a persistent ID": b"\x80\x02(" + text("module") + named(SYSTEM, "system") + b"NNtQ.",
        "the extension registry": b"\x80\x02\x82\x07(" + text(touch) + b"tR.",
    }


# Of these, the ones that need nothing but Python to leave their proof.
THAT_RUN = (
    "system",
    "system by os",
    "eval",
    "exec",
    "open",
    "subprocess.Popen",
    "getattr",
    "operator.methodcaller",
    "functools.partial",
    "map",
    "a frozen name",
    "a frozen name from the memo",
    "a dotted name",
    "INST",
    "a function in the memo",
    "a state",
    "runpy",
    "importlib",
    "__import__",
    "the extension registry",
)


@pytest.fixture
def proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that code would leave; a module and an extension code that leave it lie in wait."""
    trace = tmp_path / "it ran"
    for name in ("code", "planted_module"):
        (tmp_path / f"{name}.py").write_text(
            f"open({str(trace)!r}, 'w').close()\nclass Thing: pass\nrun = print\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    copyreg.add_extension(SYSTEM, "system", 7)
    yield trace
    copyreg.remove_extension(SYSTEM, "system", 7)
    copyreg.clear_extension_cache()
    sys.modules.pop("planted_module", None)


@CONTAINERS
@pytest.mark.parametrize("kind", list(programs(Path("proof"))))
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(
    kind: str, zipped: bool, proof: Path, tmp_path: Path
) -> None:
    program = programs(proof)[kind]
    error = refused(contained(program, tmp_path / "evil.ckpt", zipped=zipped))
    assert error.what.startswith(REFUSED)
    assert error.hint == "use the .safetensors version of this model"
    assert not proof.exists()
    assert "planted_module" not in sys.modules
    if kind in THAT_RUN:  # unpickled carelessly, it does what it says
        with contextlib.suppress(TypeError, AttributeError, ValueError):
            pickle.loads(program)
        assert proof.exists()


@CONTAINERS
def test_nothing_that_a_pickle_names_is_imported(zipped: bool, proof: Path, tmp_path: Path) -> None:
    thing = (
        b"\x80\x02}(" + text("state_dict") + b"}" + text("x") + named("planted_module", "Thing") + b")\x81}b"
    )
    path = contained(thing + b"u.", tmp_path / "m.ckpt", zipped=zipped)
    assert refused(path).what == "this file contains no named tensors"
    assert not proof.exists()
    assert "planted_module" not in sys.modules


def test_torch_itself_is_not_asked_to_unpickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(WEIGHTS, tmp_path / "m.ckpt")
    monkeypatch.setattr(torch, "load", None)
    assert holds_the_weights(tmp_path / "m.ckpt")


# --- what trainers leave behind ------------------------------------------------------------------


def made_up_class(full_name: str, monkeypatch: pytest.MonkeyPatch, *bases: type) -> type:
    """A class that pickles under this name, as Lightning's would if it were installed."""
    module, _, name = full_name.rpartition(".")
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        if ".".join(parts[:end]) not in sys.modules:
            monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    kind = type(name, bases, {"__module__": module})
    monkeypatch.setattr(sys.modules[module], name, kind, raising=False)
    return kind


LEFTOVERS: dict[str, Callable[[], object]] = {
    "Namespace": lambda: argparse.Namespace(lr=1e-4, name="x"),
    "SimpleNamespace": lambda: types.SimpleNamespace(lr=1e-4),
    "defaultdict": lambda: collections.defaultdict(list, {"a": [1]}),
    "OrderedDict, Counter, deque": lambda: (
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        collections.deque([1, 2], maxlen=3),
    ),
    "pathlib": lambda: [pathlib.Path("/x/y"), pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("c:/b")],
    "datetime": lambda: [
        datetime.datetime(2023, 1, 1, tzinfo=datetime.timezone.utc),
        datetime.date(2023, 1, 1),
        datetime.timedelta(1),
    ],
    "numbers": lambda: [decimal.Decimal("0.1"), fractions.Fraction(1, 3), 1j, 10**400, -(2**70), True, None],
    "uuid, re": lambda: [uuid.UUID(int=3), re.compile("a+")],
    "builtins": lambda: [
        {1, 2},
        frozenset("ab"),
        b"bytes",
        bytearray(b"x"),
        range(3),
        slice(1),
        int,
        type(None),
        ...,
    ],
    "keys": lambda: {(1, (2, 3)): 1, 5: 2, None: 3, frozenset("a"): 4, "x": 5},
    "an exception": lambda: ValueError("x"),
    "numpy scalars": lambda: [np.float64(0.1), np.int64(3), np.bool_(True), np.dtype("float32")],
    "numpy arrays": lambda: [
        np.arange(6).reshape(2, 3),
        np.array(["a", None], dtype=object),
        np.zeros((0, 2)),
    ],
    "numpy's random state": lambda: [
        np.random.RandomState(1),
        np.random.default_rng(2),
        np.random.get_state(),
    ],
    "python's random state": lambda: random.Random(1).getstate(),
    "torch": lambda: [torch.float16, torch.device("cpu"), torch.Size([1])],
    "an optimiser": lambda: torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))]),
    "a module": lambda: torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.SiLU()),
    "a function": lambda: torch.nn.functional.gelu,
    "sparse": lambda: torch.eye(3).to_sparse(),
    "a parameter": lambda: torch.nn.Parameter(torch.ones(3)),
    "itself": lambda: (lambda items: (items.append(items), items)[1])([]),
}


@CONTAINERS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", list(LEFTOVERS))
def test_what_training_left_in_a_checkpoint_does_not_keep_it_from_being_read(
    kind: str, protocol: int, zipped: bool, tmp_path: Path
) -> None:
    path = tmp_path / "m.ckpt"
    loaded = {
        "before": LEFTOVERS[kind](),
        "state_dict": WEIGHTS,
        "hyper_parameters": {"x": LEFTOVERS[kind]()},
    }
    torch.save(loaded, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert holds_the_weights(path)


@CONTAINERS
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("full_name", "bases"),
    [
        ("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", ()),
        ("pytorch_lightning.utilities.parsing.AttributeDict", (dict,)),
        ("lightning_fabric.utilities.data.AttributeDict", (dict,)),
        ("omegaconf.dictconfig.DictConfig", ()),
        ("omegaconf.listconfig.ListConfig", (list,)),
        ("diffusers.configuration_utils.FrozenDict", (collections.OrderedDict,)),
        ("transformers.training_args.TrainingArguments", ()),
        ("__main__.Config", ()),
    ],
)
def test_objects_of_packages_that_are_not_installed_are_skipped(
    full_name: str,
    bases: tuple[type, ...],
    protocol: int,
    zipped: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "m.ckpt"
    with monkeypatch.context() as patch:
        kind = made_up_class(full_name, patch, *bases)
        instance = kind()
        instance.best = {"score": torch.ones(2)}
        if isinstance(instance, dict):
            instance["lr"] = 1e-4
        if isinstance(instance, list):
            instance.append(3)
        loaded = {
            "callbacks": {kind: instance, "x": instance},
            "state_dict": WEIGHTS,
            "hyper_parameters": instance,
        }
        torch.save(loaded, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert holds_the_weights(path)


def test_a_member_of_an_enum_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.ckpt"
    with monkeypatch.context() as patch:
        kind = made_up_class("trainer.kinds.Kind", patch)
        colour = enum.Enum("Kind", {"RED": 1}, module="trainer.kinds")
        patch.setattr(sys.modules["trainer.kinds"], kind.__name__, colour)
        torch.save({"kind": colour.RED, "state_dict": WEIGHTS}, path)
    assert holds_the_weights(path)


def test_a_tensor_of_a_class_that_is_not_torchs_is_refused_not_dropped(tmp_path: Path) -> None:
    path = tmp_path / "m.ckpt"
    torch.save({"a.weight": Quantised(torch.ones(2)), "a.bias": torch.ones(1)}, path)
    assert refused(path).what == "'a.weight' is of a kind that cannot be merged: Quantised"


class Quantised(torch.Tensor):
    """A tensor whose class says what its numbers mean, as bitsandbytes has them."""


# --- what is broken or without bounds -------------------------------------------------------------

NESTED = 50_000
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "cut short": b"\x80\x02}",
    "no stack": b"\x80\x02R.",
    "no mark": b"\x80\x02}u.",
    "no memo": b"\x80\x02h\x05.",
    "too much": b"\x80\x02}}.",
    "an unknown opcode": b"\x80\x02\xff.",
    "a length beyond its end": b"\x80\x02X\xff\xff\xff\xff.",
    "a length beyond memory": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".",
    "a number of 5,000 digits": b"\x80\x02I" + b"1" * 5000 + b"\n.",
    "a text that is none": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    "a call of a text": b"\x80\x02" + text("os.system") + b")R.",
    "arguments that are none": b"\x80\x02" + named("collections", "OrderedDict") + b"NR.",
    "a key without a value": b"\x80\x02}(" + text("a") + b"u.",
    "a buffer from outside": b"\x80\x05\x97.",
    "a persistent ID of text": b"P0\n.",
    "nested lists": b"\x80\x02" + b"]" * NESTED + b"a" * (NESTED - 1) + b".",
    "nested tuples": b"\x80\x02)" + b"\x85" * NESTED + b".",
    "nested keys": b"\x80\x02})" + b"\x85" * NESTED + b"Ns.",
    "nested wrappers": b"\x80\x02"
    + b"".join(b"}" + text("state_dict") for _ in range(9000))
    + b"}"
    + b"s" * 9000
    + b".",
    "nested rebuilding": b"\x80\x02"
    + named("torch._tensor", "_rebuild_from_type_v2")
    + b"q\x000"
    + b"h\x00(" * 1
    + (b"h\x00" + named("torch", "Tensor") + b"(") * 5000
    + b"t}" * 5000
    + b"tR.",
}


@CONTAINERS
@pytest.mark.parametrize("kind", list(BROKEN))
def test_a_pickle_that_cannot_be_followed_is_one_error(kind: str, zipped: bool, tmp_path: Path) -> None:
    error = refused(contained(BROKEN[kind], tmp_path / "m.ckpt", zipped=zipped))
    assert "would run code" not in error.what
    assert len(error.what) < 400


def test_a_tensor_that_lies_about_its_place_or_shape_is_refused(tmp_path: Path) -> None:
    def described(offset: object, shape: object, stride: object, numel: object = 4) -> bytes:
        storage = ("storage", torch.FloatStorage, "0", "cpu", numel)
        stream = io.BytesIO()
        pickler = pickle.Pickler(stream, 2)
        pickler.persistent_id = lambda obj: storage if obj is storage else None  # type: ignore[method-assign]
        rebuild = torch._utils._rebuild_tensor_v2  # pyright: ignore
        pickler.dump({"a": Call(rebuild, storage, offset, shape, stride, False, collections.OrderedDict())})
        return stream.getvalue()

    path = tmp_path / "m.ckpt"

    def write(pickled: bytes) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/data/0", np.arange(4, dtype="<f4").tobytes())

    write(described(1, (3,), (1,)))
    assert torch.equal(open_checkpoint(path).tensor("a"), torch.tensor([1.0, 2.0, 3.0]))
    lies: list[tuple[object, ...]] = [
        (2, (3,), (1,)),
        (0, (2, 3), (3, 1)),
        (-1, (1,), (1,)),
        (0, (1 << 40,), (1,)),
        (0, (-1,), (1,)),
        (0, (2,), (-1,)),
        (0, (2, 2), (1,)),
        (0, (True,), (1,)),
        (0, (2.0,), (1,)),
        (10**400, (1,), (1,)),
        (0, (10**400,), (0,)),
        (0, [1] * 1000, [1] * 1000),
        (0, "ab", "ab"),
        (0, None, None),
        (0, (1 << 40, 1 << 40), (0, 0)),
        (0, (1,), (1,), -1),
        (0, (1,), (1,), "4"),
    ]
    for lie in lies:
        write(described(*lie))
        refused(path)


@pytest.mark.skipif(sys.platform == "win32", reason="memory is limited by resource.setrlimit")
@pytest.mark.parametrize("kind", ["zeros", "dictionaries", "marks", "texts", "a lie"])
def test_a_pickle_that_unpacks_to_a_gigabyte_is_refused_in_bounded_memory(
    kind: str, tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    path = tmp_path / "bomb.ckpt"
    piece = {"dictionaries": b"}0", "marks": b"(", "texts": text("a" * 1000)}.get(kind, b"\0" * 1000)
    size = {"zeros": 1 << 30, "texts": 1 << 27, "a lie": 1 << 27}.get(kind, 24 << 20)
    block = piece * (1_000_000 // len(piece))
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("archive/data.pkl", "w", force_zip64=True) as record,
    ):
        record.write(b"\x80\x02")
        for _ in range(size // len(block)):
            record.write(block)
    if kind == "a lie":  # the directory says 1,000 bytes, of which the file does not keep to
        raw = bytearray(path.read_bytes())
        at = raw.rindex(b"PK\x01\x02")
        raw[at + 24 : at + 28] = struct.pack("<I", 1000)
        path.write_bytes(raw)
    assert path.stat().st_size < 6_000_000
    lines = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))\n"
        "from pathlib import Path\n"
        "from lib_merge.architectures import read_header; from lib_merge.errors import CheckpointError\n"
        "try: read_header(Path(sys.argv[1]))\n"
        "except CheckpointError as error: print(error.what)"
    )
    out, err = python(lines, path).communicate(timeout=300)
    assert err == ""
    message = {"zeros": "would take 1", "texts": "would take 1", "a lie": "damaged"}.get(
        kind, "2,000,000 steps"
    )
    assert message in out


def test_spoiled_checkpoints_are_one_error_or_the_tensors_that_are_there(tmp_path: Path) -> None:
    chance = random.Random(11)
    path = tmp_path / "m.ckpt"
    read = 0
    for zipped in (True, False):
        for protocol in (2, 4):
            content = {"x": argparse.Namespace(a=1), "state_dict": WEIGHTS}
            torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
            raw = path.read_bytes()
            for _ in range(150):
                spoiled = bytearray(raw)
                for _ in range(chance.randrange(1, 4)):
                    spoiled[chance.randrange(len(raw))] = chance.randrange(256)
                path.write_bytes(spoiled)
                try:
                    with open_checkpoint(path) as checkpoint:
                        for key, info in checkpoint.header.tensors.items():
                            assert len(checkpoint.bytes(key)) == info.nbytes
                        read += 1
                except CheckpointError:
                    continue
    assert read > 50
