"""Fixtures: a backup server that is another host, and a client that copies to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import sync
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)

from support.offsite_client import remote_sync
from support.remote_host import RemoteHost
from support.sshd import Sshd


@pytest.fixture(scope="module")
def remote_host() -> Iterator[RemoteHost]:
    """Another host."""
    host = RemoteHost()
    yield host
    host.remove()


@pytest.fixture(scope="module")
def server(remote_host: RemoteHost) -> Iterator[Sshd]:
    """An sshd on that host."""
    server = Sshd(remote_host.address, remote_host.inside)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def settings(server: Sshd, tmp_path: Path) -> SyncSettings:
    """A client with the plan's tree, which has sent nothing yet."""
    (tmp_path / "copy").mkdir()
    return remote_sync(server, tmp_path / "copy", tmp_path)


@pytest.fixture
def tree(settings: SyncSettings) -> Path:
    """The client's backups."""
    return Path(settings.backup_path)


@pytest.fixture
def copied(settings: SyncSettings) -> SyncSettings:
    """The same client after one complete sync."""
    assert sync.sync(settings).status == "ok"
    return settings
