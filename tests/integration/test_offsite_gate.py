"""A sync through the gate of the backup server."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    placement,
)
from support.backup_trees import add_backup
from support.gated_backup_server import copied, settings, store, tree
from support.offsite_client import copied_backups, in_sync
from support.processes import kill
from support.sshd import Sshd, server

__all__ = ["copied", "server", "settings", "tree"]


def counts(verification: dict[str, Any], side: str) -> tuple[int, int]:
    """How many digests of a side were read, and how many were cached."""
    digests = verification["digests"][side]
    assert digests["oldest"]
    return digests["read"], digests["cached"]


def test_whole_round_behind_the_gate(copied: SyncSettings, tree: Path, server: Sshd) -> None:
    for local in tree.glob("*/*.gz"):
        remote = server.backups / local.parent.name / local.name
        assert remote.read_bytes() == local.read_bytes()
        assert remote.stat().st_mtime_ns == local.stat().st_mtime_ns
        assert remote.stat().st_mode == local.stat().st_mode
    verification = offsite_verification.verify(copied)
    assert verification["comparison"]["in_sync"]
    assert verification["comparison"]["compared_by"] == "sha256"
    assert verification["weaker"] == [] and verification["server_alarms"] == []
    assert counts(verification, "remote") == (14, 0)
    # Digests that the sync took are cached, and then those of the verification, too.
    assert counts(verification, "local") == (0, 14)
    assert counts(offsite_verification.verify(copied), "remote") == (0, 14)

    second = sync.sync(copied)
    assert (second.status, second.files_sent, second.bytes_sent) == ("ok", 0, 0)
    oldest = sorted((tree / "daily").iterdir())[0]
    kept = oldest.read_bytes()
    oldest.unlink()
    new = add_backup(tree, "daily", -0.01, size=30_000)
    planned = sync.sync(copied, dry_run=True)
    assert (planned.sent, planned.aside) == (
        (f"daily/{new.name}",),
        (f"daily/{oldest.name}",),
    )
    third = sync.sync(copied)
    assert (third.sent, third.aside) == ((f"daily/{new.name}",), (f"daily/{oldest.name}",))
    print(f"a new backup of 30000 bytes: {third.bytes_sent} bytes on the wire")
    assert 30_000 <= third.bytes_sent < 30_000 + 500
    assert in_sync(copied)
    (aside,) = server.backups.glob("old_*/daily/*")
    assert aside.read_bytes() == kept


def test_replaced_content_is_kept(copied: SyncSettings, tree: Path, server: Sshd) -> None:
    victim = sorted((tree / "daily").iterdir())[-1]
    before = victim.read_bytes()
    victim.write_bytes(os.urandom(4001))
    result = sync.sync(copied)
    assert (result.status, result.files_sent, result.files_aside) == ("warning", 1, 1)
    (aside,) = server.backups.glob("old_*/daily/*")
    assert aside.read_bytes() == before
    assert in_sync(copied)


def test_mass_change_takes_a_person_on_the_server(
    copied: SyncSettings, tree: Path, server: Sshd
) -> None:
    """Overridden on the client, it is still the server's decision."""
    before = copied_backups(server)
    for file in sorted((tree / "daily").iterdir())[:4]:
        file.unlink()
    new = add_backup(tree, "weekly", -0.01)
    first = sync.sync(copied)
    # The first refusal names all that is needed: the override here, and the command there.
    assert first.kind == "guard" and "keep-offsite-copy.sh CLIENT --accept" in first.remedy, first
    refused = sync.sync(copied, overrides=["mass-change"])
    assert (refused.status, refused.kind, refused.exit_code) == ("refused", "server_guard", 2)
    assert "keep-offsite-copy.sh CLIENT --accept" in refused.remedy
    after = copied_backups(server)
    assert after.pop(f"weekly/{new.name}") == new.read_bytes()
    assert after == before
    verification = offsite_verification.verify(copied)
    assert "mass-change" in verification["server_alarms"][0]
    assert len(verification["comparison"]["extra"]) == 4

    accepted = placement.accept_refused(store(server))
    assert accepted and len(accepted.aside) == 4
    assert in_sync(copied) and store(server).alarms.all() == {}
    assert placement.accept_refused(store(server)) is None
    # Both sides have been confirmed once: the next night needs no person.
    later = sync.sync(copied)
    assert (later.status, later.overridden) == ("ok", ()), later


def test_what_is_cut_off_goes_on(copied: SyncSettings, tree: Path, server: Sshd) -> None:
    big = add_backup(tree, "monthly", 200, size=6_000_000)
    destination = dataclasses.replace(copied.transport.destination, bandwidth_kbps=3000)
    slow = dataclasses.replace(copied, transport=GateTransport(destination))
    cut = []

    def progress(done: int, total: int) -> None:
        if not cut:
            cut.append(done)
            for pid in server.children():
                kill(pid)
            assert not (server.backups / "monthly" / big.name).exists()

    result = sync.sync(slow, progress=progress)
    assert (result.status, result.attempts) == ("warning", 2), result
    assert in_sync(copied)


def test_another_job_of_the_server_is_no_failure(
    settings: SyncSettings, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The wait is in the server's process; only a lock held for longer than it would show the
    # end. Here the shorter half: it waits, and then does its work.
    held = store(server)
    release = threading.Event()

    def hold() -> None:
        with held.locked("test"):
            release.wait(2)

    holder = threading.Thread(target=hold)
    holder.start()
    result = sync.sync(settings)
    holder.join()
    assert result.status == "ok" and result.seconds > 1.5


def test_a_full_reserve(settings: SyncSettings, server: Sshd) -> None:
    server.install_gate(reserve_percent=100)
    result = sync.sync(settings)
    assert [refusal.guard for refusal in result.refusals] == ["room"]
    result = sync.sync(settings, overrides=["room"])
    assert (result.status, result.kind) == ("failed", "no_space"), result
    assert copied_backups(server) == {}


def test_a_key_without_the_gate_is_an_error_with_the_remedy(
    settings: SyncSettings, server: Sshd
) -> None:
    server.authorized_keys.write_text((server.root / "client_key.pub").read_text())
    result = sync.sync(settings)
    assert result.status == "failed"
    assert "mode: account" in result.remedy, result
