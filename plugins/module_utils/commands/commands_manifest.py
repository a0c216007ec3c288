# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`backup-manifest`: runs the command that makes a backup, and notes beside it what it holds.

    backup-manifest.sh --backup FILE -- sh -c 'pg_dump -Fc --snapshot="$BACKUP_SNAPSHOT" db > FILE'

The command runs once, whatever becomes of the manifest: a backup without one is a backup.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from typing import Any

from ..archive import manifest
from ..common.errors import ResilienceError
from ..common.language import words
from .command import EXIT_CRITICAL, EXIT_OK, EXIT_WARNING, Command, append_log, now, tell, warn
from .commands_staging import KEYS


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backup", metavar="FILE", required=True, help="what the command makes")
    parser.add_argument(
        "--dsn", default="", help="libpq connection string; its environment when left out"
    )
    parser.add_argument("what", nargs="+", metavar="COMMAND", help="the command, behind --")


def _run(values: dict[str, Any], arguments: argparse.Namespace) -> int:
    dsn = {"dsn": arguments.dsn} if arguments.dsn else {"dsn": ""}
    code, problem, made = None, "", None
    try:
        with manifest.snapshot(dsn) as (name, read):
            environment = {**os.environ, manifest.VARIABLE: name}
            with subprocess.Popen(arguments.what, env=environment) as running:
                try:
                    held = read()
                finally:
                    code = running.wait()
        if code == 0:
            made = manifest.write(arguments.backup, held)
    except OSError as error:
        raise ResilienceError(
            f"the command cannot be run: {error.strerror}",
            option="COMMAND",
            value=arguments.what[0],
            remedy="give its full path",
        ) from error
    except ResilienceError as error:
        problem = str(error)
    if code is None:
        # The snapshot could not be had, so pg_dump takes its own; there is no manifest then.
        environment = {key: value for key, value in os.environ.items() if key != manifest.VARIABLE}
        code = subprocess.run(arguments.what, env=environment, check=False).returncode
    return _tell(values, arguments, code, problem, made)


def _tell(
    values: dict[str, Any],
    arguments: argparse.Namespace,
    code: int,
    problem: str,
    made: manifest.Manifest | None,
) -> int:
    lines = [f"{now()} backup={json.dumps(arguments.backup)} command_exit={code}"]
    if problem:
        lines.append(f"{now()} no manifest: {problem}")
        warn(f"backup-manifest: {problem}")
    log_problem = append_log(values["log_file"], lines)
    if log_problem:
        warn(log_problem)
    if code != 0:
        warn(f"backup-manifest: the command ended with {code}, nothing was written")
        return code if 0 < code < 256 else EXIT_CRITICAL
    if made is None:
        return EXIT_WARNING
    rows = sum(count for count, _digest in made.tables.values())
    if arguments.json:
        tell(json.dumps({"manifest": manifest.path_of(arguments.backup), "rows": rows}))
    else:
        say = words(values["language"]).gettext
        what = {"tables": len(made.tables), "rows": rows}
        tell(say("✅ Manifest written: %(tables)d tables, %(rows)d rows") % what)
    return EXIT_OK


COMMANDS = {
    "backup-manifest": Command(
        "run the command that makes a backup, and note what it holds", KEYS, _run, _arguments
    ),
}
