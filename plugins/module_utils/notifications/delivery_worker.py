# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that `delivery` starts: work on standard input, JSON lines on standard output.

A line `{"number": n}` marks a parcel that is being tried, one with `problem` (empty for none) its
result, with `retry_after` seconds where the service demands a wait and `tried` false where
there was no time left.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import http.client
import io
import json
import logging
import string
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..common.messages import _, to_form
from ..common.safe_text import one_line
from ..common.system_errors import system_message

PING_TRIES = 3
PING_SECONDS = 5
# Attempts for one parcel within a run, and the seconds before the second and the third.
TRIES = 3
PAUSES = (1.0, 2.0)
# HTTP responses after which the same request may succeed (RFC 9110, RFC 6585).
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
# What is read of a response's body: so many bytes, in so many seconds. Its status says whether the
# message arrived, and must not be lost because the body is cut off, or never ends.
BODY_BYTES, BODY_SECONDS = 1 << 16, 5.0
# Seconds that are left for printing the outcome before the run ends this process.
MARGIN = 0.5


def _print_line(**values: Any) -> None:
    if "problem" in values:
        values["problem"] = to_form(values["problem"])
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


class _LogCollector(logging.Handler):
    """Keeps what Apprise logs; it does so from threads of its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class _HttpResponses:
    """The HTTP responses of one attempt, which Apprise does not pass on.

    Attributes:
        statuses: of the responses.
        retry_after: the wait that one of them demands, seconds, or 0.
        timed_out: whether an response did not come in time: the message may have arrived.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget the last attempt."""
        self.statuses: list[int] = []
        self.retry_after, self.timed_out = 0.0, False

    @property
    def redirected(self) -> bool:
        """Whether an response pointed elsewhere, which is no delivery."""
        return any(300 <= status < 400 for status in self.statuses)

    @property
    def temporary(self) -> bool:
        """Whether trying again within this run may help, and cannot deliver twice."""
        if self.timed_out or self.redirected:
            return False
        return not self.statuses or self.statuses[-1] in TEMPORARY


def _seconds(retry_after: str) -> float:
    """Return the seconds of a `Retry-After`: a number or a date (RFC 9110, 10.2.3)."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (TypeError, ValueError):
        return 0.0


