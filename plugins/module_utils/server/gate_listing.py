# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the gate that only look: the list of the backups, and what the server is."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping

from ..common.messages import _
from ..inventory import packed_stream
from . import landlock
from .gate_input import Refused
from .gate_session import GateSession

PROTOCOL = 1


def _hostname(session: GateSession, arguments: list[str]) -> int:
    if arguments:
        raise Refused(_("hostname takes no arguments"))
    return session.send(os.uname().nodename + "\n")


def _echo(session: GateSession, arguments: list[str]) -> int:
    return session.send(" ".join(arguments) + "\n")


def _hello(session: GateSession, arguments: list[str]) -> int:
    return session.send(
        json.dumps(
            {
                "protocol": PROTOCOL,
                "allow": session.allow,
                "confined": landlock.version() >= landlock.WHOLE,
                "keep_days": session.store.settings.keep_days,
            }
        )
        + "\n"
    )


def _list(session: GateSession, arguments: list[str]) -> int:
    """Write the records that `remote_listing.parse` reads."""
    version = _start_rsync_version()  # it runs while the copy is listed
    records = ["begin", f"gate {PROTOCOL} {_confinement()}", f"free {session.store.room()}"]
    records.append(packed_stream.WORD)
    records += session.alarm_records()
    records += [f"rotten {path}" for path in sorted(session.store.stored_paths("rotten"))]
    session.write_records(records)
    for tier in sorted(session.store.tiers, key=lambda name: f"{name}/"):
        if tier in arguments:
            session.write_records(_tier(session, tier))
    session.write_records([f"rsync {_rsync_version(version)}", "end"])
    return 0


def _confinement() -> str:
    return "confined" if landlock.version() >= landlock.WHOLE else "loose"


def _tier(session: GateSession, tier: str) -> Iterator[str]:
    folder = os.path.join(session.store.root, tier)
    if os.path.islink(folder):
        yield f"link {tier}"
        return
    if not os.path.isdir(folder):
        yield f"missing {tier}"
        return
    try:
        # By its descriptor, so that the kernel does not walk the folder's path for each file.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # In their order, which spares the client from sorting them.
            for name in sorted(os.listdir(descriptor)):
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                letter = offsite_letter(status.st_mode)
                yield (
                    f"entry {letter} {status.st_size} {status.st_mtime_ns} "
                    f"{status.st_ino} {status.st_ctime_ns} {tier}/{name}"
                )
        finally:
            os.close(descriptor)
    except OSError:
        yield f"unreadable {tier}"


def offsite_letter(mode: int) -> str:
    """Return the letter of a file's kind, as find(1) prints it."""
    return _LETTERS.get(mode & 0o170000, "o")


_LETTERS: Mapping[int, str] = {0o100000: "f", 0o040000: "d", 0o120000: "l", 0o010000: "p"}


def _start_rsync_version() -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(  # pylint: disable=ansible-bad-function
            ["rsync", "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _rsync_version(started: subprocess.Popen[bytes] | None) -> str:
    if started is None:
        return ""
    with started:
        try:
            output, _errors = started.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            started.kill()
            return ""
    return os.fsdecode(output).partition("\n")[0]


COMMANDS: dict[str, Callable[[GateSession, list[str]], int]] = {
    "hostname": _hostname,
    "echo": _echo,
    "chefwell-hello": _hello,
    "chefwell-list": _list,
}
