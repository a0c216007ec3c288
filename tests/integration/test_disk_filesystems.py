"""Levels and messages on real filesystems: full, out of inodes, read-only, gone, mounted twice."""

from __future__ import annotations

import itertools
import os
import threading
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import quantity
from ansible_collections.chefwell.resilience.plugins.module_utils.common.levels import Thresholds
from ansible_collections.chefwell.resilience.plugins.module_utils.disk import (
    folder_size,
    mounts,
    usage,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.disk.usage import Target
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import inventory
from support import filesystems
from support.filesystems import Disks, fill, percent_used, run


def measured(path: Path, **options: object) -> usage.TargetResult:
    (result,) = usage.check([Target(str(path), **options)])
    return result


@pytest.mark.parametrize(
    ("percent", "level"),
    [(69.9, "ok"), (70, "warning"), (80, "critical"), (90, "emergency"), (100, "emergency")],
)
def test_a_filled_filesystem_has_the_level_of_its_threshold(
    disks: Disks, percent: float, level: str
) -> None:
    point = disks.memory("memory")
    fill(point, percent)
    result = measured(point)
    assert (result.level, result.percent_used) == (level, percent)
    left = quantity.size(result.bytes_available)
    text = f"space {percent:.1f}% used ({left} left)"
    limit = {"warning": 70, "critical": 80, "emergency": 90}.get(level)
    assert result.reason == (f"{text}, {level} from {limit}%" if limit else text)


@pytest.mark.parametrize(
    ("percent", "level"),
    [(69.9, "ok"), (70, "warning"), (80, "critical"), (90, "emergency"), (100, "emergency")],
)
def test_percent_is_what_df_prints_where_blocks_are_reserved(
    disks: Disks, percent: float, level: str
) -> None:
    """On a loop device, where root keeps 5 % for itself."""
    point = disks.ext4("ext4")
    # A few blocks above, for a block is a two hundredth of a percent here.
    fill(point, min(100, percent + 0.02))
    result = measured(point)
    assert result.percent_used == pytest.approx(percent_used(point), abs=0.01)
    assert result.percent_used == pytest.approx(percent, abs=0.05)
    assert result.level == level
    limit = {"warning": 70, "critical": 80, "emergency": 90}.get(level)
    left = quantity.size(result.bytes_available)
    text = f"space {result.percent_used:.1f}% used ({left} left)"
    assert result.reason == (f"{text}, {level} from {limit}%" if limit else text)
    shown = int(run("df", "--output=pcent", str(point)).split()[1].rstrip("%"))
    assert shown - 1 <= result.percent_used <= shown  # df rounds up
    # Root could still write, and the users' last byte is gone all the same.
    if percent == 100:
        seen = os.statvfs(point)
        assert result.bytes_available == 0 < seen.f_bfree


def test_inodes_used_up_while_bytes_are_free(disks: Disks) -> None:
    point = disks.memory("inodes", inodes=1000)
    for number in range(999):
        (point / str(number)).touch()
    with pytest.raises(OSError, match="No space left"):
        (point / "one more").touch()
    result = measured(point)
    assert result.level == "emergency"
    assert result.percent_used < 1
    assert result.reason == "inodes 100.0% used (0 left), emergency from 90%"
    assert (result.inodes_total, result.inodes_used) == (1000, 1000)


def test_thresholds_for_inodes_are_their_own(disks: Disks) -> None:
    point = disks.memory("inodes", inodes=1000)
    for number in range(500):
        (point / str(number)).touch()
    assert measured(point).level == "ok"
    assert measured(point, inodes=Thresholds(40, 60, 80)).level == "warning"


def test_inodes_left(disks: Disks) -> None:
    """On both kinds of filesystem, to the inode; the bytes stay free all the while."""
    for point in (disks.memory("memory", inodes=1000), disks.ext4("ext4", inodes=1000)):
        seen = os.statvfs(point)
        for number in range(seen.f_ffree - 300):
            (point / str(number)).touch()
        assert os.statvfs(point).f_ffree == 300
        for limits, level in (
            (("299 left", "50 left", "1 left"), "ok"),
            (("300 left", "50 left", "1 left"), "warning"),
            (("600 LEFT", "300  left", "1 left"), "critical"),
            (("600 left", "500 left", "400 left"), "emergency"),
        ):
            result = measured(point, inodes=Thresholds(*limits, inodes=True))
            assert result.level == level, (limits, result.reason)
        used = f"{result.inodes_percent_used:.1f}"
        assert result.reason == f"inodes {used}% used (300 left), emergency from 400 left"
        # One more file, and the next level is reached.
        limits = Thresholds("299 left", "50 left", "1 left", inodes=True)
        (point / "one more").touch()
        assert measured(point, inodes=limits).level == "warning"
        # Once reached it is kept until two percent of all are left beyond it.
        (point / "one more").unlink()
        (cause,) = [one for one in measured(point, inodes=limits).causes if one["code"] == "inodes"]
        assert (cause["level"], cause["falls_to"]) == ("ok", "warning")
        for number in range(25):
            (point / str(number)).unlink()
        (cause,) = [one for one in measured(point, inodes=limits).causes if one["code"] == "inodes"]
        assert (cause["level"], cause["falls_to"]) == ("ok", "ok")


def test_bytes_left(disks: Disks) -> None:
    point = disks.memory("memory", pages=1000)
    fill(point, 70)  # 300 pages, 1200 KB, are left
    for limits, level in (
        (("1199K", "500K", "1K"), "ok"),
        (("1200 KiB left", "512000B", "1KB"), "warning"),
        (("3MB", "1200K", "1K"), "critical"),
        (("3MB", "2MB", "1.5MB"), "emergency"),
    ):
        result = measured(point, thresholds=Thresholds(*limits))
        assert result.level == level, limits
    assert result.reason == "space 70.0% used (1.2 MB left), emergency from 1.5 MB left"


def test_a_remount_that_takes_no_writes_is_critical_however_empty(disks: Disks) -> None:
    point = disks.ext4("ext4")
    assert measured(point).level == "ok"
    run("mount", "-o", "remount,ro", str(point))
    result = measured(point)
    assert (result.level, result.reason) == ("critical", "mounted read-only")
    assert measured(point, may_be_read_only=True).level == "ok"
    meant = usage.check([Target(str(point))], fstab={str(point): True})
    assert meant[0].level == "ok"


def test_what_is_not_there_is_unknown_never_ok(disks: Disks) -> None:
    gone = measured(disks.root / "gone")
    assert (gone.level, gone.reason) == ("unknown", "cannot be measured: No such file or directory")
    point = disks.memory("memory")
    assert measured(point, must_be_mount=True).level == "ok"
    disks.unmount(point)
    # The folder is still there, on a filesystem that is nearly empty.
    result = measured(point, must_be_mount=True)
    assert (result.level, result.reason) == ("unknown", "not mounted")
    (result,) = usage.check([Target(str(point))], fstab={str(point): False})
    assert (result.level, result.reason) == ("unknown", "not mounted")
    assert result.bytes_used is None


def test_a_filesystem_whose_server_is_silent_is_unknown_within_the_time_limit(
    disks: Disks,
) -> None:
    # A FUSE mount whose server never answers: what a hung sshfs or NFS server looks like.
    point = disks.root / "hung"
    point.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR)
    try:
        os.set_inheritable(device, True)
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
        libc = filesystems.ctypes.CDLL(None, use_errno=True)
        arguments = (b"hung:/srv", os.fsencode(point), b"fuse.sshfs", 0, options.encode())
        assert libc.mount(*arguments) == 0, os.strerror(filesystems.ctypes.get_errno())
        disks.mounted.append(point)
        started = os.times().elapsed
        result = measured(point, time_limit=1)
        took = os.times().elapsed - started
        assert result.level == "unknown"
        assert result.reason == "cannot be measured: no answer within 1 s"
        assert result.filesystem == "fuse.sshfs"
        assert 0.9 <= took < 5
        link = disks.root / "link"
        link.symlink_to(point / "backups")
        folder = measured(link, folder=True, time_limit=1)
        assert (folder.level, folder.reason) == (result.level, result.reason)
    finally:
        os.close(device)


