"""Failed logins to the backup server (row B12): each cause has a message of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import sync
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from support.offsite_client import copied_backups, remote_sync, with_destination
from support.remote_backup_server import remote_host
from support.remote_host import RemoteHost
from support.sshd import Sshd, make_key
from testbed.services import free_port

__all__ = ["remote_host"]


def _locked_key(settings: SyncSettings, server: Sshd) -> SyncSettings:
    make_key(server.root / "locked", "secret words")
    return with_destination(settings, key_file=str(server.root / "locked"))


def _no_key(settings: SyncSettings, server: Sshd) -> SyncSettings:
    server.authorized_keys.write_text("")
    return settings


def _down(settings: SyncSettings, server: Sshd) -> SyncSettings:
    return with_destination(settings, port=free_port())


def _foreign_user(settings: SyncSettings, server: Sshd) -> SyncSettings:
    return with_destination(settings, user="nobody-here")


def _too_many(settings: SyncSettings, server: Sshd) -> SyncSettings:
    """None of them is let in, and each costs one of the tries that sshd grants."""
    server.authorized_keys.write_text("")
    extra = []
    for number in range(2):
        make_key(server.root / f"extra{number}")
        extra.append(f"IdentityFile={server.root}/extra{number}")
    return with_destination(settings, ssh_options=tuple(extra))


@pytest.mark.parametrize(
    ("what", "change", "kind", "expected"),
    [
        ("a key with a passphrase", _locked_key, "key", "passphrase"),
        ("another user", _foreign_user, "permission_denied", "does not accept the key"),
        ("an authorized_keys without the key", _no_key, "permission_denied", "does not accept"),
        ("more keys than sshd lets us try", _too_many, "too_many_keys", "too many keys"),
        ("nothing on the port", _down, "refused", "nothing listens"),
    ],
)
def test_b12_cannot_log_in(
    fault,
    remote_host: RemoteHost,
    tmp_path: Path,
    what: str,
    change: Callable[[SyncSettings, Sshd], SyncSettings],
    kind: str,
    expected: str,
) -> None:
    fault.cause(what)
    with strict_server(remote_host) as far:
        (tmp_path / "copy").mkdir()
        settings = remote_sync(far, tmp_path / "copy", tmp_path)
        result = sync.sync(change(settings, far))
        fault.see(
            f"{result.kind}: {result.message[:110]}",
            holds=result.kind == kind and expected in result.message and copied_backups(far) == {},
        )
        fault.see(f"remedy: {result.remedy[:110]}", holds=bool(result.remedy))


def test_b12_full_authorized_keys(fault, remote_host: RemoteHost, tmp_path: Path) -> None:
    fault.cause("3,000 keys stand before this one in authorized_keys")
    with strict_server(remote_host) as far:
        (tmp_path / "copy").mkdir()
        settings = remote_sync(far, tmp_path / "copy", tmp_path)
        local = far.authorized_keys.read_text()
        make_key(far.root / "another")
        line = (far.root / "another.pub").read_text()
        far.authorized_keys.write_text(line * 3000 + local)
        result = sync.sync(settings)
        fault.see(f"{result.status}: {result.message}", holds=result.status == "ok")


@contextlib.contextmanager
def strict_server(remote_host: RemoteHost) -> Iterator[Sshd]:
    """A server that lets a client try two keys only."""
    far = Sshd(remote_host.address, remote_host.inside)
    try:
        far.start("MaxAuthTries 2")
        yield far
    finally:
        far.remove()
