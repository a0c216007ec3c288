# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML report: one self-contained page, made to be read at three in the morning.

What went wrong stands before what went well. The page loads nothing, runs no script, and its
Content-Security-Policy says so to the browser. Jinja2 is imported when a page is asked for, not
before: hosts run the text pages from cron without it.
"""

from __future__ import annotations

import dataclasses
import gettext
import math
import os
from typing import Any

from ..checks.finding_kinds import KINDS
from ..common import quantity
from ..common.messages import translate_result
from ..common.safe_text import clean_all
from . import (
    render_disk,
    render_drill,
    render_history,
    render_inventory,
    render_offsite,
    render_titles,
)
from .render_text import known_level, known_status

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "report.html.j2")
# A state of anything on the page, from best to worst; each has its colour and its sign.
STATES = ("none", "ok", "warn", "unknown", "bad")
OF_LEVEL = {
    "ok": "ok",
    "warning": "warn",
    "critical": "bad",
    "emergency": "bad",
    "unknown": "unknown",
}
OF_STATUS = {"passed": "ok", "failed": "bad", "skipped": "warn", "unknown": "unknown"}
# What needs attention is listed up to this many times on top; every item is in its own section.
MOST_FINDINGS = 30
# So many findings of one check are told at the top; all of them stand at the check.
NAMED_FINDINGS = 6
# Distances between the ticks of a time axis that clocks are read by.
ROUND_SECONDS = (30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)


@dataclasses.dataclass(frozen=True)
class FindingRow:
    """Something that needs attention: what, the evidence for it, and what to do about it."""

    state: str
    title: str
    evidence: str = ""
    lines: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


def worst_state(states: list[str]) -> str:
    """The worst of several states; `none` for none at all."""
    return max(states, key=STATES.index, default="none")


def grouped(number: int | None) -> str:
    """A count with its thousands apart, the same in every language; `?` when it is not known."""
    return "?" if number is None else f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def html_report(words: gettext.NullTranslations, results: dict[str, Any], language: str) -> str:
    """The page."""
    results = clean_all(_lines_apart(translate_result(words, results)))
    alone = results.get("only") == "drill"
    parts = [
        _disk_part(words, results.get("disk")),
        _offsite_part(words, results.get("offsite")),
        _drill_part(words, results.get("drill"), results.get("history") or []),
    ]
    state = worst_state([part["state"] for part in parts])
    findings = [finding for part in parts for finding in part["findings"]]
    findings.sort(key=lambda finding: STATES.index(finding.state), reverse=True)
    page: str = _template(words).render(
        language=language.replace("_", "-"),
        title=results.get("title") or "",
        state=state,
        headline=_headline(words, state, alone or all(part["state"] != "none" for part in parts)),
        alone=alone,
        disk=parts[0],
        offsite=parts[1],
        drill=parts[2],
        findings=findings[:MOST_FINDINGS],
        more_findings=max(0, len(findings) - MOST_FINDINGS),
        grouped=grouped,
        size=quantity.size,
        brief=quantity.brief_duration,
    )
    return page


def _lines_apart(results: dict[str, Any]) -> dict[str, Any]:
    """The backend's log as lines, before the ends of lines become visible like all else."""
    drill = results.get("drill")
    if not drill:
        return results
    log = str(drill.get("backend_log") or "").splitlines()
    return {**results, "drill": {**drill, "backend_log": log}}


def _template(words: gettext.NullTranslations) -> Any:
    import jinja2  # only this page needs it

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]
    with open(TEMPLATE, encoding="utf-8") as file:
        return environment.from_string(file.read())


def _headline(words: gettext.NullTranslations, state: str, complete: bool) -> str:
    say = words.gettext
    return {
        "none": say("Nothing was measured"),
        "ok": say("All is well") if complete else say("All is well in what was looked at"),
        "warn": say("In order, with warnings"),
        "unknown": say("Not everything could be verified"),
        "bad": say("Action needed"),
    }[state]


