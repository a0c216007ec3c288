"""Send dumps with and without rsync's compression."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from testbed import Testbed

from bench import offsite_lab
from bench.offsite_lab import Lab

COPIES, TENANTS, SCALE, RATE = 14, 100, 6, "200mbit"
TITLE = f"{COPIES} dumps of {TENANTS} stores sent over ssh and a link of 200 Mbit/s"
COLLECTION = "the default: compress off"
REFERENCE = "compress on: -z, as in the plan"
NOTE = (
    "ratio: with -z / without. A dump is compressed when it is made; -z compresses it once more "
    "(rsync(1), --skip-compress: it has no effect). `wire` is what was sent as a share of the "
    "backups' size. -z finds a small dump in the one sent before it, some MB back; those here are "
    "longer than that, as a restaurant's are."
)
ROUNDS = 5


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Make dumps from a larger testbed, under as many names."""
    with offsite_lab.lab(0, 0, RATE) as found:
        with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
            Path(folder).chmod(0o755)  # PostgreSQL runs as another user than root
            larger = Testbed.up(Path(folder) / "bed", tenants=TENANTS, scale=SCALE)
            try:
                _copy(sorted(Path(larger.record["backups"], "daily").glob("*.gz")), found.tree)
            finally:
                larger.down()
        yield found


def _copy(dumps: list[Path], tree: Path) -> None:
    for number in range(COPIES):
        name = f"chefwell_backup_202601{number + 1:02}_030000.dump.gz"
        tier = offsite_lab.TIERS[number % len(offsite_lab.TIERS)]
        content = dumps[number % len(dumps)].read_bytes()
        (tree / tier / name).write_bytes(content)


def before(lab: Lab, side: str) -> None:
    """Empty the copy and the state."""
    for folder in (lab.copy, lab.root / "state"):
        offsite_lab.empty(folder)
    lab.configure(compress=side == "reference")


def collection(lab: Lab) -> dict[str, float]:
    """Sync, and return the share of the backups' size that was sent."""
    done = lab.command("sync-backups-offsite")
    share = done["bytes_sent"] / done["bytes_of_files"]
    return {"files": done["files_sent"], "wire": round(share, 2)}


reference = collection
