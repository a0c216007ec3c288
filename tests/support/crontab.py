"""The crontab of the user who runs the tests; in a lane, the lane's own."""

from __future__ import annotations

import subprocess


def crontab() -> str:
    """Its lines; empty where there is none."""
    return subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout
