"""State between syncs: what a sync stores is read again, as is what earlier versions stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import offsite_state
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport import Transport

GOOD = {"time": "2026-11-20T03:00:00", "destination": "b:/copy", "files": {"daily/a": [1, 2]}}


def settings_in(root: Path) -> SyncSettings:
    # The state is read and written without the transport.
    return SyncSettings(cast(Transport, None), str(root / "backups"), str(root))


@pytest.mark.parametrize(
    "more", [{}, {"last_run": {"time": "x", "status": "ok", "message": ""}, "days": []}]
)
def test_a_state_with_or_without_the_last_run_is_read(
    tmp_path: Path, more: dict[str, object]
) -> None:
    settings = settings_in(tmp_path)
    path = Path(offsite_state.state_path(settings, ".json"))
    path.write_text(json.dumps({"version": 1, "last_good": GOOD, **more}))
    state, problem = offsite_state.load_state(settings)
    assert problem is None and state.last_good is not None
    assert (state.last_good.time, state.last_good.files) == (GOOD["time"], {"daily/a": (1, 2)})


def test_a_damaged_state_is_reported_and_counts_as_none(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    Path(offsite_state.state_path(settings, ".json")).write_text('{"version": 1, "last_good": 5}')
    state, problem = offsite_state.load_state(settings)
    assert state == offsite_state.SyncState() and problem and "is damaged" in problem
