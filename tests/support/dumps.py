"""Real dumps of the testbed in the forms that people keep them in, and ways to spoil them."""

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
    """One testbed's production database, dumped.

    Args:
        bed: the testbed.
        folder: for files.
    """

    def __init__(self, bed: Testbed, folder: Path) -> None:
        self.bed = bed
        self.folder = folder
        settings = bed.record["postgres"]
        self.binaries = postgres.find_binaries(settings["bin_dir"])
        self.work = folder / "work"
        self.work.mkdir()

    def make(self, form: str, *more: str) -> bytes:
        """The bytes of a dump in one of `FORMS`."""
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
        """What `archive.prepare` says of a file with this content; None if it takes it."""
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
    """The content as gzip members that lie one behind the other, as parallel packers write them."""
    step = -(-len(content) // count)
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    return [gzip.compress(piece, mtime=0) for piece in pieces]


def counted(items: Iterable[object], holds: Callable[[object], object]) -> tuple[int, int]:
    """Of how many it holds, and how many there are."""
    answers = [bool(holds(item)) for item in items]
    return sum(answers), len(answers)


def tool(arguments: list[str], content: bytes, time_limit: float = 5) -> int | None:
    """The exit code of a program that reads `content`; None if the time limit ended it."""
    try:
        ended = subprocess.run(
            arguments, input=content, capture_output=True, timeout=time_limit, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return ended.returncode
