# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End work that goes on in another thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class StoppedError(Exception):
    """The work was stopped; nobody waits for its result."""


class Stop:
    """A request to end, which the work looks at, and which ends the programs that it waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._ends: list[Callable[[], object]] = []

    def look(self) -> None:
        """Go on, unless this was stopped.

        Raises:
            StoppedError: it was.
        """
        if self._stopped:
            raise StoppedError

    @contextlib.contextmanager
    def ending(self, end: Callable[[], object]) -> Iterator[None]:
        """Call `end` where this is stopped within the block, from the thread that stops it."""
        with self._lock:
            self.look()
            self._ends.append(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)

    def set(self) -> None:
        """Stop the work."""
        with self._lock:
            self._stopped = True
            for end in self._ends:
                end()
