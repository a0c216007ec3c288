"""What a backup itself shows of what was left out, and what it does not."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
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
    "one table": ("-T", "north.two"),
}
# Options of pg_dump, the formats that show them, and the finding.
SIGNS = {
    ("-n", "public"): (("-Fc", "-Fp"), "archive.schemas_chosen"),
    ("-n", "south", "-n", "public"): (("-Ft",), "archive.schemas_chosen"),
    ("--no-blobs",): (("-Fc",), "archive.large_objects_missing"),
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


@pytest.mark.parametrize("options", SIGNS, ids=" ".join)
def test_signs_of_an_option(
    lab: Lab, settings: ProofSettings, options: tuple[str, ...], tmp_path: Path
) -> None:
    forms, finding = SIGNS[options]
    for form in forms:
        dump = lab.dump("whole", form, *options)
        alone = drill.run(settings, path=str(dump))
        assert alone["verdict"] == "could_not_verify", alone["problem"]
        assert finding in found(alone)
        assert finding in str(check_of(alone, "left_out")["findings"])
        rules = findings.ignore_rules(
            [
                {"finding": one, "reason": "the rest is elsewhere"}
                for one in (finding, "archive.numbers_missing", "archive.large_objects_missing")
            ]
        )
        validation = dataclasses.replace(settings.validation, ignore=rules)
        chosen = dataclasses.replace(
            settings, validation=validation, state_dir=str(tmp_path / "state")
        )
        assert drill.run(chosen, path=str(dump))["verdict"] == "passed"


def test_a_column_of_other_numbers_is_no_sign(
    lab: Lab, settings: ProofSettings, tmp_path: Path
) -> None:
    """OIDs of tables and of the system's objects, as tables for auditing hold them."""
    lab.create(
        "audited",
        "CREATE TABLE public.log (id serial, relid oid); INSERT INTO public.log (relid)"
        " SELECT 'public.log'::regclass FROM generate_series(1, 3);"
        " CREATE TABLE public.watched (relid oid PRIMARY KEY);"
        " INSERT INTO public.watched VALUES ('public.log'::regclass), ('public.watched'::regclass);"
        " CREATE TABLE public.kinds (number oid); INSERT INTO public.kinds SELECT oid FROM pg_type;"
        " CREATE TABLE public.none (number oid)",
    )
    chosen = dataclasses.replace(settings, state_dir=str(tmp_path / "state"))
    for form in ("-Fc", "-Fp"):
        result = drill.run(chosen, path=str(lab.dump("audited", form)))
        assert (result["verdict"], found(result)) == ("passed", [])


@pytest.mark.parametrize("form", ["-Fc", "-Fp"])
def test_a_dump_without_the_comment_of_its_extension(
    lab: Lab, settings: ProofSettings, form: str, tmp_path: Path
) -> None:
    """An extension comes with a comment, which pg_dump writes."""
    name = f"commented{form}"
    settings = dataclasses.replace(settings, state_dir=str(tmp_path / "state"))
    lab.create(name, "DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql; CREATE TABLE public.t ()")
    whole = drill.run(settings, path=str(lab.dump(name, form)))
    assert (whole["verdict"], found(whole)) == ("passed", [])
    part = drill.run(settings, path=str(lab.dump(name, form, "--no-comments")))
    assert (part["verdict"], found(part)) == ("could_not_verify", ["archive.comments_missing"])
    assert "not even that of the extension plpgsql" in str(check_of(part, "left_out"))
    if form == "-Fp":
        # Comments on extensions are often taken out by hand, as only a superuser may make them.
        path = lab.dump(name, form)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("COMMENT ON EXTENSION")]
        assert len(kept) == len(lines) - 1
        path.write_text("".join(kept), encoding="utf-8")
        assert drill.run(settings, path=str(path))["verdict"] == "passed"


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_was_left_out_is_no_passed_whole(lab: Lab, settings: ProofSettings, what: str) -> None:
    path = lab.dump("whole", "-Fc", *LEFT_OUT[what])
    result = drill.run(settings, path=str(path))
    assert result["verdict"] == "could_not_verify", result["verdict"]
    # The last drill's tables are weaker evidence of the same.
    assert set(found(result)) - {"previous.table_missing"} == {"archive.numbers_missing"}
    assert "left out by -n" in check_of(result, "numbering")["evidence"]


def test_types_of_rows_have_numbers_wherever_they_were_made(
    lab: Lab, settings: ProofSettings, tmp_path: Path
) -> None:
    """Before the first relation of the database, between two, and behind the last one."""
    lab.create(
        "typed",
        "CREATE TYPE public.early AS (a integer); CREATE TYPE public.early_2 AS (a public.early);"
        " CREATE TABLE public.one (p public.early_2); CREATE TYPE public.between AS (a integer);"
        " CREATE VIEW public.two AS SELECT 1; CREATE TYPE public.late AS (a integer)",
    )
    chosen = dataclasses.replace(settings, state_dir=str(tmp_path / "state"))
    result = drill.run(chosen, path=str(lab.dump("typed", "-Ft")))
    assert (result["verdict"], found(result)) == ("passed", [])
    assert "numbering" not in {one["id"] for one in result["checks"]}
    part = drill.run(chosen, path=str(lab.dump("typed", "-Ft", "-T", "public.one")))
    assert "archive.numbers_missing" in found(part)


def test_what_is_left_out_on_purpose_is_ignored_with_its_reason(
    lab: Lab, settings: ProofSettings
) -> None:
    rule = {"finding": "archive.numbers_missing", "reason": "the rest is made again each night"}
    validation = dataclasses.replace(settings.validation, ignore=findings.ignore_rules([rule]))
    chosen = dataclasses.replace(settings, validation=validation)
    path = lab.dump("whole", "-Fc", "-T", "north.two")
    assert drill.run(chosen, path=str(path))["verdict"] == "passed"


def test_a_temporary_table_of_a_session_is_no_finding(lab: Lab, settings: ProofSettings) -> None:
    """By itself an archive does not distinguish it from what was left out: the check is skipped."""
    connection = psycopg2.connect(**lab.server.dsn("whole"))
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE of_a_session (id serial)")
        lab.run("whole", "CREATE TABLE public.later (id integer)")
        path = lab.dump("whole", "-Fc")
        with manifest_snapshot.export({"dsn": lab.server.url("whole")}) as snapshot:
            held = snapshot.read()
    lab.run("whole", "DROP TABLE public.later")
    alone = drill.run(settings, path=str(path))
    assert (alone["verdict"], found(alone)) == ("passed", [])
    assert check_of(alone, "numbering")["status"] == "skipped"
    assert "temporary tables of that moment" in check_of(alone, "numbering")["evidence"]
    manifest.write(str(path), held)
    known = drill.run(settings, path=str(path))
    assert (known["verdict"], found(known)) == ("passed", [])
    assert "numbering" not in {one["id"] for one in known["checks"]}
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
