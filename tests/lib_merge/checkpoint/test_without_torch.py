"""What reading headers and writing files must not import."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

LINES = """
import pathlib, sys
from lib_merge.architectures import read_header
from lib_merge.checkpoint import StreamingWriter, hash_file
from lib_merge.dtypes import F16
target = pathlib.Path(sys.argv[1])
with StreamingWriter(target, [("a", F16, (2,))], {"format": "pt"}) as writer:
    writer.write("a", 0, bytes(4))
    writer.commit()
print(list(read_header(target).tensors), hash_file(target).autov3)
print(sorted({"torch", "numpy", "safetensors"} & set(sys.modules)))
"""


def test_headers_hashes_and_the_writer_work_without_torch(
    tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    output, errors = python(LINES, tmp_path / "model.safetensors").communicate(timeout=280)
    assert (output, errors) == ("['a'] df3f619804a9\n[]\n", "")
