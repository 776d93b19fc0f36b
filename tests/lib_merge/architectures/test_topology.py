"""Keys and shapes of whole models, against counts that are known and against the models' own code."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from lib_merge.architectures import (
    FAMILIES,
    ClipTopology,
    Family,
    OpenClipTopology,
    Topology,
    UNetTopology,
    VaeTopology,
    family_by_id,
    topology_of,
)
from lib_merge.architectures.infer import PART_READERS
from lib_merge.architectures.part_topology import ShapeMap
from lib_merge.checkpoint import TensorInfo
from lib_merge.dtypes import F16

pytestmark = pytest.mark.newest_only

NARROW = Topology(
    {
        "model.diffusion_model.": UNetTopology(channels=64, mult=(1, 2, 1, 1), context=48),
        "cond_stage_model.transformer.": ClipTopology(width=48, mlp=192),
        "first_stage_model.": VaeTopology(ch=64, mult=(1, 2, 1, 1)),
    }
)


def infos(shapes: ShapeMap) -> dict[str, TensorInfo]:
    return {key: TensorInfo(F16, shape) for key, shape in shapes.items()}


def count(family: str, prefix: str) -> int:
    return sum(key.startswith(prefix) for key in family_by_id(family).shapes)


@pytest.mark.parametrize(
    ("family", "prefix", "expected"),
    [
        ("sd1", "model.diffusion_model.", 686),
        ("sd1", "cond_stage_model.", 197),
        ("sd1", "first_stage_model.", 248),
        ("sd1", "", 1131),
        ("sd2", "model.diffusion_model.", 686),
        ("sd2", "cond_stage_model.", 294),
        ("sdxl", "model.diffusion_model.", 1680),
        ("sdxl", "conditioner.embedders.0.", 197),
        ("sdxl", "conditioner.embedders.1.", 390),
        ("sdxl", "", 2515),
        ("sdxl-refiner", "model.diffusion_model.", 1220),
        ("sd3", "model.diffusion_model.", 491),
        ("flux", "model.diffusion_model.", 780),
        ("flux", "vae.", 244),
    ],
)
def test_a_full_size_model_has_as_many_keys_as_its_files(family: str, prefix: str, expected: int) -> None:
    assert count(family, prefix) == expected


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("model.diffusion_model.input_blocks.4.1.transformer_blocks.1.attn2.to_k.weight", (640, 2048)),
        ("model.diffusion_model.label_emb.0.0.weight", (1280, 2816)),
        ("model.diffusion_model.output_blocks.2.2.conv.weight", (1280, 1280, 3, 3)),
        ("model.diffusion_model.output_blocks.3.0.skip_connection.weight", (640, 1920, 1, 1)),
        ("conditioner.embedders.1.model.transformer.resblocks.31.attn.in_proj_weight", (3840, 1280)),
        ("conditioner.embedders.1.model.logit_scale", ()),
        ("first_stage_model.decoder.up.0.block.0.nin_shortcut.weight", (128, 256, 1, 1)),
    ],
)
def test_sdxl_keys_have_the_shapes_of_the_real_file(key: str, shape: tuple[int, ...]) -> None:
    assert family_by_id("sdxl").shapes[key] == shape


def test_sd1_projects_with_convolutions_where_sd2_has_matrices() -> None:
    key = "model.diffusion_model.middle_block.1.proj_in.weight"
    assert family_by_id("sd1").shapes[key] == (1280, 1280, 1, 1)
    assert family_by_id("sd2").shapes[key] == (1280, 1280)


def test_the_narrow_samples_have_every_key_of_a_real_sd1_file() -> None:
    assert NARROW.shapes().keys() == family_by_id("sd1").shapes.keys()
    assert NARROW.shapes()["cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight"] == (
        192,
        48,
    )


READABLE = tuple(prefix for prefix, _, _ in PART_READERS)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.id not in ("flux", "sd3")], ids=lambda f: f.id)
def test_the_topology_of_a_full_size_file_is_read_back_from_its_shapes(family: Family) -> None:
    expected = {prefix: plan for prefix, plan in family.topology.parts.items() if prefix in READABLE}
    parts = dict(topology_of(infos(family.shapes)).parts)
    assert {prefix: plan for prefix, plan in parts.items() if prefix in expected} == {
        prefix: plan for prefix, plan in expected.items() if prefix in parts
    }
    assert ("first_stage_model." in parts) == ("first_stage_model." in family.topology.parts)


@pytest.mark.parametrize(
    "topology",
    [
        NARROW,
        Topology({"model.diffusion_model.": UNetTopology(in_channels=9)}),
        Topology({"model.diffusion_model.": UNetTopology(context=1024, linear_proj=True, label=2048)}),
        Topology({"cond_stage_model.model.": OpenClipTopology(layers=23, projection=False)}),
        Topology({"first_stage_model.": VaeTopology(mult=(1, 2, 4), z=16, quant=False)}),
    ],
)
def test_a_topology_is_read_back_from_its_shapes(topology: Topology) -> None:
    assert topology_of(infos(topology.shapes())) == topology


def test_the_parts_of_a_topology_are_found_by_kind() -> None:
    topology = topology_of(infos(NARROW.shapes()))
    assert topology.unet == UNetTopology(channels=64, mult=(1, 2, 1, 1), context=48)
    assert topology.text == (ClipTopology(width=48, mlp=192),)
    assert topology.vae == VaeTopology(ch=64, mult=(1, 2, 1, 1))


def test_a_part_that_follows_no_plan_is_left_out() -> None:
    shapes = NARROW.shapes()
    del shapes["model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"]
    topology = topology_of(infos(shapes))
    assert topology.unet is None
    assert topology.vae is not None


def test_fractional_widths_are_no_plan() -> None:
    shapes = replace(NARROW).shapes()
    shapes["model.diffusion_model.input_blocks.1.0.out_layers.3.weight"] = (65, 64, 3, 3)
    assert topology_of(infos(shapes)).unet is None


def _sd_mecha_list(name: str) -> dict[str, tuple[int, ...]]:
    spec = find_spec("sd_mecha")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "extensions/builtin/model_configs"
    rows = re.findall(
        r"^    (\S+): \{shape: \[([^]]*)\]", (folder / f"{name}.yaml").read_text(), re.MULTILINE
    )
    return {key: tuple(int(size) for size in sizes.split(",") if size.strip()) for key, sizes in rows}


@pytest.mark.skipif(
    find_spec("sd_mecha") is None, reason="sd-mecha, whose key lists are compared, is missing"
)
@pytest.mark.parametrize(
    ("family", "name", "prefixes"),
    [
        ("sd1", "sd1-ldm", ("model.diffusion_model.", "cond_stage_model.", "first_stage_model.")),
        ("sdxl", "sdxl-sgm", ("model.diffusion_model.", "conditioner.", "first_stage_model.")),
        ("sd3", "sd3-comfyui", ("model.diffusion_model.", "first_stage_model.")),
        ("flux", "flux-flux", ("model.diffusion_model.", "vae.")),
    ],
)
def test_keys_and_shapes_are_those_of_sd_mecha(family: str, name: str, prefixes: tuple[str, ...]) -> None:
    theirs = {key: shape for key, shape in _sd_mecha_list(name).items() if key.startswith(prefixes)}
    assert family_by_id(family).shapes == theirs
