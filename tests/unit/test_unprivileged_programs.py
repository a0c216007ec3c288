"""What programs keep of root's rights: to read past closed folders, where there are some."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import (
    unprivileged,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach, which `tmp_path` need not be."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


def test_a_closed_folder_is_seen_on_the_way_and_behind_a_link(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the words are looked at, and anybody may run the unit tests.
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (folder / "open").mkdir(mode=0o755)
    (folder / "closed").mkdir(mode=0o700)
    (folder / "closed" / "to_open").symlink_to(folder / "open")
    (folder / "to_closed").symlink_to(folder / "closed")

    def reads_past(path: str) -> bool:
        return any("dac_read_search" in word for word in unprivileged([str(folder / path)]))

    assert not reads_past("open/socket")
    assert reads_past("closed/socket")
    assert reads_past("closed/to_open/socket")
    assert reads_past("to_closed/socket")
