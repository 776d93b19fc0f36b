"""install.py as a WebUI runs it at every start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_install(folder: Path, hidden: tuple[str, ...], launch: str = "") -> subprocess.CompletedProcess[str]:
    """install.py as the host runs it, from elsewhere, with some packages hidden from it."""
    (folder / "sitecustomize.py").write_text(f"import sys; sys.modules.update(dict.fromkeys({hidden}))")
    if launch:
        (folder / "launch.py").write_text(launch)
    return subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "install.py")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_install_does_nothing_when_nothing_is_missing(tmp_path: Path) -> None:
    done = run_install(tmp_path, (), "raise SystemExit('the host was asked')")
    assert (done.returncode, done.stdout) == (0, "")
    rows = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert not {"torch", "gradio", "numpy", "launch", "importlib.metadata", "subprocess"} & set(rows)


def test_install_asks_the_host_for_what_is_missing_and_holds_the_rest(tmp_path: Path) -> None:
    launch = (
        "def run_pip(command, desc):\n    print(desc, command, open(command.split('\"')[3]).read(), sep='|')"
    )
    done = run_install(tmp_path, ("PIL",), launch)
    desc, command, held = done.stdout.split("|")
    assert desc == "Pillow for Merge Desk"
    assert command.startswith('install "Pillow" -c "')
    assert "\ntorch==" in f"\n{held}"
    assert "\nnumpy==" in f"\n{held}"


def test_install_without_a_host_says_what_to_do(tmp_path: Path) -> None:
    done = run_install(tmp_path, ("scipy",))
    assert done.returncode == 0
    assert done.stdout == 'Merge Desk: not installed here: scipy; run: pip install "scipy"\n'


def test_install_says_it_in_one_line_when_the_host_cannot(tmp_path: Path) -> None:
    done = run_install(
        tmp_path, ("scipy",), "def run_pip(command, desc):\n    raise RuntimeError('no network')"
    )
    assert (done.returncode, done.stdout) == (1, "Merge Desk: could not install scipy: no network\n")
