"""What the pinned requirement files promise to every machine that start.py may meet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

FOLDER = Path(__file__).parents[1] / "requirements"
STARTED = ("pip", "torch", "standalone", "test")
# What each host pins itself (requirements_versions.txt, modules/launch_utils.py), of what we use.
HOSTS = {
    "a1111": "torch==2.1.2 fastapi==0.94.0 gradio==3.41.2 httpcore==0.15.0 httpx==0.24.1 numpy==1.26.2"
    " pillow==9.5.0 safetensors==0.4.2",
    "forge": "torch==2.3.1 fastapi==0.104.1 gradio==4.40.0 httpcore==0.15.0 httpx==0.24.1 numpy==1.26.2"
    " pillow==9.5.0 safetensors==0.4.2 pydantic==2.8.2 tqdm==4.66.1 huggingface-hub==0.26.2",
}


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


@pytest.mark.parametrize(("host", "python"), [("a1111", "3.10.13"), ("a1111", "3.11.7"), ("forge", "3.12.1")])
def test_a_hosts_set_is_what_the_host_has_in_one_exact_version_each(host: str, python: str) -> None:
    machine = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    every = [
        pin for pin in [*pins(f"{host}-torch"), *pins(host)] if not pin.marker or pin.marker.evaluate(machine)
    ]
    chosen = {pin.name: str(pin.specifier) for pin in every}
    assert len(chosen) == len(every)
    assert all(version.startswith("==") for version in chosen.values())
    assert {f"{name}{chosen[name]}" for name in chosen} >= set(HOSTS[host].split())
    assert {"matplotlib", "pandas", "scipy", "pytest", "hypothesis"} <= chosen.keys()


def test_the_floors_of_the_project_are_what_the_oldest_set_has() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = {pin.name: str(pin.specifier)[2:] for pin in [*pins("a1111-torch"), *pins("a1111")]}
    floors = [Requirement(each) for each in project["dependencies"]]
    assert {pin.name.lower(): str(pin.specifier) for pin in floors} == {
        pin.name.lower(): f">={oldest[pin.name.lower()]}" for pin in floors
    }


def test_only_the_file_of_torch_asks_for_torch() -> None:
    assert [str(pin) for pin in pins("torch")] == ["torch==2.13.0"]
    assert not {"torch"} & {pin.name for name in ("pip", "standalone", "test", "bench") for pin in pins(name)}


def test_the_lock_of_the_npm_packages_is_whole_exact_and_names_no_registry() -> None:
    root = FOLDER.parent
    wanted = json.loads((root / "package.json").read_text("utf-8"))["devDependencies"]
    lock = json.loads((root / "package-lock.json").read_text("utf-8"))["packages"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, package in lock.items() if name and not package.get("integrity")] == []
    assert [name for name, package in lock.items() if "resolved" in package] == []
