# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging on a server that somebody else runs: one database there is ours, and nothing else.

It is known by its comment, which names the work folder. A database of that name without the comment
is not ours: it is neither used nor dropped. Whether the server is production is asked of the server
itself, too: the number that initdb gave the cluster is the same by whatever way one gets there.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from ..database import marked_database, postgres
from ..database.connection import administrator, connect
from ..database.postgres import Binaries, Server
from . import staging
from .backend_process import ServedByProcess
from .staging import StagingSettings


class ExternalEngine(ServedByProcess):
    """The `external` engine; see `staging.Engine`."""

    def __init__(self, settings: StagingSettings) -> None:
        super().__init__(settings)
        self.place = settings.external
        self.mark = f"chefwell.resilience staging of {settings.work_dir}"

    def binaries(self) -> Binaries:
        """The newest client programs on this host that are not newer than the server."""
        with contextlib.closing(self._connect()) as connection:
            major = int(connection.server_version) // 10000
        return postgres.find_binaries(
            self.settings.bin_dir or None, at_most=major, programs=postgres.CLIENTS
        )

    def data_folder(self) -> None:
        """Its disk is not ours to see."""

    def check(self) -> None:
        """The server answers, is not production, and the database's name is free or ours."""
        if not self.place.host:
            raise ResilienceError(
                _("no server is named for staging"),
                option="external.host",
                value="",
                remedy=_("give its host, port, user and password"),
            )
        with contextlib.closing(self._connect()) as connection:
            self._refuse_production(connection)
            if self._comment(connection) not in (None, self.mark):
                raise self._not_ours()
        self.backend.check()

    def prepare(self) -> None:
        """Nothing: the server stands."""

    def up(self) -> Server:
        """The server as it is; its database is made by the restore."""
        self.check()
        return self._server()

    def find(self) -> Server | None:
        """The server, if our database stands there."""
        try:
            with contextlib.closing(self._connect()) as connection:
                return self._server() if self._comment(connection) == self.mark else None
        except ResilienceError:
            return None

    def down(self) -> list[str]:
        """Ends the backend, and drops the database if it is ours."""
        from psycopg2 import sql  # the engine imports without it

        removed = self.remove_backend()
        if staging.read_note(self.settings) is None:
            # Nothing of ours can stand there, so nobody needs to be asked.
            return removed
        if self._leads_to_production():
            return removed
        with contextlib.closing(self._connect()) as connection:
            if self._comment(connection) == self.mark:
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
                with connection.cursor() as cursor:
                    cursor.execute(drop.format(sql.Identifier(self.settings.database)))
                removed.append(f"database {self.settings.database} at {self.place.host}")
        return removed

    def _leads_to_production(self) -> bool:
        try:
            staging.refuse_production(self.settings, self.place.host, self.place.port, shared=True)
        except ResilienceError:
            return True
        return False

    def _server(self) -> Server:
        place = self.place
        return Server(
            place.host, place.port, place.user, place.password, self.binaries(), self.mark
        )

    def _connect(self) -> Any:
        place = self.place
        # By its address alone first: production is not even connected to.
        staging.refuse_production(self.settings, place.host, place.port, shared=True)
        return connect(
            administrator(place, place.maintenance_db),
            what=_("the staging server"),
            option="external.host",
            remedy=_("look whether it runs, and at its user and password"),
        )

    def _comment(self, connection: Any) -> str | None:
        """The comment of the database of our name; None without such a database."""
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
                _("staging is production, or stands beside it: %(why)s", why=why),
                option="external.host",
                value=self.place.host,
                remedy=_("give staging a server of its own; nothing was touched"),
            )

    def _not_ours(self) -> ResilienceError:
        return ResilienceError(
            _("a database of staging's name stands there, and this staging did not make it"),
            option="database",
            value=self.settings.database,
            remedy=_("name another one, or drop that one yourself; nothing was touched"),
        )


def engine(settings: StagingSettings) -> ExternalEngine:
    """This engine."""
    return ExternalEngine(settings)
