"""A connection follows its parameters, whatever variables of libpq are set."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import content_digest
from ansible_collections.chefwell.resilience.plugins.module_utils.database.catalogue import (
    Catalogue,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.connection import (
    connect,
    driver,
    identifier,
    open_connection,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from testbed import production

# What an owner's profile may hold for another server; 192.0.2.1 is an example (RFC 5737).
FOREIGN = {
    "PGHOSTADDR": "192.0.2.1",
    "PGSERVICE": "elsewhere",
    "PGOPTIONS": "-c nothing.like=this -c statement_timeout=1",
    "PGPORT": "1",
    "PGSSLMODE": "require",
    "PGCLIENTENCODING": "LATIN1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is made and started in that environment."""
    root = tmp_path_factory.mktemp("connection")
    root.chmod(0o755)
    cluster = Cluster(str(root / "cluster"), production.binaries())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in FOREIGN.items():
            patch.setenv(name, value)
        cluster.create()
        try:
            yield cluster.start()
        finally:
            cluster.remove()


def test_the_environment_is_hidden_from_a_connection_and_kept(server: Server) -> None:
    with contextlib.closing(open_connection(server.dsn("postgres"))) as connection:
        assert connection.encoding == "UTF8"
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)
    assert {name: os.environ.get(name) for name in FOREIGN} == FOREIGN


def test_the_environment_is_used_on_request(server: Server) -> None:
    with pytest.raises(driver().OperationalError, match="elsewhere"):
        open_connection(server.dsn("postgres"), private=False)


def test_settings_and_read_only_belong_to_the_session(server: Server) -> None:
    settings = {"statement_timeout": 1234, "lock_timeout": 7}
    opened = open_connection(server.dsn("postgres"), read_only=True, settings=settings)
    with contextlib.closing(opened) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("1234ms",)
        with pytest.raises(driver().errors.ReadOnlySqlTransaction):
            cursor.execute("CREATE TABLE t ()")


@pytest.mark.parametrize("given", [{"password": "wrong"}, {"dbname": "nowhere"}])
def test_a_refused_connection_is_an_error_with_option_and_remedy(
    server: Server, given: dict[str, str]
) -> None:
    parameters = {**server.dsn("postgres"), **given}
    with pytest.raises(ResilienceError, match="the server cannot be connected to") as caught:
        connect(parameters, what="the server", option="host", remedy="look at it")
    assert (caught.value.option, caught.value.remedy) == ("host", "look at it")


def test_psycopg2_is_named_when_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(ResilienceError, match="psycopg2"):
        open_connection({"host": str(tmp_path)})


@pytest.mark.parametrize("name", ["pão", "p\udce3o"])
def test_bytes_of_a_database_without_an_encoding_come_and_go_as_they_are(
    server: Server, name: str
) -> None:
    """As UTF-8 where they are, as half a surrogate pair where they are not."""
    table = identifier(name)
    make = "CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    with contextlib.closing(open_connection(server.dsn("postgres"))) as connection:
        connection.cursor().execute(make)
    try:
        opened = open_connection(server.dsn("bytes"))
        with contextlib.closing(opened) as connection, connection.cursor() as cursor:
            cursor.execute(driver().sql.SQL("CREATE TABLE {} (t text)").format(table))
            cursor.execute(driver().sql.SQL("INSERT INTO {} VALUES (%s)").format(table), [name])
            cursor.execute("SELECT relname FROM pg_class WHERE relname ~ '^p[^g].*o$'")
            assert cursor.fetchall() == [(name,)]
            assert Catalogue(connection).relations("r") == {("public", name)}
            held = content_digest.take(cursor)
            assert list(held) == [("public", name)] and held["public", name][0] == 1
    finally:
        with contextlib.closing(open_connection(server.dsn("postgres"))) as connection:
            connection.cursor().execute("DROP DATABASE bytes WITH (FORCE)")
