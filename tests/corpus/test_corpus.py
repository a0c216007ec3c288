"""Each finding in both directions: raised by the broken one, silent on every healthy one."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive,
    backup_digest,
    manifest,
    manifest_snapshot,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.expectation import (
    Expectation,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.checks import checks, findings
from ansible_collections.chefwell.resilience.plugins.module_utils.checks.finding_kinds import KINDS
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    BackupError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import (
    connection_monitor,
    isolation,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    api_probe,
    previous_counts,
    production_drift,
)
from support.drill_settings import drill_settings

from corpus import languages
from corpus.broken import CASES, SIGNS, WITH_SIGNS
from corpus.lab import (
    FORMS,
    HEALTHY,
    ROLE,
    SEEN,
    TENANT_QUERY,
    Dump,
    Lab,
    evidence_of,
    finding_texts,
    found,
    running_lab,
    with_amcheck,
)

# Where the figures of a whole run are put, beside the results of the other harnesses.
RESULTS = Path(__file__).resolve().parents[2] / "build" / "corpus" / "results.json"
# Findings that are proved elsewhere, each with the place.
ELSEWHERE: dict[str, str] = {}
FIRED: dict[str, str] = {}
HEALTHY_RUNS: dict[str, list[str]] = {}


@pytest.fixture(scope="module", autouse=True)
def _results_of_this_file() -> None:
    """Forget what other files of the lane have seen: their databases have other names."""
    SEEN.clear()


@pytest.mark.parametrize("form", [*FORMS, "custom, on PostgreSQL 18"])
@pytest.mark.parametrize("name", [path.stem for path in HEALTHY])
def test_a_healthy_one_raises_nothing(
    old: Lab, new: Lab, sources: dict[str, Path], name: str, form: str
) -> None:
    target = new if "18" in form else old
    path = old.dump(name, FORMS[form.split(",")[0]])
    dump = target.prepare(path)
    with manifest_snapshot.export({"dsn": old.server.url(name)}) as snapshot:
        held = manifest.of(snapshot.read())
    manifest.apply(held, dump.expected)
    tried = f"try {name}"
    raised = target.restore(dump, tried, held=held)
    tenant_query = TENANT_QUERY if name == "stores" else None
    result = target.validate(tried, dump.expected, tenant_query=tenant_query, foreign_keys="all")
    target.drop(tried)
    HEALTHY_RUNS[f"{name}, {form}"] = [*raised, *found(result)]
    text = [*target.form, *_words(result)]
    assert raised == [] and found(result) == [], text
    statuses = {schema["name"]: schema["status"] for schema in result["schemas"]}
    assert set(statuses.values()) <= {"passed"}, statuses


@pytest.mark.parametrize("case", CASES)
def test_a_broken_one_raises_its_finding(old: Lab, restored: dict[str, Dump], case: str) -> None:
    broken = CASES[case]
    old.create("spoilt", template=f"restored {broken.base}")
    try:
        old.run("spoilt", broken.sql)
        expected = restored[broken.base].expected
        if broken.manifest:
            expected = _with_manifest(old, broken.base, expected, access=broken.access)
        result = old.validate("spoilt", expected, **broken.settings)
    finally:
        old.drop("spoilt")
    raised = set(found(result))
    assert broken.expected <= raised, (sorted(raised), _words(result))
    assert raised <= broken.expected | broken.also, (sorted(raised), _words(result))
    assert broken.names in finding_texts(result, sorted(broken.expected))
    _fired(broken.expected, case)


def _with_manifest(
    lab: Lab, name: str, expected: Expectation, *, access: bool = False
) -> Expectation:
    with manifest_snapshot.export({"dsn": lab.server.url(name)}) as snapshot:
        held = manifest.of(snapshot.read())
    assert not held.unreadable
    extended = copy.deepcopy(expected)
    assert manifest.apply(held, extended) == []
    if access:
        assert held.access
        extended.access = held.access.to_dict()
    return extended


def _words(result: dict[str, Any]) -> list[object]:
    return [check["evidence"] for check in result["checks"] if check["findings"]]  # type: ignore[attr-defined]


def _fired(identifiers: frozenset[str] | set[str], where: str) -> None:
    for identifier in identifiers:
        FIRED.setdefault(identifier, where)


def test_equal_in_number_but_not_in_content(old: Lab, restored: dict[str, Dump]) -> None:
    expected = _with_manifest(old, "objects", restored["objects"].expected)
    changes = (
        "UPDATE public.document SET body = jsonb_set(body, '{list,1}', '99') WHERE id = 4",
        "UPDATE public.document SET raw = raw || '\\x00' WHERE id = 9",
        "UPDATE public.document SET tags[1][2] = NULL WHERE id = 2",
    )
    for change in changes:
        old.create("spoilt", template="restored objects")
        old.run("spoilt", change)
        result = old.validate("spoilt", expected)
        old.drop("spoilt")
        assert found(result) == ["content.differs"]
        assert "public.document" in finding_texts(result, ["content.differs"])
    _fired({"content.differs"}, f"{len(changes)} changed values")


def test_production_moves_on(old: Lab, restored: dict[str, Dump]) -> None:
    """Different rows are evidence; a table that the backup lacks is a finding."""
    result = old.validate("restored stores", restored["stores"].expected)
    old.create("live", template="restored stores")
    dsn = old.server.dsn("live")
    same = production_drift.compare(dsn, result["schemas"])
    old.run("live", "DELETE FROM tenant_a.products WHERE id < 8", "CREATE TABLE public.late ()")
    moved = production_drift.compare(dsn, result["schemas"])
    old.drop("live")
    gone = production_drift.compare(dsn, result["schemas"])
    assert (same.findings, same.skipped) == ([], False) and "11 tables, as many" in same.evidence
    assert [one.id for one in moved.findings if not isinstance(one, str)] == [
        "production.table_missing"
    ]
    assert "tenant_a.products -7" in moved.evidence
    assert gone.skipped and "cannot be connected to" in gone.evidence
    for evidence in (same, moved, gone):
        SEEN.append(checks.conclude("production", evidence, 0).to_dict())
    _fired({"production.table_missing"}, "a table made after the backup")


def test_fewer_rows_than_in_the_drill_before(old: Lab, restored: dict[str, Dump]) -> None:
    """Weaker evidence: growth and small drops are reported; a drop skips the check."""
    schemas = old.validate("restored stores", restored["stores"].expected)["schemas"]
    fall = previous_counts.FallLimits(percent=50, least_rows=20)
    rows = previous_counts.counted(schemas)
    assert rows["tenant_a", "products"] == 40
    cases: dict[str, tuple[dict[tuple[str, ...], int], list[str]]] = {
        "equal": ({}, []),
        "it grew": ({("tenant_a", "products"): 10}, []),
        "it fell by half": ({("tenant_a", "products"): 80}, []),
        "it fell by more": ({("tenant_a", "products"): 81}, ["previous.rows_fell"]),
        "few rows, all gone": ({("tenant_a", "gone"): 5}, ["previous.table_missing"]),
    }
    for case, (before, expected) in cases.items():
        then = previous_counts.PreviousDrill("2025-11-13T03:00:00", "x.dump", {**rows, **before})
        evidence = previous_counts.compare(then, schemas, fall)
        check = checks.conclude("previous", evidence, 0)
        SEEN.append(check.to_dict())
        assert [one.id for one in check.findings] == expected, case
        assert check.status == ("skipped" if expected else "passed"), case
        _fired({*expected}, case)
    emptied = copy.deepcopy(schemas)
    emptied[1]["tables"][1]["rows"] = 0
    then = previous_counts.PreviousDrill("2025-11-13T03:00:00", "x.dump", rows)
    (found_one,) = previous_counts.compare(then, emptied, fall).findings
    assert "tenant_a.products has 0 rows, in the last drill it had 40" in found_one.text  # type: ignore[union-attr]
    # A table of a few rows comes and goes.
    small = previous_counts.compare(then, emptied, previous_counts.FallLimits(least_rows=41))
    assert not small.findings and not small.skipped and "-40" in small.evidence


def test_another_encoding(old: Lab, restored: dict[str, Dump]) -> None:
    old.run("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
    expected = dataclasses.replace(restored["empty"].expected)
    result = old.validate("latin", expected)
    old.drop("latin")
    assert found(result) == ["collation.unlike_production", "encoding.differs"]
    _fired({"encoding.differs"}, "a database in LATIN1")


@pytest.mark.parametrize("form", ["-Fc", "-Fp"])
@pytest.mark.parametrize("option", ["--schema-only", "--inserts", "--rows-per-insert=7"])
def test_a_manifest_knows_the_rows_whatever_the_format(
    old: Lab, sources: dict[str, Path], option: str, form: str
) -> None:
    dump = old.prepare(old.dump("rental", form, option))
    expected = _with_manifest(old, "rental", dump.expected)
    assert old.restore(dump, "partly") == []
    raised = found(old.validate("partly", expected))
    if option == "--schema-only":
        assert "rows.differ" in raised
    else:
        assert raised == []
        old.run("partly", "UPDATE public.film SET title = title || 'x'")
        assert "content.differs" in found(old.validate("partly", expected))
    old.drop("partly")


@pytest.mark.parametrize("form", ["-Fc", "-Fd", "-Ft"])
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_in_another_encoding_raises_nothing(old: Lab, encoding: str, form: str) -> None:
    coded = f"coded_{encoding.lower()}"
    old.run(
        "postgres",
        f"CREATE DATABASE {coded} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'",
    )
    try:
        old.run(
            coded,
            'CREATE TABLE public."pão" ("açúcar" text DEFAULT \'é\' CHECK ("açúcar" <> \'ü\'))',
            "INSERT INTO public.\"pão\" VALUES ('ção'), ('maçã')",
            'CREATE VIEW public."visão" AS SELECT "açúcar" FROM public."pão"',
        )
        dump = old.prepare(old.dump(coded, form))
        expected = _with_manifest(old, coded, dump.expected)
        assert old.restore(dump, "decoded") == [], old.form
        result = old.validate("decoded", expected)
        assert found(result) == [], _words(result)
        by_id = {check["id"]: check for check in result["checks"]}
        assert by_id["content"]["evidence"].startswith("1/1 tables")
    finally:
        old.drop(coded)
        old.drop("decoded")


def test_another_sort_order(old: Lab, restored: dict[str, Dump]) -> None:
    """The database is made to sort as the dumped one did; where it cannot, nothing was seen."""
    old.run("postgres", "CREATE DATABASE plain TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    dump = old.prepare(old.dump("plain"))
    assert dump.expected.locale == {"collate": "C", "ctype": "C", "provider": "c"}
    assert old.restore(dump, "like") == []
    with manifest_snapshot.export({"dsn": old.server.url("plain")}) as snapshot:
        held = manifest.of(snapshot.read())
    assert (held.encoding, held.locale["collate"]) == ("UTF8", "C")
    manifest.apply(held, dump.expected)
    assert found(old.validate("like", dump.expected)) == []
    here = old.validate("restored empty", dump.expected)
    assert found(here) == ["collation.unlike_production"], _words(here)
    assert "sorted by C" in finding_texts(here, ["collation.unlike_production"])
    dump.expected.locale["version"] = "2.28"
    newer = old.validate("like", dump.expected)
    check = next(check for check in newer["checks"] if check["id"] == "collation")
    assert check["status"] == "skipped" and "sorted by C 2.28" in check["evidence"]
    foreign = old.prepare(old.dump("plain"))
    entries = [
        entry._replace(definition_text=entry.definition.replace("'C'", "'xx_XX.utf8'"))
        if entry.kind == "DATABASE"
        else entry
        for entry in foreign.ready.toc.entries
    ]
    toc = dataclasses.replace(foreign.ready.toc, entries=entries)
    foreign = dataclasses.replace(foreign, ready=dataclasses.replace(foreign.ready, toc=toc))
    # A locale that this server does not have: the restore goes on without it.
    assert old.restore(foreign, "like") == []
    for database in ("plain", "like"):
        old.drop(database)
    _fired({"collation.unlike_production"}, "a database in another locale")


def test_an_extension_gone(old: Lab) -> None:
    """plpgsql is the one that every server has; a dump names others only."""
    old.create("extended", "DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql SCHEMA pg_catalog")
    dump = old.prepare(old.dump("extended"))
    dump.expected.extensions.add(("plpgsql",))
    old.run("extended", "DROP EXTENSION plpgsql")
    result = old.validate("extended", dump.expected)
    old.drop("extended")
    assert found(result) == ["extension.missing"]
    _fired({"extension.missing"}, "DROP EXTENSION")


def test_what_does_not_restore(old: Lab, new: Lab, sources: dict[str, Path]) -> None:
    """A role, an extension, a type that only the newer server knows."""
    dump = new.prepare(old.dump("security"))
    new.run("postgres", f"DROP ROLE {ROLE}")
    try:
        assert set(new.restore(dump, "lacking")) == {"restore.role_missing"}
        lacking = checks.Evidence("", [findings.of_restore_error(new.form[0])])
        SEEN.append(checks.conclude("restore", lacking, 0).to_dict())
    finally:
        new.run("postgres", f"CREATE ROLE {ROLE} NOLOGIN")
        new.drop("lacking")
    script = old.dump("growing", "-Fp").read_text()
    spoilt = old.folder / "spoilt.sql"
    ending = script.index("--\n-- PostgreSQL database dump complete")
    wrong = "CREATE EXTENSION postgis;\nCREATE TABLE public.more (a public.no_such_type);\n"
    spoilt.write_text(script[:ending] + wrong + script[ending:])
    raised = old.restore(old.prepare(spoilt), "lacking")
    evidence = checks.Evidence("", [findings.of_restore_error(error) for error in old.form])
    SEEN.append(checks.conclude("restore", evidence, 0).to_dict())
    old.drop("lacking")
    assert raised == ["restore.extension_missing", "restore.error"]
    _fired({"restore.role_missing", *raised}, "what staging lacks")


def test_owners_and_grants_in_a_plain_dump_are_harmless(old: Lab, new: Lab) -> None:
    old.run("postgres", "CREATE ROLE corpus_owner NOLOGIN")
    old.create("owned", "CREATE TABLE public.mine (id integer)")
    old.run("owned", "ALTER TABLE public.mine OWNER TO corpus_owner")
    old.run("owned", "GRANT SELECT ON public.mine TO corpus_owner")
    assert new.restore(new.prepare(old.dump("owned", "-Fp")), "owned") == []
    new.drop("owned")
    old.drop("owned")


def test_a_damaged_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """On Debian's PostgreSQL, which has amcheck: an index loses the entry of a row that stays."""
    for lab in running_lab(tmp_path_factory, postgres.find_binaries(with_amcheck())):
        lab.create(
            "sound",
            "CREATE TABLE public.t (a integer PRIMARY KEY); INSERT INTO public.t"
            " SELECT generate_series(1, 1000); CREATE EXTENSION amcheck",
        )
        dump = lab.prepare(lab.dump("sound"))
        sound = lab.validate("sound", dump.expected, amcheck=True)
        assert found(sound) == []
        assert evidence_of(sound, "corruption") == "1/1 indexes sound"
        # A row that no index knows: what a crash without fsync can leave behind.
        lab.run(
            "sound",
            "UPDATE pg_index SET indisready = false, indislive = false"
            " WHERE indexrelid = 'public.t_pkey'::regclass",
            "INSERT INTO public.t VALUES (5000)",
            "UPDATE pg_index SET indisready = true, indislive = true"
            " WHERE indexrelid = 'public.t_pkey'::regclass",
        )
        dump.expected.rows["public", "t"] = 1001
        spoilt = lab.validate("sound", dump.expected, amcheck=True)
        assert found(spoilt) == ["corruption.found"], _words(spoilt)
        assert "public.t_pkey" in finding_texts(spoilt, ["corruption.found"])
        _fired({"corruption.found"}, "an index that lacks a row")


