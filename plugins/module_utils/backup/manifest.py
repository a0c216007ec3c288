# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one backup holds, written beside it when it is made, in the dump's own snapshot.

Production takes no part in a drill then: rows and content are compared with what they were at the
very moment of the dump. It also holds the backup's SHA-256, which tells every flipped bit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..checks.findings import Finding
from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.messages import _
from ..common.safe_text import one_line
from ..common.system_errors import reason
from ..database import content_digest
from ..database.catalogue import ObjectName
from . import backup_digest
from .expectation import MANIFEST, Expectation

SUFFIX = ".manifest.json"
VERSION = 1
# Where the command that dumps finds the snapshot: pg_dump --snapshot="$BACKUP_SNAPSHOT".
VARIABLE = "BACKUP_SNAPSHOT"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        taken_at: of the snapshot, ISO 8601.
        server_version: of PostgreSQL, as it names itself.
        database: its name.
        sha256, bytes: of the backup's file.
        tables: rows and content digest of each table, by (schema, table).
        algorithm: of the content digests.
        encoding: the database's.
        locale: how it sorts text: `collate`, `ctype`, `provider` and `version`, that of the rules
            as PostgreSQL 15 and newer tell it, empty if there is none. Older manifests lack it.
    """

    taken_at: str
    server_version: str
    database: str
    sha256: str
    bytes: int
    tables: Mapping[ObjectName, tuple[int, str]]
    algorithm: str = content_digest.ALGORITHM
    encoding: str = ""
    locale: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the file holds them."""
        tables = [[*key, *value] for key, value in sorted(self.tables.items())]
        return {"version": VERSION, **dataclasses.asdict(self), "tables": tables}


def path_of(backup: str) -> str:
    """Where a backup's manifest lies."""
    return backup.rstrip("/") + SUFFIX


@contextlib.contextmanager
def snapshot(dsn: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Holds one snapshot of a database open.

    Args:
        dsn: keyword arguments for `psycopg2.connect`; libpq's environment has what they lack.

    Yields:
        The snapshot's name for `pg_dump --snapshot`, and a function that reads what the manifest
        holds of the database as it was then.

    Raises:
        ResilienceError: the database cannot be connected to, or hides rows from this user.
    """
    import psycopg2  # the engine imports without it

    try:
        connection = psycopg2.connect(**dsn)
    except psycopg2.Error as error:
        raise _unreadable(error) from error
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor = connection.cursor()
        cursor.execute("SELECT pg_export_snapshot(), now(), current_database()")
        name, moment, database = cursor.fetchone()

        def read() -> dict[str, Any]:
            try:
                tables = content_digest.take(cursor)
                cursor.execute("SHOW server_version")
                version = str(cursor.fetchone()[0])
                encoding, locale = _locale(cursor, connection.server_version)
            except psycopg2.Error as error:
                raise _unreadable(error) from error
            return {
                "taken_at": moment.astimezone().isoformat(timespec="seconds"),
                "server_version": version,
                "database": str(database),
                "tables": tables,
                "encoding": encoding,
                "locale": locale,
            }

        yield str(name), read
    except psycopg2.Error as error:
        raise _unreadable(error) from error
    finally:
        connection.close()


def _locale(cursor: Any, server_version: int) -> tuple[str, dict[str, str]]:
    told_since_15 = "datlocprovider::text, coalesce(datcollversion, '')"
    more = told_since_15 if server_version >= 150000 else "'c', ''"
    cursor.execute(
        f"SELECT pg_encoding_to_char(encoding), datcollate, datctype, {more}"
        " FROM pg_database WHERE datname = current_database()"
    )
    encoding, *rest = (str(value) for value in cursor.fetchone())
    return encoding, dict(zip(("collate", "ctype", "provider", "version"), rest, strict=True))


def _unreadable(error: Exception) -> ResilienceError:
    return ResilienceError(
        _(
            "the database cannot be read for the manifest: %(why)s",
            why=one_line(error),
        ),
        option="dsn",
        remedy=_("connect as a user who may read all rows of every table, as for pg_dump"),
    )


def write(backup: str, read: Mapping[str, Any]) -> Manifest:
    """Writes a backup's manifest beside it.

    Args:
        backup: the finished file or folder.
        read: what the function of `snapshot` gave.

    Raises:
        ResilienceError: the backup cannot be read, or the manifest not be written.
    """
    sha256 = backup_digest.take(backup)
    made = Manifest(sha256=sha256, bytes=_size(backup), **read)
    path = path_of(backup)
    try:
        replace_json(path, made.to_dict())
    except OSError as error:
        raise ResilienceError(
            _("the manifest cannot be written: %(why)s", why=reason(error)),
            option="backup",
            value=path,
            remedy=_("make room there, or look who may write to that folder"),
        ) from error
    return made


def _size(path: str) -> int:
    if os.path.isdir(path):
        return sum(entry.stat().st_size for entry in os.scandir(path))
    return os.path.getsize(path)


def read(backup: str) -> Manifest | None:
    """The manifest beside a backup; None without one.

    Raises:
        ResilienceError: there is one that cannot be used. It is never taken for none.
    """
    path = path_of(backup)
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
        version = values.pop("version")
        tables = {(schema, table): (int(n), str(d)) for schema, table, n, d in values["tables"]}
        found = Manifest(**{**values, "tables": tables})
        datetime.datetime.fromisoformat(found.taken_at)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ResilienceError(
            _(
                "the backup's manifest cannot be used: %(why)s",
                why=f"{type(error).__name__}: {error}",
            ),
            option="backup",
            value=path,
            remedy=_("remove it, so that the backup is compared with itself alone"),
        ) from error
    if version != VERSION:
        raise ResilienceError(
            _(
                "the backup's manifest has version %(found)s, known is %(known)d",
                found=str(version),
                known=VERSION,
            ),
            option="backup",
            value=path,
            remedy=_("use this collection in the version that wrote it"),
        )
    return found


def orphans(folder: str, *, older_than: float = 0) -> list[str]:
    """Manifests whose backup is gone, as a rotation leaves them.

    Args:
        folder: of a tier.
        older_than: seconds; younger ones may belong to a backup that is still to get its name.
    """
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        if not name.endswith(SUFFIX) or os.path.islink(path) or not os.path.isfile(path):
            continue
        if os.path.lexists(path[: -len(SUFFIX)]):
            continue
        if time.time() - os.stat(path).st_mtime >= older_than:
            found.append(path)
    return found


def apply(manifest: Manifest, expected: Expectation) -> list[Finding]:
    """Lets the manifest say how many rows, and what content, a restored database must have.

    Tables whose rows the dump leaves out keep out of it.

    Args:
        manifest: of the backup.
        expected: from the backup itself; what the manifest says is put in.

    Returns:
        What the backup itself already lacks.
    """
    findings = []
    for key, (rows, digest) in sorted(manifest.tables.items()):
        name = ".".join(key)
        if key not in expected.tables:
            text = _("%(table)s is in the manifest, but not in the backup", table=name)
            findings.append(Finding("table.missing", name, text))
            continue
        held = expected.rows.get(key)
        if held is None:
            continue
        if held != rows:
            text = _(
                "the backup holds %(held)d rows of %(table)s, the manifest says %(rows)d",
                held=held,
                table=name,
                rows=rows,
            )
            findings.append(Finding("rows.differ", name, text))
        expected.rows[key] = rows
        expected.digests.add((*key, digest))
    expected.row_source = MANIFEST
    expected.encoding = expected.encoding or manifest.encoding or None
    expected.locale = {**expected.locale, **manifest.locale}
    expected.digest_version = manifest.server_version
    return findings
