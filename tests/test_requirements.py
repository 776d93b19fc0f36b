"""What the pinned requirement files promise to every machine that start.py may meet."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

FOLDER = Path(__file__).parents[1] / "requirements"
STARTED = ("pip", "torch", "standalone", "test")


def pins(name: str) -> list[Requirement]:
    lines = (FOLDER / f"{name}.txt").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("python", ["3.10.0", "3.11.7", "3.12.1", "3.13.0", "3.14.0"])
@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_every_machine_gets_one_exact_version_of_each_package(python: str, system: str) -> None:
    machine = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": system,
    }
    chosen: dict[str, str] = {}
    for pin in [pin for name in (*STARTED, "bench") for pin in pins(name)]:
        if pin.marker is None or pin.marker.evaluate(machine):
            assert str(pin.specifier).startswith("=="), pin
            assert chosen.setdefault(pin.name, str(pin.specifier)) == str(pin.specifier), pin
    assert {"torch", "numpy", "diffusers", "transformers", "pytest", "sd-meh"} <= chosen.keys()


def test_only_the_file_of_torch_asks_for_torch() -> None:
    assert [str(pin) for pin in pins("torch")] == ["torch==2.13.0"]
    assert not {"torch"} & {pin.name for name in ("pip", "standalone", "test", "bench") for pin in pins(name)}
