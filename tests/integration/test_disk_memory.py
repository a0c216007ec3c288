"""What a run of the monitor takes, told by the kernel: its memory on a host with 20 mounts, and the
processor's time that a textfile adds."""

from __future__ import annotations

import random
import re
import resource
import statistics
import subprocess
import time
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    History,
    Sample,
)
from support.filesystems import Disks, fill
from support.http_receiver import receiving
from support.monitor_host import MonitorHost

LIMIT = 30 << 20
MOUNTS, RUNS, FILES = 20, 120, 5000
# The launcher's own command, with the interpreter's high-water mark written down at its very end.
# (`ru_maxrss` would not do: it is inherited from whoever started it, and counts its children.)
MEASURED = """
import os, runpy, sys
held, leave = bytearray({extra}), os._exit
def tell(code):
    with open({file!r}, "w") as file:
        file.write(open("/proc/self/status").read())
    leave(code)
os._exit = tell
runpy.run_module("chefwell_resilience.host_cli", run_name="__main__", alter_sys=True)
"""


def peak(host: MonitorHost, extra: int = 0) -> tuple[int, str]:
    """The most memory that a run held, bytes, and what it said."""
    (script,) = host.command("monitor-disk-space")
    told = host.root / "status"
    code = MEASURED.format(extra=extra, file=str(told))
    launched = Path(script).read_text()
    wrapped = launched.replace("-m chefwell_resilience.host_cli", f"{host.root}/measured.py", 1)
    assert wrapped != launched
    (host.root / "measured.py").write_text(code)
    Path(script).write_text(wrapped)
    ended = subprocess.run([script], env={}, capture_output=True, text=True, check=False)
    held = re.search(r"VmHWM:\s+(\d+) kB", told.read_text())
    assert held, ended.stderr
    return int(held[1]) * 1024, ended.stdout + ended.stderr


def test_a_run_on_twenty_mounts_stays_below_thirty_megabytes(tmp_path: Path) -> None:
    (tmp_path / "disks").mkdir()
    disks = Disks(tmp_path / "disks")
    try:
        points = [disks.memory(f"m{number}") for number in range(MOUNTS)]
        for point in points:
            fill(point, 36)  # where the history below has brought them
        fill(points[0], 95)
        with receiving() as receiver:
            host = MonitorHost(
                tmp_path,
                paths=[str(point) for point in points],
                metrics_file=str(tmp_path / "disk.prom"),
                notify_urls=[receiver.webhook],
                ping_url=receiver.check,
            )
            rng, now = random.Random(1), time.time()
            samples = [
                Sample(
                    f"mount:{point}",
                    now - (RUNS - run) * 6 * 3600,
                    int((300 + run / 2 + rng.uniform(-2, 2)) * 4096),
                    600 * 4096,
                    1000 * 4096,
                    100,
                    1000,
                    "ok",
                )
                for point in points
                for run in range(RUNS)
            ]
            with History(host.settings["state_dir"]) as history:
                history.add_samples(samples)
            held, said = peak(host)
            print(f"\n{held / (1 << 20):.1f} MB, of {LIMIT >> 20} MB")
            # All of it was done in this run: measured, foretold, written, told.
            assert said.count("days_to_full=") == MOUNTS + 1
            assert re.search(r"days_to_full=\d", said)
            assert "chefwell_disk_used_percent{" in (tmp_path / "disk.prom").read_text()
            assert len(receiver.messages()) == 1
            assert [action for action, _body in receiver.pings()] == ["/start", "/fail"]
            assert held < LIMIT
            # The same run with as much again in hand is seen to be too large.
            assert peak(host, extra=LIMIT)[0] > LIMIT
    finally:
        disks.close()


def test_a_backup_folder_of_many_files_takes_no_more(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path)
    for part in range(10):
        folder = host.backups / "daily" / f"old{part}"
        folder.mkdir()
        for number in range(FILES // 10):
            (folder / str(number)).touch()
    held, said = peak(host)
    print(f"\n{FILES} files: {held / (1 << 20):.1f} MB, of {LIMIT >> 20} MB")
    assert 'level="ok"' in said or 'level="warning"' in said
    assert held < LIMIT


def test_a_textfile_adds_little_to_a_run(tmp_path: Path) -> None:
    """It once cost more than all the rest, when the library was loaded with its servers."""
    host = MonitorHost(tmp_path, paths=["/"])
    metrics = tmp_path / "disk.prom"

    def spent() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        host.run("monitor-disk-space")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    taken: dict[str, list[float]] = {"": [], str(metrics): []}
    for _turn in range(9):
        for path, times in taken.items():
            host.settings["metrics_file"] = path
            times.append(spent())
    assert "chefwell_disk_used_percent{" in metrics.read_text()
    without, with_one = map(statistics.median, taken.values())
    print(f"\n{without * 1000:.0f} ms without, {with_one * 1000:.0f} ms with a textfile")
    assert with_one < 1.6 * without
