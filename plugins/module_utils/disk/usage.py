# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How full filesystems and folders are, and how bad that is.

Percent used is what `df` says: used / (used + available), so that blocks reserved for root count
as used up for everybody else (statvfs(3): `f_bavail` leaves them out, `f_bfree` does not).
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..common import process
from ..common.errors import ResilienceError
from ..common.levels import (
    CRITICAL,
    LEVELS,
    OK,
    UNKNOWN,
    Thresholds,
    worst,
)
from ..common.messages import ENGLISH
from ..common.safe_text import clean
from ..common.system_errors import reason
from . import disk_causes, folder_size, mounts
from .disk_causes import Cause
from .disk_settings import HYSTERESIS


@dataclasses.dataclass(frozen=True)
class Target:
    """Something to watch.

    Attributes:
        path: a mount point, or any path on a filesystem.
        name: what it is called on pages; its path when empty.
        thresholds: for its bytes.
        inodes: for its inodes.
        folder: judge what the folder itself holds, as a share of its filesystem.
        must_be_mount: whether the path has to be a mount point. None: when fstab says so.
        may_be_read_only: whether a read-only mount is as it should be. None: when fstab says so.
        time_limit: seconds that a network filesystem has to answer.
        folder_time_limit: seconds that sizing a folder may take.
        hysteresis: percentage points below a threshold at which its level is left again.
    """

    path: str
    thresholds: Thresholds = dataclasses.field(default_factory=Thresholds)
    folder: bool = False
    time_limit: float = 10
    name: str = ""
    inodes: Thresholds = dataclasses.field(default_factory=lambda: Thresholds(inodes=True))
    must_be_mount: bool | None = None
    may_be_read_only: bool | None = None
    folder_time_limit: float = 300
    hysteresis: float = HYSTERESIS


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a filesystem says of itself; bytes and inodes.

    `available` is what is left for users other than root.
    """

    total: int
    used: int
    available: int
    inodes_total: int
    inodes_free: int

    @property
    def usable(self) -> int:
        """The bytes that users may have."""
        return self.used + self.available

    @property
    def percent_used(self) -> float:
        """Percent of the bytes that users may have; 100 where there are none."""
        return 100 * self.used / self.usable if self.usable else 100.0

    @property
    def inodes_used(self) -> int:
        """Inodes taken."""
        return self.inodes_total - self.inodes_free

    @property
    def inodes_percent_used(self) -> float | None:
        """Percent of the inodes; None on filesystems that do not count them (btrfs, vfat)."""
        if not self.inodes_total:
            return None
        return 100 * self.inodes_used / self.inodes_total


@dataclasses.dataclass(frozen=True)
class TargetResult:
    """One target, measured and judged. What could not be measured is None, its level `unknown`.

    Attributes:
        reason: why it is at its level, in English; pages say it from `causes`.
        causes: what was asked of the target and answered, the worst first, as
            `disk_causes.Cause.to_dict` gives it.
        bytes_used: of the filesystem, or of the folder itself.
        also_at: other mount points of the same filesystem that were asked for too.
        folders: bytes of each folder in a folder, by name.
        forecast, inodes_forecast: when it will be full, as `forecast.Forecast.to_dict` gives it;
            None where no history was looked at.
    """

    path: str
    folder: bool
    level: str
    reason: str
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
    causes: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    also_at: list[str] = dataclasses.field(default_factory=list)
    folders: dict[str, int] | None = None
    forecast: dict[str, Any] | None = None
    inodes_forecast: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """What tells the target apart in history and alerts; any program can store it."""
        return ("folder:" if self.folder else "mount:") + clean(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and Ansible."""
        return dataclasses.asdict(self)

    def and_also(self, causes: Sequence[Cause], **changes: Any) -> TargetResult:
        """The same with more answers, judged anew; one that is unknown stays so or gets worse."""
        every = [*self.causes, *(cause.to_dict() for cause in causes)]
        # The sort is stable: of two equally bad ones the one asked first leads.
        every.sort(key=lambda cause: LEVELS.index(cause["level"]), reverse=True)
        bad = [cause for cause in every if cause["level"] != OK] or every[:1]
        return dataclasses.replace(
            self,
            level=worst(cause["level"] for cause in every),
            reason="; ".join(disk_causes.cause_text(ENGLISH, cause) for cause in bad),
            causes=every,
            **changes,
        )


def measure(path: str, time_limit: float = 10, *, network: bool = False) -> Usage:
    """What the filesystem that holds `path` says of itself.

    Args:
        path: anything on the filesystem.
        time_limit: seconds that a network filesystem has to answer.
        network: whether another host must answer; then another process asks, which can be ended.

    Raises:
        OSError: the path is gone, or the filesystem does not answer.
    """
    if not network:
        return _usage(os.statvfs(path))

    script = (
        "import json, os, sys; s = os.statvfs(sys.argv[1]); print(json.dumps(["
        "s.f_frsize, s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree]))"
    )
    outcome = process.run([sys.executable, "-I", "-S", "-c", script, path], time_limit=time_limit)
    if outcome.timed_out:
        raise OSError(0, f"no answer within {time_limit:g} s")
    if outcome.code != 0:
        raise OSError(0, (outcome.errors.strip().splitlines() or [outcome.ending()])[-1])
    unit, blocks, free, available, inodes, inodes_free = json.loads(outcome.output)
    return Usage(blocks * unit, (blocks - free) * unit, available * unit, inodes, inodes_free)


def _usage(seen: os.statvfs_result) -> Usage:
    unit = seen.f_frsize
    return Usage(
        seen.f_blocks * unit,
        (seen.f_blocks - seen.f_bfree) * unit,
        seen.f_bavail * unit,
        seen.f_files,
        seen.f_ffree,
    )


