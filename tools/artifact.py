"""Build the collection's artifact, as for a release, and install it into an empty folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_sources(folder: Path) -> None:
    """Copy the files that git knows, or would add, as a checkout for a release has them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        cwd=ROOT,
    ).stdout
    # A file that was removed and not yet committed is still listed.
    there = [name for name in listed.split(b"\0") if name and (ROOT / os.fsdecode(name)).exists()]
    subprocess.run(
        ["xargs", "-0", "cp", "--parents", "-t", str(folder)],
        input=b"\0".join(there),
        check=True,
        cwd=ROOT,
    )


def install(galaxy: str, folder: Path) -> Path:
    """Build the artifact and install it; return the folder of the installed collections.

    Args:
        galaxy: the program `ansible-galaxy`.
        folder: an empty one, for the sources, the artifact and `collections`.
    """
    source, installed = folder / "source", folder / "collections"
    source.mkdir()
    copy_sources(source)
    # Away from the checkout, whose ansible.cfg names it as an installed collection.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(installed),
    }

    def run(*arguments: str) -> None:
        subprocess.run(
            [galaxy, "collection", *arguments],
            check=True,
            capture_output=True,
            env=environment,
            cwd=folder,
        )

    run("build", "--output-path", str(folder), str(source))
    (artifact,) = folder.glob("chefwell-resilience-*.tar.gz")
    run("install", str(artifact), "--no-deps", "-p", str(installed))
    return installed