def _absent(words: gettext.NullTranslations) -> dict[str, Any]:
    text = words.gettext("Not run")
    return {"state": "none", "summary": text, "detail": "", "findings": []}


# --- disk -----------------------------------------------------------------------------------------


def _disk_part(words: gettext.NullTranslations, disk: dict[str, Any] | None) -> dict[str, Any]:
    if disk is None:
        return _absent(words)
    say = words.gettext
    targets = list(disk.get("targets") or [])
    names = render_disk.target_names(targets)
    backups = disk.get("backups")
    found = render_disk.by_level(disk, backups)
    rows = []
    findings = []
    for name, target in zip(names, targets, strict=True):
        state = OF_LEVEL[known_level(target.get("level"))]
        row = {
            "name": name,
            "path": target.get("path"),
            "state": state,
            "level": known_level(target.get("level")).upper(),
            "figures": render_disk.target_figures(target),
            "percent": target.get("percent_used"),
            "free": target.get("bytes_available"),
            "inodes": target.get("inodes_percent_used"),
            "reason": render_disk.target_reason(words, target) if state != "ok" else "",
        }
        rows.append(row)
        if state != "ok":
            findings.append(FindingRow(state, f"{name}: {row['level']}", row["reason"]))
    for problem in (backups or {}).get("problems") or []:
        findings.append(FindingRow("unknown", say("Backup folder not read in full"), str(problem)))
    state = worst_state([OF_LEVEL[level] for level in found])
    if state == "ok":
        summary = say("All systems normal")
    else:
        summary = "; ".join(
            f"{level.upper()}: {', '.join(held)}" for level, held in found.items() if level != "ok"
        )
    fullest = max(
        (row for row in rows if row["percent"] is not None),
        key=lambda row: float(row["percent"]),
        default=None,
    )
    return {
        "state": state,
        "summary": summary,
        "detail": f"{fullest['name']} {quantity.percent(fullest['percent'])}" if fullest else "",
        "findings": findings,
        "targets": rows,
        "backups": None if backups is None else _tiers(backups, render_inventory.tiers(backups)),
    }


def _tiers(inventory: dict[str, Any], tiers: list[str]) -> list[dict[str, Any]]:
    rows = []
    for tier in tiers:
        count, size = render_inventory.tier_figures(inventory, tier)
        rows.append({"name": tier.capitalize(), "count": count, "bytes": size})
    count, size = render_inventory.total_figures(inventory)
    return [*rows, {"name": "Total", "count": count, "bytes": size}]


# --- offsite --------------------------------------------------------------------------------------


def _offsite_part(
    words: gettext.NullTranslations, verification: dict[str, Any] | None
) -> dict[str, Any]:
    if verification is None:
        return _absent(words)
    state = OF_STATUS[render_offsite.status(verification)]
    local = verification.get("local") or {}
    remote = verification.get("remote") or {}
    tiers = render_inventory.tiers(local)
    states = [OF_STATUS[render_offsite.tier_status(verification, tier)] for tier in tiers]
    ours = _tiers(local, tiers)
    theirs = _tiers(remote, tiers)
    differing = render_offsite.differences(verification)
    differences = [
        {"kind": render_offsite.kind_text(words, kind), "path": path}
        for tier in [*tiers, ""]
        for kind, path in differing.get(tier, [])
    ]
    problems = render_offsite.problems(verification)
    findings = [
        FindingRow("unknown", words.gettext("Offsite copy not read in full"), problem)
        for problem in problems
    ]
    findings += [
        FindingRow("bad", words.gettext("Offsite copy: %(kind)s") % difference, difference["path"])
        for difference in differences
    ]
    if state != "ok" and not findings:
        findings.append(FindingRow(state, render_offsite.verdict_text(words, verification)))
    return {
        "state": state,
        "summary": render_offsite.verdict_text(words, verification),
        "detail": str(verification.get("host") or ""),
        "findings": findings,
        "tiers": [
            {"name": one["name"], "state": tier_state, "local": one, "remote": other}
            for one, other, tier_state in zip(ours, theirs, [*states, state], strict=True)
        ],
        "differences": differences,
        "problems": problems,
        "by_digest": (verification.get("comparison") or {}).get("compared_by") == "sha256",
    }


