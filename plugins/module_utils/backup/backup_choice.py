# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the backup of a drill: the newest, of a tier, of a day, or the one at a path."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _, join
from ..inventory import backup_names, inventory, sealed_names, unrecognised
from ..inventory.inventory import BackupFile
from .roles_file import holds_roles_alone
from .unreadable import unreadable_error

# The file that marks a directory dump, and the date in its name; the name needs no ending.
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
        set_aside: newer files that were not chosen, each with the reason.
        sealed: what was signed and opened of one that was fetched sealed; empty for any other.
    """

    path: str
    tier: str | None
    taken_at: str
    age_seconds: float
    bytes: int
    set_aside: tuple[str, ...] = ()
    sealed: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def choose(
    root: str,
    *,
    tiers: tuple[str, ...] = inventory.TIERS,
    pattern: str = backup_names.PATTERN,
    path: str | None = None,
    tier: str | None = None,
    date: str | None = None,
    follow: bool = True,
) -> ChosenBackup:
    """Return the backup to restore.

    Args:
        root: the backup tree.
        tiers, pattern: of the tree.
        path: this very file, in the tree or elsewhere.
        tier: the newest of this tier.
        date: the newest taken on this day, YYYY-MM-DD.
        follow: whether `path` may be a symbolic link; in the tree none is followed.

    Raises:
        ResilienceError: there is none, or the tree or the file cannot be read.
    """
    now = datetime.datetime.now().astimezone()
    if path:
        return _at(path, pattern, now, follow=follow)
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
    tree = inventory.scan(root, tiers=(tier,) if tier else tiers, pattern=pattern)
    held = [*tree.files, *_folders(root, tree.tier_names)]
    fitting = [file for file in held if not date or _moment(file)[:10] == date]
    newest, set_aside = _newest(tree, fitting, now)
    if newest is None:
        problems = join(tree.problems, "; ")
        unread = join([" (", problems, ")"], "") if problems else ""
        others = unrecognised.warning(tree)
        raise ResilienceError(
            join(
                [
                    _("there is no backup"),
                    *(_(" of %(what)s", what=what) for what in (tier, date) if what),
                    unread,
                    join([" (", join(set_aside, "; "), ")"], "") if set_aside else "",
                    join([" (", others, ")"], "") if others else "",
                ],
                "",
            ),
            option="backup_path",
            value=root,
            remedy=_("name the folder that holds the tiers, or another tier or day"),
        )
    chosen = _chosen(os.path.join(os.path.abspath(root), newest.path), newest, newest.tier, now)
    return dataclasses.replace(chosen, set_aside=tuple(set_aside))


def next_older(
    root: str, *, tiers: tuple[str, ...], pattern: str, before: str
) -> ChosenBackup | None:
    """Return the newest backup that was taken before another one; None without any.

    Args:
        root, tiers, pattern: of the tree.
        before: when that one was taken, as `ChosenBackup.taken_at`.
    """
    now = datetime.datetime.now().astimezone()
    try:
        tree = inventory.scan(root, tiers=tiers, pattern=pattern)
        held = [*tree.files, *_folders(root, tree.tier_names)]
        newest, _set_aside = _newest(tree, [one for one in held if _moment(one) < before], now)
    except (ResilienceError, OSError):
        return None
    if newest is None:
        return None
    return _chosen(os.path.join(os.path.abspath(root), newest.path), newest, newest.tier, now)


def _newest(
    tree: inventory.Inventory, files: Sequence[BackupFile], now: datetime.datetime
) -> tuple[BackupFile | None, list[str]]:
    """Return the newest backup, and what is newer by its name and no backup that counts."""
    left = list(files)
    set_aside: list[str] = []
    while newest := dataclasses.replace(tree, files=left).newest():
        name = inventory.readable(newest.path)
        if holds_roles_alone(os.path.join(tree.root, newest.path)):
            why = _("%(file)s holds roles and no database", file=name)
        elif newest.age_seconds(now) < -inventory.FURTHEST_ZONE:
            why = _("the name of %(file)s lies in the future", file=name)
        else:
            return newest, set_aside
        set_aside.append(why)
        left.remove(newest)
    return None, set_aside


def _folders(root: str, tiers: Sequence[str]) -> Iterator[BackupFile]:
    """Yield backups that are folders, as `pg_dump -Fd` writes them; links are not followed.

    pg_dump writes a folder's table of contents last, so one that has it is finished.
    """
    for tier in tiers:
        # A tier that cannot be read is among the tree's problems.
        with contextlib.suppress(OSError), os.scandir(os.path.join(root, tier)) as entries:
            for entry in entries:
                contents = os.path.join(entry.path, CONTENTS)
                if not entry.is_dir(follow_symlinks=False) or not _is_file(contents):
                    continue
                match = FOLDER_NAME.search(entry.name)
                yield BackupFile(
                    f"{tier}/{entry.name}",
                    tier,
                    size(entry.path),
                    os.lstat(contents).st_mtime_ns,
                    None,
                    backup_names.taken_at(match) if match else None,
                )


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def size(path: str) -> int:
    """Return the bytes of a file, or of the files of a folder."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(path))


def _at(path: str, pattern: str, now: datetime.datetime, *, follow: bool) -> ChosenBackup:
    link = path if os.path.islink(path) else ""
    if link and not follow:
        raise unreadable_error(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))
    path = os.path.realpath(path) if link else path
    try:
        seen = os.stat(path)
    except OSError as error:
        raise unreadable_error(path, error) from error
    name = os.path.basename(path.rstrip("/"))
    match = (
        FOLDER_NAME.search(name)
        if os.path.isdir(path)
        else backup_names.compiled(pattern).match(sealed_names.plain(name))
    )
    taken = backup_names.taken_at(match) if match else None
    file = BackupFile(path, "", size(path), seen.st_mtime_ns, None, taken)
    chosen = _chosen(os.path.abspath(path), file, None, now)
    if not link:
        return chosen
    name = inventory.readable(os.path.basename(link))
    text = _("%(link)s is a symbolic link to %(file)s", link=name, file=inventory.readable(path))
    return dataclasses.replace(chosen, set_aside=(text,))


def _chosen(path: str, file: BackupFile, tier: str | None, now: datetime.datetime) -> ChosenBackup:
    age = file.age_seconds(now)
    if age < 0:
        # The name is written in another time zone.
        age = max(0.0, now.timestamp() - file.mtime_ns / 1e9)
    return ChosenBackup(path, tier, _moment(file), age, file.bytes)


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
