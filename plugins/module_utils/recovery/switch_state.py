# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the last switch stands: from its journal, or from the databases where that is damaged.

A disk that fails may damage the journal on the very day. The comments of the databases say as much,
but for the state of the application: it is taken for stopped, and starting it again does no harm.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
import shlex
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import error_line
from ..proof.restore_settings import RecoveryServer
from . import recovery, service_control
from .recovery import BEFORE, BY_UNDO, MARK, RecoverySettings
from .switch_journal import DONE, STARTING, STOPPED, SWITCHING, SwitchJournal, SwitchRecord

# Until an address that does not respond is taken for an application that is stopped.
PROBE_SECONDS = 2.0
_BEGUN = re.compile(
    r"^(?P<held>.*); (?P<kind>switch|undo) of (?P<moment>\d{8}_\d{6}) begun"
    r"(?:, production is kept as (?P<kept>.+))?$",
    re.DOTALL,
)
_KEPT = re.compile(
    re.escape(MARK + BEFORE)
    + r" (?P<moment>\d{8}_\d{6}), replaced by (?P<name>.+?_\d{8}_\d{6})"
    + rf"(?P<undo>{BY_UNDO})?(?:;|$)",
    re.DOTALL,
)


def read(settings: RecoverySettings) -> SwitchRecord | None:
    """Return the last switch; None before one.

    Raises:
        ResilienceError: the journal is damaged or gone, and the server cannot be connected to.
    """
    try:
        record = SwitchJournal(settings.drill.state_dir).read()
    except ResilienceError:
        return rebuilt(settings.target)
    if record is None and settings.target.host:
        record = rebuilt(settings.target)
        # A new host, or another one, has no journal either: a switch whose names are changed was
        # finished there, or is of long ago. Only of a late one is the application in doubt.
        if record is not None and record.step == STARTING:
            application = STOPPED if _is_late(record.moment) else ""
            record = dataclasses.replace(record, step=DONE, application=application)
    return record


def _is_late(moment: str) -> bool:
    """Return whether a switch began within the last hour, or in what a clock takes for later."""
    began = datetime.datetime.strptime(moment, recovery.MOMENT)
    return datetime.datetime.now() - began < datetime.timedelta(hours=1)


def can_be_resumed(target: RecoveryServer, record: SwitchRecord) -> bool:
    """Return whether the database that takes production's place is there, before or after it did.

    Raises:
        ResilienceError: the server cannot be connected to.
    """
    return recovery.has_name(target, record.name_oid, record.name, record.production)


def is_switched(target: RecoveryServer, record: SwitchRecord) -> bool:
    """Return whether a switch has changed the names.

    Raises:
        ResilienceError: the server cannot be connected to.
    """
    return recovery.has_name(target, record.name_oid, record.production)


def unfinished_error(record: SwitchRecord) -> ResilienceError:
    """Return the error for a switch that another one stands in the way of."""
    return ResilienceError(
        _(
            "the switch to %(name)s of %(moment)s is unfinished",
            name=record.name,
            moment=record.moment,
        ),
        option="switch",
        value=record.name,
        remedy=_("run --resume to finish it, or --undo to take it back"),
    )


def damage(settings: RecoverySettings) -> str:
    """Return why the journal cannot be read; empty if it can."""
    try:
        SwitchJournal(settings.drill.state_dir).read()
    except ResilienceError as error:
        return str(error.problem)
    return ""


def rebuilt(target: RecoveryServer) -> SwitchRecord | None:
    """Return the last switch as the comments of the databases show it; None if they show none."""
    with contextlib.closing(recovery.connect(target)) as connection, connection.cursor() as cursor:
        comments = recovery.databases(connection)
        cursor.execute("SELECT datname, oid FROM pg_catalog.pg_database")
        numbers = {name: int(number) for name, number in cursor.fetchall()}
    found: list[SwitchRecord] = []
    for name, comment in comments.items():
        if not recovery.is_beside(target.dbname, name):
            continue
        begun, kept = _BEGUN.match(comment), _KEPT.match(comment)
        if begun:
            held = begun["held"].removeprefix(MARK)
            record = SwitchRecord(
                *(begun["moment"], name, numbers[name], target.dbname, begun["kept"], held),
                undo=begun["kind"] == "undo",
            )
            found.append(record.at(SWITCHING, STOPPED))
        elif kept and target.dbname in numbers:
            record = SwitchRecord(
                *(kept["moment"], kept["name"], numbers[target.dbname], target.dbname, name, ""),
                undo=bool(kept["undo"]),
            )
            found.append(record.at(STARTING, STOPPED))
    return max(found, key=lambda record: record.moment, default=None)


