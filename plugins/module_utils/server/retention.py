# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention: drop previous versions that were kept long enough, never the last good one."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import heapq
import itertools
import os
import stat
from collections import ChainMap
from collections.abc import Callable, Iterator
from typing import Any

from ..backup import file_kind
from ..inventory import backup_names, sealed_names
from .server_store import Store

# So many of the newest good backups of a tier stay, by name as by arrival.
KEPT_GOOD = 1
# How many backups of a tier are looked at before all are sorted.
_FIRST_LOOK = 64
# A name may be ahead because it is written in another time zone.
FUTURE_SECONDS = 14 * 3600


@dataclasses.dataclass
class Dropped:
    """Result of one run.

    Attributes:
        dropped: files of `old_...` folders that were kept long enough.
        kept_longer: files that are old enough but are the newest good ones of a tier.
        stuck: files that the filesystem does not let go, by an attribute or the rights of a folder.
    """

    dropped: list[str] = dataclasses.field(default_factory=list)
    kept_longer: list[str] = dataclasses.field(default_factory=list)
    stuck: list[str] = dataclasses.field(default_factory=list)


def drop_old(store: Store, now: float) -> Dropped:
    """Drop what was moved aside long ago, but never the newest good backup of a tier.

    Args:
        store: the copy.
        now: seconds since 1970.

    Raises:
        OSError: the copy cannot be read, or a file cannot be removed.
    """
    result = Dropped()
    old = store.previous_versions()
    kept = _kept_good(store, old, now)
    for folder, paths in old.items():
        moved = datetime.datetime.strptime(f"{folder}+0000", "old_%Y%m%d_%H%M%S%z")
        if now - moved.timestamp() < store.settings.keep_days * 86400:
            continue
        for path in paths:
            whole = f"{folder}/{path}"
            if store.owner(whole) in kept:
                result.kept_longer.append(whole)
                continue
            try:
                os.unlink(os.path.join(store.root, whole))
            except PermissionError:
                result.stuck.append(whole)
                continue
            result.dropped.append(whole)
        for tier in (*store.tiers, ""):
            # Only an empty folder goes: a file that is not a backup stays.
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(store.root, folder, tier))
    return result


def _kept_good(store: Store, old: dict[str, list[str]], now: float) -> set[str]:
    """Return the good backups of each tier that stay, as `Store.owner` calls them.

    They are the newest by name, and by arrival.

    Names alone are the client's: one who spells a name later than all others must not make the
    genuine newest one go. A name that lies in the future counts for nothing.
    """
    least = store.settings.least_bytes
    rotten = store.stored_paths("rotten") | store.stored_paths("rotten-previous")
    held = store.backups()
    ledger = ChainMap(store.ledger(held), store.previous_ledger())
    latest = datetime.datetime.fromtimestamp(now + FUTURE_SECONDS).isoformat()
    found = set()
    for tier in store.tiers:

        def paths(tier: str = tier) -> Iterator[str]:
            of_tier = (held.path_at(at) for at in held.rows_of(tier))
            former = (
                f"{folder}/{path}"
                for folder, names in old.items()
                for path in names
                if path.startswith(f"{tier}/")
            )
            for path in itertools.chain(of_tier, former):
                if path in rotten or store.is_beside(path):
                    continue
                if _moment(path, store) <= latest:
                    yield path

        def by_name(path: str) -> tuple[str, str]:
            return _moment(path, store), path

        def by_arrival(path: str) -> tuple[float, str]:
            return (ledger[path].arrived if path in ledger else 0.0), _moment(path, store)

        for order in (by_name, by_arrival):
            good = (
                path
                for path in _latest(paths, order)
                if is_good(os.path.join(store.root, path), least)
            )
            found |= set(map(store.owner, itertools.islice(good, KEPT_GOOD)))
    return found


def _latest(paths: Callable[[], Iterator[str]], order: Callable[[str], Any]) -> Iterator[str]:
    """Yield paths, the last in an order first; most often only the first few are needed."""
    first = heapq.nlargest(_FIRST_LOOK, paths(), key=order)
    yield from first
    if len(first) == _FIRST_LOOK:
        yield from sorted(paths(), key=order, reverse=True)[_FIRST_LOOK:]


def is_good(path: str, least_bytes: int) -> bool:
    """Return whether a file can be a backup: a regular one, of some size, that begins like one."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size < least_bytes:
            return False
        with open(path, "rb") as file:
            head = file.read(file_kind.HEAD_BYTES)
    except OSError:
        return False
    known = file_kind.compression(head) or file_kind.dump_format(head)
    return bool(known or file_kind.is_sealed(head))


def _moment(name: str, store: Store) -> str:
    match = sealed_names.match_stored(os.path.basename(name), store.pattern)
    return (match and backup_names.taken_at(match)) or ""
