"""Services of every temper: each message arrives, or is kept with a count and given up aloud."""

from __future__ import annotations

import base64
import dataclasses
import email.utils
import gettext
import json
import multiprocessing
import socket
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    open_history,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history_file import (
    FILE,
    PATIENCE,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import (
    delivery,
    notification_settings,
    notify,
    outbox,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.alerts import (
    Condition,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.notify import (
    NotifyResult,
)
from support.http_receiver import Receiver, receiving
from support.monitor_host import MonitorHost
from support.stage_config import offsite_config

ENGLISH = gettext.NullTranslations()
HOURS = 3600.0


class NotifyingHost:
    """Notifies run after run, as a command does every six hours."""

    def __init__(self, root: Path, *addresses: str, host_name: str = "web1") -> None:
        self.root = root
        self.settings = notification_settings.NotificationSettings(
            addresses, host_name=host_name, fallback_dir=str(root / f"fallback-{host_name}")
        )
        self.now = 1_780_000_000.0

    def run(self, levels: Mapping[str, str], **changes: object) -> NotifyResult:
        self.now += 6 * HOURS
        conditions = [
            Condition(name, name, level, level, f"{name} is {level}")
            for name, level in levels.items()
        ]
        settings = dataclasses.replace(self.settings, **changes)
        problems: list[str] = []
        with open_history(str(self.root / "state"), problems) as history:
            result = notify.notify("disk", conditions, settings, history, ENGLISH, now=self.now)
        return result._replace(problems=problems + result.problems)


def titles(receiver: Receiver) -> list[str]:
    return [message["title"] for message in receiver.messages()]


def test_a_refused_message_holds_up_no_other_and_the_worst_goes_first(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.respond = lambda body: (400 if "bad one" in body else 200, {})
    host = NotifyingHost(tmp_path, receiver.webhook)
    result = host.run({"bad one": "critical", "a": "warning", "b": "emergency"})
    assert (result.delivered, result.kept) == (2, 1)
    assert titles(receiver) == [
        "🔴 EMERGENCY: b on web1",
        "🟠 CRITICAL: bad one on web1",  # refused for good, so once
        "🟡 WARNING: a on web1",
    ]
    # An emergency of a later run goes before what is kept.
    result = host.run({"bad one": "critical", "a": "emergency", "b": "emergency"})
    assert (result.delivered, result.kept) == (1, 1)
    assert titles(receiver)[3:] == ["🔴 EMERGENCY: a on web1", "🟠 CRITICAL: bad one on web1"]


def test_a_message_is_given_up_aloud_and_what_is_in_force_is_notified_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.status = 400
    host = NotifyingHost(tmp_path, receiver.webhook)
    levels = {"a": "critical"}
    for _run in range(outbox.GIVE_UP_AFTER - 1):
        result = host.run(levels, remind_hours=0)
        assert (result.delivered, result.kept) == (0, 1)
        assert "kept for the next run" in result.problems[0]
    result = host.run(levels, remind_hours=0)
    assert (result.delivered, result.kept) == (0, 0)
    assert result.problems == [
        "1 given up after 8 runs, not delivered to json://, the worst: 🟠 CRITICAL: a on web1"
    ]
    receiver.status = 200
    assert host.run(levels, remind_hours=0).delivered == 1
    assert titles(receiver)[-1] == "still 🟠 CRITICAL: a on web1"
    assert host.run(levels, remind_hours=0).delivered == 0


def test_a_slow_service_has_the_configured_time(tmp_path: Path, receiver: Receiver) -> None:
    receiver.delay = 5  # Apprise's own limit is four seconds
    host = NotifyingHost(tmp_path, receiver.webhook)
    assert host.run({"a": "critical"}, notify_time_limit=20).delivered == 1
    assert host.run({"a": "critical"}).delivered == 0
    assert len(receiver.messages()) == 1


def test_a_response_that_did_not_come_in_time_is_not_tried_twice_in_a_run(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.delay = 2
    host = NotifyingHost(tmp_path, f"{receiver.webhook}?rto=0.5")
    assert host.run({"a": "critical"}).kept == 1
    assert len(receiver.messages()) == 1


def test_an_address_that_is_added_or_corrected_hears_what_is_in_force(
    tmp_path: Path, receiver: Receiver
) -> None:
    host = NotifyingHost(tmp_path)
    host.settings = dataclasses.replace(host.settings, remind_hours=0)
    levels = {"a": "emergency", "b": "ok", "c": "warning"}
    assert host.run(levels).delivered == 0
    # The first address, added during the emergency.
    assert host.run(levels, notify=[receiver.webhook]).delivered == 2
    assert titles(receiver) == [
        "still 🔴 EMERGENCY: a on web1",
        "still 🟡 WARNING: c on web1",
    ]
    assert host.run(levels, notify=[receiver.webhook]).delivered == 0
    with receiving() as corrected:
        addresses = [receiver.webhook, corrected.webhook]
        assert host.run(levels, notify=addresses).delivered == 2
        assert titles(corrected) == titles(receiver)
        # A recovery is sent to both, and to a third that never heard of it to none.
        with receiving() as third:
            addresses.append(third.webhook)
            assert host.run({"a": "ok", "c": "warning"}, notify=addresses).delivered == 3
            assert titles(third) == ["still 🟡 WARNING: c on web1"]
        assert titles(corrected)[2:] == titles(receiver)[2:] == ["✅ OK again: a on web1"]


def test_what_is_silenced_is_notified_to_no_new_address(tmp_path: Path, receiver: Receiver) -> None:
    host = NotifyingHost(tmp_path)
    condition = Condition("a", "a", "emergency", "emergency", "full")
    for addresses in ((), (receiver.webhook,)):
        settings = dataclasses.replace(host.settings, notify=addresses)
        with open_history(str(tmp_path / "state"), []) as history:
            notify.notify(
                "disk",
                [condition],
                settings,
                history,
                ENGLISH,
                now=host.now,
                silent_until={"a": host.now + 1},
            )
    assert receiver.messages() == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_no_delivery(tmp_path: Path, receiver: Receiver, status: int) -> None:
    with receiving() as elsewhere:
        target = elsewhere.webhook.replace("json://", "http://")
        receiver.respond = lambda _body: (status, {"Location": target})
        host = NotifyingHost(tmp_path, receiver.webhook)
        result = host.run({"a": "critical"})
        assert (result.delivered, result.kept) == (0, 1)
        assert f"answered {status}: the address has moved" in result.problems[0]
        assert elsewhere.requests == []
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_temporary_error_is_tried_again_in_the_same_run(
    tmp_path: Path, receiver: Receiver, status: int
) -> None:
    receiver.respond = lambda _body: (status if len(receiver.requests) == 1 else 200, {})
    host = NotifyingHost(tmp_path, receiver.webhook)
    result = host.run({"a": "critical"})
    assert (result.delivered, result.kept, result.problems) == (1, 0, [])
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed_within_the_run(
    tmp_path: Path, receiver: Receiver, form: str
) -> None:
    def respond(_body: str) -> tuple[int, dict[str, str]]:
        if len(receiver.requests) > 1:
            return 200, {}
        date = email.utils.formatdate(time.time() + 5, usegmt=True)
        return 429, {"Retry-After": "4" if form == "seconds" else date}

    receiver.respond = respond
    host = NotifyingHost(tmp_path, receiver.webhook)
    assert host.run({"a": "emergency", "b": "critical"}, notify_time_limit=20).delivered == 2
    assert len(receiver.requests) == 3
    assert receiver.times[1] - receiver.times[0] >= 3.5  # no message is sent meanwhile


def test_retry_after_beyond_the_run_is_obeyed_by_the_next_ones(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.respond = lambda _body: (429, {"Retry-After": str(7 * 3600)})
    host = NotifyingHost(tmp_path, receiver.webhook)
    result = host.run({"a": "emergency", "b": "critical"})
    assert (result.delivered, result.kept) == (0, 2)
    assert len(receiver.requests) == 1
    receiver.respond = None
    assert host.run({"a": "emergency", "b": "critical"}).kept == 2  # six hours later
    assert len(receiver.requests) == 1
    assert host.run({"a": "emergency", "b": "critical"}).delivered == 2
    assert titles(receiver)[1] == "🔴 EMERGENCY: a on web1"


def test_a_ping_address_with_user_and_password_is_authenticated(receiver: Receiver) -> None:
    address = f"http://ops:p%40ss@127.0.0.1:{receiver.port}/ping/0123-4567"
    assert delivery.ping(address, "start") is None
    expected = base64.b64encode(b"ops:p@ss").decode()
    assert receiver.headers[0]["Authorization"] == f"Basic {expected}"
    assert receiver.headers[0]["Host"] == f"127.0.0.1:{receiver.port}"
    assert receiver.pings() == [("/start", "")]
    delivery.ping(receiver.check, "start")
    assert "Authorization" not in receiver.headers[1]


def test_what_answers_a_ping_with_no_http_is_quoted_clean() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _try in range(3):
                connection, _address = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"\x1b[31mred\x07 %s\r\nforged\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        assert delivery.ping(address, "start", "", time_limit=20) == "\\x1b[31mred\\x07 %s"


def test_more_than_ten_messages_are_one_digest(tmp_path: Path, receiver: Receiver) -> None:
    host = NotifyingHost(tmp_path, receiver.webhook)
    ten = {f"d{number:03}": "warning" for number in range(10)}
    assert host.run(ten).delivered == 10
    assert len(receiver.messages()) == 10
    levels = {f"e{number:03}": "critical" for number in range(200)} | {"e150": "emergency"}
    result = host.run({**ten, **levels})
    assert (result.delivered, result.kept, len(result.notifications)) == (200, 0, 200)
    assert len(receiver.messages()) == 11
    digest = receiver.messages()[10]
    assert digest["title"] == "🔴 200 notifications on web1: 1 EMERGENCY, 199 CRITICAL"
    assert digest["type"] == "failure"
    lines = digest["message"].splitlines()
    assert lines[0] == "🔴 EMERGENCY: e150 on web1: e150 is emergency"
    assert lines[-1] == "and 170 more"
    assert host.run({**ten, **levels}).delivered == 0
    # And one that all is over.
    assert host.run(dict.fromkeys([*ten, *levels], "ok")).delivered == 210
    assert titles(receiver)[-1] == "✅ 210 notifications on web1: 210 OK"


def test_a_digest_that_is_refused_is_kept_and_counted(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status = 403
    host = NotifyingHost(tmp_path, receiver.webhook)
    levels = {f"d{number:03}": "critical" for number in range(11)}
    assert host.run(levels).kept == 11
    receiver.status = 200
    assert host.run(levels).delivered == 11
    assert len(receiver.messages()) == 2
    pt = translations("pt_BR").gettext("%(emoji)s %(count)d notifications on %(host)s: %(levels)s")
    assert pt == "%(emoji)s %(count)d notificações em %(host)s: %(levels)s"


def test_hosts_that_share_a_state_folder_keep_their_alerts_apart(
    tmp_path: Path, receiver: Receiver
) -> None:
    first = NotifyingHost(tmp_path, receiver.webhook)
    second = NotifyingHost(tmp_path, receiver.webhook, host_name="web2")
    for _run in range(4):
        first.run({"/": "emergency"}, remind_hours=0)
        second.run({"/": "ok"}, remind_hours=0)
    assert titles(receiver) == ["🔴 EMERGENCY: / on web1"]


def _hold(path: str, ready: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    Path(ready).touch()
    time.sleep(120)


def test_a_history_that_another_program_holds_costs_one_wait_and_repeats_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    host = NotifyingHost(tmp_path, receiver.webhook)
    host.run({"/": "emergency"}, remind_hours=0)
    ready = tmp_path / "ready"
    holder = multiprocessing.Process(
        target=_hold, args=(str(tmp_path / "state" / FILE), str(ready)), daemon=True
    )
    holder.start()
    try:
        while not ready.exists():
            time.sleep(0.01)
        for levels in ({"/": "emergency"}, {"/": "emergency", "/srv": "critical"}):
            started = time.monotonic()
            result = host.run(levels, remind_hours=0)
            assert time.monotonic() - started < PATIENCE + 4
            assert any("cannot be written" in problem for problem in result.problems)
    finally:
        holder.kill()
        holder.join()
    host.run({"/": "emergency", "/srv": "critical"}, remind_hours=0)
    assert titles(receiver) == ["🔴 EMERGENCY: / on web1", "🟠 CRITICAL: /srv on web1"]


def test_a_test_message_goes_to_every_address_and_its_outcome_is_printed(
    tmp_path: Path, receiver: Receiver
) -> None:
    with receiving() as refusing:
        refusing.status = 403
        host = MonitorHost(tmp_path, paths=["/"], notify=[receiver.webhook, refusing.webhook])
        done = host.run("monitor-disk-space", "--test-message")
        lines = done.stdout.splitlines()
        assert done.returncode == 2 and len(lines) == 2
        assert lines[0] == "✅ json:// delivered"
        assert lines[1].startswith("❌ json:// not delivered: ") and "403" in lines[1]
        assert titles(receiver) == ["🔔 Test message from web1"]
        assert len(refusing.requests) == 1
        assert not (tmp_path / "state").exists()  # nothing is measured or remembered
        host.settings |= {"notify": [receiver.webhook], "language": "pt_BR"}
        done = host.run("monitor-disk-space", "--test-message")
        assert (done.returncode, done.stdout) == (0, "✅ json:// entregue\n")
        assert titles(receiver)[1] == "🔔 Mensagem de teste de web1"
        host.settings["notify"] = []
        assert host.run("monitor-disk-space", "--test-message").returncode == 3


@pytest.mark.parametrize("command", ["sync-backups-offsite", "test-restore-staging"])
def test_every_stage_sends_a_test_message_and_does_nothing_else(
    command: str, tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """The destination and the backups do not exist: whatever else a run did would fail."""
    values: dict[str, object] = {
        "backup_path": str(tmp_path / "none"),
        "state_dir": str(tmp_path / "state"),
        "log_file": str(tmp_path / "log"),
        "host_name": "web1",
        "language": "en",
        "notify": [receiver.webhook],
        "ping_url": receiver.check,
    }
    if command == "sync-backups-offsite":
        access = {"host": "127.0.0.1", "port": 1, "path": "/nowhere", "key_file": "/nowhere/key"}
        values = offsite_config({**values, **access})
    config = tmp_path / "stage.json"
    config.write_text(json.dumps(values))
    assert host_cli.main([command, "--config", str(config), "--test-message"]) == 0
    assert capsys.readouterr().out == "✅ json:// delivered\n"
    assert titles(receiver) == ["🔔 Test message from web1"]
    assert receiver.pings() == [] and [*tmp_path.iterdir()] == [config]
    receiver.status = 403
    assert host_cli.main([command, "--config", str(config), "--test-message"]) == 2
    assert "403" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", ["monitor-disk-space", "sync-backups-offsite", "test-restore-staging"]
)
def test_every_stage_has_it(command: str) -> None:
    assert host_cli.commands_for(command)[command].notifies
