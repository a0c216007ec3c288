"""Write `docs/metrics.md` and Grafana's dashboard from the engine's table of metrics.

python3 tools/monitoring.py          write both
python3 tools/monitoring.py --check  change nothing; fail when one is not up to date
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "metrics.md"
DASHBOARD = ROOT / "monitoring" / "grafana" / "chefwell-resilience.json"
ALERTS = ROOT / "monitoring" / "prometheus" / "alerts.yml"
sys.path.insert(0, str(ROOT / "build" / "collections"))
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import (
    metric_catalogue,
)

HEAD = """# Metrics

Each stage writes a textfile for the textfile collector of
[node_exporter](https://github.com/prometheus/node_exporter), whole or not at all:

```yaml
disk_monitor_metrics_file: /var/lib/prometheus/node-exporter/chefwell_disk.prom
offsite_backup_metrics_file: /var/lib/prometheus/node-exporter/chefwell_offsite.prom
staging_restore_metrics_file: /var/lib/prometheus/node-exporter/chefwell_restore_drill.prom
```

The verification of the offsite copy writes `chefwell_offsite_verification.prom` beside the sync's
file. On the backup server, `server_metrics_file` of a destination names the textfile of its daily
job, in a folder that the account may write to. No holder of the client's key changes it.

The host needs `python3-prometheus-client` and `prometheus-node-exporter`. What is not known is left
out and never 0: an alert on a value also needs one on its absence or age. All are gauges, because
each run writes its own result. Names end in their base unit (seconds, bytes, ratio from 0 to 1).

## Alerts

`monitoring/prometheus/alerts.yml` in the collection holds these rules. `promtool test rules
alerts_test.yml`, beside it, makes each of them fire and keeps all silent when all is well.

    rule_files: [chefwell/resilience/monitoring/prometheus/alerts.yml]

| alert | severity | fires when |
|---|---|---|
"""
DASHBOARD_TEXT = """
The limits of the three overdue alerts are those of the [status page](status.md): 13, 30 and 192
hours.

## Dashboard

`monitoring/grafana/chefwell-resilience.json` is a dashboard for Grafana: all hosts in one table,
and below it disk, offsite copy and restore drill of those that are chosen. Import it under
*Dashboards, New, Import*, and choose the Prometheus data source. A test runs each of its queries
against a Prometheus that scraped the textfiles of real runs, and `make docs` reads it with
Grafana's own library, which must know each of its keys. It was not yet seen in a running Grafana.

## Every metric
"""
TITLES = {
    "disk_monitor": "Disk monitor",
    "offsite_backup": "Offsite backup",
    "verification": "Verification of the offsite copy",
    "backup_server": "Backup server",
    "staging_restore": "Restore drill",
}


def page() -> str:
    """Return the text of the page."""
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    rows = [
        f"| `{rule['alert']}` | {rule['labels']['severity']} | `{rule['expr']}` |"
        for group in rules["groups"]
        for rule in group["rules"]
    ]
    parts = [HEAD + "\n".join(rows) + "\n" + DASHBOARD_TEXT]
    for stage, metrics in metric_catalogue.METRICS.items():
        parts.append(f"\n### {TITLES[stage]}\n\n| metric | labels | meaning | left out when |\n")
        parts.append("|---|---|---|---|\n")
        for name, metric in metrics.items():
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            parts.append(f"| `{name}` | {labels} | {metric.help} | {metric.absent} |\n")
    return "".join(parts)


# --- dashboard ------------------------------------------------------------------------------------

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HOST = '{instance=~"$instance"}'
COLOURS = [
    {"color": "green", "value": None},
    {"color": "orange", "value": 1},
    {"color": "red", "value": 3},
]


def target(expr: str, legend: str = "{{instance}}", *, table: bool = False, ref: str = "A") -> Any:
    """Return one query of a panel."""
    found = {"datasource": SOURCE, "expr": expr, "legendFormat": legend, "refId": ref}
    return {**found, "format": "table", "instant": True} if table else found


def panel(
    title: str,
    kind: str,
    targets: list[Any],
    unit: str,
    steps: list[Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a panel without its place."""
    defaults: dict[str, Any] = {"unit": unit}
    if steps:
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        if kind == "timeseries":
            defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "title": title,
        "type": kind,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        **more,
    }


