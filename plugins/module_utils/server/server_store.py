# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One client's copy on the backup server: its folders, its ledger, its lock.

The server's own files lie in `.chefwell` in the copy's folder, on one filesystem with the backups,
so that a move is a rename. Clients write to `incoming` in it, and nowhere else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import stat
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..common import json_stream
from ..common.errors import ResilienceError
from ..common.locks import lock_file
from ..common.messages import _, join
from ..common.system_errors import reason
from ..inventory import backup_names, sealed_names
from ..inventory.inventory import TIERS, readable
from ..inventory.path_block import SHA256, RowForm
from ..inventory.path_table import SIZES, PathTable, TableBuilder
from .server_alarms import BIT_ROT, LOST, PREVIOUS_ROT, STATE, AlarmStore
from .server_settings import ServerSettings

STATE_FOLDER = ".chefwell"
IDENTITY_FILE = "identity"
LOCK_SECONDS = 60


class Busy(ResilienceError):
    """Another job of the server holds the lock."""


class WrongCopy(ResilienceError):
    """The copy's folder is not the one that was set up: its disk is not mounted."""


class LedgerEntry(NamedTuple):
    """What the server knows of one backup.

    Attributes:
        sha256: of its content when it arrived.
        bytes: its size.
        arrived: when it arrived, seconds since 1970.
        read: when its content was last compared with the digest, seconds since 1970; 0 where
            that was not done since it got its place.
    """

    sha256: str
    bytes: int
    arrived: float
    read: float


# The ledger of half a million backups takes some 60 MB.
_ENTRIES = RowForm(f"{SHA256}qdd", lambda entry: entry, lambda _path, *fields: LedgerEntry(*fields))


def ledger_table(entries: Mapping[str, LedgerEntry] | None = None) -> PathTable[LedgerEntry]:
    """Return a ledger with these entries."""
    return PathTable(_ENTRIES, entries or {})


def ledger_builder(like: PathTable[Any]) -> TableBuilder[LedgerEntry]:
    """Return what builds a ledger of almost the same paths as a table."""
    return TableBuilder(_ENTRIES, like)


def new_entries(arrivals: PathTable[Any], now: float) -> PathTable[LedgerEntry]:
    """Return the entries of backups that get their place now.

    Args:
        arrivals: their SHA-256 and bytes by path.
        now: seconds since 1970.
    """
    count = len(arrivals)
    return arrivals.extended(_ENTRIES, array("d", [now]) * count, array("d", [0.0]) * count)


@dataclasses.dataclass
class Intents:
    """Moves that were decided, written down before the first of them.

    Attributes:
        place: ledger entries by path of backups that get their place.
        aside: folders `old_...` by path of backups that are moved aside.
    """

    place: Mapping[str, LedgerEntry] = dataclasses.field(default_factory=dict)
    aside: dict[str, str] = dataclasses.field(default_factory=dict)


