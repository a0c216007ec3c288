# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate becomes an rsync: one that writes to `incoming`, or one that reads from the tiers."""

from __future__ import annotations

import os
import re
import resource
import shutil
from collections.abc import Callable, Sequence
from typing import NoReturn

from ..common.errors import ResilienceError
from ..common.messages import _
from ..inventory.inventory import readable
from . import gate_limits, gate_watch, landlock
from .gate_input import Refused
from .gate_session import READ, WRITE, GateSession
from .incoming import clear_obstructions, recover_sessions, resume_partial_files
from .new_alarms import notifying_new_alarms
from .packed_files import FULL

# Protocol features of the client's rsync follow `e`; they end the short options.
_SHORT_WRITE = re.compile(r"-[trpvnzR]*(e[0-9A-Za-z.]*)?")
_SHORT_READ = re.compile(r"-[vtprlogDnzR]*(e[0-9A-Za-z.]*)?")
_LONG = re.compile(
    r"--(log-format=[%\w ]{0,40}|timeout=\d{1,6}|bwlimit=[\d.]{1,12}|stats|fsync|no-inc-recursive)"
)
_PARTIAL = ("--partial-dir", ".rsync-partial")


def _rsync(session: GateSession, arguments: list[str]) -> NoReturn:
    if arguments[:2] == ["--server", "--sender"]:
        allowed = _sending(session, arguments[2:])
    elif arguments[:1] == ["--server"] and session.allow == WRITE:
        allowed = _receiving(session, arguments[1:])
    else:
        raise Refused(_("rsync may not do that with this key"))

    program = shutil.which("rsync", path="/usr/local/bin:/usr/bin:/bin")
    if program is None:
        raise ResilienceError("rsync: command not found", remedy="install it on the server")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
    os.execve(program, ["rsync", "--server", *allowed], environment)


def _receiving(session: GateSession, arguments: list[str]) -> list[str]:
    """Confine this process to `incoming`, and return the arguments of the receiving rsync."""
    options, paths = allowed_options(arguments, _SHORT_WRITE)
    if len(paths) != 1 or paths[0].rstrip("/") not in ("incoming", session.store.root.rstrip("/")):
        raise Refused(_("this key may write to one folder only"))
    room = session.store.room()
    if room == 0:
        raise ResilienceError(f"No space left on device: {FULL}")
    with notifying_new_alarms(session.store, session.config_file):
        clear_obstructions(session.store)
    recover_sessions(session.store)
    if gate_limits.receives_alone(session.store):
        resume_partial_files(session.store)
    os.umask(0o077)
    # One file may not take the reserve either. Python ignores SIGXFSZ, and rsync inherits that,
    # so that it reports "File too large".
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    os.chdir(session.store.incoming)
    gate_watch.start(session.store, session.config_file)
    landlock.write_only_in(session.store.incoming)
    return [*options, ".", f"{session.store.incoming}/"]


def _sending(session: GateSession, arguments: list[str]) -> list[str]:
    """Return the arguments of an rsync that reads from the copy.

    Its paths lie in tiers, of backups or of previous versions: a filter that keeps something
    out could be cleared by the client.
    """
    if session.allow != READ:
        raise Refused(_("this key may not read what is there"))
    options, paths = allowed_options(arguments, _SHORT_READ)
    os.chdir(session.store.root)
    root = os.path.realpath(session.store.root)
    allowed = []
    for path in paths:
        whole = os.path.realpath(os.path.join(root, path))
        inner = os.path.relpath(whole, root)
        if inner == ".":
            allowed += [name for name in sorted(os.listdir(root)) if _is_readable(session, name)]
        elif _is_readable(session, inner) and not set("*?[\\") & set(path) and path[0] != "-":
            allowed.append(inner + ("/" if path.endswith("/") else ""))
        else:
            tiers = ", ".join(session.store.tiers)
            raise Refused(_("this key may read these folders only: %(tiers)s", tiers=tiers))
    return ["--sender", *options, ".", *allowed]


def _is_readable(session: GateSession, path: str) -> bool:
    """Return whether a path lies in a tier, of backups or of previous versions."""
    first, _slash, rest = path.partition("/")
    if re.fullmatch(r"old_\d{8}_\d{6}", first):
        return not rest or rest.partition("/")[0] in session.store.tiers
    return first in session.store.tiers


def allowed_options(
    arguments: Sequence[str], short: re.Pattern[str]
) -> tuple[list[str], list[str]]:
    """Return the options and the paths of an rsync server's command line.

    Raises:
        Refused: an option is not on the list.
    """
    options: list[str] = []
    rest = list(arguments)
    while rest and rest[0] != ".":
        word = rest.pop(0)
        if word == _PARTIAL[0] and rest[:1] == [_PARTIAL[1]]:
            options += [word, rest.pop(0)]
        elif short.fullmatch(word) or _LONG.fullmatch(word):
            options.append(word)
        else:
            raise Refused(
                _("the rsync option %(option)s is not allowed", option=readable(word)[:80])
            )
    if len(rest) < 2:
        raise Refused(_("rsync is given no folder"))
    return options, rest[1:]


COMMANDS: dict[str, Callable[[GateSession, list[str]], int]] = {"rsync": _rsync}