# --- drill ----------------------------------------------------------------------------------------


def _drill_part(
    words: gettext.NullTranslations, drill: dict[str, Any] | None, past: list[dict[str, Any]]
) -> dict[str, Any]:
    if drill is None:
        return _absent(words)
    backup, restore = drill.get("backup") or {}, drill.get("restore") or {}
    findings = _drill_findings(words, drill)
    state = OF_STATUS[render_drill.verdict_status(drill)]
    if state == "ok" and findings:
        state = worst_state([min(finding.state, "warn", key=STATES.index) for finding in findings])
    tenants = [_tenant(words, schema) for schema in render_drill.entries(drill, "schemas")]
    featured = render_drill.split_schemas(drill)[1]
    detail = ""
    if drill.get("confidence") is not None:
        percent = quantity.confidence(drill["confidence"])
        detail = words.gettext("%(percent)s confidence") % {"percent": percent}
    return {
        "state": state,
        "verdict_state": OF_STATUS[render_drill.verdict_status(drill)],
        "summary": render_drill.verdict_text(words, drill),
        "detail": detail,
        "findings": findings,
        "problem": drill.get("problem") or "",
        "backend_log": "\n".join(drill.get("backend_log") or []),
        "featured_name": drill.get("featured_schema") or "",
        "time": render_drill.moment(drill.get("time")),
        "confidence": quantity.confidence(drill.get("confidence")),
        "counts": {key: drill.get(key) for key in ("passed", "failed", "skipped")},
        "file": backup.get("file") or "?",
        "path": backup.get("path") or "",
        "bytes": backup.get("bytes"),
        "format": backup.get("format") or "?",
        "tier": backup.get("tier") or "?",
        "sha256": backup.get("sha256") or "",
        "taken_at": render_drill.moment(backup["taken_at"]) if backup.get("taken_at") else "?",
        "engine": restore.get("engine") or "?",
        "restore_seconds": restore.get("seconds"),
        "validation_seconds": drill.get("seconds"),
        "errors": restore.get("errors") or [],
        "harmless": restore.get("harmless") or [],
        "objectives": [_objective(words, drill, key) for key in ("rto", "rpo")],
        "history": render_history.plots(
            words, past, (drill.get("objectives") or {}).get("rto_seconds")
        ),
        "phases": _phases(words, render_drill.entries(drill, "phases")),
        "tenants": tenants,
        "totals": _totals(words, drill, tenants),
        "featured": [_featured(schema) for schema in featured],
        "sums_api": any(
            str(check.get("id")).startswith("api_")
            for check in render_drill.entries(drill, "checks")
        ),
        "calls": [_call(words, drill, call) for call in render_drill.entries(drill, "api")],
        "checks": [_check(words, check) for check in render_drill.entries(drill, "checks")],
    }


def _check(words: gettext.NullTranslations, check: dict[str, Any]) -> dict[str, Any]:
    ignored = words.gettext("ignored")
    return {
        "state": OF_STATUS[known_status(check.get("status"))],
        "id": check.get("id"),
        "title": render_titles.check_title(words, check),
        "findings": [
            *(f"{found['id']}: {found['text']}" for found in check.get("findings") or []),
            *(
                f"{ignored}: {found['id']}: {found['text']} - {found['reason']}"
                for found in check.get("ignored") or []
            ),
        ],
        "evidence": check.get("evidence") or "",
        "seconds": check.get("seconds"),
    }


def _call(
    words: gettext.NullTranslations, drill: dict[str, Any], call: dict[str, Any]
) -> dict[str, Any]:
    status = known_status(call.get("status"))
    outcome = render_drill.api_outcome(words, call)
    elsewhere = render_drill.failed_elsewhere(drill, call) if status == "passed" else 0
    if elsewhere:
        status = "failed"
        more = words.gettext("failed in other stores: %(count)d") % {"count": elsewhere}
        outcome += f"; {more}"
    return {
        "state": OF_STATUS[status],
        "title": render_titles.api_title(words, call),
        "outcome": outcome,
        "evidence": call.get("evidence") or "",
        "seconds": call.get("seconds"),
    }


