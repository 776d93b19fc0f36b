"""Packages that are public functions too: `lib_merge.plan(...)` and `lib_merge.methods()`.

Importing a package sets an attribute of that name on its parent, so that a function `lib_merge.plan` would be
replaced by the package `lib_merge.plan` at the latter's first import. Such a package is made callable
instead: it passes the call on to the function of its name in `lib_merge.api`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A package that can be called like the function of its name in `lib_merge.api`."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function; its signature and documentation are in `lib_merge.api`."""
        return self.__wrapped__(*arguments, **keywords)

    @property
    def __wrapped__(self) -> Any:
        """The function, as `inspect.signature` follows it; imported when it is first asked for."""
        api = importlib.import_module("lib_merge.api")
        return getattr(api, self.__name__.rpartition(".")[2])


def make_callable(package: str) -> None:
    """Make the package of that name callable; called at the end of its `__init__`."""
    sys.modules[package].__class__ = CallablePackage
