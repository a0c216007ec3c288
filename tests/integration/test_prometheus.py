"""Textfiles of real runs, read by a real node_exporter and a real Prometheus."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import follow_up
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    History,
    Sample,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import (
    metric_catalogue,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.restore_settings import (
    RestoreSettings,
)
from docker_lab import needs
from prometheus_client.parser import text_string_to_metric_families
from support import page_data
from support.backup_trees import plan_tree
from support.monitor_host import MonitorHost
from support.offsite_client import gated_sync
from support.sshd import Sshd, server
from support.stage_config import write_offsite_config
from support.waiting import wait_for

__all__ = ["server"]

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
HOSTS = ("web1", "web2")


def monitor(folder: Path, textfiles: Path) -> None:
    """Run the monitor with a history in which the disk and the backups have grown for weeks."""
    plan_tree(folder / "backups")
    host = MonitorHost(folder, paths=["/"], metrics_file=str(textfiles / "chefwell_disk.prom"))
    assert host.run("monitor-disk-space").stderr == ""
    now = time.time()
    with History(host.settings["state_dir"]) as history:
        grown = []
        for sample in history.newest_samples(time.time()):
            used = sample.bytes_used or 0
            step = max(used // 200, 1000)
            for run in range(1, 61):
                before = sample._replace(
                    time=now - run * 6 * 3600, bytes_used=max(used - run * step, 0)
                )
                grown.append(Sample(*before))
        history.add_samples(grown)
    assert host.run("monitor-disk-space").stderr == ""


@pytest.fixture(scope="module")
def textfiles(tmp_path_factory: pytest.TempPathFactory, server: Sshd) -> dict[str, Path]:
    """By host, the folder with the textfiles of its jobs; of the first also those of its server."""
    found = {}
    for name in HOSTS:
        folder = tmp_path_factory.mktemp(name)
        textfile = found[name] = folder / "textfiles"
        textfile.mkdir()
        monitor(folder, textfile)
    # The copy of one host: the gate of the test's server serves one client.
    folder = found[HOSTS[0]].parent / "offsite"
    folder.mkdir()
    config = write_offsite_config(
        folder,
        gated_sync(server, folder, {"connect_seconds": 5, "time_limit": 30}),
        state_dir=str(folder / "state"),
        metrics_file=str(found[HOSTS[0]] / "chefwell_offsite.prom"),
    )
    assert host_cli.main(["sync-backups-offsite", "--config", str(config)]) == 0
    assert host_cli.main(["verify-offsite-backups", "--config", str(config)]) == 0
    job = folder / "server.json"
    job.write_text(
        json.dumps(
            {
                "root": str(server.backups),
                "metrics_file": str(found[HOSTS[0]] / "chefwell_offsite_server.prom"),
            }
        )
    )
    assert host_cli.main(["keep-offsite-copy", "--config", str(job)]) == 0
    settings = RestoreSettings(
        state_dir=str(folder / "drill"),
        fallback_dir=str(folder),
        report_dir="",
        metrics_file=str(found[HOSTS[0]] / "chefwell_restore_drill.prom"),
    )
    assert follow_up.follow(settings, {**page_data.drill(), "total_seconds": 56.0}) == []
    return found


def test_every_metric_of_the_table_is_written_and_no_other(textfiles: dict[str, Path]) -> None:
    seen: dict[str, set[str]] = {}
    for path in textfiles[HOSTS[0]].glob("*.prom"):
        for family in text_string_to_metric_families(path.read_text()):
            assert family.documentation == metric_catalogue.BY_NAME[family.name].help
            for sample in family.samples:
                seen.setdefault(sample.name, set()).update(sample.labels)
    assert sorted(seen) == sorted(metric_catalogue.BY_NAME)
    labels = {name: set(metric.labels) for name, metric in metric_catalogue.BY_NAME.items()}
    assert seen == labels


def test_promtool_finds_no_fault_with_names_and_help(textfiles: dict[str, Path]) -> None:
    for path in textfiles[HOSTS[0]].glob("*.prom"):
        checked = subprocess.run(
            [needs.program("promtool"), "check", "metrics"],
            input=path.read_text(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), path


def test_the_alert_rules_do_what_their_tests_say() -> None:
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        run = subprocess.run(
            [needs.program("promtool"), *command],
            cwd=MONITORING / "prometheus",
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_a_rule_that_does_not_fire_is_seen(tmp_path: Path) -> None:
    rules = (MONITORING / "prometheus" / "alerts.yml").read_text()
    changed = rules.replace("chefwell_disk_level >= 3", "chefwell_disk_level >= 5")
    assert changed != rules
    (tmp_path / "alerts.yml").write_text(changed)
    tests = (MONITORING / "prometheus" / "alerts_test.yml").read_text()
    (tmp_path / "alerts_test.yml").write_text(tests)
    run = subprocess.run(
        [needs.program("promtool"), "test", "rules", "alerts_test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0 and "ResilienceDiskCritical" in run.stdout + run.stderr


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    """Run a program while the block runs."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


