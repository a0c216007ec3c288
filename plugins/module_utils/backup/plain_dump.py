# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a plain SQL dump: what it holds, its rows, and whether it is whole.

pg_dump writes a comment above each object (`-- Name: …; Type: …; Schema: …; Owner: …`) and a
completion line at the end (`_printTocEntry` and `RestoreArchive` in pg_backup_archiver.c). Such a
comment counts only outside of literals and only above a statement of its kind, which is also where
names come from.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import IO

from ..common.errors import BackupError
from ..common.messages import _, ngettext
from . import plain_names, sql_encoding, sql_lexer, sql_words
from .archive_data import DecodeResult
from .archive_entry import Entries, EntryMaker
from .archive_toc import Toc, damaged
from .sql_lexer import Lexer, Piece

COMPLETION = b"-- PostgreSQL database dump complete"
CLUSTER = b"-- PostgreSQL database cluster dump"
# What is kept of one statement: definitions are shorter, rows of INSERT need not be kept.
KEEP = 4 << 20
_HEADER = re.compile(
    rb"-- (?:Data for |Statistics for )?Name: (.*); Type: ([A-Z ]+); Schema: (.*);"
    rb" Owner: ?(.*?)(?:; Tablespace.*)?$"
)
_VERSION = re.compile(rb"-- Dumped (from database|by pg_dump) version (.*)$")
_ROW_SECURITY = re.compile(rb"SET row_security = on;")
_UNRESTRICT = b"\\unrestrict"
# Where the rows of an INSERT begin, and whether it lists its columns.
_INSERT = re.compile(
    rb"INSERT INTO (" + sql_words.NAME + rb"(?:\." + sql_words.NAME + rb")?)\s*"
    rb'(\([^()"]*(?:"[^"]*"[^()"]*)*\)\s*)?(?:OVERRIDING (?:SYSTEM|USER) VALUE\s+)?'
    rb"(DEFAULT\s+)?VALUES",
    re.IGNORECASE,
)
# At the end of a statement, so outside of values.
_CONFLICT = re.compile(
    rb'\bON CONFLICT\s*\((?:[^()"\']|"(?:[^"]|"")*")*\)\s*DO\s+NOTHING\s*;\s*\Z', re.IGNORECASE
)
_NAME = re.compile(sql_words.NAME)
_BEFORE_ROWS = re.compile(rb"SET SESSION AUTHORIZATION |ALTER TABLE .* DISABLE TRIGGER ", re.DOTALL)
_LARGE_OBJECT = re.compile(rb"SELECT pg_catalog\.lo_create\('?(\d+)'?\)")
# The entries of the database itself, which stand before all others.
_OF_DATABASE = (b"DATABASE", b"DATABASE PROPERTIES", b"COMMENT", b"ACL", b"SECURITY LABEL")
# Bytes that are read at once, and at most, of the head.
HEAD_BLOCK, LARGEST_HEAD = 1 << 16, 4 << 20
# These have no statement of their own where there is nothing in them; comments on extensions are
# often taken out by hand, since only a superuser may make them.
_MAY_BE_EMPTY = ("TABLE DATA", "BLOBS", "COMMENT")
# pg_dump writes a statement below the comment of each of these; where none is, it was lost. What
# else people cut out of a dump (extensions, comments, privileges) is not missed.
_NEVER_EMPTY = (
    *("TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "TYPE", "DOMAIN"),
    *("INDEX", "CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT", "TRIGGER", "RULE", "POLICY"),
    *("FUNCTION", "PROCEDURE", "AGGREGATE"),
)
# The lines above and below the comment of an entry.
_FRAME = b"--"
_SET = re.compile(rb"SET ", re.IGNORECASE)
_RESET = re.compile(rb"RESET (?:ALL|\w+)\s*;\s*\Z", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class PlainDump:
    """What a plain dump holds.

    Attributes:
        toc: its objects, and the versions that made it.
        rows: rows and their bytes by (schema, table), of COPY and of INSERT.
    """

    toc: Toc
    rows: dict[tuple[str, str], DecodeResult]


def read(path: str) -> PlainDump:
    """Read all of a plain dump once.

    Raises:
        BackupError: it is cut off before its completion line, something follows that line, or it
            is a dump of a whole cluster.
    """
    with open(path, "rb", buffering=0) as file:
        contents = Contents(Lexer(file.read, keep=KEEP), path)
        for piece in contents.lexer.pieces():
            contents.note(piece)
        return contents.result()


def read_head(read: Callable[[int], bytes], path: str) -> PlainDump:
    """Read what a plain dump says of its database, its encoding and its versions.

    That stands before everything else: nothing further is read.

    Args:
        read: returns up to that many bytes, and none at the end.
        path: the backup, for messages.

    Raises:
        BackupError: it is a dump of a whole cluster.
    """
    contents = Contents(Lexer(read, keep=KEEP, block=HEAD_BLOCK), path)
    for piece in contents.lexer.pieces():
        contents.note(piece)
        if contents.past_head or contents.lexer.position > LARGEST_HEAD:
            break
    return contents.so_far()


def rows(file: IO[bytes], path: str) -> dict[tuple[str, str], DecodeResult]:
    """Rows that are in each table, by (schema, table).

    Args:
        file: a plain dump, or what pg_restore makes of another one.
        path: the backup, for messages.

    Raises:
        BackupError: the rows of a table do not end.
    """
    lexer = Lexer(file.read, keep=KEEP)
    counted = _Rows(lexer, path)
    for piece in lexer.pieces():
        if piece.kind == sql_lexer.STATEMENT:
            counted.begin(piece)
        elif piece.kind == sql_lexer.ROWS:
            counted.add(piece.text)
    counted.end()
    return counted.by_table


class _Rows:
    """Rows by table, counted while a lexer walks."""

    def __init__(self, lexer: Lexer, path: str) -> None:
        self.lexer, self.path = lexer, path
        self.by_table: dict[tuple[str, str], DecodeResult] = {}
        self._filled: tuple[str, str] | None = None
        self._size = 0
        self._before = lexer.copied

    def begin(self, piece: Piece) -> bool:
        """Take a statement; return whether it is a COPY, whose rows follow, or an INSERT."""
        self.end()
        self._size, self._before = 0, self.lexer.copied
        if piece.copy_in:
            self._filled = self._table(sql_words.copy_target(piece.text) or b"")
            return True
        found = _INSERT.match(piece.text)
        if found is None:
            return False
        number = 1 if found[3] else piece.groups - (found[2] is not None)
        if not found[3] and _CONFLICT.search(piece.text, max(0, len(piece.text) - 4096)):
            number -= 1
        self._add_data(self._table(found[1]), number, piece.size)
        return True

    def add(self, block: bytes) -> None:
        """Take a block of rows of the COPY that was taken last; the lexer counts its lines."""
        self._size += len(block)

    def end(self) -> None:
        """End the rows of the COPY that was taken last.

        Raises:
            BackupError: they have no end mark.
        """
        table, self._filled = self._filled, None
        if table is None:
            return
        if not self.lexer.complete:
            text = _("the rows of %(table)s do not end", table=".".join(table))
            raise damaged(text, self.path)
        self._add_data(table, self.lexer.copied - self._before, self._size)

    def _add_data(self, table: tuple[str, str], number: int, size: int) -> None:
        before = self.by_table.get(table, DecodeResult(0, 0))
        self.by_table[table] = DecodeResult((before.rows or 0) + number, before.bytes + size)

    def _table(self, name: bytes) -> tuple[str, str]:
        names = [_identifier(one, self.lexer.encoding) for one in _NAME.findall(name)]
        return (names[-2], names[-1]) if len(names) > 1 else ("public", names[0])


@dataclasses.dataclass
class _Object:
    """An entry while its statements are read.

    Attributes:
        line: of its comment.
        framed: whether that comment stands between the two lines that pg_dump writes around it.
        alone: whether no statement stands below its comment.
    """

    kind: str
    name: str
    schema: str
    owner: str
    statements: list[bytes] = dataclasses.field(default_factory=list)
    copy: bytes | None = None
    has_rows: bool = False
    kept: int = 0
    line: int = 0
    framed: bool = False
    alone: bool = True


class Contents:
    """What a plain dump holds, noted while a lexer walks over it.

    Whoever walks gives every piece to `note`, and rows that it takes from the lexer to `add_rows`.

    Args:
        lexer: walks over the dump.
        path: the backup, for messages.

    Attributes:
        past_head: whether the walk is behind what the dump says of its database.
    """

    def __init__(self, lexer: Lexer, path: str) -> None:
        self.path = path
        self.lexer = lexer
        self.past_head = False
        self.rows = _Rows(lexer, path)
        self.versions = {b"from database": "", b"by pg_dump": ""}
        self.entries = Entries()
        self._maker = EntryMaker()
        self.open: _Object | None = None
        self.complete = self.row_security = False
        self._comment_before = (b"", 0)
        # Tables without anything below the comment of their rows.
        self._without_rows: list[str] = []

    def note(self, piece: Piece) -> None:
        """Note a piece.

        Raises:
            BackupError: the dump is damaged there.
        """
        if piece.kind == sql_lexer.SPACE or piece.kind == sql_lexer.END:
            return
        if piece.kind == sql_lexer.ROWS:
            self.rows.add(piece.text)
        elif self.complete:
            self._afterwards(piece)
        elif piece.kind == sql_lexer.COMMENT:
            self._comment(piece)
        elif piece.kind == sql_lexer.STATEMENT:
            self._statement(piece)

    def add_rows(self, block: bytes) -> None:
        """Count rows that another reader took from the lexer."""
        self.rows.add(block)

    def result(self) -> PlainDump:
        """Return what the dump holds, once it was walked to its end.

        Raises:
            BackupError: it is cut off.
        """
        self.rows.end()
        if not self.complete:
            raise damaged(_("its completion line is missing"), self.path)
        held = self.so_far()
        lost = self._without_rows
        # A COPY is there for a table without rows, too; of INSERT commands none is.
        if lost and any(entry.copy_statement for entry in self.entries):
            text = ngettext(
                "it lacks the rows of %(count)d table: %(names)s",
                "it lacks the rows of %(count)d tables: %(names)s",
                len(lost),
                names=", ".join(lost[:3]),
            )
            raise damaged(text, self.path)
        return held

    def so_far(self) -> PlainDump:
        """Return what was noted so far."""
        self._close()
        from_database, by_dump = self.versions.values()
        toc = Toc(
            *((1, 15), "plain", "none", "", from_database, by_dump),
            *(self.entries, 0, 4, self.row_security),
            encoding=self.lexer.encoding,
        )
        return PlainDump(toc, self.rows.by_table)

    def _afterwards(self, piece: Piece) -> None:
        """Behind the completion line stand comments and, since 16.10, \\unrestrict.

        Some tools undo the settings of pg_dump's session there, which makes no object.
        """
        comment = piece.kind == sql_lexer.COMMENT and piece.text.startswith(b"--")
        if not comment and not _RESET.match(piece.text) and not piece.text.startswith(_UNRESTRICT):
            line = repr(piece.text.splitlines()[0][:60])
            raise damaged(
                _("something follows its completion line: %(line)s", line=line), self.path
            )

    def _comment(self, piece: Piece) -> None:
        text = piece.text
        # Only what pg_dump's own lines are around is believed where no statement confirms it.
        framed = self._comment_before == (_FRAME, piece.line - 1)
        if self.open and self.open.line == self._comment_before[1]:
            self.open.framed &= (text, piece.line) == (_FRAME, self.open.line + 1)
        self._comment_before = (text, piece.line)
        if text == COMPLETION:
            self.complete = True
        elif text == CLUSTER:
            raise BackupError(
                _("this is a dump of a whole server, made by pg_dumpall"),
                option="backup",
                value=self.path,
                remedy=_("name a dump of one database, made by pg_dump"),
                finding="archive.not_a_dump",
            )
        elif version := _VERSION.match(text):
            kind = version[1]
            self.versions[kind] = self.versions[kind] or version[2].decode("ascii", "replace")
        elif found := _HEADER.match(text):
            self._close()
            self.past_head = self.past_head or found[2] not in _OF_DATABASE
            name, kind, schema, owner = (
                "" if group == b"-" else sql_encoding.decoded(group, self.lexer.encoding)
                for group in found.groups()
            )
            self.open = _Object(kind, name, schema, owner, line=piece.line, framed=framed)

    def _statement(self, piece: Piece) -> None:
        if not piece.whole:
            return
        if _ROW_SECURITY.match(piece.text):
            self.row_security = True
        is_rows = self.rows.begin(piece)
        entry = self.open
        if entry is None and (added := plain_names.read("SCHEMA", piece.text)):
            # Whoever edits a dump makes schemas above it that extensions are to lie in.
            self.open = _Object("SCHEMA", "", "", "")
            self._take(self.open, added)
            self.open.statements.append(piece.text)
            self._close()
            return
        if entry is None or (entry.alone and _SET.match(piece.text)):
            # Above the comment of the next entry may stand the settings that this one needs.
            return
        entry.alone = False
        if not entry.statements and not entry.has_rows:
            named = plain_names.read(entry.kind, piece.text)
            if named is None:
                # A comment above something else is a comment; but pg_dump switches triggers off
                # before rows, with --disable-triggers.
                if not (entry.kind == "TABLE DATA" and _BEFORE_ROWS.match(piece.text)):
                    self.open = None
                return
            self._take(entry, named)
        if is_rows:
            entry.has_rows = True
            entry.copy = entry.copy or (piece.text.rstrip() if piece.copy_in else None)
        elif entry.kept < KEEP:
            entry.statements.append(piece.text.rstrip(b"\n"))
            entry.kept += len(piece.text)

    def _take(self, entry: _Object, named: plain_names.Names) -> None:
        """Take the names from the statement."""
        name = " ".join(_identifier(one, self.lexer.encoding) for one in named.name)
        if entry.kind == "TABLE DATA" and re.sub(r"[\r\n]", " ", name) != entry.name:
            # The rows go to the table of which this one is a partition.
            return
        if named.schema is not None:
            entry.schema = _identifier(named.schema, self.lexer.encoding)
        entry.name = name or entry.name

    def _close(self) -> None:
        """Put the entry among the others, unless nothing of its kind stood below its comment."""
        entry, self.open = self.open, None
        if entry is None:
            return
        if not entry.statements and not entry.has_rows:
            lost = entry.alone and entry.framed and entry.kind in _NEVER_EMPTY
            if not lost and entry.kind not in _MAY_BE_EMPTY:
                return
            if entry.kind == "TABLE DATA":
                self._without_rows.append(f"{entry.schema}.{entry.name}")
        if entry.kind == "BLOB METADATA":
            # One line for each, as the other formats have it.
            numbers = [_LARGE_OBJECT.match(one) for one in entry.statements]
            definition = "".join(f"{number[1].decode()}\n" for number in numbers if number)
        else:
            definition = "\n".join(
                sql_encoding.decoded(one, self.lexer.encoding) for one in entry.statements
            )
        copy = None
        if entry.copy is not None:
            copy = sql_encoding.decoded(entry.copy, self.lexer.encoding)
        number = len(self.entries) + 1
        names = (entry.kind, entry.name, entry.schema, entry.owner)
        self.entries.append(self._maker.make(number, *names, definition, copy, entry.has_rows))


def _identifier(name: bytes, encoding: str) -> str:
    """Return an identifier as the catalogues hold it."""
    if name.startswith(b'"'):
        return sql_encoding.decoded(name[1:-1].replace(b'""', b'"'), encoding)
    return sql_encoding.decoded(name.lower(), encoding)
