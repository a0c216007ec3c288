"""The offsite sync's limits, measured: bandwidth, time, pauses between tries, progress."""

from __future__ import annotations

import dataclasses
import os
import pty
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from support.backup_trees import add_backup
from support.offsite_client import gated_sync, in_sync, with_destination
from support.sshd import Sshd, server
from support.stage_config import write_offsite_config

__all__ = ["server"]

COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "collections"


@pytest.fixture
def settings(server: Sshd, tmp_path: Path) -> SyncSettings:
    access: dict[str, object] = {"connect_seconds": 5, "time_limit": 60}
    return gated_sync(server, tmp_path, access, retry_seconds=0.05)


def test_bandwidth(settings: SyncSettings) -> None:
    """2,000,000 bytes at 500 KiB/s take 3.9 s; without a limit much less."""
    tree = Path(settings.backup_path)
    took = {}
    for limit in (None, 500):
        add_backup(tree, "weekly", 100 + (limit or 0), size=2_000_000)
        result = sync.sync(with_destination(settings, bandwidth_kbps=limit))
        assert result.status == "ok", result
        took[limit] = result.seconds
    print(f"2 MB: {took[None]:.1f} s without a limit, {took[500]:.1f} s with 500 KiB/s")
    assert took[500] - took[None] / 2 > 3.2 and took[None] < took[500]


def test_time_limit_and_resume(settings: SyncSettings) -> None:
    """A try that takes too long is ended; the next run goes on from what had arrived."""
    add_backup(Path(settings.backup_path), "weekly", 100, size=4_000_000)
    slow = dataclasses.replace(
        with_destination(settings, bandwidth_kbps=500, time_limit=4), tries=1
    )
    began = time.monotonic()
    result = sync.sync(slow)
    took = time.monotonic() - began
    assert (result.status, result.kind, result.exit_code) == ("failed", "time_limit", 2), result
    assert "time limit of 4 s" in result.message and took < 12
    again = sync.sync(settings)
    print(f"ended after {took:.1f} s; the next run sends {again.bytes_sent} of 4000000 bytes")
    assert again.status == "ok" and again.bytes_sent < 3_500_000
    assert in_sync(settings, full=True)


def test_pauses_grow_and_vary(settings: SyncSettings) -> None:
    """Three tries; the second pause is three times the first, and each is varied by half."""
    gaps = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        came: list[float] = []

        def hang_up() -> None:
            while True:
                try:
                    talk, _address = listener.accept()
                except OSError:
                    return
                came.append(time.monotonic())
                talk.close()

        threading.Thread(target=hang_up, daemon=True).start()
        settings = dataclasses.replace(
            with_destination(settings, port=listener.getsockname()[1]), retry_seconds=0.5
        )
        for _round in range(2):
            came.clear()
            result = sync.sync(settings)
            assert (result.status, result.kind, result.attempts) == ("failed", "cut", 3), result
            # The first also begins to log in for rsync, which ends when that command fails.
            assert len(came) in (3, 4)
            tries = came[-3:]
            gaps.append([second - first for first, second in zip(tries, tries[1:], strict=False)])
        listener.shutdown(socket.SHUT_RDWR)
    print(f"pauses, with what a try itself takes: {gaps}")
    for first, second in gaps:
        assert 0.25 <= first < 2.5 and 0.75 <= second < 4.5
    assert abs(gaps[0][0] - gaps[1][0]) > 0.001 or abs(gaps[0][1] - gaps[1][1]) > 0.001


def command(settings: SyncSettings, root: Path) -> list[str]:
    config = write_offsite_config(root, settings, bandwidth_kbps=1000, language="en")
    module = "ansible_collections.chefwell.resilience.plugins.module_utils.host_cli"
    return [sys.executable, "-m", module, "sync-backups-offsite", "--config", str(config)]


def test_progress_on_a_terminal_and_nowhere_else(settings: SyncSettings, tmp_path: Path) -> None:
    add_backup(Path(settings.backup_path), "weekly", 100, size=1_500_000)
    line = command(settings, tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=terminal
    ) as running:
        os.close(terminal)
        shown = b""
        while running.poll() is None or select.select([controller], [], [], 0)[0]:
            if select.select([controller], [], [], 0.1)[0]:
                try:
                    shown += os.read(controller, 4096)
                except OSError:  # the other end of a terminal is closed
                    break
        assert running.wait(30) == 0
    os.close(controller)
    steps = [int(word) for word in shown.decode().replace("%", " ").split() if word.isdigit()]
    print(f"on a terminal: {steps}")
    assert b"\rsending" in shown and len(steps) > 3
    assert steps == sorted(steps) and steps[-1] == 100

    add_backup(Path(settings.backup_path), "weekly", 120, size=500_000)
    done = subprocess.run(line, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    assert b"%" not in done.stdout
