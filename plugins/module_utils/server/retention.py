# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention: drop previous versions that were kept long enough, never the last good one."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import os
import stat

from ..backup import file_kind
from ..inventory import backup_names, sealed_names
from .server_store import Store

# So many of the newest good backups of a tier stay, by name as by arrival.
KEPT_GOOD = 1
# A name may be ahead because it is written in another time zone.
FUTURE_SECONDS = 14 * 3600


@dataclasses.dataclass
class Dropped:
    """Result of one run.

    Attributes:
        dropped: files of `old_...` folders that were kept long enough.
        kept_longer: files that are old enough but are the newest good ones of a tier.
    """

    dropped: list[str] = dataclasses.field(default_factory=list)
    kept_longer: list[str] = dataclasses.field(default_factory=list)


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
            os.unlink(os.path.join(store.root, whole))
            result.dropped.append(whole)
        for tier in (*store.tiers, ""):
            # Only an empty folder goes: a file that is not a backup stays.
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(store.root, folder, tier))
    return result


def _kept_good(store: Store, old: dict[str, list[str]], now: float) -> set[str]:
    """Return the good backups of each tier that stay: the newest by name, and by arrival.

    Names alone are the client's: one who spells a name later than all others must not make the
    genuine newest one go. A name that lies in the future counts for nothing.
    """
    least = store.settings.least_bytes
    rotten = store.stored_paths("rotten") | store.stored_paths("rotten-previous")
    ledger = {**store.ledger(), **store.previous_ledger()}
    latest = datetime.datetime.fromtimestamp(now + FUTURE_SECONDS).isoformat()
    found = set()
    for tier in store.tiers:
        paths = [path for path in store.backups() if path.startswith(f"{tier}/")]
        for folder, names in old.items():
            paths += [f"{folder}/{path}" for path in names if path.startswith(f"{tier}/")]
        paths = [
            path
            for path in paths
            if path not in rotten and not store.is_beside(path) and _moment(path, store) <= latest
        ]

        def by_name(path: str) -> tuple[str, str]:
            return _moment(path, store), path

        def by_arrival(path: str) -> tuple[float, str]:
            return (ledger[path].arrived if path in ledger else 0.0), _moment(path, store)

        for order in (by_name, by_arrival):
            good = (
                path
                for path in sorted(paths, key=order, reverse=True)
                if is_good(os.path.join(store.root, path), least)
            )
            found |= set(itertools.islice(good, KEPT_GOOD))
    return found


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