def test_a_filesystem_is_reported_once(disks: Disks) -> None:
    first, other = disks.ext4("first"), disks.memory("other")
    second = disks.bind("second", first)
    results = usage.check([Target(str(first)), Target(str(second)), Target(str(other))])
    assert [result.path for result in results] == [str(first), str(other)]
    assert results[0].also_at == [str(second)]
    # Other thresholds are another measurement.
    own = usage.check([Target(str(first)), Target(str(second), thresholds=Thresholds(1, 2, 3))])
    assert len(own) == 2


def test_discovery_leaves_out_pseudo_filesystems_and_names_devices_once(disks: Disks) -> None:
    first = disks.ext4("first")
    second = disks.bind("a", first)  # a shorter path, mounted later
    disks.memory("memory")
    found = usage.check([], discover=Target("/", thresholds=Thresholds(50, 60, 99)))
    paths = [result.path for result in found]
    assert "/" in paths and str(second) in paths and str(first) not in paths
    assert not {"/proc", "/sys", "/dev", "/dev/shm", str(disks.root / "memory")} & {*paths}
    devices = [mount.device for mount in mounts.mount_table() if mount.point in paths]
    assert len(devices) == len({*devices})
    named = usage.check([Target(str(first))], discover=Target("/"))
    assert [result.path for result in named].count(str(second)) == 0


