"""An empty copy behind the gate of a real sshd, and the settings of a sync to it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.ssh import Destination
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_rsync import (
    GateTransport,
)

from support.offsite_parts import plan_tree
from support.sshd import Sshd


def gated(server: Sshd, root: Path, access: dict[str, object], **more: object) -> SyncSettings:
    """The plan's tree and an empty copy of its own behind the gate.

    Args:
        server: which runs.
        root: where tree, copy and memory are made.
        access: of the destination, beside what leads to it.
        more: of the sync's settings.
    """
    server.backups = root / "copy"
    server.backups.mkdir()
    server.guard()
    destination = Destination(
        host="127.0.0.1",
        port=server.port,
        user=server.user,
        path=str(server.backups),
        key_file=str(server.key),
        known_hosts_file=str(server.known_hosts),
        mode="restricted",
        **access,
    )
    tree = plan_tree(root / "backups")
    return SyncSettings(GateTransport(destination), str(tree), str(root / "state"), **more)
