# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: what a backup holds, written beside it when it is made.

It is read in the dump's own snapshot, so that a drill compares definitions, rows and content with
what they were at the moment of the dump, without production. It also holds the backup's SHA-256.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..checks.findings import Finding
from ..common import iso_time, json_stream
from ..common.errors import ResilienceError
from ..common.files import replace_file
from ..common.mask import mask
from ..common.messages import _
from ..common.system_errors import reason
from ..database import alike_objects, content_digest, structure, structure_details
from ..database.alike_objects import ShapeReader
from ..database.catalogue import ObjectName
from ..database.structure import Structure
from ..inventory import sealed_names
from . import backup_digest
from .expectation import MANIFEST, STRUCTURES, Expectation
from .manifest_snapshot import SnapshotContent

SUFFIX = ".manifest.json"
# 1 lacks structure, sequences, large objects and what was unreadable; it can be read all the same.
VERSION, READABLE = 2, (1, 2)
# There is no manifest; there can be none beside a backup whose name is nearly as long as allowed.
_NO_FILE = (errno.ENOENT, errno.ENAMETOOLONG)
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
        locale: how it sorts text, as `database_locale.of` has it, and `version`, that of the rules
            as PostgreSQL 15 and newer report it, empty if there is none. Older manifests lack
            some or all of it.
        structure: the definitions of all objects; None in manifests of version 1.
        sequences: last value and step of each sequence, by (schema, name).
        large_objects: digest by identifier; None where they could not be read.
        unreadable: what could not be read, with the reason.
        sealed_for: names the recipients that the backup was sealed for on the host, as
            `SealKeys.fingerprint`; empty, and not in the file, where it is plain.
        settings: with which the database's sessions begin, see `database_settings.MEANING`; empty
            in older manifests.
        access: owners and privileges of all objects, in the form of definitions; None in older
            manifests, and where they could not be read.
        roles: of production, which objects of the database name, see `access.roles`.
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
    structure: Structure | None = None
    sequences: Mapping[ObjectName, tuple[int | None, int]] = dataclasses.field(default_factory=dict)
    large_objects: Mapping[str, str] | None = None
    unreadable: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sealed_for: str = ""
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    access: Structure | None = None
    roles: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the file holds them."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["tables"] = [[*key, *value] for key, value in sorted(self.tables.items())]
        plain["sequences"] = [[*key, *value] for key, value in sorted(self.sequences.items())]
        plain["structure"] = self.structure and self.structure.to_dict()
        plain["access"] = self.access and self.access.to_dict()
        if not self.sealed_for:
            del plain["sealed_for"]
        return {"version": VERSION, **plain}

    def file_parts(self) -> Iterator[str]:
        """Yield the text of the manifest's file, part by part; no secret is in it."""
        return map(mask, json_stream.parts(alike_objects.streamed(self.to_dict(), *STRUCTURES)))


def path_of(backup: str) -> str:
    """Return the path of a backup's manifest."""
    return backup.rstrip("/") + SUFFIX


def of(held: SnapshotContent, sha256: str = "", size: int = 0, *, sealed_for: str = "") -> Manifest:
    """Return the manifest of a backup that was made in a snapshot.

    Args:
        held: what the database held.
        sha256, size: of the backup.
        sealed_for: as `Manifest.sealed_for`.
    """
    values = {field.name: getattr(held, field.name) for field in dataclasses.fields(held)}
    return Manifest(sha256=sha256, bytes=size, sealed_for=sealed_for, **values)


def write(backup: str, held: SnapshotContent) -> Manifest:
    """Write a backup's manifest beside it and return it.

    Args:
        backup: the finished file or folder.
        held: what the database held at the backup's snapshot.

    Raises:
        ResilienceError: the backup cannot be read, or the manifest not be written.
    """
    made_manifest = of(held, backup_digest.take(backup), backup_size(backup))
    path = path_of(backup)
    try:
        replace_file(path, made_manifest.file_parts())
    except OSError as error:
        raise ResilienceError(
            _("the manifest cannot be written: %(why)s", why=reason(error)),
            option="backup",
            value=path,
            remedy=_("make room there, or look who may write to that folder"),
        ) from error
    return made_manifest


