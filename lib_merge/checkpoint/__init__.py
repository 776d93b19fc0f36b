"""Files: header without tensors, mapped reader, streaming atomic writer, restricted legacy reader, hashes."""

from lib_merge.checkpoint.atomic import keep_file, part_file, write_file
from lib_merge.checkpoint.hashbook import HashBook
from lib_merge.checkpoint.hashes import EVERY_HASH, USUAL_HASHES, Hashes, hash_file
from lib_merge.checkpoint.header import Header, TensorInfo, parse_safetensors_header, read_header
from lib_merge.checkpoint.layout import Layout, TensorSpec, plan_layout
from lib_merge.checkpoint.metadata import decode_value, encode_metadata, encode_value, nested
from lib_merge.checkpoint.names import canonical_names
from lib_merge.checkpoint.pickled import format_problems, write_pickle
from lib_merge.checkpoint.reader import Checkpoint, open_checkpoint, open_planned, tensor_bytes
from lib_merge.checkpoint.target import check_place, check_target, check_targets
from lib_merge.checkpoint.words import human_size
from lib_merge.checkpoint.writer import StreamingWriter

__all__ = [
    "EVERY_HASH",
    "USUAL_HASHES",
    "Checkpoint",
    "HashBook",
    "Hashes",
    "Header",
    "Layout",
    "StreamingWriter",
    "TensorInfo",
    "TensorSpec",
    "canonical_names",
    "check_place",
    "check_target",
    "check_targets",
    "decode_value",
    "encode_metadata",
    "encode_value",
    "format_problems",
    "hash_file",
    "human_size",
    "keep_file",
    "nested",
    "open_checkpoint",
    "open_planned",
    "parse_safetensors_header",
    "part_file",
    "plan_layout",
    "read_header",
    "tensor_bytes",
    "write_file",
    "write_pickle",
]
