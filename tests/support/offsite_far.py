"""What the rows of the offsite copy share: the server as another host, with its gate and a copy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.ssh import (
    Destination,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_rsync import (
    GateTransport,
)

from support.far_host import FarHost
from support.offsite_parts import contents, plan_tree
from support.sshd import Sshd


@pytest.fixture(scope="module")
def net() -> Iterator[FarHost]:
    """Another host."""
    made = FarHost()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def server(net: FarHost) -> Iterator[Sshd]:
    """Its sshd."""
    made = Sshd(net.address, net.inside)
    made.start()
    yield made
    made.remove()


def settings_for(server: Sshd, copy: Path, root: Path, **gate: object) -> SyncSettings:
    """A host with the plan's tree below `root`, whose copy on the server is `copy`."""
    server.backups = copy
    server.guard(**gate)
    destination = Destination(
        host=server.address,
        port=server.port,
        user=server.user,
        path=str(copy),
        key_file=str(server.key),
        known_hosts_file=str(server.known_hosts),
        connect_seconds=3,
        silence_seconds=4,
        time_limit=40,
        mode="restricted",
    )
    tree = root / "backups"
    if not tree.exists():
        plan_tree(tree)
    return SyncSettings(
        GateTransport(destination), str(tree), str(root / "state"), retry_seconds=0.05
    )


@pytest.fixture
def settings(server: Sshd, tmp_path: Path) -> SyncSettings:
    """Nothing was sent yet."""
    (tmp_path / "copy").mkdir()
    return settings_for(server, tmp_path / "copy", tmp_path)


@pytest.fixture
def tree(settings: SyncSettings) -> Path:
    """The host's backups."""
    return Path(settings.backup_path)


@pytest.fixture
def copied(settings: SyncSettings) -> SyncSettings:
    """Everything was sent once."""
    assert sync.sync(settings).status == "ok"
    return settings


def other(settings: SyncSettings, **values: object) -> SyncSettings:
    """The settings with other values for the destination."""
    destination = dataclasses.replace(settings.transport.destination, **values)
    return dataclasses.replace(settings, transport=GateTransport(destination))


def held(copy: Path) -> dict[str, bytes]:
    """The backups of a copy, without what the server keeps of its own."""
    found = contents(copy)
    return {path: body for path, body in found.items() if not path.startswith(".chefwell/")}


def mirror(server: Sshd) -> dict[str, bytes]:
    """As `held`, of the server's copy."""
    return held(server.backups)


def in_sync(settings: SyncSettings) -> bool:
    """Whether a verification that reads everything finds both sides equal."""
    return bool(offsite_verification.verify(settings, full=True)["comparison"]["in_sync"])
