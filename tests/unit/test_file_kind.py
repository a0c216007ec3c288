"""What a file is called that lies where a dump should be."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.file_kind import (
    compression,
    describe,
    dump_format,
)

# The beginnings of real files; session keys of gpg for a passphrase and for public keys.
ENCRYPTED = {
    "gpg": (
        bytes.fromhex("8c0d04090308d8a1b2c3d4e5f60718ff") + b"\xd2" * 400,
        bytes.fromhex("85010c03a1b2c3d4e5f60718010800") + b"\x99" * 400,
        bytes.fromhex("845e03a1b2c3d4e5f6071812010740") + b"\x99" * 400,
        bytes.fromhex("c1c04c03a1b2c3d4e5f607180108") + b"\x99" * 400,
        b"-----BEGIN PGP MESSAGE-----\n\nhQEMA6",
    ),
    "age": (
        b"age-encryption.org/v1\n-> X25519 abc\n",
        b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl",
    ),
    "openssl": (
        b"Salted__\x01\x02\x03\x04\x05\x06\x07\x08" + b"\x99" * 400,
        b"U2FsdGVkX1/GvZ0fFhN1\nAAAA",
        b"-----BEGIN PKCS7-----\nMIIB",
        bytes.fromhex("3082010006092a864886f70d010703a0820120") + b"\x99" * 400,
        bytes.fromhex("308006092a864886f70d010703a080308002") + b"\x99" * 400,
    ),
    "Ansible Vault": (b"$ANSIBLE_VAULT;1.1;AES256\n6162",),
}


def _tar_of(name: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return made.getvalue()[:512]


@pytest.mark.parametrize(
    ("program", "head"),
    [(program, head) for program, heads in ENCRYPTED.items() for head in heads],
)
def test_what_is_encrypted_is_not_called_damaged(program: str, head: bytes) -> None:
    assert describe(head) == f"data encrypted by {program}"
    assert dump_format(head) is None


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"BZh91AY&SY", "bzip2-compressed data"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7-Zip archive"),
        (gzip.compress(b"x", mtime=0), "data compressed once more, by gzip"),
        ("-- PostgreSQL database dump".encode("utf-16"), "text in UTF-16"),
        ("-- PostgreSQL database dump".encode("utf-16-le"), "text in UTF-16"),
        ("-- PostgreSQL database dump".encode("utf-16-be"), "text in UTF-16"),
        ("-- PostgreSQL database dump".encode("utf-32"), "text in UTF-32"),
        (b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
        (b"\x1f\x9d\x90" + b"x" * 99, "data compressed by compress"),
        (b"-- MySQL dump 10.13  Distrib 8.0", "a dump of MySQL or MariaDB"),
        (b"pg_dump: error: connection to server failed", "messages of pg_dump"),
        (b"[repository]\nversion = 1", "text that is no dump"),
        (_tar_of("dump/toc.dat"), "a tar archive of a folder"),
        (_tar_of("backup_label"), "a tar archive of a data folder"),
        (_tar_of("notes.txt"), "a tar archive that pg_dump did not make"),
        (b"\x80\x02}q\x00", "unknown data"),
        (b"\xde\xad\x00\xef" * 100, "unknown data"),
        (b"\xff" * 512, "unknown data"),
    ],
)
def test_others_are_named(head: bytes, what: str) -> None:
    assert describe(head).startswith(what)


def test_no_beginning_of_a_file_raises_an_error() -> None:
    """A packet of OpenPGP may begin, and the file end within its length."""
    for first in range(256):
        for second in (b"", b"\x00", b"\xc0", b"\xff", b"\xc1\x03", b"\x05\x03"):
            assert describe(bytes([first]) + second)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x02\x21\x4c\x18", "lz4"),
        (b"\x50\x2a\x4d\x18\x04\0\0\0size\x28\xb5\x2f\xfd", "zstd"),
        (b"\x5f\x2a\x4d\x18\0\0\0\0\x51\x2a\x4d\x18\0\0\0\0\x04\x22\x4d\x18", "lz4"),
        (b"\x5a\x2a\x4d\x18\xff\xff\0\0" + b"x" * 504, "zstd"),
        (b"\x50\x2a\x4d\x18\0\0\0\0\x1f\x8b", None),
        (b"\x60\x2a\x4d\x18\0\0\0\0\x28\xb5\x2f\xfd", None),
    ],
)
def test_the_packing_behind_frames_without_data(head: bytes, name: str | None) -> None:
    assert compression(head) == name


@pytest.mark.parametrize("packing", [b"-- Exported by a tool, at night\r\n", b"/* host: db */\n"])
def test_a_plain_dump_below_lines_of_whoever_exported_it(packing: bytes) -> None:
    mark = b"--\n-- PostgreSQL database dump\n--\n"
    assert dump_format(packing * 60 + mark) == "plain"
    assert dump_format(b"\xef\xbb\xbf" + mark) == "plain"
    assert dump_format(packing + b"-- Dumped by pg_dump version 15.1\nSET x = 0;\n") == "plain"
    assert (
        dump_format(packing * 60 + b"INSERT INTO t VALUES (' PostgreSQL database dump');") is None
    )
