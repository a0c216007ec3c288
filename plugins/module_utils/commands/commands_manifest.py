# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`backup-manifest`: make a backup and write its manifest beside it.

    backup-manifest.sh --tier daily --dsn dbname=DB --roles --keep 7

    backup-manifest.sh --backup FILE --dsn dbname=DB -- bash -c 'set -o pipefail
      pg_dump -Fc ${BACKUP_SNAPSHOT:+--snapshot="$BACKUP_SNAPSHOT"} DB | gzip > "$0"' FILE

    backup-manifest.sh --orphans remove

The first form runs pg_dump itself. The second runs a command that makes the backup; whatever fails
here, the command runs. With `seal.at_rest` the first form writes FILE.age, and what belongs to it
sealed as well; the second runs only a command whose FILE ends in .age, because what it writes plain
would lie readable, and seals the manifest. Exit codes: 0 backup and manifest, 1 a backup without
its manifest, 2 or 3 no backup. Afterwards manifests are removed whose backup was rotated away a day
ago or more; `--orphans` lists or removes them all.
"""

from __future__ import annotations

import argparse
import json
import os

from ..backup import (
    decompress,
    dump_run,
    file_kind,
    kinds,
    manifest,
    sealed_manifest,
    snapshot_command,
)
from ..common import interrupt
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.messages import Message, _
from ..common.safe_text import clean
from ..common.system_errors import reason, system_message
from ..inventory import sealed_names
from ..proof.restore_settings import RestoreSettings
from ..sealing import keys
from .command import (
    EXIT_CRITICAL,
    EXIT_OK,
    EXIT_WARNING,
    Command,
    append_log,
    in_language,
    now,
    print_result,
    warn,
    warn_problems,
)

DAY = 86400
# What each packer makes of nothing is smaller (xz: 32 bytes), and no dump is.
_LARGEST_EMPTY = 64
# A file of age has a line `--- MAC` behind its recipients, then a nonce, and a tag for each block
# (age-encryption.org/v1).
_AGE_HEADER_END, _AGE_OVERHEAD, _HEAD_BYTES = b"\n--- ", 32, 1 << 16
# Options of the form that runs pg_dump itself, by their names in `DumpOptions`.
OWN = {
    "name": "name",
    "format": "format",
    "compress": "compress",
    "jobs": "jobs",
    "exclude_schema": "exclude_schemas",
    "exclude_table": "exclude_tables",
    "exclude_table_data": "exclude_table_data",
    "roles": "roles",
    "keep": "keep",
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tier", help="run pg_dump, and put the backup into this tier")
    which.add_argument("--backup", metavar="FILE", help="what the command makes")
    which.add_argument(
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
    own = parser.add_argument_group("with --tier")
    own.add_argument("--name", help="the backup's name, before date and time (backup)")
    own.add_argument("--format", choices=list(kinds.BY_NAME), help="as of pg_dump (custom)")
    own.add_argument("--compress", metavar="METHOD[:LEVEL]", help="as of pg_dump")
    own.add_argument("--jobs", type=int, help="of --format directory")
    own.add_argument("--exclude-schema", action="append", metavar="PATTERN", help="as of pg_dump")
    own.add_argument("--exclude-table", action="append", metavar="PATTERN", help="as of pg_dump")
    own.add_argument(
        "--exclude-table-data", action="append", metavar="PATTERN", help="as of pg_dump"
    )
    own.add_argument(
        "--roles", action="store_true", default=None, help="save the roles of the server beside it"
    )
    own.add_argument(
        "--keep", type=int, metavar="NUMBER", help="remove older backups of this name and tier"
    )
    parser.add_argument("what", nargs="*", metavar="COMMAND", help="the command, behind --")


def _run(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    given = {
        field: value
        for argument, field in OWN.items()
        if (value := getattr(arguments, argument)) is not None
    }
    if arguments.tier:
        return _own_dump(settings, arguments, given)
    if given:
        raise ResilienceError(
            "this option belongs to the form that runs pg_dump itself",
            option="--" + next(one for one, field in OWN.items() if field in given),
            remedy="give --tier TIER, or leave it out",
        )
    if arguments.orphans:
        return _orphans(settings, arguments)
    if not arguments.backup or not arguments.what:
        raise ResilienceError(
            "there is no backup to make",
            option="--backup" if not arguments.backup else "COMMAND",
            remedy="give --tier TIER, or --backup FILE -- COMMAND, or --orphans list",
        )
    seal = _keys(settings)
    is_sealed = arguments.backup.endswith(sealed_names.SEALED)
    if seal and not is_sealed:
        raise ResilienceError(
            "the command would write a plain backup, and backups are sealed here (seal.at_rest)",
            option="--backup",
            value=arguments.backup,
            remedy="use --tier, or let the command pipe its dump through `age -R "
            f"{seal.recipients_file}` into a file whose name ends in {sealed_names.SEALED}",
        )
    code, held, problem = snapshot_command.run(lambda _snapshot: arguments.what, arguments.dsn)
    result = dump_run.DumpResult(arguments.backup, code=code)
    result.lost = (
        _missing(arguments.backup) if code == 0 else _("the command ended with %(code)s", code=code)
    )
    if problem:
        result.problems.append(problem)
    if is_sealed and not seal:
        # A plain manifest beside it would name every table.
        result.problems.append(
            _(
                "%(file)s: what its command sealed gets no manifest; use --tier with seal.at_rest",
                file=clean(arguments.backup),
            )
        )
    elif held is not None and not result.lost:
        try:
            result.made = (
                sealed_manifest.write(arguments.backup, held, seal)
                if seal
                else manifest.write(arguments.backup, held)
            )
        except ResilienceError as error:
            result.problems.append(error.message())
    return _report(settings, arguments, result)


def _own_dump(
    settings: RestoreSettings, arguments: argparse.Namespace, given: dict[str, object]
) -> int:
    if arguments.what:
        raise ResilienceError(
            "a command is given beside --tier, which runs pg_dump itself",
            option="COMMAND",
            value=arguments.what[0],
            remedy="leave out the command, or use --backup FILE instead of --tier",
        )
    seal = _keys(settings)
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    options = dump_run.DumpOptions(arguments.tier, **{**given, **lists})  # type: ignore[arg-type]
    try:
        result = dump_run.make(
            options,
            arguments.dsn,
            root=settings.tree_root,
            tiers=settings.tiers,
            pattern=settings.backup_pattern,
            bin_dir=settings.bin_dir,
            seal=seal,
        )
    except KeyboardInterrupt:
        interrupt.begin_cleanup()
        result = dump_run.DumpResult(lost="it was interrupted", code=-1)
    return _report(settings, arguments, result)


def _keys(settings: RestoreSettings) -> keys.SealKeys | None:
    """Return for whom backups are sealed on this host; None where they stay plain.

    Raises:
        ResilienceError: they are to be sealed and cannot be.
    """
    if not settings.seal.at_rest:
        return None
    return keys.load(keys.folder_of(settings.config_dir), settings.seal)


def _missing(backup: str) -> Message | str:
    """Return why a command that ended well left no backup; empty where it left one.

    The exit code of `pg_dump | gzip` is gzip's, unless the shell has pipefail.
    """
    try:
        empty = not os.listdir(backup) if os.path.isdir(backup) else _holds_nothing(backup)
    except OSError as error:
        return _("%(path)s cannot be read: %(why)s", path=backup, why=system_message(str(error)))
    except ResilienceError as error:
        return error.problem
    return _("%(path)s is empty", path=backup) if empty else ""


def _holds_nothing(backup: str) -> bool:
    """Return whether a file is empty, or what was packed or sealed in it.

    Raises:
        OSError, ResilienceError: it cannot be read.
    """
    with open(backup, "rb") as file:
        head = file.read(_HEAD_BYTES)
        size = os.fstat(file.fileno()).st_size
    if file_kind.is_sealed(head):
        _recipients, mark, rest = head.partition(_AGE_HEADER_END)
        header = len(head) - len(rest.partition(b"\n")[2])
        return bool(mark) and size - header <= _AGE_OVERHEAD + _LARGEST_EMPTY
    packing = file_kind.compression(head[: file_kind.HEAD_BYTES])
    # Other packers are programs, which may not be found here.
    if packing in ("gzip", "xz") or (packing and size <= _LARGEST_EMPTY):
        return not decompress.head(backup, packing, 1, 60)
    return not head


def _report(
    settings: RestoreSettings, arguments: argparse.Namespace, result: dump_run.DumpResult
) -> int:
    language = translations(settings.language)
    backup, made = result.path or arguments.backup or arguments.tier, result.made
    lines = [f"{now()} backup={json.dumps(backup)} command_exit={result.code}"]
    if result.lost:
        lines.append(f"{now()} no backup: {result.lost}")
        lost = in_language(settings, _("no backup: %(why)s", why=result.lost))
        warn(f"backup-manifest: {lost}")
    for problem in result.problems:
        lines.append(f"{now()} {'no manifest: ' if made is None else ''}{problem}")
        warn(f"backup-manifest: {in_language(settings, problem)}")
    unreadable = dict(made.unreadable) if made else {}
    for name, why in sorted(unreadable.items()):
        lines.append(f"{now()} not in the manifest: {name}: {why}")
        left_out = _("not in the manifest: %(name)s: %(why)s", name=clean(name), why=clean(why))
        warn(f"backup-manifest: {in_language(settings, left_out)}")
    _log(settings, lines)
    if result.lost:
        return EXIT_CRITICAL
    gone = _remove(
        settings, manifest.orphans(os.path.dirname(os.path.abspath(backup)), older_than=DAY)
    )
    _log(settings, [f"{now()} removed {path}" for path in [*gone, *result.rotated]])
    if made is None:
        return EXIT_WARNING
    rows = sum(count for count, _digest in made.tables.values())
    if arguments.json:
        plain = {
            "backup": backup,
            "manifest": sealed_names.stored(manifest.path_of(sealed_names.plain(backup))),
            "rows": rows,
            "removed": gone,
            "rotated": result.rotated,
            "unreadable": unreadable,
        }
        print_result(json.dumps(plain))
    else:
        figures = {"tables": len(made.tables), "rows": rows}
        line = language.gettext("✅ Manifest written: %(tables)d tables, %(rows)d rows") % figures
        print_result(line)
    return EXIT_WARNING if result.problems else EXIT_OK


def _orphans(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    folders = [os.path.join(settings.backup_path, tier) for tier in settings.backup_tiers]
    found = [path for folder in folders for path in manifest.orphans(folder)]
    removing = arguments.orphans == "remove"
    if removing:
        found = _remove(settings, found)
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


def _remove(settings: RestoreSettings, paths: list[str]) -> list[str]:
    """Remove manifests; return those that are gone now."""
    gone = []
    for path in paths:
        try:
            os.unlink(path)
        except OSError as error:
            kept = _("%(path)s cannot be removed: %(why)s", path=path, why=reason(error))
            warn_problems(settings, [kept])
        else:
            gone.append(path)
    return gone


def _log(settings: RestoreSettings, lines: list[str]) -> None:
    problem = append_log(settings.log_file, lines)
    if problem:
        warn_problems(settings, [problem])


COMMANDS = {
    "backup-manifest": Command(
        "run the command that makes a backup, and write its manifest",
        RestoreSettings,
        _run,
        _arguments,
    ),
}
