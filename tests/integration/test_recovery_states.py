"""A recovery in the states that a bad day has: the journal, names, servers and users."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery
from support.production_server import HOST, PRODUCTION, run_sql, server
from support.recovery_host import RecoveryHost, make_database, quoted
from support.thorough import rounds

__all__ = ["server"]

MARKED = f"{recovery.MARK}{recovery.VALIDATED}, from a.dump"


@contextlib.contextmanager
def recovering(server: Server, root: Path, **options: Any) -> Iterator[RecoveryHost]:
    root.chmod(0o755)
    made = RecoveryHost(server, root, **options)
    made.make_databases()
    try:
        yield made
    finally:
        made.drop_databases()


@pytest.fixture
def host(server: Server, tmp_path: Path) -> Iterator[RecoveryHost]:
    with recovering(server, tmp_path) as made:
        yield made


def journal(host: RecoveryHost) -> Path:
    return host.state / "recovery-switch.json"


def replace_candidate(host: RecoveryHost) -> None:
    run_sql(host.server, "postgres", f"DROP DATABASE {host.restored}")
    make_database(host.server, host.restored, "stranger")


def of_another_server(host: RecoveryHost) -> None:
    record = json.loads(journal(host).read_text())
    journal(host).write_text(json.dumps({**record, "name_oid": 424242}))


def with_a_stranger(host: RecoveryHost) -> None:
    run_sql(host.server, "postgres", f"DROP DATABASE {host.dbname}")
    make_database(host.server, host.dbname, "of strangers")


# What happens between a switch that was killed and the next command.
MEANWHILE: dict[str, Callable[[RecoveryHost], object]] = {
    "nothing": lambda host: None,
    "the journal is gone": lambda host: journal(host).unlink(),
    "it is another server's": of_another_server,
    "the candidate is gone": lambda host: run_sql(
        host.server, "postgres", f"DROP DATABASE {host.restored}"
    ),
    "the candidate is another": replace_candidate,
    "production is gone": lambda host: run_sql(
        host.server, "postgres", f"DROP DATABASE {host.dbname}"
    ),
    "production was renamed": lambda host: run_sql(
        host.server, "postgres", f"ALTER DATABASE {host.dbname} RENAME TO moved"
    ),
    "production is another": with_a_stranger,
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_whatever_happens_meanwhile_the_printed_commands_lead_to_an_end(
    host: RecoveryHost, what: str
) -> None:
    """By each command that people may think of first; one of them in the short form."""
    commands = [
        ("--resume",),
        ("--switch", host.restored, "--confirm", HOST),
        ("--undo", "--confirm", HOST),
        ("--status",),
    ]
    place = list(MEANWHILE).index(what)
    for first in (*commands[place % 4 :], *commands[: place % 4])[: rounds(1, 4)]:
        host.begin_switch()
        MEANWHILE[what](host)
        before = host.databases()
        lines = host.follow(host.run(*first)[1])
        assert lines[2:] == ["nothing", "nothing needs to be done"], (first, lines)
        after = host.databases()
        # Nothing vanished, nothing that was never validated serves, and production is there.
        assert sorted(after.values()) == sorted(before.values()), first
        assert after[host.dbname] != "stranger", first
        assert lines[0].startswith(host.dbname)
        host.drop_databases()
        host.make_databases()
        journal(host).unlink()


def test_of_two_products_on_one_server_each_has_its_own(
    host: RecoveryHost, server: Server, tmp_path: Path
) -> None:
    """Neither newest, list, clean-up nor a typed name takes another product's database."""
    marks = {
        "bistro_recovered_20991120_030000": MARKED,
        "bistro_recovered_20991120_040000": f"{recovery.MARK}{recovery.RESTORING} since now",
        "bistro_before_20991120_030000": f"{recovery.MARK}{recovery.BEFORE} 20991120_030000,"
        " replaced by bistro_recovered_20991120_030000",
        "shopping_recovered_20991120_030000": MARKED,
    }
    for name, mark in marks.items():
        make_database(server, name, "stranger")
        run_sql(server, "postgres", f"COMMENT ON DATABASE {name} IS '{mark}'")
    assert host.run_whole("--list")[1].splitlines()[0].startswith(f"{host.restored}: ")
    assert "bistro" not in host.run_whole("--list")[1] + host.run_whole("--status")[1]
    for name in marks:
        code, output, errors = host.run_whole("--switch", name, "--confirm", HOST)
        assert code == 3 and ("not restored for shop" in errors or "did not restore" in errors)
    backup = tmp_path / "shop_20251120_030000.dump"
    dump = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}", server.url(PRODUCTION)]
    subprocess.run(dump, check=True)
    assert host.run("--backup", str(backup))[0] == 0
    code, lines = host.run("--switch", "newest", "--confirm", HOST)
    assert code == 0 and lines[0].startswith("shop, which was shop_recovered_2")
    assert marks.keys() <= host.databases().keys()
    assert host.databases()[host.dbname] == "old"


NAMES = {
    "quotes": 'My "shop"; it\'s 100% $a$ \\ done',
    "two-byte letters": "é" * 31,
    "as long as it may be": "x" * 63,
    "a connection string": "host=nowhere",
}