class Prometheus:
    """A Prometheus of the test's own."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **values: str) -> Any:
        query = f"{self.address}/{path}?{urllib.parse.urlencode(values)}"
        with urllib.request.urlopen(query, timeout=10) as response:
            return json.load(response)["data"]

    def query(self, expr: str) -> list[Any]:
        return list(self.get("query", query=expr)["result"])

    def scraped(self) -> bool:
        try:
            return len(self.query("chefwell_disk_last_run_timestamp_seconds")) == len(HOSTS)
        except OSError:
            return False


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, textfiles: dict[str, Path]
) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as stack:
        targets = []
        for name, held in textfiles.items():
            port = free_port()
            targets.append(f"127.0.0.1:{port}")
            command = [
                needs.program("prometheus-node-exporter"),
                f"--web.listen-address=127.0.0.1:{port}",
                f"--collector.textfile.directory={held}",
                "--collector.disable-defaults",
                "--collector.textfile",
            ]
            stack.enter_context(running(command, folder / f"{name}.log"))
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(MONITORING / "prometheus" / "alerts.yml")],
            "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": targets}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        port = free_port()
        command = [
            needs.program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        stack.enter_context(running(command, folder / "prometheus.log"))
        found = Prometheus(port)
        wait_for(found.scraped, seconds=60)
        yield found


def test_every_query_of_the_dashboard_returns_series(prometheus: Prometheus) -> None:
    dashboard = json.loads((MONITORING / "grafana" / "chefwell-resilience.json").read_text())
    (variable,) = (one for one in dashboard["templating"]["list"] if one["name"] == "instance")
    assert variable["allValue"] == ".*"
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
    assert len({one["metric"][label] for one in prometheus.query(metric)}) == len(HOSTS)
    tried = 0
    for panel in dashboard["panels"]:
        for one in panel.get("targets", ()):
            result = prometheus.query(one["expr"].replace("$instance", ".*"))
            assert result, f"{panel['title']}: {one['expr']}"
            for label in re.findall(r"{{(\w+)}}", one["legendFormat"]):
                assert panel["type"] in ("stat", "table") or label in result[0]["metric"]
            tried += 1
    assert tried >= 28


def test_the_overview_has_a_row_for_each_host(prometheus: Prometheus) -> None:
    dashboard = json.loads((MONITORING / "grafana" / "chefwell-resilience.json").read_text())
    (table,) = (panel for panel in dashboard["panels"] if panel["type"] == "table")
    hosts = set()
    for one in table["targets"]:
        result = prometheus.query(one["expr"].replace("$instance", ".*"))
        assert all(set(row["metric"]) == {"instance"} for row in result), (
            "the rows are merged by it"
        )
        hosts |= {row["metric"]["instance"] for row in result}
    assert len(hosts) == len(HOSTS)


def test_prometheus_loads_the_rules_and_none_fails(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == 17
    wait_for(
        lambda: all(
            rule["health"] == "ok"
            for group in prometheus.get("rules")["groups"]
            for rule in group["rules"]
        ),
        seconds=30,
    )
