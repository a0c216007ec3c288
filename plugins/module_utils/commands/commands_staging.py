# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 3 on the host: `setup-staging`, `test-restore-staging`, `validate-staging` and
`cleanup-staging`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from ..checks import findings
from ..common import quantity
from ..common.config import Key
from ..common.errors import ResilienceError
from ..common.language import translations
from ..drill import drill, drill_result, follow_up
from ..inventory import inventory
from ..pages import render
from ..pages.render_titles import phase_title
from ..proof import proof_settings
from ..staging import staging
from ..validation import api_probe, check_context, previous_counts
from .command import EXIT_OK, Command, append_log, colour, now, tell, warn

KEYS = {
    "engine": Key(str, "embedded"),
    "work_dir": Key(str, required=True),
    "database": Key(str, "restaurante_staging"),
    "bin_dir": Key(str, ""),
    "backend_command": Key(list, []),
    "backend_env": Key(dict, {}),
    "backend_port": Key(int, 3001),
    "backend_health_path": Key(str, "/health"),
    "backend_seconds": Key((int, float), 60),
    "compose": Key(dict, {}),
    "external": Key(dict, {}),
    "production": Key(dict, {}),
    "state_dir": Key(str, required=True),
    "backup_path": Key(str, required=True),
    "tiers": Key(list, list(inventory.TIERS)),
    "pattern": Key(str, inventory.PATTERN),
    "tenant_query": Key(str, ""),
    "tenant_prefix": Key(str, "tenant_"),
    "foreign_keys": Key(str, "not_valid"),
    "queries": Key(list, []),
    "amcheck": Key(bool, False),
    "ignore_findings": Key(list, []),
    "roles": Key(list, []),
    "production_dsn": Key(dict, {}),
    "api_users": Key(list, []),
    "api_steps": Key(list, []),
    "api_time_limit": Key((int, float), 10),
    "featured_schema": Key(str, ""),
    "table_order": Key(list, []),
    "fall_percent": Key((int, float), 50),
    "fall_least_rows": Key(int, 20),
    "jobs": Key(int, 0),
    "time_limit": Key((int, float), 3600),
    "rto_seconds": Key((int, float), 600),
    "rpo_seconds": Key((int, float), 86400),
    "recovery": Key(dict, {}),
    "report_dir": Key(str, ""),
    "runbook": Key(str, ""),
    "contacts": Key(list, []),
    "offsite_config": Key(str, ""),
    "offsite_key_file": Key(str, ""),
    "source": Key(str, "local"),
    "notify_urls": Key(list, []),
    "notify_remind_hours": Key((int, float), 24),
    "ping_url": Key(str, ""),
    "metrics_file": Key(str, ""),
    "scripts_dir": Key(str, ""),
    "log_file": Key(str, required=True),
    "language": Key(str, "pt_BR"),
}


def settings_of(values: dict[str, Any]) -> proof_settings.ProofSettings:
    """Return the settings of a drill from a configuration."""

    def chosen(*names: str) -> dict[str, Any]:
        return {name: values[name] for name in names}

    backend = staging.BackendSettings(
        command=tuple(values["backend_command"]),
        env={str(name): str(value) for name, value in values["backend_env"].items()},
        port=values["backend_port"],
        health_path=values["backend_health_path"],
        seconds=values["backend_seconds"],
    )
    place = staging.StagingSettings(
        engine=values["engine"],
        backend=backend,
        production=staging.from_mapping(
            staging.ProductionSettings, "production", values["production"]
        ),
        compose=staging.from_mapping(staging.ComposeSettings, "compose", values["compose"]),
        external=staging.from_mapping(staging.ExternalSettings, "external", values["external"]),
        **chosen("work_dir", "database", "bin_dir"),
    )
    validation = check_context.ValidationSettings(
        tenant_query=values["tenant_query"] or None,
        ignore=findings.ignored(values["ignore_findings"]),
        **chosen("tenant_prefix", "foreign_keys", "queries", "amcheck"),
    )
    # Wrong users or steps are refused before anything is touched.
    steps = values["api_steps"] or api_probe.STEPS
    api_probe.Api(backend.url, values["api_users"], steps)
    return proof_settings.ProofSettings(
        staging=place,
        validation=validation,
        tiers=tuple(values["tiers"]),
        api_steps=steps,
        **chosen(
            "state_dir",
            "backup_path",
            "pattern",
            "featured_schema",
            "jobs",
            "time_limit",
            "roles",
            "production_dsn",
            "table_order",
        ),
        **chosen("offsite_config", "offsite_key_file"),
        fall=previous_counts.FallLimits(values["fall_percent"], values["fall_least_rows"]),
        **chosen("api_users", "api_time_limit", "rto_seconds", "rpo_seconds"),
    )


def _drill_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--backup", metavar="FILE", help="this backup")
    which.add_argument("--tier", help="the newest of this tier")
    which.add_argument("--date", metavar="YYYY-MM-DD", help="the newest taken on this day")
    parser.add_argument(
        "--from-offsite", action="store_true", help="fetch it from the offsite server"
    )
    parser.add_argument("--keep", action="store_true", help="leave staging standing")


