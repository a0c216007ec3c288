"""Production after a recovery is production before, by its catalogues; also where it is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import (
    recovery,
    recovery_run,
    recovery_switch,
)
from support.filesystems import Disks
from support.production_server import (
    HOST,
    PRODUCTION,
    databases,
    production_server,
    recovery_settings,
    run_sql,
    server,
)

__all__ = ["server"]

ROLES = ("shop_owner", "reader", "granter", "clerk", "nobody_grants")


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Iterator[recovery.RecoverySettings]:
    """Production with a property of every kind, and its objects."""
    tmp_path.chmod(0o755)
    spaces = tmp_path.parent / "space"
    spaces.mkdir(exist_ok=True)
    run_sql(server, "postgres", f"CREATE DATABASE {PRODUCTION}")
    statements = [
        *(f"CREATE ROLE {role}" for role in ROLES),
        f"ALTER DATABASE {PRODUCTION} OWNER TO shop_owner",
        f"REVOKE CONNECT ON DATABASE {PRODUCTION} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {PRODUCTION} TO granter WITH GRANT OPTION",
        f"SET ROLE granter; GRANT CONNECT ON DATABASE {PRODUCTION} TO reader; RESET ROLE",
        # Who grants first in the catalogue's order got the right from one who comes later.
        f"GRANT CONNECT ON DATABASE {PRODUCTION} TO clerk WITH GRANT OPTION",
        f"SET ROLE clerk; GRANT CONNECT ON DATABASE {PRODUCTION} TO reader; RESET ROLE",
        f"SET ROLE granter; GRANT CONNECT ON DATABASE {PRODUCTION} TO clerk WITH GRANT OPTION;"
        " RESET ROLE",
        f"REVOKE CONNECT ON DATABASE {PRODUCTION} FROM clerk",
        f"GRANT TEMPORARY, CREATE ON DATABASE {PRODUCTION} TO clerk",
        f"REVOKE CREATE ON DATABASE {PRODUCTION} FROM shop_owner",
        f"ALTER DATABASE {PRODUCTION} CONNECTION LIMIT 41",
        f"""ALTER DATABASE {PRODUCTION} SET search_path = public, "$user", "a ""b", ext""",
        f"ALTER DATABASE {PRODUCTION} SET work_mem = '7MB'",
        f"ALTER DATABASE {PRODUCTION} SET \"shop.motto\" = 'it''s = \"fine\", \\ really'",
        f"ALTER DATABASE {PRODUCTION} SET DateStyle = 'ISO, DMY'",
        f"ALTER DATABASE {PRODUCTION} SET timezone = 'America/Sao_Paulo'",
        f"ALTER DATABASE {PRODUCTION} SET temp_tablespaces = ''",
        f"ALTER ROLE reader IN DATABASE {PRODUCTION} SET statement_timeout = '5s'",
        f"ALTER ROLE clerk IN DATABASE {PRODUCTION} SET search_path = ext, public",
        f"COMMENT ON DATABASE {PRODUCTION} IS 'the shop''s; with a \\ and \"quotes\"'",
    ]
    run_sql(server, "postgres", *statements)
    run_sql(
        server,
        PRODUCTION,
        "CREATE TABLE content AS SELECT 'old'::text AS whose",
        "ALTER TABLE content OWNER TO shop_owner",
        "GRANT SELECT ON content TO reader",
        "CREATE SCHEMA ext AUTHORIZATION clerk",
        "ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner GRANT SELECT ON TABLES TO reader",
    )
    yield recovery_settings(server, tmp_path)
    for name in databases(server):
        run_sql(server, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')
    run_sql(server, "postgres", *(f"DROP ROLE IF EXISTS {role}" for role in ROLES))


CATALOGUES = {
    "pg_database": """
        SELECT to_jsonb(d) - '{oid,datdba,datacl,datfrozenxid,datminmxid,dattablespace}'::text[],
            pg_get_userbyid(datdba), spcname, shobj_description(d.oid, 'pg_database')
        FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = %(name)s
    """,
    "privileges": """
        SELECT pg_get_userbyid(grantor), grantee::regrole::text, privilege_type, is_grantable
        FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
        WHERE datname = %(name)s ORDER BY 1, 2, 3
    """,
    "pg_db_role_setting": """
        SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = %(name)s) ORDER BY 1
    """,
    "pg_shdepend of the database": """
        SELECT refclassid::regclass::text, refobjid::regrole::text, deptype
        FROM pg_shdepend WHERE classid = 'pg_database'::regclass
        AND refclassid = 'pg_authid'::regclass
        AND objid = (SELECT oid FROM pg_database WHERE datname = %(name)s) ORDER BY 1, 2, 3
    """,
    "pg_shdepend within it": """
        SELECT pg_describe_object(classid, objid, objsubid), refobjid::regrole::text, deptype
        FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass
        AND dbid = (SELECT oid FROM pg_database WHERE datname = %(name)s)
        AND pg_describe_object(classid, objid, objsubid) IS NOT NULL ORDER BY 1, 2, 3
    """,
    "settings in a session": """
        SELECT name, setting, source FROM pg_settings
        WHERE source IN ('database', 'database user') ORDER BY 1
    """,
    "pg_default_acl": """
        SELECT defaclrole::regrole::text, defaclobjtype, defaclacl FROM pg_default_acl
    """,
    "pg_seclabel": "SELECT count(*) FROM pg_shseclabel",
}


def state(server: Server) -> dict[str, list[tuple[Any, ...]]]:
    """What the catalogues know of production, in sessions of its own."""
    return {
        name: run_sql(server, PRODUCTION, query, name=PRODUCTION)
        for name, query in CATALOGUES.items()
    }


def back_up(server: Server, folder: Path, *options: str) -> str:
    path = folder / "shop_20251120_030000.dump"
    dump = [server.binaries.path("pg_dump"), *options, f"--file={path}", server.url(PRODUCTION)]
    subprocess.run(dump, check=True)
    return str(path)


def recover(settings: recovery.RecoverySettings, backup: str) -> tuple[dict[str, Any], Any]:
    restored = recovery_run.restore_beside(settings, path=backup)
    assert restored["verdict"] == "passed", restored
    return restored, recovery_switch.switch(settings, restored["name"], HOST, lambda text: None)


def test_the_catalogues_are_the_same_after_a_switch(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    backup = back_up(server, tmp_path, "-Fc")
    before = state(server)
    assert all(before[name] for name in CATALOGUES)
    restored, done = recover(settings, backup)
    assert state(server) == before
    assert (restored["unlike"], done["problems"]) == ([], [])
    # And after the way back.
    recovery_switch.undo(settings, HOST, lambda text: None)
    assert state(server) == before


@pytest.mark.parametrize("options", [("-Fc",), ("-Fp", "--create"), ("-Ft",)], ids=" ".join)
def test_a_database_that_is_gone_comes_out_of_the_backup(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path, options: tuple[str, ...]
) -> None:
    backup = back_up(server, tmp_path, *options)
    before = state(server)
    run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION} WITH (FORCE)")
    restored, done = recover(settings, backup)
    assert state(server) == before
    assert (done["kept"], done["problems"]) == (None, [])
    assert [text for text in restored["unlike"] if "replication slots" not in text] == []


def test_what_the_backup_does_not_hold_is_named(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    backup = back_up(server, tmp_path, "-Fp")
    run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION} WITH (FORCE)")
    restored, _done = recover(settings, backup)
    assert any("this backup lacks them" in text for text in restored["unlike"]), restored
    run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION} WITH (FORCE)")


def test_a_setting_of_a_role_that_is_gone_is_named(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    run_sql(
        server,
        "postgres",
        f"ALTER ROLE nobody_grants IN DATABASE {PRODUCTION} SET work_mem = '1MB'",
    )
    backup = back_up(server, tmp_path, "-Fc")
    run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION} WITH (FORCE)")
    run_sql(server, "postgres", "DROP ROLE nobody_grants")
    restored, _done = recover(settings, backup)
    assert any("work_mem of the role nobody_grants" in text for text in restored["unlike"])


@pytest.mark.parametrize("whose", ["", "ROLE reader IN "])
def test_a_setting_that_would_close_the_restored_database_refuses_the_switch(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path, whose: str
) -> None:
    """Nobody can connect to production because of it, and nobody could afterwards."""
    restored = recovery_run.restore_beside(settings, path=back_up(server, tmp_path, "-Fc"))
    alter = f"ALTER {whose}DATABASE {PRODUCTION} SET"
    run_sql(server, "postgres", f"{alter} session_preload_libraries TO 'no such', 'library'")
    before = run_sql(server, "postgres", "SELECT datname, oid FROM pg_database ORDER BY oid")

    def switch() -> Any:
        return recovery_switch.switch(settings, restored["name"], HOST, lambda text: None)

    with pytest.raises(ResilienceError, match="would close the restored database") as refused:
        switch()
    after = run_sql(server, "postgres", "SELECT datname, oid FROM pg_database ORDER BY oid")
    assert after == before
    remedy = str(refused.value.remedy)
    statement = remedy[remedy.index("ALTER ") : remedy.index(", then")]
    run_sql(server, "postgres", statement)
    assert switch()["problems"] == [] and state(server)


def test_a_setting_of_the_backup_that_would_close_the_database_is_named(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    alter = f"ALTER ROLE reader IN DATABASE {PRODUCTION} SET local_preload_libraries TO 'missing'"
    run_sql(server, "postgres", alter)
    backup = back_up(server, tmp_path, "-Fc")
    run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION} WITH (FORCE)")
    restored, _done = recover(settings, backup)
    assert any("setting local_preload_libraries: " in text for text in restored["unlike"]), restored
    assert "missing" not in str(run_sql(server, "postgres", "SELECT * FROM pg_db_role_setting"))


def test_a_tablespace_is_production_s_or_named(
    settings: recovery.RecoverySettings, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("space")
    folder.chmod(0o777)
    folder.parent.chmod(0o755)
    (folder / "fast").mkdir()
    (folder / "fast").chmod(0o777)
    if os.geteuid() == 0:
        os.chown(folder / "fast", 65534, 65534)
    run_sql(server, "postgres", f"CREATE TABLESPACE fast LOCATION '{folder}/fast'")
    try:
        run_sql(server, "postgres", f"ALTER DATABASE {PRODUCTION} SET TABLESPACE fast")
        backup = back_up(server, folder, "-Fc")
        before = state(server)
        recover(settings, backup)
        assert state(server) == before
        for name in databases(server):
            run_sql(server, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')
        _restored, _done = recover(settings, backup)
        assert state(server) == before
        for name in databases(server):
            run_sql(server, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')
        run_sql(server, "postgres", "DROP TABLESPACE fast")
        restored, _done = recover(settings, backup)
        assert any("tablespace fast" in text for text in restored["unlike"]), restored
    finally:
        for name in databases(server):
            run_sql(server, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')
        run_sql(server, "postgres", "DROP TABLESPACE IF EXISTS fast")


def test_a_hostile_table_of_contents_changes_nothing_else(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    """Statements about another database, or of another kind, are named and not run."""
    backup = Path(back_up(server, tmp_path, "-Fp", "--create"))
    hostile = (
        f"ALTER DATABASE {PRODUCTION} SET work_mem TO '9MB';\n"
        "ALTER DATABASE postgres CONNECTION LIMIT = 3;\n"
        "DROP DATABASE bystander;\n"
        "ALTER ROLE reader SUPERUSER;\n"
    )
    marker = f"ALTER DATABASE {PRODUCTION} SET "
    before, found, after = backup.read_text().rpartition(marker)
    assert found
    backup.write_text(before + hostile + found + after)
    run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION} WITH (FORCE)")
    run_sql(server, "postgres", "CREATE DATABASE bystander")
    try:
        restored, _done = recover(settings, str(backup))
        shown = run_sql(
            server,
            "postgres",
            "SELECT datconnlimit, (SELECT rolsuper FROM pg_roles WHERE rolname = 'reader'),"
            " EXISTS (SELECT FROM pg_database WHERE datname = 'bystander')"
            " FROM pg_database WHERE datname = 'postgres'",
        )
        assert shown == [(-1, False, True)]
        shop = run_sql(
            server,
            "postgres",
            f"SELECT datconnlimit FROM pg_database WHERE datname = '{PRODUCTION}'",
        )
        assert shop == [(41,)]
        named = " ".join(restored["unlike"])
        assert "ALTER DATABASE postgres CONNECTION LIMIT" in named
        assert "DROP DATABASE bystander" in named and "ALTER ROLE reader SUPERUSER" in named
    finally:
        run_sql(server, "postgres", "DROP DATABASE IF EXISTS bystander WITH (FORCE)")


def test_slots_and_publications_are_named_beforehand(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    """A publication that was made since the backup is only in the old database."""
    run_sql(server, PRODUCTION, "CREATE PUBLICATION old_feed FOR TABLE content")
    backup = back_up(server, tmp_path, "-Fc")
    run_sql(server, PRODUCTION, "CREATE PUBLICATION new_feed FOR TABLE content")
    announced: list[str] = []
    restored = recovery_run.restore_beside(settings, path=backup)
    assert restored["left_behind"] == ["publication new_feed"], restored
    done = recovery_switch.switch(settings, restored["name"], HOST, announced.append)
    assert done["left_behind"] == ["publication new_feed"]
    assert any("publication new_feed" in text for text in announced)
    names = run_sql(server, PRODUCTION, "SELECT pubname FROM pg_publication")
    assert names == [("old_feed",)]


def test_no_room_beside_production_is_found_out_beforehand(disks: Disks, tmp_path: Path) -> None:
    """The server's disk is nearly full: nothing is made, and production goes on."""
    tmp_path.chmod(0o755)
    disk = disks.memory("production", pages=180_000, inodes=20_000)
    disk.parent.chmod(0o755)
    with production_server(disk) as server:
        run_sql(server, "postgres", f"CREATE DATABASE {PRODUCTION}")
        run_sql(server, PRODUCTION, "CREATE TABLE content AS SELECT 'old'::text AS whose")
        backup = back_up(server, tmp_path, "-Fc")
        settings = recovery_settings(server, tmp_path)
        with open(disk / "filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(disk).free - (200 << 20))
        result = recovery_run.restore_beside(settings, path=backup)
        assert result["verdict"] == "could_not_verify", result
        assert "needs about" in result["problem"] and "MiB" in result["problem"]
        assert databases(server) == {PRODUCTION}
        (disk / "filler").unlink()
        assert recovery_run.restore_beside(settings, path=backup)["verdict"] == "passed"
