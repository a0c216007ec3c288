"""Waiting for something that another process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    """Return as soon as the condition holds; fail the test when it does not within the time."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"the condition did not hold within {seconds} s"
        time.sleep(0.02)
