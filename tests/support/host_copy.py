"""A copy of this machine to install on, with the plan's own paths: everything that is written there
lies in memory and is gone with it.

The copy is an overlay over `/` in the tests' private mount namespace; what runs in it is in a
process namespace of its own, so nothing outlives the call.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.filesystems import enter_private_mounts, run

ROOT = Path(__file__).resolve().parents[2]
ACCOUNTS = ("passwd", "group", "shadow", "gshadow")
# Where the stages put their commands.
SCRIPTS = "/root/restaurante/scripts"
PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class HostCopy:
    """This machine again.

    Attributes:
        root: where the copy's root is seen from here.
        inventory: a file of the copy, what Ansible is told of hosts. Never a list of names: in the
            variable ANSIBLE_INVENTORY, `production,` is also the folder that Ansible is called in,
            and it executes what is executable there.
    """

    inventory = "/root/hosts"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write(self.inventory, "production\n")

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a line of shell in the copy."""
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
        """Runs a line that must succeed; returns its output."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Writes a file of the copy."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def play(self, path: str, **variables: object) -> str:
        """Runs a playbook of the copy on the copy, as the host `production`; returns its output."""
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
        """Runs a line of shell in the copy's checkout, where the programs of Ansible and
        the stages' commands are at hand, and `inventory` is the one that needs no naming."""
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
    """A copy, below an empty folder."""
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
        # A lane of the tests has accounts of its own (tests/lane.sh): what is mounted over /etc is
        # not under the overlay.
        run("cp", "-a", *(f"/etc/{name}" for name in ACCOUNTS), str(root / "etc"))
        # A checkout on a filesystem of its own is not under the overlay.
        if not (root / str(ROOT).lstrip("/") / "Makefile").exists():
            run("mount", "--bind", str(ROOT), str(root / str(ROOT).lstrip("/")))
        yield HostCopy(root)
    finally:
        run("umount", "-R", "-l", str(folder))
