"""Production is lost for real, and comes back; one store alone loses its products, and has them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database import marked_database
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery
from support.play_host import PlayHost
from testbed import Testbed
from testbed.backend_service import healthy

HOST = socket.gethostname()
TENANTS = 3


@pytest.fixture(scope="module")
def host(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> PlayHost:
    root = tmp_path_factory.mktemp("host")
    record = bed.record
    postgres = record["postgres"]
    access = {name: postgres[name] for name in ("host", "port", "user", "password", "dbname")}
    made = PlayHost(
        root,
        staging_restore_engine="embedded",
        staging_restore_bin_dir=postgres["bin_dir"],
        staging_restore_backup_path=record["backups"],
        staging_restore_database={name: access[name] for name in ("host", "port", "dbname")},
        staging_restore_recovery={
            **access,
            "bin_dir": postgres["bin_dir"],
            "health_url": f"{record['backend']['url']}/health",
            "seconds": 30,
        },
        staging_restore_drill_now=False,
    )
    made.play("stage3_staging_restore.yml")
    return made


def query(bed: Testbed, statement: str, dbname: str | None = None) -> list[tuple[Any, ...]]:
    with contextlib.closing(bed.connect(dbname)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def databases(bed: Testbed) -> set[str]:
    rows = query(bed, "SELECT datname FROM pg_database WHERE NOT datistemplate", "postgres")
    return {name for (name,) in rows}


def products(bed: Testbed, schema: str = "tenant_chefwell", dbname: str | None = None) -> int:
    ((count,),) = query(bed, f"SELECT count(*) FROM {schema}.products", dbname)
    return int(count)


def result(ended: subprocess.CompletedProcess[str]) -> Any:
    assert ended.stdout, ended.stderr
    return json.loads(ended.stdout)


def test_production_is_lost_and_comes_back(host: PlayHost, bed: Testbed) -> None:
    """By the playbook, as on the day itself: damaged first, then gone altogether."""
    url = bed.record["backend"]["url"]
    query(bed, "ALTER DATABASE restaurante SET work_mem TO '7MB'", "postgres")
    query(bed, "DROP SCHEMA tenant_chefwell CASCADE")
    unconfirmed = host.run("disaster_recovery.yml")
    assert unconfirmed.returncode == 0, unconfirmed.stdout
    beside = databases(bed) - {"restaurante", "postgres"}
    assert len(beside) == 1 and f"--confirm {HOST}" in unconfirmed.stdout
    (name,) = beside
    assert products(bed, dbname=name) == 28
    assert query(bed, "SELECT to_regclass('tenant_chefwell.products')") == [(None,)]

    another = host.command("disaster-recovery", "--switch", name, "--confirm", "another-host")
    assert another.returncode == 3 and "não traz o nome deste servidor" in another.stderr
    assert host.command("disaster-recovery", "--switch", name).returncode == 3
    others = host.command("disaster-recovery", "--switch", "postgres", "--confirm", HOST)
    assert others.returncode == 3 and "nem foi produção antes" in others.stderr

    switched = result(
        host.command("disaster-recovery", "--switch", name, "--confirm", HOST, "--json")
    )["switched"]
    assert switched["serves"] is True and switched["now"] == "restaurante"
    assert products(bed) == 28 and healthy(url)
    assert query(bed, "SHOW work_mem") == [("7MB",)]
    kept = switched["kept"]
    assert kept in databases(bed)
    assert query(bed, "SELECT to_regclass('tenant_chefwell.products')", kept) == [(None,)]

    # Gone altogether, the kept one too.
    for lost in ("restaurante", kept):
        query(bed, f"DROP DATABASE {lost} WITH (FORCE)", "postgres")
    assert not healthy(url)
    confirmed = host.run("disaster_recovery.yml", staging_restore_recovery_confirm=HOST)
    assert confirmed.returncode == 0, confirmed.stdout
    assert products(bed) == 28 and healthy(url)
    assert databases(bed) == {"restaurante", "postgres"}


def test_the_way_back(host: PlayHost, bed: Testbed) -> None:
    query(bed, "CREATE TABLE public.made_since ()")
    done = result(host.command("disaster-recovery", "--confirm", HOST, "--json"))
    assert done["verdict"] == "passed" and done["switched"]["serves"] is True
    assert query(bed, "SELECT to_regclass('public.made_since')") == [(None,)]
    listed = result(host.command("disaster-recovery", "--list", "--json"))
    assert [one["name"] for one in listed] == [done["switched"]["kept"]]
    back = host.command("disaster-recovery", "--switch", listed[0]["name"], "--confirm", HOST)
    assert back.returncode == 0, back.stderr
    assert query(bed, "SELECT to_regclass('public.made_since')") == [("made_since",)]
    query(bed, "DROP TABLE public.made_since")
    (left,) = databases(bed) - {"restaurante", "postgres"}
    query(bed, f"DROP DATABASE {left}", "postgres")


def test_a_backup_that_lacks_rows_of_its_manifest_does_not_pass(
    host: PlayHost, bed: Testbed, tmp_path: Path
) -> None:
    """The dump left one table's rows out; only what was written at its snapshot can show it."""
    postgres = bed.record["postgres"]
    backup = tmp_path / "chefwell_backup.dump"
    dump = (
        f"exec {postgres['bin_dir']}/pg_dump -Fc --exclude-table-data=*.stripe_payments"
        ' --snapshot="$BACKUP_SNAPSHOT"'
        f' --file="{backup}" "$DSN"'
    )
    dsn = " ".join(
        f"{name}={postgres[name]}" for name in ("host", "port", "user", "password", "dbname")
    )
    made = ("env", f"DSN={dsn}", "/bin/sh", "-c", dump)
    ended = host.command("backup-manifest", "--backup", str(backup), "--dsn", dsn, "--", *made)
    assert ended.returncode == 0, ended.stderr
    done = host.command("disaster-recovery", "--backup", str(backup), "--json")
    report = result(done)
    assert (done.returncode, report["verdict"], report["name"]) == (2, "failed", None), report[
        "checks"
    ]
    bad = [one for one in report["checks"] if one["status"] == "failed"]
    assert any("stripe_payments" in one["evidence"] for one in bad), bad
    assert databases(bed) == {"restaurante", "postgres"}


