"""What the laws draw: tensors as checkpoints hold them, settings as sliders give them, recipes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from lib_merge.architectures import SYMMETRY_KINDS
from lib_merge.dtypes import EIGHT_BITS, SAVEABLE
from lib_merge.methods import METHODS
from lib_merge.parameters import MAX_AMOUNT, Parameter
from lib_merge.rebasin import Options
from lib_merge.recipe import (
    VAE_CHOICES,
    Alignment,
    Ingredient,
    Numbers,
    Recipe,
    Rules,
    Setting,
    Slots,
    Step,
    parse_rules,
)
from lib_merge.recipe.model import setting_values
from lib_merge.recipe.options import PREDICTION_OPTION, TEXT_ENCODER_OPTION
from lib_merge.recipe.weights.rules import (
    AmountSum,
    Divider,
    Preset,
    RandomAmount,
    Restriction,
    Rule,
    Target,
    WordSet,
)
from lib_merge.recipe.weights.supermerger_random import RandomWeights
from lib_merge.registry import Method

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
SHAPES = st.sampled_from([(), (1,), (7,), (3, 5), (4, 1, 1, 1), (2, 3, 3, 3), (0,)])
KINDS = ("normal", "tiny", "huge", "zero", "constant", "equal to the first")
SCALES = {"normal": 0.03, "tiny": 1e-6, "huge": 1e3}
SEEDS = st.integers(0, 2**31)


@st.composite
def tensors(draw: st.DrawFn, count: int, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> list[Tensor]:
    """`count` tensors of one shape; any may be all zeros, tiny, huge, or equal to the first."""
    shape = draw(SHAPES)
    made: list[Tensor] = []
    for _ in range(count):
        kind = draw(st.sampled_from(KINDS if made else KINDS[:-1]))
        dtype = draw(st.sampled_from(dtypes))
        if kind == "equal to the first":
            made.append(made[0].to(dtype))
        elif kind in SCALES:
            generator = torch.Generator().manual_seed(draw(SEEDS))
            made.append((torch.randn(shape, generator=generator) * SCALES[kind]).to(dtype))
        else:
            made.append(torch.full(shape, 0.0 if kind == "zero" else 0.37, dtype=dtype))
    return made


def model_count(method: Method) -> st.SearchStrategy[int]:
    """How many models to give a method."""
    fewest = method.min_models
    return st.integers(fewest, 5) if method.max_models is None else st.just(method.max_models)


@st.composite
def knob_values(draw: st.DrawFn, method: Method, models: int) -> dict[str, Any]:
    """Settings from the declared ranges, so that a law's domain is the sliders' own."""
    shares = method.per_model_count(models)
    return {parameter.name: draw(_value(parameter, shares)) for parameter in method.parameters}


def _value(parameter: Parameter, models: int) -> st.SearchStrategy[Any]:
    if parameter.kind is bool:
        return st.booleans()
    if parameter.kind is int:
        return st.integers(int(parameter.range.low), int(parameter.range.high))
    number = amounts(parameter.range.low, parameter.range.high)
    return st.lists(number, min_size=models, max_size=models).map(tuple) if parameter.per_model else number


def amounts(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of a range, the ends and the middle often, otherwise as people write them."""
    decimals = st.integers(0, 1000).map(lambda n: round(low + (high - low) * n / 1000, 6))
    return st.one_of(st.sampled_from([float(low), float(high), (low + high) / 2]), decimals)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "save")
FILES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
FINITE = st.floats(-MAX_AMOUNT, MAX_AMOUNT)
ALIGNMENT_OPTIONS = st.builds(
    Options,
    st.lists(st.sampled_from(sorted(SYMMETRY_KINDS)), unique=True).map(tuple),
    st.lists(st.sampled_from(["IN04", "M00", "BASE"]), unique=True).map(tuple),
    st.integers(1, 50),
    st.integers(0, 500),
    st.integers(0, 999_999),
    st.booleans(),
)
SLOT_NAMES = st.sampled_from(["BASE", "IN00", "IN05", "M00", "OUT11", "TIME", "VAE"])


# a few for whole recipes; `rules()` draws any
RULE_TEXTS = (
    "0.5*GRAD_V + 0.5*COSINE; OUT: 0.7\nattn2.to_k: uniform(0, 1, seed = 5, each = key)\nexclude FINAL",
    "*: mbw[0.5, 1]\nIN04-IN08 NOT norm: -0.25\n---\nUNET: 0.1",
    "IN01 M00:attn1:0.5\nin.2-5,10.attn1: 0.25\ninclude OUT",
)


