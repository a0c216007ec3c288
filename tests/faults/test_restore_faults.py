"""Faults that a restore and its validation must see: D1 to D5 and D10."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.database.structure import (
    Structure,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import (
    render_drill,
    render_html,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    check_context,
)
from support.drill_settings import drill_settings
from support.dumps import Dumps
from support.fault_log import Fault
from testbed import Testbed

TENANT_QUERY = "SELECT schema_name FROM public.companies"


class Bench:
    """A copy of production to spoil, dumped and drilled.

    Args:
        dumps: of the testbed.
        root: for files.
    """

    def __init__(self, dumps: Dumps, root: Path) -> None:
        self.dumps, self.root = dumps, root
        record = dumps.bed.record["postgres"]
        self.server = Server(
            record["host"], record["port"], record["user"], record["password"], dumps.binaries
        )
        self.production = record["dbname"]

    def run(self, database: str, *statements: str) -> None:
        run_on(self.server, database, *statements)

    def copy(self, *statements: str) -> None:
        """Makes `spoilt`, as production is and what is then done to it."""
        self.run("postgres", "DROP DATABASE IF EXISTS spoilt WITH (FORCE)")
        whole = self.dump(self.production)
        self.run("postgres", "CREATE DATABASE spoilt TEMPLATE template0")
        restore = self.dumps.binaries.path("pg_restore")
        subprocess.run([restore, "-d", self.server.url("spoilt"), str(whole)], check=True)
        self.run("spoilt", *statements)

    def dump(self, database: str, *options: str) -> Path:
        path = self.root / f"chefwell_backup_20251120_0300{len(list(self.root.iterdir())):02}.dump"
        command = [self.dumps.binaries.path("pg_dump"), "-Fc", *options, f"--file={path}"]
        subprocess.run([*command, self.server.url(database)], check=True)
        return path

    def settings(self, **more: Any) -> proof_settings.ProofSettings:
        return drill_settings(
            self.root,
            self.dumps.binaries.bin_dir,
            validation=_validation_settings(),
            featured_schema="tenant_chefwell",
            **more,
        )

    def drill(self, path: Path, **more: Any) -> dict[str, Any]:
        return drill.run(self.settings(**more), path=str(path))

    def drill_after(self, path: Path, *spoils: Callable[[Any], None]) -> list[dict[str, Any]]:
        """Restores once; spoils what was restored in one way after the other, and validates it."""
        settings = self.settings()
        database = settings.staging.database
        results = []
        try:
            assert (
                drill.run(settings, path=str(path), keep=True)["verdict"] == proof_settings.PASSED
            )
            server = staging.make_engine(settings.staging).find()
            assert server
            run_on(server, "postgres", f"CREATE DATABASE pristine TEMPLATE {database}")
            for spoil in spoils:
                run_on(
                    server,
                    "postgres",
                    f"DROP DATABASE {database}",
                    f"CREATE DATABASE {database} TEMPLATE pristine",
                )
                with contextlib.closing(psycopg2.connect(**server.dsn(database))) as connection:
                    connection.autocommit = True
                    with connection.cursor() as cursor:
                        spoil(cursor)
                results.append(drill.validate(settings))
        finally:
            drill.clean_up(settings)
        return results


def run_on(server: Server, database: str, *statements: str) -> None:
    with contextlib.closing(psycopg2.connect(**server.dsn(database))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def doing(statement: str) -> Callable[[Any], None]:
    return lambda cursor: cursor.execute(statement)


def _validation_settings() -> check_context.ValidationSettings:
    return check_context.ValidationSettings(tenant_query=TENANT_QUERY)


@pytest.fixture(scope="module")
def bench(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("restores")
    root.chmod(0o755)
    made = Bench(Dumps(bed, tmp_path_factory.mktemp("dumps")), root)
    yield made
    made.run("postgres", "DROP DATABASE IF EXISTS spoilt WITH (FORCE)")


def found(result: dict[str, Any]) -> dict[str, list[str]]:
    """Words of the findings, by identifier."""
    reported: dict[str, list[str]] = {}
    for check in result["checks"]:
        for one in check["findings"]:
            reported.setdefault(one["id"], []).append(one["text"])
    return reported


def evidence(result: dict[str, Any], identifier: str) -> str:
    return str(next(one["evidence"] for one in result["checks"] if one["id"] == identifier))


def test_d1_missing_roles(fault: Fault, bench: Bench) -> None:
    bench.copy(
        "CREATE ROLE d1_owner NOLOGIN",
        "CREATE ROLE d1_reader NOLOGIN",
        "CREATE ROLE d1_clerk NOLOGIN",
    )
    try:
        bench.run(
            "spoilt",
            "ALTER TABLE tenant_chefwell.sales OWNER TO d1_owner",
            "GRANT SELECT ON tenant_chefwell.products TO d1_reader",
        )
        harmless = bench.drill(bench.dump("spoilt"))
        bench.run(
            "spoilt",
            "ALTER TABLE tenant_chefwell.tabs ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY mine ON tenant_chefwell.tabs TO d1_clerk USING (true)",
        )
        path = bench.dump("spoilt")
        lacking = bench.drill(path)
        given = bench.drill(path, roles=["d1_clerk"])
    finally:
        for role in ("d1_owner", "d1_reader", "d1_clerk"):
            bench.run("spoilt", f"DROP OWNED BY {role} CASCADE")
        bench.run(
            "postgres",
            "DROP DATABASE spoilt WITH (FORCE)",
            "DROP ROLE d1_owner, d1_reader, d1_clerk",
        )
    fault.cause("a table of a role, a grant to another, a policy for a third: none in staging")
    texts = evidence(harmless, "restore")
    fault.see(
        f"without the policy {harmless['verdict']}: {texts}",
        holds=harmless["verdict"] == proof_settings.PASSED
        and "owning (harmless, left out): d1_owner" in texts
        and "granted privileges (harmless, left out): d1_reader" in texts,
    )
    findings = found(lacking)
    fault.see(
        f"with it {lacking['verdict']}, {sorted(findings)}: {evidence(lacking, 'restore')[:160]}",
        holds=lacking["verdict"] == proof_settings.FAILED
        and "needed by policies: d1_clerk" in evidence(lacking, "restore")
        and set(findings) == {"restore.role_missing", "policy.missing"},
    )
    fault.see(
        f"with the role named in the configuration {given['verdict']}",
        holds=given["verdict"] == proof_settings.PASSED,
    )


def test_d1_a_missing_extension(fault: Fault, bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "backup.sql"
    command = [bench.dumps.binaries.path("pg_dump"), "-Fp", bench.server.url(bench.production)]
    whole = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    mark = "CREATE SCHEMA tenant_chefwell;"
    assert mark in whole
    script.write_text(whole.replace(mark, f"CREATE EXTENSION postgis;\n\n\n{mark}", 1))
    fault.cause("a dump that needs postgis, which staging's PostgreSQL does not have")
    result = bench.drill(script)
    findings = found(result)
    fault.see(
        f"{result['verdict']}: {findings}",
        holds=result["verdict"] == proof_settings.FAILED
        and list(findings) == ["restore.extension_missing"],
    )


def test_d2_schemas_tables_and_rows(fault: Fault, bench: Bench) -> None:
    path = bench.dump(bench.production)
    spoils = {
        "DROP SCHEMA tenant_bar_da_praca_002 CASCADE": (
            "schema.missing",
            "tenant_bar_da_praca_002 is missing",
        ),
        "CREATE SCHEMA tenant_new": ("tenant.not_listed", "tenant_new has a schema"),
        "DROP TABLE tenant_chefwell.expenses": (
            "table.missing",
            "tenant_chefwell.expenses is missing",
        ),
        "CREATE TABLE tenant_chefwell.more (id integer)": (
            "table.unexpected",
            "tenant_chefwell.more is not in the backup",
        ),
        "DELETE FROM tenant_chefwell.sales WHERE id = 1": ("rows.differ", "17 rows instead of 18"),
        "INSERT INTO tenant_chefwell.customers SELECT * FROM tenant_chefwell.customers LIMIT 0": (
            "",
            "",
        ),
    }
    fault.cause(f"what was restored is spoilt in {len(spoils) - 1} ways, and once left as it is")
    wrong = []
    results = bench.drill_after(path, *map(doing, spoils))
    for result, (statement, (identifier, words)) in zip(results, spoils.items(), strict=True):
        findings = found(result)
        named = any(words in text for text in findings.get(identifier, []))
        if not (
            named if identifier else result["verdict"] == proof_settings.PASSED and not findings
        ):
            wrong.append((statement, findings))
    fault.see(f"{len(spoils) - len(wrong)} of {len(spoils)} named {wrong or ''}", holds=not wrong)


@pytest.fixture(scope="module")
def with_manifest(bench: Bench) -> Path:
    """A backup whose manifest was taken in the dump's own snapshot, while production went on."""
    url = bench.server.url(bench.production)
    with manifest_snapshot.export({"dsn": url}) as snapshot:
        bench.run(
            bench.production,
            "CREATE TABLE tenant_chefwell.meanwhile (id integer)",
            "UPDATE tenant_chefwell.tabs SET id = id",
            "INSERT INTO public.users SELECT * FROM public.users LIMIT 0",
        )
        path = bench.dump(bench.production, f"--snapshot={snapshot.name}")
        held = snapshot.read()
    manifest.write(str(path), held)
    bench.run(bench.production, "DROP TABLE tenant_chefwell.meanwhile")
    return path


