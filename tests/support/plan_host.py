"""The demo's host: all playbooks against a testbed, with every path below one folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from testbed import Testbed
from testbed.services import free_port

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from demo import clean, play, variables
from demo.layout import Layout

# Words before a command for a process namespace of its own: no process outlives the play.
ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


class Plan:
    """A host on which playbooks are run.

    Args:
        layout: the host's folders.
        bed: its production, its backups and its backup server.
    """

    def __init__(self, layout: Layout, bed: Testbed) -> None:
        self.layout = layout
        self.bed = bed
        self.added: dict[str, Any] = {}
        variables.write(layout, bed.record, "en")
        # The plan's port may be in use by the demo's host of another lane.
        self.add(staging_restore_backend_port=free_port())

    def start(
        self, *arguments: str, playbook: str = "site.yml", before: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """Start a playbook; `before` are words to put before the command."""
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.layout.inventory)]
        return subprocess.Popen(
            [*before, *command, *arguments, str(ROOT / "playbooks" / playbook)],
            env={**play.environment(self.layout), "ANSIBLE_NOCOLOR": "1"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, playbook: str = "site.yml") -> tuple[play.PlayRecap, str]:
        """Run a playbook to its end; return its recap and its output."""
        started = time.monotonic()
        with self.start(*arguments, playbook=playbook) as running:
            output = running.communicate()[0]
        recap = play.recap(output, time.monotonic() - started)
        assert recap, output
        return recap, output

    def interrupt(self, task: str, number: int, *arguments: str) -> None:
        """Run `site.yml` until shortly after a task begins, then send all of it a signal."""
        with self.start(*arguments) as running:
            assert running.stdout
            for line in running.stdout:
                if line.startswith("TASK [") and task in line:
                    break
            else:
                raise AssertionError(f"the play ended before {task!r}")
            time.sleep(0.4)
            os.killpg(running.pid, number)

    def run_until(self, task: str, *arguments: str) -> tuple[subprocess.Popen[str], list[str]]:
        """Start `site.yml` and return when a task begins, with the lines until then."""
        running = self.start(*arguments)
        assert running.stdout
        lines = []
        for line in running.stdout:
            lines.append(line)
            if line.startswith("TASK [") and task in line:
                return running, lines
        running.wait()
        raise AssertionError(f"the play ended before {task!r}:\n{''.join(lines)}")

    def add(self, **more: Any) -> None:
        """Set more variables of the host."""
        folder = self.layout.inventory.parent / "host_vars"
        folder.mkdir(exist_ok=True)
        path = folder / f"{variables.HOST}.yml"
        path.touch(mode=0o600)
        self.added |= more
        path.write_text(variables.yaml.safe_dump(self.added), encoding="utf-8")

    def held(self) -> dict[str, str]:
        """The mode of every file of the host by path."""
        return {
            str(path.relative_to(self.layout.host)): oct(path.stat().st_mode)
            for path in self.layout.host.rglob("*")
        }

    def remove(self) -> None:
        """End and remove everything of the host."""
        clean.clean(self.layout)


def in_namespace_of(pid: int) -> list[psutil.Process]:
    """The processes of the process namespaces that children of this process began."""
    mine, found = os.readlink("/proc/self/ns/pid"), []
    namespaces = {
        os.readlink(f"/proc/{child.pid}/ns/pid")
        for child in psutil.Process(pid).children()
        if os.readlink(f"/proc/{child.pid}/ns/pid") != mine
    }
    for one in psutil.process_iter():
        try:
            if os.readlink(f"/proc/{one.pid}/ns/pid") in namespaces:
                found.append(one)
        except OSError:
            continue
    return found


__all__ = ["ALONE", "Layout", "Plan", "in_namespace_of", "play"]
