# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill as JUnit XML, which CI servers read: a test a check, an error for what broke off."""

from __future__ import annotations

import gettext
import xml.etree.ElementTree as ET  # the name that everybody gives it
from collections.abc import Mapping
from typing import Any

from ..common.messages import translate_result
from ..common.safe_text import clean_all
from . import render_titles


def report(words: gettext.NullTranslations, drill: Mapping[str, Any]) -> str:
    """The document.

    Args:
        words: the language of evidence and findings; names of tests are identifiers.
        drill: the drill's result.

    Returns:
        One `testsuite`; a failed check is a `failure`, a skipped one `skipped`, and a drill that
        could not verify ends in an `error`, so that no reader takes it for passed.
    """
    result: dict[str, Any] = clean_all(translate_result(words, drill))
    checks = list(result.get("checks") or [])
    broke_off = result.get("verdict") == "could_not_verify"
    suite = ET.Element(
        "testsuite",
        name="restore drill",
        tests=str(len(checks) + broke_off),
        failures=str(sum(check["status"] == "failed" for check in checks)),
        errors=str(int(broke_off)),
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
        _case(suite, check, render_titles.check_title(words, check))
    if broke_off:
        case = ET.SubElement(suite, "testcase", classname="drill", name="could be verified")
        problem = str(result.get("problem") or words.gettext("it broke off"))
        ET.SubElement(case, "error", message=problem, type="could_not_verify")
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, check: dict[str, Any], title: str) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname="drill",
        name=str(check["id"]),
        time=f"{check.get('seconds') or 0:.3f}",
    )
    evidence = str(check.get("evidence") or "")
    if check["status"] == "failed":
        found = check.get("findings") or []
        kind = str(found[0]["id"] if found else check["id"])
        failure = ET.SubElement(case, "failure", message=evidence, type=kind)
        failure.text = "\n".join(f"{one['id']}: {one['text']}" for one in found)
    elif check["status"] == "skipped":
        ET.SubElement(case, "skipped", message=evidence)
    elif check["status"] != "passed":
        ET.SubElement(case, "error", message=evidence, type="unknown")
    ET.SubElement(case, "system-out").text = f"{title}: {evidence}"
