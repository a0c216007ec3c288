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
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..common import iso_time
from ..common.errors import ResilienceError
from ..common.messages import _, join
from ..common.system_errors import reason
from . import open_files
from .backup_names import PATTERN, compiled, match_name, taken_at

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


@dataclasses.dataclass(frozen=True, eq=False)
class TierSummary:
    """One tier: how many backups, how many bytes, and the paths of its newest and oldest."""

    count: int
    bytes: int
    newest: str | None
    oldest: str | None


@dataclasses.dataclass(frozen=True, eq=False)
class Inventory:
    """Inventory of a backup tree.

    Attributes:
        root: the tree.
        files: its backups, by path.
        tier_names: the tiers that were scanned, in the order given.
        ignored: names that are no backup's, links and special files, escaped.
        in_progress: backups that some process still writes; they are in no other list.
        problems: what could not be read, one sentence each; then the inventory is not complete.
        identities: by path size, time of change, inode, and time of the inode's change
            (nanoseconds), by which an unchanged file is recognised; only `scan` sets them.
    """

    root: str
    files: list[BackupFile]
    tier_names: tuple[str, ...] = TIERS
    ignored: list[str] = dataclasses.field(default_factory=list)
    in_progress: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    identities: dict[str, tuple[int, int, int, int]] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    @functools.cached_property
    def states(self) -> dict[str, tuple[int, int]]:
        """Size and time of change (nanoseconds) of each backup, by path."""
        return {file.path: (file.bytes, file.mtime_ns) for file in self.files}

    @property
    def total_count(self) -> int:
        """How many backups there are."""
        return len(self.files)

    @property
    def total_bytes(self) -> int:
        """Their size together, bytes."""
        return sum(file.bytes for file in self.files)

    def tiers(self) -> dict[str, TierSummary]:
        """Return each tier's summary, in the order given."""
        summaries = {}
        for tier in self.tier_names:
            own = sorted((file for file in self.files if file.tier == tier), key=_age_key)
            summaries[tier] = TierSummary(
                len(own),
                sum(file.bytes for file in own),
                own[-1].path if own else None,
                own[0].path if own else None,
            )
        return summaries

    def newest(self) -> BackupFile | None:
        """Return the backup taken last, of any tier; None for an empty tree."""
        return max(self.files, key=_age_key, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and Ansible."""
        return {
            "root": self.root,
            "tiers": {name: dataclasses.asdict(tier) for name, tier in self.tiers().items()},
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


def _age_key(file: BackupFile) -> tuple[str, int, str]:
    taken = file.taken_at
    if taken is None:
        moment = datetime.datetime.fromtimestamp(file.mtime_ns / 1e9)
        taken = moment.isoformat(timespec="seconds")
    return taken, file.mtime_ns, file.path


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
) -> Inventory:
    """Scan a backup tree; `tree_digests.with_digests` adds what takes reading the files.

    Args:
        root: the tree; each tier is a folder in it.
        tiers: the tiers to scan. One whose folder is missing counts as a problem.
        pattern: regular expression for the names of backups; what does not match is `ignored`.
        known: size and time of change (nanoseconds) of backups that were complete before. One that
            is unchanged is not checked for processes that write it.

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
    for tier in tiers:
        _scan_tier(found, tier, expression)
    _set_aside_unfinished(found, known or {})
    found.files.sort(key=lambda file: file.path)
    return found


def _scan_tier(found: Inventory, tier: str, expression: re.Pattern[str]) -> None:
    """Add one tier to the inventory."""
    try:
        entries = sorted(os.scandir(os.path.join(found.root, tier)), key=lambda entry: entry.name)
    except OSError as error:
        found.problems.append(reading_problem(tier, error))
        return
    for entry in entries:
        path = sys.intern(f"{tier}/{entry.name}")  # states and caches hold the same names
        try:
            seen = os.lstat(entry.path)
        except OSError as error:
            found.problems.append(reading_problem(path, error))
            continue
        match = match_name(entry.name, expression)
        if not stat.S_ISREG(seen.st_mode):
            found.ignored.append(f"{readable(path)} ({kind_of_file(seen.st_mode)})")
        elif not match:
            found.ignored.append(readable(path))
        else:
            mtime_ns = bounded_ns(seen.st_mtime_ns)
            found.files.append(
                BackupFile(path, tier, seen.st_size, mtime_ns, None, taken_at(match))
            )
            found.identities[path] = (seen.st_size, mtime_ns, seen.st_ino, seen.st_ctime_ns)


def bounded_ns(moment: int) -> int:
    """Return a file's time in nanoseconds within the years that others can count with.

    Some filesystems keep any time that somebody sets, and no date can be made of most of them.
    """
    return moment if -MOST_NS < moment < MOST_NS else MOST_NS * (1 if moment > 0 else -1)


def reading_problem(path: str, error: OSError) -> str:
    """Return the sentence for a path of the tree that cannot be read."""
    return join([readable(path), reason(error)], ": ")


def kind_of_file(mode: int) -> str:
    """Return what a file that is not a regular one is."""
    kinds = (
        (stat.S_ISLNK, "symbolic link, not followed"),
        (stat.S_ISDIR, "folder"),
        (stat.S_ISFIFO, "named pipe, not opened"),
        (stat.S_ISSOCK, "socket, not opened"),
    )
    return next((name for test, name in kinds if test(mode)), "device, not opened")


def _set_aside_unfinished(found: Inventory, known: Mapping[str, tuple[int, int]]) -> None:
    """Move backups that some process still writes from `files` to `in_progress`."""
    oldest = (time.time() - FRESH_SECONDS) * 1e9
    doubtful = {
        os.path.join(found.root, file.path): file.path
        for file in found.files
        if file.mtime_ns > oldest and known.get(file.path) != (file.bytes, file.mtime_ns)
    }
    unfinished = {doubtful[path] for path in open_files.being_written(doubtful)}
    if unfinished:
        found.files[:] = [file for file in found.files if file.path not in unfinished]
        found.in_progress.extend(map(readable, sorted(unfinished)))
