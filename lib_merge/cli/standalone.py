"""The standalone host of a worker or a search, over the files of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.cli.progress import progress_bar
from lib_merge.cli.request import MergeFlags, data_folder, folders_of
from lib_merge.library.hashes import HashCache
from lib_merge.recipe import Recipe
from lib_merge.service.files import FileResolver, read_headers

if TYPE_CHECKING:
    from lib_merge.service.grids import GridBackend
    from lib_merge.service.merging import MergeService


@dataclass(frozen=True)
class StandaloneOptions:
    """What the standalone host needs to know.

    data     folder of history and hashes
    threads  to merge with, None for as many as are useful
    """

    data: Path
    device: str
    threads: int | None


def standalone_backend(
    flags: MergeFlags, files: Mapping[str, Path], options: StandaloneOptions
) -> tuple[MergeService, GridBackend]:
    """The standalone host over the files of a recipe, the first of which is loaded."""
    from lib_merge.hosts.host import ListedFile
    from lib_merge.hosts.standalone import StandaloneHost
    from lib_merge.service.grids import GridBackend
    from lib_merge.service.merging import MergeService

    data = options.data
    host = StandaloneHost(flags.model_folders, output=data, data=data, device=options.device)
    listed = {file: ListedFile(file, path) for file, path in files.items()}
    for file in reversed(list(listed.values())):
        host.add_file(file)
    host.load(host.checkpoints()[0])
    service = MergeService(host, threads=options.threads)
    return service, GridBackend(service, listed)


def located_files(flags: MergeFlags, recipe: Recipe) -> Mapping[str, Path]:
    """The files of a recipe in the folders of the flags, found by name and hash, with readable headers."""
    book = HashCache(data_folder(flags.data_dir))
    with progress_bar() as progress:
        resolver = FileResolver(folders_of(flags), book, progress, trust_names=flags.trust_names)
        located = resolver.locate(recipe)
    read_headers(located.files)
    return located.files
