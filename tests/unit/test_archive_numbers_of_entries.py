"""An archive whose entries have numbers that PostgreSQL never gives is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import archive_toc
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import BackupError


def number(value: int) -> bytes:
    return b"\0" + value.to_bytes(8, "little")


def text(value: bytes) -> bytes:
    return number(len(value)) + value


def archive(path: Path, dump_id: int, oid: bytes) -> str:
    none = b"\1" + (1).to_bytes(8, "little")
    head = b"PGDMP" + bytes([1, 14, 0, 8, 8, 1]) + number(0) + number(0) * 7
    head += text(b"shop") + text(b"16.4") + text(b"16.4") + number(1)
    entry = number(dump_id) + number(0) + text(b"1259") + text(oid) + text(b"t") + text(b"TABLE")
    entry += number(2) + text(b"CREATE TABLE s.t ();") + text(b"") + none + text(b"s") + none * 2
    path.write_bytes(head + entry + text(b"owner") + text(b"false") + none + b"\2" + bytes(8))
    return str(path)


def test_an_entry_is_read(tmp_path: Path) -> None:
    (entry,) = archive_toc.read(archive(tmp_path / "a.dump", 2**31 - 1, b"4294967295")).entries
    assert (entry.dump_id, entry.oid, entry.schema) == (2147483647, 4294967295, "s")
    assert (entry.definition, entry.owner) == ("CREATE TABLE s.t ();", "owner")


@pytest.mark.parametrize(("dump_id", "oid"), [(2**40, b"7"), (7, b"99999999999999999999")])
def test_such_an_entry_is_damage(tmp_path: Path, dump_id: int, oid: bytes) -> None:
    with pytest.raises(BackupError, match="has no number or kind"):
        archive_toc.read(archive(tmp_path / "a.dump", dump_id, oid))
