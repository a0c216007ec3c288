# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a run that may block for ever, reported to its supervisor.

A process that waits for a filesystem whose server does not respond can neither be ended nor go on.
So a supervisor (`commands/supervisor.py`) runs a command in a child process, to which this module
belongs. The child reports each such step. When one takes too long, the child is left behind, and
another one repeats the run without that step. Without a supervisor nothing is reported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from .messages import _

# Takes a message, and descriptors to share.
Report = Callable[[Sequence[object], Sequence[int]], None]

_report: Report | None = None
_blocked: Mapping[str, float] = {}
_done: frozenset[str] = frozenset()
# The names of the steps that this process is in.
_open: list[str] = []
# Seconds that a filesystem has to respond; the supervisor's until the settings are known.
_seconds = 10.0


def begin_run(report: Report, blocked: Mapping[str, float], done: frozenset[str]) -> None:
    """Report the steps of this process from now on.

    Args:
        report: sends to the supervisor.
        blocked: the steps that blocked in earlier attempts of this run, with their seconds.
        done: those that an earlier attempt did.
    """
    global _report, _blocked, _done
    _report, _blocked, _done = report, blocked, done


def limit_run(run_seconds: float, step_seconds: float) -> None:
    """Set the limits of this run.

    Args:
        run_seconds: for the whole run, with all its attempts.
        step_seconds: that a filesystem has to respond.
    """
    global _seconds
    _seconds = step_seconds
    if _report:
        _report(["limit", run_seconds], ())


def begin_round() -> None:
    """Give a command that repeats its work, such as `--watch`, the whole limit once more."""
    if _report:
        _report(["round"], ())


@contextlib.contextmanager
def step(name: str, more_seconds: float = 0) -> Iterator[None]:
    """Report that a step is done within the block; one within a step of its own name is a part.

    Args:
        name: of the setting that it follows, such as `state_dir`.
        more_seconds: that it may take beside those that a filesystem has to respond.
    """
    if _report is None or name in _open:
        yield
        return
    _report(["begin", name, _seconds + more_seconds], ())
    _open.append(name)
    try:
        yield
    finally:
        _open.remove(name)
        _report(["end", name], ())


def share_lock(descriptor: int) -> None:
    """Let the supervisor free a lock when this process is left behind with it."""
    if _report:
        _report(["lock"], (descriptor,))


def why_blocked(name: str) -> str:
    """Return why a step must be left out of this attempt; empty where it need not be."""
    return _("no answer within %(limit)g s", limit=_blocked[name]) if name in _blocked else ""


def was_done(name: str) -> bool:
    """Return whether an earlier attempt of this run did a step, which is not repeated then."""
    return name in _done
