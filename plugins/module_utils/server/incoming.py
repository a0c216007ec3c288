# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What arrives in `incoming`: taken over, digested, cleaned.

rsync writes to a temporary name and renames, so a file with a backup's name is complete. Before it
is read it is taken over: moved to `placing`, where no key leads, and only if no process has it open
for writing. So the bytes that are digested are the bytes that get their place.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import select
import shutil
import stat
import time
from collections.abc import Iterator
from typing import IO, Any

from ..common.locks import lock_file
from ..common.messages import _
from ..inventory import open_files, tree_digests
from ..inventory.path_block import SHA256, RowForm
from ..inventory.path_table import PathTable
from .new_names import is_impossible, rename_new, start_writing
from .server_alarms import BLOCKED
from .server_store import Store, names

# Seconds between two looks at what arrives.
LOOK_SECONDS = 0.5
# Days after which files are dropped that arrived and were never listed by an inventory.
INCOMING_DAYS = 7
PARTIAL_FOLDER = ".rsync-partial"
# SHA-256 and bytes of an arrival; empty and -1 where they are not known yet.
_ARRIVALS: RowForm[tuple[str, int]] = RowForm(
    f"{SHA256}q", lambda one: one, lambda _path, sha256, size: (sha256, size)
)
_NEW = ("", -1)
# The lock in the folder of a session; no tier can be called so.
LOCK = ".lock"


class ArrivalSession:
    """The arrivals that one commit has taken over.

    Use it as a context: at its end, what was not placed goes back to `incoming`.

    Args:
        store: the copy.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = os.path.join(store.placing, secrets.token_hex(8))
        self._arrivals: PathTable[tuple[str, int]] = PathTable(_ARRIVALS)
        self._open = contextlib.ExitStack()
        self._tiers: dict[str, int] = {}
        self._umask = os.umask(0o077)
        os.umask(self._umask)

    def __enter__(self) -> ArrivalSession:
        recover_sessions(self.store)
        # The folder gets its name when its lock is held, so that it never looks like the folder of
        # a session that was killed.
        folder = os.path.join(self.store.placing, f".new-{os.path.basename(self.folder)}")
        for tier in self.store.tiers:
            os.makedirs(os.path.join(folder, tier), mode=0o700)
        self._open.enter_context(lock_file(os.path.join(folder, LOCK)))
        os.rename(folder, self.folder)
        return self

    def __exit__(self, *_error: object) -> None:
        with self._open:
            _give_back(self.store, self.folder)

    def watch(self, stream: IO[bytes]) -> None:
        """Take over and digest what arrives, until `stream` has input or has ended."""
        is_polite = False
        while not select.select([stream], [], [], LOOK_SECONDS)[0]:
            try:
                arrived = self.store.incoming_backups()
            except OSError:
                return  # the placement meets it again, and reports it
            if arrived and not is_polite:
                os.nice(5)  # the rsync that receives comes first
                is_polite = True
            for number, path in enumerate(arrived):
                if self.take_over(path) and not self._known(path)[0]:
                    with contextlib.suppress(OSError):
                        self.digest(path)
                        # Otherwise all of it waits for the disk when the last one has arrived.
                        start_writing(self.path(path))
                # A look costs as much as a small file.
                if (number % 16 == 0 or self._known(path)[1] > tree_digests.BLOCK) and (
                    select.select([stream], [], [], 0)[0]
                ):
                    return

    def take_over(self, path: str) -> bool:
        """Move an arrival to where no key leads; return whether it is safe there.

        A file that a process still has open for writing, or that has a second name, is deleted: the
        one who writes keeps a file that nobody reads. A newer arrival replaces an older one.
        """
        source, target = os.path.join(self.store.incoming, path), self.path(path)
        try:
            os.rename(source, target)
        except FileNotFoundError:
            return os.path.lexists(target) or self._from_other_session(path)
        except OSError as error:
            if is_impossible(error):
                return False
            raise
        self._arrivals.pop(path, None)
        return self._check(path)

    def _from_other_session(self, path: str) -> bool:
        for name in os.listdir(self.store.placing):
            if name != os.path.basename(self.folder):
                with contextlib.suppress(OSError):
                    os.rename(os.path.join(self.store.placing, name, path), self.path(path))
                    return self._check(path)
        return False

    def _check(self, path: str) -> bool:
        """Return whether an arrival is safe; a small one is digested by the same opening."""
        own = self.path(path)
        number = _opened_arrival(own)
        try:
            safe = number is not None and self._is_owned(own, number)
            if safe and number is not None:
                size, digest = os.fstat(number).st_size, ""
                if size <= tree_digests.BLOCK:
                    with contextlib.suppress(OSError):  # `digest` meets it again
                        digest = tree_digests.opened_sha256(number, size)
                self._arrivals.add(path, (digest, size))
        finally:
            if number is not None:
                os.close(number)
        if not safe:
            os.unlink(own)
        return safe

    @staticmethod
    def _is_owned(own: str, number: int) -> bool:
        """Return whether no other process can write to an opened arrival any more."""
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return False
        if not status.st_mode & stat.S_IRUSR:
            os.fchmod(number, status.st_mode & 0o777 | stat.S_IRUSR)
        try:
            return not open_files.opened_has_writer(number)
        except OSError:  # the kernel grants no lease there
            return not open_files.being_written([own])

    def add(self, path: str, content: bytes, mode: int, mtime_ns: int) -> None:
        """Write an arrival that no other process has ever had open, and digest it.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        if path in self._arrivals:
            self.discard(path)
        tier, _slash, name = path.partition("/")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        mode |= stat.S_IRUSR
        number = os.open(name, flags, mode, dir_fd=self._tier(tier))
        try:
            if os.write(number, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path(path))
            os.utime(number, ns=(mtime_ns, mtime_ns))
            if mode & self._umask:
                os.fchmod(number, mode)
        except BaseException:
            os.unlink(self.path(path))
            raise
        finally:
            os.close(number)
        self._arrivals.add(path, (hashlib.sha256(content).hexdigest(), len(content)))

    def _tier(self, tier: str) -> int:
        """Return a descriptor of a tier's folder, so that the kernel walks to it only once."""
        if tier not in self._tiers:
            folder = os.path.join(self.folder, tier)
            self._tiers[tier] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._open.callback(os.close, self._tiers[tier])
        return self._tiers[tier]

    @property
    def arrivals(self) -> PathTable[tuple[str, int]]:
        """SHA-256 and bytes of what was taken over, by path, as far as they are known."""
        return self._arrivals

    def arrival(self, path: str) -> tuple[str, int] | None:
        """Return SHA-256 and bytes of an arrival; None where it was not taken over.

        They are those that are known: `digest` and `size` find out what is not.
        """
        known: tuple[str, int] | None = self._arrivals.get(path)
        return known

    def share_paths(self, listed: PathTable[Any]) -> None:
        """Use the memory of an inventory for the paths, if it lists just these arrivals."""
        self._arrivals.share(listed)

    def path(self, path: str) -> str:
        """Return where an arrival lies once it was taken over."""
        return f"{self.folder}/{path}"

    def _known(self, path: str) -> tuple[str, int]:
        known: tuple[str, int] = self._arrivals.get(path, _NEW)
        return known

    def size(self, path: str) -> int:
        """Return the bytes of an arrival that was taken over: nobody can write to it any more."""
        digest, size = self._known(path)
        if size < 0:
            size = os.lstat(self.path(path)).st_size
            self._arrivals.add(path, (digest, size))
        return size

    def digest(self, path: str) -> str:
        """Return the SHA-256 of an arrival that was taken over.

        Raises:
            OSError: it cannot be read.
        """
        digest, size = self._known(path)
        if not digest:
            digest = tree_digests.sha256(self.path(path))
            self._arrivals.add(path, (digest, size if size >= 0 else self.size(path)))
        return digest

    def discard(self, path: str) -> None:
        """Delete an arrival that was taken over."""
        self._arrivals.pop(path, None)
        os.unlink(self.path(path))


