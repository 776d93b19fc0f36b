"""SuperMerger's elemental entries, drawn, written down, and what its own loop gives for them.

`flag` told in our words after its `elementals` (hako-mikan/sd-webui-supermerger 0b1c491,
scripts/mergers/mergers.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

# blocks, whether all but those, elements, whether all but those, amount
Entry = tuple[list[str], bool, list[str], bool, float]


def entries(blocks: Sequence[str], most: int) -> st.SearchStrategy[list[Entry]]:
    """One to four entries, each of at most `most` blocks; NOT stands before words alone."""
    words = st.lists(st.sampled_from(["attn1", "to_k", "ff.net", "blocks.1", "weight"]), max_size=2)
    entry = st.tuples(
        st.lists(st.sampled_from(blocks), max_size=most),
        st.booleans(),
        words,
        st.booleans(),
        st.sampled_from([0.1, 0.5, 1.0]),
    )
    sensible = entry.map(lambda e: (e[0], e[1] and bool(e[0]), e[2], e[3] and bool(e[2]), e[4]))
    return st.lists(sensible, min_size=1, max_size=4)


def written(drawn: Sequence[Entry]) -> list[str]:
    """A line each."""
    return [f"{'NOT ' * n}{' '.join(b)}:{'NOT ' * m}{' '.join(e)}:{r}" for b, n, e, m, r in drawn]


def given_by(drawn: Sequence[Entry], block: str, key: str) -> float:
    """The amount of the last entry that fits a tensor of that block; 0 where none does."""
    amount = 0.0
    for blocks, no_blocks, elements, no_elements, ratio in drawn:
        fits_block = not blocks or ((block in blocks) != no_blocks)
        if fits_block and any(element in key for element in elements or [""]) != no_elements:
            amount = ratio
    return amount
