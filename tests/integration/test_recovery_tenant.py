"""One tenant alone: what looks at it from elsewhere looks at the restored one, or it is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import (
    recovery,
    recovery_run,
    recovery_tenant,
)
from support.production_server import (
    HOST,
    PRODUCTION,
    databases,
    recovery_settings,
    run_sql,
    server,
)
from support.repeated import repeated

__all__ = ["server"]

TENANT, OTHER = "tenant_chefwell", "tenant_b"


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Iterator[recovery.RecoverySettings]:
    """Two tenants with goods of their own, and a shared schema."""
    tmp_path.chmod(0o755)
    run_sql(server, "postgres", f"CREATE DATABASE {PRODUCTION}")
    run_sql(server, PRODUCTION, "CREATE TABLE shared (id int PRIMARY KEY, goods int)")
    for tenant in (TENANT, OTHER):
        make_tenant(server, tenant)
    yield recovery_settings(server, tmp_path)
    for name in databases(server):
        run_sql(server, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')


def make_tenant(server: Server, tenant: str) -> None:
    run_sql(
        server,
        PRODUCTION,
        f'CREATE SCHEMA "{tenant}"',
        f'CREATE TABLE "{tenant}".goods (id int PRIMARY KEY, name text, kind text)',
        f"""INSERT INTO "{tenant}".goods SELECT n, 'new', 'x' FROM generate_series(1, 5) n""",
        f'CREATE SEQUENCE "{tenant}".numbers',
        # Its triggers are on both tables.
        f'ALTER TABLE "{tenant}".goods ADD COLUMN shared int REFERENCES shared',
        f"""CREATE FUNCTION "{tenant}".fits(goods int) RETURNS boolean LANGUAGE sql
            RETURN goods < 100""",
    )


def back_up(server: Server, folder: Path) -> str:
    path = folder / "shop_20251120_030000.dump"
    dump = [server.binaries.path("pg_dump"), "-Fc", f"--file={path}", server.url(PRODUCTION)]
    subprocess.run(dump, check=True)
    return str(path)


def restore(settings: recovery.RecoverySettings, backup: str, tenant: str = TENANT) -> Any:
    restored = recovery_tenant.restore_beside(settings, tenant, path=backup)
    wrong = [one for one in restored.get("checks", []) if one["status"] != "passed"]
    assert restored["verdict"] == "passed", (restored.get("problem"), wrong)
    return restored


def switch(settings: recovery.RecoverySettings, name: str, tenant: str = TENANT) -> Any:
    return recovery_tenant.switch(settings, tenant, name, HOST, lambda text: None)


DEPENDANTS = (
    "CREATE VIEW report WITH (security_barrier = true)"
    f" AS SELECT id, name AS title FROM {TENANT}.goods",
    "CREATE VIEW report_of_report AS SELECT count(*) AS goods FROM report",
    f"""CREATE VIEW odd AS SELECT '100%%' AS "per cent", g.* FROM {TENANT}.goods g""",
    "CREATE FUNCTION goods_now() RETURNS bigint"
    f" BEGIN ATOMIC SELECT count(*) FROM {TENANT}.goods; END",
    f"CREATE TABLE orders (number bigint DEFAULT nextval('{TENANT}.numbers'), goods int)",
    f"ALTER TABLE orders ADD CONSTRAINT fits CHECK ({TENANT}.fits(goods))",
    f"ALTER TABLE orders ADD FOREIGN KEY (goods) REFERENCES {TENANT}.goods",
    "CREATE TABLE years (year int, goods int) PARTITION BY RANGE (year)",
    f"ALTER TABLE years ADD CONSTRAINT sold FOREIGN KEY (goods) REFERENCES {TENANT}.goods",
    "CREATE TABLE this_year PARTITION OF years FOR VALUES FROM (2026) TO (2027)",
    f"CREATE POLICY known ON shared USING (id IN (SELECT id FROM {TENANT}.goods))"
    f" WITH CHECK ({TENANT}.fits(id))",
    f"CREATE STATISTICS public.habits ON name, kind FROM {TENANT}.goods",
    "ALTER STATISTICS public.habits SET STATISTICS 7",
    "COMMENT ON STATISTICS public.habits IS 'it''s 100% \\ so'",
    "COMMENT ON CONSTRAINT fits ON orders IS 'it fits'",
    f"CREATE PUBLICATION feed FOR TABLE {TENANT}.goods (id, name) WHERE (id > 1), shared",
    f"CREATE PUBLICATION whole FOR TABLES IN SCHEMA {TENANT}",
    f"CREATE RULE kept AS ON UPDATE TO shared DO ALSO INSERT INTO {TENANT}.goods VALUES (90)",
    f"CREATE FUNCTION {TENANT}.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    f"CREATE TRIGGER noted AFTER INSERT ON shared FOR EACH ROW EXECUTE FUNCTION {TENANT}.noted()",
    "COMMENT ON TRIGGER noted ON shared IS 'noted'",
    f"CREATE VIEW {OTHER}.neighbours AS SELECT name FROM {TENANT}.goods",
)
# Everything that PostgreSQL knows of them, by name.
KNOWN = (
    "SELECT pg_get_viewdef('report'::regclass), pg_get_viewdef('odd'::regclass),"
    f" pg_get_viewdef('{OTHER}.neighbours'::regclass)",
    "SELECT reloptions FROM pg_class WHERE relname = 'report'",
    "SELECT pg_get_functiondef('goods_now'::regproc)",
    "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'orders'::regclass",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid IN ('orders'::regclass, 'years'::regclass, 'this_year'::regclass)"
    " ORDER BY conrelid::regclass::text, 1",
    "SELECT pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy",
    "SELECT pg_get_statisticsobjdef(oid), stxowner, stxstattarget FROM pg_statistic_ext",
    "SELECT obj_description(oid, 'pg_statistic_ext') FROM pg_statistic_ext"
    " UNION ALL SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint"
    " WHERE conrelid = 'orders'::regclass UNION ALL SELECT obj_description(oid, 'pg_trigger')"
    " FROM pg_trigger WHERE tgname = 'noted' ORDER BY 1",
    "SELECT pubname, schemaname, tablename, attnames, rowfilter FROM pg_publication_tables"
    " ORDER BY 1, 2, 3",
    "SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE rulename = 'kept'",
    "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'shared'::regclass"
    " AND NOT tgisinternal",
)


DESCRIBED = f"SELECT obj_description('{TENANT}'::regnamespace, 'pg_namespace')"


def known(server: Server) -> list[Any]:
    return [run_sql(server, PRODUCTION, query) for query in KNOWN]


def test_all_that_looks_at_the_tenant_looks_at_the_restored_one(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    run_sql(server, PRODUCTION, *DEPENDANTS)
    backup, before = back_up(server, tmp_path), known(server)
    assert all(rows for rows in before)
    run_sql(server, PRODUCTION, f"UPDATE {TENANT}.goods SET name = 'spoilt'")
    restored = restore(settings, backup)
    assert run_sql(server, PRODUCTION, "SELECT DISTINCT title FROM report") == [("spoilt",)]
    done = switch(settings, restored["name"])
    assert known(server) == before
    for query in (
        "SELECT DISTINCT title FROM report",
        "SELECT DISTINCT name FROM odd",
        f"SELECT DISTINCT name FROM {OTHER}.neighbours",
    ):
        assert run_sql(server, PRODUCTION, query) == [("new",)], query
    run_sql(server, PRODUCTION, f"DELETE FROM {TENANT}.goods WHERE id = 5")
    assert run_sql(server, PRODUCTION, "SELECT goods_now()") == [(4,)]
    assert run_sql(server, PRODUCTION, "SELECT goods FROM report_of_report") == [(4,)]
    for name in (
        "view public.report",
        "goods_now",
        "fits",
        "policy known",
        "habits",
        "feed",
        "whole",
    ):
        assert any(name in moved for moved in done["moved"]), (name, done["moved"])
    # Nothing of elsewhere keeps the old one; it may go.
    run_sql(server, PRODUCTION, f"DROP SCHEMA {done['kept']} CASCADE")
    assert known(server)[1:] == before[1:]


def test_the_way_back_takes_them_back(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    run_sql(server, PRODUCTION, *DEPENDANTS)
    backup = back_up(server, tmp_path)
    run_sql(
        server,
        PRODUCTION,
        f"UPDATE {TENANT}.goods SET name = 'later'",
        f"COMMENT ON SCHEMA {TENANT} IS 'the baker''s; 100% of it'",
    )
    done = switch(settings, restore(settings, backup)["name"])
    assert run_sql(server, PRODUCTION, DESCRIBED) == [("the baker's; 100% of it",)]
    switch(settings, done["kept"])
    assert run_sql(server, PRODUCTION, DESCRIBED) == [("the baker's; 100% of it",)]
    assert run_sql(server, PRODUCTION, "SELECT DISTINCT title FROM report") == [("later",)]


REFUSED = {
    "materialized view": f"CREATE MATERIALIZED VIEW held AS SELECT * FROM {TENANT}.goods",
    "function public.held": f"CREATE FUNCTION held() RETURNS SETOF {TENANT}.goods LANGUAGE sql"
    f" AS 'SELECT * FROM {TENANT}.goods'",
    "table public.held": f"CREATE TABLE held () INHERITS ({TENANT}.goods)",
    "held ": f"CREATE TABLE held (one {TENANT}.goods)",
    "index public.held": f"CREATE TABLE t (id int); CREATE INDEX held ON t (({TENANT}.fits(id)))",
    "event trigger held": f"CREATE FUNCTION {TENANT}.watch() RETURNS event_trigger"
    " LANGUAGE plpgsql AS 'BEGIN END';"
    f"CREATE EVENT TRIGGER held ON sql_drop EXECUTE FUNCTION {TENANT}.watch()",
    "default value": "CREATE TABLE held (id int,"
    f" fits boolean GENERATED ALWAYS AS ({TENANT}.fits(id)) STORED)",
    "subscription held": "CREATE SUBSCRIPTION held CONNECTION 'dbname=nowhere' PUBLICATION p"
    " WITH (connect = false); INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)"
    f" SELECT oid, '{TENANT}.goods'::regclass, 'r' FROM pg_subscription",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_moved_refuses_the_switch(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path, what: str
) -> None:
    backup = back_up(server, tmp_path)
    run_sql(server, PRODUCTION, *DEPENDANTS, *REFUSED[what].split("; "))
    before = known(server)
    restored = restore(settings, backup)
    try:
        with pytest.raises(ResilienceError) as caught:
            switch(settings, restored["name"])
        assert what in str(caught.value) and "nothing was changed" in str(caught.value)
        assert known(server) == before
        names = run_sql(server, PRODUCTION, "SELECT nspname FROM pg_namespace ORDER BY 1")
        assert (TENANT,) in names and (restored["name"],) in names
    finally:
        if what.startswith("subscription"):
            run_sql(
                server,
                PRODUCTION,
                "DELETE FROM pg_subscription_rel",
                "ALTER SUBSCRIPTION held SET (slot_name = NONE)",
                "DROP SUBSCRIPTION held",
            )


FORBIDS = (
    "CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$"
    " BEGIN RAISE EXCEPTION 'no DDL here: %', tg_tag; END $$",
    "CREATE EVENT TRIGGER forbidding ON ddl_command_start EXECUTE FUNCTION forbid()",
)


def test_an_event_trigger_that_forbids_ddl_is_named(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    """One in production: neither the restore nor the switch is half done, and it says why."""
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname ~ 'tenant' ORDER BY 1"
    backup = back_up(server, tmp_path)
    restored = restore(settings, backup)
    before = run_sql(server, PRODUCTION, schemas)
    run_sql(server, PRODUCTION, *FORBIDS)
    try:
        with pytest.raises(ResilienceError) as caught:
            switch(settings, restored["name"])
        assert "no DDL here: ALTER SCHEMA" in str(caught.value)
        assert "nothing was changed" in str(caught.value)
        failed = recovery_tenant.restore_beside(settings, TENANT, path=backup)
        wrong = " ".join(one["evidence"] for one in failed["checks"] if one["status"] == "failed")
        assert failed["verdict"] != "passed" and failed["name"] is None
        assert "no DDL here" in f"{failed['problem']} {wrong}", failed
        assert run_sql(server, PRODUCTION, schemas) == before
        assert databases(server) == {PRODUCTION}
        # The whole database is restored elsewhere, where nothing forbids it; then it forbids again.
        whole = recovery_run.restore_beside(settings, path=back_up(server, tmp_path))
        assert whole["verdict"] == "passed", whole
        with pytest.raises(psycopg2.Error, match="no DDL here"):
            run_sql(server, whole["name"], "CREATE TABLE forbidden ()")
    finally:
        run_sql(server, PRODUCTION, "DROP EVENT TRIGGER forbidding")
    assert switch(settings, restored["name"])["kept"]


def test_a_foreign_key_whose_rows_the_backup_lacks(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    backup = back_up(server, tmp_path)
    run_sql(
        server,
        PRODUCTION,
        f"INSERT INTO {TENANT}.goods VALUES (77)",
        f"CREATE TABLE orders (goods int REFERENCES {TENANT}.goods)",
        "INSERT INTO orders VALUES (77)",
    )
    restored = restore(settings, backup)
    with pytest.raises(ResilienceError, match="orders_goods_fkey") as caught:
        switch(settings, restored["name"])
    assert "(goods)=(77) is not present" in str(caught.value)
    assert run_sql(server, PRODUCTION, f"SELECT count(*) FROM {TENANT}.goods") == [(6,)]


def test_a_view_over_two_tenants_does_not_stand_in_the_way(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    """What needs the other one is left out of the restore and named; the switch moves it."""
    run_sql(
        server,
        PRODUCTION,
        "CREATE VIEW pair AS SELECT a.name, b.name AS other"
        f" FROM {TENANT}.goods a JOIN {OTHER}.goods b USING (id)",
        "CREATE VIEW of_pair AS SELECT count(*) AS goods FROM pair",
        "GRANT SELECT ON pair TO PUBLIC",
        "CREATE FUNCTION of_other() RETURNS bigint"
        f" BEGIN ATOMIC SELECT count(*) FROM {OTHER}.goods; END",
        f"CREATE PUBLICATION feed FOR TABLES IN SCHEMA {OTHER}",
    )
    backup = back_up(server, tmp_path)
    run_sql(server, PRODUCTION, f"UPDATE {TENANT}.goods SET name = 'spoilt'")
    restored = restore(settings, backup)
    named = " ".join(restored["unlike"])
    assert "public.pair" in named and "public.of_pair" in named and "of_other" in named
    switch(settings, restored["name"])
    assert run_sql(server, PRODUCTION, "SELECT DISTINCT name, other FROM pair") == [("new", "new")]


def test_what_was_dropped_with_the_tenant_is_named(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    run_sql(
        server,
        PRODUCTION,
        f"CREATE VIEW report AS SELECT name FROM {TENANT}.goods",
        f"COMMENT ON SCHEMA {TENANT} IS 'the baker''s'",
    )
    backup = back_up(server, tmp_path)
    run_sql(server, PRODUCTION, f"DROP SCHEMA {TENANT} CASCADE")
    restored = restore(settings, backup)
    assert any("view public.report" in text for text in restored["unlike"]), restored
    done = switch(settings, restored["name"])
    assert done["kept"] is None
    assert run_sql(server, PRODUCTION, DESCRIBED) == [("the baker's",)]
    assert run_sql(server, PRODUCTION, f"SELECT count(*) FROM {TENANT}.goods") == [(5,)]


def test_writes_since_the_restore_are_counted(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    """Those of this tenant; the other tenants' are not lost."""
    restored = restore(settings, back_up(server, tmp_path))
    run_sql(server, PRODUCTION, f"INSERT INTO {OTHER}.goods VALUES (50)")
    run_sql(server, PRODUCTION, f"INSERT INTO {TENANT}.goods VALUES (50)")
    assert switch(settings, restored["name"])["written_since"] == 1


