"""A manifest never harms the backup that it describes, whatever the database forbids."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import (
    content_digest,
    postgres,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from support.production_server import run_sql
from testbed import production

DEBIAN = Path("/usr/lib/postgresql")
# As docs/validation.md has it.
DOCUMENTED = (
    '{pg_dump} -Fc {more} ${{BACKUP_SNAPSHOT:+--snapshot="$BACKUP_SNAPSHOT"}} {to} | gzip > "$0"'
)

# With the names of PostgreSQL's, and another meaning.
OPERATORS = (
    "CREATE SCHEMA own",
    "CREATE FUNCTION own.never(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
    "CREATE OPERATOR own.= (LEFTARG = name, RIGHTARG = name, FUNCTION = own.never)",
    "CREATE FUNCTION own.pg_get_viewdef(oid) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'",
)


def _places() -> dict[str, str | None]:
    debian = sorted(DEBIAN.glob("*/bin/initdb"))
    return {"wheel": None, **{f"debian {path.parts[-3]}": str(path.parent) for path in debian}}


@pytest.fixture(scope="module", params=_places().values(), ids=_places())
def server(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("harmless")
    root.chmod(0o755)
    binaries = postgres.find_binaries(request.param) if request.param else production.binaries()
    cluster = Cluster(str(root / "cluster"), binaries)
    cluster.create()
    try:
        yield cluster.start()
    finally:
        cluster.remove()


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A database with a table of 2,000 rows, one with an accent, and a role that may read both."""
    run_sql(
        server, "postgres", "CREATE DATABASE shop", "CREATE ROLE dumper LOGIN PASSWORD 'secret'"
    )
    run_sql(
        server,
        "shop",
        "CREATE TABLE public.sale (id serial PRIMARY KEY, what text)",
        "INSERT INTO public.sale (what) SELECT repeat('x', 500) FROM generate_series(1, 2000)",
        'CREATE TABLE public."pão" (id integer, nome text)',
        "INSERT INTO public.\"pão\" VALUES (1, 'de açúcar')",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO dumper",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO dumper",
    )
    yield "shop"
    run_sql(
        server,
        "shop",
        "SET statement_timeout = 0",
        "SET default_transaction_read_only = off",
        "DROP OWNED BY dumper",
    )
    run_sql(server, "postgres", "DROP DATABASE shop WITH (FORCE)", "DROP ROLE dumper")


class Ended:
    """A run of backup-manifest."""

    def __init__(self, code: int, backup: Path, server: Server, errors: str) -> None:
        self.code, self.errors = code, errors
        self.manifest = manifest.read(str(backup))
        self.tables: set[str] = set()
        if backup.exists() and backup.read_bytes()[:4] != b"age-" and backup.stat().st_size > 100:
            unpacked = backup.with_suffix(".unpacked")
            unpacked.write_bytes(gzip.decompress(backup.read_bytes()))
            content = subprocess.run(
                [server.binaries.path("pg_restore"), "--list", str(unpacked)],
                capture_output=True,
                check=True,
            ).stdout
            try:
                listed = content.decode()
            except UnicodeDecodeError:
                listed = content.decode("latin-1")
            rows = [line for line in listed.splitlines() if " TABLE DATA " in line]
            self.tables = {line.split(" TABLE DATA ")[1].rsplit(" ", 1)[0] for line in rows}


