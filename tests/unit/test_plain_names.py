"""Names in statements of a plain dump, as pg_dump writes them and as people edit them."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import plain_names
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.plain_names import Names


@pytest.mark.parametrize(
    ("kind", "before", "added", "after", "schema", "name"),
    [
        ("SCHEMA", "CREATE SCHEMA ", "IF NOT EXISTS ", "a;", None, (b"a",)),
        ("TABLE", "CREATE TABLE ", "IF NOT EXISTS ", "a.b (", b"a", (b"b",)),
        ("TABLE", "CREATE UNLOGGED TABLE ", "IF NOT EXISTS ", '"if"."not" (', b'"if"', (b'"not"',)),
        ("FOREIGN TABLE", "CREATE FOREIGN TABLE ", "IF NOT EXISTS ", "a.b (", b"a", (b"b",)),
        (
            "MATERIALIZED VIEW",
            "CREATE MATERIALIZED VIEW ",
            "IF NOT EXISTS ",
            "a.b AS",
            b"a",
            (b"b",),
        ),
        ("SEQUENCE", "CREATE SEQUENCE ", "IF NOT EXISTS ", "a.b\n", b"a", (b"b",)),
        ("INDEX", "CREATE UNIQUE INDEX ", "IF NOT EXISTS ", "i ON a.b USING", b"a", (b"i",)),
        ("INDEX", "CREATE INDEX ", "CONCURRENTLY IF NOT EXISTS ", "i ON a.b USING", b"a", (b"i",)),
        (
            "CONSTRAINT",
            "ALTER TABLE ",
            "IF EXISTS ",
            "ONLY a.b\n ADD CONSTRAINT k P",
            b"a",
            (b"b", b"k"),
        ),
        (
            "TRIGGER",
            "CREATE ",
            "OR REPLACE ",
            "TRIGGER t BEFORE INSERT ON a.b F",
            b"a",
            (b"b", b"t"),
        ),
        ("AGGREGATE", "CREATE ", "OR REPLACE ", "AGGREGATE a.sum(integer) (", b"a", ()),
        ("VIEW", "CREATE ", "OR REPLACE ", "VIEW a.b AS", b"a", (b"b",)),
    ],
)
def test_a_statement_that_may_be_repeated_names_the_same(
    kind: str, before: str, added: str, after: str, schema: bytes | None, name: tuple[bytes, ...]
) -> None:
    for statement in (before + after, before + added + after):
        assert plain_names.read(kind, statement.encode()) == Names(schema, name), statement


def test_a_table_may_be_called_if() -> None:
    assert plain_names.read("TABLE", b"CREATE TABLE public.if (") == Names(b"public", (b"if",))


def test_a_schema_that_is_called_as_its_owner_has_no_name_there() -> None:
    assert plain_names.read("SCHEMA", b"CREATE SCHEMA AUTHORIZATION clerk;") is None