def _drill_findings(words: gettext.NullTranslations, drill: dict[str, Any]) -> list[FindingRow]:
    say = words.gettext
    findings = []
    if render_drill.verdict(drill) != "passed" and drill.get("problem"):
        state = OF_STATUS[render_drill.verdict_status(drill)]
        text = render_drill.verdict_text(words, drill)
        findings.append(FindingRow(state, text, str(drill["problem"])))
    for error in (drill.get("restore") or {}).get("errors") or []:
        findings.append(FindingRow("bad", say("Error while restoring"), str(error)))
    for check in render_drill.entries(drill, "checks"):
        row = _check(words, check)
        if row["state"] != "ok":
            findings.append(_of_check(words, check, row))
    for call in render_drill.entries(drill, "api"):
        shown = _call(words, drill, call)
        if shown["state"] != "ok" and not render_drill.is_checked(drill, call):
            title = f"{shown['title']}: {shown['outcome']}"
            findings.append(FindingRow(shown["state"], title, str(shown["evidence"])))
    for status, text in render_drill.missed_objectives(words, drill):
        if status == "failed":
            findings.append(FindingRow("bad", say("Recovery objective not met"), text))
        else:
            findings.append(FindingRow("unknown", say("Recovery objective not measured"), text))
    return findings


def _of_check(
    words: gettext.NullTranslations, check: dict[str, Any], row: dict[str, Any]
) -> FindingRow:
    """A check that did not pass: its first findings line by line, and the remedy of each kind."""
    title = f"{row['title']}: {_status_word(words, str(check.get('status')))}"
    found = check.get("findings") or []
    if not found:
        return FindingRow(row["state"], title, str(row["evidence"]))
    lines = [str(one["text"]) for one in found[:NAMED_FINDINGS]]
    if len(found) > NAMED_FINDINGS:
        rest = len(found) - NAMED_FINDINGS
        lines.append(words.gettext("and %(count)d more that did not pass") % {"count": rest})
    kinds = dict.fromkeys(str(one["id"]) for one in found)
    remedies = [words.gettext(KINDS[kind].remedy) for kind in kinds if kind in KINDS]
    return FindingRow(row["state"], title, "", tuple(lines), tuple(remedies))


def _objective(words: gettext.NullTranslations, drill: dict[str, Any], key: str) -> dict[str, Any]:
    say = words.gettext
    measured = drill.get(f"{key}_seconds")
    limit = (drill.get("objectives") or {}).get(f"{key}_seconds")
    if measured is None:
        state = "unknown"
    elif limit is None:
        state = "none"
    else:
        state = "ok" if measured <= limit else "bad"
    longest = max(measured or 0, limit or 0) or 1
    return {
        "name": key.upper(),
        "meaning": say("from the start of a restore to a validated, serving system")
        if key == "rto"
        else say("age of the newest restorable backup"),
        "state": state,
        "measured": quantity.duration(words, measured),
        "limit": None if limit is None else quantity.duration(words, limit),
        "share": 100 * (measured or 0) / longest,
        "limit_share": None if limit is None else 100 * limit / longest,
    }


def _step(span: float) -> float:
    """A round distance between two ticks, so that about five of them fit."""
    rough = span / 5
    if 20 < rough <= 86400:
        return float(next(step for step in ROUND_SECONDS if step >= rough))
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough)


