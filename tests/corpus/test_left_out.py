"""Archives of a server with tablespaces, subscriptions and roles that staging lacks; and rows
that a dump has under the name of the table above their partition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from testbed import production

from corpus.lab import FORMS, HEALTHY, Lab, found

SERVER = """
SET allow_in_place_tablespaces = on; CREATE TABLESPACE "fast disk" LOCATION '';
"""
OBJECTS = """
CREATE TABLE public.quick (id integer PRIMARY KEY USING INDEX TABLESPACE "fast disk")
 TABLESPACE "fast disk";
INSERT INTO public.quick VALUES (1);
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE USER MAPPING FOR left_out_clerk SERVER elsewhere OPTIONS (password 'a secret');
ALTER TABLE public.quick OWNER TO left_out_clerk;
GRANT SELECT ON public.quick TO left_out_clerk;
CREATE SUBSCRIPTION news CONNECTION 'host=192.0.2.1 password=x' PUBLICATION p
 WITH (connect = false, slot_name = NONE);
COMMENT ON SUBSCRIPTION news IS 'of the main office';
CREATE SUBSCRIPTION gone CONNECTION 'host=192.0.2.1 password=x' PUBLICATION p
 WITH (connect = false, slot_name = NONE);
COMMENT ON SUBSCRIPTION gone IS 'PostgreSQL keeps this comment';
DROP SUBSCRIPTION gone;
"""
PARTS = """
CREATE TYPE public.mood AS ENUM ('a', 'b', 'c');
CREATE TABLE public.ranged (k integer, d text) PARTITION BY RANGE (k);
CREATE TABLE public.ranged_1 PARTITION OF public.ranged FOR VALUES FROM (0) TO (10);
CREATE TABLE public.ranged_2 PARTITION OF public.ranged DEFAULT PARTITION BY LIST (d);
CREATE TABLE public.ranged_2_x PARTITION OF public.ranged_2 DEFAULT;
CREATE TABLE public.mixed (k integer, m public.mood) PARTITION BY LIST (k);
CREATE TABLE public.mixed_1 PARTITION OF public.mixed FOR VALUES IN (1) PARTITION BY HASH (m);
CREATE TABLE public.mixed_1_0 PARTITION OF public.mixed_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.mixed_1_1 PARTITION OF public.mixed_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE public.mixed_2 PARTITION OF public.mixed DEFAULT;
INSERT INTO public.ranged SELECT n, 'x' FROM generate_series(0, 40) n;
INSERT INTO public.mixed SELECT 1 + n % 3, ('{a,b,c}'::public.mood[])[1 + n % 3]
 FROM generate_series(1, 90) n;