def test_archives(old: Lab, sources: dict[str, Path], tmp_path: Path) -> None:
    whole = old.dump("rental").read_bytes()
    cases = {
        "archive.damaged": gzip.compress(whole)[:-200],
        "archive.not_a_dump": b"<html><body>502 Bad Gateway</body></html>",
    }
    for identifier, content in cases.items():
        path = tmp_path / "backup.dump.gz"
        path.write_bytes(content)
        with pytest.raises(BackupError) as refused:
            archive.prepare(str(path), str(tmp_path), old.server.binaries)
        assert refused.value.finding == identifier
        _seen_refusal(refused.value)
        _fired({identifier}, "a spoilt file")
    path.write_bytes(whole)
    with pytest.raises(BackupError) as refused:
        backup_digest.verify_digest(str(path), "0" * 64)
    assert refused.value.finding == "archive.digest_differs"
    _seen_refusal(refused.value)
    _fired({"archive.digest_differs"}, "another digest")


def _seen_refusal(error: BackupError) -> None:
    """As a drill notes what it refuses."""
    evidence = checks.Evidence("", [findings.Finding(error.finding, "", error.problem)])
    SEEN.append(checks.conclude("archive", evidence, 0).to_dict())


def settings_in(lab: Lab, root: Path, **more: object) -> proof_settings.ProofSettings:
    return drill_settings(root, lab.server.binaries.bin_dir, **more)


