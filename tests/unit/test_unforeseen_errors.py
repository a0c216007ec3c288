"""An exception that no code foresaw: one line, the exit code of every error, no traceback."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.commands import (
    commands_checkpoint,
    commands_disk_monitor,
    commands_doctor,
    commands_recovery,
)

# Nobody knows such an input, or it would be foreseen: the work of the commands is replaced.
BROKEN: dict[str, Any] = {
    "monitor-disk-space": commands_disk_monitor,
    "doctor": commands_doctor,
    "checkpoint": commands_checkpoint,
    "disaster-recovery": commands_recovery,
}


def break_down(*_given: object) -> int:
    raise KeyError("a key\nthat \x1b[31mnobody gave")


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("debug", [False, True])
def test_it_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    debug: bool,
) -> None:
    commands = BROKEN[name].COMMANDS
    monkeypatch.setitem(commands, name, commands[name]._replace(run=break_down, limits=None))
    # Its settings do not matter here.
    monkeypatch.setattr(host_cli.settings, "load", lambda path, kind: None)
    monkeypatch.setenv("RESILIENCE_DEBUG", "1" if debug else "")
    assert host_cli.main([name, f"--config={tmp_path}/none.json"]) == 3
    errors = capsys.readouterr().err
    assert ("Traceback" in errors) == debug
    line = errors.splitlines()[-1]
    assert line.startswith(f"{name}: unexpected error, KeyError: ") and "\x1b" not in line
    assert "a key" in line and "test_unforeseen_errors.py:" in line
    assert debug or ("RESILIENCE_DEBUG=1" in line and errors.count("\n") == 1)


def test_what_reads_the_output_gets_the_reason_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"paths": ["/"], "state_dir": str(tmp_path)}))
    commands = commands_disk_monitor.COMMANDS
    name = "monitor-disk-space"
    monkeypatch.setitem(commands, name, commands[name]._replace(run=break_down, limits=None))
    monkeypatch.setattr(host_cli.settings, "load", lambda path, kind: None)
    assert host_cli.main([name, f"--config={config}", "--nagios"]) == 3
    assert "KeyError" in capsys.readouterr().out


def test_a_thread_that_breaks_down_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(*_given: object) -> int:
        worker = threading.Thread(target=break_down, name="sessions")
        worker.start()
        worker.join()
        return 0

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    name = "disaster-recovery"
    commands = commands_recovery.COMMANDS
    monkeypatch.setitem(commands, name, commands[name]._replace(run=run))
    monkeypatch.setattr(host_cli.settings, "load", lambda path, kind: None)
    assert host_cli.main([name, f"--config={tmp_path}/none.json"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sessions: unexpected error, KeyError: "), line
