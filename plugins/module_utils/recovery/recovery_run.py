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
from collections.abc import Callable
from typing import Any

from ..backup import (
    archive,
    backup_digest,
    expectation,
    manifest,
    restore,
    restore_size,
    roles_needed,
)
from ..backup.archive import Archive
from ..backup.backup_choice import ChosenBackup, choose
from ..checks import checks
from ..common import interrupt
from ..common.errors import BackupError, ResilienceError
from ..common.messages import _, with_forms
from ..common.safe_text import error_line
from ..database.connection import driver
from ..database.postgres import Server
from ..proof import archive_check, backup_source, proof_settings, unpack_folder
from ..proof.phases import Phases
from ..proof.proof_settings import COULD_NOT_VERIFY, FAILED, PASSED
from ..proof.restore_settings import RecoveryServer
from ..staging import staging_state
from ..validation import restore_validation
from . import database_properties, production_writes, recovery, recovery_switch
from .recovery import MARK, RESTORING, VALIDATED, RecoverySettings
from .switch_journal import SwitchJournal


@dataclasses.dataclass(frozen=True)
class RecoverySource:
    """Which backup to restore: a path, or the newest (of a tier or a day); local or offsite."""

    path: str | None
    tier: str | None
    date: str | None
    from_offsite: bool

    def local_backup(self, settings: proof_settings.ProofSettings) -> ChosenBackup | None:
        """Return the local backup; None if it has to be fetched from offsite.

        Raises:
            ResilienceError: there is none.
        """
        if self.from_offsite:
            return None
        return choose(
            settings.backup_path,
            tiers=settings.tiers,
            pattern=settings.pattern,
            path=self.path,
            tier=self.tier,
            date=self.date,
        )


