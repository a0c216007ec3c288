# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch: a validated database takes production's name, and production's another one.

Everything that changes in the server is one transaction: both names, the properties of the database
and the comments. PostgreSQL locks a database against new connections while it is renamed, so
nothing is ever closed to connections by a setting that a killed command could leave behind: before
the transaction ends production serves as it did, after it the other database does.

Around it the application is stopped and started. What is about to be done is in the journal first.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..common import interrupt
from ..common.errors import ResilienceError
from ..common.messages import Message, _, join
from ..common.safe_text import one_line
from ..database.connection import driver
from ..proof.restore_settings import RecoveryServer
from . import (
    closing_settings,
    database_properties,
    recovery,
    recovery_lock,
    restore_notes,
    service_control,
    switch_state,
)
from .recovery import BEFORE, MARK, RecoverySettings
from .switch_journal import (
    ANNOUNCED,
    DONE,
    STARTED,
    STARTING,
    STOPPED,
    STOPPING,
    SWITCHING,
    UNDONE,
    SwitchJournal,
    SwitchRecord,
)

# Shows a message to people before what it announces is done.
ShowMessage = Callable[[str], None]
# PostgreSQL waits 5 s for sessions to end (CountOtherDBBackends); connections that are being made
# hold the lock for a moment each.
LOCK_SECONDS = 15
END_SESSIONS_SECONDS = 0.02


def switch(
    settings: RecoverySettings, name: str, confirm: str | None, show_message: ShowMessage
) -> dict[str, Any]:
    """Put a database in production's place, or go on with a switch to it that was cut off.

    Args:
        settings: of the recovery.
        name: the database, restored beside production or production until an earlier switch.
        confirm: the host's name, so that nobody does this elsewhere by mistake.
        show_message: takes the name under which the old database is kept, before anything is done.

    Returns:
        `name`, `now` (its name now), `kept` (the old one's name now, for the way back; None if
        there was none), `serves` (None if no address is configured), `problems` (what went wrong
        after the switch was done), `left_behind`, `written_since` (tables of the old database
        written to since the restore; None if unknown) and `seconds`.

    Raises:
        ResilienceError: not confirmed, not a database of a recovery, another switch is unfinished,
            or the names could not be changed: production is as it was, and the message says
            whether the application was started again.
    """
    recovery.refuse_unconfirmed(confirm)
    with recovery_lock.locked(settings):
        journal = SwitchJournal(settings.drill.state_dir)
        record = switch_state.read(settings)
        if record is not None and not record.finished:
            if record.name != name:
                raise switch_state.unfinished_error(record)
        else:
            record = _new_record(settings, journal, name)
        return _complete(settings, journal, record, show_message)


def resume(settings: RecoverySettings, show_message: ShowMessage) -> dict[str, Any]:
    """Finish the switch that was cut off, or start the application that one has left stopped.

    Arguments, result and errors are those of `switch`.

    Raises:
        ResilienceError: there is none.
    """
    with recovery_lock.locked(settings):
        journal = SwitchJournal(settings.drill.state_dir)
        record = switch_state.read(settings)
        stopped = record is not None and record.finished and record.application == STOPPED
        if record is not None and stopped and settings.target.start_command:
            return _start_late(settings.target, journal, record)
        if record is None or record.finished:
            raise ResilienceError(
                _("no switch is unfinished"),
                option="resume",
                value=True,
                remedy=_("look with --status"),
            )
        return _complete(settings, journal, record, show_message)


def undo(
    settings: RecoverySettings, confirm: str | None, show_message: ShowMessage
) -> dict[str, Any]:
    """Take the last switch back, whether it was cut off or done.

    Returns:
        As `switch`; `name` is None where production had not been renamed yet.

    Raises:
        ResilienceError: there is nothing to take back, or a switch that was done is not confirmed.
    """
    with recovery_lock.locked(settings):
        return _undo_switch(settings, confirm, show_message)


