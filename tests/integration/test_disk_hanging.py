"""Filesystems that hang, or state figures that cannot be: each costs itself alone."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import separate_call
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import History
from ansible_collections.chefwell.resilience.plugins.module_utils.preflight import host_problems
from support.ansible_run import run_module
from support.filesystems import Disks, fill
from support.fuse_filesystem import FuseFilesystem, hanging, stuck
from support.http_receiver import receiving
from support.monitor_host import MonitorHost
from support.side_by_side import side_by_side
from support.waiting import wait_for

# Seconds a filesystem has to answer here, and that a run takes at most: it waits for what is
# measured, for what is listed and for where it writes.
LIMIT, MOST = 1, 12


def timed(
    host: MonitorHost, command: str = "monitor-disk-space", *arguments: str
) -> subprocess.CompletedProcess[str]:
    return host.timed(command, *arguments, most=MOST)


def test_a_mount_of_any_type_that_hangs_costs_itself_alone(tmp_path: Path, disks: Disks) -> None:
    full = disks.memory("full")
    fill(full, 95)

    def case(folder: Path, kind: str) -> None:
        with hanging(disks, folder.name, kind) as mounted, receiving() as receiver:
            host = MonitorHost(
                folder,
                paths=[str(mounted.point), str(full)],
                time_limit=LIMIT,
                notify=[receiver.webhook],
            )
            result = json.loads(timed(host, "monitor-disk-space", "--json").stdout)
            targets = {target["path"]: target for target in result["targets"]}
            hung = targets[str(mounted.point)]
            assert (hung["level"], hung["filesystem"]) == ("unknown", kind)
            assert hung["reason"] == f"cannot be measured: no answer within {LIMIT} s"
            assert targets[str(full)]["level"] == "emergency"
            assert targets[str(host.backups)]["level"] in ("ok", "warning", "critical", "emergency")
            titles = " ".join(message["title"] for message in receiver.messages())
            assert "UNKNOWN" in titles and "EMERGENCY" in titles
            # It truly blocks: the process that reads it is still there, and nothing ends it.
            assert stuck(str(folder))
            # It holds neither the lock nor the history, so the next run is not held up.
            again = json.loads(timed(host, "monitor-disk-space", "--json").stdout)
            assert again["level"] == "emergency" and not again["problems"]
            with History(host.settings["state_dir"]) as history:
                assert len(history.samples(f"mount:{full}")) == 2
            plugin = timed(host, "monitor-disk-space", "--nagios")
            assert plugin.returncode == 2 and "no answer within" in plugin.stdout
            host.settings["language"] = "pt_BR"
            page = timed(host, "disk-status")
            assert f"sem resposta em {LIMIT} s" in " ".join(page.stdout.split())
            assert "no answer" not in page.stdout
        assert not stuck(str(folder))
        host.settings["paths"] = [str(full)]
        assert timed(host).returncode == 2

    kinds = ("fuse", "fuse.sshfs", "fuse.no_type_that_anybody_knows")
    side_by_side(case, kinds, tmp_path)


def test_many_that_hang_take_no_longer_than_one(tmp_path: Path, disks: Disks) -> None:
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(hanging(disks, f"hangs{number}")) for number in range(5)]
        host = MonitorHost(tmp_path, paths=[str(one.point) for one in made], time_limit=LIMIT)
        result = json.loads(timed(host, "monitor-disk-space", "--json").stdout)
        levels = [target["level"] for target in result["targets"]]
        assert levels.count("unknown") == 5 and len(levels) == 6


def test_one_that_was_not_named_is_found_and_costs_only_itself(
    tmp_path: Path, disks: Disks
) -> None:
    with hanging(disks) as mounted:
        host = MonitorHost(tmp_path, discover=True, time_limit=LIMIT)
        result = json.loads(timed(host, "monitor-disk-space", "--json").stdout)
        levels = {target["path"]: target["level"] for target in result["targets"]}
        assert levels[str(mounted.point)] == "unknown"
        assert levels["/"] != "unknown"


def test_a_task_ends_though_what_it_measured_hangs(tmp_path: Path, disks: Disks) -> None:
    """A module has no supervisor: what blocks is in a process of its own, and is left behind."""
    full = disks.memory("full")
    fill(full, 95)
    with hanging(disks) as mounted:
        paths = [str(mounted.point), str(full)]
        found = run_module("disk_usage_check", paths=paths, time_limit=LIMIT)
        levels = {target["path"]: target["level"] for target in found["targets"]}
        assert levels == {str(mounted.point): "unknown", str(full): "emergency"}
        assert stuck(), "nothing hung, so nothing was tested"
        with pytest.raises(ResilienceError, match="no answer within 1 s"):
            separate_call.value(host_problems.listing_problem, paths[0], time_limit=LIMIT)
    wait_for(lambda: not stuck())


def test_a_backup_folder_that_hangs_is_unknown(tmp_path: Path, disks: Disks) -> None:
    """Or a part of it: a folder's size is measured, and its list of backups."""

    def case(folder: Path, below: str) -> None:
        host = MonitorHost(folder, time_limit=LIMIT, paths=["/"])
        place = disks
        if below:
            host.backups.joinpath(below).rmdir()
            place = Disks(host.backups)
        with hanging(place, below or folder.name) as mounted:
            if not below:
                host.settings["backup_path"] = str(mounted.point)
            result = json.loads(timed(host, "monitor-disk-space", "--json").stdout)
            targets = {target["path"]: target for target in result["targets"]}
            backups = targets[host.settings["backup_path"]]
            assert backups["level"] == "unknown" and backups["reason"].count("no answer") == 1
            assert targets["/"]["level"] != "unknown"
            page = timed(host, "disk-status")
            assert "no answer within" in " ".join(page.stdout.split())

    side_by_side(case, ("", "daily"), tmp_path)


