# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML report: one self-contained page, made to be read at three in the morning.

Problems come first. The page loads nothing and runs no script; its Content-Security-Policy forbids
both. Jinja2 is imported only when a page is made, because a host that never makes one may lack it.
"""

from __future__ import annotations

import dataclasses
import gettext
import os
from typing import Any

from ..checks import equal_texts
from ..checks.check_titles import TITLES
from ..checks.finding_kinds import KINDS
from ..common import quantity, shares
from ..common.language import translations as language_translations
from ..common.messages import translate, translate_result
from ..common.safe_text import clean_all
from ..common.zip_equal import zip_equal
from . import (
    html_figures,
    render_drill,
    render_history,
    render_inventory,
    render_offsite,
    render_titles,
)
from .html_attention import (
    OF_STATUS,
    STATES,
    AttentionItem,
    error_item,
    grouped,
    joined,
    opened,
    remedies_once,
    worst_state,
)
from .html_disk import disk_part, tier_rows
from .render_text import known_status

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "report.html.j2")
# The most items under "Needs attention"; its own section has every item.
MOST_FINDINGS = 30
# How many of them are open; the rest is folded.
OPEN_FINDINGS = 6
# Of each part so many are open before others are.
OPEN_OF_EACH = 2
# The most findings of one check under "Needs attention"; the check has all of them.
NAMED_FINDINGS = 3


def html_report(results: dict[str, Any], language: str) -> str:
    """Return one self-contained HTML page about all three stages.

    Args:
        results: `title`, and `disk` (with `backups` in it), `offsite` and `drill` as the text pages
            take them; each of these may be None when that stage was not run. `history` has past
            drills, see `render_history.plots`; `only`, if it is `drill`, leaves out what is about
            the other stages.
        language: one of `language.LANGUAGES`.

    Raises:
        ResilienceError: the language is not known.
    """
    translations = language_translations(language)
    results = clean_all(_with_log_lines(translate_result(translations, results)))
    alone = results.get("only") == "drill"
    disk = results.get("disk")
    parts = [
        _absent(translations) if disk is None else disk_part(translations, disk),
        _offsite_part(translations, results.get("offsite")),
        _drill_part(translations, results.get("drill"), results.get("history") or []),
    ]
    state = worst_state([part["state"] for part in parts])
    findings = [
        dataclasses.replace(finding, part=number)
        for number, part in enumerate(parts)
        for finding in part["findings"]
    ]
    findings.sort(key=lambda finding: STATES.index(finding.state), reverse=True)
    findings = remedies_once(joined(findings))
    shown = opened(findings, OPEN_FINDINGS, OPEN_OF_EACH)
    folded = [finding for finding in findings if finding not in shown]
    page: str = _template(translations).render(
        language=language.replace("_", "-"),
        title=results.get("title") or "",
        state=state,
        headline=_headline(
            translations, state, alone or all(part["state"] != "none" for part in parts)
        ),
        alone=alone,
        disk=parts[0],
        offsite=parts[1],
        drill=parts[2],
        findings=shown,
        folded_findings=folded[: MOST_FINDINGS - len(shown)],
        more_findings=max(0, len(findings) - MOST_FINDINGS),
        state_words=_state_words(translations),
        grouped=grouped,
        size=quantity.size,
        brief=quantity.brief_duration,
    )
    return page


def _with_log_lines(results: dict[str, Any]) -> dict[str, Any]:
    """Split the backend's log into lines, which `clean_all` would write as one."""
    drill = results.get("drill")
    if not drill:
        return results
    log = str(drill.get("backend_log") or "").splitlines()
    return {**results, "drill": {**drill, "backend_log": log}}


def _template(translations: gettext.NullTranslations) -> Any:
    import jinja2  # a host that makes no HTML report may lack it

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    with open(TEMPLATE, encoding="utf-8") as file:
        return environment.from_string(file.read())


