# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a drill or a recovery."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..common import interrupt
from .proof_settings import Progress


class Phases:
    """The phases so far, and what each took.

    Args:
        progress: called when a phase begins, and with what it does.

    Attributes:
        clock: when it all began, `time.monotonic`.
        phases: `name`, `started` and `seconds` of each, in seconds since then.
    """

    def __init__(self, progress: Progress | None) -> None:
        self.clock = time.monotonic()
        self.phases: list[dict[str, Any]] = []
        self._progress = progress

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Run one phase; it does not begin where an interrupt is pending."""
        interrupt.raise_pending()
        began = time.monotonic()
        if self._progress:
            self._progress(name, "")
        entry = {"name": name, "started": round(began - self.clock, 3), "seconds": 0.0}
        self.phases.append(entry)
        try:
            yield
        finally:
            entry["seconds"] = round(time.monotonic() - began, 3)

    def reporter(self, phase: str) -> Callable[[str], None]:
        """Return a function that takes what a phase does now."""
        return lambda what: self._progress(phase, what) if self._progress else None

    def seconds(self) -> float:
        """Return the seconds since the beginning."""
        return round(time.monotonic() - self.clock, 3)
