# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a backup with pg_dump: whole or not at all, with what belongs beside it.

The backup is written into a hidden folder of its tier, written to the disk, and gets its name last:
whoever sees it sees all of it, its manifest, its digest and the saved roles.

Where it is sealed, it is so on its way from pg_dump to the disk, and so is what lies beside it:
nothing of it is ever written plain.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from ..common import process
from ..common.errors import ResilienceError
from ..common.files import replace_file, sync_folder
from ..common.messages import Message, _
from ..common.removal import remove_path
from ..common.system_errors import reason
from ..database import postgres
from ..inventory import backup_names, sealed_names
from ..sealing import age
from ..sealing.keys import SealKeys
from . import backup_digest, dump_rotation, kinds, manifest, snapshot_command
from .backup_choice import FOLDER_NAME
from .kind import Kind

PACKED = {"gzip": ".gz", "lz4": ".lz4", "zstd": ".zst"}
ROLES_SUFFIX = ".roles.sql"
# Of the folders that a backup is written into; hidden files are never backups.
WORK_PREFIX = ".new-backup-"
# Seconds after which such a folder is what a killed run left.
DAY = 86400
# A dump has no time limit; what seals it has one that no dump reaches.
_LONGEST_SECONDS = 7 * DAY
_COMPRESS = re.compile(r"(?:(?P<method>none|gzip|lz4|zstd)(?::[\w=,-]+)?|(?P<level>\d))\Z")


@dataclasses.dataclass(frozen=True)
class DumpOptions:
    """How pg_dump is run.

    Attributes:
        tier: the folder of the tree that gets the backup.
        name: of the backup, before date and time; not used with a pattern of strftime.
        format: the name of a kind, see `kinds.py`.
        compress: as pg_dump's `--compress` has it; its own default when empty.
        jobs: tables that are dumped at a time, of a directory.
        exclude_schemas, exclude_tables, exclude_table_data: patterns, as of pg_dump.
        roles: whether the roles of the server are saved beside the backup.
        keep: how many backups of this name and tier stay; None for all.
    """

    tier: str
    name: str = "backup"
    format: str = "custom"
    compress: str = ""
    jobs: int = 1
    exclude_schemas: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()
    exclude_table_data: tuple[str, ...] = ()
    roles: bool = False
    keep: int | None = None

    @property
    def kind(self) -> Kind:
        """Return the kind of the backup."""
        return kinds.BY_NAME[self.format]

    @property
    def suffix(self) -> str:
        """Return the ending of the backup's name."""
        if self.kind.compressed != "around" or not self.compress:
            return self.kind.suffix
        found = _COMPRESS.match(self.compress)
        method = "none" if found is None or found["level"] == "0" else found["method"] or "gzip"
        return self.kind.suffix + PACKED.get(method, "")


@dataclasses.dataclass
class DumpResult:
    """What was made.

    Attributes:
        path: of the backup; empty where there is none.
        lost: why there is no backup.
        made: its manifest; None without one.
        problems: what else went wrong.
        rotated: backups that were removed.
        code: pg_dump's exit code.
    """

    path: str = ""
    lost: str = ""
    made: manifest.Manifest | None = None
    problems: list[str] = dataclasses.field(default_factory=list)
    rotated: list[str] = dataclasses.field(default_factory=list)
    code: int = 0


