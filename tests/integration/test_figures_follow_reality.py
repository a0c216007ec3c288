"""What the reports show comes from the databases and files.

Each thing that is spoilt turns its own check red and no other, and the figures change when what
they count changes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import render_drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    check_context,
)
from support.drill_settings import drill_of_testbed
from testbed import Testbed
from testbed.services import free_port

TENANT_QUERY = "SELECT schema_name FROM public.companies"


@pytest.fixture(scope="module")
def settings(
    bed: Testbed, tmp_path_factory: pytest.TempPathFactory
) -> proof_settings.ProofSettings:
    folder = tmp_path_factory.mktemp("drill")
    (folder / "state").mkdir()
    return drill_of_testbed(
        bed,
        folder,
        validation=check_context.ValidationSettings(tenant_query=TENANT_QUERY),
        featured_schema="tenant_chefwell",
    )


@pytest.fixture(scope="module")
def restored(settings: proof_settings.ProofSettings) -> Iterator[proof_settings.ProofSettings]:
    """Staging with the newest backup in it, which passes."""
    assert not red(drill.run(settings, keep=True))
    yield settings
    drill.clean_up(settings)


def red(result: dict[str, Any]) -> set[str]:
    """The checks that failed."""
    found = {check["id"] for check in result["checks"] if check["status"] == "failed"}
    assert (result["verdict"] == "passed") is (not found), result["problem"]
    assert (result["failed"], result["confidence"] == 100) == (len(found), not found)
    return found


@contextlib.contextmanager
def spoilt(settings: proof_settings.ProofSettings, spoil: str, repair: str) -> Iterator[None]:
    """The restored database with something spoilt, repaired afterwards."""
    server = staging.make_engine(settings.staging).find()
    assert server
    with contextlib.closing(psycopg2.connect(**server.dsn(settings.staging.database))) as staged:
        staged.autocommit = True
        with staged.cursor() as cursor:
            cursor.execute(spoil)
            try:
                yield
            finally:
                cursor.execute(repair)


STORE = "tenant_chefwell"
FK = "orders_product_id_fkey"
KEY = f"ADD CONSTRAINT {FK} FOREIGN KEY (product_id) REFERENCES {STORE}.products (id)"
SPOILS = {
    "a row deleted": (
        f"CREATE TEMP TABLE kept AS SELECT * FROM {STORE}.orders WHERE id = 12;"
        f"DELETE FROM {STORE}.orders WHERE id = 12",
        f"INSERT INTO {STORE}.orders SELECT * FROM kept; DROP TABLE kept",
        {"row_counts"},
        "tenant_chefwell.orders has 11 rows instead of 12",
    ),
    "a row too many": (
        # A number of its own: one from the sequence would move that, which is another check's.
        f"INSERT INTO {STORE}.orders SELECT (jsonb_populate_record(o, '{{\"id\": 0}}')).*"
        f" FROM {STORE}.orders o WHERE id = 1",
        f"DELETE FROM {STORE}.orders WHERE id = 0",
        {"row_counts"},
        "tenant_chefwell.orders has 13 rows instead of 12",
    ),
    "a foreign key dropped": (
        f"ALTER TABLE {STORE}.orders DROP CONSTRAINT {FK}",
        f"ALTER TABLE {STORE}.orders {KEY}",
        {"foreign_keys"},
        f"tenant_chefwell.orders.{FK} is missing",
    ),
    "an orphan under a foreign key": (
        f"ALTER TABLE {STORE}.orders DROP CONSTRAINT {FK};"
        f"CREATE TEMP TABLE kept AS SELECT id, product_id FROM {STORE}.orders WHERE id = 12;"
        f"UPDATE {STORE}.orders SET product_id = 9999 WHERE id = 12;"
        f"ALTER TABLE {STORE}.orders {KEY} NOT VALID",
        f"UPDATE {STORE}.orders o SET product_id = k.product_id FROM kept k WHERE k.id = o.id;"
        f"ALTER TABLE {STORE}.orders VALIDATE CONSTRAINT {FK}; DROP TABLE kept",
        {"referential_integrity"},
        "product_id=9999 is not in tenant_chefwell.products",
    ),
    "an index dropped": (
        f"DROP INDEX {STORE}.sales_sold_at_idx",
        f"CREATE INDEX sales_sold_at_idx ON {STORE}.sales (sold_at)",
        {"indexes"},
        "tenant_chefwell.sales_sold_at_idx is missing",
    ),
    "a unique constraint dropped, which takes its index along": (
        f"ALTER TABLE {STORE}.products DROP CONSTRAINT products_code_key",
        f"ALTER TABLE {STORE}.products ADD CONSTRAINT products_code_key UNIQUE (code)",
        {"unique_constraints", "indexes"},
        "tenant_chefwell.products.products_code_key is missing",
    ),
    "a sequence set back": (
        f"SELECT setval('{STORE}.products_id_seq', 1)",
        f"SELECT setval('{STORE}.products_id_seq', 28)",
        {"sequences"},
        "tenant_chefwell.products_id_seq is at 1",
    ),
    "a table that the backup does not have": (
        f"CREATE TABLE {STORE}.planted (id integer)",
        f"DROP TABLE {STORE}.planted",
        {"tables"},
        "tenant_chefwell.planted is not in the backup",
    ),
}


@pytest.mark.parametrize("what", SPOILS)
def test_what_is_spoilt_in_the_database_turns_its_own_check_red(
    restored: proof_settings.ProofSettings, what: str
) -> None:
    spoil, repair, ids, text = SPOILS[what]
    with spoilt(restored, spoil, repair):
        result = drill.validate(restored)
    assert red(result) == ids
    texts = [check["evidence"] for check in result["checks"] if check["id"] in ids]
    assert any(text in evidence for evidence in texts), texts
    page = render_drill.validation_report(result, "en", False)
    assert "100%" not in page and "RESTORABLE" not in page.replace("NOT RESTORABLE", "")
    assert not red(drill.validate(restored))


@pytest.mark.parametrize(
    ("route", "ids"),
    [
        ("/api/products:500", {"api_products"}),
        ("/api/sales:empty", {"api_sales"}),
        ("/api/customers:wrong", {"api_customers"}),
        ("/api/dashboard/stats:500", {"api_dashboard"}),
    ],
)
def test_a_broken_route_turns_its_own_check_red(
    settings: proof_settings.ProofSettings,
    restored: proof_settings.ProofSettings,
    route: str,
    ids: set[str],
) -> None:
    broken = {**settings.staging.backend.env, "BREAK_ROUTE": route}
    backend = dataclasses.replace(settings.staging.backend, env=broken, port=free_port())
    place = dataclasses.replace(
        settings.staging, backend=backend, work_dir=settings.staging.work_dir + "-broken"
    )
    result = drill.run(dataclasses.replace(settings, staging=place))
    assert red(result) == ids, result["checks"]


@pytest.mark.parametrize("digest", [True, False], ids=["with-digest", "without-digest"])
def test_an_altered_backup_turns_its_own_check_red(
    settings: proof_settings.ProofSettings, tmp_path: Path, digest: bool
) -> None:
    whole = max(Path(settings.backup_path).glob("daily/*.gz")).read_bytes()
    altered = tmp_path / "chefwell_backup_20261120_030000.dump.gz"
    spoilt_bytes = bytearray(whole)
    spoilt_bytes[len(whole) // 2] ^= 1
    altered.write_bytes(bytes(spoilt_bytes))
    if digest:
        (tmp_path / f"{altered.name}.sha256").write_text(
            f"{hashlib.sha256(whole).hexdigest()}  {altered.name}\n"
        )
    place = dataclasses.replace(settings.staging, work_dir=str(tmp_path / "staging"))
    result = drill.run(dataclasses.replace(settings, staging=place), path=str(altered))
    assert result["verdict"] == "failed" and result["restore"] is None
    failed = [check for check in result["checks"] if check["status"] == "failed"]
    assert [check["id"] for check in failed] == ["archive"]
    assert ("SHA-256" if digest else "does not unpack") in failed[0]["evidence"]


def held(bed: Testbed) -> list[Any]:
    """Return what production's server holds: databases, roles, relations, content of its tables."""
    with contextlib.closing(bed.connect()) as production, production.cursor() as cursor:
        cursor.execute(
            "SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles"
            " UNION ALL SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'i', 'S')"
            " ORDER BY 1"
        )
        found: list[Any] = cursor.fetchall()
        cursor.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid > 16383"
        )
        for (table,) in sorted(cursor.fetchall()):
            cursor.execute(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t")
            found.append((table, *cursor.fetchone()))
    return found


def test_the_figures_follow_production(
    bed: Testbed, settings: proof_settings.ProofSettings, tmp_path: Path
) -> None:
    place = dataclasses.replace(
        settings.staging,
        work_dir=str(tmp_path / "staging"),
        backend=dataclasses.replace(settings.staging.backend, port=free_port()),
    )
    server = bed.record["postgres"]
    # With a user, the drill counts in production, too.
    dsn = {key: server[key] for key in ("host", "port", "user", "password", "dbname")}
    mine = dataclasses.replace(settings, staging=place, state_dir=str(tmp_path), production_dsn=dsn)
    untouched = held(bed)
    before = drill.run(mine)
    assert held(bed) == untouched, "a drill only reads production"
    with contextlib.closing(bed.connect()) as production, production.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {STORE}.products SELECT 29, category_id, 'novo', 'Novo', '', 1, true"
            f" FROM {STORE}.products WHERE id = 1;"
            f"SELECT setval('{STORE}.products_id_seq', 29);"
            f"CREATE INDEX products_name_idx ON {STORE}.products (name)"
        )
        production.commit()
    bed.back_up()
    after = drill.run(mine)
    assert not red(before) and not red(after)
    assert after["totals"]["rows"] == before["totals"]["rows"] + 1
    assert after["backup"]["sha256"] != before["backup"]["sha256"]
    old, new = (render_drill.validation_report(one, "pt_BR", False) for one in (before, after))
    for line, changed in (
        ("products: 28 registros", "products: 29 registros"),
        ("Indexes: 14/14", "Indexes: 15/15"),
        ("Listar Produtos: ✅ OK (28 produtos)", "Listar Produtos: ✅ OK (29 produtos)"),
    ):
        assert line in old and line not in new
        assert changed in new and changed not in old
