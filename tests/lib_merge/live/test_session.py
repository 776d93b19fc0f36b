"""A live model holds exactly what a recipe makes, or exactly what it held before; never a mixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from torch import Tensor

from lib_merge.architectures import read_header
from lib_merge.checkpoint import Header
from lib_merge.dtypes import F16
from lib_merge.errors import CheckpointError, MergeError, NumericalError, StoppedError
from lib_merge.execute import merge_to_memory
from lib_merge.live import BrokenModelError, LiveSession
from lib_merge.plan import make_plan
from lib_merge.progress import NoProgress
from lib_merge.recipe import Recipe, Slots, parse_rules
from tests.support.examples import examples
from tests.support.full_size import write_tiny
from tests.support.live_model import Memory
from tests.support.merging import rewrite, same_bits, simple_recipe

OUT05 = "model.diffusion_model.output_blocks.5.0.in_layers.2.weight"
SLOTS = ("BASE", "IN00", "IN05", "M00", "OUT05", "OUT11", "TIME", "VAE")


class Bench:
    """Two files, a model loaded from the first, and a session."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float16, **options: bool) -> None:
        self.a, self.b = (write_tiny(folder / f"{n}.safetensors", seed=ord(n)) for n in "ab")
        self.model = Memory(self.a, dtype, **options)
        self.session = LiveSession()
        self.headers: dict[str, Header] = {path.name: read_header(path) for path in (self.a, self.b)}
        self.first = self.model.copy()

    def recipe(self, **alpha: float) -> Recipe:
        rest = alpha.pop("rest", 0.0)
        return simple_recipe([self.a, self.b], alpha=Slots(tuple(sorted(alpha.items())), rest))

    def apply(self, recipe: Recipe) -> object:
        return self.session.apply(self.model, self.a, recipe, self.headers)

    def expected(self, recipe: Recipe) -> dict[str, Tensor]:
        """What the file of the same recipe would hold, in the model's dtypes."""
        merged = merge_to_memory(make_plan(recipe, self.headers))
        return {key: merged[key].to(value.dtype) for key, value in self.model.weights.items()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(same_bits(one[key], other[key]) for key in one)


def amounts() -> st.SearchStrategy[dict[str, float]]:
    number = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    return st.dictionaries(st.sampled_from([*SLOTS, "rest"]), number, max_size=5)


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(amounts(), min_size=1, max_size=4))
def test_after_any_swaps_the_model_holds_what_the_last_recipes_file_would(
    tmp_path: Path, turns: list[dict[str, float]]
) -> None:
    bench = Bench(tmp_path)
    for turn in turns:
        recipe = bench.recipe(**turn)
        bench.apply(recipe)
        assert equal(bench.model.copy(), bench.expected(recipe))
    bench.session.restore(bench.model, bench.a)
    assert equal(bench.model.copy(), bench.first)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
)
@pytest.mark.parametrize("strided", [False, True])
def test_values_pass_through_the_saved_format_whatever_the_model_holds(
    tmp_path: Path, dtype: torch.dtype, strided: bool
) -> None:
    bench = Bench(tmp_path, dtype, strided=strided)
    recipe = bench.recipe(rest=0.3)
    bench.apply(recipe)
    assert {value.dtype for value in bench.model.weights.values()} == {dtype}
    assert equal(bench.model.copy(), bench.expected(recipe))


def test_only_what_changed_is_computed(bench: Bench) -> None:
    bench.apply(bench.recipe(rest=0.3))
    report = bench.session.apply(bench.model, bench.a, bench.recipe(rest=0.3, OUT05=0.8), bench.headers)
    assert report.slots == ("OUT05",)
    assert set(bench.model.requested_keys) == bench.model.prepared[-1]
    assert all(".output_blocks.5." in key for key in bench.model.requested_keys)


def test_only_the_tensors_whose_rules_changed_are_computed(bench: Bench) -> None:
    def recipe(text: str) -> Recipe:
        return simple_recipe([bench.a, bench.b], alpha=parse_rules(text))

    bench.apply(recipe("0.3; attn2.to_k: 0.1"))
    second = recipe("0.3; attn2.to_k: 0.8")
    report = bench.session.apply(bench.model, bench.a, second, bench.headers)
    assert report.keys == 16
    assert all("attn2.to_k" in key for key in bench.model.prepared[-1])
    assert equal(bench.model.copy(), bench.expected(second))
    again = bench.session.apply(bench.model, bench.a, recipe("attn2.to_k: 0.8; 0.3"), bench.headers)
    assert again.keys == 0


def test_a_merge_in_which_nothing_is_mixed_equals_the_loaded_file(bench: Bench) -> None:
    def equal(recipe: Recipe) -> bool:
        return bench.session.apply(bench.model, bench.a, recipe, bench.headers).equal

    amounts = ({"rest": 0.0}, {"OUT05": 0.8}, {"rest": 0.0})
    assert [equal(bench.recipe(**each)) for each in amounts] == [True, False, True]


