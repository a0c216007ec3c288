"""Files get their names from open folders, and never over another file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.server.new_names import (
    FolderMove,
)


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    for path in ("daily/a", "daily/b", "weekly/a"):
        file = tmp_path / "source" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
    (tmp_path / "target").mkdir()
    return tmp_path / "source", tmp_path / "target"


def contents(tree: Path) -> dict[str, str]:
    return {str(one.relative_to(tree)): one.read_text() for one in tree.rglob("*") if one.is_file()}


def test_each_file_gets_its_path_and_no_folder_stays_open(trees: tuple[Path, Path]) -> None:
    source, target = trees
    before = len(os.listdir("/proc/self/fd"))
    with FolderMove(str(source), str(target)) as folders:
        for path in ("daily/a", "weekly/a", "daily/b"):
            folders.move(path)
    assert contents(target) == {path: path for path in ("daily/a", "daily/b", "weekly/a")}
    assert contents(source) == {}
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("earlier", [0, 1])
def test_it_never_replaces(trees: tuple[Path, Path], earlier: int) -> None:
    """Neither the first file of a folder nor a later one, which is moved by the open folder."""
    source, target = trees
    (target / "daily").mkdir()
    names = ["a", "b"]
    (target / "daily" / names[earlier]).write_text("old")
    with FolderMove(str(source), str(target)) as folders:
        for name in names[:earlier]:
            folders.move(f"daily/{name}")
        with pytest.raises(FileExistsError):
            folders.move(f"daily/{names[earlier]}")
    assert (target / "daily" / names[earlier]).read_text() == "old"
    assert (source / "daily" / names[earlier]).exists()


def test_a_file_that_is_gone_is_an_error(trees: tuple[Path, Path]) -> None:
    source, target = trees
    with FolderMove(str(source), str(target)) as folders:
        folders.move("daily/a")
        with pytest.raises(FileNotFoundError):
            folders.move("daily/c")
