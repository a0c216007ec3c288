"""One run of the monitor on a host with 20 mounts, beside check_disk."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from filesystems import Disks  # noqa: E402

MOUNTS = 20
PYTHON = "/usr/bin/python3"
TITLE = f"a disk monitor's run on a host with {MOUNTS} mounts"
OURS = "monitor-disk-space: measured, judged, foretold, logged, remembered"
THEIRS = "check_disk (monitoring-plugins-basic), and Python started and ended"
NOTE = "ratio: theirs / ours; the aim is 1/3 or more"
ROUNDS = 9
CHECK_DISK = "/usr/lib/nagios/plugins/check_disk"


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[dict[str, Any]]:
    """The mounts, in a mount namespace of our own, and a history of a month."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        disks = Disks(root)
        try:
            points = [str(disks.memory(f"m{number}")) for number in range(MOUNTS)]
            (root / "lib").mkdir()
            engine = ROOT / "plugins" / "module_utils"
            (root / "lib" / "chefwell_resilience").symlink_to(engine)
            for tier in ("daily", "weekly", "monthly"):
                (root / "backups" / tier).mkdir(parents=True)
            config = {
                "paths": points,
                "backup_path": str(root / "backups"),
                "log_file": str(root / "log"),
                "state_dir": str(root / "state"),
                "fallback_dir": str(root / "run"),
            }
            (root / "disk.json").write_text(json.dumps(config))
            yield {"root": root, "points": points}
        finally:
            disks.close()


def ours(things: dict[str, Any]) -> dict[str, Any]:
    """A run as cron starts it."""
    root = things["root"]
    module = "chefwell_resilience.host_cli"
    command = [PYTHON, "-m", module, "monitor-disk-space", "--config", str(root / "disk.json")]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(root / "lib")}, capture_output=True, text=True, check=True
    )
    seen = sum(point in done.stdout for point in things["points"])
    return {"mounts": seen}


def theirs(things: dict[str, Any]) -> dict[str, Any]:
    """The plugin, and an interpreter that does nothing."""
    paths = [argument for point in things["points"] for argument in ("-p", point)]
    command = [CHECK_DISK, "-w", "30%", "-c", "20%", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    subprocess.run([PYTHON, "-c", "pass"], check=True)
    return {"mounts": sum(f"{point}=" in done.stdout for point in things["points"])}
