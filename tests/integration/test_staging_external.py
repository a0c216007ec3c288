"""Option B: an external server on which only one database belongs to staging."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import marked_database
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from support.drill_settings import drill_of_testbed
from testbed import Testbed, production


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[production.Production]:
    """A second PostgreSQL, which is not production."""
    with production.alone(tmp_path_factory.mktemp("other")) as made:
        yield made


@pytest.fixture
def settings(
    bed: Testbed, other: production.Production, tmp_path: Path
) -> proof_settings.ProofSettings:
    account = {name: other.settings[name] for name in ("host", "port", "user", "password")}
    place = {"engine": "external", "external": staging.ExternalSettings(**account)}
    return drill_of_testbed(bed, tmp_path, staging=place)


def databases(server: production.Production) -> set[str]:
    with (
        contextlib.closing(server.connect("postgres")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
        return {name for (name,) in cursor.fetchall()}


def execute(server: production.Production, statement: str) -> None:
    with contextlib.closing(server.connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def test_a_drill_leaves_the_server_as_it_was(
    settings: proof_settings.ProofSettings, other: production.Production
) -> None:
    before = databases(other)
    result = drill.run(settings)
    assert (result["verdict"], result["problem"]) == ("passed", None), result
    assert databases(other) == before


def test_a_staging_that_was_set_up_stays(
    settings: proof_settings.ProofSettings, other: production.Production
) -> None:
    drill.set_up(settings)
    assert drill.run(settings)["verdict"] == "passed"
    assert drill.validate(settings)["verdict"] == "passed"
    assert "restaurante_staging" in databases(other)
    # A second restore replaces our own database.
    assert drill.run(settings, tier="weekly")["verdict"] == "passed"
    assert f"database restaurante_staging at {other.settings['host']}" in drill.clean_up(settings)
    assert "restaurante_staging" not in databases(other)
    assert drill.clean_up(settings) == []


def test_a_plain_dump_that_names_its_database_goes_into_staging(
    settings: proof_settings.ProofSettings,
    bed: Testbed,
    other: production.Production,
    tmp_path: Path,
) -> None:
    """Nothing of the server but staging's own database is made, dropped or renamed."""
    server = bed.record["postgres"]
    path = tmp_path / "chefwell_backup_20251120_030000.sql"
    subprocess.run(
        [
            *(f"{server['bin_dir']}/pg_dump", "-Fp", "--clean", "--create", f"--file={path}"),
            *("-U", server["user"], "-h", server["host"], "-p", str(server["port"])),
            server["dbname"],
        ],
        env={"PGPASSWORD": server["password"]},
        check=True,
    )
    hostile = "\\connect postgres\nDROP DATABASE precious;\nCREATE ROLE stranger SUPERUSER;\n"
    end = "--\n-- PostgreSQL database dump complete\n"
    content = path.read_text(encoding="utf-8")
    path.write_text(content.replace(end, hostile + end), encoding="utf-8")
    execute(other, "CREATE DATABASE precious")
    before = databases(other)
    result = drill.run(settings, path=str(path))
    assert (result["verdict"], result["problem"]) == ("passed", None), result
    assert databases(other) == before
    assert result["restore"]["left_out"]["CREATE ROLE"] == 1
    assert result["restore"]["left_out"]["DROP DATABASE"] == 2
    execute(other, "DROP DATABASE precious")


def test_a_foreign_database_of_that_name_stays(
    settings: proof_settings.ProofSettings, other: production.Production
) -> None:
    execute(other, "CREATE DATABASE restaurante_staging")
    try:
        result = drill.run(settings)
        assert result["verdict"] == "could_not_verify"
        assert "did not make it" in result["problem"]
        drill.clean_up(settings)
        assert "restaurante_staging" in databases(other)
    finally:
        execute(other, "DROP DATABASE restaurante_staging")


def test_one_that_was_cut_off_before_it_had_its_mark_is_known(
    settings: proof_settings.ProofSettings, other: production.Production
) -> None:
    """Who is killed between CREATE DATABASE and COMMENT leaves a database born with our limit."""
    limit = marked_database.NEWBORN_LIMIT
    execute(other, f"CREATE DATABASE restaurante_staging CONNECTION LIMIT {limit}")
    result = drill.run(settings, keep=True)
    assert (result["verdict"], result["problem"]) == ("passed", None), result
    with (
        contextlib.closing(other.connect("postgres")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT datconnlimit FROM pg_database WHERE datname = 'restaurante_staging'")
        assert cursor.fetchall() == [(-1,)]
    drill.clean_up(settings)
    assert "restaurante_staging" not in databases(other)


def test_a_backup_that_is_a_folder_is_the_newest(
    settings: proof_settings.ProofSettings, bed: Testbed
) -> None:
    server = bed.record["postgres"]
    now = datetime.datetime.now()
    folder = Path(bed.record["backups"], "daily", f"chefwell_backup_{now:%Y%m%d_%H%M%S}")
    dump = [f"{server['bin_dir']}/pg_dump", "-Fd", "-j2", "-f", str(folder), "-U", server["user"]]
    subprocess.run(
        [*dump, "-h", server["host"], "-p", str(server["port"]), server["dbname"]],
        env={"PGPASSWORD": server["password"]},
        check=True,
    )
    try:
        for which in ({}, {"tier": "daily"}, {"date": f"{now:%Y-%m-%d}"}):
            result = drill.run(settings, **which)
            assert (result["verdict"], result["problem"]) == ("passed", None), result
            assert result["backup"]["path"] == str(folder)
            assert result["backup"]["format"] == "directory" and result["restore"]["jobs"] > 1
    finally:
        shutil.rmtree(folder)


def refusal(
    settings: proof_settings.ProofSettings, external: dict[str, object], **production: object
) -> str:
    place = dataclasses.replace(
        settings.staging,
        external=dataclasses.replace(settings.staging.external, **external),
        production=dataclasses.replace(settings.staging.production, **production),
    )
    with pytest.raises(ResilienceError) as refused:
        drill.set_up(dataclasses.replace(settings, staging=place))
    return str(refused.value)


def test_production_is_refused_by_whatever_way_it_is_named(
    settings: proof_settings.ProofSettings, bed: Testbed, other: production.Production
) -> None:
    server = {name: bed.record["postgres"][name] for name in ("host", "port", "user", "password")}
    with contextlib.closing(bed.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier::text FROM pg_control_system()")
        (number,) = cursor.fetchone() or ("",)
    before = databases(bed.production)
    for name in ("127.0.0.1", "localhost", "127.0.0.2", "0.0.0.0"):
        assert "staging is production" in refusal(settings, {**server, "host": name})
    # A socket leads to a server of this machine, so its port decides.
    socket_too = {**server, "host": "/var/run/postgresql"}
    assert "staging is production" in refusal(settings, socket_too)
    # An address that proves nothing (a tunnel, a proxy): the server's identifier is compared.
    elsewhere = {"host": "192.0.2.1", "port": 6000}
    by_name = refusal(settings, server, **elsewhere)
    assert "it holds production's database restaurante" in by_name
    by_number = refusal(settings, server, **elsewhere, dbname="", system_identifier=number)
    assert f"system identifier is production's, {number}" in by_number
    assert databases(bed.production) == before
