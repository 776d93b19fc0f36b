"""Access to a WebUI's own package, `modules`, which is untyped and imported with `host_module` only.

Attributes that a WebUI may lack are read with `part`, so that an untested WebUI works as far as possible,
without exceptions.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

log = logging.getLogger(__name__)


def host_module(name: str) -> Any:
    """The module `modules.NAME` of the host."""
    return importlib.import_module(f"modules.{name}")


def part(module: str, name: str, default: Any = None) -> Any:
    """An attribute of one of the host's modules; the default where this host lacks it."""
    try:
        return getattr(host_module(module), name, default)
    except Exception as cause:  # the import of a host module may raise anything
        log.debug("modules.%s cannot be read: %s", module, cause)
        return default
