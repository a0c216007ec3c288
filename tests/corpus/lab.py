"""A cluster in which databases are made from SQL, dumped, restored, spoilt and validated."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive,
    expectation,
    manifest,
    restore,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.expectation import (
    Expectation,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.kind import Archive
from ansible_collections.chefwell.resilience.plugins.module_utils.checks.findings import (
    of_restore_error,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import (
    Binaries,
    Server,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.proof_settings import (
    ProofSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    check_context,
    restore_validation,
)

HEALTHY = sorted((Path(__file__).parent / "healthy").glob("*.sql"))
ROLE = "corpus_clerk"
# Every check of a run as results have it, for the tests that look at all of them together.
SEEN: list[dict[str, Any]] = []
# The forms of an archive, and what pg_dump is given for each.
FORMS = {"custom": "-Fc", "directory": "-Fd", "tar": "-Ft", "plain": "-Fp"}
TENANT_QUERY = "SELECT schema_name FROM public.companies"


@dataclasses.dataclass(frozen=True)
class Dump:
    """A dump and what it demands."""

    path: Path
    ready: Archive
    expected: Expectation


class Lab:
    """Works on one server.

    Args:
        server: of its own, as superuser.
        folder: for dumps.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.form: list[str] = []
        self.left_out: dict[str, int] = {}

    @classmethod
    def standing(cls, settings: ProofSettings, folder: Path) -> Lab:
        """Return a lab on the server of a staging that stands."""
        server = staging.make_engine(settings.staging).find()
        assert isinstance(server, Server)
        return cls(server, folder)

    def run(self, database: str, *statements: str) -> None:
        """Run SQL, each text in a transaction of its own unless it begins one."""
        with self.connected(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    @contextlib.contextmanager
    def connected(self, database: str) -> Iterator[Any]:
        connection = psycopg2.connect(**self.server.dsn(database))
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def create(self, database: str, sql: str = "", template: str = "template0") -> None:
        """Makes a database, from SQL that psql would take or from another one."""
        self.run("postgres", f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        for statement in [sql] if sql.strip("- \n") else []:
            self.run(database, statement)

    def drop(self, database: str) -> None:
        self.run("postgres", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def dump(self, database: str, form: str = "-Fc", *more: str) -> Path:
        """Dumps a database with pg_dump."""
        path = self.folder / f"{database}{form}{'-'.join(more).replace('/', '')}.dump"
        made = subprocess.run(
            [
                *(self.server.binaries.path("pg_dump"), form, *more, f"--file={path}"),
                self.server.url(database),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        return path

    def prepare(self, path: Path, server: Server | None = None) -> Dump:
        """Decodes a dump."""
        binaries = (server or self.server).binaries
        ready = archive.prepare(str(path), str(self.folder), binaries)
        return Dump(path, ready, expectation.from_entries(ready.toc.entries, ready.rows))

    def restore(
        self,
        dump: Dump,
        database: str,
        server: Server | None = None,
        held: manifest.Manifest | None = None,
    ) -> list[str]:
        """Restores it, with owners and privileges if a manifest is given; what was found then."""
        place, roles = server or self.server, held.roles if held else None
        done = restore.restore(dump.ready, place, database, jobs=2, replace=True, roles=roles)
        if held:
            assert done.access == "" and held.access
            dump.expected.access = held.access.to_dict()
        self.form, self.left_out = done.errors, done.left_out
        return [of_restore_error(error).id for error in done.errors]

    def validate(
        self, database: str, expected: Expectation, server: Server | None = None, **settings: Any
    ) -> dict[str, Any]:
        """Run every check of a database but those of its API."""
        chosen = check_context.ValidationSettings(**settings)
        dsn = (server or self.server).dsn(database)
        result = restore_validation.validate_restore(dsn, expected, chosen, None)
        SEEN.extend(result["checks"])
        return result


def found(result: dict[str, Any]) -> list[str]:
    """Identifiers of all findings, sorted."""
    return sorted({one["id"] for check in result["checks"] for one in check["findings"]})


def evidence_of(result: dict[str, Any], identifier: str) -> str:
    """The evidence of a check."""
    return str(next(one["evidence"] for one in result["checks"] if one["id"] == identifier))


def with_amcheck() -> str:
    """The programs of an installed PostgreSQL that has amcheck."""
    control = max(Path("/usr/share/postgresql").glob("*/extension/amcheck.control"))
    return f"/usr/lib/postgresql/{control.parts[4]}/bin"


def finding_texts(result: dict[str, Any], identifiers: Sequence[str]) -> str:
    """Return the texts of the findings of these kinds."""
    return "; ".join(
        one["text"]
        for check in result["checks"]
        for one in check["findings"]
        if one["id"] in identifiers
    )


def running_lab(factory: pytest.TempPathFactory, binaries: Binaries) -> Iterator[Lab]:
    """Yield a lab on a cluster of its own."""
    root = factory.mktemp("lab")
    for folder in (root, *root.parents[:1]):
        folder.chmod(0o755)
    cluster = Cluster(str(root / "cluster"), binaries)
    cluster.create()
    try:
        lab = Lab(cluster.start(), root)
        lab.run("postgres", f"CREATE ROLE {ROLE} NOLOGIN")
        yield lab
    finally:
        cluster.remove()
