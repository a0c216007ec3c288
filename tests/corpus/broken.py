"""Ways to break a restored database, and the findings that each must raise."""

from __future__ import annotations

import dataclasses
from typing import Any

# What goes with a table that is not there.
WITH_TABLE = frozenset(
    {
        *("rows.differ", "index.missing", "primary_key.missing", "foreign_key.missing"),
        *("unique.missing", "constraint.missing", "sequence.missing", "trigger.missing"),
        *("view.missing", "matview.missing", "rule.missing", "policy.missing", "type.missing"),
    }
)


@dataclasses.dataclass(frozen=True)
class Broken:
    """One way.

    Attributes:
        base: the healthy database that is restored first.
        sql: what then happens to it.
        expected: findings that it must raise.
        also: findings that go with them.
        names: what their texts must name.
        manifest: whether the backup has a manifest, which knows definitions and content.
        access: whether owners and privileges are compared, too.
        settings: of the validation.
    """

    base: str
    sql: str
    expected: frozenset[str]
    also: frozenset[str] = frozenset()
    names: str = ""
    manifest: bool = False
    access: bool = False
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


def _broken(base: str, sql: str, *expected: str, **more: Any) -> Broken:
    return Broken(base, sql, frozenset(expected), **more)


STORES = {"tenant_query": "SELECT schema_name FROM public.companies"}

