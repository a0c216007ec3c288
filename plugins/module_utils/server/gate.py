# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: the forced command of a client's key in `authorized_keys` on the backup server.

sshd runs it instead of the client's command, which it finds in SSH_ORIGINAL_COMMAND. Whoever holds
the key may list the copy and add to it. A writing rsync gets options from a list only, and the
kernel keeps it in `incoming`; what arrives there gets its place by `placement`.

rsync's own `rrsync` is not used: whether it can refuse to delete (`-no-del`) and to overwrite
(`-no-overwrite`) depends on its version (`rrsync_features`), and with all of them a key that may
write a file in its place may also leave half of one there.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from ..common import settings
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.zip_equal import zip_equal
from ..inventory.inventory import readable
from . import gate_limits
from .gate_input import Refused
from .gate_session import GateSession
from .server_settings import ServerSettings
from .server_store import Busy, Store, WrongCopy

# The file of each request; only that of the request is loaded, for a client waits for it.
FILE_OF = {
    "hostname": "gate_listing",
    "echo": "gate_listing",
    "chefwell-hello": "gate_listing",
    "chefwell-list": "gate_listing",
    "chefwell-digest": "gate_digests",
    "chefwell-commit": "gate_commit",
    "rsync": "gate_rsync",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one request.

    Args:
        arguments: `--config FILE` and `--allow write` or `--allow read`; those of the process when
            left out.

    Returns:
        The exit code: 0 done, 1 refused, 2 failed, 75 (EX_TEMPFAIL) another job holds the lock.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = dict(zip_equal(given[::2], given[1::2]))
        path, allow = options["--config"], options["--allow"]
    except (KeyError, ValueError):
        return _fail("usage: gate --config FILE --allow write|read", 2)
    request = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    try:
        server_settings = settings.load(path, ServerSettings)
        try:
            return serve(GateSession(Store(server_settings), allow, path), request)
        except WrongCopy:
            _module("gate_refusals").report_wrong_copy(server_settings, path)
            raise
    except Refused as error:
        return _fail(f"chefwell gate: refused: {error}", 1)
    except Busy as error:
        return _fail(f"chefwell gate: busy: {error}", 75)
    except (ResilienceError, OSError) as error:
        return _fail(f"chefwell gate: {error}", 2)


def _fail(text: str, code: int) -> int:
    sys.stderr.write(text + "\n")
    return code


def _module(name: str) -> Any:
    return importlib.import_module(f".{name}", __package__)


def serve(session: GateSession, request: str) -> int:
    """Do what was requested, if it is allowed; return the exit code.

    Raises:
        Refused: it is not.
    """
    try:
        parts = shlex.split(request)
    except ValueError:
        parts = []
    with gate_limits.session(session.store):
        try:
            if not parts:
                raise Refused(_("this key opens no shell"))
            code = _run(session, parts[0], parts[1:])
            # Names to digest follow in the same command, after the list.
            if parts[0] == "chefwell-list" and "--digest" in parts:
                code = _run(session, "chefwell-digest", [])
        except Refused as error:
            _module("gate_refusals").record(session, request, error.reason)
            raise
    return code


def _run(session: GateSession, name: str, arguments: list[str]) -> int:
    if name not in FILE_OF:
        raise Refused(
            _("%(what)s is not among what this key may do", what=repr(readable(name)[:80]))
        )
    return int(_module(FILE_OF[name]).COMMANDS[name](session, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