def test_folders_that_are_closed_to_others(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    """The socket and the work folder are root's alone; the backup is open to everybody."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "sockets").symlink_to(server.host)
    behind = recovery_settings(
        dataclasses.replace(server, host=str(closed / "sockets")), closed / "host"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        restored = restore(behind, back_up(server, Path(folder)))
    assert switch(behind, restored["name"])["kept"]


def test_a_server_that_fails_meanwhile_proves_nothing(
    settings: recovery.RecoverySettings,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Production lets nobody in any more when the tenant is copied into it."""
    backup = back_up(server, tmp_path)
    run_sql(
        server, "postgres", f"ALTER DATABASE {PRODUCTION} SET default_transaction_read_only = on"
    )
    restore(settings, backup)  # a setting for its application

    rename = recovery_tenant._rename_schema

    def rename_and_close(*arguments: Any) -> None:
        rename(*arguments)
        run_sql(server, "postgres", f"ALTER DATABASE {PRODUCTION} ALLOW_CONNECTIONS false")

    monkeypatch.setattr(recovery_tenant, "_rename_schema", rename_and_close)
    result = recovery_tenant.restore_beside(settings, TENANT, path=backup)
    assert result["verdict"] == "could_not_verify", result
    assert "not currently accepting connections" in result["problem"]


@pytest.mark.parametrize(
    "tenant",
    [
        "tenant_panificadora_e_confeitaria_são_joão",
        "tenant_" + "é" * 28,
        "tenant_" + "日本" * 9 + "ab",
        'tenant_with "quotes", and; more',
    ],
)
def test_names_are_bytes(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path, tenant: str
) -> None:
    quoted = tenant.replace('"', '""')
    assert len(tenant.encode()) <= 63
    make_tenant(server, quoted)
    backup = back_up(server, tmp_path)
    run_sql(server, PRODUCTION, f"""UPDATE "{quoted}".goods SET name = 'spoilt'""")
    restored = restore(settings, backup, tenant)
    done = switch(settings, restored["name"], tenant)
    assert all(len(done[name].encode()) <= 63 for name in ("name", "kept", "now"))
    rows = run_sql(server, PRODUCTION, f'SELECT DISTINCT name FROM "{quoted}".goods')
    assert rows == [("new",)]
    switch(settings, done["kept"], tenant)
    rows = run_sql(server, PRODUCTION, f'SELECT DISTINCT name FROM "{quoted}".goods')
    assert rows == [("spoilt",)]


@contextlib.contextmanager
def processes_that_hold(password: str) -> Iterator[dict[str, set[str]]]:
    """The programs in whose arguments, or environment, a password is seen meanwhile.

    `open to others`: those whose environment another user can read.
    """
    found: dict[str, set[str]] = {"arguments": set(), "environment": set(), "open to others": set()}

    def read(path: Path) -> bytes:
        with contextlib.suppress(OSError):
            return path.read_bytes()
        return b""

    def look() -> None:
        for folder in Path("/proc").glob("[0-9]*"):
            program = read(folder / "comm").decode().strip()
            arguments, environment = read(folder / "cmdline"), read(folder / "environ")
            # A process that becomes another program meanwhile is looked at in the next turn.
            if read(folder / "comm").decode().strip() != program:
                continue
            if password.encode() in arguments:
                found["arguments"].add(program)
            if password.encode() in environment:
                found["environment"].add(program)
                with contextlib.suppress(OSError):
                    if (folder / "environ").stat().st_mode & 0o777 != 0o400:
                        found["open to others"].add(program)

    with repeated(look, 0.002):
        yield found


def test_the_password_is_in_no_arguments_and_in_no_psql(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    """A dump is code: what reads SQL of it as a program of its own knows no password."""
    run_sql(
        server,
        PRODUCTION,
        f"CREATE TABLE {TENANT}.slow (id int CHECK (pg_sleep(0.2) IS NOT NULL))",
        f"INSERT INTO {TENANT}.slow VALUES (1), (2)",
    )
    backup, plain = back_up(server, tmp_path), tmp_path / "shop_20251121_030000.sql"
    dump = [server.binaries.path("pg_dump"), f"--file={plain}", server.url(PRODUCTION)]
    subprocess.run(dump, check=True)
    with processes_that_hold(server.password) as held:
        restore(settings, backup)
    # `setpriv` becomes the program that it starts.
    assert "pg_restore" in held["environment"]
    assert held["environment"] <= {"setpriv", "pg_restore", "pg_dump"}, held
    assert (held["arguments"], held["open to others"]) == (set(), set())
    with processes_that_hold(server.password) as held:
        result = recovery_run.restore_beside(settings, path=str(plain))
    assert result["verdict"] == "passed", result
    assert held == {"arguments": set(), "environment": set(), "open to others": set()}


def test_rows_that_others_have_too_are_not_restored_beside_them(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    """A partition would not fit beside production's, and a child would double its parent's rows."""
    run_sql(
        server,
        PRODUCTION,
        "CREATE TABLE events (at int) PARTITION BY RANGE (at)",
        f"CREATE TABLE {TENANT}.events PARTITION OF events DEFAULT",
        "CREATE TABLE base (at int)",
        f"CREATE TABLE {TENANT}.own () INHERITS (base)",
        f"INSERT INTO {TENANT}.own VALUES (1)",
    )
    refused = recovery_tenant.restore_beside(settings, TENANT, path=back_up(server, tmp_path))
    assert refused["verdict"] == "could_not_verify"
    assert "events in public.events, own in public.base" in refused["problem"]
    assert run_sql(server, PRODUCTION, "SELECT count(*) FROM base") == [(1,)]


def test_an_extension_cannot_be_there_twice(
    settings: recovery.RecoverySettings, server: Server
) -> None:
    """That of the tests' PostgreSQL cannot be moved by a statement."""
    run_sql(
        server,
        PRODUCTION,
        f"UPDATE pg_extension SET extnamespace = '{TENANT}'::regnamespace",
    )
    with pytest.raises(ResilienceError, match="a database has each of them once: plpgsql"):
        recovery_tenant.refuse_inseparable(settings, PRODUCTION, TENANT)
    recovery_tenant.refuse_inseparable(settings, PRODUCTION, OTHER)


def test_a_plain_dump_cannot_be_restored_in_part(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "shop_20251120_030000.sql"
    dump = [server.binaries.path("pg_dump"), f"--file={path}", server.url(PRODUCTION)]
    subprocess.run(dump, check=True)
    refused = recovery_tenant.restore_beside(settings, TENANT, path=str(path))
    assert refused["verdict"] == "could_not_verify"
    assert "a plain dump cannot be restored in part" in refused["problem"]
    assert run_sql(server, "postgres", "SELECT count(*) FROM pg_database") == [(4,)]
