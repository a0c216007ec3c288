"""The checkpoint's settings, results and retries; what needs Docker is in tests/docker."""

from __future__ import annotations

import email.utils
import importlib
import json
import threading
import time
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.checkpoint import (
    checkpoint,
    checkpoint_items,
    checkpoint_settings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.redact import redact
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import render_checkpoint
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import docker_services
from support.english_words import english

ITEMS, Settings = checkpoint_settings.ITEMS, checkpoint_settings.CheckpointSettings
PASSWORD = "senha-secreta-1"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


class Api(ThreadingHTTPServer):
    """A small API whose responses a test sets: `responses[(method, path)] = status, body`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str]] = []
        self.responses: dict[tuple[str, str], Any] = {
            ("POST", "/api/auth/login"): (200, {"token": TOKEN}),
            ("GET", "/api/products"): (200, {"data": [], "total": 3}),
            ("GET", "/api/dashboard/stats"): (200, {"products": 3, "sales": 0}),
            ("POST", "/api/orders"): (201, {"id": 77}),
            ("DELETE", "/api/orders/77"): (200, {"deleted": 77}),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        key = (self.command, self.path)
        self.server.requests.append(key)
        response = self.server.responses.get(key, (404, {"error": "not found"}))
        # A list is used up from its first response; the last one stays.
        if isinstance(response, list):
            response = response.pop(0) if len(response) > 1 else response[0]
        if isinstance(response, bytes):  # as it stands, and then the connection ends
            self.wfile.write(response)
            self.close_connection = True
            return
        status, body, *headers = response
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def check(
    api: Api, sleep: Callable[[float], None] = lambda seconds: None, **more: Any
) -> tuple[checkpoint.CheckpointResult, dict[str, str]]:
    settings = Settings(
        **{
            "api_url": api.url,
            "api_email": "admin@chefwell.pro",
            "api_password": PASSWORD,
            "test_order": True,
            "tries": 1,
            "time_limit": 2,
            **more,
        }
    )
    result = checkpoint.run(settings, sleep=sleep)
    shown = json.dumps(result.to_dict())
    for language in ("pt_BR", "en"):
        page = render_checkpoint.checkpoint_page(result.to_dict(), language, False)
        assert language == "en" or english(page) == [], page
        shown += page
    assert PASSWORD not in shown and TOKEN not in shown
    return result, {item.id: item.status for item in result.items}


def test_configured_items_pass_and_the_others_have_a_reason(api: Api) -> None:
    result, statuses = check(api)
    assert result.status == "passed"
    assert statuses == {
        **dict.fromkeys(("login", "pos", "products", "dashboard"), "passed"),
        **dict.fromkeys(("logs", "postgres", "services"), "skipped"),
    }
    assert result.message == "4 of 7 items checked, all passed"
    assert ("DELETE", "/api/orders/77") in api.requests


@pytest.mark.parametrize(
    ("route", "response", "failed", "expected"),
    [
        (("POST", "/api/auth/login"), (500, {"error": "x"}), "login", "HTTP 500"),
        (("POST", "/api/auth/login"), (200, {"access_token": TOKEN}), "login", "lacks token"),
        (("GET", "/api/products"), (200, {"data": [], "total": 0}), "products", "at least 1"),
        (("GET", "/api/products"), (200, {}), "products", "lacks total"),
        (("GET", "/api/dashboard/stats"), (500, {}), "dashboard", "HTTP 500"),
        (("GET", "/api/dashboard/stats"), (200, {}), "dashboard", "lacks products, sales"),
        (("POST", "/api/orders"), (500, {}), "pos", "HTTP 500"),
        (("POST", "/api/orders"), (200, {}), "pos", "look for an order with the note"),
        (("DELETE", "/api/orders/77"), (500, {}), "pos", "was not taken back: HTTP 500"),
    ],
)
def test_each_item_fails_and_is_named(
    api: Api, route: tuple[str, str], response: Any, failed: str, expected: str
) -> None:
    api.responses[route] = response
    result, statuses = check(api)
    assert result.status == "failed"
    assert statuses[failed] == "failed"
    (item,) = [item for item in result.items if item.id == failed]
    assert expected in item.evidence
    assert item.title in result.message
    # Only a login takes others down with it.
    if failed != "login":
        assert [name for name, status in statuses.items() if status == "failed"] == [failed]


def test_a_service_that_is_not_there_is_failed_not_ok() -> None:
    with Api() as gone:
        url = gone.url
    settings = Settings(api_url=url, tries=2, retry_seconds=0)
    result = checkpoint.run(settings)
    assert result.status == "failed"
    assert {item.status for item in result.items[:1]} == {"failed"}
    assert "no answer" in result.items[0].evidence and "(try 2)" in result.items[0].evidence


def test_a_second_try_may_pass(api: Api) -> None:
    good = api.responses[("GET", "/api/products")]
    api.responses[("GET", "/api/products")] = [(503, {}), good]
    assert check(api, tries=1)[0].status == "failed"
    api.responses[("GET", "/api/products")] = [(503, {}), good]
    result, statuses = check(api, tries=2)
    assert statuses["products"] == "passed" and "(try 2)" in result.items[2].evidence


def test_an_order_that_may_be_left_is_not_made_twice(api: Api) -> None:
    api.responses[("DELETE", "/api/orders/77")] = (500, {})
    check(api, tries=3)
    assert api.requests.count(("POST", "/api/orders")) == 1


LOGIN = ("POST", "/api/auth/login")


def test_all_items_share_one_login(api: Api) -> None:
    assert check(api, tries=3)[0].status == "passed"
    assert api.requests.count(LOGIN) == 1


def test_a_failed_login_is_not_repeated_by_every_item(api: Api) -> None:
    api.responses[LOGIN] = (500, {})
    _result, statuses = check(api, tries=3)
    assert {statuses[name] for name in ("login", "pos", "products", "dashboard")} == {"failed"}
    assert api.requests.count(LOGIN) == 3
    # Where no item checks the login, those that need it repeat it.
    good = (200, {"token": TOKEN})
    api.responses[LOGIN] = [(500, {}), good]
    assert check(api, tries=2, items=("products",))[1]["products"] == "passed"


@pytest.mark.parametrize(
    ("written", "waited"),
    [("7", 7.0), ("120", checkpoint.LONGEST_WAIT), ("soon", 2.0), ("nan", 2.0), (None, 2.0)],
)
def test_a_limit_on_logins_is_waited_for(api: Api, written: str | None, waited: float) -> None:
    headers = [("Retry-After", written)] if written else []
    api.responses[LOGIN] = [(429, {}, *headers), (200, {"token": TOKEN})]
    waits: list[float] = []
    assert check(api, waits.append, tries=2)[0].status == "passed"
    assert waits == [waited]


@pytest.mark.parametrize(
    ("seconds", "least", "most"),
    [(30, 20, 30), (-30, 0, 2)],
)
def test_a_limit_on_logins_until_a_date_is_waited_for(
    api: Api, seconds: int, least: float, most: float
) -> None:
    """An HTTP date (RFC 9110, 10.2.3), also one that has passed."""
    until = email.utils.formatdate(time.time() + seconds, usegmt=True)
    api.responses[LOGIN] = [(429, {}, ("Retry-After", until)), (200, {"token": TOKEN})]
    waits: list[float] = []
    assert check(api, waits.append, tries=2)[0].status == "passed"
    assert len(waits) == 1 and least <= waits[0] <= most
    assert api.requests.count(LOGIN) == 2


@pytest.mark.parametrize("written", ["121", "900", "1e400", 86_400])
def test_a_wait_that_is_too_long_is_named_and_no_login_follows(api: Api, written: Any) -> None:
    """Each login that comes too early may make the wait longer."""
    if isinstance(written, int):
        written = email.utils.formatdate(time.time() + written, usegmt=True)
    api.responses[LOGIN] = [(429, {}, ("Retry-After", written)), (200, {"token": TOKEN})]
    waits: list[float] = []
    result, statuses = check(api, waits.append, tries=3)
    assert statuses["login"] == "failed" and waits == [] and api.requests.count(LOGIN) == 1
    assert "not tried again: it demands a wait of" in result.items[0].evidence


@pytest.mark.parametrize("status", [409, 500, 502])
def test_an_order_that_may_have_been_made_is_looked_for_or_named(api: Api, status: int) -> None:
    api.responses[("POST", "/api/orders")] = (status, {})
    result, statuses = check(api, tries=3)
    assert statuses["pos"] == "failed" and "look for an order" in result.items[1].evidence
    assert api.requests.count(("POST", "/api/orders")) == 1
    # A step after one that failed is not sent.
    assert [path for _method, path in api.requests if path.startswith("/api/orders/")] == []
    find = {"id": "order_find", "path": "/api/orders/last", "capture": {"order_id": "id"}}
    api.responses[("GET", "/api/orders/last")] = (200, {"id": 77})
    result, statuses = check(api, tries=3, api_steps=[find])
    assert statuses["pos"] == "failed" and "taken back" in result.items[1].evidence
    assert ("DELETE", "/api/orders/77") in api.requests


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"id"',
        b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n20\r\nno",
        b'HTTP/1.1 201 Created\r\nContent-Length: 90\r\n\r\n{"id":',
        b"HTTP/1.1 201 Created\r\n" + b"X-Way: " + b"too long " * 9000 + b"\r\n\r\n{}",
        b"",
    ],
)
def test_an_order_whose_response_is_damaged_is_made_once_and_named(api: Api, raw: bytes) -> None:
    api.responses[("POST", "/api/orders")] = raw
    result, statuses = check(api, tries=3)
    assert statuses["pos"] == "failed" and "look for an order" in result.items[1].evidence
    assert api.requests.count(("POST", "/api/orders")) == 1


@pytest.mark.parametrize(
    ("identifier", "path"), [("A 77", "A%2077"), ("né\n7", "n%C3%A9%0A7"), ("a/b%2F", "a/b%2F")]
)
def test_an_order_of_any_identifier_is_taken_back(api: Api, identifier: str, path: str) -> None:
    api.responses[("POST", "/api/orders")] = (201, {"id": identifier})
    api.responses[("DELETE", f"/api/orders/{path}")] = (200, {"deleted": identifier})
    assert check(api, tries=3)[1]["pos"] == "passed"
    assert api.requests.count(("POST", "/api/orders")) == 1


def test_an_error_after_the_order_was_made_does_not_repeat_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the checkpoint's own code, which is made to fail here."""

    def fails(*_arguments: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(checkpoint_items.ApiSession, "_find_order", fails)
    api.responses[("POST", "/api/orders")] = (500, {})
    result, statuses = check(api, tries=3)
    assert statuses["pos"] == "failed" and "look for an order" in result.items[1].evidence
    assert api.requests.count(("POST", "/api/orders")) == 1


def test_an_order_that_was_refused_may_be_made_again(api: Api) -> None:
    good = api.responses[("POST", "/api/orders")]
    api.responses[("POST", "/api/orders")] = [(422, {}), good]
    assert check(api, tries=2)[1]["pos"] == "passed"


def test_no_order_unless_it_is_configured(api: Api) -> None:
    assert check(api, test_order=False)[1]["pos"] == "skipped"
    settings = Settings(api_url=api.url, test_order=True, tries=1)
    assert checkpoint.run(settings, read_only=True).items[1].status == "skipped"
    assert ("POST", "/api/orders") not in api.requests


def test_nothing_configured_is_skipped_not_passed() -> None:
    result = checkpoint.run(Settings())
    assert result.status == "skipped"
    assert {item.status for item in result.items} == {"skipped"}


@pytest.mark.parametrize(
    "more",
    [
        {"services": ["chefwell_*"]},
        {"log_sources": ["chefwell_backend"]},
        {"postgres": {"container": "chefwell_postgres", "user": "a", "dbname": "b"}},
    ],
)
@pytest.mark.parametrize("cause", ["no engine", "no library"])
def test_what_cannot_be_checked_is_unknown(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], cause: str
) -> None:
    if cause == "no library":
        # A missing library cannot be caused where the tests need it: import alone is replaced.
        real = importlib.import_module

        def without(name: str) -> Any:
            if name == "docker":
                raise ImportError("No module named 'docker'")
            return real(name)

        monkeypatch.setattr(importlib, "import_module", without)
    settings = Settings(**more, docker_url="unix:///nonexistent/docker.sock", tries=1, time_limit=1)
    result = checkpoint.run(settings)
    assert result.status == "unknown"
    (item,) = [item for item in result.items if item.status != "skipped"]
    assert item.status == "unknown"
    assert ("SDK is missing" if cause == "no library" else "does not answer") in item.evidence


def test_failed_outweighs_unknown_and_unknown_outweighs_passed(api: Api) -> None:
    away = {"services": ["x"], "docker_url": "unix:///nonexistent"}
    assert check(api, **away)[0].status == "unknown"
    api.responses[("GET", "/api/products")] = (500, {})
    assert check(api, **away)[0].status == "failed"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"items": ["logins"]}, "items"),
        ({"tries": 0}, "tries"),
        ({"time_limit": 0}, "time_limit"),
        ({"log_pattern": "("}, "log_pattern"),
        ({"log_ignore": ["["]}, "log_ignore"),
        ({"services": [{"kind": "vm", "name": "x"}]}, "services"),
        ({"log_sources": [{"name": "x"}]}, "log_sources"),
        ({"postgres": {"user": "a", "dbname": "b"}}, "postgres"),
        ({"postgres": {"container": "a", "user": "a", "dbname": "b", "port": 1}}, "postgres"),
        ({"api_url": "ftp://x"}, "api.url"),
        ({"api_url": "http://x", "api_steps": [{"id": "nope", "path": "/"}]}, "api_steps"),
        ({"api_url": "http://x", "api_steps": [{"id": "login", "pth": "/"}]}, "api.steps"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ResilienceError) as caught:
        Settings(**settings)
    assert caught.value.option == named and caught.value.remedy


