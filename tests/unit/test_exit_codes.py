"""Exit codes of every stage are those of monitoring plugins: ok, warning, critical, unknown."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import levels
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_settings,
    offsite_verification,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import drill_result


def test_the_disks() -> None:
    codes = {level: levels.exit_code(level) for level in levels.EXIT_CODES}
    assert codes == {"ok": 0, "warning": 1, "critical": 2, "emergency": 2, "unknown": 3}


def test_a_sync() -> None:
    codes = offsite_settings.EXIT_CODES
    assert codes == {"ok": 0, "warning": 1, "locked": 1, "refused": 2, "failed": 2}


@pytest.mark.parametrize(
    ("differs", "alarms", "code"),
    [({}, [], 0), ({}, ["x"], 1), ({"missing": ["a"]}, [], 2), ({"extra": ["a"]}, ["x"], 2)],
)
def test_a_verification(differs: dict[str, list[str]], alarms: list[str], code: int) -> None:
    comparison: dict[str, Any] = {"missing": [], "extra": [], "different": [], **differs}
    comparison["in_sync"] = not differs
    verification = {"comparison": comparison, "server_alarms": alarms}
    assert offsite_verification.verify_exit_code(verification) == code


def test_a_verification_that_did_not_see_all_is_unknown() -> None:
    comparison = {"missing": [], "extra": [], "different": [], "in_sync": False}
    verification = {"comparison": comparison, "server_alarms": ["x"]}
    assert offsite_verification.verify_exit_code(verification) == 3


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ({"verdict": "passed"}, 0),
        ({"verdict": "passed", "rpo_broken": True}, 1),
        ({"verdict": "failed"}, 2),
        ({"verdict": "could_not_verify"}, 3),
    ],
)
def test_a_drill(result: dict[str, Any], code: int) -> None:
    assert drill_result.exit_code({"rpo_broken": False, **result}) == code