def _phases(words: gettext.NullTranslations, phases: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The phases on a time axis; positions in percent of its length."""
    known = [
        (str(phase.get("name")), float(phase["started"]), float(phase["seconds"]))
        for phase in phases
        if phase.get("started") is not None and phase.get("seconds") is not None
    ]
    if not known:
        return None
    start = min(started for _name, started, _seconds in known)
    end = max(started + seconds for _name, started, seconds in known)
    span = max(end - start, 0.001)
    step = _step(span)
    longest = max(seconds for _name, _started, seconds in known)
    return {
        "span": span,
        "ticks": [
            {"at": 100 * step * number / span, "seconds": step * number}
            for number in range(int(span / step + 1e-9) + 1)
        ],
        "bars": [
            {
                "name": render_titles.phase_title(words, name),
                "at": 100 * (started - start) / span,
                "length": 100 * seconds / span,
                "seconds": seconds,
                "longest": seconds == longest,
            }
            for name, started, seconds in known
        ],
    }


def _tenant(words: gettext.NullTranslations, schema: dict[str, Any]) -> dict[str, Any]:
    status = render_drill.schema_status(schema)
    tables = schema.get("tables") or []
    rows, complete = render_drill.schema_rows([schema])
    figures = {
        key: render_drill.found_text(schema.get(key)) for key, _title in render_drill.INTEGRITY
    }
    count = words.ngettext("%(count)d table", "%(count)d tables", len(tables))
    shown_rows = ("" if complete else "≥ ") + grouped(rows)
    rows_tip = words.gettext("%(rows)s rows") % {"rows": shown_rows}
    bad = [
        {
            "name": table.get("name"),
            "rows": grouped(table.get("rows")),
            "expected": grouped(table.get("expected")),
        }
        for table in tables
        if render_drill.table_status(table) in ("failed", "unknown")
    ]
    bad += [
        {"name": title, "rows": figures[key].split("/")[0], "expected": figures[key].split("/")[1]}
        for key, title in render_drill.INTEGRITY
        if schema.get(key) and render_drill.found_status(schema[key]) != "passed"
    ]
    tip = [
        f"{schema.get('name')} - {_status_word(words, status)}",
        count % {"count": len(tables)} + ", " + rows_tip,
        ", ".join(f"{title} {figures[key]}" for key, title in render_drill.INTEGRITY),
        *(f"{part['name']}: {part['rows']} / {part['expected']}" for part in bad[:10]),
    ]
    return {
        "name": schema.get("name"),
        "state": OF_STATUS[status],
        "status": _status_word(words, status),
        "tables": len(tables),
        "rows": shown_rows,
        "tip": "\n".join(tip),
        "bad": bad,
        **figures,
    }


def _status_word(words: gettext.NullTranslations, status: str) -> str:
    say = words.gettext
    texts = {
        "passed": say("passed"),
        "failed": say("failed"),
        "skipped": say("skipped"),
        "unknown": say("unknown"),
    }
    return texts[known_status(status)]


def _totals(
    words: gettext.NullTranslations, drill: dict[str, Any], tenants: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    say = words.gettext
    totals = drill.get("totals") or {}
    rows, complete = render_drill.schema_rows(render_drill.entries(drill, "schemas"))
    shown = grouped(totals["rows"]) if totals.get("rows") is not None else grouped(rows)
    figures: list[dict[str, Any]] = [
        {"name": say("Schemas"), "value": grouped(totals.get("schemas", len(tenants)))},
        {
            "name": say("Tables"),
            "value": grouped(totals.get("tables", sum(tenant["tables"] for tenant in tenants))),
        },
        {"name": say("Rows"), "value": ("" if complete else "≥ ") + shown},
    ]
    for key, title in render_drill.INTEGRITY:
        status = render_drill.found_status(totals.get(key))
        figures.append(
            {
                "name": title,
                "value": render_drill.found_text(totals.get(key)),
                "state": OF_STATUS[status],
            }
        )
    return figures


def _featured(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": schema.get("name"),
        "state": OF_STATUS[render_drill.schema_status(schema)],
        "tables": [
            {
                "name": table.get("name"),
                "rows": table.get("rows"),
                "expected": table.get("expected"),
                "state": OF_STATUS[render_drill.table_status(table)],
            }
            for table in schema.get("tables") or []
        ],
    }
