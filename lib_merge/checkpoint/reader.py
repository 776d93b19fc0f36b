"""Opens checkpoints and reads their headers; the format is detected by a file's content, not by its
suffix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lib_merge.checkpoint.checkpoint import Checkpoint
from lib_merge.checkpoint.header import FileFormat, Header, detect_format, open_file, read_safetensors_header
from lib_merge.checkpoint.legacy import read_legacy
from lib_merge.checkpoint.legacy_tensors import LoadedCheckpoint, MappedTensors
from lib_merge.checkpoint.linux import is_remote
from lib_merge.checkpoint.mapped import MappedCheckpoint, ReadCheckpoint, map_file
from lib_merge.checkpoint.naming import Naming
from lib_merge.checkpoint.state import changed_error, file_state
from lib_merge.checkpoint.views import AliasedCheckpoint, JoinedCheckpoint


def read_header_as(path: Path, naming: Naming) -> Header:
    """The header of a checkpoint of any format; torch is not loaded.

    For a safetensors file the header is parsed and checked strictly; for a legacy file it is built from the
    description of the tensors in its pickle. CheckpointError where the file cannot be read.
    """
    with open_file(path) as file:
        state = file_state(file.fileno())
        if detect_format(file, path) is FileFormat.SAFETENSORS:
            return replace(read_safetensors_header(file, path, naming), state=state)
        return replace(read_legacy(file, path, naming).header, state=state)


def open_from_header_as(header: Header, naming: Naming, *, mapped: bool = True) -> Checkpoint:
    """Open the file of a header, with the header's aliases.

    mapped  memory-map the file where possible; False reads safetensors files instead, where the system
            supports positional reads
    Raises CheckpointError where the file changed since the header was read.
    """
    checkpoint = open_checkpoint_as(header.path, naming)
    if not mapped:
        checkpoint = checkpoint.unmapped()
    if header.state is not None and checkpoint.header.state != header.state:
        checkpoint.close()
        raise changed_error(header.path)
    return AliasedCheckpoint(checkpoint, header.aliases) if header.aliases else checkpoint


def open_checkpoint_as(path: Path, naming: Naming) -> Checkpoint:
    """Open a checkpoint of any format."""
    header, checkpoint = _open_unjoined(path, naming)
    return JoinedCheckpoint(checkpoint, header) if header.joined else checkpoint


def _open_unjoined(path: Path, naming: Naming) -> tuple[Header, Checkpoint]:
    """A file's header, and the open file with its tensors as stored, none joined."""
    with open_file(path) as file:
        state = file_state(file.fileno())
        if detect_format(file, path) is FileFormat.SAFETENSORS:
            header = replace(read_safetensors_header(file, path, naming), state=state)
            if is_remote(file.fileno()):
                return header, ReadCheckpoint(header.unjoined(), file.fileno())
            return header, MappedCheckpoint(header.unjoined(), map_file(file, path), file.fileno())
        legacy = read_legacy(file, path, naming)
        header = replace(legacy.header, state=state)
        tensors = MappedTensors(legacy.locations, map_file(file, path), path)
        return header, LoadedCheckpoint(header.unjoined(), tensors)
