# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The validation report of a drill: what it says in words, and the page."""

from __future__ import annotations

import datetime
import gettext
from typing import Any

from ..common import quantity
from ..common.messages import translate_result
from ..common.safe_text import clean_all
from . import render_titles
from .render_text import STATUSES, known_status, mark, paint, worst_status, wrap

INTEGRITY = (
    ("foreign_keys", "Foreign Keys"),
    ("indexes", "Indexes"),
    ("unique_constraints", "Unique Constraints"),
)
# So many schemas that did not pass are named on the page; the others are in the other reports.
NAMED_SCHEMAS = 20


def entries(drill: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """One of the drill's lists; empty when the drill ended before it."""
    return list(drill.get(key) or [])


def verdict(drill: dict[str, Any]) -> str:
    """The drill's verdict, doubted where its own parts contradict it.

    Returns:
        `passed`, `failed` or `could_not_verify`. A drill that claims to have passed has failed if
        any part of it failed, and has verified nothing if no check passed.
    """
    stated = drill.get("verdict")
    if stated == "passed":
        parts = [*entries(drill, "checks"), *entries(drill, "api"), *entries(drill, "schemas")]
        errors = (drill.get("restore") or {}).get("errors")
        failed = any(part.get("status") == "failed" for part in parts)
        if failed or errors or drill.get("failed"):
            return "failed"
        if not any(check.get("status") == "passed" for check in entries(drill, "checks")):
            return "could_not_verify"
    return stated if stated in ("passed", "failed") else "could_not_verify"


def verdict_status(drill: dict[str, Any]) -> str:
    """The verdict as a status, for its mark and colour."""
    return {"passed": "passed", "failed": "failed"}.get(verdict(drill), "unknown")


def verdict_text(words: gettext.NullTranslations, drill: dict[str, Any]) -> str:
    """The verdict in words."""
    say = words.gettext
    return {
        "passed": say("BACKUP VALID AND RESTORABLE"),
        "failed": say("BACKUP NOT VALIDATED"),
        "could_not_verify": say("COULD NOT VERIFY - nothing is claimed about the backup"),
    }[verdict(drill)]


def moment(text: object) -> str:
    """An ISO time as the plan writes it, `2025-11-20 15:30:00`; any other text as it is."""
    try:
        return datetime.datetime.fromisoformat(str(text)).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return str(text)


def is_compressed(backup_format: str) -> bool:
    """Whether a backup of this format is compressed; pg_dump compresses two formats by itself."""
    name, _plus, compression = backup_format.partition("+")
    return bool(compression) or name in ("custom", "directory")


def rows_text(words: gettext.NullTranslations, rows: int | None) -> str:
    """A number of rows, such as `28 rows`."""
    if rows is None:
        return words.gettext("not counted")
    return words.ngettext("%(count)d row", "%(count)d rows", rows) % {"count": rows}


def table_status(table: dict[str, Any]) -> str:
    """A table's status; a count that is missing or is not the expected one never passes."""
    rows, expected = table.get("rows"), table.get("expected")
    status = known_status(table.get("status"))
    if status == "passed" and (rows is None or (expected is not None and rows != expected)):
        return "unknown" if rows is None else "failed"
    return status


def found_status(counts: dict[str, Any] | None) -> str:
    """Whether as many were found as the dump holds."""
    found, expected = (counts or {}).get("found"), (counts or {}).get("expected")
    if found is None or expected is None:
        return "unknown"
    return "passed" if found == expected else "failed"


def found_text(counts: dict[str, Any] | None) -> str:
    """Found and expected, such as `9/9`."""
    found, expected = (counts or {}).get("found"), (counts or {}).get("expected")
    return f"{'?' if found is None else found}/{'?' if expected is None else expected}"


def schema_status(schema: dict[str, Any]) -> str:
    """A schema's status from its own, its tables' and its integrity's."""
    parts = [str(schema.get("status"))]
    parts += [table_status(table) for table in schema.get("tables") or []]
    parts += [found_status(schema[key]) for key, _title in INTEGRITY if schema.get(key)]
    return worst_status(parts)


def schema_rows(schemas: list[dict[str, Any]]) -> tuple[int, bool]:
    """The rows of all tables of these schemas, and whether every table was counted."""
    counts = [table.get("rows") for schema in schemas for table in schema.get("tables") or []]
    return sum(count for count in counts if count is not None), None not in counts


def _api_count(words: gettext.NullTranslations, call: dict[str, Any]) -> str:
    count = int(call["count"])
    texts = {
        "products": words.ngettext("%(count)d product", "%(count)d products", count),
        "sales": words.ngettext("%(count)d sale", "%(count)d sales", count),
        "customers": words.ngettext("%(count)d customer", "%(count)d customers", count),
        "orders": words.ngettext("%(count)d order", "%(count)d orders", count),
    }
    other = words.ngettext("%(count)d item", "%(count)d items", count)
    return texts.get(str(call.get("id")), other) % {"count": count}


def api_outcome(words: gettext.NullTranslations, call: dict[str, Any]) -> str:
    """How a call to the API ended, such as `OK (28 products)` or `FAILED (500)`."""
    say = words.gettext
    status, http = known_status(call.get("status")), call.get("http_status")
    if status == "passed":
        if call.get("kind") == "stats":
            return "OK"
        if call.get("kind") == "list" and call.get("count") is not None:
            return f"OK ({_api_count(words, call)})"
        return "OK" if http is None else f"OK ({http})"
    if status == "failed":
        failed, reason = say("FAILED"), say("no answer") if http is None else http
        return f"{failed} ({reason})"
    return say("SKIPPED") if status == "skipped" else say("UNKNOWN")


def failed_elsewhere(drill: dict[str, Any], call: dict[str, Any]) -> int:
    """In how many other stores the same call failed, by its check."""
    return sum(
        len(check.get("findings") or [])
        for check in entries(drill, "checks")
        if check.get("id") == f"api_{call.get('id')}" and check.get("status") == "failed"
    )


def is_checked(drill: dict[str, Any], call: dict[str, Any]) -> bool:
    """Whether a check that did not pass tells about this call already."""
    name = f"api_{call.get('id')}"
    return any(
        check.get("id") == name and check.get("status") != "passed"
        for check in entries(drill, "checks")
    )


def missed_objectives(
    words: gettext.NullTranslations, drill: dict[str, Any]
) -> list[tuple[str, str]]:
    """Each recovery objective that was missed or not measured, as (status, words)."""
    say = words.gettext
    lines: list[tuple[str, str]] = []
    for key in ("rto", "rpo"):
        measured = drill.get(f"{key}_seconds")
        limit = (drill.get("objectives") or {}).get(f"{key}_seconds")
        if limit is None or (measured is not None and measured <= limit):
            continue
        text = say("%(name)s: %(measured)s (objective: %(limit)s)") % {
            "name": key.upper(),
            "measured": quantity.duration(words, measured),
            "limit": quantity.duration(words, limit),
        }
        lines.append(("unknown" if measured is None else "failed", text))
    return lines


def split_schemas(
    drill: dict[str, Any],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """The schemas as (public, the featured one, all others)."""
    featured = drill.get("featured_schema")
    groups: tuple[list[dict[str, Any]], ...] = ([], [], [])
    for schema in entries(drill, "schemas"):
        name = schema.get("name")
        groups[0 if name == "public" else 1 if name == featured else 2].append(schema)
    return groups[0], groups[1], groups[2]


def stores(drill: dict[str, Any], schemas: list[dict[str, Any]]) -> int:
    """How many of these schemas are stores: those named like the featured one, `tenant_...`."""
    before, separator, _after = str(drill.get("featured_schema") or "").partition("_")
    prefix = before + separator if separator else ""
    return sum(str(schema.get("name")).startswith(prefix) for schema in schemas)


class _Page:
    """The lines of one report as they are written."""

    def __init__(self, words: gettext.NullTranslations, drill: dict[str, Any], colour: bool):
        self.words = words
        self.drill = drill
        self.colour = colour
        self.lines: list[str] = []

    def mark(self, status: str) -> str:
        return mark(status, self.colour)

    def section(self, title: str, statuses: list[str], lines: list[str]) -> None:
        """A section under the mark of its worst part."""
        self.lines += [f"{self.mark(worst_status(statuses))} {title}", *lines]
        if not statuses:
            self.lines.append("   - " + self.words.gettext("nothing was verified"))
        self.lines.append("")

    def head(self) -> None:
        say = self.words.gettext
        rule = "═" * 62
        backup, restore = self.drill.get("backup") or {}, self.drill.get("restore") or {}
        seconds = quantity.duration(self.words, restore.get("seconds"))
        self.lines += [
            f"╔{rule}╗",
            say("║             VALIDATION REPORT - STAGING RESTORE              ║"),
            f"╚{rule}╝",
            "",
            say("📅 Date: %(time)s") % {"time": moment(self.drill.get("time"))},
            say("📁 Backup: %(file)s") % {"file": backup.get("file") or "?"},
            say("⏱️  Restore Time: %(seconds)s") % {"seconds": seconds},
            "",
        ]

    def table(self, table: dict[str, Any], margin: str) -> list[str]:
        status = table_status(table)
        line = f"{margin}{table.get('name')}: {rows_text(self.words, table.get('rows'))} "
        line += self.mark(status)
        if status != "passed" and table.get("expected") is not None:
            expected = {"count": table["expected"]}
            line += " " + self.words.gettext("expected %(count)d") % expected
        return wrap(line, len(margin))

    def bad_tables(self, schema: dict[str, Any]) -> list[str]:
        """What did not pass within a schema whose tables the page does not list."""
        lines = []
        for table in schema.get("tables") or []:
            if table_status(table) in ("failed", "unknown"):
                lines += self.table(table, "      - ")
        for key, title in INTEGRITY:
            if schema.get(key) and found_status(schema[key]) != "passed":
                status = self.mark(found_status(schema[key]))
                lines.append(f"      - {title}: {found_text(schema[key])} {status}")
        return lines

    def schemas(self) -> None:
        public, featured, others = split_schemas(self.drill)
        lines = []
        for schema in public:
            tables = ", ".join(str(table.get("name")) for table in schema.get("tables") or [])
            name = f"{schema.get('name')} ({tables})" if tables else str(schema.get("name"))
            lines += wrap(f"   - {name} {self.mark(schema_status(schema))}", 5)
            lines += self.bad_tables(schema)
        for schema in featured:
            lines += wrap(f"   - {schema.get('name')} {self.mark(schema_status(schema))}", 5)
        if others:
            lines += self.others(others)
        statuses = [schema_status(schema) for schema in [*public, *featured, *others]]
        self.section(self.words.gettext("SCHEMAS:"), statuses, lines)

    def others(self, schemas: list[dict[str, Any]]) -> list[str]:
        say, ngettext = self.words.gettext, self.words.ngettext
        count, tables = len(schemas), sum(len(schema.get("tables") or []) for schema in schemas)
        rows, complete = schema_rows(schemas)
        shops = stores(self.drill, schemas)
        counted = ", ".join(
            (
                ngettext("%(count)d schema", "%(count)d schemas", count) % {"count": count},
                ngettext("%(count)d table", "%(count)d tables", tables) % {"count": tables},
                ("" if complete else "≥ ") + rows_text(self.words, rows),
            )
        )
        more = ngettext("+%(count)d store", "+%(count)d stores", shops) % {"count": shops}
        bad = [schema for schema in schemas if schema_status(schema) in ("failed", "unknown")]
        status = self.mark(worst_status([schema_status(schema) for schema in schemas]))
        lines = wrap(f"   - {more} ({counted}) {status}", 5)
        for schema in bad[:NAMED_SCHEMAS]:
            lines += wrap(f"   - {schema.get('name')} {self.mark(schema_status(schema))}", 5)
            lines += self.bad_tables(schema)
        if len(bad) > NAMED_SCHEMAS:
            rest = len(bad) - NAMED_SCHEMAS
            lines.append("   - " + say("and %(count)d more that did not pass") % {"count": rest})
        return lines

    def tables(self) -> None:
        name = self.drill.get("featured_schema") or "?"
        tables = [
            table for schema in split_schemas(self.drill)[1] for table in schema.get("tables") or []
        ]
        lines = [line for table in tables for line in self.table(table, "   - ")]
        title = self.words.gettext("TABLES (%(schema)s):") % {"schema": name}
        self.section(title, [table_status(table) for table in tables], lines)

    def integrity(self) -> None:
        _public, featured, others = split_schemas(self.drill)
        totals = self.drill.get("totals") or {}
        lines, statuses = [], []
        for schema in featured:
            for key, title in INTEGRITY:
                status = found_status(schema.get(key))
                lines.append(f"   - {title}: {found_text(schema.get(key))} {self.mark(status)}")
                statuses.append(status)
        whole = [(title, totals.get(key)) for key, title in INTEGRITY]
        total = [found_status(counts) for _title, counts in whole]
        if totals and (others or worst_status(total) != "passed"):
            count = {"count": totals.get("schemas") or len(entries(self.drill, "schemas"))}
            schemas = self.words.ngettext("%(count)d schema", "%(count)d schemas", count["count"])
            for (title, counts), status in zip(whole, total, strict=True):
                line = f"{title} ({schemas % count}): {found_text(counts)}"
                lines.append(f"   - {line} {self.mark(status)}")
            statuses += total
        self.section(self.words.gettext("INTEGRITY:"), statuses, lines)

    def functions(self) -> None:
        lines, calls, statuses = [], entries(self.drill, "api"), list[str]()
        for call in calls:
            title, status = (
                render_titles.api_title(self.words, call),
                known_status(call.get("status")),
            )
            outcome = api_outcome(self.words, call)
            elsewhere = failed_elsewhere(self.drill, call) if status == "passed" else 0
            if elsewhere:
                # Well in this store, but not in others: the line must not look as if all were.
                status = "failed"
                more = self.words.gettext("failed in other stores: %(count)d")
                outcome += f"; {more % {'count': elsewhere}}"
            lines += wrap(f"   - {title}: {self.mark(status)} {outcome}", 5)
            statuses.append(status)
            if status != "passed" and call.get("evidence") and not is_checked(self.drill, call):
                lines += wrap(f"     {call['evidence']}", 5)
        self.section(self.words.gettext("FUNCTIONS:"), statuses, lines)

    def not_passed(self) -> None:
        """Every check that failed or was skipped, with its evidence; nothing when all passed."""
        say = self.words.gettext
        groups = {
            "failed": say("FAILED CHECKS (%(count)d):"),
            "unknown": say("CHECKS WITHOUT A RESULT (%(count)d):"),
            "skipped": say("SKIPPED CHECKS (%(count)d):"),
        }
        for status, title in groups.items():
            checks = [
                check
                for check in entries(self.drill, "checks")
                if known_status(check.get("status")) == status
            ]
            if checks:
                self.lines.append(f"{self.mark(status)} {title % {'count': len(checks)}}")
                for check in checks:
                    self.lines += self.check(check)
                self.lines.append("")

    def check(self, check: dict[str, Any]) -> list[str]:
        name, title = str(check.get("id")), render_titles.check_title(self.words, check)
        line = f"   - {title}" + (f" ({name})" if title != name else "")
        if not check.get("evidence"):
            return wrap(line, 5)
        return [*wrap(line + ":", 5), *wrap(f"     {check['evidence']}", 5)]

    def backend_log(self) -> None:
        """The backend's last words, where it did not answer as it must."""
        log = str(self.drill.get("backend_log") or "").strip()
        if log:
            self.lines.append("📜 " + self.words.gettext("THE BACKEND'S LAST WORDS:"))
            for line in log.split("\\n"):
                self.lines += wrap(f"   {line}", 5)
            self.lines.append("")

    def restore_errors(self) -> None:
        errors = (self.drill.get("restore") or {}).get("errors") or []
        if errors:
            title = self.words.gettext("RESTORE ERRORS (%(count)d):") % {"count": len(errors)}
            self.lines.append(f"{self.mark('failed')} {title}")
            for error in errors:
                self.lines += wrap(f"   - {error}", 5)
            self.lines.append("")

    def objectives(self) -> None:
        missed = missed_objectives(self.words, self.drill)
        if missed:
            lines = [f"   - {text} {self.mark(status)}" for status, text in missed]
            title = self.words.gettext("RECOVERY OBJECTIVES:")
            self.section(title, [status for status, _text in missed], lines)

    def result(self) -> None:
        say = self.words.gettext
        emoji, code = STATUSES[verdict_status(self.drill)]
        text = say("RESULT: %(verdict)s") % {"verdict": verdict_text(self.words, self.drill)}
        self.lines += [paint(line, code, self.colour) for line in wrap(f"{emoji} {text}", 3)]
        if self.drill.get("problem"):
            reason = say("Reason: %(problem)s") % {"problem": self.drill["problem"]}
            self.lines += wrap(f"   {reason}", 6)
        backup = self.drill.get("backup") or {}
        form = str(backup.get("format") or "")
        time = quantity.recovery_time(self.words, self.drill.get("rto_seconds"))
        size = quantity.short_size(backup.get("bytes"))
        if form:
            # What could not be read as a backup is not known to be the one or the other.
            packed = is_compressed(form)
            size += " " + (say("(compressed)") if packed else say("(not compressed)"))
        confidence = quantity.confidence(self.drill.get("confidence"))
        self.lines += [
            "",
            say("🎯 Confidence: %(percent)s") % {"percent": confidence},
            say("📊 Recovery Time: %(time)s") % {"time": time},
            say("💾 Backup Size: %(size)s") % {"size": size},
        ]


def validation_report(words: gettext.NullTranslations, drill: dict[str, Any], colour: bool) -> str:
    """The report as the plan shows it; what the plan's example has no case for comes in between."""
    page = _Page(words, clean_all(translate_result(words, drill)), colour)
    page.head()
    page.schemas()
    page.tables()
    page.integrity()
    page.functions()
    page.restore_errors()
    page.not_passed()
    page.backend_log()
    page.objectives()
    page.result()
    return "\n".join(page.lines)
