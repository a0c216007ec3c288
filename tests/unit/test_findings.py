"""The page of findings is the engine's own table; every identifier that code raises is in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.checks import findings
from ansible_collections.chefwell.resilience.plugins.module_utils.checks.finding_kinds import KINDS
from ansible_collections.chefwell.resilience.plugins.module_utils.checks.findings import (
    IgnoreRule,
    of_restore_error,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "plugins" / "module_utils"


def test_the_page_is_up_to_date() -> None:
    checked = subprocess.run([sys.executable, str(ROOT / "tools" / "findings.py"), "--check"])
    assert checked.returncode == 0


def test_every_identifier_that_is_raised_is_known_and_every_known_one_is_raised() -> None:
    groups = "|".join(sorted({name.split(".")[0] for name in KINDS}))
    raised: set[str] = set()
    for path in ENGINE.rglob("*.py"):
        if path.name != "finding_kinds.py":
            raised |= set(re.findall(rf'"((?:{groups})\.[a-z_]+)"', path.read_text()))
    # The identifiers of a tenant's extras are put together.
    raised |= {name for name in KINDS if re.fullmatch(r"tenant\.[a-z]+_extra", name)}
    # What errors call options by.
    raised -= {"api.users", "api.url", "api.steps", "production.port"}
    assert raised == set(KINDS)


def test_the_findings_of_restore_errors() -> None:
    output = {
        'ERROR: role "app" does not exist': ("restore.role_missing", "app"),
        'ERROR: extension "postgis" is not available': ("restore.extension_missing", "postgis"),
        'ERROR: could not open extension control file "/usr/share/x/citext.control": No such': (
            "restore.extension_missing",
            "citext",
        ),
        'ERROR: relation "x" already exists': ("restore.error", ""),
    }
    for message, expected in output.items():
        found = of_restore_error(f"pg_restore: error: {message}")
        assert (found.id, found.subject) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"finding": "index.missing"}, "without a reason"),
        ({"finding": "index.missing", "reason": "because"}, "without a reason"),
        ({"finding": "index.mising", "reason": "long enough"}, "did you mean 'index.missing'"),
        ({"finding": "*", "reason": "long enough", "until": 1}, "unknown key 'until'"),
    ],
)
def test_ignoring_needs_a_reason_and_a_finding(rule: dict[str, object], expected: str) -> None:
    with pytest.raises(ResilienceError, match=expected):
        findings.ignore_rules([rule])
    assert not IgnoreRule("index.*", "x", "a.*").covers(
        findings.Finding("index.missing", "b.c", "")
    )
