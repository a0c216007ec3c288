"""Folders whose variable has changed are named while something would be left in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.launcher import (
    command_script,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.preflight import moved_folders


def install(root: Path) -> None:
    """Put an installation's folders there, with the doctor's file and command."""
    for name in ("lib", "scripts", "etc", "state"):
        (root / name).mkdir()
    (root / "etc" / "disk.json").write_text("{}")
    (root / "state" / "history.sqlite3").write_text("")
    named = {"config_dir": str(root / "etc"), "folders": [str(root / "lib"), str(root / "state")]}
    (root / "lib" / "doctor.json").write_text(json.dumps(named))
    script = command_script("/usr/bin/python3", "/launch.py", "doctor", f"{root}/lib/doctor.json")
    (root / "scripts" / "doctor.sh").write_text(script)


def found(root: Path, **changed: str) -> list[str]:
    names = {"lib": "lib", "scripts": "scripts", "config": "etc", "state": "state", **changed}
    return moved_folders.problems(*(str(root / name) for name in names.values()))


@pytest.mark.parametrize("lib", ["lib", "new/lib"])
def test_a_changed_folder_is_named_with_its_remedy(tmp_path: Path, lib: str) -> None:
    assert found(tmp_path) == []  # nothing is installed
    install(tmp_path)
    assert found(tmp_path, lib=lib) == []
    (one,) = found(tmp_path, lib=lib, config="new")
    assert f"[host_kit_config_dir='{tmp_path}/new']" in one
    assert f"mv {tmp_path}/etc {tmp_path}/new" in one
    (one,) = found(tmp_path, lib=lib, state="new")
    assert f"history is in {tmp_path}/state [host_kit_state_dir=" in one
    assert len(found(tmp_path, lib=lib, config="a", state="b")) == 2


def test_a_folder_that_was_moved_or_is_the_same_is_no_problem(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "state").rename(tmp_path / "new")
    assert found(tmp_path, state="new") == []
    (tmp_path / "link").symlink_to(tmp_path / "etc")
    assert found(tmp_path, config="link", state="new") == []
    (tmp_path / "lib" / "doctor.json").write_text("[half")
    assert found(tmp_path, config="b") == []