def test_d3_one_value_changed(fault: Fault, bench: Bench, with_manifest: Path) -> None:
    tables = len(manifest.read(str(with_manifest)).tables)  # type: ignore[union-attr]
    changes = [
        "UPDATE tenant_chefwell.products SET price = price + 0.01 WHERE id = 7",
        "UPDATE tenant_chefwell.customers SET name = name || ' ' WHERE id = 3",
        "UPDATE public.users SET email = 'x' || email WHERE id = 1",
        # Two rows exchange a value: every column holds the same values as before.
        "UPDATE tenant_chefwell.products p SET price = (SELECT q.price FROM"
        " tenant_chefwell.products q WHERE q.id = 3 - p.id) WHERE p.id IN (1, 2)",
    ]
    fault.cause(f"{len(changes)} times one value changed in what was restored, counts equal")
    *results, untouched = bench.drill_after(with_manifest, *map(doing, changes), doing("SELECT"))
    seen = [list(found(result)) == ["content.differs"] for result in results]
    fault.note(f"untouched: {evidence(untouched, 'content')}; {evidence(untouched, 'archive')}")
    fault.see(
        f"{sum(seen)} of {len(changes)} found, untouched {untouched['verdict']}",
        holds=all(seen)
        and untouched["verdict"] == proof_settings.PASSED
        and f"{tables}/{tables} tables" in evidence(untouched, "content"),
    )