def _state_words(translations: gettext.NullTranslations) -> dict[str, str]:
    """Return what a screen reader says for a sign that has no word beside it."""
    tr = translations.gettext
    return {
        "none": tr("not measured"),
        "ok": tr("passed"),
        "warn": tr("warning"),
        "unknown": tr("unknown"),
        "bad": tr("failed"),
    }


def _headline(translations: gettext.NullTranslations, state: str, complete: bool) -> str:
    tr = translations.gettext
    return {
        "none": tr("Nothing was measured"),
        "ok": tr("All is well") if complete else tr("All is well in what was checked"),
        "warn": tr("In order, with warnings"),
        "unknown": tr("Not everything could be verified"),
        "bad": tr("Action needed"),
    }[state]


def _absent(translations: gettext.NullTranslations) -> dict[str, Any]:
    text = translations.gettext("Not run")
    return {"state": "none", "summary": text, "detail": "", "findings": []}


# --- offsite --------------------------------------------------------------------------------------


def _offsite_part(
    translations: gettext.NullTranslations, verification: dict[str, Any] | None
) -> dict[str, Any]:
    if verification is None:
        return _absent(translations)
    state = OF_STATUS[render_offsite.status(verification)]
    local = verification.get("local") or {}
    remote = verification.get("remote") or {}
    tiers = render_inventory.tiers(local)
    states = [OF_STATUS[render_offsite.tier_status(verification, tier)] for tier in tiers]
    local_tiers = tier_rows(translations, local, tiers)
    remote_tiers = tier_rows(translations, remote, tiers)
    differing = render_offsite.differences(verification)
    differences = [
        {"kind": render_offsite.kind_text(translations, kind), "path": path}
        for tier in [*tiers, ""]
        for kind, path in differing.get(tier, [])
    ]
    problems = render_offsite.problems(verification)
    findings = [
        AttentionItem("unknown", translations.gettext("Offsite copy not read in full"), problem)
        for problem in problems
    ]
    by_kind: dict[str, list[str]] = {}
    for difference in differences:
        by_kind.setdefault(difference["kind"], []).append(difference["path"])
    findings += [
        AttentionItem(
            "bad",
            translations.gettext("Offsite copy: %(kind)s") % {"kind": kind},
            "",
            _first_lines(translations, paths),
        )
        for kind, paths in by_kind.items()
    ]
    if state != "ok" and not findings:
        findings.append(
            AttentionItem(state, render_offsite.verdict_text(translations, verification))
        )
    alarms = [str(one) for one in verification.get("server_alarms") or ()]
    if alarms:
        title = translations.gettext("The server raised an alarm")
        findings.append(AttentionItem("warn", title, "", _first_lines(translations, alarms)))
        state = worst_state([state, "warn"])
    return {
        "state": state,
        "summary": render_offsite.verdict_text(translations, verification),
        "detail": str(verification.get("host") or ""),
        "findings": findings,
        "tiers": [
            {"name": one["name"], "state": tier_state, "local": one, "remote": other}
            for one, other, tier_state in zip_equal(local_tiers, remote_tiers, [*states, state])
        ],
        "differences": differences,
        "problems": problems,
        "by_digest": (verification.get("comparison") or {}).get("compared_by") == "sha256",
    }


def _first_lines(translations: gettext.NullTranslations, lines: list[str]) -> tuple[str, ...]:
    """Return the first few lines, and how many more there are."""
    rest = len(lines) - NAMED_FINDINGS
    if rest <= 0:
        return tuple(lines)
    more = translations.gettext("and %(count)d more") % {"count": rest}
    return (*lines[:NAMED_FINDINGS], more)


# --- drill ----------------------------------------------------------------------------------------


