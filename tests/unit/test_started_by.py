"""A process knows whether cron is among its ancestors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import started_by

CODE = f"import runpy; print(runpy.run_path({str(started_by.__file__)!r})['cron']())"


@pytest.mark.parametrize(("name", "expected"), [("cron", True), ("crond", True), ("other", False)])
def test_cron_is_found_above_a_shell(tmp_path: Path, name: str, expected: bool) -> None:
    """A copy of the shell plays the daemon: proc(5) names a process by its program."""
    daemon = tmp_path / name
    shutil.copy(shutil.which("dash") or "/bin/sh", daemon)
    command = f'/bin/sh -c "{sys.executable} -c \\"{CODE}\\"; true"; true'
    done = subprocess.run([str(daemon), "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == f"{expected}\n", done
    assert os.getpid() and not started_by.cron()
