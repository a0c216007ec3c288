"""A sealed sync killed at any moment: nothing is lost, and the next one ends it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.backup_trees import add_backup, plan_tree
from support.sealed_client import SealedClient, let_read, sealed_client
from support.sshd import COLLECTIONS, ENGINE, Sshd, server
from support.thorough import rounds

__all__ = ["server"]

COMMAND = [sys.executable, "-m", f"{ENGINE}.host_cli", "sync-backups-offsite", "--json"]


def started(client: SealedClient) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--config", str(client.config_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        start_new_session=True,
    )


@pytest.mark.parametrize("kind", ["gate", "account"])
def test_a_killed_sync_is_ended_by_the_next_one(kind: str, server: Sshd, tmp_path: Path) -> None:
    with sealed_client(kind, server, tmp_path) as client:
        plan_tree(client.tree)
        for tier in ("daily", "weekly"):
            add_backup(client.tree, tier, -0.01, size=6 << 20)
        began = time.monotonic()
        first = started(client)
        output, errors = first.communicate(timeout=120)
        assert first.returncode == 0, errors
        assert json.loads(output)["files_sent"] == 16
        lasts = time.monotonic() - began
        chosen = random.Random(kind)
        for number in range(rounds(2, 50)):
            new = add_backup(client.tree, "daily", -0.02 - number / 1000, size=3 << 20)
            oldest = min((client.tree / "daily").glob("*.gz"))
            oldest.unlink()
            running = started(client)
            time.sleep(chosen.uniform(0.2, 1) * lasts)
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
            result = client.sync()
            if result.status == "locked":  # its rsync ends a moment later
                time.sleep(1)
                result = client.sync()
            assert result.status in ("ok", "warning"), result
            assert f"daily/{new.name}.age" in client.copied()
            assert client.in_sync()
            assert not client.spool.exists()
        names = {str(path.relative_to(client.tree)) for path in client.tree.glob("*/*.gz")}
        held = client.copied()
        assert {f"{name}{end}" for name in names for end in (".age", ".link")} == set(held)
        if kind == "gate":
            let_read(server)
        last = client.sync_settings().transport.last_link
        fresh = client.new_host(tmp_path / "fresh", last_link=last)
        newest = max(path.name for path in client.tree.glob("*/*.gz"))
        assert fresh.fetch(tmp_path / "there").name == newest
