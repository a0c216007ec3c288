"""The restored database has the encoding, locale and settings of the dumped one, in every form."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive_entry,
    archive_toc,
    database_locale,
    manifest,
    manifest_snapshot,
    restore,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from corpus.lab import Lab
from support.drill_settings import standing_staging

# Debian's PostgreSQL has ICU and every conversion.
DEBIAN = "/usr/lib/postgresql/15/bin"
MADE = """
SELECT pg_encoding_to_char(encoding), datcollate, datlocprovider::text, coalesce(daticulocale, '')
FROM pg_database WHERE datname = %s"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[proof_settings.ProofSettings]:
    with standing_staging(tmp_path_factory.mktemp("made"), DEBIAN) as made:
        yield made


@pytest.fixture(scope="module")
def lab(settings: proof_settings.ProofSettings, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.standing(settings, tmp_path_factory.mktemp("dumps"))


def made_as(lab: Lab, database: str) -> tuple[Any, ...]:
    with lab.connected("postgres") as connection, connection.cursor() as cursor:
        cursor.execute(MADE, [database])
        row: tuple[Any, ...] = cursor.fetchone()
        return row


FORMS = {
    "custom": ("-Fc",),
    "directory": ("-Fd",),
    "plain": ("-Fp", "--create"),
    "plain, inserts": ("-Fp", "--create", "--inserts"),
}


@pytest.mark.parametrize("form", FORMS)
def test_settings_on_which_rows_depend(
    settings: proof_settings.ProofSettings, lab: Lab, form: str
) -> None:
    """The check holds in São Paulo alone; one setting would keep everybody from writing."""
    lab.create("zoned")
    lab.run(
        "postgres",
        "ALTER DATABASE zoned SET timezone TO 'America/Sao_Paulo'",
        "ALTER DATABASE zoned SET search_path TO 'shop', 'public'",
        "ALTER DATABASE zoned SET default_transaction_read_only TO on",
        "ALTER DATABASE zoned SET app.tenant TO 'it''s; mine'",
    )
    lab.run(
        "zoned",
        "SET default_transaction_read_only TO off",
    )
    with lab.connected("zoned") as connection, connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only TO off")
        cursor.execute(
            "CREATE SCHEMA shop; CREATE TABLE shop.sale (at timestamptz, day date,"
            " CHECK (day = at::date)); INSERT INTO shop.sale VALUES"
            " ('2025-01-01 02:00+00', '2024-12-31')"
        )
    try:
        result = drill.run(settings, path=str(lab.dump("zoned", *FORMS[form])))
        assert (result["verdict"], result["problem"]) == ("passed", None), result["checks"]
        left_out = result["restore"]["left_out"]
        # A plain dump also names the owner.
        assert left_out.get("ALTER DATABASE", 0) == ("-Fp" in FORMS[form])
        assert "ALTER DATABASE SET" not in left_out
        with lab.connected(settings.staging.database) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('timezone'), current_setting('app.tenant')")
            assert cursor.fetchone() == ("America/Sao_Paulo", "it's; mine")
    finally:
        lab.drop("zoned")


def test_a_manifest_has_the_settings_that_a_dump_lacks(
    settings: proof_settings.ProofSettings, lab: Lab, tmp_path: Path
) -> None:
    """Those of the database in a plain dump without --create; those of a server in any."""
    sold = "CREATE TABLE sale (at timestamptz, day date, price money, CHECK (day = at::date))"
    row = "INSERT INTO sale VALUES ('2025-01-01 02:00+00', '2024-12-31', 5)"
    lab.create("zoned")
    lab.run("postgres", "ALTER DATABASE zoned SET timezone TO 'America/Sao_Paulo'")
    lab.run("zoned", sold, row)
    try:
        path = tmp_path / "shop.sql"
        shutil.copy(lab.dump("zoned", "-Fp"), path)
        without = drill.run(settings, path=str(path))
        with manifest_snapshot.export({"dsn": lab.server.url("zoned")}) as snapshot:
            manifest.write(str(path), snapshot.read())
        result = drill.run(settings, path=str(path))
    finally:
        lab.drop("zoned")
    # Such a dump alone does not fit any server.
    assert without["verdict"] == "failed" and "violates check constraint" in str(without["checks"])
    assert (result["verdict"], result["problem"]) == ("passed", None), result["checks"]


def test_money_is_read_as_it_was_written(settings: proof_settings.ProofSettings, lab: Lab) -> None:
    """No dump names its locale, so it is the database's: initdb gives a server one for all."""
    lab.run("postgres", "CREATE DATABASE paid TEMPLATE template0 LOCALE 'C.UTF-8'")
    try:
        result = drill.run(settings, path=str(lab.dump("paid")))
    finally:
        lab.drop("paid")
    assert (result["verdict"], result["problem"]) == ("passed", None), result["checks"]
    with lab.connected(settings.staging.database) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW lc_monetary")
        assert cursor.fetchone() == ("C.UTF-8",)


def test_a_setting_that_the_server_does_not_take_is_named(lab: Lab) -> None:
    """As of a newer PostgreSQL; a library that it lacks; a tablespace, which is a place on it."""
    definition = (
        "ALTER DATABASE shop SET transaction_timeout TO '1h';\n"
        "ALTER DATABASE shop SET \"TimeZone\" TO 'UTC'; DROP DATABASE postgres;\n"
        "ALTER DATABASE shop SET TABLESPACE fast;\n"
        "ALTER DATABASE shop SET session_preload_libraries TO 'no_such_library', 'nor_this';\n"
        "ALTER DATABASE shop SET local_preload_libraries TO 'nowhere';\n"
        "ALTER ROLE clerk IN DATABASE shop SET search_path TO 'x';\n"
    )
    entry = archive_entry.Entry(1, "DATABASE PROPERTIES", "shop", "", "", definition, None, False)
    path = lab.dump("postgres", "-Fp")
    toc = lab.prepare(path).ready.toc
    toc = archive_toc.Toc(**{**toc.__dict__, "entries": [entry]})
    ready = dataclasses.replace(lab.prepare(path).ready, toc=toc)
    others = {"log_statement": "all", "TimeZone": "Asia/Tokyo", "work_mem": "1MB"}
    done = restore.restore(ready, lab.server, "named", replace=True, settings=others)
    assert done.errors == []
    refused = ("transaction_timeout", "session_preload_libraries", "local_preload_libraries")
    assert [done.left_out[f"SET {name}"] for name in refused] == [1, 1, 1]
    with lab.connected("named") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT setconfig FROM pg_db_role_setting JOIN pg_database d"
            " ON d.oid = setdatabase WHERE datname = 'named'"
        )
        assert cursor.fetchone() == (["TimeZone=UTC"],)
    lab.drop("named")