def test_a_filesystem_below_a_later_mount_is_not_discovered(disks: Disks) -> None:
    """Its path leads to the later one: no figures of that, and no error, are its own."""
    below = disks.memory("stacked")
    (below / "in").mkdir()
    image = disks.root / "hidden.img"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", "-F", str(image))
    run("mount", "-o", "loop", str(image), str(below / "in"))
    try:
        assert str(below / "in") in {one.path for one in usage.check([], discover=Target("/"))}
        run("mount", "-t", "tmpfs", "later", str(below))
        try:
            for _folder_of_that_name in (False, True):
                found = {one.path for one in usage.check([], discover=Target("/"))}
                assert str(below / "in") not in found
                (below / "in").mkdir(exist_ok=True)
        finally:
            run("umount", str(below))
    finally:
        run("umount", str(below / "in"))


def test_subvolumes_of_btrfs_belong_to_their_folder_and_other_mounts_do_not(disks: Disks) -> None:
    image = disks.root / "btrfs.img"
    with image.open("wb") as file:
        file.truncate(128 << 20)
    run("mkfs.btrfs", "-q", str(image))
    point = disks._mount("btrfs", "-o", "loop", str(image))
    tree = point / "back*ups [1]"
    tree.mkdir()
    (disks.root / "link").symlink_to(tree)
    run("btrfs", "subvolume", "create", str(tree / "daily"))
    (tree / "daily" / "x.dump").write_bytes(b"x" * (5 << 20))
    (tree / "other?").mkdir()
    run("mount", "-t", "tmpfs", "other", str(tree / "other?"))
    try:
        (tree / "other?" / "large").write_bytes(b"x" * (9 << 20))
        run("sync", "--file-system", str(point))
        for path in (tree, disks.root / "link"):
            result = measured(path, folder=True)
            assert result.folders is not None
            assert result.folders["daily"] >= 5 << 20, result
            assert result.bytes_used is not None and result.bytes_used < 6 << 20, result
    finally:
        run("umount", str(tree / "other?"))


