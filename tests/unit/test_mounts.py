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