def test_a_backup_with_other_privileges_than_its_manifest_does_not_pass(
    host: PlayHost, bed: Testbed, tmp_path: Path
) -> None:
    """A recovery restores owners and privileges as they were, and compares them as a drill does."""
    postgres = bed.record["postgres"]
    backup = tmp_path / "chefwell_backup.dump"
    dsn = " ".join(
        f"{name}={postgres[name]}" for name in ("host", "port", "user", "password", "dbname")
    )
    psql = 'psql --no-psqlrc --quiet "$DSN" --command "$CHANGE"'
    dump = f'exec {postgres["bin_dir"]}/pg_dump -Fc --file="{backup}" "$DSN"'

    def recover(change: str) -> dict[str, Any]:
        """Recover from a dump that was made after a change, and its manifest before."""
        command = f"{postgres['bin_dir']}/{psql} && {dump}"
        made = ("env", f"DSN={dsn}", f"CHANGE={change}", "/bin/sh", "-c", command)
        ended = host.command("backup-manifest", "--backup", str(backup), "--dsn", dsn, "--", *made)
        assert ended.returncode == 0, ended.stderr
        return result(host.command("disaster-recovery", "--backup", str(backup), "--json"))

    query(bed, "CREATE ROLE recovered_waiter")
    try:
        query(bed, "GRANT SELECT ON public.companies TO recovered_waiter")
        same = recover("SELECT 1")
        assert same["verdict"] == "passed", same["checks"]
        query(bed, f'DROP DATABASE "{same["name"]}"', "postgres")
        report = recover("GRANT DELETE ON public.companies TO recovered_waiter")
    finally:
        for name in databases(bed) - {"restaurante", "postgres"}:
            query(bed, f'DROP DATABASE "{name}"', "postgres")
        query(bed, "DROP OWNED BY recovered_waiter")
        query(bed, "DROP ROLE recovered_waiter")
    raised = [found for check in report["checks"] for found in check["findings"]]
    assert (report["verdict"], [one["id"] for one in raised]) == ("failed", ["privileges.differ"])
    assert "recovered_waiter: DELETE, SELECT`, in production it was" in raised[0]["text"]
    assert databases(bed) == {"restaurante", "postgres"}


