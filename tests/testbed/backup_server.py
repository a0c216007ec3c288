"""The backup server: a real sshd on a loopback port, with an account and a folder of its own.

Nobody may log in until a public key is authorized. Without root the account is that of the user who
runs it. `/run/sshd`, which sshd needs, belongs to the system and stays.
"""

from __future__ import annotations

import contextlib
import getpass
import grp
import os
import pwd
import secrets
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from .engine import ResilienceError, process
from .services import Service, answers, end_all, free_port

USER_PREFIX = "cwbackup"
OUTSIDE = Path("/var/tmp")
OUTSIDE_PREFIX = "chefwell-testbed-"


def describe(root: Path) -> dict[str, Any]:
    """A backup server that does not exist yet, as it stands in the record."""
    own_user = os.geteuid() == 0
    user = f"{USER_PREFIX}{secrets.token_hex(3)}" if own_user else getpass.getuser()
    outside = None
    home = root / "backup-server"
    if own_user and not _reachable(root):
        # Another user cannot pass through the testbed's parents.
        outside = OUTSIDE / f"{OUTSIDE_PREFIX}{secrets.token_hex(4)}"
        home = outside / "backup-server"
    return {
        "host": "127.0.0.1",
        "port": free_port(),
        "user": user,
        "own_user": own_user,
        "home": str(home),
        "outside": str(outside) if outside else None,
        "path": str(home / "chefwell"),
        "authorized_keys": str(home / ".ssh" / "authorized_keys"),
        "host_key_file": str(root / "sshd" / "host_key.pub"),
        "host_key_line": None,
        "pid": None,
    }


def _reachable(folder: Path) -> bool:
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.parents))


