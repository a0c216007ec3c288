"""Faults of the whole plan, caused to `site.yml` on a host of the demo's kind: E3, E5 and E6."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Iterator

import psutil
import pytest
from fault_log import Fault
from plan_host import ALONE, Layout, Plan, changed_tasks, in_namespace_of, play
from testbed import Testbed

# Where a play is ended: with half a stage, and then with half a restore behind it.
INTERRUPTIONS = (
    "Make the key, unless there is one",
    "Restore the newest backup in staging and question it",
)


@pytest.fixture
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """A fresh host, its production and its backup server."""
    layout = Layout(tmp_path_factory.mktemp("plan") / "root")
    made = Plan(layout, Testbed.up(layout.bed, stores=1))
    yield made
    made.remove()


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
    """Looks for words in the command lines of a play's processes, again and again."""

    def __init__(self, pid: int, words: list[str]) -> None:
        super().__init__()
        self.pid = pid
        self.words = words
        self.found: set[str] = set()
        self.seen: set[int] = set()
        self.looks = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.looks += 1
            for one in in_namespace_of(self.pid):
                try:
                    line = " ".join(one.cmdline())
                except psutil.Error:
                    continue
                self.seen.add(one.pid)
                self.found |= {f"{word} in {line[:80]}" for word in self.words if word in line}


def test_e6_secrets_in_variables(fault: Fault, plan: Plan) -> None:
    path = plan.layout.inventory.parent / "group_vars" / "production.yml"
    token = secrets.token_hex(12)
    text = path.read_text()
    assert "JWT_SECRET: staging-only" in text and "password: admin123" in text
    path.write_text(text.replace("JWT_SECRET: staging-only", f"JWT_SECRET: {token}"))
    words = [token, "admin123"]
    fault.cause("a token and a password in the variables; site.yml -vvv --diff")
    # In a process namespace of its own: other tests' processes are none of this play's.
    with plan.start("-vvv", "--diff", before=ALONE) as running:
        watch = Watch(running.pid, words)
        watch.start()
        try:
            output = running.communicate()[0]
        finally:
            watch.done.set()
            watch.join()
    played = play.recap(output, 0)
    assert played and not played.failed, output[-3000:]
    lines = output.splitlines()
    shown = [line[:120] for line in lines if any(word in line for word in words)]
    fault.see(
        f"{len(shown)} of {len(lines)} lines of output show one {shown[:2] or ''}", holds=not shown
    )
    fault.see(
        f"no command line of {len(watch.seen)} processes showed one in {watch.looks} looks"
        f" {watch.found or ''}",
        holds=not watch.found and len(watch.seen) > 50,
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
