# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a switch: what is about to be done is written down before it is done.

Whatever moment a switch dies at, the journal and the server's catalogue show how far it got: the
names of both databases are changed in one transaction, and each is known by its number (oid), which
no renaming changes. The comment of the database that is switched to says the same, so that a lost
journal loses nothing but the state of the application.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from ..common import json_text
from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.messages import _
from ..common.system_errors import reason

FILE = "recovery-switch.json"
# The steps in their order; each is recorded before it begins. The last two are ends.
ANNOUNCED, STOPPING, SWITCHING, STARTING = "announced", "stopping", "switching", "starting"
DONE, UNDONE = "done", "undone"
STEPS = (ANNOUNCED, STOPPING, SWITCHING, STARTING, DONE, UNDONE)
# The application, as far as the switch knows it.
STOPPED, STARTED = "stopped", "started"


@dataclasses.dataclass(frozen=True)
class SwitchRecord:
    """One switch.

    Attributes:
        moment: when it began, as it stands in names.
        name: the database that takes production's place.
        name_oid: its number.
        production: production's name.
        kept: the name under which production's old database is kept; None if there was none.
        comment: the comment of `name` before the switch.
        step: the last one that was begun.
        application: `stopped` from the moment on that it is about to be stopped, `started` once it
            was started again; empty before.
        undo: whether it takes an earlier switch back.
    """

    moment: str
    name: str
    name_oid: int
    production: str
    kept: str | None
    comment: str
    step: str = ANNOUNCED
    application: str = ""
    undo: bool = False

    def __post_init__(self) -> None:
        texts = (self.moment, self.name, self.production, self.comment, self.application)
        if (
            not all(isinstance(one, str) for one in texts)
            or not isinstance(self.name_oid, int)
            or not isinstance(self.kept, (str, type(None)))
            or not isinstance(self.undo, bool)
            or self.step not in STEPS
        ):
            raise ValueError("a field has a value of another kind")

    @property
    def finished(self) -> bool:
        """Return whether nothing of it is left to do."""
        return self.step in (DONE, UNDONE)

    def at(self, step: str, application: str = "") -> SwitchRecord:
        """Return the record at another step; the application stays as it is if left out."""
        return dataclasses.replace(self, step=step, application=application or self.application)


class SwitchJournal:
    """The journal of the last switch, a file of the state folder.

    Args:
        state_dir: of the stage.
    """

    def __init__(self, state_dir: str) -> None:
        self.path = os.path.join(state_dir, FILE)

    def read(self) -> SwitchRecord | None:
        """Return the last switch; None before one.

        Raises:
            ResilienceError: the journal is there and cannot be read.
        """
        try:
            with open(self.path, encoding="utf-8") as file:
                return SwitchRecord(**json_text.load(file))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise ResilienceError(
                _("the journal of the last switch cannot be read: %(why)s", why=str(error)),
                option="state_dir",
                value=self.path,
                remedy=_("look with --list which databases there are, then remove this file"),
            ) from error

    def write(self, record: SwitchRecord, step: str, application: str = "") -> SwitchRecord:
        """Record that a step begins, durably, and return the record.

        Args:
            record: the switch.
            step: the step.
            application: its state; as before if left out.

        Raises:
            ResilienceError: it cannot be written; before the first step nothing was touched.
        """
        record = record.at(step, application)
        values: dict[str, Any] = dataclasses.asdict(record)
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            replace_json(self.path, values, sole_writer=True)
        except OSError as error:
            raise ResilienceError(
                _("the journal of the switch cannot be written: %(why)s", why=reason(error)),
                option="state_dir",
                value=self.path,
                remedy=_("make room there, or name another folder"),
            ) from error
        return record
