# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cache of digests, so that a verification need not read everything each time.

A digest is valid while the file's identity is the same and it was read not too long ago. Each run
reads a share again, those that were not read for longest first, for a disk can lose a bit without
any of this changing.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..common import json_text
from ..common.files import replace_json
from ..common.messages import _
from ..common.system_errors import reason

# Size, mtime in nanoseconds, inode, ctime in nanoseconds.
Identity = tuple[int, int, int, int]


class TakenDigest(NamedTuple):
    """The identity of a file when it was opened, and the SHA-256 of what was read then."""

    identity: Identity
    sha256: str


class Known(NamedTuple):
    """One digest, the identity of its file, and when it was read, seconds since 1970."""

    identity: Identity
    sha256: str
    read: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """Digests from the cache, and files to read.

    `before` holds the earlier digests of files to read whose identity did not change: another
    digest now means that the content rotted.
    """

    cached: dict[str, str]
    to_read: list[str]
    before: dict[str, str]


def plan(
    entries: Mapping[str, Known],
    identities: Mapping[str, Identity],
    *,
    now: float,
    full_days: float,
    full: bool = False,
    written_once: bool = False,
) -> Plan:
    """Return which files to read. Pure.

    Args:
        entries: the cache.
        identities: the files as they are.
        now: seconds since 1970.
        full_days: every file is read at least this often; each run takes a share of the bytes that
            brings that about with one run a day.
        full: whether to read everything.
        written_once: whether these files are never written again, so that other content with the
            old size and time counts as changed in its place, whatever the inode says.
    """
    same = {
        path: entries[path]
        for path, identity in identities.items()
        if path in entries and entries[path].identity == identity
    }
    before = {path: known.sha256 for path, known in same.items()}
    if written_once and len(same) < len(identities):
        before |= {
            path: entries[path].sha256
            for path, identity in identities.items()
            if path in entries and entries[path].identity[:2] == identity[:2]
        }
    if full:
        return Plan({}, sorted(identities), before)
    # A time in the future is that of a clock that was wrong.
    read = {path: known.read if known.read <= now else 0.0 for path, known in same.items()}
    share = sum(identity[0] for identity in identities.values()) / max(1.0, full_days)
    again = identities.keys() - same.keys()
    if full_days == float("inf"):  # no share, and nothing is overdue
        cached = before if len(before) == len(same) else {}
        cached = cached or {path: known.sha256 for path, known in same.items()}
        return Plan(cached, sorted(again), {path: before[path] for path in again & before.keys()})
    for path in sorted(same, key=lambda name: (read[name], name)):
        overdue = now - read[path] >= full_days * 86400
        # The day's share is of what was not read today: a second run on one day reads nothing.
        if not overdue and (share <= 0 or now - read[path] < 86400 / 2):
            break
        if read[path] > 0:  # rotten files are read beside the share
            share -= identities[path][0]
        again.add(path)
    cached = {path: known.sha256 for path, known in same.items() if path not in again}
    return Plan(cached, sorted(again), {path: before[path] for path in again & set(before)})


class DigestCache:
    """The digests of one side of one destination, in one file.

    A file that is lost or damaged is an empty one: everything is read again.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.entries: dict[str, Known] = {}
        self.changed = False
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                for name, (size, mtime, inode, ctime, digest, read) in json_text.load(file).items():
                    identity = (int(size), int(mtime), int(inode), int(ctime))
                    self.entries[sys.intern(name)] = Known(identity, str(digest), float(read))
        except (OSError, ValueError, TypeError, AttributeError):
            self.entries = {}

    def learn(
        self, identities: Mapping[str, Identity], digests: Mapping[str, str], now: float
    ) -> None:
        """Add digests that were just read."""
        for path, digest in digests.items():
            if path in identities:
                self.entries[path] = Known(identities[path], digest, now)
                self.changed = True

    def learn_new(
        self, identities: Mapping[str, Identity], taken: Mapping[str, TakenDigest], now: float
    ) -> None:
        """Add digests of files that are as they were when they were read.

        A file whose size and time are known with another digest is left out: it is read again, and
        reported.
        """
        for path, one in taken.items():
            known = self.entries.get(path)
            same = known is not None and known.identity[:2] == one.identity[:2]
            if not same and identities.get(path) == one.identity:
                self.entries[path] = Known(one.identity, one.sha256, now)
                self.changed = True

    def forget(self, paths: Iterable[str]) -> None:
        """Remove files, so that what they hold now is what counts."""
        for path in paths:
            self.changed |= self.entries.pop(path, None) is not None

    def read_every_time(self, path: str) -> None:
        """Mark a file to be read in every run, because its content changed."""
        self.entries[path] = self.entries[path]._replace(read=0.0)
        self.changed = True

    def save(self, identities: Mapping[str, Identity]) -> str | None:
        """Write the file if anything changed, without files that are gone.

        Returns:
            The problem, or None.
        """
        gone = self.entries.keys() - identities.keys()
        if not (gone or self.changed):
            return None
        values: dict[str, Any] = {
            path: [*known.identity, known.sha256, known.read]
            for path, known in self.entries.items()
            if path not in gone
        }
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            replace_json(self.path, values)
        except OSError as error:
            return _(
                "the digests %(path)s cannot be stored: %(why)s", path=self.path, why=reason(error)
            )
        return None


def today() -> float:
    """Return the time, seconds since 1970."""
    return time.time()
