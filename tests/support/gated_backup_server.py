"""Fixtures: a client of a gated backup server on this host, and an attacker who has its key."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    server_store,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server.server_settings import (
    ServerSettings,
)

from support.offsite_client import gated_sync
from support.sshd import Sshd


@pytest.fixture
def settings(server: Sshd, tmp_path: Path) -> SyncSettings:
    """A client with the plan's tree, and an empty copy behind the gate."""
    access: dict[str, object] = {"connect_seconds": 5, "time_limit": 30}
    return gated_sync(server, tmp_path, access, retry_seconds=0.05)


@pytest.fixture
def tree(settings: SyncSettings) -> Path:
    """The client's backups."""
    return Path(settings.backup_path)


@pytest.fixture
def copied(settings: SyncSettings) -> SyncSettings:
    """The same client after one complete sync."""
    result = sync.sync(settings)
    assert (result.status, result.files_sent, result.attempts) == ("ok", 14, 1), result
    return settings


def store(server: Sshd) -> server_store.Store:
    """The server's own view of the copy, with default settings."""
    return server_store.Store(ServerSettings(root=str(server.backups)))


class Attacker:
    """An attacker who has the key, and every option of ssh and rsync.

    Args:
        settings: of the client whose key it is.
        server: the backup server.

    Attributes:
        account: user and host, as rsync names them.
    """

    def __init__(self, settings: SyncSettings, server: Sshd) -> None:
        self.server = server
        destination = settings.transport.destination
        self.ssh = ["ssh", "-F", "none", "-p", str(server.port), "-i", str(server.key)]
        for option in ("StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes"):
            self.ssh += ["-o", option]
        self.ssh += ["-o", f"UserKnownHostsFile={server.known_hosts}"]
        self.account = f"{destination.user}@127.0.0.1"

    def run(
        self, *command: str, options: tuple[str, ...] = (), input: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Send a command over ssh, with more options of ssh and a standard input."""
        return subprocess.run(
            [*self.ssh, *options, self.account, *command],
            input=input,
            capture_output=True,
            timeout=20,
            check=False,
        )

    def rsync(self, *arguments: str, rsh: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run rsync with these arguments; `rsh` replaces ssh."""
        shell = rsh or shlex.join(self.ssh)
        return subprocess.run(
            ["rsync", "--rsh", shell, *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def commit(self, files: dict[str, bytes], **more: object) -> subprocess.CompletedProcess[bytes]:
        """Announce files by path and content, with more keys of the announcement."""
        listed = {
            path: [hashlib.sha256(content).hexdigest(), len(content)]
            for path, content in files.items()
        }
        values = {"files": listed, "unread": [], "in_progress": [], **more}
        return self.run("chefwell-commit", input=json.dumps(values).encode())


@pytest.fixture
def attacker(settings: SyncSettings, server: Sshd) -> Attacker:
    """An attacker, and a copy as a sync would leave it."""
    for tier in settings.tiers:
        shutil.copytree(Path(settings.backup_path, tier), server.backups / tier)
    return Attacker(settings, server)
