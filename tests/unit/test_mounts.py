"""Which mounts need another host to answer, and which can fill."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.disk import mounts


def mount(kind: str, source: str, point: str = "/srv", root: str = "/") -> mounts.Mount:
    line = f"36 35 98:0 {root} {point} rw,noatime master:1 - {kind} {source} rw\n"
    (found,) = mounts.parse([line])
    return found


@pytest.mark.parametrize(
    ("kind", "source", "network"),
    [
        ("ext4", "/dev/vda1", False),
        ("xfs", "/dev/disk/by-path/pci-0000:00:04.0", False),
        ("zfs", "pool/backups", False),
        ("tmpfs", "tmpfs", False),
        ("fuseblk", "/dev/sdb1", False),
        ("fuse.mergerfs", "a_and_b", False),
        ("nfs4", "files.example.com:/export", True),
        ("cifs", "//files/share", True),
        ("fuse.sshfs", "backup@files:/srv", True),
        ("fuse.rclone", "offsite{fK3x}", True),
        ("fuse.s3fs", "s3fs", True),
        ("fuse", "https://files.example.com/dav", True),
        ("newfs", "files:/export", True),
        ("virtiofs", "host_share", False),
    ],
)
def test_what_another_host_must_answer_for(kind: str, source: str, network: bool) -> None:
    assert mount(kind, source).network is network


def test_names_with_spaces_and_newlines_are_themselves() -> None:
    found = mount("ext4", "/dev/vda1", point=r"/a\040b\012c\134d")
    assert found.point == "/a b\nc\\d"
