# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory of a backup tree, tier by tier.

Nothing here follows a link, opens a pipe or trusts a name: an attacker may have written to the
tree.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
import re
import stat
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..common import iso_time
from ..common.errors import ResilienceError
from ..common.messages import Message, _, join
from ..common.system_errors import reason
from . import companions, open_files
from .backup_names import PATTERN, SEALED, compiled, match_name, taken_at
from .path_block import SHA256, RowForm
from .path_table import DIGESTS, IDENTITIES, SIZES, STATES, PathTable, TableBuilder

TIERS = ("daily", "weekly", "monthly")
# A file that changed more recently than this is checked for processes that still write it.
FRESH_SECONDS = 24 * 3600

# Seconds by which a name may be ahead because it is written in another time zone (UTC+14), and by
# which it is ahead of a file that was changed at the same time.
FURTHEST_ZONE, LEAST_ZONE = 14 * 3600, 120


# Until the year 2262, and as far back.
MOST_NS = (1 << 63) - 1


class BackupFile(NamedTuple):
    """One backup.

    Attributes:
        path: relative to the tree, `daily/x.dump.gz`.
        tier: the tier's folder.
        bytes: its size.
        mtime_ns: when it last changed, nanoseconds since 1970.
        sha256: of its content, hexadecimal; None where digests were not requested.
        taken_at: when it was taken, local ISO 8601 from its name; None where the name has no time.
    """

    path: str
    tier: str
    bytes: int
    mtime_ns: int
    sha256: str | None = None
    taken_at: str | None = None

    @property
    def name(self) -> str:
        """The file's name without its tier."""
        return os.path.basename(self.path)

    def age_seconds(self, now: datetime.datetime) -> float:
        """Return seconds since it was taken, by its name or else its time of change.

        A name that is some hours ahead of the file is written in another time zone: no backup is
        taken after its file was finished, which is then the moment that counts.
        """
        changed = self.mtime_ns / 1e9
        if not self.taken_at:
            return now.timestamp() - changed
        # The name holds local time, as `timestamp` assumes.
        taken = iso_time.parse(self.taken_at).timestamp()
        in_another_zone = LEAST_ZONE < taken - changed <= FURTHEST_ZONE
        return now.timestamp() - (changed if in_another_zone else taken)


def moment_number(moment: str | None) -> int:
    """Return a moment `2026-01-31T03:00:00` as a number, `20260131030000`; -1 for none."""
    if moment is None:
        return -1
    return int(
        moment[:4] + moment[5:7] + moment[8:10] + moment[11:13] + moment[14:16] + moment[17:19]
    )


def _moment(number: int) -> str | None:
    if number < 0:
        return None
    text = f"{number:014d}"
    date = f"{text[:4]}-{text[4:6]}-{text[6:8]}"
    return f"{date}T{text[8:10]}:{text[10:12]}:{text[12:]}"


def _of_fields(
    path: str, size: int, mtime_ns: int, _inode: int, _ctime: int, taken: int, sha256: str = ""
) -> BackupFile:
    tier = path.partition("/")[0]
    return BackupFile(path, tier, size, mtime_ns, sha256 or None, _moment(taken))


# A path; its size, time of change, inode and its time of change, and the moment of its name.
FileRow = tuple[str, tuple[int, int, int, int, int]]
_FILES: RowForm[BackupFile] = RowForm(
    "qqQqq",
    lambda file: (file.bytes, file.mtime_ns, 0, 0, moment_number(file.taken_at)),
    _of_fields,
)
_DIGESTED: RowForm[BackupFile] = RowForm(
    f"qqQqq{SHA256}",
    lambda file: (file.bytes, file.mtime_ns, 0, 0, moment_number(file.taken_at), file.sha256 or ""),
    _of_fields,
)


