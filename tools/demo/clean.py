"""Remove the demo, also one that was killed half-way."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from testbed import Testbed

from . import cron
from .layout import MARK, DemoError, Layout, report
from .play import environment

SERVER = "postgres"


def clean(layout: Layout) -> None:
    """Stop and remove everything of the demo.

    Raises:
        DemoError: a process could not be stopped.
    """
    end(_of_the_demo(layout), signal.SIGINT)
    launcher = layout.scripts / "cleanup-staging.sh"
    if launcher.exists():
        # Processes that it leaves are stopped below.
        subprocess.run(
            [str(launcher)],
            env=environment(layout),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=120,
        )
    bed = Testbed.open(layout.bed)
    if bed:
        bed.down(report)
    # On SIGQUIT PostgreSQL stops at once and frees its shared memory.
    end(_with_path_below(layout.root), signal.SIGQUIT)
    gone = cron.remove(layout)
    if gone:
        report(f"{gone} lines of the crontab removed")
    if layout.root.exists():
        shutil.rmtree(layout.root)
        report(f"{layout.root} removed")
    left = _of_the_demo(layout) + _with_path_below(layout.root)
    if left:
        raise DemoError(f"still running: {', '.join(f'{one.pid} {_line(one)}' for one in left)}")
    report("nothing of the demo is left; the system packages and .venv stay")


def end(processes: list[psutil.Process], first: int, seconds: float = 15) -> None:
    """Send processes a signal, and kill those that still run after some seconds."""
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(first)
    deadline = time.monotonic() + seconds
    while any(map(_runs, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def _of_the_demo(layout: Layout) -> list[psutil.Process]:
    """Return the processes with the demo's mark, except database servers."""
    mark = f"{MARK}={layout.root}".encode()

    def marked(one: psutil.Process) -> bool:
        if one.name() == SERVER:
            return False
        return mark in Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0")

    return _found(marked)


def _with_path_below(root: Path) -> list[psutil.Process]:
    """Return servers that were started from the folder, also when their PID files are gone."""

    def started_from(one: psutil.Process) -> bool:
        command = one.cmdline()
        return _is_server(command) and any(f"{root}/" in argument for argument in command)

    return _found(started_from)


def _is_server(command: list[str]) -> bool:
    programs = {Path(argument).name for argument in command[:2]}
    return bool(programs & {SERVER, "sshd", "sshd:", "backend.py"}) or (
        any(argument.endswith("chefwell_resilience/launch.py") for argument in command)
    )


def _found(fits: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """Return the processes that fit, without this one and its parents."""
    own = {os.getpid(), *(one.pid for one in psutil.Process().parents())}
    fitting = []
    for one in psutil.process_iter():
        if one.pid in own:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if _runs(one) and fits(one):
                fitting.append(one)
    return fitting


def _runs(one: psutil.Process) -> bool:
    try:
        return one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _line(one: psutil.Process) -> str:
    try:
        return " ".join(one.cmdline())[:200]
    except psutil.Error:
        return "?"
