# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file is, told by its first bytes and never by its name.

The signatures are those that file(1) and the formats' own specifications give.
"""

from __future__ import annotations

from ..common.messages import _

HEAD_BYTES = 512
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}
# What people put by mistake where a dump should be, and how to call it.
OTHERS = (
    (b"\xff\xd8\xff", _("a JPEG picture")),
    (b"\x89PNG", _("a PNG picture")),
    (b"GIF8", _("a GIF picture")),
    (b"%PDF", _("a PDF document")),
    (b"PK\x03\x04", _("a ZIP archive")),
    (b"BZh", _("bzip2-compressed data")),
    (b"7z\xbc\xaf\x27\x1c", _("a 7-Zip archive")),
    (b"SQLite format 3\x00", _("a SQLite database")),
    (b"\x7fELF", _("a program")),
)
PLAIN_MARKS = (b"PostgreSQL database dump", b"PostgreSQL database cluster dump")


def compression(head: bytes) -> str | None:
    """The compression of a file that begins with `head`; None if it is not compressed."""
    for mark, name in COMPRESSED.items():
        if head.startswith(mark):
            return name
    return None


def dump_format(head: bytes) -> str | None:
    """The dump format of a file that begins with `head`: `custom`, `tar`, `plain`; None if none.

    Args:
        head: at least the first 512 bytes, decompressed.
    """
    if head.startswith(b"PGDMP"):
        return "custom"
    if is_tar(head) and head.startswith(b"toc.dat\0"):
        return "tar"
    if any(mark in head for mark in PLAIN_MARKS):
        return "plain"
    return None


def is_tar(head: bytes) -> bool:
    """Whether a file that begins with `head` is a tar archive (POSIX.1-1988 `ustar`)."""
    return head[257:262] == b"ustar"


def describe(head: bytes) -> str:
    """In words what a file that begins with `head` is."""
    if not head:
        return _("an empty file")
    for mark, name in OTHERS:
        if head.startswith(mark):
            return name
    if is_tar(head):
        return _("a tar archive that pg_dump did not make")
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return _("an HTML page") if b"html" in start else _("an XML document")
    if start.startswith((b"{", b"[")):
        return _("JSON text")
    if not head.strip(b"\0"):
        return _("nothing but zero bytes")
    try:
        text = head.decode("utf-8", "ignore")
    except ValueError:
        return _("unknown data")
    return _("text that is no dump") if text and text.isprintable() else _text_or_data(head)


def _text_or_data(head: bytes) -> str:
    control = sum(byte < 32 and byte not in b"\t\n\r" for byte in head)
    return _("unknown data") if control or b"\xff" in head else _("text that is no dump")
