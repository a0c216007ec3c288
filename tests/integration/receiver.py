"""A real HTTP receiver on this machine, for notifications and pings."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any


class Receiver:
    """Takes down every request, and answers as it is told to.

    Attributes:
        requests: method, path and body of each, in order.
        status: what it answers with.
        delay: seconds before it answers.
        port: where it listens; it keeps the port when it is stopped and started.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []
        self.status, self.delay, self.port = 200, 0.0, 0
        self._server: http.server.ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listens."""
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                receiver.requests.append((self.command, self.path, body))
                time.sleep(receiver.delay)
                with contextlib.suppress(OSError):
                    self.send_response(receiver.status)
                    self.end_headers()

            do_GET = do_POST

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Is gone: connections are refused."""
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
        """Its address as a dead-man check."""
        return f"http://127.0.0.1:{self.port}/ping/0123-4567"

    def messages(self) -> list[dict[str, Any]]:
        """What the webhook was sent."""
        return [json.loads(body) for _method, path, body in self.requests if path == "/hook"]

    def pings(self) -> list[tuple[str, str]]:
        """Action and body of each ping."""
        start = "/ping/0123-4567"
        return [
            (path.removeprefix(start), body)
            for _method, path, body in self.requests
            if path.startswith(start)
        ]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens for as long as the block lasts."""
    made = Receiver()
    made.start()
    try:
        yield made
    finally:
        made.stop()
