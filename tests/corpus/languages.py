"""Whether a page is in one language: words that only the other language has."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import follow_up
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import (
    junit,
    render_drill,
    render_html,
)

# Words that sentences can hardly do without, and that are none in the other language, no word of
# SQL and no name in the corpus.
GIVING_AWAY = {
    "pt_BR": (
        *("the", "of", "is", "are", "has", "have", "was", "were", "with", "without", "instead"),
        *("must", "its", "it", "which", "cannot", "there", "be", "been", "they", "than"),
        *("missing", "rows", "row", "tables", "stores", "backup's", "answer", "found", "lacks"),
        *("this", "that", "what", "from the", "to the", "passed", "skipped", "ignored", "more"),
    ),
    "en": (
        *("não", "são", "está", "estão", "foi", "foram", "tem", "têm", "uma", "dos", "das"),
        *("pelo", "pela", "como", "mais", "registros", "tabelas", "lojas", "vez", "deve"),
        *("existe", "falta", "faltam", "arquivo", "banco", "chaves", "passou", "ignorado"),
    ),
}
# The values of a text in which other programs' words stand, PostgreSQL's or a backend's.
FOREIGN = {"why", "begins", "line", "reason"}
# Findings whose text is PostgreSQL's own, in its language.
POSTGRES_WRITES = {
    *("restore.error", "restore.role_missing", "restore.extension_missing", "check.error"),
    "check.cut_off",
}
SQL = ("timestamp with time zone",)


def others_words(form: Any) -> Iterator[str]:
    """The parts of a message that come from another program."""
    if isinstance(form, Mapping):
        for name, value in form.get("values", {}).items():
            if name in FOREIGN and isinstance(value, str):
                yield value
            yield from others_words(value)
        for part in form.get("parts", ()):
            yield from others_words(part)


def given_away(page: str, language: str, ignore: Sequence[str] = ()) -> list[str]:
    """The lines that are not in this language.

    Args:
        page: text, or HTML or XML, of which tags and styles are left out.
        language: that it should be in.
        ignore: texts that are not translated.
    """
    # Identifiers, which stay in every language, are set small.
    identifiers = r'<small class="path">[^<]*</small>'
    page = re.sub(rf"<style>.*?</style>|<!--.*?-->|{identifiers}", "", page, flags=re.DOTALL)
    # The names of what JUnit's form has stand in its tags; what people read stands outside of them
    # or in these attributes.
    read_aloud = re.findall(r'(?:title|aria-label|message)="([^"]*)"', page)
    lines = [*re.sub(r"<[^>]*>", "\n", page).splitlines(), *read_aloud]
    lines = [" ".join(html.unescape(line).split()) for line in lines]
    revealing = re.compile(rf"(?<![\w.-])(?:{'|'.join(GIVING_AWAY[language])})(?![\w.-])", re.I)
    wrong = []
    for line in lines:
        rest = line
        for other in sorted({*ignore, *SQL}, key=len, reverse=True):
            rest = rest.replace(" ".join(other.split()), "")
        if revealing.search(rest):
            wrong.append(line)
    return wrong


def pages(drill: Mapping[str, Any], language: str) -> dict[str, str]:
    """Every page and message that a drill's result becomes."""
    result = dict(drill)
    return {
        # Lines are broken at the page's width, so that a text of another would not be found.
        "text": " ".join(render_drill.validation_report(result, language, False).split()).replace(
            " - ", "\n"
        ),
        "html": render_html.html_report({"title": "", "drill": result, "only": "drill"}, language),
        "junit": junit.report(translations(language), result),
        "message": follow_up.reason(translations(language), result),
    }


def foreign_texts(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """The texts on a page of these checks that are not translated."""
    raised = [one for check in checks for one in (*check["findings"], *check["ignored"])]
    forms = [one["text_message"] for one in raised] + [
        check["evidence_message"] for check in checks
    ]
    others = {text for form in forms for text in others_words(form)}
    others |= {one["text"] for one in raised if one["id"] in POSTGRES_WRITES}
    others |= {f"({check['id']})" for check in checks}
    others |= {one["reason"] for one in raised if "reason" in one}
    return sorted(others)


def drill_of(checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A failed drill with these checks and nothing else."""
    return {
        **{"verdict": "failed", "problem": None, "time": "2025-11-20T15:30:00-03:00"},
        **{"checks": checks, "passed": 1, "failed": len(checks), "skipped": 1, "confidence": 1.0},
        **{"backup": {"file": "x.dump"}, "restore": None, "phases": [], "schemas": []},
        **{"totals": {}, "featured_schema": "", "api": [], "seconds": 1.0, "total_seconds": 1.0},
        **{"rto_seconds": 1.0, "rpo_seconds": 1.0},
        "objectives": {"rto_seconds": 600, "rpo_seconds": 86400},
    }
