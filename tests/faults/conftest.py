"""The plugin that records faults, and the testbed that they share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.fault_log import (
    fault,
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from testbed import Testbed

__all__ = [
    "bed",
    "fault",
    "pytest_runtest_logreport",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """A testbed of two stores for all faults: tests only read it."""
    made = Testbed.up(tmp_path_factory.mktemp("faults") / "bed", tenants=2)
    yield made
    made.down()
