# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a statement: names and keywords, without its comments."""

from __future__ import annotations

import re

# One blank or one comment; a single byte each, so that no repetition is tried in many ways.
GAP = rb"(?:[ \t\n\r\f\v]|--[^\r\n]*[\r\n]|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/)"
NAME = rb'(?:(?:[uU]&)?"(?:[^"]|"")*"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)'
COMMENT_EDGE = re.compile(rb"/\*|\*/")
COPY_IN = re.compile(
    rb"COPY" + GAP + rb"+(?:BINARY" + GAP + rb"+)?"
    rb"(" + NAME + rb"(?:" + GAP + rb"*\." + GAP + rb"*" + NAME + rb"){0,2})" + GAP + rb"*"
    rb'(?:\([^()"]*(?:"[^"]*"[^()"]*)*\)' + GAP + rb"*)?FROM" + GAP + rb"+(?:STDIN|STDOUT)"
    rb"(?![A-Za-z0-9_$\x80-\xff])",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    rb"--[^\r\n]*|/\*|" + NAME + rb"|'[^']*'|[0-9][0-9A-Za-z_.]*|\$\w*|[^ \t\n\r\f\v]"
)
_META_NAME = re.compile(rb"\\(?:[A-Za-z_]+|[\x00-\xff])?")
# Statements that change how what follows is read, and the values that switch a setting on.
SET_STRINGS = re.compile(
    rb"(?:SET\s+(?:SESSION\s+|LOCAL\s+)?|SELECT\s+(?:pg_catalog\.)?set_config\(')"
    rb"standard_conforming_strings'?\s*(?:=|,|\bTO\b)\s*'?(\w+)",
    re.IGNORECASE,
)
SET_ENCODING = re.compile(
    rb"(?:SET\s+(?:SESSION\s+|LOCAL\s+)?|SELECT\s+(?:pg_catalog\.)?set_config\(')"
    rb"(?:client_encoding'?\s*(?:=|,|\bTO\b)|NAMES\b)\s*['\"]?([\w-]+)",
    re.IGNORECASE,
)
ON = (b"on", b"true", b"yes", b"1", b"t", b"y")


def words(text: bytes, most: int = 12) -> list[str]:
    """Return the first tokens of a statement, without its comments; unquoted words in capitals."""
    found: list[str] = []
    at = 0
    while len(found) < most and (match := _TOKEN.search(text, at)):
        at = match.end()
        token = match[0]
        if token == b"/*":
            at = _comment_end(text, at)
        elif not token.startswith(b"--"):
            word = token.decode("utf-8", "surrogateescape")
            found.append(word if word[0] in "\"'" or '"' in word else word.upper())
    return found


def after_words(text: bytes, count: int) -> bytes:
    """Return what of a statement follows its first tokens; comments among them do not count."""
    at = 0
    while count and (match := _TOKEN.search(text, at)):
        at = match.end()
        if match[0] == b"/*":
            at = _comment_end(text, at)
        elif not match[0].startswith(b"--"):
            count -= 1
    return text[at:]


def _comment_end(text: bytes, at: int) -> int:
    """Return where a comment ends that began before a position, those nested in it included."""
    depth = 1
    while depth and (edge := COMMENT_EDGE.search(text, at)):
        at = edge.end()
        depth += 1 if edge[0] == b"/*" else -1
    return at if depth == 0 else len(text)


def copy_target(text: bytes) -> bytes | None:
    """Return the name, as it is written, of the table that a COPY … FROM stdin fills; else None."""
    found = COPY_IN.match(text)
    return found[1] if found else None


def meta_name(text: bytes) -> str:
    r"""Return the name of a meta-command: `\connect`, `\!`."""
    found = _META_NAME.match(text)
    return found[0].decode("ascii", "backslashreplace") if found else ""
