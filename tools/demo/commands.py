"""Run the installed host commands and measure their memory."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from .layout import DemoError, Layout
from .play import environment

# Exit codes of a command that has a result: ok, warning, critical.
WITH_RESULT = (0, 1, 2)


@dataclasses.dataclass
class Peaks:
    """The most resident memory of each command's process, in bytes."""

    by_command: dict[str, int] = dataclasses.field(default_factory=dict)

    def add(self, name: str, size: int) -> None:
        """Record one run; the highest value is kept."""
        self.by_command[name] = max(size, self.by_command.get(name, 0))


class Host:
    """The commands on the demo's production host.

    Attributes:
        peaks: memory of every command that was run.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.peaks = Peaks()

    def show(self, name: str, *arguments: str) -> int:
        """Run a command with its page on the terminal; return its exit code."""
        print(f"$ {self._path(name)} {' '.join(arguments)}".rstrip(), flush=True)
        return self._run(name, *arguments, capture=False)[0]

    def result(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run a command with `--json` and return its result.

        Raises:
            DemoError: it has no result.
        """
        code, output = self._run(name, "--json", *arguments, capture=True)
        if code not in WITH_RESULT:
            raise DemoError(f"{name}.sh ended with exit {code} and without a result")
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
        """Read the peak of the resident memory (proc(5), VmHWM) until the command has ended.

        The value of wait4(2) is of no use: it counts the memory of the process that forked.
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
                return  # a zombie: ended, and not waited for yet
            self.peaks.add(name, 1024 * int(mark[0]))
            pause.wait(0.01)
