# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`backup-manifest`: run the command that makes a backup, and write its manifest beside it.

    backup-manifest.sh --backup FILE --dsn dbname=DB -- bash -c 'set -o pipefail
      pg_dump -Fc ${BACKUP_SNAPSHOT:+--snapshot="$BACKUP_SNAPSHOT"} DB | gzip > "$0"' FILE

    backup-manifest.sh --orphans remove

Whatever fails here, the command runs. Exit codes: 0 backup and manifest, 1 a backup without its
manifest, 2 or 3 no backup. Afterwards manifests are removed whose backup was rotated away a day ago
or more; `--orphans` lists or removes them all.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import lzma
import os
import subprocess
import zlib

from ..backup import file_kind, manifest, manifest_snapshot
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.safe_text import clean
from ..common.system_errors import reason
from ..proof.restore_settings import RestoreSettings
from .command import (
    EXIT_CRITICAL,
    EXIT_OK,
    EXIT_WARNING,
    Command,
    append_log,
    now,
    print_result,
    warn,
)

DAY = 86400
# Whoever names no database in one of these would get the one that has the user's name.
DATABASE_VARIABLES = ("PGDATABASE", "PGSERVICE")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backup", metavar="FILE", help="what the command makes")
    parser.add_argument(
        "--orphans",
        choices=("list", "remove"),
        help="list or remove the manifests whose backups are gone, and run nothing",
    )
    parser.add_argument(
        "--dsn",
        default="",
        help="libpq connection string of the database that is dumped; its environment when left"
        " out, which must then hold PGDATABASE or PGSERVICE",
    )
    parser.add_argument("what", nargs="*", metavar="COMMAND", help="the command, behind --")


def _run(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    if arguments.orphans:
        return _orphans(settings, arguments)
    if not arguments.backup or not arguments.what:
        raise ResilienceError(
            "there is no backup to make",
            option="--backup" if not arguments.backup else "COMMAND",
            remedy="give --backup FILE -- COMMAND, or --orphans list",
        )
    code, held, problem = _dump(arguments)
    made = None
    lost = _missing(arguments.backup) if code == 0 else f"the command ended with {code}"
    if held is not None and not lost:
        try:
            made = manifest.write(arguments.backup, held)
        except ResilienceError as error:
            problem = str(error)
    return _report(settings, arguments, code, lost, problem, made)


def _dump(
    arguments: argparse.Namespace,
) -> tuple[int, manifest_snapshot.SnapshotContent | None, str]:
    """Run the command; return its exit code, what was read meanwhile, and why nothing was read."""
    with contextlib.ExitStack() as stack:
        try:
            _refuse_unnamed(arguments.dsn)
            parameters = {"dsn": arguments.dsn}
            snapshot = stack.enter_context(manifest_snapshot.export(parameters))
        except Exception as error:  # pg_dump takes a snapshot of its own then
            return _command(arguments.what), None, str(error)
        with _running(arguments.what, snapshot.name) as running:
            reading = manifest_snapshot.BackgroundReading(snapshot)
            try:
                code = running.wait()
            finally:
                if running.poll() != 0:
                    reading.stop()
        if code == 0:
            return code, *reading.result()
        if snapshot.alive():
            return code, None, ""
    # The snapshot was lost, which may be what ended the command.
    return _command(arguments.what), None, "the session that held the snapshot was ended"


def _refuse_unnamed(dsn: str) -> None:
    named = "dbname" in dsn or "://" in dsn or "service" in dsn
    if not named and not any(os.environ.get(name) for name in DATABASE_VARIABLES):
        raise ResilienceError(
            "no database is named, and pg_dump may dump another than the one that would be read",
            option="--dsn",
            value=dsn,
            remedy="give --dsn dbname=NAME",
        )


def _command(what: list[str]) -> int:
    with _running(what, "") as running:
        return running.wait()


def _running(what: list[str], snapshot: str) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if key != manifest.VARIABLE}
    if snapshot:
        environment[manifest.VARIABLE] = snapshot
    try:
        return subprocess.Popen(what, env=environment)
    except OSError as error:
        raise ResilienceError(
            f"the command cannot be run: {reason(error)}",
            option="COMMAND",
            value=what[0],
            remedy="give its full path",
        ) from error


