"""Dumps of the testbed in the forms that people keep them in, and ways to damage them."""

from __future__ import annotations

import gzip
import random
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive,
    backup_digest,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from testbed import Testbed

FORMS = {
    "custom": ("-Fc",),
    "custom, not compressed": ("-Fc", "-Z0"),
    "plain": ("-Fp",),
    "tar": ("-Ft",),
}


class Dumps:
    """A maker of dumps of one testbed's production database.

    Args:
        bed: the testbed.
        folder: the folder for its files.
    """

    def __init__(self, bed: Testbed, folder: Path) -> None:
        self.bed = bed
        self.folder = folder
        settings = bed.record["postgres"]
        self.binaries = postgres.find_binaries(settings["bin_dir"])
        self.work = folder / "work"
        self.work.mkdir()

    def make(self, form: str, *more: str) -> bytes:
        """The bytes of a dump in one of `FORMS`, with more options of pg_dump."""
        settings = self.bed.record["postgres"]
        made = subprocess.run(
            [
                self.binaries.path("pg_dump"),
                *FORMS[form],
                *more,
                f"--host={settings['host']}",
                f"--port={settings['port']}",
                f"--username={settings['user']}",
                settings["dbname"],
            ],
            env={"PGPASSWORD": settings["password"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=True,
        )
        return made.stdout

    def refusal(self, content: bytes, name: str = "backup.dump") -> str | None:
        """The error of `archive.prepare` for a file with this content; None if it accepts it."""
        path = self.folder / name
        path.write_bytes(content)
        try:
            archive.prepare(str(path), str(self.work), self.binaries, time_limit=20)
        except ResilienceError as error:
            return str(error)
        return None

    def differs(self, content: bytes, known: str) -> bool:
        """Whether `archive.verify_digest` refuses a file with this content."""
        path = self.folder / "digested.dump"
        path.write_bytes(content)
        try:
            backup_digest.verify_digest(str(path), known)
        except ResilienceError:
            return True
        return False


def cuts(size: int, count: int) -> Iterator[int]:
    """Positions to cut a file at, evenly spread from nothing to all but its last byte."""
    step = max(1, size // count)
    yield from range(0, size - 1, step)
    yield size - 1


def flips(content: bytes, count: int, first: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The content with one bit flipped, `count` times, in the bytes from `first` to `end`."""
    draw = random.Random(1)
    for _number in range(count):
        spoilt = bytearray(content)
        spoilt[draw.randrange(first, len(content) if end is None else end)] ^= 1 << draw.randrange(
            8
        )
        yield bytes(spoilt)


def members(content: bytes, count: int) -> list[bytes]:
    """The content as gzip members one behind the other, as parallel packers write them."""
    step = -(-len(content) // count)
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    return [gzip.compress(piece, mtime=0) for piece in pieces]


def counted(items: Iterable[object], holds: Callable[[object], object]) -> tuple[int, int]:
    """The number of items for which a condition holds, and the number of items."""
    results = [bool(holds(item)) for item in items]
    return sum(results), len(results)


def tool(arguments: list[str], content: bytes, time_limit: float = 5) -> int | None:
    """The exit code of a program with `content` as its input; None if the time limit ended it."""
    try:
        ended = subprocess.run(
            arguments, input=content, capture_output=True, timeout=time_limit, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return ended.returncode
