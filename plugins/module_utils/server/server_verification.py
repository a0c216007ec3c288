# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of the copy by the server itself: content is read again and compared."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping

from ..common.messages import _
from ..inventory import tree_digests
from .server_alarms import UNREADABLE
from .server_store import LedgerEntry, Store, names


@dataclasses.dataclass
class Reread:
    """What was read again.

    Attributes:
        read: how many backups were compared with the ledger.
        rotten: those of them whose content changed.
        unreadable: backups that could not be read.
    """

    read: int = 0
    rotten: list[str] = dataclasses.field(default_factory=list)
    unreadable: list[str] = dataclasses.field(default_factory=list)


def reread(store: Store) -> Reread:
    """Read a day's share of the copy and what is overdue, those not read for longest first.

    Backups that the ledger does not know are read, too, and their content is taken as it is. Call
    it with the lock.

    Raises:
        OSError: a tier cannot be read, or the ledger cannot be written.
    """
    ledger, held, now = store.ledger(), store.backups(), time.time()
    lost = [path for path in ledger if path not in held]
    for path in lost:
        del ledger[path]
    # A backup that is back is reported for the last time by the run that notices it.
    store.change_stored_paths("lost", add=lost, remove=store.stored_paths("lost") & held.keys())
    found, well = Reread(), []
    days = store.settings.reread_days
    share = sum(status.st_size for status in held.values()) / max(1, days)
    for path in sorted(held, key=lambda name: ledger[name].read if name in ledger else 0.0):
        entry = ledger.get(path)
        if entry and share <= 0 and now - entry.read < days * 86400:
            break
        share -= held[path].st_size
        try:
            digest = tree_digests.sha256(os.path.join(store.root, path))
        except FileNotFoundError:
            continue  # moved aside meanwhile
        except OSError:
            found.unreadable.append(path)
            continue
        found.read += 1
        if entry is None:
            ledger[path] = LedgerEntry(digest, held[path].st_size, now, now)
        elif entry.sha256 == digest:
            ledger[path] = dataclasses.replace(entry, read=now)
            well.append(path)
        else:
            found.rotten.append(path)
    # A rotten backup stays marked until it reads well again, or is replaced.
    store.change_stored_paths("rotten", add=found.rotten, remove=[*well, *lost])
    store.alarms.set(
        UNREADABLE,
        _("cannot be read: %(files)s", files=names(found.unreadable)) if found.unreadable else None,
    )
    store.save_ledger(ledger)
    return found


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