def _drill_part(
    translations: gettext.NullTranslations, drill: dict[str, Any] | None, past: list[dict[str, Any]]
) -> dict[str, Any]:
    if drill is None:
        return {**_absent(translations), "overview": "", "tenants": []}
    backup, restore = drill.get("backup") or {}, drill.get("restore") or {}
    findings = _drill_findings(translations, drill)
    state = OF_STATUS[render_drill.verdict_status(drill)]
    if state == "ok" and findings:
        state = worst_state([min(finding.state, "warn", key=STATES.index) for finding in findings])
    tenants = [_tenant(translations, schema) for schema in render_drill.entries(drill, "schemas")]
    featured = render_drill.split_schemas(drill)[1]
    chain = render_drill.chain_check(drill)
    detail = ""
    if drill.get("confidence") is not None:
        percent = shares.confidence(drill["confidence"])
        detail = translations.gettext("%(percent)s confidence") % {"percent": percent}
    return {
        "state": state,
        "verdict_state": OF_STATUS[render_drill.verdict_status(drill)],
        "summary": render_drill.verdict_text(translations, drill),
        "detail": detail,
        "findings": findings,
        # A drill that did not pass has its problem under "Needs attention".
        "problem": (drill.get("problem") or "") if state in ("ok", "warn") else "",
        "overview": _overview(translations, drill, tenants),
        "backend_log": "\n".join(drill.get("backend_log") or []),
        "featured_name": drill.get("featured_schema") or "",
        "time": render_drill.moment(drill.get("time")),
        "confidence": shares.confidence(drill.get("confidence")),
        "counts": {key: drill.get(key) for key in ("passed", "failed", "skipped")},
        "file": backup.get("file") or "?",
        "path": backup.get("path") or "",
        "bytes": backup.get("bytes"),
        "format": backup.get("format") or "?",
        "tier": render_inventory.tier_title(translations, str(backup.get("tier") or "?")).lower(),
        "sha256": backup.get("sha256") or "",
        "chain": _check(translations, chain) if chain else None,
        "taken_at": render_drill.moment(backup["taken_at"]) if backup.get("taken_at") else "?",
        "engine": restore.get("engine") or "?",
        "restore_seconds": restore.get("seconds"),
        "validation_seconds": drill.get("seconds"),
        "errors": []
        if render_drill.names_restore_errors(drill)
        else _equal_errors(translations, restore.get("errors") or []),
        "harmless": _equal_errors(translations, restore.get("harmless") or []),
        "objectives": html_figures.objectives(translations, drill),
        "history": render_history.plots(
            translations, past, (drill.get("objectives") or {}).get("rto_seconds")
        ),
        "phases": html_figures.phases(translations, render_drill.entries(drill, "phases")),
        "tenants": tenants,
        "totals": _totals(translations, drill, tenants),
        "featured": [_featured(schema) for schema in featured],
        "sums_api": any(
            str(check.get("id")).startswith("api_")
            for check in render_drill.entries(drill, "checks")
        ),
        "calls": [_call(translations, drill, call) for call in render_drill.entries(drill, "api")],
        **_checks(translations, drill),
    }


def _equal_errors(
    translations: gettext.NullTranslations, errors: list[str]
) -> list[dict[str, Any]]:
    """Return errors of one kind as one, with the number of the others."""
    return [
        {
            "first": kind.first,
            "count": kind.count,
            "more": translate(translations, kind.more()) if kind.count > 1 else "",
        }
        for kind in equal_texts.grouped(errors)
    ]


def _overview(
    translations: gettext.NullTranslations, drill: dict[str, Any], tenants: list[dict[str, Any]]
) -> str:
    """Return how many schemas and checks failed, in one line; empty if none did."""
    schemas = sum(tenant["state"] in ("bad", "unknown") for tenant in tenants)
    checks = render_drill.entries(drill, "checks")
    failed = sum(known_status(check.get("status")) in ("failed", "unknown") for check in checks)
    # Where a drill ended with its first check, that one says it all.
    if (not schemas and not failed) or (not tenants and len(checks) < 2):
        return ""
    tr = translations.gettext
    if tenants:
        text = tr(
            "Restore: %(schemas)s of %(all_schemas)s schemas and %(checks)s of %(all_checks)s"
            " checks failed"
        )
    else:  # the drill ended before it saw one
        text = tr("Restore: %(checks)s of %(all_checks)s checks failed")
    return text % {
        "schemas": grouped(schemas),
        "all_schemas": grouped(len(tenants)),
        "checks": grouped(failed),
        "all_checks": grouped(len(checks)),
    }


