"""Hosts in namespaces of their own: a root folder, a network, processes, cron, sshd, PostgreSQL.

Needs root. The hosts of a lab are on one bridge, which is removed with them.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .roots import System

# The root is an overlay in memory, entered by pivot_root, as a container's is: programs that make
# namespaces of their own (bubblewrap) work in it.
START = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=4G,mode=0755 matrix {work}
mkdir {work}/upper {work}/work {work}/root
mount -t overlay -o lowerdir={lower},upperdir={work}/upper,workdir={work}/work overlay {work}/root
cd {work}/root
mount --rbind /dev dev
mount -t proc proc proc
mount -t tmpfs -o mode=0755 tmpfs run
mkdir -p run/sshd run/lock run/postgresql .old
chmod 1777 run/lock
mkdir -m 0700 -p root/.ssh
cp {key}.pub root/.ssh/authorized_keys
hostname {name}
echo {name} > etc/hostname
printf '%s\\n' {names} > etc/hosts
pivot_root . .old
umount -l .old
rmdir .old
ip link set lo up
ssh-keygen -q -A
chown postgres:postgres /run/postgresql 2>/dev/null || true  # not there without PostgreSQL
sed -i 's/^session.*pam_loginuid.*//' /etc/pam.d/sshd /etc/pam.d/cron
cron
if [ {postgres} != 0 ]; then pg_ctlcluster {postgres} main start; fi
exec /usr/sbin/sshd -D -e
"""


class Host:
    """A running host.

    Attributes:
        name: in the inventory.
        address: on the bridge.
        system: what it runs.
    """

    def __init__(self, name: str, address: str, system: System, key: Path) -> None:
        self.name, self.address, self.system, self.key = name, address, system, key

    def run(self, command: str, *, check: bool = True) -> str:
        """Run a line of shell there as root, over ssh; return its output."""
        ended = subprocess.run(
            [*ssh(self.key), f"root@{self.address}", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and ended.returncode != 0:
            raise RuntimeError(f"{self.name}: {command}\n{ended.stdout}{ended.stderr}")
        return ended.stdout


def ssh(key: Path) -> list[str]:
    """Return the words of ssh before the address."""
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
    return ["ssh", "-i", str(key), *(word for option in options for word in ("-o", option))]


class Lab:
    """Hosts that reach each other and are reached from here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "key"
        self.hosts: list[Host] = []
        self._tag = f"m{secrets.token_hex(3)}"
        self._block = f"10.{100 + secrets.randbelow(27)}.{secrets.randbelow(256)}"
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        if not self.key.exists():
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        _run("ip", "link", "add", self._tag, "type", "bridge")
        _run("ip", "address", "add", f"{self._block}.1/24", "dev", self._tag)
        _run("ip", "link", "set", self._tag, "up")

    def start(self, plan: list[tuple[str, System, Path, bool]]) -> list[Host]:
        """Start hosts: the name, the system, the root folder, and whether PostgreSQL runs."""
        numbered = list(enumerate(plan, 2))
        names = " ".join(f"'{self._block}.{n} {name}'" for n, (name, *_rest) in numbered)
        for number, (name, system, lower, with_postgres) in numbered:
            self._start(
                number, name, system, lower, with_postgres, f"'127.0.0.1 localhost' {names}"
            )
        for host in self.hosts:
            self._wait(host)
        return self.hosts

    def _start(
        self, number: int, name: str, system: System, lower: Path, with_postgres: bool, names: str
    ) -> None:
        space, inside, address = (
            f"{self._tag}n{number}",
            f"{self._tag}i{number}",
            f"{self._block}.{number}",
        )
        _run("ip", "netns", "add", space)
        _run("ip", "link", "add", f"{self._tag}o{number}", "type", "veth", "peer", "name", inside)
        _run("ip", "link", "set", inside, "netns", space)
        _run("ip", "link", "set", f"{self._tag}o{number}", "master", self._tag, "up")
        _run("ip", "netns", "exec", space, "ip", "address", "add", f"{address}/24", "dev", inside)
        _run("ip", "netns", "exec", space, "ip", "link", "set", inside, "up")
        work = self.folder / f"{self._tag}-{name}"
        work.mkdir()
        script = START.format(
            work=work,
            lower=lower,
            key=self.key,
            name=name,
            names=names,
            postgres=system.postgres if with_postgres else 0,
        )
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", space]
                    + ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child"]
                    + ["bash", "-c", script],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        self.hosts.append(Host(name, address, system, self.key))

    def _wait(self, host: Host) -> None:
        for _attempt in range(600):
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((host.address, 22)) == 0:
                    return
            time.sleep(0.1)
        log = (self.folder / f"{host.name}.log").read_text(errors="replace")
        raise RuntimeError(f"{host.name} does not start: {log[-2000:]}")

    def stop(self) -> None:
        """End every process of the hosts, and remove their networks and folders."""
        for process in self._processes:
            process.kill()
            process.wait()
        for number in range(2, 2 + len(self.hosts)):
            subprocess.run(["ip", "netns", "del", f"{self._tag}n{number}"], check=False)
        subprocess.run(["ip", "link", "del", self._tag], check=False)
        for host in self.hosts:
            with contextlib.suppress(OSError):
                (self.folder / f"{self._tag}-{host.name}").rmdir()


@contextlib.contextmanager
def lab(folder: Path, plan: list[tuple[str, System, Path, bool]]) -> Iterator[Lab]:
    """Run hosts for as long as the block lasts."""
    made = Lab(folder)
    try:
        made.start(plan)
        yield made
    finally:
        made.stop()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
