"""Almost real texts, into every reader: each gives a value or a MergeError; tests/bench/fuzz.py goes on."""

from __future__ import annotations

import os
from itertools import islice

import pytest

from tests.fuzz.entries import entries
from tests.fuzz.mutations import search, try_one

# counted and not timed: a machine tries the same texts on every day, and as many as any other
SEEDS = range(1000, 1100 if os.environ.get("CI") else 2000)


def test_every_reader_takes_its_own_samples() -> None:
    for entry in entries():
        if entry.name.startswith("axis "):
            continue  # each has samples for all axes, of which few are its own
        answered = 0
        for sample in entry.samples:
            try:
                entry.reads(sample)
                answered += 1
            except Exception as problem:
                refusal = problem
        assert answered, (entry.name, refusal)


@pytest.mark.parametrize("entry", list(entries()), ids=lambda entry: entry.name)
def test_the_first_texts_of_every_reader_are_answered_or_refused(entry: object) -> None:
    every = list(entries())
    others = [sample for each in every for sample in each.samples]
    (same,) = [each for each in every if each.name == entry.name]  # type: ignore[attr-defined]
    assert [found for seed in range(40) if (found := try_one(same, others, seed))] == []


@pytest.mark.slow
def test_many_texts_are_answered_or_refused() -> None:
    found = [
        f"{each.entry}, seed {each.seed}: {each.what}" for each in islice(search(list(entries()), SEEDS), 5)
    ]
    assert found == []
