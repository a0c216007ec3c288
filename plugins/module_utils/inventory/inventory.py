# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory of a backup tree, tier by tier, and comparison of two.

Nothing here follows a link, opens a pipe or trusts a name: an attacker may have written to the
tree.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _, join
from ..common.system_errors import reason
from . import open_files
from .backup_names import PATTERN, compiled, match_name, taken_at

TIERS = ("daily", "weekly", "monthly")
# A file that changed more recently than this is checked for processes that still write it.
FRESH_SECONDS = 24 * 3600
BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class BackupFile:
    """One backup.

    Attributes:
        path: relative to the tree, `daily/x.dump.gz`.
        tier: the tier's folder.
        bytes: its size.
        mtime_ns: when it last changed, nanoseconds since 1970.
        sha256: of its content, hexadecimal; None where digests were not requested.
        taken_at: when it was taken, local ISO 8601 from its name; None where the name does not say.
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
        """Return seconds since it was taken, by its name or else its time of change."""
        if self.taken_at:
            # The name holds local time, as `timestamp` assumes.
            taken = datetime.datetime.fromisoformat(self.taken_at).timestamp()
        else:
            taken = self.mtime_ns / 1e9
        return now.timestamp() - taken


@dataclasses.dataclass(frozen=True)
class TierSummary:
    """One tier: how many backups, how many bytes, and the paths of its newest and oldest."""

    count: int
    bytes: int
    newest: str | None
    oldest: str | None


@dataclasses.dataclass(frozen=True)
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
            "files": [dataclasses.asdict(file) for file in self.files],
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
    digest: bool = True,
    known: Mapping[str, tuple[int, int]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Inventory:
    """Scan a backup tree.

    Args:
        root: the tree; each tier is a folder in it.
        tiers: the tiers to scan. One whose folder is missing counts as a problem.
        pattern: regular expression for the names of backups; what does not match is `ignored`.
        digest: whether to take the SHA-256 of every backup.
        known: size and time of change (nanoseconds) of backups that were complete before. One that
            is unchanged is not checked for processes that write it.
        progress: called with bytes digested and bytes in all.

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
    if digest:
        _digest_all(found, progress)
    found.files.sort(key=lambda file: file.path)
    return found


def _scan_tier(found: Inventory, tier: str, expression: re.Pattern[str]) -> None:
    """Add one tier to the inventory."""
    try:
        entries = sorted(os.scandir(os.path.join(found.root, tier)), key=lambda entry: entry.name)
    except OSError as error:
        found.problems.append(_problem(tier, error))
        return
    for entry in entries:
        path = f"{tier}/{entry.name}"
        try:
            seen = entry.stat(follow_symlinks=False)
        except OSError as error:
            found.problems.append(_problem(path, error))
            continue
        match = match_name(entry.name, expression)
        if not stat.S_ISREG(seen.st_mode):
            found.ignored.append(f"{readable(path)} ({kind_of_file(seen.st_mode)})")
        elif not match:
            found.ignored.append(readable(path))
        else:
            found.files.append(
                BackupFile(path, tier, seen.st_size, seen.st_mtime_ns, None, taken_at(match))
            )
            found.identities[path] = (
                seen.st_size, seen.st_mtime_ns, seen.st_ino, seen.st_ctime_ns,
            )  # fmt: skip


def _problem(path: str, error: OSError) -> str:
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


def sha256(path: str, report_progress: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of a regular file's content, hexadecimal.

    Args:
        path: the file; a link or a special file is refused, not followed or opened.
        report_progress: called with the number of bytes after each block.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """

    # O_NONBLOCK: a named pipe put in the file's place since it was listed must not hang us.
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(number, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(0, "not a regular file", path)
        digest = hashlib.sha256()
        while block := file.read(BLOCK):
            digest.update(block)
            if report_progress:
                report_progress(len(block))
    return digest.hexdigest()


def _digest_all(
    found: Inventory,
    progress: Callable[[int, int], None] | None,
    known: Mapping[str, str] | None = None,
) -> None:
    held = known or {}
    total = sum(file.bytes for file in found.files if file.path not in held)
    done = 0

    def report_progress(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    def one(file: BackupFile) -> BackupFile | str | None:
        if digest := held.get(file.path):
            return dataclasses.replace(file, sha256=digest)
        path = os.path.join(found.root, file.path)
        try:
            content = sha256(path, report_progress)
            after = os.lstat(path)
        except FileNotFoundError:
            return _(
                "%(file)s: vanished while it was read (rotated away?)", file=readable(file.path)
            )
        except OSError as error:
            return _problem(file.path, error)
        if (after.st_size, after.st_mtime_ns) != (file.bytes, file.mtime_ns):
            found.in_progress.append(readable(file.path))
            return None
        return dataclasses.replace(file, sha256=content)

    # hashlib releases the interpreter lock, so threads use every core.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        results = list(pool.map(one, found.files))
    found.problems.extend(result for result in results if isinstance(result, str))
    found.files[:] = [result for result in results if isinstance(result, BackupFile)]


def with_digests(
    tree: Inventory,
    known: Mapping[str, str],
    progress: Callable[[int, int], None] | None = None,
) -> Inventory:
    """Return the same tree with the SHA-256 of every backup.

    Args:
        tree: as `scan` returned it, without digests.
        known: digests by path that need not be taken again.
        progress: called with bytes read and bytes to read in all.
    """
    found = dataclasses.replace(
        tree,
        files=list(tree.files),
        in_progress=list(tree.in_progress),
        problems=list(tree.problems),
    )
    _digest_all(found, progress, known)
    return found


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Comparison of another tree with the local one.

    Attributes:
        missing: backups that the other tree lacks.
        extra: backups that only the other tree has.
        different: backups whose content differs.
        compared_by: `sha256`, or `bytes` where either side has no digests.
        unknown: problems of either side; with any, the trees are not known to be equal.
    """

    missing: list[str]
    extra: list[str]
    different: list[str]
    compared_by: str
    unknown: list[str] = dataclasses.field(default_factory=list)

    @property
    def in_sync(self) -> bool:
        """Whether both trees were read completely and hold the same backups."""
        return not (self.missing or self.extra or self.different or self.unknown)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and Ansible."""
        return {**dataclasses.asdict(self), "in_sync": self.in_sync}


def compare(local: Inventory, other: Inventory) -> Comparison:
    """Return what `other` lacks, has in addition, or holds with other content.

    Two empty trees are equal; two trees with problems are not known to be.
    """
    local_files = {file.path: file for file in local.files}
    other_files = {file.path: file for file in other.files}
    by_digest = all(file.sha256 for file in [*local.files, *other.files])
    # A backup that is still being written is on neither side yet.
    unfinished = {*local.in_progress, *other.in_progress}

    def content(file: BackupFile) -> object:
        return file.sha256 if by_digest else file.bytes

    def named(paths: Iterable[str]) -> list[str]:
        return sorted(name for name in map(readable, paths) if name not in unfinished)

    return Comparison(
        missing=named(local_files.keys() - other_files.keys()),
        extra=named(other_files.keys() - local_files.keys()),
        different=named(
            path
            for path in local_files.keys() & other_files.keys()
            if content(local_files[path]) != content(other_files[path])
        ),
        compared_by="sha256" if by_digest else "bytes",
        unknown=[
            join([side, problem], ": ")
            for side, tree in (("local", local), ("remote", other))
            for problem in tree.problems
        ],
    )