"""


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Lab]]:
    """The server that is dumped, and one that knows nothing of it."""
    of_16 = production.binaries().bin_dir
    clusters, made = [], {}
    try:
        for version in (16, 18):
            root = tmp_path_factory.mktemp(f"of-{version}")
            for folder in (root, *root.parents[:1]):
                folder.chmod(0o755)
            bin_dir = of_16 if version == 16 else of_16.replace("pginstall", "pginstall18")
            clusters.append(Cluster(str(root / "cluster"), postgres.find_binaries(bin_dir)))
            clusters[-1].create()
            made[version] = Lab(clusters[-1].start(), root)
        yield made
    finally:
        for cluster in clusters:
            cluster.remove()


@pytest.mark.parametrize("form", FORMS)
def test_what_staging_has_not_is_left_out_and_named(labs: dict[int, Lab], form: str) -> None:
    old, new = labs[16], labs[18]
    if form == "custom":
        old.run("postgres", *SERVER.split(";")[:2], "CREATE ROLE left_out_clerk")
        old.create("kept")
        old.run("kept", *OBJECTS.split(";")[:-1])
    dump = new.prepare(old.dump("kept", FORMS[form]))
    with manifest_snapshot.export({"dsn": old.server.url("kept")}) as snapshot:
        assert manifest.apply(manifest.of(snapshot.read()), dump.expected) == []
    for _again in range(2):
        # The second time the first database is dropped.
        assert new.restore(dump, "kept") == [], new.form
    assert found(new.validate("kept", dump.expected)) == []
    with new.connected("kept") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM pg_subscription), (SELECT count(*) FROM pg_user_mapping)"
        )
        assert cursor.fetchone() == (0, 0)
    named = new.left_out
    assert named["CREATE SUBSCRIPTION" if form == "plain" else "SUBSCRIPTION"] == 1
    assert named["CREATE USER MAPPING" if form == "plain" else "USER MAPPING"] == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("with_manifest", [False, True])
def test_rows_under_the_name_of_the_root(
    labs: dict[int, Lab], form: str, with_manifest: bool
) -> None:
    lab, name = labs[16], f"parts {with_manifest}"
    if form == "custom":
        lab.create(name, PARTS)
    dump = lab.prepare(lab.dump(name, FORMS[form], "--load-via-partition-root"))
    if with_manifest:
        with manifest_snapshot.export({"dsn": lab.server.url(name)}) as snapshot:
            assert manifest.apply(manifest.of(snapshot.read()), dump.expected) == []
    assert lab.restore(dump, "tried") == []
    healthy = lab.validate("tried", dump.expected)
    assert found(healthy) == []
    statuses = {table["status"] for one in healthy["schemas"] for table in one["tables"]}
    assert "failed" not in statuses
    lab.run(
        "tried", "DELETE FROM public.ranged WHERE k = 3", "DELETE FROM public.mixed WHERE k = 1"
    )
    assert found(lab.validate("tried", dump.expected)) == ["rows.differ"]
    lab.run("tried", "DROP TABLE public.ranged_1, public.ranged_2")
    assert "rows.differ" in found(lab.validate("tried", dump.expected))


@pytest.mark.parametrize("way", [("-Fp",), ("-Fp", "--inserts"), ("-Fc",)], ids=" ".join)
def test_a_whole_dump_has_the_rows_of_every_table_whatever_its_name(
    labs: dict[int, Lab], way: tuple[str, ...]
) -> None:
    lab = labs[16]
    if way == ("-Fp",):
        (names,) = (path for path in HEALTHY if path.stem == "names")
        lab.create("names", names.read_text(encoding="utf-8"))
    assert lab.prepare(lab.dump("names", *way)).expected.without_rows == set()
    part = lab.prepare(lab.dump("names", *way, '--exclude-table-data="-"."-"'))
    assert part.expected.without_rows == {("-", "-")}


# Constraints of domains that are NOT VALID, and rows that are older than they.
OF_DOMAINS = """
CREATE DOMAIN public.amount AS integer; CREATE DOMAIN public.price AS public.amount;
CREATE DOMAIN public.filled AS text CONSTRAINT short CHECK (length(VALUE) < 9);
CREATE TABLE public.sold (id serial PRIMARY KEY, price public.price, of public.amount[]);
CREATE TABLE public.noted (note public.filled);
INSERT INTO public.sold (price, of) SELECT -n, ARRAY[-n] FROM generate_series(1, 40000) n;
INSERT INTO public.noted VALUES (NULL), ('old');
ALTER DOMAIN public.amount ADD CONSTRAINT above CHECK (VALUE > 0) NOT VALID;
ALTER DOMAIN public.filled ADD CONSTRAINT there CHECK (VALUE IS NOT NULL) NOT VALID;
ALTER DOMAIN public.filled ADD CONSTRAINT "is new" CHECK (VALUE <> 'old') NOT VALID;
COMMENT ON CONSTRAINT "is new" ON DOMAIN public.filled IS 'since version 3';
"""


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_are_older_than_their_domains_constraint(labs: dict[int, Lab], form: str) -> None:
    """PostgreSQL keeps such rows, and refuses them as new ones: they are restored before it."""
    lab = labs[16]
    if form == "custom":
        lab.create("of domains")
        lab.run("of domains", *OF_DOMAINS.split(";")[:-1])
    dump = lab.prepare(lab.dump("of domains", FORMS[form]))
    with manifest_snapshot.export({"dsn": lab.server.url("of domains")}) as snapshot:
        assert manifest.apply(manifest.of(snapshot.read()), dump.expected) == []
    assert lab.restore(dump, "restored domains") == [], lab.form
    assert found(lab.validate("restored domains", dump.expected)) == []


OF_18 = """
CREATE TABLE public.u (id integer PRIMARY KEY);
CREATE TABLE public.loose (a integer CHECK (a > 0) NOT ENFORCED, b integer);
ALTER TABLE public.loose ADD FOREIGN KEY (b) REFERENCES public.u NOT ENFORCED;
INSERT INTO public.loose VALUES (-1, 77);
CREATE TABLE public.filled (a integer, b integer);
INSERT INTO public.filled VALUES (NULL, 1);
ALTER TABLE public.filled ADD CONSTRAINT "a is there" NOT NULL a NOT VALID;
CREATE TABLE public.periods
 (id int4range, valid daterange, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
INSERT INTO public.periods VALUES
 ('[1,2)', '[2024-01-01,2024-02-01)'), ('[1,2)', '[2024-02-01,2024-03-01)');
CREATE TABLE public.within (id int4range, valid daterange, FOREIGN KEY (id, PERIOD valid)
 REFERENCES public.periods (id, PERIOD valid));
INSERT INTO public.within VALUES ('[1,2)', '[2024-01-10,2024-02-20)');
"""


@pytest.mark.parametrize("form", ["custom", "plain"])
def test_constraints_of_18(labs: dict[int, Lab], form: str) -> None:
    lab = labs[18]
    if form == "custom":
        lab.create("of 18", OF_18)
    dump = lab.prepare(lab.dump("of 18", FORMS[form]))
    with manifest_snapshot.export({"dsn": lab.server.url("of 18")}) as snapshot:
        assert manifest.apply(manifest.of(snapshot.read()), dump.expected) == []
    assert lab.restore(dump, "restored 18") == []
    assert found(lab.validate("restored 18", dump.expected, foreign_keys="all")) == []
    lab.run(
        "restored 18",
        'ALTER TABLE public.filled DROP CONSTRAINT "a is there"',
        "SET session_replication_role = replica;"
        " DELETE FROM public.periods WHERE valid @> '2024-02-15'::date",
    )
    raised = found(lab.validate("restored 18", dump.expected, foreign_keys="all"))
    assert {"constraint.missing", "foreign_key.orphan", "definition.differs"} <= set(raised)


def test_a_value_that_reads_like_a_clause(labs: dict[int, Lab], tmp_path: Path) -> None:
    lab = labs[16]
    lab.create(
        "clauses",
        "CREATE TABLE public.v (id integer PRIMARY KEY, t text); INSERT INTO public.v VALUES"
        " (1, 'ON CONFLICT (id) DO NOTHING'), (2, '); ON CONFLICT (y'), (3, 'x')",
    )
    for more in (
        ("--inserts",),
        ("--rows-per-insert=2",),
        ("--inserts", "--on-conflict-do-nothing"),
    ):
        dump = lab.prepare(lab.dump("clauses", "-Fp", *more))
        assert dump.ready.rows["public", "v"] == 3
    by_hand = tmp_path / "by-hand.sql"
    by_hand.write_text(
        dump.path.read_text().replace("ON CONFLICT DO NOTHING;", 'ON CONFLICT ("id") DO NOTHING;')
    )
    assert lab.prepare(by_hand).ready.rows["public", "v"] == 3
