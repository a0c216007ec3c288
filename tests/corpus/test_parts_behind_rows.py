"""Parts of a database that lack what a dump has behind its rows, and whole ones that have none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.proof_settings import (
    ProofSettings,
)
from support.drill_settings import standing_staging

from corpus.lab import FORMS, Lab, evidence_of, finding_texts, found

WITHOUT_POST_DATA = ("--section=pre-data", "--section=data")
# No key, index, trigger or rule; much that has a number in an archive, and some no entry.
KEYLESS = """
CREATE DOMAIN public.word AS text;
ALTER DOMAIN public.word ADD CONSTRAINT short CHECK (value <> '');
CREATE SEQUENCE public.first; CREATE MATERIALIZED VIEW public.early AS SELECT 1 AS one WITH NO DATA;
CREATE TABLE public.log (id serial, at date DEFAULT now(), day text
 GENERATED ALWAYS AS (at - '2000-01-01') STORED, what public.word CHECK (what <> 'x'));
CREATE TABLE public.child () INHERITS (public.log);
CREATE TABLE public.parts (id integer DEFAULT 7 CHECK (id > 0)) PARTITION BY RANGE (id);
CREATE TABLE public.part_1 PARTITION OF public.parts DEFAULT;
CREATE VIEW public.days AS SELECT at FROM public.log;
CREATE VIEW public.none AS SELECT NULL::integer AS id, NULL::text AS name;
CREATE MATERIALIZED VIEW public.empty AS SELECT 1 AS one WITH NO DATA;
INSERT INTO public.log (what) VALUES ('a'); INSERT INTO public.parts VALUES (1);
"""
KEYED = """
CREATE TABLE public.named (id serial PRIMARY KEY, name text);
CREATE TABLE public.middle (id integer);
CREATE TABLE public.more (id serial PRIMARY KEY, of integer REFERENCES public.named);
INSERT INTO public.named (name) VALUES ('a');
"""
# Its columns stand before the rows, and what it reads behind them.
GROUPED = "CREATE VIEW public.names AS SELECT id, name FROM public.named GROUP BY id;"


@pytest.fixture(scope="module")
def settings(old: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProofSettings]:
    """Of drills in one staging of PostgreSQL 16 that stands."""
    root = tmp_path_factory.mktemp("behind")
    root.parent.chmod(0o755)
    with standing_staging(root, old.server.binaries.bin_dir) as made:
        yield made


def drilled(settings: ProofSettings, path: Path) -> dict[str, Any]:
    """The result of a drill that knows of none before it."""
    alone = dataclasses.replace(settings, state_dir=str(path.parent / f"state of {path.name}"))
    return drill.run(alone, path=str(path))


@pytest.mark.parametrize("form", ["custom", "plain"])
def test_a_whole_one_may_have_no_key(old: Lab, settings: ProofSettings, form: str) -> None:
    old.create(f"keyless {form}", KEYLESS)
    result = drilled(settings, old.dump(f"keyless {form}", FORMS[form]))
    assert (result["verdict"], found(result)) == ("passed", [])
    assert "whether --section left any out" in evidence_of(result, "archive")


@pytest.mark.parametrize("form", ["custom", "directory", "tar"])
def test_an_archive_shows_by_its_numbers_that_keys_were_left_out(
    old: Lab, settings: ProofSettings, form: str
) -> None:
    old.create(f"keyed {form}", KEYED)
    part = drilled(settings, old.dump(f"keyed {form}", FORMS[form], *WITHOUT_POST_DATA))
    assert (part["verdict"], found(part)) == ("could_not_verify", ["archive.section_missing"])
    # Two keys, their indexes and a foreign key.
    assert "numbered 5 keys" in finding_texts(part, ["archive.section_missing"])


def test_a_view_of_two_steps_shows_it_in_a_plain_dump(old: Lab, settings: ProofSettings) -> None:
    old.create("grouped", KEYED + GROUPED)
    whole = drilled(settings, old.dump("grouped", "-Fp"))
    assert (whole["verdict"], found(whole)) == ("passed", [])
    part = drilled(settings, old.dump("grouped", "-Fp", *WITHOUT_POST_DATA))
    assert (part["verdict"], found(part)) == ("could_not_verify", ["archive.section_missing"])
    assert "of the view public.names it has" in finding_texts(part, found(part))


def test_statistics_have_numbers_and_are_no_tables(
    new: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Since PostgreSQL 18 a dump may have them, or nothing else."""
    new.create("analyzed", KEYED + GROUPED + "ANALYZE")
    root = tmp_path_factory.mktemp("of 18")
    with standing_staging(root, new.server.binaries.bin_dir) as made:
        for form in ("-Fc", "-Fp"):
            whole = drilled(made, new.dump("analyzed", form, "--statistics"))
            assert (whole["verdict"], found(whole)) == ("passed", [])
        part = drilled(made, new.dump("analyzed", "-Fc", "--statistics", "-T", "public.middle"))
        assert found(part) == ["archive.numbers_missing"]
        alone = drilled(made, new.dump("analyzed", "-Fp", "--statistics-only"))
        assert alone["verdict"] == "failed" and "archive.partial" in found(alone)


def test_a_schema_alone_where_nothing_shows_that_public_is_there(
    old: Lab, settings: ProofSettings
) -> None:
    old.create("alone", "CREATE SCHEMA a; CREATE TABLE a.one (); CREATE TABLE a.two ();")
    old.run("alone", "CREATE TABLE a.three (); CREATE TABLE a.four ()")
    whole = drilled(settings, old.dump("alone"))
    assert (whole["verdict"], found(whole)) == ("passed", [])
    part = drilled(settings, old.dump("alone", "-Fc", "-T", "a.two", "-T", "a.three"))
    assert (part["verdict"], found(part)) == ("could_not_verify", ["archive.numbers_missing"])
    old.run("alone", "DROP SCHEMA public")
    dropped = drilled(settings, old.dump("alone", "-Fc", "-T", "a.two"))
    assert found(dropped) == ["archive.numbers_missing"]
