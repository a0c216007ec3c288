"""A sync of a tree of 10,000 backups in which nothing changed, beside bare rsync."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES = 10_000
TITLE = f"a sync of {FILES} unchanged backups, over ssh"
OURS = "sync-backups-offsite: guards, the server's list, history, to an account behind the gate"
THEIRS = "rsync --archive over the same sshd, and Python started and ended"
NOTE = "ratio: theirs / ours; the aim is 1/1.1 = 0.91 or more"
ROUNDS = 9


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Both copies are equal already."""
    with offsite_lab.lab(FILES, 200) as found:
        found.command("sync-backups-offsite")
        found.rsync()
        yield found


def ours(lab: Lab) -> dict[str, int]:
    """As cron runs it."""
    return {"sent": lab.command("sync-backups-offsite")["files_sent"]}


def theirs(lab: Lab) -> dict[str, int]:
    """As somebody would type it."""
    sent = lab.rsync()
    subprocess.run([offsite_lab.PYTHON, "-c", "pass"], check=True)
    return {"sent": sent}
