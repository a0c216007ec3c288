# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tenant alone: its schema restored beside production's, compared, and switched by rename.

The tenant is restored into a database of its own, where its schema gets the name that it has while
it is beside production's; from there it is copied into production in one transaction. Its foreign
keys to shared tables are made against production's tables, so that PostgreSQL itself reports rows
whose user or company is gone since the backup, with an example.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from typing import Any

from ..backup import database_settings, restore_errors
from ..checks import checks
from ..common import interrupt, process
from ..common.errors import ResilienceError
from ..common.messages import Message, _, join
from ..common.safe_text import one_line
from ..database import postgres, schema_copy
from ..database.postgres import Server
from ..proof import unpack_folder
from ..proof.backup_source import BackupSource
from ..proof.phases import Phases
from ..proof.proof_settings import PASSED, Progress
from . import (
    recovery,
    recovery_lock,
    recovery_run,
    restore_notes,
    service_control,
    tenant_dependants,
)
from .recovery import BEFORE, MARK, RESTORING, RecoverySettings, replaced_by
from .recovery_run import RecoveryRun
from .recovery_switch import ShowMessage
from .tenant_dependants import CannotMove, Dependant


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
    """Restore one tenant's schema beside production's, and validate it there.

    Args:
        settings: of the recovery.
        tenant: the schema.
        path, tier, date: which backup; the newest when left out.
        from_offsite: fetch it from the offsite server; then without `path`.
        progress: called when a phase begins, and with what it does.

    Returns:
        As `recovery_run.restore_beside`; `name` is the new schema.

    Raises:
        ResilienceError: there is no such backup or tenant, or the server cannot be connected to.
    """
    drill, target = settings.drill, settings.target
    with recovery_lock.locked(settings):
        recovery_run.refuse_unfinished_switch(settings)
        recovery.refuse_standby(target)
        phases = Phases(progress)
        source = BackupSource(path, tier, date, from_offsite)
        unpack_folder.remove_unpacked(drill.staging.work_dir)
        recovery.remove_unfinished(target)
        moment = recovery.unused_timestamp(recovery.names_in_use(target))
        between = recovery.dated_name(target.dbname, "tenant", moment)
        name = recovery.dated_name(tenant, "recovered", moment)
        mark = f"{MARK}{RESTORING} since {moment}"
        server = recovery.server_of(target, mark)
        run = RecoveryRun(settings, source, phases, server, between, tenant)

        written = restore_notes.counters(settings, tenant)
        absent: list[str] = []
        described: list[str] = []

        def transfer(folder: str) -> None:
            with phases.phase("transfer"):
                refuse_inseparable(settings, between, tenant)
                absent.extend(_absent(settings, between, tenant))
                described.append(_comment_of(settings, between, tenant))
                _rename_schema(settings, between, tenant, name)
                errors = _copy(settings, server, between, name, folder)
                evidence = checks.Evidence("in one transaction", errors)
                if not errors:
                    with (
                        contextlib.closing(recovery.connect(target, between)) as original,
                        contextlib.closing(recovery.connect(target, target.dbname)) as copy,
                    ):
                        evidence = schema_copy.compare(original, copy, name)
            run.proof.add_step("transfer", evidence)

        try:
            result = run.run(transfer)
        finally:
            with interrupt.deferred():
                recovery.drop_marked(target, between, mark)
        if result["verdict"] == PASSED:
            restore_notes.save(settings, name, written, described[0] or None)
            _comment(settings, name, run.comment())
            result["name"] = name
            result["unlike"] = _unlike(run.left_out, absent)
        else:
            unpack_folder.remove_unpacked(drill.staging.work_dir)
        recovery.remove_unfinished(target)
        return result