def test_a_step_of_another_products_api(api: Api) -> None:
    api.responses[("GET", "/v2/goods")] = (200, {"goods": [1, 2]})
    step = {"id": "products", "path": "/v2/goods", "least": {"goods": 2}}
    assert check(api, api_steps=[step])[1]["products"] == "passed"
    assert check(api, api_steps=[{**step, "least": {"goods": 3}}])[1]["products"] == "failed"


@pytest.mark.parametrize(
    "text",
    [
        f"the answer lacks token: {{'x': '{TOKEN}'}}",
        f"Authorization: Bearer {TOKEN}",
        "connect to postgresql://postgres:hunter22@db:5432/x failed",
        "password=hunter22 host=db",
        '{"api_key": "hunter22"}',
        "JWT_SECRET=hunter22",
        "known: hunter22",
    ],
)
def test_secrets_do_not_show(text: str) -> None:
    shown = redact(text, ["hunter22"] if text.startswith("known") else [])
    assert "hunter22" not in shown and TOKEN not in shown and "********" in shown


def test_what_is_no_secret_stays() -> None:
    for text in ("the answer lacks token", "GET /api/products 200 5.1 ms", "http://db:5432/x"):
        assert redact(text, ["", "abc"]) == text


def service(mode: dict[str, Any], states: list[tuple[str, str]], update: str = "") -> Any:
    """A Swarm service as the SDK gives it: each task with its desired and its present state."""
    tasks = [
        {
            "DesiredState": desired,
            "Status": {"State": state, "Timestamp": "2025-11-20T03:00:00.5Z"},
        }
        for desired, state in states
    ]
    attributes = {"Spec": {"Mode": mode}, "UpdateStatus": {"State": update}}
    return types.SimpleNamespace(name="s", attrs=attributes, tasks=lambda: tasks)


