# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which partitions are compared together, because their rows may move or are counted together.

A row of a table that is partitioned by hash may be in another partition after a restore: an enum's
values, for example, are hashed by their OIDs, and a restore gives them new ones. And a dump may
have the rows of partitions under the name of the table that they belong to
(--load-via-partition-root).
"""

from __future__ import annotations

from collections.abc import Mapping

from ..database.catalogue import ObjectName
from .check_context import CheckContext


def roots(context: CheckContext) -> dict[ObjectName, ObjectName]:
    """Return the table that each partition by hash is compared at, the topmost such one."""
    found = {}
    for partition, above in context.partitions.items():
        by_hash = [table for table, is_hash in above if is_hash]
        if by_hash:
            found[partition] = by_hash[-1]
    return found


def by_root(context: CheckContext, figures: Mapping[ObjectName, int]) -> dict[ObjectName, int]:
    """Return figures by table, those of partitions by hash added up for their root.

    Rows and digests are sums, so that the root's is the sum of its partitions'.
    """
    places = roots(context)
    found: dict[ObjectName, int] = {}
    for key, figure in figures.items():
        place = places.get(key, key)
        found[place] = found.get(place, 0) + figure
    return found


def groups(context: CheckContext) -> dict[ObjectName, list[ObjectName]]:
    """Return the tables whose rows are compared together, by the name that they are compared by.

    Partitions whose rows the backup has under the name of a table above them are compared there,
    those by hash at their root, and all other tables by themselves. A table that has no rows of its
    own is compared only where the backup has rows for it.
    """
    expected, places = context.expected.rows, roots(context)
    found: dict[ObjectName, list[ObjectName]] = {}
    for key in expected:
        if key not in context.partitioned:
            place = places.get(key, key)
            if expected[key] is None:
                above = [table for table, _is_hash in context.partitions.get(key, ())]
                place = next((table for table in above if expected.get(table)), place)
            found.setdefault(place, []).append(key)
    has_partitions = {table for above in context.partitions.values() for table, _is_hash in above}
    for key in context.partitioned - has_partitions:
        if expected.get(key):
            found[key] = []
    return found


def expected_rows(context: CheckContext) -> dict[ObjectName, int | None]:
    """Return how many rows each group must have; None where the backup does not hold them."""
    return {place: _sum(context, place, tables) for place, tables in groups(context).items()}


def _sum(context: CheckContext, place: ObjectName, tables: list[ObjectName]) -> int | None:
    """Return the rows of a group; the backup may have some under the name of their root."""
    expected = context.expected.rows
    known = [rows for key in tables if (rows := expected[key]) is not None]
    if place in context.partitioned and (len(known) < len(tables) or not tables):
        under_root = expected.get(place)
        return sum(known) + under_root if under_root else None
    return sum(known) if known else None


def found_rows(context: CheckContext) -> dict[ObjectName, int | None]:
    """Return how many rows each group has; None where a table was not counted."""
    found: dict[ObjectName, int | None] = {}
    for place, tables in groups(context).items():
        counts = [context.rows.get(key) for key in tables]
        known = [count for count in counts if count is not None]
        found[place] = sum(known) if len(known) == len(counts) else None
    return found


def complete(context: CheckContext) -> set[ObjectName]:
    """Return the tables whose rows are elsewhere than the backup has them, and all there."""
    expected, found, together = expected_rows(context), found_rows(context), groups(context)
    done = context.partitioned - together.keys()
    for place in context.partitioned & together.keys():
        if found[place] is not None and expected[place] == found[place]:
            done |= {place, *together[place]}
    return done
