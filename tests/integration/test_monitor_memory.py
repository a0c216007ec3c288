"""What a run of the monitor holds of the memory, by the kernel."""

from __future__ import annotations

import random
import re
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

# The aim for one run; docs/stage1-disk-monitor.md repeats it.
MEMORY_LIMIT = 45 << 20
MOUNTS, RUNS, FILES = 20, 120, 5000
# The launcher's own command, with more memory in hand.
LARGER = """
import runpy
held = bytearray({extra})
runpy.run_path({launch!r}, run_name="__main__")
"""


def held_by(pid: int) -> int:
    """The most memory that a process has held so far, in bytes; 0 once it has ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def peak(host: MonitorHost, extra: int = 0) -> tuple[int, str]:
    """The most memory that the supervisor or the run held, in bytes, and the run's output.

    The kernel keeps a high-water mark of each, which is read again and again until they end.
    """
    (script,) = host.command("monitor-disk-space")
    launched = Path(script).read_text()
    (launch,) = re.findall(r"[^\s=]+/launch\.py", launched)
    wrapped = launched.replace(launch, f"{host.root}/larger.py", 1)
    assert wrapped != launched
    (host.root / "larger.py").write_text(LARGER.format(extra=extra, launch=launch))
    Path(script).write_text(wrapped)
    output = host.root / "output"
    held: dict[int, int] = {}
    with output.open("w") as file:
        run = subprocess.Popen([script], env={}, stdout=file, stderr=file)
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        while run.poll() is None:
            for pid in [run.pid, *map(int, children.read_text().split())]:
                held[pid] = max(held.get(pid, 0), held_by(pid))
            time.sleep(0.002)
    assert len(held) >= 2, output.read_text()  # the supervisor and the run
    return max(held.values()), output.read_text()


def test_a_run_on_twenty_mounts_stays_below_its_limit(tmp_path: Path) -> None:
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
                notify=[receiver.webhook],
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
            held, text = peak(host)
            print(f"\n{held / (1 << 20):.1f} MB, of {MEMORY_LIMIT >> 20} MB")
            # This run did all of it: measurement, forecast, history, notification.
            assert text.count("days_to_full=") == MOUNTS + 1
            assert re.search(r"days_to_full=\d", text)
            assert "chefwell_disk_used_ratio{" in (tmp_path / "disk.prom").read_text()
            assert len(receiver.messages()) == 1
            assert [action for action, _body in receiver.pings()] == ["/start", "/fail"]
            assert held < MEMORY_LIMIT
            # The same run with as much again in hand is seen to be too large.
            assert peak(host, extra=MEMORY_LIMIT)[0] > MEMORY_LIMIT
    finally:
        disks.close()


def test_a_backup_folder_of_many_files_takes_no_more(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path)
    for part in range(10):
        folder = host.backups / "daily" / f"old{part}"
        folder.mkdir()
        for number in range(FILES // 10):
            (folder / str(number)).touch()
    held, text = peak(host)
    print(f"\n{FILES} files: {held / (1 << 20):.1f} MB, of {MEMORY_LIMIT >> 20} MB")
    assert 'level="ok"' in text or 'level="warning"' in text
    assert held < MEMORY_LIMIT
