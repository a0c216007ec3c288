# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup restored into a new database of the production server, and validated there."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..backup import dumped_database, restore_size, roles_needed, staging_roles
from ..backup.dumped_database import DumpedDatabase
from ..backup.expectation import Expectation
from ..backup.kind import Archive
from ..checks import checks
from ..common import interrupt
from ..common.errors import ResilienceError
from ..common.messages import _, with_forms
from ..database.connection import driver
from ..database.postgres import Binaries, Server
from ..proof import proof_settings, unpack_folder
from ..proof.backup_proof import BackupProof, Serving
from ..proof.backup_source import BackupSource
from ..proof.phases import Phases
from ..proof.proof_settings import PASSED
from ..proof.restore_settings import RecoveryServer
from ..validation.check_context import ValidationSettings
from . import (
    database_properties,
    lost_database,
    recovery,
    recovery_lock,
    restore_notes,
    switch_state,
)
from .recovery import MARK, RESTORING, VALIDATED, RecoverySettings

# Of one tenant these are left out: only its schema is transferred.
OF_THE_DATABASE = (
    *("SUBSCRIPTION", "SUBSCRIPTION TABLE", "PUBLICATION", "PUBLICATION TABLE"),
    *("PUBLICATION TABLES IN SCHEMA", "EVENT TRIGGER"),
)


class ProductionPlace:
    """A new database of the production server as the place where a backup is restored.

    Args:
        settings: of the recovery.
        server: the production server, with client programs.
        database: the name of the new database.
        tenant: the only tenant to restore; empty for all.
    """

    throwaway, phase = False, "target"

    def __init__(
        self, settings: RecoverySettings, server: Server, database: str, tenant: str = ""
    ) -> None:
        self.settings, self.server, self.database = settings, server, database
        self.tenant = tenant
        self.validation = settings.drill.validation
        self.dumped: DumpedDatabase | None = None
        self.left_out: list[str] = []
        if tenant:
            # The other tenants are not in this database, so a check for them would fail.
            self.validation = dataclasses.replace(self.validation, tenant_query=None, queries=())

    def binaries(self) -> Binaries:
        """Return the client programs of the production server."""
        return self.server.binaries

    def prepare(self) -> None:
        """The server runs already."""

    def selection(self, ready: Archive) -> Archive:
        """Return the archive, of one tenant only the entries of it and of no tenant."""
        if not self.tenant:
            return ready
        part, self.left_out = _only_tenant(ready, self.tenant, self.validation)
        return part

    def check(self, ready: Archive) -> None:
        """Refuse an archive that names roles which the server lacks."""
        self.dumped = dumped_database.read(ready.toc.entries)
        needed = roles_needed.read(ready.toc.entries).missing(staging_roles.names(self.server))
        missing = sorted(needed.owners | needed.grantees | needed.policies)
        if missing:
            raise ResilienceError(
                _(
                    "the server lacks roles that own something in the backup or have privileges"
                    " there: %(names)s",
                    names=", ".join(missing),
                ),
                option="recovery.host",
                value=self.settings.target.host,
                remedy=_("create them first: %(command)s", command=f'CREATE ROLE "{missing[0]}"'),
            )

    def data_folder(self) -> str | None:
        """Return the server's data folder, if it is on this host."""
        return data_folder(self.settings.target)

    def open(self) -> Server:
        """Return the server."""
        return self.server

    def pg_restore_options(self, ready: Archive, folder: str) -> Sequence[str]:
        """Restore owners and privileges, too; of one tenant only the selected entries."""
        if not self.tenant:
            return []
        list_path = os.path.join(folder, "selected.list")
        with open(list_path, "w", encoding="ascii") as file:
            # pg_restore reads the number and takes the rest of the line for a comment.
            file.writelines(f"{entry.dump_id};\n" for entry in ready.toc.entries)
        os.chmod(list_path, 0o644)
        return [f"--use-list={list_path}"]

    def made_as(self, ready: Archive) -> dict[str, str]:
        """Return encoding and locale of production's database, which a plain dump does not hold.

        Nothing where it is gone, or where the dump is text of another encoding.
        """
        target = self.settings.target
        with (
            contextlib.closing(recovery.connect(target)) as connection,
            connection.cursor() as cursor,
        ):
            found = database_properties.made_as(cursor, target.dbname)
        return found if found.get("ENCODING") == ready.toc.encoding else {}

    def restored(self, proof: BackupProof, expected: Expectation) -> None:
        """Nothing is validated later: the database is removed unless it passes now."""

    @contextlib.contextmanager
    def serving(self, server: Server) -> Iterator[Serving]:
        """No application runs over the new database before the switch."""
        yield Serving()