@pytest.mark.parametrize(
    ("mode", "states", "update", "numbers", "problem"),
    [
        ({"Replicated": {"Replicas": 2}}, [("running", "running")] * 2, "", (2, 2), ""),
        ({"Replicated": {"Replicas": 0}}, [], "", (0, 0), "scaled to nothing"),
        ({"Global": {}}, [("running", "running")], "", (1, 1), ""),
        ({"Global": {}}, [("shutdown", "shutdown")], "updating", (0, 0), "being updated"),
        ({"Global": {}}, [], "", (0, 0), "no node runs it"),
        (
            {"ReplicatedJob": {"TotalCompletions": 2}},
            [("complete", "complete")] * 2,
            "",
            (2, 2),
            "",
        ),
        (
            {"ReplicatedJob": {"TotalCompletions": 2}},
            [("complete", "complete"), ("complete", "failed")],
            "",
            (1, 2),
            "a task failed",
        ),
        ({"GlobalJob": {}}, [("complete", "complete")], "", (1, 1), ""),
        ({"Replicated": {"Replicas": 1}}, [("running", "running")], "paused", (1, 1), "paused"),
    ],
)
def test_services_and_jobs_are_distinguished(
    mode: dict[str, Any],
    states: list[tuple[str, str]],
    update: str,
    numbers: tuple[int, int],
    problem: str,
) -> None:
    state = docker_services.service_state(service(mode, states, update), since=0)
    assert (state.running, state.expected) == numbers
    assert bool(state.problems) == bool(problem) and problem in "; ".join(state.problems)


@pytest.mark.parametrize(
    ("now", "numbers"), [("complete", (1, 1)), ("running", (1, 1)), ("pending", (0, 1))]
)
@pytest.mark.parametrize("mode", [{"ReplicatedJob": {"TotalCompletions": 1}}, {"GlobalJob": {}}])
def test_of_a_job_its_last_run_counts(
    mode: dict[str, Any], now: str, numbers: tuple[int, int]
) -> None:
    """Not what an earlier run completed; and a run that is under way is as it should be."""
    job = service(mode, [("complete", "complete"), ("complete", now)])
    job.attrs["JobStatus"] = {"JobIteration": {"Index": 7}}
    for task, number in zip(job.tasks(), (0, 7), strict=True):
        task.update(NodeID="n", JobIteration={"Index": number} if number else None)
    state = docker_services.service_state(job, since=0)
    assert (state.running, state.expected) == numbers and not state.problems


def test_titles_and_items_agree() -> None:
    assert tuple(checkpoint_settings.TITLES) == ITEMS
