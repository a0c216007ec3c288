"""Losses, rot and jobs that hang: seen by the client, reported, and repaired by its next sync."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    server_job,
    server_store,
)
from support.backup_trees import add_backup, rot
from support.gated_backup_server import copied, settings, tree
from support.offsite_client import in_sync, with_destination
from support.processes import descendants, kill
from support.server_copies import make_store
from support.sshd import Sshd, server
from support.waiting import wait_for

__all__ = ["copied", "server", "settings", "tree"]


class TestRot:
    """A rotten copy is replaced by the next sync, and kept aside (O5)."""

    @pytest.mark.parametrize("found_by", ["client", "server"])
    def test_behind_the_gate(
        self, copied: SyncSettings, tree: Path, server: Sshd, found_by: str
    ) -> None:
        victim = sorted((server.backups / "weekly").iterdir())[0]
        name, body = f"weekly/{victim.name}", rot(victim)
        if found_by == "client":
            found = offsite_verification.verify(copied, full=True)["comparison"]["different"]
            assert found == [name]
        else:
            assert server_job.run(make_store(server.backups, reread_days=1)).rotten == [name]
        store = make_store(server.backups)
        assert name in store.alarms.all()["bit-rot"].reason
        result = sync.sync(copied)
        assert (result.status, result.sent, result.repaired) == ("warning", (name,), (name,)), (
            result
        )
        assert any("rotten on the server and replaced" in one for one in result.warnings)
        assert victim.read_bytes() == (tree / name).read_bytes()
        (aside,) = server.backups.glob(f"old_*/{name}")
        assert aside.read_bytes() == body
        assert in_sync(copied, full=True) and store.alarms.all() == {}
        again = sync.sync(copied)
        assert (again.status, again.files_sent, again.repaired) == ("ok", 0, ())

    def test_in_an_account(self, copied: SyncSettings, tree: Path, server: Sshd) -> None:
        server.authorized_keys.write_text(
            f"restrict {(server.root / 'client_key.pub').read_text()}"
        )
        account = dataclasses.replace(copied.transport.destination, mode="account")
        plain = dataclasses.replace(copied, transport=AccountTransport(account))
        assert in_sync(plain, full=True)
        victim = sorted((server.backups / "weekly").iterdir())[0]
        name, body = f"weekly/{victim.name}", rot(victim)
        assert offsite_verification.verify(plain, full=True)["comparison"]["different"] == [name]
        result = sync.sync(plain)
        assert (result.status, result.repaired) == ("warning", (name,)), result
        assert victim.read_bytes() == (tree / name).read_bytes()
        (aside,) = server.backups.glob(f"old_*/{name}")
        assert aside.read_bytes() == body
        assert in_sync(plain, full=True)
        assert sync.sync(plain).repaired == ()

    def test_a_backup_that_rotted_here_replaces_nothing(
        self, copied: SyncSettings, tree: Path, server: Sshd
    ) -> None:
        """Then the copy is the good one."""
        assert in_sync(copied, full=True)
        victim = sorted((tree / "weekly").iterdir())[0]
        good = victim.read_bytes()
        rot(victim)
        assert not in_sync(copied, full=True)
        assert sync.sync(copied).repaired == ()
        assert (server.backups / "weekly" / victim.name).read_bytes() == good


class TestLosses:
    def test_backups_that_are_gone_on_the_server(
        self, copied: SyncSettings, tree: Path, server: Sshd
    ) -> None:
        """5 of 14 removed there, then a sync, then the server's job (O12)."""
        for file in sorted((server.backups / "daily").iterdir())[:5]:
            file.unlink()
        result = sync.sync(copied)
        assert (result.status, result.files_sent) == ("warning", 5), result
        assert any("5 backups of the last good sync are gone" in one for one in result.warnings)
        assert in_sync(copied)
        store = make_store(server.backups)
        assert "lost" in store.alarms.all()
        assert "lost" in server_job.run(store).over
        assert sync.sync(copied).status == "ok"

    def test_six_small_losses_here(self, copied: SyncSettings, tree: Path, server: Sshd) -> None:
        """Each sync finds a little less: judged against the best state of the last days (O3)."""
        results = []
        for _night in range(6):
            files = sorted((tree / "daily").iterdir())
            files[-1].unlink()
            results.append(sync.sync(copied))
        refused = [one for one in results if one.status == "refused"]
        assert len(refused) == 4, [one.message for one in results]
        assert "the best state of the last" in refused[0].message
        assert {one.kind for one in refused} == {"guard"}, "this host refuses, not the server"
        # Once a person lets it pass, the tree as it is now is what counts.
        overridden = sync.sync(copied, overrides=["mass-change"])
        assert overridden.kind == "server_guard"
        assert len(list((server.backups / "daily").iterdir())) == 5
        assert sync.sync(copied).kind == "server_guard", "no guard here any more"