def test_d3_a_backup_changed_after_its_manifest(
    fault: Fault, bench: Bench, with_manifest: Path
) -> None:
    fault.cause("a backup whose bytes were changed after its manifest; a damaged manifest")
    content = with_manifest.read_bytes()
    beside = Path(manifest.path_of(str(with_manifest)))
    kept = beside.read_text()
    try:
        with_manifest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        changed = bench.drill(with_manifest)
        with_manifest.write_bytes(content)
        beside.write_text(kept[: len(kept) // 2])
        damaged = bench.drill(with_manifest)
    finally:
        with_manifest.write_bytes(content)
        beside.write_text(kept)
    fault.see(
        f"{changed['verdict']}: {list(found(changed))}; {damaged['verdict']}: {damaged['problem']}",
        holds=list(found(changed)) == ["archive.digest_differs"]
        and damaged["verdict"] == proof_settings.COULD_NOT_VERIFY
        and "manifest cannot be used" in damaged["problem"],
    )


def test_d4_orphans_and_what_is_missing(fault: Fault, bench: Bench) -> None:
    bench.copy(
        "ALTER TABLE tenant_chefwell.products DROP CONSTRAINT products_category_id_fkey",
        "UPDATE tenant_chefwell.products SET category_id = 4711 WHERE id = 9",
        "ALTER TABLE tenant_chefwell.products ADD CONSTRAINT products_category_id_fkey"
        " FOREIGN KEY (category_id) REFERENCES tenant_chefwell.categories NOT VALID",
    )
    orphans = bench.drill(bench.dump("spoilt"))
    fault.cause("production's own key is NOT VALID, with a row that has no parent")
    fault.see(
        f"{orphans['verdict']}: {found(orphans)}",
        holds=list(found(orphans)) == ["foreign_key.orphan"]
        and "category_id=4711" in found(orphans)["foreign_key.orphan"][0],
    )

    def spoil(cursor: Any) -> None:
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'tenant_chefwell.sales_sold_at_idx'::regclass"
        )
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'u'"
            " AND conrelid = 'tenant_chefwell.categories'::regclass"
        )
        cursor.execute(
            f"ALTER TABLE tenant_chefwell.categories DROP CONSTRAINT {cursor.fetchone()[0]}"
        )

    fault.cause("in what was restored an index is not valid, a unique constraint gone")
    (result,) = bench.drill_after(bench.dump(bench.production), spoil)
    findings = found(result)
    fault.see(
        f"{findings}",
        holds=set(findings) == {"index.invalid", "unique.missing", "index.missing"}
        and "tenant_chefwell.sales_sold_at_idx" in findings["index.invalid"][0],
    )


