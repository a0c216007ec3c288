"""Faults of the backup file itself, C1 to C4, C6 and C8."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import archive_toc
from ansible_collections.chefwell.resilience.plugins.module_utils.common import process
from support.dumps import Dumps, counted, cuts, flips, members, tool
from support.fault_log import Fault
from support.thorough import rounds
from testbed import Testbed

# How many places of a file are tried where not all of them are.
CUTS = 400
FLIPS = 150


@pytest.fixture(scope="module")
def dumps(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Dumps:
    return Dumps(bed, tmp_path_factory.mktemp("dumps"))


@pytest.fixture(scope="module")
def newest(bed: Testbed) -> bytes:
    """The newest backup as the owner's script made it."""
    return max(Path(bed.record["backups"], "daily").iterdir()).read_bytes()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_c1_gzip_cut_off_at_every_byte(fault: Fault, dumps: Dumps, newest: bytes) -> None:
    """The short form takes a backup of the schema that the stores share: fewer bytes."""
    shared = gzip.compress(dumps.make("custom", "--schema=public"))
    name, whole = rounds(("a backup of one schema", shared), ("the newest backup", newest))
    assert dumps.refusal(whole) is None
    fault.cause(f"{name}, {len(whole)} bytes, cut off before each of its bytes")
    refused, tried = counted(range(len(whole)), lambda end: dumps.refusal(whole[:end]))
    fault.see(f"{refused} of {tried} refused", holds=refused == tried == len(whole))


@pytest.mark.parametrize("form", ["custom", "custom, not compressed", "plain"])
def test_c1_gzip_cut_off_between_members(fault: Fault, dumps: Dumps, form: str) -> None:
    parts = members(dumps.make(form), 12)
    assert dumps.refusal(b"".join(parts)) is None
    fault.cause(f"{form}, packed into {len(parts)} gzip members, cut off between any two of them")
    halves = [b"".join(parts[:count]) for count in range(1, len(parts))]
    believed, tried = counted(halves, lambda half: tool(["gzip", "-t"], half) == 0)
    refused, _tried = counted(halves, dumps.refusal)
    fault.note(f"gzip -t takes {believed} of {tried} for whole")
    fault.see(f"{refused} of {tried} refused", holds=refused == tried and believed > 0)


