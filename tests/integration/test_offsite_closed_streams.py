"""A sync and a verification need no output: a service manager may start them with it closed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import offsite_lab


def test_they_do_their_work_and_log_it() -> None:
    with offsite_lab.in_memory(), offsite_lab.lab(3, 200) as lab:
        start = f"{offsite_lab.PYTHON} -m chefwell_resilience.host_cli"
        for command in ("sync-backups-offsite", "verify-offsite-backups"):
            for closed in (">&-", "--json >&- 2>&- <&-"):
                line = f"{start} {command} --config {lab.config} {closed}"
                done = subprocess.run(
                    ["sh", "-c", line],
                    env=lab.environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert (done.returncode, done.stderr) == (0, ""), line
        assert offsite_lab.held(lab.copy)["files"] == 3
        assert (lab.root / "log").read_text().count("ok: ") == 2
