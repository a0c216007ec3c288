# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of one side of a copy: taken from the cache, or read now and stored there."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping

from ..inventory import digest_cache
from ..inventory.digest_cache import DigestCache, Identity
from ..inventory.inventory import Inventory, readable


@dataclasses.dataclass(frozen=True)
class DigestSources:
    """Where the digests of one side came from.

    Attributes:
        read: how many files were read in this run.
        cached: how many digests came from the cache.
        rotted: files whose content changed while size and times did not, escaped.
        before: digests of earlier verifications, by path; none where they were not requested.
        oldest: when the file that was not read for longest was read, ISO 8601; empty for none.
    """

    read: int
    cached: int
    rotted: list[str]
    before: Mapping[str, str]
    oldest: str = ""

    def counts(self) -> dict[str, int | str]:
        """Return the counts and the date as plain values."""
        return {"read": self.read, "cached": self.cached, "oldest": self.oldest}


def update_cache(
    cache: DigestCache,
    planned: digest_cache.Plan,
    identities: Mapping[str, Identity],
    digests: Mapping[str, str],
    tree: Inventory,
    *,
    keep_before: bool = False,
) -> DigestSources:
    """Store the digests that were read now, and return where all of them came from.

    Args:
        cache: of this side.
        planned: what was to be read.
        identities: of the files as they are.
        digests: SHA-256 by path.
        tree: takes the problem, if the cache cannot be stored.
        keep_before: whether `DigestSources.before` is needed, which takes memory.
    """
    before = cache.digests() if keep_before else {}
    count, rotted = 0, []
    now = digest_cache.today()
    to_read: Iterable[str] = planned.to_read
    if not cache.entries and not planned.before:
        count = sum(1 for digest in digests.values() if digest)
        cache.learn(identities, digests, now)
        to_read = ()
    for path in to_read:
        digest = digests.get(path)
        if not digest:
            continue
        count += 1
        # A rotten file keeps its old digest, so that it is reported again until it is replaced.
        if planned.before.get(path, digest) == digest:
            cache.learn(identities, {path: digest}, now)
        else:
            rotted.append(path)
    for path in rotted:
        cache.read_every_time(path)
    problem = cache.save(identities)
    if problem:
        tree.problems.append(problem)
    rotted_names = [readable(path) for path in rotted]
    # Rotten files are read in every run, whatever their date.
    oldest = cache.oldest()
    moment = datetime.datetime.fromtimestamp(oldest).astimezone().isoformat(timespec="seconds")
    return DigestSources(count, len(planned.cached), rotted_names, before, moment if oldest else "")
