"""Entries of alike tenants share their texts, and each gives its own."""

from __future__ import annotations

import tracemalloc

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


def tenants(count: int) -> list[Entry]:
    maker, made = archive_entry.EntryMaker(), []
    for number in range(1, count + 1):
        schema, file = f"tenant_{number:05d}", f"{3 * number}.dat"
        text = f"CREATE TABLE {schema}.sales (id integer);"
        copy = f"COPY {schema}.sales (id) FROM stdin;"
        owner = f"owner_{number:05d}"
        made += [
            maker.make(3 * number - 2, "TABLE", "sales", schema, owner, text, None, False),
            maker.make(3 * number - 1, "FUNCTION", "f()", schema, owner, "", None, False, oid=7),
            maker.make(
                *(3 * number, "TABLE DATA", "sales", schema, owner, "", copy, True),
                *(file, str(3 * number - 2).encode()),
            ),
        ]
    return made


def test_entries_come_back_as_they_were() -> None:
    made = tenants(50)
    kept = archive_entry.Entries(made)
    assert list(kept) == made and len(kept) == 150
    assert (kept[0], kept[4], kept[-1], kept[3:5]) == (made[0], made[4], made[-1], made[3:5])
    assert kept.index(made[100]) == 100
    with pytest.raises(IndexError):
        kept[150]


def test_entries_of_other_files_come_back_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_entry, "MOST_TEXTS", 2)
    maker = archive_entry.EntryMaker()
    files = ["12.dat", "blobs_12.toc", "012.dat", "1212", "toc", "", None]
    made = [maker.make(12, "BLOBS", "", "", "", "", None, True, file) for file in files]
    assert list(archive_entry.Entries(made)) == made


@pytest.mark.parametrize("numbers", [(1 << 32, 0), (1, 1 << 32)])
def test_an_entry_with_a_number_that_postgresql_never_gives(numbers: tuple[int, int]) -> None:
    made = archive_entry.EntryMaker().make(
        numbers[0], "TABLE", "t", "", "", "", None, False, oid=numbers[1]
    )
    with pytest.raises(OverflowError):
        archive_entry.Entries([made])


def test_entries_of_alike_tenants_take_little_memory() -> None:
    made = tenants(10_000)
    tracemalloc.start()
    try:
        kept = archive_entry.Entries(made)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # As tuples they are some 250 bytes each.
    assert held / len(kept) < 100
