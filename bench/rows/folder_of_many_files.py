"""A backup folder of 100,000 files, sized, beside `du -s`."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.disk import folder_size

FILES = 100_000
TITLE = f"a folder of {FILES} files sized, warm"
OURS = "folder_size.measure: the whole and each tier"
THEIRS = "du -s"
NOTE = "ratio: theirs / ours; the aim is 1/1.2 or more"
ROUNDS = 9


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[str]:
    """The folder, read once."""
    with tempfile.TemporaryDirectory() as folder:
        for tier in ("daily", "weekly"):
            for part in range(50):
                place = Path(folder, tier, str(part))
                place.mkdir(parents=True)
                for number in range(FILES // 100):
                    (place / str(number)).touch()
        theirs(folder)
        yield folder


def ours(folder: str) -> dict[str, int]:
    """The engine's answer."""
    return {"bytes": folder_size.measure(folder).total}


def theirs(folder: str) -> dict[str, int]:
    """The same by hand."""
    done = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=True)
    return {"bytes": int(done.stdout.split()[0])}
