# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2 on the host: `sync-backups-offsite` and `verify-offsite-backups`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import inventory, offsite, offsite_guards, render
from .command import EXIT_OK, Command, append_log, colour, now, tell, warn
from .config import Key
from .ssh import Destination

KEYS = {
    "server_host": Key(str, required=True),
    "server_port": Key(int, 22),
    "server_user": Key(str, required=True),
    "server_path": Key(str, required=True),
    "key_file": Key(str, required=True),
    "known_hosts_file": Key(str, required=True),
    "ssh_options": Key(list, []),
    "bandwidth_kbps": Key(int, 0),
    "compress": Key(bool, False),
    "durable": Key(bool, True),
    "time_limit": Key((int, float), 7200),
    "connect_seconds": Key(int, 20),
    "silence_seconds": Key(int, 300),
    "tries": Key(int, 3),
    "retry_seconds": Key((int, float), 10),
    "backup_path": Key(str, required=True),
    "tiers": Key(list, list(inventory.TIERS)),
    "pattern": Key(str, inventory.PATTERN),
    "marker": Key(str, offsite.MARKER),
    "least_backups": Key(int, 1),
    "change_percent": Key((int, float), 40),
    "least_bytes": Key(int, 100),
    "shrink_percent": Key((int, float), 50),
    "rpo_hours": Key((int, float), 24),
    "state_dir": Key(str, required=True),
    "log_file": Key(str, required=True),
    "language": Key(str, "pt_BR"),
}


def _settings(values: dict[str, Any]) -> offsite.Settings:
    def chosen(*names: str) -> dict[str, Any]:
        return {name: values[name] for name in names}

    destination = Destination(
        host=values["server_host"],
        port=values["server_port"],
        user=values["server_user"],
        path=values["server_path"],
        bandwidth_kbps=values["bandwidth_kbps"] or None,
        ssh_options=tuple(values["ssh_options"]),
        **chosen("key_file", "known_hosts_file", "compress"),
        **chosen("time_limit", "connect_seconds", "silence_seconds"),
    )
    limits = offsite_guards.Limits(
        **chosen("least_backups", "change_percent", "least_bytes", "shrink_percent", "rpo_hours")
    )
    return offsite.Settings(
        destination=destination,
        tiers=tuple(values["tiers"]),
        limits=limits,
        **chosen("backup_path", "state_dir", "pattern", "marker"),
        **chosen("tries", "retry_seconds", "durable"),
    )


def _sync_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="GUARD",
        help=f"let this guard pass once: {', '.join(offsite_guards.GUARDS)}",
    )
    parser.add_argument(
        "--test-connection", action="store_true", help="only log in and tell the server's name"
    )


def _progress(label: str) -> Callable[[int, int], None] | None:
    """Tells how far it is, on a terminal only."""
    if not sys.stderr.isatty():
        return None
    shown = -1

    def told(done: int, total: int) -> None:
        nonlocal shown
        percent = min(100, 100 * done // total) if total else 100
        if percent != shown:
            shown = percent
            warn(f"\r{label} {percent} %", end="\n" if percent == 100 else "")

    return told


def _lines(result: offsite.SyncResult) -> list[str]:
    """The log's lines for one sync. A line stays one line, whatever a file is called."""
    would = "would " if result.dry_run else ""
    lines = [
        *(f"{would}override {refusal}" for refusal in result.overridden),
        *(f"warning: {warning}" for warning in result.warnings),
        *(f"{would}send {path}" for path in result.sent),
        *(f"{would}move aside {path}" for path in result.aside),
    ]
    ending = f"{result.status}: {result.message}"
    if result.remedy:
        ending += f" - {result.remedy}"
    counts = (
        f"destination={result.destination} bytes_sent={result.bytes_sent} "
        f"attempts={result.attempts} seconds={result.seconds:.1f}"
    )
    return [f"{result.time} start", *(f"{now()} {line}" for line in [*lines, ending, counts])]


def _is_stdout(path: str) -> bool:
    """Whether our standard output already goes to the file: cron redirects it to the log."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


def _log(path: str, lines: Sequence[str]) -> None:
    if _is_stdout(path):
        return
    problem = append_log(path, lines)
    if problem:
        warn(problem)


def _sync(values: dict[str, Any], arguments: argparse.Namespace) -> int:
    settings = _settings(values)
    if arguments.test_connection:
        name = offsite.server_name(settings.destination)
        tell(json.dumps({"hostname": name}) if arguments.json else name)
        return EXIT_OK
    result = offsite.sync(
        settings,
        dry_run=arguments.dry_run,
        overrides=arguments.override,
        progress=_progress("sending"),
    )
    lines = _lines(result)
    tell(json.dumps(result.to_dict()) if arguments.json else "\n".join(lines))
    _log(values["log_file"], lines)
    return result.exit_code


def _verify(values: dict[str, Any], arguments: argparse.Namespace) -> int:
    verification = offsite.verify(_settings(values), progress=_progress("reading"))
    if arguments.json:
        tell(json.dumps(verification))
    else:
        tell(render.offsite_report(verification, values["language"], colour()))
    return offsite.verify_exit_code(verification)


COMMANDS = {
    "sync-backups-offsite": Command(
        "copy the backups to the server elsewhere", KEYS, _sync, _sync_arguments
    ),
    "verify-offsite-backups": Command(
        "prove by content that the copy elsewhere is equal", KEYS, _verify
    ),
}
