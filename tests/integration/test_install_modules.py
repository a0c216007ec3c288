"""The modules that look at a host, put a stage there, and take it off again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.ansible_run import run_module


def held(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_host_is_described_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "disk.json").write_text("{}")
    expected = {"python": sys.executable, "config_dir": str(tmp_path)}
    seen = run_module(
        "host_preflight",
        libraries=["json", "no_such_library"],
        programs=["sh", "no-such-program"],
        folders=[str(tmp_path / "new" / "folder"), "/proc/nowhere"],
        **expected,
    )
    assert seen["missing_libraries"] == ["no_such_library"]
    assert seen["missing_programs"] == ["no-such-program"]
    assert seen["stages"] == ["disk"] and seen["python_problem"] == ""
    assert "debian" in [seen["system"]["id"], *seen["system"]["like"]]
    none = run_module(
        "host_preflight", **{**expected, "python": "/usr/bin/true", "libraries": ["json"]}
    )
    assert none["python_problem"] and none["missing_libraries"] == ["json"]
    gone = run_module("host_preflight", **{**expected, "python": "/nowhere/python"})
    assert "/nowhere/python" in gone["python_problem"]


def test_files_are_put_there_kept_and_taken_away(tmp_path: Path) -> None:
    stage = {
        "config_file": str(tmp_path / "etc" / "disk.json"),
        "config": {"password": "s3cret-word", "language": "en"},
        "secret_options": ["password"],
        "scripts_dir": str(tmp_path / "scripts"),
        "commands": ["disk-status"],
        "python": sys.executable,
        "lib_dir": str(tmp_path / "lib"),
        "folders": {str(tmp_path / "staging"): "0755"},
        "texts": [
            {"path": str(tmp_path / "staging" / "open"), "content": "new\n", "mode": "0644"},
            {
                "path": str(tmp_path / "staging" / "env"),
                "content": "",
                "mode": "0600",
                "keep": True,
            },
        ],
    }
    foretold = run_module("stage_install", "--check", "--diff", **stage)
    assert foretold["changed"] and not held(tmp_path) and "+new" in foretold["output"]
    assert "s3cret-word" not in foretold["output"] and '"language": "en"' in foretold["output"]
    done = run_module("stage_install", **stage)
    assert done["written"] == foretold["written"] and done["changed"]
    (tmp_path / "staging" / "env").write_text("SECRET=1\n")
    assert not run_module("stage_install", **stage)["changed"]
    (tmp_path / "staging" / "env").chmod(0o644)
    (tmp_path / "staging" / "open").write_text("another\n")
    repaired = run_module("stage_install", **stage)
    assert len(repaired["written"]) == 2
    assert (tmp_path / "staging" / "env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "staging" / "env").read_text() == "SECRET=1\n"
    assert (tmp_path / "staging" / "open").read_text() == "new\n"
    wrong = {**stage, "folders": {str(tmp_path): "rwx"}}
    assert "write it as 0600" in run_module("stage_install", **wrong)["msg"]

    (tmp_path / "log").write_text("")
    (tmp_path / "log.1").write_text("")
    (tmp_path / "logged").write_text("")
    # A file of a folder that goes whole is named beside it, as the record of the stage does.
    names = ("etc", "scripts", "staging", "nowhere", "staging/env", "log")
    away = {
        "paths": [str(tmp_path / name) for name in names] + [""],
        "logs": [str(tmp_path / "log"), ""],
    }
    before = held(tmp_path)
    foretold = run_module("stage_remove", "--check", **away)
    assert held(tmp_path) == before
    done = run_module("stage_remove", **away)
    assert done["removed"] == foretold["removed"] and len(done["removed"]) == 5
    assert held(tmp_path) == {"logged"}
    assert not run_module("stage_remove", **away)["changed"]
    refused = run_module("stage_remove", paths=["/"])
    assert refused["failed"] and "no place for a stage's file" in refused["msg"]


@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_folders_have_one_mode_whatever_the_umask_is(tmp_path: Path, umask: int) -> None:
    """Commands of root lie in them, and other users run the monitoring plugin."""
    engine = {"dest": str(tmp_path / "lib" / "engine")}
    before = os.umask(umask)
    try:
        run_module(
            "stage_install",
            config_file=str(tmp_path / "a" / "etc" / "disk.json"),
            config={},
            scripts_dir=str(tmp_path / "b" / "c" / "scripts"),
            commands=["disk-status"],
            python=sys.executable,
            lib_dir=str(tmp_path / "lib"),
        )
        assert run_module("engine_install", **engine)["changed"]
    finally:
        os.umask(before)
    modes = {str(path): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*/")}
    assert modes.pop(str(tmp_path / "a" / "etc")) == 0o700
    assert len(modes) > 20 and set(modes.values()) == {0o755}, modes
    assert not run_module("engine_install", **engine)["changed"]
    if umask == 0o077:
        # As an earlier version left it.
        (tmp_path / "lib" / "engine" / "locale").chmod(0o700)
        assert run_module("engine_install", **engine)["changed"]
        assert (tmp_path / "lib" / "engine" / "locale").stat().st_mode & 0o777 == 0o755
