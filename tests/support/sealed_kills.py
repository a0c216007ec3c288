"""Sealed syncs that are killed at random moments, and what the next sync makes of them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

from support.backup_trees import add_backup, plan_tree
from support.sealed_client import SealedClient
from support.sshd import COLLECTIONS, ENGINE

COMMAND = [sys.executable, "-m", f"{ENGINE}.host_cli", "sync-backups-offsite", "--json"]


def started(client: SealedClient) -> subprocess.Popen[str]:
    """Start a sync in a process of its own, as cron does."""
    return subprocess.Popen(
        [*COMMAND, "--config", str(client.config_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        start_new_session=True,
    )


def killed_syncs(client: SealedClient, number: int, seed: str) -> list[str]:
    """Kill a sync a night, at a random moment; return what the next sync left wrong.

    Args:
        client: without a tree; it gets the plan's.
        number: of nights. In each a backup comes and the oldest goes.
        seed: of the moments.
    """
    plan_tree(client.tree)
    for tier in ("daily", "weekly"):
        add_backup(client.tree, tier, -0.01, size=6 << 20)
    began = time.monotonic()
    first = started(client)
    output, errors = first.communicate(timeout=300)
    assert first.returncode == 0, errors
    assert json.loads(output)["files_sent"] == 16
    lasts = time.monotonic() - began
    chosen, wrong = random.Random(seed), []
    for night in range(number):
        new = add_backup(client.tree, "daily", -0.02 - night / 1000, size=3 << 20)
        min((client.tree / "daily").glob("*.gz")).unlink()
        running = started(client)
        moment = chosen.uniform(0.2, 1) * lasts
        time.sleep(moment)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        result = client.sync()
        for _attempt in range(10):
            if result.status != "locked":
                break
            time.sleep(1)  # its rsync ends a moment later
            result = client.sync()
        held = client.copied()
        names = {str(path.relative_to(client.tree)) for path in client.tree.glob("*/*.gz")}
        complete = {f"{name}{end}" for name in names for end in (".age", ".link")} == set(held)
        fine = result.status in ("ok", "warning") and f"daily/{new.name}.age" in held and complete
        if not fine or not client.in_sync() or client.spool.exists():
            odd = sorted(
                {f"{name}{end}" for name in names for end in (".age", ".link")} ^ set(held)
            )
            wrong.append(
                f"night {night}, killed after {moment:.2f} s: {odd}, in sync {client.in_sync()}, "
                f"spool {client.spool.exists()}: {result}"
            )
    return wrong
