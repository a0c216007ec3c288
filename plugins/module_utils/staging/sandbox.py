# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sandbox for what runs over a backup: bubblewrap, with networks and processes of its own.

A backup is code: it may start programs as soon as it is restored. In the sandbox there is no
network, no other process, and of this host nothing to read but installed programs and the folders
that are given. All that was started there ends with its first process.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
from collections.abc import Iterable, Sequence

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from ..database import postgres
from ..database.postgres import Binaries

PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Programs and libraries of the system; a link where Debian has merged it into /usr.
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
# What programs look up there: users by number, the local time, the linker's cache.
SYSTEM_FILES = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf"),
    *("/etc/localtime", "/etc/ld.so.cache", "/etc/alternatives"),
)
# With these the sandbox's first program lets go of all of them (setpriv).
CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_READ_SEARCH")


def check() -> None:
    """Make sure that a sandbox can be made here.

    Raises:
        ResilienceError: bubblewrap is missing, or the system does not let it.
    """
    why = ""
    if not shutil.which("bwrap", path=PROGRAM_PATH):
        why = _("bubblewrap is not installed")
    else:
        ended = process.run(command([_true()]), time_limit=20, cwd="/")
        if ended.code != 0:
            why = ended.errors.strip()[-300:] or ended.ending()
    if why:
        raise ResilienceError(
            _("the sandbox for the restored backup cannot be made: %(why)s", why=why),
            option="sandbox",
            value=True,
            remedy=_(
                "install bubblewrap (it needs more than a container without privileges), use the"
                " engine compose, or set staging_restore_sandbox to false if you trust your backups"
            ),
        )


def command(
    arguments: Sequence[str],
    *,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    uid: int = postgres.UNPRIVILEGED,
    outlives: bool = False,
) -> list[str]:
    """Return the command that runs a program in a sandbox of its own, not as root.

    Args:
        arguments: the program and its arguments.
        reads: files and folders of this host that it may read, at the same paths.
        writes: folders that it may write to.
        uid: the user that it runs as, where this process is root.
        outlives: whether it goes on when this process ends.
    """
    root = os.geteuid() == 0
    namespaces = (
        ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        if root
        else ["--unshare-all"]
    )
    capabilities = [part for name in CAPABILITIES for part in ("--cap-add", name)] if root else []
    mounts: list[str] = []
    for folder in SYSTEM_FOLDERS:
        if os.path.islink(folder):
            mounts += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            mounts += ["--ro-bind", folder, folder]
    mounts += [*_permissions("0755"), "--dir", "/etc"]
    for file in SYSTEM_FILES:
        mounts += ["--ro-bind-try", file, file]
    mounts += ["--proc", "/proc", "--dev", "/dev", *_permissions("1777"), "--tmpfs", "/tmp"]
    mounts += _binds(reads, writes)
    return [
        _program(),
        *namespaces,
        *(() if outlives else ("--die-with-parent",)),
        *capabilities,
        *mounts,
        *("--chdir", "/", "--"),
        *postgres.unprivileged([*reads], uid=uid),
        *arguments,
    ]


@dataclasses.dataclass(frozen=True)
class SandboxedBinaries(Binaries):
    """PostgreSQL's programs, each run in a sandbox of its own.

    Attributes:
        folder: of the server's socket, which they may reach.
    """

    folder: str = ""

    @property
    def contained(self) -> bool:
        """Return True: they run in a sandbox, and not as root."""
        return True

    def command(
        self, program: str, arguments: Sequence[str], reads: Sequence[str] = ()
    ) -> list[str]:
        """Return the command that runs a program in a sandbox."""
        reads = [os.path.realpath(path) for path in reads]
        # pg_restore looks with access(2) which files of a folder there are, and that takes no
        # account of a capability unless the user is root: root without any other capability.
        folder = any(os.path.isdir(path) for path in reads)
        sockets = [self.folder] if os.path.isdir(self.folder) else []
        # A server listens in the folder that the program's `--host` names.
        sockets += [
            one.partition("=")[2]
            for one in arguments
            if one.startswith("--host=/") and os.path.isdir(one.partition("=")[2])
        ]
        return command(
            [self.path(program), *arguments],
            reads=[*program_folders(self.bin_dir), *reads],
            writes=sockets,
            uid=0 if folder else postgres.UNPRIVILEGED,
        )


