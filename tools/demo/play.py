"""Runs `ansible-playbook site.yml` as anybody would, shows its output, and reads its recap."""

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

from .layout import MARK, ROOT, DemoError, Layout

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RECAP = re.compile(
    r"^\S+\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE
)
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER|PLAY) \[(.*)\]")


@dataclasses.dataclass(frozen=True)
class Played:
    """What a run came to, over all hosts.

    Attributes:
        ok, changed, failed: tasks; hosts that were not reached count as failed.
        seconds: of the whole run.
        problem: the task that failed and its words; None if none did.
    """

    ok: int
    changed: int
    failed: int
    seconds: float
    problem: str | None = None

    def to_dict(self) -> dict[str, float | int]:
        """As results.json has it."""
        return {
            "ok": self.ok,
            "changed": self.changed,
            "failed": self.failed,
            "seconds": round(self.seconds, 2),
        }


def environment(layout: Layout) -> dict[str, str]:
    """The environment of everything that the demo starts: marked, and home is left alone."""
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


def site(layout: Layout, *arguments: str) -> Played:
    """Runs `site.yml` once.

    Raises:
        DemoError: Ansible did not get as far as a recap.
    """
    # Not the script of that name beside the interpreter: a copied environment has another's path.
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(layout.inventory)]
    command += [*arguments, str(ROOT / "site.yml")]
    env = environment(layout)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        env["ANSIBLE_FORCE_COLOR"] = "1"
    print(f"$ ansible-playbook -i {_short(layout.inventory)} site.yml", flush=True)
    started = time.monotonic()
    said: list[str] = []
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
                said.append(plain)
        except BaseException:
            running.send_signal(signal.SIGINT)
            raise
    played = recap("".join(said), time.monotonic() - started)
    if played is None or (running.returncode != 0 and not played.failed):
        last = "".join(said[-8:]).strip()
        raise DemoError(f"ansible-playbook ended with {running.returncode}: {last}")
    return played


def recap(text: str, seconds: float) -> Played | None:
    """What the output of a run says; None where it has no recap."""
    rows = [[int(number) for number in row] for row in _RECAP.findall(text)]
    if not rows:
        return None
    ok, changed, unreachable, failed = (sum(column) for column in zip(*rows, strict=True))
    failed += unreachable
    return Played(ok, changed, failed, seconds, _problem(text) if failed else None)


def _problem(text: str) -> str:
    """The task that failed, and why, from Ansible's own words."""
    task, lines = "", text.splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if found := _TASK.match(line):
            task = found[1]
        if line.startswith(("fatal:", "failed:")) and after != "...ignoring":
            return f"the task '{task}' failed: {_message(line)}"
    return f"the task '{task}' failed"


def _message(line: str) -> str:
    """The message in a line such as `fatal: [host]: FAILED! => {"msg": "..."}`."""
    _start, _arrow, result = line.partition("=> ")
    try:
        told = json.loads(result)["msg"]
    except (ValueError, KeyError, TypeError):
        # Since ansible-core 2.19 the message stands in a paragraph of its own above.
        return " ".join(line.split())
    return " ".join(str(told).split())


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