@pytest.fixture
def back_up(
    server: Server, database: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Any:
    def made(
        line: str = DOCUMENTED,
        user: str = "",
        more: str = "",
        dsn: str | None = None,
        before: str = "",
        shell: tuple[str, ...] = ("bash", "-o", "pipefail", "-c"),
    ) -> Ended:
        parameters = server.dsn(database) | ({"user": user, "password": "secret"} if user else {})
        text = " ".join(f"{key}={value}" for key, value in parameters.items())
        backup = tmp_path / "shop.dump.gz"
        config = tmp_path / "staging.json"
        places = {name: str(tmp_path) for name in ("work_dir", "state_dir", "backup_path")}
        values = {**places, "language": "en", "log_file": str(tmp_path / "log")}
        config.write_text(json.dumps(values))
        pg_dump = server.binaries.path("pg_dump")
        command = before + line.format(pg_dump=pg_dump, more=more, to=f"'{text}'")
        arguments = ["backup-manifest", "--config", str(config), "--backup", str(backup)]
        arguments += ["--dsn", text if dsn is None else dsn, "--", *shell, command, str(backup)]
        code = host_cli.main(arguments)
        return Ended(code, backup, server, capfd.readouterr().err)

    return made


ALL = {"public sale", "public pão"}


def test_a_healthy_database(back_up: Any) -> None:
    ended = back_up()
    assert (ended.code, ended.tables) == (0, ALL), ended.errors
    assert ended.manifest.tables["public", "sale"][0] == 2000
    assert ended.manifest.structure.schemas and not ended.manifest.unreadable
    assert ended.manifest.sequences == {("public", "sale_id_seq"): (2000, 1)}


@pytest.mark.parametrize(
    "setting",
    [
        "statement_timeout = '3ms'",
        "idle_in_transaction_session_timeout = '50ms'",
        "lock_timeout = '1ms'",
        "client_encoding = 'LATIN1'",
        "default_transaction_isolation = 'serializable'",
        "search_path = 'nowhere'",
        "row_security = off",
        "default_transaction_read_only = on",
        "search_path = own, pg_catalog",
    ],
)
def test_the_databases_own_settings(
    server: Server, database: str, back_up: Any, setting: str
) -> None:
    if "own" in setting:
        run_sql(server, database, *OPERATORS)
    run_sql(server, database, f"ALTER DATABASE {database} SET {setting}")
    # The dump begins late, so that whatever ends idle sessions does so before.
    ended = back_up(before="sleep 0.5; ")
    assert (ended.code, ended.tables) == (0, ALL), ended.errors
    assert set(ended.manifest.tables) == {("public", "sale"), ("public", "pão")}
    assert not ended.manifest.unreadable


def test_a_schema_that_the_role_may_not_read(server: Server, database: str, back_up: Any) -> None:
    run_sql(server, database, "CREATE SCHEMA secret", "CREATE TABLE secret.plan (id integer)")
    ended = back_up(user="dumper", more="-N secret")
    assert (ended.code, ended.tables) == (0, ALL), ended.errors
    assert "permission denied" in ended.manifest.unreadable["secret.plan"]
    assert "secret.plan" in ended.errors
    assert set(ended.manifest.tables) == {("public", "sale"), ("public", "pão")}


def test_a_table_that_hides_rows_from_the_role(server: Server, database: str, back_up: Any) -> None:
    run_sql(
        server,
        database,
        "CREATE TABLE public.hidden (id integer)",
        "ALTER TABLE public.hidden ENABLE ROW LEVEL SECURITY",
        "GRANT SELECT ON public.hidden TO dumper",
    )
    ended = back_up(user="dumper", more="-T public.hidden")
    assert (ended.code, ended.tables) == (0, ALL), ended.errors
    assert "row-level security" in ended.manifest.unreadable["public.hidden"]


def test_a_table_that_is_locked(
    server: Server, database: str, back_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(manifest_snapshot.SESSION, "lock_timeout", 100)
    run_sql(server, database, "CREATE TABLE public.moving (id integer)")
    with contextlib.closing(psycopg2.connect(**server.dsn(database))) as other:
        other.cursor().execute("LOCK TABLE public.moving")
        ended = back_up(more="-T public.moving")
    assert (ended.code, ended.tables) == (0, ALL), ended.errors
    assert "lock timeout" in ended.manifest.unreadable["public.moving"]


def test_a_sequence_that_is_locked(
    server: Server, database: str, back_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a session that restarts it, as TRUNCATE … RESTART IDENTITY does: the others are read."""
    monkeypatch.setitem(manifest_snapshot.SESSION, "lock_timeout", 100)
    run_sql(
        server,
        database,
        "CREATE SCHEMA moving",
        "CREATE SEQUENCE moving.one",
        "CREATE TABLE moving.two (id serial)",
    )
    with contextlib.closing(psycopg2.connect(**server.dsn(database))) as other:
        cursor = other.cursor()
        cursor.execute("ALTER SEQUENCE moving.one RESTART")
        cursor.execute("TRUNCATE moving.two RESTART IDENTITY")
        ended = back_up(more="-N moving")
    assert (ended.code, ended.tables) == (0, ALL), ended.errors
    assert {"moving.one", "moving.two_id_seq"} <= set(ended.manifest.unreadable)
    assert "lock timeout" in ended.manifest.unreadable["moving.one"]
    assert ended.manifest.sequences == {("public", "sale_id_seq"): (2000, 1)}


def test_locks_are_few_whatever_the_number_of_tables(
    server: Server, database: str, back_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sql(
        server,
        database,
        "DO $$ BEGIN FOR n IN 1..200 LOOP EXECUTE format('CREATE TABLE public.many_%s"
        " (a integer PRIMARY KEY, b integer UNIQUE, c integer); CREATE INDEX ON public.many_%s (c);"
        " CREATE VIEW public.seen_%s AS SELECT * FROM public.many_%s', n, n, n, n);"
        " END LOOP; END $$",
    )
    held = []
    real = content_digest.read

    def counted(cursor: Any, batch: Any) -> Any:
        result = real(cursor, batch)
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()")
        held.append(cursor.fetchone()[0])
        return result

    monkeypatch.setattr(content_digest, "read", counted)
    ended = back_up()
    assert ended.code == 0, ended.errors
    assert len(ended.manifest.tables) == 202
    assert len(held) > 10 and max(held) <= content_digest.BATCH * 4 + 10


def test_no_snapshot_leaves_a_backup_without_a_manifest(
    back_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGDATABASE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    for dsn, why in (("dbname=shop host=/nowhere", "cannot be read"), ("", "no database is named")):
        ended = back_up(dsn=dsn)
        assert (ended.code, ended.tables) == (1, ALL), ended.errors
        assert ended.manifest is None and why in ended.errors


def test_the_session_of_the_snapshot_is_ended_from_outside(
    server: Server, database: str, back_up: Any
) -> None:
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE '%pg_export_snapshot%' AND pid <> pg_backend_pid()"
    )
    psql = f"{server.binaries.path('psql')} -qAt '{server.url(database)}' -c \"{end}\" >&2; "
    ended = back_up(before=psql)
    assert (ended.code, ended.tables) == (1, ALL), ended.errors
    assert ended.manifest is None and "was ended" in ended.errors


@pytest.mark.parametrize(
    ("line", "dsn"),
    [
        # pg_dump fails, and gzip's exit code hides it.
        ('{pg_dump} -Fc --no-such-option {to} | gzip > "$0"', None),
        # Without a snapshot this would be a request for one without a name.
        (
            '{pg_dump} -Fc --snapshot="$BACKUP_SNAPSHOT" {to} | gzip > "$0"',
            "host=/nowhere dbname=x",
        ),
        ("true", None),
        ("exit 7", None),
        (': > "$0"', None),
        # What other packers make of nothing, and what seals it.
        ('{pg_dump} -Fc --no-such-option {to} | zstd -q > "$0"', None),
        ('{pg_dump} -Fc --no-such-option {to} | lz4 -q > "$0"', None),
        ('{pg_dump} -Fp --no-such-option {to} | xz > "$0"', None),
        (
            "{pg_dump} -Fp --no-such-option {to} | gzip"
            ' | age -r $(age-keygen 2>/dev/null | age-keygen -y) > "$0"',
            None,
        ),
        ('gzip < /dev/null | head -c 12 > "$0"', None),
    ],
)
def test_no_backup_is_distinguished_from_no_manifest(
    back_up: Any, line: str, dsn: str | None
) -> None:
    ended = back_up(line=line, dsn=dsn, shell=("sh", "-c"))
    assert ended.code == 2 and ended.manifest is None
    assert "no backup" in ended.errors
