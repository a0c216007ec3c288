# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts, read from the kernel's own table; no filesystem is touched.

Source of the format: proc(5), "/proc/pid/mountinfo".

`psutil.disk_partitions` does not serve here: it gives neither the device's number, by which mounts
of one filesystem are found, nor the folder that a bind mount shows; and before psutil 6.0
(Debian 12 has 5.9) it calls `pathconf` on every mount point, which blocks where a daemon hangs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ..common.errors import ResilienceError
from ..common.messages import _

MOUNTINFO = "/proc/self/mountinfo"
FSTAB = "/etc/fstab"
# Filesystems that hold none of the host's data, or only as long as it runs, or that are full by
# design. They are watched only when they are named.
PSEUDO_TYPES = frozenset(
    ("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts")
    + ("devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "overlay", "proc")
    + ("pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tmpfs", "tracefs")
    + ("squashfs", "iso9660", "udf", "erofs", "cramfs")
    + ("fuse.gvfsd-fuse", "fuse.portal", "fuse.lxcfs", "fuse.snapfuse")
)
# Filesystems of one mount whose files and folders have several device numbers.
SEVERAL_DEVICES = frozenset(("overlay", "btrfs"))


class Mount(NamedTuple):
    """One mount.

    Attributes:
        point: where it is mounted.
        type: of its filesystem, such as `ext4`.
        source: what is mounted, such as `/dev/vda1`.
        device: the kernel's number of the device, `254:0`; equal for two mounts of one filesystem.
        root: the folder of that filesystem that is seen here; not `/` for a bind mount.
        read_only: whether the mount, or the filesystem under it, takes no writes.
        number: the kernel's number of the mount.
        parent: the number of the mount that this one was made on.
    """

    point: str
    type: str
    source: str
    device: str
    root: str
    read_only: bool
    number: str = ""
    parent: str = ""


def _unescaped(text: str) -> str:
    # Space, tab, newline and backslash are written as three octal digits.
    if "\\" not in text:
        return text
    raw = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), os.fsencode(text))
    return os.fsdecode(raw)


def parse(lines: Iterable[str]) -> list[Mount]:
    """Return the mounts of a table in the format of mountinfo, in its order.

    Of two mounts at one point the later one lies on top.
    """
    found = []
    for line in lines:
        before, _dash, after = line.partition(" - ")
        fields, tail = before.split(), after.split(" ")
        options = {*fields[5].split(","), *tail[2].strip().split(",")}
        found.append(
            Mount(
                _unescaped(fields[4]),
                tail[0],
                _unescaped(tail[1]),
                fields[2],
                _unescaped(fields[3]),
                "ro" in options,
                fields[0],
                fields[1],
            )
        )
    return found


def reachable(mounts: Sequence[Mount]) -> list[Mount]:
    """Return the mounts of a table that paths lead to.

    What was mounted later over a folder above a mount hides it: its path then leads to another
    filesystem, or to nothing. A mount at the same point is no matter of this: see `by_point`.
    """
    by_number = {mount.number: mount for mount in mounts}
    taken = {(mount.parent, mount.point) for mount in mounts}
    known: dict[str, bool] = {}

    def hidden(mount: Mount) -> bool:
        if mount.number not in known:
            known[mount.number] = False  # a mount may be called its own parent
            above, parent = os.path.dirname(mount.point), by_number.get(mount.parent)
            while above != "/" and (mount.parent, above) not in taken:
                above = os.path.dirname(above)
            # Had that mount been there first, this one would have been made on it.
            covered = (mount.parent, above) in taken and mount.point != "/"
            known[mount.number] = covered or (parent is not None and hidden(parent))
        return known[mount.number]

    return [mount for mount in mounts if not hidden(mount)]


def mount_table(path: str = MOUNTINFO) -> list[Mount]:
    """Return what is mounted now, as far as paths lead to it.

    Raises:
        ResilienceError: the kernel's table cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return reachable(parse(file))
    except (OSError, IndexError) as error:
        raise ResilienceError(
            _("the table of mounts cannot be read: %(why)s", why=str(error)),
            option="mountinfo",
            value=path,
            remedy=_("run on Linux with /proc mounted"),
        ) from error


def by_point(mounts: Iterable[Mount]) -> dict[str, Mount]:
    """Return the mounts by their mount points; of several at one point the one on top."""
    return {mount.point: mount for mount in mounts}


def mount_of(mounted: Mapping[str, Mount], path: str, *, follow_links: bool = True) -> Mount | None:
    """Return the mount that a path lies on.

    Args:
        mounted: as `by_point` returns them.
        path: any path, which need not exist.
        follow_links: whether to follow symbolic links, which may block where a filesystem hangs.
    """
    current, rest, links = "/", _parts(os.path.abspath(path)), 0
    best = mounted.get("/")
    while rest:
        following = os.path.join(current, rest.pop(0))
        if following in mounted:
            best = mounted[following]
        elif follow_links and links < 40 and os.path.islink(following):
            # 40 links, as the kernel follows: path_resolution(7)
            links += 1
            target = os.path.abspath(os.path.join(current, os.readlink(following)))
            rest, following, best = _parts(target) + rest, "/", mounted.get("/")
        current = following
    return best


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def fstab(path: str = FSTAB) -> dict[str, bool]:
    """Return the mount points of fstab, and whether each is to be read-only.

    A file that cannot be read names none. Source of the format: fstab(5).
    """
    found = {}
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields = line.split()
                if len(fields) >= 4 and not line.startswith("#") and fields[1].startswith("/"):
                    options = fields[3].split(",")
                    if "noauto" not in options:
                        found[_unescaped(fields[1])] = "ro" in options
    except OSError:
        return {}
    return found


def fillable(
    mounts: Sequence[Mount],
    meant_read_only: Iterable[str] = (),
    files: Collection[str] = (),
) -> list[Mount]:
    """Return the mounts of filesystems that can fill: each device once, no pseudo filesystem.

    Of several mounts of one device (bind mounts, a second mount) it is the one that shows the whole
    of it, and of these the one with the shortest path. `/` is among them whatever its type, because
    a container's root is an overlay.

    Args:
        mounts: the table.
        meant_read_only: mount points that are read-only by fstab: nothing can fill these.
        files: mount points that are files, such as a container's `/etc/hosts`.
    """
    skipped = frozenset(meant_read_only)
    best: dict[str, Mount] = {}
    for mount in by_point(mounts).values():
        if mount.type in PSEUDO_TYPES and mount.point != "/":
            continue
        if mount.read_only and (mount.point in skipped or _is_never_written(mount)):
            continue
        if mount.point in files:
            continue
        other = best.get(mount.device)
        if other is None or _rank(mount) < _rank(other):
            best[mount.device] = mount
    return sorted(best.values(), key=lambda mount: mount.point)


def _is_never_written(mount: Mount) -> bool:
    """Return whether a read-only mount was meant to be one, and did not become one by an error.

    FUSE has no such errors: what is read-only there are archives, AppImages, repositories of
    software, backups. ZFS mounts a snapshot, `pool/data@name`, whenever somebody looks into it.
    """
    snapshot = mount.type == "zfs" and "@" in mount.source
    return snapshot or mount.type.partition(".")[0] == "fuse"


def _rank(mount: Mount) -> tuple[bool, int, str]:
    return mount.root != "/", len(mount.point), mount.point
