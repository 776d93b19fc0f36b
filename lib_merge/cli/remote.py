"""`--host`: a WebUI on another machine in place of the host of this one, and the account for it."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.cli.request import MergeFlags, ReadMerge, merge_request
from lib_merge.errors import RecipeError

if TYPE_CHECKING:
    from lib_merge.service.remote_api import Account
    from lib_merge.service.remote_webui import RemoteCatalog, RemoteService

PASSWORD_VARIABLE = "MERGE_DESK_PASSWORD"


def add_remote_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a WebUI and an account."""
    add = parser.add_argument
    text = (
        "merge and draw in the WebUI at this address (http://NAME[:PORT], started with --api), with its files"
    )
    add("--host", metavar="URL", help=text)
    text = f"account of that WebUI's --api-auth; the password is asked for, or in {PASSWORD_VARIABLE}"
    add("--user", metavar="NAME", help=text)
    add("--password-file", metavar="FILE", help="a file whose first line is the password")


@dataclass(frozen=True, kw_only=True)
class RemoteFlags(MergeFlags):
    """The arguments of `add_remote_arguments`; no host for this machine's own."""

    host: str | None
    user: str | None
    password_file: str | None


def connect_remote(options: RemoteFlags, data: Path) -> RemoteService | None:
    """The WebUI that --host names; None for none. Nothing is sent yet."""
    from lib_merge.service.remote_api import RemoteApi, parse_address
    from lib_merge.service.remote_webui import RemoteService

    if options.host is None:
        if options.user is not None or options.password_file is not None:
            raise RecipeError("--user and --password-file belong to --host", hint="--host http://...")
        return None
    address = parse_address(options.host)
    if options.folders:
        what = "the files are those of the WebUI's own folders"
        raise RecipeError(what, where=address, hint="leave out --models, or --host")
    return RemoteService(RemoteApi(address, _account(options)), data, _say)


def read_remote_merge(options: MergeFlags, catalog: RemoteCatalog) -> ReadMerge:
    """The merge of the flags over a WebUI's files, with their hashes."""
    request, notes = merge_request(options)
    resolved = request.recipe(catalog)
    recipe = catalog.describe(resolved.recipe, hashed=True)
    return ReadMerge(recipe, {file: catalog.header(file) for file in recipe.files}, notes)


def _account(options: RemoteFlags) -> Account | None:
    from lib_merge.service.remote_api import Account

    if options.user is None:
        if options.password_file is not None:
            raise RecipeError("a password without a user", hint="--user NAME")
        return None
    if not options.user or ":" in options.user:
        raise RecipeError(f"'{options.user}' is no name of a user", hint="--user NAME")
    return Account(options.user, _password(options))


def _password(options: RemoteFlags) -> str:
    if options.password_file is not None:
        try:
            lines = Path(options.password_file).read_text("utf-8").splitlines()
        except (OSError, ValueError) as cause:
            what = f"the password cannot be read: {getattr(cause, 'strerror', None) or cause}"
            raise RecipeError(what, where=options.password_file) from cause
        return lines[0] if lines else ""
    if PASSWORD_VARIABLE in os.environ:
        return os.environ[PASSWORD_VARIABLE]
    if not sys.stdin.isatty():
        hint = f"{PASSWORD_VARIABLE}, or --password-file FILE"
        raise RecipeError(f"there is no password for '{options.user}'", hint=hint)
    return getpass.getpass(f"password of {options.user}: ", sys.stderr)


def _say(sentence: str) -> None:
    print(f"merge-desk: {sentence}", file=sys.stderr, flush=True)
