"""A copy of this machine to install on, with the plan's own paths; its changes are temporary.

The copy is an overlay over `/` in the tests' private mount namespace, with its changes in memory.
Each command in it has a process namespace of its own, so no process outlives the call.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.filesystems import enter_private_mounts, run

ROOT = Path(__file__).resolve().parents[2]
ACCOUNTS = ("passwd", "group", "shadow", "gshadow")
# Where the stages put their commands.
SCRIPTS = "/root/restaurante/scripts"
PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class HostCopy:
    """A copy of this machine.

    Attributes:
        root: the copy's root folder as seen from the tests.
        inventory: the inventory file in the copy. It is not a list of names, because Ansible reads
            `production,` in ANSIBLE_INVENTORY also as its current folder, and executes the
            executable files there.
    """

    inventory = "/root/hosts"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write(self.inventory, "production\n")

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in the copy."""
        inside = f"mount -t proc proc /proc && cd /root && {command}"
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
            + ["chroot", str(self.root), "bash", "-c", inside],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": PROGRAMS, "HOME": "/root", "LC_ALL": "C.UTF-8", **environment},
        )

    def must(self, command: str) -> str:
        """Run a line of shell, which must succeed; return its output."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file of the copy."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def play(self, path: str, **variables: object) -> str:
        """Run a playbook on the copy, as the host `production`; return its output."""
        known = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "/usr/bin/python3",
            **variables,
        }
        self.write("/root/variables.json", json.dumps(known))
        done = self.ansible(f"ansible-playbook -i {self.inventory} -e @/root/variables.json {path}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ansible(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in the copy's checkout.

        The programs of Ansible and the commands of the stages are on its PATH, and `inventory` is
        Ansible's default inventory.
        """
        return self.run(
            f"cd {ROOT} && {command}",
            PATH=f"{SCRIPTS}:{ROOT / '.venv' / 'bin'}:{PROGRAMS}",
            ANSIBLE_INVENTORY=self.inventory,
            ANSIBLE_COLLECTIONS_PATH=str(ROOT / "build" / "collections"),
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_PIPELINING="1",
        )


@contextlib.contextmanager
def host_copy(folder: Path) -> Iterator[HostCopy]:
    """A copy below an empty folder, for as long as the block lasts."""
    enter_private_mounts()
    run("mount", "-t", "tmpfs", "-o", "size=4G", "copy", str(folder))
    try:
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()
        root = folder / "root"
        layers = f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work"
        run("mount", "-t", "overlay", "-o", layers, "overlay", str(root))
        for name in ("dev", "sys"):
            run("mount", "--rbind", f"/{name}", str(root / name))
        # In a lane, /etc is a mount with accounts of the lane's own (tests/lane.sh), and mounts are
        # not part of the overlay.
        run("cp", "-a", *(f"/etc/{name}" for name in ACCOUNTS), str(root / "etc"))
        # Nor are a lane's temporary files, among them the backups of a testbed.
        if os.path.ismount(tempfile.gettempdir()):
            inside = root / tempfile.gettempdir().lstrip("/")
            run("mount", "--bind", tempfile.gettempdir(), str(inside))
        # A checkout on a filesystem of its own is not part of the overlay either.
        if not (root / str(ROOT).lstrip("/") / "Makefile").exists():
            run("mount", "--bind", str(ROOT), str(root / str(ROOT).lstrip("/")))
        yield HostCopy(root)
    finally:
        run("umount", "-R", "-l", str(folder))
