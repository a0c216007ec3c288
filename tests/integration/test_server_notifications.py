"""The backup server notifies of its alarms itself, through Apprise and a dead man's switch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    rrsync_features,
    server_store,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server.server_settings import (
    ServerSettings,
)
from support.backup_trees import plan_tree
from support.http_receiver import Receiver
from support.sshd import COLLECTIONS, ENGINE
from support.waiting import wait_for

SETTINGS = {"silent_hours": 50, "reserve_percent": 0, "language": "en"}


class Server:
    """A copy and its configuration; commands and the gate are run as cron and sshd run them."""

    def __init__(self, root: Path, receiver: Receiver) -> None:
        self.copy = plan_tree(root / "copy")
        reported = {"notify": [receiver.webhook], "ping_url": receiver.check}
        self.values = {"root": str(self.copy), **SETTINGS, **reported}
        self.config = root / "client.json"
        self.config.write_text(json.dumps(self.values))

    def run(self, module: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-s", "-m", f"{ENGINE}.{module}", *arguments],
            capture_output=True,
            text=True,
            check=False,
            input=json.dumps({"files": {}, "unread": [], "in_progress": []}),
            env={"PYTHONPATH": str(COLLECTIONS), "PATH": os.defpath, **more},
        )

    def job(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ("keep-offsite-copy", "--config", str(self.config), *arguments)
        return self.run("host_cli", *command)

    def run_command(self, command: str) -> subprocess.CompletedProcess[str]:
        gate = ("--config", str(self.config), "--allow", "write")
        return self.run("server.gate", *gate, SSH_ORIGINAL_COMMAND=command)


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Server:
    return Server(tmp_path, receiver)


def test_an_attack_is_notified_at_once_and_once(server: Server, receiver: Receiver) -> None:
    """An attacker sends nothing, and opens a shell again and again."""
    refused = server.run_command("chefwell-commit")
    assert "lost 7 of 7" in json.loads(refused.stdout)["refused"]
    wait_for(receiver.messages, 20)
    assert "mass-change" in receiver.messages()[0]["title"]
    assert "daily lost 7 of 7 backups" in receiver.messages()[0]["message"]
    for _again in range(3):
        assert server.run_command("sh").returncode == 1
    wait_for(lambda: len(receiver.messages()) == 2, 20)
    assert "refused-request" in receiver.messages()[1]["title"]
    # The daily job reports the same to the dead man's switch, and repeats no message.
    done = server.job()
    assert done.returncode == 2 and "ALARM mass-change" in done.stdout
    assert [action for action, _body in receiver.pings()] == ["/start", "/fail"]
    assert "mass-change" in receiver.pings()[1][1] and len(receiver.messages()) == 2
    # The end of an alarm is notified, too, with its duration.
    done = server.job("--accept", "--clear")
    assert done.returncode == 0, done.stdout
    assert receiver.pings()[-1][0] == ""
    recovered = [one["message"] for one in receiver.messages()[2:]]
    assert len(recovered) == 2 and all("It lasted" in body for body in recovered)


def test_a_client_that_is_silent(server: Server, receiver: Receiver) -> None:
    server.job()
    assert [action for action, _body in receiver.pings()] == ["/start", ""]
    store = server_store.Store(ServerSettings(**server.values))
    store.save("last", {"time": 0, "listed": 14})
    assert server.job().returncode == 2
    (message,) = receiver.messages()
    assert "silent" in message["title"] and "no inventory came for" in message["message"]
    # Nothing listens: the job reports that and does its work all the same.
    receiver.stop()
    store.save("last", {"time": time.time(), "listed": 14})
    done = server.job("--json")
    problems = json.loads(done.stdout)["problems"]
    assert done.returncode == 1 and len(problems) == 3, done.stdout
    assert all("be pinged" in one or "not delivered" in one for one in problems), problems


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("notify", ["secret-word"], "no Apprise URL"), ("ping_url", "ftp://x", "no http")],
)
def test_bad_addresses_are_errors(server: Server, key: str, value: object, expected: str) -> None:
    server.config.write_text(json.dumps({**server.values, key: value}))
    done = server.job()
    assert done.returncode == 3 and expected in done.stderr and "secret-word" not in done.stderr
    assert not (server.copy / ".chefwell").exists()


def test_the_log_names_what_the_servers_own_rrsync_could_refuse(server: Server) -> None:
    done = server.job("--json")
    result = json.loads(done.stdout)["rrsync"]
    assert result == rrsync_features.known() and result is not None
    assert "rrsync here" in (server.copy / ".chefwell" / "server.log").read_text()


def test_a_copy_that_is_not_mounted_is_an_alarm_in_the_metrics_too(server: Server) -> None:
    textfile = server.config.with_name("server.prom")
    values = {**server.values, "metrics_file": str(textfile)}
    server.config.write_text(json.dumps(values))
    assert server.job().returncode == 0
    alarm = f'chefwell_offsite_server_alarm{{copy="{server.copy}",kind="copy-not-mounted"}}'
    assert f"{alarm} 0.0" in textfile.read_text()
    assert "chefwell_offsite_server_backups{" in textfile.read_text()
    server.copy.rename(server.copy.with_name("elsewhere"))
    assert server.job().returncode == 3
    assert f"{alarm} 1.0" in textfile.read_text()
    assert "chefwell_offsite_server_backups{" not in textfile.read_text()

    server.config.write_text(json.dumps({**values, "metrics_file": "/x/server.txt"}))
    done = server.job()
    assert done.returncode == 3 and "only textfiles whose name ends in .prom" in done.stderr
