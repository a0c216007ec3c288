"""An HTTP server that sends any bytes, at any pace: what no proper server does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator


class RawHttpServer:
    """A server on this machine that takes a whole request, and leaves the response to a function.

    Attributes:
        requests: the bodies of the requests, in order.
        webhook: its address as an Apprise JSON webhook.
        tls: its certificate; None for plain HTTP.
    """

    def __init__(
        self, respond: Callable[[socket.socket], object], tls: ssl.SSLContext | None = None
    ) -> None:
        self.tls = tls
        self.requests: list[bytes] = []
        self._respond = respond
        self._server = socket.create_server(("127.0.0.1", 0))
        self.webhook = f"json://127.0.0.1:{self._server.getsockname()[1]}/hook"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._server.accept()
            except OSError:  # it was closed
                return
            threading.Thread(target=self._take, args=(connection,), daemon=True).start()

    def _take(self, connection: socket.socket) -> None:
        # A client that has seen enough closes the connection.
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            stack.enter_context(connection)
            if self.tls:
                connection = stack.enter_context(self.tls.wrap_socket(connection, server_side=True))
            received = b""
            while b"\r\n\r\n" not in received:
                block = connection.recv(65536)
                if not block:
                    return
                received += block
            head, _end, body = received.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if b"content-length:" in line]
            length = int(lengths[0].partition(b":")[2]) if lengths else 0
            while len(body) < length:
                body += connection.recv(65536)
            self.requests.append(body)
            self._respond(connection)


@contextlib.contextmanager
def raw_server(
    respond: Callable[[socket.socket], object], tls: ssl.SSLContext | None = None
) -> Iterator[RawHttpServer]:
    """A server that listens for as long as the block lasts."""
    server = RawHttpServer(respond, tls)
    try:
        yield server
    finally:
        server.close()
