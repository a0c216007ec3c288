"""The module disk_usage_check, called by Ansible on a real filesystem."""

from __future__ import annotations

import importlib
import sqlite3
from pathlib import Path

import pytest
import yaml
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import History
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history_file import (
    FILE,
    VERSION,
)
from support.ansible_run import run_module
from support.filesystems import Disks, fill


def test_levels_plain_values_and_failing_on_request(disks: Disks) -> None:
    point = disks.memory("memory", pages=1000)
    fill(point, 85)
    for tier in ("daily", "weekly", "monthly"):
        (point / "backups" / tier).mkdir(parents=True)
    result = run_module(
        "disk_usage_check", "--check", paths=[str(point)], backup_path=str(point / "backups")
    )
    assert (result["failed"], result["changed"], result["level"]) == (False, False, "critical")
    disk, folder = result["targets"]
    assert disk["bytes_used"] == 850 * 4096 and disk["bytes_total"] == 1000 * 4096
    assert disk["percent_used"] == 85.0
    assert (folder["folder"], folder["level"], folder["bytes_used"]) == (True, "ok", 0)
    nothing = {"bytes_used": 0, "percent_used": 0.0, "growth_per_day": None}
    assert result["tiers"] == {"daily": nothing, "weekly": nothing, "monthly": nothing}
    failed = run_module("disk_usage_check", paths=[str(point)], fail_on="critical")
    assert failed["failed"] and failed["level"] == "critical"
    assert failed["msg"] == (
        f"the level is critical: {point}: space 85.0% used (600 KB left), critical from 80%"
    )
    assert failed["targets"][0]["bytes_used"] == 850 * 4096
    assert not run_module("disk_usage_check", paths=[str(point)], fail_on="emergency")["failed"]
    own = {"path": str(point), "warning": "3M", "critical": "500K", "emergency": "100K"}
    assert run_module("disk_usage_check", targets=[own])["level"] == "warning"


def shape(value: object) -> object:
    """The keys of dictionaries, however deep; of a list its first entry's."""
    if isinstance(value, dict):
        return {key: shape(held) for key, held in sorted(value.items())}
    return shape(value[0]) if isinstance(value, list) and value else "a value"


def test_the_samples_of_the_documentation_have_the_shape_of_results(
    disks: Disks, tmp_path: Path
) -> None:
    module = importlib.import_module(
        "ansible_collections.chefwell.resilience.plugins.modules.disk_usage_check"
    )
    samples = {key: reported["sample"] for key, reported in yaml.safe_load(module.RETURN).items()}
    point = disks.memory("memory", pages=2000)
    for tier in ("daily", "weekly", "monthly"):
        (point / "backups" / tier).mkdir(parents=True)
    dump = point / "backups" / "daily" / "chefwell_backup_20251120_030000.dump.gz"
    dump.write_bytes(b"x" * 4096)
    with History(str(tmp_path / "state")):
        pass
    result = run_module(
        "disk_usage_check",
        paths=[str(point)],
        backup_path=str(point / "backups"),
        state_dir=str(tmp_path / "state"),
    )
    assert {*result} - {"failed", "changed", "output"} == {*samples}
    for key, sample in samples.items():
        got = result[key]
        if key == "targets":
            (sample,), got = sample, got[0]
            assert {*got.pop("forecast")} == {*sample.pop("forecast")}
            assert got.pop("inodes_forecast") and not sample.pop("inodes_forecast")
        assert shape(got) == shape(sample), key


def test_inodes_left_for_every_target_or_for_one(disks: Disks) -> None:
    point = disks.memory("memory", inodes=1000)
    for number in range(700):
        (point / str(number)).touch()
    left = 1000 - 701  # the root folder takes one
    limits = {
        "inodes_warning": f"{left + 1} left",
        "inodes_critical": f"{left} left",
        "inodes_emergency": "5 left",
    }
    result = run_module("disk_usage_check", paths=[str(point)], **limits)
    (target,) = result["targets"]
    assert (result["failed"], target["level"]) == (False, "critical")
    assert target["reason"] == f"inodes 70.1% used ({left} left), critical from {left} left"
    assert target["causes"][0]["values"]["left"] == left
    own = {"path": str(point), "inodes_warning": 75}
    assert run_module("disk_usage_check", targets=[own])["level"] == "ok"


def test_a_history_that_is_not_there_yet_or_newer_costs_the_forecast_alone(
    disks: Disks, tmp_path: Path
) -> None:
    point = disks.memory("memory")
    fill(point, 50)
    state = tmp_path / "state"
    result = run_module("disk_usage_check", paths=[str(point)], state_dir=str(state))
    (target,) = result["targets"]
    assert (result["failed"], target["level"]) == (False, "ok")
    assert target["forecast"]["status"] == "not enough data"
    assert not state.exists(), "a module that only measures makes none"
    with History(str(state)):
        pass
    with sqlite3.connect(state / FILE) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (state / FILE).read_bytes()
    result = run_module("disk_usage_check", paths=[str(point)], state_dir=str(state))
    assert (result["failed"], result["targets"][0]["percent_used"]) == (False, 50.0)
    assert (state / FILE).read_bytes() == before


def test_an_unknown_level_fails_too_and_everything_is_watched_by_default(disks: Disks) -> None:
    gone = run_module(
        "disk_usage_check", paths=["/", str(disks.root / "gone")], fail_on="emergency"
    )
    assert gone["failed"] and "gone: cannot be measured" in gone["msg"]
    everything = run_module("disk_usage_check", paths=[])
    assert "/" in [target["path"] for target in everything["targets"]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"warning": 95}, "not before critical"),
        ({"warning": "a lot"}, "[warning='a lot']"),
        ({"emergency": 101}, "[emergency=101]"),
        ({"warning": "20GB"}, "of another kind"),
        ({"inodes_warning": "20GB"}, "[inodes_warning='20GB'] - give a number such as 70"),
        ({"inodes_warning": 50000}, "nor a number of inodes left"),
        ({"inodes_warning": "5000 left"}, "all three in inodes left"),
        ({"warning": "50000 left"}, "neither a percentage above 0 and up to 100 nor a size"),
        (
            {
                "inodes_warning": "5 left",
                "inodes_critical": "50 left",
                "inodes_emergency": "1 left",
            },
            "give warning > critical > emergency inodes left",
        ),
        ({"targets": [{"path": "/", "critical": 5}]}, "targets[0].warning"),
    ],
)
def test_bad_thresholds_are_one_clear_error(options: dict[str, object], expected: str) -> None:
    result = run_module("disk_usage_check", **options)
    assert result["failed"] and expected in result["msg"] and "targets" not in result