def test_files_that_are_deleted_meanwhile_are_no_error(disks: Disks) -> None:
    tree = disks.memory("churn", pages=20000, inodes=20000) / "tree"
    (tree / "daily").mkdir(parents=True)
    for number in range(2000):
        (tree / "daily" / f"{number}").write_bytes(b"x")
    ended = threading.Event()

    def delete_and_make() -> None:
        for number in itertools.cycle(range(2000, 2400)):
            if ended.is_set():
                return
            (tree / "daily" / f"{number}").touch()
            (tree / "daily" / f"{2000 + number * 7 % 400}").unlink(missing_ok=True)

    threads = [threading.Thread(target=delete_and_make) for _number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _attempt in range(6):
            assert folder_size.sized_by_du(str(tree), 60).total >= 2000 * 4096
            assert inventory.scan(str(tree), tiers=("daily",)).problems == []
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    # A folder that is gone itself has no size.
    run("rm", "-r", str(tree))
    with pytest.raises(FileNotFoundError):
        folder_size.sized_by_du(str(tree), 60)


def test_a_folder_of_thousands_of_files_is_sized_as_du_does(disks: Disks) -> None:
    point = disks.ext4("ext4", megabytes=128, inodes=20000)
    tree = point / "backups"
    for tier, count in (("daily", 3000), ("weekly", 2000), ('a\nb"<\x1b', 100)):
        (tree / tier).mkdir(parents=True)
        for number in range(count):
            (tree / tier / f"{number}").write_bytes(b"x" * 5000)
    os.link(tree / "daily" / "1", tree / "weekly" / "linked")  # one file, two names
    (tree / "out").symlink_to("/")
    os.mkfifo(tree / "pipe")
    result = measured(tree, folder=True)
    total = int(run("du", "-s", "-B1", str(tree)).split()[0])
    assert result.bytes_used == total
    assert result.percent_used == pytest.approx(100 * total / result.bytes_total, abs=0.01)
    output = run("du", "-0", "-B1", "-d1", str(tree)).rstrip("\0").split("\0")[:-1]
    sizes = {line.split("\t")[1].removeprefix(f"{tree}/"): line.split("\t")[0] for line in output}
    assert len(sizes) == 3
    assert result.folders == {name: int(size) for name, size in sizes.items()}


def test_a_folder_that_cannot_be_read_whole_is_unknown(disks: Disks) -> None:
    file = disks.root / "file"
    file.touch()
    assert measured(file, folder=True).reason == "cannot be measured: not a folder"
    tree = disks.root / "tree"
    (tree / "daily").mkdir(parents=True)
    with pytest.raises(OSError, match="not sized within"):
        folder_size.sized_by_du(str(tree), 0.00001)


def test_a_folder_of_few_files_is_counted_as_du_counts_it(disks: Disks) -> None:
    point = disks.ext4("ext4")
    tree = point / "backups"
    for tier, count in (("daily", 7), ("weekly", 4), ('a\nb"<\x1b', 3)):
        (tree / tier / "deeper").mkdir(parents=True)
        for number in range(count):
            (tree / tier / f"{number}").write_bytes(b"x" * 5000)
            (tree / tier / "deeper" / f"{number}").write_bytes(b"x" * 9000)
    (tree / "at the top").write_bytes(b"x" * 70000)
    with (tree / "sparse").open("wb") as file:
        file.truncate(10 << 20)
    (tree / "out").symlink_to("/")
    (tree / "round").symlink_to("round")
    os.mkfifo(tree / "pipe")
    by_du = folder_size.sized_by_du(str(tree), 60)
    counted = folder_size.counted(str(tree))
    assert counted == by_du == folder_size.folder_size(str(tree))
    assert counted.total > sum(counted.folders.values()) > 14 * 14000
    # What takes more than counting is left to du: two names of a file, another filesystem, many.
    os.link(tree / "daily" / "1", tree / "weekly" / "linked")
    assert folder_size.counted(str(tree)) is None
    (tree / "weekly" / "linked").unlink()
    assert folder_size.counted(str(tree)) == by_du
    run("mount", "-t", "tmpfs", "other", str(tree / "daily" / "deeper"))
    assert folder_size.counted(str(tree)) is None
    run("umount", str(tree / "daily" / "deeper"))
    for number in range(folder_size.FEW):
        (tree / "weekly" / f"more{number}").touch()
    assert folder_size.counted(str(tree)) is None
    assert folder_size.folder_size(str(tree)).total >= by_du.total
