"""One change between what production held and what was restored: each is found and named.

Both ways: the restored database is changed, and a dump of the changed database lies beside the
manifest of the one before.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from testbed import production

from corpus.lab import HEALTHY, Dump, Lab, found

BASE = "kinds"
# What is changed, and what a finding's text must name.
MUTATIONS = {
    "index dropped": ("DROP INDEX public.plain_index", "index public.plain_index is missing"),
    "index on another column": (
        "DROP INDEX public.plain_index; CREATE INDEX plain_index ON public.booked (room)",
        "plain_index is `CREATE INDEX plain_index ON public.booked USING btree (room)`",
    ),
    "index no longer unique": (
        "DROP INDEX public.unique_index; CREATE INDEX unique_index ON public.booked (number)",
        "in production it was `CREATE UNIQUE INDEX",
    ),
    "index invalid": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.plain_index'::regclass",
        "public.plain_index is",
    ),
    "foreign key dropped": (
        "ALTER TABLE public.booked DROP CONSTRAINT of_thing_key",
        "constraint public.booked.of_thing_key is missing",
    ),
    "foreign key not valid": (
        "ALTER TABLE public.booked DROP CONSTRAINT of_thing_key, ADD CONSTRAINT of_thing_key"
        " FOREIGN KEY (thing) REFERENCES public.thing ON DELETE SET NULL NOT VALID",
        "NOT VALID`, in production it was",
    ),
    "foreign key not valid, with an orphan": (
        "ALTER TABLE public.booked DROP CONSTRAINT of_thing_key;"
        " UPDATE public.booked SET thing = 4711 WHERE id = 3;"
        " ALTER TABLE public.booked ADD CONSTRAINT of_thing_key"
        " FOREIGN KEY (thing) REFERENCES public.thing ON DELETE SET NULL NOT VALID",
        "thing=4711 is not in public.thing",
    ),
    "on delete changed": (
        "ALTER TABLE public.booked DROP CONSTRAINT of_thing_key, ADD CONSTRAINT of_thing_key"
        " FOREIGN KEY (thing) REFERENCES public.thing ON DELETE CASCADE",
        "ON DELETE CASCADE`, in production",
    ),
    "foreign key deferrable": (
        "ALTER TABLE public.booked ALTER CONSTRAINT of_thing_key DEFERRABLE",
        "DEFERRABLE`, in production",
    ),
    "check dropped": (
        "ALTER TABLE public.booked DROP CONSTRAINT positive",
        "constraint public.booked.positive is missing",
    ),
    "check weakened": (
        "ALTER TABLE public.booked DROP CONSTRAINT positive,"
        " ADD CONSTRAINT positive CHECK (checked > -1)",
        "constraint public.booked.positive is `CHECK ((checked > '-1'::integer))`, in production it"
        " was `CHECK ((checked > 0))`",
    ),
    "check not valid": (
        "ALTER TABLE public.booked DROP CONSTRAINT positive,"
        " ADD CONSTRAINT positive CHECK (checked > 0) NOT VALID",
        "NOT VALID`, in production it was `CHECK ((checked > 0))`",
    ),
    "listed values of a check": (
        "ALTER TABLE public.thing DROP CONSTRAINT listed,"
        " ADD CONSTRAINT listed CHECK (d IN ('one', 'two', 'three'))",
        "constraint public.thing.listed is",
    ),
    "domain's check": (
        "ALTER DOMAIN public.percent DROP CONSTRAINT within",
        "constraint public.percent.within is missing",
    ),
    "unique constraint dropped": (
        "ALTER TABLE public.booked DROP CONSTRAINT one_room",
        "constraint public.booked.one_room is missing",
    ),
    "primary key dropped": (
        "ALTER TABLE public.booked DROP CONSTRAINT booked_pkey",
        "constraint public.booked.booked_pkey is missing",
    ),
    "exclusion dropped": (
        "ALTER TABLE public.booked DROP CONSTRAINT one_time",
        "constraint public.booked.one_time is missing",
    ),
    "trigger dropped": (
        "DROP TRIGGER on_change ON public.thing",
        "trigger public.thing.on_change is missing",
    ),
    "trigger disabled": (
        "ALTER TABLE public.thing DISABLE TRIGGER on_change",
        "DISABLED`, in production",
    ),
    "trigger of another event": (
        "CREATE OR REPLACE TRIGGER on_change BEFORE INSERT ON public.thing FOR EACH ROW"
        " EXECUTE FUNCTION public.changed()",
        "trigger public.thing.on_change is `CREATE TRIGGER on_change BEFORE INSERT",
    ),
    "view dropped": ("DROP VIEW public.checked", "view public.checked is missing"),
    "view with another body": (
        "CREATE OR REPLACE VIEW public.checked AS SELECT a, b FROM public.thing WHERE b > 1",
        "view public.checked is `",
    ),
    "rule dropped": (
        "DROP RULE no_delete ON public.thing",
        "rule public.thing.no_delete is missing",
    ),
    "rule with another body": (
        "CREATE OR REPLACE RULE no_delete AS ON DELETE TO public.thing DO INSTEAD NOTHING",
        "rule public.thing.no_delete is `",
    ),
    "function dropped": (
        "DROP FUNCTION public.atomic",
        "function public.atomic(n integer) is missing",
    ),
    "function with another body": (
        "CREATE OR REPLACE FUNCTION public.to_pair(integer) RETURNS public.pair LANGUAGE sql"
        " IMMUTABLE AS $$ SELECT ROW($1, 'y')::public.pair $$",
        "function public.to_pair(integer) is `",
    ),
    "function of another argument": (
        "DROP FUNCTION public.atomic; CREATE FUNCTION public.atomic(n bigint DEFAULT 3)"
        " RETURNS bigint LANGUAGE sql AS 'SELECT 1'",
        "function public.atomic(n bigint) is not in the manifest",
    ),
    "procedure dropped": (
        "DROP PROCEDURE public.move",
        "function public.move(INOUT n integer) is missing",
    ),
    "procedure with another body": (
        "CREATE OR REPLACE PROCEDURE public.move(INOUT n integer) LANGUAGE plpgsql"
        " AS $$ BEGIN n := n + 2; END $$",
        "function public.move(INOUT n integer) is `",
    ),
    "aggregate dropped": (
        "DROP AGGREGATE public.total(public.pair)",
        "function public.total(public.pair) is missing",
    ),
    "aggregate that begins otherwise": (
        "CREATE OR REPLACE AGGREGATE public.total (public.pair)"
        " (SFUNC = public.plus, STYPE = public.pair, INITCOND = '(1,a)')",
        "function public.total(public.pair) is `",
    ),
    "default dropped": (
        "ALTER TABLE public.booked ALTER state DROP DEFAULT",
        "column public.booked.state is `text NOT NULL`, in production",
    ),
    "default changed": (
        "ALTER TABLE public.booked ALTER state SET DEFAULT 'old'",
        "DEFAULT 'old'::text`, in production it was `text NOT NULL DEFAULT 'new'::text`",
    ),
    "generated expression dropped": (
        "ALTER TABLE public.booked ALTER twice DROP EXPRESSION",
        "column public.booked.twice is `integer`",
    ),
    "generated otherwise": (
        "ALTER TABLE public.booked DROP twice,"
        " ADD twice integer GENERATED ALWAYS AS (room * 3) STORED",
        "column public.booked.twice is `integer GENERATED (s) AS (room * 3)`",
    ),
    "identity dropped": (
        "ALTER TABLE public.booked ALTER number DROP IDENTITY",
        "column public.booked.number is `integer NOT NULL`",
    ),
    "identity of another kind": (
        "ALTER TABLE public.booked ALTER number SET GENERATED ALWAYS",
        "column public.booked.number is `integer NOT NULL GENERATED ALWAYS AS IDENTITY`",
    ),
    "column's type": (
        "ALTER TABLE public.booked ALTER checked TYPE bigint",
        "column public.booked.checked is `bigint`, in production it was `integer`",
    ),
    "column's length": (
        "ALTER TABLE public.thing DROP CONSTRAINT listed; DROP VIEW public.seen;"
        " ALTER TABLE public.thing ALTER d TYPE character varying(30)",
        "column public.thing.d is `character varying(30)`",
    ),
    "column may be null": (
        "ALTER TABLE public.booked ALTER state DROP NOT NULL",
        "column public.booked.state is `text DEFAULT 'new'::text`",
    ),
    "column's collation": (
        'ALTER TABLE public.booked ALTER state TYPE text COLLATE "POSIX"',
        'column public.booked.state is `text COLLATE pg_catalog."POSIX"',
    ),
    "comment dropped": (
        "COMMENT ON COLUMN public.thing.a IS NULL",
        "public.thing.a is missing",
    ),
    "comment changed": (
        "COMMENT ON TABLE public.thing IS 'another'",
        "is `another`, in production it was `it's a thing`",
    ),
    "policy dropped": (
        "DROP POLICY of_owner ON public.guarded",
        "policy public.guarded.of_owner is missing",
    ),
    "policy changed": (
        "ALTER POLICY of_owner ON public.guarded USING (true)",
        "policy public.guarded.of_owner is `",
    ),
    "row security off": (
        "ALTER TABLE public.guarded DISABLE ROW LEVEL SECURITY",
        "relation public.guarded is `table, row security forced`",
    ),
    "row security not forced": (
        "ALTER TABLE public.guarded NO FORCE ROW LEVEL SECURITY",
        "relation public.guarded is `table, row security`",
    ),
    "enum value added": (
        "ALTER TYPE public.mood ADD VALUE 'new'",
        "type public.mood is `enum 'sad', 'it''s ok', 'happy', 'new'`",
    ),
    "enum's order": (
        "ALTER TYPE public.mood RENAME VALUE 'sad' TO 'x';"
        " ALTER TYPE public.mood RENAME VALUE 'happy' TO 'sad';"
        " ALTER TYPE public.mood RENAME VALUE 'x' TO 'happy'",
        "type public.mood is `enum 'happy', 'it''s ok', 'sad'`",
    ),
    "statistics dropped": (
        "DROP STATISTICS public.of_thing",
        "statistics public.of_thing is missing",
    ),
    "publication dropped": ("DROP PUBLICATION news", "publication news is missing"),
    "publication changed": (
        "ALTER PUBLICATION news SET (publish = 'insert')",
        "publication news is `",
    ),
    "operator dropped": (
        "DROP OPERATOR public.+ (public.pair, public.pair)",
        "operator public.+(public.pair, public.pair) is missing",
    ),
    "cast dropped": (
        "DROP CAST (integer AS public.pair)",
        "cast integer to public.pair is missing",
    ),
    "collation dropped": ("DROP COLLATION public.plain", "collation public.plain is missing"),
    "text search configuration dropped": (
        "DROP TEXT SEARCH CONFIGURATION public.configuration",
        "text search configuration public.configuration is missing",
    ),
    "partition detached": (
        "ALTER TABLE public.listed DETACH PARTITION public.listed_b",
        "relation public.listed_b is `table`, in production",
    ),
    "inheritance cut": (
        "ALTER TABLE public.heir NO INHERIT public.base",
        "relation public.heir is `table`, in production it was `table, child of public.base`",
    ),
    "logged": (
        "ALTER TABLE public.fast SET LOGGED",
        "relation public.fast is `table`, in production it was `table, unlogged`",
    ),
    "unlogged": (
        "ALTER TABLE public.fast SET LOGGED; ALTER TABLE public.base SET UNLOGGED",
        "relation public.base is `table, unlogged",
    ),
    "storage parameter": (
        "ALTER TABLE public.base SET (fillfactor = 50)",
        "fillfactor=50`, in production",
    ),
    "sequence behind": (
        "SELECT setval('public.booked_id_seq', 5)",
        "public.booked_id_seq is at 5",
    ),
    "sequence's increment": (
        "ALTER SEQUENCE public.steps INCREMENT 7",
        "sequence public.steps is `smallint START 15 INCREMENT 7",
    ),
    "sequence no longer cycles": (
        "ALTER SEQUENCE public.steps NO CYCLE",
        "sequence public.steps is `",
    ),
    "sequence's bounds": (
        "ALTER SEQUENCE public.steps MAXVALUE 400",
        "MAXVALUE 400",
    ),
    "large object lost": ("SELECT lo_unlink(4711)", "large object 4711 is missing"),
    "large object changed": (
        "SELECT lo_put(4712, 0, 'six')",
        "large object 4712 has other content",
    ),
    "large object renumbered": (
        "SELECT lo_unlink(4711), lo_put(lo_create(4713), 0, 'one')",
        "large object 4711 is missing",
    ),
    "large object too many": ("SELECT lo_create(4799)", "large object"),
    "materialized view not populated": (
        "REFRESH MATERIALIZED VIEW public.kept WITH NO DATA",
        "public.kept is `not populated`, in production it was `populated`",
    ),
    "a table too many": ("CREATE TABLE public.more (id integer)", "public.more is not in the"),
    "a trigger too many": (
        "CREATE TRIGGER more BEFORE DELETE ON public.thing FOR EACH ROW"
        " EXECUTE FUNCTION public.changed()",
        "trigger public.thing.more is not in the manifest",
    ),
    "a check too many": (
        "ALTER TABLE public.booked ADD CONSTRAINT more CHECK (room > 0)",
        "constraint public.booked.more is not in the manifest",
    ),
    "a function too many": (
        "CREATE FUNCTION public.more() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "function public.more() is not in the manifest",
    ),
    "how a column is stored": (
        "ALTER TABLE public.thing ALTER c SET STORAGE EXTERNAL, ALTER c SET STATISTICS 77",
        "column storage public.thing.c is not in the manifest",
    ),
    "replica identity": (
        "ALTER TABLE public.thing REPLICA IDENTITY FULL",
        "table storage public.thing is not in the manifest",
    ),
    "clustered index": (
        "ALTER TABLE public.base CLUSTER ON base_pkey",
        "table storage public.base is not in the manifest",
    ),
    "condition of a publication": (
        'ALTER PUBLICATION news SET TABLE public.thing (a, b), public."order" WHERE (id > 6)',
        "id > 6",
    ),
    "columns of a publication": (
        'ALTER PUBLICATION news SET TABLE public.thing (a), public."order" WHERE (id > 5)',
        "published table news public.thing is `a`, in production it was `a, b`",
    ),
    "operator family": (
        "CREATE OPERATOR FAMILY public.more USING btree",
        "operator family public.more using btree is not in the manifest",
    ),
    "a schema too many": ("CREATE SCHEMA more", "schema more is not in the manifest"),
}


@dataclasses.dataclass
class Bench:
    """A database, its manifest, and a restored copy of it to be changed."""

    lab: Lab
    held: manifest.Manifest
    dump: Dump

    def texts(self, database: str, dump: Dump) -> str:
        """Return the texts of all findings of a restored database, with this manifest."""
        expected = copy.deepcopy(dump.expected)
        lacking = manifest.apply(self.held, expected)
        result = self.lab.validate(database, expected)
        texts = [one.text for one in lacking]
        texts += [one["text"] for check in result["checks"] for one in check["findings"]]
        assert "check.error" not in found(result), texts
        return "; ".join(texts)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("mutations")
    for folder in (root, *root.parents[:1]):
        folder.chmod(0o755)
    cluster = Cluster(str(root / "cluster"), production.binaries())
    cluster.create()
    try:
        lab = Lab(cluster.start(), root)
        path = next(path for path in HEALTHY if path.stem == BASE)
        lab.create(BASE, path.read_text(encoding="utf-8"))
        with manifest_snapshot.export({"dsn": lab.server.url(BASE)}) as snapshot:
            held = manifest.of(snapshot.read())
        dump = lab.prepare(lab.dump(BASE))
        assert lab.restore(dump, "restored") == []
        yield Bench(lab, held, dump)
    finally:
        cluster.remove()


def changed(lab: Lab, database: str, template: str, sql: str) -> None:
    lab.drop(database)
    lab.create(database, template=template)
    lab.run(database, sql)


def test_no_change_is_silent(bench: Bench) -> None:
    assert bench.texts("restored", bench.dump) == ""


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_changed_staging(bench: Bench, mutation: str) -> None:
    sql, named = MUTATIONS[mutation]
    changed(bench.lab, "staging", "restored", sql)
    try:
        texts = bench.texts("staging", bench.dump)
    finally:
        bench.lab.drop("staging")
    assert named in texts


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_dump_of_a_changed_database(bench: Bench, mutation: str) -> None:
    sql, named = MUTATIONS[mutation]
    changed(bench.lab, "changed", BASE, sql)
    try:
        dump = bench.lab.prepare(bench.lab.dump("changed"))
        raised: list[Any] = bench.lab.restore(dump, "from changed")
        texts = bench.texts("from changed", dump)
    finally:
        bench.lab.drop("changed")
        bench.lab.drop("from changed")
    # pg_dump leaves an index out that is not valid.
    expected = named if mutation != "index invalid" else "public.plain_index is missing"
    assert raised == [] and expected in texts


# Changes that do not meet, of as many kinds as there are, in one database.
WORST = (
    *("index on another column", "foreign key dropped", "check weakened", "domain's check"),
    *("exclusion dropped", "trigger disabled", "view with another body", "rule dropped"),
    *("function with another body", "procedure dropped", "default changed", "policy changed"),
    *("generated otherwise", "identity of another kind", "column's collation", "enum value added"),
    *("comment changed", "row security off", "partition detached", "inheritance cut", "logged"),
    *("sequence's increment", "sequence behind", "large object changed", "publication changed"),
    *("operator dropped", "cast dropped", "statistics dropped", "a table too many"),
)


@pytest.mark.parametrize("form", ["-Fp", "-Fp --inserts", "-Fd", "-Ft"])
def test_the_worst_in_other_forms(bench: Bench, form: str) -> None:
    changed(bench.lab, "changed", BASE, "; ".join(MUTATIONS[name][0] for name in WORST))
    try:
        dump = bench.lab.prepare(bench.lab.dump("changed", *form.split()))
        raised: list[Any] = bench.lab.restore(dump, "from changed")
        texts = bench.texts("from changed", dump)
    finally:
        bench.lab.drop("changed")
        bench.lab.drop("from changed")
    assert raised == []
    assert [name for name in WORST if MUTATIONS[name][1] not in texts] == [], texts
