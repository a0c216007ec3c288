# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares both sides by content."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..common.messages import _
from ..inventory import digest_cache, freshness, inventory, inventory_names
from ..inventory.digest_cache import DigestCache, Identity
from ..inventory.inventory import Inventory, readable
from .offsite_settings import SyncSettings
from .offsite_state import load_state, state_path
from .remote_listing import Remote


def verify(
    settings: SyncSettings,
    *,
    full: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compares both sides by content, with SHA-256 taken on each side of what is there.

    Digests are taken from a cache where a file's identity did not change, and a share of them is
    taken anew in each run.

    Args:
        settings: from where, to where.
        full: whether to read everything on both sides.
        progress: called with local bytes read and local bytes to read in all.

    Returns:
        `host`, `name`, `local` and `remote` (inventories), `comparison`, `digests` (how many of
        each side were read and how many believed), `rotted` (paths by side whose content changed
        without anything else changing), `freshness` of each side by tier, `weaker`,
        `server_alarms`, `last_good_sync` (ISO 8601 or None) and `time`.

    Raises:
        ResilienceError: one side could not be looked at; never to be taken for equal.
    """
    settings.transport.look_ahead(settings.tiers, digests=True)
    try:
        return _verified(settings, full, progress)
    finally:
        settings.transport.forget()


def _verified(
    settings: SyncSettings, full: bool, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    transport = settings.transport
    transport.check()
    state, _problem = load_state(settings)
    now = datetime.datetime.now().astimezone()

    with ThreadPoolExecutor(max_workers=1) as pool:
        asked = pool.submit(_remote, settings, full)
        local, ours = digested(settings, _scan(settings), full=full, progress=progress)
        remote, there, theirs = asked.result()
    if not there.exists:
        remote.problems.append(_("%(where)s: no such folder on the server", where=str(transport)))
    return {
        "host": transport.host,
        "name": settings.name,
        "local": inventory_names.printable(local).to_dict(),
        "remote": inventory_names.printable(remote).to_dict(),
        "comparison": inventory.compare(local, remote).to_dict(),
        "digests": {"local": ours.counts(), "remote": theirs.counts()},
        "rotted": {"local": ours.rotted, "remote": theirs.rotted},
        "freshness": {
            "local": freshness.of(local, settings.schedule, now),
            "remote": freshness.of(remote, settings.schedule, now),
        },
        "weaker": list(transport.weaker(there)),
        "server_alarms": list(there.alarms),
        "last_good_sync": state.last_good.time if state.last_good else None,
        "time": now.isoformat(timespec="seconds"),
    }


@dataclasses.dataclass(frozen=True)
class Reading:
    """How one side's digests were come by.

    Attributes:
        read: how many files were read.
        believed: how many digests were taken from the cache.
        rotted: files whose content changed while size and times did not, escaped.
    """

    read: int
    believed: int
    rotted: list[str]

    def counts(self) -> dict[str, int]:
        """Plain values."""
        return {"read": self.read, "believed": self.believed}


def _scan(settings: SyncSettings) -> Inventory:
    return inventory.scan(
        settings.backup_path, tiers=settings.tiers, pattern=settings.pattern, digest=False
    )


def digested(
    settings: SyncSettings,
    tree: Inventory,
    *,
    full: bool = False,
    share: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Inventory, Reading]:
    """Our own tree with digests.

    Args:
        settings: which tree, and where the cache is.
        tree: as it was scanned.
        full: whether to read everything.
        share: whether to read a share again of what is known.
        progress: as for `verify`.
    """
    # One cache for every destination: it is the same tree.
    cache = DigestCache(os.path.join(settings.state_dir, "offsite-digests.json"))
    identities = {file.path: tree.identities[file.path] for file in tree.files}
    planned = digest_cache.plan(
        cache.entries,
        identities,
        now=digest_cache.today(),
        full_days=settings.reread_days if share else float("inf"),
        full=full,
    )
    found = inventory.with_digests(tree, planned.believed, progress)
    digests = {file.path: file.sha256 or "" for file in found.files}
    reading = _learn(cache, planned, identities, digests, found)
    return found, reading


def _learn(
    cache: DigestCache,
    planned: digest_cache.Plan,
    identities: Mapping[str, Identity],
    digests: Mapping[str, str],
    tree: Inventory,
) -> Reading:
    read = {path: digests[path] for path in planned.to_read if digests.get(path)}
    rotted = sorted(
        path for path, digest in read.items() if planned.before.get(path, digest) != digest
    )
    # What rotted keeps its old digest, so that it is named again until it is replaced.
    cache.learn(
        identities,
        {path: digest for path, digest in read.items() if path not in rotted},
        digest_cache.today(),
    )
    for path in rotted:
        cache.forget_reading(path)
    problem = cache.save(identities)
    if problem:
        tree.problems.append(problem)
    return Reading(len(read), len(planned.believed), [readable(path) for path in rotted])


def _remote(settings: SyncSettings, full: bool) -> tuple[Inventory, Remote, Reading]:
    remote = settings.transport.look(settings.tiers, settings.pattern)
    cache = DigestCache(state_path(settings, "-remote-digests.json"))
    planned = digest_cache.plan(
        cache.entries,
        remote.identities,
        now=digest_cache.today(),
        full_days=settings.reread_days,
        full=full,
    )
    taken = settings.transport.digests(planned.to_read)
    digests = {**planned.believed, **taken}
    tree = dataclasses.replace(remote.tree, files=[], problems=list(remote.tree.problems))
    for file in remote.tree.files:
        if file.path in digests:
            tree.files.append(dataclasses.replace(file, sha256=digests[file.path]))
        else:
            tree.problems.append(
                _("%(file)s: the server could not read it", file=readable(file.path))
            )
    return tree, remote, _learn(cache, planned, remote.identities, digests, tree)


def verify_exit_code(verification: Mapping[str, Any]) -> int:
    """0 in sync, 1 in sync but the server's own job found something wrong, 2 not in sync, 3 could
    not tell."""
    comparison = verification["comparison"]
    if comparison["in_sync"]:
        return 1 if verification["server_alarms"] else 0
    differs = comparison["missing"] or comparison["extra"] or comparison["different"]
    return 2 if differs else 3
