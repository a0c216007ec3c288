"""PostgreSQL's programs are reached by a user that is not root, wherever they lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from testbed import production
from testbed.engine import postgres, process


def test_programs_below_a_folder_that_is_closed_to_others(tmp_path: Path) -> None:
    """A checkout under /root: access(2), which initdb uses, must allow what open(2) allows."""
    home = tmp_path / "home"
    home.mkdir()
    programs = home / "programs"
    # The whole package, so that the loader finds its libraries by their relative path.
    package = Path(production.binaries().bin_dir).parents[1]
    shutil.copytree(package.parent / package.name, programs / package.name, symlinks=True)
    for libraries in package.parent.glob(f"{package.name}.libs"):
        shutil.copytree(libraries, programs / libraries.name)
    home.chmod(0o700)
    bin_dir = programs / package.name / "pginstall" / "bin"
    data = tmp_path / "data"
    data.mkdir()
    if os.geteuid() == 0:
        os.chown(data, postgres.UNPRIVILEGED, postgres.UNPRIVILEGED)
    prefix = postgres.unprivileged([str(bin_dir), str(data)])
    made = process.run(
        [*prefix, str(bin_dir / "initdb"), f"--pgdata={data}/cluster", "--no-sync"],
        time_limit=60,
        cwd="/",
    )
    assert made.code == 0, made.errors
    assert os.stat(data / "cluster").st_uid != 0
