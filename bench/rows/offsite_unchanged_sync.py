"""Sync a tree of 10,000 unchanged backups, beside bare rsync."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES = 10_000
TITLE = f"a sync of {FILES} unchanged backups, over ssh"
COLLECTION = (
    "sync-backups-offsite: guards, the server's list, history, to an account behind the gate"
)
REFERENCE = "rsync --archive over the same sshd, and an idle Python"
NOTE = "ratio: reference / collection; the aim is 1/1.1 = 0.91 or more"
ROUNDS = 9


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Make a lab whose copies are complete."""
    with offsite_lab.lab(FILES, 200) as found:
        found.command("sync-backups-offsite")
        found.rsync()
        yield found


def collection(lab: Lab) -> dict[str, int]:
    """Run the command as cron does."""
    return {"sent": lab.command("sync-backups-offsite")["files_sent"]}


def reference(lab: Lab) -> dict[str, int]:
    """Run the plan's rsync."""
    sent = lab.rsync()
    subprocess.run([offsite_lab.PYTHON, "-c", "pass"], check=True)
    return {"sent": sent}
