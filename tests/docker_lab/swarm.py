"""ChefWell in production on a Swarm of one node: PostgreSQL, two backends, TLS in front."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg2
from testbed import production, sample
from testbed.engine import ResilienceError
from testbed.seeding import Seeding

from . import images
from .engine import Engine

STACK = Path(__file__).resolve().with_name("chefwell-stack.yml")
NAME = "chefwell"
SERVICES = ("chefwell_postgres", "chefwell_backend", "chefwell_front")
NAMES = ("app.chefwell.pro", "api.chefwell.pro")
READY_SECONDS = 90
REPLICAS = 2


@dataclasses.dataclass
class Swarm:
    """A running production.

    Attributes:
        engine: where it runs.
        root: a folder of its own, for its secrets.
        settings: of its database, as the testbed's `Production` has them.
        programs: PostgreSQL's programs on this machine.
    """

    engine: Engine
    root: Path
    settings: dict[str, Any]
    programs: Path

    @classmethod
    @contextlib.contextmanager
    def up(
        cls,
        engine: Engine,
        root: Path,
        *,
        tenants: int = 3,
        seed: int = 1,
        report: Callable[[str], None] = lambda line: None,
    ) -> Iterator[Swarm]:
        """Start the production, and remove it when the block ends.

        Args:
            engine: a running one, in no swarm.
            root: a folder of its own.
            tenants: how many, ChefWell's own included.
            seed: the same one gives the same rows.
            report: called with a line about the progress.
        """
        images.make(engine, ("postgres", "backend", "front"), report)
        root.mkdir(parents=True, exist_ok=True)
        password = secrets.token_urlsafe(24)
        bin_dir = production.binaries().bin_dir
        settings = {
            "host": "127.0.0.1",
            "port": 5432,
            "user": "postgres",
            "password": password,
            "dbname": production.DATABASE,
            "bin_dir": bin_dir,
        }
        made = cls(engine, root, settings, Path(bin_dir))
        engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
        try:
            made._deploy()
            with engine.network():
                made.await_ready(made.database_answers, "PostgreSQL")
                made._seed(tenants, seed)
                made.await_ready(made.healthy, "the system")
            # One replica responds before the other one runs.
            made.await_ready(made.complete, "every replica")
            report(f"production is up: {tenants} stores")
            yield made
        finally:
            engine.empty()
            (root / "postgres_password").unlink(missing_ok=True)

    def connect(self, dbname: str | None = None) -> psycopg2.extensions.connection:
        """A connection as superuser; only within the engine's network."""
        return production.connect(self.settings, dbname)

    def run_sql(self, statement: str, dbname: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as superuser; return the rows, where there are some."""
        with self.engine.network(), contextlib.closing(self.connect(dbname)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def database_answers(self) -> bool:
        """Whether PostgreSQL accepts connections; only within the engine's network."""
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def healthy(self) -> bool:
        """Whether a request through TLS, backend and database succeeds."""
        with contextlib.suppress(OSError):
            return get(NAMES[1], "/health") == 200
        return False

    def await_ready(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds.

        Raises:
            ResilienceError: it does not in time; with the state of the services.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                state = self.engine.docker("service", "ls")
                tasks = self.engine.docker("stack", "ps", "--no-trunc", NAME)
                raise ResilienceError(f"{what} does not answer:\n{state}\n{tasks}")
            time.sleep(0.2)

    def complete(self) -> bool:
        """Whether every service has as many running replicas as it should."""
        return all(
            running == expected
            for running, expected in (reported.split("/") for reported in self.replicas().values())
        )

    def replicas(self) -> dict[str, str]:
        """`running/expected` by service."""
        listed = self.engine.docker("service", "ls", "--format", "{{.Name}} {{.Replicas}}")
        return dict(line.split()[:2] for line in listed.splitlines())

    def containers(self, service: str) -> list[str]:
        """The running containers of a service."""
        label = f"label=com.docker.swarm.service.name={service}"
        return self.engine.docker("ps", "--quiet", "--filter", label).split()

    @contextlib.contextmanager
    def broken(self, route: str, how: str) -> Iterator[None]:
        """A production whose backends break one route (see backend.py) while the block runs."""
        self.set_backend(f"BREAK_ROUTE={route}:{how}")
        try:
            yield
        finally:
            self.set_backend("BREAK_ROUTE=")

    def set_backend(self, variable: str) -> None:
        """Set a variable of the backends' environment, and wait until they are replaced."""
        self.engine.docker(
            *("service", "update", "--quiet", "--env-add", variable, "chefwell_backend")
        )
        self.await_ready(lambda: len(self.containers("chefwell_backend")) == REPLICAS, "the end")
        # The front sends requests to the old ones for another second (front.conf).
        time.sleep(1.2)
        with self.engine.network():
            self.await_ready(self.healthy, "the system")

    def _deploy(self) -> None:
        file = self.root / "postgres_password"
        file.touch(mode=0o600)
        file.write_text(self.settings["password"], encoding="ascii")
        own = {
            "POSTGRES_PASSWORD": self.settings["password"],
            "JWT_SECRET": secrets.token_hex(32),
            "SECRETS": str(self.root),
        }
        self.engine.docker(
            *("stack", "deploy", "--resolve-image", "never", "--compose-file", str(STACK), NAME),
            environment=own,
        )

    def _seed(self, tenants: int, seed: int) -> None:
        with contextlib.closing(self.connect()) as connection:
            seeding = Seeding(connection, sample.stores(tenants, seed))
            seeding.make_tables()
            seeding.grow(Fraction(1))
            seeding.finish()


def get(name: str, path: str, seconds: float = 5) -> int:
    """The HTTP status of one GET through TLS; only within the engine's network.

    Raises:
        OSError: there is no response.
    """
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting)
    )
    request = urllib.request.Request(f"https://127.0.0.1{path}", headers={"Host": name})
    try:
        with opener.open(request, timeout=seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
