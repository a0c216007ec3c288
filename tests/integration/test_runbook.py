"""The runbook of a host: its content, and when it counts as changed."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.settings import parse
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import restore_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.restore_settings import (
    RestoreSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import (
    recovery,
    recovery_lock,
    runbook,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import age, keys
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.seal_settings import (
    SealSettings,
)
from support.markdown import code_blocks
from support.production_server import PRODUCTION, run_sql, server
from support.stage_config import offsite_config

__all__ = ["server"]

DRILL = {
    "time": "2025-11-20T15:30:00-03:00",
    "verdict": "passed",
    "backup": {"file": "chefwell_backup_20251120_030000.dump.gz", "bytes": 36864},
    "phases": [{"name": "restore", "seconds": 45.0}],
    "rto_seconds": 58.0,
    "rpo_seconds": 90000.0,
}
TARGET = restore_settings.RecoveryServer(
    host="db.chefwell.pro", user="postgres", password="a-secret-password"
)


@pytest.fixture
def values(tmp_path: Path) -> RestoreSettings:
    (tmp_path / "offsite.json").write_text(
        json.dumps(
            offsite_config({"host": "backup.example", "user": "u", "path": "/b", "state_dir": "/s"})
        )
    )
    given = {
        "work_dir": "/var/lib/chefwell-resilience/staging",
        "backup_path": "/root/backups",
        "log_file": "/var/log/chefwell-staging-restore.log",
        "scripts_dir": "/root/restaurante/scripts",
        "featured_schema": "tenant_chefwell",
        "runbook": str(tmp_path / "book" / "DISASTER-RECOVERY-PLAYBOOK.md"),
        "offsite_config": str(tmp_path / "offsite.json"),
        "contacts": [{"name": "Ana | Souza", "role": "DBA", "phone": "+55 11 5555-0100"}],
        "state_dir": str(tmp_path),
    }
    return parse(given, RestoreSettings)


def test_it_has_commands_people_and_what_was_measured(values: RestoreSettings) -> None:
    assert runbook.write(values, TARGET, DRILL)
    path = Path(values.runbook)
    text = path.read_text()
    for line in (
        "/root/restaurante/scripts/disaster-recovery.sh --from-offsite",
        f"--switch newest --confirm {recovery.host_name()}",
        "--tenant tenant_chefwell",
        "export PGHOST=db.chefwell.pro PGPORT=5432 PGUSER=postgres",
        'CREATE DATABASE "restaurante_restoring" TEMPLATE template0',
        "u@backup.example:/b",
        "58 segundos | < 10 minutos | ✅",
        "25 horas | < 24 horas | ❌",
        "DBA, +55 11 5555-0100",
        "Contatos de emergência",
        "- [ ] ",
    ):
        assert line in text, text
    assert "a-secret-password" not in text
    assert path.stat().st_mode & 0o777 == 0o600
    english = runbook.render(dataclasses.replace(values, language="en"), TARGET, DRILL)
    assert "58 seconds | < 10 minutes | ✅" in english and "# 🚨 DISASTER" in english
    assert len(english.splitlines()) == len(text.splitlines())


def test_other_times_alone_are_no_change(values: RestoreSettings) -> None:
    assert runbook.write(values, TARGET, None)
    first = Path(values.runbook).read_text()
    assert "Nenhum teste de restauração foi feito" in first
    assert not runbook.write(values, TARGET, DRILL)
    second = Path(values.runbook).read_text()
    assert "58 segundos" in second
    assert not runbook.write(values, TARGET, DRILL)
    assert runbook.write(dataclasses.replace(values, contacts=[{"name": "Bia"}]), TARGET, DRILL)
    assert list(Path(values.runbook).parent.iterdir()) == [Path(values.runbook)]


def test_a_runbook_without_a_server_says_so(values: RestoreSettings) -> None:
    text = runbook.render(
        dataclasses.replace(values, offsite_config=""), restore_settings.RecoveryServer(), None
    )
    assert "staging_restore_recovery" in text and "--from-offsite\n" not in text


@pytest.mark.parametrize("person", [{"role": "DBA"}, {"name": "Ana", "fone": "1"}])
def test_a_contact_that_cannot_be_used_is_named(
    values: RestoreSettings, person: dict[str, str]
) -> None:
    with pytest.raises(ResilienceError, match="contact"):
        runbook.write(dataclasses.replace(values, contacts=[person]), TARGET, None)
    assert not Path(values.runbook).exists()


class ByHand:
    """A production of any name, a folder of backups, and the runbook's blocks without the tool."""

    def __init__(self, settings: RestoreSettings, folder: Path, dbname: str) -> None:
        self.settings, self.folder, self.dbname = settings, folder, dbname
        self.programs, self.environment = "", dict[str, str]()

    @contextlib.contextmanager
    def production(self, server: Server) -> Iterator[None]:
        self.server = server
        name = self.dbname.replace('"', '""')
        run_sql(server, "postgres", f'CREATE DATABASE "{name}"')
        run_sql(server, self.dbname, "CREATE TABLE content AS SELECT generate_series(1, 9) AS id")
        yield
        for one in self.databases():
            quoted = one.replace('"', '""')
            run_sql(server, "postgres", f'DROP DATABASE "{quoted}" WITH (FORCE)')

    def databases(self) -> list[str]:
        query = "SELECT datname FROM pg_database WHERE datname ~ 'shop' ORDER BY oid"
        return [name for (name,) in run_sql(self.server, "postgres", query)]

    def rows(self, name: str = "") -> Any:
        return run_sql(self.server, name or self.dbname, "SELECT count(*) FROM content")[0][0]

    def dump(self, *options: str) -> bytes:
        environment = {"PGPASSWORD": self.server.password, "PGDATABASE": self.dbname}
        where = ["-h", self.server.host, "-p", str(self.server.port), "-U", self.server.user]
        made = [self.server.binaries.path("pg_dump"), *options, *where]
        return subprocess.run(made, capture_output=True, check=True, env=environment).stdout

    def run(self, block: str) -> subprocess.CompletedProcess[str]:
        """Paste a block into a shell that goes on after errors, as people's do."""
        server = self.server
        target = dataclasses.replace(
            TARGET, host=server.host, port=server.port, user=server.user, dbname=self.dbname
        )
        text = runbook.render(self.settings, target, None)
        blocks = {
            name: next(one.text for one in code_blocks(text, "bash") if program in one.text)
            for name, program in (("restore", "TEMPLATE template0"), ("switch", "to_char(at, "))
        }
        return subprocess.run(
            ["bash"],
            input=blocks[block],
            env={
                "PATH": f"{self.programs or server.binaries.bin_dir}:{os.defpath}",
                "PGPASSWORD": server.password,
                **self.environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def locale(self, name: str) -> Any:
        query = (
            "SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider,"
            f" daticulocale FROM pg_database WHERE datname = '{name}'"
        )
        return run_sql(self.server, "postgres", query)[0]

    def must(self, block: str) -> str:
        ran = self.run(block)
        assert ran.returncode == 0, (ran.stdout, ran.stderr)
        return ran.stdout + ran.stderr


@pytest.fixture
def by_hand(
    values: RestoreSettings, server: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[ByHand]:
    """Production, and beside its backups what sorts after them and is none."""
    daily = tmp_path / "backups" / "daily"
    daily.mkdir(parents=True)
    settings = dataclasses.replace(values, backup_path=str(tmp_path / "backups"), offsite_config="")
    made = ByHand(settings, daily, getattr(request, "param", PRODUCTION))
    with made.production(server):
        (daily / "roles_20301120_030000.sql").write_text("CREATE ROLE waiter;\n")
        (daily / "notes.txt").write_text("the cook's\n")
        (daily / "zz_old_20201120_030000.dump").write_bytes(b"PGDMP of years ago")
        yield made


FORMATS = {
    "dump.gz": ("-Fc",),
    "sql.gz": ("-Fp",),
    "sql": ("-Fp", "--create", "--clean"),
    "tar": ("-Ft",),
}


def test_by_hand_every_format_is_restored(by_hand: ByHand, server: Server) -> None:
    """With PostgreSQL's programs alone; a dump that names production goes beside it."""
    run_sql(
        server,
        "postgres",
        "CREATE ROLE owner_of_shop",
        f"ALTER DATABASE {PRODUCTION} OWNER TO owner_of_shop",
        f"ALTER DATABASE {PRODUCTION} SET work_mem = '7MB'",
        f"REVOKE CONNECT ON DATABASE {PRODUCTION} FROM PUBLIC",
        f"COMMENT ON DATABASE {PRODUCTION} IS 'the shop''s'",
    )
    # Text that looks like what is left out of a plain dump.
    lines = "E'x\\nCREATE DATABASE kept;\\nGRANT ALL ON DATABASE shop TO nobody;'"
    run_sql(server, PRODUCTION, f"CREATE TABLE lines AS SELECT {lines}::text AS held")
    (held,) = run_sql(server, PRODUCTION, "SELECT held FROM lines")
    properties = (
        "SELECT pg_get_userbyid(datdba), (SELECT array_agg(one::text ORDER BY one::text)"
        " FROM unnest(datacl) one), shobj_description(oid, 'pg_database'),"
        " (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid)"
        f" FROM pg_database d WHERE datname = '{PRODUCTION}'"
    )
    before = run_sql(server, "postgres", properties)
    try:
        for number, (ending, options) in enumerate(FORMATS.items()):
            made = by_hand.dump(*options)
            packed = gzip.compress(made) if ending.endswith(".gz") else made
            (by_hand.folder / f"shop_2025112{number}_030000.{ending}").write_bytes(packed)
            (by_hand.folder / f"shop_2025112{number}_030000.{ending}.sha256").write_text("0\n")
            run_sql(server, PRODUCTION, "DELETE FROM content")
            assert f"{PRODUCTION}_recovered" in by_hand.must("restore").splitlines()
            assert (by_hand.rows(), by_hand.rows(f"{PRODUCTION}_recovered")) == (0, 9)
            printed = by_hand.must("switch")
            (kept,) = set(by_hand.databases()) - {PRODUCTION}
            assert f"kept: {kept}" in printed
            assert (by_hand.rows(), by_hand.rows(kept)) == (9, 0), options
            assert run_sql(server, PRODUCTION, "SELECT held FROM lines") == [held], options
            assert run_sql(server, "postgres", properties) == before, options
            run_sql(server, "postgres", f"DROP DATABASE {kept}")
    finally:
        run_sql(server, "postgres", f"ALTER DATABASE {PRODUCTION} OWNER TO {server.user}")
        run_sql(server, "postgres", "DROP ROLE owner_of_shop")


def test_by_hand_a_sealed_backup_is_opened_first(by_hand: ByHand, tmp_path: Path) -> None:
    """By the host's key, or by the file that IDENTITY names; without both nothing is made."""
    secret, public = age.new_identity()
    offline = tmp_path / "offline.key"
    offline.write_text(f"{secret}\n")
    offline.chmod(0o600)
    seal = SealSettings(recipients=(public,), untested=True)
    folder = keys.folder_of(str(tmp_path / "etc"))
    keys.set_up(folder, seal)
    by_hand.settings = dataclasses.replace(
        by_hand.settings, config_dir=str(tmp_path / "etc"), seal=seal
    )
    backup = by_hand.folder / "shop_20251120_030000.sql.gz.age"
    recipients = str(Path(folder, keys.RECIPIENTS))
    age.seal_bytes(gzip.compress(by_hand.dump("-Fp")), str(backup), recipients)
    (by_hand.folder / "shop_20251120_030000.sql.gz.manifest.json.age").write_bytes(b"sealed")
    assert by_hand.must("restore").splitlines()[0].endswith(backup.name)
    restored = f"{PRODUCTION}_recovered"
    assert by_hand.rows(restored) == 9
    run_sql(by_hand.server, "postgres", f"DROP DATABASE {restored}")
    Path(folder, keys.IDENTITY).unlink()
    assert by_hand.run("restore").returncode != 0
    assert by_hand.databases() == [PRODUCTION]
    by_hand.environment["IDENTITY"] = str(offline)
    by_hand.must("restore")
    assert by_hand.rows(restored) == 9


@pytest.mark.parametrize(
    "by_hand",
    ['My "shop"; it\'s', "shop_" + "é" * 29, "-shop=1", "shop$a$ \\ x"],
    indirect=True,
)
def test_by_hand_any_name_of_the_database(by_hand: ByHand) -> None:
    (by_hand.folder / "shop_20251120_030000.dump").write_bytes(by_hand.dump("-Fc"))
    run_sql(by_hand.server, by_hand.dbname, "DELETE FROM content")
    by_hand.must("restore")
    by_hand.must("switch")
    (kept,) = set(by_hand.databases()) - {by_hand.dbname}
    assert (by_hand.rows(), by_hand.rows(kept)) == (9, 0)


def test_by_hand_nothing_unfinished_takes_productions_place(by_hand: ByHand) -> None:
    """Both blocks are pasted, whatever the first one printed."""
    whole = by_hand.dump("-Fc")
    backup = by_hand.folder / "shop_20251120_030000.dump"
    backup.write_bytes(whole)
    by_hand.must("restore")
    by_hand.must("switch")
    (kept,) = set(by_hand.databases()) - {PRODUCTION}
    plain = by_hand.dump("-Fp")
    tables = (b"PGDMP", whole[: len(whole) // 2], b"", plain[: len(plain) // 2] + b"SELECT 1 FROM")
    for content in (*tables, b"CREATE ROLE IF;\n", b"SELECT 1;\n"):
        backup.unlink()
        backup = backup.with_suffix(".sql" if content[:5] != b"PGDMP" else ".dump")
        backup.write_bytes(content)
        assert by_hand.run("restore").returncode != 0, content[:30]
        assert by_hand.run("switch").returncode != 0
        assert by_hand.rows() == 9 and set(by_hand.databases()) <= {
            *(PRODUCTION, kept, f"{PRODUCTION}_restoring")
        }
    backup.write_bytes(plain)
    by_hand.must("restore")
    with contextlib.closing(psycopg2.connect(**by_hand.server.dsn("postgres"))) as other:
        other.cursor().execute(
            "SELECT pg_advisory_lock(%s, %s)", recovery_lock.key_of(by_hand.dbname)
        )
        ran = by_hand.run("switch")
        assert ran.returncode != 0 and "another recovery is at work" in ran.stderr
    assert kept in by_hand.databases() and f"{PRODUCTION}_recovered" in by_hand.databases()
    for path in by_hand.folder.iterdir():
        path.unlink()
    assert "NAME" in by_hand.run("restore").stderr


def test_by_hand_under_clients_and_without_production(by_hand: ByHand, server: Server) -> None:
    """Clients reconnect all the time, one session is idle; then the database is gone."""
    (by_hand.folder / "shop_20251120_030000.dump").write_bytes(by_hand.dump("-Fc"))
    run_sql(server, PRODUCTION, "DELETE FROM content")
    by_hand.must("restore")
    stop, refusals = threading.Event(), []

    def reconnect() -> None:
        while not stop.wait(0.02):
            try:
                with contextlib.closing(psycopg2.connect(**server.dsn(PRODUCTION))) as client:
                    client.cursor().execute("SELECT 1")
            except psycopg2.Error as error:
                refusals.append(str(error))

    clients = [threading.Thread(target=reconnect) for _number in range(3)]
    with contextlib.closing(psycopg2.connect(**server.dsn(PRODUCTION))) as idle:
        idle.cursor().execute("SELECT 1")
        for client in clients:
            client.start()
        try:
            by_hand.must("switch")
        finally:
            stop.set()
            for client in clients:
                client.join()
    assert by_hand.rows() == 9
    assert [text for text in refusals if "not currently accepting" in text] == []
    run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION} WITH (FORCE)")
    by_hand.must("restore")
    by_hand.must("switch")
    assert by_hand.rows() == 9


@pytest.mark.parametrize("form", ["-Fc", "-Ft", "-Fp"])
def test_by_hand_encoding_and_locale_are_productions(
    by_hand: ByHand, server: Server, form: str
) -> None:
    """Where it is gone they are the backup's; a plain dump holds them with `--create` alone."""
    run_sql(
        server,
        "postgres",
        f"DROP DATABASE {PRODUCTION}",
        f"CREATE DATABASE {PRODUCTION} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
    )
    run_sql(server, PRODUCTION, "CREATE TABLE content AS SELECT generate_series(1, 9) AS id")
    run_sql(server, PRODUCTION, "CREATE TABLE names AS SELECT 'João'::text AS name")
    before = by_hand.locale(PRODUCTION)
    assert before[:3] == ("LATIN1", "C", "C")
    ending = "sql" if form == "-Fp" else "dump"
    backup = by_hand.folder / f"shop_20251120_030000.{ending}"
    backup.write_bytes(by_hand.dump(form, *(["--create"] if form == "-Fp" else [])))
    run_sql(server, "postgres", f"ALTER DATABASE {PRODUCTION} ALLOW_CONNECTIONS false")
    if form != "-Ft":  # an archive as the first one
        by_hand.must("restore")
        assert by_hand.locale(f"{PRODUCTION}_recovered") == before
        run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION}_recovered")
    run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION}")
    by_hand.must("restore")
    assert by_hand.locale(f"{PRODUCTION}_recovered") == before
    assert run_sql(server, f"{PRODUCTION}_recovered", "SELECT name FROM names") == [("João",)]


HOSTILE = (
    ("\\! touch {file}\n", "\nCREATE TABLE "),
    ("\\! touch {file}\n", "\n\\unrestrict"),
    ("SELECT 1 \\g |touch {file}\n", "\nCREATE TABLE "),
    ("\\o |touch {file}\nSELECT 1;\n", "\n\\unrestrict"),
)


@pytest.mark.parametrize(("line", "place"), HOSTILE)
def test_by_hand_a_plain_dump_runs_no_program(
    by_hand: ByHand, tmp_path: Path, line: str, place: str
) -> None:
    file, plain = tmp_path / "was-here", by_hand.dump("-Fp").decode()
    assert plain.count(place) == 1
    text = plain.replace(place, "\n" + line.format(file=file) + place[1:])
    (by_hand.folder / "shop_20251120_030000.sql").write_text(text)
    ran = by_hand.run("restore")
    assert ran.returncode != 0 and "restricted" in ran.stderr and not file.exists(), ran
    assert by_hand.databases() == [PRODUCTION, f"{PRODUCTION}_restoring"]


def test_by_hand_an_old_psql_needs_trust(by_hand: ByHand, tmp_path: Path) -> None:
    """No psql so old is at hand: one that knows no `\\restrict` is made of the present one."""
    programs, real = tmp_path / "old", by_hand.server.binaries.bin_dir
    programs.mkdir()
    for name in ("dropdb", "pg_restore", "pg_dump"):
        (programs / name).symlink_to(f"{real}/{name}")
    psql = programs / "psql"
    psql.write_text(f"#!/bin/sh\n{real}/psql \"$@\" | sed '/^ *.restrict /d'\n")
    psql.chmod(0o755)
    (by_hand.folder / "shop_20251120_030000.sql").write_bytes(by_hand.dump("-Fp"))
    by_hand.programs = str(programs)
    ran = by_hand.run("restore")
    assert ran.returncode != 0 and "TRUST_DUMP=yes" in ran.stderr
    assert by_hand.databases() == [PRODUCTION]
    by_hand.environment = {"TRUST_DUMP": "yes"}
    by_hand.must("restore")
    assert by_hand.rows(f"{PRODUCTION}_recovered") == 9


def test_by_hand_the_owner_of_production_runs_no_program(
    by_hand: ByHand, server: Server, tmp_path: Path
) -> None:
    """What the old database was set to is SQL from elsewhere, too: lines of it may be any."""
    file = tmp_path / "was-here"
    held = f"x\nend\nALTER y; \\! touch {file}\nALTER z; \\! touch {file}"
    run_sql(
        server,
        "postgres",
        f"COMMENT ON DATABASE {PRODUCTION} IS 'a\nz'",
        f"ALTER DATABASE {PRODUCTION} SET \"shop.a\" TO '{held}'",
        f"ALTER DATABASE {PRODUCTION} SET \"shop.b\" TO '\\! touch {file}'",
    )
    (by_hand.folder / "shop_20251120_030000.dump").write_bytes(by_hand.dump("-Fc"))
    by_hand.must("restore")
    ran = by_hand.run("switch")
    assert not file.exists() and "restricted" in ran.stderr, ran
    assert by_hand.rows() == 9
