# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One store alone: its schema restored beside the living one, compared, and switched by rename.

The store comes out of the backup in a database of its own, where its schema gets the name that it
has while it stands beside the living one; from there it goes into production in one transaction.
Its foreign keys to what all stores share are made anew against the living tables, so that rows
whose user or company is gone since the backup are told by PostgreSQL itself, with an example.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from ..backup import restore_errors
from ..checks import checks
from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import one_line
from ..database import postgres, schema_copy
from ..database.postgres import Server
from ..proof.phases import Phases
from ..proof.proof_settings import PASSED, Progress
from ..staging import staging_state
from . import recovery, recovery_switch
from .recovery import BEFORE, MARK, RESTORING, RecoverySettings
from .recovery_run import RecoveryRun, RecoverySource


def restore_beside(
    settings: RecoverySettings,
    tenant: str,
    *,
    path: str | None = None,
    tier: str | None = None,
    date: str | None = None,
    from_offsite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Restores one store's schema beside the living one, and questions it there.

    Args:
        settings: of the recovery.
        tenant: the schema.
        path, tier, date: which backup; the newest when left out.
        from_offsite: fetch it from the offsite server; then without `path`.
        progress: told what happens.

    Returns:
        As `recovery_run.restore_beside`; `name` is the new schema.

    Raises:
        ResilienceError: there is no such backup or store, or the server cannot be had.
    """
    own, target = settings.drill, settings.target
    with staging_state.locked(own.staging):
        steps = Phases(progress)
        source = RecoverySource(path, tier, date, from_offsite)
        recovery.remove_unfinished(target)
        moment = recovery.stamp(recovery.taken(target))
        between = recovery.beside(target.dbname, "store", moment)
        name = recovery.beside(tenant, "recovered", moment)
        mark = f"{MARK}{RESTORING} since {moment}"
        server = recovery.server_of(target, mark)
        attempt = RecoveryRun(settings, source, steps, tenant)

        def bring(folder: str) -> None:
            attempt.restore(folder, server, between)
            if any(check["status"] == checks.FAILED for check in attempt.checks):
                return
            with steps.phase("transfer"):
                _rename_schema(settings, between, tenant, name)
                errors = _copy(settings, server, between, name, folder)
                answer = checks.Evidence("in one go", errors)
                if not errors:
                    with (
                        contextlib.closing(recovery.connect(target, between)) as source,
                        contextlib.closing(recovery.connect(target, target.dbname)) as copy,
                    ):
                        answer = schema_copy.compare(source, copy, name)
            attempt.add("transfer", answer)

        try:
            result = attempt.result(bring)
        finally:
            recovery.drop_own(target, between, mark)
        if result["verdict"] == PASSED:
            _comment(settings, name, attempt.note())
            result["name"] = name
        else:
            recovery.remove_unfinished(target)
        return result


def switch(settings: RecoverySettings, tenant: str, name: str, confirm: str) -> dict[str, Any]:
    """Puts a schema in the living one's place; both names change in one transaction.

    Args:
        settings: of the recovery.
        tenant: the store's schema.
        name: the schema that takes its place.
        confirm: the host's name.

    Returns:
        As `recovery_switch.switch`.

    Raises:
        ResilienceError: not confirmed, no such schema of ours, another schema has foreign keys to
            the living one, or it could not be renamed: nothing was changed.
    """
    from psycopg2 import sql  # the engine imports without it

    recovery.refuse_unconfirmed(confirm)
    target = settings.target
    with staging_state.locked(settings.drill.staging):
        began = time.monotonic()
        with contextlib.closing(recovery.connect(target, target.dbname)) as connection:
            standing = recovery.schemas(connection)
            moment = recovery.stamp(standing)
            kept = recovery.beside(tenant, "before", moment)
            recovery_switch.refuse_unfit(name, standing.get(name))
            _refuse_pointed_at(connection, tenant)
            stands = tenant in standing
            rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
            said = sql.SQL("COMMENT ON SCHEMA {} IS {}")
            with _transaction(connection, name) as cursor:
                if stands:
                    old, new = sql.Identifier(tenant), sql.Identifier(kept)
                    cursor.execute(rename.format(old, new))
                    note = sql.Literal(f"{MARK}{BEFORE} {moment}")
                    cursor.execute(said.format(new, note))
                cursor.execute(rename.format(sql.Identifier(name), sql.Identifier(tenant)))
                cursor.execute(said.format(sql.Identifier(tenant), sql.SQL("NULL")))
        return {
            "host": confirm,
            "tenant": tenant,
            "name": name,
            "now": tenant,
            "kept": kept if stands else None,
            "serves": recovery.serves(target),
            "seconds": round(time.monotonic() - began, 3),
        }


def listed(settings: RecoverySettings) -> list[dict[str, str]]:
    """What could be switched to: name and what its comment says."""
    target = settings.target
    with contextlib.closing(recovery.connect(target, target.dbname)) as connection:
        return [
            {"name": name, "what": text.removeprefix(MARK)}
            for name, text in sorted(recovery.schemas(connection).items())
            if text.startswith(MARK) and not text.startswith(MARK + RESTORING)
        ]


@contextlib.contextmanager
def _transaction(connection: Any, name: str) -> Any:
    import psycopg2  # the engine imports without it

    with connection.cursor() as cursor:
        try:
            cursor.execute("BEGIN")
            # A rename waits for nobody but another change of the same schema.
            cursor.execute("SET LOCAL lock_timeout = '10s'")
            yield cursor
            cursor.execute("COMMIT")
        except psycopg2.Error as error:
            cursor.execute("ROLLBACK")
            raise ResilienceError(
                _("the names could not be changed: %(why)s", why=one_line(error)),
                option="switch",
                value=name,
                remedy=_("mend what is said; nothing was changed"),
            ) from error


def _refuse_pointed_at(connection: Any, tenant: str) -> None:
    """A key from elsewhere would go on pointing at the old rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass || '.' || conname FROM pg_catalog.pg_constraint c"
            " JOIN pg_catalog.pg_class held ON held.oid = c.confrelid"
            " JOIN pg_catalog.pg_namespace n ON n.oid = held.relnamespace"
            " WHERE contype = 'f' AND n.nspname = %s AND connamespace <> n.oid ORDER BY 1",
            [tenant],
        )
        keys = [name for (name,) in cursor.fetchall()]
    if keys:
        raise ResilienceError(
            _(
                "foreign keys from outside lead to the living store: %(keys)s",
                keys=", ".join(keys[:5]),
            ),
            option="tenant",
            value=tenant,
            remedy=_("drop them, switch, and make them anew; nothing was changed"),
        )


