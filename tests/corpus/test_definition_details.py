"""Details of definitions that no other query prints: each that changes is found and named."""

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

from corpus.lab import Dump, Lab

BASE = """
CREATE TYPE pair AS (a int, b int);
CREATE TYPE own;
CREATE FUNCTION own_in(cstring) RETURNS own LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION own_out(own) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE own (INPUT = own_in, OUTPUT = own_out, LIKE = int4, DEFAULT = '7');
CREATE TYPE words AS RANGE (SUBTYPE = text, COLLATION = "C", MULTIRANGE_TYPE_NAME = many_words);
CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, PARALLEL = SAFE);
CREATE OPERATOR FAMILY family USING hash;
ALTER OPERATOR FAMILY family USING hash ADD OPERATOR 1 pg_catalog.= (int4, int8);
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (a int OPTIONS (name 'A')) SERVER elsewhere;
CREATE TABLE things (a int, b int, PRIMARY KEY (a) WITH (fillfactor = 70));
CREATE INDEX sums ON things ((a + b)); ALTER INDEX sums ALTER COLUMN 1 SET STATISTICS 50;
CREATE STATISTICS facts ON a, b FROM things; ALTER STATISTICS facts SET STATISTICS 70;
CREATE UNLOGGED SEQUENCE fast;
CREATE MATERIALIZED VIEW full_one AS SELECT a FROM things;
CREATE SCHEMA shown; CREATE SCHEMA other; CREATE PUBLICATION news FOR TABLES IN SCHEMA shown;
COMMENT ON SCHEMA public IS 'own';
CREATE FUNCTION handler() RETURNS language_handler LANGUAGE c
 AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE LANGUAGE own_language HANDLER handler;
SELECT lo_create(7001); COMMENT ON LARGE OBJECT 7001 IS 'one';
"""
# What is changed, and how it is named.
CHANGES = {
    "DROP TYPE pair; CREATE TYPE pair AS (b int, a int)": (
        "column order public.pair is `b, a`, in production it was `a, b`"
    ),
    "UPDATE pg_type SET typdefault = '8' WHERE typname = 'own'": "base type public.own is `",
    'DROP TYPE words; CREATE TYPE words AS RANGE (SUBTYPE = text, COLLATION = "POSIX",'
    " MULTIRANGE_TYPE_NAME = many_words)": "range public.words is `COLLATE",
    "DROP AGGREGATE total(int); CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int)": (
        "aggregate's parallel safety public.total(integer) is `u`"
    ),
    "ALTER OPERATOR FAMILY family USING hash DROP OPERATOR 1 (int4, int8)": (
        "operator family's members public.family using hash is"
    ),
    "ALTER FOREIGN TABLE far ALTER a OPTIONS (SET name 'B')": (
        "foreign column's options public.far.a is `name "
    ),
    "ALTER INDEX things_pkey SET (fillfactor = 90)": (
        "index storage public.things_pkey is `fillfactor=90`, in production it was `fillfactor=70`"
    ),
    "ALTER INDEX sums ALTER COLUMN 1 SET STATISTICS 51": "index storage public.sums is `STATISTICS",
    "ALTER STATISTICS facts SET STATISTICS 71": "statistics target public.facts is `71`",
    "ALTER SEQUENCE fast SET LOGGED": "sequence storage public.fast is missing",
    "ALTER PUBLICATION news SET TABLES IN SCHEMA other": "published schema news shown is missing",
    "REFRESH MATERIALIZED VIEW full_one WITH NO DATA": (
        "materialized view state public.full_one is `not populated`, in production it was"
        " `populated`"
    ),
    "COMMENT ON SCHEMA public IS NULL": "comment of schema public public is ``",
    "COMMENT ON LARGE OBJECT 7001 IS 'two'": "comment large object 7001 is `two`",
    "CREATE OR REPLACE TRUSTED LANGUAGE own_language HANDLER handler": (
        "language's functions own_language is `TRUSTED"
    ),
}
OF_18 = """
CREATE TABLE named (a int CONSTRAINT own NOT NULL,
 b int CONSTRAINT later NOT NULL NO INHERIT, c int);
INSERT INTO named VALUES (1, 2, 3);
ALTER TABLE named ADD CONSTRAINT not_seen NOT NULL c NOT VALID;
CREATE TABLE heir () INHERITS (named);
"""
CHANGES_OF_18 = {
    "ALTER TABLE named VALIDATE CONSTRAINT not_seen": "not null public.named.c is missing",
    "ALTER TABLE named ALTER CONSTRAINT later INHERIT": "not null public.named.b is missing",
}


@pytest.fixture(scope="module", params=[16, 18])
def lab(request: pytest.FixtureRequest) -> Iterator[tuple[Lab, str, dict[str, str]]]:
    """A server, the SQL of a database on it, and changes to it."""
    new = request.param == 18
    sql = BASE + (OF_18 if new else "")
    changes = {**CHANGES, **(CHANGES_OF_18 if new else {})}
    yield request.getfixturevalue("new" if new else "old"), sql, changes


def test_each_is_named_on_both_sides(lab: tuple[Lab, str, dict[str, str]]) -> None:
    server, sql, changes = lab
    server.create("details", sql)
    with manifest_snapshot.export({"dsn": server.server.url("details")}) as snapshot:
        held = manifest.of(snapshot.read())
    assert held.unreadable == {}
    dump = server.prepare(server.dump("details"))
    assert server.restore(dump, "staging") == []
    assert _texts(server, "staging", dump, held) == ""
    for change in changes:
        server.run("staging", change)
        server.run("details", change)
    found = _texts(server, "staging", dump, held)
    changed = server.prepare(server.dump("details"))
    assert server.restore(changed, "from changed") == []
    found_in_dump = _texts(server, "from changed", changed, held)
    for database in ("details", "staging", "from changed"):
        server.drop(database)
    assert [text for text in changes.values() if text not in found] == [], found

    assert [text for text in changes.values() if text not in found_in_dump] == [], found_in_dump


def test_what_could_not_be_read_in_production_is_no_difference(old: Lab) -> None:
    """As in the manifest of a server that lacks what a query names; its drill says so."""
    old.create("unread", "CREATE SCHEMA s; CREATE TABLE s.t (a integer); CREATE PUBLICATION p;")
    with manifest_snapshot.export({"dsn": old.server.url("unread")}) as snapshot:
        held = manifest.of(snapshot.read())
    assert held.structure is not None
    for schema in ("s", ""):
        del held.structure.schemas[schema]
    lost = {"s": "an error", "objects outside of schemas": "an error"}
    held = dataclasses.replace(held, unreadable=lost)
    dump = old.prepare(old.dump("unread"))
    assert old.restore(dump, "staging") == []
    assert manifest.apply(held, dump.expected) == []
    checks = {check["id"]: check for check in old.validate("staging", dump.expected)["checks"]}
    assert [one for check in checks.values() for one in check["findings"]] == []
    assert checks["definitions"]["evidence"].endswith("could not be read in production: s")
    for database in ("unread", "staging"):
        old.drop(database)


def _texts(lab: Lab, database: str, dump: Dump, held: manifest.Manifest) -> str:
    expected = copy.deepcopy(dump.expected)
    assert manifest.apply(held, expected) == []
    result: dict[str, Any] = lab.validate(database, expected)
    return "; ".join(one["text"] for check in result["checks"] for one in check["findings"])
