"""The command line: a command calls the library once; a MergeError is one message and exit status 2."""

from lib_merge.cli.main import main

__all__ = ["main"]
