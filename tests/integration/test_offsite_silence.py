"""A server that sends nothing more ends a try after `silence_seconds`, not after its time limit."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import fcntl
import hashlib
import json
import os
import signal
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    ssh_command,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.ssh import (
    ServerError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)
from support.backup_trees import add_backup
from support.gated_backup_server import copied, settings, store, tree
from support.offsite_client import copied_backups
from support.processes import kill
from support.sshd import Sshd, server

__all__ = ["copied", "server", "settings", "tree"]

NOTHING = json.dumps({"files": {}, "unread": [], "in_progress": []}).encode()


def stopped(server: Sshd) -> list[int]:
    """Stop every process of the server's open sessions; return their numbers."""
    pids = server.children()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


@pytest.fixture
def hasty(copied: SyncSettings) -> SyncSettings:
    destination = dataclasses.replace(
        copied.transport.destination, silence_seconds=3, bandwidth_kbps=2000, time_limit=60
    )
    return dataclasses.replace(copied, transport=GateTransport(destination), tries=1)


def test_in_the_middle_of_a_file(hasty: SyncSettings, tree: Path, server: Sshd) -> None:
    add_backup(tree, "monthly", 200, size=8_000_000)
    held: list[int] = []

    def progress(done: int, total: int) -> None:
        if not held:
            held.extend(stopped(server))

    began = time.monotonic()
    result = sync.sync(hasty, progress=progress)
    took = time.monotonic() - began
    (other,) = Path(hasty.state_dir).glob("*.lock")
    with other.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for pid in held:
        kill(pid)
    print(f"took {took:.1f} s; silence 3 s, limit 60 s; {result.message}")
    assert (result.status, result.kind) == ("failed", "rsync_30") and held
    assert took < 20
    assert sync.sync(dataclasses.replace(hasty, tries=2)).status in ("ok", "warning")


def test_silence_during_a_request(hasty: SyncSettings, server: Sshd) -> None:
    """Its lock is held, so that the gate waits and lives; then it is stopped, and does not."""
    waits = store(server)
    began = time.monotonic()
    with waits.locked("test"), concurrent.futures.ThreadPoolExecutor() as pool:
        request = pool.submit(send_inventory, hasty)
        with pytest.raises(concurrent.futures.TimeoutError):
            request.result(7)  # longer than the silence that is allowed
        held = stopped(server)
        with pytest.raises(ServerError, match="sent nothing for 3 s"):
            request.result(10)
    for pid in held:
        kill(pid)
    print(f"alive for 7 s, then silent: ended after {time.monotonic() - began:.1f} s in all")


def test_an_account_that_reads_for_long_is_not_silent(
    hasty: SyncSettings, server: Sshd, tree: Path, tmp_path: Path
) -> None:
    """sha256sum that takes its time, and then one that is stopped."""
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "sha256sum").write_text('#!/bin/sh\nsleep 5\nexec /usr/bin/sha256sum "$@"\n')
    (slow / "sha256sum").chmod(0o755)
    key = (server.root / "client_key.pub").read_text()
    server.authorized_keys.write_text(
        f'command="PATH={slow}:$PATH exec sh -c \\"$SSH_ORIGINAL_COMMAND\\"" {key}'
    )
    name = next(iter(copied_backups(server)))
    account = dataclasses.replace(hasty.transport.destination, mode="account")
    taken = AccountTransport(account).digests([name])
    assert taken == {name: hashlib.sha256((server.backups / name).read_bytes()).hexdigest()}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        request = pool.submit(AccountTransport(account).digests, [name])
        time.sleep(1.5)
        held = stopped(server)
        with pytest.raises(ServerError, match="sent nothing for 3 s"):
            request.result(10)
    for pid in held:
        kill(pid)


def send_inventory(settings: SyncSettings) -> None:
    ssh_command.run_command(settings.transport.destination, ["chefwell-commit"], stdin=[NOTHING])
