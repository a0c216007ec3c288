"""Run `ansible-playbook site.yml`, show its output and parse its recap."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .layout import MARK, ROOT, DemoError, Layout

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RECAP = re.compile(
    r"^\S+\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE
)
# The banner of a task, with its name, or of a play.
_BANNER = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*)\] \**$|^PLAY ")
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER|PLAY) \[(.*)\]")


@dataclasses.dataclass(frozen=True)
class PlayRecap:
    """The outcome of one run, over all hosts.

    Attributes:
        ok, changed, failed: tasks; hosts that were not reached count as failed.
        seconds: of the whole run.
        problem: the task that failed and its message; None if none did.
        tasks: every task, skipped ones too, with the seconds until the next.
    """

    ok: int
    changed: int
    failed: int
    seconds: float
    problem: str | None = None
    tasks: tuple[tuple[str, float], ...] = ()

    def slowest(self, most: int = 10) -> list[tuple[str, float]]:
        """Return the tasks that took longest, the longest first."""
        return sorted(self.tasks, key=lambda task: -task[1])[:most]

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of results.json."""
        return {
            "tasks": len(self.tasks),
            "slowest": [{"task": name, "seconds": round(took, 2)} for name, took in self.slowest()],
            "ok": self.ok,
            "changed": self.changed,
            "failed": self.failed,
            "seconds": round(self.seconds, 2),
        }


class Stopwatch:
    """A clock that times the tasks of a run by their banners."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, float]] = []

    def line(self, plain: str) -> None:
        """Note the time if this line of output, without colours, is a banner."""
        if found := _BANNER.match(plain):
            self._begun.append((found[1] or "", time.monotonic()))

    def tasks(self) -> tuple[tuple[str, float], ...]:
        """Return each task with the seconds until the next banner."""
        ends = [moment for _name, moment in self._begun[1:]]
        return tuple(
            (name, end - begun)
            for (name, begun), end in zip(self._begun, ends, strict=False)
            if name
        )


def environment(layout: Layout) -> dict[str, str]:
    """Return the environment of everything that the demo starts; it keeps Ansible out of `~`."""
    return {
        **os.environ,
        MARK: str(layout.root),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "ANSIBLE_HOME": str(layout.ansible),
        "ANSIBLE_LOCAL_TEMP": str(layout.ansible / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(layout.ansible / "tmp"),
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_NOCOWS": "1",
    }


def site(layout: Layout, *arguments: str) -> PlayRecap:
    """Run `site.yml` once.

    Raises:
        DemoError: Ansible ended without a recap.
    """
    # Not the script beside the interpreter: in a copied environment its first line is wrong.
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(layout.inventory)]
    command += [*arguments, str(ROOT / "site.yml")]
    env = environment(layout)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        env["ANSIBLE_FORCE_COLOR"] = "1"
    print(f"$ ansible-playbook -i {_short(layout.inventory)} site.yml", flush=True)
    started = time.monotonic()
    output: list[str] = []
    watch = Stopwatch()
    with (
        layout.log.open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        ) as running,
    ):
        assert running.stdout
        try:
            for line in running.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                plain = _COLOUR.sub("", line)
                log.write(plain)
                output.append(plain)
                watch.line(plain)
        except BaseException:
            running.send_signal(signal.SIGINT)
            raise
    run = recap("".join(output), time.monotonic() - started)
    if run is None or (running.returncode != 0 and not run.failed):
        last = "".join(output[-8:]).strip()
        raise DemoError(f"ansible-playbook ended with {running.returncode}: {last}")
    return dataclasses.replace(run, tasks=watch.tasks())


def recap(text: str, seconds: float) -> PlayRecap | None:
    """Return the recap in the output of a run; None if there is none."""
    rows = [[int(number) for number in row] for row in _RECAP.findall(text)]
    if not rows:
        return None
    ok, changed, unreachable, failed = (sum(column) for column in zip(*rows, strict=True))
    failed += unreachable
    return PlayRecap(ok, changed, failed, seconds, _problem(text) if failed else None)


def _problem(text: str) -> str:
    """Return the task that failed and its message."""
    task, lines = "", text.splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if found := _TASK.match(line):
            task = found[1]
        if line.startswith(("fatal:", "failed:")) and after != "...ignoring":
            return f"the task '{task}' failed: {_message(line)}"
    return f"the task '{task}' failed"


def _message(line: str) -> str:
    """Return the message in a line such as `fatal: [host]: FAILED! => {"msg": "..."}`."""
    _start, _arrow, result = line.partition("=> ")
    try:
        message = json.loads(result)["msg"]
    except (ValueError, KeyError, TypeError):
        # Since ansible-core 2.19 the message is in a paragraph above this line.
        return " ".join(line.split())
    return " ".join(str(message).split())


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
