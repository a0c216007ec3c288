# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rsync over ssh from the server to this host: list files and fetch them.

A key that may only read through rsync is enough. Names go in as patterns of rsync's, each anchored
and escaped, for the gate lets no list of names through.
"""

from __future__ import annotations

import datetime
import os
import re
import shlex
import tempfile
from collections.abc import Iterable, Sequence

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from . import rsync, ssh
from .ssh import Destination
from .transport import RemoteFile

TRIES = 3
# Bytes, time of change (UTC) and name of one file.
_FORMAT = "%l %M %n"
_LISTED = re.compile(r"(\d+) (\d{4}/\d\d/\d\d-\d\d:\d\d:\d\d) (.*[^/])")
# A part could not be read; when listing, a tier that is not there.
_PARTLY = (23, 24)


def list_files(server: Destination, tiers: Sequence[str]) -> dict[str, RemoteFile]:
    """Return the files of some tiers, as `Transport.list_files`."""
    ssh.check_key(server)
    with tempfile.TemporaryDirectory(prefix="chefwell-list-") as empty:
        listed = _run(
            server,
            ["--recursive", "--dry-run", f"--out-format={_FORMAT}"],
            tiers,
            empty,
            passes=_PARTLY,
        )
    found = {}
    for line in listed.splitlines():
        if match := _LISTED.fullmatch(line):
            moment = datetime.datetime.strptime(match[2] + "+0000", "%Y/%m/%d-%H:%M:%S%z")
            name = rsync.unescaped(match[3])
            found[name] = RemoteFile(int(match[1]), int(moment.timestamp()) * 10**9)
    return found


def fetch(server: Destination, paths: Sequence[str], folder: str) -> None:
    """Fetch files, as `Transport.fetch`."""
    ssh.check_key(server)
    # One login, however many tiers. What is there already keeps its permissions.
    tiers = list(dict.fromkeys(path.partition("/")[0] for path in paths))
    for tier in tiers:
        os.makedirs(os.path.join(folder, tier), exist_ok=True)
    options = ["--recursive", "--times", "--omit-dir-times", "--partial-dir=.rsync-partial"]
    rules = b"".join(os.fsencode(rule) + b"\0" for rule in patterns(paths))
    if tiers:
        _run(
            server,
            [*options, "--from0", "--include-from=-", "--exclude=*"],
            tiers,
            folder,
            input=rules,
        )


def patterns(names: Iterable[str]) -> list[str]:
    """Return rsync's patterns for exactly these files and the folders that they lie in. Pure."""
    rules: dict[str, None] = {}
    for name in names:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            rules[_escaped("/".join(parts[:depth])) + "/"] = None
        rules[_escaped(name)] = None
    return [f"/{rule}" for rule in rules]


def _escaped(name: str) -> str:
    # rsync(1): a backslash escapes only in a pattern that holds a wildcard.
    return re.sub(r"([*?\[\\])", r"\\\1", name) if re.search(r"[*?\[]", name) else name


def fetch_command(server: Destination, path: str, folder: str) -> str:
    """Return the command for a person, as `Transport.fetch_command`."""
    known = f"UserKnownHostsFile={server.known_hosts_file}"
    shell = shlex.join(["ssh", "-i", server.key_file, "-p", str(server.port), "-o", known])
    source = f"{_host(server)}:{server.path.rstrip('/')}/{path}"
    return shlex.join(["rsync", "-t", "-e", shell, source, os.path.join(folder, "")])


def _host(server: Destination) -> str:
    return f"{server.user}@" + (f"[{server.host}]" if ":" in server.host else server.host)


def _run(
    server: Destination,
    options: Sequence[str],
    names: Sequence[str],
    to: str,
    *,
    input: bytes | None = None,
    passes: Sequence[int] = (),
) -> str:
    """Run rsync, again where another attempt may help, and return its output."""
    root = f"{_host(server)}:{server.path.rstrip('/')}/"
    shell = ssh.rsync_shell(server)
    command = [
        *("rsync", *options, "--no-human-readable"),
        *(f"--timeout={server.silence_seconds}", f"--rsh={shell}"),
        *((f"--bwlimit={server.bandwidth_kbps}",) if server.bandwidth_kbps else ()),
        *("--", *(root + name for name in names), os.path.join(to, "")),
    ]
    for left in range(TRIES - 1, -1, -1):
        ended = process.run(
            command,
            time_limit=server.time_limit,
            env=ssh.rsync_environment(),
            input=input,
        )
        if ended.code == 0 or ended.code in passes:
            return ended.output
        why = ssh.failure(ended.errors)
        if left == 0 or (why and not why.retryable):
            break
    if why:
        raise ssh.ServerError(why, ssh.error_line(ended.errors), server)
    raise ResilienceError(
        _(
            "%(program)s ended with %(ending)s: %(why)s",
            program="rsync",
            ending=ended.ending(),
            why=ssh.error_line(ended.errors),
        ),
        option="offsite",
        value=str(server),
        remedy=_(
            "try sync-backups-offsite.sh --test-connection, and look whether the key may read"
        ),
    )
