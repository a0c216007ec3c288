# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of every recovery: what serves, is kept, is stopped; the next command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.language import translations
from ..common.messages import translate


def lines(
    language: str,
    state: Mapping[str, Any],
    scripts_dir: str,
    host: str,
    *,
    tenant: str = "",
    restored: str | None = None,
    serves: bool | None = None,
    instead: Sequence[str] = (),
    begin: Sequence[str] = (),
) -> list[str]:
    """Return the last lines of a run.

    Args:
        language: of the lines.
        state: as `switch_state.ending` returns it.
        scripts_dir: folder of the commands; empty for their names alone.
        host: the name that a confirmation has to give.
        tenant: the schema, where the run was about one tenant.
        restored: what this run restored and did not switch to.
        serves: whether the application responded after a switch of this run.
        instead: arguments that name another backup, where this run's could not be restored.
        begin: arguments with which a recovery begins on this host.
    """
    words = translations(language)
    tr = words.gettext
    command = f"{scripts_dir}/disaster-recovery.sh" if scripts_dir else "disaster-recovery.sh"
    again = ["--tenant", tenant] if tenant else []
    if state["unknown"]:
        unknown = translate(words, state["unknown"])
        return [
            tr("▶ Serves: unknown: %(why)s") % {"why": unknown},
            tr("▶ Kept: unknown"),
            tr("▶ Stopped: unknown"),
            tr("▶ Next: %(command)s") % {"command": f"{command} --status"},
        ]
    stopped = translate(words, state["stopped"])
    found = []
    if state["damage"]:
        why = translate(words, state["damage"])
        found.append(tr("⚠️ %(why)s; this is what the databases show") % {"why": why})
    return [
        *found,
        tr("▶ Serves: %(what)s") % {"what": _serving(tr, state)},
        tr("▶ Kept: %(what)s") % {"what": state["kept"] or tr("nothing")},
        tr("▶ Stopped: %(what)s")
        % {"what": tr("the application") if stopped else _maybe_stopped(tr, state)},
        tr("▶ Next: %(command)s")
        % {
            "command": _next(state, command, [*again], host, restored, serves, instead, begin)
            or tr("nothing needs to be done")
        },
    ]


def _serving(tr: Any, state: Mapping[str, Any]) -> str:
    if not state["exists"]:
        return str(tr("nothing: there is no %(production)s") % state)
    if not state["serves"]:
        return str(tr("nothing: %(production)s cannot be connected to") % state)
    if state["switched"]:
        return str(tr("%(production)s, which was %(switched)s until the switch") % state)
    return str(state["production"])


def _maybe_stopped(tr: Any, state: Mapping[str, Any]) -> str:
    return str(tr("perhaps the application") if state["unfinished"] else tr("nothing"))


def _next(
    state: Mapping[str, Any],
    command: str,
    again: Sequence[str],
    host: str,
    restored: str | None,
    serves: bool | None,
    instead: Sequence[str],
    begin: Sequence[str],
) -> str:
    """Return the one command to run next; empty for none."""
    if state["unfinished"]:
        return f"{command} --resume" if state["can_resume"] else f"{command} --undo"
    if state["stopped"]:
        return str(state["stopped"])
    confirm = ["--confirm", host]
    if serves is False:
        if state["kept"] and (again or state["undone"]):
            return shlex.join([command, *again, "--switch", state["kept"], *confirm])
        return shlex.join([command, "--undo", *confirm])
    if restored:
        return shlex.join([command, *again, "--switch", restored, *confirm])
    if instead:
        return shlex.join([command, *again, *instead])
    if state["serves"]:
        return ""
    if state["validated"]:
        return shlex.join([command, *again, "--switch", state["validated"], *confirm])
    return shlex.join([command, *again, *begin])