def program_folders(bin_dir: str) -> list[str]:
    """Return the folders outside the system's that PostgreSQL's programs need.

    These are their installation and the libraries that the linker finds for them.
    """
    found = [os.path.dirname(bin_dir)]
    programs = [os.path.join(bin_dir, name) for name in ("postgres", "pg_restore")]
    existing = [program for program in programs if os.path.exists(program)]
    listed = process.run(["ldd", *existing], time_limit=20, cwd="/")
    for path in re.findall(r"=> (/\S+)", listed.output):
        found.append(os.path.dirname(os.path.realpath(path)))
    return sorted(outside_system(dict.fromkeys(found)))


def outside_system(paths: Iterable[str]) -> list[str]:
    """Return the paths that exist and are not within the system's own folders."""
    system = tuple(f"{folder}/" for folder in SYSTEM_FOLDERS)
    return [path for path in paths if os.path.exists(path) and not f"{path}/".startswith(system)]


def folders_of(command: Sequence[str], search: str) -> list[str]:
    """Return the folders outside the system's that a command needs to be read.

    That is the folder of its program and of each path among its arguments; above a `bin` the
    installation. Of the folders that belong to everybody or to one user the file alone.

    Args:
        command: program and arguments.
        search: the value of PATH that the program is found by.
    """
    program = shutil.which(command[0], path=search) or command[0]
    found = []
    for path in (program, *command[1:]):
        if not os.path.isabs(path) or not os.path.exists(path):
            continue
        for one in dict.fromkeys((os.path.normpath(path), os.path.realpath(path))):
            folder = one if os.path.isdir(one) else os.path.dirname(one)
            if os.path.basename(folder) in ("bin", "sbin"):
                folder = os.path.dirname(folder)
            parts = folder.strip("/").split("/")
            shared = len(parts) < 2 or (parts[0] == "home" and len(parts) == 2)
            found.append(one if shared else folder)
    return outside_system(dict.fromkeys(found))


@functools.lru_cache(maxsize=1)
def _knows_permissions() -> bool:
    """Return whether this bubblewrap has `--perms`, which is there since 0.5.

    Older ones, as in Debian 11, make folders with 0755, and so a folder /tmp that only root writes
    to; nothing that is started here needs another one.
    """
    return "--perms" in process.run([_program(), "--help"], time_limit=20).output


def _permissions(mode: str) -> list[str]:
    """Return the options that give the next folder its permissions."""
    return ["--perms", mode] if _knows_permissions() else []


def _true() -> str:
    # Debian 11 may still have it in a folder /bin of its own.
    return shutil.which("true", path=PROGRAM_PATH) or "/usr/bin/true"


def _program() -> str:
    return shutil.which("bwrap", path=PROGRAM_PATH) or "bwrap"


def _binds(reads: Iterable[str], writes: Iterable[str]) -> list[str]:
    """Return the options that show these paths in the sandbox, at the same places."""
    options: list[str] = []
    made: set[str] = set()
    for option, paths in (("--ro-bind", reads), ("--bind", writes)):
        for path in dict.fromkeys(paths):
            # Folders on the way are made for root alone otherwise.
            above = os.path.dirname(path)
            way = []
            while above not in ("/", "/tmp", *made):
                way.append(above)
                above = os.path.dirname(above)
            for folder in reversed(way):
                options += [*_permissions("0755"), "--dir", folder]
                made.add(folder)
            options += [option, path, path]
            made.add(path)
    return options