CASES = {
    "a store's schema is gone": _broken(
        "stores",
        "DROP SCHEMA tenant_b CASCADE",
        *("schema.missing", "tenant.schema_missing", "table.missing"),
        also=WITH_TABLE,
        names="tenant_b",
        settings=STORES,
    ),
    "a schema too many": _broken(
        "stores",
        "CREATE SCHEMA tenant_z; CREATE TABLE tenant_z.left_over (id integer)",
        *("schema.unexpected", "table.unexpected", "tenant.not_listed"),
        also=frozenset({"tenant.table_extra", "tenant.table_missing", "tenant.column_differs"}),
        names="tenant_z",
        settings=STORES,
    ),
    "a store listed twice": _broken(
        "stores",
        "ALTER TABLE public.companies DROP CONSTRAINT companies_schema_name_key;"
        " UPDATE public.companies SET schema_name = 'tenant_a' WHERE schema_name = 'tenant_b'",
        *("tenant.listed_twice", "tenant.not_listed"),
        also=frozenset({"unique.missing", "index.missing"}),
        names="tenant_a",
        settings=STORES,
    ),
    "no store listed": _broken(
        "stores",
        "DELETE FROM public.companies",
        *("tenant.none_listed", "rows.differ", "tenant.not_listed"),
        settings=STORES,
    ),
    "a table gone": _broken(
        "stores",
        "DROP TABLE tenant_c.products CASCADE",
        *("table.missing", "tenant.table_missing"),
        also=WITH_TABLE,
        names="tenant_c.products",
    ),
    "a table too many": _broken(
        "stores",
        "CREATE TABLE tenant_c.staff (id integer)",
        *("table.unexpected", "tenant.table_extra"),
        names="tenant_c.staff",
    ),
    "a column gone": _broken(
        "stores",
        "ALTER TABLE tenant_d.products DROP COLUMN changed_at",
        *("column.missing", "tenant.column_differs"),
        names="tenant_d.products.changed_at",
    ),
    "a column of another type": _broken(
        "stores",
        "ALTER TABLE tenant_d.categories ALTER COLUMN name TYPE character varying(200)",
        *("definition.differs", "tenant.column_differs", "tenant.column_extra"),
        names="`character varying(200) NOT NULL`, in production it was `text NOT NULL`",
        manifest=True,
    ),
    "a column that may be null": _broken(
        "library",
        "ALTER TABLE stock.item ALTER COLUMN title DROP NOT NULL",
        "definition.differs",
        names="column stock.item.title is `text`, in production it was `text NOT NULL`",
        manifest=True,
    ),
    "a default gone": _broken(
        "growing",
        "ALTER TABLE public.one ALTER COLUMN id DROP DEFAULT",
        "definition.differs",
        names="column public.one.id is",
        manifest=True,
    ),
    "another owner": _broken(
        "growing",
        "ALTER TABLE public.one OWNER TO corpus_clerk",
        "owner.differs",
        names="owner of relation public.one is `corpus_clerk`, in production it was `postgres`",
        manifest=True,
        access=True,
    ),
    "a grant more": _broken(
        "growing",
        "GRANT SELECT ON public.one TO corpus_clerk",
        "privileges.differ",
        names="corpus_clerk: SELECT`, in production it was `default`",
        manifest=True,
        access=True,
    ),
    "a column too many": _broken(
        "rental", "ALTER TABLE public.film ADD COLUMN more text", "column.unexpected"
    ),
    "a row too few": _broken(
        "names",
        'DELETE FROM "two words"."Order lines" WHERE line = 2',
        "rows.differ",
        names="two words.Order lines has 2 rows instead of 3",
    ),
    "a row too many": _broken(
        "security", "INSERT INTO public.account VALUES (99, 'x', 1)", "rows.differ"
    ),
    "a primary key gone": _broken(
        "growing",
        "ALTER TABLE public.one DROP CONSTRAINT one_pkey",
        *("primary_key.missing", "index.missing"),
    ),
    "a foreign key gone": _broken(
        "stores",
        "ALTER TABLE tenant_e.products DROP CONSTRAINT products_category_id_fkey",
        *("foreign_key.missing", "tenant.key_missing"),
        names="tenant_e.products lacks what most tenants have:"
        " constraint FOREIGN KEY (category_id)",
    ),
    "an orphan under a key that is not validated": _broken(
        "growing",
        "SET session_replication_role = replica;"
        " UPDATE public.child SET parent_id = 4711 WHERE id = 7",
        "foreign_key.orphan",
        names="parent_id=4711",
    ),
    "an index gone": _broken(
        "stores",
        "DROP INDEX tenant_a.tenant_a_products_name",
        *("index.missing", "tenant.index_missing"),
        names="tenant_a.products lacks what most tenants have: index btree (lower((name)::text))",
    ),
    "an index too many": _broken(
        "stores",
        "CREATE INDEX ON tenant_b.products (price)",
        "tenant.index_extra",
        names="tenant_b.products has what most tenants do not have: index btree (price)",
    ),
    "a constraint too many": _broken(
        "stores",
        "ALTER TABLE tenant_b.products ADD CHECK (price < 1000000)",
        "tenant.key_extra",
        names="tenant_b.products",
    ),
    "an index that is not valid": _broken(
        "growing",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.wide_only'::regclass",
        "index.invalid",
        names="public.wide_only",
    ),
    "a unique constraint gone": _broken(
        "growing",
        "ALTER TABLE public.wide DROP CONSTRAINT wide_b_key",
        *("unique.missing", "index.missing"),
    ),
    "a check constraint gone": _broken(
        "rental",
        "ALTER TABLE public.film DROP CONSTRAINT film_title_check",
        "definition.missing",
        names="constraint public.film.film_title_check",
        manifest=True,
    ),
    "an exclusion gone": _broken(
        "library",
        "ALTER TABLE lending.loan DROP CONSTRAINT loan_during_excl",
        *("constraint.missing", "index.missing"),
    ),
    "a sequence gone": _broken("objects", "DROP SEQUENCE public.never", "sequence.missing"),
    "a sequence behind its column": _broken(
        "stores",
        "SELECT setval('tenant_a.products_id_seq', 12)",
        *("sequence.behind", "sequence.differs"),
        names="tenant_a.products_id_seq is at 12",
    ),
    "a sequence behind its column, unlike production": _broken(
        "stores",
        "SELECT setval('tenant_a.products_id_seq', 12)",
        *("sequence.behind", "sequence.differs"),
        names="tenant_a.products_id_seq is at 12, in production it was at",
        manifest=True,
    ),
    "a sequence elsewhere": _broken(
        "objects", "SELECT setval('public.down', -40)", "sequence.differs"
    ),
    "a view gone": _broken(
        "growing",
        "DROP VIEW public.first CASCADE",
        "view.missing",
        also=frozenset({"matview.missing"}),
    ),
    "a view that names what is not there": _broken(
        "growing",
        "CREATE FUNCTION public.gone() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
        " CREATE OR REPLACE VIEW public.first AS"
        " SELECT id + public.gone() AS id FROM public.parent;"
        # As a damaged catalogue would have it: PostgreSQL itself keeps what a view uses.
        " DELETE FROM pg_proc WHERE proname = 'gone'",
        "view.broken",
        names="public.first cannot be resolved",
    ),
    "a materialized view gone": _broken(
        "rental",
        "DROP MATERIALIZED VIEW public.takings_by_month",
        *("matview.missing", "index.missing"),
    ),
    "a materialized view that is empty": _broken(
        "growing", "REFRESH MATERIALIZED VIEW public.stored WITH NO DATA", "matview.empty"
    ),
    "one form of a function gone": _broken(
        "rental",
        "DROP FUNCTION public.join_words(integer)",
        "function.missing",
        names="public.join_words has 1 of 2 forms",
    ),
    "a type gone": _broken(
        "objects",
        "DROP TYPE public.temperature CASCADE",
        "type.missing",
        also=frozenset({"column.missing"}),
    ),
    "a trigger gone": _broken(
        "stores", "DROP TRIGGER touch ON tenant_a.products", "trigger.missing"
    ),
    "a trigger switched off": _broken(
        "stores",
        "ALTER TABLE tenant_a.products DISABLE TRIGGER touch",
        "trigger.disabled",
    ),
    "a rule gone": _broken("rental", "DROP RULE film_logged ON public.film", "rule.missing"),
    "a policy gone": _broken("security", "DROP POLICY clerk ON public.account", "policy.missing"),
    "row-level security off": _broken(
        "security", "ALTER TABLE public.account DISABLE ROW LEVEL SECURITY", "policy.not_enforced"
    ),
    "a large object gone": _broken(
        "objects",
        "SELECT lo_unlink(oid) FROM pg_largeobject_metadata LIMIT 1",
        "large_object.missing",
    ),
    "a large object changed": _broken(
        "objects",
        "SELECT lo_put(oid, 0, '\\x00') FROM pg_largeobject_metadata ORDER BY oid LIMIT 1",
        "large_object.differs",
        manifest=True,
    ),
    "a trigger too many": _broken(
        "stores",
        "CREATE TRIGGER more BEFORE DELETE ON tenant_a.products FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "definition.unexpected",
        names="trigger tenant_a.products.more is not in the manifest",
        manifest=True,
    ),
    "text that sorts otherwise": _broken(
        "rental",
        # What a newer libc or ICU would do to a database that was made with an older one.
        "UPDATE pg_database SET datcollversion = '2.28' WHERE datname = current_database()",
        "collation.version_differs",
    ),
    "a query with another result": _broken(
        "growing",
        "SELECT",
        "query.result_differs",
        settings={
            "queries": [
                {"name": "parents", "sql": "SELECT count(*) FROM public.parent", "rows": [[11]]}
            ]
        },
    ),
    # A function that the backup holds reports what a limit does.
    "a check that is cut off": _broken(
        "growing",
        """CREATE FUNCTION public.cancelled() RETURNS int LANGUAGE plpgsql AS
        'BEGIN RAISE SQLSTATE ''57014''; END'""",
        "check.cut_off",
        settings={"queries": [{"name": "limit", "sql": "SELECT public.cancelled()"}]},
    ),
    "a check that raises an error": _broken(
        "growing",
        "SELECT",
        "check.error",
        settings={"queries": [{"name": "nonsense", "sql": "SELECT FROM nowhere"}]},
    ),
}

# An extension with an entry and a comment, which every server has.
WITH_SIGNS = """
DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql; CREATE SCHEMA north; CREATE TABLE public.one ();
CREATE TABLE north.two (); CREATE TABLE public.image (content oid);
CREATE TABLE public.named (id serial PRIMARY KEY, name text);
CREATE VIEW public.names AS SELECT id, name FROM public.named GROUP BY id;
INSERT INTO public.image VALUES (lo_from_bytea(0, 'a picture'));
"""
SIGNS = {
    "archive.numbers_missing": "--exclude-table=north.two",
    "archive.schemas_chosen": "--schema=public",
    "archive.section_missing": "--section=pre-data --section=data",
    "archive.comments_missing": "--no-comments",
    "archive.large_objects_missing": "--no-blobs",
}
