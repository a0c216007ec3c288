# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guards of a sync refuse, also those that come later than the one that refused.

A person who looks at a refusal then sees all of them, and one override lets the sync pass.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..inventory.inventory import Inventory, readable
from ..inventory.path_table import only_in, total_bytes
from . import offsite_guards, sync_plan, written_again
from .offsite_guards import Refusal
from .offsite_settings import SyncSettings
from .offsite_state import LastGood, SyncState
from .remote_listing import RemoteListing
from .sync_source import Source


def foreseen(
    settings: SyncSettings, state: SyncState, tree: Inventory, source: Source
) -> tuple[list[Refusal], bool]:
    """Return what guards behind those of the source would refuse; whether the server has a gate.

    Nothing is sent. Before the first good sync to a destination nothing is known of it.

    Args:
        settings: of the sync.
        state: of earlier syncs.
        tree: the backups.
        source: reads their content.

    Raises:
        ResilienceError: the server could not be used.
    """
    good = state.last_good
    if good is None or good.destination != str(settings.transport):
        return [], False
    settings.transport.check()
    remote = settings.transport.list_backups(settings.tiers, settings.pattern)
    to_send = sync_plan.to_send(tree, remote.tree, times=remote.keeps_times)
    again = written_again.find(tree, good, state.quiet, source)
    refusals = again.refusals(state, settings.limits)
    aside = obsolete(tree, remote.tree, source)
    refusals += of_destination(settings, good, remote, to_send, aside)
    return refusals, remote.gate is not None


def of_destination(
    settings: SyncSettings,
    good: LastGood | None,
    remote: RemoteListing,
    to_send: Mapping[str, int],
    aside: list[str],
) -> list[Refusal]:
    """Return the refusals that depend on the server.

    Args:
        settings: of the sync.
        good: the last good sync.
        remote: what the server holds.
        to_send: sizes of what it lacks, by path.
        aside: paths that would be moved aside.
    """
    known = good is not None and good.files and good.destination == str(settings.transport)
    return offsite_guards.check_destination(
        exists=remote.exists,
        held=remote.tree.backups,
        aside=aside,
        bytes_to_send=total_bytes(to_send),
        room=remote.room,
        synced_before=bool(known),
        limits=settings.limits,
    )


def obsolete(tree: Inventory, remote: Inventory, source: Source) -> list[str]:
    """Return backups that the server holds and that certainly are no longer in the tree."""
    local = tree.states
    # A folder that could not be read says nothing about what is gone.
    unread = {problem.partition(":")[0] for problem in tree.problems}
    return [
        path
        for path in only_in(remote.states, local)
        if readable(path) not in tree.in_progress
        and readable(path.partition("/")[0]) not in unread
        and source.state(path) is None
    ]
