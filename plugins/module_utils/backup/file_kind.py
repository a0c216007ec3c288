# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognise a file by its first bytes, never by its name.

The signatures are those of file(1) and of the formats' own specifications.
"""

from __future__ import annotations

import os
import re

from ..common.messages import _
from ..inventory import sealed_names

# Whoever exports a database may write lines of their own above those of pg_dump.
HEAD_BYTES = 4096
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x02\x21\x4c\x18": "lz4",
}
# Frames of zstd and lz4 that hold no data, as pzstd puts one first: the low half of the first byte
# is free, the length follows (zstd_compression_format.md, "Skippable Frames").
_SKIPPABLE, _SKIPPABLE_HEAD = b"\x2a\x4d\x18", 8
# CMS (RFC 5652) in DER: a sequence that begins with the type "enveloped data".
_ENVELOPED = bytes.fromhex("06092a864886f70d010703")
# Files that are found where a dump should be, and their names for people.
OTHERS = (
    (b"\xff\xd8\xff", _("a JPEG picture")),
    (b"\x89PNG", _("a PNG picture")),
    (b"GIF8", _("a GIF picture")),
    (b"%PDF", _("a PDF document")),
    (b"PK\x03\x04", _("a ZIP archive")),
    (b"PK\x05\x06", _("a ZIP archive")),
    (b"Rar!\x1a\x07", _("a RAR archive")),
    (b"07070", _("a cpio archive")),
    (b"BZh", _("bzip2-compressed data")),
    (b"LZIP", _("lzip-compressed data")),
    (b"\x5d\x00\x00", _("LZMA-compressed data")),
    (b"\x89LZO\x00", _("lzop-compressed data")),
    (b"\x1f\x9d", _("data compressed by compress(1)")),
    (b"\xff\x06\x00\x00sNaPpY", _("Snappy-compressed data")),
    (b"7z\xbc\xaf\x27\x1c", _("a 7-Zip archive")),
    (b"-----BEGIN PGP MESSAGE", _("data encrypted by gpg")),
    (b"age-encryption.org/v1", _("data encrypted by age")),
    (b"-----BEGIN AGE ENCRYPTED", _("data encrypted by age")),
    (b"Salted__", _("data encrypted by openssl")),
    (b"U2FsdGVkX1", _("data encrypted by openssl")),  # the same in base64
    (b"-----BEGIN PKCS7", _("data encrypted by openssl")),
    (b"-----BEGIN CMS", _("data encrypted by openssl")),
    (b"$ANSIBLE_VAULT;", _("data encrypted by Ansible Vault")),
    (b"version https://git-lfs", _("a pointer of Git LFS and not the file itself")),
    *(
        (mark, _("data compressed once more, by %(name)s", name=name))
        for mark, name in COMPRESSED.items()
    ),
    (b"\xff\xfe\x00\x00", _("text in UTF-32; a dump is UTF-8 or an encoding of PostgreSQL")),
    (b"\xff\xfe", _("text in UTF-16; a dump is UTF-8 or an encoding of PostgreSQL")),
    (b"\xfe\xff", _("text in UTF-16; a dump is UTF-8 or an encoding of PostgreSQL")),
    (b"SQLite format 3\x00", _("a SQLite database")),
    (b"\x7fELF", _("a program")),
)
# Some tools take the first of these lines out.
_PLAIN_MARK = re.compile(
    rb"(?:^|[\r\n])-- (?:PostgreSQL database (?:cluster )?dump"
    rb"|Dumped (?:from database|by pg_dump) version)"
)


def compression(head: bytes) -> str | None:
    """Return the compression of a file that begins with `head`; None if it is not compressed."""
    at, skipped = 0, False
    while head[at + 1 : at + 4] == _SKIPPABLE and head[at] & 0xF0 == 0x50:
        skipped = True
        at += _SKIPPABLE_HEAD + int.from_bytes(head[at + 4 : at + 8], "little")
    for mark, name in COMPRESSED.items():
        if head.startswith(mark, at) and (not skipped or name in ("zstd", "lz4")):
            return name
    # What such a frame skips may be longer than what is looked at; zstd reads those of lz4 as well.
    return "zstd" if skipped and at >= len(head) else None


def dump_format(head: bytes) -> str | None:
    """Return the dump format of a file: `custom`, `tar` or `plain`; None if it is no dump.

    Args:
        head: at least its first `HEAD_BYTES`, decompressed.
    """
    if head.startswith(b"PGDMP"):
        return "custom"
    if is_tar(head) and head.startswith(b"toc.dat\0"):
        return "tar"
    if _PLAIN_MARK.search(head):
        return "plain"
    return None


def is_archive(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a dump that is no text."""
    return dump_format(head) in ("custom", "tar")


