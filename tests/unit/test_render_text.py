"""The text pages have the plan's wording to the letter, and show no problem as well."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import messages
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import (
    render_disk,
    render_drill,
    render_html,
    render_offsite,
    render_text,
)
from support import page_data

PAGES = Path(__file__).parent / "pages"
ENGINE = Path(__file__).parents[2] / "plugins" / "module_utils"
HOSTILE = "daily/a\nb\x1b[2J\x9b31m\u202etxt\udcff.dump.gz"
SHOWN = "daily/a\\nb\\x1b[2J\\x9b31m\\u202etxt\\xff.dump.gz"


def page(name: str) -> str:
    """Return one of the pages of the plan, or its English counterpart."""
    return (PAGES / name).read_text(encoding="utf-8").removesuffix("\n")


def validation(drill: dict[str, Any], language: str = "pt_BR", colour: bool = False) -> str:
    return render_drill.validation_report(drill, language, colour)


def offsite(verification: dict[str, Any], language: str = "pt_BR") -> str:
    return render_offsite.offsite_report(verification, language, False)


def dashboard(disk: dict[str, Any], backups: dict[str, Any] | None = None) -> str:
    return render_disk.dashboard(disk, backups or page_data.inventory(), "pt_BR", False)


@pytest.mark.parametrize("language", ["pt_BR", "en"])
def test_dashboard_is_the_expected_page(language: str) -> None:
    text = render_disk.dashboard(page_data.disk(), page_data.inventory(), language, False)
    assert text == page(f"dashboard.{language}.txt")


@pytest.mark.parametrize("language", ["pt_BR", "en"])
def test_offsite_report_is_the_expected_page(language: str) -> None:
    assert offsite(page_data.verification(), language) == page(f"offsite.{language}.txt")


@pytest.mark.parametrize("language", ["pt_BR", "en"])
def test_validation_report_is_the_expected_page(language: str) -> None:
    assert validation(page_data.drill(), language) == page(f"validation.{language}.txt")


def test_further_tenants_are_summed_up_in_one_line_and_in_the_integrity_of_all() -> None:
    text = validation(page_data.drill(99))
    assert "   - +99 lojas (99 schemas, 792 tabelas, 8811 registros) ✅\n" in text
    assert "   - Foreign Keys (101 schemas): 901/901 ✅\n" in text
    assert "BACKUP VÁLIDO E RESTAURÁVEL" in text


# --- disk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "shown"),
    [("warning", "🟡 WARNING"), ("critical", "🟠 CRITICAL"), ("emergency", "🔴 EMERGENCY")],
)
def test_a_level_is_shown_with_its_reason_and_named_at_the_end(level: str, shown: str) -> None:
    disk = page_data.disk()
    disk["level"] = level
    disk["targets"][0].update(level=level, percent_used=85.9, reason="space 85.9% used")
    text = dashboard(disk)
    assert f"(85%) {shown} - space 85.9% used" in text
    assert text.endswith(f"\n{shown} em Root Filesystem")
    assert "Todos os sistemas normais" not in text


def test_unknown_never_shows_the_mark_of_ok() -> None:
    disk = page_data.disk()
    unknown = {"level": "unknown", "reason": "cannot be measured: Permission denied"}
    nothing = dict.fromkeys(("percent_used", "bytes_total", "bytes_used", "bytes_available"))
    disk["level"] = "unknown"
    disk["targets"] = [{**target, **unknown, **nothing} for target in disk["targets"]]
    text = dashboard(disk)
    assert "✅" not in text
    assert "   Backups: ❓ UNKNOWN - cannot be measured: Permission denied\n" in text
    assert text.endswith("❓ UNKNOWN em Root Filesystem, Backups")


@pytest.mark.parametrize(
    "disk",
    [
        {"level": "ok", "targets": []},
        {"level": "unknown", "targets": page_data.disk()["targets"]},
        {"level": "never heard of", "targets": page_data.disk()["targets"]},
        {"targets": page_data.disk()["targets"]},
    ],
)
def test_all_normal_needs_targets_and_the_level_ok(disk: dict[str, Any]) -> None:
    text = dashboard(disk)
    if disk.get("level") != "ok":
        assert "Todos os sistemas normais" not in text
    assert dashboard({"level": "unknown", "targets": []}).endswith("❓ UNKNOWN em -")


def test_a_backup_folder_that_was_not_read_whole_is_not_normal() -> None:
    backups = {**page_data.inventory(), "problems": ["weekly: No such file or directory"]}
    text = dashboard(page_data.disk(), backups)
    assert "   ❓ UNKNOWN - weekly: No such file or directory\n" in text
    assert text.endswith("❓ UNKNOWN em Backups")


def test_why_a_backup_folder_was_not_read_is_shown_once_and_in_portuguese() -> None:
    problem = messages.join(["monthly", messages._("No such file or directory")], ": ")
    backups = {**page_data.inventory(), "problems": [problem]}
    assert "❓ UNKNOWN - monthly: arquivo ou diretório inexistente\n" in dashboard(
        page_data.disk(), backups
    )
    disk = page_data.disk()
    values = {"why": messages.to_form(problem)}
    cause = {"code": "backups", "level": "warning", "falls_to": "warning", "values": values}
    disk["targets"][1].update(level="warning", causes=[cause])
    disk["level"] = "warning"
    text = dashboard(disk, backups)
    assert text.count("inexistente") == 1 and text.endswith("🟡 WARNING em Backups")
    assert "UNKNOWN" not in text


def test_inodes_explain_a_level_that_bytes_do_not() -> None:
    disk = page_data.disk()
    disk["level"] = "critical"
    disk["targets"][0].update(level="critical", inodes_percent_used=88.0, reason="")
    assert "(45%) 🟠 CRITICAL - inodes 88%" in dashboard(disk)


def test_a_mount_point_and_several_folders_are_named_by_their_paths() -> None:
    disk = page_data.disk()
    disk["targets"].append({**disk["targets"][0], "path": "/srv"})
    assert "   /srv: 45.2 GB" in dashboard(disk)
    disk["targets"].append({**disk["targets"][1], "path": "/other"})
    assert "   /root/backups: 52 MB" in dashboard(disk)


def test_only_the_tiers_that_were_read_are_shown() -> None:
    backups = page_data.inventory()
    backups["tiers"] = {"hourly": {"count": 1, "bytes": 1024}, "daily": backups["tiers"]["daily"]}
    text = dashboard(page_data.disk(), backups)
    assert "   Daily: 7 backups (24 MB)\n   Hourly: 1 backup (1 KB)\n   Total:" in text


# --- offsite --------------------------------------------------------------------------------------


def lost(verification: dict[str, Any]) -> str:
    """Remove one daily backup from the remote side; return its path."""
    remote = verification["remote"]
    path = str(remote["files"][0]["path"])
    remote["tiers"]["daily"].update(count=6, bytes=20 << 20)
    remote.update(total_count=13, total_bytes=48 << 20, files=remote["files"][1:])
    verification["comparison"].update(in_sync=False, missing=[path])
    return path


def test_a_missing_backup_marks_its_tier_and_is_named() -> None:
    verification = page_data.verification()
    path = lost(verification)
    text = offsite(verification)
    assert f"   Daily: 6 backups (20 MB) ❌\n      ❌ falta no remoto: {path}\n" in text
    assert "   Weekly: 4 backups (16 MB) ✅\n" in text
    assert "   Total: 13 backups (48 MB) ❌\n" in text
    assert "❌ Local e remoto NÃO sincronizados: faltam 1, sobram 0, diferem 0" in text


@pytest.mark.parametrize(
    ("kind", "text_of_kind"),
    [("extra", "só existe no remoto"), ("different", "conteúdo diferente")],
)
def test_every_kind_of_difference_is_named(kind: str, text_of_kind: str) -> None:
    verification = page_data.verification()
    verification["comparison"].update({"in_sync": False, kind: ["weekly/x.dump.gz"]})
    text = offsite(verification)
    assert f"   Weekly: 4 backups (16 MB) ❌\n      ❌ {text_of_kind}: weekly/x.dump.gz\n" in text
    assert "Local e remoto sincronizados!" not in text


def test_equal_counts_with_other_content_are_not_equal_even_if_the_comparison_says_so() -> None:
    verification = page_data.verification()
    verification["remote"]["files"][0]["sha256"] = "f" * 64
    text = offsite(verification)
    assert "   Daily: 7 backups (24 MB) ❌\n" in text
    assert "sincronizados!" not in text


def test_without_digests_nothing_is_claimed() -> None:
    verification = page_data.verification()
    verification["comparison"]["compared_by"] = "bytes"
    text = offsite(verification)
    assert "✅" not in text
    assert "nada se afirma" in text


def test_a_side_that_was_not_read_whole_is_not_in_sync() -> None:
    verification = page_data.verification()
    verification["remote"]["problems"] = ["daily/x: Permission denied"]
    verification["comparison"].update(in_sync=False, unknown=["remote: daily/x: Permission denied"])
    text = offsite(verification)
    assert text.count("Permission denied") == 1
    assert "❓ Não foi possível verificar" in text
    assert "❓ Não foi possível verificar" in offsite({**verification, "remote": None})


def test_a_backup_in_progress_is_named_and_does_not_break_the_equality() -> None:
    verification = page_data.verification()
    path = lost(verification)
    verification["comparison"].update(in_sync=True, missing=[])
    verification["remote"]["in_progress"] = [path]
    text = offsite(verification)
    assert f"   Em andamento: {path}\n" in text
    assert "✅ Local e remoto sincronizados!" in text


# --- drill ----------------------------------------------------------------------------------------


def failed_drill() -> dict[str, Any]:
    """Return a drill of 100 tenants: one lacks a row, one route is broken, one check is skipped."""
    drill = page_data.drill(99)
    drill["schemas"][5]["tables"][2].update(rows=17, status="failed")
    drill["schemas"][5]["status"] = "failed"
    evidence = "tenant_loja_004.sales has 17 rows instead of 18"
    drill["checks"][2].update(status="failed", evidence=evidence)
    drill["checks"][7].update(status="skipped", evidence="no query configured")
    drill["api"][1].update(status="failed", http_status=500, evidence="HTTP 500 instead of 200")
    drill.update(verdict="failed", passed=8, failed=1, skipped=1, confidence=80.0)
    return drill


def test_a_failed_drill_is_not_valid_and_lists_what_failed_and_what_was_skipped() -> None:
    text = validation(failed_drill())
    assert "VÁLIDO" not in text
    assert "❌ RESULTADO: BACKUP NÃO VALIDADO" in text
    assert "❌ SCHEMAS:" in text
    assert "   - tenant_loja_004 ❌\n      - sales: 17 registros ❌ esperados 18\n" in text
    assert "❌ VERIFICAÇÕES COM FALHA (1):\n   - Registros de cada tabela (row_counts):\n" in text
    assert "     tenant_loja_004.sales has 17 rows instead of 18\n" in text
    assert "⚪ VERIFICAÇÕES PULADAS (1):\n" in text
    assert "   - Listar Produtos: ❌ FALHOU (500)\n     HTTP 500 instead of 200\n" in text
    assert "🎯 Confiança: 80.0%" in text


@pytest.mark.parametrize("key", ["checks", "api", "schemas"])
def test_a_verdict_that_its_own_parts_contradict_is_not_shown(key: str) -> None:
    drill = page_data.drill()
    drill[key][0]["status"] = "failed"
    assert drill["verdict"] == "passed"
    assert "VÁLIDO" not in validation(drill)


def test_a_restore_error_is_listed_and_is_no_pass() -> None:
    drill = page_data.drill()
    drill["restore"]["errors"] = ["could not create index"]
    text = validation(drill)
    assert "❌ ERROS DA RESTAURAÇÃO (1):\n   - could not create index\n" in text
    assert "VÁLIDO" not in text


def test_of_many_restore_errors_some_are_listed_and_the_rest_counted() -> None:
    drill = page_data.drill()
    letters = "abcdefghijklmnopqrst"
    drill["restore"]["errors"] = [f"error {one}{two}" for one in "abcd" for two in letters]
    text = validation(drill)
    assert "❌ ERROS DA RESTAURAÇÃO (80):\n   - error aa\n" in text
    assert "   - error ae\n   - e mais 75\n" in text and "error af" not in text
    # What differs in numbers alone is of one kind.
    drill["restore"]["errors"] = [f"error {number}" for number in range(80)]
    assert "   - error 0; do mesmo tipo: mais 79\n" in validation(drill)


def test_a_pass_without_a_passed_check_verified_nothing() -> None:
    text = validation({**page_data.drill(), "checks": []})
    assert "VÁLIDO" not in text
    assert "VERIFICAÇÃO NÃO REALIZADA" in text


def test_could_not_verify_is_no_verdict_on_the_backup() -> None:
    drill = {"verdict": "could_not_verify", "problem": "Docker is not running"}
    text = validation(drill)
    assert "✅" not in text
    assert "❓ RESULTADO: VERIFICAÇÃO NÃO REALIZADA - nada se afirma sobre o backup\n" in text
    assert "   Motivo: Docker is not running\n" in text
    assert "VALIDADO" not in text
    assert "❓" in validation({"verdict": "never heard of"})


def test_a_missing_key_index_or_row_turns_its_line_red() -> None:
    drill = page_data.drill()
    drill["schemas"][1]["foreign_keys"]["found"] = 8
    drill["totals"]["foreign_keys"]["found"] -= 1
    drill["schemas"][1]["tables"][0]["rows"] = 27
    text = validation(drill)
    assert "❌ INTEGRIDADE:\n   - Foreign Keys: 8/9 ❌\n" in text
    assert "   - products: 27 registros ❌ esperados 28\n" in text
    assert "   - tenant_chefwell ❌\n" in text
    assert "   - Foreign Keys (2 schemas): 9/10 ❌\n" in text


def test_counts_that_nothing_confirms_are_not_marked_as_good() -> None:
    drill = page_data.drill()
    for schema in drill["schemas"]:
        for table in schema["tables"]:
            table.update(expected=None, status="skipped")
    text = validation(drill)
    assert "   - products: 28 registros ⚪\n" in text
    assert "⚪ TABELAS (tenant_chefwell):" in text
    drill["schemas"][1]["tables"][0].update(rows=None, status="passed")
    assert "   - products: não contados ❓\n" in validation(drill)


def test_failed_tenants_are_named_up_to_a_limit_and_the_rest_counted() -> None:
    drill = page_data.drill(99)
    for schema in drill["schemas"][2:]:
        schema["status"] = "failed"
    text = validation(drill)
    assert text.count("   - tenant_loja_") == 5
    assert "   - e mais 94 que não passaram\n" in text
    # The total stands before the first of them.
    assert re.search(
        r"- \+99 lojas \([^)]*\)\s+❌\s+99 não\s+passaram\n   - tenant_loja_001 ", text
    )


def test_missed_and_unmeasured_objectives_are_shown() -> None:
    drill = {**page_data.drill(), "rto_seconds": 615.0, "rpo_seconds": None}
    text = validation(drill)
    assert "   - RTO: 10 minutos e 15 segundos (objetivo: 10 minutos) ❌\n" in text
    assert "   - RPO: não medido (objetivo: 24 horas) ❓\n" in text
    assert "📊 Tempo de Recovery: 11 minutos" in text


def test_a_failed_call_that_a_check_reports_is_shown_once() -> None:
    drill = failed_drill()
    drill["checks"].append({"id": "api_products", "status": "failed", "evidence": "HTTP 500"})
    text = validation(drill)
    assert "   - API: Listar Produtos (api_products):\n     HTTP 500\n" in text
    assert "HTTP 500 instead of 200" not in text


# --- every page -----------------------------------------------------------------------------------


def hostile_pages() -> list[str]:
    verification = page_data.verification()
    verification["comparison"].update(in_sync=False, missing=[HOSTILE])
    drill = failed_drill()
    drill["checks"][2]["evidence"] = HOSTILE
    drill["backup"]["file"] = HOSTILE
    disk = page_data.disk()
    disk["targets"][0].update(path=HOSTILE, level="critical", reason=HOSTILE)
    return [offsite(verification), validation(drill), dashboard(disk)]


@pytest.mark.parametrize("text", hostile_pages())
def test_hostile_names_are_written_out(text: str) -> None:
    assert SHOWN in text
    for line in text.split("\n"):
        assert all(unicodedata.category(letter) not in ("Cc", "Cf", "Cs") for letter in line)
    text.encode("utf-8")


def test_colour_is_used_only_on_request_and_changes_nothing_else() -> None:
    pages = [
        lambda colour: render_disk.dashboard(
            page_data.disk(), page_data.inventory(), "pt_BR", colour
        ),
        lambda colour: render_offsite.offsite_report(page_data.verification(), "pt_BR", colour),
        lambda colour: validation(failed_drill(), colour=colour),
    ]
    for write in pages:
        plain, coloured = write(False), write(True)
        assert "\x1b" not in plain
        assert "\x1b[32m" in coloured
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize("language", ["pt_BR", "en"])
def test_pages_fit_80_columns(language: str) -> None:
    drill = failed_drill()
    drill["checks"][2]["evidence"] = "a long tale of many words " * 20
    drill["schemas"][0]["tables"] *= 9
    verification = page_data.verification()
    lost(verification)
    pages = [validation(drill, language), offsite(verification, language)]
    for text in pages:
        assert max(map(render_text.width, text.split("\n"))) <= 80


def test_an_unknown_language_is_an_error_that_names_it() -> None:
    for write in (
        lambda: render_disk.dashboard({}, {}, "pt", False),
        lambda: render_offsite.offsite_report({}, "", False),
        lambda: render_drill.validation_report({}, "../../en", False),
        lambda: render_html.html_report({}, "de"),
    ):
        with pytest.raises(ResilienceError) as caught:
            write()
        assert caught.value.option == "language"
        assert "pt_BR, en" in str(caught.value)


def test_nothing_is_changed_in_what_was_given() -> None:
    drill, verification = failed_drill(), page_data.verification()
    before = copy.deepcopy((drill, verification))
    validation(drill)
    offsite(verification)
    assert (drill, verification) == before


def test_text_pages_need_the_standard_library_only(tmp_path: Path) -> None:
    """Hosts run them from cron with the system's Python (-I -S: no site-packages)."""
    package = tmp_path / "engine"
    package.symlink_to(ENGINE)
    script = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(Path(__file__).parents[1])!r}]\n"
        "from support import page_data\nfrom engine.pages import render_drill\n"
        "print(render_drill.validation_report(page_data.drill(), 'pt_BR', False))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", script],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == page("validation.pt_BR.txt") + "\n"


