"""Run the disk monitor on a host with 20 mounts, beside check_disk."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    History,
    Sample,
)
from ansible_collections.chefwell.resilience.plugins.modules.stage_install import launcher

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.filesystems import Disks, fill

MOUNTS, DAYS, RUNS_A_DAY = 20, 365, 4
PAGES = 1000
PYTHON = "/usr/bin/python3"
TITLE = f"a disk monitor's run on a host with {MOUNTS} mounts and a year of history"
COLLECTION = "monitor-disk-space.sh: usage, thresholds, forecast, log, history"
REFERENCE = "check_disk (monitoring-plugins-basic), and an idle Python"
NOTE = "The aim is under 0.25 s, and no more than 8 times an idle Python (a ratio of 0.125)."
ROUNDS = 21
CHECK_DISK = "/usr/lib/nagios/plugins/check_disk"


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[dict[str, Any]]:
    """Make the mounts in a mount namespace, the plan's 14 backups and a year of history.

    The newest backup is three hours old; every second disk grows and is cleaned up each month.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        disks = Disks(root)
        try:
            points = [disks.memory(f"m{number}", pages=PAGES) for number in range(MOUNTS)]
            for point in points:
                fill(point, 40)
            (root / "lib").mkdir()
            engine = ROOT / "plugins" / "module_utils"
            (root / "lib" / "chefwell_resilience").symlink_to(engine)
            _backups(root / "backups")
            config = {
                "paths": [str(point) for point in points],
                "discover": False,
                "backup_path": str(root / "backups"),
                "log_file": str(root / "log"),
                "state_dir": str(root / "state"),
                "fallback_dir": str(root / "run"),
            }
            (root / "disk.json").write_text(json.dumps(config))
            _write_history(str(root / "state"), [*points, root / "backups"])
            script = root / "monitor-disk-space.sh"
            options = {
                "lib_dir": str(root / "lib"),
                "python": PYTHON,
                "config_file": str(root / "disk.json"),
            }
            script.write_text(launcher(options, "monitor-disk-space"))
            script.chmod(0o755)
            yield {"script": str(script), "points": [str(point) for point in points]}
        finally:
            disks.close()


def _backups(root: Path) -> None:
    for tier, count, nights in (("daily", 7, 1), ("weekly", 4, 7), ("monthly", 3, 30)):
        (root / tier).mkdir(parents=True)
        for number in range(count):
            moment = time.time() - 3 * 3600 - number * nights * 86400
            name = time.strftime("chefwell_backup_%Y%m%d_%H%M%S.dump.gz", time.localtime(moment))
            file = root / tier / name
            file.write_bytes(b"x" * 100_000)
            os.utime(file, (moment, moment))


def _write_history(state: str, targets: list[Path]) -> None:
    rng, now = random.Random(5), time.time()
    samples = []
    for number, target in enumerate(targets):
        key = f"{'folder' if target.name == 'backups' else 'mount'}:{target}"
        for run in range(DAYS * RUNS_A_DAY):
            month = run % (30 * RUNS_A_DAY)
            grown = month / 2 + rng.uniform(-2, 2) if number % 2 else 0.0
            used = int((300 + grown) * 4096)
            moment = now - (DAYS * RUNS_A_DAY - run) * 86400 / RUNS_A_DAY
            left = PAGES * 4096 - used
            inodes = 100 + int(grown)
            samples.append(Sample(key, moment, used, left, PAGES * 4096, inodes, 1000, "ok"))
    with History(state) as history:
        history.add_samples(samples)


def collection(fixture: dict[str, Any]) -> dict[str, Any]:
    """Run the monitor as cron does."""
    done = subprocess.run([fixture["script"]], env={}, capture_output=True, text=True, check=True)
    return {"mounts": sum(point in done.stdout for point in fixture["points"])}


def reference(fixture: dict[str, Any]) -> dict[str, Any]:
    """Run the plugin, and an interpreter that does nothing."""
    paths = [argument for point in fixture["points"] for argument in ("-p", point)]
    command = [CHECK_DISK, "-w", "30%", "-c", "20%", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    subprocess.run([PYTHON, "-c", "pass"], check=True)
    return {"mounts": sum(f"{point}=" in done.stdout for point in fixture["points"])}
