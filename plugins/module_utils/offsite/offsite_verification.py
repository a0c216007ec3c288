# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify the offsite copy: compare both sides by SHA-256."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..common import memory
from ..common.messages import _, join
from ..common.system_errors import reason
from ..inventory import (
    digest_cache,
    freshness,
    inventory_names,
    tree_comparison,
    unrecognised,
)
from ..inventory.digest_cache import DigestCache
from ..inventory.digest_column import DigestColumn
from ..inventory.inventory import Inventory, readable
from ..inventory.path_table import PathTable
from . import digest_updates
from .digest_updates import DigestSources
from .offsite_settings import SyncSettings
from .offsite_state import load_rotten, load_state, save_rotten, state_path
from .remote_listing import RemoteListing


def verify(
    settings: SyncSettings,
    *,
    full: bool = False,
    files: bool = True,
    streamed: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compare both sides by SHA-256, which each side takes of its own content.

    Digests come from a cache where a file's identity did not change, and a share of the files is
    read again in each run.

    Args:
        settings: settings of the sync to verify.
        full: whether to read everything on both sides.
        files: whether the inventories of the result list each backup.
        streamed: whether these lists make each entry when it is needed, as `json_stream` writes it.
        progress: called with local bytes read and local bytes to read in all.

    Returns:
        `host`, `destination`, `name`, `local` and `remote` (inventories), `content` (of each tier:
        `passed`, `failed` or `unknown`), `comparison`, `digests`
        (how many of each side were read now and how many came from the cache), `rotted` (paths by
        side whose content changed without anything else changing), `freshness` of each side by
        tier, `weaker` (what this transport cannot promise), `server_alarms`, `server_notices`,
        `server_alarm_kinds`, `unrecognised` (files of this host that look like backups and whose
        names do not fit the pattern), `last_good_sync` (ISO 8601 or None) and `time`.

    Raises:
        ResilienceError: one side could not be read, so nothing is known.
    """
    settings.transport.prefetch(settings.tiers, digests=True)
    try:
        found = _verification(settings, full, files, progress)
    finally:
        settings.transport.cancel()
    for side in () if streamed else (found["local"], found["remote"]):
        side["files"] = list(side["files"])
    return found


def _verification(
    settings: SyncSettings,
    full: bool,
    files: bool,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    transport, source = settings.transport, settings.source
    memory.give_large_blocks_back()
    transport.check()
    last_good_sync = _last_good_sync(settings)
    now = datetime.datetime.now().astimezone()

    # The server lists meanwhile.
    tree = source.scan()

    def remote_side() -> tuple[_Remote, Mapping[str, str]]:
        side = _Remote(settings, full, tree)
        return side, transport.digests(side.planned.to_read)

    with ThreadPoolExecutor(max_workers=1) as pool:
        # The server lists and reads while this host reads. The rest is done one side after the
        # other, for while a side's tables are made it takes the most memory.
        reading = pool.submit(remote_side)

        def look(done: int, total: int) -> None:
            """Go on with this side unless there is no other one to compare it with."""
            if reading.done():
                reading.result()
            if progress:
                progress(done, total)

        local, local_digests = source.with_digests(tree, full=full, progress=look)
        side, read = reading.result()
    remote, listing, remote_digests = side.with_digests(read)
    if not listing.exists:
        remote.problems.append(_("%(where)s: no such folder on the server", where=str(transport)))
    if not local.backups and (others := unrecognised.warning(local)):
        # Two sides without a backup are equal, but nothing is in sync.
        local.problems.append(others)
    comparison = tree_comparison.compare(local, remote)
    try:
        if listing.gate is None:
            equal_once = (load_rotten(settings), transport.arrived_digests(), remote_digests.before)
            times = listing.keeps_times
            save_rotten(settings, _rotten_copies(local, remote, equal_once, times=times))
    except OSError as error:
        path = state_path(settings, "-rotten.json")
        local.problems.append(join([readable(path), reason(error)], ": "))
    return {
        "host": transport.host,
        "destination": str(transport),
        "name": settings.name,
        "local": _side(local, files),
        "remote": _side(remote, files),
        "content": _tier_contents(local, remote, comparison.compared_by == "sha256"),
        "comparison": comparison.to_dict(),
        "digests": {"local": local_digests.counts(), "remote": remote_digests.counts()},
        "rotted": {"local": local_digests.rotted, "remote": remote_digests.rotted},
        "freshness": {
            "local": freshness.of(local, settings.schedule, now),
            "remote": freshness.of(remote, settings.schedule, now),
        },
        "weaker": list(transport.weaker(listing)),
        "server_alarms": list(listing.alarms),
        "server_notices": list(listing.notices),
        "unrecognised": unrecognised.names(local),
        "server_alarm_kinds": list(listing.alarm_kinds),
        "last_good_sync": last_good_sync,
        "time": now.isoformat(timespec="seconds"),
    }


def _last_good_sync(settings: SyncSettings) -> str | None:
    """Return when the last good sync was; all that the state names is not kept in memory."""
    state, _problem = load_state(settings)
    return state.last_good.time if state.last_good else None


def _side(tree: Inventory, files: bool) -> dict[str, Any]:
    figures = {
        name: tier._replace(
            newest=tier.newest and readable(tier.newest),
            oldest=tier.oldest and readable(tier.oldest),
        )._asdict()
        for name, tier in tree.tiers().items()
    }
    return {
        **dataclasses.replace(tree, files=[]).to_dict(),
        "tiers": figures,
        "total_count": tree.total_count,
        "total_bytes": tree.total_bytes,
        "files": inventory_names.ReadableFiles(tree.rows) if files else [],
        "problems": inventory_names.printable_problems(tree),
    }


def _tier_contents(local: Inventory, remote: Inventory, by_digest: bool) -> dict[str, str]:
    unfinished = {*local.in_progress, *remote.in_progress}
    if by_digest and not unfinished and local.digests == remote.digests:
        return {tier: "passed" for tier, one in local.tiers().items() if one.count}

    def contents(tree: Inventory) -> Iterator[tree_comparison.Content]:
        for file in tree.files:
            yield readable(file.path), file.tier, file.sha256

    return tree_comparison.tier_contents(
        contents(local), contents(remote), unfinished=unfinished, by_digest=by_digest
    )


def _rotten_copies(
    local: Inventory,
    remote: Inventory,
    equal_once: Sequence[Mapping[str, str]],
    *,
    times: bool,
) -> dict[str, str]:
    """Return the digests, by path, of backups whose copy was equal once and no longer is.

    Size and time are still equal, so a sync would skip them: the next sync is given these paths to
    send again. A server with a gate finds its rotten copies itself.

    Args:
        local, remote: both sides with digests.
        equal_once: digests of the copies when they were equal; the first that has a path counts.
        times: whether the server keeps times of change; otherwise sizes alone are compared.
    """
    found = {}
    for path, sha256 in local.digests.items():
        copy = remote.digests.get(path)
        if copy is None or not sha256 or copy == sha256:
            continue
        size, mtime_ns = local.states[path]
        copy_size, copy_mtime_ns = remote.states[path]
        same_time = not times or copy_mtime_ns // 10**9 == mtime_ns // 10**9
        was = next((held[path] for held in equal_once if held.get(path)), "")
        if copy_size == size and same_time and was == sha256:
            found[path] = sha256
    return found


class _Remote:
    """The server's side: what it holds, and which of it is to be read.

    Args:
        settings: of the sync.
        full: whether everything is read.
        local: this host's side, most often with the same paths.

    Raises:
        ResilienceError: the server could not be listed.
    """

    def __init__(self, settings: SyncSettings, full: bool, local: Inventory) -> None:
        self.settings = settings
        self.listing = settings.transport.list_backups(
            settings.tiers, settings.pattern, "", local.rows.table
        )
        identities = self.listing.identities
        self.cache = DigestCache(state_path(settings, "-remote-digests.json"), identities)
        self.planned = digest_cache.plan(
            self.cache.entries,
            identities,
            now=digest_cache.today(),
            full_days=settings.reread_days,
            full=full,
        )

    def with_digests(
        self, read: Mapping[str, str]
    ) -> tuple[Inventory, RemoteListing, DigestSources]:
        """Return the backups with their digests.

        Args:
            read: what the server has read now, as `Transport.digests` returned it.
        """
        listing = self.settings.transport.standing(self.listing)
        if isinstance(read, PathTable):
            read.share(listing.tree.rows.table)
        files = listing.tree.rows
        problems = list(listing.tree.problems)
        cached = self.planned.cached
        if not isinstance(cached, PathTable) or not files.table.same_paths(cached):
            column, unread = DigestColumn(), []
            for path in listing.tree.states:
                digest = read.get(path) or cached.get(path) or ""
                column.append(digest)
                if not digest:
                    unread.append(path)
                    why = _("%(file)s: the server could not read it", file=readable(path))
                    problems.append(why)
            files = files.with_digests(column)
            for path in unread:
                del files.table[path]
        else:
            files = files.with_digests(cached.column(0))
        tree = dataclasses.replace(listing.tree, files=files, problems=problems)
        sources = digest_updates.update_cache(
            self.cache,
            self.planned,
            listing.identities,
            files.digests,
            tree,
            keep_before=True,
        )
        return tree, listing, sources


def verify_exit_code(verification: Mapping[str, Any]) -> int:
    """Return 0 in sync, 1 in sync with something to look at, 2 not in sync, 3 could not verify.

    To look at are alarms of the server, and files that are not recognised as backups.
    """
    comparison = verification["comparison"]
    if comparison["in_sync"]:
        return 1 if verification["server_alarms"] or verification.get("unrecognised") else 0
    differs = comparison["missing"] or comparison["extra"] or comparison["different"]
    return 2 if differs else 3
