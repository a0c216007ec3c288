# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Split plain SQL into statements, COPY rows, comments and meta-commands, block by block.

The rules are those of PostgreSQL's own lexers (scan.l of the server, psqlscan.l of psql; "Lexical
Structure" in the manual). Nothing within a literal, a comment or COPY rows is taken for structure.
Memory is bounded by one block and by the text of one piece.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from . import sql_encoding
from .sql_words import COMMENT_EDGE, COPY_IN, GAP, NAME, ON, SET_ENCODING, SET_STRINGS

SPACE, COMMENT, META, STATEMENT, ROWS, END = (
    "space",
    "comment",
    "meta-command",
    "statement",
    "rows",
    "end of rows",
)
BLOCK = 1 << 20
# What is read ahead before a statement is judged by its first words.
HEAD = 1 << 16
# Bytes behind the position that stay in the buffer: a prefix such as U& and what is before it.
BEHIND = 4
# Comments and meta-commands are kept up to this length, where statements are limited, too.
KEPT_OF_OTHERS = 1 << 16
# Longer rows of an INSERT are passed over byte by byte.
LONGEST_ROW = 4 << 20
# A regular expression keeps a note for each repetition; a window bounds their number.
WINDOW = 1 << 16

_IDENTIFIER_BYTES = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$" + bytes(range(128, 256))
)
_BLANK = re.compile(rb"[ \t\n\r\f\v]*")
_NEWLINE = re.compile(rb"[\r\n]")
# Text without any structure. Literals with a prefix are looked at one by one.
_DULL = re.compile(rb"""[^'"$;()\\/-]*(?:(?:-(?=[^-])|/(?=[^*]))[^'"$;()\\/-]*)*""")
_DULL_OR_LITERAL = re.compile(rb"""(?:[^'"$;()\\/-]+|(?<![eEbBxX&])'[^']*'|-(?=[^-])|/(?=[^*]))*""")
# Within a function whose body is SQL, where semicolons stand between BEGIN ATOMIC and END.
_ROUTINE_EVENT = re.compile(
    rb"""['"$;()\\]|--|/\*"""
    rb"|(?<![A-Za-z0-9_$\x80-\xff])(?:[bB][eE][gG][iI][nN]|[cC][aA][sS][eE]|[eE][nN][dD])"
    rb"(?![A-Za-z0-9_$\x80-\xff])"
)
_ESCAPED = re.compile(rb"(?:[^'\\]+|\\[\x00-\xff])*")
_TAG = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?")
_BETWEEN_LITERALS = re.compile(rb"(?:[ \t\n\r\f\v]+|--[^\r\n]*)*")
_ROUTINE = re.compile(
    rb"CREATE" + GAP + rb"+(?:OR" + GAP + rb"+REPLACE" + GAP + rb"+)?(?:FUNCTION|PROCEDURE)"
    rb"(?![A-Za-z0-9_$\x80-\xff])",
    re.IGNORECASE,
)
_ATOMIC = re.compile(GAP + rb"+ATOMIC(?![A-Za-z0-9_$\x80-\xff])", re.IGNORECASE)
# An INSERT of one row as pg_dump writes the most of them, with its newline.
_INSERT = re.compile(
    rb"INSERT INTO " + NAME + rb"(?:\." + NAME + rb")? "
    rb'(\([^()"]*(?:"[^"]*"[^()"]*)*\) )?(?:OVERRIDING SYSTEM VALUE )?VALUES '
    rb"""\([^'"$;()\\/-]*(?:(?:(?<![eEbBxX&])'[^']*'|-(?=[^-]))[^'"$;()\\/-]*)*\);\n"""
)
# One of many rows, as pg_dump writes them below one another, and how such an INSERT begins.
_MANY_ROWS = re.compile(
    rb"INSERT INTO " + NAME + rb"(?:\." + NAME + rb")? "
    rb'(\([^()"]*(?:"[^"]*"[^()"]*)*\) )?(?:OVERRIDING SYSTEM VALUE )?VALUES\n(?=\t\()'
)
_ROW = re.compile(
    rb"""\t\([^'"$;()\\/-]*(?:(?:(?<![eEbBxX&])'[^']*'|-(?=[^-]))[^'"$;()\\/-]*)*\)([,;])\n"""
)
_EMPTY_LINE = re.compile(rb"[ \t\f\v]*(?:--[^\r\n]*)?(?:\r\n?|\n)?")


