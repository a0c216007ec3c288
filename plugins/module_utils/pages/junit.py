# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill as JUnit XML, which CI servers read: one test case per check."""

from __future__ import annotations

import gettext
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from ..common.messages import translate_result
from ..common.safe_text import clean_all
from . import render_titles


def report(translations: gettext.NullTranslations, drill: Mapping[str, Any]) -> str:
    """Return the result of a drill as a JUnit XML document.

    Args:
        translations: of evidence and findings; the names of test cases are identifiers.
        drill: the drill's result.

    Returns:
        One `testsuite`. A failed check is a `failure`, a skipped one `skipped`. A drill that could
        not verify has a further case with an `error`, so that no CI server counts it as passed.
    """
    result: dict[str, Any] = clean_all(translate_result(translations, drill))
    checks = list(result.get("checks") or [])
    not_verified = result.get("verdict") == "could_not_verify"
    suite = ET.Element(
        "testsuite",
        name="restore drill",
        tests=str(len(checks) + int(not_verified)),
        failures=str(sum(check["status"] == "failed" for check in checks)),
        errors=str(int(not_verified)),
        skipped=str(sum(check["status"] == "skipped" for check in checks)),
        time=f"{result.get('total_seconds') or 0:.3f}",
        timestamp=str(result.get("time") or ""),
    )
    properties = ET.SubElement(suite, "properties")
    backup = result.get("backup") or {}
    for name, value in (
        ("verdict", result.get("verdict")),
        ("backup", backup.get("path")),
        ("sha256", backup.get("sha256")),
        ("confidence", result.get("confidence")),
        ("rto_seconds", result.get("rto_seconds")),
        ("rpo_seconds", result.get("rpo_seconds")),
    ):
        if value is not None:
            ET.SubElement(properties, "property", name=name, value=str(value))
    for check in checks:
        _add_test_case(suite, check, render_titles.check_title(translations, check))
    if not_verified:
        case = ET.SubElement(suite, "testcase", classname="drill", name="could be verified")
        problem = str(result.get("problem") or translations.gettext("no reason was recorded"))
        ET.SubElement(case, "error", message=problem, type="could_not_verify")
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _add_test_case(suite: ET.Element, check: dict[str, Any], title: str) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname="drill",
        name=str(check["id"]),
        time=f"{check.get('seconds') or 0:.3f}",
    )
    evidence = str(check.get("evidence") or "")
    if check["status"] == "failed":
        findings = check.get("findings") or []
        failure_type = str(findings[0]["id"] if findings else check["id"])
        failure = ET.SubElement(case, "failure", message=evidence, type=failure_type)
        failure.text = "\n".join(f"{finding['id']}: {finding['text']}" for finding in findings)
    elif check["status"] == "skipped":
        ET.SubElement(case, "skipped", message=evidence)
    elif check["status"] != "passed":
        ET.SubElement(case, "error", message=evidence, type="unknown")
    ET.SubElement(case, "system-out").text = f"{title}: {evidence}"