def _body(response: Any, seconds: float) -> bytes:
    """Return the part of a response's body that arrived within the limits."""
    found = bytearray()

    def read() -> None:
        # Whatever ends it (the connection, the encoding, TLS), the status has arrived.
        with contextlib.suppress(Exception):
            for block in response.raw.stream(BODY_BYTES // 16, decode_content=True):
                found.extend(block)
                if len(found) >= BODY_BYTES:
                    break

    # A server that sends a byte now and then keeps a read from its own time limit.
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(max(0.0, seconds))
    return bytes(found)


def _observe(responses: _HttpResponses, left: Callable[[], float]) -> None:
    """Follow no redirect and record every response, whichever plugin of Apprise sends.

    Apprise calls `requests` itself, and only its newest versions have an option for redirects.

    Args:
        responses: where they are recorded.
        left: returns the seconds that are left.
    """
    try:
        import requests
    except ImportError:  # Apprise reports it itself
        return
    send = requests.Session.send

    def observed_send(self: Any, request: Any, **options: Any) -> Any:
        options["allow_redirects"], options["stream"] = False, True
        try:
            response = send(self, request, **options)
        except requests.ReadTimeout:
            responses.timed_out = True
            raise
        responses.statuses.append(response.status_code)
        responses.retry_after = _seconds(response.headers.get("Retry-After") or "0")
        response.raw = io.BytesIO(_body(response, min(BODY_SECONDS, left())))
        return response

    setattr(requests.Session, "send", observed_send)  # noqa: B010  (mypy knows it as a method)


class _Service:
    """One service while its parcels are sent.

    Attributes:
        problem: why nothing can be sent to it; empty where it can.
    """

    def __init__(self, address: str, deadline: float) -> None:
        import apprise

        self._apprise, self._deadline = apprise, deadline
        self._log, self.responses = _LogCollector(), _HttpResponses()
        logger = logging.getLogger("apprise")
        logger.addHandler(self._log)
        logger.propagate = False
        self._sender = apprise.Apprise()
        try:
            added, parts = self._sender.add(address), urllib.parse.urlsplit(address)
        except ValueError:  # such as a bracket that is not closed
            added, parts = False, urllib.parse.urlsplit("")
        self.problem = "" if added else _("Apprise does not understand the address")
        # An address may name its own limits (`rto`, `cto`).
        given = urllib.parse.parse_qs(parts.query)
        self._limits = {"rto": "socket_read_timeout", "cto": "socket_connect_timeout"}
        self._limits = {key: name for key, name in self._limits.items() if key not in given}

    def left(self) -> float:
        """Seconds that are left."""
        return self._deadline - time.monotonic()

    def send(self, parcel: Mapping[str, Any]) -> str:
        """Send one parcel once; return why it did not arrive, empty when it did."""
        self._log.lines.clear()
        self.responses.clear()
        for plugin in self._sender:
            for name in self._limits.values():
                setattr(plugin, name, max(0.1, self.left()))
        # Named as text, or a service of another kind (mail is HTML) takes it for its own: lines
        # run together there, and what looks like markup is some.
        arrived = self._sender.notify(
            title=parcel["title"],
            body=parcel["body"],
            notify_type=parcel["kind"],
            body_format=self._apprise.NotifyFormat.TEXT,
        )
        if self.responses.redirected:
            return _(
                "answered %(status)d: the address has moved",
                status=self.responses.statuses[-1],
            )
        if arrived:
            return ""
        return "; ".join(self._log.lines) or _("Apprise could not deliver it")


def _send_all(parcels: Sequence[Mapping[str, Any]], address: str, time_limit: float) -> None:
    """Send parcels to one service, in order; print the result of each."""
    deadline = time.monotonic() + time_limit - min(MARGIN, time_limit / 4)
    try:
        service = _Service(address, deadline)
    except ImportError as error:
        missing = _("%(why)s - install apprise (Debian: apt install apprise)", why=str(error))
        for parcel in parcels:
            _print_line(number=parcel["number"], problem=missing)
        return
    if service.problem:
        for parcel in parcels:
            _print_line(number=parcel["number"], problem=service.problem)
        return
    pending, service_pause, retry_pause = list(parcels), 0.0, 0.0
    failed: dict[int, dict[str, Any]] = {}
    _observe(service.responses, service.left)
    for attempt in range(TRIES):
        retry = []
        if attempt:
            retry_pause = time.monotonic() + PAUSES[attempt - 1]
        for parcel in pending:
            number = parcel["number"]
            service_wait = max(0.0, service_pause - time.monotonic())
            wait = max(service_wait, retry_pause - time.monotonic())
            if wait >= service.left():
                late = {"problem": _("there was no time left to try it"), "tried": False}
                failed.setdefault(number, late)["retry_after"] = service_wait
                continue
            time.sleep(wait)
            _print_line(number=number)
            problem = service.send(parcel)
            if not problem:
                failed.pop(number, None)
                _print_line(number=number, problem="")
                continue
            # Printed at once, for this process may be ended; a later line replaces it.
            failed[number] = {"problem": problem}
            if service.responses.retry_after > 0:
                service_pause = time.monotonic() + service.responses.retry_after
                failed[number]["retry_after"] = service.responses.retry_after
            _print_line(number=number, **failed[number])
            if service.responses.temporary:
                retry.append(parcel)
        pending = retry
    for number, outcome in failed.items():
        if not outcome.get("tried", True):
            _print_line(number=number, **outcome)


def _target(parts: urllib.parse.SplitResult, path: str) -> str:
    """Return what a ping requests: its action goes behind the path and before a query."""
    whole = urllib.parse.urlunsplit(("", "", parts.path.rstrip("/") + path or "/", parts.query, ""))
    # As browsers do: what is no ASCII is encoded, what is encoded already stays.
    return urllib.parse.quote(whole, safe=string.punctuation)


def _post(address: str, path: str, body: str) -> int:
    """Send one ping; return the status."""
    parts = urllib.parse.urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {}
    if parts.username is not None:
        # RFC 7617; http.client leaves a URL's user and password to its caller.
        pair = (
            f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        )
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    connection = kind(parts.hostname or "", parts.port, timeout=PING_SECONDS)
    try:
        connection.request("POST", _target(parts, path), body.encode(), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _ping(address: str, path: str, body: str) -> None:
    problem = ""
    for number in range(PING_TRIES):
        if number:
            time.sleep(number)
        try:
            status = _post(address, path, body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # A server that answers with no HTTP is quoted in it.
            problem = system_message(one_line(error, 200))
            continue
        # A switch that moved (3xx) has not counted the ping either.
        if 200 <= status < 300:
            _print_line(problem="")
            return
        problem = _("answered %(status)d", status=status)
    _print_line(problem=problem)


def main() -> int:
    """Do the work; the exit code shows only whether it was understood."""
    work = json.load(sys.stdin)
    if "ping" in work:
        _ping(**work["ping"])
    else:
        _send_all(**work)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