class TestBusy:
    """Another job that hangs keeps everything from being copied: that is reported (O14)."""

    def test_an_rsync_that_is_stopped(self, copied: SyncSettings, tree: Path) -> None:
        add_backup(tree, "monthly", 200, size=4_000_000)
        slow = with_destination(copied, bandwidth_kbps=500)
        thread = threading.Thread(target=sync.sync, args=(dataclasses.replace(slow, tries=1),))
        thread.start()
        stopped: list[int] = []

        def stop() -> bool:
            for pid in descendants(os.getpid()):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    command = Path(f"/proc/{pid}/cmdline").read_bytes()
                    if command.startswith(b"rsync\0") and pid not in stopped:
                        os.kill(pid, signal.SIGSTOP)
                        stopped.append(pid)
            return bool(stopped)

        time.sleep(1)
        wait_for(stop)
        # One that began meanwhile is stopped, too.
        time.sleep(0.5)
        stop()
        first, second = sync.sync(copied), sync.sync(copied)
        assert (first.status, first.exit_code) == ("locked", 1)
        assert (second.status, second.kind, second.exit_code) == ("failed", "locked_out", 2)
        assert "2 runs in a row since" in second.message, second.message
        assert any(f"rsync ({pid}, stopped)" in second.message for pid in stopped), second.message
        for pid in stopped:
            kill(pid)
        thread.join()
        assert sync.sync(copied).status in ("ok", "warning")
        assert not list(Path(copied.state_dir).glob("*busy*"))

    def test_a_server_that_is_busy_for_nights(
        self, copied: SyncSettings, tree: Path, server: Sshd, tmp_path: Path
    ) -> None:
        """Its lock is held for longer than the gate waits."""
        impatient = tmp_path / "impatient.py"
        impatient.write_text(
            "import sys\n"
            f"from {server_store.__package__} import gate, server_store\n"
            "server_store.LOCK_SECONDS = 0.3\n"
            "raise SystemExit(gate.main())\n"
        )
        line = server.authorized_keys.read_text()
        server.authorized_keys.write_text(
            line.replace(f"-m {server_store.__package__}.gate", str(impatient))
        )
        store = make_store(server.backups)
        with store.locked("retention"):
            results = []
            for night in range(3):
                add_backup(tree, "weekly", 1 + night)
                results.append(sync.sync(copied))
        assert [one.status for one in results] == ["locked", "failed", "failed"], results
        assert results[2].kind == "locked_out" and "3 runs in a row" in results[2].message
        assert f"retention, process {os.getpid()}" in results[2].message
        assert sync.sync(copied).status == "ok"

    def test_the_server_job_names_who_holds_its_lock(
        self, copied: SyncSettings, server: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server_store, "LOCK_SECONDS", 0.2)
        store = make_store(server.backups)
        with store.locked("placement"):
            result = server_job.run(make_store(server.backups))
        assert set(result.failures) == {"verification", "retention"}
        assert f"placement, process {os.getpid()}" in result.alarms["job-failed"].reason
        json.dumps(dataclasses.asdict(result))