def backup_size(path: str) -> int:
    """Return the bytes of a file, or of the files of a folder."""
    if os.path.isdir(path):
        return sum(entry.stat().st_size for entry in os.scandir(path))
    return os.path.getsize(path)


def read(backup: str) -> Manifest | None:
    """Return the manifest beside a backup; None without one.

    Raises:
        ResilienceError: there is one that cannot be used; it is never treated as missing.
    """
    path = path_of(backup)
    try:
        shapes = ShapeReader(*STRUCTURES)
        with open(path, encoding="utf-8") as file:
            values = json_stream.load(file, shapes.large)
        shapes.put_into(values)
        version = values.pop("version")
        values["tables"] = {
            (sys.intern(schema), sys.intern(table)): (int(rows), str(digest))
            for schema, table, rows, digest in values["tables"]
        }
        values["sequences"] = {
            (sys.intern(schema), sys.intern(name)): (value, step)
            for schema, name, value, step in values.get("sequences", ())
        }
        for name in STRUCTURES:
            if values.get(name) is not None:
                values[name] = structure.from_dict(values[name])
        for role in values.get("roles", {}).values():
            list(role["member_of"])
        found = Manifest(**values)
        iso_time.parse(found.taken_at)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno in _NO_FILE:
            return None
        raise ResilienceError(
            _(
                "the backup's manifest cannot be used: %(why)s",
                why=f"{type(error).__name__}: {error}",
            ),
            option="backup",
            value=path,
            remedy=_("remove it, so that the backup is compared with itself alone"),
        ) from error
    if version not in READABLE:
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
    """Return the manifests whose backup is gone, as a rotation leaves them.

    Args:
        folder: of a tier.
        older_than: seconds; younger ones may belong to a backup that is still to get its name.
    """
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        plain = sealed_names.plain(name)
        if not plain.endswith(SUFFIX) or os.path.islink(path) or not os.path.isfile(path):
            continue
        backup = os.path.join(folder, plain[: -len(SUFFIX)])
        if os.path.lexists(sealed_names.stored(backup)):
            continue
        if time.time() - os.stat(path).st_mtime >= older_than:
            found.append(path)
    return found


def apply(manifest: Manifest, expected: Expectation) -> list[Finding]:
    """Set what a restored database must hold by the manifest.

    Rows that the dump leaves out are missing in the restored database, and are found there. Those
    of unlogged tables may be left out, and where there were none, none are.

    Args:
        manifest: of the backup.
        expected: from the backup itself; gets what the manifest says.

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
        if key in expected.unlogged:
            continue
        if not rows:
            expected.without_rows.discard(key)
        held = expected.rows.get(key)
        if held is not None and held != rows:
            text = _(
                "the backup holds %(held)d rows of %(table)s, the manifest says %(rows)d",
                held=held,
                table=name,
                rows=rows,
            )
            findings.append(Finding("rows.differ", name, text))
        expected.rows[key] = rows
        expected.digests.add((*key, digest))
    findings += _large_objects(manifest, expected)
    expected.row_source = MANIFEST
    expected.encoding = expected.encoding or manifest.encoding or None
    expected.locale = {**expected.locale, **manifest.locale}
    expected.digest_version = manifest.server_version
    if manifest.structure:
        unread = sorted(manifest.unreadable)
        expected.structure = {**manifest.structure.to_dict(), "unread": unread}
    else:
        expected.structure = {}
    expected.sequence_positions = {
        (schema, name, "" if value is None else str(value), str(step))
        for (schema, name), (value, step) in manifest.sequences.items()
    }
    expected.large_object_digests = dict(manifest.large_objects or {})
    return findings


def _large_objects(manifest: Manifest, expected: Expectation) -> list[Finding]:
    """Return what differs in how many large objects the backup holds and there were."""
    kinds = manifest.structure.kinds if manifest.structure else frozenset()
    if manifest.large_objects is None or structure_details.VIEW_STATE not in kinds:
        # Earlier manifests lack those that are empty.
        return []
    held, known = expected.large_objects, len(manifest.large_objects)
    if held == known:
        return []
    text = _(
        "large objects in the backup: %(held)d, in the manifest: %(known)d", held=held, known=known
    )
    kind = "large_object.missing" if held < known else "large_object.differs"
    return [Finding(kind, "", text)]
