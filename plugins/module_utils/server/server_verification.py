# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of the copy by the server itself: content is read again and compared."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping

from ..common.messages import _
from ..inventory import tree_digests
from .server_alarms import UNREADABLE
from .server_store import LedgerEntry, Store, names


@dataclasses.dataclass
class Reread:
    """What was read again.

    Attributes:
        read: how many files were compared with the ledger, previous versions included.
        rotten: backups whose content changed.
        rotten_previous: previous versions whose content changed.
        unreadable: files that could not be read.
        oldest: when the file that was not read for longest was read, seconds since 1970; None
            where there is none.
    """

    read: int = 0
    rotten: list[str] = dataclasses.field(default_factory=list)
    rotten_previous: list[str] = dataclasses.field(default_factory=list)
    unreadable: list[str] = dataclasses.field(default_factory=list)
    oldest: float | None = None


def reread(store: Store) -> Reread:
    """Read what was not read since it was placed, a day's share of the rest, and what is overdue.

    Those not read for longest come first; previous versions count like all others. Files that the
    ledger does not know are read, too, and their content is taken as it is. Call it with the lock.

    Raises:
        OSError: a tier cannot be read, or the ledger cannot be written.
    """
    ledger, previous, now = store.ledger(), store.previous_ledger(), time.time()
    held = store.backups()
    sizes = {**held, **store.previous_sizes()}
    lost = [path for path in ledger if path not in held]
    dropped = [path for path in previous if path not in sizes]
    for path in lost:
        del ledger[path]
    for path in dropped:
        del previous[path]
    # A backup that is back is reported for the last time by the run that notices it.
    store.change_stored_paths("lost", add=lost, remove=store.stored_paths("lost") & held.keys())
    found, well = Reread(), []
    entries = {**ledger, **previous}
    for path in _to_read(sizes, entries, store.settings.reread_days, now):
        whole = os.path.join(store.root, path)
        known = ledger if path in held else previous
        try:
            _forget_cached(whole)
            digest = tree_digests.sha256(whole)
        except FileNotFoundError:
            continue  # moved aside meanwhile
        except OSError:
            found.unreadable.append(path)
            continue
        found.read += 1
        if path not in entries:
            # Nobody knows when a previous version arrived that the ledger lacks.
            known[path] = LedgerEntry(digest, sizes[path], now if path in held else 0.0, now)
        elif entries[path].sha256 == digest:
            known[path] = entries[path]._replace(read=now)
            well.append(path)
        elif path in held:
            found.rotten.append(path)
        else:
            found.rotten_previous.append(path)
    # A rotten file stays marked until it reads well again, or is replaced or dropped.
    store.change_stored_paths("rotten", add=found.rotten, remove=[*well, *lost])
    store.change_stored_paths(
        "rotten-previous", add=found.rotten_previous, remove=[*well, *dropped]
    )
    store.alarms.set(
        UNREADABLE,
        _("cannot be read: %(files)s", files=names(found.unreadable)) if found.unreadable else None,
    )
    store.save_ledger(ledger)
    store.save_previous_ledger(previous)
    found.oldest = min(
        (entry.read for entry in [*ledger.values(), *previous.values()]), default=None
    )
    return found


def _to_read(
    sizes: Mapping[str, int], entries: Mapping[str, LedgerEntry], days: float, now: float
) -> Iterator[str]:
    """Yield the files to read now, those not read for longest first."""

    def last_read(path: str) -> float:
        # A time in the future is that of a clock that was wrong.
        read = entries[path].read if path in entries else 0.0
        return read if read <= now else 0.0

    share = sum(sizes.values()) / max(1, days)
    for path in sorted(sizes, key=last_read):
        moment = last_read(path)
        if share <= 0 and now - moment < days * 86400:
            return
        if moment:  # the first reading comes beside the day's share
            share -= sizes[path]
        yield path


def _forget_cached(path: str) -> None:
    """Let the kernel drop what it has in memory of a file, so that the disk is read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def compare_with_ledger(
    store: Store, before: Mapping[str, LedgerEntry], digests: Mapping[str, str]
) -> list[str]:
    """Record as rotten the backups whose content, read just now, differs from the ledger.

    A backup that was rotten earlier and reads well again is no longer listed as rotten.

    Args:
        store: the copy.
        before: the ledger before they were read; what was replaced meanwhile does not count.
        digests: SHA-256 by path.

    Returns:
        The rotten ones.
    """
    known = {path: digest for path, digest in digests.items() if path in before}
    suspects = {path for path, digest in known.items() if digest != before[path].sha256}
    well = store.stored_paths("rotten") & (known.keys() - suspects)
    if not suspects and not well:
        return []
    ledger = store.ledger()
    rotten = sorted(path for path in suspects if ledger.get(path) == before[path])
    if rotten or well:
        store.change_stored_paths("rotten", add=rotten, remove=well)
    return rotten