class Store:
    """One client's copy.

    Args:
        settings: of the copy.

    Raises:
        WrongCopy: the folder does not hold the identity that was written at the set-up.
        ResilienceError: the folder is not an absolute path, is missing, or cannot be written to.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.root = settings.root
        self.tiers = settings.backup_tiers or TIERS
        self.pattern = backup_names.compiled(settings.backup_pattern)
        self.state_dir = os.path.join(self.root, STATE_FOLDER)
        self.incoming = os.path.join(self.state_dir, "incoming")
        self.placing = os.path.join(self.state_dir, "placing")
        self.quarantine = os.path.join(self.state_dir, "quarantine")
        if not os.path.isabs(self.root) or not os.path.isdir(self.root):
            raise WrongCopy(
                _("the folder of the copy is not there"),
                option="root",
                value=self.root,
                remedy=_("mount its disk, or make it and let the account own it"),
            )
        self._require_identity()
        try:
            for folder in (self.state_dir, self.incoming, self.placing, self.quarantine):
                os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise ResilienceError(
                _("the server's own folder cannot be made: %(why)s", why=reason(error)),
                option="root",
                value=self.state_dir,
                remedy=_("let the account own the copy's folder, and make room there"),
            ) from error
        self.alarms = AlarmStore(self.state_dir)

    def _require_identity(self) -> None:
        expected = self.settings.identity
        if expected and identity_of(self.root) != expected:
            raise WrongCopy(
                _("the folder of the copy is not the one that was set up: its identity is missing"),
                option="root",
                value=self.root,
                remedy=_(
                    "mount the copy's disk; after a move to another disk set the server's part "
                    "up again"
                ),
            )

    def accepts(self, path: str) -> bool:
        """Return whether a path is that of a backup: a matching name directly in a tier.

        That of a sealed backup, and of what lies beside a backup, counts as well.
        """
        tier, slash, name = path.partition("/")
        known = bool(slash) and tier in self.tiers
        try:
            os.fsencode(name)
        except UnicodeEncodeError:  # half a surrogate pair: no file is called so
            return False
        if "\0" in name or "/" in name:  # nor is a file
            return False
        return known and sealed_names.match_stored(name, self.pattern) is not None

    def owner(self, path: str) -> str:
        """Return the backup that a file is, or lies beside, without the ending of a sealed one."""
        return sealed_names.owner(path, self.pattern)

    def is_beside(self, path: str) -> bool:
        """Return whether a file lies beside a backup and is none itself."""
        return sealed_names.is_beside(path, self.pattern)

    def backups(self, like: PathTable[Any] | None = None) -> PathTable[int]:
        """Return the bytes of every backup of the copy by path.

        Args:
            like: a table with almost the same paths, whose memory is used.

        Raises:
            OSError: a tier cannot be read.
        """
        return self._listed(self.root, like)

    def incoming_backups(self) -> PathTable[int]:
        """Return the bytes of every backup that waits in `incoming`, by path."""
        for tier in self.tiers:
            folder = os.path.join(self.incoming, tier)
            with contextlib.suppress(OSError):
                if stat.S_ISDIR(os.lstat(folder).st_mode):
                    os.chmod(folder, 0o700)  # whatever mode the client gave it
        return self._listed(self.incoming)

    def _list(self, root: str, found: TableBuilder[int], before: str = "") -> None:
        """Add the bytes of every backup below a folder, by path with `before` in front."""
        for tier in sorted(self.tiers, key=lambda name: f"{name}/"):
            folder = os.path.join(root, tier)
            try:
                mode = os.lstat(folder).st_mode
            except FileNotFoundError:
                continue
            if stat.S_ISLNK(mode):
                raise OSError(errno.ELOOP, "symbolic link, not followed", folder)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for name in sorted(os.listdir(descriptor)):
                    path = f"{tier}/{name}"
                    if not self.accepts(path):
                        continue
                    with contextlib.suppress(FileNotFoundError):  # moved away meanwhile
                        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            found.add(before + path, (status.st_size,))
            finally:
                os.close(descriptor)

    def _listed(self, root: str, like: PathTable[Any] | None = None) -> PathTable[int]:
        """Return the bytes of every backup below a folder, by path."""
        found = TableBuilder(SIZES, like)
        self._list(root, found)
        return found.table()

    def previous_versions(self) -> dict[str, list[str]]:
        """Return the backups of each folder `old_...`, as paths relative to it."""
        return {
            name: list(self._listed(os.path.join(self.root, name))) for name in self.old_folders()
        }

    def old_folders(self) -> list[str]:
        """Return the folders `old_...` of the copy, in their order."""
        return [
            name
            for name in sorted(os.listdir(self.root))
            if re.fullmatch(r"old_\d{8}_\d{6}", name)
            and not os.path.islink(os.path.join(self.root, name))
        ]

    def previous_sizes(self) -> PathTable[int]:
        """Return the bytes of every previous version, by path with its folder `old_...`."""
        found = TableBuilder(SIZES)
        for folder in self.old_folders():
            self._list(os.path.join(self.root, folder), found, f"{folder}/")
        return found.table()

    def room(self) -> int:
        """Return the bytes that may still arrive: free space less the reserve.

        0 where the number of files reaches its reserve, on a filesystem that counts them.
        """
        status = os.statvfs(self.root)
        share = self.settings.reserve_percent / 100
        if status.f_files and status.f_favail < status.f_files * share:
            return 0
        return max(0, int(status.f_frsize * (status.f_bavail - status.f_blocks * share)))

    @contextlib.contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Hold the lock of the copy; one job works at a time.

        Args:
            purpose: what the job does, in one word, for others that wait.

        Raises:
            Busy: another job did not end within `LOCK_SECONDS`.
        """
        with lock_file(os.path.join(self.state_dir, "lock"), LOCK_SECONDS) as lock:
            if lock is None:
                raise Busy(
                    _(
                        "another job of the server is at work on the copy: %(job)s",
                        job=self.holder(),
                    )
                )
            moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            # Only people read it; on a full disk the lock works without it.
            with contextlib.suppress(OSError):
                os.ftruncate(lock, 0)
                os.pwrite(lock, f"{purpose}, process {os.getpid()}, since {moment}".encode(), 0)
            yield

    def holder(self) -> str:
        """Return which job took the lock last, and when."""
        try:
            with open(os.path.join(self.state_dir, "lock"), encoding="utf-8") as file:
                return readable(file.read(200)) or "?"
        except (OSError, ValueError):
            return "?"

    def ledger(self, like: PathTable[Any] | None = None) -> PathTable[LedgerEntry]:
        """Return the ledger: what is known of each backup by path.

        A ledger that is lost or damaged raises an alarm, for whatever is found then has to be
        taken as it is.

        Args:
            like: a table with almost the same paths, whose memory is used.
        """
        values, entries = self._load_entries("ledger", "files", like)
        if "files" not in values and (values or self.load("last")):
            self.report_damage("ledger", _("it is missing, although inventories were applied"))
        return entries

    def previous_ledger(self) -> PathTable[LedgerEntry]:
        """Return what is known of previous versions, by path with its folder `old_...`."""
        values, entries = self._load_entries("previous", "files")
        if values and "files" not in values:
            self.report_damage("previous", _("it is not readable"))
        return entries

    def _load_entries(
        self, name: str, key: str, like: PathTable[Any] | None = None
    ) -> tuple[dict[str, Any], PathTable[LedgerEntry]]:
        """Return one of the server's files, and the ledger that it holds under a key."""
        entries = TableBuilder(_ENTRIES, like)

        def take(path: str, entry: Any) -> None:
            if isinstance(entry, dict):  # an entry was an object in earlier versions
                entry = LedgerEntry(**entry)
            sha256, size, arrived, read = entry
            entries.add(path, (str(sha256), int(size), float(arrived), float(read)))

        values = self.load(name, {(key,): take})
        if values.get(key) != {}:  # also where the file was found damaged half way
            return {one: value for one, value in values.items() if one != key}, ledger_table()
        return values, entries.table()

    def save_previous_ledger(self, entries: Mapping[str, LedgerEntry]) -> None:
        """Write what is known of previous versions.

        Raises:
            OSError: it cannot be written.
        """
        self.save("previous", {"files": entries})

    def save_ledger(self, entries: Mapping[str, LedgerEntry]) -> None:
        """Write the ledger.

        Raises:
            OSError: it cannot be written.
        """
        self.save("ledger", {"files": entries})

    def intents(self) -> Intents | None:
        """Return the moves of a job that did not end; None where there are none."""
        values, place = self._load_entries("intents", "place")
        if not values:
            return None
        try:
            if "place" not in values:
                raise KeyError("place")
            return Intents(place, {str(path): str(to) for path, to in values["aside"].items()})
        except (KeyError, TypeError, AttributeError):
            self.report_damage("intents", _("it is not readable"))
            return None

    def save_intents(self, intents: Intents) -> None:
        """Write down moves before the first of them.

        Raises:
            OSError: they cannot be written, so nothing may be moved.
        """
        self.save("intents", {"place": intents.place, "aside": intents.aside})

    def drop_intents(self) -> None:
        """Forget the moves: they are done, and the ledger knows them."""
        self.delete("intents")

    def load(
        self, name: str, large: Mapping[tuple[str, ...], json_stream.Take] | None = None
    ) -> dict[str, Any]:
        """Return the content of one of the server's files; empty where there is none.

        A damaged file is kept under another name and raises an alarm.

        Args:
            name: of the file.
            large: as for `json_stream.load`.
        """
        path = self._path(name)
        try:
            with json_stream.opened(path) as file:
                values = json_stream.load(file, large or {})
            if isinstance(values, dict):
                return values
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.report_damage(name, reason(error))
            return {}
        except (ValueError, TypeError, OverflowError):
            pass
        with contextlib.suppress(OSError):
            os.replace(path, f"{path}.damaged")
        self.report_damage(name, _("it is damaged; it is kept as %(path)s.damaged", path=path))
        return {}

    def report_damage(self, name: str, why: str) -> None:
        """Raise the alarm of a file of the server's that is lost or damaged."""
        self.alarms.set(STATE, _("%(file)s: %(why)s", file=f"{name}.json", why=why))

    def save(self, name: str, values: Mapping[str, Any]) -> None:
        """Replace one of the server's files.

        Raises:
            OSError: it cannot be written; the old one is as it was.
        """
        json_stream.replace(self._path(name), values)

    def has(self, name: str) -> bool:
        """Return whether one of the server's files is there."""
        return os.path.exists(self._path(name))

    def delete(self, name: str) -> None:
        """Delete one of the server's files, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self.state_dir, f"{name}.json")

    def stored_paths(self, name: str) -> set[str]:
        """Return the set of paths that is stored under a name: a key of `_MARKS`."""
        paths = self.load(name).get("paths", [])
        return {str(path) for path in paths} if isinstance(paths, list) else set()

    def change_stored_paths(
        self, name: str, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> set[str]:
        """Change such a set, raise or clear its alarm, and return it.

        Args:
            name: a key of `_MARKS`.
            add, remove: paths.

        Raises:
            OSError: the set cannot be written; its alarm is raised all the same.
        """
        with lock_file(os.path.join(self.state_dir, f"{name}.lock"), LOCK_SECONDS):
            before = self.stored_paths(name)
            paths = (before | set(add)) - set(remove)
            kind, message = _MARKS[name]
            self.alarms.set(kind, message(sorted(paths)) if paths else None)
            if paths != before:
                self.save(name, {"paths": sorted(paths)})
        return paths


def _rot_message(paths: list[str]) -> str:
    return _("the content changed in its place: %(files)s", files=names(paths))


def _previous_rot_message(paths: list[str]) -> str:
    return _("the content of previous versions changed: %(files)s", files=names(paths))


def _loss_message(paths: list[str]) -> str:
    return _("no longer in the copy: %(files)s", files=names(paths))


_MARKS = {
    "rotten": (BIT_ROT, _rot_message),
    "lost": (LOST, _loss_message),
    "rotten-previous": (PREVIOUS_ROT, _previous_rot_message),
}


def names(paths: list[str], most: int = 5) -> str:
    """Return the first paths, and how many more there are."""
    shown = join(readable(path) for path in paths[:most])
    if len(paths) <= most:
        return shown
    return _("%(files)s and %(count)d more", files=shown, count=len(paths) - most)


def identity_of(root: str) -> str:
    """Return the identity that a copy's folder holds; empty where it holds none."""
    try:
        with open(os.path.join(root, STATE_FOLDER, IDENTITY_FILE), encoding="ascii") as file:
            return file.read(200).strip()
    except (OSError, ValueError):
        return ""
