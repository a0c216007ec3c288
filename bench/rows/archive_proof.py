"""Decode the newest backup in full, beside `gunzip | pg_restore`."""

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

TITLE = "the newest backup decoded in full"
COLLECTION = "archive.prepare: unpacked, every data entry decoded, its rows counted by table"
REFERENCE = "gunzip -c BACKUP | pg_restore -f /dev/null"
NOTE = "The collection also counts the rows of every table, which validation compares with later."


@dataclasses.dataclass(frozen=True)
class Fixture:
    backup: Path
    folder: str
    binaries: postgres.Binaries


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    backup = max(Path(bed.record["backups"], "daily").iterdir())
    binaries = postgres.find_binaries(bed.record["postgres"]["bin_dir"])
    with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        yield Fixture(backup, folder, binaries)


def collection(fixture: Fixture) -> dict[str, bool]:
    archive.prepare(str(fixture.backup), fixture.folder, fixture.binaries)
    return {"whole": True}


def reference(fixture: Fixture) -> dict[str, bool]:
    with subprocess.Popen(
        ["gunzip", "-c", str(fixture.backup)], stdout=subprocess.PIPE
    ) as unpacked:
        restored = subprocess.run(
            [fixture.binaries.path("pg_restore"), "-f", "/dev/null"],
            stdin=unpacked.stdout,
            check=False,
        )
    return {"whole": unpacked.returncode == restored.returncode == 0}
