"""An interrupt that got lost within C code arrives at the next step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import interrupt
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.phases import Phases


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    # `nohup` lets tests ignore SIGHUP, which would not be listened for then.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in interrupt.SIGNALS}
    interrupt.listen()
    yield
    interrupt.begin_cleanup()
    for number, handler in before.items():
        signal.signal(number, handler)


def lose(number: signal.Signals) -> None:
    """As C code does it that clears whatever was raised in it."""
    try:
        os.kill(os.getpid(), number)
        signal.pause()
    except KeyboardInterrupt:
        pass


@pytest.mark.parametrize("number", interrupt.SIGNALS)
def test_one_that_got_lost_stops_before_the_next_phase(number: signal.Signals) -> None:
    steps = Phases(None)
    with steps.phase("staging"):
        lose(number)
    with pytest.raises(KeyboardInterrupt), steps.phase("restore"):
        pytest.fail("it went on")
    assert [one["name"] for one in steps.phases] == ["staging"]
    # It was raised; the clean-up may go on now.
    with steps.phase("cleanup"):
        pass


def test_one_that_was_handled_is_not_raised_again() -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    interrupt.begin_cleanup()
    interrupt.raise_pending()


def test_a_second_signal_does_not_interrupt_the_clean_up() -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    interrupt.begin_cleanup()
    for number in interrupt.SIGNALS:
        os.kill(os.getpid(), number)
        time.sleep(0.01)
    interrupt.raise_pending()


def test_what_must_come_to_its_end_is_not_interrupted() -> None:
    reached = []
    with interrupt.deferred():
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.01)
        interrupt.raise_pending()
        reached.append("the end")
    assert reached
    with pytest.raises(KeyboardInterrupt):
        interrupt.raise_pending()


def test_a_program_that_is_to_ignore_ctrl_c_does_so_still() -> None:
    """As `nohup` and a shell's `&` start one."""
    script = (
        "import os, signal, sys; sys.path[:0] = sys.argv[1:]"
        f"; from {interrupt.__name__} import listen"
        "; listen(); os.kill(os.getpid(), signal.SIGINT); print('goes on')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *sys.path],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert ended.stdout == "goes on\n", ended.stderr
