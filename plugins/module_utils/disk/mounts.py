# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted where, read from the kernel's own table; no filesystem is touched.

Source of the format: proc(5), "/proc/pid/mountinfo".
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from ..common.errors import ResilienceError

MOUNTINFO = "/proc/self/mountinfo"
FSTAB = "/etc/fstab"
# A server that is gone makes calls on these hang. Besides these types it shows in what is mounted,
# such as `host:/folder` or rclone's `remote:bucket`.
NETWORK_TYPES = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "auristorfs", "beegfs", "ceph", "coda")
    + ("davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "orangefs")
    + ("fuse.ceph", "fuse.ceph-fuse", "fuse.curlftpfs", "fuse.davfs2", "fuse.gcsfuse")
    + ("fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.mfs", "fuse.mount-s3")
    + ("fuse.rclone", "fuse.s3fs", "fuse.sshfs")
)
# Filesystems that hold none of the host's data, or only as long as it runs, or that are full by
# design. Whoever wants one watched names it.
PSEUDO_TYPES = frozenset(
    ("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts")
    + ("devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "overlay", "proc")
    + ("pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tmpfs", "tracefs")
    + ("squashfs", "iso9660", "udf", "erofs", "cramfs")
    + ("fuse.gvfsd-fuse", "fuse.portal", "fuse.lxcfs", "fuse.snapfuse")
)


@dataclasses.dataclass(frozen=True)
class Mount:
    """One mount.

    Attributes:
        point: where it is mounted.
        type: of its filesystem, such as `ext4`.
        source: what is mounted, such as `/dev/vda1`.
        device: the kernel's number of the device, `254:0`; equal for two mounts of one filesystem.
        root: the folder of that filesystem that is seen here; not `/` for a bind mount.
        read_only: whether the mount, or the filesystem under it, takes no writes.
    """

    point: str
    type: str
    source: str
    device: str
    root: str
    read_only: bool

    @property
    def network(self) -> bool:
        """Whether another host must answer before anything is known of it."""
        if self.type in NETWORK_TYPES:
            return True
        return ":" in self.source and not self.source.startswith("/")


def _unescaped(text: str) -> str:
    # Space, tab, newline and backslash are written as three octal digits.
    if "\\" not in text:
        return text
    raw = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), os.fsencode(text))
    return os.fsdecode(raw)


def parse(lines: Iterable[str]) -> list[Mount]:
    """The mounts of a table in the format of mountinfo, in its order (later ones lie on top)."""
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
            )
        )
    return found


def mount_table(path: str = MOUNTINFO) -> list[Mount]:
    """What is mounted now.

    Raises:
        ResilienceError: the kernel does not tell.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return parse(file)
    except (OSError, IndexError) as error:
        raise ResilienceError(
            f"the table of mounts cannot be read: {error}",
            option="mountinfo",
            value=path,
            remedy="run on Linux with /proc mounted",
        ) from error


def by_point(mounts: Iterable[Mount]) -> dict[str, Mount]:
    """The mounts by where they are; of several at one point the one on top."""
    return {mount.point: mount for mount in mounts}


def mount_of(mounted: Mapping[str, Mount], path: str) -> Mount | None:
    """The mount that a path lies on; links are followed as far as no other host is asked.

    Args:
        mounted: as `by_point` gives them.
        path: any path, which need not exist.
    """
    current, rest, links = "/", _parts(os.path.abspath(path)), 0
    best = mounted.get("/")
    while rest and not (best and best.network):
        following = os.path.join(current, rest.pop(0))
        if following in mounted:
            best = mounted[following]
        elif links < 40 and os.path.islink(following):  # 40: as the kernel, path_resolution(7)
            links += 1
            target = os.path.abspath(os.path.join(current, os.readlink(following)))
            rest, following, best = _parts(target) + rest, "/", mounted.get("/")
        current = following
    return best


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def fstab(path: str = FSTAB) -> dict[str, bool]:
    """The mount points that the administrator wrote down, and whether each is meant read-only.

    A file that cannot be read promises nothing. Source of the format: fstab(5).
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


def fillable(mounts: Sequence[Mount], meant_read_only: Iterable[str] = ()) -> list[Mount]:
    """The filesystems that can fill: each device once, and no pseudo filesystem.

    Of several mounts of one device (bind mounts, a second mount) the one that shows the whole of it
    is told, and of these the one with the shortest path. `/` is told whatever its type, for a
    container's root is an overlay. Files that are mounted on (a container's `/etc/hosts`) are not.

    Args:
        mounts: the table.
        meant_read_only: mount points that fstab calls read-only: nothing can fill these.
    """
    skipped = frozenset(meant_read_only)
    best: dict[str, Mount] = {}
    for mount in by_point(mounts).values():
        if mount.type in PSEUDO_TYPES and mount.point != "/":
            continue
        if mount.point in skipped and mount.read_only:
            continue
        if mount.root != "/" and not mount.network and not os.path.isdir(mount.point):
            continue
        other = best.get(mount.device)
        if other is None or _rank(mount) < _rank(other):
            best[mount.device] = mount
    return sorted(best.values(), key=lambda mount: mount.point)


def _rank(mount: Mount) -> tuple[bool, int, str]:
    return mount.root != "/", len(mount.point), mount.point