DATABASES = {
    "latin1": ("ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'", "é ção"),
    "latin9": ("ENCODING LATIN9 LC_COLLATE 'C' LC_CTYPE 'C'", "€ ção"),
    "bytes": ("ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'", "é"),
    "icu": ("LOCALE_PROVIDER icu ICU_LOCALE 'pt-BR-u-kn-true' LOCALE 'C'", "é ção"),
    "utf8": ("ENCODING UTF8 LC_COLLATE 'C' LC_CTYPE 'C'", "日本"),
}


@pytest.mark.parametrize("known", [False, True], ids=["alone", "with a manifest"])
@pytest.mark.parametrize("name", DATABASES)
def test_a_plain_dump_without_create_database(
    settings: proof_settings.ProofSettings, lab: Lab, tmp_path: Path, name: str, known: bool
) -> None:
    """Its text names an encoding; a manifest also names the locale."""
    options, text = DATABASES[name]
    lab.run("postgres", f"CREATE DATABASE {name} TEMPLATE template0 {options}")
    try:
        lab.run(name, "CREATE TABLE public.t (text text UNIQUE)")
        with lab.connected(name) as connection, connection.cursor() as cursor:
            connection.set_client_encoding("UTF8" if name != "bytes" else "SQL_ASCII")
            if name == "bytes":
                cursor.execute(r"INSERT INTO t VALUES (E'\xe9\xff'), (E'\xc3\xa9')")
            else:
                cursor.execute("INSERT INTO t VALUES (%s), ('item 10'), ('item 9')", [text])
        path = tmp_path / "shop.sql"
        # Values are written otherwise by INSERT; both ways are tried.
        way = ["--inserts"] if known else []
        shutil.copy(lab.dump(name, "-Fp", *way), path)
        if known:
            with manifest_snapshot.export({"dsn": lab.server.url(name)}) as snapshot:
                manifest.write(str(path), snapshot.read())
        result = drill.run(settings, path=str(path))
        assert (result["verdict"], result["problem"]) == ("passed", None), result["checks"]
        before, after = made_as(lab, name), made_as(lab, settings.staging.database)
        # Without a manifest nothing names the locale.
        assert before == after if known else before[0] == after[0]
        if known:
            checks = {check["id"]: check["status"] for check in result["checks"]}
            assert (checks["content"], checks["collation"]) == ("passed", "passed")
    finally:
        lab.drop(name)


def test_encodings_that_no_server_has_are_only_the_texts() -> None:
    def of(encoding: str) -> dict[str, str]:
        toc = archive_toc.Toc((1, 15), "plain", "none", "", "16", "16", [], 0, 4, False, encoding)
        return database_locale.created_as(toc, {})

    assert of("SJIS") == of("GBK") == of("GB18030") == of("BIG5") == of("UHC") == {}
    assert of("UTF8") == of("") == {}
    assert of("WIN1252") == {"ENCODING": "WIN1252"} and of("EUC_JP") == {"ENCODING": "EUC_JP"}
