# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the command that dumps a database, and read what the database holds in the dump's snapshot.

Whatever fails here, the command runs: without a snapshot, if none can be had.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Sequence
from typing import IO, Optional

from ..common import process
from ..common.errors import ResilienceError, explanation
from ..common.messages import _
from ..common.system_errors import reason
from . import manifest_snapshot
from .manifest import VARIABLE
from .manifest_snapshot import SnapshotContent

# Whoever names no database in one of these would get the one that has the user's name.
DATABASE_VARIABLES = ("PGDATABASE", "PGSERVICE")


def run(
    command: Callable[[str], Sequence[str]],
    dsn: str,
    *,
    ended_with_us: bool = False,
    reader: Callable[[IO[bytes]], object] | None = None,
) -> tuple[int, SnapshotContent | None, str]:
    """Run the command.

    Args:
        command: returns program and arguments, given the name of the snapshot, which is in
            `BACKUP_SNAPSHOT` as well; empty without one.
        dsn: libpq connection string of the database; its environment has what this lacks.
        ended_with_us: whether the command is killed where this is interrupted.
        reader: takes the standard output of a command that is ended with us; it goes where that of
            this process goes when left out.

    Returns:
        Its exit code, what the database held (None if that was not read), and why not.

    Raises:
        ResilienceError: the command cannot be run.
    """
    with contextlib.ExitStack() as stack:
        try:
            refuse_unnamed(dsn)
            snapshot = stack.enter_context(manifest_snapshot.export({"dsn": dsn}))
        except Exception as error:  # pg_dump takes a snapshot of its own then
            return _wait(command(""), ended_with_us, reader), None, explanation(error)
        with _running(command(snapshot.name), snapshot.name, ended_with_us, reader) as running:
            reading = manifest_snapshot.BackgroundReading(snapshot)
            try:
                code = _ended(running, reader)
            finally:
                if running.poll() != 0:
                    reading.stop()
        if code == 0:
            return (code, *reading.result())
        if snapshot.alive():
            return code, None, ""
    # The snapshot was lost, which may be what ended the command.
    why = _("the session that held the snapshot was ended")
    return _wait(command(""), ended_with_us, reader), None, why


def refuse_unnamed(dsn: str) -> None:
    """Refuse a connection string that names no database, where the environment names none.

    Raises:
        ResilienceError: no database is named.
    """
    named = "dbname" in dsn or "://" in dsn or "service" in dsn
    if not named and not any(os.environ.get(name) for name in DATABASE_VARIABLES):
        raise ResilienceError(
            _("no database is named, and pg_dump may dump another than the one that would be read"),
            option="--dsn",
            value=dsn,
            remedy=_("give --dsn dbname=NAME"),
        )


_Reader = Optional[Callable[[IO[bytes]], object]]


def _wait(command: Sequence[str], ended_with_us: bool, reader: _Reader) -> int:
    with _running(command, "", ended_with_us, reader) as running:
        return _ended(running, reader)


def _ended(running: subprocess.Popen[bytes], reader: _Reader) -> int:
    if reader:
        reader(process.output_of(running))
    return running.wait()


def _running(
    command: Sequence[str], snapshot: str, ended_with_us: bool, reader: _Reader
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    if snapshot:
        environment[VARIABLE] = snapshot
    if ended_with_us:
        output = subprocess.PIPE if reader else None
        return process.running_program(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output
        )
    try:
        return subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(command), env=environment
        )
    except OSError as error:
        raise ResilienceError(
            _("the command cannot be run: %(why)s", why=reason(error)),
            option="COMMAND",
            value=command[0],
            remedy=_("give its full path"),
        ) from error
