# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify the offsite copy: compare both sides by SHA-256."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..common.messages import _, join
from ..common.system_errors import reason
from ..inventory import (
    digest_cache,
    freshness,
    inventory,
    inventory_names,
    tree_comparison,
    tree_digests,
)
from ..inventory.digest_cache import DigestCache, Identity
from ..inventory.inventory import Inventory, readable
from .offsite_settings import SyncSettings
from .offsite_state import load_rotten, load_state, save_rotten, state_path
from .remote_listing import RemoteListing


def verify(
    settings: SyncSettings,
    *,
    full: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compare both sides by SHA-256, which each side takes of its own content.

    Digests come from a cache where a file's identity did not change, and a share of the files is
    read again in each run.

    Args:
        settings: settings of the sync to verify.
        full: whether to read everything on both sides.
        progress: called with local bytes read and local bytes to read in all.

    Returns:
        `host`, `name`, `local` and `remote` (inventories), `comparison`, `digests` (how many of
        each side were read now and how many came from the cache), `rotted` (paths by side whose
        content changed without anything else changing), `freshness` of each side by tier, `weaker`
        (what this transport cannot promise), `server_alarms`, `last_good_sync` (ISO 8601 or None)
        and `time`.

    Raises:
        ResilienceError: one side could not be read, so nothing is known.
    """
    settings.transport.prefetch(settings.tiers, digests=True)
    try:
        return _verification(settings, full, progress)
    finally:
        settings.transport.cancel()


def _verification(
    settings: SyncSettings, full: bool, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    transport = settings.transport
    transport.check()
    state, _problem = load_state(settings)
    now = datetime.datetime.now().astimezone()

    with ThreadPoolExecutor(max_workers=1) as pool:
        remote_future = pool.submit(_remote_with_digests, settings, full)
        local, local_digests = local_with_digests(
            settings, _scan(settings), full=full, progress=progress
        )
        remote, listing, remote_digests = remote_future.result()
    if not listing.exists:
        remote.problems.append(_("%(where)s: no such folder on the server", where=str(transport)))
    comparison = tree_comparison.compare(local, remote)
    try:
        if listing.gate is None:
            save_rotten(settings, _rotten_copies(settings, local, remote, remote_digests.before))
    except OSError as error:
        path = state_path(settings, "-rotten.json")
        local.problems.append(join([readable(path), reason(error)], ": "))
    return {
        "host": transport.host,
        "name": settings.name,
        "local": inventory_names.printable(local).to_dict(),
        "remote": inventory_names.printable(remote).to_dict(),
        "comparison": comparison.to_dict(),
        "digests": {"local": local_digests.counts(), "remote": remote_digests.counts()},
        "rotted": {"local": local_digests.rotted, "remote": remote_digests.rotted},
        "freshness": {
            "local": freshness.of(local, settings.schedule, now),
            "remote": freshness.of(remote, settings.schedule, now),
        },
        "weaker": list(transport.weaker(listing)),
        "server_alarms": list(listing.alarms),
        "last_good_sync": state.last_good.time if state.last_good else None,
        "time": now.isoformat(timespec="seconds"),
    }


@dataclasses.dataclass(frozen=True)
class DigestSources:
    """Where the digests of one side came from.

    Attributes:
        read: how many files were read in this run.
        cached: how many digests came from the cache.
        rotted: files whose content changed while size and times did not, escaped.
        before: digests of earlier verifications, by path.
    """

    read: int
    cached: int
    rotted: list[str]
    before: Mapping[str, str]

    def counts(self) -> dict[str, int]:
        """Return both counts as plain values."""
        return {"read": self.read, "cached": self.cached}


def _rotten_copies(
    settings: SyncSettings, local: Inventory, remote: Inventory, before: Mapping[str, str]
) -> dict[str, str]:
    """Return the digests, by path, of backups whose copy was equal once and no longer is.

    Size and time are still equal, so rsync would skip them: the next sync is given these paths to
    send again. A server with a gate finds its rotten copies itself.

    Args:
        settings: of the sync.
        local, remote: both sides with digests.
        before: digests of the copies by an earlier verification.
    """
    known = {**before, **load_rotten(settings)}
    copies = {file.path: file for file in remote.files}
    found = {}
    for file in local.files:
        copy = copies.get(file.path)
        if copy is None or not file.sha256 or copy.sha256 == file.sha256:
            continue
        same_time = copy.mtime_ns // 10**9 == file.mtime_ns // 10**9
        if copy.bytes == file.bytes and same_time and known.get(file.path) == file.sha256:
            found[file.path] = file.sha256
    return found


def _scan(settings: SyncSettings) -> Inventory:
    return inventory.scan(settings.backup_path, tiers=settings.tiers, pattern=settings.pattern)


def local_with_digests(
    settings: SyncSettings,
    tree: Inventory,
    *,
    full: bool = False,
    share: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Inventory, DigestSources]:
    """Return the local tree with digests.

    Args:
        settings: the sync, which has the state folder of the cache.
        tree: as `inventory.scan` returned it.
        full: whether to read everything.
        share: whether to read a share of the known files again.
        progress: as for `verify`.
    """
    # All destinations share one cache, because the local tree is the same.
    cache = DigestCache(os.path.join(settings.state_dir, "offsite-digests.json"))
    identities = {file.path: tree.identities[file.path] for file in tree.files}
    planned = digest_cache.plan(
        cache.entries,
        identities,
        now=digest_cache.today(),
        full_days=settings.reread_days if share else float("inf"),
        full=full,
    )
    found = tree_digests.with_digests(tree, planned.cached, progress)
    digests = {file.path: file.sha256 or "" for file in found.files}
    sources = _update_cache(cache, planned, identities, digests, found)
    return found, sources


def _update_cache(
    cache: DigestCache,
    planned: digest_cache.Plan,
    identities: Mapping[str, Identity],
    digests: Mapping[str, str],
    tree: Inventory,
) -> DigestSources:
    before = {path: known.sha256 for path, known in cache.entries.items()}
    read = {path: digests[path] for path in planned.to_read if digests.get(path)}
    rotted = sorted(
        path for path, digest in read.items() if planned.before.get(path, digest) != digest
    )
    # A rotten file keeps its old digest, so that it is reported again until it is replaced.
    cache.learn(
        identities,
        {path: digest for path, digest in read.items() if path not in rotted},
        digest_cache.today(),
    )
    for path in rotted:
        cache.read_every_time(path)
    problem = cache.save(identities)
    if problem:
        tree.problems.append(problem)
    rotted_names = [readable(path) for path in rotted]
    return DigestSources(len(read), len(planned.cached), rotted_names, before)


def _remote_with_digests(
    settings: SyncSettings, full: bool
) -> tuple[Inventory, RemoteListing, DigestSources]:
    remote = settings.transport.list_backups(settings.tiers, settings.pattern)
    cache = DigestCache(state_path(settings, "-remote-digests.json"))
    planned = digest_cache.plan(
        cache.entries,
        remote.identities,
        now=digest_cache.today(),
        full_days=settings.reread_days,
        full=full,
    )
    read = settings.transport.digests(planned.to_read)
    if remote.alarms and read:
        # The server compared what it read with its ledger, so an alarm may have ended by it.
        listed_again = settings.transport.list_backups(settings.tiers, settings.pattern)
        remote = dataclasses.replace(remote, alarms=listed_again.alarms)
    digests = {**planned.cached, **read}
    tree = dataclasses.replace(remote.tree, files=[], problems=list(remote.tree.problems))
    for file in remote.tree.files:
        if file.path in digests:
            tree.files.append(file._replace(sha256=digests[file.path]))
        else:
            tree.problems.append(
                _("%(file)s: the server could not read it", file=readable(file.path))
            )
    return tree, remote, _update_cache(cache, planned, remote.identities, digests, tree)


def verify_exit_code(verification: Mapping[str, Any]) -> int:
    """Return 0 in sync, 1 in sync but the server has alarms, 2 not in sync, 3 could not verify."""
    comparison = verification["comparison"]
    if comparison["in_sync"]:
        return 1 if verification["server_alarms"] else 0
    differs = comparison["missing"] or comparison["extra"] or comparison["different"]
    return 2 if differs else 3
