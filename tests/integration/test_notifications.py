"""Messages and pings to an HTTP receiver: accepted, refused, silent, gone and back."""

from __future__ import annotations

import dataclasses
import datetime
import gettext
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import language
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import History
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history_file import FILE
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import (
    delivery,
    notification_settings,
    notify,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.alerts import (
    Condition,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.notify import (
    NotifyResult,
)
from support.filesystems import Disks
from support.http_receiver import Receiver, receiving

ENGLISH = gettext.NullTranslations()
NOON = 1_780_000_000.0


class Host:
    """Runs announcements as a command does, one after the other."""

    def __init__(self, root: Path, *addresses: str) -> None:
        self.root = root
        self.settings = notification_settings.NotificationSettings(
            addresses, host_name="web1", fallback_dir=str(root / "fallback")
        )
        self.now = NOON

    def run(
        self, level: str, *, words: gettext.NullTranslations = ENGLISH, **changes: object
    ) -> NotifyResult:
        return self.run_all({"/": level}, words=words, **changes)

    def run_all(
        self,
        levels: Mapping[str, str],
        *,
        words: gettext.NullTranslations = ENGLISH,
        **changes: object,
    ) -> NotifyResult:
        """One run with several conditions, level by name."""
        self.now += 6 * 3600
        conditions = [
            Condition(f"mount:{name}", name, level, level, f"it is {level}")
            for name, level in levels.items()
        ]
        settings = dataclasses.replace(self.settings, **changes)
        with History(str(self.root / "state")) as history:
            return notify.notify("disk", conditions, settings, history, words, now=self.now)


def test_the_exact_payload_of_each_kind_of_message(tmp_path: Path, receiver: Receiver) -> None:
    host = Host(tmp_path, receiver.webhook)
    levels = ["ok", "warning", "warning", "critical", "critical", "critical", "critical"]
    for level in [*levels, "critical", "warning", "ok"]:
        outcome = host.run(level)
        assert (outcome.kept, outcome.problems) == (0, [])
    messages = receiver.messages()
    assert [(message["title"], message["type"]) for message in messages] == [
        ("🟡 WARNING: / on web1", "warning"),
        ("🟠 CRITICAL: / on web1", "failure"),
        ("still 🟠 CRITICAL: / on web1", "failure"),
        ("🟡 WARNING (was CRITICAL): / on web1", "warning"),
        ("✅ OK again: / on web1", "success"),
    ]
    first, last = messages[0], messages[-1]
    moment = datetime.datetime.fromtimestamp(NOON + 2 * 6 * 3600).astimezone()
    assert first == {
        "version": "1.0",
        "title": "🟡 WARNING: / on web1",
        "message": f"it is warning\n{moment.isoformat(sep=' ', timespec='seconds')}",
        "attachments": [],
        "type": "warning",
    }
    assert all({*message} == {*first} for message in messages)
    assert last["message"].startswith("it is ok\nIt lasted 2 days.\n")
    assert [(method, path) for method, path, _body in receiver.requests] == [("POST", "/hook")] * 5


def test_messages_are_in_the_configured_language(tmp_path: Path, receiver: Receiver) -> None:
    host = Host(tmp_path, receiver.webhook)
    host.run("emergency", words=language.translations("pt_BR"))
    host.run("ok", words=language.translations("pt_BR"))
    assert [message["title"] for message in receiver.messages()] == [
        "🔴 EMERGENCY: / em web1",
        "✅ OK novamente: / em web1",
    ]
    assert "Durou 6 horas." in receiver.messages()[1]["message"]


def test_a_receiver_that_is_down_gets_everything_the_worst_first_when_it_is_back(
    tmp_path: Path, receiver: Receiver
) -> None:
    host = Host(tmp_path, receiver.webhook)
    receiver.stop()
    first = host.run("warning")
    assert (len(first.notifications), first.delivered, first.kept) == (1, 0, 1)
    assert first.problems[0].startswith("1 not delivered to json://, kept for the next run: ")
    assert receiver.webhook not in first.problems[0]
    second = host.run("critical")
    assert (second.delivered, second.kept) == (0, 2)
    assert host.run("critical").kept == 2  # nothing new, two still to deliver
    receiver.start()
    back = host.run("critical")
    assert (back.delivered, back.kept, back.problems) == (2, 0, [])
    assert [message["title"] for message in receiver.messages()] == [
        "🟠 CRITICAL: / on web1",
        "🟡 WARNING: / on web1",
    ]
    assert host.run("critical").delivered == 0
    assert len(receiver.messages()) == 2


def test_an_error_response_is_no_delivery(tmp_path: Path, receiver: Receiver) -> None:
    host = Host(tmp_path, receiver.webhook)
    receiver.status = 500
    failed = host.run("warning")
    assert failed.kept == 1 and "500" in failed.problems[0]
    receiver.status = 200
    assert host.run("warning").delivered == 1


def test_a_receiver_that_does_not_respond_takes_no_more_than_the_time_limit(
    tmp_path: Path, receiver: Receiver
) -> None:
    with receiving() as other:
        host = Host(tmp_path, f"{receiver.webhook}?rto=30", other.webhook)
        receiver.delay = 20
        started = time.monotonic()
        outcome = host.run("warning", notify_time_limit=4)
        assert time.monotonic() - started < 7
        # The service that responds does not wait for the one that does not.
        assert (outcome.delivered, outcome.kept) == (1, 1)
        assert "no answer within 4 s" in outcome.problems[0]
        assert len(other.messages()) == 1
        receiver.delay = 0
        assert host.run("warning").delivered == 1
        assert len(other.messages()) == 1  # and is not notified twice


def test_an_invalid_address_and_a_service_that_was_removed(
    tmp_path: Path, receiver: Receiver
) -> None:
    host = Host(tmp_path, "nonsense://x", receiver.webhook)
    outcome = host.run("warning")
    assert (outcome.delivered, outcome.kept) == (1, 1)
    assert "does not understand" in outcome.problems[0]
    host.settings = dataclasses.replace(host.settings, notify=(receiver.webhook,))
    assert host.run("warning").kept == 0


def test_without_apprise_the_message_is_kept_and_the_remedy_named(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An `apprise` that cannot be imported stands first on the path, as if it were not installed.
    (tmp_path / "apprise.py").write_text("raise ImportError('No module named apprise')\n")
    host = Host(tmp_path, receiver.webhook)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [str(tmp_path), *sys.path])
        outcome = host.run("warning")
    assert outcome.kept == 1 and "apt install apprise" in outcome.problems[0]
    assert host.run("warning").delivered == 1


def test_no_secret_is_in_a_process_list_or_in_the_history(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.delay = 2
    host = Host(tmp_path, f"json://user:s3cr3t@127.0.0.1:{receiver.port}/hook?rto=1")
    script = (
        "import glob, time\n"
        "seen, until = set(), time.monotonic() + 3\n"
        "while time.monotonic() < until:\n"
        "    for name in glob.glob('/proc/[0-9]*/cmdline'):\n"
        "        try: seen.add(open(name, 'rb').read())\n"
        "        except OSError: pass\n"
        "expected = (b'delivery_' + b'worker', b's3c' + b'r3t')\n"
        "print(*(any(text in line for line in seen) for text in expected))"
    )
    watcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert host.run("warning").kept == 1
    out, _errors = watcher.communicate()
    assert out.split() == ["True", "False"]
    assert b"s3cr3t" not in (tmp_path / "state" / FILE).read_bytes()


def test_a_disk_so_full_that_nothing_can_be_remembered_still_alerts_and_recovers(
    tmp_path: Path, receiver: Receiver
) -> None:
    disks = Disks(tmp_path)
    try:
        full = disks.memory("full", pages=64)
        host = Host(full, receiver.webhook)
        host.settings = dataclasses.replace(host.settings, fallback_dir=str(tmp_path / "run"))
        host.run("ok")
        filler = full / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()
        outcome = host.run("emergency")
        assert outcome.delivered == 1
        assert any("cannot be written" in problem for problem in outcome.problems)
        assert [host.run("emergency").delivered for _turn in range(3)] == [0, 0, 0]  # notified once
        filler.unlink()
        assert host.run("ok").delivered == 1
        assert [message["title"] for message in receiver.messages()] == [
            "🔴 EMERGENCY: / on web1",
            "✅ OK again: / on web1",
        ]
        assert not (tmp_path / "run" / "disk.json").exists()
    finally:
        disks.close()


def test_pings_follow_the_healthchecks_protocol(receiver: Receiver) -> None:
    for action in ("start", "success", "fail"):
        assert delivery.ping(receiver.check, action, "what was seen\n") is None
    assert receiver.pings() == [
        ("/start", "what was seen\n"),
        ("", "what was seen\n"),
        ("/fail", "what was seen\n"),
    ]
    delivery.ping(receiver.check + "?create=1", "start")
    assert receiver.pings()[-1][0] == "/start?create=1"
    delivery.ping(f"{receiver.check}/café%20?is=ü", "start")
    assert receiver.pings()[-1][0] == "/caf%C3%A9%20/start?is=%C3%BC"


def test_a_ping_is_tried_three_times_within_its_limit(receiver: Receiver) -> None:
    receiver.status = 500
    assert delivery.ping(receiver.check, "success") == "answered 500"
    assert len(receiver.pings()) == 3
    receiver.stop()
    assert "refused" in str(delivery.ping(receiver.check, "success"))
    receiver.start()
    receiver.delay = 30
    started = time.monotonic()
    assert delivery.ping(receiver.check, "success", time_limit=2) == "no answer within 2 s"
    assert time.monotonic() - started < 4


def test_the_document_is_plain_and_holds_what_is_in_force(
    tmp_path: Path, receiver: Receiver
) -> None:
    host = Host(tmp_path, receiver.webhook)
    host.run("critical")
    with History(str(tmp_path / "state")) as history:
        states = notify.states_in_force("disk", "web1", history, host.settings.fallback_dir)
        assert json.dumps(history.document("disk@web1"))
    assert (states["mount:/"].level, states["mount:/"].since) == ("critical", host.now)