def test_where_the_monitor_writes_hangs(tmp_path: Path, disks: Disks) -> None:
    full = disks.memory("full")
    fill(full, 95)

    def case(folder: Path, setting: str) -> None:
        with hanging(disks, folder.name) as mounted, receiving() as receiver:
            host = MonitorHost(
                folder, paths=[str(full)], time_limit=LIMIT, notify=[receiver.webhook]
            )
            dump = host.backups / "daily" / "chefwell_backup_20251120_030000.dump"
            dump.write_bytes(b"x" * 100)
            host.settings[setting] = str(mounted.point / "deeper" / "disk.prom")
            done = timed(host, "monitor-disk-space", "--json")
            result = json.loads(done.stdout)
            assert done.returncode == 2 and len(result["targets"]) == 2
            titles = [message["title"] for message in receiver.messages()]
            assert any("EMERGENCY" in title for title in titles)
            if setting == "drill_path":
                assert result["fits"]["drill_fits"] is None
                assert any("restore drill" in title for title in titles)
            else:
                (problem,) = result["problems"]
                assert f"no answer within {LIMIT} s [{setting}]" in problem
            assert (setting == "log_file") == (result["log_problem"] is not None)
            # What was sent is remembered elsewhere, so that it is sent once.
            timed(host)
            assert len(receiver.messages()) == len(titles)

    settings = ("state_dir", "log_file", "metrics_file", "drill_path")
    side_by_side(case, settings, tmp_path)


FIGURES = [
    ("16 EiB", {"blocks": 1 << 44, "bfree": 1 << 44, "bavail": 1 << 44, "bsize": 1 << 20}),
    ("no blocks", {"blocks": 0, "bfree": 0, "bavail": 0}),
    ("more free than there are", {"blocks": 1000, "bfree": 2000, "bavail": 2000}),
    ("-1 left", {"bavail": -1}),
]
NO_SIZE = ("16 EiB", "no blocks")


@pytest.mark.parametrize(("name", "figures"), FIGURES)
def test_figures_that_cannot_be_are_unknown_and_cost_one_target(
    tmp_path: Path, disks: Disks, name: str, figures: dict[str, int]
) -> None:
    odd = FuseFilesystem(disks, "odd", **figures)
    try:
        good = disks.memory("good")
        fill(good, 50)
        host = MonitorHost(tmp_path, paths=[str(odd.point), str(good)])
        result = json.loads(timed(host, "monitor-disk-space", "--json").stdout)
        targets = {target["path"]: target for target in result["targets"]}
        assert targets[str(odd.point)]["level"] == "unknown"
        text = "has no size of its own" if name == "no blocks" else "impossible figures"
        assert text in targets[str(odd.point)]["reason"]
        assert targets[str(good)]["level"] == "ok" and result["problems"] == []
        with History(host.settings["state_dir"]) as history:
            assert len(history.samples(f"mount:{good}")) == 1
            assert not history.samples(f"mount:{odd.point}")
        # As a backup folder it is no better.
        host.settings |= {"paths": [], "backup_path": str(odd.point)}
        result = json.loads(timed(host, "monitor-disk-space", "--json").stdout)
        assert text in result["targets"][0]["reason"]
        assert result["targets"][0]["bytes_used"] is None and result["fits"] is None
        # A filesystem that cannot fill is watched only when named; other odd ones are reported.
        host.settings |= {"discover": True, "backup_path": str(host.backups)}
        result = json.loads(timed(host, "monitor-disk-space", "--json").stdout)
        found = {target["path"] for target in result["targets"]}
        assert (str(odd.point) in found) == (name not in NO_SIZE)
    finally:
        odd.close()


def test_inodes_that_cannot_be_are_not_counted(tmp_path: Path, disks: Disks) -> None:
    """CephFS states how many files there are, and -1 free."""
    odd = FuseFilesystem(disks, "odd", files=12345, ffree=-1)
    try:
        host = MonitorHost(tmp_path, paths=[str(odd.point)])
        result = json.loads(timed(host, "monitor-disk-space", "--json").stdout)
        target = next(one for one in result["targets"] if one["path"] == str(odd.point))
        assert (target["level"], target["percent_used"]) == ("ok", 10.0)
        assert target["inodes_percent_used"] is None and "inodes" not in target["reason"]
    finally:
        odd.close()