def settings_amounts() -> st.SearchStrategy[Any]:
    """Whatever a knob can be set to in a recipe."""
    numbers = st.lists(FINITE, min_size=1, max_size=26).map(tuple)
    slots = st.dictionaries(SLOT_NAMES, FINITE, max_size=4).map(lambda d: tuple(sorted(d.items())))
    return st.one_of(
        FINITE,
        st.builds(
            Numbers, st.sampled_from(["supermerger", "mbw", "model-mixer"]), numbers, st.none() | FINITE
        ),
        st.builds(Slots, slots, FINITE),
        st.sampled_from(RULE_TEXTS).map(parse_rules),
    )


BLOCK_WORDS = st.sampled_from(
    ["BASE", "IN04", "IN05-IN09", "OUT", "OUT03", "OUT10-IN02", "MID", "UNET", "TIME", "FINAL"]
)
NAME_WORDS = st.sampled_from(
    ["attn1", "attn2.to_k", "ff.net", "norm", "*.proj_out.*", "in.4-8.attn", "to_q", "bias"]
)


def targets() -> st.SearchStrategy[Target]:
    """What a rule of our own may stand for."""
    blocks = st.builds(
        lambda words, no: WordSet(tuple(words), no and bool(words)), _some(BLOCK_WORDS), st.booleans()
    )
    names = st.builds(
        lambda words, no: WordSet(tuple(words), no and bool(words)), _some(NAME_WORDS), st.booleans()
    )
    return st.builds(Target, blocks, names)


