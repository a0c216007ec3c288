# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup a drill takes: the newest, of a tier, of a day, or the one at a path."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import re
import stat
from collections.abc import Iterator, Sequence

from ..common.errors import ResilienceError
from ..common.messages import _, join
from ..common.system_errors import reason
from ..inventory import backup_names, inventory
from ..inventory.inventory import BackupFile

# What a directory dump has, and how its name tells when it was taken: it needs no ending.
CONTENTS = "toc.dat"
FOLDER_NAME = re.compile(r"_(?P<date>\d{8})_(?P<time>\d{6})(?!\d)")


@dataclasses.dataclass(frozen=True)
class ChosenBackup:
    """A backup and where it lies.

    Attributes:
        path: absolute.
        tier: of the tree; None for a path outside it.
        taken_at: local ISO 8601, from its name or else its time of change.
        age_seconds: since then.
        bytes: its size.
    """

    path: str
    tier: str | None
    taken_at: str
    age_seconds: float
    bytes: int


def choose(
    root: str,
    *,
    tiers: tuple[str, ...] = inventory.TIERS,
    pattern: str = backup_names.PATTERN,
    path: str | None = None,
    tier: str | None = None,
    date: str | None = None,
) -> ChosenBackup:
    """The backup to try.

    Args:
        root: the backup tree.
        tiers, pattern: of the tree.
        path: this very file, in the tree or elsewhere.
        tier: the newest of this tier.
        date: the newest taken on this day, YYYY-MM-DD.

    Raises:
        ResilienceError: there is none, or the tree or the file cannot be read.
    """
    now = datetime.datetime.now().astimezone()
    if path:
        return _at(path, pattern, now)
    if tier and tier not in tiers:
        raise ResilienceError(
            _("there is no such tier"),
            option="tier",
            value=tier,
            remedy=_("name one of %(names)s", names=", ".join(tiers)),
        )
    if date and not _is_date(date):
        raise ResilienceError(
            _("this is no day"), option="date", value=date, remedy=_("write it as 2025-11-20")
        )
    tree = inventory.scan(root, tiers=(tier,) if tier else tiers, pattern=pattern, digest=False)
    held = [*tree.files, *_folders(root, tree.tier_names)]
    fitting = [file for file in held if not date or _moment(file)[:10] == date]
    newest = dataclasses.replace(tree, files=fitting).newest()
    if newest is None:
        unread = f" ({'; '.join(tree.problems)})" if tree.problems else ""
        raise ResilienceError(
            join(
                [
                    _("there is no backup"),
                    *(_(" of %(what)s", what=what) for what in (tier, date) if what),
                    unread,
                ],
                "",
            ),
            option="backup_path",
            value=root,
            remedy=_("name the folder that holds the tiers, or another tier or day"),
        )
    return _chosen(os.path.join(os.path.abspath(root), newest.path), newest, newest.tier, now)


def _folders(root: str, tiers: Sequence[str]) -> Iterator[BackupFile]:
    """Backups that are folders, as `pg_dump -Fd` writes them; links are not followed.

    pg_dump writes a folder's table of contents last, so one that has it is finished.
    """
    for tier in tiers:
        # A tier that cannot be read is told among the tree's problems.
        with contextlib.suppress(OSError), os.scandir(os.path.join(root, tier)) as entries:
            for entry in entries:
                contents = os.path.join(entry.path, CONTENTS)
                if not entry.is_dir(follow_symlinks=False) or not _is_file(contents):
                    continue
                match = FOLDER_NAME.search(entry.name)
                yield BackupFile(
                    f"{tier}/{entry.name}",
                    tier,
                    _size(entry.path),
                    os.lstat(contents).st_mtime_ns,
                    None,
                    backup_names.taken_at(match) if match else None,
                )


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _size(path: str) -> int:
    """Bytes of a file, or of the files of a folder."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(path))


def _at(path: str, pattern: str, now: datetime.datetime) -> ChosenBackup:
    try:
        seen = os.stat(path)
    except OSError as error:
        raise ResilienceError(
            _("the backup cannot be read: %(why)s", why=reason(error)),
            option="backup",
            value=path,
            remedy=_("name a file that exists and may be read"),
        ) from error
    name = os.path.basename(path.rstrip("/"))
    match = FOLDER_NAME.search(name) if os.path.isdir(path) else re.match(pattern, name)
    taken = backup_names.taken_at(match) if match else None
    file = BackupFile(path, "", _size(path), seen.st_mtime_ns, None, taken)
    return _chosen(os.path.abspath(path), file, None, now)


def _chosen(path: str, file: BackupFile, tier: str | None, now: datetime.datetime) -> ChosenBackup:
    return ChosenBackup(path, tier, _moment(file), file.age_seconds(now), file.bytes)


def _moment(file: BackupFile) -> str:
    if file.taken_at:
        return file.taken_at
    moment = datetime.datetime.fromtimestamp(file.mtime_ns / 1e9)
    return moment.isoformat(timespec="seconds")


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10
