"""The server's listing is checked, not trusted."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import (
    backup_names,
    inventory,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import remote_listing
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.sync_source import (
    PlainSource,
)

NAME = "chefwell_backup_20251120_030000.dump.gz"
DIGEST = "a" * 64


def parse(*records: str) -> remote_listing.RemoteListing:
    answer = b"".join(record.encode() + b"\0" for record in records)
    return remote_listing.parse(answer, "u@h:22/b", inventory.TIERS, backup_names.PATTERN)


def test_a_complete_listing() -> None:
    remote = parse(
        "rsync rsync  version 3.2.7  protocol version 31",
        "room /dev/sda1 100 60 40 60% /backups",
        f"file f 42 1763607600.1234567890 7 1763607601.5 ./daily/{NAME}",
        "file d 4096 1763607600.0000000000 8 1.0 ./daily/.rsync-partial",
        "missing monthly",
        "end",
    )
    assert (remote.exists, remote.rsync, remote.room) == (True, "3.2.7", 40 * 1024)
    assert (remote.gate, remote.confined, remote.alarms) == (None, False, ())
    (file,) = remote.tree.files
    assert (file.bytes, file.mtime_ns, file.sha256) == (42, 1763607600_123456789, None)
    assert file.taken_at == "2025-11-20T03:00:00"
    identity = (42, 1763607600_123456789, 7, 1763607601_500000000)
    assert remote.identities == {f"daily/{NAME}": identity}
    assert remote.tree.ignored == ["daily/.rsync-partial (folder)"]
    assert remote.tree.problems == []


def test_what_the_gate_reports_besides() -> None:
    remote = parse("gate 1 confined", "free 4096", "alarm mass-change 2026-01-01 lost\n5", "end")
    assert (remote.gate, remote.confined, remote.room) == (1, True, 4096)
    assert remote.alarms == ("mass-change since 2026-01-01: lost\\n5",)
    entry = parse(f"entry f 42 17 7 18 daily/{NAME}", "end")
    assert entry.identities == {f"daily/{NAME}": (42, 17, 7, 18)}


def test_digests() -> None:
    answer = f"{DIGEST} *./daily/new\nline\0{DIGEST}  x\0what\0end\0".encode()
    assert remote_listing.parse_digests(answer, "s") == {"daily/new\nline": DIGEST, "x": DIGEST}
    with pytest.raises(ResilienceError, match="not whole"):
        remote_listing.parse_digests(f"{DIGEST} *daily/x\0".encode(), "s")


@pytest.mark.parametrize("records", [(), ("rsync x",), ("welcome to this server\nend",)])
def test_a_listing_without_its_end_is_refused(records: tuple[str, ...]) -> None:
    with pytest.raises(ResilienceError, match="not whole"):
        parse(*records)


@pytest.mark.parametrize(
    "path",
    [f"./../{NAME}", f"./daily/../../etc/{NAME}", f"/etc/{NAME}", f"./yearly/{NAME}", "./daily/.."],
)
def test_names_outside_the_tiers_do_not_count(path: str) -> None:
    remote = parse(f"file f 1 1.0 7 1.0 {path}", "end")
    assert remote.tree.files == [] and remote.tree.ignored == []


def test_links_and_unread_tiers_are_problems() -> None:
    remote = parse("link weekly", "unreadable daily", "end")
    assert len(remote.tree.problems) == 2


def test_an_absent_folder() -> None:
    assert not parse("absent", "end").exists
    assert parse("absent", "end").can_be_made
    assert not parse("absent", "nowhere", "end").can_be_made
    with pytest.raises(ResilienceError, match="cannot be entered"):
        parse("closed", "end")


def test_a_record_that_cannot_be_read_is_reported() -> None:
    with pytest.raises(ResilienceError, match="cannot be read"):
        parse("file f many 1.0 7 1.0 ./daily/x", "end")


def test_a_time_that_no_date_can_be_made_of_costs_nothing() -> None:
    """A filesystem keeps any time that somebody sets; one such backup must not stop all others."""
    seen = {}
    for moment in (10**18, -(10**18), 10**20, -(10**20), 1 << 63, ((1 << 63) - 1) * 10**9):
        listing = parse("begin", f"entry f 5 {moment} 7 8 daily/{NAME}", "end")
        ((_path, (_size, seen[moment])),) = listing.tree.states.items()
    most = (1 << 63) - 1
    assert list(seen.values()) == [10**18, -(10**18), most, -most, most, most]


def test_a_scan_bounds_such_times_as_well(tmp_path: Path) -> None:
    if not Path("/dev/shm").is_dir():
        pytest.fail("no filesystem in memory")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        backup = Path(folder, "daily", NAME)
        backup.parent.mkdir()
        backup.write_bytes(b"x")
        subprocess.run(["touch", "-d", "@99999999999999", backup], check=True)
        (file,) = inventory.scan(folder, tiers=("daily",)).files
        assert file.mtime_ns == (1 << 63) - 1 < backup.stat().st_mtime_ns
        source = PlainSource(folder, ("daily",), backup_names.PATTERN, folder, 30)
        assert source.state(f"daily/{NAME}") == (1, file.mtime_ns)
