"""The files of a drill's report: their content, and what is never in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import language
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill_report
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import (
    junit,
    render_drill,
    render_history,
    render_html,
)
from support import page_data

FOUND = {"id": "index.missing", "subject": "a.b", "text": "a.b is missing \x1b[31m <&\"'"}


def failed() -> dict[str, Any]:
    drill = page_data.drill()
    drill["verdict"] = "failed"
    drill["checks"][0].update(status="failed", evidence="0/1", findings=[FOUND, FOUND])
    drill["checks"][1].update(status="skipped", evidence="not configured")
    drill["checks"][2].update(status="strange")
    return drill


def suite_of(drill: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(junit.report(language.translations("en"), drill))


def test_junit_names_what_failed_and_what_was_skipped() -> None:
    suite = suite_of(failed())
    figures = {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")}
    assert figures == {"tests": "10", "failures": "1", "skipped": "1", "errors": "0"}
    failure = suite.find("testcase/failure")
    assert failure is not None and failure.text
    assert failure.text.count("index.missing: a.b is missing") == 2 and "\x1b" not in failure.text
    cases = suite.findall("testcase")
    assert [len(case) for case in cases[:4]] == [2, 2, 2, 1]
    assert cases[2].find("error") is not None


def test_junit_never_takes_a_drill_that_broke_off_for_passed() -> None:
    drill = {**page_data.drill(), "verdict": "could_not_verify", "problem": "no room"}
    suite = suite_of({**drill, "checks": []})
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    error = suite.find("testcase/error")
    assert error is not None and error.get("message") == "no room"


# What readers of JUnit's form agree on (Jenkins', GitLab's): an element, what it must have, what it
# may have, and what may stand in it.
FORM = {
    "testsuite": (
        *({"name", "tests", "failures", "errors"}, {"skipped", "time", "timestamp"}),
        {"properties", "testcase"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        *({"name"}, {"classname", "time"}),
        {"skipped", "failure", "error", "system-out"},
    ),
    "failure": ({"message", "type"}, set(), set()),
    "error": ({"message", "type"}, set(), set()),
    "skipped": (set(), {"message"}, set()),
    "system-out": (set(), set(), set()),
}


@pytest.mark.parametrize("verdict", ["failed", "passed", "could_not_verify"])
def test_junit_has_the_form_that_its_readers_expect(verdict: str) -> None:
    suite = suite_of({**failed(), "verdict": verdict, "problem": "no room"})
    for element in suite.iter():
        must, may, inside = FORM[element.tag]
        assert must <= set(element.attrib) <= must | may, (element.tag, element.attrib)
        assert {child.tag for child in element} <= inside, element.tag
        for name in {"time"} & set(element.attrib):
            assert float(element.attrib[name]) >= 0
    assert suite.get("tests") == str(len(suite.findall("testcase")))
    assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
    assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
    # Before anything else, as streaming readers need it; each result before its output.
    assert suite[0].tag == "properties"
    assert all(case[-1].tag in ("system-out", "error") for case in suite.findall("testcase"))


def past(count: int) -> list[dict[str, Any]]:
    return [
        {"time": 1e9 + 86400 * n, "verdict": "passed", "rto_seconds": 40.0 + n, "bytes": 1 << 20}
        for n in range(count)
    ]


def test_a_plot_needs_two_drills_and_shows_the_unknown_as_unknown() -> None:
    words = language.translations("en")
    assert render_history.plots(words, past(1), 600) == []
    drills = past(5)
    drills[2].update(verdict="could_not_verify", rto_seconds=None)
    recovery, size = render_history.plots(words, drills, 60)
    assert [point["known"] for point in recovery["points"]] == [True, True, False, True, True]
    assert recovery["points"][2]["state"] == "unknown"
    assert recovery["points"][0]["x"] == 0 and recovery["points"][-1]["x"] == render_history.WIDTH
    heights = [point["y"] for point in recovery["points"] if point["known"]]
    assert heights == sorted(heights, reverse=True)
    assert recovery["limit"] is not None and size["limit"] is None
    assert render_history.plots(words, drills, 6000)[0]["limit"] is None
    assert len(render_history.plots(words, past(500), None)[0]["points"]) == render_history.MOST


def test_the_files_are_written_whole_for_their_owner(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    assert drill_report.write(str(folder), failed(), past(3), "pt_BR") == []
    assert sorted(path.name for path in folder.iterdir()) == sorted(drill_report.FILES)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert json.loads((folder / "report.json").read_text())["verdict"] == "failed"
    page = (folder / "report.html").read_text()
    assert "BACKUP NÃO VALIDADO" in page and "index.missing: a.b is missing" in page
    # The stages that no drill knows anything of are left out.
    assert 'id="disk"' not in page and 'id="offsite"' not in page


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problems = drill_report.write(str(tmp_path / "file" / "x"), failed(), [], "en")
    assert len(problems) == len(drill_report.FILES) and "was not written" in problems[0]


@pytest.mark.parametrize("language_name", ["pt_BR", "en"])
def test_an_ignored_finding_is_on_the_page_with_its_reason(
    tmp_path: Path, language_name: str
) -> None:
    drill = page_data.drill()
    ignored = {**FOUND, "reason": "dropped in May <b>"}
    drill["checks"][0].update(status="skipped", evidence="ignored", ignored=[ignored])
    drill_report.write(str(tmp_path), drill, [], language_name)
    page = (tmp_path / "report.html").read_text()
    assert "dropped in May &lt;b&gt;" in page


@pytest.mark.parametrize(
    ("language_name", "verdict", "to_do", "log", "elsewhere"),
    [
        (
            *("pt_BR", "BACKUP NÃO VALIDADO", "Veja os erros da restauração."),
            *("FIM DO LOG DO BACKEND", "❌ OK (28 produtos); falhou em outras lojas: 1"),
        ),
        (
            *("en", "BACKUP NOT VALIDATED", "Look at the errors of the restore."),
            *("END OF THE BACKEND'S LOG", "❌ OK (28 products); failed in other stores: 1"),
        ),
    ],
)
def test_a_failed_drill_names_the_remedy_and_the_backends_log(
    language_name: str, verdict: str, to_do: str, log: str, elsewhere: str
) -> None:
    drill = failed()
    drill["backend_log"] = "Error: no route\n    at line 7 <b>\x1b[31m"
    other = {"id": "api.response_differs", "subject": "tenant_x", "text": "tenant_x: HTTP 500"}
    products = {"id": "api_products", "title": "", "status": "failed", "evidence": "1/2"}
    drill["checks"].append({**products, "seconds": 0.1, "findings": [other]})
    html = render_html.html_report({"title": "h", "drill": drill, "only": "drill"}, language_name)
    heading = html.index("<h1>")
    assert verdict in html[heading : html.index("</h1>")] and html.count(f"</b> {to_do}") == 1
    assert "Error: no route\n    at line 7 &lt;b&gt;\\x1b[31m</pre>" in html
    text = render_drill.validation_report(drill, language_name, False)
    assert log in text and "at line 7 <b>\\x1b[31m" in text and elsewhere in text