def is_tar(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a tar archive (POSIX.1-1988 `ustar`)."""
    return head[257:262] == b"ustar"


def is_sealed(head: bytes) -> bool:
    """Return whether a file that begins with `head` was encrypted by age, as sealed backups are."""
    return sealed_names.is_sealed(head)


def describe(head: bytes) -> str:
    """Return for people what a file that begins with `head` is."""
    if not head:
        return _("an empty file")
    for mark, name in OTHERS:
        if head.startswith(mark):
            return name
    if head.startswith(b"\x30") and _ENVELOPED in head[:32]:
        return _("data encrypted by openssl")
    if _is_openpgp(head):
        return _("data encrypted by gpg")
    if is_tar(head):
        return _tar(head)
    if _is_utf_16(head[:64]):
        return _("text in UTF-16; a dump is UTF-8 or an encoding of PostgreSQL")
    start = head.lstrip().lower()
    if start.startswith((b"-- mysql dump", b"-- mariadb dump", b"/*m!999999")):
        return _("a dump of MySQL or MariaDB")
    if start.startswith((b"pg_dump:", b"pg_dumpall:", b"pg_dump (")):
        return _("messages of pg_dump and not its output")
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return _("an HTML page") if b"html" in start else _("an XML document")
    if re.match(rb'\{|\[\s*(?:[\[{"\d\]-]|true|false|null)', start):
        return _("JSON text")
    if not head.strip(b"\0"):
        return _("nothing but zero bytes")
    try:
        text = head.decode("utf-8", "ignore")
    except ValueError:
        return _("unknown data")
    return _("text that is no dump") if text and text.isprintable() else _text_or_data(head)


def _is_utf_16(head: bytes) -> bool:
    """Return whether a text has a zero byte beside each ASCII character; it may lack its mark."""
    pairs = ((head[::2], head[1::2]), (head[1::2], head[::2]))
    return any(
        len(text) > 1 and not zeros.strip(b"\0") and re.fullmatch(rb"[\t\n\r -~]+", text)
        for text, zeros in pairs
    )


def _tar(head: bytes) -> str:
    """Return what a tar archive is whose first member is none of pg_dump's."""
    name = head[:100].rstrip(b"\0")
    if os.path.basename(name) in (b"backup_label", b"PG_VERSION", b"tablespace_map"):
        return _("a tar archive of a data folder of PostgreSQL")
    if name.endswith(b"/") or os.path.basename(name) == b"toc.dat":
        return _("a tar archive of a folder; a directory dump is drilled where it is unpacked")
    return _("a tar archive that pg_dump did not make")


def _is_openpgp(head: bytes) -> bool:
    """Return whether a file begins with an encrypted session key (RFC 4880, 4.2, 5.1 and 5.3).

    That is a packet of tag 1 (public key, version 3) or 3 (passphrase, version 4), in the old or
    the new format, whose length is plausible.
    """
    first, rest = head[0], head[1:]
    if not first & 0x80:
        return False
    if first & 0x40:
        tag, size = first & 0x3F, 2 if rest[:1] >= b"\xc0" else 1
        length = int.from_bytes(rest[:size], "big") - (0xBF40 if size == 2 else 0)
    else:
        tag, size = (first >> 2) & 0x0F, 1 << (first & 3)
        if size > 4:
            return False
        length = int.from_bytes(rest[:size], "big")
    body = rest[size:]
    return bool(body) and (tag, body[0]) in ((1, 3), (3, 4)) and 4 <= length <= 4096


def _text_or_data(head: bytes) -> str:
    control = sum(byte < 32 and byte not in b"\t\n\r" for byte in head)
    return _("unknown data") if control or b"\xff" in head else _("text that is no dump")
