"""Sealing and sending side by side: several transfers, one commit, a spool with a bound."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    sealed_sending,
    ssh,
)
from support.backup_trees import plan_tree
from support.gated_backup_server import store
from support.sealed_client import SealedClient, sealed_client
from support.sshd import Sshd, server
from support.waiting import wait_for

__all__ = ["server"]

MB = 1 << 20


@pytest.fixture
def client(server: Sshd, tmp_path: Path) -> Iterator[SealedClient]:
    with sealed_client("gate", server, tmp_path) as made:
        plan_tree(made.tree)
        for number, path in enumerate(sorted(made.tree.glob("*/*.gz"))):
            path.write_bytes(os.urandom(MB + number))
        yield made


def test_three_transfers_share_one_commit(
    client: SealedClient, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_sending, "FIRST_BATCH_BYTES", MB)
    monkeypatch.setattr(sealed_sending, "BATCH_BYTES", 5 * MB)
    done = client.sync()
    assert (done.status, done.files_sent, done.attempts) == ("ok", 14, 1), done
    log = (server.root / "sshd.log").read_text()
    logins = log.count("Accepted publickey")
    # The list and the commit, and a login for each transfer of at most five backups.
    assert 2 + 3 <= logins <= 2 + 14 + 1, logins
    assert client.in_sync() and not client.spool.exists()
    # What a killed sync left goes, also where nothing is new.
    left = client.spool / "daily" / "chefwell_backup_20250101_030000.dump.gz.age"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"left by a killed sync")
    assert client.sync().files_sent == 0 and not client.spool.exists()


def test_what_waits_in_the_spool_has_a_bound(
    client: SealedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_sending, "FIRST_BATCH_BYTES", MB)
    monkeypatch.setattr(sealed_sending, "BATCH_BYTES", 3 * MB)
    spool = client.sync_settings().transport.spool
    names = sorted(str(path.relative_to(client.tree)) for path in client.tree.glob("*/*.gz"))
    seen: list[str] = []
    with sealed_sending.Sealer(spool, str(client.tree), names) as sealer:
        while items := sealer.take():
            time.sleep(0.3)  # a slow line
            held = sum(path.stat().st_size for path in client.spool.rglob("*.age"))
            assert held < 8 * MB, "at most one transfer, and what is ready for the next"
            seen += [item.path for item in items]
            spool.remove(items)
    assert seen == names and sealer.is_done and sealer.error is None


def test_one_that_cannot_be_sealed_holds_up_no_other(client: SealedClient) -> None:
    """The name of the sealed one would be too long; or it is a folder by now."""
    ending = "_20250101_030000.dump.gz"
    long = client.tree / "daily" / ("x" * (255 - len(ending)) + ending)
    long.write_bytes(os.urandom(2000))
    for _night in range(2):
        result = client.sync()
        assert result.status == "warning", result
        assert any("not sealed and not sent" in str(one) for one in result.warnings), result
    assert len([name for name in client.copied() if name.endswith(".gz.age")]) == 14
    assert client.verify()["comparison"]["missing"] == [f"daily/{long.name}"]
    spool = client.sync_settings().transport.spool
    (client.tree / "daily" / f"folder{ending}").mkdir()
    names = [f"daily/folder{ending}", f"daily/{long.name}", f"daily/gone{ending}"]
    with sealed_sending.Sealer(spool, str(client.tree), names) as sealer:
        assert sealer.take() == []
    assert list(sealer.left_out) == names[:2] and sealer.error is None


def test_an_error_of_sealing_ends_it_after_what_is_sealed(client: SealedClient) -> None:
    spool = client.sync_settings().transport.spool
    names = sorted(str(path.relative_to(client.tree)) for path in client.tree.glob("*/*.gz"))
    (client.keys_folder / "recipients").write_text("nothing\n")
    with sealed_sending.Sealer(spool, str(client.tree), names) as sealer:
        assert sealer.take() == []
    assert isinstance(sealer.error, ResilienceError)


def test_a_second_login_leaves_alone_what_the_first_one_receives(
    client: SealedClient, server: Sshd
) -> None:
    """A file of rsync's that is complete and not renamed yet looks like one of a killed rsync."""
    assert client.sync().status == "ok"
    destination = client.sync_settings().transport.inner.destination
    receive = "rsync --server -te.iLsfxC --partial-dir .rsync-partial . incoming/"
    line = [*ssh.command(destination), "-l", destination.user, "--", destination.host, receive]
    folder = Path(store(server).incoming, "daily")
    folder.mkdir(exist_ok=True)
    name = next((client.tree / "daily").glob("*.gz")).name
    temporary = folder / f".{name}.age.AbC123"

    def receiving() -> subprocess.Popen[bytes]:
        running = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ssh.environment()
        )
        assert running.stdout.read(1)  # rsync's greeting: the gate has done its part
        return running

    def end(running: subprocess.Popen[bytes]) -> None:
        running.communicate()
        wait_for(lambda: not server.children())

    first = receiving()
    temporary.write_bytes(b"complete")
    second = receiving()
    assert temporary.exists()
    second.communicate()
    end(first)
    assert temporary.exists()
    end(receiving())
    assert not temporary.exists()
    assert (folder / ".rsync-partial" / f"{name}.age").read_bytes() == b"complete"