class RecoveryRun:
    """One restore into the production server, and its result.

    Args:
        settings: of the recovery.
        source: the backup.
        phases: of the recovery.
        server: the production server.
        name: of the new database.
        tenant: the only tenant to restore; empty for all.

    Raises:
        ResilienceError: there is no such backup.
    """

    def __init__(
        self,
        settings: RecoverySettings,
        source: BackupSource,
        phases: Phases,
        server: Server,
        name: str,
        tenant: str = "",
    ) -> None:
        self.settings, self.phases, self.tenant = settings, phases, tenant
        self._place = ProductionPlace(settings, server, name, tenant)
        self.proof = BackupProof(settings.drill, source, self._place, phases)

    @property
    def left_out(self) -> list[str]:
        """Return what of the backup needs other tenants and was left out."""
        return self._place.left_out

    @property
    def dumped(self) -> DumpedDatabase | None:
        """Return what the backup holds of the database itself; None where it does not."""
        return self._place.dumped

    def run(self, afterwards: Callable[[str], object] | None = None) -> dict[str, Any]:
        """Restore and validate, and return the result as plain values.

        Args:
            afterwards: called if all checks passed so far, with the folder of the unpacked backup.
        """
        folder = unpack_folder.make(self.settings.drill.staging.work_dir)

        def work() -> None:
            self.proof.restore_and_validate(folder)
            if afterwards and not any(
                check["status"] == checks.FAILED for check in self.proof.all_checks()
            ):
                afterwards(folder)

        try:
            verdict, problem = self.proof.attempt(work)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        made = self._checks()
        result = {
            "host": recovery.host_name(),
            "target": self.settings.target.dbname,
            "unlike": [],
            "left_behind": [],
            "tenant": self.tenant or None,
            "name": None,
            "verdict": verdict,
            "problem": problem or None,
            "doubts": self.proof.doubts(),
            "backup": self.proof.backup,
            "checks": made,
            **checks.tally_statuses([check["status"] for check in made]),
            "totals": self.proof.validation.get("totals", {}),
            "phases": self.phases.phases,
            "seconds": self.phases.seconds(),
        }
        return with_forms(result, "problem")

    def comment(self) -> str:
        """Return the comment on what was validated."""
        backup = self.proof.backup
        where = backup.get("fetched_from", "") and f" of {backup['fetched_from']}"
        whole = ", which may be a part" if self.proof.may_lack else ""
        return f"{VALIDATED}, from {backup['file']}{where}, {backup['taken_at']}{whole}"

    def _checks(self) -> list[dict[str, Any]]:
        """Return the checks, without those that cannot be made here.

        The checks of the API need a backend, and none runs before the switch. Of one tenant alone
        many do not apply.
        """
        return [
            check
            for check in self.proof.all_checks()
            if not check["id"].startswith("api_")
            and (check["status"] != checks.SKIPPED or not self.tenant)
        ]


def _only_tenant(
    ready: Archive, tenant: str, validation: ValidationSettings
) -> tuple[Archive, list[str]]:
    """Return the entries of one tenant and of no tenant; and what of these needs another one."""
    if not ready.kind.in_parts:
        raise ResilienceError(
            _("a plain dump cannot be restored in part"),
            option="tenant",
            value=tenant,
            remedy=_("take a backup that pg_dump made with -Fc, -Fd or -Ft"),
        )
    prefix = validation.tenant_prefix
    schemas = {entry.schema or entry.name for entry in ready.toc.entries}
    tenants = ", ".join(sorted(name for name in schemas if name.startswith(prefix)))
    if tenant not in schemas:
        raise ResilienceError(
            _("the backup does not hold this tenant"),
            option="tenant",
            value=tenant,
            remedy=_("name one of %(names)s", names=tenants),
        )

    def is_selected(entry: Any) -> bool:
        where = entry.schema or (entry.name.split(" ")[-1] if _names_schema(entry) else "")
        return not where.startswith(prefix) or where == tenant

    without = {entry.dump_id for entry in ready.toc.entries if not is_selected(entry)}
    left_out: list[str] = []
    # What depends on what is left out is so as well; entries come after what they depend on, but
    # for those that PostgreSQL makes in two steps.
    again = True
    while again:
        again = False
        for entry in ready.toc.entries:
            if entry.dump_id not in without and without.intersection(entry.depends_on):
                without.add(entry.dump_id)
                again = True
                if entry.kind not in ("ACL", "COMMENT", "TABLE DATA"):
                    left_out.append(f"{entry.kind} {entry.schema}.{entry.name}")
    entries = [
        entry
        for entry in ready.toc.entries
        # What concerns the database and not its content is not transferred.
        if entry.dump_id not in without and entry.kind not in OF_THE_DATABASE
    ]
    rows = {
        key: count
        for key, count in ready.rows.items()
        if not key[0].startswith(prefix) or key[0] == tenant
    }
    toc = dataclasses.replace(ready.toc, entries=entries)
    of_others = sum(
        size
        for schema, size in ready.schema_bytes.items()
        if schema.startswith(prefix) and schema != tenant
    )
    # The tenant is copied once more, from its own database into production's.
    copy = ready.schema_bytes.get(tenant, 0) + sum(
        (count or 0) * restore_size.ROW_BYTES for key, count in rows.items() if key[0] == tenant
    )
    size = ready.data_bytes - of_others + copy
    return dataclasses.replace(ready, toc=toc, rows=rows, data_bytes=size), left_out


