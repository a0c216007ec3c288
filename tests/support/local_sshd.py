"""A backup server on this host for a whole file of tests; each test gives it a copy of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.sshd import Sshd


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """Runs; nothing stands before its key."""
    made = Sshd()
    made.start()
    yield made
    made.remove()
