# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alert data of a stage between runs: states, waiting messages, levels notified by service.

It is one document in the history. Where that cannot be written the document is kept in a second
place that needs no disk, so that a full one neither silences an alert nor repeats it for ever.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..common import json_text, run_steps
from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.messages import _, join
from ..common.safe_text import clean
from ..common.system_errors import reason
from ..history.history import History
from .alerts import AlertState, states_from

# The step of a run that uses the second place, by the setting of that.
STEP = "fallback_dir"


class AlertStore:
    """The document of one stage on one host; hosts may share a state folder.

    Attributes:
        problems: what went wrong with reading and writing it, as texts.
    """

    def __init__(self, stage: str, host: str, history: History | None, fallback_dir: str) -> None:
        """Read the document.

        Args:
            stage: whose it is.
            host: the name of this host.
            history: open, or None where it cannot be opened.
            fallback_dir: the folder of the second place.
        """
        # SQLite takes no half of a surrogate pair, which a name of bytes that are no UTF-8 has.
        self.name, self.history, self.problems = f"{stage}@{clean(host)}", history, list[str]()
        self.path = os.path.join(fallback_dir, f"{stage}.json")
        self._content: dict[str, Any] = {}
        if history is not None:
            try:
                self._content = history.document(self.name)
            except ResilienceError as error:
                self.problems.append(error.message())
        why = run_steps.why_blocked(STEP)
        self._second_place = not why
        if why:
            self.problems.append(
                _(
                    "%(folder)s is not used in this run: %(why)s [%(option)s]",
                    folder=fallback_dir,
                    why=why,
                    option=STEP,
                )
            )
        with contextlib.suppress(OSError, ValueError, TypeError):
            second = self._second()
            # A count and not the time says which is newer: clocks go back.
            if _order(second) > _order(self._content):
                self._content = second
        self._order = _order(self._content)

    def _second(self) -> dict[str, Any]:
        """Return the document of the second place; empty where that blocked before."""
        if not self._second_place:
            return {}
        with run_steps.step(STEP), open(self.path, encoding="utf-8") as file:
            return dict(json_text.load(file))

    @property
    def states(self) -> dict[str, AlertState]:
        """The states, by the condition's key."""
        return states_from(self._mapping("states"))

    @property
    def queue(self) -> list[Any]:
        """The waiting messages, as plain values."""
        queue = self._content.get("queue")
        return queue if isinstance(queue, list) else []

    @property
    def notified_levels(self) -> dict[str, dict[str, str]]:
        """By service, the last notified level of each condition that is not ok."""
        heard = self._mapping("heard").items()
        return {service: dict(one) for service, one in heard if isinstance(one, Mapping)}

    def _mapping(self, name: str) -> Mapping[str, Any]:
        """Return a part of the document; empty where it is damaged."""
        part = self._content.get(name)
        return part if isinstance(part, Mapping) else {}

    def save(
        self,
        states: Mapping[str, AlertState],
        queue: Iterable[Mapping[str, Any]],
        notified_levels: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Write the document if it changed; to write takes longest in a run without news."""
        content: dict[str, Any] = {
            "states": {key: state.to_dict() for key, state in states.items()},
            "queue": [dict(message) for message in queue],
            "heard": {service: dict(one) for service, one in notified_levels.items()},
        }
        same = all(self._content.get(key) == value for key, value in content.items())
        if same and not self._has_second():
            return
        self._order += 1
        content["order"] = self._order
        self._content = content
        problem = ""
        if self.history is not None:
            try:
                self.history.set_document(self.name, content)
            except ResilienceError as error:
                problem = error.message()
            else:
                self._remove_second()
                return
        if not self._second_place:
            return
        try:
            with run_steps.step(STEP):
                os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
                replace_json(self.path, content)
        except OSError as error:
            written = _("%(path)s cannot be written: %(why)s", path=self.path, why=reason(error))
            problem = join([written, problem], "; ")
        if problem and problem not in self.problems:
            self.problems.append(problem)

    def _has_second(self) -> bool:
        with run_steps.step(STEP):
            return self._second_place and os.path.lexists(self.path)

    def _remove_second(self) -> None:
        if self._second_place:
            with run_steps.step(STEP), contextlib.suppress(OSError):
                os.unlink(self.path)


def _order(content: Mapping[str, Any]) -> int:
    order = content.get("order", 0)
    return order if isinstance(order, int) else 0