def _undo_switch(
    settings: RecoverySettings, confirm: str | None, show_message: ShowMessage
) -> dict[str, Any]:
    target = settings.target
    journal = SwitchJournal(settings.drill.state_dir)
    record = switch_state.read(settings)
    if record is not None and record.undo:
        return _undo_again(settings, journal, record, confirm, show_message)
    if record is None or record.step == UNDONE or (record.finished and record.kept is None):
        raise ResilienceError(
            _("there is no switch to take back"),
            option="undo",
            value=True,
            remedy=_("look with --status"),
        )
    if not record.finished and not switch_state.is_switched(target, record):
        return _give_up(target, journal, record)
    recovery.refuse_unconfirmed(confirm)
    if record.kept is None:
        raise ResilienceError(
            _("before that switch there was no database %(name)s", name=record.production),
            option="undo",
            value=True,
            remedy=_("run --resume"),
        )
    journal.write(record, DONE)
    back = _new_record(settings, journal, record.kept, undo=True)
    return _complete(settings, journal, back, show_message)


def _undo_again(
    settings: RecoverySettings,
    journal: SwitchJournal,
    record: SwitchRecord,
    confirm: str | None,
    show_message: ShowMessage,
) -> dict[str, Any]:
    """Go on with the way back that was begun last; never forward again.

    Raises:
        ResilienceError: it was finished.
    """
    if record.step == DONE:
        raise switch_state.undone_error(record.production, record.kept or record.name)
    if record.step == UNDONE:  # the application could not be stopped, or the names not changed
        recovery.refuse_unconfirmed(confirm)
        record = _new_record(settings, journal, record.name, undo=True)
    elif not switch_state.can_be_resumed(settings.target, record):
        return _give_up(settings.target, journal, record)
    return _complete(settings, journal, record, show_message)


def _start_late(
    target: RecoveryServer, journal: SwitchJournal, record: SwitchRecord
) -> dict[str, Any]:
    """Start the application that a finished switch could not start."""
    problems: list[Message] = []
    began = time.monotonic()
    with interrupt.deferred():
        problem = _start_application(target)
        if problem:
            problems.append(problem)
        _record_step(journal, record, record.step, problems, _state_after(target, problem))
    done = record.step == DONE
    return {
        **_result(record, began, problems),
        "name": record.name if done else None,
        "kept": record.kept if done else None,
        "serves": service_control.serves(target),
    }


def _give_up(
    target: RecoveryServer, journal: SwitchJournal, record: SwitchRecord
) -> dict[str, Any]:
    """End a switch before the names are changed: production is as it was."""
    problems: list[Message] = []
    with interrupt.deferred():
        began = time.monotonic()
        problem = _start_application(target)
        if problem:
            problems.append(problem)
        _restore_comment(target, record)
        _record_step(journal, record, UNDONE, problems, _state_after(target, problem))
    return {
        **_result(record, began, problems),
        "name": None,
        "kept": None,
        "serves": service_control.serves(target),
    }


def status(settings: RecoverySettings) -> dict[str, Any]:
    """Return the state of production and of the last switch, and the next command.

    Returns:
        `production` (name), `exists`, `connectable`, `candidates` (as
        `recovery.switchable_databases`), `unfinished` (the step that was begun last; None without
        an unfinished switch), `switched` (whether that switch has changed the names), `kept` and
        `next` (the arguments of the command to run next; empty if nothing is to be done).
    """
    target = settings.target
    record = switch_state.read(settings)
    with contextlib.closing(recovery.connect(target)) as connection:
        comments = recovery.databases(connection)
    with recovery.production_cursor(target) as cursor:
        connectable = cursor is not None
    unfinished = record if record is not None and not record.finished else None
    switched = switch_state.is_switched(target, record) if record else None
    can_resume = unfinished is not None and switch_state.can_be_resumed(target, unfinished)
    return {
        "production": target.dbname,
        "exists": target.dbname in comments,
        "connectable": connectable,
        "candidates": recovery.candidates(comments, target.dbname),
        "unfinished": unfinished.step if unfinished else None,
        "name": record.name if record else None,
        "kept": record.kept if record else None,
        "switched": switched,
        "next": (["--resume"] if can_resume else ["--undo"]) if unfinished else [],
    }


