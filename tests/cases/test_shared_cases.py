"""The cases kept beside the repository, each a script that prints what happens, where that folder is there.

A line of a script that tells a fault is known by its words; what must hold instead stands in WANTED. The
project's own smaller copies (test_files.py, test_entries.py) run always.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
CASES = ROOT.parent / "shared" / "cases"
FIXED_PORT = "7996"
MOST_SECONDS = 560

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Wanted:
    """What a case must print, and what it must not, as regular expressions.

    moved  a script that calls the package's own functions names them as they were called on the day it was
           written, and may wait by the clock: the old text, and the text of today
    """

    holds: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()


# What no case may print: an error that is not the project's own, a status that is neither done nor refused.
NEVER = (r"Traceback \(most recent", r"TRACEBACK", r"status 1\b", r"right False", r"INVALID")
WANTED = {
    "01-vpred-marker-lost": Wanted(
        (
            r"alpha 1 weights right: True \| v_pred in result: True \| ztsnr: True .*plan: True",
            r"alpha 0\.7 weights right: True \| v_pred in result: True",
            r"B,A alpha 1: v_pred in result of an eps network: False",
            r"replace: v_pred: True",
        )
    ),
    "02-longclip-position-ids": Wanted((r"as they should be: True", r"--text-encoder a")),
    "04-added-tokens": Wanted((r"--text-encoder a", r"2 \(64, 768\) A's: True True")),
    "07-sdxl-flat-clip-l": Wanted(
        (r"ab CLIP-L .* is merged: True", r"ba CLIP-L .* is merged: True"), (r"is only A's: True",)
    ),
    "18-minus-first": Wanted((), (r"expected one argument", r"unrecognized arguments")),
    "23-no-vae-in-vae-file": Wanted((), (r"status 0; the VAE in the result is A's: True",)),
    "29-desk-undecodable-name": Wanted(
        (r"page answers 200 \| the desk runs: True",),
        moved=(("\ntime.sleep(2)\n", "\nwhile not (HERE / 'log').read_text().strip(): time.sleep(0.1)\n"),),
    ),
    "31-int8-weights": Wanted((), (r"status 0",)),
    "33-nan-in-json": Wanted(
        (r"what the desk hands to its page: .* valid JSON",),
        moved=(("lib_merge.desk.view", "lib_merge.desk.common"),),
    ),
    "34-pasted-recipes": Wanted((r"ink\.safetensors \[[0-9a-f]{10}\] x 0\.7 .*: 0 right True",)),
    "35-shrinking-file": Wanted(
        (r"status 2 .*merge-desk: ",),
        (r"status -\d",),
        (
            ("reader.open_checkpoint", "reader.open_checkpoint_as"),
            ("shrinking(path):", "shrinking(path, naming):"),
            ("old(path);", "old(path, naming);"),
        ),
    ),
}
SCRIPTS = sorted(CASES.glob("[0-9]*.py")) if CASES.is_dir() else []


@pytest.mark.skipif(not SCRIPTS, reason="the folder of shared cases is not beside this checkout")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_shared_case_is_read_right_or_refused_in_a_sentence(script: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "MERGE_DESK": str(ROOT),
        "CASE_DIR": str(tmp_path),
        "FAST": "1",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{CASES}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    wanted = WANTED.get(script.stem, Wanted())
    command = [sys.executable, "-c", with_names_of_today(script, wanted.moved)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=MOST_SECONDS)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, output[-3000:]
    missing = [pattern for pattern in wanted.holds if not re.search(pattern, output)]
    forbidden = [pattern for pattern in (*NEVER, *wanted.never) if re.search(pattern, output)]
    assert (missing, forbidden) == ([], []), output[-6000:]


def with_names_of_today(script: Path, moved: tuple[tuple[str, str], ...]) -> str:
    """The text of a script, with what has moved in the package since it was written."""
    text = script.read_text("utf-8")
    for before, after in moved:
        assert before in text, f"{script.name} does not say {before!r}"
        text = text.replace(before, after)
    return text.replace(FIXED_PORT, str(free_port())) if FIXED_PORT in text else text