def check(
    targets: Sequence[Target],
    *,
    discover: Target | None = None,
    table: Sequence[mounts.Mount] | None = None,
    fstab: Mapping[str, bool] | None = None,
) -> list[TargetResult]:
    """Measures and judges every target; one that cannot be measured is `unknown` with the reason.

    A filesystem is told once: of two targets that are mount points of the same one and have the
    same thresholds, the second is told as `also_at` of the first.

    Args:
        targets: what to watch.
        discover: also watch every filesystem that can fill and is none of the targets'; they get
            the thresholds and limits of this one, whose path does not matter.
        table: what is mounted; the kernel's table when left out.
        fstab: the administrator's mount points, as `mounts.fstab` gives them.

    Raises:
        ResilienceError: there is nothing to watch, or the kernel's table cannot be read.
    """
    every = mounts.mount_table() if table is None else table
    mounted = mounts.by_point(every)
    promised = mounts.fstab() if fstab is None else fstab
    chosen = list(targets)
    if discover is not None:
        taken = {
            mount.device
            for target in targets
            if not target.folder and (mount := mounts.mount_of(mounted, target.path))
        }
        read_only = [point for point, meant in promised.items() if meant]
        chosen += [
            dataclasses.replace(discover, path=mount.point, name="")
            for mount in mounts.fillable(every, read_only)
            if mount.device not in taken
        ]
    if not chosen:
        raise ResilienceError(
            "there is nothing to watch", option="paths", value=[], remedy="name a mount point"
        )
    results: list[TargetResult] = []
    firsts: dict[tuple[Any, ...], int] = {}
    for target in chosen:
        mount = mounts.mount_of(mounted, target.path)
        same = _sameness(target, mount)
        if same in firsts:
            first = results[firsts[same]]
            if target.path != first.path:
                first.also_at.append(target.path)
            continue
        if same:
            firsts[same] = len(results)
        results.append(_check_one(target, mount, promised))
    return results


def _sameness(target: Target, mount: mounts.Mount | None) -> tuple[Any, ...]:
    """What two targets share that are one filesystem, told once; empty for none."""
    if target.folder:
        return ("folder", os.path.abspath(target.path))
    if mount is None or mount.point != os.path.abspath(target.path):
        return ("path", os.path.abspath(target.path))
    return (mount.device, target.thresholds, target.inodes)


def _check_one(
    target: Target, mount: mounts.Mount | None, promised: Mapping[str, bool]
) -> TargetResult:
    path = os.path.abspath(target.path)
    known = TargetResult(
        target.path,
        target.folder,
        UNKNOWN,
        "",
        name=target.name,
        mount_point=mount.point if mount else None,
        filesystem=mount.type if mount else None,
        read_only=mount.read_only if mount else None,
    )
    must_be_mount = path in promised if target.must_be_mount is None else target.must_be_mount
    if must_be_mount and (mount is None or mount.point != path):
        return known.and_also([Cause("not_mounted", UNKNOWN, UNKNOWN, {})])
    network = mount is not None and mount.network
    try:
        usage = measure(target.path, target.time_limit, network=network)
        limit = target.time_limit if network else target.folder_time_limit
        own = None
        if target.folder:
            overlay = mount is not None and mount.type == "overlay"
            own = folder_size.measure(target.path, limit, network=network, overlay=overlay)
    except (OSError, ResilienceError) as error:
        cause = Cause("unmeasured", UNKNOWN, UNKNOWN, {"why": reason(error)})
        return known.and_also([cause])
    if own is None:
        percent, used = usage.percent_used, usage.used
    else:
        percent = 100 * own.total / usage.total if usage.total else 100.0
        used = own.total
    causes = [_space(target, percent, usage)]
    inodes = None if own else usage.inodes_percent_used
    if inodes is not None:
        causes.append(_inodes(target, inodes, usage))
    causes += _read_only(target, mount, promised)
    return known.and_also(
        causes,
        percent_used=round(percent, 2),
        bytes_total=usage.total,
        bytes_used=used,
        bytes_available=usage.available,
        inodes_percent_used=None if inodes is None else round(inodes, 2),
        inodes_total=None if inodes is None else usage.inodes_total,
        inodes_used=None if inodes is None else usage.inodes_used,
        folders=own.folders if own else None,
    )


def _space(target: Target, percent: float, usage: Usage) -> Cause:
    limits = target.thresholds
    level = limits.judge(percent, usage.available)
    falls_to = limits.judge(percent, usage.available, usage.usable, target.hysteresis)
    values = _values(percent, usage.available, limits, level)
    return Cause("space", level, falls_to, {**values, "share": target.folder})


def _inodes(target: Target, percent: float, usage: Usage) -> Cause:
    limits = target.inodes
    level = limits.judge(percent, usage.inodes_free)
    falls_to = limits.judge(percent, usage.inodes_free, usage.inodes_total, target.hysteresis)
    return Cause("inodes", level, falls_to, _values(percent, usage.inodes_free, limits, level))


def _values(percent: float, left: int, limits: Thresholds, level: str) -> dict[str, Any]:
    return {
        "percent": percent,
        "left": left,
        "limit": None if level == OK else limits.limit(level),
        "limit_is_percent": limits.percent,
    }


def _read_only(
    target: Target, mount: mounts.Mount | None, promised: Mapping[str, bool]
) -> list[Cause]:
    """A filesystem that went read-only takes no byte, however empty it is."""
    allowed = target.may_be_read_only
    if mount is None or not mount.read_only:
        return []
    if promised.get(mount.point, False) if allowed is None else allowed:
        return []
    return [Cause("read_only", CRITICAL, CRITICAL, {})]
