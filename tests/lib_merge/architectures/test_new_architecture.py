"""A new architecture is one data file and one line: a made-up one is told, listed, merged and reported on.

The commands are those that users call, each in a process of its own, where nothing but that line runs first.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lib_merge.architectures import FAMILIES, Family
from lib_merge.architectures.families import Families
from tests.support.full_size import write_tiny

pytestmark = pytest.mark.newest_only

# architectures/families/mixers.py, were it one of ours
DATA_FILE = '''
"""A made-up architecture: a text encoder, four mixer blocks, and what stands before and behind them."""

from lib_merge.architectures import (
    Component,
    Family,
    Fingerprint,
    KeyShapes,
    ListedTopology,
    Network,
    Slot,
    Topology,
)
from lib_merge.architectures.families.common import block_names, block_slots, text_slot, unet_slot
from lib_merge.architectures.keys import UNET_PREFIX, VAE_PREFIX
from lib_merge.architectures.part_topology import linear, norm

TEXT, BLOCKS, COUNT = "words.", "mixers.", 4
SIGN = f"{BLOCKS}0.across.weight"
BLOCK = {**norm("norm", "width"), **linear("across", "2 width", "width")}

MIXERS = Family(
    id="mixers",
    title="Mixers",
    short_title="Mixers",
    slots=(
        text_slot("TEXT", TEXT),
        *block_slots("K", BLOCKS, COUNT),
        unet_slot("IN", "entry."),
        unet_slot("OUT", "exit."),
    ),
    listed_names=("BASE", *block_names("K", COUNT)),
    groups={"BASE": ("TEXT",)},
    unlisted_slots=("IN", "OUT"),
    fingerprints={
        Component.UNET: ((Fingerprint(UNET_PREFIX + SIGN),),),
        Component.TEXT: ((Fingerprint(f"{TEXT}table.weight"),),),
    },
    modelspec="mixers-v1",
    network=Network(UNET_PREFIX, SIGN, VAE_PREFIX),
    topology=Topology(
        {
            TEXT: ListedTopology({"width": 32}, (KeyShapes({"table.weight": (100, "width")}),)),
            UNET_PREFIX: ListedTopology(
                {"width": 64},
                (
                    KeyShapes(linear("entry", "width", 32)),
                    KeyShapes(BLOCK, BLOCKS, range(COUNT)),
                    KeyShapes(linear("exit", 3, "width")),
                ),
            ),
        }
    ),
)
'''
THE_LINE = "from lib_merge.architectures import FAMILIES; import mixers; FAMILIES.add(mixers.MIXERS)"
PROGRAM = f"{THE_LINE}; from lib_merge.cli import main; raise SystemExit(main())"
ROOT = Path(__file__).resolve().parents[3]
NETWORK = "model.diffusion_model."

Command = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mixers.py").write_text(DATA_FILE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def family(folder: Path) -> Family:
    """The data, which are in no table of this process."""
    spec = importlib.util.spec_from_file_location("mixers_data", folder / "mixers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MIXERS


@pytest.fixture
def models(folder: Path, family: Family) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two narrow checkpoints, a.safetensors and b.safetensors; B is A with other numbers in some places."""
    generator = np.random.default_rng(1)
    shapes = family.topology.narrow().shapes()
    a = {key: generator.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}
    b = {
        key: value + 0.1 * generator.standard_normal(value.shape).astype(np.float32)
        for key, value in a.items()
    }
    save_file(a, folder / "a.safetensors")
    save_file(b, folder / "b.safetensors")
    return a, b


