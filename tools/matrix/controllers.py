"""Controllers: ansible-core of several versions, each in a virtual environment of its own."""

from __future__ import annotations

import dataclasses
import glob
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# ansible-core to the newest Python that it runs on.
VERSIONS = {"2.18": 13, "2.20": 13, "2.21": 13, "2.22": 13}
OLDEST_OF = {"2.18": 11, "2.20": 12, "2.21": 12, "2.22": 13}
REFUSED = ("2.18",)


@dataclasses.dataclass(frozen=True)
class Controller:
    """One ansible-core.

    Attributes:
        core: its version.
        python: the version of the Python that it runs on.
        folder: that holds its programs.
        collections: a folder with the collections that this one uses.
    """

    core: str
    python: str
    folder: Path
    collections: str

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.folder / name)


def own() -> Controller:
    """Return the one that the tests use."""
    import ansible.release

    packages = Path(ansible.release.__file__).resolve().parents[1]
    python = ".".join(map(str, sys.version_info[:2]))
    return Controller(
        ansible.release.__version__, python, Path(sys.executable).parent, str(packages)
    )


def others(folder: Path) -> tuple[list[Controller], list[tuple[str, str]]]:
    """Return the controllers that this machine can run, and why others cannot be."""
    found, lacking = [], []
    for core, newest in VERSIONS.items():
        python = _python(OLDEST_OF[core], newest)
        if not python:
            lacking.append((core, f"no Python 3.{OLDEST_OF[core]} or newer here"))
            continue
        place = folder / f"core-{core}"
        if not (place / "bin" / "ansible-playbook").exists():
            print(f"installing ansible-core {core}", flush=True)
            subprocess.run([python, "-m", "venv", str(place)], check=True)
            requirement = f"ansible-core>={core}.0rc1,<{core}.999"
            done = subprocess.run(
                [str(place / "bin" / "pip"), "install", "--quiet", "--pre", requirement],
                check=False,
            )
            if done.returncode != 0:
                lacking.append((core, "pip does not find it"))
                continue
        printed = subprocess.run(
            [str(place / "bin" / "ansible-playbook"), "--version"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        version = re.search(r"\[core ([^\]]+)\]", printed)
        running = re.search(r"python version = (\d+\.\d+)", printed)
        found.append(
            Controller(
                version[1] if version else core,
                running[1] if running else "?",
                place / "bin",
                own().collections,
            )
        )
    return found, lacking


def _python(oldest: int, newest: int) -> str | None:
    for minor in range(newest, oldest - 1, -1):
        places = [f"/usr/bin/python3.{minor}"]
        places += sorted(glob.glob(str(Path.home() / f".pyenv/versions/3.{minor}.*/bin/python")))
        for path in places:
            if Path(path).exists():
                return path
    return None
