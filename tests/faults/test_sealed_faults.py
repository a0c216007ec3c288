"""Sealed copies under kills (row B13), on a real sshd."""

from __future__ import annotations

from pathlib import Path

from support.sealed_client import sealed_client
from support.sealed_kills import killed_syncs
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