class RecoveryRun:
    """One restore into the production server, and its checks so far.

    Args:
        settings: of the recovery.
        source: the backup.
        phases: of the recovery.
        tenant: the only tenant to restore; empty for all.
    """

    def __init__(
        self, settings: RecoverySettings, source: RecoverySource, phases: Phases, tenant: str = ""
    ) -> None:
        self.settings, self.source, self.phases, self.tenant = settings, source, phases, tenant
        self.chosen = source.local_backup(settings.drill)
        self.checks: list[dict[str, Any]] = []
        self.backup: dict[str, Any] = backup_source.description(self.chosen) if self.chosen else {}
        self.totals: dict[str, Any] = {}

    def run(self, restore: Callable[[str], object]) -> dict[str, Any]:
        """Run a restore, and return its result as plain values.

        Args:
            restore: called with a folder to unpack into, which is removed afterwards.
        """
        verdict, problem = COULD_NOT_VERIFY, ""
        work_dir = self.settings.drill.staging.work_dir
        folder = unpack_folder.make(work_dir)
        try:
            restore(folder)
            failed = any(check["status"] == checks.FAILED for check in self.checks)
            verdict = FAILED if failed else PASSED
        except BackupError as error:
            verdict, problem = FAILED, error.message()
        except ResilienceError as error:
            problem = error.message()
        except KeyboardInterrupt:
            interrupt.begin_cleanup()
            problem = _("it was interrupted")
        except Exception as error:  # so that the unfinished database is removed whatever failed
            problem = error_line(error, 400)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        result = {
            "host": recovery.host_name(),
            "target": self.settings.target.dbname,
            "unlike": [],
            "left_behind": [],
            "tenant": self.tenant or None,
            "name": None,
            "verdict": verdict,
            "problem": problem or None,
            "backup": self.backup,
            "checks": self.checks,
            **checks.tally_statuses([check["status"] for check in self.checks]),
            "totals": self.totals,
            "phases": self.phases.phases,
            "seconds": self.phases.seconds(),
        }
        return with_forms(result, "problem")

    def comment(self) -> str:
        """Return the comment on what was validated."""
        where = self.backup.get("fetched_from", "") and f" of {self.backup['fetched_from']}"
        return f"{VALIDATED}, from {self.backup['file']}{where}, {self.backup['taken_at']}"

    def restore(self, folder: str, server: Server, name: str) -> Archive:
        """Verify the digest, decode, restore into a new database, and validate it.

        Returns:
            The archive that was restored.
        """
        drill = self.settings.drill
        if self.chosen is None:
            with self.phases.phase("fetch"):
                self.chosen = backup_source.fetch(drill, folder, self.source.tier, self.source.date)
            self.backup = backup_source.description(self.chosen)
            self.backup["fetched_from"] = str(backup_source.offsite_of(drill))
        path = self.chosen.path
        with self.phases.phase("digest"):
            known = manifest.read(path)
            digest = backup_digest.verify_digest(
                path, known.sha256 if known else None, backup_digest.MANIFEST
            )
            self.backup["sha256"] = digest.sha256
        with self.phases.phase("decode"):
            ready = archive.prepare(path, folder, server.binaries, time_limit=drill.time_limit)
        if self.tenant:
            ready = self._only_tenant(ready)
        self._refuse_missing_roles(ready)
        expected = expectation.from_entries(ready.toc.entries, ready.rows)
        # A manifest names all of the backup, so it does not state what one tenant must hold.
        lost = manifest.apply(known, expected) if known and not self.tenant else []
        self.add_check(
            "archive",
            archive_check.evidence(
                ready,
                digest,
                expected,
                lost,
                self.backup["file"],
                self.backup.get("set_aside", ()),
            ),
        )
        data_dir = data_folder(self.settings.target)
        if data_dir:
            restore_size.check_room(restore_size.estimate(ready, expected), data_dir)
        with self.phases.phase("restore"):
            done = restore.restore(
                ready,
                server,
                name,
                jobs=drill.jobs or None,
                time_limit=drill.time_limit,
                options=self._pg_restore_options(ready, folder),
            )
        self.add_check("restore", checks.Evidence(restore.evidence(done), done.errors))
        self.validate(server, name, expected)
        return ready

    def validate(self, server: Server, name: str, expected: expectation.Expectation) -> None:
        """Validate a restored database, and add the checks to those of this run."""
        validation = self.settings.drill.validation
        if self.tenant:
            # The other tenants are not in this database, so a check for them would fail.
            validation = dataclasses.replace(validation, tenant_query=None, queries=())
        with self.phases.phase("validate"):
            result = restore_validation.validate_restore(
                server.dsn(name),
                expected,
                validation,
                None,
                progress=self.phases.reporter("validate"),
            )
        # The checks of the API need a backend, and none runs before the switch: they are left out.
        made = [check for check in result["checks"] if not check["id"].startswith("api_")]
        self.checks += [
            check for check in made if check["status"] != checks.SKIPPED or not self.tenant
        ]
        self.totals = result["totals"]

    def add_check(self, id: str, evidence: checks.Evidence) -> None:
        """Add the check that the last phase made."""
        seconds = self.phases.phases[-1]["seconds"]
        self.checks.append(checks.conclude(id, evidence, seconds).to_dict())

    def _only_tenant(self, ready: Archive) -> Archive:
        """Return the archive with only the entries of this tenant and of no tenant."""
        if ready.format == "plain":
            raise ResilienceError(
                _("a plain dump cannot be restored in part"),
                option="tenant",
                value=self.tenant,
                remedy=_("take a backup that pg_dump made with -Fc, -Fd or -Ft"),
            )
        prefix = self.settings.drill.validation.tenant_prefix
        schemas = {entry.schema or entry.name for entry in ready.toc.entries}
        tenants = ", ".join(sorted(name for name in schemas if name.startswith(prefix)))
        if self.tenant not in schemas:
            raise ResilienceError(
                _("the backup does not hold this tenant"),
                option="tenant",
                value=self.tenant,
                remedy=_("name one of %(names)s", names=tenants),
            )

        def is_selected(entry: Any) -> bool:
            where = entry.schema or (entry.name.split(" ")[-1] if _names_schema(entry) else "")
            return not where.startswith(prefix) or where == self.tenant

        entries = [entry for entry in ready.toc.entries if is_selected(entry)]
        rows = {
            key: count
            for key, count in ready.rows.items()
            if not key[0].startswith(prefix) or key[0] == self.tenant
        }
        toc = dataclasses.replace(ready.toc, entries=entries)
        return dataclasses.replace(ready, toc=toc, rows=rows)

    def _pg_restore_options(self, ready: Archive, folder: str) -> list[str]:
        if not self.tenant:
            return []
        list_path = os.path.join(folder, "selected.list")
        with open(list_path, "w", encoding="ascii") as file:
            # pg_restore reads the number and takes the rest of the line for a comment.
            file.writelines(f"{entry.dump_id};\n" for entry in ready.toc.entries)
        os.chmod(list_path, 0o644)
        return [f"--use-list={list_path}"]

    def _refuse_missing_roles(self, ready: Archive) -> None:
        with (
            contextlib.closing(recovery.connect(self.settings.target)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT rolname FROM pg_catalog.pg_roles")
            known = {name for (name,) in cursor.fetchall()}
        needed = roles_needed.read(ready.toc.entries).missing(known)
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
        `phases`, `seconds`, `unlike` (what of production's database the new one cannot get) and
        `left_behind` (what stays with the old one). A database that did not pass is removed.

    Raises:
        ResilienceError: there is no such backup, the server cannot be connected to, or a switch is
            unfinished: nothing was touched.
    """
    drill, target = settings.drill, settings.target
    with staging_state.locked(drill.staging):
        refuse_unfinished_switch(settings)
        phases = Phases(progress)
        source = RecoverySource(path, tier, date, from_offsite)
        unpack_folder.remove_unpacked(drill.staging.work_dir)
        recovery.remove_unfinished(target)
        moment = recovery.unused_timestamp(recovery.names_in_use(target))
        name = recovery.dated_name(target.dbname, "recovered", moment)
        mark = f"{MARK}{RESTORING} since {moment}"
        server = recovery.server_of(target, mark)
        written = production_writes.counters(settings)
        recovery_run = RecoveryRun(settings, source, phases)
        result = recovery_run.run(lambda folder: recovery_run.restore(folder, server, name))
        if result["verdict"] == PASSED:
            result |= _match_production(settings, name)
            production_writes.save(settings, name, written)
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
    record = SwitchJournal(settings.drill.state_dir).read()
    if record is not None and not record.finished:
        raise recovery_switch.unfinished_error(record)


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


def _match_production(settings: RecoverySettings, name: str) -> dict[str, Any]:
    """Move a database to production's tablespace, and return what still differs."""
    target = settings.target
    with contextlib.closing(recovery.connect(target)) as connection, connection.cursor() as cursor:
        production = database_properties.read(cursor, target.dbname)
        restored = database_properties.read(cursor, name)
        if production is None or restored is None:
            return {"unlike": [], "left_behind": []}
        if production.tablespace != restored.tablespace:
            sql = driver().sql
            move = sql.SQL("ALTER DATABASE {} SET TABLESPACE {}")
            cursor.execute(move.format(sql.Identifier(name), sql.Identifier(production.tablespace)))
            restored = dataclasses.replace(restored, tablespace=production.tablespace)
        return {
            "unlike": database_properties.unlike(production, restored),
            "left_behind": database_properties.left_behind(cursor, target.dbname),
        }
