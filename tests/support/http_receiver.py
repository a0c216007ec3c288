"""An HTTP service on this machine that takes notifications and pings."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any


class Receiver:
    """An HTTP service that records every request, and responds as configured.

    Attributes:
        requests: method, path and body of each, in order.
        headers: of each request.
        times: the time of each, in monotonic seconds.
        status: the status of its responses.
        respond: returns status and headers of the response to a request's body; None for
            `status` alone.
        delay: seconds before it responds.
        port: its port on 127.0.0.1, which it keeps when it is stopped and started again.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.respond: Callable[[str], tuple[int, dict[str, str]]] | None = None
        self.status, self.delay, self.port = 200, 0.0, 0
        self._server: http.server.ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Begin to listen."""
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                receiver.requests.append((self.command, self.path, body))
                receiver.headers.append(dict(self.headers))
                receiver.times.append(time.monotonic())
                time.sleep(receiver.delay)
                respond = receiver.respond or (lambda _body: (receiver.status, {}))
                status, headers = respond(body)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()

            do_GET = do_POST

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop listening: connections are refused."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def webhook(self) -> str:
        """Its address as an Apprise JSON webhook."""
        return f"json://127.0.0.1:{self.port}/hook"

    @property
    def check(self) -> str:
        """Its address as a check of a dead man's switch."""
        return f"http://127.0.0.1:{self.port}/ping/0123-4567"

    def messages(self) -> list[dict[str, Any]]:
        """The bodies that the webhook got, in order."""
        return [json.loads(body) for _method, path, body in self.requests if path == "/hook"]

    def pings(self) -> list[tuple[str, str]]:
        """Action and body of each ping."""
        start = "/ping/0123-4567"
        return [
            (path.removeprefix(start), body)
            for _method, path, body in self.requests
            if path.startswith(start)
        ]


class DeadMan(Receiver):
    """A dead man's switch such as healthchecks.io.

    It raises an alarm when no ping came for longer than `period` seconds after a success.
    """

    def __init__(self, period: float) -> None:
        super().__init__()
        self.period = period
        self.alarms: list[str] = []
        self._seen, self._last = 0, 0.0

    def state(self) -> str:
        """`new`, `up` or `down`."""
        heard = [action for action, _body in self.pings() if action == ""]
        return "down" if self.alarms else "up" if heard else "new"

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(0.1):
            heard = sum(action == "" for action, _body in self.pings())
            if heard > self._seen:
                self._seen, self._last = heard, time.monotonic()
                self.alarms.clear()
            silent = time.monotonic() - self._last
            if heard and silent > self.period and not self.alarms:
                self.alarms.append(f"down: no ping for {silent:.1f} s, {self.period} s are allowed")

    @contextlib.contextmanager
    def watching(self) -> Iterator[DeadMan]:
        """Listen and check for missing pings for as long as the block lasts."""
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        self.start()
        watcher.start()
        try:
            yield self
        finally:
            ended.set()
            watcher.join()
            self.stop()


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens for as long as the block lasts."""
    made = Receiver()
    made.start()
    try:
        yield made
    finally:
        made.stop()