def _new_record(
    settings: RecoverySettings, journal: SwitchJournal, name: str, *, undo: bool = False
) -> SwitchRecord:
    """Choose the names, and record them in the journal and in the comment."""
    target = settings.target
    recovery.refuse_standby(target)
    with contextlib.closing(recovery.connect(target)) as connection, connection.cursor() as cursor:
        comments = recovery.databases(connection)
        comment = comments.get(name)
        recovery.refuse_unfit(target.dbname, name, comment)
        recovery.refuse_prepared_transactions(target, [target.dbname, name])
        moment = recovery.unused_timestamp(comments)
        exists = target.dbname in comments
        try:
            database_properties.rehearse(cursor, target.dbname, name)
        except driver().Error as error:
            raise _cannot_begin(target, error) from error
        before = database_properties.read(cursor, target.dbname)
        if before is not None:
            closing_settings.refuse(target, name, before)
        kept = recovery.dated_name(target.dbname, "before", moment) if exists else None
        cursor.execute("SELECT oid FROM pg_catalog.pg_database WHERE datname = %s", [name])
        oid = int(cursor.fetchone()[0])
    held = (comment or "").removeprefix(MARK)
    record = SwitchRecord(moment, name, oid, target.dbname, kept, held, undo=undo)
    record = journal.write(record, ANNOUNCED)
    note = f"{held.partition('; switch of ')[0].partition('; undo of ')[0]}"
    note += f"; {'undo' if undo else 'switch'} of {moment} begun"
    note += f", production is kept as {kept}" if kept else ""
    try:
        recovery.comment_database(target, name, note)
    except (ResilienceError, driver().Error) as error:
        journal.write(record, UNDONE)
        raise _cannot_begin(target, error) from error
    return record


def _cannot_begin(target: RecoveryServer, error: Exception) -> ResilienceError:
    return ResilienceError(
        _("the switch cannot begin: %(why)s", why=one_line(error)),
        option="recovery.user",
        value=target.user,
        remedy=_("name a superuser, or the owner of both databases; nothing was changed"),
    )


def _complete(
    settings: RecoverySettings,
    journal: SwitchJournal,
    record: SwitchRecord,
    show_message: ShowMessage,
) -> dict[str, Any]:
    """Do what is left of a switch."""
    target = settings.target
    began = time.monotonic()
    if record.kept:
        show_message(_("the old database is kept as %(kept)s", kept=record.kept))
    done = switch_state.is_switched(target, record)
    behind = (
        recovery.left_behind(target, record.kept or record.production, record.production)
        if done
        else recovery.left_behind(target, record.production, record.name)
    )
    if behind:
        show_message(_("what stays with the old database: %(names)s", names=join(behind)))
    written = None
    problems: list[Message] = []
    if not done:
        recovery.refuse_standby(target)
        with (
            contextlib.closing(recovery.connect(target)) as connection,
            connection.cursor() as cursor,
        ):
            _refuse_another(cursor, record)
        record = _stop(target, journal, record)
        with interrupt.deferred():
            written = restore_notes.tables_written(settings, record.name)
            record = _record_step(journal, record, SWITCHING, problems)
            comment = restore_notes.comment(settings, record.name)
            _exchange_or_start_again(target, journal, record, comment)
    with interrupt.deferred():
        record = _record_step(journal, record, STARTING, problems)
        problem = _start_application(target)
        if problem:
            problems.append(problem)
        record = _record_step(journal, record, DONE, problems, _state_after(target, problem))
        since = restore_notes.tables_written(settings, record.name, kept=record.kept)
    result = {
        **_result(record, began, problems),
        "left_behind": behind,
        "written_since": written if since is None else since,
        "serves": None,
    }
    try:
        result["serves"] = service_control.serves(target)
    except KeyboardInterrupt:
        interrupt.begin_cleanup()
        result["problems"].append(_("interrupted before production's address responded"))
    return {**result, "seconds": round(time.monotonic() - began, 3)}