def switch(
    settings: RecoverySettings,
    tenant: str,
    name: str,
    confirm: str | None,
    show_message: ShowMessage,
    *,
    undo: bool = False,
) -> dict[str, Any]:
    """Put a schema in place of production's; both names change in one transaction.

    Args:
        settings: of the recovery.
        tenant: its schema.
        name: the schema that takes its place.
        confirm: the host's name.
        show_message: takes the name under which the old schema is kept, before anything is done.
        undo: whether this takes the last switch back.

    Returns:
        As `recovery_switch.switch`, and `moved`: what of other schemas depended on production's
            and depends on the restored one now.

    Raises:
        ResilienceError: not confirmed, not a schema of a recovery, something of another schema
            depends on production's and cannot be moved, or it could not be renamed: nothing was
            changed.
    """
    from psycopg2 import sql  # the engine imports without it

    recovery.refuse_unconfirmed(confirm)
    target = settings.target
    with recovery_lock.locked(settings):
        began = time.monotonic()
        recovery.refuse_standby(target)
        with contextlib.closing(recovery.connect(target, target.dbname)) as connection:
            with connection.cursor() as cursor:
                comments = recovery.schemas(cursor)
            moment = recovery.unused_timestamp(comments)
            kept = recovery.dated_name(tenant, "before", moment)
            recovery.refuse_unfit(tenant, name, comments.get(name))
            exists = tenant in comments
            written = restore_notes.tables_written(settings, name, tenant)
            if exists:
                show_message(_("the old schema is kept as %(kept)s", kept=kept))
            rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
            comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
            with _transaction(connection, name) as cursor:
                dependants = tenant_dependants.find(cursor, tenant)
                _refuse_unmovable(dependants, tenant)
                for one in dependants:
                    tenant_dependants.run(cursor, one, one.before)
                if exists:
                    old, new = sql.Identifier(tenant), sql.Identifier(kept)
                    cursor.execute(rename.format(old, new))
                    text = f"{MARK}{BEFORE} {moment}, {replaced_by(name, undo)}"
                    held = comments[tenant]
                    text += f"; {held}" if held and not held.startswith(MARK) else ""
                    cursor.execute(comment.format(new, sql.Literal(text)))
                cursor.execute(rename.format(sql.Identifier(name), sql.Identifier(tenant)))
                # Production's own one; that of a tenant which is gone was noted from the backup.
                own = comments[tenant] if exists else restore_notes.comment(settings, name)
                named = sql.Literal(own) if own else sql.SQL("NULL")
                cursor.execute(comment.format(sql.Identifier(tenant), named))
                for one in dependants:
                    tenant_dependants.run(cursor, one, one.after)
                if exists:
                    _refuse_unmovable(
                        [Dependant(one.name) for one in tenant_dependants.find(cursor, kept)],
                        tenant,
                    )
        return {
            "host": confirm,
            "tenant": tenant,
            "name": name,
            "now": tenant,
            "kept": kept if exists else None,
            "problems": [],
            "left_behind": [],
            "moved": [one.name for one in dependants],
            "written_since": written,
            "serves": service_control.serves(target),
            "seconds": round(time.monotonic() - began, 3),
        }


def switchable_schemas(settings: RecoverySettings) -> list[dict[str, str]]:
    """Return the schemas that may be switched to, of every tenant."""
    target = settings.target
    with (
        contextlib.closing(recovery.connect(target, target.dbname)) as connection,
        connection.cursor() as cursor,
    ):
        return recovery.candidates(recovery.schemas(cursor), "")


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
        except ResilienceError:
            cursor.execute("ROLLBACK")
            raise
        except CannotMove as error:
            cursor.execute("ROLLBACK")
            raise ResilienceError(
                _(
                    "what depends on the tenant cannot be moved to the restored one:"
                    " %(name)s: %(why)s",
                    name=error.dependant.name,
                    why=one_line(error),
                ),
                option="tenant",
                value=name,
                remedy=_("drop them, switch, and create them again; nothing was changed"),
            ) from error
        except psycopg2.Error as error:
            cursor.execute("ROLLBACK")
            raise ResilienceError(
                _("the names could not be changed: %(why)s", why=one_line(error)),
                option="switch",
                value=name,
                remedy=_("correct what PostgreSQL reports; nothing was changed"),
            ) from error


def _refuse_unmovable(dependants: Sequence[Dependant], tenant: str) -> None:
    """Refuse a tenant on which something depends that cannot be made again by statements."""
    held = [one.name for one in dependants if not one.after]
    if held:
        raise ResilienceError(
            _(
                "these depend on the tenant and would stay with the old one: %(names)s",
                names=", ".join(held),
            ),
            option="tenant",
            value=tenant,
            remedy=_("drop them, switch, and create them again; nothing was changed"),
        )


_SHARED = """
SELECT quote_ident(c.relname) || ' in ' || quote_ident(pn.nspname) || '.' || quote_ident(p.relname)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class p ON p.oid = i.inhparent
JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname = %s AND pn.nspname <> n.nspname ORDER BY 1"""


_EXTENSIONS = """
SELECT quote_ident(x.extname) FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
WHERE n.nspname = %s ORDER BY 1"""


