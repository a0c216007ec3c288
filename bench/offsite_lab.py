"""The lab of the offsite rows: a backup tree, a gated backup server on a real sshd, bare rsync."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.remote_host import RemoteHost
from support.sshd import Sshd
from support.stage_config import offsite_config

PYTHON = "/usr/bin/python3"
TIERS = ("daily", "weekly", "monthly")
GATE = "chefwell_resilience.server.gate"

# The peak of this process alone: what getrusage(2) has begins with what its parent held.
_NOTE_PEAK = """
import atexit, os, re, sys

def note():
    peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
    name = os.environ.get("SSH_ORIGINAL_COMMAND") or " ".join(sys.argv[1:2])
    with open("{path}", "a") as noted:
        noted.write(peak + " " + name.split("\\n")[0][:60] + "\\n")

atexit.register(note)
"""


class Lab:
    """One host with a backup tree, and the server that takes its copies."""

    def __init__(self, root: Path, server: Sshd) -> None:
        self.root = root
        self.server = server
        self.tree = root / "backups"
        for tier in TIERS:
            (self.tree / tier).mkdir(parents=True)
        (self.tree / ".chefwell-backups").touch()
        library = root / "lib"
        library.mkdir()
        (library / "chefwell_resilience").symlink_to(ROOT / "plugins" / "module_utils")
        self.environment = {"PYTHONPATH": str(library), "PATH": "/usr/bin:/bin"}
        # Two keys of one sshd: one behind the gate, one that may run any command.
        self.copy, self.plain = server.root / "copy", server.root / "plain"
        self.copy.mkdir()
        self.plain.mkdir()
        settings = root / "server.json"
        settings.write_text(json.dumps({"root": str(self.copy)}))
        self.open_key = root / "open_key"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.open_key)], check=True
        )
        gate = f"PYTHONPATH={library} exec {PYTHON} -s -m {GATE} --config {settings} --allow write"
        (root / "gate.sh").write_text(f"#!/bin/sh\n{gate}\n")
        key = (server.root / "client_key.pub").read_text()
        server.authorized_keys.write_text(
            f'restrict,command="sh {root}/gate.sh" {key}'
            f"restrict {Path(f'{self.open_key}.pub').read_text()}"
        )
        self.config = root / "offsite.json"
        self.configure()

    def configure(self, **more: Any) -> None:
        """Write the host's configuration file as the role does, without a bandwidth limit."""
        values = {
            "host": self.server.address,
            "port": self.server.port,
            "user": self.server.user,
            "path": str(self.copy),
            "key_file": str(self.server.key),
            "known_hosts_file": str(self.server.known_hosts),
            "backup_path": str(self.tree),
            "state_dir": str(self.root / "state"),
            "log_file": str(self.root / "log"),
            "language": "en",
            "bandwidth_kbps": 0,
            "rpo_hours": 800_000,
            "schedule": {tier: 800_000 for tier in TIERS},
        }
        self.config.write_text(json.dumps(offsite_config({**values, **more})))

    def use_account(self) -> None:
        """Let the host use the key that may run any command, in mode account."""
        self.configure(mode="account", key_file=str(self.open_key))

    def fill(self, count: int, size: int, minutes: int = 60) -> None:
        """Write backups of random bytes, so many minutes apart, in the three tiers in turn."""
        now = datetime.datetime.now()
        with open("/dev/urandom", "rb") as noise:
            for number in range(count):
                taken = now - datetime.timedelta(minutes=minutes * (number + 1))
                name = f"chefwell_backup_{taken:%Y%m%d_%H%M%S}.dump.gz"
                file = self.tree / TIERS[number % len(TIERS)] / name
                with file.open("wb") as backup:
                    left = size
                    while left:
                        left -= backup.write(noise.read(min(left, 1 << 20)))
                moment = time.time() - (number + 1) * minutes * 60
                os.utime(file, (moment, moment))

    def command(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run one of the host's commands as cron does; return its result.

        Raises:
            ValueError: its exit code is not 0.
        """
        module = "chefwell_resilience.host_cli"
        line = [PYTHON, "-m", module, name, "--config", str(self.config), "--json", *arguments]
        done = subprocess.run(line, env=self.environment, capture_output=True, check=False)
        if done.returncode != 0:
            raise ValueError(
                f"{name} ended with {done.returncode}: {done.stdout[-500:]!r}{done.stderr[-500:]!r}"
            )
        return dict(json.loads(done.stdout))

    def plain_command(self, name: str, *arguments: str) -> None:
        """Run one of the host's commands as cron does; nothing is made of its output.

        Raises:
            ValueError: its exit code is not 0.
        """
        line = [PYTHON, "-m", "chefwell_resilience.host_cli", name, "--config", str(self.config)]
        line += arguments
        done = subprocess.run(line, env=self.environment, capture_output=True, check=False)
        if done.returncode != 0:
            written = done.stdout[-500:] + done.stderr[-500:]
            raise ValueError(f"{name} ended with {done.returncode}: {written!r}")

    def note_memory(self) -> None:
        """Let every Python process of both sides note its peak of memory when it ends."""
        (self.root / "lib" / "sitecustomize.py").write_text(
            _NOTE_PEAK.format(path=self.root / "peaks")
        )

    def peaks(self) -> list[tuple[str, int]]:
        """Return what the processes noted since the last call: their command, and their MB."""
        noted = self.root / "peaks"
        lines = noted.read_text().splitlines() if noted.exists() else []
        noted.unlink(missing_ok=True)
        return [(name, int(peak) // 1024) for peak, name in (line.split(" ", 1) for line in lines)]

    def keep(self) -> None:
        """Run the daily job of the server."""
        line = [PYTHON, "-m", "chefwell_resilience.host_cli", "keep-offsite-copy"]
        line += ["--config", str(self.root / "server.json")]
        subprocess.run(line, env=self.environment, check=True, capture_output=True)

    @property
    def ssh(self) -> list[str]:
        """Return the ssh command line of the key that may run any command."""
        options = ["BatchMode=yes", f"UserKnownHostsFile={self.server.known_hosts}"]
        line = ["ssh", "-F", "none", "-p", str(self.server.port), "-i", str(self.open_key)]
        return line + [word for option in options for word in ("-o", option)]

    @property
    def account(self) -> str:
        """Return the account as ssh writes it."""
        return f"{self.server.user}@{self.server.address}"

    def rclone_check(self) -> int:
        """Return how many backups of the copy rclone finds equal, byte by byte."""
        remote = f"host={self.server.address},port={self.server.port},user={self.server.user}"
        keys = f"key_file={self.open_key},known_hosts_file={self.server.known_hosts}"
        line = ["rclone", "check", "--download", "--config=/dev/null", "--include=/*ly/*.gz"]
        line += [str(self.tree), f":sftp,{remote},{keys}:{self.copy}"]
        done = subprocess.run(line, check=True, capture_output=True, text=True).stderr
        return int(re.search(r"(\d+) matching files", done)[1])

    def rsync(self, *options: str) -> int:
        """Run the plan's rsync with the collection's options, without a gate; return how many files
        it sent."""
        line = [
            "rsync",
            "--archive",
            "--partial-dir=.rsync-partial",
            "--timeout=300",
            "--stats",
            *options,
        ]
        line += ["-e", " ".join(self.ssh), f"{self.tree}/", f"{self.account}:{self.plain}/"]
        output = subprocess.run(line, check=True, capture_output=True, text=True).stdout
        return int(re.search(r"files transferred: ([\d,]+)", output)[1].replace(",", ""))


@contextlib.contextmanager
def in_memory() -> Iterator[None]:
    """Make temporary folders in memory: a filesystem that has deleted much flatters every ratio."""
    before = tempfile.tempdir
    tempfile.tempdir = "/dev/shm"
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextlib.contextmanager
def lab(count: int, size: int, rate: str = "") -> Iterator[Lab]:
    """Yield a lab with `count` backups of `size` bytes.

    Args:
        count, size: of the backups.
        rate: the server is another host, at the end of a link of this rate; otherwise it is this
            host.
    """
    with contextlib.ExitStack() as stack:
        far = RemoteHost() if rate else None
        if far:
            stack.callback(far.remove)
            far.slow_down(rate)
        server = Sshd(far.address, far.inside) if far else Sshd()
        stack.callback(server.remove)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chefwell-bench-"))
        found = Lab(Path(folder), server)
        server.start("Subsystem sftp internal-sftp")
        found.fill(count, size)
        yield found


def held(folder: Path) -> dict[str, int]:
    """Return how many backups a copy holds, and their bytes."""
    files = [file for tier in TIERS for file in (folder / tier).glob("*.gz")]
    return {"files": len(files), "bytes": sum(file.stat().st_size for file in files)}


def equal(verification: dict[str, Any]) -> int:
    """Return how many backups a verification found equal by SHA-256."""
    comparison = verification["comparison"]
    whole = comparison["in_sync"] and comparison["compared_by"] == "sha256"
    return len(verification["remote"]["files"]) if whole else 0


def equal_by_sha256sum(lab: Lab) -> int:
    """Return how many backups have the same digest on both sides; sha256sum runs on every core."""
    cores = os.cpu_count()
    script = f"cd '{{}}' && find *ly -type f -print0 | xargs -0 -n 4 -P {cores} sha256sum"
    remote = subprocess.Popen(
        [*lab.ssh, lab.account, script.format(lab.copy)], stdout=subprocess.PIPE, text=True
    )
    with remote:
        local_digests = subprocess.run(
            ["sh", "-c", script.format(lab.tree)], capture_output=True, text=True, check=True
        ).stdout
        remote_digests = remote.communicate()[0]
    return len(set(local_digests.splitlines()) & set(remote_digests.splitlines()))


def age_digests(lab: Lab) -> None:
    """Make every cached digest a day older."""
    for name in ("offsite-digests.json", "offsite-remote-digests.json"):
        file = lab.root / "state" / name
        known = json.loads(file.read_text())
        for entry in known.values():
            entry[-1] -= 86400
        file.write_text(json.dumps(known))


def empty(folder: Path) -> None:
    """Remove everything in a folder, if it exists."""
    if folder.exists():
        subprocess.run(["find", str(folder), "-mindepth", "1", "-delete"], check=True)
