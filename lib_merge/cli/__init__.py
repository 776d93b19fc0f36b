"""Turns a command line into one library call, and a MergeError into one message and exit status 2."""

from lib_merge.cli.main import main

__all__ = ["main"]