def make(
    options: DumpOptions,
    dsn: str,
    *,
    root: str,
    tiers: Sequence[str],
    pattern: str,
    bin_dir: str = "",
    seal: SealKeys | None = None,
) -> DumpResult:
    """Dump a database into a tier.

    Args:
        options: of the dump.
        dsn: libpq connection string of the database; its environment has what this lacks.
        root, tiers, pattern: of the backup tree.
        bin_dir: PostgreSQL's programs; the newest installed ones when empty.
        seal: for whom the backup is sealed; it stays plain when left out.

    Raises:
        ResilienceError: an option is wrong, or the tier cannot be written to; nothing was made.
    """
    recipients_file = seal.recipients_file if seal else ""
    check(options, tiers, sealed=seal is not None)
    snapshot_command.refuse_unnamed(dsn)
    folder = os.path.join(root, options.tier)
    moment = datetime.datetime.now()
    plain = os.path.join(folder, file_name(options, pattern, moment))
    path = sealed_names.sealed(plain) if seal else plain
    refuse_taken(plain)
    programs = ["pg_dump", *(["pg_dumpall"] if options.roles else [])]
    binaries = postgres.find_binaries(bin_dir or None, programs=programs)
    with _work_folder(folder) as work:
        made = os.path.join(work, "backup")
        to = _Sealing(made, recipients_file) if recipients_file else None

        def command(snapshot: str) -> list[str]:
            with contextlib.suppress(FileNotFoundError):
                remove_path(made)
            where = "" if to else made
            return _pg_dump(binaries.path("pg_dump"), options, dsn, snapshot, where)

        try:
            code, held, problem = snapshot_command.run(
                command, dsn, ended_with_us=True, reader=to.seal if to else None
            )
        except _NotSealedError as error:
            return DumpResult(lost=error.why, code=-1)
        result = DumpResult(code=code)
        if problem:
            result.problems.append(problem)
        if code != 0 or not os.path.exists(made):
            result.lost = _("pg_dump ended with %(code)s", code=code)
            return result
        _sync(made)
        if options.roles:
            roles, unsaved = _roles(binaries, dsn)
            result.problems += [unsaved] if unsaved else []
        try:
            refuse_taken(plain)
            size = to.done.bytes if to else manifest.backup_size(made)
            lines, digest = backup_digest.lines_of(made, plain, to.done.sha256 if to else "")
            _write_beside(plain + backup_digest.DIGEST_SUFFIX, lines, recipients_file, work)
            if options.roles and not unsaved:
                _write_beside(plain + ROLES_SUFFIX, roles, recipients_file, work)
            if held is not None:
                sealed_for = seal.fingerprint if seal else ""
                content = manifest.of(held, digest, size, sealed_for=sealed_for)
                _write_beside(plain + manifest.SUFFIX, content.file_parts(), recipients_file, work)
                result.made = content
            os.rename(made, path)
            sync_folder(folder)
        except (OSError, ResilienceError) as error:
            for beside in dump_rotation.beside(path):
                with contextlib.suppress(FileNotFoundError):
                    remove_path(beside)
            why = reason(error)
            result.lost = _("it could not be placed: %(why)s", why=why)
            return result
        result.path = path
    if options.keep:
        _rotate(options, path, pattern, result)
    return result


