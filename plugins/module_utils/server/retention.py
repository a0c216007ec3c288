# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention: drop previous versions that were kept long enough, never the last good one."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import stat

from ..backup import file_kind
from ..inventory import backup_names, sealed_names
from .server_store import Store


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
    newest = _newest_good(store, old)
    for folder, paths in old.items():
        moved = datetime.datetime.strptime(f"{folder}+0000", "old_%Y%m%d_%H%M%S%z")
        if now - moved.timestamp() < store.settings.keep_days * 86400:
            continue
        for path in paths:
            tier, whole = path.partition("/")[0], f"{folder}/{path}"
            if newest.get(tier, whole) == store.owner(whole):
                result.kept_longer.append(whole)
                continue
            os.unlink(os.path.join(store.root, whole))
            result.dropped.append(whole)
        for tier in (*store.tiers, ""):
            # Only an empty folder goes: a file that is not a backup stays.
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(store.root, folder, tier))
    return result


def _newest_good(store: Store, old: dict[str, list[str]]) -> dict[str, str]:
    """Return the newest good backup of each tier, in its place or moved aside."""
    least = store.settings.least_bytes
    rotten = store.stored_paths("rotten")
    held = store.backups()
    newest: dict[str, str] = {}
    for tier in store.tiers:
        paths = [path for path in held if path.startswith(f"{tier}/") and path not in rotten]
        for folder, names in old.items():
            paths += [f"{folder}/{path}" for path in names if path.startswith(f"{tier}/")]
        paths = [path for path in paths if not store.is_beside(path)]
        for path in sorted(paths, key=lambda name: (_moment(name, store), name), reverse=True):
            if is_good(os.path.join(store.root, path), least):
                newest[tier] = path
                break
    return newest


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