def _check(translations: gettext.NullTranslations, check: dict[str, Any]) -> dict[str, Any]:
    ignored = translations.gettext("ignored")
    return {
        "state": OF_STATUS[known_status(check.get("status"))],
        "id": check.get("id"),
        "title": render_titles.check_title(translations, check),
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


def _checks(translations: gettext.NullTranslations, drill: dict[str, Any]) -> dict[str, Any]:
    """Return the checks; beside some that did not pass those that did are folded."""
    made = [_check(translations, check) for check in render_drill.entries(drill, "checks")]
    passed = [check for check in made if check["state"] == "ok"]
    if any(check["state"] in ("bad", "unknown") for check in made):
        return {
            "checks": [check for check in made if check["state"] != "ok"],
            "folded_checks": passed,
        }
    return {"checks": made, "folded_checks": []}


def _call(
    translations: gettext.NullTranslations, drill: dict[str, Any], call: dict[str, Any]
) -> dict[str, Any]:
    status = known_status(call.get("status"))
    outcome = render_drill.api_outcome(translations, call)
    elsewhere = render_drill.failed_elsewhere(drill, call) if status == "passed" else 0
    if elsewhere:
        status = "failed"
        more = translations.gettext("failed in other stores: %(count)d") % {"count": elsewhere}
        outcome += f"; {more}"
    return {
        "state": OF_STATUS[status],
        "title": render_titles.api_title(translations, call),
        "outcome": outcome,
        "evidence": call.get("evidence") or "",
        "seconds": call.get("seconds"),
    }


def _drill_findings(
    translations: gettext.NullTranslations, drill: dict[str, Any]
) -> list[AttentionItem]:
    tr = translations.gettext
    findings = []
    problem = None
    if render_drill.verdict(drill) != "passed" and drill.get("problem"):
        state = OF_STATUS[render_drill.verdict_status(drill)]
        problem = error_item(state, tr("Restore of the newest backup"), str(drill["problem"]))
    if not render_drill.names_restore_errors(drill):
        for errors in equal_texts.grouped((drill.get("restore") or {}).get("errors") or []):
            lines = tuple(translate(translations, line) for line in errors.lines())
            findings.append(AttentionItem("bad", tr("Error while restoring"), "", lines))
    for check in render_drill.entries(drill, "checks"):
        row = _check(translations, check)
        if row["state"] != "ok":
            item = _check_item(translations, check, row)
            if problem and problem.evidence in (item.evidence, *item.lines):
                # What ended the drill is what this check found: it stands once.
                item, problem = dataclasses.replace(item, setting=problem.setting), None
            findings.append(item)
    if problem:
        findings.insert(0, problem)
    for call in render_drill.entries(drill, "api"):
        shown = _call(translations, drill, call)
        if shown["state"] != "ok" and not render_drill.is_checked(drill, call):
            title = f"{shown['title']}: {shown['outcome']}"
            findings.append(AttentionItem(shown["state"], title, str(shown["evidence"])))
    for status, text in render_drill.missed_objectives(translations, drill):
        if status == "failed":
            findings.append(AttentionItem("bad", tr("Recovery objective not met"), text))
        elif render_drill.verdict(drill) == "passed":
            # A drill that ended before it could not measure one, which its figures show.
            findings.append(AttentionItem("unknown", tr("Recovery objective not measured"), text))
    return findings


def _check_item(
    translations: gettext.NullTranslations, check: dict[str, Any], row: dict[str, Any]
) -> AttentionItem:
    """Return the item of a check that did not pass: first findings, remedy of each kind."""
    title = f"{row['title']}: {_status_word(translations, str(check.get('status')))}"
    found = check.get("findings") or []
    if not found:
        return AttentionItem(row["state"], title, str(row["evidence"]))
    texts, subjects = zip(*((str(one["text"]), str(one.get("subject") or "")) for one in found))
    same = equal_texts.grouped(texts, subjects)
    lines = [translate(translations, line) for one in same[:NAMED_FINDINGS] for line in one.lines()]
    if rest := sum(one.count for one in same[NAMED_FINDINGS:]):
        lines.append(translations.gettext("and %(count)d more that did not pass") % {"count": rest})
    kinds = dict.fromkeys(str(one["id"]) for one in found)
    remedies = [translations.gettext(KINDS[kind].remedy) for kind in kinds if kind in KINDS]
    return AttentionItem(row["state"], title, "", tuple(lines), tuple(remedies))


def _tenant(translations: gettext.NullTranslations, schema: dict[str, Any]) -> dict[str, Any]:
    status = render_drill.schema_status(schema)
    tables = schema.get("tables") or []
    rows, complete = render_drill.schema_rows([schema])
    figures = {
        key: render_drill.found_text(schema.get(key)) for key, _title in render_drill.INTEGRITY
    }
    count = translations.ngettext("%(count)d table", "%(count)d tables", len(tables))
    shown_rows = ("" if complete else "≥ ") + grouped(rows)
    rows_tip = translations.gettext("%(rows)s rows") % {"rows": shown_rows}
    bad = [
        {
            "name": table.get("name"),
            "rows": grouped(table.get("rows")),
            "expected": grouped(table.get("expected")),
        }
        for table in tables
        if render_drill.table_status(table) in ("failed", "unknown")
    ]
    titles = {key: translate(translations, TITLES[key]) for key in figures}
    bad += [
        {"name": titles[key], "rows": found, "expected": expected}
        for key, (found, _slash, expected) in (
            (key, text.partition("/")) for key, text in figures.items()
        )
        if schema.get(key) and render_drill.found_status(schema[key]) != "passed"
    ]
    tip = [
        f"{schema.get('name')} - {_status_word(translations, status)}",
        count % {"count": len(tables)} + ", " + rows_tip,
        ", ".join(f"{titles[key]} {figures[key]}" for key in figures),
        *(f"{part['name']}: {part['rows']} / {part['expected']}" for part in bad[:10]),
    ]
    return {
        "name": schema.get("name"),
        "state": OF_STATUS[status],
        "status": _status_word(translations, status),
        "tables": len(tables),
        "rows": shown_rows,
        "tip": "\n".join(tip),
        "bad": bad,
        **figures,
    }


def _status_word(translations: gettext.NullTranslations, status: str) -> str:
    tr = translations.gettext
    texts = {
        "passed": tr("passed"),
        "failed": tr("failed"),
        "skipped": tr("skipped"),
        "unknown": tr("unknown"),
    }
    return texts[known_status(status)]


def _totals(
    translations: gettext.NullTranslations, drill: dict[str, Any], tenants: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    tr = translations.gettext
    totals = drill.get("totals") or {}
    rows, complete = render_drill.schema_rows(render_drill.entries(drill, "schemas"))
    shown = grouped(totals["rows"]) if totals.get("rows") is not None else grouped(rows)
    figures: list[dict[str, Any]] = [
        {"name": tr("Schemas"), "value": grouped(totals.get("schemas", len(tenants)))},
        {
            "name": tr("Tables"),
            "value": grouped(totals.get("tables", sum(tenant["tables"] for tenant in tenants))),
        },
        {"name": tr("Rows"), "value": ("" if complete else "≥ ") + shown},
    ]
    for key, _plan_title in render_drill.INTEGRITY:
        status = render_drill.found_status(totals.get(key))
        figures.append(
            {
                "name": translate(translations, TITLES[key]),
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