def test_a_dump_under_row_level_security(
    old: Lab, sources: dict[str, Path], tmp_path: Path
) -> None:
    """As the role that owns nothing, and sees what the policies show it."""
    path = old.dump("security", "-Fp", "--enable-row-security")
    settings = settings_in(old, tmp_path, roles=[ROLE])
    result = drill.run(settings, path=str(path))
    assert result["verdict"] == "failed" and found(result) == ["archive.row_security"]
    SEEN.extend(result["checks"])
    whole = drill.run(settings, path=str(old.dump("security", "-Fp")))
    assert whole["verdict"] == "passed"
    _fired({"archive.row_security"}, "pg_dump --enable-row-security")


PARTS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "definitions alone": (("--schema-only",), {"archive.partial"}),
    "before the rows": (("--section=pre-data",), {"archive.partial"}),
    "without the rows of one": (("--exclude-table-data=hr.title",), {"archive.partial"}),
    "without the rows of one schema": (("--exclude-table-data=trade.*",), {"archive.partial"}),
    "rows alone": (("--data-only",), {"restore.error"}),
    "behind the rows": (("--section=post-data",), {"restore.error"}),
    "one schema": (("--schema=trade",), {"restore.error"}),
    "all but one schema": (("--exclude-schema=hr",), {"restore.error"}),
    "one table": (("--table=trade.line",), {"restore.error"}),
}