def test_d5_sequences_views_objects_security_collation(
    fault: Fault, bench: Bench, tmp_path: Path
) -> None:
    bench.copy(
        "SELECT setval('tenant_chefwell.products_id_seq', 3)",
        "CREATE MATERIALIZED VIEW tenant_chefwell.stats AS SELECT 1 AS one WITH NO DATA",
        "SELECT lo_from_bytea(0, 'scan'), lo_from_bytea(0, 'other')",
    )
    fault.cause("production's own sequence is behind; a materialized view there was never filled")
    findings = found(bench.drill(bench.dump("spoilt")))
    # The view is as it is in production, where reading it fails, too.
    fault.see(f"{findings}", holds=set(findings) == {"sequence.behind"})
    bench.copy("CREATE MATERIALIZED VIEW tenant_chefwell.stats AS SELECT 1 AS one")
    fault.cause("a materialized view that was filled in production is empty after the restore")
    emptied = "REFRESH MATERIALIZED VIEW tenant_chefwell.stats WITH NO DATA"
    (result,) = bench.drill_after(bench.dump("spoilt"), lambda cursor: cursor.execute(emptied))
    findings = found(result)
    fault.see(f"{findings}", holds=set(findings) == {"matview.empty"})
    bench.copy("SELECT lo_from_bytea(0, 'scan'), lo_from_bytea(0, 'other')")

    def spoil(cursor: Any) -> None:
        cursor.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata LIMIT 1")
        cursor.execute(
            "UPDATE pg_database SET datcollversion = '2.28' WHERE datname = current_database()"
        )

    fault.cause("a large object lost, and a C library that sorts otherwise (its version, changed)")
    findings = found(bench.drill_after(bench.dump("spoilt"), spoil)[0])
    fault.see(
        f"{findings}", holds=set(findings) == {"large_object.missing", "collation.version_differs"}
    )
    bench.run(
        "spoilt",
        "CREATE ROLE d5_app LOGIN PASSWORD 'd5'",
        "GRANT USAGE ON SCHEMA tenant_chefwell TO d5_app",
        "GRANT SELECT ON ALL TABLES IN SCHEMA tenant_chefwell TO d5_app",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA tenant_chefwell TO d5_app",
        "ALTER TABLE tenant_chefwell.products ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY few ON tenant_chefwell.products USING (id <= 10)",
    )
    try:
        app = postgres.Server(
            bench.server.host, bench.server.port, "d5_app", "d5", bench.dumps.binaries
        )
        options = ["--enable-row-security", "--schema=tenant_chefwell"]
        path = tmp_path / "seen-by-the-app.sql"
        dump = [bench.dumps.binaries.path("pg_dump"), "-Fp", *options, f"--file={path}"]
        subprocess.run([*dump, app.url("spoilt")], check=True)
        fault.cause(
            "a dump by the application's role, which row-level security shows 10 of 28 rows"
        )
        plain = bench.drill(path)
        custom = tmp_path / "seen-by-the-app.dump"
        with manifest_snapshot.export({"dsn": bench.server.url("spoilt")}) as snapshot:
            held = snapshot.read()
        dump = [bench.dumps.binaries.path("pg_dump"), "-Fc", *options, f"--file={custom}"]
        subprocess.run([*dump, app.url("spoilt")], check=True)
        dumped = "tenant_chefwell"
        tables = {key: value for key, value in held.tables.items() if key[0] == dumped}
        shapes = Structure({dumped: held.structure.schemas[dumped]}, held.structure.shapes)
        manifest.write(
            str(custom),
            dataclasses.replace(held, tables=tables, structure=shapes, sequences={}),
        )
        packed = bench.drill(custom)
    finally:
        bench.run("spoilt", "DROP OWNED BY d5_app CASCADE")
        bench.run("postgres", "DROP DATABASE spoilt WITH (FORCE)", "DROP ROLE d5_app")
    fault.see(
        f"plain: {[*found(plain)]}; custom with a manifest: {found(packed)}",
        holds="archive.row_security" in found(plain)
        and "the backup holds 10 rows of tenant_chefwell.products, the manifest says 28"
        in found(packed)["rows.differ"],
    )