class BackupFiles(Sequence[BackupFile]):
    """Backups in order of their paths, in little memory; each is made when it is needed.

    Args:
        table: as `table_of_files` makes it, with digests at its end or without.
    """

    def __init__(self, table: PathTable[BackupFile]) -> None:
        self.table = table

    @classmethod
    def of(cls, files: Iterable[BackupFile]) -> BackupFiles:
        """Return these backups, without their digests."""
        return cls.of_rows((file.path, tuple(_FILES.fields(file))) for file in files)

    @classmethod
    def of_rows(cls, rows: Iterable[FileRow], like: PathTable[Any] | None = None) -> BackupFiles:
        """Return the backups of rows in any order, as `PathTable.sorted_from`."""
        return cls(PathTable.sorted_from(_FILES, rows, like))

    @classmethod
    def view_of(cls, table: PathTable[Any]) -> BackupFiles:
        """Return the backups of a table whose first fields are those of a `FileRow`."""
        return cls(table.view(_FILES, *range(len(_FILES.codes))))

    def with_digests(self, digests: Any) -> BackupFiles:
        """Return the same backups with their digests, a column in their order."""
        plain = self.table.view(_FILES, *range(len(_FILES.codes)))
        return BackupFiles(plain.extended(_DIGESTED, digests))

    def without(self, leave_out: Callable[[str], bool]) -> BackupFiles:
        """Return these files without some paths; the same ones where none is left out."""
        table = self.table.without(leave_out)
        return self if table is self.table else BackupFiles(table)

    @property
    def has_digests(self) -> bool:
        """Whether digests were taken."""
        return self.table.field_count == len(_DIGESTED.codes)

    @property
    def digests(self) -> PathTable[str]:
        """The SHA-256 by path; empty ones where they were not taken."""
        return self.table.view(DIGESTS, len(_FILES.codes))

    @property
    def sizes(self) -> PathTable[int]:
        """The bytes by path."""
        return self.table.view(SIZES, 0)

    @property
    def identities(self) -> PathTable[tuple[int, int, int, int]]:
        """As `Inventory.identities`."""
        return self.table.view(IDENTITIES, 0, 1, 2, 3)

    @property
    def states(self) -> PathTable[tuple[int, int]]:
        """As `Inventory.states`."""
        return self.table.view(STATES, 0, 1)

    @functools.cached_property
    def moments(self) -> Sequence[int]:
        """When each was taken, by its name or else its time of change: `20260131030000`."""
        taken: array[int] = self.table.column(4)
        if not taken or min(taken) >= 0:
            return taken
        changed = self.table.column(1)
        return array(
            "q",
            (
                one if one >= 0 else moment_number(_local(mtime_ns))
                for one, mtime_ns in zip(taken, changed)
            ),
        )

    def total_bytes(self, rows: range | None = None) -> int:
        """Return the bytes of all, or of some rows."""
        sizes = self.table.column(0)
        return sum(sizes if rows is None else sizes[rows.start : rows.stop])

    def newest(self, rows: range) -> int:
        """Return the row of the one taken last, of some rows."""
        return max(rows, key=self._age_key)

    def oldest(self, rows: range) -> int:
        """Return the row of the one taken first, of some rows."""
        return min(rows, key=self._age_key)

    def _age_key(self, row: int) -> tuple[int, int, int]:
        return self.moments[row], self.table.column(1)[row], row

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[BackupFile]:
        return iter(self.table.values())

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self.table.value_at(one) for one in range(*at.indices(len(self)))]
        return self.table.value_at(range(len(self))[at])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, tuple, BackupFiles)):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"BackupFiles({list(self)!r})"


def _local(mtime_ns: int) -> str:
    moment = datetime.datetime.fromtimestamp(mtime_ns / 1e9)
    return moment.isoformat(timespec="seconds")