class BackupServer:
    """The server of one testbed.

    Args:
        root: the testbed's folder.
        settings: as `describe` gives them.
    """

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.service = Service("sshd", root)
        self.folder = root / "sshd"
        self.home = Path(settings["home"])
        self.config = self.folder / "sshd_config"
        # Only root finds it on its path.
        self.program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin")

    def make(self) -> None:
        """Makes the account, its folders, the host key and the configuration.

        Raises:
            ResilienceError: a program is missing, or fails.
        """
        if not self.program:
            raise ResilienceError("sshd is missing", remedy="install openssh-server")
        if self.settings["own_user"]:
            self._add_user()
        if self.settings["outside"]:
            _make_folder(Path(self.settings["outside"]), 0o755)
        _make_folder(self.home, 0o750)
        for folder, mode in ((self.home / ".ssh", 0o700), (Path(self.settings["path"]), 0o750)):
            _make_folder(folder, mode)
        keys = Path(self.settings["authorized_keys"])
        keys.touch(mode=0o600)
        if self.settings["own_user"]:
            account = pwd.getpwnam(self.settings["user"])
            for path in (self.home, keys.parent, keys, Path(self.settings["path"])):
                os.chown(path, account.pw_uid, account.pw_gid)
        _make_folder(self.folder, 0o755)
        key = self.folder / "host_key"
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "testbed", "-f", str(key)])
        kind, public = key.with_suffix(".pub").read_text().split()[:2]
        self.settings["host_key_line"] = f"[127.0.0.1]:{self.settings['port']} {kind} {public}"
        self.config.write_text("\n".join(self._configuration(key)) + "\n")

    def _configuration(self, key: Path) -> list[str]:
        keys = self.settings["authorized_keys"].replace("%", "%%")
        own_user = self.settings["own_user"]
        lines = [
            f"Port {self.settings['port']}",
            "ListenAddress 127.0.0.1",
            f'HostKey "{key}"',
            f'AuthorizedKeysFile "{keys}"',
            f'PidFile "{self.folder}/pid"',
            f"AllowUsers {self.settings['user']}",
            # Without an account of its own the folder may lie anywhere, in /tmp for instance.
            f"StrictModes {'yes' if own_user else 'no'}",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "PrintMotd no",
            "MaxStartups 100",
            "LogLevel VERBOSE",
            "Subsystem sftp internal-sftp",
        ]
        if not own_user:
            # bash reads the account's start-up file for a first shell under sshd, and what stands
            # there must not change a test.
            lines.append("SetEnv SHLVL=9")
        return lines

    def start(self) -> None:
        """Starts it and waits until it listens."""
        assert self.program
        if os.geteuid() == 0:
            # Privilege separation needs this folder; Debian makes it when its own sshd starts.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        command = [self.program, "-D", "-e", "-f", str(self.config)]
        # Newer servers lock an address out after failed logins, which tests make on purpose;
        # older ones do not know the setting.
        lenient = ["-o", "PerSourcePenalties=no"]
        if process.run([*command, "-t", *lenient], time_limit=20).code == 0:
            command += lenient
        self.service.start(command)
        self.service.await_ready(lambda: answers(self.settings["port"]))
        self.settings["pid"] = self.service.pid()

    def authorize(self, public_key_line: str) -> None:
        """Lets the owner of a key log in; twice the same key is once."""
        keys = Path(self.settings["authorized_keys"])
        held = keys.read_text()
        line = public_key_line.strip()
        if line not in held.splitlines():
            # In place: the file stays the account's.
            with keys.open("a") as file:
                file.write(("" if not held or held.endswith("\n") else "\n") + line + "\n")

    def stop(self) -> None:
        """Stops it with every session that is open."""
        self.service.stop([signal.SIGTERM])

    def remove(self) -> None:
        """Removes its account with all its processes, and its folders."""
        user = self.settings["user"]
        if self.settings["own_user"] and user.startswith(USER_PREFIX):
            _remove_user(user)
        outside = self.settings["outside"]
        if outside and Path(outside).name.startswith(OUTSIDE_PREFIX):
            shutil.rmtree(outside, ignore_errors=True)
        for folder in (self.home, self.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def _add_user(self) -> None:
        _run(
            [
                *("useradd", "--system", "--user-group", "--no-create-home"),
                f"--home-dir={self.home}",
                "--shell=/bin/sh",
                # No password fits, and yet the account is not a locked one.
                "--password=*",
                f"--uid={_free_number()}",
                self.settings["user"],
            ]
        )


def _remove_user(user: str) -> None:
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        pass
    else:
        left = [one for one in psutil.process_iter() if uid in _uids(one) and _owned(one)]
        end_all(left)
        # userdel leaves the account's crontab, and what stage 2 runs on the server is in there.
        if process.run(["crontab", "-l", "-u", user], time_limit=10).code == 0:
            _run(["crontab", "-r", "-u", user])
        # With --force: a process of another namespace may have the same user number.
        _run(["userdel", "--force", user])
    if any(group.gr_name == user for group in grp.getgrall()):
        _run(["groupdel", user])


def _uids(one: psutil.Process) -> tuple[int, ...]:
    try:
        return tuple(one.uids())
    except psutil.NoSuchProcess:
        return ()


def _free_number() -> int:
    """A user number that is free, also among the processes of containers.

    From a range that Debian gives to nobody (its policy, 9.2.2: 30000 to 59999 are reserved). Left
    to `useradd` it would be 999 first, which PostgreSQL in Docker runs as.
    """
    taken = {entry.pw_uid for entry in pwd.getpwall()} | {entry.gr_gid for entry in grp.getgrall()}
    taken |= {number for one in psutil.process_iter() for number in _uids(one)}
    return secrets.choice([number for number in range(50000, 60000) if number not in taken])


def _owned(one: psutil.Process) -> bool:
    """Whether it is in our own process namespace: a container's accounts are not this system's."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{one.pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
    return False


def _make_folder(path: Path, mode: int) -> None:
    """Makes a folder of exactly this mode, whatever the umask."""
    path.mkdir(parents=True)
    path.chmod(mode)


def _run(command: list[str]) -> None:
    """Runs a program of the system; the files of accounts may be locked for a moment by another."""
    for attempt in range(20):
        ended = process.run(command, time_limit=30)
        if ended.code == 0:
            return
        if "cannot lock" not in ended.errors:
            break
        time.sleep(0.1 * (attempt + 1))
    raise ResilienceError(f"{command[0]} ended with {ended.ending()}: {ended.errors.strip()}")
