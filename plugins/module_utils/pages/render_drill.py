# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The validation report of a drill, as the plan's text page; other pages share its texts."""

from __future__ import annotations

import gettext
from typing import Any

from ..checks import equal_texts
from ..common import iso_time, quantity, shares
from ..common.language import translations as language_translations
from ..common.messages import translate, translate_result
from ..common.safe_text import clean_all
from ..common.zip_equal import zip_equal
from . import render_titles
from .render_text import STATUSES, known_status, mark, paint, worst_status, wrap

INTEGRITY = (
    ("foreign_keys", "Foreign Keys"),
    ("indexes", "Indexes"),
    ("unique_constraints", "Unique Constraints"),
)
# Of schemas that did not pass, and of errors, the page names so many; other reports name them all.
MOST_NAMED = 5


def entries(drill: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return one of the drill's lists; empty when the drill ended before it."""
    return list(drill.get(key) or [])


def verdict(drill: dict[str, Any]) -> str:
    """Return the drill's verdict: `passed`, `failed` or `could_not_verify`.

    A stored result is not trusted: a drill whose verdict is `passed` counts as failed if any part
    of it failed, and as not verified if no check passed.
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
    """Return the verdict as a status, which has a mark and a colour."""
    if drill.get("rpo_broken") and verdict(drill) == "passed":
        return "skipped"
    return {"passed": "passed", "failed": "failed"}.get(verdict(drill), "unknown")


def verdict_text(translations: gettext.NullTranslations, drill: dict[str, Any]) -> str:
    """Return the verdict as a sentence."""
    tr = translations.gettext
    found = verdict(drill)
    if found == "passed" and drill.get("rpo_broken"):
        return tr("BACKUP VALID AND RESTORABLE, BUT OLDER THAN THE RPO")
    return {
        "passed": tr("BACKUP VALID AND RESTORABLE"),
        "failed": tr("BACKUP NOT VALIDATED"),
        "could_not_verify": tr("COULD NOT VERIFY - nothing is claimed about the backup"),
    }[found]


def moment(text: object) -> str:
    """Return an ISO 8601 time as in `2025-11-20 15:30:00`; any other text unchanged."""
    try:
        return iso_time.parse(str(text)).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return str(text)


def is_compressed(backup_format: str) -> bool:
    """Return whether this format is compressed; pg_dump compresses two formats by itself."""
    name, _plus, compression = backup_format.partition("+")
    return bool(compression) or name in ("custom", "directory")


def rows_text(translations: gettext.NullTranslations, rows: int | None) -> str:
    """Return a number of rows, such as `28 rows`."""
    if rows is None:
        return translations.gettext("not counted")
    return translations.ngettext("%(count)d row", "%(count)d rows", rows) % {"count": rows}


def table_status(table: dict[str, Any]) -> str:
    """Return a table's status; a count that is missing or not the expected one never passes."""
    rows, expected = table.get("rows"), table.get("expected")
    status = known_status(table.get("status"))
    if status == "passed" and (rows is None or (expected is not None and rows != expected)):
        return "unknown" if rows is None else "failed"
    return status


def found_status(counts: dict[str, Any] | None) -> str:
    """Return `passed` when as many were found as the dump holds."""
    found, expected = (counts or {}).get("found"), (counts or {}).get("expected")
    if found is None or expected is None:
        return "unknown"
    return "passed" if found == expected else "failed"


def found_text(counts: dict[str, Any] | None) -> str:
    """Return found and expected counts, such as `9/9`."""
    found, expected = (counts or {}).get("found"), (counts or {}).get("expected")
    return f"{'?' if found is None else found}/{'?' if expected is None else expected}"


def schema_status(schema: dict[str, Any]) -> str:
    """Return the worst status of a schema, its tables and its keys and indexes."""
    parts = [str(schema.get("status"))]
    parts += [table_status(table) for table in schema.get("tables") or []]
    parts += [found_status(schema[key]) for key, _title in INTEGRITY if schema.get(key)]
    return worst_status(parts)


def schema_rows(schemas: list[dict[str, Any]]) -> tuple[int, bool]:
    """Return the rows of all tables of these schemas, and whether every table was counted."""
    counts = [table.get("rows") for schema in schemas for table in schema.get("tables") or []]
    return sum(count for count in counts if count is not None), None not in counts


def _api_count(translations: gettext.NullTranslations, call: dict[str, Any]) -> str:
    count = int(call["count"])
    texts = {
        "products": translations.ngettext("%(count)d product", "%(count)d products", count),
        "sales": translations.ngettext("%(count)d sale", "%(count)d sales", count),
        "customers": translations.ngettext("%(count)d customer", "%(count)d customers", count),
        "orders": translations.ngettext("%(count)d order", "%(count)d orders", count),
    }
    other = translations.ngettext("%(count)d item", "%(count)d items", count)
    return texts.get(str(call.get("id")), other) % {"count": count}


def api_outcome(translations: gettext.NullTranslations, call: dict[str, Any]) -> str:
    """Return the outcome of a call to the API, such as `OK (28 products)` or `FAILED (500)`."""
    tr = translations.gettext
    status, http = known_status(call.get("status")), call.get("http_status")
    if status == "passed":
        if call.get("kind") == "stats":
            return "OK"
        if call.get("kind") == "list" and call.get("count") is not None:
            return f"OK ({_api_count(translations, call)})"
        return "OK" if http is None else f"OK ({http})"
    if status == "failed":
        failed, reason = tr("FAILED"), tr("no answer") if http is None else http
        return f"{failed} ({reason})"
    return tr("SKIPPED") if status == "skipped" else tr("UNKNOWN")


def failed_elsewhere(drill: dict[str, Any], call: dict[str, Any]) -> int:
    """Return in how many other tenants the same call failed, by its check."""
    return sum(
        len(check.get("findings") or [])
        for check in entries(drill, "checks")
        if check.get("id") == f"api_{call.get('id')}" and check.get("status") == "failed"
    )


def is_checked(drill: dict[str, Any], call: dict[str, Any]) -> bool:
    """Return whether a check that did not pass reports this call already."""
    name = f"api_{call.get('id')}"
    return any(
        check.get("id") == name and check.get("status") != "passed"
        for check in entries(drill, "checks")
    )


def names_restore_errors(drill: dict[str, Any]) -> bool:
    """Return whether the check of the restore, which did not pass, names its errors already."""
    return any(
        check.get("id") == "restore" and check.get("status") == "failed" and check.get("findings")
        for check in entries(drill, "checks")
    )


def missed_objectives(
    translations: gettext.NullTranslations, drill: dict[str, Any]
) -> list[tuple[str, str]]:
    """Return each recovery objective that was missed or not measured, as (status, text)."""
    tr = translations.gettext
    lines: list[tuple[str, str]] = []
    for key in ("rto", "rpo"):
        measured = drill.get(f"{key}_seconds")
        limit = (drill.get("objectives") or {}).get(f"{key}_seconds")
        if limit is None or (measured is not None and measured <= limit):
            continue
        text = tr("%(name)s: %(measured)s (objective: %(limit)s)") % {
            "name": key.upper(),
            "measured": quantity.duration(translations, measured),
            "limit": quantity.duration(translations, limit),
        }
        lines.append(("unknown" if measured is None else "failed", text))
    return lines


def split_schemas(
    drill: dict[str, Any],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the schemas as (public, the featured one, all others)."""
    featured = drill.get("featured_schema")
    groups: tuple[list[dict[str, Any]], ...] = ([], [], [])
    for schema in entries(drill, "schemas"):
        name = schema.get("name")
        groups[0 if name == "public" else 1 if name == featured else 2].append(schema)
    return groups[0], groups[1], groups[2]


def tenant_count(drill: dict[str, Any], schemas: list[dict[str, Any]]) -> int:
    """Return how many of these schemas are tenants, by the prefix of the featured one."""
    before, separator, _after = str(drill.get("featured_schema") or "").partition("_")
    prefix = before + separator if separator else ""
    return sum(str(schema.get("name")).startswith(prefix) for schema in schemas)


def chain_check(drill: dict[str, Any]) -> dict[str, Any] | None:
    """Return the check whose evidence is the chain from production to the restored content.

    Only a backup that came sealed has one.
    """
    return next((one for one in entries(drill, "checks") if one.get("id") == "sealed"), None)


class _Page:
    """The lines of one report, section by section."""

    def __init__(self, translations: gettext.NullTranslations, drill: dict[str, Any], colour: bool):
        self.translations = translations
        self.drill = drill
        self.colour = colour
        self.lines: list[str] = []

    def mark(self, status: str) -> str:
        return mark(status, self.colour)

    def section(self, title: str, statuses: list[str], lines: list[str]) -> None:
        """Add a section under the mark of its worst part."""
        self.lines += [f"{self.mark(worst_status(statuses))} {title}", *lines]
        if not statuses:
            self.lines.append("   - " + self.translations.gettext("nothing was verified"))
        self.lines.append("")

    def head(self) -> None:
        tr = self.translations.gettext
        rule = "═" * 62
        backup, restore = self.drill.get("backup") or {}, self.drill.get("restore") or {}
        seconds = quantity.duration(self.translations, restore.get("seconds"))
        self.lines += [
            f"╔{rule}╗",
            tr("║             VALIDATION REPORT - STAGING RESTORE              ║"),
            f"╚{rule}╝",
            "",
            tr("📅 Date: %(time)s") % {"time": moment(self.drill.get("time"))},
            tr("📁 Backup: %(file)s") % {"file": backup.get("file") or "?"},
            tr("⏱️  Restore Time: %(seconds)s") % {"seconds": seconds},
            "",
        ]

    def table(self, table: dict[str, Any], margin: str) -> list[str]:
        status = table_status(table)
        line = f"{margin}{table.get('name')}: {rows_text(self.translations, table.get('rows'))} "
        line += self.mark(status)
        if status != "passed" and table.get("expected") is not None:
            expected = {"count": table["expected"]}
            line += " " + self.translations.gettext("expected %(count)d") % expected
        return wrap(line, len(margin))

    def bad_tables(self, schema: dict[str, Any]) -> list[str]:
        """Return what did not pass in a schema whose tables the page does not list."""
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
        self.section(self.translations.gettext("SCHEMAS:"), statuses, lines)

    def others(self, schemas: list[dict[str, Any]]) -> list[str]:
        tr, ngettext = self.translations.gettext, self.translations.ngettext
        count, tables = len(schemas), sum(len(schema.get("tables") or []) for schema in schemas)
        rows, complete = schema_rows(schemas)
        tenants = tenant_count(self.drill, schemas)
        counted = ", ".join(
            (
                ngettext("%(count)d schema", "%(count)d schemas", count) % {"count": count},
                ngettext("%(count)d table", "%(count)d tables", tables) % {"count": tables},
                ("" if complete else "≥ ") + rows_text(self.translations, rows),
            )
        )
        more = ngettext("+%(count)d store", "+%(count)d stores", tenants) % {"count": tenants}
        bad = [schema for schema in schemas if schema_status(schema) in ("failed", "unknown")]
        status = self.mark(worst_status([schema_status(schema) for schema in schemas]))
        line = f"   - {more} ({counted}) {status}"
        if len(bad) > 1:
            text = ngettext("%(count)d did not pass", "%(count)d did not pass", len(bad))
            line += " " + text % {"count": len(bad)}
        lines = wrap(line, 5)
        for schema in bad[:MOST_NAMED]:
            lines += wrap(f"   - {schema.get('name')} {self.mark(schema_status(schema))}", 5)
            lines += self.bad_tables(schema)
        if len(bad) > MOST_NAMED:
            rest = len(bad) - MOST_NAMED
            lines.append("   - " + tr("and %(count)d more that did not pass") % {"count": rest})
        return lines

    def tables(self) -> None:
        name = self.drill.get("featured_schema")
        tables = [
            table for schema in split_schemas(self.drill)[1] for table in schema.get("tables") or []
        ]
        lines = [line for table in tables for line in self.table(table, "   - ")]
        title = self.translations.gettext("TABLES (%(schema)s):") % {"schema": name}
        if not name:
            title = self.translations.gettext("TABLES:")
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
            schemas = self.translations.ngettext(
                "%(count)d schema", "%(count)d schemas", count["count"]
            )
            for (title, counts), status in zip_equal(whole, total):
                line = f"{title} ({schemas % count}): {found_text(counts)}"
                lines.append(f"   - {line} {self.mark(status)}")
            statuses += total
        self.section(self.translations.gettext("INTEGRITY:"), statuses, lines)

    def functions(self) -> None:
        lines, calls, statuses = [], entries(self.drill, "api"), list[str]()
        for call in calls:
            title, status = (
                render_titles.api_title(self.translations, call),
                known_status(call.get("status")),
            )
            outcome = api_outcome(self.translations, call)
            elsewhere = failed_elsewhere(self.drill, call) if status == "passed" else 0
            if elsewhere:
                # The call passed in this tenant and failed in others: the line must not look green.
                status = "failed"
                more = self.translations.gettext("failed in other stores: %(count)d")
                outcome += f"; {more % {'count': elsewhere}}"
            lines += wrap(f"   - {title}: {self.mark(status)} {outcome}", 5)
            statuses.append(status)
            if status != "passed" and call.get("evidence") and not is_checked(self.drill, call):
                lines += wrap(f"     {call['evidence']}", 5)
        self.section(self.translations.gettext("FUNCTIONS:"), statuses, lines)

    def not_passed(self) -> None:
        """Add every check that did not pass, with its evidence; nothing when all passed."""
        tr = self.translations.gettext
        groups = {
            "failed": tr("FAILED CHECKS (%(count)d):"),
            "unknown": tr("CHECKS WITHOUT A RESULT (%(count)d):"),
            "skipped": tr("SKIPPED CHECKS (%(count)d):"),
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
        name, title = str(check.get("id")), render_titles.check_title(self.translations, check)
        line = f"   - {title}" + (f" ({name})" if title != name else "")
        if not check.get("evidence"):
            return wrap(line, 5)
        return [*wrap(line + ":", 5), *wrap(f"     {check['evidence']}", 5)]

    def backend_log(self) -> None:
        """Add the end of the backend's log, where a call to it failed."""
        log = str(self.drill.get("backend_log") or "").strip()
        if log:
            self.lines.append("📜 " + self.translations.gettext("END OF THE BACKEND'S LOG:"))
            for line in log.split("\\n"):
                self.lines += wrap(f"   {line}", 5)
            self.lines.append("")

    def restore_errors(self) -> None:
        errors = (self.drill.get("restore") or {}).get("errors") or []
        if errors and not names_restore_errors(self.drill):
            title = self.translations.gettext("RESTORE ERRORS (%(count)d):") % {
                "count": len(errors)
            }
            self.lines.append(f"{self.mark('failed')} {title}")
            kinds = equal_texts.grouped(errors)
            for kind in kinds[:MOST_NAMED]:
                line = translate(self.translations, kind.line())
                self.lines += wrap(f"   - {line}", 5)
            if rest := sum(kind.count for kind in kinds[MOST_NAMED:]):
                more = self.translations.gettext("and %(count)d more") % {"count": rest}
                self.lines.append(f"   - {more}")
            self.lines.append("")

    def objectives(self) -> None:
        missed = missed_objectives(self.translations, self.drill)
        if missed:
            lines = [f"   - {text} {self.mark(status)}" for status, text in missed]
            title = self.translations.gettext("RECOVERY OBJECTIVES:")
            self.section(title, [status for status, _text in missed], lines)

    def chain(self) -> None:
        """Add the chain from production to the restored content, of a backup that came sealed."""
        check = chain_check(self.drill)
        # One that did not pass stands among those.
        if check and check.get("status") == "passed":
            self.lines += [*wrap(f"🔗 {check.get('evidence')} {self.mark('passed')}", 3), ""]

    def result(self) -> None:
        tr = self.translations.gettext
        emoji, code = STATUSES[verdict_status(self.drill)]
        text = tr("RESULT: %(verdict)s") % {"verdict": verdict_text(self.translations, self.drill)}
        self.lines += [paint(line, code, self.colour) for line in wrap(f"{emoji} {text}", 3)]
        if self.drill.get("problem"):
            reason = tr("Reason: %(problem)s") % {"problem": self.drill["problem"]}
            self.lines += wrap(f"   {reason}", 6)
        backup = self.drill.get("backup") or {}
        form = str(backup.get("format") or "")
        time = quantity.recovery_time(self.translations, self.drill.get("rto_seconds"))
        size = quantity.short_size(backup.get("bytes"))
        if form:
            # A file that could not be read as a backup has no known format.
            packed = is_compressed(form)
            size += " " + (tr("(compressed)") if packed else tr("(not compressed)"))
        confidence = shares.confidence(self.drill.get("confidence"))
        self.lines += [
            "",
            tr("🎯 Confidence: %(percent)s") % {"percent": confidence},
            tr("📊 Recovery Time: %(time)s") % {"time": time},
            tr("💾 Backup Size: %(size)s") % {"size": size},
        ]


def validation_report(drill: dict[str, Any], language: str, colour: bool) -> str:
    """Return the report as the plan shows it, with further sections for what did not pass.

    Args:
        drill: the drill's result.
        language: one of `language.LANGUAGES`.
        colour: whether to use ANSI colours.

    Raises:
        ResilienceError: the language is not known.
    """
    translations = language_translations(language)
    page = _Page(translations, clean_all(translate_result(translations, drill)), colour)
    page.head()
    page.schemas()
    page.tables()
    page.integrity()
    page.functions()
    page.restore_errors()
    page.not_passed()
    page.backend_log()
    page.objectives()
    page.chain()
    page.result()
    return "\n".join(page.lines)
