"""Metrics, alert rules and dashboard name each other by Prometheus's conventions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import (
    metric_catalogue,
    notification_settings,
)

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "monitoring/prometheus/alerts.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
DASHBOARD = json.loads((ROOT / "monitoring/grafana/chefwell-resilience.json").read_text())
NAME = r"chefwell_[a-z_]+"
# Counts and states, which have no unit.
UNITLESS = (
    "level|_backups|_fits|_nights|_success|_files_sent|_server_alarms?|_passed|_checks"
    "|_backups_read|_dropped_files"
)


def queries() -> list[str]:
    return [one["expr"] for panel in DASHBOARD["panels"] for one in panel.get("targets", ())]


def test_page_and_dashboard_are_up_to_date() -> None:
    checked = subprocess.run([sys.executable, str(ROOT / "tools" / "monitoring.py"), "--check"])
    assert checked.returncode == 0


@pytest.mark.parametrize("name", metric_catalogue.BY_NAME)
def test_a_name_ends_in_its_base_unit(name: str) -> None:
    unit = r"(_seconds|_bytes|_ratio|_bytes_per_second)$"
    assert re.fullmatch(NAME, name) and (
        re.search(unit, name) or re.search(rf"({UNITLESS})$", name)
    )
    assert not re.search(r"percent|_ms$|_minutes|_hours|_days|_kb|_mb|_total$", name)


def test_no_metric_is_in_two_stages() -> None:
    count = sum(len(group) for group in metric_catalogue.METRICS.values())
    assert count == len(metric_catalogue.BY_NAME)


def test_a_metric_that_is_not_in_the_table_cannot_be_written() -> None:
    with pytest.raises(KeyError):
        metric_catalogue.gauge("chefwell_disk_unheard_of", 1.0)


@pytest.mark.parametrize("expr", [*(rule["expr"] for rule in ALERTS.values()), *queries()])
def test_alerts_and_queries_name_metrics_that_exist(expr: str) -> None:
    named = re.findall(NAME, expr)
    assert named and set(named) <= set(metric_catalogue.BY_NAME)


@pytest.mark.parametrize(
    ("alert", "part"),
    [
        ("ResilienceDiskMonitorOverdue", "disk"),
        ("ResilienceSyncOverdue", "offsite"),
        ("ResilienceRestoreDrillOverdue", "drill"),
    ],
)
def test_overdue_is_what_the_status_page_calls_so(alert: str, part: str) -> None:
    assert ALERTS[alert]["expr"].endswith(f"> {notification_settings.OVERDUE_HOURS[part]} * 3600")


def test_every_alert_is_tried_both_ways() -> None:
    """The file that promtool runs makes each fire, and keeps each silent when all is well."""
    held: dict[str, Any] = yaml.safe_load(
        (ROOT / "monitoring/prometheus/alerts_test.yml").read_text()
    )
    fires: set[str] = set()
    silent: set[str] = set()
    for test in held["tests"]:
        for one in test["alert_rule_test"]:
            (fires if one["exp_alerts"] else silent).add(one["alertname"])
    assert fires == silent == set(ALERTS)
