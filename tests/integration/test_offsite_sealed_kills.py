"""A sealed sync killed at any moment: nothing is lost, and the next one ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.sealed_client import let_read, sealed_client
from support.sealed_kills import killed_syncs
from support.sshd import Sshd, server

__all__ = ["server"]


@pytest.mark.parametrize("kind", ["gate", "account"])
def test_a_killed_sync_is_ended_by_the_next_one(kind: str, server: Sshd, tmp_path: Path) -> None:
    with sealed_client(kind, server, tmp_path) as client:
        assert killed_syncs(client, 2, kind) == []
        if kind == "gate":
            let_read(server)
        last = client.sync_settings().transport.last_link
        fresh = client.new_host(tmp_path / "fresh", last_link=last)
        newest = max(path.name for path in client.tree.glob("*/*.gz"))
        assert fresh.fetch(tmp_path / "there").name == newest
