"""Requests to production from outside, over and over, and which of them failed."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import ssl
import threading
import time
from collections.abc import Iterator, Sequence

from .engine import Engine
from .swarm import NAMES

# The page that people open, and a route that reads the database.
PATHS = ((NAMES[0], "/"), (NAMES[1], "/health"))


@dataclasses.dataclass
class Availability:
    """A client that sends several requests a second, each over a connection of its own.

    Attributes:
        engine: the engine in whose network the client is.
        paths: the paths that it requests, each with the name of the server.
        pause: seconds between two rounds.
        patience: seconds after which a missing response is a failure.
        requests: the number of requests.
        failed: the others, each with its time, name and reason.
        longest_gap: seconds between the ends of two rounds at most; nothing was seen within.
    """

    engine: Engine
    paths: Sequence[tuple[str, str]] = PATHS
    pause: float = 0.15
    patience: float = 10
    requests: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)
    longest_gap: float = 0.0
    seconds: float = 0.0

    @contextlib.contextmanager
    def watched(self) -> Iterator[Availability]:
        """Send requests while the block runs.

        Raises:
            RuntimeError: the client failed, so that nothing is known.
        """
        end = threading.Event()
        died: list[BaseException] = []
        watcher = threading.Thread(target=self._watch, args=(end, died))
        watcher.start()
        try:
            yield self
        finally:
            end.set()
            watcher.join()
        if died:
            raise RuntimeError("nobody watched whether the system responds") from died[0]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    def _watch(self, end: threading.Event, died: list[BaseException]) -> None:
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        began = last = time.monotonic()
        try:
            with self.engine.network():
                while not end.is_set():
                    for name, path in self.paths:
                        self._request(trusting, name, path)
                    now = time.monotonic()
                    self.longest_gap = max(self.longest_gap, now - last)
                    last = now
                    self.seconds = now - began
                    end.wait(self.pause)
        except BaseException as error:  # raised again by `watched`, in the test's own thread
            died.append(error)

    def _request(self, trusting: ssl.SSLContext, name: str, path: str) -> None:
        self.requests += 1
        connection = http.client.HTTPSConnection(
            "127.0.0.1", timeout=self.patience, context=trusting
        )
        try:
            connection.request("GET", path, headers={"Host": name, "Connection": "close"})
            status = connection.getresponse().status
            problem = "" if status == 200 else f"HTTP {status}"
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        if problem:
            moment = time.strftime("%H:%M:%S")
            self.failed.append(f"{moment} {name}{path}: {problem}")
