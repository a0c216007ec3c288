"""The HTML page loads nothing, escapes everything, and shows problems first."""

from __future__ import annotations

import html.parser
import re
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import (
    render_drill,
    render_html,
)
from support import page_data

VOID = {"meta", "br"}
SCRIPT = "<script>alert(1)</script>\x1b[2J\"'><img src=x onerror=y>"


class Page(html.parser.HTMLParser):
    """A parser that fails on unbalanced tags and keeps tags and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def cells(self, state: str) -> list[str]:
        """Return the tips of the schemas in one state."""
        return [
            str(attributes["title"])
            for tag, attributes in self.tags
            if tag == "li" and attributes.get("class") == state and "title" in attributes
        ]

    @property
    def headline(self) -> str:
        """Return the verdict on all stages."""
        return next(text for text in self.texts if re.match(r"[–✓!?✕] ", text))


def results(stores: int = 99) -> dict[str, Any]:
    return {
        "title": "chefwell.pro",
        "disk": {**page_data.disk(), "backups": page_data.inventory()},
        "offsite": page_data.verification(),
        "drill": page_data.drill(stores),
    }


def test_all_is_well() -> None:
    page = Page(render_html.html_report(results(), "pt_BR"))
    assert page.headline == "✓ Tudo em ordem"
    assert len(page.cells("ok")) == 101
    assert not any(attributes.get("id") == "findings" for _tag, attributes in page.tags)
    assert dict(page.tags[0][1])["lang"] == "pt-BR"


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    text = render_html.html_report(results(), "en")
    for tag, attributes in Page(text).tags:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not attributes.keys() & {"src", "srcset", "onclick", "onload", "data"}
        assert str(attributes.get("href", "#")).startswith("#")
    assert "http:" not in text and "https:" not in text and "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_everything_from_elsewhere_is_escaped() -> None:
    data = results(3)
    data["title"] = SCRIPT
    drill, offsite, disk = data["drill"], data["offsite"], data["disk"]
    found = {"id": SCRIPT, "subject": SCRIPT, "text": SCRIPT}
    drill["checks"][0].update(status="failed", evidence=SCRIPT, findings=[found, found])
    drill["api"][0].update(status="failed", evidence=SCRIPT)
    drill["schemas"][3].update(name=SCRIPT, status="failed")
    drill["schemas"][3]["tables"][0].update(name=SCRIPT, status="failed")
    drill["phases"][0]["name"] = SCRIPT
    drill["backup"].update(file=SCRIPT, tier=SCRIPT, format=SCRIPT, sha256=SCRIPT)
    drill["restore"].update(errors=[SCRIPT], harmless=[SCRIPT], engine=SCRIPT)
    drill.update(problem=SCRIPT, featured_schema=SCRIPT, verdict="failed")
    offsite["host"] = SCRIPT
    offsite["comparison"].update(in_sync=False, missing=[SCRIPT], unknown=[SCRIPT])
    disk["targets"][0].update(path=SCRIPT, level="critical", reason=SCRIPT)
    text = render_html.html_report(data, "pt_BR")
    page = Page(text)
    assert {"script", "img"}.isdisjoint(tag for tag, _attributes in page.tags)
    assert "\x1b" not in text
    assert any("<script>alert(1)</script>\\x1b[2J" in data for data in page.texts)


def test_problems_come_first_with_their_evidence() -> None:
    data = results()
    drill = data["drill"]
    drill["schemas"][5]["tables"][2].update(rows=17, status="failed")
    drill["checks"][2].update(status="failed", evidence="17 rows instead of 18")
    drill["checks"][3].update(status="skipped", evidence="not configured")
    drill.update(verdict="failed", confidence=80.0, rto_seconds=700)
    text = render_html.html_report(data, "pt_BR")
    page = Page(text)
    assert page.headline == "✕ É preciso agir"
    assert "BACKUP NÃO VALIDADO" in text and "VÁLIDO" not in text
    order = [
        text.index(needle)
        for needle in ("É preciso agir", "17 rows instead of 18", "not configured", 'id="drill"')
    ]
    assert order == sorted(order)
    [tip] = page.cells("bad")
    assert tip.startswith("tenant_loja_004 - falhou\n8 tabelas, 88 registros")
    assert "sales: 17 / 18" in tip
    assert "RTO: 11 minutos e 40 segundos (objetivo: 10 minutos)" in text


@pytest.mark.parametrize("part", ["disk", "offsite", "drill"])
def test_a_stage_that_was_not_run_is_named(part: str) -> None:
    page = Page(render_html.html_report({**results(1), part: None}, "en"))
    assert page.headline == "✓ All is well in what was checked"
    # Once: its tile says so, and there is no part about it.
    assert page.texts.count("Not run") == 1


def test_a_sign_that_no_word_explains_has_one_for_a_screen_reader() -> None:
    data = results(1)
    data["drill"]["checks"][0].update(status="failed", evidence="x")
    page = render_html.html_report(data, "pt_BR")
    labels = re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert labels.count("falhou") == 1 and labels.count("passou") > 20
    assert {*labels} == {"falhou", "passou"}


def test_what_was_not_measured_takes_no_part_of_the_page() -> None:
    data = results(1)
    data["drill"] = {"verdict": "could_not_verify", "problem": "no Docker", "time": "2025-11-20"}
    page = Page(render_html.html_report(data, "en"))
    assert page.texts.count("no Docker") == 1
    assert not {"Recovery objectives", "Every schema", "Phases", "Reason"} & {*page.texts}


def test_nothing_measured_is_not_well() -> None:
    nothing = {"disk": None, "offsite": None, "drill": None, "title": ""}
    assert Page(render_html.html_report(nothing, "en")).headline == "– Nothing was measured"


def test_could_not_verify_is_neither_good_nor_bad() -> None:
    data = results(1)
    data["drill"] = {"verdict": "could_not_verify", "problem": "Docker is not running"}
    text = render_html.html_report(data, "en")
    assert Page(text).headline == "? Not everything could be verified"
    assert "Docker is not running" in text
    assert "BACKUP VALID" not in text and "BACKUP NOT" not in text


def test_phases_that_did_not_run_have_no_figures() -> None:
    """A damaged backup is neither restored nor validated, and its format is unknown."""
    data = results(1)
    drill = data["drill"]
    drill |= {"verdict": "failed", "restore": None, "seconds": 0.0, "confidence": None}
    drill["backup"] = {"file": "x.dump.gz", "bytes": 39000, "taken_at": "2025-11-20T03:00:00"}
    page = render_html.html_report(data, "en")
    assert "<dd>2025-11-20 03:00:00 · 38.1 KB</dd>" in page
    assert "<dd>not restored</dd>" in page and "?%" not in page
    drill["restore"] = {"seconds": 1.0, "engine": "embedded"}
    assert "(embedded) · not validated</dd>" in render_html.html_report(data, "en")
    text = render_drill.validation_report(drill, "en", False)
    assert "Backup Size: 39K\n" in text + "\n" and "compressed" not in text


def test_a_skipped_check_or_a_missed_objective_is_a_warning() -> None:
    data = results(1)
    data["drill"]["checks"][1].update(status="skipped", evidence="not configured")
    assert Page(render_html.html_report(data, "en")).headline == "! In order, with warnings"
    data = results(1)
    data["drill"]["rpo_seconds"] = 90000
    assert Page(render_html.html_report(data, "en")).headline == "! In order, with warnings"


@pytest.mark.parametrize("seconds", [0.0, 0.002, 3.0, 95.0, 4000.0, 200000.0])
def test_the_time_axis_has_a_few_round_ticks(seconds: float) -> None:
    data = results(1)
    data["drill"]["phases"] = [{"name": "restore", "started": 5.0, "seconds": seconds}]
    text = render_html.html_report(data, "en")
    Page(text)
    assert 2 <= text.count('class="tick"') <= 7


def test_the_ticks_of_a_short_drill_differ() -> None:
    data = results(1)
    data["drill"]["phases"] = [
        {"name": "digest", "started": 0.0, "seconds": 0.0004},
        {"name": "staging", "started": 0.0005, "seconds": 0.0021},
    ]
    ticks = re.findall(r'class="tick"[^>]*>([^<]+)<', render_html.html_report(data, "en"))
    assert len(ticks) == len(set(ticks)) >= 2


def failed_everywhere(checks: int = 6) -> dict[str, Any]:
    """Return results in which 80 of 100 tenants fail some checks in the same way."""
    data = results(99)
    drill = data["drill"]
    names = [schema["name"] for schema in drill["schemas"][2:82]]
    for schema in drill["schemas"][2:82]:
        schema["status"] = "failed"
    found = [{"id": "rows.differ", "subject": name, "text": f"{name} differs"} for name in names]
    for check in drill["checks"][:checks]:
        check.update(status="failed", evidence="80 of 100", findings=found)
    confidence = 10.0 * (10 - checks)
    drill.update(verdict="failed", passed=10 - checks, failed=checks, confidence=confidence)
    return data


def test_totals_and_every_schema_stand_before_many_findings_and_a_remedy_once() -> None:
    text = render_html.html_report(failed_everywhere(), "en")
    total = text.index("Restore: 80 of 101 schemas and 6 of 10 checks failed")
    attention = text[total : text.index('id="drill"')]
    assert attention.index('class="grid"') < attention.index("tenant_loja_001 differs")
    assert text.count('class="grid"') == 1 and len(Page(text).cells("bad")) == 80
    assert attention.count("tenant_loja_001 differs") == 6
    same = "of the same kind in 79 more schemas: tenant_loja_002, "
    assert attention.count(same) == 6 and "tenant_loja_002 differs" not in attention
    assert attention.count("What to do") == 1


def test_an_error_is_shown_once_with_its_remedy_and_option_apart() -> None:
    data = results(1)
    problem = "Docker does not answer [docker_host='unix:///x'] - start Docker"
    data["drill"] = {"verdict": "could_not_verify", "problem": problem}
    page = Page(render_html.html_report(data, "en"))
    assert page.texts.count("Docker does not answer") == 1
    assert "docker_host='unix:///x'" in page.texts
    assert "start Docker" in "".join(page.texts) and problem not in "".join(page.texts)
    data["drill"]["problem"] = "a sentence [in brackets] without an option"
    assert data["drill"]["problem"] in Page(render_html.html_report(data, "en")).texts


def test_the_worst_target_stands_first() -> None:
    data = results(1)
    disk = data["disk"]
    disk["level"] = "emergency"
    disk["targets"][0].update(level="critical", reason="space 85% used")
    disk["targets"][1].update(level="emergency", reason="space 97% used")
    text = render_html.html_report(data, "en")
    assert text.index("Backups: EMERGENCY") < text.index("/: CRITICAL")


def test_a_thousand_stores_fit_on_a_page_of_reasonable_size() -> None:
    text = render_html.html_report(results(1000), "pt_BR")
    assert len(Page(text).cells("ok")) == 1002
    assert len(text) < 1_500_000


def test_disk_cards_show_their_thresholds() -> None:
    data = results(1)
    limits = {"warning": 70.0, "critical": 80.0, "emergency": 92.5}
    data["disk"]["targets"][0].update(percent_used=84.0, level="critical", limits=limits)
    text = render_html.html_report(data, "pt_BR")
    assert "atenção 70% · crítico 80% · emergência 92.5%" in text
    assert re.findall(r'<b style="left:([\d.]+)%"></b>', text.partition('id="disk"')[2]) == [
        "70.00",
        "80.00",
        "92.50",
    ]


def test_a_portuguese_page_names_levels_and_tiers_in_portuguese() -> None:
    data = results(1)
    for number, level in enumerate(("warning", "critical", "emergency", "unknown")):
        target = {**data["disk"]["targets"][0], "level": level, "path": f"/d{number}"}
        cause = {"code": "space", "level": level, "falls_to": level}
        values = {"percent": 84.0, "left": 5, "limit": 80.0, "limit_is_percent": True}
        target["causes"] = [{**cause, "values": values}]
        data["disk"]["targets"].append(target)
    data["disk"]["level"] = "emergency"
    page = Page(render_html.html_report(data, "pt_BR"))
    text = "\n".join(one for one in page.texts if not one.startswith(":root"))
    for word in ("EMERGÊNCIA", "CRÍTICO", "ATENÇÃO", "DESCONHECIDO", "crítico a partir de 80%"):
        assert word in text
    for word in ("Diário", "Semanal", "Mensal", "Chaves estrangeiras", "Restrições de unicidade"):
        assert word in text
    english = r"(?i)\b(emergency|critical|warning|unknown|daily|weekly|monthly|root filesystem)\b"
    assert not re.search(english, text)
    assert not re.search(r"Foreign Keys|Indexes|Unique Constraints", text)


def test_what_concerns_several_checks_stands_once() -> None:
    data = results(1)
    for name in ("login", "products", "sales"):
        check = {"id": f"api_{name}", "status": "skipped", "evidence": "no backend", "seconds": 0}
        data["drill"]["checks"].append({**check, "title": name, "findings": []})
    page = Page(render_html.html_report(data, "en"))
    assert "API: Login, List Products, List Sales: skipped" in page.texts
    # Once for all of them, and once with each check.
    assert page.texts.count("no backend") == 1 + 3


def test_many_items_are_folded_after_the_first() -> None:
    for checks, open_ones in ((7, 7), (8, 6)):  # a single one takes no more room unfolded
        text = render_html.html_report(failed_everywhere(checks), "en").partition('id="drill"')[0]
        shown, _summary, folded = text.partition("<summary>")
        assert shown.count('<li class="bad"><span') == open_ones
        assert folded.count('<li class="bad"><span') == checks - open_ones
    few = results(1)
    few["drill"]["checks"][0].update(status="failed", evidence="x")
    assert "<summary>" not in render_html.html_report(few, "en").partition('id="drill"')[0]


def test_text_grows_with_the_readers_size_of_text() -> None:
    """Sizes are in rem; only figures that are drawn have sizes of their own."""
    style = render_html.html_report(results(1), "en").partition("<style>")[2].partition("</style>")
    sizes = re.findall(r"font(?:-size)?:\s*([\d.]+)(px|rem|em|pt)", style[0])
    assert sizes and {unit for _size, unit in sizes if _size not in ("11", "12", "13")} <= {
        "rem",
        "em",
    }
    # Cards and tables are no wider than the page, however large the text.
    assert "minmax(1" not in style[0]


def test_a_filesystem_is_shown_by_what_can_be_used_of_it() -> None:
    """Used and left add up to the whole, of which the percentage is, where blocks are reserved."""
    data = results(1)
    gb = 1 << 30
    target = {"bytes_total": 252 * gb, "bytes_used": 52 * gb, "bytes_available": 50 * gb}
    data["disk"]["targets"][0].update(target, percent_used=51.0)
    assert "52 GB / 102 GB (51%)" in render_html.html_report(data, "en")


def damaged_drill() -> dict[str, Any]:
    """The result of a drill of a cut file, as the engine returns it."""
    text = "the file is damaged or truncated"
    found = {"id": "archive.unreadable", "subject": "", "text": text}
    check = {"id": "archive", "status": "failed", "evidence": text, "findings": [found]}
    problem = f"{text} [backup='/b/x.dump.gz'] - make another backup"
    return {"verdict": "failed", "problem": problem, "checks": [check], "schemas": []}


def test_what_ended_a_drill_and_what_its_check_found_stand_once() -> None:
    page = render_html.html_report({"title": "x", "drill": damaged_drill()}, "en")
    attention = page.split("<h2", 2)[1]
    assert attention.count("the file is damaged or truncated") == 1
    assert attention.count("backup=&#39;/b/x.dump.gz&#39;") == 1
    # A problem of its own is shown beside the check.
    other = {**damaged_drill(), "problem": "the disk is full"}
    attention = render_html.html_report({"title": "x", "drill": other}, "en").split("<h2", 2)[1]
    assert "the disk is full" in attention and "damaged or truncated" in attention


def test_the_total_counts_schemas_only_where_there_are_some() -> None:
    drill = damaged_drill()
    page = render_html.html_report({"title": "x", "drill": drill}, "en")
    assert "0 of 0" not in page and "1 of 1" not in page, "the one check says it"
    drill["checks"].append({"id": "restore", "status": "passed", "evidence": "x"})
    page = render_html.html_report({"title": "x", "drill": drill}, "en")
    assert "Restore: 1 of 2 checks failed" in page and "0 of 0" not in page


def test_what_differs_in_a_schema_is_named_in_the_language_of_the_page() -> None:
    drill = page_data.drill(3)
    drill["schemas"][1]["foreign_keys"] = {"found": 8, "expected": 9}
    page = render_html.html_report({"title": "x", "drill": drill}, "pt_BR")
    assert "Chaves estrangeiras" in page and "Foreign Keys" not in page
    assert "Unique Constraints" not in page


def restore_errors(count: int) -> list[str]:
    """Return errors as pg_restore reports one fault in many tenants, and one of its own."""
    fault = (
        "pg_restore: error: from TOC entry {0}; ERROR: insert violates foreign key"
        ' constraint "orders_product_id_fkey" DETAIL: Key (product_id)=({0}) is not present in'
        ' table "products". Command was: ALTER TABLE ONLY tenant_{0:03d}.orders ADD CONSTRAINT'
        " orders_product_id_fkey FOREIGN KEY (product_id) REFERENCES tenant_{0:03d}.products(id);"
    )
    return [*(fault.format(number) for number in range(1, count)), "out of memory"]


@pytest.mark.parametrize("checked", [False, True])
def test_equal_errors_while_restoring_are_counted_once(checked: bool) -> None:
    data = results(1)
    drill, errors = data["drill"], restore_errors(81)
    drill.update(verdict="failed", failed=1)
    drill["restore"]["errors"] = errors
    if checked:
        found = [{"id": "restore", "subject": "", "text": error} for error in errors]
        check = {"id": "restore", "status": "failed", "evidence": "x", "findings": found}
        drill["checks"].append(check)
    for language, same in (
        ("en", "of the same kind in 79 more schemas: tenant_002, tenant_003"),
        ("pt_BR", "do mesmo tipo em mais 79 schemas: tenant_002, tenant_003"),
    ):
        page = render_html.html_report(data, language)
        attention = page[page.index("<h2") : page.index('id="drill"')]
        assert attention.count("Key (product_id)=(1)") == 1 and same in attention
        assert "Key (product_id)=(2)" not in attention and attention.count("out of memory") == 1
        section = page[page.index('id="drill"') : page.index('id="offsite"')]
        section = section[section.rindex("<h3") :]
        # The check of the restore, folded, has all of them; without it the section counts them.
        assert ("(81)" in section and section.count("Key (product_id)") == 1) is not checked
        assert page.count("Key (product_id)=(6)") == checked
    text = " ".join(render_drill.validation_report(drill, "en", False).split())
    assert ("RESTORE ERRORS (81):" in text) is not checked


def test_copies_that_differ_in_one_way_are_one_item() -> None:
    data = results(1)
    missing = [f"daily/{number}.dump.gz" for number in range(20)]
    comparison = data["offsite"]["comparison"]
    comparison.update(in_sync=False, missing=missing, different=["weekly/x.dump.gz"])
    page = render_html.html_report(data, "en")
    attention = page[page.index("<h2") : page.index('id="drill"')]
    assert attention.count("<li ") == 2
    assert "daily/2.dump.gz" in attention and "daily/3.dump.gz" not in attention
    assert "and 17 more" in attention and "weekly/x.dump.gz" in attention


def test_an_alarm_of_the_backup_server_needs_attention() -> None:
    data = results(1)
    data["offsite"]["server_alarms"] = ["bit-rot since 2025-11-20: x"]
    page = Page(render_html.html_report(data, "en"))
    assert page.headline == "! In order, with warnings"
    assert (
        "The server raised an alarm" in page.texts and "bit-rot since 2025-11-20: x" in page.texts
    )


def test_of_many_items_some_of_each_part_are_open() -> None:
    data = failed_everywhere(8)
    data["disk"]["targets"][0].update(level="critical", reason="space 85% used")
    data["disk"].update(level="critical")
    kinds = {kind: [f"daily/{kind}.dump.gz"] for kind in ("missing", "extra", "different")}
    data["offsite"]["comparison"].update(in_sync=False, **kinds)
    page = render_html.html_report(data, "en")
    shown = page[page.index("<h2") :].partition("<summary>")[0]
    assert shown.count('<li class="bad"><span') == 6
    assert "space 85% used" in shown and shown.count("Offsite copy: ") == 3
    assert shown.count("tenant_loja_001 differs") == 2


def test_checks_that_passed_are_folded_beside_some_that_did_not() -> None:
    page = render_html.html_report(failed_everywhere(2), "en")
    folded = page[page.index("8 checks passed</summary>") : page.index('id="offsite"')]
    assert folded.count('<small class="path">') == 8
    assert "checks passed</summary>" not in render_html.html_report(results(1), "en")


def test_an_objective_that_a_drill_could_not_reach_needs_no_attention_of_its_own() -> None:
    data = results(1)
    data["drill"].update(rto_seconds=None)
    assert "Recovery objective not measured" in render_html.html_report(data, "en")
    data["drill"].update(verdict="could_not_verify", problem="there is no room")
    page = render_html.html_report(data, "en")
    assert "Recovery objective not measured" not in page and "not measured" in page
