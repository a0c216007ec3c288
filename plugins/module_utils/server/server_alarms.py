# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alarms of the backup server: what is wrong with one copy, since when, and why.

They are kept in one file, which is changed under a lock and replaced whole. A damaged file is an
alarm itself, for nobody knows which alarms it held. Where the file cannot be written, the alarms
stay in memory, so that the process that found them can still notify.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from typing import Any

from ..common import json_text
from ..common.files import replace_json
from ..common.locks import lock_file
from ..common.messages import _, from_form, to_form
from ..common.system_errors import reason as system_reason

# A change of too much at once; content that changed in its place; a backup that is gone or cannot
# be read; a client that sends nothing; a full disk; a request that a key may not make; something in
# `incoming` that is in the way; a part of the daily job that failed; the server's own files lost or
# damaged; a copy whose disk is not mounted; a previous version whose content changed; backups that
# the client wrote again; a clock that jumped; backups that the filesystem does not let go.
(
    MASS_CHANGE,
    BIT_ROT,
    LOST,
    UNREADABLE,
    SILENT,
    ROOM,
    REFUSED,
    BLOCKED,
    JOB_FAILED,
    STATE,
    NOT_MOUNTED,
    PREVIOUS_ROT,
    REWRITTEN,
    CLOCK,
    UNMOVABLE,
) = KINDS = (
    "mass-change",
    "bit-rot",
    "lost",
    "unreadable",
    "silent",
    "room",
    "refused-request",
    "incoming-blocked",
    "job-failed",
    "state-damaged",
    "copy-not-mounted",
    "previous-version-rot",
    "rewritten",
    "clock-jumped",
    "unmovable",
)
# What is news, and may be all right; everything else is critical.
WARNINGS = (REWRITTEN, CLOCK)
# Alarms of something that happened once: a person clears them.
UNTIL_CLEARED = (REFUSED, BLOCKED, STATE)
_LOCK_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Alarm:
    """One alarm: since when (ISO 8601), and the reason."""

    since: str
    reason: str


class AlarmStore:
    """The alarms of one copy.

    Args:
        folder: the server's own folder of the copy.

    Attributes:
        problems: why alarms could not be written, one sentence each.
    """

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "alarms.json")
        self.problems: list[str] = []
        self._unsaved: dict[str, Alarm | None] = {}

    def all(self) -> dict[str, Alarm]:
        """Return the alarms that stand, by kind."""
        alarms = self._read()
        for kind, alarm in self._unsaved.items():
            if alarm is None:
                alarms.pop(kind, None)
            else:
                alarms[kind] = alarm
        return alarms

    def set(self, kind: str, reason: str | None) -> None:
        """Raise an alarm, or clear it where the reason is None.

        Never fails: an alarm that cannot be written stays in memory.
        """
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context(lock_file(f"{self.path}.lock", _LOCK_SECONDS))
                locked = lock is not None
                why = "" if locked else _("another process holds its lock")
            except OSError as error:
                locked, why = False, system_reason(error)
            alarms = self.all()
            before = alarms.get(kind)
            if reason is None:
                alarm = None
            else:
                since = before.since if before else time.strftime("%Y-%m-%dT%H:%M:%S%z")
                alarm = Alarm(since, reason)
            if alarm == before:
                return
            self._unsaved[kind] = alarm
            if locked:
                why = self._write()
        if why:
            self.problems.append(
                _("the alarms %(path)s cannot be stored: %(why)s", path=self.path, why=why)
            )

    def _write(self) -> str:
        """Write all alarms; return why that failed, or an empty text."""
        values = {
            kind: {"since": one.since, "reason": str(one.reason), "message": to_form(one.reason)}
            for kind, one in self.all().items()
        }
        try:
            replace_json(self.path, values)
        except OSError as error:
            return system_reason(error)
        self._unsaved.clear()
        return ""

    def _read(self) -> dict[str, Alarm]:
        try:
            with open(self.path, encoding="utf-8") as file:
                values = json_text.load(file)
            return {str(kind): _alarm(value) for kind, value in values.items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            return {STATE: _damage(self.path, system_reason(error))}
        except (ValueError, TypeError, KeyError, AttributeError):
            return {STATE: _damage(self.path, _("it is damaged, so earlier alarms are not known"))}


def _alarm(value: dict[str, Any]) -> Alarm:
    return Alarm(str(value["since"]), from_form(value.get("message"), str(value["reason"])))


def _damage(path: str, why: str) -> Alarm:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return Alarm(moment, _("%(file)s: %(why)s", file=os.path.basename(path), why=why))
