# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disaster recovery on the host: `disaster-recovery`, with stage 3's configuration."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..backup import backup_choice
from ..common import interrupt, quantity
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.messages import _, translate, translate_result
from ..pages import render_titles
from ..proof import drill_result, proof_settings, restore_settings
from ..proof.restore_settings import RestoreSettings
from ..recovery import recovery, recovery_run, recovery_switch, recovery_tenant, switch_state
from . import recovery_ending
from .command import (
    EXIT_CRITICAL,
    EXIT_OK,
    EXIT_UNKNOWN,
    EXIT_WARNING,
    Command,
    OutputError,
    append_log,
    in_language,
    now,
    print_result,
    warn,
    warn_problems,
    warn_unforeseen,
)
from .commands_staging import (
    from_offsite_argument,
    progress_printer,
    refuse_path_from_offsite,
    with_destination,
)

NAME = "disaster-recovery"
# In place of a name, so that nobody has to type one.
NEWEST = "newest"


def _arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--backup", metavar="FILE", help="this backup")
    which.add_argument("--tier", help="the newest of this tier")
    which.add_argument("--date", metavar="YYYY-MM-DD", help="the newest taken on this day")
    which.add_argument(
        "--switch",
        metavar="NAME",
        help=f"put this one in production's place; `{NEWEST}` for the newest that was validated",
    )
    which.add_argument("--list", action="store_true", help="list what --switch takes")
    which.add_argument(
        "--status", action="store_true", help="show how production stands and what is unfinished"
    )
    which.add_argument(
        "--resume",
        action="store_true",
        help="finish a switch that was cut off, or start the application that one left stopped",
    )
    which.add_argument(
        "--undo", action="store_true", help="take the last switch back; never forward again"
    )
    from_offsite_argument(parser)
    parser.add_argument("--tenant", metavar="SCHEMA", help="one tenant alone")
    parser.add_argument(
        "--confirm", metavar="HOST", help="switch: this host's name, so that it is no mistake"
    )


class _Outcome:
    """What a run did, for its last lines."""

    restored: str | None = None
    serves: bool | None = None
    instead: Sequence[str] = ()


