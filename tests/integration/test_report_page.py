"""The report of all stages in a browser: never wider than its window, however large the text."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import LANGUAGES
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import render_html
from support import page_data
from support.browser import WIDTHS, look

LONG = "tenant_" + "a_name_without_an_end" * 5


def good() -> dict[str, Any]:
    return {
        "title": "chefwell.pro",
        "disk": {**page_data.disk(), "backups": page_data.inventory()},
        "offsite": page_data.verification(),
        "drill": page_data.drill(99),
    }


def mass_failure() -> dict[str, Any]:
    """80 of 100 tenants fail six checks, with a name and a path that have no place to break at."""
    data = copy.deepcopy(good())
    drill, target = data["drill"], data["disk"]["targets"][0]
    found = [
        {"id": "rows.differ", "subject": LONG, "text": f"{LONG}.products has 13 rows instead of 12"}
        for _tenant in range(80)
    ]
    for schema in drill["schemas"][2:82]:
        schema.update(status="failed", name=LONG)
        schema["tables"][0].update(rows=1, status="failed")
    drill["schemas"][1]["name"] = drill["featured_schema"] = f"{LONG}_too"
    for check in drill["checks"][:6]:
        check.update(status="failed", evidence="80 of 100", findings=found)
    drill.update(verdict="failed", passed=4, failed=6, confidence=40.0, rto_seconds=700)
    target.update(level="critical", percent_used=85.9, path=f"/srv/{LONG}/{LONG}")
    data["offsite"]["comparison"].update(in_sync=False, missing=[f"daily/{LONG}.dump.gz"])
    return data


def unverified() -> dict[str, Any]:
    data = copy.deepcopy(good())
    problem = f"staging did not start: no such file [data_dir='/var/{LONG}'] - name a folder"
    data |= {"offsite": None, "drill": {"verdict": "could_not_verify", "problem": problem}}
    data["drill"]["time"] = "2025-11-20T15:30:00-03:00"
    data["disk"]["targets"][0].update(level="unknown", percent_used=None, bytes_total=None)
    return data


def nothing() -> dict[str, Any]:
    return {"title": "chefwell.pro", "disk": None, "offsite": None, "drill": None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_report_scrolls_sideways_at_any_width_and_size_of_text(
    tmp_path: Path, language: str
) -> None:
    for make in (good, mass_failure, unverified, nothing):
        page = render_html.html_report(make(), language)
        (tmp_path / f"{make.__name__}.html").write_text(page, encoding="utf-8")
    pages = sorted(path.name for path in tmp_path.glob("*.html"))
    found = look(tmp_path, pages) + look(tmp_path, pages, text_size=32)
    assert len(found) == 2 * len(pages) * len(WIDTHS) == 24
    wide = [one for one in found if one["scroll"] > one["width"] or one["wide"]]
    assert wide == []
