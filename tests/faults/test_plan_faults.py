"""Faults of the whole plan, caused to `site.yml` on a host of the demo's kind: E3, E5 and E6."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fault_log import Fault
from testbed import Testbed

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from demo import clean, play, variables  # noqa: E402
from demo.layout import Layout  # noqa: E402

# Where a play is ended: each time further on, with half a stage and with half a restore behind it.
INTERRUPTIONS = (
    "Pin the server's host key",
    "Copy the backups",
    "Restore the newest backup in staging and question it",
)


class Plan:
    """`site.yml` against a testbed, with every path of the plan below one folder."""

    def __init__(self, layout: Layout, bed: Testbed) -> None:
        self.layout = layout
        variables.write(layout, bed.record, "en")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.layout.inventory)]
        return subprocess.Popen(
            [*command, *arguments, str(ROOT / "site.yml")],
            env={**play.environment(self.layout), "ANSIBLE_NOCOLOR": "1"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[play.Played, str]:
        started = time.monotonic()
        with self.start(*arguments) as running:
            output = running.communicate()[0]
        played = play.recap(output, time.monotonic() - started)
        assert played, output
        return played, output

    def interrupt(self, task: str, number: int) -> None:
        """Runs until a task begins, and a little into it; then ends all of it at once."""
        with self.start() as running:
            assert running.stdout
            for line in running.stdout:
                if line.startswith("TASK [") and task in line:
                    break
            else:
                raise AssertionError(f"the play ended before {task!r}")
            time.sleep(0.4)
            os.killpg(running.pid, number)

    def held(self) -> dict[str, str]:
        """What the host has: files by path, with their mode."""
        return {
            str(path.relative_to(self.layout.host)): oct(path.stat().st_mode)
            for path in self.layout.host.rglob("*")
        }


@pytest.fixture
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """A fresh host, its production and its backup server."""
    layout = Layout(tmp_path_factory.mktemp("plan") / "root")
    made = Testbed.up(layout.bed, stores=1)
    yield Plan(layout, made)
    clean.clean(layout)


def changed_tasks(output: str) -> set[str]:
    task, found = "", set()
    for line in output.splitlines():
        if named := re.match(r"TASK \[(?:chefwell\.resilience\.\w+ : )?(.*)\]", line):
            task = named[1]
        if line.startswith("changed:"):
            found.add(task)
    return found


def test_e3_a_play_that_was_killed_half_way(fault: Fault, plan: Plan) -> None:
    for task in INTERRUPTIONS:
        plan.interrupt(task, signal.SIGKILL)
        fault.cause(f"site.yml killed in the task {task!r}")
    again, output = plan.run()
    assert again.failed == 0, output
    fault.see(f"run again: {again.changed} changed, {again.failed} failed", holds=not again.failed)
    last, output = plan.run()
    fault.see(
        f"once more: {last.changed} changed, {last.failed} failed",
        holds=last.changed == last.failed == 0 and last.ok > 20,
    )


def test_e5_check_mode_and_diff_on_a_fresh_host(fault: Fault, plan: Plan) -> None:
    before = plan.held()
    fault.cause("site.yml --check --diff on a host where nothing is installed")
    foretold, told = plan.run("--check", "--diff")
    fault.see(
        f"{foretold.changed} foretold, {foretold.failed} failed, nothing written",
        holds=foretold.failed == 0 and foretold.changed > 5 and plan.held() == before,
    )
    done, output = plan.run()
    wrong = changed_tasks(told) - changed_tasks(output)
    fault.see(f"every change foretold was made {wrong or ''}", holds=not wrong and not done.failed)
    settled, told = plan.run("--check", "--diff")
    fault.see(
        f"afterwards {settled.changed} foretold, {settled.failed} failed",
        holds=settled.changed == settled.failed == 0,
    )


class Watch(threading.Thread):
    """Looks for words in the command lines of all processes, again and again."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self.words = words
        self.found: set[str] = set()
        self.looks = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.looks += 1
            for one in psutil.process_iter():
                try:
                    line = " ".join(one.cmdline())
                except psutil.Error:
                    continue
                self.found |= {f"{word} in {line[:80]}" for word in self.words if word in line}


def test_e6_secrets_in_variables(fault: Fault, plan: Plan) -> None:
    path = plan.layout.inventory.parent / "group_vars" / "production.yml"
    token = secrets.token_hex(12)
    text = path.read_text()
    assert "JWT_SECRET: staging-only" in text and "password: admin123" in text
    path.write_text(text.replace("JWT_SECRET: staging-only", f"JWT_SECRET: {token}"))
    words = [token, "admin123"]
    fault.cause("a token and a password in the variables; site.yml -vvv --diff")
    watch = Watch(words)
    watch.start()
    try:
        played, output = plan.run("-vvv", "--diff")
    finally:
        watch.done.set()
        watch.join()
    assert not played.failed, output[-3000:]
    lines = output.splitlines()
    shown = [line[:120] for line in lines if any(word in line for word in words)]
    fault.see(
        f"{len(shown)} of {len(lines)} lines of output show one {shown[:2] or ''}", holds=not shown
    )
    fault.see(
        f"no process list showed one in {watch.looks} looks {watch.found or ''}",
        holds=not watch.found and watch.looks > 50,
    )
    holding, wide = 0, []
    for file in plan.layout.host.rglob("*"):
        if file.is_file() and any(word.encode() in file.read_bytes() for word in words):
            holding += 1
            if file.stat().st_mode & 0o077:
                wide.append(str(file))
    fault.see(
        f"{holding} files hold one, others may read {len(wide)} of them {wide or ''}",
        holds=holding > 0 and not wide,
    )