HOSTILE = "<script>alert('\"x\"')</script>"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script" or any(name.startswith("on") for name, _v in attrs)


def test_d10_hostile_names_and_functions(fault: Fault, bench: Bench, tmp_path: Path) -> None:
    # A name is 63 bytes at most.
    name = HOSTILE.replace("'", "''")
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    mark = tmp_path / "touched"
    bench.copy(
        f"CREATE SCHEMA {quoted}",
        f"CREATE TABLE {quoted}.{quoted} (id serial PRIMARY KEY, {quoted} text UNIQUE)",
        f"INSERT INTO {quoted}.{quoted} ({quoted}) VALUES ('{name}'), (E'\\x1b[31mred')",
        f'CREATE VIEW {quoted}."a;DROP TABLE x" AS SELECT * FROM {quoted}.{quoted}',
        # A function that would write a file where the server may, whenever a row is looked at.
        "CREATE FUNCTION public.bomb() RETURNS integer LANGUAGE plpgsql AS"
        f" $$BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {mark}'''; RETURN 1; END$$",
    )
    fault.cause(
        "schemas, tables, columns and rows named as HTML and SQL; a function with a program"
    )
    result = bench.drill(bench.dump("spoilt"))
    page = render_html.html_report({"title": HOSTILE, "drill": result}, "en")
    tags = _Tags()
    tags.feed(page)
    text = render_drill.validation_report(result, "en", False)
    fault.see(
        f"{result['verdict']}, {tags.scripts} scripts in the page, its file there: {mark.exists()}",
        holds=result["verdict"] == proof_settings.PASSED
        and tags.scripts == 0
        and "&lt;script&gt;" in page
        and "\x1b" not in text
        and not mark.exists(),
    )