def limits(*values: tuple[str, float | None]) -> list[Any]:
    """Return thresholds: colour from a value on."""
    return [{"color": colour, "value": value} for colour, value in values]


def overview() -> dict[str, Any]:
    """Return the table of all hosts."""
    age = f"time() - min by (instance) (chefwell_%s_timestamp_seconds{HOST})"
    queries = {
        "Disk level": f"max by (instance) (chefwell_disk_level{HOST})",
        "Fullest": f"max by (instance) (chefwell_disk_used_ratio{HOST})",
        "Disk measured": age % "disk_last_run",
        "Sync": f"min by (instance) (chefwell_offsite_success{HOST})",
        "Last good sync": age % "offsite_last_success",
        "Copy verified": f"min by (instance) (chefwell_offsite_verification_passed{HOST})",
        "Drill": f"min by (instance) (chefwell_restore_drill_passed{HOST})",
        "Last proved backup": age % "restore_drill_last_success",
    }
    refs = {name: chr(ord("A") + number) for number, name in enumerate(queries)}
    ages = {
        "Disk measured": 13 * 3600,
        "Last good sync": 30 * 3600,
        "Last proved backup": 192 * 3600,
    }
    overrides = []
    for name, ref in refs.items():
        properties: list[Any] = [
            {"id": "displayName", "value": name},
            {"id": "custom.cellOptions", "value": {"type": "color-background"}},
        ]
        if name in ages:
            steps = limits(("green", None), ("red", ages[name]))
            properties.append({"id": "unit", "value": "s"})
        elif name == "Fullest":
            steps = limits(("green", None), ("orange", 0.7), ("red", 0.8))
            properties.append({"id": "unit", "value": "percentunit"})
        elif name == "Disk level":
            steps = COLOURS
        else:
            steps = limits(("red", None), ("green", 1))
        properties.append({"id": "thresholds", "value": {"mode": "absolute", "steps": steps}})
        overrides.append(
            {"matcher": {"id": "byName", "options": f"Value #{ref}"}, "properties": properties}
        )
    made = panel(
        "All hosts",
        "table",
        [target(expr, table=True, ref=refs[name]) for name, expr in queries.items()],
        "none",
        transformations=[
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}}},
        ],
    )
    made["fieldConfig"]["overrides"] = overrides
    return made


