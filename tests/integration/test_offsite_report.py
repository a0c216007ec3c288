"""The host command of a sync: notifications, several destinations, waiting."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import History
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import sync_run
from support.backup_trees import add_backup, plan_tree
from support.http_receiver import Receiver
from support.sshd import Sshd, server
from support.stage_config import offsite_config

__all__ = ["server"]


class Host:
    def __init__(self, root: Path, server: Sshd, receiver: Receiver) -> None:
        self.root = root
        self.tree = plan_tree(root / "backups")
        self.copy = root / "copy"
        self.copy.mkdir()
        server.backups = self.copy
        server.install_gate()
        self.values = {
            "host": "127.0.0.1",
            "port": server.port,
            "user": server.user,
            "path": str(self.copy),
            "key_file": str(server.key),
            "known_hosts_file": str(server.known_hosts),
            "tries": 1,
            "backup_path": str(self.tree),
            "state_dir": str(root / "state"),
            "log_file": str(root / "log"),
            "language": "en",
            "notify": [receiver.webhook],
            "ping_url": receiver.check,
            "metrics_file": str(root / "offsite.prom"),
        }

    def run(self, command: str, *arguments: str, **values: object) -> tuple[int, str]:
        config = self.root / "offsite.json"
        config.write_text(json.dumps(offsite_config({**self.values, **values})))
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            code = host_cli.main([command, "--config", str(config), *arguments])
        return code, output.getvalue()

    def metric(self, name: str) -> float:
        for line in (self.root / "offsite.prom").read_text().splitlines():
            if line.startswith(f"chefwell_offsite_{name}{{"):
                return float(line.rpartition(" ")[2])
        raise AssertionError(name)


@pytest.fixture
def host(tmp_path: Path, server: Sshd, receiver: Receiver) -> Host:
    return Host(tmp_path, server, receiver)


def test_a_failure_and_its_recovery_are_notified_once_each(
    host: Host, server: Sshd, receiver: Receiver
) -> None:
    sync = "sync-backups-offsite"
    assert host.run(sync)[0] == 0
    assert receiver.messages() == []
    assert [action for action, _body in receiver.pings()] == ["/start", ""]
    assert host.metric("success") == 1 and host.metric("files_sent") == 14
    good = host.metric("last_success_timestamp_seconds")

    server.stop()
    assert host.run(sync)[0] == 2
    (message,) = receiver.messages()
    assert "nothing listens on that port" in message["message"]
    assert host.run(sync)[0] == 2
    assert len(receiver.messages()) == 1, "the same failure is notified once"
    assert "nothing listens" in dict(receiver.pings())["/fail"]
    assert host.metric("success") == 0
    assert host.metric("last_success_timestamp_seconds") == good

    server.start()
    assert host.run(sync)[0] == 0
    recovery = receiver.messages()[-1]
    assert len(receiver.messages()) == 2 and recovery["type"] == "success", recovery
    with History(host.values["state_dir"]) as history:
        events = history.events("offsite", "sync")
    assert [event.level for event in events] == ["ok", "critical", "critical", "ok"]
    assert events[-1].data["files_sent"] == 14
    before = len(receiver.requests)
    assert host.run(sync, "--dry-run")[0] == 0
    assert len(receiver.requests) == before, "a dry run notifies nobody"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("notify", ["secret-word"], "no Apprise URL"),
        ("ping_url", "ftp://x", "no http"),
        ("metrics_file", "/tmp/x.txt", ".prom"),
        ("transport", "carrier-pigeon", "rsync, rclone"),
        ("destinations", [{"host": "x"}], "needs a name"),
        ("destinations", [{"name": "b", "colour": 1}], "no such option"),
        ("destinations", [{"name": "b/c"}], "cannot be used"),
    ],
)
def test_bad_settings_are_errors_before_anything_is_done(
    host: Host, capsys: pytest.CaptureFixture[str], key: str, value: object, expected: str
) -> None:
    assert host.run("sync-backups-offsite", **{key: value})[0] == 3
    errors = capsys.readouterr().err
    assert expected in errors and "secret-word" not in errors
    assert list(host.copy.iterdir()) == []


def test_several_destinations_each_with_its_own(host: Host) -> None:
    other = host.root / "other"
    other.mkdir()
    second = {"name": "second", "transport": "rclone", "rclone_remote": f"here:{other}"}
    conf = host.root / "rclone.conf"
    conf.write_text("[here]\ntype = local\n")
    conf.chmod(0o600)
    more = {"destinations": [{**second, "rclone_config_file": str(conf)}]}
    code, output = host.run("sync-backups-offsite", "--json", **more)
    result = json.loads(output)
    assert code == 0, output
    assert [one["files_sent"] for one in result["destinations"]] == [14, 14]
    assert [one["name"] for one in result["destinations"]] == ["", "second"]
    for file in host.tree.glob("*/*.gz"):
        assert (other / file.parent.name / file.name).read_bytes() == file.read_bytes()
    code, page = host.run("verify-offsite-backups", **more)
    assert code == 0 and page.count("Local and remote are in sync!") == 2, page
    assert "Weaker here: whoever has rclone's configuration" in " ".join(page.split())
    # One that fails does not keep the other from being served.
    add_backup(host.tree, "daily", -0.01)
    conf.chmod(0o644)
    code, output = host.run("sync-backups-offsite", "--json", **more)
    result = json.loads(output)
    assert code == 2 and result["status"] == "failed"
    assert [one["status"] for one in result["destinations"]] == ["ok", "failed"]
    code, output = host.run("sync-backups-offsite", "--destination", "default", **more)
    assert code == 0


def test_it_waits_for_a_backup_that_is_being_written(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_run, "WAIT_STEP", 0.1)
    file = host.tree / "daily" / "chefwell_backup_20991231_030000.dump.gz"
    growing = file.open("wb")
    growing.write(os.urandom(500))
    growing.flush()

    def later(action: Callable[[], None]) -> None:
        time.sleep(1.5)
        action()

    ending = threading.Thread(target=later, args=(growing.close,))
    ending.start()
    code, output = host.run("sync-backups-offsite", "--json", wait_minutes=0.5)
    ending.join()
    result = json.loads(output)
    assert f"daily/{file.name}" in result["sent"] and result["in_progress"] == []
    assert result["seconds"] >= 1.4


def test_the_page_shows_what_it_is_based_on(host: Host) -> None:
    host.run("sync-backups-offsite")
    gone = sorted((host.tree / "daily").iterdir())[3]
    (host.copy / "daily" / gone.name).unlink()
    gone.unlink()
    code, page = host.run("verify-offsite-backups")
    output = " ".join(page.split())
    assert code == 0, page
    assert "Newest backup: local 1.0 hours old, remote 1.0 hours old" in output
    assert "Last good sync: 20" in output
    assert "Digests verified, remote: 13 read now, 0 read before" in output
    assert "daily: no backup was taken at" in output


def test_what_raises_an_error_is_reported_and_the_other_destination_is_done(
    host: Host, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sync, then the verification of one destination breaks: neither is silent about it."""
    other, conf = host.root / "other", host.root / "rclone.conf"
    other.mkdir()
    conf.write_text("[here]\ntype = local\n")
    conf.chmod(0o600)
    second = {"name": "second", "transport": "rclone", "rclone_remote": f"here:{other}"}
    more = {"destinations": [{**second, "rclone_config_file": str(conf)}]}
    # No lock can be made, as on a full disk of the state.
    lock = host.root / "state" / "offsite.lock"
    lock.mkdir(parents=True)
    assert host.run("sync-backups-offsite", **more)[0] == 3
    assert "the lock cannot be made" in capsys.readouterr().err
    assert len(list(other.rglob("*.gz"))) == 14, "the other destination is synced all the same"
    sent = [(path, body) for _method, path, body in receiver.requests]
    assert any(path.endswith("/fail") and "the lock cannot be made" in body for path, body in sent)
    assert any(path == "/hook" and "the lock cannot be made" in body for path, body in sent)
    receiver.requests.clear()
    lock.rmdir()
    key = Path(str(host.values["key_file"]))
    key.chmod(0o644)  # ssh refuses it: nothing is known of that copy
    assert host.run("verify-offsite-backups", **more)[0] == 3
    bodies = [body for _method, path, body in receiver.requests if path == "/hook"]
    assert any("the copy could not be verified" in body for body in bodies), bodies
    key.chmod(0o600)
    assert host.run("sync-backups-offsite", **more)[0] == 0
    receiver.requests.clear()
    assert host.run("verify-offsite-backups", **more)[0] == 0
    bodies = [body for _method, path, body in receiver.requests if path == "/hook"]
    assert any("(content)" in body for body in bodies), "the recovery is notified"
