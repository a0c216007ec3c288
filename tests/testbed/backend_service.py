"""The backend of a testbed's production, or another one with a broken route."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import sample
from .services import Service, free_port

SCRIPT = Path(__file__).resolve().with_name("backend.py")
# Requests to loopback must not use a proxy of the environment.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def describe(root: Path, postgres: dict[str, Any]) -> dict[str, Any]:
    """A backend that does not exist yet, as it stands in the record."""
    port = free_port()
    address = f"{postgres['host']}:{postgres['port']}/{postgres['dbname']}"
    return {
        "url": f"http://127.0.0.1:{port}",
        "port": port,
        "script": str(root / "backend" / "backend.py"),
        "python": sys.executable,
        "database_url": f"postgresql://{postgres['user']}:{postgres['password']}@{address}",
        "jwt_secret": secrets.token_hex(32),
        "admin_email": sample.FLAGSHIP_EMAIL,
        "admin_password": sample.PASSWORD,
        "pid": None,
    }


class Backend:
    """The backend of one testbed.

    Args:
        root: the testbed's folder.
        settings: as `describe` gives them.
    """

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.root = root
        self.service = Service("backend", root)

    def make(self) -> None:
        """Install the script."""
        script = Path(self.settings["script"])
        script.parent.mkdir(mode=0o755)
        shutil.copy(SCRIPT, script)

    def start(self) -> None:
        """Start it and wait until it responds."""
        _start(self.service, self.settings, {"NODE_ENV": "production"})
        self.settings["pid"] = self.service.pid()

    def stop(self) -> None:
        """Stop it, and other backends of the testbed that still run."""
        self.service.stop([signal.SIGTERM])
        for note in (self.root / "run").glob("backend-*.stat"):
            Service(note.stem, self.root).stop([signal.SIGTERM])

    @contextlib.contextmanager
    def another(self, **environment: str) -> Iterator[str]:
        """A second backend over the same database, for the block; yields its URL.

        Args:
            environment: beside the production one's, such as `BREAK_ROUTE`.
        """
        port = free_port()
        settings = {**self.settings, "port": port, "url": f"http://127.0.0.1:{port}"}
        service = Service(f"backend-{port}", self.root)
        try:
            _start(service, settings, environment)
            yield settings["url"]
        finally:
            service.stop([signal.SIGTERM])


def _start(service: Service, settings: dict[str, Any], more: dict[str, str]) -> None:
    # Only a little of this environment: production must not depend on it.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    env = {
        **kept,
        "LANG": "C.UTF-8",
        "DATABASE_URL": f"{settings['database_url']}?schema=public",
        "JWT_SECRET": settings["jwt_secret"],
        "PORT": str(settings["port"]),
        **more,
    }
    service.start([settings["python"], settings["script"]], env)
    service.await_ready(lambda: healthy(settings["url"]))


def healthy(url: str) -> bool:
    """Whether a backend and its database respond."""
    try:
        with _OPENER.open(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