def _record_step(
    journal: SwitchJournal,
    record: SwitchRecord,
    step: str,
    problems: list[Message],
    application: str = "",
) -> SwitchRecord:
    """Record a step after the application was stopped: a full disk must not leave it so."""
    try:
        return journal.write(record, step, application)
    except ResilienceError as error:
        problems.append(error.message())
        return record


def _result(record: SwitchRecord, began: float, problems: list[Message]) -> dict[str, Any]:
    return {
        "host": recovery.host_name(),
        "tenant": None,
        "name": record.name,
        "now": record.production,
        "kept": record.kept,
        "problems": problems,
        "left_behind": [],
        "written_since": None,
        "seconds": round(time.monotonic() - began, 3),
    }


def _stop(target: RecoveryServer, journal: SwitchJournal, record: SwitchRecord) -> SwitchRecord:
    """Stop the application; where that fails it is started again.

    Raises:
        ResilienceError: it failed, met its limit or was interrupted; production is as it was.
    """
    record = journal.write(record, STOPPING, STOPPED if target.stop_command else "")
    why: Message | str
    try:
        service_control.run_command(target.stop_command, "recovery.stop_command", target.seconds)
    except ResilienceError as error:
        why = error.problem
        cause: BaseException = error
    except KeyboardInterrupt as error:
        interrupt.begin_cleanup()
        why = _("it was interrupted")
        cause = error
    else:
        return record
    with interrupt.deferred():
        problem = _start_application(target)
        _restore_comment(target, record)
        _record_step(journal, record, UNDONE, [], _state_after(target, problem))
    raise ResilienceError(
        _("the application could not be stopped: %(why)s", why=why),
        option="recovery.stop_command",
        value=shlex.join(target.stop_command),
        remedy=_state_of_application(target, problem),
    ) from cause


def _exchange_or_start_again(
    target: RecoveryServer, journal: SwitchJournal, record: SwitchRecord, lost_comment: str | None
) -> None:
    """Exchange the names; where that fails the application is started again.

    Args:
        target: the server.
        journal: of the switch.
        record: the switch.
        lost_comment: of production's database, where that is gone.

    Raises:
        ResilienceError: production is as it was, or that cannot be found out now.
    """
    psycopg2 = driver()
    try:
        _exchange(target, record, lost_comment)
        return
    except (psycopg2.Error, ResilienceError) as error:
        problem = _start_application(target)
        known = True
        try:
            if switch_state.is_switched(target, record):
                return
        except ResilienceError:
            known = False
        if known:
            _restore_comment(target, record)
            _record_step(journal, record, UNDONE, [], _state_after(target, problem))
        raise ResilienceError(
            _("the names could not be changed: %(why)s", why=one_line(error)),
            option="switch",
            value=record.name,
            remedy=join(
                [
                    _("production is as it was")
                    if known
                    else _("the server does not answer: run --status once it does"),
                    _state_of_application(target, problem),
                ],
                "; ",
            ),
        ) from error


