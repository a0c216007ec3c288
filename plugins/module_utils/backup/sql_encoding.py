# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Encodings that plain SQL may be written in.

In some that only clients have, a byte of a character may equal one of ASCII, a backslash among
them ("Character Set Support" in the manual, the encodings that no server has). Lengths of
characters are those of PostgreSQL's `pg_wchar.h` and `wchar.c`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Returns the bytes with every such character replaced by as many 0xFF, and how many of them belong
# to whole characters.
Mask = Callable[[bytes], tuple[bytes, int]]

# Of each: a whole character, or, as a group, one that is cut off where the text ends.
_TWO = rb"[\x80-\xff][\x00-\xff]|([\x80-\xff]\Z)"
_PATTERNS = {
    "sjis": rb"[\x80-\xa0\xe0-\xff][\x00-\xff]|([\x80-\xa0\xe0-\xff]\Z)",
    "big5": _TWO,
    "gbk": _TWO,
    "uhc": _TWO,
    "gb18030": rb"[\x80-\xff](?:[0-9][\x00-\xff]{2}|[^0-9])|([\x80-\xff][\x00-\xff]{0,2}\Z)",
    "johab": rb"\x8f[\x00-\xff]{2}|[\x80-\x8e\x90-\xff][\x00-\xff]|([\x80-\xff][\x00-\xff]?\Z)",
}
# Their other names in PostgreSQL (encnames.c), without what is no letter or digit.
_ALIASES = {
    "mskanji": "sjis",
    "shiftjis": "sjis",
    "shiftjis2004": "sjis",
    "win932": "sjis",
    "windows932": "sjis",
    "win950": "big5",
    "windows950": "big5",
    "win936": "gbk",
    "windows936": "gbk",
    "win949": "uhc",
    "windows949": "uhc",
}
# What Python calls the encodings whose names differ beyond upper and lower case.
_CODECS = {
    "utf8": "utf-8",
    "unicode": "utf-8",
    "sqlascii": "utf-8",
    "euccn": "gb2312",
    "euctw": "big5",
    "eucjis2004": "euc_jis_2004",
    "shiftjis2004": "shift_jis_2004",
    "sjis": "cp932",
    "uhc": "cp949",
    "koi8": "koi8_r",
    "koi8r": "koi8_r",
    "koi8u": "koi8_u",
    "latin6": "iso8859_10",
    "latin7": "iso8859_13",
    "latin8": "iso8859_14",
    "latin9": "iso8859_15",
    "latin10": "iso8859_16",
    "iso88595": "iso8859_5",
    "iso88596": "iso8859_6",
    "iso88597": "iso8859_7",
    "iso88598": "iso8859_8",
}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def mask_of(name: str) -> Mask | None:
    """Return a function that replaces the characters of more than one byte by 0xFF.

    Returns:
        None for an encoding in which no byte of such a character equals one of ASCII.
    """
    known = _plain(name)
    pattern = _PATTERNS.get(_ALIASES.get(known, known))
    if pattern is None:
        return None
    compiled = re.compile(pattern)

    def mask(text: bytes) -> tuple[bytes, int]:
        whole = len(text)

        def hidden(found: re.Match[bytes]) -> bytes:
            nonlocal whole
            if found[1] is not None:
                whole = found.start()
                return b""
            return b"\xff" * len(found[0])

        return compiled.sub(hidden, text), whole

    return mask


def decoded(text: bytes, name: str) -> str:
    """Return text in an encoding, named as by PostgreSQL; other bytes are kept as escapes."""
    known = _plain(name)
    if known.startswith("win") and known[-4:].isdigit():
        known = f"cp{known[-4:]}"
    try:
        return text.decode(_CODECS.get(known, known), "surrogateescape")
    except (LookupError, UnicodeError):
        return text.decode("utf-8", "surrogateescape")
