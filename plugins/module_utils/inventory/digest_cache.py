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
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..common import json_stream
from ..common.messages import _
from ..common.system_errors import reason
from .path_block import SHA256, RowForm
from .path_list import PathList
from .path_table import DIGESTS, IDENTITIES, PathTable, TableBuilder, only_in

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


_KNOWN: RowForm[Known] = RowForm(
    f"qqQq{SHA256}d",
    lambda known: (*known.identity, known.sha256, known.read),
    lambda _path, size, mtime, inode, ctime, sha256, read: Known(
        (size, mtime, inode, ctime), sha256, read
    ),
)
_TAKEN: RowForm[TakenDigest] = RowForm(
    f"qqQq{SHA256}",
    lambda taken: (*taken.identity, taken.sha256),
    lambda _path, size, mtime, inode, ctime, sha256: TakenDigest(
        (size, mtime, inode, ctime), sha256
    ),
)


def taken_table() -> PathTable[TakenDigest]:
    """Return an empty table of digests that are taken while files are sent."""
    return PathTable(_TAKEN)


def taken_rows(like: PathTable[Any] | None) -> TableBuilder[TakenDigest]:
    """Return what builds such a table, probably of the same paths as another one."""
    return TableBuilder(_TAKEN, like)


# More moments than runs that have read something within the years.
_MOST_TIMES = 1000
# As they stand in the file.
_FLAT: RowForm[tuple[Any, ...]] = RowForm(_KNOWN.codes, lambda row: row, lambda _path, *row: row)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Digests from the cache, and files to read.

    `before` holds the earlier digests of files to read whose identity did not change: another
    digest now means that the content rotted.
    """

    cached: Mapping[str, str]
    to_read: Sequence[str]
    before: Mapping[str, str]


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
    known = entries if isinstance(entries, PathTable) else PathTable(_KNOWN, entries)
    files = identities if isinstance(identities, PathTable) else PathTable(IDENTITIES, identities)
    same = _same(known, files)
    again = PathList(files) if full or not known else PathList()
    before: PathTable[str] = PathTable(DIGESTS)
    if known and len(same) < len(files):
        for path, identity in files.items():
            if path in same:
                continue
            again.add(path)
            one = known.get(path) if written_once else None
            if one is not None and one.identity[:2] == identity[:2]:
                before[path] = one.sha256
    if not full and full_days != float("inf"):  # otherwise no share, and nothing is overdue
        again.update(_due(known, files, same, now, full_days))
    for path in again:
        if path in same:
            before[path] = same[path]
    if full:
        return Plan({}, again, before)
    return Plan(_Without(same, again.table) if before else same, again, before)


class _Without(Mapping[str, str]):
    """The digests of a table without some paths, in no memory of its own."""

    def __init__(self, table: PathTable[str], left_out: PathTable[Any]) -> None:
        self._table, self._left_out = table, left_out
        self._count = len(table) - sum(1 for path in left_out if path in table)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return only_in(self._table, self._left_out)

    def get(self, key: str, default: Any = None) -> Any:
        return default if key in self._left_out else self._table.get(key, default)

    def __contains__(self, path: object) -> bool:
        return path not in self._left_out and path in self._table

    def __getitem__(self, path: str) -> str:
        if path in self._left_out:
            raise KeyError(path)
        return self._table[path]


def _same(known: PathTable[Known], files: PathTable[Identity]) -> PathTable[str]:
    """Return the digests of the files whose identity is the known one."""
    if known.share_fields(files, len(IDENTITIES.codes)):
        return known.view(DIGESTS, len(IDENTITIES.codes))
    if known.share_known_fields(files, len(IDENTITIES.codes)):
        found: PathTable[str] = known.view(DIGESTS, len(IDENTITIES.codes))
        for path in list(only_in(found, files)):
            del found[path]
        return found
    same = TableBuilder(DIGESTS, files)
    for path, identity in files.items():
        one = known.get(path)
        if one is not None and one.identity == identity:
            same.add(path, (one.sha256,))
    return same.table()


def _due(
    known: PathTable[Known],
    files: PathTable[Identity],
    same: PathTable[str],
    now: float,
    full_days: float,
) -> Iterator[str]:
    """Yield the unchanged files that are read again now, those not read for longest first."""
    # A time in the future is that of a clock that was wrong.
    if known.same_paths(same):
        times = known.column(len(_KNOWN.codes) - 1)
        read = array("d", (one if one <= now else 0.0 for one in times))
    else:
        read = array(
            "d", (one if one <= now else 0.0 for one in (known[path].read for path in same))
        )
    if not read or now - min(read) < min(86400 / 2, full_days * 86400):
        return
    share = sum(files.column(0)) / max(1.0, full_days)
    for at in _by_time(read):
        overdue = now - read[at] >= full_days * 86400
        # The day's share is of what was not read today: a second run on one day reads nothing.
        if not overdue and (share <= 0 or now - read[at] < 86400 / 2):
            return
        path = same.path_at(at)
        if read[at] > 0:  # rotten files are read beside the share
            share -= files[path][0]
        yield path


def _by_time(read: array[float]) -> Iterator[int]:
    """Yield the rows of some times, the earliest first, most often without sorting all of them.

    What one run reads has one time.
    """
    times = set()
    for time_read in read:
        times.add(time_read)
        if len(times) > _MOST_TIMES:
            yield from sorted(range(len(read)), key=read.__getitem__)
            return
    for moment in sorted(times):
        yield from (at for at, time_read in enumerate(read) if time_read == moment)


class DigestCache:
    """The digests of one side of one destination, in one file.

    A file that is lost or damaged is an empty one: everything is read again.

    Args:
        path: the file.
        like: a table of the files as they are, whose memory is used as far as it can be.
    """

    def __init__(self, path: str, like: Mapping[str, object] | None = None) -> None:
        self.path = path
        self.changed = False
        rows = TableBuilder(_KNOWN, like if isinstance(like, PathTable) else None)

        def take(name: str, values: Any) -> None:
            size, mtime, inode, ctime, digest, read = values
            fields = (int(size), int(mtime), int(inode), int(ctime), str(digest), float(read))
            rows.add(name, fields)

        try:
            with json_stream.opened(path) as file:
                if json_stream.load(file, {(): take}) != {}:
                    raise ValueError("not an object")
            self.entries = rows.table()
        except (OSError, ValueError, TypeError, AttributeError, OverflowError):
            self.entries = PathTable(_KNOWN)

    def learn(
        self, identities: Mapping[str, Identity], digests: Mapping[str, str], now: float
    ) -> None:
        """Add digests that were just read."""
        if (
            isinstance(digests, PathTable)
            and isinstance(identities, PathTable)
            and digests
            and not self.entries
            and self._adopt_read(identities, digests, now)
        ):
            return
        for path, digest in digests.items():
            if digest and path in identities:
                self.entries[path] = Known(identities[path], digest, now)
                self.changed = True

    def learn_new(
        self, identities: Mapping[str, Identity], taken: Mapping[str, TakenDigest], now: float
    ) -> None:
        """Add digests of files that are as they were when they were read.

        A file whose size and time are known with another digest is left out: it is read again, and
        reported.
        """
        if not self.entries and self._adopt(identities, taken, now):
            return
        for path, one in taken.items():
            known = self.entries.get(path)
            same = known is not None and known.identity[:2] == one.identity[:2]
            if not same and identities.get(path) == one.identity:
                self.entries[path] = Known(one.identity, one.sha256, now)
                self.changed = True

    def _adopt_read(
        self, identities: PathTable[Identity], digests: PathTable[str], now: float
    ) -> bool:
        """Use the memory of digests of all files, none of which is missing."""
        if not (digests.same_paths(identities) and digests.column(0).is_complete):
            return False
        return self._adopt(identities, identities.extended(_TAKEN, digests.column(0)), now)

    def _adopt(
        self, identities: Mapping[str, Identity], taken: Mapping[str, TakenDigest], now: float
    ) -> bool:
        """Use the memory of digests that were taken of just these files, if they are unchanged."""
        if not (isinstance(identities, PathTable) and isinstance(taken, PathTable) and taken):
            return False
        if not taken.share_fields(identities, len(IDENTITIES.codes)):
            return False
        self.entries = taken.extended(_KNOWN, array("d", [now]) * len(taken))
        self.changed = True
        return True

    def digests(self) -> PathTable[str]:
        """Return the digests as they are now, also when they change later."""
        return self.entries.view(DIGESTS, len(IDENTITIES.codes))

    def oldest(self) -> float:
        """Return when the file was read that was not read for longest; 0 where none was."""
        times = self.entries.column(len(_KNOWN.codes) - 1)
        return min((read for read in times if read), default=0.0)

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
        gone = list(only_in(self.entries, identities))
        if not (gone or self.changed):
            return None
        for path in gone:
            del self.entries[path]
        rows = self.entries.view(_FLAT, *range(len(_FLAT.codes)))
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            json_stream.replace(self.path, rows)
        except OSError as error:
            return _(
                "the digests %(path)s cannot be stored: %(why)s", path=self.path, why=reason(error)
            )
        return None


def today() -> float:
    """Return the time, seconds since 1970."""
    return time.time()