class TierSummary(NamedTuple):
    """One tier: how many backups, how many bytes, and the paths of its newest and oldest."""

    count: int  # type: ignore[assignment]  # `tuple.count` is of no use here
    bytes: int
    newest: str | None
    oldest: str | None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Inventory:
    """Inventory of a backup tree.

    Attributes:
        root: the tree.
        files: its backups, by path; with them the files that belong to one, where those were
            requested. These are in no count and no summary.
        tier_names: the tiers that were scanned, in the order given.
        ignored: names that are no backup's, links and special files, escaped.
        in_progress: backups that some process still writes; they are in no other list.
        problems: what could not be read, one sentence each; then the inventory is not complete.
        identities: by path size, time of change, inode, and time of the inode's change
            (nanoseconds), by which an unchanged file is recognised; only `scan` sets them.
        stored: where sealed backups lie, by their plain paths; only `scan` with `plain_names`
            sets it.
    """

    root: str
    files: Sequence[BackupFile]
    tier_names: tuple[str, ...] = TIERS
    ignored: list[str] = dataclasses.field(default_factory=list)
    in_progress: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    identities: Mapping[str, tuple[int, int, int, int]] = dataclasses.field(default_factory=dict)
    stored: dict[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def rows(self) -> BackupFiles:
        """All files as a table."""
        return self.files if isinstance(self.files, BackupFiles) else BackupFiles.of(self.files)

    @functools.cached_property
    def backups(self) -> BackupFiles:
        """The backups as a table, without the files that belong to one."""
        files = self.rows
        table = companions.without(files.table)
        return BackupFiles(table) if isinstance(table, PathTable) else files

    @functools.cached_property
    def states(self) -> PathTable[tuple[int, int]]:
        """Size and time of change (nanoseconds) of each file, by path."""
        return self.rows.states

    @functools.cached_property
    def digests(self) -> Mapping[str, str]:
        """The SHA-256 of each file, by path; an empty text where it was not taken."""
        files = self.files
        if isinstance(files, BackupFiles) and files.has_digests:
            return files.digests
        return {file.path: file.sha256 or "" for file in files}

    @property
    def has_all_digests(self) -> bool:
        """Whether the SHA-256 of every file is known."""
        digests = self.digests
        if isinstance(digests, PathTable):
            return bool(digests.column(0).is_complete)
        return all(digests.values())

    @property
    def total_count(self) -> int:
        """How many backups there are."""
        return len(self.backups)

    @property
    def total_bytes(self) -> int:
        """Their size together, bytes."""
        return self.backups.total_bytes()

    def tiers(self) -> dict[str, TierSummary]:
        """Return each tier's summary, in the order given."""
        summaries, files = {}, self.backups
        for tier in self.tier_names:
            own = files.table.rows_of(tier)
            summaries[tier] = TierSummary(
                len(own),
                files.total_bytes(own),
                files.table.path_at(files.newest(own)) if own else None,
                files.table.path_at(files.oldest(own)) if own else None,
            )
        return summaries

    def newest(self) -> BackupFile | None:
        """Return the backup taken last, of any tier; None for an empty tree."""
        files = self.backups
        if not files:
            return None
        path = files.table.path_at(files.newest(range(len(files))))
        return next(file for file in self.files if file.path == path)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and Ansible."""
        return {
            "root": self.root,
            "tiers": {name: tier._asdict() for name, tier in self.tiers().items()},
            "total_count": self.total_count,
            "total_bytes": self.total_bytes,
            "files": [file._asdict() for file in self.files],
            "ignored": self.ignored,
            "in_progress": self.in_progress,
            "problems": self.problems,
        }


def from_dict(values: Mapping[str, Any], *, option: str = "compare_with") -> Inventory:
    """Return the inventory of which `Inventory.to_dict` returned these values.

    Raises:
        ResilienceError: the values are not an inventory; names `option`.
    """

    def listed(key: str) -> list[str]:
        return [str(entry) for entry in values.get(key, [])]

    try:
        return Inventory(
            str(values["root"]),
            [BackupFile(**file) for file in values["files"]],
            tuple(values["tiers"]),
            ignored=listed("ignored"),
            in_progress=listed("in_progress"),
            problems=listed("problems"),
        )
    except (KeyError, TypeError) as error:
        raise ResilienceError(
            f"this is not an inventory: {type(error).__name__}: {error}",
            option=option,
            value=str(values)[:80],
            remedy="give the `inventory` that backup_inventory returned",
        ) from error


def readable(name: str) -> str:
    """Return a file name for people: control characters and bytes that are not UTF-8 escaped."""
    if name.isprintable():  # no half of a surrogate pair is
        return name
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def scan(
    root: str,
    *,
    tiers: Sequence[str] = TIERS,
    pattern: str = PATTERN,
    known: Mapping[str, tuple[int, int]] | None = None,
    plain_names: bool = False,
    with_companions: bool = False,
) -> Inventory:
    """Scan a backup tree; `tree_digests.with_digests` adds what takes reading the files.

    Args:
        root: the tree; each tier is a folder in it.
        tiers: the tiers to scan. One whose folder is missing counts as a problem.
        pattern: regular expression for the names of backups; what does not match is `ignored`.
        known: size and time of change (nanoseconds) of backups that were complete before. One that
            is unchanged is not checked for processes that write it.
        plain_names: whether a sealed backup is listed under the name that it has when it is open.
        with_companions: whether the files that belong to a backup are listed with it, under their
            own names; also one that is still there when its backup is gone.

    Raises:
        ResilienceError: the root is missing or not a folder, or the pattern is malformed.
    """
    expression = compiled(pattern)
    try:
        is_folder = stat.S_ISDIR(os.stat(root).st_mode)
    except OSError as error:
        raise ResilienceError(
            _("the backup tree cannot be read: %(why)s", why=reason(error)),
            option="path",
            value=root,
            remedy=_("name the folder that holds the tiers, and mount it if it is a mount"),
        ) from error
    if not is_folder:
        raise ResilienceError(
            _("the backup tree is not a folder"),
            option="path",
            value=root,
            remedy=_("name the folder that holds the tiers"),
        )
    found = Inventory(root, [], tuple(tiers))
    rows = TableBuilder(_FILES, known if isinstance(known, PathTable) else None, exact=True)
    for tier in sorted(tiers, key=lambda name: f"{name}/"):
        try:
            descriptor = os.open(
                os.path.join(root, tier), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            )
        except OSError as error:
            found.problems.append(reading_problem(tier, error))
            continue
        try:
            _scan_tier(found, rows, tier, descriptor, expression, plain_names, with_companions)
        except OSError as error:
            found.problems.append(reading_problem(tier, error))
        finally:
            os.close(descriptor)
    table = rows.table()
    _set_aside_unfinished(found, table, known or {})
    files = BackupFiles(table)
    return dataclasses.replace(found, files=files, identities=files.identities)


def _scan_tier(
    found: Inventory,
    rows: TableBuilder[BackupFile],
    tier: str,
    descriptor: int,
    expression: re.Pattern[str],
    plain_names: bool,
    with_companions: bool,
) -> None:
    """Add one tier, opened, to the inventory.

    Raises:
        OSError: it cannot be read.
    """

    def place(name: str) -> str:
        """Return the name under which a file is listed."""
        sealed = plain_names and name.endswith(SEALED)
        match = match_name(name, expression) if sealed else None
        return match.string if match else name

    absent: dict[str, OSError] = {}
    for name in sorted(os.listdir(descriptor), key=place if plain_names else None):
        path = f"{tier}/{name}"
        try:
            seen = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError as error:
            absent[name] = error
            continue
        except OSError as error:
            found.problems.append(reading_problem(path, error))
            continue
        owner = companions.owner(name) if with_companions else ""
        match = match_name(owner or name, expression)
        # What the name is without the ending of a sealed backup.
        opened = match.string if match and match.string != name and not owner else ""
        if not stat.S_ISREG(seen.st_mode):
            found.ignored.append(unfit(path, kind_of_file(seen.st_mode)))
        elif not match or (opened and os.path.lexists(os.path.join(found.root, tier, opened))):
            # Of one backup the plain file counts.
            found.ignored.append(readable(path))
        else:
            if opened and plain_names:
                found.stored[f"{tier}/{opened}"] = path
                path = f"{tier}/{opened}"
            taken = moment_number(taken_at(match))
            rows.add(
                path,
                (
                    seen.st_size,
                    bounded_ns(seen.st_mtime_ns),
                    seen.st_ino,
                    bounded_ns(seen.st_ctime_ns),
                    taken,
                ),
            )
    for name in _still_listed(descriptor, absent):
        found.problems.append(reading_problem(f"{tier}/{name}", absent[name]))


def _still_listed(descriptor: int, names: Iterable[str]) -> list[str]:
    """Return which names a folder lists though nothing is found under them.

    Any other was deleted after it was listed, and perhaps made again.
    """
    left = set(names)
    for _round in range(5):
        if left:
            left &= set(os.listdir(descriptor))
            left = {name for name in left if not _is_there(name, descriptor)}
    return sorted(left)


def _is_there(name: str, descriptor: int) -> bool:
    try:
        os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def bounded_ns(moment: int) -> int:
    """Return a file's time in nanoseconds within the years that others can count with.

    Some filesystems keep any time that somebody sets, and no date can be made of most of them.
    """
    return moment if -MOST_NS < moment < MOST_NS else MOST_NS * (1 if moment > 0 else -1)


def reading_problem(path: str, error: OSError) -> str:
    """Return the sentence for a path of the tree that cannot be read."""
    return join([readable(path), reason(error)], ": ")


def unfit(path: str, kind: str) -> Message:
    """Return how a path is named that is no regular file, and so no backup."""
    return join([readable(path), " (", kind, ")"], "")


def kind_of_file(mode: int) -> Message:
    """Return what a file that is not a regular one is."""
    kinds = (
        (stat.S_ISLNK, _("symbolic link, not followed")),
        (stat.S_ISDIR, _("folder")),
        (stat.S_ISFIFO, _("named pipe, not opened")),
        (stat.S_ISSOCK, _("socket, not opened")),
    )
    return next((name for test, name in kinds if test(mode)), _("device, not opened"))


def _set_aside_unfinished(
    found: Inventory, table: PathTable[BackupFile], known: Mapping[str, tuple[int, int]]
) -> None:
    """Move backups that some process still writes from the table to `in_progress`."""
    oldest = (time.time() - FRESH_SECONDS) * 1e9
    before = os.path.join(found.root, "")
    states = table.view(STATES, 0, 1)
    fresh = (
        before + found.stored.get(path, path)
        for path, state in states.items()
        if state[1] > oldest and known.get(path) != state
    )
    listed = {path: plain for plain, path in found.stored.items()}
    writing = (path[len(before) :] for path in open_files.being_written(fresh))
    unfinished = sorted(listed.get(path, path) for path in writing)
    for path in unfinished:
        del table[path]
    found.in_progress.extend(map(readable, unfinished))
