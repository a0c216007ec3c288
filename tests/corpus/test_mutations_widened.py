"""Other changes of the kinds in test_mutations.py, made at once: each is named, on both sides."""

from __future__ import annotations

import copy
import re
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)

from corpus.lab import Dump, Lab, found

BASE = """
CREATE TABLE t (a int PRIMARY KEY, b int, c text, d numeric(8,2), e text[], f varchar(5), g date);
INSERT INTO t SELECT n, n % 5, 'c' || n, n, '{}', 'f', '2025-01-01' FROM generate_series(1, 20) n;
CREATE INDEX partial ON t (b) WHERE b > 1; CREATE INDEX expressed ON t (lower(c));
CREATE INDEX covering ON t (b) INCLUDE (c); CREATE INDEX ordered ON t (b DESC);
CREATE UNIQUE INDEX nulls_once ON t (a, b) NULLS NOT DISTINCT;
CREATE TABLE parent (a int, b int, UNIQUE (a, b)); INSERT INTO parent VALUES (1, 1);
CREATE TABLE keys (a int, b int, n int,
 CONSTRAINT full_match FOREIGN KEY (a, b) REFERENCES parent (a, b) MATCH FULL,
 CONSTRAINT on_update FOREIGN KEY (a, b) REFERENCES parent (a, b) ON UPDATE CASCADE,
 CONSTRAINT set_one FOREIGN KEY (a, b) REFERENCES parent (a, b) ON DELETE SET NULL (b),
 CONSTRAINT deferred FOREIGN KEY (a, b) REFERENCES parent (a, b) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO keys VALUES (1, 1, 1);
CREATE TABLE checked (n int, m int, CONSTRAINT own_only CHECK (n > 0) NO INHERIT,
 CONSTRAINT both_of CHECK (n > 0 AND m > 0), CONSTRAINT unique_more UNIQUE (n) INCLUDE (m),
 CONSTRAINT unique_late UNIQUE (m) DEFERRABLE,
 CONSTRAINT excluded EXCLUDE USING gist (int4range(n, m) WITH &&) WHERE (n > 0));
CREATE DOMAIN word AS text NOT NULL CONSTRAINT not_empty CHECK (value <> '');
CREATE DOMAIN plain AS text;
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER with_when AFTER UPDATE ON t FOR EACH ROW WHEN (NEW.a > 1) EXECUTE FUNCTION changed();
CREATE TRIGGER each_row AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION changed();
CREATE TRIGGER of_column AFTER UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION changed();
CREATE TRIGGER replicated AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION changed();
CREATE CONSTRAINT TRIGGER late_one AFTER INSERT ON t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION
 changed();
CREATE VIEW invoked WITH (security_invoker) AS SELECT a FROM t; CREATE VIEW joined AS SELECT a, b
 FROM t;
CREATE MATERIALIZED VIEW stored AS SELECT a FROM t WHERE a < 5; CREATE VIEW written AS SELECT a
 FROM t;
CREATE RULE on_insert AS ON INSERT TO written DO INSTEAD NOTHING;
CREATE FUNCTION volatile_one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION set_path() RETURNS int LANGUAGE sql SET search_path = '' AS 'SELECT 1';
CREATE FUNCTION strict_one(n int) RETURNS int LANGUAGE sql STRICT AS 'SELECT n';
CREATE FUNCTION returns_set() RETURNS SETOF int LANGUAGE sql ROWS 5 AS 'SELECT 1';
CREATE FUNCTION with_default(n int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT n';
CREATE AGGREGATE summed (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TABLE columns (id int GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now(), price
 numeric(8,2),
 word text COLLATE "C", nothing int, twice int GENERATED ALWAYS AS (1 + 1) STORED, many int[], m
 time(3));
COMMENT ON CONSTRAINT own_only ON checked IS 'one'; COMMENT ON INDEX partial IS 'two';
COMMENT ON FUNCTION definer() IS 'three'; COMMENT ON TRIGGER each_row ON t IS 'four';
ALTER TABLE columns ENABLE ROW LEVEL SECURITY;
CREATE POLICY for_select ON columns FOR SELECT USING (true);
CREATE POLICY permissive ON columns USING (true); CREATE POLICY checking ON columns WITH CHECK (id
 > 0);
CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE shade AS ENUM ('x', 'y');
CREATE TYPE pair AS (a int, b text COLLATE "C");
CREATE STATISTICS of_t (dependencies, mcv) ON a, b FROM t;
CREATE PUBLICATION inserts FOR TABLE t WITH (publish = 'insert'); CREATE PUBLICATION whole FOR ALL
 TABLES;
CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl, COMMUTATOR = ###);
CREATE COLLATION noted (provider = libc, locale = 'C');
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
CREATE TABLE ranged (a int) PARTITION BY RANGE (a); CREATE TABLE ranged_1 PARTITION OF ranged
 FOR VALUES FROM (0) TO (10); CREATE TABLE ranged_2 PARTITION OF ranged DEFAULT;
CREATE TABLE elder (a int); CREATE TABLE heir () INHERITS (elder); CREATE TABLE other () INHERITS
 (elder);
CREATE SEQUENCE cached CACHE 5; CREATE SEQUENCE started START 7; CREATE SEQUENCE of_type AS int;
CREATE SEQUENCE lowest MINVALUE 3;
CREATE UNLOGGED TABLE lost (a int);
"""
# What is changed, by the name that must be named.
CHANGES = {
    "partial": "DROP INDEX partial; CREATE INDEX partial ON t (b) WHERE b > 2",
    "expressed": "DROP INDEX expressed; CREATE INDEX expressed ON t (upper(c))",
    "covering": "DROP INDEX covering; CREATE INDEX covering ON t (b) INCLUDE (d)",
    "ordered": "DROP INDEX ordered; CREATE INDEX ordered ON t (b)",
    "nulls_once": "DROP INDEX nulls_once; CREATE UNIQUE INDEX nulls_once ON t (a, b)",
    "full_match": "ALTER TABLE keys DROP CONSTRAINT full_match, ADD CONSTRAINT full_match"
    " FOREIGN KEY (a, b) REFERENCES parent (a, b)",
    "on_update": "ALTER TABLE keys DROP CONSTRAINT on_update, ADD CONSTRAINT on_update"
    " FOREIGN KEY (a, b) REFERENCES parent (a, b) ON UPDATE RESTRICT",
    "set_one": "ALTER TABLE keys DROP CONSTRAINT set_one, ADD CONSTRAINT set_one"
    " FOREIGN KEY (a, b) REFERENCES parent (a, b) ON DELETE SET NULL",
    "deferred": "ALTER TABLE keys ALTER CONSTRAINT deferred DEFERRABLE INITIALLY IMMEDIATE",
    "own_only": "ALTER TABLE checked DROP CONSTRAINT own_only,"
    " ADD CONSTRAINT own_only CHECK (n > 0)",
    "both_of": "ALTER TABLE checked DROP CONSTRAINT both_of,"
    " ADD CONSTRAINT both_of CHECK (n > 0 OR m > 0)",
    "unique_more": "ALTER TABLE checked DROP CONSTRAINT unique_more,"
    " ADD CONSTRAINT unique_more UNIQUE (n)",
    "unique_late": "ALTER TABLE checked DROP CONSTRAINT unique_late,"
    " ADD CONSTRAINT unique_late UNIQUE (m)",
    "excluded": "ALTER TABLE checked DROP CONSTRAINT excluded, ADD CONSTRAINT excluded"
    " EXCLUDE USING gist (int4range(n, m) WITH &&) WHERE (n > 1)",
    "not_empty": "ALTER DOMAIN word DROP CONSTRAINT not_empty;"
    " ALTER DOMAIN word ADD CONSTRAINT not_empty CHECK (value <> ' ')",
    "plain": "ALTER DOMAIN plain SET DEFAULT 'x'",
    "with_when": "CREATE OR REPLACE TRIGGER with_when AFTER UPDATE ON t FOR EACH ROW"
    " EXECUTE FUNCTION changed()",
    "each_row": "CREATE OR REPLACE TRIGGER each_row AFTER INSERT ON t FOR EACH STATEMENT"
    " EXECUTE FUNCTION changed()",
    "of_column": "CREATE OR REPLACE TRIGGER of_column AFTER UPDATE OF b ON t FOR EACH ROW"
    " EXECUTE FUNCTION changed()",
    "replicated": "ALTER TABLE t ENABLE REPLICA TRIGGER replicated",
    "late_one": "DROP TRIGGER late_one ON t; CREATE CONSTRAINT TRIGGER late_one AFTER INSERT ON t"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION changed()",
    "invoked": "ALTER VIEW invoked RESET (security_invoker)",
    "joined": "CREATE OR REPLACE VIEW joined AS SELECT a, b + 0 AS b FROM t",
    "stored": "DROP MATERIALIZED VIEW stored;"
    " CREATE MATERIALIZED VIEW stored AS SELECT a FROM t WHERE a < 6",
    "on_insert": "DROP RULE on_insert ON written;"
    " CREATE RULE on_insert AS ON UPDATE TO written DO INSTEAD NOTHING",
    "volatile_one": "ALTER FUNCTION volatile_one() VOLATILE",
    "definer": "ALTER FUNCTION definer() SECURITY INVOKER",
    "set_path": "ALTER FUNCTION set_path() RESET search_path",
    "strict_one": "ALTER FUNCTION strict_one(int) CALLED ON NULL INPUT",
    "returns_set": "ALTER FUNCTION returns_set() ROWS 50",
    "with_default": "DROP FUNCTION with_default(int);"
    " CREATE FUNCTION with_default(n int) RETURNS int LANGUAGE sql AS 'SELECT n'",
    "summed": "DROP AGGREGATE summed(int);"
    " CREATE AGGREGATE summed (int) (SFUNC = int4mi, STYPE = int)",
    "columns_id_seq": "ALTER TABLE columns ALTER id SET INCREMENT 2",
    "columns.at": "ALTER TABLE columns ALTER at SET DEFAULT clock_timestamp()",
    "columns.price": "ALTER TABLE columns ALTER price TYPE numeric(8,3)",
    "columns.word": 'ALTER TABLE columns ALTER word TYPE text COLLATE "POSIX"',
    "columns.nothing": "ALTER TABLE columns ALTER nothing SET NOT NULL",
    "columns.twice": "ALTER TABLE columns DROP twice;"
    " ALTER TABLE columns ADD twice int GENERATED ALWAYS AS (1 + 2) STORED",
    "columns.many": "ALTER TABLE columns ALTER many TYPE bigint[]",
    "columns.m": "ALTER TABLE columns ALTER m TYPE time(2)",
    "of own_only|checked.own_only": "COMMENT ON CONSTRAINT own_only ON checked IS 'another'",
    "for_select": "DROP POLICY for_select ON columns;"
    " CREATE POLICY for_select ON columns FOR DELETE USING (true)",
    "permissive": "DROP POLICY permissive ON columns;"
    " CREATE POLICY permissive ON columns AS RESTRICTIVE USING (true)",
    "checking": "ALTER POLICY checking ON columns WITH CHECK (id > 1)",
    "mood": "ALTER TYPE mood ADD VALUE 'aa' BEFORE 'b'",
    "shade": "ALTER TYPE shade RENAME VALUE 'y' TO 'z'",
    "pair": "ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint",
    "of_t": "DROP STATISTICS of_t; CREATE STATISTICS of_t (dependencies) ON a, b FROM t",
    "inserts": "ALTER PUBLICATION inserts SET (publish_via_partition_root)",
    "whole": "DROP PUBLICATION whole; CREATE PUBLICATION whole",
    "###": "DROP OPERATOR ### (int, int);"
    " CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4mi)",
    "noted": "DROP COLLATION noted; CREATE COLLATION noted (provider = libc, locale = 'POSIX')",
    "words": "ALTER TEXT SEARCH CONFIGURATION words DROP MAPPING FOR asciiword",
    "ranged_1": "ALTER TABLE ranged DETACH PARTITION ranged_1;"
    " ALTER TABLE ranged ATTACH PARTITION ranged_1 FOR VALUES FROM (0) TO (11)",
    "other": "ALTER TABLE other NO INHERIT elder",
    "cached": "ALTER SEQUENCE cached CACHE 6",
    "started": "ALTER SEQUENCE started START 8",
    "of_type": "ALTER SEQUENCE of_type AS bigint",
    "lowest": "ALTER SEQUENCE lowest MINVALUE 2",
    "lost": "ALTER TABLE lost SET LOGGED",
    "more_type": "CREATE TYPE more_type AS (a int)",
    "more_rule": "CREATE RULE more_rule AS ON DELETE TO written DO INSTEAD NOTHING",
    "more_policy": "CREATE POLICY more_policy ON columns USING (true)",
    "more_sequence": "CREATE SEQUENCE more_sequence",
    "more_view": "CREATE VIEW more_view AS SELECT 1 AS one",
    "more_index": "CREATE INDEX more_index ON t (g)",
}
WITH_BOTH = r"(is missing|is not in the manifest|is `.*`, in production it was `)"