@pytest.mark.parametrize(
    "options",
    [("--create",), ("--clean", "--create"), ("--clean", "--if-exists", "--create", "--inserts")],
    ids=" ".join,
)
def test_a_dump_that_names_production_goes_beside_it(
    host: PlayHost, bed: Testbed, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Nothing in a plain dump decides where it goes; production stays as it is."""
    postgres = bed.record["postgres"]
    path = tmp_path / "chefwell_backup.sql"
    subprocess.run(
        [f"{postgres['bin_dir']}/pg_dump", "-Fp", *options, f"--file={path}", "--no-password",
         *(f"--{name}={postgres[name]}" for name in ("host", "port", "dbname")),
         f"--username={postgres['user']}"],
        env={"PGPASSWORD": postgres["password"]},
        check=True,
    )  # fmt: skip
    content = path.read_text(encoding="utf-8")
    hostile = "\\connect restaurante\nDROP SCHEMA tenant_chefwell CASCADE;\n"
    end = "--\n-- PostgreSQL database dump complete\n"
    query(bed, "CREATE TABLE public.made_since ()")
    query(bed, "SELECT nextval('tenant_chefwell.sales_id_seq')")
    held = (
        "SELECT (SELECT oid FROM pg_database WHERE datname = 'restaurante'),"
        " (SELECT count(*) FROM tenant_chefwell.products), to_regclass('public.made_since')::oid,"
        " (SELECT sum(last_value) FROM pg_sequences)"
    )
    before, names = query(bed, held), databases(bed)
    try:
        done = host.command("disaster-recovery", "--backup", str(path), "--json")
        recovered = result(done)
        assert (recovered["verdict"], done.returncode) == ("passed", 0), recovered
        assert query(bed, held) == before
        assert databases(bed) == names | {recovered["name"]}
        assert products(bed, dbname=recovered["name"]) == before[0][1]
        query(bed, f"DROP DATABASE {recovered['name']}", "postgres")
        # In the new database the same words find its own tenant, and it does not pass.
        path.write_text(content.replace(end, hostile + end), encoding="utf-8")
        done = host.command("disaster-recovery", "--backup", str(path), "--json")
        assert result(done)["verdict"] == "failed" and result(done)["name"] is None
        assert query(bed, held) == before and databases(bed) == names
    finally:
        query(bed, "DROP TABLE public.made_since")


def test_two_within_one_second_have_names_of_their_own() -> None:
    now = recovery.unused_timestamp()
    name = recovery.dated_name("restaurante", "before", now)
    assert recovery.unused_timestamp([name]) != now


def test_a_backup_that_does_not_pass_leaves_nothing(
    host: PlayHost, bed: Testbed, tmp_path: Path
) -> None:
    whole = max(Path(bed.record["backups"]).glob("daily/*.gz"))
    damaged = tmp_path / whole.name
    damaged.write_bytes(whole.read_bytes()[:-1000])
    ended = host.command("disaster-recovery", "--backup", str(damaged), "--confirm", HOST, "--json")
    assert ended.returncode == 2 and result(ended)["verdict"] == "failed"
    query(bed, "CREATE ROLE gone")
    query(bed, "ALTER TABLE public.companies OWNER TO gone")
    try:
        made = bed.back_up()
    finally:
        query(bed, "ALTER TABLE public.companies OWNER TO postgres")
        query(bed, "DROP ROLE gone")
    ended = host.command("disaster-recovery", "--backup", str(made), "--json")
    made.unlink()
    assert result(ended)["verdict"] == "could_not_verify"
    assert 'CREATE ROLE "gone"' in result(ended)["problem"]
    assert databases(bed) == {"restaurante", "postgres"}


@pytest.mark.parametrize("store", [(), ("--tenant", "tenant_chefwell")], ids=["all", "one store"])
def test_a_recovery_that_was_killed_is_tidied_up_by_the_next(
    host: PlayHost, bed: Testbed, store: tuple[str, ...]
) -> None:
    before = databases(bed)
    schemas = query(bed, "SELECT nspname FROM pg_namespace ORDER BY 1")
    with subprocess.Popen(
        [str(host.scripts / "disaster-recovery.sh"), *store],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        start_new_session=True,
    ) as running:
        while databases(bed) == before:
            assert running.poll() is None
        os.killpg(running.pid, signal.SIGKILL)
    assert databases(bed) != before
    # And one that was killed before the new database had its mark.
    limit = marked_database.NEWBORN_LIMIT
    unmarked = "restaurante_recovered_20251120_030000"
    query(bed, f"CREATE DATABASE {unmarked} CONNECTION LIMIT {limit}", "postgres")
    assert result(host.command("disaster-recovery", "--list", "--json")) == []
    # Of what the killed one began nothing is left by the next one, here one that finds no backup.
    nothing = host.command("disaster-recovery", "--backup", os.devnull, "--json")
    assert result(nothing)["verdict"] != "passed"
    assert databases(bed) == before
    assert query(bed, "SELECT nspname FROM pg_namespace ORDER BY 1") == schemas


def test_one_store_alone(host: PlayHost, bed: Testbed) -> None:
    """Its products were deleted; the other stores and the shared tables go on as they are."""
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant%' ORDER BY 1"
    before = query(bed, schemas)
    others = [name for (name,) in before if name != "tenant_chefwell"]
    query(bed, "TRUNCATE tenant_chefwell.products CASCADE")
    query(bed, f"DELETE FROM {others[0]}.expenses")
    play = host.run("disaster_recovery.yml", staging_restore_recovery_tenant="tenant_chefwell")
    assert play.returncode == 0, play.stdout
    (restored,) = result(
        host.command("disaster-recovery", "--tenant", "tenant_chefwell", "--list", "--json")
    )
    assert f"--tenant tenant_chefwell --switch {restored['name']}" in " ".join(play.stdout.split())
    assert products(bed) == 0 and products(bed, restored["name"]) == 28
    switch = ("--tenant", "tenant_chefwell", "--switch", restored["name"], "--confirm", HOST)
    done = result(host.command("disaster-recovery", *switch, "--json"))["switched"]
    assert done["serves"] is True
    assert products(bed) == 28 and products(bed, done["kept"]) == 0
    ((expenses,),) = query(bed, f"SELECT count(*) FROM {others[0]}.expenses")
    assert expenses == 0
    keys = (
        "SELECT confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
        " AND conrelid = 'tenant_chefwell.sales'::regclass ORDER BY 1"
    )
    assert query(bed, keys) == [
        ("tenant_chefwell.customers",),
        ("tenant_chefwell.tabs",),
        ("users",),
    ]
    # A new row takes a number that is free: sequences came along.
    query(
        bed,
        "INSERT INTO tenant_chefwell.categories (name, color) VALUES ('nova', '#000000')",
    )
    query(bed, f"DROP SCHEMA {done['kept']} CASCADE")
    assert query(bed, schemas) == before
    assert databases(bed) == {"restaurante", "postgres"}


def test_a_tenant_whose_user_is_gone_is_reported(host: PlayHost, bed: Testbed) -> None:
    ((user,),) = query(bed, "SELECT min(user_id) FROM tenant_chefwell.sales")
    query(bed, "DELETE FROM tenant_chefwell.stripe_payments")
    query(bed, f"DELETE FROM tenant_chefwell.sales WHERE user_id = {user}")
    query(bed, f"DELETE FROM public.users WHERE id = {user}")
    before = query(bed, "SELECT nspname FROM pg_namespace ORDER BY 1")
    ended = host.command("disaster-recovery", "--tenant", "tenant_chefwell", "--json")
    report = result(ended)
    assert ended.returncode == 2 and report["verdict"] == "failed"
    evidence = [one["evidence"] for one in report["checks"] if one["id"] == "transfer"]
    assert f"(user_id)=({user}) is not present" in evidence[0], report
    assert query(bed, "SELECT nspname FROM pg_namespace ORDER BY 1") == before


def test_foreign_keys_to_the_present_tenant_stop_the_switch(host: PlayHost, bed: Testbed) -> None:
    tenant = "tenant_chefwell"
    query(bed, f"CREATE TABLE public.favourites (id int REFERENCES {tenant}.categories)")
    unknown = host.command("disaster-recovery", "--tenant", "tenant_nobody", "--json")
    assert "does not hold this tenant" in result(unknown)["problem"]
    restored = f"{tenant}_recovered_20251120_030000"
    query(bed, f"CREATE SCHEMA {restored}")
    query(bed, f"COMMENT ON SCHEMA {restored} IS 'chefwell.resilience: validated'")
    switch = ("--tenant", tenant, "--switch", restored, "--confirm", HOST)
    refused = host.command("disaster-recovery", *switch)
    assert refused.returncode == 3 and "favourites_id_fkey" in refused.stderr
    query(bed, "DROP TABLE public.favourites")
    query(bed, f"DROP SCHEMA {restored}")
