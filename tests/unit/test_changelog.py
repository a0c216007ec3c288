"""Fragments of the changelog are written as its tool reads them; the version is the next one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FRAGMENTS = sorted((ROOT / "changelogs" / "fragments").glob("*.yml"))
# reStructuredText, in which one backtick begins a title and two begin code.
SINGLE = re.compile(r"(?<!`)`(?!`)[^`]+(?<!`)`(?!`)")


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.stem)
def test_code_has_two_backticks(path: Path) -> None:
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    texts = [
        text for held in entries.values() for text in ([held] if isinstance(held, str) else held)
    ]
    assert texts and [match[0] for text in texts for match in SINGLE.finditer(text)] == []


def test_one_backtick_is_found() -> None:
    assert SINGLE.search("the option `a`") and not SINGLE.search("the option ``a`` and ``b``")


def test_no_module_is_newer_than_the_version() -> None:
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    added = {
        match[1]
        for path in (ROOT / "plugins").rglob("*.py")
        if (match := re.search(r'^version_added: "(.*)"', path.read_text(encoding="utf-8"), re.M))
    }
    numbers = [[int(part) for part in one.split(".")] for one in added]
    assert numbers and max(numbers) <= [int(part) for part in version.split(".")]