@pytest.mark.parametrize("form", ["-Fc", "-Fp"])
def test_a_part_is_never_a_passed_whole(
    old: Lab, sources: dict[str, Path], tmp_path: Path, form: str
) -> None:
    """What is left out is named; what an archive cannot show, a manifest does."""
    settings = settings_in(old, tmp_path)
    drill.set_up(settings)
    try:
        for name, (options, raised) in PARTS.items():
            result = drill.run(settings, path=str(old.dump("company", form, *options)))
            assert result["verdict"] == "failed", name
            assert raised <= set(found(result)), (name, found(result))
            SEEN.extend(check for check in result["checks"] if check["id"] == "archive")
        left = next(check for check in result["checks"] if check["id"] == "archive")
        assert "only a manifest shows" in left["evidence"]
        # A schema that nothing else refers to: the archive alone looks whole.
        part = old.dump("library", form, "--schema=stock")
        assert drill.run(settings, path=str(part))["verdict"] == "passed"
        with manifest_snapshot.export({"dsn": old.server.url("library")}) as snapshot:
            manifest.write(str(part), snapshot.read())
        assert drill.run(settings, path=str(part))["verdict"] == "failed"
        if form == "-Fc":
            # What the archive itself shows of them, see test_parts.py.
            old.create("signs", WITH_SIGNS)
            for finding, option in SIGNS.items():
                alone = dataclasses.replace(settings, state_dir=str(tmp_path / finding))
                sign = drill.run(alone, path=str(old.dump("signs", form, *option.split())))
                assert sign["verdict"] == "could_not_verify" and finding in found(sign), sign
                SEEN.extend(one for one in sign["checks"] if one["id"] in ("numbering", "left_out"))
                _fired({finding}, f"pg_dump {option}")
        # Rows that the owner leaves out on purpose are ignored one by one, with the reason.
        rule = findings.ignore_rules(
            [{"finding": "archive.partial", "subject": "hr.title", "reason": "can be made again"}]
        )
        validation = dataclasses.replace(settings.validation, ignore=rule)
        chosen = dataclasses.replace(settings, validation=validation)
        path = old.dump("company", form, "--exclude-table-data=hr.title")
        ignored = drill.run(chosen, path=str(path))
        assert ignored["verdict"] == "passed", ignored["problem"]
        archived = next(check for check in ignored["checks"] if check["id"] == "archive")
        assert archived["status"] == "skipped" and "can be made again" in archived["evidence"]
    finally:
        drill.clean_up(settings)
    _fired({"archive.partial"}, "pg_dump --schema-only and its like")


