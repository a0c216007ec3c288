"""What begins to hang after it was found to respond costs itself alone, and never the whole run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import History
from support.filesystems import Disks, fill
from support.fuse_filesystem import CREATES, LOOKS_UP, hanging, stuck
from support.http_receiver import receiving
from support.monitor_host import MonitorHost
from support.processes import descendants, has_ended, kill
from support.side_by_side import side_by_side
from support.waiting import wait_for

# Seconds that a filesystem has to respond here. The history has ten more: it waits for programs.
LIMIT, MOST = 1, 40


NAMES = {"metrics_file": "disk.prom", "status_page": "status.html"}


def timed(host: MonitorHost, *arguments: str) -> subprocess.CompletedProcess[str]:
    return host.timed("monitor-disk-space", *arguments, most=MOST)


def test_where_the_monitor_writes_begins_to_hang(tmp_path: Path, disks: Disks) -> None:
    """A filesystem that states its figures, and hangs when a file is made."""
    full = disks.memory("full")
    fill(full, 95)

    def case(folder: Path, setting: str) -> None:
        with (
            hanging(disks, folder.name, hangs_on=CREATES) as deceives,
            receiving() as receiver,
        ):
            host = MonitorHost(
                folder, paths=[str(full)], time_limit=LIMIT, notify=[receiver.webhook]
            )
            point = deceives.point
            host.settings[setting] = str(
                point if setting == "state_dir" else point / NAMES.get(setting, "log")
            )
            done = timed(host, "--json")
            assert stuck(str(folder)), "nothing hung, so nothing was tested"
            result = json.loads(done.stdout)
            assert done.returncode == 2 and result["level"] == "emergency"
            (problem,) = result["problems"]
            assert problem.endswith(f"[{setting}]") and "no answer within" in problem
            assert (setting == "log_file") == (result["log_problem"] is not None)
            messages = receiver.messages()
            assert ["EMERGENCY" in message["title"] for message in messages] == [True]
            if setting != "log_file":
                lines = Path(host.settings["log_file"]).read_text().splitlines()
                assert len(lines) == 2, "the lines of the attempt that hung are not repeated"
            # The lock is free, though a process that cannot be ended still has it; the alert is
            # known.
            started = time.monotonic()
            timed(host)
            assert time.monotonic() - started < MOST / 2
            assert len(receiver.messages()) == len(messages)
            if setting != "state_dir":
                with History(host.settings["state_dir"]) as history:
                    assert history.samples(f"mount:{full}")
        host.settings[setting] = str(folder / NAMES.get(setting, "elsewhere"))
        assert timed(host).returncode == 2

    settings = ("state_dir", "log_file", "metrics_file", "status_page")
    side_by_side(case, settings, tmp_path)


def test_a_log_that_nobody_reads_costs_itself_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    host = MonitorHost(tmp_path, paths=["/"], time_limit=LIMIT, log_file=str(tmp_path / "pipe"))
    result = json.loads(timed(host, "--json").stdout)
    assert result["log_problem"].endswith("no answer within 1 s [log_file]")
    assert result["level"] != "unknown"
    plugin = timed(host, "--nagios")
    assert plugin.stdout.startswith("DISK ") and plugin.returncode != 3


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("monitor-disk-space", ("--nagios",)), ("monitor-disk-space", ()), ("disk-status", ())],
)
def test_the_whole_run_ends_within_its_limit(
    tmp_path: Path, command: str, arguments: tuple[str, ...]
) -> None:
    """The backup folder takes longer than the run may, and less than a folder may."""
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "du"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    slow.chmod(0o755)
    host = MonitorHost(tmp_path, paths=["/"], run_time_limit=3)
    for number in range(3000):
        (host.backups / "daily" / f"file{number}").touch()
    (script,) = host.command(command)
    text = Path(script).read_text()
    Path(script).write_text(text.replace("exec ", f"export PATH={slow.parent}:$PATH\nexec ", 1))
    started = time.monotonic()
    done = subprocess.run(
        [script, *arguments], capture_output=True, text=True, check=False, env={}, timeout=60
    )
    assert time.monotonic() - started < 20
    assert done.returncode == 3 and "its limit of 3 s" in done.stderr, done
    assert done.stdout.startswith("DISK UNKNOWN - the run did not end") == bool(arguments)
    # Nothing of it is left but what cannot be ended, and its lock is free.
    wait_for(lambda: has_ended(int((tmp_path / "pid").read_text())))
    host.settings["run_time_limit"] = 900
    assert host.timed(command, most=MOST).returncode != 3


def test_a_run_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    host = MonitorHost(tmp_path, paths=["/"], time_limit=60, log_file=str(tmp_path / "pipe"))
    running = subprocess.Popen(
        host.command("monitor-disk-space"), stderr=subprocess.PIPE, text=True, env={}
    )
    wait_for(lambda: descendants(running.pid))
    time.sleep(0.5)
    children = descendants(running.pid)
    running.send_signal(signal.SIGTERM)
    _out, errors = running.communicate(timeout=30)
    assert running.returncode == 3 and "stopped before the end" in errors
    for pid in children:
        kill(pid)
    host.settings["log_file"] = str(tmp_path / "log")
    assert timed(host).returncode != 3


def test_the_dashboard_leaves_out_a_history_that_begins_to_hang(
    tmp_path: Path, disks: Disks
) -> None:
    """Its folder's filesystem states its figures, and does not respond to who looks for a file."""
    with hanging(disks, hangs_on=LOOKS_UP) as mounted:
        host = MonitorHost(tmp_path, paths=["/"], time_limit=LIMIT, state_dir=str(mounted.point))
        host.command("disk-status")

        def page(_folder: Path, as_json: bool) -> None:
            done = host.timed("disk-status", *(["--json"] if as_json else []), most=MOST)
            if as_json:
                problems = json.loads(done.stdout)["problems"]
                assert [problem.endswith("[state_dir]") for problem in problems] == [True]
                return
            assert stuck(str(tmp_path)), "nothing hung, so nothing was tested"
            assert "DISK SPACE MONITOR" in done.stdout and done.returncode != 3
            assert "no answer within" in done.stderr and "[state_dir]" in done.stderr

        # Watching goes on without it, and ends as ever.
        with (tmp_path / "watched").open("wb") as file:
            watching = subprocess.Popen(
                host.command("disk-status", "--watch", "0.2"), stdout=file, stderr=file, env={}
            )
        side_by_side(page, (False, True), tmp_path)
        wait_for(lambda: (tmp_path / "watched").read_text().count("Ctrl-C ends it") > 1, MOST)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=20) == 0
    host.settings["state_dir"] = str(tmp_path / "elsewhere")
    assert host.timed("disk-status", most=MOST).stderr == ""