def refuse_path_from_offsite(arguments: argparse.Namespace) -> None:
    """Refuse a path together with a server: the path is one of this host."""
    if arguments.backup and arguments.from_offsite:
        raise ResilienceError(
            "a file of this host cannot be fetched from offsite",
            option="backup",
            value=arguments.backup,
            remedy="give --tier or --date with --from-offsite, or neither",
        )


def progress_of(language: str) -> proof_settings.Progress:
    """Return a reporter that writes one line a phase; on a terminal also what the phase does."""
    terminal = sys.stderr.isatty()

    def show(phase: str, what: str) -> None:
        title = phase_title(translations(language), phase)
        if not what:
            warn(("\r\x1b[K" if terminal else "") + f"{now()} {title}")
        elif terminal:
            warn(f"\r\x1b[K   {what}", end="")

    return show


def _show(values: dict[str, Any], arguments: argparse.Namespace, result: dict[str, Any]) -> int:
    lines = [f"{result['time']} {_phase_line(phase)}" for phase in result["phases"]]
    lines.append(f"{now()} {_ending(result)}")
    _log(values, lines)
    if arguments.json:
        tell(json.dumps(result))
    else:
        if sys.stderr.isatty():
            warn("\r\x1b[K", end="")
        tell(render.validation_report(result, values["language"], colour()))
    return drill_result.exit_code(result)


def _phase_line(phase: dict[str, Any]) -> str:
    return f"phase={phase['name']} seconds={phase['seconds']}"


def _ending(result: dict[str, Any]) -> str:
    counts = " ".join(f"{name}={result[name]}" for name in ("passed", "failed", "skipped"))
    backup = json.dumps(result["backup"].get("path"))
    text = f"verdict={result['verdict']} backup={backup} {counts}"
    return text + (f" problem={json.dumps(result['problem'])}" if result["problem"] else "")


def _log(values: dict[str, Any], lines: Sequence[str]) -> None:
    problem = append_log(values["log_file"], lines)
    if problem:
        warn(problem)


def _setup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="prepare what staging needs, and leave starting it to another program",
    )


def _setup(values: dict[str, Any], arguments: argparse.Namespace) -> int:
    if arguments.prepare:
        changed = drill.prepare(settings_of(values))
        if arguments.json:
            tell(json.dumps({"changed": changed}))
        return EXIT_OK
    made = drill.set_up(settings_of(values))
    _log(values, [f"{now()} staging is up, engine={made['engine']} seconds={made['seconds']}"])
    if arguments.json:
        tell(json.dumps(made))
        return EXIT_OK
    _ = translations(values["language"]).gettext
    tell(
        _("✅ Staging is up: PostgreSQL at %(host)s, port %(port)s, in %(seconds)s")
        % {
            "host": made["host"],
            "port": made["port"],
            "seconds": quantity.duration(translations(values["language"]), made["seconds"]),
        }
    )
    return EXIT_OK


def _drill(values: dict[str, Any], arguments: argparse.Namespace) -> int:
    settings = settings_of(values)
    refuse_path_from_offsite(arguments)
    if arguments.backup:
        values = {**values, "source": "local"}
    notifications = follow_up.notification_settings(values)
    problems = follow_up.begin(notifications)
    result = drill.run(
        settings,
        path=arguments.backup,
        tier=arguments.tier,
        date=arguments.date,
        from_offsite=arguments.from_offsite or values["source"] == "offsite",
        keep=arguments.keep,
        progress=progress_of(values["language"]),
    )
    problems += follow_up.follow(values, notifications, result)
    for problem in problems:
        warn(problem)
    _log(values, [f"{now()} problem={json.dumps(problem)}" for problem in problems])
    return _show(values, arguments, result)


def _runbook(values: dict[str, Any], arguments: argparse.Namespace) -> int:
    last = drill_result.last_result(values["state_dir"])
    changed, _problems = follow_up.renew_runbook(values, last)
    if arguments.json:
        tell(json.dumps({"changed": changed, "runbook": values["runbook"]}))
    else:
        tell(values["runbook"])
    return EXIT_OK


def _validate(values: dict[str, Any], arguments: argparse.Namespace) -> int:
    settings = settings_of(values)
    result = drill.validate(settings, progress=progress_of(values["language"]))
    return _show(values, arguments, result)


def _cleanup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--forget",
        action="store_true",
        help="remove also the backend's image that was built, which the next staging uses again",
    )


def _cleanup(values: dict[str, Any], arguments: argparse.Namespace) -> int:
    removed = drill.clean_up(settings_of(values), cached=arguments.forget)
    names = removed or ["nothing: there was no staging"]
    _log(values, [f"{now()} removed {name}" for name in names])
    _ = translations(values["language"]).gettext
    if arguments.json:
        tell(json.dumps({"removed": removed}))
    else:
        lines = [_("🧹 removed: %(what)s") % {"what": what} for what in removed]
        tell("\n".join([*lines, _("✅ Staging is gone; production was not touched")]))
    return EXIT_OK


COMMANDS = {
    "setup-staging": Command("make an empty staging that stays", KEYS, _setup, _setup_arguments),
    "test-restore-staging": Command(
        "restore the newest backup in staging and validate it", KEYS, _drill, _drill_arguments
    ),
    "validate-staging": Command("validate the restored staging again", KEYS, _validate),
    "cleanup-staging": Command("remove staging", KEYS, _cleanup, _cleanup_arguments),
    "write-runbook": Command("write the disaster recovery runbook", KEYS, _runbook),
}
