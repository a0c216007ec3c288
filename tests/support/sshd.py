"""A real sshd of the tests' own, on a free loopback port; stopped by its process id."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from testbed.services import free_port

COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "collections"
ENGINE = "ansible_collections.chefwell.resilience.plugins.module_utils"


def make_key(path: Path, passphrase: str = "") -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)],
        check=True,
    )


class Sshd:
    """A server with one account, that of the tests, and one key that may log in.

    Its folder is `root`; `backups` in it takes the copies.
    """

    def __init__(self, address: str = "127.0.0.1", inside: tuple[str, ...] = ()) -> None:
        self.address = address
        self.inside = inside  # what runs it: `ip netns exec NAME`
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
        self.pin()
        self.authorized_keys.write_text((self.root / "client_key.pub").read_text())

    def renew_host_key(self) -> None:
        for name in ("host_key", "host_key.pub"):
            (self.root / name).unlink(missing_ok=True)
        make_key(self.root / "host_key")

    @property
    def host_key(self) -> str:
        """What ssh-keyscan would print."""
        return f"[{self.address}]:{self.port} {(self.root / 'host_key.pub').read_text()}"

    def pin(self) -> None:
        self.known_hosts.write_text(self.host_key)

    def start(self, *settings: str) -> None:
        # Privilege separation wants this folder; Debian makes it when its own sshd starts.
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
            # bash reads the account's own start-up file for a first shell under sshd; whatever
            # stands there is no part of the tests.
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

    def guard(self, allow: str = "write", **settings: object) -> Path:
        """Puts the gate before the key, as the role does; returns its configuration."""
        config = self.root / "keeper.json"
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
        """The processes of the sessions that are open now."""
        assert self.process
        return descendants(self.process.pid)

    def stop(self) -> None:
        """Ends it with every session that is open."""
        if self.process:
            for pid in [*self.children(), self.process.pid]:
                end(pid)
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.root)


def descendants(pid: int) -> list[int]:
    """A process's children and theirs."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    left = [pid]
    while left:
        own = parents.get(left.pop(), [])
        found += own
        left += own
    return found


def end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def gone(pid: int) -> bool:
    """Whether a process has ended, waited for by its parent or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