def ending(settings: RecoverySettings, tenant: str = "") -> dict[str, Any]:
    """Return what people need to know at the end of every run, whatever it did.

    Args:
        settings: of the recovery.
        tenant: the schema, where the run was about one tenant.

    Returns:
        `production` (its name), `serves` (whether it can be connected to; None if unknown),
        `exists`, `switched` (the name under which the serving database was restored; None without
        a switch), `undone` (whether `--undo` did that), `kept` (the newest one), `unfinished`,
        `can_resume`, `stopped` (the command that starts the application, if a switch left it
        stopped), `validated` (the newest that may be switched to), `damage` (of the journal) and
        `unknown` (why nothing is known).
    """
    target = settings.target
    state: dict[str, Any] = {
        "production": tenant or target.dbname,
        "serves": None,
        "exists": None,
        "switched": None,
        "undone": False,
        "kept": None,
        "unfinished": False,
        "can_resume": False,
        "stopped": "",
        "validated": None,
        "damage": "",
        "unknown": "",
    }
    try:
        state["damage"] = damage(settings)
        record = read(settings)
        comments = _comments(settings, tenant)
        with recovery.production_cursor(target) as cursor:
            connectable = cursor is not None
        state["unfinished"] = record is not None and not record.finished
        if record is not None and state["unfinished"]:
            state["can_resume"] = can_be_resumed(target, record)
    except ResilienceError as error:
        state["unknown"] = error.message()
        return state
    except Exception as error:  # whatever fails, people must see that nothing is known
        state["unknown"] = error_line(error, 400)
        return state
    state["exists"] = (tenant or target.dbname) in comments
    state["serves"] = connectable and state["exists"]
    kept = [
        (match["moment"], name, match["name"], bool(match["undo"]))
        for name, comment in comments.items()
        if (match := _KEPT.match(comment))
        and recovery.is_beside(tenant or target.dbname, name, "before")
    ]
    if kept:
        _moment, state["kept"], state["switched"], state["undone"] = max(kept)
    state["validated"] = _newest_marked(settings, tenant, comments)
    if record is not None and record.application == STOPPED and not state["damage"]:
        # Somebody may have run the command by hand.
        quick = dataclasses.replace(target, seconds=min(target.seconds, PROBE_SECONDS))
        if record.finished and service_control.serves(quick):
            return state
        state["stopped"] = shlex.join(target.start_command) or _(
            "no recovery.start_command is configured"
        )
    return state


def newest_validated(settings: RecoverySettings, tenant: str = "") -> str:
    """Return the newest database, or schema of a tenant, that was restored and validated.

    Raises:
        ResilienceError: there is none, or the server cannot be connected to.
    """
    name: str | None = _newest_marked(settings, tenant, _comments(settings, tenant))
    if name is None:
        raise ResilienceError(
            _("nothing was restored beside production"),
            option="switch",
            value="newest",
            remedy=_("run the command without --switch first"),
        )
    return name


def newest_kept(settings: RecoverySettings, tenant: str) -> str:
    """Return the schema that was a tenant's until its last switch.

    Raises:
        ResilienceError: there is none, or the server cannot be connected to.
    """
    kept = {
        name: match
        for name, comment in _comments(settings, tenant).items()
        if (match := _KEPT.match(comment)) and recovery.is_beside(tenant, name, "before")
    }
    if not kept:
        raise ResilienceError(
            _("there is no switch to take back"),
            option="undo",
            value=True,
            remedy=_("look with --status"),
        )
    newest = max(kept, key=lambda name: name[-recovery.MOMENT_LENGTH :])
    if kept[newest]["undo"]:
        raise undone_error(tenant, newest)
    return newest


def undone_error(production: str, kept: str) -> ResilienceError:
    """Return the error for an `--undo` after an `--undo`, which must not go forward again."""
    return ResilienceError(
        _(
            "the last switch was taken back already: %(production)s is what it was before that"
            " switch",
            production=production,
        ),
        option="undo",
        value=True,
        remedy=_(
            "nothing was touched; if the restored one shall serve again, give --switch %(kept)s",
            kept=kept,
        ),
    )


def _newest_marked(settings: RecoverySettings, tenant: str, comments: dict[str, str]) -> str | None:
    validated = [
        one["name"]
        for one in recovery.candidates(comments, tenant or settings.target.dbname)
        if not one["what"].startswith(BEFORE)
    ]
    return max(validated, key=lambda name: name[-recovery.MOMENT_LENGTH :], default=None)


def _comments(settings: RecoverySettings, tenant: str) -> dict[str, str]:
    """Return the comments of all databases, or of all schemas of production's."""
    target = settings.target
    if tenant:
        with recovery.production_cursor(target) as cursor:
            return recovery.schemas(cursor) if cursor else {}
    with contextlib.closing(recovery.connect(target)) as connection:
        return recovery.databases(connection)
