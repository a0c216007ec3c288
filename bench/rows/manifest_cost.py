"""Dump a database with its manifest, beside pg_dump alone."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive_toc,
    dump_run,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from testbed import Testbed

TITLE = "a database dumped in the custom format"
COLLECTION = (
    "backup-manifest --tier: pg_dump, and the manifest of all definitions, rows and digests"
)
REFERENCE = "pg_dump -Fc alone"
NOTE = (
    "The collection also writes the SHA-256 of the backup, and both to the disk before the backup"
    " gets its name."
)
ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class Fixture:
    folder: Path
    dsn: str
    binaries: postgres.Binaries


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    server = bed.record["postgres"]
    names = {"host": "host", "port": "port", "user": "user", "dbname": "dbname"}
    dsn = " ".join(f"{name}={server[key]}" for name, key in names.items())
    with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        (Path(folder) / "daily").mkdir()
        before = os.environ.get("PGPASSWORD")
        os.environ["PGPASSWORD"] = server["password"]
        try:
            yield Fixture(Path(folder), dsn, postgres.find_binaries(server["bin_dir"]))
        finally:
            if before is None:
                del os.environ["PGPASSWORD"]
            else:
                os.environ["PGPASSWORD"] = before


def before(fixture: Fixture, _side: str) -> None:
    for one in (fixture.folder / "daily").iterdir():
        one.unlink()


def collection(fixture: Fixture) -> dict[str, int]:
    options = dump_run.DumpOptions("daily", "bench")
    done = dump_run.make(
        options,
        fixture.dsn,
        root=str(fixture.folder),
        tiers=["daily"],
        pattern="",
        bin_dir=fixture.binaries.bin_dir,
    )
    if done.lost or done.problems or done.made is None:
        raise RuntimeError(f"{done.lost} {done.problems}")
    return _entries(done.path)


def reference(fixture: Fixture) -> dict[str, int]:
    path = fixture.folder / "daily" / "alone.dump"
    command = [fixture.binaries.path("pg_dump"), "-Fc", f"--file={path}", fixture.dsn]
    subprocess.run(command, check=True)
    return _entries(str(path))


def _entries(path: str) -> dict[str, int]:
    return {"entries": len(archive_toc.read(path).entries)}
