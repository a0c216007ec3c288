"""The kernel's table of mounts: names, the mount of a path, filesystems that can fill."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.disk import mounts


def mount(kind: str, source: str, point: str = "/srv", root: str = "/") -> mounts.Mount:
    line = f"36 35 98:0 {root} {point} rw,noatime master:1 - {kind} {source} rw\n"
    (found,) = mounts.parse([line])
    return found


def test_names_with_spaces_and_newlines_are_themselves() -> None:
    found = mount("ext4", "/dev/vda1", point=r"/a\040b\012c\134d")
    assert found.point == "/a b\nc\\d"


def test_a_path_lies_on_the_mount_that_its_links_lead_to(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    mounted = {
        point: mount("ext4", "/dev/vda1", point) for point in ("/", str(folder), f"{folder}/deeper")
    }

    def point(path: str, *, follow_links: bool = True) -> str:
        found = mounts.mount_of(mounted, path, follow_links=follow_links)
        assert found is not None
        return found.point

    assert point(f"{tmp_path}/link/deeper/file") == f"{folder}/deeper"
    assert point(f"{folder}/file") == str(folder)
    assert point(f"{tmp_path}/other/../link/file") == str(folder)
    # What may hang is not touched where links are not followed.
    assert point(f"{tmp_path}/link/file", follow_links=False) == "/"
    assert point(f"{folder}/deeper/file", follow_links=False) == f"{folder}/deeper"


def test_what_can_fill_is_each_device_once_and_no_file() -> None:
    def entry(kind: str, point: str, device: str, root: str = "/") -> mounts.Mount:
        (found,) = mounts.parse([f"36 35 {device} {root} {point} rw - {kind} source rw\n"])
        return found

    table = [
        entry("overlay", "/", "0:30"),
        entry("proc", "/proc", "0:4"),
        entry("ext4", "/etc/hosts", "8:1", "/containers/hosts"),
        entry("ext4", "/var/lib/data", "8:1", "/volumes/data"),
        entry("xfs", "/srv", "8:2"),
        entry("xfs", "/a", "8:2", "/part"),
        entry("fuse.archive", "/mnt/archive", "0:50"),
    ]
    found = mounts.fillable(table, files={"/etc/hosts"})
    assert [one.point for one in found] == ["/", "/mnt/archive", "/srv", "/var/lib/data"]
    assert [one.point for one in mounts.fillable(table)][1] == "/etc/hosts"


def test_what_a_later_mount_hides_is_no_mount_any_more() -> None:
    """As the kernel lists them: `/srv` was mounted over `/srv`, with `/srv/in` below the first."""
    found = mounts.reachable(
        mounts.parse(
            [
                "1 1 0:2 / / rw - rootfs rootfs rw\n",
                "28 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
                "30 28 0:72 / /srv rw - tmpfs first rw\n",
                "31 30 7:0 / /srv/in rw - ext4 /dev/loop0 rw\n",
                "32 31 7:1 / /srv/in/deeper rw - ext4 /dev/loop1 rw\n",
                "33 30 0:74 / /srv rw - ramfs second rw\n",
                "34 33 7:2 / /srv/seen rw - ext4 /dev/loop2 rw\n",
                "40 28 7:3 / /data/a rw - ext4 /dev/loop3 rw\n",
                "41 28 7:4 / /data/ab rw - ext4 /dev/loop4 rw\n",
                "42 28 7:5 / /data/a rw - ext4 /dev/loop5 rw\n",
                # Of a root folder that is no mount itself.
                "50 99 7:6 / /alone rw - ext4 /dev/loop6 rw\n",
            ]
        )
    )
    shown = {point: mount.source for point, mount in mounts.by_point(found).items()}
    assert shown == {
        "/": "/dev/sda1",
        "/srv": "second",
        "/srv/seen": "/dev/loop2",
        "/data/a": "/dev/loop5",
        "/data/ab": "/dev/loop4",
        "/alone": "/dev/loop6",
    }


def test_what_is_read_only_by_its_nature_is_not_watched_unless_it_is_named() -> None:
    def entry(kind: str, source: str, options: str = "ro") -> mounts.Mount:
        line = f"36 35 0:{kind}{source} / /mnt/{source} {options} - {kind} {source} rw\n"
        (found,) = mounts.parse([line])
        return found

    never_written = [
        entry("fuse.squashfuse", "image.AppImage"),
        entry("fuse", "cvmfs2"),
        entry("zfs", "tank/data@nightly"),
    ]
    others = [
        entry("zfs", "tank/data"),
        entry("ext4", "a@b"),
        entry("fuse.sshfs", "host:/srv", "rw"),
        entry("fuseblk", "ntfs"),
    ]
    found = mounts.fillable([*never_written, *others])
    assert sorted(one.source for one in found) == sorted(one.source for one in others)
