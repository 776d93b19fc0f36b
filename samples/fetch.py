"""Brings the parts of the sample checkpoints, 68 MB, out of the repository's history.

No revision of today has them among its files: a WebUI's *Install from URL* clones with --filter=blob:none,
which fetches the files of the newest revision only, and who merges their own checkpoints never needs these.
A whole clone has them already and needs no network; a partial or shallow one fetches them when they are first
used.

New parts, from `samples/train.py`: commit them, write that commit and their hashes here, and delete them from
the repository in the next commit.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lib_merge.errors import MergeError

ROOT = Path(__file__).resolve().parents[1]
PARTS = ROOT / "samples" / "parts"
COMMIT = "1a17d8d5e649ebdda5273d8a0d7016602516d40f"  # has every part
HASHES: Mapping[str, str] = {  # file -> its SHA-256
    "text_encoder.safetensors": "9d4b9287734cf143afad0090df42058f0bc08eb7ba98da4034647a5300e853b2",
    "unet_base.safetensors": "a70f7fe0a216cdca3f8d3df81970d5f31e92d8d32cb45f72676ec1d5866fb9a0",
    "unet_ink.safetensors": "d726a9ea017246484644c95b2e515288dec79ff7a5584485bbeaabe05d883601",
    "unet_other.safetensors": "df1bececd9e8fba8ef7298eed47e03e6ac1d1a55ecb0875e3fddc77022ab1f0a",
    "unet_pastel.safetensors": "c5d5722f42e0d916d1268c754d65553281c2f4b246ea669e92a147584a461503",
    "vae.safetensors": "32b3bda7ad4ae7c67090fd65cdc09f1014f51da2fd14c8bb7b4bb30323eae704",
}
HINT = "clone the repository with git and stay online, or use checkpoints of your own: --models DIR"


class SamplesMissingError(MergeError):
    """The sample checkpoints are not in this folder, and git cannot bring them."""


def fetch_parts(folder: Path = PARTS, repository: Path = ROOT) -> None:
    """Writes the parts that `folder` lacks; SamplesMissingError where git cannot bring them.

    Files that are there, perhaps trained again, are left as they are. Several processes may do this at once.
    """
    missing = [name for name in HASHES if not (folder / name).is_file()]
    if not missing:
        return
    archive = _archive(repository, [f"samples/parts/{name}" for name in missing])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as partial, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for name in missing:
            member = tar.extractfile(f"samples/parts/{name}")
            content = member.read() if member else b""
            if hashlib.sha256(content).hexdigest() != HASHES[name]:
                raise SamplesMissingError(f"{name} of commit {COMMIT} is damaged", hint="git fsck")
            (Path(partial) / name).write_bytes(content)
            _move(Path(partial) / name, folder / name)


def _move(source: Path, target: Path) -> None:
    """Move a file to where no file is: another process may have brought it meanwhile, and be reading it."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        source.replace(target)


def _archive(repository: Path, paths: list[str]) -> bytes:
    """A tar of these files as they were in COMMIT."""
    what = ["archive", "--format=tar", COMMIT, "--", *paths]
    done = _git(repository, *what)
    if done.returncode:  # a shallow clone: the commit is only at the remote
        _git(repository, "fetch", "--quiet", "--depth=1", "origin", COMMIT)
        done = _git(repository, *what)
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        text = (
            f"the sample checkpoints are not here, and git cannot fetch them: {reason[-1] if reason else '?'}"
        )
        raise SamplesMissingError(text, where=str(repository), hint=HINT)
    return done.stdout


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    # a clone that another user owns is no danger here: the code that runs comes out of it
    settings = ["-c", "core.autocrlf=false", "-c", f"safe.directory={repository.as_posix()}"]
    command = ["git", *settings, "-C", str(repository), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False)
    except OSError as cause:
        what = "the sample checkpoints are not here, and there is no git to fetch them with"
        raise SamplesMissingError(what, where=str(repository), hint=HINT) from cause
