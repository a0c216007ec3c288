# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`backup-manifest`: runs the command that makes a backup, and notes beside it what it holds.

    backup-manifest.sh --backup FILE -- sh -c 'pg_dump -Fc --snapshot="$BACKUP_SNAPSHOT" db > FILE'

    backup-manifest.sh --orphans remove

The command runs once, whatever becomes of the manifest: a backup without one is a backup.
Afterwards manifests go whose backup was rotated away a day ago or more; `--orphans` names or
removes them all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess

from ..backup import manifest
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.safe_text import clean
from ..common.system_errors import reason
from ..proof.restore_settings import RestoreSettings
from .command import EXIT_CRITICAL, EXIT_OK, EXIT_WARNING, Command, append_log, now, tell, warn

DAY = 86400


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backup", metavar="FILE", help="what the command makes")
    parser.add_argument(
        "--orphans",
        choices=("list", "remove"),
        help="name or remove the manifests whose backups are gone, and run nothing",
    )
    parser.add_argument(
        "--dsn", default="", help="libpq connection string; its environment when left out"
    )
    parser.add_argument("what", nargs="*", metavar="COMMAND", help="the command, behind --")


def _run(values: RestoreSettings, arguments: argparse.Namespace) -> int:
    if arguments.orphans:
        return _orphans(values, arguments)
    if not arguments.backup or not arguments.what:
        raise ResilienceError(
            "there is no backup to make",
            option="--backup" if not arguments.backup else "COMMAND",
            remedy="give --backup FILE -- COMMAND, or --orphans list",
        )
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
            f"the command cannot be run: {reason(error)}",
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
    values: RestoreSettings,
    arguments: argparse.Namespace,
    code: int,
    problem: str,
    made: manifest.Manifest | None,
) -> int:
    lines = [f"{now()} backup={json.dumps(arguments.backup)} command_exit={code}"]
    if problem:
        lines.append(f"{now()} no manifest: {problem}")
        warn(f"backup-manifest: {problem}")
    _log(values, lines)
    if code != 0:
        warn(f"backup-manifest: the command ended with {code}, nothing was written")
        return code if 0 < code < 256 else EXIT_CRITICAL
    folder = os.path.dirname(os.path.abspath(arguments.backup))
    gone = _removed(manifest.orphans(folder, older_than=DAY))
    _log(values, [f"{now()} removed {path}" for path in gone])
    if made is None:
        return EXIT_WARNING
    rows = sum(count for count, _digest in made.tables.values())
    if arguments.json:
        told = {"manifest": manifest.path_of(arguments.backup), "rows": rows, "removed": gone}
        tell(json.dumps(told))
    else:
        say = translations(values.language).gettext
        what = {"tables": len(made.tables), "rows": rows}
        tell(say("✅ Manifest written: %(tables)d tables, %(rows)d rows") % what)
    return EXIT_OK


def _orphans(values: RestoreSettings, arguments: argparse.Namespace) -> int:
    folders = [os.path.join(values.backup_path, tier) for tier in values.backup_tiers]
    found = [path for folder in folders for path in manifest.orphans(folder)]
    removing = arguments.orphans == "remove"
    if removing:
        found = _removed(found)
        _log(values, [f"{now()} removed {path}" for path in found])
    if arguments.json:
        tell(json.dumps({"orphans": found, "removed": removing}))
        return EXIT_OK
    say = translations(values.language).gettext
    line = say("🧹 removed: %(what)s") if removing else say("Manifest without its backup: %(what)s")
    lines = [line % {"what": clean(path)} for path in found]
    tell("\n".join(lines or [say("✅ Every manifest has its backup")]))
    return EXIT_OK


def _removed(paths: list[str]) -> list[str]:
    """Removes manifests; those that are gone now."""
    gone = []
    for path in paths:
        try:
            os.unlink(path)
        except OSError as error:
            warn(f"{path} cannot be removed: {reason(error)}")
        else:
            gone.append(path)
    return gone


def _log(values: RestoreSettings, lines: list[str]) -> None:
    problem = append_log(values.log_file, lines)
    if problem:
        warn(problem)


COMMANDS = {
    "backup-manifest": Command(
        "run the command that makes a backup, and note what it holds",
        RestoreSettings,
        _run,
        _arguments,
    ),
}
