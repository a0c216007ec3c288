"""Measure a backup folder of 100,000 files, beside `du -s`."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.disk import folder_size

FILES = 100_000
TITLE = f"the size of a folder of {FILES} files, warm"
COLLECTION = "folder_size.folder_size: all of it, and each tier"
REFERENCE = "du -s"
NOTE = "ratio: reference / collection; the aim is 1/1.2 or more"
ROUNDS = 9


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[str]:
    """Make the folder and read it once."""
    with tempfile.TemporaryDirectory() as folder:
        for tier in ("daily", "weekly"):
            for part in range(50):
                place = Path(folder, tier, str(part))
                place.mkdir(parents=True)
                for number in range(FILES // 100):
                    (place / str(number)).touch()
        reference(folder)
        yield folder


def collection(folder: str) -> dict[str, int]:
    """Measure it with the engine."""
    return {"bytes": folder_size.folder_size(folder).total}


def reference(folder: str) -> dict[str, int]:
    """Measure it with `du`."""
    done = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=True)
    return {"bytes": int(done.stdout.split()[0])}
