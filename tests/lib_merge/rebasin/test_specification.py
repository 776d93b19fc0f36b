"""The families' symmetries are whole: every axis of every weight either moves or has a reason to stay."""

from __future__ import annotations

from collections import Counter

import pytest

from lib_merge.architectures import FAMILIES, SYMMETRY_KINDS, Family, Role, family_by_id, key_regex, role_of
from lib_merge.checkpoint import TensorInfo
from lib_merge.dtypes import F16, I64
from lib_merge.rebasin import Group, Options, groups_of, strange_keys

pytestmark = pytest.mark.newest_only

ALIGNABLE = [family for family in FAMILIES if family.symmetries.permutable]
NAMES = [family.id for family in ALIGNABLE]


def infos(family: Family) -> dict[str, TensorInfo]:
    return {key: TensorInfo(F16, shape) for key, shape in family.shapes.items()}


def every_group(family: Family, **options: object) -> tuple[Group, ...]:
    grouping = groups_of(family, infos(family), infos(family), Options(**options))
    assert grouping.left_out == ()
    return grouping.groups


def test_it_is_known_for_the_families_that_it_is_meant_for() -> None:
    assert {"sd1", "sd2", "sdxl"} <= set(NAMES)


@pytest.mark.parametrize("family", ALIGNABLE, ids=NAMES)
def test_every_axis_moves_in_a_group_or_stays_for_a_reason_and_never_both(family: Family) -> None:
    moving = {
        (member.key, member.axis)
        for group in every_group(family)
        for part in group.parts
        for member in part.members
    }
    stays = [(key_regex(kept.key), kept.axes) for kept in family.symmetries.fixed]
    for key, shape in family.shapes.items():
        for axis in range(min(2, len(shape))):
            if role_of(family, key) is Role.WEIGHT:
                kept = any(axis in axes and pattern.fullmatch(key) for pattern, axes in stays)
                assert ((key, axis) in moving) != kept, (key, axis)


@pytest.mark.parametrize("family", ALIGNABLE, ids=NAMES)
def test_no_axis_belongs_to_two_groups(family: Family) -> None:
    seen = Counter(
        (member.key, member.axis, segment)
        for group in every_group(family)
        for part in group.parts
        for member in part.members
        for segment in member.taken
    )
    assert max(seen.values()) == 1


@pytest.mark.parametrize("family", ALIGNABLE, ids=NAMES)
def test_members_of_a_group_agree_about_its_size_and_parts_about_their_heads(family: Family) -> None:
    for group in every_group(family):
        assert group.kind in SYMMETRY_KINDS
        for part in group.parts:
            sizes = {family.shapes[m.key][m.axis] / m.segments for m in part.members}
            assert sizes == {part.size}
            assert group.heads == 0 or part.size % group.heads == 0


@pytest.mark.parametrize(
    ("family", "kind", "layer", "count"),
    [
        ("sd1", "resblocks", "", 46),  # 22 of the U-Net, 24 of the VAE
        ("sd1", "tokens", "", 16),
        ("sd1", "heads", "", 46),  # 2 for each of 16 transformers, 12 layers of CLIP, 2 of the VAE
        ("sd1", "geglu", "", 16),
        ("sd1", "embedding", "", 2),
        ("sdxl", "embedding", "", 3),
        ("sdxl", "tokens", "", 11),
        ("sdxl", "geglu", "", 70),  # one for each transformer block
        ("sdxl", "mlp", "CLIP_G", 32),
        ("sdxl", "mlp", "BASE", 44),
        ("sd2", "mlp", "BASE", 24),
    ],
)
def test_there_are_as_many_groups_as_the_networks_have(
    family: str, kind: str, layer: str, count: int
) -> None:
    layers = (layer,) if layer else ()
    assert len(every_group(family_by_id(family), groups=(kind,), layers=layers)) == count


@pytest.mark.parametrize(
    ("family", "module", "heads"),
    [
        ("sd1", "model.diffusion_model.input_blocks.1.1.", 8),
        ("sd1", "model.diffusion_model.middle_block.1.", 8),
        ("sdxl", "model.diffusion_model.input_blocks.4.1.", 10),  # 640 channels, not 64 heads
        ("sdxl", "model.diffusion_model.middle_block.1.", 20),
        ("sd2", "model.diffusion_model.input_blocks.1.1.", 5),
        ("sd1", "cond_stage_model.", 12),
        ("sdxl", "conditioner.embedders.1.", 20),
        ("sd1", "first_stage_model.", 1),
    ],
)
def test_heads_are_counted_as_the_network_counts_them(family: str, module: str, heads: int) -> None:
    groups = [
        group for group in every_group(family_by_id(family), groups=("heads",)) if group.id.startswith(module)
    ]
    assert {group.heads for group in groups} == {heads}


def test_a_module_with_a_tensor_that_the_family_does_not_know_is_left_alone() -> None:
    family = family_by_id("sd1")
    plain = infos(family)
    module = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2"
    adapted = plain | {f"{module}.to_k_ip.weight": TensorInfo(F16, (320, 768))}
    assert strange_keys(family, adapted) == [f"{module}.to_k_ip.weight"]
    grouping = groups_of(family, adapted, plain, Options())
    left_out = [note.partition(": ")[0] for note in grouping.left_out]
    everything = {group.id for group in every_group(family)}
    assert {group.id for group in grouping.groups} == everything - set(left_out)
    assert f"{module}.to_q:heads" in left_out
    assert all("to_k_ip" in note for note in grouping.left_out)
    assert any(":embedding" in group_id for group_id in left_out)  # its module is the whole U-Net


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (None, "is not in both files"),
        (TensorInfo(F16, (320, 300, 1, 1)), "has another number of channels"),
        (TensorInfo(F16, (640, 320, 1, 1)), "has another shape"),
        (TensorInfo(I64, (320, 320, 1, 1)), "holds integers"),
    ],
)
def test_a_group_that_does_not_fit_the_other_file_is_left_out_and_named(
    change: TensorInfo | None, reason: str
) -> None:
    family = family_by_id("sd1")
    key = "model.diffusion_model.input_blocks.1.1.proj_out.weight"
    other = infos(family)
    other.pop(key)
    if change is not None:
        other[key] = change
    for pair in ((infos(family), other), (other, infos(family))):
        grouping = groups_of(family, *pair, Options())
        assert [note for note in grouping.left_out if key in note and reason in note]
        assert not any(key in group.keys for group in grouping.groups)


def test_a_matrix_stands_for_the_1x1_convolution_that_it_is() -> None:
    family = family_by_id("sd1")
    flat = {
        key: TensorInfo(F16, info.shape[:2])
        if ".proj_in.weight" in key or ".proj_out.weight" in key
        else info
        for key, info in infos(family).items()
    }
    assert groups_of(family, flat, infos(family), Options()).left_out == ()