@pytest.mark.parametrize("what", NAMES)
def test_any_name_of_production(server: Server, tmp_path: Path, what: str) -> None:
    with recovering(server, tmp_path, dbname=NAMES[what]) as host:
        backup = tmp_path / "shop_20251120_030000.dump"
        access = {"PGDATABASE": host.dbname, "PGPASSWORD": server.password}
        dump = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}"]
        where = ["-h", server.host, "-p", str(server.port), "-U", server.user]
        subprocess.run([*dump, *where], env=access, check=True)
        code, lines = host.run("--switch", host.restored, "--confirm", HOST)
        assert (
            code == 0 and lines[0] == f"{host.dbname}, which was {host.restored} until the switch"
        )
        kept = lines[1]
        assert host.databases() == {host.dbname: "new", kept: "old"}
        journal(host).write_bytes(b"{")
        assert host.follow(host.run("--status")[1])[1] == kept
        journal(host).unlink()
        code, lines = host.run("--undo", "--confirm", HOST)
        assert code == 0 and host.databases()[host.dbname] == "old"
        if not host.dbname.isalpha():  # test_recovery_tenant.py restores names of letters
            code, lines = host.run("--backup", str(backup))
            assert code == 0
            assert host.follow(lines)[0].startswith(host.dbname)
            assert host.databases()[host.dbname] == "old" and len(host.databases()) == 3


def test_without_a_superuser_nothing_is_half_done(
    host: RecoveryHost, server: Server, tmp_path: Path
) -> None:
    """The owner may do all of it; another user learns what is missing, and changes nothing."""
    run_sql(
        server,
        "postgres",
        "CREATE ROLE owner_of_shop LOGIN CREATEDB PASSWORD 'of-a-test'",
        "CREATE ROLE other_user LOGIN PASSWORD 'of-a-test'",
        f"ALTER DATABASE {host.dbname} OWNER TO owner_of_shop",
        f"ALTER DATABASE {host.restored} OWNER TO owner_of_shop",
    )
    try:
        host.values["recovery"] |= {"user": "other_user", "password": "of-a-test"}
        before = host.databases()
        code, lines = host.run("--switch", host.restored, "--confirm", HOST)
        assert code == 3 and lines[2:] == ["nothing", "nothing needs to be done"]
        assert host.databases() == before
        host.values["recovery"] |= {"user": "owner_of_shop"}
        # What only a superuser may set is found out before the application is stopped.
        run_sql(server, "postgres", f"ALTER DATABASE {host.dbname} SET log_statement = 'all'")
        host.script("stop", f"touch {host.root}/stopped")
        code, output, errors = host.run_whole("--switch", host.restored, "--confirm", HOST)
        assert code == 3 and "log_statement" in errors and "name a superuser" in errors
        assert host.databases() == before and not (host.root / "stopped").exists()
        run_sql(server, "postgres", f"ALTER DATABASE {host.dbname} RESET log_statement")
        code, lines = host.run("--switch", host.restored, "--confirm", HOST)
        assert code == 0 and host.databases()[host.dbname] == "new"
        owner = f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{host.dbname}'"
        assert run_sql(server, "postgres", owner) == [("owner_of_shop",)]
    finally:
        host.drop_databases()
        run_sql(server, "postgres", "DROP ROLE owner_of_shop, other_user")


def test_a_server_without_a_database_postgres(
    host: RecoveryHost, server: Server, tmp_path: Path
) -> None:
    backup = tmp_path / "shop_20251120_030000.dump"
    dump = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}", server.url(PRODUCTION)]
    subprocess.run(dump, check=True)
    run_sql(server, "template1", "ALTER DATABASE postgres RENAME TO maintenance")
    try:
        host.values["recovery"] |= {"maintenance_db": "maintenance"}
        code, lines = host.run("--backup", str(backup))
        assert code == 0
        assert host.follow(lines)[0].startswith(f"{PRODUCTION}, which was shop_recovered_2")
        assert host.run("--undo", "--confirm", HOST)[0] == 0
    finally:
        run_sql(server, "template1", "ALTER DATABASE maintenance RENAME TO postgres")


def test_properties_of_the_database_that_stand_in_the_way(
    host: RecoveryHost, server: Server
) -> None:
    """A template, a limit of no connection, a statement limit, a session that sits on a lock."""
    run_sql(
        server,
        "postgres",
        f"ALTER DATABASE {host.dbname} IS_TEMPLATE true CONNECTION LIMIT 0",
        f"ALTER DATABASE {host.dbname} SET statement_timeout = 1",
    )
    with contextlib.closing(psycopg2.connect(**server.dsn(host.dbname))) as idle:
        idle.cursor().execute("LOCK TABLE content")
        code, lines = host.run("--switch", host.restored, "--confirm", HOST)
    assert code == 0, lines
    shown = "SELECT datistemplate, datconnlimit FROM pg_database WHERE datname = '{}'"
    assert run_sql(server, "postgres", shown.format(host.dbname)) == [(True, 0)]
    run_sql(
        server,
        "postgres",
        *(f"ALTER DATABASE {quoted(name)} IS_TEMPLATE false" for name in (host.dbname, lines[1])),
    )
    assert host.databases() == {host.dbname: "new", lines[1]: "old"}