@pytest.fixture
def command(folder: Path) -> Command:
    """merge-desk, in the folder, after the one line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}

    def run(*arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    return run


def test_a_made_up_architecture_is_detected_and_its_slots_are_listed(
    command: Command, models: object, family: Family
) -> None:
    description = json.loads(command("inspect", "a.safetensors", "--json"))
    assert (description["family"], description["title"], description["components"]) == (
        "mixers",
        "Mixers",
        ["text", "unet"],
    )
    assert description["slots"] == {"TEXT": 1, "K00": 4, "K01": 4, "K02": 4, "K03": 4, "IN": 2, "OUT": 2}
    assert set(description["slots"]) == {slot.id for slot in family.slots}


def test_its_network_is_detected_without_its_prefix_too(
    command: Command, folder: Path, models: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    alone = {key.removeprefix(NETWORK): value for key, value in models[0].items() if key.startswith(NETWORK)}
    save_file(alone, folder / "alone.safetensors")
    description = json.loads(command("inspect", "alone.safetensors", "--json"))
    assert (description["family"], description["renamed"], description["components"]) == (
        "mixers",
        20,
        ["unet"],
    )


def test_two_of_its_checkpoints_are_merged_block_by_block(
    command: Command, folder: Path, models: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    a, b = models
    command(
        "merge", "a.safetensors", "b.safetensors", "--weights", "1, 0, 0.5, 1, 0.25", "-o", "m.safetensors"
    )
    merged = load_file(folder / "m.safetensors")
    amounts = {"words.": 1, "mixers.0.": 0, "mixers.1.": 0.5, "mixers.2.": 1, "mixers.3.": 0.25}
    # Which no number stands for: IN stays A's, and OUT follows the last number of a list.
    amounts |= {"entry.": 0, "exit.": 0.25}
    assert merged.keys() == a.keys()
    for key, value in merged.items():
        name = key.removeprefix(NETWORK)
        amount = next(amount for prefix, amount in amounts.items() if name.startswith(prefix))
        expected = a[key].astype(np.float64) * (1 - amount) + b[key].astype(np.float64) * amount
        assert np.array_equal(value, expected.astype(np.float32)), key


def test_rules_name_its_blocks_and_tell_what_each_tensor_ends_with(command: Command, models: object) -> None:
    output = command("rules", "K01-K02: 0.5; OUT: 1", "a.safetensors", "--keys")
    rows = {key: rest.split("  ") for key, _, rest in (line.partition(" ") for line in output.splitlines())}
    ends = {key: rest[-1].strip() for key, rest in rows.items() if key.endswith("weight")}
    assert ends[f"{NETWORK}mixers.0.across.weight"] == "0 (no rule)"
    assert ends[f"{NETWORK}mixers.1.across.weight"] == "0.5 (rule 1)"
    assert ends[f"{NETWORK}exit.weight"] == "1 (rule 2)"


def test_a_list_of_another_length_is_refused_in_its_own_names(command: Command, models: object) -> None:
    output = command(
        "merge", "a.safetensors", "b.safetensors", "--weights", "1, 0, 0.5", "-o", "m.safetensors", status=2
    )
    assert "the list has 3 numbers, but Mixers takes 5 (BASE, K00..K03) or 4 without BASE" in output


def test_models_of_two_families_are_refused_by_their_names(
    command: Command, folder: Path, models: object
) -> None:
    write_tiny(folder / "sd1.safetensors")
    output = command("merge", "a.safetensors", "sd1.safetensors", "-o", "m.safetensors", status=2)
    assert "'A (a)' is Mixers, but 'B (sd1)' is Stable Diffusion 1: they cannot be merged" in output


def test_reports_compare_and_check_it(
    command: Command, folder: Path, models: tuple[dict[str, Any], Any]
) -> None:
    compared = json.loads(command("compare", "a.safetensors", "b.safetensors", "--json"))
    assert "K03" in json.dumps(compared)
    assert "nothing is wrong" in command("check", "a.safetensors")
    lacking = {
        key: value for key, value in models[0].items() if not key.startswith(f"{NETWORK}mixers.3.norm.")
    }
    save_file(lacking, folder / "lacking.safetensors")
    assert "2 tensors missing from K03" in command("check", "lacking.safetensors")


def test_a_family_whose_data_contradict_is_refused_where_it_is_added(family: Family) -> None:
    assert FAMILIES.get("mixers") is None
    table = Families((family,))
    with pytest.raises(ValueError, match="two families are called 'mixers'"):
        table.add(family)
    with pytest.raises(ValueError, match="there is no slot 'TIME'"):
        table.add(replace(family, id="timed", unlisted_slots=(*family.unlisted_slots, "TIME")))
    with pytest.raises(ValueError, match="slot 'OUT' must be in `listed_names`"):
        table.add(replace(family, id="lost", unlisted_slots=("IN",)))
