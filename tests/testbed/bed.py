"""The testbed as a whole: up, down, status."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2

from . import backend_service, backup_server, backup_tree, production, record, sample
from .backend_service import Backend
from .backup_server import BackupServer
from .engine import ResilienceError, process
from .production import Production
from .seeding import Seeding

Report = Callable[[str], None]

# What a testbed makes in its root, `scripts` aside, which others may share.
FOLDERS = ("backend", "backups", "backup-server", "logs", "postgres", "run", "sshd")


class Testbed:
    """ChefWell in miniature, running.

    Made by `up` or `open`, not directly.

    Attributes:
        root: its folder.
        record: the content of its `testbed.json`.
        production, backend, server: its three servers.
    """

    # pytest would collect it by its name.
    __test__ = False

    def __init__(self, root: Path, content: dict[str, Any]) -> None:
        self.root = root
        self.record = content
        self.production = Production(root, content["postgres"])
        self.backend = Backend(root, content["backend"])
        self.server = BackupServer(root, content["ssh"])

    @classmethod
    def up(
        cls,
        root: str | os.PathLike[str],
        *,
        tenants: int = 100,
        seed: int = 1,
        scale: float = 1,
        report: Report | None = None,
        now: datetime.datetime | None = None,
        newest_only: bool = False,
    ) -> Testbed:
        """Make a testbed and start it; one that is up gets its ended parts started again.

        Args:
            root: its folder, made if it is not there.
            tenants: how many, ChefWell's own included.
            seed: the same one gives the same rows.
            scale: factor on the rows of the stores other than ChefWell's own; 60 makes 500 MB of
                100 stores.
            report: called with a line about the progress.
            now: local time, from which the backups' dates go back.
            newest_only: make the newest daily backup alone, which is much sooner.

        Raises:
            ResilienceError: a bad value, a root that is something else's, a program that is
                missing. What was made until then is removed again.
        """
        folder = Path(root).resolve()
        report = report or _silent
        expected = {"tenants": tenants, "seed": seed, "scale": scale}
        if tenants < 1 or scale <= 0:
            raise ResilienceError("a testbed has at least one store and rows", value=expected)
        root_made = not folder.exists()
        if root_made:
            folder.mkdir(parents=True)
            folder.chmod(0o755)
        with _alone(folder):
            content = record.read(folder)
            if content and content["complete"]:
                bed = cls(folder, content)
                bed._same(expected)
                bed._restart(report)
                return bed
            if content:
                report("an earlier start was cut off: it is removed first")
                root_made = bool(content["root_made"])
                cls(folder, content)._remove(report)
                folder.mkdir(exist_ok=True)
            bed = cls(folder, _describe(folder, expected, root_made))
            try:
                bed._make(report, now or datetime.datetime.now(), newest_only)
            except BaseException:
                with contextlib.suppress(Exception):
                    bed._remove(report)
                raise
            return bed

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Testbed | None:
        """The testbed in a folder, running or not; None if there is none."""
        folder = Path(root).resolve()
        content = record.read(folder)
        return cls(folder, content) if content else None

    def down(self, report: Report | None = None) -> None:
        """Ends its servers and removes everything it made. A second time does nothing."""
        if not self.root.is_dir():
            return
        with _alone(self.root):
            if record.read(self.root):
                self._remove(report or _silent)

    def status(self) -> dict[str, int | None]:
        """Process numbers by server: `postgres`, `backend`, `sshd`; None for one not running."""
        parts = (self.production, self.backend, self.server)
        return {part.service.name: part.service.pid() for part in parts}

    def connect(self, dbname: str | None = None) -> psycopg2.extensions.connection:
        """A connection to the production database as its superuser."""
        return self.production.connect(dbname)

    def authorize(self, public_key_line: str) -> None:
        """Lets the owner of a key log in to the backup server."""
        self.server.authorize(public_key_line)

    def back_up(self) -> Path:
        """Run the owner's backup script; return the new daily backup.

        Raises:
            ResilienceError: it failed; with its words.
        """
        ended = process.run([self.record["backup_script"]], time_limit=600, cwd="/")
        if ended.code != 0:
            raise ResilienceError(f"the backup script ended with {ended.ending()}: {ended.errors}")
        return max((self.root / "backups" / "daily").glob("chefwell_backup_*.dump.gz"))

    def backend_with(self, **environment: str) -> contextlib.AbstractContextManager[str]:
        """A second backend, with `BREAK_ROUTE` for instance; the block gets its URL."""
        return self.backend.another(**environment)

    def _same(self, requested: dict[str, Any]) -> None:
        for name, value in requested.items():
            if self.record[name] != value:
                raise ResilienceError(
                    f"a testbed with {name} {self.record[name]} is up there",
                    option=name,
                    value=value,
                    remedy="take it down first, or name another root",
                )

    def _restart(self, report: Report) -> None:
        ended = [name for name, pid in self.status().items() if pid is None]
        for part in (self.production, self.backend, self.server):
            if part.service.name in ended:
                _insist(part.start)
                report(f"{part.service.name} had ended, started again")
        if ended:
            self._save()
        else:
            report("is up already, nothing changed")

    def _make(self, report: Report, now: datetime.datetime, newest_only: bool) -> None:
        started = time.monotonic()

        def progress(text: str) -> None:
            report(f"{text} ({time.monotonic() - started:.1f} s)")

        self._save()
        self.production.make()
        self.production.start()
        self._save()
        progress(f"PostgreSQL 16 on port {self.record['postgres']['port']}")
        expected = sample.stores(self.record["tenants"], self.record["seed"], self.record["scale"])
        self.record["users"] = [
            {"email": store.admin.email, "password": sample.PASSWORD, "schema": store.schema}
            for store in expected
        ]
        with contextlib.closing(self.production.connect("postgres")) as maintenance:
            maintenance.autocommit = True
            with maintenance.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {production.DATABASE}")
        with contextlib.closing(self.production.connect()) as connection:
            seeding = Seeding(connection, expected)
            seeding.make_tables()
            progress(f"{len(expected)} stores, {8 * len(expected) + 2} tables")
            self.record |= backup_tree.install_script(self.root, self.record["postgres"])
            dumps = backup_tree.fill(
                self.root / "backups",
                self.production,
                self.record["passfile"],
                seeding,
                now,
                newest_only=newest_only,
            )
            seeding.finish()
        count = 1 if newest_only else 14
        progress(f"rows, and {count} backups from {dumps} dumps, in {self.record['backups']}")
        self.server.make()
        self.server.start()
        progress(f"backup server, sshd on port {self.record['ssh']['port']}")
        self.backend.make()
        self.backend.start()
        progress(f"backend at {self.record['backend']['url']}")
        self.record["complete"] = True
        self._save()

    def _remove(self, report: Report) -> None:
        self.backend.stop()
        self.server.stop()
        self.production.stop()
        report("backend, sshd and PostgreSQL have ended")
        self.server.remove()
        backup_tree.remove_script(self.root)
        for folder in FOLDERS:
            shutil.rmtree(self.root / folder, ignore_errors=True)
        (self.root / "postgres.password").unlink(missing_ok=True)
        (self.root / record.NAME).unlink(missing_ok=True)
        if self.record["root_made"] and not any(self.root.iterdir()):
            self.root.rmdir()

    def _save(self) -> None:
        record.write(self.root, self.record)


def _describe(root: Path, requested: dict[str, Any], root_made: bool) -> dict[str, Any]:
    """The record of a testbed that does not exist yet.

    Raises:
        ResilienceError: something else has one of its folders.
    """
    taken = [name for name in FOLDERS if (root / name).exists()]
    if taken:
        raise ResilienceError(
            f"the folder holds {', '.join(taken)}, which no testbed made",
            option="root",
            value=str(root),
            remedy="name a folder of the testbed's own",
        )
    postgres = production.describe(root)
    return {
        "version": record.VERSION,
        "complete": False,
        "root": str(root),
        "root_made": root_made,
        **requested,
        "postgres": postgres,
        "backend": backend_service.describe(root, postgres),
        "backups": str(root / "backups"),
        "ssh": backup_server.describe(root),
    }


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Lock the testbed against another `up` or `down`."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _insist(start: Callable[[], None]) -> None:
    """Starts a server that was killed; what it left running takes a moment to notice."""
    try:
        start()
    except ResilienceError:
        time.sleep(1)
        start()


def _silent(_line: str) -> None:
    return None
