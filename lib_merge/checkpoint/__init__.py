"""Checkpoint files: headers, memory-mapped reading, atomic writing, safe reading of pickles, hashes."""

from lib_merge.checkpoint.atomic import part_file, write_data_file, write_file
from lib_merge.checkpoint.checkpoint import Checkpoint, tensor_bytes
from lib_merge.checkpoint.hashes import ALL_HASHES, DEFAULT_HASHES, Hashes, hash_file
from lib_merge.checkpoint.header import Header, parse_safetensors_header
from lib_merge.checkpoint.info import TensorInfo
from lib_merge.checkpoint.layout import FileLayout, TensorSpec, plan_layout
from lib_merge.checkpoint.metadata import decode_value, encode_metadata, encode_value, metadata_dict
from lib_merge.checkpoint.naming import AsStored, EqualTensors, JoinedTensor, Naming, Shapes
from lib_merge.checkpoint.pickle_writer import dtype_problems, write_pickle
from lib_merge.checkpoint.reader import (
    open_checkpoint_as,
    open_from_header_as,
    read_header_as,
)
from lib_merge.checkpoint.system_errors import human_size
from lib_merge.checkpoint.target import check_folder, check_target, check_targets
from lib_merge.checkpoint.writer import StreamingWriter

__all__ = [
    "ALL_HASHES",
    "DEFAULT_HASHES",
    "AsStored",
    "Checkpoint",
    "EqualTensors",
    "FileLayout",
    "Hashes",
    "Header",
    "JoinedTensor",
    "Naming",
    "Shapes",
    "StreamingWriter",
    "TensorInfo",
    "TensorSpec",
    "check_folder",
    "check_target",
    "check_targets",
    "decode_value",
    "dtype_problems",
    "encode_metadata",
    "encode_value",
    "hash_file",
    "human_size",
    "metadata_dict",
    "open_checkpoint_as",
    "open_from_header_as",
    "parse_safetensors_header",
    "part_file",
    "plan_layout",
    "read_header_as",
    "tensor_bytes",
    "write_data_file",
    "write_file",
    "write_pickle",
]