class Piece:
    """A part of the input; all of them one behind the other are the input.

    Attributes:
        kind: `SPACE`, `COMMENT`, `META`, `STATEMENT`, `ROWS` or `END`.
        text: its bytes, up to the length that is kept.
        size: its whole length in bytes.
        line: the line it begins in, from 1.
        whole: False for a statement that a meta-command or the end of the input cuts off.
        groups: pairs of parentheses that stand in no others; of statements only.
        copy_in: whether rows for a COPY follow.
        plain_insert: whether it is an INSERT in pg_dump's own writing.
    """

    __slots__ = ("copy_in", "groups", "kind", "line", "plain_insert", "size", "text", "whole")

    def __init__(self, kind: str, text: bytes, size: int, line: int) -> None:
        self.kind, self.text, self.size, self.line = kind, text, size, line
        self.whole = True
        self.groups = 0
        self.copy_in = self.plain_insert = False

    def __repr__(self) -> str:
        return f"Piece({self.kind!r}, {self.text[:60]!r}, line {self.line})"


class Lexer:
    """Split one input.

    Args:
        read: returns up to that many bytes, and none at the end.
        keep: bytes that are kept of the text of one statement; all of it if None.
        follow: whether SET statements of the input change how literals and encodings are read. A
            caller that executes the statements switches that off, and sets `standard_strings` and
            `encoding` as the server reports them.
        block, head: bytes that are read at once, and ahead of a statement; for tests.

    Attributes:
        standard_strings: whether a backslash within '…' is a mere backslash.
        complete: whether the rows of the last COPY had their end mark.
        position: bytes read so far.
        copied: rows of COPY read so far.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        *,
        keep: int | None = None,
        follow: bool = True,
        block: int = BLOCK,
        head: int = HEAD,
    ) -> None:
        self._read, self._keep, self._follow = read, keep, follow
        self._block, self._head = block, head
        self.standard_strings = True
        self.position = self.copied = 0
        self._encoding = "UTF8"
        self._mask: sql_encoding.Mask | None = None
        # What was read, and the same with characters hidden that hold bytes of ASCII.
        self._raw = self._text = b""
        self._held = b""
        self._at = self._start = 0
        self._ended = self._copying = False
        self._first_row = self.complete = True
        self._line = self._first_line = 1
        self._parts: list[bytes] = []
        self._size = self._kept = 0
        self._limit: int | None = None

    @property
    def encoding(self) -> str:
        """Return the client encoding of the input, as PostgreSQL names it."""
        return self._encoding

    @encoding.setter
    def encoding(self, name: str) -> None:
        if name == self._encoding:
            return
        self._encoding = name
        self._mask = sql_encoding.mask_of(name)
        self._hide()

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces in their order, with the rows of a COPY unless `rows` was read."""
        while len(self._raw) < 3 and self._fill():
            pass
        if self._raw.startswith(b"\xef\xbb\xbf"):
            self._begin(KEPT_OF_OTHERS)
            self._at = 3
            yield self._piece(SPACE)
        while True:
            if self._copying:
                line = self._line
                for block in self.rows():
                    yield Piece(ROWS, block, len(block), line)
                    line = self._line
            if self._at > self._start:
                # Whoever read them.
                yield self._piece(END)
            piece = self._next()
            if piece is None:
                return
            yield piece

    def rows(self) -> Iterator[bytes]:
        """Yield the rows of the COPY that `pieces` gave last, in blocks, without their end mark.

        Afterwards `complete` is whether the mark was there.
        """
        while self._copying:
            found, after = self._end_of_rows()
            if found < 0:
                # What could be the beginning of the mark stays.
                edge = len(self._raw) if self._ended else len(self._raw) - 4
                if edge > self._at:
                    self._first_row = False
                    yield self._taken(edge)
                if not self._fill() and self._at >= len(self._raw):
                    self._copying = self.complete = False
                    self._begin(None)
                continue
            if found > self._at:
                yield self._taken(found)
            self._copying = False
            self.complete = True
            self._begin(None)
            self._at = after
            if self._mask:
                self._hide()

    def _taken(self, to: int) -> bytes:
        block = self._raw[self._at : to]
        newlines = block.count(b"\n")
        self._line += newlines
        self.copied += newlines
        self._at = self._start = to
        return block

    def _end_of_rows(self) -> tuple[int, int]:
        """Return the position of the end mark, -1 if not in the buffer, and what follows it."""
        at, first = self._at, self._first_row
        while True:
            raw = self._raw
            if first and raw.startswith(b"\\.", at):
                found = at
            else:
                found = raw.find(b"\n\\.", at) + 1
                if found == 0:
                    return -1, -1
            after = found + 2
            if raw.startswith(b"\r\n", after):
                return found, after + 2
            if raw.startswith(b"\n", after):
                return found, after + 1
            if raw[after:] in (b"", b"\r"):
                if not self._fill():
                    return found, len(raw)
                at, first = self._at, self._first_row
            else:
                at, first = after, False

    def _next(self) -> Piece | None:
        self._begin(None if self._keep is None else KEPT_OF_OTHERS)
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text) or not self._fill():
                break
        if self._at > self._start or self._size:
            return self._piece(SPACE)
        if self._at >= len(self._text):
            return None
        while len(self._text) - self._at < self._head and self._fill():
            pass
        text, at = self._text, self._at
        if text.startswith(b"--", at):
            self._line_end()
            return self._piece(COMMENT)
        if text.startswith(b"/*", at):
            self._at += 2
            whole = self._comment()
            piece = self._piece(COMMENT)
            piece.whole = whole
            return piece
        if text.startswith(b"\\", at):
            self._line_end()
            return self._piece(META)
        return self._statement()

    def _statement(self) -> Piece:
        self._limit = self._keep
        if self.standard_strings and (insert := _INSERT.match(self._text, self._at)):
            self._at = insert.end()
            piece = self._piece(STATEMENT)
            piece.plain_insert = True
            piece.groups = 1 if insert[1] is None else 2
            return piece
        routine = _ROUTINE.match(self._text, self._at) is not None
        depth = begins = 0
        groups, whole = 0, True
        if self.standard_strings and (many := _MANY_ROWS.match(self._text, self._at)):
            self._at = many.end()
            groups, ended = self._rows_below(many[1] is not None)
            if ended:
                piece = self._piece(STATEMENT)
                piece.plain_insert, piece.groups = True, groups
                return piece
        while True:
            byte = self._event(routine)
            if byte == 59:  # ;
                self._at += 1
                if depth == 0 and begins == 0:
                    break
            elif byte == 40:  # (
                self._at += 1
                groups += depth == 0
                depth += 1
            elif byte == 41:  # )
                self._at += 1
                depth -= depth > 0
            elif byte == 39:  # '
                whole = self._literal()
            elif byte == 34:  # "
                self._at += 1
                whole = self._until(b'"')
            elif byte == 36:  # $
                whole = self._dollar()
            elif byte == 45:  # --
                self._line_end()
            elif byte == 47:  # /*
                self._at += 2
                whole = self._comment()
            elif byte == 92 or byte < 0:  # a meta-command, the end
                whole = False
            else:
                word = self._text[self._at : self._at + 5].lower()
                if word.startswith(b"end"):
                    self._at += 3
                    begins -= depth == 0 and begins > 0
                elif word.startswith(b"case"):
                    self._at += 4
                    begins += depth == 0 and begins > 0
                else:
                    self._at += 5
                    begins += depth == 0 and self._atomic()
            if not whole:
                break
        if whole:
            # The end of the line is of no use as a piece of its own.
            if self._at >= len(self._text):
                self._fill()
            self._at += self._text.startswith(b"\n", self._at)
        piece = self._piece(STATEMENT)
        piece.whole, piece.groups = whole, groups
        if whole:
            self._note(piece)
        return piece

    def _rows_below(self, columns: bool) -> tuple[int, bool]:
        """Pass over the rows of an INSERT as pg_dump writes them, while they have no other form.

        Args:
            columns: whether a list of columns stands before them.

        Returns:
            The pairs of parentheses so far, and whether the statement ended.
        """
        groups = int(columns)
        while True:
            row = _ROW.match(self._text, self._at)
            if row is None:
                # It may be cut off by the end of the buffer.
                if len(self._text) - self._at > LONGEST_ROW or not self._fill():
                    return groups, False
                continue
            self._at = row.end()
            groups += 1
            if row[1] == b";":
                return groups, True

    def _note(self, piece: Piece) -> None:
        """Change how the text behind a statement is read, where the statement says so."""
        start = piece.text[:4].upper()
        if start == b"COPY":
            if COPY_IN.match(piece.text):
                self._start_rows(piece)
        elif self._follow and (start[:3] == b"SET" or start == b"SELE"):
            if found := SET_STRINGS.match(piece.text):
                self.standard_strings = found[1].lower() in ON
            elif found := SET_ENCODING.match(piece.text):
                self.encoding = found[1].decode("ascii", "replace")

    def _start_rows(self, piece: Piece) -> None:
        """Add the rest of its line to a COPY statement: the rows begin below it."""
        piece.copy_in = self._copying = self._first_row = True
        if piece.text.endswith(b"\n"):
            return
        self._begin(None)
        self._line_end()
        while self._text.startswith(b"\r", self._at) and self._at + 1 >= len(self._text):
            if not self._fill():
                break
        self._at += 2 if self._text.startswith(b"\r\n", self._at) else self._at < len(self._text)
        rest = self._piece(SPACE)
        piece.text += rest.text
        piece.size += rest.size
        piece.whole = _EMPTY_LINE.fullmatch(rest.text) is not None

    def _event(self, routine: bool) -> int:
        """Go to the next byte that means something; returns it, or -1 at the end."""
        while True:
            text, at = self._text, self._at
            if routine:
                found = _ROUTINE_EVENT.search(text, at)
                if found and (found.end() + 8 <= len(text) or self._ended):
                    self._at = found.start()
                    return text[self._at]
                self._at = found.start() if found else max(at, len(text) - 8)
            else:
                dull = _DULL_OR_LITERAL if self.standard_strings else _DULL
                passed = dull.match(text, at, at + WINDOW)
                self._at = at = passed.end() if passed else at
                if at + 1 < len(text) or (at < len(text) and self._ended):
                    byte = text[at]
                    if byte == 45 or byte == 47:
                        if text[at + 1 : at + 2] == (b"-" if byte == 45 else b"*"):
                            return byte
                        self._at += 1
                        continue
                    if byte in b"'\"$;()\\":
                        return byte
                    continue
            if not self._fill():
                if routine and _ROUTINE_EVENT.search(self._text, self._at):
                    continue
                if not routine and self._at < len(self._text):
                    continue
                self._at = len(self._text)
                return -1

    def _literal(self) -> bool:
        """Pass over '…'; whether it ends."""
        text, at = self._text, self._at
        before, earlier = text[at - 1 : at].lower(), text[at - 2 : at - 1] if at > 1 else b""
        alone = not earlier or earlier[0] not in _IDENTIFIER_BYTES
        if at <= self._start and not self._size:
            before = b""
        self._at += 1
        if before == b"e" and alone:
            return self._escaped(extended=True)
        plain = (before in (b"b", b"x") and alone) or (before == b"&" and earlier.lower() == b"u")
        if self.standard_strings or plain:
            return self._until(b"'")
        return self._escaped(extended=False)

    def _escaped(self, *, extended: bool) -> bool:
        """Pass over the rest of a literal in which a backslash escapes."""
        while True:
            passed = _ESCAPED.match(self._text, self._at, self._at + WINDOW)
            self._at = passed.end() if passed else self._at
            if self._text[self._at : self._at + 1] == b"'":
                self._at += 1
                if not extended or not self._continues():
                    return True
            elif self._at + 1 >= len(self._text) and not self._fill():
                self._at = len(self._text)
                return False

    def _continues(self) -> bool:
        """Return whether an E'…' goes on: by a quote that is doubled, or by '…' on a line below."""
        while True:
            between = _BETWEEN_LITERALS.match(self._text, self._at)
            after = between.end() if between else self._at
            # A single minus may be half of a comment's beginning.
            if after + 1 < len(self._text) or not self._fill():
                break
        if self._text[after : after + 1] != b"'":
            return False
        if after > self._at and not _NEWLINE.search(self._text, self._at, after):
            return False
        self._at = after + 1
        return True

    def _until(self, mark: bytes) -> bool:
        """Pass over what is up to a mark and the mark; whether it is there."""
        while True:
            found = self._text.find(mark, self._at)
            if found >= 0:
                self._at = found + len(mark)
                return True
            self._at = max(self._at, len(self._text) - len(mark) + 1)
            if not self._fill():
                self._at = len(self._text)
                return False

    def _dollar(self) -> bool:
        """Pass over $tag$…$tag$, or over a mere dollar; whether it ends."""
        at = self._at
        if at and at > self._start - BEHIND and self._text[at - 1] in _IDENTIFIER_BYTES:
            self._at += 1
            return True
        while True:
            tag = _TAG.match(self._text, self._at)
            if tag is None or tag.end() < len(self._text) or not self._fill():
                break
        if tag is None or self._text[tag.end() : tag.end() + 1] != b"$":
            self._at += 1
            return True
        mark = tag[0] + b"$"
        self._at = tag.end() + 1
        return self._until(mark)

    def _comment(self) -> bool:
        """Pass over the rest of a comment, in which others may be nested; whether it ends."""
        depth = 1
        while depth:
            found = COMMENT_EDGE.search(self._text, self._at)
            if found:
                self._at = found.end()
                depth += 1 if found[0] == b"/*" else -1
                continue
            self._at = max(self._at, len(self._text) - 1)
            if not self._fill():
                self._at = len(self._text)
                return False
        return True

    def _line_end(self) -> None:
        """Go to the end of the line, before its newline."""
        while True:
            found = _NEWLINE.search(self._text, self._at)
            if found:
                self._at = found.start()
                return
            self._at = len(self._text)
            if not self._fill():
                return

    def _atomic(self) -> bool:
        """Return whether ATOMIC follows."""
        while len(self._text) - self._at < self._head and self._fill():
            pass
        return _ATOMIC.match(self._text, self._at) is not None

    def _begin(self, limit: int | None) -> None:
        self._start = self._at
        self._parts, self._size, self._kept, self._limit = [], 0, 0, limit

    def _keep_part(self) -> None:
        """Put what was passed of this piece aside."""
        part = self._raw[self._start : self._at]
        self._line += part.count(b"\n")
        self._size += len(part)
        if self._limit is not None:
            part = part[: self._limit - self._kept]
        if part:
            self._parts.append(part)
            self._kept += len(part)
        self._start = self._at

    def _piece(self, kind: str) -> Piece:
        line = self._line
        if not self._size:
            # The usual case, without a detour.
            text = self._raw[self._start : self._at]
            size, lines = len(text), text.count(b"\n")
            if self._limit is not None and size > self._limit:
                text = text[: self._limit]
            self._line += lines
            self._start = self._at
        else:
            line = self._first_line
            self._keep_part()
            text, size = b"".join(self._parts), self._size
            self._parts = []
        self._size = 0
        return Piece(kind, text, size, line)

    def _fill(self) -> bool:
        """Append another block to the buffer; return whether there was one."""
        if self._ended:
            return False
        block = self._read(self._block)
        self.position += len(block)
        if not block:
            self._ended = True
            if not self._held:
                return False
        if self._at > self._start:
            if not self._size:
                self._first_line = self._line
            self._keep_part()
        drop = max(0, self._at - BEHIND)
        self._raw = self._raw[drop:]
        self._text = self._text[drop:]
        self._at -= drop
        self._start -= drop
        if self._mask and not self._copying:
            block = self._held + block
            hidden, whole = self._mask(block)
            if self._ended:
                hidden, whole = hidden + block[whole:], len(block)
            self._held = block[whole:]
            self._raw += block[:whole]
            self._text += hidden
        else:
            self._raw += self._held + block
            self._held = b""
            self._text = self._raw
        return True

    def _hide(self) -> None:
        """Hide the characters of everything in the buffer from this piece on."""
        self._raw = self._raw[self._start :] + self._held
        self._at, self._start, self._held = self._at - self._start, 0, b""
        self._text = self._raw
        if self._mask:
            self._text, whole = self._mask(self._raw)
            if self._ended:
                self._text += self._raw[whole:]
            else:
                self._held, self._raw = self._raw[whole:], self._raw[:whole]
