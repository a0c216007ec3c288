"""T2.5 of the plan by numbers: what goes over the cable, counted by the kernel at its end."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_settings,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)
from support.backup_trees import add_backup, plan_tree
from support.offsite_client import destination_on, in_sync
from support.remote_host import RemoteHost
from support.sshd import Sshd, server

__all__ = ["server"]

NEW = 400_000
# Of Ethernet, IP, TCP and ssh around each packet; three logins; the list and our inventory.
FRAME_PERCENT, TALK = 4, 25_000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="another host takes root")


@pytest.mark.parametrize("mode", ["restricted", "account"])
def test_after_one_new_backup_that_file_is_on_the_wire_and_no_more(
    tmp_path: Path, mode: str
) -> None:
    remote_host = RemoteHost()
    server = Sshd(remote_host.address, remote_host.inside)
    try:
        server.backups = tmp_path / "copy"
        server.backups.mkdir()
        server.start()
        if mode == "restricted":
            server.install_gate()
        destination = destination_on(server, mode=mode)
        kind = GateTransport if mode == "restricted" else AccountTransport
        tree = plan_tree(tmp_path / "backups")
        for file in tree.glob("*/*.gz"):  # so that one sent again would be seen
            file.write_bytes(os.urandom(NEW))
        settings = SyncSettings(kind(destination), str(tree), str(tmp_path / "state"))

        def counted_sync() -> tuple[offsite_settings.SyncResult, int]:
            """One sync, and the bytes that went over the cable meanwhile."""
            before = remote_host.sent()
            result = sync.sync(settings)
            assert result.status == "ok", result
            return result, remote_host.sent() - before

        _first, everything = counted_sync()
        assert everything > 14 * NEW
        result, nothing = counted_sync()
        assert result.files_sent == 0
        new = add_backup(tree, "daily", -0.01, size=NEW)
        result, one = counted_sync()
        print(
            f"{mode}: on the wire {everything} bytes for 14 backups of {NEW}, {nothing} when "
            f"nothing is new, {one} for one new; rsync itself counts {result.bytes_sent}"
        )
        assert result.sent == (f"daily/{new.name}",)
        assert nothing < TALK
        assert NEW < one < NEW * (100 + FRAME_PERCENT) / 100 + TALK
        assert NEW < result.bytes_sent < NEW + 2_000
        assert in_sync(settings, full=True)
    finally:
        server.remove()
        remote_host.remove()


def saved_by_compression(server: Sshd, root: Path, files: dict[str, bytes]) -> float:
    """How much less a first sync sends with `-z`, per cent of what it sends without."""
    sent = {}
    for compress in (False, True):
        server.backups = root / f"copy-{compress}"
        server.backups.mkdir(parents=True)
        server.install_gate()
        tree = root / f"tree-{compress}"
        for tier in ("daily", "weekly", "monthly"):
            (tree / tier).mkdir(parents=True)
        for name, content in files.items():
            (tree / "daily" / name).write_bytes(content)
        destination = destination_on(server, compress=compress, mode="restricted")
        settings = SyncSettings(
            GateTransport(destination), str(tree), str(tree / "state"), marker=""
        )
        result = sync.sync(settings)
        assert result.files_sent == len(files), result
        sent[compress] = result.bytes_sent
    return 100 * (1 - sent[True] / sent[False])


def test_compression_helps_what_is_not_compressed_and_nothing_else(
    server: Sshd, tmp_path: Path
) -> None:
    """Why `compress` is off: dumps are compressed when they are made."""
    rows = (
        f"INSERT INTO sales VALUES ({number}, {number % 97}, '2025-11-{number % 28 + 1:02}', "
        f"{random.randrange(10**6) / 100});\n"
        for number in range(20_000)
    )
    plain = "".join(rows).encode()
    saved = {}
    for kind, content in {"sql": plain, "sql.gz": gzip.compress(plain)}.items():
        name = f"chefwell_backup_20251120_030000.{kind}"
        saved[kind] = saved_by_compression(server, tmp_path / kind, {name: content})
        print(f"{kind}: {len(content)} bytes; -z saves {saved[kind]:.1f} % on the wire")
    assert saved["sql"] > 50
    assert -3 < saved["sql.gz"] < 3


def test_compression_finds_a_small_backup_in_the_one_before_it(
    server: Sshd, tmp_path: Path
) -> None:
    """As far back as its window reaches; the dumps of a database resemble each other. So who
    measures it with small ones measures that."""
    saved = {}
    for megabytes in (1, 12):
        night = os.urandom(megabytes * 1_000_000)
        files = {
            f"chefwell_backup_2025112{number}_030000.dump.gz": night + os.urandom(1000)
            for number in range(2)
        }
        saved[megabytes] = saved_by_compression(server, tmp_path / str(megabytes), files)
        print(f"two alike of {megabytes} MB: -z saves {saved[megabytes]:.1f} % on the wire")
    assert saved[12] < 1
    # Only where both rsync know zstd, which does not begin anew with each file.
    assert saved[1] < 1 or saved[1] > 40