@pytest.mark.parametrize("language", ["pt_BR", "en"])
@pytest.mark.parametrize("owner", ["Bistro", "Café Ñandú", "食堂", "x" * 90, "a\x1b[31mb"])
def test_the_title_is_the_owners(owner: str, language: str) -> None:
    text = render_disk.dashboard(page_data.disk(), page_data.inventory(), language, False, owner)
    frame, title = text.splitlines()[:2]
    assert render_text.width(title) == render_text.width(frame) == 64
    assert "CHEFWELL" not in text and "\x1b" not in text
    assert title.strip("║ ").startswith(owner[:1].upper())


@pytest.mark.parametrize("columns", [46, 60, 79])
@pytest.mark.parametrize("language", ["en", "pt_BR"])
def test_pages_fit_a_narrow_terminal(language: str, columns: int) -> None:
    """The frame too; only a word that is longer than a line, which is to be copied, is not cut."""
    for page in (
        lambda: render_disk.dashboard(page_data.disk(), page_data.inventory(), language, False),
        lambda: render_offsite.offsite_report(page_data.verification(), language, False),
        lambda: render_drill.validation_report(failed_drill(), language, False),
    ):
        whole = page()
        with render_text.lines_of(columns):
            narrow = render_text.fitted(page(), columns)
        assert all(
            render_text.width(line) <= columns or len(line.split()) == 1
            for line in narrow.splitlines()
        ), narrow
        # Nothing is lost but the rest of the frame.
        assert re.sub(r"[═║╔╗╚╝\s]", "", narrow) == re.sub(r"[═║╔╗╚╝\s]", "", whole)
        assert page() == whole


@pytest.mark.parametrize("columns", [1, 2, 3, 12])
def test_a_terminal_of_few_columns_gets_a_page_all_the_same(columns: int) -> None:
    with render_text.lines_of(columns):
        page = render_disk.dashboard(page_data.disk(), page_data.inventory(), "en", False)
        narrow = render_text.fitted(page, columns)
    assert narrow.split() and all(
        render_text.width(line) <= max(2, columns) or len(line.split()) == 1
        for line in narrow.splitlines()
    )
