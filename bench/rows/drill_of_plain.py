"""Drill a plain dump, beside a bare restore into the same server."""

from __future__ import annotations

import contextlib

from testbed import Testbed

from bench import restore_lab
from bench.restore_lab import Fixture

TITLE = "a plain dump, drilled"
COLLECTION = restore_lab.COLLECTION
REFERENCE = "the same server made, psql --file, rows counted, all removed"
NOTE = restore_lab.NOTE
ROUNDS = 3


def prepared(bed: Testbed) -> contextlib.AbstractContextManager[Fixture]:
    return restore_lab.dumped(bed, ".sql", "-Fp")


def collection(fixture: Fixture) -> dict[str, int]:
    return restore_lab.run_drill(fixture)


def reference(fixture: Fixture) -> dict[str, int]:
    return restore_lab.run_restore(fixture, ["psql", "--quiet", "--no-psqlrc", "--file"])
