"""Servers that outlive the process that starts them: start, find and end them.

A process number can be used again, so a server is known by its number and the moment it began, in
clock ticks since boot (proc(5), field 22 of `stat`).
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from .engine import ResilienceError

# The shell notes its own line of proc(5) and becomes the server: the number and the beginning stay
# the same, and a server never runs without its note.
_NOTE_AND_BECOME = 'read -r line </proc/$$/stat; printf "%s\\n" "$line" >"$0"; exec "$@"'

# Kept so that a server started from a longer-lived program is not warned about as forgotten.
_STARTED: list[subprocess.Popen[bytes]] = []


# Below what Linux gives to connections that go out (32768 and more, ip(7)): a port that is free now
# is still free when its server begins.
_PORTS = range(20000, 32768)
_given: set[int] = set()


def free_port() -> int:
    """A free TCP port on loopback; never the same one twice."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port in _given:
            continue
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise ResilienceError("no port is free", value=f"{_PORTS[0]} to {_PORTS[-1]}")


class Service:
    """One server.

    Args:
        name: of its files, and in messages.
        root: the testbed's folder; the note is `run/<name>.stat`, the log `logs/<name>.log`.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.note = root / "run" / f"{name}.stat"
        self.log = root / "logs" / f"{name}.log"

    def start(self, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Start it in a session of its own."""
        for path in (self.note, self.log):
            path.parent.mkdir(mode=0o755, exist_ok=True)
        self.note.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                ["/bin/sh", "-c", _NOTE_AND_BECOME, str(self.note), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(os.environ if env is None else env),
                cwd="/",
                start_new_session=True,
            )
        _STARTED.append(started)
        self._await(lambda: self.note.is_file() and self.note.stat().st_size > 0, "does not start")

    def process(self) -> psutil.Process | None:
        """The running server; None if it is not running."""
        try:
            noted = self.note.read_text()
            pid = int(noted.split()[0])
            now = Path(f"/proc/{pid}/stat").read_text()
        except (OSError, ValueError, IndexError):
            return None
        if _began(now) != _began(noted) or now.rpartition(")")[2].split()[0] in "ZX":
            return None
        try:
            return psutil.Process(pid)
        except psutil.NoSuchProcess:
            return None

    def pid(self) -> int | None:
        """Its process number; None if it is not running."""
        found = self.process()
        return found.pid if found else None

    def await_ready(self, ready: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until a condition holds.

        Raises:
            ResilienceError: the server ended, or is not ready in time; with its last words.
        """
        self._await(ready, "is not ready", seconds, running=True)

    def stop(self, signals: Sequence[int], seconds: float = 10) -> None:
        """Ends it and its children: each signal in turn, until it is gone; in the end SIGKILL."""
        found = self.process()
        family: list[psutil.Process] = []
        if found:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = [*found.children(recursive=True)]
            for number in signals:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.send_signal(number)
                if _gone([found], seconds):
                    break
            family.append(found)
        end_all(family)
        self.note.unlink(missing_ok=True)

    def _await(
        self, ready: Callable[[], bool], lacking: str, seconds: float = 30, running: bool = False
    ) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline or (running and not self.process()):
                output = self.log.read_text(errors="backslashreplace")[-600:].strip()
                raise ResilienceError(f"{self.name} {lacking}: {output or 'it says nothing'}")
            time.sleep(0.02)


def end_all(processes: Sequence[psutil.Process]) -> None:
    """Kills what is left of these processes, and waits until they are gone."""
    for left in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
    _gone(processes, 10)


def _gone(processes: Sequence[psutil.Process], seconds: float) -> bool:
    """Whether all have ended within that time.

    A zombie has ended: its parent, which may be another program, may take seconds to wait for it.
    """
    deadline = time.monotonic() + seconds
    while True:
        for started in _STARTED:
            started.poll()
        if not any(map(_lives, processes)):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)


def _lives(one: psutil.Process) -> bool:
    try:
        return one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def answers(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _began(stat: str) -> str:
    return stat.rpartition(")")[2].split()[19]
