"""The results of the demo: results.json, the HTML report, and the figures beside their limits."""

from __future__ import annotations

import datetime
import json
import os
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.common import quantity
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import render_html

from .commands import Peaks
from .layout import Layout
from .play import PlayRecap

VERSION = 1
# Limits for 100 tenants: seconds, and bytes for the memory of a host command.
LIMITS = {
    "play_first_seconds": 90,
    "play_second_seconds": 25,
    "restore_and_validation_seconds": 30,
    "command_memory_bytes": 150 << 20,
}


def results(
    tenants: int,
    setup: dict[str, float],
    pages: dict[str, Any],
    plays: dict[str, PlayRecap],
    peaks: Peaks,
) -> dict[str, Any]:
    """Return the results, as documented in docs/results.md.

    Args:
        tenants: of the testbed.
        setup: seconds, by part.
        pages: `disk`, `offsite` and `drill`, the results of the commands.
        plays: `first` and `second`.
        peaks: memory of the commands.
    """
    disk, offsite, drill = pages["disk"], pages["offsite"], pages["drill"]
    return {
        "version": VERSION,
        "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "tenants": tenants,
        "tables": drill["totals"].get("tables"),
        "rows": drill["totals"].get("rows"),
        "backup": {name: drill["backup"].get(name) for name in ("file", "bytes", "format")},
        "disk": {
            "level": disk["level"],
            "targets": [
                {name: target[name] for name in ("path", "level", "percent_used")}
                for target in disk["targets"]
            ],
        },
        "offsite": {
            "in_sync": offsite["comparison"]["in_sync"],
            "compared_by": offsite["comparison"]["compared_by"],
            **{side: _held(offsite[side]) for side in ("local", "remote")},
        },
        "restore": {"seconds": (drill["restore"] or {}).get("seconds")},
        "validation": {
            "verdict": drill["verdict"],
            "checks": [
                {name: check[name] for name in ("id", "status", "evidence", "seconds")}
                for check in drill["checks"]
            ],
            **{
                name: drill[name]
                for name in ("passed", "failed", "skipped", "confidence", "seconds")
            },
        },
        "rto_seconds": drill["rto_seconds"],
        "rpo_seconds": drill["rpo_seconds"],
        "play": {which: run.to_dict() for which, run in plays.items()},
        "setup": setup,
        "memory": peaks.by_command,
        "limits": LIMITS,
        # Load of the machine, one-minute average: other work makes everything slower.
        "machine": {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 2)},
    }


def _held(inventory: dict[str, Any]) -> dict[str, int]:
    return {"files": inventory["total_count"], "bytes": inventory["total_bytes"]}


def write(layout: Layout, found: dict[str, Any], pages: dict[str, Any], language: str) -> None:
    """Write results.json and report.html.

    Args:
        layout: where.
        found: from `results`.
        pages: `disk`, `offsite` and `drill`, the results of the commands.
        language: of the page.
    """
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    layout.results.write_text(text, encoding="utf-8")
    title = (
        f"ChefWell - {found['tenants']} lojas"
        if language == "pt_BR"
        else (f"ChefWell - {found['tenants']} stores")
    )
    page = render_html.html_report({"title": title, **pages}, language)
    layout.report.write_text(page, encoding="utf-8")


def lines(found: dict[str, Any]) -> list[str]:
    """Return the figures beside their limits, as lines of text."""
    validation, play, setup = found["validation"], found["play"], found["setup"]
    restore = found["restore"]["seconds"]
    both = None if restore is None else restore + validation["seconds"]
    command, memory = max(found["memory"].items(), key=lambda item: item[1])
    rows = [
        ("set-up: packages", _seconds(setup["packages_seconds"]), ""),
        ("set-up: testbed", _seconds(setup["testbed_seconds"]), ""),
        ("site.yml, first run", _play(play["first"]), _limit(play["first"]["seconds"], 90)),
        ("site.yml, second run", _play(play["second"]), _limit(play["second"]["seconds"], 25)),
        ("restore", _seconds(restore), ""),
        ("validation", _seconds(validation["seconds"]), ""),
        ("restore and validation", _seconds(both), _limit(both, 30)),
        (
            "memory of a command, most",
            f"{quantity.size(memory)} ({command})",
            "limit 150 MB" + ("" if memory < LIMITS["command_memory_bytes"] else ", MISSED"),
        ),
        ("RTO, measured", _seconds(found["rto_seconds"]), ""),
        ("RPO, age of that backup", _age(found["rpo_seconds"]), ""),
    ]
    head = (
        f"{found['tenants']} stores, {found['tables']} tables, {found['rows']} rows;"
        f" {found['backup']['file']}, {quantity.size(found['backup']['bytes'] or 0)}"
    )
    verdict = (
        f"validation: {validation['verdict']}, {validation['passed']} passed,"
        f" {validation['failed']} failed, {validation['skipped']} skipped,"
        f" confidence {validation['confidence']} %"
    )
    return [
        head,
        *(f"{name:<28}{value:<44}{limit}".rstrip() for name, value, limit in rows),
        verdict,
        *_slowest(play["second"]),
    ]


def _slowest(run: dict[str, Any]) -> list[str]:
    """Return the slowest tasks of a run, as lines of text."""
    head = f"site.yml, second run: {run['tasks']} tasks, the slowest:"
    return [head, *(f"  {one['seconds']:6.2f} s  {one['task']}" for one in run["slowest"])]


def _play(run: dict[str, Any]) -> str:
    counts = f"ok {run['ok']}, changed {run['changed']}, failed {run['failed']}"
    return f"{_seconds(run['seconds'])} ({counts})"


def _limit(seconds: float | None, most: int) -> str:
    missed = seconds is None or seconds >= most
    return f"limit {most} s" + (", MISSED" if missed else "")


def _seconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1f} s"


def _age(value: float | None) -> str:
    return "none" if value is None else quantity.duration(translations("en"), value)
