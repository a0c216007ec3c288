"""Sync 100,000 unchanged backups in memory, beside a dry run of rsync."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES = 100_000
TITLE = f"a sync of {FILES} unchanged backups, over ssh, both sides in memory"
COLLECTION = "sync-backups-offsite: guards, the server's list, history"
REFERENCE = "rsync --archive --dry-run over the same sshd"
NOTE = "ratio: reference / collection; the aim is 1/1.5 = 0.67 or more"
ROUNDS = 5


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Make a lab whose copies are complete."""
    with offsite_lab.in_memory(), offsite_lab.lab(FILES, 200) as found:
        found.command("sync-backups-offsite")
        found.rsync()
        yield found


def collection(lab: Lab) -> dict[str, int]:
    """Run the command as cron does."""
    return {"sent": lab.command("sync-backups-offsite")["files_sent"]}


def reference(lab: Lab) -> dict[str, int]:
    """Run the plan's rsync without sending."""
    return {"sent": lab.rsync("--dry-run")}
