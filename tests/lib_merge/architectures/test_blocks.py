"""What a block is said to be is what the family's keys say."""

from __future__ import annotations

import pytest

from lib_merge.architectures import FAMILIES, Family, family_by_id
from lib_merge.architectures.blocks import block_notes


def test_a_block_of_a_unet_says_where_it_is_and_what_it_consists_of() -> None:
    notes = block_notes(family_by_id("sd1"))
    assert notes["IN03"].place == (
        "Block 4 of the encoder, at 1/16 of the picture's width and height. Its result also goes to OUT08."
    )
    assert notes["OUT05"].place == (
        "Block 6 of the decoder, at 1/32 of the picture's width and height. It also gets the result of IN06."
    )
    assert notes["OUT05"].tensors == (
        "40 tensors, 90.5 million weights, 10.5 % of the network: 1 residual block (1920 to 1280 channels), "
        "1 transformer block (attention to the prompt), a convolution that doubles the size."
    )
    assert "2 residual blocks" in notes["M00"].tensors
    assert "at 1/64 of" in notes["M00"].place


def test_what_mixers_say_names_itself_an_experience() -> None:
    notes = block_notes(family_by_id("sdxl"))
    assert notes["CLIP_G"].said.startswith("Partly composition (the experience of mixers, not a measurement")
    assert notes["OUT08"].said.startswith("Partly style and texture (")
    assert notes["TIME"].said == ""


@pytest.mark.parametrize("family", list(FAMILIES), ids=lambda family: family.id)
def test_every_slot_of_every_family_is_explained(family: Family) -> None:
    notes = block_notes(family)
    assert [slot.id for slot in family.slots if not notes[slot.id].place] == []
    tensors = sum(int(note.tensors.split()[0]) for note in notes.values() if note.tensors)
    assert tensors <= len(family.shapes)
