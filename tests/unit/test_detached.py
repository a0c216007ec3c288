"""Programs that outlive their starter, and end with all that they started."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil
from ansible_collections.chefwell.resilience.plugins.module_utils.common import detached


def group(number: int) -> list[int]:
    found = []
    for one in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if one.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(one.pid) == number:
                found.append(one.pid)
    return found


def test_nothing_of_its_group_runs_when_it_was_stopped(tmp_path: Path) -> None:
    running = detached.start(
        ["/bin/sh", "-c", "trap '' TERM; sleep 60 & sleep 60 & wait"],
        log_path=str(tmp_path / "log"),
    )
    deadline = time.monotonic() + 10
    while len(group(running.pid)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    detached.stop(running, [signal.SIGTERM], seconds=1)
    assert group(running.pid) == [] and not detached.is_running(running)