def _some(words: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(words, max_size=3, unique=True)


def mixes() -> st.SearchStrategy[AmountSum]:
    """Amounts: numbers, presets, lists, what is drawn, and sums of them."""
    number = amounts(-2, 3)
    each = st.sampled_from(["block", "key"])
    plain = st.builds(lambda x: AmountSum(((x, None),)), number)
    curves: st.SearchStrategy[Any] = st.one_of(
        st.sampled_from(["GRAD_V", "2SMOOTHSTEP", "REVERSE-SMOOTHSTEP", "STYLE"]).map(Preset),
        st.builds(Numbers, st.just("mbw"), st.lists(number, min_size=26, max_size=26).map(tuple), st.none()),
        st.builds(
            RandomAmount,
            st.just("uniform"),
            plain,
            plain,
            st.integers(0, 99),
            st.sampled_from(["block", "key"]),
        ),
        st.builds(
            RandomAmount,
            st.just("normal"),
            st.none() | plain,
            st.none() | plain,
            st.integers(0, 99),
            each,
            plain,
            amounts(0, 2),
        ),
        dice(),
    )
    term = st.tuples(number, st.none() | curves)
    return st.lists(term, min_size=1, max_size=3).map(lambda terms: AmountSum(tuple(terms)))


def dice() -> st.SearchStrategy[RandomWeights]:
    """SuperMerger's lists with letters."""
    entry = st.one_of(amounts(-2, 3), st.sampled_from(["R", "U", "X", "D", "ER", "EU", "EX"]))
    bound = st.one_of(
        amounts(-2, 3).map(lambda x: (x,)), st.lists(amounts(-2, 3), min_size=26, max_size=26).map(tuple)
    )
    listed = st.lists(entry, min_size=26, max_size=26).filter(
        lambda found: any(isinstance(e, str) for e in found)
    )
    entries = listed.map(tuple) | st.sampled_from([("R",) * 26, ("EU",) * 26])
    return st.builds(
        RandomWeights,
        st.sampled_from(["supermerger", "mbw"]),
        entries,
        st.integers(0, 2**32 - 1),
        bound,
        bound,
        bound,
        bound,
        st.integers(0, 9),
        st.sampled_from([0, 50]),
    )


def rules(*, sdxl: bool = False) -> st.SearchStrategy[Rules]:
    """Rules as people and programs write them, other tools' among them; `sdxl` with what it alone has."""
    elements = st.builds(
        Target, st.builds(WordSet, _some(BLOCK_WORDS).map(tuple)), st.just(WordSet(("attn",)))
    )
    parts = st.sampled_from(["IN40", "OUT00", "MID10-MID109", "CLIPL", "IN00-IN411"])
    extended = st.builds(Target, st.builds(WordSet, _some(parts).map(tuple)), st.just(WordSet(("attn",))))
    selectors = st.sampled_from(["in.4-8.attn", "all", "out.3,5-7", "clip"]).map(
        lambda word: Target(names=WordSet((word,)))
    )
    line: st.SearchStrategy[Any] = st.one_of(
        st.builds(Rule, targets().filter(lambda target: not _is_untitleds(target)), mixes()),
        st.builds(Rule, elements, mixes(), st.just("supermerger")),
        *([st.builds(Rule, extended, mixes(), st.just("supermerger-xl"))] if sdxl else []),
        st.builds(Rule, selectors, plain_numbers(), st.just("untitledmerger")),
        st.builds(Restriction, st.sampled_from(["include", "exclude"]), targets()),
        st.just(Divider()),
    )
    return st.lists(line, min_size=1, max_size=5).map(lambda lines: Rules(tuple(lines)))


def _is_untitleds(target: Target) -> bool:
    """Whether it is written as UntitledMerger's targets are, and so is read as its."""
    return not target.blocks.words and not target.names.negated and target.names.words == ("in.4-8.attn",)


def plain_numbers() -> st.SearchStrategy[AmountSum]:
    """Amounts that are numbers."""
    return amounts(-2, 3).map(lambda x: AmountSum(((x, None),)))


@st.composite
def ingredients_of(draw: st.DrawFn, names: list[str]) -> tuple[Ingredient, ...]:
    """Files, and behind two of them perhaps one that is aligned to another."""
    files = [Ingredient(name, draw(FILES), draw(hexes(64)), draw(hexes(12))) for name in names]
    if len(files) < 3 or draw(st.booleans()):
        return tuple(files)
    source, to, by = files[0], files[1], draw(st.sampled_from(["", *names[2:-1]]))
    options = draw(ALIGNMENT_OPTIONS)
    aligned = Alignment(source.name, to.name, by, options)
    return (*files[:-1], replace(source, name=names[-1], alignment=aligned))


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Any recipe that makes sense by itself: names are unique, steps use what stands before them."""
    names = draw(st.lists(NAMES, min_size=2, max_size=7, unique=True))
    split = draw(st.integers(1, len(names) - 1))
    ingredients = draw(ingredients_of(names[:split]))
    steps: list[Step] = []
    for position, name in enumerate(names[split:], split):
        method = draw(st.sampled_from(METHODS.all()))
        count = draw(model_count(method))
        inputs = tuple(draw(st.sampled_from(names[:position])) for _ in range(count))
        settings = {
            p.name: draw(_setting(p, method.per_model_count(count)))
            for p in method.parameters
            if p.per_model or draw(st.booleans())
        }
        steps.append(Step(name, method.id, inputs, tuple(sorted(settings.items()))))
    vae = draw(st.one_of(st.sampled_from(["", *VAE_CHOICES]), FILES))
    dtype = draw(st.sampled_from([None, *SAVEABLE.values()]))
    return Recipe(
        ingredients,
        tuple(steps),
        draw(st.sampled_from(names)),
        vae,
        dtype,
        vae_sha256=draw(hexes(64)),
        text_encoder=draw(st.sampled_from(["", *TEXT_ENCODER_OPTION.values])),
        ema=draw(st.booleans()),
        clip=draw(st.booleans()),
        stepwise=draw(st.booleans()) and dtype not in EIGHT_BITS,
        prediction=draw(st.sampled_from(["", *PREDICTION_OPTION.values])),
    )


def hexes(digits: int) -> st.SearchStrategy[str]:
    """A hash of so many digits, or none."""
    return st.one_of(st.just(""), st.text("0123456789abcdef", min_size=digits, max_size=digits))


def _is_taken(setting: Setting) -> bool:
    """Sums of rules may lie beyond what their terms may be."""
    return all(abs(value) <= MAX_AMOUNT for value in setting_values(setting) if isinstance(value, float))


def _setting(parameter: Parameter, count: int) -> st.SearchStrategy[Any]:
    if parameter.kind is bool:
        return st.booleans()
    knob = parameter.range
    if parameter.kind is int:
        return st.integers(int(knob.min), int(knob.max)).map(float)
    free = (knob.min, knob.max) == (-MAX_AMOUNT, MAX_AMOUNT)
    amount = settings_amounts().filter(_is_taken) if free else amounts(knob.min, min(knob.max, 9))
    return st.lists(amount, min_size=count, max_size=count).map(tuple) if parameter.per_model else amount
