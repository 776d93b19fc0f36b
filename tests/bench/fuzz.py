"""Sends almost real texts into every reader for as long as one likes.

    python tests/bench/fuzz.py [--seconds 600] [--first 0] [--only rules]

Prints whatever is answered with neither a value nor a MergeError, or in more than 20 s of processor time,
with the seed that brings it back; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.entries import entries
from tests.fuzz.mutations import search


def seeds_for(seconds: float, first: int) -> Iterator[int]:
    """Seeds from `first` on, as many as are begun in that time."""
    end = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count(first))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default="", help="readers with this in their names")
    options = parser.parse_args()
    chosen = [entry for entry in entries() if options.only in entry.name]
    seen: set[str] = set()
    for found in search(chosen, seeds_for(options.seconds, options.first)):
        last = found.what.strip().splitlines()[-1]
        if (found.entry + last)[:60] not in seen:
            seen.add((found.entry + last)[:60])
            print(f"{found.entry}, seed {found.seed}: {found.text[:200]!r}\n{found.what}", flush=True)
    print(f"{len(seen)} kinds of defects in {len(chosen)} readers")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
