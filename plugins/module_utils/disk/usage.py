# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Usage of filesystems and folders, and the level of each by its thresholds.

psutil measures a filesystem's bytes. Percent used is what `df` prints: used / (used + available),
so that blocks reserved for root count as used (statvfs(3): `f_bavail` leaves them out, `f_bfree`
does not).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..common import bounded_calls
from ..common.bounded_calls import BoundedCall
from ..common.errors import ResilienceError
from ..common.levels import (
    CRITICAL,
    LEVELS,
    OK,
    RISING,
    UNKNOWN,
    Thresholds,
    worst,
)
from ..common.libraries import load_psutil
from ..common.messages import ENGLISH, _, to_form
from ..common.safe_text import clean
from ..common.system_errors import reason
from ..common.zip_equal import zip_equal
from . import disk_causes, mounts
from .disk_causes import Cause
from .disk_settings import HYSTERESIS
from .folder_size import FolderSize, folder_size
from .mounts import Mount

# Offsets in a file are signed 64-bit numbers (off_t), so no filesystem holds as much as this;
# those that have no size of their own, such as object stores, state 16 EiB.
IMPOSSIBLE_BYTES = 1 << 63


class Target(NamedTuple):
    """Something to watch.

    Attributes:
        path: a mount point, or any path on a filesystem.
        name: what it is called on pages; its path when empty.
        thresholds: for its bytes.
        inodes: for its inodes.
        folder: judge what the folder itself holds, as a share of its filesystem.
        must_be_mount: whether the path has to be a mount point. None: when fstab names it.
        may_be_read_only: whether a read-only mount is as it should be. None: when fstab says so.
        time_limit: seconds that the filesystem has to answer.
        folder_time_limit: seconds that sizing a folder may take.
        hysteresis: percentage points below a threshold at which its level is left again.
    """

    path: str
    thresholds: Thresholds = Thresholds()
    folder: bool = False
    time_limit: float = 10
    name: str = ""
    inodes: Thresholds = Thresholds(inodes=True)
    must_be_mount: bool | None = None
    may_be_read_only: bool | None = None
    folder_time_limit: float = 300
    hysteresis: float = HYSTERESIS


class FilesystemUsage(NamedTuple):
    """What a filesystem states of itself; bytes and inodes.

    Attributes:
        available: bytes left for users other than root.
        inodes_total, inodes_free: None on filesystems that do not count inodes (btrfs, vfat), or
            whose figures cannot be (CephFS states -1 free).
    """

    total: int
    used: int
    available: int
    inodes_total: int | None
    inodes_free: int | None

    @property
    def usable(self) -> int:
        """The bytes that users may have."""
        return self.used + self.available

    @property
    def percent_used(self) -> float:
        """Percent of the bytes that users may have; 100 where there are none."""
        return 100 * self.used / self.usable if self.usable else 100.0

    @property
    def inodes_used(self) -> int | None:
        """How many inodes are used."""
        if self.inodes_total is None or self.inodes_free is None:
            return None
        return self.inodes_total - self.inodes_free

    @property
    def can_fill(self) -> bool:
        """Whether it has a size: mounts of archives have no blocks, object stores no end."""
        return 0 < self.total < IMPOSSIBLE_BYTES

    def problem(self) -> str | None:
        """Return why its figures cannot be judged; None where they can."""
        if self.total <= 0:
            return _("the filesystem has no size of its own")
        figures = (self.total, self.used, self.available)
        possible = self.total < IMPOSSIBLE_BYTES and 0 <= self.used <= self.total
        if possible and 0 <= self.available <= self.total:
            return None
        shown = ", ".join(f"{figure}" for figure in figures)
        return _("the filesystem states impossible figures: %(figures)s", figures=shown)


