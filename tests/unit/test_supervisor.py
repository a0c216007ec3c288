"""A supervised run ends within its limit, whatever it waits for, and is repeated without that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.commands import supervisor
from ansible_collections.chefwell.resilience.plugins.module_utils.common import locks, run_steps
from support.processes import has_ended


def block() -> None:
    """Wait until SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)


def supervised(work: Callable[[], int]) -> supervisor.RunEnd:
    """Do the work as a launcher does; the child process ends here, and not in pytest's own end."""
    pid = os.getpid()
    try:
        return supervisor.supervise(work)
    finally:
        if os.getpid() != pid:
            os._exit(0)


def note(path: Path, **values: object) -> None:
    with path.open("a") as file:
        file.write(json.dumps(values) + "\n")


def noted(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_exit_code_and_output_are_those_of_the_work(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        print("result " + "ä😀" * 40_000, flush=True)
        print("problem", file=sys.stderr)
        return 2

    assert supervised(work) == supervisor.RunEnd(2)
    out, errors = capfd.readouterr()
    assert out == "result " + "ä😀" * 40_000 + "\n" and errors == "problem\n"


def test_a_step_that_blocks_is_left_out_of_the_next_attempt(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def work() -> int:
        run_steps.limit_run(30, 0.3)
        note(log, pid=os.getpid(), why=run_steps.why_blocked("disk"), done=run_steps.was_done("a"))
        with run_steps.step("a"):
            pass
        with run_steps.step("outer", 60):
            if not run_steps.why_blocked("disk"):
                with run_steps.step("disk", 0.2):
                    block()
        return 1

    began = time.monotonic()
    assert supervised(work) == supervisor.RunEnd(1)
    assert time.monotonic() - began < 10
    first, second = noted(log)
    assert (first["why"], first["done"]) == ("", False)
    assert (second["why"], second["done"]) == ("no answer within 0.5 s", True)
    assert has_ended(int(str(first["pid"])))


def test_a_run_that_blocks_outside_of_a_step_ends_at_its_limit() -> None:
    def work() -> int:
        run_steps.limit_run(0.5, 60)
        block()
        return 0

    began = time.monotonic()
    end = supervised(work)
    assert end.code is None and "its limit of 0.5 s" in end.problem
    assert time.monotonic() - began < 10


def test_a_step_that_blocks_again_is_named(tmp_path: Path) -> None:
    def work() -> int:
        run_steps.limit_run(30, 0.2)
        with run_steps.step("disk"):
            block()
        return 0

    end = supervised(work)
    assert end.code is None and "blocked: disk" in end.problem


def test_the_limit_is_that_of_all_attempts_together(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def work() -> int:
        run_steps.limit_run(1.5, 0.5)
        for name in ("a", "b", "c", "d", "e", "f"):
            if not run_steps.why_blocked(name):
                note(log, name=name)
                with run_steps.step(name):
                    block()
        return 0

    began = time.monotonic()
    end = supervised(work)
    assert end.code is None and time.monotonic() - began < 10
    assert len(noted(log)) < 5


def test_the_lock_of_one_that_is_left_behind_is_free(tmp_path: Path) -> None:
    """SIGKILL does not end a process in state D, which here is one whose end nobody waits for."""
    state = tmp_path / "state"
    holder = tmp_path / "pid"

    def work() -> int:
        run_steps.limit_run(30, 0.3)
        with locks.single_run(str(state), "disk", wait=5) as alone:
            if run_steps.why_blocked("disk"):
                return 0 if alone else 9
            # Another process that has the lock open is what a process in state D is to a lock.
            start = ["sh", "-c", "sleep 600 >/dev/null & echo $!"]
            holder.write_bytes(subprocess.run(start, close_fds=False, stdout=-1).stdout)
            with run_steps.step("disk"):
                block()
        return 8

    real = os.open

    def inheritable(path: str, flags: int, mode: int = 0o777) -> int:
        return real(path, flags & ~os.O_CLOEXEC, mode)

    def opened() -> int:
        locks.os.open = inheritable  # type: ignore[attr-defined]
        return work()

    try:
        assert supervised(opened) == supervisor.RunEnd(0)
        assert not has_ended(int(holder.read_text()))
    finally:
        os.kill(int(holder.read_text()), signal.SIGKILL)


def test_one_that_is_killed_is_no_success() -> None:
    def work() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    end = supervised(work)
    assert end.code is None and "SIGKILL" in end.problem


def test_an_error_of_the_program_is_unknown(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise ValueError("this is a bug")

    assert supervised(work) == supervisor.RunEnd(3)
    assert "this is a bug" in capfd.readouterr().err


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
SCRIPT = """
    import os, sys, time
    from ansible_collections.chefwell.resilience.plugins.module_utils.commands import supervisor
    from ansible_collections.chefwell.resilience.plugins.module_utils.common import interrupt

    def work():
        {work}

    print(supervisor.supervise(work), file=sys.stderr)
"""


def script(work: str) -> list[str]:
    body = textwrap.indent(textwrap.dedent(work).strip(), " " * 4).strip()
    return [sys.executable, "-c", textwrap.dedent(SCRIPT).format(work=body)]


def test_a_signal_is_passed_on(tmp_path: Path) -> None:
    work = """
        interrupt.listen()
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("cleaned up", flush=True)
            return 3
    """
    running = subprocess.Popen(
        script(work),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGTERM)
    out, errors = running.communicate(timeout=20)
    assert out == "cleaned up\n" and errors == "RunEnd(code=3, problem='')\n"


def test_an_output_that_takes_nothing_is_an_error_of_the_work() -> None:
    work = """
        try:
            print("x", flush=True)
        except OSError as error:
            sys.stderr.write(f"{type(error).__name__} {error.strerror}; ")
        return 0
    """
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            script(work),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
    assert ended.stderr.startswith("OSError No space left on device; RunEnd(code=0"), ended.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(tmp_path: Path, closed: str) -> None:
    seen = tmp_path / "seen"
    work = f"""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.write("text")
                stream.flush()
        open({str(seen)!r}, "w").write("all of it")
        return 0
    """
    quoted = subprocess.list2cmdline(script(work)[:1])
    (tmp_path / "script.py").write_text(script(work)[2])
    ended = subprocess.run(
        ["/bin/sh", "-c", f"{quoted} {tmp_path}/script.py {closed}"],
        check=False,
        timeout=30,
        env=ENVIRONMENT,
    )
    assert seen.read_text() == "all of it", ended