def _run(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    """Run the command; whatever happens, its last lines show how production stands."""
    settings = with_destination(settings, arguments)
    target = restore_settings.recovery_server(settings)
    recovery_settings = recovery.RecoverySettings(restore_settings.proof_settings(settings), target)
    outcome, failed = _Outcome(), False
    try:
        return _perform(settings, recovery_settings, arguments, outcome)
    except ResilienceError as error:
        failed = True
        warn(f"{NAME}: {in_language(None if arguments.json else settings, error.message())}")
    except OutputError:
        raise
    except KeyboardInterrupt:
        interrupt.begin_cleanup()
        failed = True
        stopped = in_language(settings, _("stopped before the end"))
        warn(f"{NAME}: {stopped}")
    except Exception as error:  # no traceback hides which database serves
        failed = True
        warn_unforeseen(NAME, error)
    finally:
        with interrupt.deferred():
            _print_ending(settings, recovery_settings, arguments, outcome, failed)
    return EXIT_UNKNOWN


def _print_ending(
    settings: RestoreSettings,
    recovery_settings: recovery.RecoverySettings,
    arguments: argparse.Namespace,
    outcome: _Outcome,
    failed: bool,
) -> None:
    """Print the last lines: below the page, or beside a result for programs and an error."""
    tenant = arguments.tenant or ""
    state = switch_state.ending(recovery_settings, tenant)
    lines = recovery_ending.lines(
        settings.language,
        state,
        settings.scripts_dir,
        recovery.host_name(),
        tenant=tenant,
        restored=outcome.restored,
        serves=outcome.serves,
        instead=outcome.instead,
        begin=() if state["serves"] else _beginning(settings, recovery_settings, arguments),
    )
    if failed:
        _log(settings, [f"{now()} {line}" for line in lines])
    if arguments.json or failed:
        warn("\n".join(lines))
    else:
        print_result("\n".join(lines))


def _perform(
    settings: RestoreSettings,
    recovery_settings: recovery.RecoverySettings,
    arguments: argparse.Namespace,
    outcome: _Outcome,
) -> int:
    if arguments.status:
        return _status(settings, recovery_settings, arguments)
    if arguments.list:
        return _list(settings, recovery_settings, arguments)
    if arguments.switch == NEWEST:
        newest = switch_state.newest_validated(recovery_settings, arguments.tenant or "")
        return _switch(settings, recovery_settings, arguments, newest, outcome)
    if arguments.tenant and arguments.resume:
        raise ResilienceError(
            _("the switch of one tenant is one transaction: it is never unfinished"),
            option="tenant",
            value=arguments.tenant,
            remedy=_("look with --status; for a switch of the database leave --tenant out"),
        )
    if arguments.tenant and arguments.undo:
        recovery.refuse_unconfirmed(arguments.confirm)
        kept = switch_state.newest_kept(recovery_settings, arguments.tenant)
        return _switch(settings, recovery_settings, arguments, kept, outcome)
    if arguments.switch or arguments.resume or arguments.undo:
        return _switch(settings, recovery_settings, arguments, arguments.switch, outcome)
    if arguments.confirm is not None:
        recovery.refuse_unconfirmed(arguments.confirm)
    refuse_path_from_offsite(arguments)
    which = {
        "path": arguments.backup,
        "tier": arguments.tier,
        "date": arguments.date,
        "from_offsite": arguments.from_offsite is not None,
    }
    progress = progress_printer(settings.language)
    try:
        if arguments.tenant:
            result = recovery_tenant.restore_beside(
                recovery_settings, arguments.tenant, **which, progress=progress
            )
        else:
            result = recovery_run.restore_beside(recovery_settings, **which, progress=progress)
    except ResilienceError as error:
        if error.option == "backup_path":  # there is none here
            outcome.instead = _instead(settings, recovery_settings, arguments, {})
        raise
    _log(settings, [f"{now()} {_verdict_line(result)}"])
    passed = result["verdict"] == proof_settings.PASSED
    outcome.instead = (
        _instead(settings, recovery_settings, arguments, result["backup"])
        if result["verdict"] == proof_settings.FAILED
        else ()
    )
    if passed and arguments.confirm and not result["doubts"]:
        return _switch(settings, recovery_settings, arguments, result["name"], outcome, result)
    outcome.restored = result["name"]
    if arguments.json:
        print_result(json.dumps(result))
    else:
        print_result("\n".join(_page(settings, result)))
    return EXIT_WARNING if passed and result["doubts"] else drill_result.exit_code(result)


def _instead(
    settings: RestoreSettings,
    recovery_settings: recovery.RecoverySettings,
    arguments: argparse.Namespace,
    backup: Mapping[str, Any],
) -> Sequence[str]:
    """Return the arguments that name another backup than this run's; none where there is none.

    The same one from offsite comes first: that copy may be whole. Then it is the next older one.

    Args:
        settings, recovery_settings: of the run.
        arguments: of the run.
        backup: its description; empty where none was found.
    """
    if arguments.from_offsite is None and settings.offsite_config and not arguments.backup:
        which = [("--tier", arguments.tier), ("--date", arguments.date)]
        return ["--from-offsite", *(word for pair in which if pair[1] for word in pair)]
    if arguments.from_offsite is not None or not backup:
        return ()
    drill = recovery_settings.drill
    older = backup_choice.next_older(
        drill.backup_path, tiers=drill.tiers, pattern=drill.pattern, before=backup["taken_at"]
    )
    return ["--backup", older.path] if older else ()


def _beginning(
    settings: RestoreSettings,
    recovery_settings: recovery.RecoverySettings,
    arguments: argparse.Namespace,
) -> Sequence[str]:
    """Return the arguments with which a recovery begins: from offsite where no backup is here."""
    if arguments.from_offsite is not None:
        which = [("--tier", arguments.tier), ("--date", arguments.date)]
        chosen = [word for pair in which if pair[1] for word in pair]
        return [
            f"--from-offsite{'=' * bool(arguments.from_offsite)}{arguments.from_offsite}",
            *chosen,
        ]
    if not settings.offsite_config:
        return ()
    drill = recovery_settings.drill
    try:
        backup_choice.choose(drill.backup_path, tiers=drill.tiers, pattern=drill.pattern)
    except (ResilienceError, OSError):
        return ["--from-offsite"]
    return ()


def _list(
    settings: RestoreSettings,
    recovery_settings: recovery.RecoverySettings,
    arguments: argparse.Namespace,
) -> int:
    tenants = bool(arguments.tenant)
    found = (
        recovery_tenant.switchable_schemas(recovery_settings)
        if tenants
        else recovery.switchable_databases(recovery_settings)
    )
    if arguments.json:
        print_result(json.dumps(found))
    elif found:
        print_result("\n".join(f"{one['name']}: {one['what']}" for one in found))
    else:
        print_result(in_language(settings, _("nothing was restored beside production")))
    return EXIT_OK


def _switch(
    settings: RestoreSettings,
    recovery_settings: recovery.RecoverySettings,
    arguments: argparse.Namespace,
    name: str | None,
    outcome: _Outcome,
    restored: dict[str, Any] | None = None,
) -> int:
    confirm = arguments.confirm

    def show_message(text: str) -> None:
        _log(settings, [f"{now()} switch: {text}"])
        warn(f"{now()} {translate(translations(settings.language), text)}")

    if arguments.tenant:
        done = recovery_tenant.switch(
            *(recovery_settings, arguments.tenant, str(name), confirm, show_message),
            undo=arguments.undo,
        )
    elif arguments.resume:
        done = recovery_switch.resume(recovery_settings, show_message)
    elif arguments.undo:
        done = recovery_switch.undo(recovery_settings, confirm, show_message)
    else:
        done = recovery_switch.switch(recovery_settings, str(name), confirm, show_message)
    outcome.serves = done["serves"]
    _log(
        settings,
        [
            f"{now()} switched to={done['name']} kept={done['kept']} serves={done['serves']}",
            *(f"{now()} problem={json.dumps(problem)}" for problem in done["problems"]),
        ],
    )
    if arguments.json:
        print_result(json.dumps({**(restored or {}), "switched": done}))
    else:
        page = [*(_page(settings, restored) if restored else []), *_switch_page(settings, done)]
        print_result("\n".join(page))
    return EXIT_CRITICAL if done["serves"] is False or done["problems"] else EXIT_OK


def _status(
    settings: RestoreSettings,
    recovery_settings: recovery.RecoverySettings,
    arguments: argparse.Namespace,
) -> int:
    state = recovery_switch.status(recovery_settings)
    if arguments.json:
        print_result(json.dumps(state))
    else:
        print_result("\n".join(_status_page(settings, state)))
    fine = state["connectable"] and not state["unfinished"]
    return EXIT_OK if fine else EXIT_CRITICAL


def _status_page(settings: RestoreSettings, state: dict[str, Any]) -> list[str]:
    tr = translations(settings.language).gettext
    if not state["exists"]:
        lines = [tr("❌ There is no database %(production)s") % state]
    elif state["connectable"]:
        lines = [tr("✅ Production's database %(production)s can be connected to") % state]
    else:
        lines = [tr("❌ Production's database %(production)s cannot be connected to") % state]
    for one in state["candidates"]:
        lines.append(f"   {one['name']}: {one['what']}")
    if state["unfinished"]:
        lines.append(
            tr("⚠️ The switch to %(name)s was cut off; the names are changed already") % state
            if state["switched"]
            else tr("⚠️ The switch to %(name)s was cut off; the names are as before") % state
        )
        if "--resume" in state["next"]:
            lines.append(tr("   To finish it, or to take it back:"))
            lines.append(f"   {NAME}.sh --resume")
        else:
            lines.append(tr("   What it switches to is not there any more. To take it back:"))
        lines.append(f"   {NAME}.sh --undo")
    return lines


def _page(settings: RestoreSettings, result: dict[str, Any]) -> list[str]:
    language = translations(settings.language)
    tr = language.gettext
    result = translate_result(language, result)
    lines = []
    if result["backup"]:  # without one it could not be fetched
        path = result["backup"].get("opened_from") or result["backup"]["path"]
        backup = {"file": path, "moment": result["backup"]["taken_at"]}
        lines.append(tr("📁 Backup: %(file)s, of %(moment)s") % backup)
    for phase in result["phases"]:
        title = render_titles.phase_title(language, phase["name"])
        lines.append(f"   - {title}: {quantity.duration(language, phase['seconds'])}")
    for check in result["checks"]:
        sign = {"passed": "✅", "failed": "❌"}.get(check["status"], "⚠️")
        title = render_titles.check_title(language, check)
        lines.append(f"   {sign} {title}: {check['evidence']}")
    if result["name"]:
        if result["verdict"] == proof_settings.PASSED:
            text = tr("✅ Restored and validated beside production: %(name)s")
        else:
            text = tr("⚠️ Restored beside production, and something may be missing: %(name)s")
        lines.append(text % result)
        again = [f"--tenant {result['tenant']}"] if result["tenant"] else []
        command = " ".join(
            [f"{NAME}.sh", *again, f"--switch {result['name']}", f"--confirm {result['host']}"]
        )
        if result["doubts"]:
            lines.append(tr("   ⚠️ Look at the checks marked so before the switch"))
        for text in result["unlike"]:
            what = translate(language, text)
            lines.append(tr("   ⚠️ Not as in production: %(what)s") % {"what": what})
        for text in result["left_behind"]:
            what = translate(language, text)
            lines.append(tr("   ⚠️ Stays with the old database: %(what)s") % {"what": what})
        lines.append(tr("   Production was not touched. To put it in its place:"))
        lines.append(f"   {command}")
    else:
        lines.append(
            tr("❌ Not restored (%(verdict)s): %(problem)s. Production was not touched.")
            % {"verdict": result["verdict"], "problem": result["problem"] or "-"}
        )
    return lines


def _switch_page(settings: RestoreSettings, done: dict[str, Any]) -> list[str]:
    language = translations(settings.language)
    tr = language.gettext
    if done["name"] is None:
        lines = [tr("✅ The switch was taken back; %(now)s is as it was") % done]
    else:
        lines = [tr("✅ %(name)s is production's now, as %(now)s") % done]
    if done["kept"]:
        lines.append(tr("   The old one is kept as %(kept)s; the way back is:") % done)
        again = ["--tenant", done["tenant"]] if done["tenant"] else []
        way = [f"{NAME}.sh", *again, "--switch", done["kept"], "--confirm", done["host"]]
        lines.append(f"   {shlex.join(way)}")
    if done.get("moved"):
        lines.append(
            tr("   Depends on the restored tenant now: %(what)s")
            % {"what": ", ".join(done["moved"])}
        )
    if done["written_since"]:
        lines.append(
            tr("   ⚠️ Tables written to after the restore, only in the old one: %(written_since)d")
            % done
        )
    for text in done["left_behind"]:
        lines.append(
            tr("   ⚠️ Stays with the old database: %(what)s") % {"what": translate(language, text)}
        )
    for problem in done["problems"]:
        lines.append("❌ " + translate(language, problem))
    if done["serves"] is False:
        lines.append(tr("❌ The system does not answer. Look at the backend, or go back."))
    elif done["serves"]:
        lines.append(tr("✅ The system answers again"))
    return lines


def _verdict_line(result: dict[str, Any]) -> str:
    text = f"recovery verdict={result['verdict']} name={result['name']}"
    return text + (f" problem={json.dumps(result['problem'])}" if result["problem"] else "")


def _log(settings: RestoreSettings, lines: list[str]) -> None:
    problem = append_log(settings.log_file, lines)
    if problem:
        warn_problems(settings, [problem])


COMMANDS = {
    NAME: Command(
        "restore a backup beside production, validate it, and switch when confirmed",
        RestoreSettings,
        _run,
        _arguments,
    ),
}
