"""Root folders of Debian, as its installer leaves them, with what the README requires."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    *("python3", "cron", "openssh-server", "openssh-client", "rsync", "sudo", "ca-certificates"),
    *("python3-psutil", "python3-psycopg2", "python3-jinja2", "bubblewrap"),
    *("iproute2", "locales", "logrotate"),
)


@dataclasses.dataclass(frozen=True)
class System:
    """A system that hosts run.

    Attributes:
        suite: of Debian.
        name: for people.
        postgres: the major version of its PostgreSQL.
        python: the version of its Python.
    """

    suite: str
    name: str
    postgres: int
    python: str


SYSTEMS = (
    System("bullseye", "Debian 11", 13, "3.9"),
    System("bookworm", "Debian 12", 15, "3.11"),
    System("trixie", "Debian 13", 17, "3.13"),
)


def root(system: System, folder: Path) -> Path:
    """Return the system's root folder, made by mmdebstrap if it is not there."""
    archive, unpacked = folder / f"{system.suite}.tar", folder / system.suite
    folder.mkdir(parents=True, exist_ok=True)
    if not archive.exists():
        print(f"making a root of {system.name} (a minute or two)", flush=True)
        partial = folder / f"{system.suite}.partial.tar"
        packages = ",".join((*PACKAGES, f"postgresql-{system.postgres}"))
        subprocess.run(
            [
                *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}"),
                '--aptopt=Acquire::Check-Valid-Until "false"',
                *(system.suite, str(partial), MIRROR),
            ],
            check=True,
        )
        partial.rename(archive)
    if not (unpacked / "usr" / "bin" / "python3").exists():
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir()
        subprocess.run(
            ["tar", "-C", str(unpacked), "--exclude=./dev/*", "-xpf", str(archive)], check=True
        )
    return unpacked