def _opened_arrival(path: str) -> int | None:
    """Return a descriptor of an arrival, opened to read; None where it is no regular file."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except OSError:
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            return None
        os.chmod(path, mode & 0o777 | stat.S_IRUSR)
        return os.open(path, flags)


def recover_sessions(store: Store) -> None:
    """Give back what sessions had taken over that were killed."""
    for name in os.listdir(store.placing):
        folder = os.path.join(store.placing, name)
        if name.startswith("."):
            # Killed before it began; one that begins now is renamed at once.
            with contextlib.suppress(OSError):
                if os.lstat(folder).st_mtime < time.time() - 3600:
                    shutil.rmtree(folder, ignore_errors=True)
            continue
        with contextlib.suppress(FileNotFoundError), lock_file(os.path.join(folder, LOCK)) as lock:
            if lock is not None:
                _give_back(store, folder)


def _give_back(store: Store, folder: str) -> None:
    """Move the files of a session back to `incoming`, and remove its folder."""
    for tier in store.tiers:
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(os.path.join(folder, tier)):
                source = os.path.join(folder, tier, name)
                try:
                    rename_new(source, os.path.join(store.incoming, tier, name))
                except OSError:
                    os.unlink(source)  # a newer one has arrived, or the folder is blocked
    shutil.rmtree(folder, ignore_errors=True)


def resume_partial_files(store: Store) -> None:
    """Let the next rsync continue with what a killed one has left behind.

    An rsync that is ended puts what has arrived into its folder of partial files; one that is
    killed, or loses power, leaves it under its temporary name, `.NAME.` and six characters. What a
    process still writes is left alone. rsync verifies by a checksum what it makes of a part.
    """
    found = {}
    for tier in store.tiers:
        folder = os.path.join(store.incoming, tier)
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                temporary = _temporary_of(name)
                if temporary and store.accepts(f"{tier}/{temporary}"):
                    partial = os.path.join(folder, PARTIAL_FOLDER, temporary)
                    found[os.path.join(folder, name)] = partial
    if not found:
        return
    for path in found.keys() - open_files.being_written(found):
        with contextlib.suppress(OSError):
            status, partial = os.lstat(path), found[path]
            size = os.lstat(partial).st_size if os.path.lexists(partial) else -1
            if not stat.S_ISREG(status.st_mode):
                continue
            if status.st_size <= size:
                os.unlink(path)
                continue
            os.makedirs(os.path.dirname(partial), mode=0o700, exist_ok=True)
            os.replace(path, partial)


def _temporary_of(name: str) -> str:
    known = re.fullmatch(r"\.(.+)\.[A-Za-z0-9]{6}", name, re.DOTALL)
    return known[1] if known else ""


def obstructions(store: Store) -> Iterator[str]:
    """Yield the paths, relative to `incoming`, of what no sync of a backup tree puts there.

    These are all but: folders of tiers, in them regular files, and in their `.rsync-partial`
    regular files.
    """
    for name, mode in _entries(store.incoming):
        if name not in store.tiers or not stat.S_ISDIR(mode):
            yield name
            continue
        for inner, inner_mode in _entries(os.path.join(store.incoming, name)):
            if inner == PARTIAL_FOLDER and stat.S_ISDIR(inner_mode):
                folder = os.path.join(store.incoming, name, inner)
                for last, last_mode in _entries(folder):
                    if not stat.S_ISREG(last_mode):
                        yield f"{name}/{inner}/{last}"
            elif inner == PARTIAL_FOLDER or not stat.S_ISREG(inner_mode):
                yield f"{name}/{inner}"


def _entries(folder: str) -> list[tuple[str, int]]:
    """Return names and modes of a folder that the account owns, whatever mode a client gave it."""
    try:
        with _opened_folder(folder) as descriptor, os.scandir(descriptor) as entries:
            return [(one.name, one.stat(follow_symlinks=False).st_mode) for one in entries]
    except OSError:
        return []


@contextlib.contextmanager
def _opened_folder(path: str) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except PermissionError:
        os.chmod(path, 0o700)
        descriptor = os.open(path, flags)
    try:
        if os.fstat(descriptor).st_mode & 0o700 != 0o700:
            os.fchmod(descriptor, 0o700)
        yield descriptor
    finally:
        os.close(descriptor)


def clear_obstructions(store: Store) -> list[str]:
    """Move what is in the way in `incoming` to the quarantine, raise the alarm, return the paths.

    Nothing of it is opened or walked: however deep it is nested, each is one rename.
    """
    moved = []
    for path in list(obstructions(store)):
        source = os.path.join(store.incoming, path)
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.lstat(source).st_mode):
                os.chmod(source, 0o700)  # a folder must be writable to change its parent
            os.rename(source, _quarantine_path(store))
            moved.append(path)
    if moved:
        store.alarms.set(
            BLOCKED,
            _(
                "moved to the quarantine, because no sync of backups puts it there: %(files)s",
                files=names(moved),
            ),
        )
    return moved


def _quarantine_path(store: Store) -> str:
    return os.path.join(store.quarantine, f"{int(time.time())}-{secrets.token_hex(4)}")


def clean(store: Store, now: float) -> None:
    """Drop arrivals that no inventory listed for `INCOMING_DAYS`, and old quarantine.

    Args:
        store: the copy.
        now: seconds since 1970.

    Raises:
        OSError: something cannot be removed.
    """
    recover_sessions(store)
    clear_obstructions(store)
    oldest = now - INCOMING_DAYS * 86400
    for tier in store.tiers:
        for folder in (os.path.join(tier, PARTIAL_FOLDER), tier):
            whole = os.path.join(store.incoming, folder)
            for name, _mode in _entries(whole):
                path = os.path.join(whole, name)
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode) and status.st_ctime < oldest:
                    os.unlink(path)
            # Only an empty folder goes.
            with contextlib.suppress(OSError):
                if os.lstat(whole).st_ctime < oldest:
                    os.rmdir(whole)
    for name in os.listdir(store.quarantine):
        path = os.path.join(store.quarantine, name)
        if os.lstat(path).st_ctime < oldest:
            _remove(path, store)


def _remove(path: str, store: Store) -> None:
    """Remove a file or a folder of any depth.

    Folders within it are moved up first, so that neither a path nor a stack grows with its depth.
    """
    pending = [path]
    while pending:
        folder = pending.pop()
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            os.unlink(folder)
            continue
        os.chmod(folder, 0o700)
        for name in os.listdir(folder):
            inner = os.path.join(folder, name)
            if stat.S_ISDIR(os.lstat(inner).st_mode):
                os.chmod(inner, 0o700)
                moved = _quarantine_path(store)
                os.rename(inner, moved)
                pending.append(moved)
            else:
                os.unlink(inner)
        os.rmdir(folder)