def _exchange(
    target: RecoveryServer, record: SwitchRecord, lost_comment: str | None = None
) -> None:
    """Exchange names, properties and comments in one transaction, while no session is left.

    Raises:
        psycopg2.Error: PostgreSQL refused, or the connection ended.
    """
    sql = driver().sql
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
    name, production = sql.Identifier(record.name), sql.Identifier(record.production)
    with (
        contextlib.closing(recovery.connect(target)) as connection,
        _sessions_ended(target, [record.name, record.production]),
        connection.cursor() as cursor,
    ):
        cursor.execute("BEGIN")
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        cursor.execute("SET LOCAL statement_timeout = 0")
        _refuse_another(cursor, record)
        before = database_properties.read(cursor, record.production)
        # The old one first: the name must be free.
        if record.kept:
            kept = sql.Identifier(record.kept)
            cursor.execute(rename.format(production, kept))
            by = recovery.replaced_by(record.name, record.undo)
            text = f"{MARK}{BEFORE} {record.moment}, {by}"
            if before and before.comment and not before.comment.startswith(MARK):
                text += f"; {before.comment}"
            cursor.execute(comment.format(kept, sql.Literal(text)))
        cursor.execute(rename.format(name, production))
        held = sql.Literal(lost_comment) if lost_comment and not before else sql.SQL("NULL")
        cursor.execute(comment.format(production, held))
        if before:
            database_properties.apply(cursor, record.production, before)
        cursor.execute("COMMIT")


def _refuse_another(cursor: Any, record: SwitchRecord) -> None:
    """Refuse a database that was made under the candidate's name since, or on another server."""
    cursor.execute(
        "SELECT oid FROM pg_catalog.pg_database WHERE datname = %s",
        [record.name],
    )
    row = cursor.fetchone()
    if row is None or int(row[0]) != record.name_oid:
        raise ResilienceError(
            _("it is not there, or another database has its name by now"),
            option="switch",
            value=record.name,
            remedy=_("take the switch back with --undo, then look with --list"),
        )


@contextlib.contextmanager
def _sessions_ended(target: RecoveryServer, names: list[str]) -> Iterator[None]:
    """End the sessions of these databases again and again, from a connection of its own.

    While a database is renamed new connections wait for the lock; those that were there before are
    ended here.
    """
    stop = threading.Event()
    with contextlib.closing(recovery.connect(target)) as connection, connection.cursor() as cursor:
        # The names change meanwhile, the numbers do not.
        cursor.execute(
            "SELECT array_agg(oid) FROM pg_catalog.pg_database WHERE datname = ANY(%s)", [names]
        )
        numbers = cursor.fetchone()[0]

        def end() -> None:
            with contextlib.suppress(driver().Error):
                while not stop.is_set():
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
                        " WHERE datid = ANY(%s) AND pid <> pg_backend_pid()",
                        [numbers],
                    )
                    stop.wait(END_SESSIONS_SECONDS)

        worker = threading.Thread(target=end, name="sessions", daemon=True)
        worker.start()
        try:
            yield
        finally:
            stop.set()
            worker.join()


def _restore_comment(target: RecoveryServer, record: SwitchRecord) -> None:
    """Give the candidate its comment of before, if it is there and has not been switched to."""
    with (
        contextlib.suppress(ResilienceError, driver().Error),
        contextlib.closing(recovery.connect(target)) as connection,
        connection.cursor() as cursor,
    ):
        _refuse_another(cursor, record)
        recovery.comment_database(target, record.name, record.comment)


def _start_application(target: RecoveryServer) -> Message | None:
    """Start the application; return what went wrong."""
    try:
        service_control.run_command(target.start_command, "recovery.start_command", target.seconds)
    except ResilienceError as error:
        return error.message()
    return None


def _state_after(target: RecoveryServer, problem: Message | None) -> str:
    """Return the application's state after an attempt to start it; empty where none stops it."""
    if not target.stop_command:
        return ""
    return STARTED if target.start_command and problem is None else STOPPED


def _state_of_application(target: RecoveryServer, problem: Message | None) -> Message:
    """Return whether the application was started again, and the command that starts it if not.

    Empty where no command stops it.
    """
    if not target.stop_command:
        return join([])
    if not target.start_command:
        return _("start the application: no recovery.start_command is configured")
    if problem is None:
        return _("the application was started again")
    return _(
        "the application is stopped and could not be started: run %(command)s",
        command=shlex.join(target.start_command),
    )
