"""What follows a drill that cron holds: memory, metrics, messages, pings, the runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import follow_up
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import History
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import drill_counts
from support.http_receiver import Receiver
from testbed import Testbed


class Host:
    """The command on a host with a configuration of its own."""

    def __init__(self, root: Path, **values: Any) -> None:
        self.root, self.file = root, root / "staging.json"
        self.values = {
            "engine": "embedded",
            "work_dir": str(root / "work"),
            "report_dir": str(root / "reports"),
            "state_dir": str(root / "state"),
            "log_file": str(root / "log"),
            "runbook": str(root / "runbook.md"),
            "metrics_file": str(root / "drill.prom"),
            "language": "en",
            **values,
        }
        self.file.write_text(json.dumps(self.values))

    def drill(self, *arguments: str) -> int:
        return host_cli.main(["test-restore-staging", "--config", str(self.file), *arguments])

    def events(self) -> list[dict[str, Any]]:
        with History(self.values["state_dir"]) as history:
            return [event.data for event in history.events("staging", "drill")]

    def checks(self) -> dict[str, Any]:
        result = json.loads((self.root / "state" / "drill.json").read_text())
        return {check["id"]: check for check in result["checks"]}

    def gauges(self) -> dict[str, float]:
        text = (self.root / "drill.prom").read_text()
        lines = re.findall(r"^chefwell_restore_drill_(\S+) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in lines}


@pytest.fixture
def host(bed: Testbed, tmp_path: Path, receiver: Receiver) -> Host:
    return Host(
        tmp_path,
        backup_path=bed.record["backups"],
        bin_dir=bed.record["postgres"]["bin_dir"],
        notify=[receiver.webhook],
        ping_url=receiver.check,
    )


def test_a_good_drill_is_remembered_and_not_notified(host: Host, receiver: Receiver) -> None:
    assert host.drill() == 0
    (event,) = host.events()
    assert event["verdict"] == "passed" and event["rto_seconds"] > 0
    gauges = host.gauges()
    assert gauges["passed"] == 1.0 and gauges["rto_seconds"] == event["rto_seconds"]
    assert gauges['checks{result="passed"}'] == event["passed"] > 10
    assert gauges['phase_duration_seconds{phase="restore"}'] > 0
    assert receiver.messages() == []
    assert [action for action, _body in receiver.pings()] == ["/start", ""]
    assert event["file"] in (host.root / "runbook.md").read_text()


def test_a_failed_drill_and_its_recovery_are_notified_once_each(
    host: Host, receiver: Receiver, bed: Testbed, tmp_path: Path
) -> None:
    whole = max(Path(bed.record["backups"]).glob("daily/*.gz"))
    damaged = tmp_path / whole.name
    damaged.write_bytes(whole.read_bytes()[:-1000])
    assert host.drill("--backup", str(damaged)) == 2
    assert host.drill("--backup", str(damaged)) == 2
    assert host.gauges()["passed"] == 0.0
    assert host.drill() == 0
    titles = [message["title"] for message in receiver.messages()]
    assert len(titles) == 2 and "Restore drill" in titles[0] and "again" in titles[1]
    assert f"{whole.name}: BACKUP NOT VALIDATED" in receiver.messages()[0]["message"]
    actions = [action for action, _body in receiver.pings()]
    assert actions == ["/start", "/fail", "/start", "/fail", "/start", ""]
    assert [event["verdict"] for event in host.events()] == ["passed", "failed", "failed"]


def test_a_missing_tenant_since_last_time_is_a_warning_notified_once(
    host: Host, receiver: Receiver
) -> None:
    """Without a manifest and production, a backup is compared with the last drill."""
    assert host.drill() == 0
    assert "previous" not in host.checks()
    assert host.drill() == 0
    assert host.checks()["previous"]["status"] == "passed"
    counts = host.root / "state" / drill_counts.COUNTS
    kept = json.loads(counts.read_text())
    kept["rows"].append(["tenant_closed", "sales", 120])
    counts.write_text(json.dumps(kept))
    assert host.drill() == 0
    check = host.checks()["previous"]
    assert check["status"] == "skipped" and "weaker evidence" in check["evidence"]
    assert [one["subject"] for one in check["findings"]] == ["tenant_closed.sales"]
    assert host.events()[0]["confidence"] < 100
    (message,) = receiver.messages()
    assert "WARNING" in message["title"] and "tenant_closed.sales" in message["message"]
    assert host.drill() == 0
    assert host.checks()["previous"]["status"] == "passed"
    assert "again" in receiver.messages()[1]["title"]
    counts.write_text("{")
    assert host.drill() == 0
    assert host.checks()["previous"]["status"] == "skipped"
    assert "cannot be read" in host.checks()["previous"]["evidence"]


def test_what_fails_afterwards_does_not_change_the_verdict(
    bed: Testbed, tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.stop()
    host = Host(
        tmp_path,
        backup_path=bed.record["backups"],
        bin_dir=bed.record["postgres"]["bin_dir"],
        ping_url=receiver.check,
        metrics_file="/nowhere/drill.prom",
        contacts=[{"fone": "1"}],
    )
    assert host.drill() == 0
    output = capsys.readouterr().err
    for words in ("dead man's switch", "metrics", "contact"):
        assert words in output
    assert "dead man's switch" in (tmp_path / "log").read_text()
    assert len(host.events()) == 1


def test_a_place_that_broke_is_neither_good_nor_bad(host: Host, receiver: Receiver) -> None:
    host.values["bin_dir"] = "/nowhere"
    host.file.write_text(json.dumps(host.values))
    assert host.drill() == 3
    assert "passed" not in host.gauges()
    assert [action for action, _body in receiver.pings()] == ["/start", "/fail"]
    assert "COULD NOT VERIFY" in receiver.messages()[0]["message"]
    assert follow_up.LEVEL["could_not_verify"] == "unknown"
