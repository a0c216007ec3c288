# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands of stage 2 on the host do: sync, verification, repair.

It is loaded while the server lists its backups (`commands_offsite`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice

from ..common import json_stream
from ..common.language import translations
from ..common.messages import _, join, translate
from ..common.safe_text import clean
from ..history.history import delete_stage
from ..notifications import ping
from ..offsite import destinations, offsite_repair, offsite_report, offsite_verification, sync
from ..offsite.early_listing import Started
from ..offsite.offsite_config import OffsiteSettings
from ..offsite.offsite_settings import (
    FAILED,
    LOCKED,
    OK,
    REFUSED,
    WARNING,
    SyncResult,
    SyncSettings,
)
from ..pages import render_offsite
from .command import (
    EXIT_OK,
    append_log,
    colour,
    in_language,
    is_terminal,
    now,
    print_result,
    warn,
    warn_problems,
)
from .page_output import print_page


def _progress(
    settings: OffsiteSettings, what: str, name: str = ""
) -> Callable[[int, int], None] | None:
    """Return a callback that prints the progress; None where there is no terminal."""
    if not is_terminal(sys.stderr):
        return None
    label, shown = " ".join(filter(None, [in_language(settings, what), name])), -1

    def show(done: int, total: int) -> None:
        nonlocal shown
        percent = min(100, 100 * done // total) if total else 100
        if percent != shown:
            shown = percent
            warn(f"\r{label} {percent} %", end="\n" if percent == 100 else "")

    return show


# What the log calls each status.
_STATUS = {
    OK: _("ok"),
    WARNING: _("warning"),
    LOCKED: _("locked"),
    REFUSED: _("refused"),
    FAILED: _("failed"),
}


def _lines(settings: OffsiteSettings, result: SyncResult) -> Iterator[str]:
    """Yield the log's lines for one sync. A file's name never breaks a line."""
    tr = translations(settings.language)
    # What the log says of each part; what a dry run says of it.
    parts: tuple[tuple[str, str, Sequence[str]], ...] = (
        (
            _("override %(what)s"),
            _("would override %(what)s"),
            [one.message() for one in result.overridden],
        ),
        (_("warning: %(what)s"), "", result.warnings),
        (_("server alarm: %(what)s"), "", result.server_alarms),
        (_("weaker: %(what)s"), "", result.weaker),
        (_("send %(what)s"), _("would send %(what)s"), result.sent),
        (_("move aside %(what)s"), _("would move aside %(what)s"), result.aside),
    )
    lines = (
        tr.gettext(planned if planned and result.dry_run else done) % {"what": translate(tr, one)}
        for done, planned, found in parts
        for one in found
    )
    sentence = join([result.message, result.remedy], " - ")
    ending = translate(tr, join([_STATUS[result.status], sentence], ": "))
    counts = (
        f"destination={result.destination} bytes_sent={result.bytes_sent} "
        f"attempts={result.attempts} seconds={result.seconds:.1f}"
        + (f" last_link={result.last_link}" if result.last_link else "")
    )
    moment = now()
    start = tr.gettext("start")
    yield f"{result.time} {start}"
    for line in chain(lines, (ending, counts)):
        yield f"{moment} {line}"


def _is_stdout(path: str) -> bool:
    """Return whether standard output already goes to the file: cron redirects it to the log."""
    if sys.stdout is None:  # the command was started with it closed
        return False
    try:
        return os.path.samestat(os.stat(path), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


def _log(settings: OffsiteSettings, lines: Iterable[str]) -> None:
    if _is_stdout(settings.log_file):
        return
    problem = append_log(settings.log_file, lines)
    if problem:
        warn_problems(settings, [problem])


def _print_json(value: object) -> None:
    """Print one line of JSON, part by part: it may list very many files."""
    for part in json_stream.parts(value):
        print_result(part, end="")
    print_result("")


# Lines that are written at one time.
_MOST_LINES = 1000
# From bad to good: the status of several destinations is that of the worst.
_WORST = (FAILED, REFUSED, LOCKED, WARNING, OK)


def sync_offsite(settings: OffsiteSettings, arguments: argparse.Namespace, started: Started) -> int:
    """Run `sync-backups-offsite`; `started` as for `destinations.syncs`."""
    if arguments.delete_state:
        stages = (offsite_report.STAGE, offsite_report.VERIFICATION)
        # A list, since both are deleted, not only the first that is there.
        deleted = [delete_stage(settings.state_dir, stage) for stage in stages]
        if any(deleted):
            print_result("deleted")
        return EXIT_OK
    chosen = destinations.syncs(settings, arguments.destination, started)
    if arguments.test_connection:
        names = [sync_settings.transport.server_name() for sync_settings in chosen]
        print_result(
            json.dumps({"hostname": names[0], "hostnames": names}) if arguments.json else names[0]
        )
        for name in names[1:] if not arguments.json else ():
            print_result(name)
        return EXIT_OK
    first = chosen[0]
    # The first server lists its backups while the tree is scanned.
    first.transport.prefetch(first.tiers)
    try:
        return _sync_destinations(settings, arguments, chosen)
    finally:
        first.transport.cancel()


def _sync_destinations(
    settings: OffsiteSettings, arguments: argparse.Namespace, chosen: Sequence[SyncSettings]
) -> int:
    offsite_report.check_settings(settings)
    sync.check_overrides(arguments.override)
    problems: list[str] = []
    if not arguments.dry_run:
        ping.ping_or_report(settings.ping_url, "start", "", problems)
    results = []
    broken: Exception | None = None
    for sync_settings in chosen:
        try:
            result = sync.sync(
                sync_settings,
                dry_run=arguments.dry_run,
                overrides=arguments.override,
                progress=_progress(settings, _("sending"), sync_settings.name),
            )
        except Exception as error:  # whatever it is, it is reported, and the others are synced
            broken = broken or error
            result = sync.broken_result(sync_settings, error, dry_run=arguments.dry_run)
        results.append(result)
        if not arguments.json:
            remaining = _lines(settings, result)
            while some := list(islice(remaining, _MOST_LINES)):
                print_result("\n".join(some))
        _log(settings, _lines(settings, result))
    if not arguments.dry_run:
        problems += offsite_report.report(settings, results)
        failed = [result for result in results if result.status in (FAILED, REFUSED)]
        messages = "\n".join(
            f"{result.destination}: {result.message}"
            + (f"; last link {result.last_link}" if result.last_link else "")
            for result in results
        )
        # A sync that found another one running knows nothing of the copy.
        if any(result.status != LOCKED for result in results):
            action = "fail" if failed else "success"
            ping.ping_or_report(settings.ping_url, action, messages, problems)
        found = [in_language(settings, _("problem: %(what)s", what=one)) for one in problems]
        _log(settings, [f"{now()} {line}" for line in found])
    warn_problems(settings, problems)
    if broken:
        raise broken
    worst = min(results, key=lambda result: _WORST.index(result.status))
    if arguments.json:
        synced = [one.values() for one in results]
        _print_json({**worst.values(), "destinations": synced, "problems": problems})
    return worst.exit_code


def _worst(codes: Sequence[int]) -> int:
    """Return the exit code of several destinations: a difference outweighs no result."""
    return max(codes, key=(0, 1, 3, 2).index)


def verify_offsite(
    settings: OffsiteSettings, arguments: argparse.Namespace, started: Started
) -> int:
    """Run `verify-offsite-backups`; `started` as for `destinations.syncs`."""
    chosen = destinations.syncs(settings, arguments.destination, started)
    first = chosen[0]
    first.transport.prefetch(first.tiers, digests=True)
    try:
        return _verify_destinations(settings, arguments, chosen)
    finally:
        first.transport.cancel()


def repair_offsite(
    settings: OffsiteSettings, arguments: argparse.Namespace, started: Started
) -> int:
    """Run `repair-offsite`; `started` as for `destinations.syncs`."""
    codes, results = [], []
    catalogue = translations(settings.language)
    for sync_settings in destinations.syncs(settings, arguments.destination, started):
        done = offsite_repair.repair(
            sync_settings, full=arguments.full, progress=_progress(settings, _("reading"))
        )
        codes.append(done.exit_code)
        lines = [
            f"{done.sync.destination}: {translate(catalogue, offsite_repair.message(done))}",
            *(translate(catalogue, _("repaired: %(file)s", file=path)) for path in done.repaired),
            *(
                f"- {translate(catalogue, one.what)} → {translate(catalogue, one.remedy)}"
                for one in done.left
            ),
        ]
        results.append(
            {
                "destination": done.sync.destination,
                "sync": done.sync.values(),
                "repaired": done.repaired,
                "left": [dataclasses.asdict(one) for one in done.left],
            }
        )
        repair = catalogue.gettext("repair: %(what)s")
        _log(settings, [f"{now()} {repair % {'what': line}}" for line in lines])
        if not arguments.json:
            print_result("\n".join(clean(line) for line in lines))
    if arguments.json:
        _print_json({"destinations": results})
    return _worst(codes)


def _verify_destinations(
    settings: OffsiteSettings, arguments: argparse.Namespace, chosen: Sequence[SyncSettings]
) -> int:
    codes, found = [], []
    broken: list[tuple[SyncSettings, Exception]] = []
    for sync_settings in chosen:
        try:
            verification = offsite_verification.verify(
                sync_settings,
                full=arguments.full,
                files=arguments.json,
                streamed=True,
                progress=_progress(settings, _("reading")),
            )
        except Exception as error:  # whatever it is, it is reported, and the others are verified
            broken.append((sync_settings, error))
            continue
        codes.append(offsite_verification.verify_exit_code(verification))
        found.append(verification)
        if not arguments.json:
            print_page(
                partial(render_offsite.offsite_report, verification, settings.language, colour())
            )
    warn_problems(settings, offsite_report.record_verifications(settings, found, broken))
    if broken:
        raise broken[0][1]
    if arguments.json:
        worst = found[codes.index(_worst(codes))]
        _print_json({**worst, "destinations": found})
    return _worst(codes)
