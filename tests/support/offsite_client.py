"""The client's side of an offsite copy to a test server: destination, settings, comparison."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.ssh import Destination
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)

from support.backup_trees import contents, plan_tree
from support.sshd import COLLECTIONS, Sshd


def destination_on(server: Sshd, **options: object) -> Destination:
    """The destination of a client that logs in with the server's one key.

    Args:
        server: the server; its folder `backups` takes the copies.
        options: fields of the destination that differ from their defaults.
    """
    return Destination(
        host=server.address,
        port=server.port,
        user=server.user,
        path=str(server.backups),
        key_file=str(server.key),
        known_hosts_file=str(server.known_hosts),
        **options,
    )


def with_destination(settings: SyncSettings, **options: object) -> SyncSettings:
    """The same settings with some fields of the destination changed."""
    destination = dataclasses.replace(settings.transport.destination, **options)
    return dataclasses.replace(settings, transport=type(settings.transport)(destination))


def gated_sync(
    server: Sshd, root: Path, options: dict[str, object], **settings: object
) -> SyncSettings:
    """The plan's tree, and an empty copy of its own behind the server's gate.

    Args:
        server: a running server.
        root: the folder in which tree, copy and state are made.
        options: fields of the destination that differ from their defaults.
        settings: fields of the sync's settings that differ from their defaults.
    """
    server.backups = root / "copy"
    server.backups.mkdir()
    server.install_gate()
    destination = destination_on(server, mode="restricted", **options)
    tree = plan_tree(root / "backups")
    return SyncSettings(GateTransport(destination), str(tree), str(root / "state"), **settings)


def remote_sync(server: Sshd, copy: Path, root: Path, **gate: object) -> SyncSettings:
    """The plan's tree, and a copy behind the gate of a server that is another host.

    Args:
        server: a running server.
        copy: an existing folder on the server.
        root: the client's folder; the plan's tree is made in it unless there is one.
        gate: keys of the gate's configuration.
    """
    server.backups = copy
    server.install_gate(**gate)
    destination = destination_on(
        server, connect_seconds=3, silence_seconds=4, time_limit=40, mode="restricted"
    )
    tree = root / "backups"
    if not tree.exists():
        plan_tree(tree)
    return SyncSettings(
        GateTransport(destination), str(tree), str(root / "state"), retry_seconds=0.05
    )


def account_sync(settings: SyncSettings, server: Sshd) -> SyncSettings:
    """The same client in an account that the server does not restrict; its key opens it."""
    key = (server.root / "client_key.pub").read_text()
    server.authorized_keys.write_text(f"restrict {key}")
    destination = dataclasses.replace(settings.transport.destination, mode="account")
    return dataclasses.replace(settings, transport=AccountTransport(destination))


def start_sync(settings: SyncSettings) -> subprocess.Popen[str]:
    """Start a sync in a process of its own, which can be killed; it prints the result's message."""
    code = (
        "import pickle, sys; sys.path.insert(0, sys.argv[1]);"
        f"from {sync.__package__} import sync;"
        "print(sync.sync(pickle.loads(bytes.fromhex(sys.argv[2]))).message)"
    )
    line = [sys.executable, "-c", code, str(COLLECTIONS), pickle.dumps(settings).hex()]
    return subprocess.Popen(line, text=True, stdout=subprocess.PIPE)


def backups_of(copy: Path) -> dict[str, bytes]:
    """The files of a copy by relative path, without the server's bookkeeping."""
    return contents(copy, without=".chefwell")


def copied_backups(server: Sshd) -> dict[str, bytes]:
    """The files of the server's copy by relative path, without the server's bookkeeping."""
    return backups_of(server.backups)


def in_sync(settings: SyncSettings, *, full: bool = False) -> bool:
    """Whether a verification finds both sides equal; `full`: by reading every byte anew."""
    return bool(offsite_verification.verify(settings, full=full)["comparison"]["in_sync"])