def _missing(backup: str) -> str:
    """Return why a command that ended well left no backup; empty where it left one.

    The exit code of `pg_dump | gzip` is gzip's, unless the shell has pipefail.
    """
    try:
        if os.path.isdir(backup):
            return "" if os.listdir(backup) else f"{backup} is empty"
        with open(backup, "rb") as file:
            head = file.read(file_kind.HEAD_BYTES)
        packing = file_kind.compression(head)
        if packing == "gzip":
            with gzip.open(backup, "rb") as unpacked:
                head = unpacked.read(1)
        elif packing == "xz":
            with lzma.open(backup, "rb") as unpacked_xz:
                head = unpacked_xz.read(1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        return f"{backup} cannot be read: {error}"
    return "" if head else f"{backup} is empty"


def _report(
    settings: RestoreSettings,
    arguments: argparse.Namespace,
    code: int,
    lost: str,
    problem: str,
    made: manifest.Manifest | None,
) -> int:
    lines = [f"{now()} backup={json.dumps(arguments.backup)} command_exit={code}"]
    if lost:
        lines.append(f"{now()} no backup: {lost}")
        warn(f"backup-manifest: no backup: {lost}")
    if problem:
        lines.append(f"{now()} no manifest: {problem}")
        warn(f"backup-manifest: {problem}")
    unreadable = dict(made.unreadable) if made else {}
    for name, why in sorted(unreadable.items()):
        lines.append(f"{now()} not in the manifest: {name}: {why}")
        warn(f"backup-manifest: not in the manifest: {clean(name)}: {clean(why)}")
    _log(settings, lines)
    if lost:
        return EXIT_CRITICAL
    folder = os.path.dirname(os.path.abspath(arguments.backup))
    gone = _remove(manifest.orphans(folder, older_than=DAY))
    _log(settings, [f"{now()} removed {path}" for path in gone])
    if made is None:
        return EXIT_WARNING
    rows = sum(count for count, _digest in made.tables.values())
    if arguments.json:
        result = {
            "manifest": manifest.path_of(arguments.backup),
            "rows": rows,
            "removed": gone,
            "unreadable": unreadable,
        }
        print_result(json.dumps(result))
    else:
        gettext = translations(settings.language).gettext
        figures = {"tables": len(made.tables), "rows": rows}
        print_result(gettext("✅ Manifest written: %(tables)d tables, %(rows)d rows") % figures)
    return EXIT_OK


def _orphans(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    folders = [os.path.join(settings.backup_path, tier) for tier in settings.backup_tiers]
    found = [path for folder in folders for path in manifest.orphans(folder)]
    removing = arguments.orphans == "remove"
    if removing:
        found = _remove(found)
        _log(settings, [f"{now()} removed {path}" for path in found])
    if arguments.json:
        print_result(json.dumps({"orphans": found, "removed": removing}))
        return EXIT_OK
    gettext = translations(settings.language).gettext
    line = gettext("Manifest without its backup: %(what)s")
    if removing:
        line = gettext("🧹 removed: %(what)s")
    lines = [line % {"what": clean(path)} for path in found]
    print_result("\n".join(lines or [gettext("✅ Every manifest has its backup")]))
    return EXIT_OK


def _remove(paths: list[str]) -> list[str]:
    """Remove manifests; return those that are gone now."""
    gone = []
    for path in paths:
        try:
            os.unlink(path)
        except OSError as error:
            warn(f"{path} cannot be removed: {reason(error)}")
        else:
            gone.append(path)
    return gone


def _log(settings: RestoreSettings, lines: list[str]) -> None:
    problem = append_log(settings.log_file, lines)
    if problem:
        warn(problem)


COMMANDS = {
    "backup-manifest": Command(
        "run the command that makes a backup, and write its manifest",
        RestoreSettings,
        _run,
        _arguments,
    ),
}
