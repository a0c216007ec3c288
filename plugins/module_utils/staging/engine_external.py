# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging on a server that exists already: one database there is staging's, and nothing else.

It is known by its comment, which names the work folder. A database of that name without the comment
is neither used nor dropped. The server itself also proves that it is not production: the number
that initdb gave the cluster is the same whatever its address.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from ..checks.checks import Evidence
from ..common.errors import ResilienceError
from ..common.libraries import load_psutil
from ..common.messages import _, join
from ..database import marked_database, postgres
from ..database.connection import administrator, connect, open_connection
from ..database.postgres import Binaries, Server
from . import production_guard, shared_server, staging_state
from .backend_process import ProcessBackedEngine
from .staging import StagingSettings


class ExternalEngine(ProcessBackedEngine):
    """The `external` engine; see `staging.Engine`."""

    def __init__(self, settings: StagingSettings) -> None:
        super().__init__(settings)
        self.external = settings.external
        self._first: int | None = None
        self.mark = f"chefwell.resilience staging of {settings.work_dir}"

    def binaries(self) -> Binaries:
        """Return the newest client programs on this host that are not newer than the server."""
        with contextlib.closing(self._connect()) as connection:
            major = int(connection.server_version) // 10000
        return postgres.find_binaries(
            self.settings.bin_dir or None, at_most=major, programs=postgres.CLIENTS
        )

    def data_folder(self) -> None:
        """Return None: the server's disk cannot be seen from here."""

    def check(self) -> None:
        """Make sure that the server answers, is not production, and has no other such database."""
        if not self.external.host:
            raise ResilienceError(
                _("no server is named for staging"),
                option="external.host",
                value="",
                remedy=_("give its host, port, user and password"),
            )
        with contextlib.closing(self._connect()) as connection:
            self._refuse_production(connection)
            if self._comment(connection) not in (None, self.mark):
                raise self._name_taken()
        self.backend.check()

    def prepare(self) -> None:
        """Do nothing: the server exists."""

    def up(self) -> Server:
        """Return the server as it is; its database is made by the restore."""
        self.check()
        return self._server()

    def find(self) -> Server | None:
        """Return the server, if staging's database is there."""
        try:
            with contextlib.closing(self._connect()) as connection:
                return self._server() if self._comment(connection) == self.mark else None
        except ResilienceError:
            return None

    @contextlib.contextmanager
    def isolation(self, server: Server) -> Iterator[Callable[[], Evidence]]:
        """Monitor the application's connections, and the server's where it runs on this host."""
        with (
            contextlib.closing(open_connection(server.dsn(self.settings.database))) as connection,
            self._server_is_here(connection),
            super().isolation(server) as evidence,
        ):
            yield lambda: self._with_the_server(evidence(), connection)

    def programs(self) -> list[int]:
        """Return staging's programs on this host: the application, and sessions in its database."""
        if self._first is None:
            return super().programs()
        return [
            *super().programs(),
            *shared_server.sessions(self._first, self.settings.database),
        ]

    @contextlib.contextmanager
    def _server_is_here(self, connection: Any) -> Iterator[None]:
        """Find the server's first process, if it runs on this host."""
        number = shared_server.own_process(connection)
        self._first = load_psutil().Process(number).ppid() if number else None
        self.served_port = self.external.port if number else 0
        try:
            yield
        finally:
            self._first, self.served_port = None, 0

    def _with_the_server(self, evidence: Evidence, connection: Any) -> Evidence:
        """Return the evidence with what is known of the server's own network.

        Where the server runs elsewhere and there is no application, nothing was seen.
        """
        if self._first is not None:
            seen = _("the server's sessions on this host were read as well")
        else:
            seen = _("the server's own connections cannot be seen from here")
        able = shared_server.abilities(connection)
        return Evidence(
            join([evidence.evidence, seen, able], "; "), evidence.findings, evidence.skipped
        )

    def down(self) -> list[str]:
        """Stop the backend, and drop the database if it has staging's comment."""
        from psycopg2 import sql  # the engine imports without it

        removed = self.remove_backend()
        if staging_state.read(self.settings) is None:
            # Nothing was made there, so no connection is needed.
            return removed
        if self._leads_to_production():
            return removed
        with contextlib.closing(self._connect()) as connection:
            if self._comment(connection) == self.mark:
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
                with connection.cursor() as cursor:
                    cursor.execute(drop.format(sql.Identifier(self.settings.database)))
                removed.append(f"database {self.settings.database} at {self.external.host}")
        return removed

    def _leads_to_production(self) -> bool:
        try:
            production_guard.refuse_production(
                self.settings, self.external.host, self.external.port, shared=True
            )
        except ResilienceError:
            return True
        return False

    def _server(self) -> Server:
        external = self.external
        return Server(
            external.host,
            external.port,
            external.user,
            external.password,
            self.binaries(),
            self.mark,
            external.maintenance_db,
        )

    def _connect(self) -> Any:
        external = self.external
        # By its address alone first: production is not even connected to.
        production_guard.refuse_production(self.settings, external.host, external.port, shared=True)
        return connect(
            administrator(external, external.maintenance_db),
            what=_("the staging server"),
            option="external.host",
            remedy=_("check that it runs, and its user and password"),
        )

    def _comment(self, connection: Any) -> str | None:
        """Return the comment of the database of staging's name; None without such a database."""
        with connection.cursor() as cursor:
            return marked_database.marks(cursor, self.mark).get(self.settings.database)

    def _refuse_production(self, connection: Any) -> None:
        production = self.settings.production
        with connection.cursor() as cursor:
            cursor.execute("SELECT system_identifier::text FROM pg_catalog.pg_control_system()")
            number = cursor.fetchone()[0]
            cursor.execute(
                "SELECT count(*) FROM pg_catalog.pg_database WHERE datname = %s",
                [production.dbname],
            )
            has_its_database = cursor.fetchone()[0]
        same = production.system_identifier and number == production.system_identifier
        if same or self.settings.database == production.dbname or has_its_database:
            why = (
                _("its system identifier is production's, %(number)s", number=number)
                if same
                else _("it holds production's database %(name)s", name=production.dbname)
            )
            raise ResilienceError(
                _("staging is production, or on the same server: %(why)s", why=why),
                option="external.host",
                value=self.external.host,
                remedy=_("give staging a server of its own; nothing was touched"),
            )

    def _name_taken(self) -> ResilienceError:
        return ResilienceError(
            _("a database of staging's name exists, and this staging did not make it"),
            option="database",
            value=self.settings.database,
            remedy=_("name another one, or drop that one yourself; nothing was touched"),
        )


def engine(settings: StagingSettings) -> ExternalEngine:
    """Return this engine."""
    return ExternalEngine(settings)
