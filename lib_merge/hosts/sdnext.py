"""SD.Next: recognised, but merges are only saved to files there."""

from __future__ import annotations

from lib_merge.hosts.detect import has_module
from lib_merge.hosts.webui import FilesOnlyWebUI

OWN_MODULES = ("modules.modeldata", "modules.processing_diffusers")


class SDNextHost(FilesOnlyWebUI):
    """SD.Next, which generates with pipelines of diffusers."""

    def __init__(self) -> None:
        reason = (
            "Merge Desk cannot load merges into the memory of SD.Next, which holds its model as a diffusers "
            "pipeline; saving them to files works"
        )
        super().__init__("sdnext", "SD.Next", reason)

    @classmethod
    def detect(cls) -> bool:
        """By its modules for diffusers, which no fork of A1111 has."""
        return all(has_module(name) for name in OWN_MODULES)
