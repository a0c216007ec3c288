"""Drill a backup in the directory format, beside a bare restore into the same server."""

from __future__ import annotations

import contextlib

from testbed import Testbed

from bench import restore_lab
from bench.restore_lab import Fixture

TITLE = "a backup in the directory format, drilled"
COLLECTION = restore_lab.COLLECTION
REFERENCE = "the same server made, as many processes of pg_restore, rows counted, all removed"
NOTE = restore_lab.NOTE
ROUNDS = 3


def prepared(bed: Testbed) -> contextlib.AbstractContextManager[Fixture]:
    return restore_lab.dumped(bed, "", "-Fd")


def collection(fixture: Fixture) -> dict[str, int]:
    return restore_lab.run_drill(fixture)


def reference(fixture: Fixture) -> dict[str, int]:
    return restore_lab.run_restore(fixture, ["pg_restore", *restore_lab.jobs()])
