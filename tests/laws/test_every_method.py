"""Laws that every merge method obeys. A new method is covered the moment it is registered.

A law that does not hold for a method is named in its registration, with the reason.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.desk.selection import FADER_PARAMETERS
from lib_merge.execute.kernels import ChunkRef, kernel_of
from lib_merge.methods import METHODS
from lib_merge.parameters import Seed, seed_for
from lib_merge.plan.fold import Application, Source, fold
from lib_merge.recipe import Ingredient, Recipe, Step
from lib_merge.registry import Method
from lib_merge.tensors import Scratch, decimal_fraction, working_dtype
from tests.support.examples import examples
from tests.support.merging import same_bits
from tests.support.strategies import DTYPES, knob_values, model_count, tensors

FEWER = examples(40)  # of so many methods
EVERY = pytest.mark.parametrize("method", METHODS.all(), ids=lambda method: method.id)
FADED = pytest.mark.parametrize(
    "method",
    [m for m in METHODS.all() if any(p.name in FADER_PARAMETERS for p in m.parameters)],
    ids=lambda method: method.id,
)
LINEAR = pytest.mark.parametrize("method", [m for m in METHODS.all() if m.coefficients], ids=lambda m: m.id)


def drawn(data: st.DataObject, method: Method) -> tuple[list[torch.Tensor], dict]:
    """Tensors and settings for one call."""
    count = data.draw(model_count(method), label="models")
    return data.draw(tensors(count), label="tensors"), data.draw(knob_values(method, count), label="settings")


def recipe_of(method: Method, count: int, settings: dict) -> Recipe:
    """One step of the method over so many models."""
    names = tuple(f"M{n}" for n in range(count))
    ingredients = tuple(Ingredient(name, f"{name}.safetensors") for name in names)
    return Recipe(ingredients, (Step("R", method.id, names, tuple(sorted(settings.items()))),), "R")


@EVERY
@FEWER
@given(data=st.data())
def test_merging_a_model_with_itself_changes_nothing(method: Method, data: st.DataObject) -> None:
    if "changes nothing" in method.exempt:
        return
    models, settings = drawn(data, method)
    a = models[0]
    out = method(*[a.clone() for _ in models], **settings)
    torch.testing.assert_close(out, a, rtol=2e-6, atol=1e-12)  # a few roundings of float32


@EVERY
@FEWER
@given(data=st.data())
def test_the_result_has_the_shape_and_dtype_of_the_first_model_and_is_finite(
    method: Method, data: st.DataObject
) -> None:
    models, settings = drawn(data, method)
    out = method(*models, **settings)
    assert (out.shape, out.dtype) == (models[0].shape, models[0].dtype)
    assert torch.isfinite(out).all()


@EVERY
@FEWER
@given(data=st.data())
def test_a_method_leaves_its_inputs_alone(method: Method, data: st.DataObject) -> None:
    models, settings = drawn(data, method)
    if data.draw(st.booleans()):
        models = [model.double() for model in models]
    before = [model.clone() for model in models]
    method(*models, **settings)
    assert all(torch.equal(model, copy) for model, copy in zip(models, before, strict=True))


@EVERY
@FEWER
@given(data=st.data())
def test_float32_agrees_with_float64(method: Method, data: st.DataObject) -> None:
    if "float64" in method.exempt:
        return
    models, settings = drawn(data, method)
    out = method(*models, **settings)
    wide = method(*[model.double() for model in models], **settings)
    largest = max((float(model.abs().max()) for model in models if model.numel()), default=0.0)
    # terms may cancel: the error is a few float32 roundings of the terms, not of the result
    torch.testing.assert_close(out.double(), wide, rtol=0, atol=16 * 2**-24 * largest)


@EVERY
@FEWER
@given(data=st.data())
def test_an_end_of_the_range_is_that_model(method: Method, data: st.DataObject) -> None:
    """In a recipe it is the file itself, to the bit; the arithmetic alone comes within its roundings."""
    if not method.exact:
        return
    models, settings = drawn(data, method)
    reached = data.draw(st.sampled_from(method.exact))
    settings |= {name: method.parameter(name).kind(value) for name, value in reached.at.items()}
    model = method.exact_model(settings)
    assert model is not None
    out = method(*models, **settings)
    largest = max((float(model.abs().max()) for model in models if model.numel()), default=0.0)
    torch.testing.assert_close(out, models[model], rtol=0, atol=16 * 2**-24 * largest)
    assert fold(recipe_of(method, len(models), settings), float) == Source(model)


@FADED
@FEWER
@given(data=st.data())
def test_at_its_neutral_amount_a_method_keeps_a_whatever_its_other_settings_are(
    method: Method, data: st.DataObject
) -> None:
    """Solo, mute and reset of the page rest on it; a method without such an amount says why."""
    neutral = method.neutral_amounts(FADER_PARAMETERS)
    assert (neutral is None) == bool(method.exempt.get("neutral amount"))
    if neutral is None:
        return
    models, settings = drawn(data, method)
    settings |= neutral
    out = method(*models, **settings)
    largest = max((float(model.abs().max()) for model in models if model.numel()), default=0.0)
    torch.testing.assert_close(out, models[0], rtol=0, atol=16 * 2**-24 * largest)
    expression = fold(recipe_of(method, len(models), settings), float)
    kept = torch.empty_like(models[0])
    kernel_of(expression)(dict(enumerate(models)), kept, Scratch(), ChunkRef("some.key"))
    assert same_bits(kept, models[0])


@EVERY
@FEWER
@given(data=st.data())
def test_the_engine_gives_the_methods_result_rounded_once_whatever_the_pieces(
    method: Method, data: st.DataObject
) -> None:
    """From files of any formats, in pieces where the method allows them."""
    if method.coefficients:
        return
    count = data.draw(model_count(method))
    models = data.draw(tensors(count, DTYPES))
    settings = data.draw(knob_values(method, count))
    dtype = data.draw(st.sampled_from(DTYPES))
    working = working_dtype([model.dtype for model in models], dtype)
    inner = {
        p.name: seed_for(settings[p.name], "some.key") for p in method.parameters if isinstance(p.range, Seed)
    }
    want = method(*[model.to(working) for model in models], **settings | inner).to(dtype)
    whole = Application(method.id, tuple(map(Source, range(count))), tuple(sorted(settings.items())))
    out = torch.empty(models[0].shape, dtype=dtype)
    place = ChunkRef("some.key")
    kernel = kernel_of(whole)
    kernel(dict(enumerate(models)), out, Scratch(), place)
    assert same_bits(out, want)
    if method.in_pieces and out.numel():
        cut = data.draw(st.integers(0, out.numel()))
        flat = [model.reshape(-1) for model in models]
        for start, stop in ((0, cut), (cut, out.numel())):
            piece = torch.empty(stop - start, dtype=dtype)
            here = {n: model[start:stop] for n, model in enumerate(flat)}
            kernel(here, piece, Scratch(), ChunkRef("some.key", start))
            assert same_bits(piece, want.reshape(-1)[start:stop])


@LINEAR
@given(data=st.data())
def test_a_linear_method_is_what_its_coefficients_say(method: Method, data: st.DataObject) -> None:
    models, settings = drawn(data, method)
    assert method.coefficients is not None
    out = method(*[model.double() for model in models], **settings)
    exactly = {
        name: value if isinstance(value, bool) else _exactly(value) for name, value in settings.items()
    }
    want = torch.zeros_like(out)
    for model, share in zip(models, method.coefficients(**exactly), strict=True):
        want += float(share) * model.double()
    largest = max((float(model.abs().max()) for model in models if model.numel()), default=0.0)
    torch.testing.assert_close(out, want, rtol=0, atol=1e-14 * largest)


@LINEAR
@given(data=st.data())
def test_a_linear_method_of_models_is_a_model(method: Method, data: st.DataObject) -> None:
    if "changes nothing" in method.exempt:
        return
    count = data.draw(model_count(method))
    settings = data.draw(knob_values(method, count))
    assert method.coefficients is not None
    exactly = {
        name: value if isinstance(value, bool) else _exactly(value) for name, value in settings.items()
    }
    assert sum(map(Fraction, method.coefficients(**exactly))) == 1


def _exactly(value: float | tuple[float, ...]) -> Fraction | tuple[Fraction, ...]:
    return tuple(map(decimal_fraction, value)) if isinstance(value, tuple) else decimal_fraction(value)


@EVERY
def test_a_method_explains_itself(method: Method) -> None:
    assert method.summary.endswith(".")
    assert "out = " in method.formula
    assert method.source
    for parameter in method.parameters:
        assert parameter.range.help, f"{method.id}.{parameter.name} has no help"
        assert parameter.range.low < parameter.range.high
        if not parameter.per_model:
            assert parameter.range.low <= parameter.default <= parameter.range.high
