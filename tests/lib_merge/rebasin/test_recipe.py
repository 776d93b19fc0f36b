"""An alignment as part of a merge: on the samples, in files and in memory, in a live model, and kept."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lib_merge.architectures import family_by_id, open_checkpoint, read_header
from lib_merge.errors import PlanError, StoppedError
from lib_merge.execute import MergeOptions, merge_to_file, merge_to_memory
from lib_merge.hosts.drawing import draw, pipeline_of
from lib_merge.live import LiveSession
from lib_merge.plan import Plan, make_plan, render_plan
from lib_merge.progress import NoProgress
from lib_merge.rebasin import Alignments, ArrangedCheckpoint, Options, align
from lib_merge.recipe import parse_recipe, print_recipe
from samples.assemble import assemble
from tests.lib_merge.rebasin import networks
from tests.lib_merge.rebasin.models import UNET
from tests.support.live_model import Memory
from tests.support.merging import same_bits

QUICK = 'layers = "M00, IN07, TIME", sweeps = 2'
HEAD = """merge-desk recipe 2
A = "base.safetensors"
B = "other.safetensors"
C = "ink.safetensors"
"""


@pytest.fixture(scope="module")
def models() -> Path:
    return assemble()["base"].parent


def plan_of(text: str, models: Path) -> Plan:
    recipe = parse_recipe(HEAD + text)
    return make_plan(recipe, {file: read_header(models / file) for file in recipe.files})


class Heard(NoProgress):
    """Remembers what it was told of."""

    def __init__(self, stop_at: str = "") -> None:
        self.phases: list[str] = []
        self.stop_at = stop_at

    def start(self, total: int, what: str) -> None:
        self.phases.append(what.split(",")[0])

    def stopped(self) -> bool:
        return bool(self.phases) and self.phases[-1] == self.stop_at


@cache
def whole(models: Path) -> dict[str, Tensor]:
    """`other` aligned to `base` with all groups."""
    return merge_to_memory(plan_of("B2 = rebasin(B, to = A, sweeps = 2)\nsave B2", models))


def test_an_aligned_sample_computes_in_float64_what_it_computed(models: Path) -> None:
    before, after = load_file(models / "other.safetensors"), whole(models)
    moved = [key for key in after if not torch.equal(after[key], before[key])]
    assert len(moved) > 400
    x, text = networks_input(1, 4, 8, 8), networks_input(1, 77, 48)
    old, new = (
        networks.unet(
            {key: value.double() for key, value in networks.under(state, UNET).items()},
            x,
            torch.tensor([500]),
            text,
            lambda _: 8,
        )
        for state in (before, after)
    )
    assert float((old - new).norm() / old.norm()) < 1e-10


def networks_input(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.slow
def test_an_aligned_sample_draws_the_same_pictures(models: Path) -> None:
    pictures = [
        np.asarray(
            draw(pipeline_of(state), ["a red circle"], seeds=[1], steps=6, width=64, height=64)[0], int
        )
        for state in (load_file(models / "other.safetensors"), whole(models))
    ]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1  # of 255: sums are taken in another order


def test_a_merge_reads_the_aligned_model_wherever_the_recipe_names_it(models: Path) -> None:
    text = f"B2 = rebasin(B, to = A, {QUICK})\nM = weighted_sum(A, B2, alpha = {{M00: 0.5, IN07: 1}})\nsave M"
    merged = merge_to_memory(plan_of(text, models))
    aligned = merge_to_memory(plan_of(f"B2 = rebasin(B, to = A, {QUICK})\nsave B2", models))
    a, b = (load_file(models / f"{name}.safetensors") for name in ("base", "other"))
    middle, seventh = f"{UNET}middle_block.0.in_layers.2.weight", f"{UNET}input_blocks.7.0.in_layers.2.weight"
    assert not torch.equal(aligned[middle], b[middle])
    assert torch.equal(merged[middle], ((a[middle].float() + aligned[middle].float()) / 2).half())
    assert same_bits(merged[seventh], aligned[seventh])
    assert same_bits(
        merged[f"{UNET}input_blocks.1.0.in_layers.2.weight"], a[f"{UNET}input_blocks.1.0.in_layers.2.weight"]
    )


def test_the_same_recipe_gives_the_same_bytes_with_any_number_of_threads(
    models: Path, tmp_path: Path
) -> None:
    text = (
        f"B2 = rebasin(B, to = A, {QUICK}, procrustes = true)\nM = weighted_sum(A, B2, alpha = 0.5)\nsave M"
    )
    plan = plan_of(text, models)
    for threads in (1, 2):
        merge_to_file(plan, tmp_path / f"{threads}.safetensors", MergeOptions(threads=threads))
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()
    again = parse_recipe(read_header(tmp_path / "1.safetensors").metadata["merge_desk.recipe"])
    assert again == plan.recipe
    rebuilt = make_plan(again, {file: read_header(models / file) for file in again.files})
    merge_to_file(rebuilt, tmp_path / "3.safetensors")
    assert (tmp_path / "3.safetensors").read_bytes() == (tmp_path / "1.safetensors").read_bytes()


def test_a_fine_tune_and_its_base_moved_alike_keep_their_difference(models: Path) -> None:
    """C is a fine-tune of A; both are aligned to B by what fits A."""
    header = HEAD + f"A2 = rebasin(A, to = B, {QUICK})\nC2 = rebasin(C, to = B, by = A, {QUICK})\n"
    recipe = parse_recipe(header + "save C2")
    plan = make_plan(recipe, {file: read_header(models / file) for file in recipe.files})
    moved = merge_to_memory(plan)
    with (
        open_checkpoint(models / "base.safetensors") as a,
        open_checkpoint(models / "other.safetensors") as b,
    ):
        options = recipe.ingredients[3].alignment.options  # type: ignore[union-attr]
        solution = align(family_by_id("sd1"), a, b, options, NoProgress())
        with open_checkpoint(models / "ink.safetensors") as c:
            seen = ArrangedCheckpoint(c, solution.groups, solution.arrangements)
            assert solution.moved
            assert all(same_bits(moved[key], seen.tensor(key)) for key in moved if key in seen.header.tensors)


def test_the_plan_says_what_is_aligned_and_what_that_costs(models: Path) -> None:
    plan = plan_of("B2 = rebasin(B, to = A, by = C)\nM = weighted_sum(A, B2)\nsave M", models)
    assert "  B2 = other.safetensors, aligned to A as C is" in render_plan(plan, 1)
    assert any("LoRAs trained on that no longer fit" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('B2 = rebasin(B, to = A, layers = "IN99")', "has no slot 'IN99'"),
        ('B2 = rebasin(B, to = A, groups = "hads")', "there is no group 'hads' to align"),
        ("B2 = rebasin(B, to = D)", "only files can be aligned, and 'D' is not a file"),
        (
            "M = weighted_sum(A, B)\nB2 = rebasin(M, to = A)",
            "only files can be aligned, and 'M' is not a file",
        ),
        ("B2 = rebasin(B, to = B)", "'B' cannot be aligned to itself"),
        ("B2 = rebasin(B)", "has no model to align to"),
        ("B2 = rebasin(B, to = A, sweeps = 0)", "sweeps cannot be 0"),
        ("B2 = rebasin(B, to = A, sweeps = 1.5)", "sweeps cannot be 1.5"),
        ("B2 = rebasin(B, to = A, speed = 2)", "takes no 'speed'"),
        ("B2 = rebasin(B, to = A, procrustes = 1)", "procrustes cannot be 1.0"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(text: str, message: str, models: Path) -> None:
    with pytest.raises(Exception, match=message):
        plan_of(text + "\nsave B2", models)


def test_a_family_nobody_has_worked_out_is_refused() -> None:
    options = Options()
    assert [str(problem) for problem in options.problems_with(family_by_id("sd1"))] == []
    (problem,) = options.problems_with(family_by_id("sd2"), "upscaler")
    assert "channels of Stable Diffusion 2, upscaler may be rearranged" in str(problem)
    (problem,) = options.problems_with(family_by_id("flux"))
    assert "does not know which channels of Flux.1 may be rearranged" in str(problem)


def test_a_merge_that_is_stopped_while_aligning_writes_nothing(models: Path, tmp_path: Path) -> None:
    plan = plan_of(f"B2 = rebasin(B, to = A, {QUICK})\nsave B2", models)
    with pytest.raises(StoppedError):
        merge_to_file(plan, tmp_path / "x.safetensors", MergeOptions(progress=Heard(stop_at="aligning")))
    assert list(tmp_path.iterdir()) == []


# --- kept solutions ---


@pytest.fixture
def copies(models: Path, tmp_path: Path) -> Path:
    for name in ("base", "other", "ink"):
        (tmp_path / f"{name}.safetensors").write_bytes((models / f"{name}.safetensors").read_bytes())
    return tmp_path


def merged(folder: Path, alignments: Alignments) -> tuple[dict[str, Tensor], list[str]]:
    heard = Heard()
    plan = plan_of(f"B2 = rebasin(B, to = A, {QUICK}, procrustes = true)\nsave B2", folder)
    return merge_to_memory(plan, MergeOptions(progress=heard, alignments=alignments)), heard.phases


def test_a_solution_is_kept_in_memory_and_on_disk_and_gives_the_same_numbers(copies: Path) -> None:
    kept = copies / "kept"
    first, phases = merged(copies, Alignments(kept))
    assert "aligning" in phases
    for alignments in (Alignments(kept), Alignments(kept)):
        again, phases = merged(copies, alignments)
        assert phases == ["merging"]
        assert all(same_bits(first[key], again[key]) for key in first)


def test_a_changed_file_or_a_damaged_store_is_solved_again(copies: Path) -> None:
    kept = copies / "kept"
    alignments = Alignments(kept)
    merged(copies, alignments)
    (file,) = kept.iterdir()
    file.write_bytes(file.read_bytes()[:200])
    assert "aligning" in merged(copies, Alignments(kept))[1]
    assert merged(copies, Alignments(kept))[1] == ["merging"]
    os.utime(copies / "base.safetensors", (1, 1))
    assert "aligning" in merged(copies, alignments)[1]


def test_a_folder_that_cannot_be_written_to_is_no_error(copies: Path) -> None:
    (copies / "kept").write_text("a file, not a folder")
    assert "aligning" in merged(copies, Alignments(copies / "kept"))[1]


# --- live ---


def test_a_live_model_gets_the_bytes_of_the_file_and_the_search_is_made_once(models: Path) -> None:
    loaded = models / "base.safetensors"
    model = Memory(loaded)
    session = LiveSession(threads=1)
    first = Heard()
    swap = "B2 = rebasin(B, to = A, {})\nM = weighted_sum(A, B2, alpha = {{M00: {}}})\nsave M"
    for alpha, progress in ((0.5, first), (0.25, Heard()), (1, Heard())):
        plan = plan_of(swap.format(QUICK, alpha), models)
        headers = dict(zip(plan.recipe.files, plan.sources, strict=True))
        session.apply(model, loaded, plan.recipe, headers, progress)
        expected = merge_to_memory(plan, MergeOptions(alignments=session.alignments))
        assert all(same_bits(model.weights[key], expected[key]) for key in model.weights)
        assert ("aligning" in progress.phases) == (progress is first)


def test_a_live_model_tells_the_aligned_file_from_the_file(models: Path) -> None:
    """The same file, once as it is and once aligned, in one place after the other."""
    loaded = models / "base.safetensors"
    model, session = Memory(loaded), LiveSession(threads=1)
    key = f"{UNET}middle_block.0.in_layers.2.weight"
    values = []
    for of in ("B", "B2", "B"):
        text = f"B2 = rebasin(B, to = A, {QUICK})\nM = weighted_sum(A, {of}, alpha = 1)\nsave M"
        plan = plan_of(text, models)
        headers = dict(zip(plan.recipe.files, plan.sources, strict=True))
        session.apply(model, loaded, plan.recipe, headers)
        values.append(model.weights[key].clone())
    assert torch.equal(values[0], values[2])
    assert not torch.equal(values[0], values[1])


def test_errors_of_a_plan_come_all_at_once(models: Path) -> None:
    text = 'B2 = rebasin(B, to = A, layers = "IN98, IN99")\nsave B2'
    with pytest.raises(PlanError) as caught:
        plan_of(text, models)
    assert len(caught.value.problems) == 2


def test_a_recipe_with_hashes_reads_back(models: Path) -> None:
    text = HEAD.replace('other.safetensors"', 'other.safetensors", sha256 = "ab", autov3 = "cd"')
    recipe = parse_recipe(text + "B2 = rebasin(B, to = A)\nsave B2")
    assert (recipe.ingredients[3].sha256, recipe.ingredients[3].autov3) == ("ab", "cd")
    assert parse_recipe(print_recipe(recipe)) == recipe
