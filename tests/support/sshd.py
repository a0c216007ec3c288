"""A real sshd on a free port that plays the backup server; stopped by its process number."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed.services import free_port

from support.processes import descendants, kill

COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "collections"
ENGINE = "ansible_collections.chefwell.resilience.plugins.module_utils"


def make_key(path: Path, passphrase: str = "") -> None:
    """Make an SSH key pair: `path`, and `path` with `.pub` behind it."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)],
        check=True,
    )


class Sshd:
    """A server with one account, that of the tests, and one key that may log in.

    Args:
        address: where it listens.
        inside: words to put before the command, to run it on another host (`RemoteHost.inside`).

    Attributes:
        root: its folder, removed by `remove`.
        backups: the folder that takes the copies.
        key: the private key that may log in.
        authorized_keys: the account's file of that name.
        known_hosts: a file in which the server's host key is pinned.
    """

    def __init__(self, address: str = "127.0.0.1", inside: tuple[str, ...] = ()) -> None:
        self.address = address
        self.inside = inside
        self.root = Path(tempfile.mkdtemp(prefix="chefwell-sshd-"))
        self.root.chmod(0o755)
        self.port = free_port()
        self.user = getpass.getuser()
        self.backups = self.root / "backups"
        self.key = self.root / "client_key"
        self.authorized_keys = self.root / "authorized_keys"
        self.known_hosts = self.root / "known_hosts"
        self.process: subprocess.Popen[bytes] | None = None
        make_key(self.key)
        self.renew_host_key()
        self.pin_host_key()
        self.authorized_keys.write_text((self.root / "client_key.pub").read_text())

    def renew_host_key(self) -> None:
        """Replace the host key, as after a new installation; `start` loads it."""
        for name in ("host_key", "host_key.pub"):
            (self.root / name).unlink(missing_ok=True)
        make_key(self.root / "host_key")

    @property
    def host_key(self) -> str:
        """The host key as a line of known_hosts, as ssh-keyscan prints it."""
        return f"[{self.address}]:{self.port} {(self.root / 'host_key.pub').read_text()}"

    def pin_host_key(self) -> None:
        """Write the present host key into `known_hosts`."""
        self.known_hosts.write_text(self.host_key)

    def start(self, *settings: str) -> None:
        """Start sshd and return when it listens; `settings` are more lines of sshd_config."""
        # Privilege separation needs this folder; Debian makes it when its own sshd starts.
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = self.root / "sshd_config"
        lines = [
            f"Port {self.port}",
            f"ListenAddress {self.address}",
            f"HostKey {self.root}/host_key",
            f"AuthorizedKeysFile {self.authorized_keys}",
            f"PidFile {self.root}/pid",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            "MaxStartups 100",
            # bash reads the account's start-up file for a first shell under sshd, and what stands
            # there must not change a test.
            "SetEnv SHLVL=9",
            *settings,
        ]
        config.write_text("\n".join(lines) + "\n")
        with (self.root / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.inside, shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin") or "sshd"]
                + ["-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _attempt in range(200):
            with socket.socket() as probe:
                if probe.connect_ex((self.address, self.port)) == 0:
                    return
            assert self.process.poll() is None, (self.root / "sshd.log").read_text()
            time.sleep(0.02)
        raise AssertionError("sshd does not listen")

    def install_gate(self, allow: str = "write", **settings: object) -> Path:
        """Force the gate on the key, as the role does.

        Args:
            allow: what the key may do: `write` or `read`.
            settings: keys of the gate's configuration beside `root`.

        Returns:
            The gate's configuration file.
        """
        config = self.root / "gate.json"
        config.write_text(json.dumps({"root": str(self.backups), **settings}))
        gate = " ".join(
            [
                f"env PYTHONPATH={COLLECTIONS} {sys.executable} -s -m {ENGINE}.server.gate",
                f"--config {config} --allow {allow}",
            ]
        )
        key = (self.root / "client_key.pub").read_text()
        self.authorized_keys.write_text(f'restrict,command="{gate}" {key}')
        return config

    def children(self) -> list[int]:
        """The numbers of the processes of the sessions that are open now."""
        assert self.process
        return descendants(self.process.pid)

    def stop(self) -> None:
        """End it and every session that is open."""
        if self.process:
            for pid in [*self.children(), self.process.pid]:
                kill(pid)
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.root)


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """A backup server on this host for a file of tests; each test sets its own `backups`."""
    server = Sshd()
    server.start()
    yield server
    server.remove()


@contextlib.contextmanager
def sshd_without_keys() -> Iterator[Sshd]:
    """An sshd for the block that lets no key in yet."""
    made = Sshd()
    made.authorized_keys.write_text("")
    made.start()
    yield made
    made.remove()
