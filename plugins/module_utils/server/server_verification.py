# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of the copy by the server itself: content is read again and compared."""

from __future__ import annotations

import dataclasses
import os
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from ..common.messages import _
from ..inventory import tree_digests
from ..inventory.path_table import PathTable, only_in
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
    held, old = store.backups(), store.previous_sizes()
    ledger, previous, now = store.ledger(held), store.previous_ledger(), time.time()
    ledger.share(held)
    lost, dropped = list(only_in(ledger, held)), list(only_in(previous, old))
    for path in lost:
        del ledger[path]
    for path in dropped:
        del previous[path]
    # A backup that is back is reported for the last time by the run that notices it.
    back = [path for path in store.stored_paths("lost") if path in held]
    store.change_stored_paths("lost", add=lost, remove=back)
    # What was rotten and reads well.
    marked, well = store.stored_paths("rotten") | store.stored_paths("rotten-previous"), []
    found = Reread()
    order = _to_read(((held, ledger), (old, previous)), store.settings.reread_days, now)
    for path, is_old in order:
        whole = os.path.join(store.root, path)
        sizes, known = (old, previous) if is_old else (held, ledger)
        try:
            _forget_cached(whole)
            digest = tree_digests.sha256(whole)
        except FileNotFoundError:
            continue  # moved aside meanwhile
        except OSError:
            found.unreadable.append(path)
            continue
        found.read += 1
        entry = known.get(path)
        if entry is None:
            # Nobody knows when a previous version arrived that the ledger lacks.
            known[path] = LedgerEntry(digest, sizes[path], 0.0 if is_old else now, now)
        elif entry.sha256 == digest:
            known[path] = entry._replace(read=now)
            if path in marked:
                well.append(path)
        elif is_old:
            found.rotten_previous.append(path)
        else:
            found.rotten.append(path)
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
    found.oldest = min(chain(_read_times(ledger), _read_times(previous)), default=None)
    return found


def _read_times(entries: PathTable[LedgerEntry]) -> Iterable[float]:
    return (entry.read for entry in entries.values())


def _to_read(
    groups: Sequence[tuple[PathTable[int], PathTable[LedgerEntry]]], days: float, now: float
) -> Iterator[tuple[str, int]]:
    """Yield the files to read now, those not read for longest first, and the number of their group.

    Args:
        groups: bytes by path of files, and what is known of them.
        days: within which each is read.
        now: seconds since 1970.
    """
    moments = array("d")
    for sizes, entries in groups:
        for path in sizes:
            entry = entries.get(path)
            # A time in the future is that of a clock that was wrong.
            moments.append(entry.read if entry and entry.read <= now else 0.0)
    share = sum(sum(sizes.values()) for sizes, _entries in groups) / max(1, days)
    first = len(groups[0][0])
    for at in sorted(range(len(moments)), key=moments.__getitem__):
        moment = moments[at]
        if share <= 0 and now - moment < days * 86400:
            return
        group = int(at >= first)
        path = groups[group][0].path_at(at - group * first)
        if moment:  # the first reading comes beside the day's share
            share -= groups[group][0].value_at(at - group * first)
        yield path, group


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
    suspects = set()
    for path, digest in digests.items():
        entry = before.get(path)
        if entry is not None and digest != entry.sha256:
            suspects.add(path)
    read = (path for path in store.stored_paths("rotten") if path in digests and path in before)
    well = {path for path in read if path not in suspects}
    if not suspects and not well:
        return []
    ledger = store.ledger()
    rotten = sorted(path for path in suspects if ledger.get(path) == before[path])
    if rotten or well:
        store.change_stored_paths("rotten", add=rotten, remove=well)
    return rotten