def test_an_api_that_does_not_respond() -> None:
    steps = [{"id": "health", "path": "/"}]
    api = api_probe.Api(
        "http://127.0.0.1:9", [{"email": "a", "password": "b", "schema": "tenant_a"}], steps
    )
    probed, _calls = api_probe.probe(api, lambda _schema, _table: None)
    assert [one.id for one in probed[0].findings] == ["api.response_differs"]
    SEEN.append(probed[0].to_dict())
    _fired({"api.response_differs"}, "no server listens")


def test_what_leaves_staging() -> None:
    """Judge containers as Docker reports them (tests/docker has real ones), and a process
    that is connected, as tests/integration/test_isolation.py has it in whole drills."""
    closed, open_, shared = (
        isolation.Network(*one)
        for one in (("closed", True, False), ("bridge", False, True), ("beside", True, True))
    )
    silent = isolation.judge_networks(
        [
            isolation.ContainerNetworks("a", [closed], []),
            isolation.ContainerNetworks("b", [closed], None),
        ],
        ["MAIL"],
    )
    assert not silent.findings
    assert "not checked" in silent.evidence and "MAIL" in silent.evidence
    for standing, number in (
        (isolation.ContainerNetworks("a", [open_, closed], ["eth1 via 172.17.0.1"]), 2),
        (isolation.ContainerNetworks("a", [shared], []), 1),
        (isolation.ContainerNetworks("a", [], None), 1),
    ):
        evidence = isolation.judge_networks([standing], [])
        assert len(evidence.findings) == number, evidence
        SEEN.append(checks.conclude("isolation", evidence, 0).to_dict())
    _fired({"isolation.way_out"}, "a network that is not internal, or that holds this host")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        call = f"import socket; s = socket.create_connection(('127.0.0.1', {port})); input()"
        with (
            subprocess.Popen([sys.executable, "-c", call], stdin=subprocess.PIPE) as program,
            connection_monitor.ConnectionMonitor(
                lambda: [program.pid], [], lambda *_end: False, port
            ) as harmless,
            connection_monitor.ConnectionMonitor(
                lambda: [program.pid], [], lambda *_end: True, port
            ) as calls,
        ):
            server.accept()
            quiet, loud = harmless.evidence([]), calls.evidence([])
            program.communicate(b"\n")
    assert not quiet.findings and not quiet.skipped, quiet
    assert len(loud.findings) == 1, loud
    beyond = isolation.judge_connections(
        9, 2.0, [isolation.Connection("node (7)", "192.0.2.1", 25)], []
    )
    for evidence in (quiet, loud, beyond, isolation.judge_connections(0, 0, [], [])):
        SEEN.append(checks.conclude("isolation", evidence, 0).to_dict())
    _fired({"isolation.connection"}, "a process that is connected to production")


