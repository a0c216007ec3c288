"""Sealed copies and sealed backups under kills (rows B13, C11): a real sshd, pg_dump and age."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support import backup_command
from support.sealed_client import sealed_client
from support.sealed_kills import killed_syncs
from support.sealed_tree import killed_dumps, sealed_tree, with_customers
from support.sshd import Sshd, server
from support.thorough import rounds

__all__ = ["server"]


def test_b13_a_sealed_sync_killed(fault, server: Sshd, tmp_path: Path) -> None:
    number = rounds(1, 50)
    fault.cause(f"SIGKILL to {2 * number} syncs that seal, at random moments")
    for kind in ("gate", "account"):
        with sealed_client(kind, server, tmp_path / kind) as client:
            wrong = killed_syncs(client, number, f"faults {kind}")
            fault.see(
                f"{kind}: {len(wrong)} of {number} not ended by the next sync", holds=not wrong
            )


def test_c11_a_run_that_seals_killed(
    fault, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capfd
) -> None:
    chosen = random.Random("faults c11")
    moments = [chosen.uniform(0, 0.6) for _number in range(rounds(2, 100))]
    fault.cause(f"SIGKILL to {len(moments)} runs that dump and seal, at random moments")
    tmp_path.chmod(0o755)
    with backup_command.running_server(tmp_path_factory.mktemp("c11")) as database:
        tree = sealed_tree(backup_command.Tree(tmp_path, with_customers(database), capfd))
        wrong = killed_dumps(tree, moments)
    fault.see(f"{len(wrong)} of {len(moments)} left something wrong: {wrong[:3]}", holds=not wrong)
