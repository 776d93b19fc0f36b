"""The public library: what `import lib_merge` offers, and that it does what the command line does."""

from __future__ import annotations

import doctest
import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lib_merge
import lib_merge.api
import lib_merge.execute.options
from lib_merge.architectures.diffusers_names import diffusers_names_of, to_diffusers
from lib_merge.cli import main
from lib_merge.errors import MergeError
from samples.assemble import assemble
from tests.support.full_size import write_tiny

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
INK, PASTEL = "samples/models/ink.safetensors", "samples/models/pastel.safetensors"
UNET = "model.diffusion_model."
MOST_LINES = 20  # of the example that draws


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the samples where the documentation has them."""
    assemble()
    shutil.copytree(ROOT / "samples" / "models", tmp_path / "samples" / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a.safetensors and b.safetensors: every key of a real file, few numbers."""
    for name in "ab":
        write_tiny(tmp_path / f"{name}.safetensors", seed=ord(name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- what it offers ---


def test_every_public_name_is_there_and_documented() -> None:
    for name in lib_merge.__all__:
        value = getattr(lib_merge, name)
        assert name == "__version__" or inspect.getdoc(value), name
    assert set(lib_merge.__all__) <= set(dir(lib_merge))


def test_an_unknown_name_is_an_attribute_error_like_any_other() -> None:
    with pytest.raises(AttributeError, match="no attribute 'merge_it'"):
        _ = lib_merge.merge_it  # type: ignore[attr-defined]


def test_the_page_documents_every_function_with_its_parameters() -> None:
    rows = dict(re.findall(r"^\| `(\w+)(?:\(([^)]*)\))?` \|", PAGE, re.MULTILINE))
    functions = [name for name in lib_merge.__all__ if name[0].islower() and name in lib_merge.api.__dict__]
    assert functions
    for name in functions:
        parameters = inspect.signature(getattr(lib_merge.api, name)).parameters.values()
        marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
        assert rows[name] == ", ".join(marks.get(p.kind, "") + p.name for p in parameters), name


@pytest.mark.parametrize("first", ["lib_merge.plan", "lib_merge.api", "lib_merge.methods.linear"])
def test_functions_that_are_packages_too_can_be_called_whatever_was_imported_before(first: str) -> None:
    program = f"import {first}, lib_merge; print(len(lib_merge.methods()), callable(lib_merge.plan))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    count, plan = done.stdout.split()
    assert (int(count) > 20, plan) == (True, "True"), done.stderr
    assert str(inspect.signature(lib_merge.plan)).startswith("(*models")


def test_planning_a_merge_loads_no_torch(small: Path) -> None:
    program = (
        "import json, sys, lib_merge; loaded = [['torch' in sys.modules]]; "
        "lib_merge.plan('a.safetensors', 'b.safetensors', alpha=0.3); lib_merge.methods(); "
        "loaded.append(['torch' in sys.modules]); print(json.dumps(loaded))"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=small, env=environment, capture_output=True, text=True
    )
    assert json.loads(done.stdout or "null") == [[False], [False]], done.stderr


# --- the documentation runs ---


@pytest.mark.slow
@pytest.mark.parametrize("module", [lib_merge, lib_merge.api, lib_merge.execute.options])
def test_the_examples_in_docstrings_print_what_they_show(module: Any, clone: Path) -> None:
    assert doctest.testmod(module) == (0, len(list(_examples(module))))
    assert list(_examples(module))


def _examples(module: Any) -> Iterator[doctest.Example]:
    for test in doctest.DocTestFinder().find(module):
        yield from test.examples


@pytest.mark.slow
def test_the_blocks_of_the_page_run_one_after_the_other(clone: Path) -> None:
    pytest.importorskip("diffusers", reason="drawing needs the standalone extra")
    namespace: dict[str, Any] = {}
    for block, error in _blocks():
        if not error:
            exec(compile(block, "docs/library.md", "exec"), namespace)
            continue
        with pytest.raises(MergeError) as raised:
            exec(compile(block, "docs/library.md", "exec"), namespace)
        kind, _, message = error.partition(": ")
        assert (kind, message) == (f"{type(raised.value).__module__}.{raised.typename}", str(raised.value))
    pictures = [(clone / f"circle {alpha}.png").read_bytes() for alpha in (0.2, 0.8)]
    assert len(set(pictures)) == 2


def test_the_example_that_merges_into_a_pipeline_and_draws_is_short() -> None:
    (block,) = [block for block, _ in _blocks() if "draw(" in block]
    assert len(block.splitlines()) < MOST_LINES


def _blocks() -> Iterator[tuple[str, str]]:
    """Each block of Python, with the error that the page shows after it."""
    blocks = re.findall(r"^```(python(?: error)?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert blocks
    for (kind, text), (after, error) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "python":
            yield text, error.strip() if after == "python error" else ""


# --- it does what the command line does ---


SAME = {
    "one number": ({"alpha": 0.3}, ["--alpha", "0.3"]),
    "weights by block": ({"weights": "IN: 0.2, OUT05: 0.9"}, ["--weights", "IN: 0.2, OUT05: 0.9"]),
    "numbers by block": ({"alpha": {"OUT05": 0.9, "*": 0.2}}, ["--weights", "*: 0.2, OUT05: 0.9"]),
    "another dtype": ({"alpha": 0.3, "dtype": "bf16"}, ["--alpha", "0.3", "--dtype", "bf16"]),
    "a seed": (
        {"method": "dare", "model_weights": [1.0], "seed": 7},
        ["--method", "dare", "--model-weights", "1", "--seed", "7"],
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_a_merge_is_byte_for_byte_what_the_command_line_writes(case: str, small: Path) -> None:
    settings, flags = SAME[case]
    models = ["a.safetensors", "b.safetensors"]
    result = lib_merge.merge(*models, output="library.safetensors", **settings)  # type: ignore[arg-type]
    assert main(["merge", *models, *flags, "-o", "command.safetensors"]) == 0
    library, command = (Path(f"{name}.safetensors").read_bytes() for name in ("library", "command"))
    if case == "numbers by block":  # the same weights, written in two ways, are two recipes
        library, command = (raw[8 + int.from_bytes(raw[:8], "little") :] for raw in (library, command))
    assert library == command
    assert result.plan.recipe.ingredients[0].sha256


def test_a_recipe_and_a_plan_give_the_bytes_of_the_paths_that_they_were_made_from(small: Path) -> None:
    models = ("a.safetensors", "b.safetensors")
    first = lib_merge.merge(*models, output="1.safetensors", alpha=0.3).path.read_bytes()
    recipe = lib_merge.read_recipe("1.safetensors")
    assert lib_merge.merge(recipe, output="2.safetensors").path.read_bytes() == first
    planned = lib_merge.plan(*models, alpha=0.3)
    assert lib_merge.merge(planned, output="3.safetensors").path.read_bytes() == first


def test_hashes_and_metadata_are_written_as_asked(small: Path) -> None:
    models = ("a.safetensors", "b.safetensors")
    metadata = {"modelspec.title": "Mine"}
    result = lib_merge.merge(*models, output="m.safetensors", record_hashes=False, metadata=metadata)
    with lib_merge.open_checkpoint(result.path) as checkpoint:
        assert checkpoint.header.metadata["modelspec.title"] == "Mine"
        assert "sha256" not in checkpoint.header.metadata["merge_desk.recipe"]


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("a.safetensors", "b.safetensors"), {"alpah": 0.3}, "did you mean 'alpha'"),
        (("a.safetensors", "b.safetensors"), {"alpha": "much"}, "alpha is a number"),
        (("a.safetensors", "b.safetensors"), {"method": "waighted_sum"}, "did you mean 'weighted_sum'"),
        (("a.safetensors",), {}, "takes 2 models"),
        (("a.safetensors", "c.safetensors"), {}, "there is no such checkpoint"),
        (("a.safetensors", "b.safetensors"), {"dtype": "fp17"}, "fp17"),
    ],
)
def test_a_mistake_is_one_error_that_says_what_to_try(
    arguments: tuple[str, ...], settings: dict[str, Any], message: str, small: Path
) -> None:
    with pytest.raises(MergeError, match=message):
        lib_merge.merge(*arguments, output="m.safetensors", **settings)
    assert not Path("m.safetensors").exists()


def test_settings_beside_a_recipe_are_refused(small: Path) -> None:
    recipe = lib_merge.read_recipe("A = a\nB = b\nM = weighted_sum(A, B, alpha=0.3)\nsave M")
    with pytest.raises(MergeError, match="says the whole merge"):
        lib_merge.plan(recipe, alpha=0.5)


# --- models in memory ---


def _state(path: str) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in load_file(path).items()}


def test_a_state_dict_gets_what_the_file_would_hold(small: Path) -> None:
    models = ("a.safetensors", "b.safetensors")
    expected = load_file(lib_merge.merge(*models, output="m.safetensors", alpha=0.3).path)
    state = _state(models[0])
    identities = {name: id(value) for name, value in state.items()}
    result = lib_merge.apply_to(state, *models, alpha=0.3)
    assert {name: id(value) for name, value in state.items()} == identities  # written in place
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert set(result.written) | set(result.untouched) == set(state)


class Holder(torch.nn.Module):
    """A tree of modules with a parameter for each tensor, by its dotted name."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            module: torch.nn.Module = self
            *path, leaf = name.split(".")
            for part in path:
                if part not in module._modules:
                    module.add_module(part, torch.nn.Module())
                module = module._modules[part]  # type: ignore[assignment]
            if value.is_floating_point():
                module.register_parameter(leaf, torch.nn.Parameter(value.clone()))
            else:
                module.register_buffer(leaf, value.clone())


@pytest.mark.parametrize(
    "spelling",
    ["a file's names", "A1111's wrapped modules", "a U-Net alone", "a compiled model"],
)
def test_a_module_gets_the_merge_whatever_spelling_its_names_have(spelling: str, small: Path) -> None:
    models = ("a.safetensors", "b.safetensors")
    expected = load_file(lib_merge.merge(*models, output="m.safetensors", alpha=0.3).path)
    names = {name: name for name in expected}
    if spelling == "A1111's wrapped modules":
        token = "token_embedding."
        names = {
            name: name.replace("cond_stage_model.", "cond_stage_model.wrapped.").replace(
                token, f"{token}wrapped."
            )
            for name in expected
        }
    if spelling == "a U-Net alone":
        names = {name: name.removeprefix(UNET) for name in expected if name.startswith(UNET)}
    if spelling == "a compiled model":
        names = {name: f"_orig_mod.{name}" for name in expected}
    a = load_file(models[0])
    model = Holder(
        {new: a[name].float() if a[name].is_floating_point() else a[name] for name, new in names.items()}
    )
    lib_merge.apply_to(model, *models, alpha=0.3)
    state = model.state_dict()
    for name, new in names.items():
        assert torch.equal(state[new], expected[name].to(state[new].dtype)), name
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.slow
def test_a_diffusers_pipeline_and_each_of_its_parts_get_what_the_saved_file_would_load(clone: Path) -> None:
    pytest.importorskip("diffusers", reason="a pipeline needs the standalone extra")
    from lib_merge.hosts.drawing import load_pipeline

    path = lib_merge.merge(INK, PASTEL, output="m.safetensors", alpha=0.4).path
    expected, pipeline, parts = load_pipeline(path), load_pipeline(Path(INK)), load_pipeline(Path(INK))
    lib_merge.apply_to(pipeline, INK, PASTEL, alpha=0.4)
    for name in ("unet", "vae", "text_encoder"):
        lib_merge.apply_to(getattr(parts, name), INK, PASTEL, alpha=0.4)
        for got in (pipeline, parts):
            state = getattr(got, name).state_dict()
            wanted = getattr(expected, name).state_dict()
            assert all(torch.equal(state[key], value) for key, value in wanted.items()), name


@pytest.mark.slow
def test_the_text_encoders_of_an_sdxl_pipeline_are_refused_and_its_unet_is_merged_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    models = ("a.safetensors", "b.safetensors")
    for name in models:
        write_tiny(tmp_path / name, "sdxl", seed=ord(name[0]), parts=("unet", "text"))
    tensors = load_file(models[0])
    names = diffusers_names_of(key for key in tensors if key.startswith(UNET))
    first = "conditioner.embedders.0.transformer."
    encoder = {key.removeprefix(first): value for key, value in tensors.items() if key.startswith(first)}
    pipeline = SimpleNamespace(
        unet=Holder({name: to_diffusers(name, tensors[key]) for key, name in names.items()}),
        text_encoder=Holder(encoder),
        text_encoder_2=Holder(encoder),
    )
    before = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
    with pytest.raises(MergeError, match="text_encoder of Stable Diffusion XL has names that are not known"):
        lib_merge.apply_to(pipeline, *models, alpha=0.5)
    state = pipeline.unet.state_dict()
    assert all(torch.equal(state[name], value) for name, value in before.items())
    result = lib_merge.apply_to(pipeline.unet, *models, alpha=0.5)  # as the hint says
    assert set(result.written) == set(names)


def test_applying_twice_is_applying_once(small: Path) -> None:
    models = ("a.safetensors", "b.safetensors")
    once, twice = _state(models[0]), _state(models[0])
    lib_merge.apply_to(once, *models, alpha=0.5)
    lib_merge.apply_to(twice, *models, alpha=0.9)
    lib_merge.apply_to(twice, *models, alpha=0.5)
    assert all(torch.equal(once[name], twice[name]) for name in once)


def _damaged(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = next(name for name, value in state.items() if name.startswith(UNET) and value.ndim == 4)
    return {**state, name: torch.zeros(3, 5)}


WRONG = {
    "another shape": (_damaged, "has the shape"),
    "another model": (lambda state: {"fc.weight": torch.zeros(2)}, "no tensor of the model in memory"),
    "a larger model": (
        lambda state: {**state, f"{UNET}input_blocks.1.0.in_layers.9.weight": torch.zeros(2)},
        "1 weights that the merge has nothing for",
    ),
    "no state dict": (lambda state: {"state_dict": state}, "holds tensors by name"),
    "no model": (lambda state: object(), "no model that a merge can be applied to"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_model_that_does_not_fit_is_refused_and_left_as_it_was(case: str, small: Path) -> None:
    spoil, message = WRONG[case]
    state = _state("a.safetensors")
    target: Any = spoil(state)
    before = {name: value.clone() for name, value in state.items()}
    with pytest.raises(MergeError, match=message):
        lib_merge.apply_to(target, "a.safetensors", "b.safetensors", alpha=0.5)
    assert all(torch.equal(state[name], value) for name, value in before.items())


def test_a_model_with_a_lora_in_its_weights_is_refused(small: Path) -> None:
    model = Holder(_state("a.safetensors"))
    model.get_submodule("model.diffusion_model.out.2").network_current_names = (("style", 1.0),)  # type: ignore
    with pytest.raises(MergeError, match="a LoRA is added"):
        lib_merge.apply_to(model, "a.safetensors", "b.safetensors", alpha=0.5)


def test_nan_in_a_file_leaves_the_model_as_it_was(small: Path) -> None:
    from safetensors.torch import save_file

    broken = _state("b.safetensors")
    next(value for name, value in broken.items() if name.startswith(UNET) and value.numel()).view(-1)[0] = (
        torch.nan
    )
    save_file(broken, "b.safetensors")
    state = _state("a.safetensors")
    before = {name: value.clone() for name, value in state.items()}
    with pytest.raises(MergeError, match="NaN"):
        lib_merge.apply_to(state, "a.safetensors", "b.safetensors", alpha=0.5)
    assert all(torch.equal(state[name], value) for name, value in before.items())
