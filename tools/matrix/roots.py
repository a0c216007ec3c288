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
    unpacked = folder / system.suite
    if unpacked.exists():
        return unpacked
    print(f"making a root of {system.name} (a minute or two)", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    archive, partial = folder / f"{system.suite}.tar", folder / f"{system.suite}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    more = () if system.suite == "bullseye" else ("apprise",)
    packages = ",".join((*PACKAGES, *more, f"postgresql-{system.postgres}"))
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}"),
            '--aptopt=Acquire::Check-Valid-Until "false"',
            *(system.suite, str(archive), MIRROR),
        ],
        check=True,
    )
    subprocess.run(
        ["tar", "-C", str(partial), "--exclude=./dev/*", "-xpf", str(archive)], check=True
    )
    archive.unlink()
    # Last, so that a root that is there is whole.
    partial.rename(unpacked)
    return unpacked