def _rename_schema(settings: RecoverySettings, database: str, old: str, new: str) -> None:
    """Gives the schema its name beside the living one, and the mark of what is not finished."""
    from psycopg2 import sql  # the engine imports without it

    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    with (
        contextlib.closing(recovery.connect(settings.target, database)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(rename.format(sql.Identifier(old), sql.Identifier(new)))
        said = sql.SQL("COMMENT ON SCHEMA {} IS {}")
        cursor.execute(said.format(sql.Identifier(new), sql.Literal(MARK + RESTORING)))


def _copy(
    settings: RecoverySettings, server: Server, source: str, schema: str, folder: str
) -> list[str]:
    """Brings a schema from one database of the server into production's; errors, if any."""
    os.chmod(folder, 0o700)
    path = os.path.join(folder, "store-dump")
    limit = settings.drill.time_limit
    connection = [f"--host={server.host}", f"--port={server.port}", f"--username={server.user}"]
    env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PGPASSWORD": server.password}
    with open(path, "wb") as out:
        dumped = process.run(
            [
                *postgres.unprivileged([server.binaries.bin_dir]),
                server.binaries.path("pg_dump"),
                *connection,
                *("--no-password", "--format=custom", "--compress=0"),
                # Quoted, because the option takes a pattern.
                '--schema="' + schema.replace('"', '""') + '"',
                source,
            ],
            time_limit=limit,
            env=env,
            stdout=out,
            cwd="/",
        )
    if dumped.code != 0:
        return [f"pg_dump ended with {dumped.ending()}: {dumped.errors.strip()[-300:]}"]
    with open(path, "rb") as dump:
        brought = process.run(
            [
                *postgres.unprivileged([server.binaries.bin_dir]),
                server.binaries.path("pg_restore"),
                *connection,
                *("--no-password", f"--dbname={settings.target.dbname}"),
                *("--single-transaction", "--exit-on-error"),
            ],
            time_limit=limit,
            env=env,
            stdin=dump,
            cwd="/",
        )
    if brought.code == 0:
        return []
    errors, harmless = restore_errors.classify(brought.errors)
    return errors or harmless or [f"it ended with {brought.ending()}"]


def _comment(settings: RecoverySettings, schema: str, text: str) -> None:
    from psycopg2 import sql  # the engine imports without it

    said = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    with (
        contextlib.closing(recovery.connect(settings.target, settings.target.dbname)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(said.format(sql.Identifier(schema), sql.Literal(MARK + text)))
