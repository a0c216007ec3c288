# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a database with which nobody can connect to it.

PostgreSQL loads a library that such a setting names when a session begins, and ends the session
where it is missing. Carried over by a switch, the setting would close the restored database, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..common.errors import ResilienceError
from ..common.messages import Message, _
from ..common.safe_text import one_line
from ..database.connection import administrator, driver, open_connection
from ..proof.restore_settings import RecoveryServer
from .database_properties import DatabaseProperties

LIBRARIES = ("session_preload_libraries", "local_preload_libraries")


def problem_of(target: RecoveryServer, database: str, setting: str, value: str) -> str:
    """Return why nobody could connect to a database with a setting; empty where they could.

    It is tried with the setting in a session of its own. Where that may not be given at all (only
    a superuser may give some), nothing is known against it.
    """
    if setting.lower() not in LIBRARIES or not value:
        return ""
    why = _refusal(target, database, setting, value)
    return "" if why and _refusal(target, database, setting, "") else why


def refuse(target: RecoveryServer, database: str, production: DatabaseProperties) -> None:
    """Refuse a switch to a database that production's settings would close.

    Raises:
        ResilienceError: they would.
    """
    for role, setting, value in production.settings:
        why = problem_of(target, database, setting, value)
        if why:
            raise ResilienceError(
                _(
                    "production's setting %(name)s would close the restored database: %(why)s",
                    name=f"{role}: {setting}" if role else setting,
                    why=why,
                ),
                option="switch",
                value=database,
                remedy=_(
                    "run %(statement)s, then the same command again; nothing was touched",
                    statement=_reset(target, role, setting),
                ),
            )


def left_out(
    target: RecoveryServer, database: str, settings: Sequence[tuple[str, str, str]]
) -> tuple[list[tuple[str, str, str]], list[Message]]:
    """Return the settings that close no database, and a text on each of the others."""
    kept, texts = [], []
    for role, setting, value in settings:
        why = problem_of(target, database, setting, value)
        if why:
            texts.append(_("setting %(name)s: %(why)s", name=setting, why=why))
        else:
            kept.append((role, setting, value))
    return kept, texts


def _refusal(target: RecoveryServer, database: str, setting: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
    given = {**administrator(target, database), "options": f"-c {setting}={escaped}"}
    try:
        open_connection(given).close()
    except driver().Error as error:
        return one_line(error)
    return ""


def _reset(target: RecoveryServer, role: str, setting: str) -> str:
    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    whose = f"ROLE {quoted(role)} IN " if role else ""
    return f"ALTER {whose}DATABASE {quoted(target.dbname)} RESET {setting}"