def test_the_same_recipe_again_costs_nothing_and_renames_nothing(bench: Bench) -> None:
    recipe = bench.recipe(rest=0.3)
    bench.apply(recipe)
    report = bench.session.apply(bench.model, bench.a, recipe, bench.headers)
    assert (report.keys, report.nbytes, report.slots) == (0, 0, ())
    assert len(bench.model.named) == 1


def test_the_model_gets_the_merges_name_and_its_own_back(bench: Bench) -> None:
    bench.apply(bench.recipe(OUT05=0.5))
    assert bench.session.is_live(bench.model)
    bench.session.restore(bench.model, bench.a)
    assert not bench.session.is_live(bench.model)
    live, restored = bench.model.named
    assert live is not None
    assert live.name == "a + b (unsaved)"
    assert live.id.startswith("merge-")
    assert "OUT05: 0.5" in live.recipe
    assert restored is None


def test_another_first_model_than_the_loaded_one_is_swapped_in_whole(bench: Bench) -> None:
    recipe = simple_recipe([bench.b, bench.a], alpha=0.0)
    bench.apply(recipe)
    assert equal(bench.model.copy(), bench.expected(recipe))
    bench.session.restore(bench.model, bench.a)
    assert equal(bench.model.copy(), bench.first)


def failing(after: int, error: BaseException) -> Callable[[str], None]:
    """Raises once `after` places have been asked for, and never again."""
    left = [after]

    def fail(key: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise error

    return fail


@pytest.mark.parametrize("error", [StoppedError("stop"), RuntimeError("out of memory"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [1, 300])
def test_whatever_stops_a_swap_the_model_holds_what_it_held(
    bench: Bench, error: BaseException, after: int
) -> None:
    bench.apply(bench.recipe(rest=0.3))
    before, names = bench.model.copy(), list(bench.model.named)
    bench.model.before_write = failing(after, error)
    with pytest.raises(type(error)):
        bench.apply(bench.recipe(rest=0.6))
    assert equal(bench.model.copy(), before)
    assert bench.model.named == names
    bench.apply(bench.recipe(rest=0.6))
    assert equal(bench.model.copy(), bench.expected(bench.recipe(rest=0.6)))


def test_a_swap_that_cannot_be_taken_back_says_so_and_forgets(bench: Bench) -> None:
    bench.apply(bench.recipe(rest=0.3))

    keys: list[str] = []

    def fail(key: str) -> None:
        keys.append(key)
        if len(keys) > 5:
            raise RuntimeError("the device is gone")

    bench.model.before_write = fail
    with pytest.raises(BrokenModelError, match="could not be undone"):
        bench.apply(bench.recipe(rest=0.6))
    assert not bench.session.is_live(bench.model)


def test_nan_in_an_input_is_reported_and_taken_back(bench: Bench) -> None:
    bad = torch.full_like(bench.model.weights[OUT05], torch.nan)
    rewrite(bench.b, {OUT05: bad}, bench.b)
    bench.headers[bench.b.name] = read_header(bench.b)
    with pytest.raises(NumericalError, match="NaN"):
        bench.apply(bench.recipe(rest=0.5))
    assert equal(bench.model.copy(), bench.first)


def test_a_checkpoint_that_holds_nan_itself_is_restored_all_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bad = bench.model.weights[OUT05].clone()
    bad.view(-1)[0] = torch.inf
    rewrite(bench.a, {OUT05: bad}, bench.a)
    bench.model.weights[OUT05].copy_(bad)
    bench.headers[bench.a.name] = read_header(bench.a)
    bench.apply(bench.recipe(OUT05=1.0))
    bench.session.restore(bench.model, bench.a)
    assert same_bits(bench.model.weights[OUT05], bad)


def test_what_somebody_else_put_into_the_model_is_written_over(bench: Bench) -> None:
    bench.model.weights[OUT05] += 1
    slot = [key for key in bench.model.weights if ".output_blocks.5." in key]
    for key in slot:
        bench.model.weights[key] += 1
    recipe = bench.recipe(IN05=0.5)
    bench.apply(recipe)
    assert equal(bench.model.copy(), bench.expected(recipe))


def test_a_host_that_loaded_again_is_attached_again(bench: Bench) -> None:
    bench.apply(bench.recipe(rest=0.5))
    for key, value in bench.first.items():
        bench.model.weights[key].copy_(value)
    bench.model.identity = object()
    assert not bench.session.is_live(bench.model)
    bench.apply(bench.recipe(rest=0.5))
    assert equal(bench.model.copy(), bench.expected(bench.recipe(rest=0.5)))


def test_a_file_that_was_replaced_is_read_again(bench: Bench, tmp_path: Path) -> None:
    bench.apply(bench.recipe(rest=0.5))
    write_tiny(tmp_path / "new", seed=99).replace(bench.b)
    bench.headers[bench.b.name] = read_header(bench.b)
    recipe = bench.recipe(rest=0.5, OUT05=0.6)
    bench.apply(recipe)
    assert equal(bench.model.copy(), bench.expected(recipe))


def test_a_file_that_was_written_over_in_place_is_refused_and_nothing_is_written(bench: Bench) -> None:
    bench.apply(bench.recipe(rest=0.5))
    before = bench.model.copy()
    with bench.b.open("r+b") as file:
        file.truncate(bench.b.stat().st_size // 2)
    with pytest.raises(CheckpointError, match="changed meanwhile"):
        bench.apply(bench.recipe(rest=0.5, OUT05=0.6))
    assert equal(bench.model.copy(), before)


class Reads(NoProgress):
    """Counts looks at keys: before each it is asked whether to go on."""

    def __init__(self) -> None:
        self.looks = 0

    def stopped(self) -> bool:
        self.looks += 1
        return False


def cosine(bench: Bench, **alpha: float) -> Recipe:
    amount = Slots(tuple(sorted(alpha.items())), 0.5)
    return simple_recipe([bench.a, bench.b], "cosine_a", alpha=amount)


def test_what_a_method_has_to_know_of_the_whole_model_is_found_once(bench: Bench) -> None:
    counts: list[int] = []
    for amount in (0.3, 0.6):
        reads, recipe = Reads(), cosine(bench, OUT05=amount)
        bench.session.apply(bench.model, bench.a, recipe, bench.headers, reads)
        counts.append(reads.looks)
        assert equal(bench.model.copy(), bench.expected(recipe))
    keys = [key for key in bench.model.weights if ".output_blocks.5." in key]
    assert counts[0] > len(bench.model.weights)
    assert counts[1] == len(keys)  # the second pass's own pieces and no look at any other key


def test_a_file_that_was_replaced_is_reduced_again(bench: Bench, tmp_path: Path) -> None:
    bench.apply(cosine(bench, OUT05=0.3))
    write_tiny(tmp_path / "new", seed=99).replace(bench.b)
    bench.headers[bench.b.name] = read_header(bench.b)
    bench.apply(cosine(bench, OUT05=0.3))
    assert equal(bench.model.copy(), bench.expected(cosine(bench, OUT05=0.3)))


def test_a_session_keeps_no_file_open_that_it_does_not_need(bench: Bench, tmp_path: Path) -> None:
    third = write_tiny(tmp_path / "c.safetensors", seed=3)
    bench.headers[third.name] = read_header(third)
    for _ in range(3):
        bench.session.apply(bench.model, bench.a, simple_recipe([bench.a, third], alpha=0.5), bench.headers)
        bench.apply(bench.recipe(rest=0.5))
    opened = Path("/proc/self/maps")
    if opened.exists():
        assert str(third) not in opened.read_text(encoding="utf-8")


def test_a_model_of_another_family_is_refused_before_anything_is_written(bench: Bench) -> None:
    other = write_tiny(bench.a.with_name("x.safetensors"), family="sdxl", seed=1)
    headers = {other.name: read_header(other)}
    with pytest.raises(MergeError, match="does not fit into the model in memory"):
        bench.session.apply(bench.model, bench.a, recipe_of(other), headers)
    assert equal(bench.model.copy(), bench.first)


def recipe_of(path: Path) -> Recipe:
    return simple_recipe([path, path], alpha=0.5)


def test_a_recipes_own_format_is_what_the_preview_shows(tmp_path: Path) -> None:
    bench = Bench(tmp_path, torch.float32)
    plain = simple_recipe([bench.a, bench.b], alpha=0.37)
    rounded = simple_recipe([bench.a, bench.b], alpha=0.37, dtype=F16)
    bench.apply(plain)
    bench.apply(rounded)
    assert equal(bench.model.copy(), bench.expected(rounded))


def test_a_merge_that_predicts_what_the_model_in_memory_was_not_loaded_for_is_reported(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    bench.b = write_tiny(tmp_path / "b.safetensors", seed=3, extra={"v_pred": (0,)})
    bench.headers = {path.name: read_header(path) for path in (bench.a, bench.b)}

    def notes(amount: float) -> tuple[str, ...]:
        recipe = simple_recipe([bench.a, bench.b], alpha=amount)
        return bench.session.apply(bench.model, bench.a, recipe, bench.headers).notes

    warning = (
        "the model in memory was loaded to predict eps, and this merge predicts v: "
        "pictures drawn now are wrong; save the merge and load that file"
    )
    assert notes(1.0)[-1] == warning
    assert "mixes models of different prediction types" in notes(0.2)[0]
    assert warning not in notes(0.2)
    assert notes(0.0) == ()
