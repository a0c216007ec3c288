"""How often a sync and a verification log in, and that a login made ahead changes nothing.

A login costs a key exchange: more than a small sync's work on a fast line, and six times the way
on a slow one. A server that bans who logs in too often counts them, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
    transport_account,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from support.backup_trees import add_backup, contents
from support.offsite_client import gated_sync
from support.sshd import Sshd, server
from support.waiting import wait_for

__all__ = ["server"]

Counted = Callable[[Callable[[], Any]], tuple[Any, int]]


@pytest.fixture(params=["restricted", "account"])
def settings(request: pytest.FixtureRequest, server: Sshd, tmp_path: Path) -> SyncSettings:
    access: dict[str, object] = {"connect_seconds": 5, "time_limit": 30}
    found = gated_sync(server, tmp_path, access, retry_seconds=0.05, tries=1)
    return found if request.param == "restricted" else as_account(found, server)


def as_account(settings: SyncSettings, server: Sshd) -> SyncSettings:
    """The same to an account that runs any command."""
    server.authorized_keys.write_text(Path(f"{server.key}.pub").read_text())
    destination = dataclasses.replace(settings.transport.destination, mode="account")
    return dataclasses.replace(settings, transport=AccountTransport(destination))


@pytest.fixture
def counted(server: Sshd) -> Counted:
    """The value of a call, and the number of logins meanwhile."""

    def logins() -> int:
        return (server.root / "sshd.log").read_text().count("Accepted publickey")

    def count(action: Callable[[], Any]) -> tuple[Any, int]:
        before = logins()
        return action(), logins() - before

    return count


@pytest.fixture
def gate(settings: SyncSettings) -> bool:
    return settings.transport.destination.mode == "restricted"


def test_each_login_has_its_purpose(settings: SyncSettings, gate: bool, counted: Counted) -> None:
    first, logins = counted(lambda: sync.sync(settings))
    # The list, and rsync; then behind the gate the commit of the copy, and in an account a list of
    # what has arrived.
    assert (first.status, first.files_sent, logins) == ("ok", 14, 3)
    nothing, logins = counted(lambda: sync.sync(settings))
    assert (nothing.status, nothing.files_sent, logins) == ("ok", 0, 1)
    add_backup(Path(settings.backup_path), "daily", -0.01)
    one, logins = counted(lambda: sync.sync(settings))
    assert (one.status, one.files_sent, logins) == ("ok", 1, 3)
    for full, known in ((True, (15, 0)), (False, (0, 15))):
        verification, logins = counted(
            lambda full=full: offsite_verification.verify(settings, full=full)
        )
        assert verification["comparison"]["in_sync"] and logins == 1
        digests = verification["digests"]["remote"]
        assert (digests["read"], digests["cached"]) == known


@pytest.mark.parametrize("settings", ["restricted"], indirect=True)
def test_an_older_gate_gets_two_logins(
    settings: SyncSettings, counted: Counted, server: Sshd
) -> None:
    """A gate that ends after the list, whatever else is requested."""
    assert sync.sync(settings).status == "ok"
    line = server.authorized_keys.read_text()
    older = 'command="SSH_ORIGINAL_COMMAND=\\"${SSH_ORIGINAL_COMMAND% --digest}\\" exec env '
    server.authorized_keys.write_text(line.replace('command="env ', older))
    verification, logins = counted(lambda: offsite_verification.verify(settings, full=True))
    assert verification["comparison"]["in_sync"] and logins == 2
    assert verification["digests"]["remote"]["read"] == 14


def test_a_refusal_ends_the_login_made_ahead_and_nothing_was_sent(
    settings: SyncSettings, server: Sshd
) -> None:
    assert sync.sync(settings).status == "ok"
    for file in server.backups.glob("*/*.gz"):
        file.unlink()
    add_backup(Path(settings.backup_path), "daily", -0.01)
    result = sync.sync(settings)
    assert result.status == "refused" and not result.sent
    wait_for(lambda: not server.children())
    assert not [path for path in contents(server.backups) if path.endswith(".gz")]


def test_a_login_that_took_the_server_for_a_newer_one_is_made_again(
    settings: SyncSettings, gate: bool, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose rsync does not know `--fsync`; a mock, for there is no such rsync here."""
    monkeypatch.setattr(transport_account, "_DURABLE_FROM", (99,))
    monkeypatch.setattr(transport_account.rsync, "local_version", lambda: (99,))
    first, logins = counted(lambda: sync.sync(settings))
    assert (first.status, first.files_sent) == ("ok", 14)
    # The one that was made ahead may be ended before the server has accepted it.
    assert logins <= (3 if gate else 4)
    assert first.attempts == 1 and offsite_verification.verify(settings)["comparison"]["in_sync"]
