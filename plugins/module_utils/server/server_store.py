# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backup server keeps of its own beside the copy, and how it moves files there.

All of it lies in `.chefwell` in the copy's folder, on one filesystem with it, so that a move is a
rename. Only `incoming` in it is ever written to by what comes over the network.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import re
import stat
import time
from collections.abc import Iterator

# The gate loads this for each request: `typing` and `dataclasses` take a third of a list's time.
from typing import Any

from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.locks import lock_file
from ..common.messages import _, from_form, to_form
from ..common.system_errors import reason
from ..inventory import backup_names
from ..inventory.inventory import TIERS
from .server_settings import ServerSettings

OWN_FOLDER = ".chefwell"
LOCK_SECONDS = 60
# What the server may find wrong: a change of too much at once, content that changed in its place, a
# backup that is gone, a client that is silent, a full disk, a request that a key may not make.
MASS_CHANGE, BIT_ROT, LOST, SILENT, ROOM, REFUSED = ALARMS = (
    "mass-change",
    "bit-rot",
    "lost",
    "silent",
    "room",
    "refused-request",
)


class Busy(ResilienceError):
    """Another job of the server holds the lock."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One backup of the copy as the ledger knows it.

    Attributes:
        sha256: of its content when it came.
        bytes: its size.
        arrived: when it came, seconds since 1970.
        read: when its content was last compared with the digest, seconds since 1970.
    """

    sha256: str
    bytes: int
    arrived: float
    read: float


class Store:
    """One copy's folder.

    Args:
        settings: values of `ServerSettings`.

    Raises:
        ResilienceError: the folder is no absolute path, is missing, or cannot be written to.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.root: str = settings.root
        self.tiers: tuple[str, ...] = settings.backup_tiers or TIERS
        self.pattern = backup_names.compiled(settings.backup_pattern)
        self.own = os.path.join(self.root, OWN_FOLDER)
        self.incoming = os.path.join(self.own, "incoming")
        self.settling = os.path.join(self.own, "settling")
        if not os.path.isabs(self.root) or not os.path.isdir(self.root):
            raise ResilienceError(
                "the folder of the copy is not there",
                option="root",
                value=self.root,
                remedy="mount its disk, or make it and let the account own it",
            )
        try:
            for folder in (self.own, self.incoming, self.settling):
                os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise ResilienceError(
                _("the server's own folder cannot be made: %(why)s", why=reason(error)),
                option="root",
                value=self.own,
                remedy="let the account own the copy's folder, and make room there",
            ) from error

    def accepts(self, path: str) -> bool:
        """Whether a path is one of a backup: a matching name directly in one of our tiers."""
        tier, slash, name = path.partition("/")
        plain = bool(slash) and "/" not in name and "\0" not in name and not name.startswith(".")
        return plain and tier in self.tiers and bool(self.pattern.match(name))

    def held(self) -> dict[str, os.stat_result]:
        """Every backup of the copy by path.

        Raises:
            OSError: a tier cannot be read.
        """
        return self._listed(self.root)

    def arrived(self) -> dict[str, os.stat_result]:
        """Every backup that waits in `incoming`, by path; its folders can be read afterwards."""
        for tier in self.tiers:
            folder = os.path.join(self.incoming, tier)
            with contextlib.suppress(OSError):
                if stat.S_ISDIR(os.lstat(folder).st_mode):
                    os.chmod(folder, 0o700)
        return self._listed(self.incoming)

    def _listed(self, root: str) -> dict[str, os.stat_result]:
        found = {}
        for tier in self.tiers:
            folder = os.path.join(root, tier)
            if not os.path.lexists(folder):
                continue
            if os.path.islink(folder):
                raise OSError(errno.ELOOP, "symbolic link, not followed", folder)
            with os.scandir(folder) as entries:
                for entry in entries:
                    path = f"{tier}/{entry.name}"
                    seen = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(seen.st_mode) and self.accepts(path):
                        found[path] = seen
        return found

    def aside(self) -> dict[str, list[str]]:
        """The files of each folder `old_...`, as paths relative to it."""
        found: dict[str, list[str]] = {}
        for name in sorted(os.listdir(self.root)):
            folder = os.path.join(self.root, name)
            if re.fullmatch(r"old_\d{8}_\d{6}", name) and not os.path.islink(folder):
                found[name] = sorted(self._listed(folder))
        return found

    def room(self) -> int:
        """Bytes that may still come: what is free less the reserve. None where so many files are
        there that the reserve of them is touched, on a filesystem that counts them.
        """
        seen = os.statvfs(self.root)
        share = self.settings.reserve_percent / 100
        if seen.f_files and seen.f_favail < seen.f_files * share:
            return 0
        return max(0, int(seen.f_frsize * (seen.f_bavail - seen.f_blocks * share)))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Only one job at a time.

        Raises:
            Busy: another one did not end within a minute.
        """
        with lock_file(os.path.join(self.own, "lock"), LOCK_SECONDS) as lock:
            if lock is None:
                raise Busy("another job of the server is at work on the copy")
            yield

    def ledger(self) -> dict[str, Entry]:
        """What is known of each backup of the copy; nothing where the ledger is lost or damaged."""
        try:
            return {path: Entry(**entry) for path, entry in self.load("ledger")["files"].items()}
        except (KeyError, TypeError, AttributeError):
            return {}

    def keep_ledger(self, entries: dict[str, Entry]) -> None:
        """Writes the ledger."""
        self.save("ledger", {"files": {path: vars(entry) for path, entry in entries.items()}})

    def load(self, name: str) -> dict[str, Any]:
        """One of our own files; empty where it is lost or damaged."""
        try:
            with open(os.path.join(self.own, f"{name}.json"), encoding="utf-8") as file:
                values = json.load(file)
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def save(self, name: str, values: dict[str, Any]) -> None:
        """Writes one of our own files, whole or not at all."""
        path = os.path.join(self.own, f"{name}.json")
        replace_json(path, values)

    def alarms(self) -> dict[str, dict[str, str]]:
        """The alarms that are raised: `since` and `saw` by kind."""
        return {
            str(kind): {
                "since": str(alarm.get("since")),
                "saw": from_form(alarm.get("said"), str(alarm.get("saw"))),
            }
            for kind, alarm in self.load("alarms").items()
            if isinstance(alarm, dict)
        }

    def alarm(self, kind: str, saw: str | None) -> None:
        """Raises an alarm, or clears it where `saw` is None."""
        alarms = self.alarms()
        if saw is None:
            if alarms.pop(kind, None) is None:
                return
        else:
            moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            since = alarms[kind]["since"] if kind in alarms else moment
            alarms[kind] = {"since": since, "saw": saw}
        kept = {kind: {**one, "said": to_form(one["saw"])} for kind, one in alarms.items()}
        self.save("alarms", dict(kept))


def rename_new(source: str, target: str) -> None:
    """Renames a file, but never over another one.

    Raises:
        FileExistsError: there is something at the target; both are as they were.
        OSError: it cannot be renamed.
    """
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    # renameat2(2); AT_FDCWD and RENAME_NOREPLACE are of linux/fcntl.h and linux/fs.h.
    done = _libc.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), 1)
    if done == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), target)
    # A filesystem without it: a link never replaces anything either.
    os.link(source, target, follow_symlinks=False)
    os.unlink(source)


_libc = ctypes.CDLL(None, use_errno=True)