class TargetResult(NamedTuple):
    """One target, measured and judged. What could not be measured is None, its level `unknown`.

    Attributes:
        reason: why it is at its level, in English; pages translate `causes`.
        causes: what was judged, the worst first, as `disk_causes.Cause.to_dict` returns it.
        bytes_used: of the filesystem, or of the folder itself.
        also_at: other targets that are mount points of the same filesystem.
        folders: bytes of each folder in a folder, by name.
        forecast, inodes_forecast: when it will be full, as `forecast.Forecast.to_dict` returns it;
            None where no history was read.
        limits: the percentage used at which each level begins.
    """

    path: str
    folder: bool
    level: str
    reason: str
    causes: list[dict[str, Any]]
    also_at: list[str]
    percent_used: float | None = None
    bytes_total: int | None = None
    bytes_used: int | None = None
    bytes_available: int | None = None
    inodes_percent_used: float | None = None
    name: str = ""
    inodes_total: int | None = None
    inodes_used: int | None = None
    mount_point: str | None = None
    filesystem: str | None = None
    read_only: bool | None = None
    folders: dict[str, int] | None = None
    forecast: dict[str, Any] | None = None
    inodes_forecast: dict[str, Any] | None = None
    limits: dict[str, float] | None = None

    @property
    def key(self) -> str:
        """The target's name in history and alerts, plain text."""
        return ("folder:" if self.folder else "mount:") + clean(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and Ansible."""
        return self._asdict()

    def with_causes(self, causes: Sequence[Cause], **changes: Any) -> TargetResult:
        """Return the result with more causes, and with its level and reason by all of them."""
        every = [*self.causes, *(cause.to_dict() for cause in causes)]
        # The sort is stable: of two equally bad ones the earlier one leads.
        every.sort(key=lambda cause: LEVELS.index(cause["level"]), reverse=True)
        bad = [cause for cause in every if cause["level"] != OK] or every[:1]
        return self._replace(
            level=worst(cause["level"] for cause in every),
            reason="; ".join(disk_causes.cause_text(ENGLISH, cause) for cause in bad),
            causes=every,
            **changes,
        )


def filesystem_usage(path: str) -> FilesystemUsage:
    """Return what the filesystem that holds a path states of itself, whether it can be or not.

    It blocks where the filesystem hangs; see `common.bounded_calls`.

    Raises:
        OSError: the path does not exist or cannot be reached.
        ResilienceError: psutil is missing.
    """
    psutil = load_psutil()
    space = psutil.disk_usage(path)
    # psutil does not know inodes.
    status = os.statvfs(path)
    inodes: tuple[int, int] | tuple[None, None] = (status.f_files, status.f_ffree)
    if not 0 <= status.f_ffree <= status.f_files < IMPOSSIBLE_BYTES or status.f_files == 0:
        inodes = (None, None)
    return FilesystemUsage(space.total, space.used, space.free, *inodes)


class _Measured(NamedTuple):
    """What was measured of one target; `problem` where something could not be."""

    mount: Mount | None = None
    usage: FilesystemUsage | None = None
    folder: FolderSize | None = None
    problem: str | None = None


def check(
    targets: Sequence[Target],
    *,
    discover: Target | None = None,
    table: Sequence[Mount] | None = None,
    fstab: Mapping[str, bool] | None = None,
) -> list[TargetResult]:
    """Measure and judge every target; one that cannot be measured is `unknown` with the reason.

    A filesystem is listed once: of two targets that are mount points of the same one and have the
    same thresholds, the second is in `also_at` of the first.

    Args:
        targets: what to watch.
        discover: also watch every filesystem that can fill and is none of the targets'; they get
            the thresholds and limits of this one, whose path does not matter.
        table: what is mounted; the kernel's table when left out.
        fstab: the administrator's mount points, as `mounts.fstab` returns them.

    Raises:
        ResilienceError: there is nothing to watch, psutil is missing, or the kernel's table cannot
            be read.
    """
    load_psutil()  # an error of all targets, not of each
    every = mounts.mount_table() if table is None else table
    mounted = mounts.by_point(every)
    expected = mounts.fstab() if fstab is None else fstab
    discovered = _discovered(targets, discover, every, mounted, expected)
    if not targets and not discovered:
        raise ResilienceError(
            "there is nothing to watch", option="paths", value=[], remedy="name a mount point"
        )
    measured = _measurements([*targets, *discovered], mounted)
    results: list[TargetResult] = []
    firsts: dict[tuple[Any, ...], int] = {}
    taken = {
        found.mount.device
        for target, found in zip(targets, measured)
        if found.mount and not target.folder
    }
    for number, (target, found) in enumerate(zip_equal([*targets, *discovered], measured)):
        if number >= len(targets):
            if found.mount and found.mount.device in taken:
                continue
            if found.usage and not found.usage.can_fill:
                continue
        same = _identity(target, found.mount)
        if same in firsts:
            first = results[firsts[same]]
            if target.path != first.path:
                first.also_at.append(target.path)
            continue
        firsts[same] = len(results)
        results.append(_result(target, found, expected))
    return results


def _discovered(
    targets: Sequence[Target],
    discover: Target | None,
    table: Sequence[Mount],
    mounted: Mapping[str, Mount],
    expected: Mapping[str, bool],
) -> list[Target]:
    """Return targets for the filesystems that nobody named, as far as the table shows them."""
    if discover is None:
        return []
    parts = [mount for mount in mounted.values() if mount.root != "/"]
    found = bounded_calls.results(
        [BoundedCall(mount.point, partial(os.path.isdir, mount.point), 1.0) for mount in parts]
    )
    files = {
        mount.point
        for mount, result in zip_equal(parts, found)
        if result.error is None and not result.returned
    }
    read_only = [point for point, meant in expected.items() if meant]
    taken = {
        mount.device
        for target in targets
        if not target.folder
        and (mount := mounts.mount_of(mounted, target.path, follow_links=False))
        and mount.point == os.path.abspath(target.path)
    }
    return [
        discover._replace(path=mount.point, name="")
        for mount in mounts.fillable(table, read_only, files)
        if mount.device not in taken
    ]


def _measurements(targets: Sequence[Target], mounted: Mapping[str, Mount]) -> list[_Measured]:
    """Measure every target within its limits: filesystems first, then the folders on them."""
    found = bounded_calls.results(
        [
            BoundedCall(
                f"filesystem of {target.path}",
                partial(_mount_and_usage, mounted, target.path, target.folder),
                target.time_limit,
            )
            for target in targets
        ]
    )
    measured: list[_Measured] = []
    for target, result in zip_equal(targets, found):
        if result.returned is None:
            # Links are not followed: that may be what blocked.
            mount = mounts.mount_of(mounted, target.path, follow_links=False)
            measured.append(_Measured(mount, problem=reason(result.error or OSError())))
        else:
            mount, usage = result.returned
            measured.append(_Measured(mount, usage, problem=usage.problem()))
    folders = [
        number
        for number, target in enumerate(targets)
        if target.folder and measured[number].problem is None
    ]
    sizes = bounded_calls.results(
        [_folder_call(targets[n], measured[n].mount, mounted) for n in folders]
    )
    for number, size in zip_equal(folders, sizes):
        problem = None if size.error is None else reason(size.error)
        measured[number] = measured[number]._replace(folder=size.returned, problem=problem)
    return measured


def _mount_and_usage(
    mounted: Mapping[str, Mount], path: str, folder: bool
) -> tuple[Mount | None, FilesystemUsage]:
    """Return the mount that a path lies on, and its usage; it may block."""
    if folder:
        # du reads every mount in the folder: one that hangs is found here, in the time limit of a
        # filesystem, and not within that of sizing.
        inside = os.path.join(os.path.realpath(path), "")
        for point in mounted:
            if point.startswith(inside):
                os.statvfs(point)
    return mounts.mount_of(mounted, path), filesystem_usage(path)


def _folder_call(
    target: Target, mount: Mount | None, mounted: Mapping[str, Mount]
) -> BoundedCall[FolderSize]:
    limit, apart = target.folder_time_limit, None
    if mount is not None and mount.type in mounts.SEVERAL_DEVICES:
        apart = [point for point, one in mounted.items() if one.device != mount.device]
    size = partial(folder_size, target.path, limit, apart=apart)
    return BoundedCall(f"size of {target.path}", size, limit)


def _identity(target: Target, mount: Mount | None) -> tuple[Any, ...]:
    """Return what two targets share that are the same and listed once."""
    path = os.path.abspath(target.path)
    if target.folder:
        return ("folder", path)
    if mount is None or mount.point != path:
        return ("path", path)
    return (mount.device, target.thresholds, target.inodes)


def _result(target: Target, measured: _Measured, expected: Mapping[str, bool]) -> TargetResult:
    path, mount, usage = os.path.abspath(target.path), measured.mount, measured.usage
    known = TargetResult(
        target.path,
        target.folder,
        UNKNOWN,
        "",
        causes=[],
        also_at=[],
        name=target.name,
        mount_point=mount.point if mount else None,
        filesystem=mount.type if mount else None,
        read_only=mount.read_only if mount else None,
    )
    must_be_mount = path in expected if target.must_be_mount is None else target.must_be_mount
    if must_be_mount and (mount is None or mount.point != path):
        return known.with_causes([Cause("not_mounted", UNKNOWN, UNKNOWN, {})])
    if measured.problem is not None or usage is None:
        values = {"why": to_form(measured.problem or "")}
        return known.with_causes([Cause("unmeasured", UNKNOWN, UNKNOWN, values)])
    if measured.folder is None:
        percent, used = usage.percent_used, usage.used
    else:
        used = measured.folder.total
        percent = 100 * used / usage.total
    causes = [_space(target, percent, usage)]
    inodes_percent = None
    if not target.folder and usage.inodes_total and usage.inodes_used is not None:
        inodes_percent = 100 * usage.inodes_used / usage.inodes_total
        causes.append(_inodes(target, inodes_percent, usage.inodes_free or 0, usage.inodes_total))
    causes += _read_only(target, mount, expected)
    return known.with_causes(
        causes,
        percent_used=round(percent, 2),
        bytes_total=usage.total,
        bytes_used=used,
        bytes_available=usage.available,
        inodes_percent_used=None if inodes_percent is None else round(inodes_percent, 2),
        inodes_total=None if inodes_percent is None else usage.inodes_total,
        inodes_used=None if inodes_percent is None else usage.inodes_used,
        folders=measured.folder.folders if measured.folder else None,
        limits={
            level: round(
                target.thresholds.percent_at(level, usage.total if target.folder else usage.usable),
                2,
            )
            for level in RISING
        },
    )


def _space(target: Target, percent: float, usage: FilesystemUsage) -> Cause:
    limits = target.thresholds
    level = limits.judge(percent, usage.available)
    falls_to = limits.judge(percent, usage.available, usage.usable, target.hysteresis)
    values = _values(percent, usage.available, limits, level)
    return Cause("space", level, falls_to, {**values, "share": target.folder})


def _inodes(target: Target, percent: float, left: int, total: int) -> Cause:
    limits = target.inodes
    level = limits.judge(percent, left)
    falls_to = limits.judge(percent, left, total, target.hysteresis)
    return Cause("inodes", level, falls_to, _values(percent, left, limits, level))


def _values(percent: float, left: int, limits: Thresholds, level: str) -> dict[str, Any]:
    return {
        "percent": percent,
        "left": left,
        "limit": None if level == OK else limits.limit(level),
        "limit_is_percent": limits.percent,
    }


def _read_only(target: Target, mount: Mount | None, expected: Mapping[str, bool]) -> list[Cause]:
    """Return a cause for a filesystem that went read-only: it takes no byte, however empty."""
    if mount is None or not mount.read_only:
        return []
    allowed = target.may_be_read_only
    if expected.get(mount.point, False) if allowed is None else allowed:
        return []
    return [Cause("read_only", CRITICAL, CRITICAL, {})]
