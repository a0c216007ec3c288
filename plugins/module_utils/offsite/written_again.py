# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that were written again after they were copied: found, also with their old time.

A backup is never written again. One is worth a warning; several within the days that the guards
remember are kept from replacing the copy, until a person lets them pass.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Mapping
from itertools import chain

from ..common.messages import Message, _, ngettext
from ..inventory import companions
from ..inventory.inventory import Inventory, readable
from . import offsite_guards
from .offsite_guards import Limits, Refusal
from .offsite_state import LastGood, SyncState
from .sync_source import Source

# The clock of a filesystem is a little behind the system's.
_SLACK_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class WrittenAgain:
    """Backups of a tree that were written again.

    Attributes:
        changed: those whose size or time of change shows it, since the last good sync.
        quiet: those of which only the content shows it, with the SHA-256 that they had before.
    """

    changed: frozenset[str] = frozenset()
    quiet: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """All of them."""
        return sorted({*self.changed, *self.quiet})

    def refusals(self, state: SyncState, limits: Limits) -> list[Refusal]:
        """Return the refusals of the guard, if too many were written again in the last days."""
        # Those that an earlier run found are in the days that are remembered.
        new = len(self.changed) + len(self.quiet.keys() - state.quiet.keys())
        found = offsite_guards.rewritten(
            new, state.days, limits.most_rewritten, standing=bool(self.quiet)
        )
        return [Refusal(offsite_guards.REWRITTEN, why) for why in found]

    def warning(self) -> Message:
        """Return the sentence that names them."""
        return ngettext(
            "%(count)d backup was written again after it was copied: %(files)s",
            "%(count)d backups were written again after they were copied: %(files)s",
            len(self.paths),
            files=_names(self.paths),
        )

    def quiet_warning(self) -> Message:
        """Return the sentence for those that keep their size and time."""
        return _(
            "with their old size and time, so the copy is left as it was: %(files)s",
            files=_names(sorted(self.quiet)),
        )


def find(
    tree: Inventory, good: LastGood | None, known: Mapping[str, str], source: Source
) -> WrittenAgain:
    """Return which backups were written again.

    Args:
        tree: the backups as they are.
        good: the last good sync.
        known: the quiet ones that earlier runs found, with their earlier digests.
        source: reads the content.
    """
    if good is None:
        return WrittenAgain()
    since = datetime.datetime.fromisoformat(good.time).timestamp() - _SLACK_SECONDS
    since_ns = since * 1e9
    now, before = companions.without(tree.states), companions.without(good.files)
    changed = set()
    if now != before:
        changed = {path for path, seen in now.items() if before.get(path, seen) != seen}
    # The inode changed since: by chmod, or because it was written with its old time.
    touched = (path for path, seen in tree.identities.items() if seen[3] >= since_ns)
    kept = {path for path in chain(touched, known) if path in now and path in before}
    suspects = sorted(kept - changed)
    earlier = {**source.earlier_digests(suspects), **known} if suspects else {}
    quiet = {}
    for path in suspects:
        with contextlib.suppress(OSError):  # the scan reports it
            if path in earlier and source.digest(path) != earlier[path]:
                quiet[path] = earlier[path]
    return WrittenAgain(frozenset(changed), quiet)


def _names(paths: list[str]) -> str:
    return ", ".join(readable(path) for path in paths[:5])