def panels() -> list[dict[str, Any]]:
    """Return every panel with its place."""
    count = "count({}) or vector(0)"
    red = limits(("green", None), ("red", 1))
    old = "time() - chefwell_%s_timestamp_seconds" + HOST + " > %d * 3600"
    stats = {
        "Hosts": ("count(chefwell_disk_last_run_timestamp_seconds" + HOST + ")", None),
        "Disks critical": (count.format(f"chefwell_disk_level{HOST} >= 3"), red),
        "Syncs failed": (count.format(f"chefwell_offsite_success{HOST} == 0"), red),
        "Syncs overdue": (count.format(old % ("offsite_last_success", 30)), red),
        "Copies that differ": (
            count.format(f"chefwell_offsite_verification_passed{HOST} == 0"),
            red,
        ),
        "Server alarms": (count.format("chefwell_offsite_server_alarm == 1"), red),
        "Drills failed": (count.format(f"chefwell_restore_drill_passed{HOST} == 0"), red),
        "Drills overdue": (count.format(old % ("restore_drill_last_success", 192)), red),
    }
    found: list[dict[str, Any]] = []

    def place(made: dict[str, Any], x: int, y: int, w: int, h: int) -> None:
        found.append({"id": len(found) + 1, "gridPos": {"x": x, "y": y, "w": w, "h": h}, **made})

    def row(title: str, y: int) -> None:
        place({"title": title, "type": "row", "collapsed": False, "panels": []}, 0, y, 24, 1)

    for number, (title, (expr, steps)) in enumerate(stats.items()):
        place(panel(title, "stat", [target(expr)], "none", steps), 3 * number, 0, 3, 4)
    place(overview(), 0, 4, 24, 8)

    target_legend = "{{instance}} {{target}}"
    series = [
        ("Disk", None),
        ("Used", ("disk_used_ratio", target_legend, "percentunit", ((None, 0.7), ("red", 0.8)))),
        ("Full in, by the forecast", ("disk_time_to_full_seconds", target_legend, "s", ())),
        ("Inodes used", ("disk_inodes_used_ratio", target_legend, "percentunit", ())),
        ("Bytes left", ("disk_available_bytes", target_legend, "bytes", ())),
        ("Backups", ("backups", "{{instance}} {{tier}}", "none", ())),
        (
            "Growth of the backups",
            ("backups_growth_bytes_per_second", "{{instance}} {{tier}}", "Bps", ()),
        ),
        ("Offsite copy", None),
        ("Sync completed", ("offsite_success", "{{instance}} {{destination}}", "none", ())),
        ("Sent by a sync", ("offsite_sent_bytes", "{{instance}} {{destination}}", "bytes", ())),
        (
            "Duration of a sync",
            ("offsite_duration_seconds", "{{instance}} {{destination}}", "s", ()),
        ),
        (
            "Alarms of the server",
            ("offsite_server_alarms", "{{instance}} {{destination}}", "none", ()),
        ),
        (
            "Verified by content",
            ("offsite_verification_passed", "{{instance}} {{destination}}", "none", ()),
        ),
        (
            "Backups that differ",
            (
                "offsite_verification_backups",
                "{{instance}} {{destination}} {{result}}",
                "none",
                (("red", 1),),
            ),
        ),
        ("Backup server", None),
        (
            "Alarms that stand",
            ("offsite_server_alarm", "{{instance}} {{copy}} {{kind}}", "none", (("red", 1),)),
        ),
        ("Backups of the copy", ("offsite_server_backups", "{{instance}} {{copy}}", "none", ())),
        ("Restore drill", None),
        ("Recovery time (RTO)", ("restore_drill_rto_seconds", "{{instance}}", "s", ())),
        ("Age of the proved backup (RPO)", ("restore_drill_rpo_seconds", "{{instance}}", "s", ())),
        ("Confidence", ("restore_drill_confidence_ratio", "{{instance}}", "percentunit", ())),
        ("Checks", ("restore_drill_checks", "{{instance}} {{result}}", "none", ())),
        (
            "Duration of the phases",
            ("restore_drill_phase_duration_seconds", "{{instance}} {{phase}}", "s", ()),
        ),
        ("Size of the backup", ("restore_drill_backup_bytes", "{{instance}}", "bytes", ())),
    ]
    y, x = 12, 0
    for title, given in series:
        if given is None:
            y, x = y + (8 if x else 0), 0
            row(title, y)
            y += 1
            continue
        metric, legend, unit, marks = given
        steps = limits(("green", None), *((c or "orange", v) for c, v in marks)) if marks else None
        place(
            panel(title, "timeseries", [target(f"chefwell_{metric}{HOST}", legend)], unit, steps),
            *(x, y, 12, 8),
        )
        x, y = (12, y) if x == 0 else (0, y + 8)
    return found


def dashboard() -> str:
    """Return the dashboard as Grafana imports it."""
    variables = [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "instance",
            "label": "Host",
            "type": "query",
            "datasource": SOURCE,
            "query": "label_values(chefwell_disk_last_run_timestamp_seconds, instance)",
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        },
    ]
    held = {
        "title": "chefwell.resilience",
        "uid": "chefwell-resilience",
        "description": "Disk, offsite copy and restore drill of all hosts.",
        "tags": ["backup", "chefwell.resilience"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "5m",
        "time": {"from": "now-30d", "to": "now"},
        "templating": {"list": variables},
        "panels": panels(),
    }
    return json.dumps(held, indent=2) + "\n"


def main() -> int:
    """Write both files, or with `--check` compare them; return the exit code."""
    outdated = False
    for path, text in ((PAGE, page()), (DASHBOARD, dashboard())):
        if "--check" in sys.argv:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                print(
                    f"{path.relative_to(ROOT)} is out of date: run make generate", file=sys.stderr
                )
                outdated = True
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return int(outdated)


if __name__ == "__main__":
    sys.exit(main())
