"""A backup server that is a copy of this machine behind a virtual cable, with sshd on port 22.

Needs root.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from support.host_copy import HostCopy, host_copy
from support.remote_host import RemoteHost

SETTINGS = """Port 22
ListenAddress {address}
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
UsePAM no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


class CopiedServer:
    """A server with root and one account; no key may log in yet.

    Attributes:
        machine: the copy.
        address: the address on which its sshd listens.
        host_key: its public host key.
    """

    def __init__(self, machine: HostCopy, net: RemoteHost, account: str) -> None:
        self.machine, self.net, self.address = machine, net, net.address
        without_keys(machine)
        # `*` is a password that nothing matches; sshd would treat `!` as a locked account.
        machine.must(f"useradd --create-home --shell /bin/bash --password '*' {account}")
        machine.must("rm -f /etc/ssh/ssh_host_* && mkdir -p /run/sshd && chmod 0755 /run/sshd")
        machine.must("ssh-keygen -q -t ed25519 -N '' -C server -f /etc/ssh/ssh_host_ed25519_key")
        self.host_key = machine.must("cat /etc/ssh/ssh_host_ed25519_key.pub").strip()
        machine.write("/etc/ssh/sshd_config", SETTINGS.format(address=self.address))

    def let_root_in(self, public: str) -> None:
        """Let root log in with this public key, as the server's owner has done."""
        self.machine.write("/root/.ssh/authorized_keys", public)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run sshd for as long as the block lasts."""
        inside = "mount -t proc proc /proc && exec /usr/sbin/sshd -D -e"
        with (self.machine.root.parent / "sshd.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.net.inside, "unshare", "--mount", "--pid", "--fork", "--kill-child"]
                + ["chroot", str(self.machine.root), "bash", "-c", inside],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_for(process)
            yield
        finally:
            process.kill()  # the process namespace ends with it, and every session in that
            process.wait()

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        for _attempt in range(250):
            with socket.socket() as probe:
                if probe.connect_ex((self.address, 22)) == 0:
                    return
            log = self.machine.root.parent / "sshd.log"
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        raise AssertionError("sshd does not listen")


def without_keys(machine: HostCopy) -> None:
    """Remove what the machine's own root has for ssh from the copy."""
    machine.must("rm -rf /root/.ssh && mkdir -m 0700 /root/.ssh")


@contextlib.contextmanager
def copied_server(folder: Path, account: str) -> Iterator[CopiedServer]:
    """A running server below an empty folder, for as long as the block lasts."""
    net = RemoteHost()
    try:
        with host_copy(folder) as machine:
            server = CopiedServer(machine, net, account)
            with server.running():
                yield server
    finally:
        net.remove()
