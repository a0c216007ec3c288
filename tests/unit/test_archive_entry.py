"""Entries of alike tenants share their texts, and each gives its own."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import archive_entry
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.archive_entry import Entry


def entry(maker: archive_entry.EntryMaker, schema: str) -> Entry:
    return maker.make(
        7,
        "TABLE DATA",
        "".join(["sa", "les"]),
        schema,
        "owner",
        f"CREATE TABLE {schema}.sales (id integer REFERENCES {schema}.t);",
        f"COPY {schema}.sales (id) FROM stdin;",
        True,
        needs=b"5 6",
    )


def test_tenants_share_their_texts() -> None:
    maker = archive_entry.EntryMaker()
    one, other = entry(maker, "tenant_a"), entry(maker, "tenant_b")
    assert one.definition_text is other.definition_text and one.name is other.name
    assert one.copy_text is other.copy_text
    assert one.definition == "CREATE TABLE tenant_a.sales (id integer REFERENCES tenant_a.t);"
    assert other.definition == one.definition.replace("tenant_a", "tenant_b")
    assert other.copy_statement == "COPY tenant_b.sales (id) FROM stdin;"
    assert one.depends_on == (5, 6)


@pytest.mark.parametrize("schema", ["", "two words", "a.b", "é", "x"])
def test_texts_come_back_to_the_letter(schema: str) -> None:
    text = f"CREATE TABLE \"{schema}\".t (x text DEFAULT 'x.{schema}..', {schema}.y x.z);"
    made = archive_entry.EntryMaker().make(1, "TABLE", "t", schema, "", text, None, False)
    assert (made.definition, made.copy_statement, made.removal) == (text, None, "")


def test_no_more_texts_are_looked_for_than_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_entry, "MOST_TEXTS", 1)
    maker = archive_entry.EntryMaker()
    texts = [f"CREATE TABLE a.t{number};" for number in range(3)]
    made = [maker.make(1, "TABLE", "t", "a", "", text, None, False) for text in texts]
    assert [one.definition for one in made] == texts
