"""A process knows whether cron is among its ancestors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.commands import command

SCRIPT = """
import sys
sys.path[:0] = {path!r}
from {module} import started_by_cron
print(started_by_cron())
"""


@pytest.mark.parametrize(("name", "expected"), [("cron", True), ("crond", True), ("other", False)])
def test_cron_is_found_above_a_shell(tmp_path: Path, name: str, expected: bool) -> None:
    """A copy of the shell plays the daemon: proc(5) names a process by its program."""
    daemon, script = tmp_path / name, tmp_path / "script.py"
    shutil.copy(shutil.which("dash") or "/bin/sh", daemon)
    script.write_text(SCRIPT.format(path=sys.path, module=command.__name__))
    line = f'/bin/sh -c "{sys.executable} {script}; true"; true'
    done = subprocess.run([str(daemon), "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == f"{expected}\n", done
