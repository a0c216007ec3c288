"""The newest backup is proved whole before anything is restored."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.backup import archive
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from testbed import Testbed

TITLE = "the newest backup is proved whole"
OURS = "archive.prepare: unpacked, every data entry decoded, its rows counted by table"
THEIRS = "gunzip -c BACKUP | pg_restore -f /dev/null"
NOTE = "Ours counts the rows of every table on the way, which validation compares with later."


@dataclasses.dataclass(frozen=True)
class Things:
    backup: Path
    folder: str
    binaries: postgres.Binaries


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Things]:
    backup = max(Path(bed.record["backups"], "daily").iterdir())
    binaries = postgres.find_binaries(bed.record["postgres"]["bin_dir"])
    with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        yield Things(backup, folder, binaries)


def ours(things: Things) -> dict[str, bool]:
    archive.prepare(str(things.backup), things.folder, things.binaries)
    return {"whole": True}


def theirs(things: Things) -> dict[str, bool]:
    with subprocess.Popen(["gunzip", "-c", str(things.backup)], stdout=subprocess.PIPE) as unpacked:
        restored = subprocess.run(
            [things.binaries.path("pg_restore"), "-f", "/dev/null"],
            stdin=unpacked.stdout,
            check=False,
        )
    return {"whole": unpacked.returncode == restored.returncode == 0}