@pytest.mark.parametrize("form", ["custom", "custom, not compressed"])
def test_c2_custom_cut_off(fault: Fault, dumps: Dumps, form: str) -> None:
    whole = dumps.make(form)
    assert dumps.refusal(whole) is None
    head = _data_offset(dumps, whole)
    places = [*cuts(len(whole), CUTS)]
    fault.cause(f"{form}, {len(whole)} bytes, cut off at {len(places)} places")
    refused, tried = counted(places, lambda end: dumps.refusal(whole[:end]))
    again, _tried = counted(places, lambda end: dumps.refusal(gzip.compress(whole[:end], 1)))
    later = [end for end in places if end > head][:: max(1, len(places) // 60)]
    listing = [dumps.binaries.path("pg_restore"), "--list"]
    listed, attempts = counted(later, lambda end: tool(listing, whole[:end]) == 0)
    fault.note(f"pg_restore --list ends with 0 in {listed} of {attempts} cut off within the data")
    fault.see(
        f"{refused} of {tried} refused, {again} of {tried} packed by a gzip that is whole",
        holds=refused == again == tried and listed > 0,
    )


def _data_offset(dumps: Dumps, whole: bytes) -> int:
    path = dumps.folder / "whole.dump"
    path.write_bytes(whole)
    return archive_toc.read(str(path)).data_offset


def _decoded(dumps: Dumps, spoilt: Iterator[bytes]) -> dict[str, int]:
    """How pg_restore ends for each of these: by ending, how often."""
    endings: dict[str, int] = {}
    path = dumps.folder / "decoded.dump"
    for content in spoilt:
        path.write_bytes(content)
        ended = process.run(
            [dumps.binaries.path("pg_restore"), "--file=/dev/null", str(path)], time_limit=5
        ).ending()
        endings[ended] = endings.get(ended, 0) + 1
    return dict(sorted(endings.items(), key=lambda item: -item[1]))


@pytest.mark.parametrize("form", ["custom", "custom, not compressed"])
def test_c3_one_bit_of_the_table_of_contents(fault: Fault, dumps: Dumps, form: str) -> None:
    whole = dumps.make(form)
    known, end = _sha256(whole), _data_offset(dumps, whole)
    fault.cause(f"{form}, one bit flipped in the first {end} bytes, {FLIPS} times")
    found, tried = counted(flips(whole, FLIPS, 0, end), lambda one: dumps.differs(one, known))
    decoded, _tried = counted(flips(whole, FLIPS, 0, end), dumps.refusal)
    fault.note(f"pg_restore decodes them, ending with: {_decoded(dumps, flips(whole, 60, 0, end))}")
    fault.note(f"without a digest {decoded} of {tried} are refused by decoding alone")
    fault.see(f"{found} of {tried} caught by digest, no program run", holds=found == tried == FLIPS)


@pytest.mark.parametrize(
    ("form", "checksummed"),
    [("custom", True), ("custom, not compressed", False), ("plain", False)],
    ids=["compressed", "not-compressed", "plain"],
)
def test_c4_one_bit_of_the_data(fault: Fault, dumps: Dumps, form: str, checksummed: bool) -> None:
    whole = dumps.make(form)
    known = _sha256(whole)
    first = 0 if form == "plain" else _data_offset(dumps, whole)
    fault.cause(f"{form}, one bit flipped behind byte {first} of {len(whole)}, {FLIPS} times")
    found, tried = counted(flips(whole, FLIPS, first), lambda one: dumps.differs(one, known))
    decoded, _tried = counted(flips(whole, FLIPS, first), dumps.refusal)
    if form != "plain":
        fault.note(f"pg_restore ends with: {_decoded(dumps, flips(whole, 60, first))}")
    fault.note(f"without a digest {decoded} of {tried} are refused by decoding alone")
    # Data that carries a checksum is proved without a digest too.
    fault.see(
        f"{found} of {tried} caught by digest",
        holds=found == tried == FLIPS and (decoded == tried or not checksummed),
    )


def test_c4_one_bit_of_a_gzip_file(fault: Fault, dumps: Dumps, newest: bytes) -> None:
    """Nothing but the file's own checksum stands in for a digest here."""
    fault.cause(f"the newest backup, {len(newest)} bytes, one bit flipped, {FLIPS} times")
    found, tried = counted(flips(newest, FLIPS), lambda one: dumps.differs(one, _sha256(newest)))
    # The ten bytes of gzip's head hold a time and a system, which nothing depends on.
    decoded, _tried = counted(flips(newest, FLIPS, 10), dumps.refusal)
    fault.see(
        f"{found} of {tried} caught by digest, {decoded} of {tried} without one",
        holds=found == decoded == tried,
    )


def test_c4_pg_restore_crashes_or_never_ends(fault: Fault, dumps: Dumps) -> None:
    """What stands between a spoilt dump without a digest and a drill that hangs."""
    whole = dumps.make("custom")
    endings = _decoded(dumps, flips(whole, 300, 0, _data_offset(dumps, whole)))
    fault.cause("pg_restore over 300 dumps with one bit flipped in the table of contents")
    signals = [ending for ending in endings if ending.startswith("signal SIG")]
    fault.see(f"it ends with {endings}", holds=bool(signals))
    stalled = dumps.folder / "stalled.dump"
    os.mkfifo(stalled)
    fault.cause("pg_restore over a dump whose second half never comes")
    # Opened for both directions, a FIFO does not wait for another process (fifo(7)).
    with stalled.open("r+b", buffering=0) as half:
        half.write(whole[:4096])
        begun = time.monotonic()
        ended = process.run(
            [dumps.binaries.path("pg_restore"), "--file=/dev/null", str(stalled)], time_limit=1
        )
    taken = time.monotonic() - begun
    fault.see(
        f"ended by the {ended.ending()} of 1 s after {taken:.1f} s",
        holds=ended.ending() == "time limit" and taken < 5,
    )


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_c6_plain_sql_cut_off(fault: Fault, dumps: Dumps, packed: bool) -> None:
    whole = dumps.make("plain")
    # Behind the completion line only comments and psql's own commands stand.
    end = whole.index(b"-- PostgreSQL database dump complete") + len("-- PostgreSQL database dump")
    form = gzip.compress if packed else bytes
    assert dumps.refusal(form(whole)) is None
    places = [*cuts(end, CUTS)]
    fault.cause(f"a plain dump of {len(whole)} bytes, cut off at {len(places)} places")
    refused, tried = counted(places, lambda place: dumps.refusal(form(whole[:place])))
    fault.see(f"{refused} of {tried} refused", holds=refused == tried)


def test_c6_something_behind_the_completion_line(fault: Fault, dumps: Dumps) -> None:
    whole = dumps.make("plain")
    behind = [b"DROP TABLE public.users;\n", b"\x00\x00\x00\n", b"<html>502 Bad Gateway</html>\n"]
    fault.cause(f"a plain dump with one of {len(behind)} things behind its completion line")
    text = [dumps.refusal(whole + more) or "taken" for more in behind]
    reported = [what for what in text if "something follows its completion line" in what]
    fault.see(
        f"{len(reported)} of {len(behind)} refused, saying so", holds=len(reported) == len(behind)
    )


def _picture() -> bytes:
    """A PNG of 64 times 64 grey points (W3C, Portable Network Graphics)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    size = (64).to_bytes(4, "big") * 2
    points = b"".join(b"\0" + bytes(range(row, row + 64)) for row in range(64))
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\0\0\0\0")
    return head + chunk(b"IDAT", zlib.compress(points)) + chunk(b"IEND", b"")


def _photo() -> bytes:
    """The head of a photo as cameras write it (JFIF 1.02), and noise."""
    return b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x02\0\0\x48\0\x48\0\0" + bytes(range(256)) * 8


def _tar() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        tar.add(__file__, "etc/fstab")
    return held.getvalue()


PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>"
    b"<body><center><h1>502 Bad Gateway</h1></center></body></html>\n"
)
STRANGERS = {
    "a PNG picture": _picture,
    "a JPEG picture": _photo,
    "an HTML page": lambda: PAGE,
    "a tar archive that pg_dump did not make": _tar,
    "an empty file": lambda: b"",
    "nothing but zero bytes": lambda: bytes(4096),
    "JSON text": lambda: b'{"error": "not found"}\n',
    "a ZIP archive": lambda: b"PK\x03\x04" + bytes(60),
}


def test_c8_no_dump_at_all(fault: Fault, dumps: Dumps) -> None:
    fault.cause(f"under a backup's name: {', '.join(STRANGERS)}; each as it is and in gzip")
    wrong = []
    for name, make in STRANGERS.items():
        for form in (bytes, gzip.compress):
            text = dumps.refusal(form(make()), "chefwell_backup_20251120_030000.dump.gz") or ""
            if name not in text or "chefwell_backup_20251120_030000.dump.gz" not in text:
                wrong.append(f"{name}: {text or 'taken'}")
    tried = 2 * len(STRANGERS)
    fault.see(
        f"{tried - len(wrong)} of {tried} refused and named by what they are {wrong or ''}",
        holds=not wrong,
    )
