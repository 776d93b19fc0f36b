"""Reports that a page or a program asks for: names of the host's list in, comparisons and findings out.

Files are read as they lie on the disk; the model in memory takes no part, and no job of the host waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from lib_merge.desk.mixer import Body, Mixer
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.hosts.host import Ckpt
from lib_merge.progress import Progress
from lib_merge.report.cache import FOLDER, cached_compare
from lib_merge.report.comparison import WEIGHTS, Comparison
from lib_merge.report.health import Health, check

COMPARE_WORDS = ("reference", "models", "kind", "base", "seed")
CHECK_WORDS = ("models", "base")


def compare_named(mixer: Mixer, body: Body, progress: Progress | None = None) -> Comparison:
    """Models of the host's list beside one of them; what was found before is taken from the disk.

    body  {"reference": name, "models": [name, ...], "kind": weights, "base": name, "seed": whole number},
          the last three may be missing
    Raises RecipeError for what cannot be understood, HostError for a name that is not in the list, and what
    `compare` raises. The answer holds the host's names and no folder.
    """
    _check_words(body, COMPARE_WORDS, "a comparison")
    reference = _one(mixer, body, "reference")
    if reference is None:
        raise RecipeError("no reference is chosen", hint="name one of the checkpoints")
    others, base = _models(mixer, body), _one(mixer, body, "base")
    found = cached_compare(
        mixer.host.data() / FOLDER,
        mixer.header(reference),
        [mixer.header(each) for each in others],
        _text(body, "kind") or WEIGHTS,
        base=mixer.header(base) if base else None,
        seed=_seed(body),
        progress=progress,
    )
    models = tuple(
        replace(model, name=each.name, file=mixer.called(each))
        for model, each in zip(found.models, others, strict=True)
    )
    return replace(
        found,
        name=reference.name,
        file=mixer.called(reference),
        models=models,
        base=mixer.called(base) if base else "",
    )


def check_named(mixer: Mixer, body: Body, progress: Progress | None = None) -> tuple[Health, ...]:
    """The health of models of the host's list.

    body  {"models": [name, ...], "base": name}; beside a base, a sound model, more is seen
    Raises as `compare_named` does.
    """
    _check_words(body, CHECK_WORDS, "a check")
    base = _one(mixer, body, "base")
    header = mixer.header(base) if base else None
    found = [(each, check(mixer.header(each), header, progress)) for each in _models(mixer, body)]
    return tuple(replace(health, name=each.name, file=mixer.called(each)) for each, health in found)


def _check_words(body: Body, known: Sequence[str], what: str) -> None:
    for word in body:
        if word not in known:
            hint = did_you_mean(word, known) or f"known are {', '.join(known)}"
            raise RecipeError(f"'{word}' is nothing that {what} takes", hint=hint)


def _models(mixer: Mixer, body: Body) -> tuple[Ckpt, ...]:
    """The checkpoints under `models`, each once."""
    names: object = body.get("models") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast("list[object]", names)):
        raise RecipeError(f"models must be a list of names, not {names!r}", hint='"models": ["pastel"]')
    if not names:
        raise RecipeError("no model is chosen", hint="name one or more of the checkpoints")
    return tuple(dict.fromkeys(mixer.checkpoint(name) for name in cast("list[str]", names)))


def _one(mixer: Mixer, body: Body, word: str) -> Ckpt | None:
    name = _text(body, word)
    return mixer.checkpoint(name) if name else None


def _text(body: Mapping[str, object], word: str) -> str:
    value = body.get(word)
    if value is not None and not isinstance(value, str):
        raise RecipeError(f"'{word}' must be text, not {value!r}")
    return (value or "").strip()


def _seed(body: Body) -> int | None:
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise RecipeError(f"the seed must be a whole number, not {seed!r}")
    return seed
