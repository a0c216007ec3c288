"""Faults of the whole plan, caused to `site.yml` on a host of the demo's kind: E3, E5 and E6."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.ansible_run import changed_tasks
from support.fault_log import Fault
from support.plan_host import ALONE, Layout, Plan, in_namespace_of, play
from testbed import Testbed

# Where a play is ended: with a stage and a half behind it.
INTERRUPTION = "Create the key pair, unless there is one"


@contextlib.contextmanager
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """A fresh host, its production and its backup server."""
    layout = Layout(tmp_path_factory.mktemp("plan") / "root")
    made = Plan(layout, Testbed.up(layout.bed, tenants=1))
    try:
        yield made
    finally:
        made.remove()


def test_e3_a_play_that_was_killed_half_way(
    fault: Fault, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with fresh(tmp_path_factory) as plan:
        plan.interrupt(INTERRUPTION, signal.SIGKILL)
        fault.cause(f"site.yml killed in the task {INTERRUPTION!r}")
        again, output = plan.run()
        assert again.failed == 0, output
        fault.see(
            f"run again: {again.changed} changed, {again.failed} failed", holds=again.changed > 0
        )
        last, output = plan.run()
    fault.see(
        f"once more: {last.changed} changed, {last.failed} failed",
        holds=last.changed == last.failed == 0 and last.ok > 20,
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


@dataclasses.dataclass(frozen=True)
class Converged:
    """What was seen of a host on its way from fresh to done, with secrets in its variables.

    Attributes:
        host: its folder.
        words: the secrets.
        foretold, output: `site.yml --check --diff` on the fresh host, and its output.
        wrote: whether that left anything there.
        done, output: the run itself, `-vvv --diff`.
        watch: of its command lines.
        second_check: check mode once more, afterwards.
    """

    host: Path
    words: list[str]
    foretold: play.PlayRecap
    check_output: str
    wrote: bool
    done: play.PlayRecap
    output: str
    watch: Watch
    second_check: play.PlayRecap


@pytest.fixture(scope="module")
def converged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converged]:
    """One fresh host for two rows: a run of the whole plan is dear."""
    with fresh(tmp_path_factory) as plan:
        path = plan.layout.inventory.parent / "group_vars" / "production.yml"
        token = secrets.token_hex(12)
        text = path.read_text()
        assert "JWT_SECRET: staging-only" in text and "password: admin123" in text
        path.write_text(text.replace("JWT_SECRET: staging-only", f"JWT_SECRET: {token}"))
        words = [token, "admin123"]
        before = plan.held()
        foretold, printed = plan.run("--check", "--diff")
        wrote = plan.held() != before
        # In a process namespace of its own: other tests' processes are none of this play's.
        with plan.start("-vvv", "--diff", before=ALONE) as running:
            watch = Watch(running.pid, words)
            watch.start()
            try:
                output = running.communicate()[0]
            finally:
                watch.done.set()
                watch.join()
        done = play.recap(output, 0)
        assert done, output[-3000:]
        second_check, _output = plan.run("--check", "--diff")
        yield Converged(
            plan.layout.host, words, foretold, printed, wrote, done, output, watch, second_check
        )


def test_e5_check_mode_and_diff_on_a_fresh_host(fault: Fault, converged: Converged) -> None:
    fault.cause("site.yml --check --diff on a host where nothing is installed")
    foretold, second_check = converged.foretold, converged.second_check
    fault.see(
        f"{foretold.changed} foretold, {foretold.failed} failed, nothing written",
        holds=foretold.failed == 0 and foretold.changed > 5 and not converged.wrote,
    )
    wrong = changed_tasks(converged.check_output) - changed_tasks(converged.output)
    fault.see(
        f"every change foretold was made {wrong or ''}",
        holds=not wrong and not converged.done.failed,
    )
    fault.see(
        f"afterwards {second_check.changed} foretold, {second_check.failed} failed",
        holds=second_check.changed == second_check.failed == 0,
    )


def test_e6_secrets_in_variables(fault: Fault, converged: Converged) -> None:
    fault.cause("a token and a password in the variables; site.yml -vvv --diff")
    assert not converged.done.failed, converged.output[-3000:]
    lines, words, watch = converged.output.splitlines(), converged.words, converged.watch
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
    for file in converged.host.rglob("*"):
        if file.is_file() and any(word.encode() in file.read_bytes() for word in words):
            holding += 1
            if file.stat().st_mode & 0o077:
                wide.append(str(file))
    fault.see(
        f"{holding} files hold one, others may read {len(wide)} of them {wide or ''}",
        holds=holding > 0 and not wide,
    )