def texts(lab: Lab, held: manifest.Manifest, dump: Dump, database: str) -> list[str]:
    """The texts of all findings of a restored database."""
    expected = copy.deepcopy(dump.expected)
    lacking = manifest.apply(held, expected)
    result: dict[str, Any] = lab.validate(database, expected)
    assert "check.error" not in found(result)
    texts = [str(one.text) for one in lacking]
    return texts + [one["text"] for check in result["checks"] for one in check["findings"]]


def unnamed(texts: list[str]) -> list[str]:
    """The changes that no finding names with what it is and what it was."""
    left = []
    for name in CHANGES:
        named = re.compile(rf"(?<!\w)({name})(?!\w)[^`]*{WITH_BOTH}", re.DOTALL)
        if not any(named.search(text) for text in texts):
            left.append(name)
    return left


def test_each_is_named_on_both_sides(old: Lab) -> None:
    old.create("widened", BASE)
    with manifest_snapshot.export({"dsn": old.server.url("widened")}) as snapshot:
        held = manifest.of(snapshot.read())
    dump = old.prepare(old.dump("widened"))
    assert old.restore(dump, "whole") == []
    assert texts(old, held, dump, "whole") == []
    for database in ("whole", "widened"):
        for change in CHANGES.values():
            old.run(database, change)
    assert unnamed(texts(old, held, dump, "whole")) == []
    after = old.prepare(old.dump("widened", "-Fd"))
    assert old.restore(after, "after") == []
    assert unnamed(texts(old, held, after, "after")) == []
