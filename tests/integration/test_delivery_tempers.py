"""Servers that keep to no protocol: the status decides, once, and the run ends within its limit."""

from __future__ import annotations

import gettext
import itertools
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import History
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import (
    alerts,
    delivery,
    notification_settings,
    notify,
    outbox,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.alerts import (
    Condition,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.delivery import (
    Parcel,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.outbox import (
    DeliveryOutcome,
)
from support.http_receiver import Receiver
from support.raw_http_server import raw_server

LIMIT = 9.0


def sends(content: bytes) -> Callable[[socket.socket], object]:
    return lambda connection: connection.sendall(content)


def without_end(status: bytes) -> Callable[[socket.socket], object]:
    def respond(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")
        for _turn in itertools.count():
            connection.sendall(b"z" * 100_000)

    return respond


def slowly(content: bytes, rest: bytes) -> Callable[[socket.socket], object]:
    def respond(connection: socket.socket) -> None:
        connection.sendall(content)
        for number in range(1000):
            connection.sendall(rest[number % len(rest) : number % len(rest) + 1])
            time.sleep(0.2)

    return respond


EMPTY = b"Content-Length: 0\r\n\r\n"
# What it responds, why it was not delivered (empty where it was), and how often it was tried.
TEMPERS = {
    "a page with status 200": (
        sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<h1>a</h1"),
        "",
        1,
    ),
    "a body without end": (without_end(b"200 OK"), "", 1),
    "a body that drips": (
        slowly(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b"x"),
        "",
        1,
    ),
    "a body that is cut off": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nab"), "", 1),
    "an error without end": (without_end(b"500 Error"), "500", 3),
    "a head that drips": (slowly(b"HTTP/1.1 200 OK\r\nX: ", b"y"), "no answer within 9 s", 1),
    "nothing": (sends(b""), "Connection error", 3),
    "no HTTP": (sends(b"\x1b[31m\x00\r\n\r\n"), "Connection error", 3),
    "several choices": (sends(b"HTTP/1.1 300 Choose\r\n" + EMPTY), "the address has moved", 1),
    "wait for ever": (sends(b"HTTP/1.1 429 No\r\nRetry-After: inf\r\n" + EMPTY), "429", 1),
    "wait until 9999": (
        sends(b"HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n" + EMPTY),
        "503",
        1,
    ),
    "wait until soon": (sends(b"HTTP/1.1 429 No\r\nRetry-After: soon\r\n" + EMPTY), "429", 3),
}


def attempt(name: str) -> tuple[DeliveryOutcome, int, float]:
    respond, _problem, _tries = TEMPERS[name]
    with raw_server(respond) as server:
        started = time.monotonic()
        outcome = delivery.deliver(
            {"it": [Parcel(("one",), "título 🟠", "texto", "failure")]},
            {"it": server.webhook},
            time_limit=LIMIT,
        )["one"]
        return outcome, len(server.requests), time.monotonic() - started


def test_each_temper_costs_no_more_than_its_limit_and_delivers_once() -> None:
    with ThreadPoolExecutor(7) as pool:
        found = dict(zip(TEMPERS, pool.map(attempt, TEMPERS), strict=True))
    for name, (_respond, problem, tries) in TEMPERS.items():
        outcome, requests, seconds = found[name]
        assert (bool(outcome.problem), requests) == (bool(problem), tries), (name, outcome)
        assert problem in outcome.problem and outcome.problem.isprintable(), (name, outcome)
        assert seconds < LIMIT + 5, name
    # What a service requests is obeyed for a day at most.
    message = outbox.QueuedMessage("one", "it", "key", "critical", 0.0, "title", "body")
    for name in ("wait for ever", "wait until 9999"):
        ((kept,), _given_up) = outbox.after_delivery([message], {"one": found[name][0]}, 1000.0)
        assert kept.not_before == 1000.0 + outbox.LONGEST_PAUSE


def test_a_service_with_a_wrong_certificate_is_no_delivery(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with raw_server(sends(b"HTTP/1.1 200 OK\r\n" + EMPTY), tls) as server:
        address = server.webhook.replace("json://", "jsons://")
        parcels = {"it": [Parcel(("one",), "title", "body", "failure")]}
        outcome = delivery.deliver(parcels, {"it": address}, time_limit=LIMIT)["one"]
        assert outcome.problem and server.requests == []
        # The same server is one where its certificate is not checked.
        trusting = {"it": f"{address}?verify=no"}
        assert delivery.deliver(parcels, trusting, time_limit=LIMIT)["one"].problem == ""
        assert len(server.requests) == 1


def test_an_address_that_is_none_costs_itself_alone() -> None:
    parcels = {"it": [Parcel(("one",), "title", "body", "failure")]}
    outcome = delivery.deliver(parcels, {"it": "json://[::1"}, time_limit=LIMIT)["one"]
    assert outcome.problem == "Apprise does not understand the address"


@pytest.mark.parametrize("reason", ["ü" * 100_000 + "\U0001f4be", "a\x00b\x1b[31m\u202ec\nd " * 50])
def test_any_text_arrives_whole_or_clean(tmp_path: Path, receiver: Receiver, reason: str) -> None:
    settings = notification_settings.NotificationSettings(
        (receiver.webhook,), host_name="web1\nX: \udcff", fallback_dir=str(tmp_path / "run")
    )
    condition = Condition("a", "/srv/\udcff ü", "critical", "critical", reason)
    with History(str(tmp_path / "state")) as history:
        translations = gettext.NullTranslations()
        result = notify.notify("disk", [condition], settings, history, translations, now=1e9)
    assert (result.delivered, result.problems) == (1, [])
    (message,) = receiver.messages()
    shown = message["message"].partition("\n")[0]
    assert shown == reason if reason.isprintable() else "\\x1b[31m" in shown and shown.isprintable()
    assert message["title"].isprintable()


def test_a_document_that_is_damaged_costs_what_is_damaged_alone(
    tmp_path: Path, receiver: Receiver
) -> None:
    """A queue and states with parts of another program's, or of none; the good message is sent."""
    service = delivery.service_id(receiver.webhook)
    good = outbox.QueuedMessage("1-a", service, "a", "critical", 1e9, "kept title", "body")
    values = good.to_dict()
    queue = [
        None,
        "text",
        {},
        {**values, "level": "dreadful"},
        {**values, "time": "yesterday"},
        {**values, "tries": None},
        {**values, "more": 1},
        values,
    ]
    state = alerts.AlertState("b", "warning", "why", 1e9, "warning", 1e9).to_dict()
    states = {"b": state, "c": {**state, "level": "dreadful"}, "d": None, "e": {"level": "ok"}}
    states["f"] = {**state, "since": "x"}
    settings = notification_settings.NotificationSettings(
        (receiver.webhook,), host_name="web1", fallback_dir=str(tmp_path / "run"), remind_hours=0
    )
    conditions = [Condition(key, key, "warning", "warning", "why") for key in "bcdef"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "disk.json").write_text(json.dumps({"order": 9, "queue": queue})[:-40])
    with History(str(tmp_path / "state")) as history:
        document = {
            "order": 3,
            "states": states,
            "queue": queue,
            "heard": {service: {"b": "warning"}, "other": 3},
        }
        history.set_document("disk@web1", document)
        result = notify.notify(
            "disk", conditions, settings, history, gettext.NullTranslations(), now=1e9 + 60
        )
    assert (result.delivered, result.kept, result.problems) == (5, 0, [])
    titles = [message["title"] for message in receiver.messages()]
    assert titles[0] == "kept title" and len(titles) == 5
    assert sorted(title.split()[2] for title in titles[1:]) == ["c", "d", "e", "f"], titles


@pytest.mark.parametrize(
    "content",
    ["[]", "3", '{"order": "x", "states": [1], "queue": {"a": 1}, "heard": [2]}', "{", ""],
)
def test_a_document_that_is_something_else_is_begun_anew(tmp_path: Path, content: str) -> None:
    """In either place; what is in force is notified again."""
    settings = notification_settings.NotificationSettings(fallback_dir=str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "disk.json").write_text(content)
    condition = Condition("a", "a", "warning", "warning", "why")
    translations = gettext.NullTranslations()
    with History(str(tmp_path / "state")) as history:
        if content.startswith("{") and content.endswith("}"):
            history.set_document(f"disk@{settings.named_host}", json.loads(content))
        for expected in (1, 0):
            result = notify.notify("disk", [condition], settings, history, translations, now=1e9)
            assert (len(result.notifications), result.problems) == (expected, [])
