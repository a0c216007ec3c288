"""A client that seals its copies: keys, configuration, and the server's folder by any transport."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.common import settings
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    destinations,
    offsite_fetch,
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_config import (
    OffsiteSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncResult,
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import age, keys
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.seal_settings import (
    SealSettings,
)

from support.offsite_client import destination_on
from support.rclone_server import configuration, serving
from support.sshd import Sshd


class SealedClient:
    """A host with a backup tree, a destination, and the owner's offline key in another folder.

    Args:
        root: its folder; `backups` in it is the tree.
        destination: as the configuration names it.
        copy: the server's folder.

    Attributes:
        offline: file of the owner's offline identity, which the host does not use.
        config_file: of stage 2.
        options: of stage 2; `write` takes changes over.
    """

    def __init__(self, root: Path, destination: dict[str, Any], copy: Path) -> None:
        self.root = root
        self.copy = copy
        self.tree = root / "backups"
        self.offline = root / "owner" / "offline.key"
        self.offline.parent.mkdir(mode=0o700)
        secret, self.recipient = age.new_identity()
        self.offline.write_text(f"{secret}\n")
        self.offline.chmod(0o600)
        self.config_file = root / "etc" / "offsite.json"
        self.config_file.parent.mkdir()
        self.options: dict[str, Any] = {
            "config_dir": str(self.config_file.parent),
            "state_dir": str(root / "state"),
            "log_file": str(root / "sync.log"),
            "backup_path": str(self.tree),
            "language": "en",
            "wait_minutes": 0,
            "destinations": [{"tries": 2, "retry_seconds": 0.1, **destination}],
            "seal": {"recipients": [self.recipient], "untested": True},
        }
        self.write()
        self.set_up_keys()

    @property
    def keys_folder(self) -> Path:
        """The folder of the host's keys."""
        return self.config_file.parent / "sealing"

    @property
    def ledger_file(self) -> Path:
        """The ledger of the copy."""
        return Path(self.options["state_dir"], "offsite-sealed.jsonl")

    @property
    def spool(self) -> Path:
        """The spool folder of the copy."""
        return Path(self.options["state_dir"], "sealing")

    def write(self, **changes: Any) -> None:
        """Write the configuration with changes."""
        self.options.update(changes)
        self.config_file.write_text(json.dumps(self.options))

    def set_up_keys(self) -> None:
        """Make the host's keys, as the role does."""
        if self.options["seal"]:
            keys.set_up(str(self.keys_folder), SealSettings(**self.options["seal"]))

    def sync_settings(self) -> SyncSettings:
        """The settings of one sync, with the ledger as it is now."""
        loaded = settings.load(str(self.config_file), OffsiteSettings)
        return destinations.syncs(loaded)[0]

    def sync(self, **options: Any) -> SyncResult:
        """Run one sync."""
        return sync.sync(self.sync_settings(), **options)

    def verify(self, *, full: bool = False) -> dict[str, Any]:
        """Run one verification."""
        return offsite_verification.verify(self.sync_settings(), full=full)

    def in_sync(self) -> bool:
        """Whether a verification that reads everything finds both sides equal."""
        return bool(self.verify(full=True)["comparison"]["in_sync"])

    def fetch(self, to: Path, **which: Any) -> Path:
        """Fetch one backup, the newest; return its path."""
        to.mkdir(exist_ok=True)
        transport = offsite_fetch.transport(str(self.config_file))
        return Path(offsite_fetch.fetch(transport, str(to), **which).path)

    def new_host(self, root: Path, **seal: Any) -> SealedClient:
        """A fresh host that knows the server, the offline key and the public key that signed."""
        other = SealedClient.__new__(SealedClient)
        root.mkdir()
        other.__dict__.update(self.__dict__)
        other.root, other.tree = root, root / "backups"
        other.config_file = root / "etc" / "offsite.json"
        other.config_file.parent.mkdir()
        offline = root / "offline.key"
        offline.write_bytes(self.offline.read_bytes())
        offline.chmod(0o600)
        signers = [(self.keys_folder / "signing.pub").read_text().strip()]
        other.options = {
            **self.options,
            "config_dir": str(other.config_file.parent),
            "state_dir": str(root / "state"),
            "backup_path": str(other.tree),
            "seal": {"identity_files": [str(offline)], "signers": signers, **seal},
        }
        other.write()
        return other

    def copied(self) -> dict[str, bytes]:
        """The files in the tiers of the server's folder, by path."""
        return {
            str(path.relative_to(self.copy)): path.read_bytes()
            for tier in ("daily", "weekly", "monthly")
            for path in sorted((self.copy / tier).glob("*"))
            if path.is_file()
        }


@contextlib.contextmanager
def sealed_client(kind: str, server: Sshd, root: Path) -> Iterator[SealedClient]:
    """A client of a destination: `gate`, `account`, or of rclone `sftp`, `webdav` or `s3`.

    Args:
        kind: of the destination.
        server: a running sshd, for `gate` and `account`.
        root: the client's folder; the copy is made in it.
    """
    copy = root / "far" / "copy"
    copy.mkdir(parents=True)
    if kind in ("gate", "account"):
        server.backups = copy
        if kind == "gate":
            server.install_gate()
        else:
            key = (server.root / "client_key.pub").read_text()
            server.authorized_keys.write_text(f"restrict {key}")
        reached = dataclasses.asdict(destination_on(server, connect_seconds=5, time_limit=60))
        mode = "restricted" if kind == "gate" else "account"
        yield SealedClient(root, {**reached, "bandwidth_kbps": 0, "mode": mode}, copy)
        return
    with serving(kind, root / "far") as remote:
        file = configuration(root, remote)
        destination = {
            "transport": "rclone",
            "rclone_remote": "there:copy",
            "rclone_config_file": str(file),
            "time_limit": 60,
        }
        yield SealedClient(root, {**destination, "bandwidth_kbps": 0}, copy)


def let_read(server: Sshd) -> None:
    """Let the server's key read through the gate, as a reading key may."""
    server.install_gate("read")


def walk_text(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below a folder with its content."""
    for base, _folders, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()
