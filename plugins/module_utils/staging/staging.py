# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging: the throw-away place where a backup is restored. What every engine has in common.

An engine is one file, `engine_<name>.py`, with a class that does what `Engine` lists. Everything
that it makes is in the work folder or recorded there (`staging_state`), so that the next drill
finds and removes what a killed one left behind.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ..checks.checks import Evidence
from ..common.errors import ResilienceError
from ..common.libraries import load_psutil
from ..database.postgres import Binaries, Server

ENGINES = ("compose", "external", "embedded")


@dataclasses.dataclass(frozen=True)
class BackendSettings:
    """The application over the restored database.

    Attributes:
        command: program and arguments that start it; empty for none. Its environment has
            `DATABASE_URL`, `HOST`, `PORT`, what `env` adds, and PATH.
        env: more environment; mail, queues, payments and schedulers are switched off here.
        folders: what it reads beside the folders of its program and arguments, in a sandbox.
        port: loopback port that it listens on.
        health_path: responds with 200 when it is ready.
        seconds: time limit for becoming ready.
    """

    command: Sequence[str] = ()
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    folders: Sequence[str] = ()
    port: int = 3001
    health_path: str = "/health"
    seconds: float = 60

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"


@dataclasses.dataclass(frozen=True)
class ProductionSettings:
    """The database that is never restored into.

    Attributes:
        host: name, address or socket folder.
        port: of its server.
        dbname: its name.
        system_identifier: the number that initdb gave its cluster, as
            `SELECT system_identifier FROM pg_control_system()` returns it.
    """

    host: str = ""
    port: int = 5432
    dbname: str = ""
    system_identifier: str = ""


@dataclasses.dataclass(frozen=True)
class ComposeSettings:
    """The Docker Compose file of staging.

    Attributes:
        file: its path; the role writes it.
        image: of PostgreSQL.
        port: loopback port that its server is published on.
        volume: the name of its data volume.
        serves: whether it has a service `backend_staging`.
        docker_host: the engine, as `DOCKER_HOST` has it; the system's own when empty.
        command: program and arguments that do what `docker-compose` does; found when empty.
        seconds: time limit for the server to answer.
    """

    file: str = ""
    image: str = "postgres:16-alpine"
    port: int = 5433
    volume: str = "staging_postgres_data"
    serves: bool = False
    docker_host: str = ""
    command: Sequence[str] = ()
    seconds: float = 120


@dataclasses.dataclass(frozen=True)
class ExternalSettings:
    """A PostgreSQL server that exists already.

    Attributes:
        host, port: where it is; a socket folder is a host too.
        user, password: of a role that may create databases.
        maintenance_db: database to connect to first.
    """

    host: str = ""
    port: int = 5432
    user: str = "postgres"
    password: str = ""
    maintenance_db: str = "postgres"


@dataclasses.dataclass(frozen=True)
class StagingSettings:
    """Settings of one staging.

    Attributes:
        engine: one of `ENGINES`.
        work_dir: folder of stage 3 alone, for everything that a restore creates.
        database: name of the restored database.
        bin_dir: PostgreSQL's programs; the newest installed ones when empty.
        sandbox: whether the engine `embedded` runs server, restore programs and application in a
            sandbox.
        backend: the application.
        production: the database that is never touched.
        compose: of the engine `compose`.
        external: of the engine `external`.
    """

    engine: str
    work_dir: str
    database: str = "restaurante_staging"
    bin_dir: str = ""
    sandbox: bool = True
    backend: BackendSettings = dataclasses.field(default_factory=BackendSettings)
    production: ProductionSettings = dataclasses.field(default_factory=ProductionSettings)
    compose: ComposeSettings = dataclasses.field(default_factory=ComposeSettings)
    external: ExternalSettings = dataclasses.field(default_factory=ExternalSettings)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ResilienceError(
                "there is no such staging engine",
                option="engine",
                value=self.engine,
                remedy=f"name one of {', '.join(ENGINES)}",
            )
        if not os.path.isabs(self.work_dir) or os.path.normpath(self.work_dir) == "/":
            raise ResilienceError(
                "the work folder is not an absolute path",
                option="work_dir",
                value=self.work_dir,
                remedy="name one such as /var/lib/chefwell-resilience/staging",
            )


class Engine(Protocol):
    """A way to make staging: what every engine does."""

    def binaries(self) -> Binaries:
        """Return PostgreSQL's programs that restore into it.

        Raises:
            ResilienceError: there are none.
        """

    def serves(self) -> bool:
        """Return whether an application is configured over the restored database."""

    def data_folder(self) -> str | None:
        """Return the folder of this host that will hold the restored data; None if none will."""

    def check(self) -> None:
        """Make sure beforehand that it can be made: programs, ports, room.

        Raises:
            ResilienceError: it cannot, and why.
        """

    def prepare(self) -> None:
        """Make what `up` needs and what takes time, but start nothing.

        Called beside the decoding of a backup, of which nothing is known yet; `down` removes what
        it made.

        Raises:
            ResilienceError: it cannot.
        """

    def up(self) -> Server:
        """Return the running server, or start one and wait until it answers.

        Raises:
            ResilienceError: it does not come up.
        """

    def find(self) -> Server | None:
        """Return the server that runs and answers; None without one."""

    def start_backend(self, server: Server) -> str:
        """Start the application over the restored database, wait for it, return its URL.

        Raises:
            ResilienceError: it does not become healthy; with the end of its log.
        """

    def backend_url(self) -> str | None:
        """Return the running application's address; None without one."""

    def log_tail(self) -> str:
        """Return the end of the application's log; empty without one."""

    def stop_backend(self) -> None:
        """Stop the application, if it runs: a database in use cannot be replaced."""

    def isolation(self, server: Server) -> AbstractContextManager[Callable[[], Evidence]]:
        """Observe, while it lasts, whether anything leaves staging; yield the check.

        Entered before the application starts, where one is started. The check raises
        `ResilienceError` where it cannot be made, such as with a Docker that is gone.
        """

    def down(self) -> list[str]:
        """Remove everything it made, and nothing else; return the names of what was removed."""

    def remove_cached(self) -> list[str]:
        """Remove also what it keeps to make the next staging sooner; return the names."""


def make_engine(settings: StagingSettings) -> Engine:
    """Return the engine that the settings name.

    Raises:
        ResilienceError: psutil is missing, by which each engine identifies processes.
    """
    load_psutil()
    module = importlib.import_module(f".engine_{settings.engine}", __package__)
    made: Engine = module.engine(settings)
    return made
