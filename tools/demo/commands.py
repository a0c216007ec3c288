"""Runs the installed host commands, and measures what memory they take."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from .layout import DemoError, Layout
from .play import environment

# Exit codes by which a command tells that it answered: ok, warning, critical.
ANSWERED = (0, 1, 2)


@dataclasses.dataclass
class Peaks:
    """The most memory that each command's process had resident, in bytes."""

    by_command: dict[str, int] = dataclasses.field(default_factory=dict)

    def add(self, name: str, size: int) -> None:
        """Takes down one run; the highest counts."""
        self.by_command[name] = max(size, self.by_command.get(name, 0))


class Host:
    """The demo's production host, seen from a shell on it.

    Attributes:
        peaks: filled by every command.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.peaks = Peaks()

    def show(self, name: str, *arguments: str) -> int:
        """Runs a command with its page on the terminal; its exit code."""
        print(f"$ {self._path(name)} {' '.join(arguments)}".rstrip(), flush=True)
        return self._run(name, *arguments, capture=False)[0]

    def ask(self, name: str, *arguments: str) -> dict[str, Any]:
        """What a command answers for programs.

        Raises:
            DemoError: it did not answer.
        """
        code, output = self._run(name, "--json", *arguments, capture=True)
        if code not in ANSWERED:
            raise DemoError(f"{name}.sh ended with exit {code} and told nothing")
        found: dict[str, Any] = json.loads(output)
        return found

    def _path(self, name: str) -> Path:
        return self.layout.scripts / f"{name}.sh"

    def _run(self, name: str, *arguments: str, capture: bool) -> tuple[int, str]:
        with subprocess.Popen(
            [str(self._path(name)), *arguments],
            env=environment(self.layout),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else None,
            text=True,
        ) as running:
            watch = threading.Thread(target=self._watch, args=(name, running))
            watch.start()
            output = running.communicate()[0]
            watch.join()
        return running.returncode, output or ""

    def _watch(self, name: str, running: subprocess.Popen[str]) -> None:
        """Reads the high-water mark (proc(5), VmHWM) until the command has ended.

        Not the one that wait4(2) gives: that counts the memory of whoever started the command.
        """
        status = Path(f"/proc/{running.pid}/status")
        pause = threading.Event()
        while running.returncode is None:
            try:
                text = status.read_text()
            except OSError:
                return
            mark = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:")]
            if not mark:
                return  # ended, and not asked after yet
            self.peaks.add(name, 1024 * int(mark[0]))
            pause.wait(0.01)
