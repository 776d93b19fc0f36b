"""Each format of LoRA files is told by its own name, whatever stands beside it in the file."""

from __future__ import annotations

import pytest

from lib_merge.architectures import identify
from lib_merge.architectures.families.lora import LORA_FORMATS, LoraFormat
from lib_merge.checkpoint import TensorInfo
from lib_merge.dtypes import F16
from lib_merge.errors import FamilyError

EVERY = pytest.mark.parametrize("format", LORA_FORMATS, ids=lambda format: format.name)
SCRIPTS = "lora_unet_up_blocks_0_attentions_0_proj_in"


def tensors(*keys: str) -> dict[str, TensorInfo]:
    return {key: TensorInfo(F16, (4, 4)) for key in keys}


@EVERY
def test_a_file_is_refused_by_the_name_of_its_format(format: LoraFormat) -> None:
    with pytest.raises(FamilyError) as caught:
        identify(tensors(format.example))
    assert caught.value.what == f"this is a LoRA ({format.name}), not a checkpoint: it has '{format.example}'"
    assert "choose a checkpoint" in caught.value.hint


@EVERY
def test_names_of_sd_scripts_in_the_same_file_do_not_hide_a_format(format: LoraFormat) -> None:
    with pytest.raises(FamilyError, match="a LoRA") as caught:
        identify(tensors(f"{SCRIPTS}.alpha", format.example))
    assert f"({format.name})" in caught.value.what