class _NotSealedError(Exception):
    """What pg_dump writes could not be sealed; `why`, translatable, is the sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Sealing:
    """A dump that is sealed on its way to the disk.

    Args:
        target: the file that is written.
        recipients_file: for whom.

    Attributes:
        done: digests and sizes, plain and sealed.
    """

    def __init__(self, target: str, recipients_file: str) -> None:
        self.target, self.recipients_file = target, recipients_file
        self.done = age.AgeResult("", 0, "", 0)

    def seal(self, output: IO[bytes]) -> None:
        """Seal what pg_dump writes.

        Raises:
            _NotSealedError: it cannot be.
        """
        try:
            with open(self.target, "wb", buffering=0) as written:
                os.fchmod(written.fileno(), 0o600)
                self.done = age.seal_stream(
                    output, written, self.recipients_file, time_limit=_LONGEST_SECONDS
                )
        except (OSError, ResilienceError) as error:
            why = reason(error)
            raise _NotSealedError(_("it could not be sealed: %(why)s", why=why)) from error


def _write_beside(path: str, content: str | Iterable[str], recipients_file: str, work: str) -> None:
    """Write a file beside the backup, by way of the work folder, which a killed run leaves."""
    target = sealed_names.sealed(path) if recipients_file else path
    made = os.path.join(work, os.path.basename(target))
    if recipients_file:
        text = "".join(content)
        age.seal_bytes(text.encode("utf-8", "backslashreplace"), made, recipients_file)
    else:
        replace_file(made, content)
    os.rename(made, target)


def check(options: DumpOptions, tiers: Sequence[str], *, sealed: bool = False) -> None:
    """Refuse options that contradict each other, the tree or sealing.

    Raises:
        ResilienceError: one is wrong.
    """
    for wrong, option, value, remedy in (
        (options.tier not in tiers, "--tier", options.tier, f"name one of {', '.join(tiers)}"),
        (options.jobs < 1, "--jobs", options.jobs, "give 1 or more"),
        (
            options.jobs > 1 and not options.kind.dumped_by_several,
            "--jobs",
            options.jobs,
            "only --format directory is written by several",
        ),
        (
            bool(options.compress) and not _COMPRESS.match(options.compress),
            "--compress",
            options.compress,
            "give it as to pg_dump, such as gzip, zstd:3, lz4 or none",
        ),
        (
            options.kind.compressed == "never" and options.compress not in ("", "none", "0"),
            "--compress",
            options.compress,
            "pg_dump does not compress a tar archive; use --format custom",
        ),
        (
            sealed and not options.kind.in_pipe,
            "--format",
            options.format,
            "pg_dump writes plain files for it, and backups are sealed here (seal.at_rest); use "
            "--format custom",
        ),
        (
            options.keep is not None and options.keep < 1,
            "--keep",
            options.keep,
            "give how many stay, 1 or more",
        ),
        (
            not options.name or options.name.startswith((".", "-")) or "/" in options.name,
            "--name",
            options.name,
            "give the beginning of a file name",
        ),
    ):
        if wrong:
            raise ResilienceError(
                _("this option cannot be used so"), option=option, value=value, remedy=remedy
            )


def file_name(options: DumpOptions, pattern: str, moment: datetime.datetime) -> str:
    """Return the name of a backup that is made at a moment.

    Raises:
        ResilienceError: the tree's pattern would not find it.
    """
    if "%" in pattern and not options.kind.is_folder:
        name = moment.strftime(pattern)
        fits = name.endswith(options.suffix) or options.kind.any_suffix
    else:
        name = f"{options.name}_{moment:%Y%m%d_%H%M%S}{options.suffix}"
        fits = bool(
            FOLDER_NAME.search(name)
            if options.kind.is_folder
            else backup_names.match_name(name, backup_names.compiled(pattern))
        )
    if not fits:
        raise ResilienceError(
            _("the backup would not be found under its name, %(name)s", name=name),
            option="backup_pattern",
            value=pattern,
            remedy=_("give --name, --format and --compress that fit the pattern"),
        )
    return name


def refuse_taken(path: str) -> None:
    """Refuse a name that is in use, of the backup or of what belongs to it.

    Raises:
        ResilienceError: it is.
    """
    if os.path.lexists(sealed_names.stored(path)):
        raise ResilienceError(
            _("a backup of this name exists"),
            option="--tier",
            value=path,
            remedy=_("wait a second, or make its name differ with --name"),
        )


@contextlib.contextmanager
def _work_folder(folder: str) -> Iterator[str]:
    """Yield a hidden folder of a tier; it is removed afterwards, as are those of killed runs."""
    try:
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            old = name.startswith(WORK_PREFIX) and time.time() - os.lstat(path).st_mtime > DAY
            if old and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
        work = tempfile.mkdtemp(prefix=WORK_PREFIX, dir=folder)
    except OSError as error:
        raise ResilienceError(
            _("the tier cannot be written to: %(why)s", why=reason(error)),
            option="backup_path",
            value=folder,
            remedy=_("make the folder, mount it, or look who may write to it"),
        ) from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _pg_dump(program: str, options: DumpOptions, dsn: str, snapshot: str, to: str) -> list[str]:
    command = [program, f"--format={options.format}", "--no-password"]
    command += [f"--file={to}"] if to else []
    if snapshot:
        command.append(f"--snapshot={snapshot}")
    if options.compress:
        command.append(f"--compress={options.compress}")
    if options.jobs > 1:
        command.append(f"--jobs={options.jobs}")
    command += [f"--exclude-schema={pattern}" for pattern in options.exclude_schemas]
    command += [f"--exclude-table={pattern}" for pattern in options.exclude_tables]
    command += [f"--exclude-table-data={pattern}" for pattern in options.exclude_table_data]
    # Without one libpq's environment names the database.
    return [*command, *([f"--dbname={dsn}"] if dsn else [])]


def _roles(binaries: postgres.Binaries, dsn: str) -> tuple[str, Message | None]:
    """Return SQL that makes the roles of the server, or why it could not be had.

    Only a superuser may read their passwords; without them they are saved all the same.
    """
    command = [binaries.path("pg_dumpall"), "--roles-only", "--no-password"]
    command += [f"--dbname={dsn}"] if dsn else []
    for more in ([], ["--no-role-passwords"]):
        ended = process.run([*command, *more], time_limit=600, env=dict(os.environ))
        if ended.code == 0:
            return ended.output, None
    last = (ended.errors.strip().splitlines() or [ended.ending()])[-1]
    return "", _("the roles were not saved: %(why)s", why=last)


def _sync(path: str) -> None:
    """Write a file, or the files of a folder, to the disk."""
    for name in os.listdir(path) if os.path.isdir(path) else []:
        _sync(os.path.join(path, name))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rotate(options: DumpOptions, path: str, pattern: str, result: DumpResult) -> None:
    """Remove the oldest backups of this name, unless something about the new one is wrong."""
    if result.made is None:
        result.problems.append("nothing was rotated: the new backup has no manifest")
        return
    try:
        surplus = dump_rotation.surplus(path, pattern, options.keep or 1)
        for old in surplus:
            for one in (old, *dump_rotation.beside(old)):
                with contextlib.suppress(FileNotFoundError):
                    remove_path(one)
            result.rotated.append(old)
    except (OSError, ResilienceError) as error:
        why = reason(error) if isinstance(error, OSError) else error.problem
        result.problems.append(f"nothing more was rotated: {why}")
