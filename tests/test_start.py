"""start.py as a newcomer meets it: real processes, real venvs, no network.

The packages that start.py installs here are little wheels made on the spot, from a folder that
stands in for the index.
"""

from __future__ import annotations

import ast
import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.children import hear_ctrl_c

ROOT = Path(__file__).parents[1]
FILES = ("pip", "torch", "standalone", "test", "a1111-torch", "a1111", "forge-torch", "forge")
PATIENCE = 280  # seconds, for a machine that does much else
TELL = "import sys, tiny; print(tiny.VERSION, {!r}, *sys.argv[1:])"
pytestmark = [
    pytest.mark.slow,  # a venv with pip takes some seconds
    pytest.mark.skipif(os.name == "nt", reason="written for a POSIX machine"),
]


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str]) -> None:
    """A wheel that pip takes, with these files in it."""
    about = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{about}/RECORD", "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"]))


def said(arguments: str, tiny: str = "1.0") -> str:
    """What the stand-in for the library prints."""
    return f"{tiny} lib_merge/__main__.py {arguments}\n"


class Clone:
    """A fresh clone in a folder whose name has spaces, with a stand-in for library and index."""

    def __init__(self, folder: Path) -> None:
        self.root, self.wheels = folder / "Merge Desk (new)", folder / "wheels"
        (self.root / "requirements").mkdir(parents=True)
        self.wheels.mkdir()
        for module in ("lib_merge/__main__.py", "samples/__main__.py", "samples/demo.py"):
            (self.root / module).parent.mkdir(exist_ok=True)
            (self.root / module).write_text(TELL.format(module))
        shutil.copy(ROOT / "start.py", self.root)
        for version in ("1.0", "2.0"):
            wheel(self.wheels, "tiny", version, {"tiny.py": f"VERSION = '{version}'\n" + "#" * 100})
        for name in FILES:
            self.pin(name, "")
        self.pin("standalone", "tiny==1.0")

    def pin(self, name: str, text: str) -> None:
        """Writes one requirement file."""
        (self.root / "requirements" / f"{name}.txt").write_text(f"# {name}\n{text}\n")

    def command(self, *arguments: str) -> list[str]:
        """Without site-packages: the tests' own Python has a torch, and start.py would keep that."""
        return [sys.executable, "-S", str(self.root / "start.py"), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """No index but the folder of wheels, and none of this machine's settings for pip."""
        plain = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
        ours = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        return {**plain, **ours, "PIP_NO_CACHE_DIR": "1", **more}

    def start(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs start.py there, from another folder, with nobody at the keyboard."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.root.parent,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def log(self) -> str:
        return (self.venv / "install.log").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which start.py has run once."""
    clone = Clone(tmp_path_factory.mktemp("start"))
    done = clone.start("merge", "a b.safetensors", "--json")
    assert (done.returncode, done.stdout) == (0, said("merge a b.safetensors --json")), done.stderr
    assert f"The packages are in {clone.venv}" in done.stderr
    return clone


@pytest.fixture
def clone(made: Clone) -> Iterator[Clone]:
    """That clone again; what a test does to its requirements is undone."""
    yield made
    for name in FILES:
        made.pin(name, "tiny==1.0" if name == "standalone" else "")


def test_without_a_command_the_desk_opens_and_gets_the_arguments(clone: Clone) -> None:
    assert clone.start().stdout == "1.0 samples/__main__.py\n"
    assert clone.start("--models", "mine").stdout == "1.0 samples/__main__.py --models mine\n"


def test_the_demo_is_a_command(clone: Clone) -> None:
    assert clone.start("demo", "--output", "here").stdout == "1.0 samples/demo.py --output here\n"


def test_a_second_run_starts_at_once_says_nothing_and_asks_no_pip(clone: Clone) -> None:
    log = clone.log
    done = clone.start("methods")
    assert (done.stdout, done.stderr, clone.log) == (said("methods"), "", log)


def test_a_changed_pin_is_brought_in_without_a_new_venv(clone: Clone) -> None:
    clone.pin("standalone", "tiny==2.0 ; python_version >= '3.10'\ntiny==1.0 ; python_version < '3.10'")
    done = clone.start("methods")
    assert done.stdout == said("methods", "2.0"), done.stderr
    assert clone.log.count("-m venv") == 1


def test_a_set_up_that_was_killed_half_way_is_made_anew(clone: Clone) -> None:
    (clone.venv / "merge_desk.json").unlink()
    (tiny,) = clone.venv.glob("lib/python*/site-packages/tiny.py")
    tiny.unlink()  # its record says that it is there
    done = clone.start("methods")
    assert done.stdout == said("methods"), done.stderr


def test_a_venv_whose_python_is_gone_is_made_anew(clone: Clone) -> None:
    for python in clone.venv.glob("bin/python*"):
        python.unlink()
        python.symlink_to("/no/such/python")
    done = clone.start("methods")
    assert done.stdout == said("methods"), done.stderr


def test_without_network_one_message_says_so(clone: Clone) -> None:
    clone.pin("standalone", "tiny==3.0")
    nobody = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    done = clone.start("methods", **nobody)
    *progress, what, hint = done.stderr.splitlines()
    assert all(line.startswith("Installing packages") for line in progress)
    assert what == "The packages could not be fetched: no network, or the package index does not answer."
    assert hint.startswith("  try  connect and run the same command again")
    assert hint.endswith(f"(all that was said: {clone.venv / 'install.log'})")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_package_that_this_machine_cannot_have_is_named(clone: Clone) -> None:
    clone.pin("standalone", "tiny==4.0")
    done = clone.start("methods")
    assert done.returncode == 2
    assert "There is no tiny==4.0 for Python 3." in done.stderr


def test_ctrl_c_while_pip_waits_ends_both_and_leaves_no_stamp(clone: Clone) -> None:
    clone.pin("standalone", "tiny==5.0")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the call and never answers
        silent.settimeout(PATIENCE)
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        variables = clone.environment(PIP_NO_INDEX="0", PIP_INDEX_URL=index)
        process = subprocess.Popen(
            clone.command("methods"), env=variables, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
        )
        line, _ = silent.accept()
        with line:
            line.recv(1)  # pip is there and asks
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=PATIENCE)[1]
            line.settimeout(PATIENCE)
            while line.recv(4096):
                pass  # until pip has gone too
    assert said.endswith("Stopped. Run the same command again to go on.\n")
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not (clone.venv / "merge_desk.json").exists()


def outer_torch(folder: Path, version: str) -> dict[str, str]:
    """The variables under which the Python that runs start.py has a torch of this version."""
    (folder / "torch").mkdir()
    torch = f"__version__ = '{version}'\ndef ones(size):\n    return size\n"
    (folder / "torch" / "__init__.py").write_text(torch)
    (folder / f"torch-{version}.dist-info").mkdir()
    about = f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"
    (folder / f"torch-{version}.dist-info" / "METADATA").write_text(about)
    return {"PYTHONPATH": str(folder)}


def test_a_torch_that_is_there_already_is_kept(clone: Clone, tmp_path: Path) -> None:
    clone.pin("torch", "torch==2.13.0")  # no such wheel here: installing it would fail
    done = clone.start("methods", **outer_torch(tmp_path, "2.9.1"))
    assert done.returncode == 0, done.stderr
    program = "import torch; print(torch.__version__)"
    for _ in range(2):  # also when it is no longer in sight, as long as it exists
        told = subprocess.run([clone.venv / "bin" / "python", "-c", program], capture_output=True, text=True)
        assert told.stdout == "2.9.1\n", told.stderr
        assert clone.start("methods").returncode == 0
    assert "torch==2.13.0" not in clone.log.rpartition("$")[0].rpartition("-m venv")[2]
    shutil.rmtree(tmp_path / "torch")
    assert "There is no torch==2.13.0" in clone.start("methods").stderr


def test_a_torch_too_old_for_the_pinned_packages_is_not_kept(clone: Clone, tmp_path: Path) -> None:
    clone.pin("torch", "torch==2.13.0")
    done = clone.start("methods", **outer_torch(tmp_path, "2.1.2"))
    assert (done.returncode, "There is no torch==2.13.0" in done.stderr) == (2, True)


def test_a_failing_check_fails_the_tests_and_stops_no_other(clone: Clone) -> None:
    tell = "import sys; print(__name__, *sys.argv[1:]); sys.exit({})"
    tools = {"ruff.py": tell.format(0), "pyright.py": tell.format(1), "pytest.py": tell.format(0)}
    cli = "def lint_imports_command(): print('contracts')"
    wheel(clone.wheels, "tools", "1.0", {**tools, "importlinter/__init__.py": "", "importlinter/cli.py": cli})
    clone.pin("test", "tools==1.0")
    done = clone.start("test", "-k", "two words")
    assert done.returncode == 1, done.stderr
    assert "contracts\n" in done.stdout
    assert "__main__ -k two words\n" in done.stdout
    results = [line.split()[:2] for line in done.stdout.splitlines() if line.startswith(("ok ", "FAILED "))]
    assert [verdict for verdict, _ in results] == ["ok", "ok", "FAILED", "ok", "ok"]
    assert results[2] == ["FAILED", "pyright"]


def test_one_set_of_packages_is_tried_in_an_environment_of_its_own(clone: Clone) -> None:
    tell = "import sys, tiny; print(tiny.VERSION, sys.prefix, *sys.argv[1:])"
    wheel(clone.wheels, "pytest", "1.0", {"pytest.py": tell})
    clone.pin("forge", "pytest==1.0\ntiny==2.0")
    for _ in range(2):  # the second finds it made
        done = clone.start("test", "--pins", "forge", "-k", "two words")
        assert done.stdout == f"2.0 {clone.root / '.venv-forge'} -k two words\n", done.stderr
    log = (clone.root / ".venv-forge" / "install.log").read_text()
    assert log.count("-m venv") == 1
    assert clone.start("methods").stdout == said("methods")  # the desk's own packages are as they were


def test_a_set_that_there_is_not_is_named_beside_those_that_there_are(clone: Clone) -> None:
    done = clone.start("test", "--pins", "comfy")
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no set of packages called 'comfy'." in done.stderr
    assert "--pins newest or a1111 or forge" in done.stderr


def test_all_checks_end_with_the_fast_tests_on_the_packages_of_automatic1111(clone: Clone) -> None:
    tools = {f"{name}.py": "" for name in ("ruff", "pyright", "pytest")}
    cli = {"importlinter/__init__.py": "", "importlinter/cli.py": "def lint_imports_command(): pass"}
    wheel(clone.wheels, "tools", "2.0", {**tools, **cli})
    wheel(clone.wheels, "pytest", "2.0", {"pytest.py": "import sys; sys.exit('no numpy of that age')"})
    clone.pin("test", "tools==2.0")
    clone.pin("a1111", "pytest==2.0")
    done = clone.start("test")
    results = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "FAILED ", "skipped "))]
    assert [line.split()[0] for line in results[:5]] == ["ok"] * 5, done.stderr
    last = results[5].split("  (")[0]
    if last.startswith("FAILED"):
        assert "fast tests on the packages of a1111, Python 3.1" in last
        assert done.returncode == 1
    else:  # this machine has no Python that torch 2.1.2 was built for
        assert last.endswith("there is no Python 3.10 or 3.11 here")
        assert done.returncode == 0


def test_a_python_without_ensurepip_is_told_which_package_brings_it(tmp_path: Path) -> None:
    hide = "import runpy, sys; sys.modules['ensurepip'] = None; sys.argv = sys.argv[1:]"
    run = f"{hide}; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", run, str(Clone(tmp_path).root / "start.py"), "methods"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert f"sudo apt install python3.{sys.version_info[1]}-venv" in done.stderr
    assert "Traceback" not in done.stderr


def old_pythons() -> list[str]:
    """Pythons before 3.10 on this machine."""
    names = [shutil.which(f"python3.{minor}") for minor in range(6, 10)]
    found = [*filter(None, names), *map(str, Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python3"))]
    program = "import sys; sys.exit(sys.version_info >= (3, 10))"
    return [
        name for name in found if subprocess.run([name, "-c", program], capture_output=True).returncode == 0
    ]


def test_an_old_python_is_told_its_age() -> None:
    ast.parse((ROOT / "start.py").read_text("utf-8"), feature_version=(3, 6))
    for python in old_pythons():
        command = [python, str(ROOT / "start.py")]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=PATIENCE)
        assert done.returncode == 2
        assert done.stderr.startswith("Merge Desk needs Python 3.10 or later, and this is Python 3.")
        assert len(done.stderr.splitlines()) == 2