def test_an_ignored_finding_stays_visible(old: Lab, restored: dict[str, Dump]) -> None:
    old.create("spoilt", template="restored stores")
    old.run("spoilt", "DROP INDEX tenant_a.tenant_a_products_name", "CREATE TABLE tenant_b.x ()")
    rules = findings.ignore_rules(
        [
            {"finding": "index.missing", "subject": "tenant_a.*", "reason": "dropped in May"},
            {"finding": "tenant.index_missing", "reason": "dropped in May, on purpose"},
            {"finding": "*", "subject": "tenant_b.x", "reason": "a table of one store alone"},
        ]
    )
    expected = restored["stores"].expected
    before = old.validate("spoilt", expected)
    after = old.validate("spoilt", expected, ignore=rules)
    old.drop("spoilt")
    assert found(before) == [
        *("index.missing", "table.unexpected", "tenant.index_missing", "tenant.table_extra")
    ]
    assert (before["failed"], after["failed"]) == (3, 0)
    by_id = {check["id"]: check for check in after["checks"]}
    assert by_id["indexes"]["status"] == "skipped"
    assert "dropped in May" in by_id["indexes"]["evidence"]
    assert [one["id"] for one in by_id["tables"]["ignored"]] == ["table.unexpected"]
    assert after["confidence"] < 100
    assert {schema["name"]: schema["status"] for schema in after["schemas"]}[
        "tenant_a"
    ] == "skipped"


