"""What production itself had is no fault of its backup: with a manifest it is named, and passes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)

from corpus.lab import TENANT_QUERY, Dump, Lab, evidence_of, found

# Tenants of several releases, and rows that never fitted a key that is not validated.
PRODUCTION = (
    "CREATE TABLE companies (schema_name text);"
    + "".join(
        f"CREATE SCHEMA {tenant}; CREATE TABLE {tenant}.goods (id int PRIMARY KEY, name text);"
        f"INSERT INTO companies VALUES ('{tenant}');"
        for tenant in ("tenant_a", "tenant_b", "tenant_c")
    )
    + """ALTER TABLE tenant_a.goods ADD price int; CREATE TABLE tenant_b.news (id int);
CREATE TABLE "Orders" (goods int); INSERT INTO "Orders" VALUES (4711);
ALTER TABLE "Orders" ADD CONSTRAINT "to Goods" FOREIGN KEY (goods)
 REFERENCES tenant_a.goods NOT VALID;
"""
)
TENANTS = "tenant.column_extra", "tenant.table_extra"


def _read(lab: Lab, database: str) -> tuple[manifest.Manifest, Dump]:
    with manifest_snapshot.export({"dsn": lab.server.url(database)}) as snapshot:
        held = manifest.of(snapshot.read())
    dump = lab.prepare(lab.dump(database))
    assert lab.restore(dump, "restored") == []
    return held, dump


def _checked(lab: Lab, dump: Dump, held: manifest.Manifest | None) -> dict[str, Any]:
    expected = copy.deepcopy(dump.expected)
    if held:
        manifest.apply(held, expected)
    return lab.validate("restored", expected, tenant_query=TENANT_QUERY)


@pytest.fixture(scope="module")
def made(old: Lab) -> tuple[Lab, manifest.Manifest, Dump]:
    """A server with `restored`, production's manifest, and the dump."""
    old.create("grown", PRODUCTION)
    return (old, *_read(old, "grown"))


def test_a_manifest_shows_that_it_was_so(made: tuple[Lab, manifest.Manifest, Dump]) -> None:
    lab, held, dump = made
    result = _checked(lab, dump, held)
    assert found(result) == []
    structure = evidence_of(result, "tenant_structure")
    assert "in production, too: tenant_b.news has what most" in structure
    assert "column price integer" in structure
    keys = evidence_of(result, "referential_integrity")
    assert "NOT VALID in production, too, so no fault: public.Orders (to Goods): goods=4711" in keys


def test_without_one_it_is_a_finding(made: tuple[Lab, manifest.Manifest, Dump]) -> None:
    lab, _held, dump = made
    assert found(_checked(lab, dump, None)) == sorted(["foreign_key.orphan", *TENANTS])


def test_what_was_not_so_is_a_finding(made: tuple[Lab, manifest.Manifest, Dump]) -> None:
    """A tenant that differs from itself, beside one that differs from others."""
    lab, held, dump = made
    lab.run("restored", "ALTER TABLE tenant_c.goods DROP name")
    result = _checked(lab, dump, held)
    lab.run("restored", "ALTER TABLE tenant_c.goods ADD name text")
    assert "tenant.column_differs" in found(result) and "definition.missing" in found(result)
    assert not set(TENANTS) & set(found(result))
    valid = copy.deepcopy(held)
    keys = valid.structure.shapes[valid.structure.schemas["public"]]["constraint"]
    keys['"Orders"."to Goods"'] = keys['"Orders"."to Goods"'].replace(" NOT VALID", "")
    assert "foreign_key.orphan" in found(_checked(lab, dump, valid))


def test_no_tenant_yet(old: Lab) -> None:
    old.create("young", "CREATE TABLE companies (schema_name text)")
    held, dump = _read(old, "young")
    assert found(_checked(old, dump, held)) == []
    assert found(_checked(old, dump, None)) == ["tenant.none_listed"]
    old.drop("restored")
    old.drop("young")
