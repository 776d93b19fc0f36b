"""Many models in one recipe: one pass, one rounding, shares normalised when a word asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lib_merge.cli import main
from lib_merge.execute import merge_to_memory
from lib_merge.plan import Combination, Plan
from lib_merge.recipe import Ingredient, Recipe, Step, parse_rules
from tests.support.full_size import write_tiny
from tests.support.merging import in_float64, plan_of, same_bits

pytestmark = pytest.mark.newest_only

COUNT = 14
SHARES = tuple(n / 105 for n in range(1, COUNT + 1))  # they sum to 1
KEY = "model.diffusion_model.output_blocks.5.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("many")
    return [write_tiny(folder / f"{n}.safetensors", seed=n) for n in range(COUNT)]


def mixed(files: Sequence[Path], **settings: object) -> Plan:
    names = [f"M{n}" for n in range(COUNT)]
    ingredients = tuple(Ingredient(name, file.name) for name, file in zip(names, files, strict=True))
    step = Step("MIX", "weighted_models", tuple(names), tuple(sorted(settings.items())))  # type: ignore[arg-type]
    return plan_of(Recipe(ingredients, (step,), "MIX"), files[0].parent)


def exactly(files: Sequence[Path], shares: Sequence[float]) -> Tensor:
    return in_float64(files, KEY, shares).half()


def test_fourteen_models_are_one_sum_rounded_once(files: list[Path]) -> None:
    plan = mixed(files, model_weights=SHARES)
    expression = plan.slots["OUT05"]
    assert isinstance(expression, Combination)
    assert len(expression.terms) == COUNT
    assert not [note for note in plan.notes if "sum to" in note]
    got = merge_to_memory(plan)[KEY]
    assert (
        float((got == exactly(files, SHARES)).float().mean()) > 0.99
    )  # float32 sums, halves at a rounding edge


def test_shares_are_taken_as_they_are_unless_a_word_asks_to_normalise_them(files: list[Path]) -> None:
    ones = (1.0,) * COUNT
    as_given = mixed(files, model_weights=ones)
    assert any("the amounts sum to 14 and not to 1" in note for note in as_given.notes)
    mean = mixed(files, model_weights=ones, normalize=True)
    assert not any("sum to" in note for note in mean.notes)
    torch.testing.assert_close(
        merge_to_memory(mean)[KEY].float(), exactly(files, [1 / COUNT] * COUNT).float(), rtol=1e-3, atol=1e-6
    )


def test_thirteen_steps_over_fourteen_models_fold_into_one_sum(files: list[Path]) -> None:
    ingredients = tuple(Ingredient(f"M{n}", file.name) for n, file in enumerate(files))
    steps = tuple(
        Step(f"S{n}", "weighted_sum", (f"S{n - 1}" if n > 1 else "M0", f"M{n}"), (("alpha", 1 / (n + 1)),))
        for n in range(1, COUNT)
    )
    plan = plan_of(Recipe(ingredients, steps, steps[-1].name), files[0].parent)
    expression = plan.slots["OUT05"]
    assert isinstance(expression, Combination)
    assert all(abs(float(share) - 1 / COUNT) < 1e-9 for _, share in expression.terms)


def test_each_share_may_follow_rules_of_its_own(files: list[Path]) -> None:
    shares = (parse_rules("1; attn2.to_k: 0"), parse_rules("attn2.to_k: 1"), *(0.0,) * (COUNT - 2))
    got = merge_to_memory(mixed(files, model_weights=shares))
    first, second = load_file(files[0]), load_file(files[1])
    other = KEY.replace("attn2", "attn1")
    assert same_bits(got[KEY], second[KEY])
    assert same_bits(got[other], first[other])


def test_fourteen_models_on_the_command_line(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = " ".join("1" for _ in files)
    target = tmp_path / "mix.safetensors"
    arguments = [
        "merge",
        *map(str, files),
        "--method",
        "weighted_models",
        "--model-weights",
        shares,
        "--normalize",
        "true",
    ]
    assert main([*arguments, "-o", str(target)]) == 0
    assert "sum to" not in capsys.readouterr().err
    mean = exactly(files, [1 / COUNT] * COUNT)
    torch.testing.assert_close(load_file(target)[KEY], mean, rtol=1e-3, atol=1e-6)