def _names_schema(entry: Any) -> bool:
    """Return whether the name of an entry ends with a schema: it is one, or a comment on one."""
    return bool(entry.kind == "SCHEMA" or entry.name.startswith("SCHEMA "))


def restore_beside(
    settings: RecoverySettings,
    *,
    path: str | None = None,
    tier: str | None = None,
    date: str | None = None,
    from_offsite: bool = False,
    progress: proof_settings.Progress | None = None,
) -> dict[str, Any]:
    """Restore a backup into a new database of the production server, and validate it.

    Args:
        settings: of the recovery.
        path, tier, date: which backup; the newest when left out.
        from_offsite: fetch it from the offsite server; then without `path`.
        progress: called when a phase begins, and with what it does.

    Returns:
        `verdict`, `problem`, `name` (the new database; None if none stands), `backup`, `checks`,
        `phases`, `seconds`, `doubts` (to look at before a switch), `unlike` (what of production's
        database the new one cannot get) and `left_behind` (what stays with the old one). A
        database that did not pass is removed, unless all that is known against its backup is that
        something may have been left out.

    Raises:
        ResilienceError: there is no such backup, the server cannot be connected to or is a standby,
            or a switch is unfinished: nothing was touched.
    """
    drill, target = settings.drill, settings.target
    with recovery_lock.locked(settings):
        refuse_unfinished_switch(settings)
        recovery.refuse_standby(target)
        phases = Phases(progress)
        source = BackupSource(path, tier, date, from_offsite)
        unpack_folder.remove_unpacked(drill.staging.work_dir)
        recovery.remove_unfinished(target)
        moment = recovery.unused_timestamp(recovery.names_in_use(target))
        name = recovery.dated_name(target.dbname, "recovered", moment)
        mark = f"{MARK}{RESTORING} since {moment}"
        server = recovery.server_of(target, mark)
        written = restore_notes.counters(settings)
        recovery_run = RecoveryRun(settings, source, phases, server, name)
        result = recovery_run.run()
        # What may be a part of production may be all that is left of it: people decide.
        if result["verdict"] == PASSED or recovery_run.proof.may_lack:
            result |= _match_production(settings, name, recovery_run.dumped)
            dumped = recovery_run.dumped
            restore_notes.save(settings, name, written, dumped.comment if dumped else None)
            recovery.comment_database(target, name, recovery_run.comment())
            result["name"] = name
        else:
            with interrupt.deferred():
                recovery.drop_marked(target, name, mark)
        return result


def refuse_unfinished_switch(settings: RecoverySettings) -> None:
    """Refuse to begin anything while a switch is unfinished.

    Raises:
        ResilienceError: a switch is unfinished.
    """
    record = switch_state.read(settings)
    if record is not None and not record.finished:
        raise switch_state.unfinished_error(record)


def data_folder(target: RecoveryServer) -> str | None:
    """Return the server's data folder, if it is one of this host; None if it cannot be found.

    A folder of that path may be another server's, so the port in its `postmaster.pid` must be that
    of the production server (line 4, PostgreSQL's manual, "Database File Layout").
    """
    with contextlib.closing(recovery.connect(target)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'")
        row = cursor.fetchone()
    folder = str(row[0]) if row else ""
    with contextlib.suppress(OSError, IndexError, ValueError):
        with open(os.path.join(folder, "postmaster.pid"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        if folder and int(lines[3]) == target.port:
            return folder
    return None


def _match_production(
    settings: RecoverySettings, name: str, dumped: DumpedDatabase | None
) -> dict[str, Any]:
    """Move a database to production's tablespace, and return what still differs.

    Where production's is gone, the new one gets what the backup holds of it.
    """
    target = settings.target
    with contextlib.closing(recovery.connect(target)) as connection, connection.cursor() as cursor:
        production = database_properties.read(cursor, target.dbname)
        restored = database_properties.read(cursor, name)
        if production is None:
            return {"unlike": lost_database.apply(target, cursor, name, dumped), "left_behind": []}
        if restored is None:
            return {"unlike": [], "left_behind": []}
        if production.tablespace != restored.tablespace:
            sql = driver().sql
            move = sql.SQL("ALTER DATABASE {} SET TABLESPACE {}")
            cursor.execute(move.format(sql.Identifier(name), sql.Identifier(production.tablespace)))
            restored = dataclasses.replace(restored, tablespace=production.tablespace)
        return {
            "unlike": database_properties.unlike(production, restored),
            "left_behind": recovery.left_behind(target, target.dbname, name),
        }
