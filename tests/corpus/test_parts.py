"""What an archive's own numbers show of what was left out, and what they do not."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.checks import findings
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.proof_settings import (
    ProofSettings,
)
from support.drill_settings import drill_settings

from corpus.lab import Lab, found

WHOLE = """
CREATE SCHEMA north; CREATE SCHEMA south;
CREATE TABLE public.first (id integer);
CREATE TYPE north.pair AS (a integer, b integer);
CREATE TABLE north.one (id serial PRIMARY KEY, p north.pair);
CREATE TABLE north.two (id integer GENERATED ALWAYS AS IDENTITY);
CREATE TABLE public.parts (id integer) PARTITION BY RANGE (id);
CREATE TABLE public.part_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE public.part_2 PARTITION OF public.parts DEFAULT;
CREATE UNLOGGED TABLE south.cache (id integer);
CREATE TABLE south.none (id integer);
CREATE TABLE south.image (id integer, content oid);
CREATE VIEW south.seen AS SELECT id FROM south.none;
CREATE MATERIALIZED VIEW public.kept AS SELECT count(*) FROM public.parts;
INSERT INTO north.one SELECT FROM generate_series(1, 2); INSERT INTO public.parts VALUES (3), (30);
INSERT INTO south.cache VALUES (1), (2), (3);
INSERT INTO south.image VALUES (1, lo_from_bytea(0, 'a picture'));
"""
# Of -Fc, where a number is missing between others.
LEFT_OUT = {
    "a schema in the middle": ("-N", "north"),
    "a partition": ("-T", "public.part_1"),
    "one table": ("-t", "public.kept", "-t", "public.part*"),
}


@pytest.fixture(scope="module")
def lab(old: Lab) -> Lab:
    """PostgreSQL 16, with the database `whole`."""
    old.create("whole", WHOLE)
    return old


@pytest.fixture(scope="module")
def settings(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProofSettings]:
    """Of drills in one staging that stands."""
    root = tmp_path_factory.mktemp("drills")
    for folder in (root, *root.parents[:1]):
        folder.chmod(0o755)
    made = drill_settings(root, lab.server.binaries.bin_dir)
    drill.set_up(made)
    try:
        yield made
    finally:
        drill.clean_up(made)


def check_of(result: dict[str, Any], identifier: str) -> dict[str, Any]:
    return next(one for one in result["checks"] if one["id"] == identifier)


@pytest.mark.parametrize("form", ["-Fc", "-Fd"])
def test_a_whole_archive_has_no_gap(lab: Lab, settings: ProofSettings, form: str) -> None:
    result = drill.run(settings, path=str(lab.dump("whole", form)))
    assert (result["verdict"], found(result)) == ("passed", [])
    assert "numbering" not in {one["id"] for one in result["checks"]}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_was_left_out_is_no_passed_whole(lab: Lab, settings: ProofSettings, what: str) -> None:
    path = lab.dump("whole", "-Fc", *LEFT_OUT[what])
    result = drill.run(settings, path=str(path))
    assert result["verdict"] == "could_not_verify", result["verdict"]
    # The last drill's tables are weaker evidence of the same.
    assert set(found(result)) - {"previous.table_missing"} == {"archive.numbers_missing"}
    assert "left out by -n" in check_of(result, "numbering")["evidence"]


def test_what_is_left_out_on_purpose_is_ignored_with_its_reason(
    lab: Lab, settings: ProofSettings
) -> None:
    rule = {"finding": "archive.numbers_missing", "reason": "the rest is made again each night"}
    validation = dataclasses.replace(settings.validation, ignore=findings.ignore_rules([rule]))
    chosen = dataclasses.replace(settings, validation=validation)
    path = lab.dump("whole", "-Fc", "-T", "north.two")
    assert drill.run(chosen, path=str(path))["verdict"] == "passed"


def test_a_manifest_distinguishes_temporary_tables(lab: Lab, settings: ProofSettings) -> None:
    """By itself an archive does not distinguish them from what was left out."""
    connection = psycopg2.connect(**lab.server.dsn("whole"))
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE of_a_session (id serial)")
        lab.run("whole", "CREATE TABLE public.later (id integer)")
        path = lab.dump("whole", "-Fc")
        with manifest_snapshot.export({"dsn": lab.server.url("whole")}) as snapshot:
            held = snapshot.read()
    lab.run("whole", "DROP TABLE public.later")
    assert drill.run(settings, path=str(path))["verdict"] == "could_not_verify"
    manifest.write(str(path), held)
    known = drill.run(settings, path=str(path))
    assert (known["verdict"], found(known)) == ("passed", [])
    # The schemas for temporary tables stay when the session has ended.
    after = lab.dump("whole", "-Fc", "--compress=1")
    assert drill.run(settings, path=str(after))["verdict"] == "passed"


@pytest.mark.parametrize("form", ["-Fc", "-Fp"])
def test_rows_that_may_be_left_out(lab: Lab, settings: ProofSettings, form: str) -> None:
    """Those of unlogged tables, which a standby server does not have either."""
    path = lab.dump("whole", form, "--no-unlogged-table-data")
    for _with_manifest in (False, True):
        result = drill.run(settings, path=str(path))
        assert (result["verdict"], found(result)) == ("passed", [])
        assert "unlogged tables without their rows: 1" in check_of(result, "archive")["evidence"]
        with manifest_snapshot.export({"dsn": lab.server.url("whole")}) as snapshot:
            manifest.write(str(path), snapshot.read())


@pytest.mark.parametrize("form", ["-Fc", "-Fp"])
def test_rows_of_a_table_that_had_none(lab: Lab, settings: ProofSettings, form: str) -> None:
    path = lab.dump("whole", form, "--exclude-table-data=south.none")
    alone = drill.run(settings, path=str(path))
    assert (alone["verdict"], found(alone)) == ("failed", ["archive.partial"])
    with manifest_snapshot.export({"dsn": lab.server.url("whole")}) as snapshot:
        manifest.write(str(path), snapshot.read())
    known = drill.run(settings, path=str(path))
    assert (known["verdict"], found(known)) == ("passed", [])
    lost = lab.dump("whole", form, "--exclude-table-data=north.one")
    with manifest_snapshot.export({"dsn": lab.server.url("whole")}) as snapshot:
        manifest.write(str(lost), snapshot.read())
    raised = found(drill.run(settings, path=str(lost)))
    assert {"archive.partial", "rows.differ"} <= set(raised)


def test_large_objects_that_may_be_left_out_are_named(lab: Lab, settings: ProofSettings) -> None:
    whole = drill.run(settings, path=str(lab.dump("whole", "-Fc", "--compress=2")))
    assert "no-blobs" not in check_of(whole, "large_objects")["evidence"]
    path = lab.dump("whole", "-Fc", "--no-blobs")
    alone = check_of(drill.run(settings, path=str(path)), "large_objects")
    assert "1 column of type oid: whether large objects were left out" in alone["evidence"]
    with manifest_snapshot.export({"dsn": lab.server.url("whole")}) as snapshot:
        manifest.write(str(path), snapshot.read())
    known = drill.run(settings, path=str(path))
    assert (known["verdict"], found(known)) == ("failed", ["large_object.missing"])