@pytest.mark.parametrize("language", ["pt_BR", "en"])
def test_every_finding_is_in_the_pages_language(language: str) -> None:
    """The results of the tests before, on one page of each kind; alone it has no results."""
    raised = [one for check in SEEN for one in (*check["findings"], *check["ignored"])]
    assert {one["id"] for one in raised} >= set(KINDS), set(KINDS) - {one["id"] for one in raised}
    silent = {
        one["id"] for one in raised if one["text_message"] is None
    } - languages.POSTGRES_WRITES
    assert not silent, f"not translatable, so in English everywhere: {silent}"
    others = languages.foreign_texts(SEEN)
    for name, page in languages.pages(languages.drill_of(SEEN), language).items():
        wrong = languages.given_away(page, language, others)
        assert not wrong, f"{name}: {len(wrong)} lines: {wrong[:12]}"
        # The words of the other language are found on a page in that language.
        other = "en" if language == "pt_BR" else "pt_BR"
        assert languages.given_away(page, other, others)


def test_every_finding_was_raised_and_none_falsely() -> None:
    """The last test: the results of the others. Alone it has no results, and fails."""
    runs = len(HEALTHY_RUNS)
    false = {run: raised for run, raised in HEALTHY_RUNS.items() if raised}
    never = sorted(set(KINDS) - set(FIRED) - set(ELSEWHERE))
    kinds = len(KINDS)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    summary = {
        "findings": kinds,
        "raised_by_a_broken_one": {name: FIRED[name] for name in sorted(FIRED)},
        "proved_elsewhere": ELSEWHERE,
        "healthy_runs": runs,
        "false_positives": false,
        "false_positive_rate_percent": 100 * len(false) / runs if runs else None,
    }
    RESULTS.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(
        f"\n{len(FIRED)} of {kinds} findings raised by a broken one,"
        f" {len(ELSEWHERE)} proved elsewhere; {len(false)} of {runs} healthy runs raised one"
        f" falsely: {summary['false_positive_rate_percent']} %"
    )
    assert runs == len(HEALTHY) * (len(FORMS) + 1)
    assert not false and not never, never
