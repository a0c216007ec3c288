# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a plain SQL dump: what it holds, its rows, and whether it is whole.

pg_dump writes a comment above each object (`-- Name: …; Type: …; Schema: …; Owner: …`) and a
completion line at the end (`_printTocEntry` and `RestoreArchive` in pg_backup_archiver.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from ..common.messages import _
from .archive_data import Decoded
from .archive_toc import Entry, Toc, damaged

COMPLETION = b"-- PostgreSQL database dump complete"
_HEADER = re.compile(
    rb"-- (?:Data for )?Name: (.*); Type: ([A-Z ]+); Schema: (.*);"
    rb" Owner: ?(.*?)(?:; Tablespace.*)?$"
)
_NAME = rb'(?:"(?:[^"]|"")+"|[^\s."(]+)'
# A table without columns has no list of them.
_COPY = re.compile(rb"COPY (" + _NAME + rb"(?:\." + _NAME + rb")?) +(?:\(.*\) )?FROM stdin;$")
_VERSION = re.compile(rb"-- Dumped (from database|by pg_dump) version (.*)$")
# What may stand after the completion line: comments, blank lines, psql's \unrestrict (16.10+).
_AFTERWARDS = re.compile(rb"(--.*|\\unrestrict \S+|)$")
LINE = 1 << 16


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines without their ends.

    Of a line longer than 64 KiB only the first piece is given, so memory stays bounded: no line
    that means anything here is that long.
    """
    begins = True
    while line := file.readline(LINE):
        ends = line.endswith(b"\n")
        if begins:
            yield line.rstrip(b"\r\n") if ends else line
        begins = ends


def read(path: str) -> Toc:
    """The objects that a plain dump's comments name, and the versions that made it.

    Raises:
        ResilienceError: it is cut off before its completion line, or something follows that line.
    """
    with open(path, "rb") as file:
        return _read(file, path)


def _read(file: IO[bytes], path: str) -> Toc:
    entries: list[Entry] = []
    versions = {b"from database": "", b"by pg_dump": ""}
    header: tuple[str, str, str, str] | None = None
    body: list[bytes] = []
    complete = row_security = False

    def close() -> None:
        if header is None:
            return
        name, kind, schema, owner = header
        definition = b"\n".join(body).decode("utf-8", "surrogateescape").strip()
        copies = re.match(r"COPY .* FROM stdin;", definition)
        entries.append(
            Entry(
                len(entries) + 1,
                kind,
                name,
                schema,
                owner,
                "" if copies else definition,
                copies[0] if copies else None,
                copies is not None,
            )
        )

    in_rows = False
    for line in _lines(file):
        if in_rows:
            in_rows = line != b"\\."
            continue
        if complete:
            if not _AFTERWARDS.fullmatch(line):
                raise damaged(
                    _("something follows its completion line: %(line)s", line=repr(line[:60])),
                    path,
                )
            continue
        complete = line == COMPLETION
        row_security = row_security or line == b"SET row_security = on;"
        in_rows = bool(_COPY.match(line))
        if version := _VERSION.match(line):
            versions[version[1]] = version[2].decode("ascii", "replace")
        if found := _HEADER.match(line):
            close()
            name, kind, schema, owner = (
                "" if group == b"-" else group.decode("utf-8", "surrogateescape")
                for group in found.groups()
            )
            header, body = (name, kind, schema, owner), []
        elif not line.startswith(b"--") and len(body) < 1000:
            body.append(line)
    close()
    if in_rows or not complete:
        raise damaged(_("its completion line is missing"), path)
    from_database, by_dump = versions.values()
    return Toc((1, 15), "plain", "none", "", from_database, by_dump, entries, 0, 4, row_security)


def rows(file: IO[bytes], path: str) -> dict[tuple[str, str], Decoded]:
    """Rows in each COPY block, by (schema, table).

    Args:
        file: a plain dump, or what pg_restore makes of another one.
        path: the backup, for messages.

    Raises:
        ResilienceError: a block does not end.
    """
    counts: dict[tuple[str, str], Decoded] = {}
    table: tuple[str, str] | None = None
    number = size = 0
    # Every piece of an overlong line counts for its size, only its first one for a row.
    begins = True
    while line := file.readline(LINE):
        first, begins = begins, line.endswith(b"\n")
        if table is not None:
            if first and line.rstrip(b"\r\n") == b"\\.":
                counts[table] = Decoded(number, size)
                table = None
            else:
                number += first
                size += len(line)
        elif first and (found := _COPY.match(line.rstrip(b"\r\n"))):
            table = _qualified(found[1].decode("utf-8", "surrogateescape"))
            number = size = 0
    if table is not None:
        raise damaged(_("the rows of %(table)s do not end", table=".".join(table)), path)
    return counts


def _qualified(text: str) -> tuple[str, str]:
    """Schema and table from `schema.table`, quoted or not."""
    parts = re.findall(r'"(?:[^"]|"")*"|[^."]+', text)
    names = [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts]
    return (names[0], names[1]) if len(names) > 1 else ("public", names[0])