def refuse_inseparable(settings: RecoverySettings, database: str, tenant: str) -> None:
    """Refuse a tenant that cannot be in production's database twice.

    Its partitions of tables of other schemas, and what inherits from these, would stand there
    beside production's; and a database has each extension once.

    Args:
        settings: of the recovery.
        database: on production's server, which has the tenant.
        tenant: its schema.
    """
    with (
        contextlib.closing(recovery.connect(settings.target, database)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(_SHARED, [tenant])
        tables = [name for (name,) in cursor.fetchall()]
        cursor.execute(_EXTENSIONS, [tenant])
        extensions = [name for (name,) in cursor.fetchall()]
    why: list[Message] = []
    if tables:
        why.append(
            _(
                "tables of the tenant are partitions or children of tables of other schemas, where"
                " their rows would be twice: %(names)s",
                names=checks.named(tables, ", "),
            )
        )
    if extensions:
        why.append(
            _(
                "the tenant's schema has extensions, and a database has each of them once:"
                " %(names)s",
                names=", ".join(extensions),
            )
        )
    if why:
        raise ResilienceError(
            join(why, "; "),
            option="tenant",
            value=tenant,
            remedy=_("restore the whole database beside production, and take the rows from there"),
        )


def _absent(settings: RecoverySettings, database: str, tenant: str) -> list[str]:
    """Return what depends on the tenant in the backup, and is not in production."""
    names = []
    for where in (database, settings.target.dbname):
        with (
            contextlib.closing(recovery.connect(settings.target, where)) as connection,
            _transaction(connection, tenant) as cursor,
        ):
            names.append([one.name for one in tenant_dependants.find(cursor, tenant)])
    return [name for name in names[0] if name not in names[1]]


def _comment_of(settings: RecoverySettings, database: str, schema: str) -> str:
    """Return the comment on a schema; empty without one."""
    with (
        contextlib.closing(recovery.connect(settings.target, database)) as connection,
        connection.cursor() as cursor,
    ):
        return recovery.schemas(cursor).get(schema, "")


def _unlike(left_out: Sequence[str], absent: Sequence[str]) -> list[Message]:
    """Return what of the backup is not restored with the tenant."""
    texts = []
    if left_out:
        names = ", ".join(left_out)
        texts.append(_("left out, because other tenants are needed for it: %(names)s", names=names))
    if absent:
        names = ", ".join(absent)
        texts.append(
            _(
                "depends on the tenant in the backup and is not in production: %(names)s",
                names=names,
            )
        )
    return texts


def _rename_schema(settings: RecoverySettings, database: str, old: str, new: str) -> None:
    """Give the schema its name beside production's, and the comment of what is not finished."""
    from psycopg2 import sql  # the engine imports without it

    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    with (
        contextlib.closing(recovery.connect(settings.target, database)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(rename.format(sql.Identifier(old), sql.Identifier(new)))
        comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
        cursor.execute(comment.format(sql.Identifier(new), sql.Literal(MARK + RESTORING)))


def _copy(
    settings: RecoverySettings, server: Server, source: str, schema: str, folder: str
) -> list[str]:
    """Copy a schema from one database of the server into production's; return the errors.

    Raises:
        ResilienceError: the server or the machine failed, which proves nothing about the backup.
    """
    os.chmod(folder, 0o700)
    path = os.path.join(folder, "tenant-dump")
    connection = [f"--host={server.host}", f"--port={server.port}", f"--username={server.user}"]
    env = {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "PGPASSWORD": server.password,
        # Limits of production's database or user are for its application.
        "PGOPTIONS": database_settings.SESSION,
    }
    options: dict[str, Any] = {"time_limit": settings.drill.time_limit, "env": env, "cwd": "/"}
    with open(path, "wb") as out:
        dumped = process.run(
            [
                *postgres.client_prefix(server),
                server.binaries.path("pg_dump"),
                *connection,
                # The name of the schema is read in this encoding.
                *("--no-password", "--format=custom", "--compress=0", "--encoding=UTF8"),
                # Quoted, because the option takes a pattern.
                '--schema="' + schema.replace('"', '""') + '"',
                postgres.connection_string(source),
            ],
            stdout=out,
            **options,
        )
    if dumped.code != 0:
        raise restore_errors.environment_failure(
            f"pg_dump: {dumped.ending()}: {dumped.errors.strip()}"
        )
    with open(path, "rb") as dump:
        brought = process.run(
            [
                *postgres.client_prefix(server),
                server.binaries.path("pg_restore"),
                *connection,
                *(
                    "--no-password",
                    f"--dbname={postgres.connection_string(settings.target.dbname)}",
                ),
                *("--single-transaction", "--exit-on-error"),
            ],
            stdin=dump,
            **options,
        )
    if brought.code == 0:
        return []
    errors, harmless = restore_errors.classify(brought.errors)
    why = (errors or harmless or [brought.errors.strip()])[0]
    if (
        brought.timed_out
        or brought.cut_off
        or not errors
        or restore_errors.is_environment_error(why)
    ):
        raise restore_errors.environment_failure(f"pg_restore: {brought.ending()}: {why}")
    return errors


def _comment(settings: RecoverySettings, schema: str, text: str) -> None:
    from psycopg2 import sql  # the engine imports without it

    comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    with (
        contextlib.closing(recovery.connect(settings.target, settings.target.dbname)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(comment.format(sql.Identifier(schema), sql.Literal(MARK + text)))
