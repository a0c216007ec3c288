"""Make a backup with its manifest, beside pg_dump alone."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.backup import archive_toc
from testbed import Testbed, production

from bench.offsite_lab import ROOT, in_memory

TITLE = "a backup made with its manifest"
COLLECTION = "backup-manifest --tier daily: pg_dump -Fc, every definition and row read beside it"
REFERENCE = "pg_dump -Fc alone"
NOTE = ""
ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class Fixture:
    """A database, and a folder in memory.

    Attributes:
        folder: has a backup tree.
        config: of the command.
        url: of the database.
        environment: of both sides.
    """

    folder: Path
    config: Path
    url: str
    environment: dict[str, str]


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    with in_memory(), tempfile.TemporaryDirectory(prefix="chefwell-bench-") as name:
        folder = Path(name)
        (folder / "daily").mkdir()
        library = folder / "lib"
        library.mkdir()
        (library / "chefwell_resilience").symlink_to(ROOT / "plugins" / "module_utils")
        config = folder / "staging.json"
        config.write_text(
            json.dumps(
                {
                    "engine": "embedded",
                    "backup_path": str(folder),
                    "work_dir": str(folder / "work"),
                    "state_dir": str(folder / "state"),
                    "log_file": str(folder / "log"),
                    "bin_dir": production.binaries().bin_dir,
                }
            )
        )
        server = bed.record["postgres"]
        environment = {
            "PYTHONPATH": str(library),
            "PATH": os.defpath,
            "PGPASSFILE": bed.record["passfile"],
        }
        yield Fixture(
            folder,
            config,
            "postgresql://{user}@{host}:{port}/{dbname}".format(**server),
            environment,
        )


def before(fixture: Fixture, _side: str) -> None:
    """Remove what was made: a backup of the same second would have its name."""
    for file in [*fixture.folder.glob("daily/*"), *fixture.folder.glob("*.dump")]:
        file.unlink()


def collection(fixture: Fixture) -> dict[str, int]:
    """Run the command as cron does; the note has the most memory that its own process held."""
    global NOTE
    command = [sys.executable, "-c", _COMMAND, "backup-manifest", "--config", str(fixture.config)]
    made = subprocess.run(
        [*command, "--tier", "daily", "--dsn", fixture.url],
        env=fixture.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    NOTE = (
        "The aim is 1/1.25 = 0.8 or more; below 500 MB less than a second more. The command"
        f" held {int(made.stderr.split()[-1]) >> 10} MiB."
    )
    (backup,) = fixture.folder.glob("daily/*.dump")
    return _tables(backup)


# The command as its launcher runs it; its last line is the most KiB that this process held.
_COMMAND = """
import atexit, re, sys
from chefwell_resilience import host_cli
status = lambda: re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
atexit.register(lambda: sys.stderr.write(status() + "\\n"))
sys.exit(host_cli.main(sys.argv[1:]))
"""


def reference(fixture: Fixture) -> dict[str, int]:
    backup = fixture.folder / "alone.dump"
    command = [production.binaries().path("pg_dump"), "-Fc", f"--file={backup}", fixture.url]
    subprocess.run(command, env=fixture.environment, check=True)
    return _tables(backup)


def _tables(backup: Path) -> dict[str, int]:
    contents = archive_toc.read(str(backup))
    return {"tables": sum(entry.kind == "TABLE DATA" for entry in contents.entries)}
