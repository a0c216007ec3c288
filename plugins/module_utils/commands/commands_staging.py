# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 3 on the host: `test-restore-staging`; and to set up, validate, clean up a staging."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

from ..common import interrupt, quantity
from ..common.errors import ResilienceError
from ..common.language import translations
from ..drill import drill, follow_up
from ..pages import render_drill
from ..pages.render_titles import phase_title
from ..proof import drill_result, proof_settings, restore_settings
from ..proof.restore_settings import RestoreSettings
from .command import (
    EXIT_OK,
    Command,
    append_log,
    check_notifications,
    colour,
    is_terminal,
    now,
    print_result,
    warn,
    warn_problems,
)
from .page_output import print_page


def _drill_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--backup", metavar="FILE", help="this backup")
    which.add_argument("--tier", help="the newest of this tier")
    which.add_argument("--date", metavar="YYYY-MM-DD", help="the newest taken on this day")
    from_offsite_argument(parser)
    parser.add_argument("--keep", action="store_true", help="leave staging standing")


def from_offsite_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that fetches the backup from the offsite copy."""
    parser.add_argument(
        "--from-offsite",
        nargs="?",
        const="",
        metavar="DESTINATION",
        help="fetch it from the offsite copy: from this destination, or the configured one",
    )


def with_destination(settings: RestoreSettings, arguments: argparse.Namespace) -> RestoreSettings:
    """Return the settings with the destination that the command line names."""
    if not arguments.from_offsite:
        return settings
    return dataclasses.replace(settings, offsite_destination=arguments.from_offsite)


def refuse_path_from_offsite(arguments: argparse.Namespace) -> None:
    """Refuse `--backup` together with `--from-offsite`: that path is on this host."""
    if arguments.backup and arguments.from_offsite is not None:
        raise ResilienceError(
            "a file of this host cannot be fetched from offsite",
            option="backup",
            value=arguments.backup,
            remedy="give --tier or --date with --from-offsite, or neither",
        )


def progress_printer(language: str) -> proof_settings.Progress:
    """Return a function that prints one line for each phase; on a terminal also its progress."""
    terminal = is_terminal(sys.stderr)

    def show(phase: str, detail: str) -> None:
        title = phase_title(translations(language), phase)
        if not detail:
            warn(("\r\x1b[K" if terminal else "") + f"{now()} {title}")
        elif terminal:
            warn(f"\r\x1b[K   {detail}", end="")

    return show


def _log_and_print(
    settings: RestoreSettings, arguments: argparse.Namespace, result: dict[str, Any]
) -> int:
    lines = [f"{result['time']} {_phase_line(phase)}" for phase in result["phases"]]
    lines.append(f"{now()} {_verdict_line(result)}")
    _log(settings, lines)
    if arguments.json:
        print_result(json.dumps(result))
    else:
        if is_terminal(sys.stderr):
            warn("\r\x1b[K", end="")
        print_page(lambda: render_drill.validation_report(result, settings.language, colour()))
    return drill_result.exit_code(result)


def _phase_line(phase: dict[str, Any]) -> str:
    return f"phase={phase['name']} seconds={phase['seconds']}"


def _verdict_line(result: dict[str, Any]) -> str:
    counts = " ".join(f"{name}={result[name]}" for name in ("passed", "failed", "skipped"))
    backup = json.dumps(result["backup"].get("path"))
    text = f"verdict={result['verdict']} backup={backup} {counts}"
    return text + (f" problem={json.dumps(result['problem'])}" if result["problem"] else "")


def _log(settings: RestoreSettings, lines: Sequence[str]) -> None:
    problem = append_log(settings.log_file, lines)
    if problem:
        warn_problems(settings, [problem])


def _setup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="prepare what staging needs, and leave starting it to another program",
    )


def _setup(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    if arguments.prepare:
        changed = drill.prepare(restore_settings.proof_settings(settings))
        if arguments.json:
            print_result(json.dumps({"changed": changed}))
        return EXIT_OK
    staging = drill.set_up(restore_settings.proof_settings(settings))
    _log(
        settings,
        [f"{now()} staging is up, engine={staging['engine']} seconds={staging['seconds']}"],
    )
    if arguments.json:
        print_result(json.dumps(staging))
        return EXIT_OK
    tr = translations(settings.language).gettext
    print_result(
        tr("✅ Staging is up: PostgreSQL at %(host)s, port %(port)s, in %(seconds)s")
        % {
            "host": staging["host"],
            "port": staging["port"],
            "seconds": quantity.duration(translations(settings.language), staging["seconds"]),
        }
    )
    return EXIT_OK


def _drill(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    drill_settings = restore_settings.proof_settings(with_destination(settings, arguments))
    refuse_path_from_offsite(arguments)
    if arguments.backup:
        settings = dataclasses.replace(settings, source="local")
    follow_up.check_settings(settings)
    problems = follow_up.begin(settings)
    result = drill.run(
        drill_settings,
        path=arguments.backup,
        tier=arguments.tier,
        date=arguments.date,
        from_offsite=arguments.from_offsite is not None or settings.source == "offsite",
        keep=arguments.keep,
        progress=progress_printer(settings.language),
    )
    # The drill is over: a signal must not prevent its report. Each step of it has a time limit.
    with interrupt.deferred():
        return _report_drill(settings, arguments, result, problems)


def _report_drill(
    settings: RestoreSettings,
    arguments: argparse.Namespace,
    result: dict[str, Any],
    problems: list[str],
) -> int:
    problems += follow_up.follow(settings, result)
    warn_problems(settings, problems)
    _log(settings, [f"{now()} problem={json.dumps(problem)}" for problem in problems])
    return _log_and_print(settings, arguments, result)


def _runbook(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    last = drill_result.last_result(settings.state_dir)
    changed, _problems = follow_up.renew_runbook(settings, last)
    if arguments.json:
        print_result(json.dumps({"changed": changed, "runbook": settings.runbook}))
    else:
        print_result(settings.runbook)
    return EXIT_OK


def _validate(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    drill_settings = restore_settings.proof_settings(settings)
    result = drill.validate(drill_settings, progress=progress_printer(settings.language))
    return _log_and_print(settings, arguments, result)


def _cleanup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--remove-image",
        action="store_true",
        help="remove also the backend's image that was built, which the next staging uses again",
    )


def _cleanup(settings: RestoreSettings, arguments: argparse.Namespace) -> int:
    removed = drill.clean_up(
        restore_settings.proof_settings(settings), cached=arguments.remove_image
    )
    names = removed or ["nothing: there was no staging"]
    _log(settings, [f"{now()} removed {name}" for name in names])
    tr = translations(settings.language).gettext
    if arguments.json:
        print_result(json.dumps({"removed": removed}))
    else:
        lines = [tr("🧹 removed: %(what)s") % {"what": what} for what in removed]
        print_result("\n".join([*lines, tr("✅ Staging is gone; production was not touched")]))
    return EXIT_OK


COMMANDS = {
    "setup-staging": Command(
        "make an empty staging that stays", RestoreSettings, _setup, _setup_arguments
    ),
    "test-restore-staging": Command(
        "restore the newest backup in staging and validate it",
        RestoreSettings,
        _drill,
        _drill_arguments,
        notifies=True,
        check=check_notifications,
    ),
    "validate-staging": Command("validate the restored staging again", RestoreSettings, _validate),
    "cleanup-staging": Command("remove staging", RestoreSettings, _cleanup, _cleanup_arguments),
    "write-runbook": Command("write the disaster recovery runbook", RestoreSettings, _runbook),
}
