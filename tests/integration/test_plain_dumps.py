"""Plain dumps by real pg_dumps are executed whole, and nothing in one decides where it goes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import archive, restore
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.kind import Archive
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.restore import (
    RestoreResult,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    BackupError,
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from corpus.lab import Lab
from support.plain_source import DECOYS, ROWS, SOURCE, WAYS
from testbed import production

VERSIONS = (15, 16, 18)


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What exists if anything in a dump was obeyed."""
    return tmp_path_factory.mktemp("mark") / "obeyed"


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory, mark: Path) -> Iterator[dict[int, Lab]]:
    """A server of each version, with the database `source` in it and `restaurante` beside it."""
    of_16 = production.binaries().bin_dir
    found = {
        15: "/usr/lib/postgresql/15/bin",
        16: of_16,
        18: of_16.replace("pginstall", "pginstall18"),
    }
    mark.parent.chmod(0o777)
    made: dict[int, Lab] = {}
    with contextlib.ExitStack() as stack:
        for version in VERSIONS:
            root = tmp_path_factory.mktemp(f"of-{version}")
            for folder in (root, *root.parents[:1]):
                folder.chmod(0o755)
            cluster = Cluster(str(root / "cluster"), postgres.find_binaries(found[version]))
            cluster.create()
            stack.callback(cluster.remove)
            made[version] = lab = Lab(cluster.start(), root)
            decoys = DECOYS.format(mark=mark)
            lab.create("source", SOURCE.replace("DECOYS", decoys.replace("/*", "")))
            lab.create("restaurante", "CREATE TABLE production AS SELECT 1 AS id")
        yield made


def restored(lab: Lab, path: Path, database: str = "restored") -> RestoreResult:
    ready = archive.prepare(str(path), str(lab.folder), lab.server.binaries)
    return restore.restore(ready, lab.server, database, replace=True)


def text_of(lab: Lab, database: str) -> str:
    """A database as pg_dump writes it, without the key that it draws each time."""
    pg_dump = lab.server.binaries.path("pg_dump")
    command = [pg_dump, "-Fp", "--encoding=UTF8", lab.server.url(database)]
    made = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return re.sub(r"(?m)^\\(un)?restrict \w+$", "", made)


@pytest.mark.parametrize("way", WAYS, ids=["+".join(way) or "as it is" for way in WAYS])
@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_restored_is_what_was_dumped(
    labs: dict[int, Lab], version: int, way: Sequence[str], mark: Path
) -> None:
    lab = labs[version]
    path = lab.dump("source", "-Fp", *way)
    ready = archive.prepare(str(path), str(lab.folder), lab.server.binaries)
    assert ready.rows == ROWS
    kinds = {(entry.kind, entry.name) for entry in ready.toc.entries}
    assert not [name for _kind, name in kinds if "ghost" in name]
    assert {("TABLE", "order line"), ("CONSTRAINT", "new\nline key\nx")} <= kinds
    assert not ready.toc.row_security
    done = restore.restore(ready, lab.server, "restored", replace=True)
    assert done.errors == []
    assert text_of(lab, "restored") == text_of(lab, "source")
    assert bool(done.left_out.get("CREATE DATABASE")) == ("--create" in way)
    assert not mark.exists()
    with lab.connected("restaurante") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert cursor.fetchone() == (1,)


def test_rows_that_go_by_the_root(labs: dict[int, Lab]) -> None:
    lab = labs[16]
    ready = archive.prepare(
        str(lab.dump("source", "-Fp", "--load-via-partition-root")),
        str(lab.folder),
        lab.server.binaries,
    )
    assert ready.rows["public", "parts"] == 90
    assert restore.restore(ready, lab.server, "restored", replace=True).errors == []
    assert text_of(lab, "restored") == text_of(lab, "source")


def test_a_dump_by_a_newer_pg_dump(labs: dict[int, Lab]) -> None:
    """Of 16 by 18's pg_dump into 16: a setting that 16 lacks, and `\\restrict`, are no matter."""
    lab = labs[16]
    path = lab.folder / "by-18.sql"
    newer = labs[18].server.binaries.path("pg_dump")
    subprocess.run([newer, "-Fp", f"--file={path}", lab.server.url("source")], check=True)
    done = restored(lab, path)
    assert done.errors == []
    assert done.left_out["SET transaction_timeout"] == 1
    assert done.left_out["\\restrict"] == done.left_out["\\unrestrict"] == 1
    assert text_of(lab, "restored") == text_of(lab, "source")


def test_what_is_sent_together_fails_one_by_one(labs: dict[int, Lab]) -> None:
    """Statements that make tables go to the server in one transaction; one of them is refused."""
    lab = labs[16]
    end = "--\n-- PostgreSQL database dump complete\n"
    whole = lab.dump("source", "-Fp").read_bytes().decode()
    tables = [f"CREATE TABLE public.more_{n} (id int);" for n in range(120)]
    tables[60:60] = ["ALTER TABLE public.nowhere ADD x int;"]
    tables += ["COMMENT ON TABLE public.more_7 IS 'seven';", "CREATE TABLE public.more_7 (id int);"]
    before, after = whole.split(end)
    path = lab.folder / "together.sql"
    path.write_bytes((before + "\n".join(tables) + "\n" + end + after).encode())
    done = restored(lab, path)
    first = before.count("\n") + 1
    assert [error.partition(":")[0] for error in done.errors] == [
        f"line {first + 60}",
        f"line {first + 122}",
    ]
    with lab.connected("restored") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^more_'")
        assert cursor.fetchone() == (120,)
        cursor.execute("SELECT obj_description('public.more_7'::regclass)")
        assert cursor.fetchone() == ("seven",)


def test_what_a_clean_dump_drops_last_is_not_there(labs: dict[int, Lab]) -> None:
    """What is to be altered before it is dropped is missing, and that is no error."""
    lab = labs[16]
    path = lab.dump("source", "-Fp", "--clean")
    text = path.read_text()
    head = text.index("-- Name: ") - 4
    path.write_text(text[:head] + "\nALTER TABLE public.nowhere DROP CONSTRAINT x;\n" + text[head:])
    assert restored(lab, path).errors == []


def test_lines_of_windows_and_a_byte_order_mark(labs: dict[int, Lab]) -> None:
    lab = labs[16]
    path = lab.folder / "windows.sql"
    dumped = lab.dump("source", "-Fp").read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + dumped.replace(b"\n", b"\r\n"))
    ready = archive.prepare(str(path), str(lab.folder), lab.server.binaries)
    assert sum(rows or 0 for rows in ready.rows.values()) == sum(ROWS.values())
    assert restore.restore(ready, lab.server, "restored", replace=True).errors == []


@pytest.mark.parametrize("name", ["SJIS", "BIG5", "GBK", "GB18030", "UHC"])
def test_encodings_whose_characters_hold_ascii(labs: dict[int, Lab], name: str) -> None:
    """On Debian's PostgreSQL, which has all conversions."""
    lab = labs[15]
    characters = {"SJIS": "表能ソ", "BIG5": "功許", "GBK": "誠乗", "GB18030": "誠乗", "UHC": "가각"}
    text = characters[name]
    lab.create(
        "encoded",
        f'CREATE TABLE public."{text}" (id integer, "{text};" text DEFAULT E\'{text}\\\\\');'
        f"INSERT INTO public.\"{text}\" VALUES (1, '{text}'), (2, E'\\\\{text};');"
        f"COMMENT ON TABLE public.\"{text}\" IS '{text}\\';",
    )
    try:
        for way in ((), ("--inserts",)):
            path = lab.dump("encoded", "-Fp", f"--encoding={name}", *way)
            ready = archive.prepare(str(path), str(lab.folder), lab.server.binaries)
            assert ready.rows == {("public", text): 2}
            assert restore.restore(ready, lab.server, "restored", replace=True).errors == []
            assert text_of(lab, "restored") == text_of(lab, "encoded")
    finally:
        lab.drop("encoded")


def test_strings_with_backslashes(labs: dict[int, Lab]) -> None:
    """As a server writes them that was set to do so, PostgreSQL 8's way."""
    lab = labs[16]
    lab.create(
        "old",
        "CREATE TABLE public.t (text text); INSERT INTO public.t VALUES (E'a\\\\''; b');"
        "COMMENT ON TABLE public.t IS E'it''s \\\\';"
        "ALTER DATABASE old SET standard_conforming_strings = off",
    )
    for way in ((), ("--inserts",)):
        path = lab.dump("old", "-Fp", *way)
        assert "standard_conforming_strings = off" in path.read_text()
        done = restored(lab, path)
        assert done.errors == []
        with lab.connected("restored") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT text, obj_description('public.t'::regclass) FROM public.t")
            assert cursor.fetchall() == [("a\\'; b", "it's \\")]
    lab.drop("old")


HOSTILE = {
    "shell": "\\! touch {mark}",
    "pipe": "\\o | touch {mark}\nSELECT 1;\n\\o",
    "backquotes": "\\set x `touch {mark}`\n\\echo `touch {mark}`",
    "a program's rows": "\\copy public.texts (text) from program 'touch {mark}; echo x'",
    "another file": "\\i {script}",
    "made of a query": "SELECT 'CREATE TABLE made_by_gexec ()' \\gexec",
    "a pipe behind a query": "SELECT 1 \\g | touch {mark}",
    "another database": "\\connect restaurante\nCREATE TABLE public.stranger ();",
    "another database, by words": '\\connect "dbname=restaurante"\nDROP TABLE public.production;',
    "program in SQL": "COPY public.texts FROM PROGRAM 'touch {mark}; echo 8';",
    "a file in SQL": "COPY (SELECT 1) TO '{mark}';",
    "the server": "ALTER SYSTEM SET archive_command = 'touch {mark}';\nLOAD 'plpgsql';",
    "roles": "CREATE ROLE hostile SUPERUSER;\nALTER ROLE postgres RENAME TO hostile;",
    "databases": "DROP DATABASE restaurante;\nALTER DATABASE restaurante RENAME TO x;",
    "databases, in nested comments": "DROP /* /* */ ; */ DATABASE restaurante;",
    "hidden": "SELECT 'a' || E'\\'; ' ;\\! touch {mark}\n SELECT 'x';",
}
PLACES = {
    "first": r"\A",
    "behind the head": r"(?m)(?<=^SET row_security = off;\n)",
    "in the middle": r"(?m)(?=^CREATE VIEW public\.shown)",
    "last": r"(?m)(?=^--\n-- PostgreSQL database dump complete$)",
}


@pytest.mark.parametrize("version", [16, 18], ids=["16", "18, with restrict"])
@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_in_a_dump_is_obeyed(
    labs: dict[int, Lab], what: str, version: int, mark: Path
) -> None:
    lab = labs[version]
    script = lab.folder / "script.sql"
    script.write_text("CREATE TABLE public.from_a_script ();")
    whole = lab.dump("source", "-Fp").read_text()
    before = text_of(lab, "restaurante")
    lines = HOSTILE[what].format(mark=mark, script=script) + "\n"
    for place in PLACES.values():
        whole, places = re.subn(place, lambda _found: lines, whole, count=1)
        assert places == 1
    path = lab.folder / "hostile.sql"
    path.write_text(whole)
    done = restored(lab, path)
    # What pg_dump itself writes is named; what it never writes is an error, too.
    meta = [name for name in done.left_out if name.startswith("\\") and "restrict" not in name]
    assert meta or done.left_out or done.errors
    unknown = set(meta) - {"\\connect", "\\set", "\\echo"}
    assert all(any(name in error for error in done.errors) for name in unknown)
    # Nor are rows that lie elsewhere, which are missing.
    assert any("is not read" in one for one in done.errors) == (what == "program in SQL")
    assert text_of(lab, "restaurante") == before
    assert not mark.exists()
    with lab.connected("restored") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_regclass('public.made_by_gexec'), to_regclass('public.from_a_script'),"
            " (SELECT count(*) FROM pg_roles WHERE rolname = 'hostile'),"
            " current_setting('archive_command'), (SELECT count(*) FROM public.texts)"
        )
        assert cursor.fetchone() == (None, None, 0, "(disabled)", 7)


def test_what_is_left_out_is_named_in_a_drill(labs: dict[int, Lab], tmp_path: Path) -> None:
    """Embedded, by the whole drill: a dump with --create passes, and with a shell line does not."""
    lab = labs[16]
    path = lab.dump("source", "-Fp", "--clean", "--create")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    place = staging.StagingSettings(
        "embedded", str(tmp_path / "work"), bin_dir=lab.server.binaries.bin_dir
    )
    settings = proof_settings.ProofSettings(place, str(tmp_path / "state"), str(tmp_path))
    result = drill.run(settings, path=str(path))
    findings = [one["findings"] for one in result["checks"] if one["findings"]]
    assert (result["verdict"], result["problem"]) == ("passed", None), findings
    evidence = next(one["evidence"] for one in result["checks"] if one["id"] == "restore")
    assert "CREATE DATABASE (1), DROP DATABASE (1)" in evidence.partition("not executed: ")[2]
    assert "\\connect (1)" in evidence
    path.write_text(path.read_text().replace("\n\n", "\n\\! id\n", 1))
    result = drill.run(settings, path=str(path))
    assert result["verdict"] == "failed"
    assert "the meta-command \\! was not obeyed" in result["restore"]["errors"][0]


def test_foreign_servers_are_made_and_never_reached(labs: dict[int, Lab]) -> None:
    """On Debian's PostgreSQL, which has postgres_fdw: who connects is seen by a listener."""
    lab = labs[15]
    reached: list[str] = []
    with contextlib.closing(_listener(reached)) as port:
        lab.create(
            "linked",
            "CREATE EXTENSION postgres_fdw;"
            "CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw"
            f" OPTIONS (host '127.0.0.1', port '{port.number}', dbname 'x');"
            "CREATE USER MAPPING FOR postgres SERVER other OPTIONS (user 'x', password 'secret');"
            "CREATE FOREIGN TABLE public.far (id integer) SERVER other;"
            "CREATE TABLE public.near AS SELECT 1 AS id",
        )
        path = lab.dump("linked", "-Fp")
        content = path.read_text()
        rows = "COPY public.far (id) FROM stdin;\n1\n\\.\nINSERT INTO public.far VALUES (2);\n"
        end = "--\n-- PostgreSQL database dump complete\n"
        path.write_text(content.replace(end, rows + end))
        done = restored(lab, path)
        assert done.errors == []
        assert done.left_out["rows of foreign tables"] == 2
        assert done.left_out["CREATE USER MAPPING"] == 1
        with lab.connected("restored") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_foreign_server")
            assert cursor.fetchone() == (1,)
            # Not even a query of the table gets there.
            with pytest.raises(psycopg2.Error, match="user mapping not found"):
                cursor.execute("SELECT * FROM public.far")
        lab.drop("linked")
    assert reached == []


class _listener:
    """A server that notes who connects."""

    def __init__(self, reached: list[str]) -> None:
        import socket

        self._socket = socket.create_server(("127.0.0.1", 0))
        self.number = self._socket.getsockname()[1]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    other, address = self._socket.accept()
                    reached.append(str(address))
                    other.close()

        threading.Thread(target=accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()


def test_errors_name_line_and_statement_and_the_rest_goes_on(labs: dict[int, Lab]) -> None:
    lab = labs[16]
    whole = lab.dump("source", "-Fp").read_text()
    place = "CREATE VIEW public.shown"
    broken = whole.replace(
        place,
        "CREATE VIEW public.broken AS\n SELECT * FROM public.gone;\n"
        "COPY public.gone (id) FROM stdin;\n1\n\\.\n"
        "COPY public.texts (id, text) FROM stdin;\nno number\tx\n\\.\n" + place,
        1,
    )
    line = broken[: broken.index("CREATE VIEW public.broken")].count("\n") + 1
    path = lab.folder / "broken.sql"
    path.write_text(broken)
    done = restored(lab, path)
    assert [error.split(" STATEMENT")[0] for error in done.errors] == [
        f'line {line}: ERROR: relation "public.gone" does not exist',
        f'line {line + 2}: ERROR: relation "public.gone" does not exist',
        f'line {line + 5}: ERROR: invalid input syntax for type integer: "no number"',
    ]
    assert done.errors[0].endswith("CREATE VIEW public.broken AS SELECT * FROM public.gone;")
    assert text_of(lab, "restored") == text_of(lab, "source")


def test_one_insert_that_is_refused_costs_no_other(labs: dict[int, Lab]) -> None:
    lab = labs[16]
    whole = lab.dump("source", "-Fp", "--inserts").read_bytes()
    row = b"INSERT INTO public.texts VALUES (2, '');\n"
    assert whole.count(row) == 1
    path = lab.folder / "twice.sql"
    path.write_bytes(whole.replace(row, row + b"INSERT INTO public.texts VALUES ('x', '');\n"))
    done = restored(lab, path)
    assert len(done.errors) == 1 and "invalid input syntax" in done.errors[0]
    assert text_of(lab, "restored") == text_of(lab, "source")


def test_a_whole_server_is_named(labs: dict[int, Lab], tmp_path: Path) -> None:
    lab = labs[16]
    for name, more in (("all", []), ("globals", ["--globals-only"])):
        path = tmp_path / f"{name}.sql"
        server = lab.server
        subprocess.run(
            [server.binaries.path("pg_dumpall"), *more, f"--file={path}", "--dbname",
             server.url("postgres")],
            check=True,
            env={"PGPASSWORD": server.password},
        )  # fmt: skip
        with pytest.raises(BackupError, match="made by pg_dumpall"):
            archive.prepare(str(path), str(lab.folder), lab.server.binaries)


def test_the_time_limit_ends_what_runs(labs: dict[int, Lab]) -> None:
    lab = labs[16]
    ready = _slow(lab)
    began = time.monotonic()
    with pytest.raises(ResilienceError, match="did not end within 2 s"):
        restore.restore(ready, lab.server, "restored", replace=True, time_limit=2)
    assert time.monotonic() - began < 10
    _nothing_runs(lab)


def _slow(lab: Lab) -> Archive:
    whole = lab.dump("source", "-Fp").read_text()
    path = lab.folder / "slow.sql"
    end = "--\n-- PostgreSQL database dump complete\n"
    path.write_text(whole.replace(end, "SELECT pg_sleep(600);\n" + end))
    return archive.prepare(str(path), str(lab.folder), lab.server.binaries)


def _nothing_runs(lab: Lab) -> None:
    deadline = time.monotonic() + 10
    with lab.connected("postgres") as connection, connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = 'restored'")
            if cursor.fetchone() == (0,):
                return
            assert time.monotonic() < deadline
            time.sleep(0.1)


LOAD = """
import sys
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import sql_loader
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.sql_left_out import LeftOut
from ansible_collections.chefwell.resilience.plugins.module_utils.common import interrupt
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import (
    Binaries, Server,
)
interrupt.listen()
path, host, port, user, password = sys.argv[1:]
server = Server(host, int(port), user, password, Binaries("", 0, ""))
report = lambda read, size: print(read, size, flush=True)
try:
    sql_loader.load(path, server, "restored", left_out=LeftOut(), time_limit=600, progress=report)
except KeyboardInterrupt:
    sys.exit(99)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_what_runs(labs: dict[int, Lab], number: signal.Signals) -> None:
    lab = labs[16]
    ready = _slow(lab)
    lab.drop("restored")
    lab.create("restored")
    server = lab.server
    with subprocess.Popen(
        [sys.executable, "-c", LOAD, ready.ready_path, server.host, str(server.port), server.user,
         server.password],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as running:  # fmt: skip
        assert running.stdout is not None
        read = size = 0
        while read < (size or 1):
            read, size = map(int, running.stdout.readline().split())
        time.sleep(0.5)
        began = time.monotonic()
        running.send_signal(number)
        running.communicate(timeout=30)
    assert running.returncode == 99 and time.monotonic() - began < 5
    _nothing_runs(lab)


def test_a_server_that_stops_is_no_fault_of_the_backup(labs: dict[int, Lab]) -> None:
    lab = labs[16]
    ready = _slow(lab)

    def end() -> None:
        deadline = time.monotonic() + 20
        with lab.connected("postgres") as connection, connection.cursor() as cursor:
            while time.monotonic() < deadline:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE '%pg_sleep(600)%' AND datname = 'restored'"
                )
                if cursor.fetchall():
                    return
                time.sleep(0.1)

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(ResilienceError, match="the server that restores the backup failed"):
        restore.restore(ready, lab.server, "restored", replace=True)
    ending.join()


# Of this program alone: what getrusage(2) has begins with what the parent held.
PEAK = """
import re
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10)
"""


@pytest.mark.parametrize("way", [(), ("--inserts",), ("--rows-per-insert=500",)], ids="".join)
def test_loading_takes_little_memory(labs: dict[int, Lab], way: Sequence[str]) -> None:
    """Of 250 MB of rows, and of a value of 25 MB."""
    lab = labs[16]
    lab.create(
        "large",
        "CREATE TABLE public.t AS SELECT n, repeat(md5(n::text), 64) AS text"
        " FROM generate_series(1, 110000) n;"
        "CREATE TABLE public.line AS SELECT repeat('wide ', 5000000) AS text",
    )
    path = lab.dump("large", "-Fp", *way)
    lab.drop("large")
    lab.drop("restored")
    lab.create("restored")
    server = lab.server
    ended = subprocess.run(
        [sys.executable, "-c", LOAD + PEAK, str(path), server.host, str(server.port), server.user,
         server.password],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    peak = int(ended.stdout.split()[-1])
    print(f"\n{path.stat().st_size >> 20} MiB {''.join(way)}: at most {peak} MiB held")
    path.unlink()
    with lab.connected("restored") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*), (SELECT length(text) FROM public.line) FROM public.t")
        assert cursor.fetchone() == (110_000, 25_000_000)
    assert peak < 200


DATABASES = {
    "latin": "ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'",
    "bytes": "ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'",
    "sorted": "LOCALE_PROVIDER icu ICU_LOCALE 'pt-BR-u-kn-true' LOCALE 'C'",
}
MADE = (
    "SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider::text, daticulocale"
    " FROM pg_database WHERE datname = %s"
)


FORMS: tuple[tuple[str, ...], ...] = (("-Fp", "--create"), ("-Fc",), ("-Fc", "--encoding=UTF8"))


@pytest.mark.parametrize(
    ("name", "form"),
    # Bytes of no encoding cannot be dumped in one.
    [
        (name, form)
        for name in DATABASES
        for form in FORMS
        if name != "bytes" or "--encoding=UTF8" not in form
    ],
    ids=str,
)
def test_the_database_is_made_as_the_dump_says(
    labs: dict[int, Lab], name: str, form: tuple[str, ...]
) -> None:
    """On Debian's PostgreSQL 15, which has ICU."""
    lab = labs[15]
    lab.run("postgres", f"CREATE DATABASE {name} TEMPLATE template0 {DATABASES[name]}")
    try:
        lab.run(name, "CREATE TABLE t AS SELECT 'item 10' AS text UNION VALUES ('item 9')")
        if name == "bytes":
            lab.run(name, "INSERT INTO t VALUES (E'\\xe9\\xff')")
        dump = lab.prepare(lab.dump(name, *form))
        assert dump.expected.encoding == {"latin": "LATIN1", "bytes": "SQL_ASCII"}.get(name, "UTF8")
        assert restore.restore(dump.ready, lab.server, "restored", replace=True).errors == []
        with lab.connected("postgres") as connection, connection.cursor() as cursor:
            rows = []
            for database in (name, "restored"):
                cursor.execute(MADE, [database])
                rows += cursor.fetchall()
        assert rows[0] == rows[1]
        with lab.connected("restored") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT md5(string_agg(text::bytea::text, ',' ORDER BY text)) FROM t")
            restored_rows = cursor.fetchone()
        with lab.connected(name) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT md5(string_agg(text::bytea::text, ',' ORDER BY text)) FROM t")
            assert cursor.fetchone() == restored_rows
        # A server without ICU makes it as it can: the check of the sort order says so.
        poorer = restore.restore(dump.ready, labs[16].server, "restored", replace=True)
        assert poorer.errors == []
    finally:
        lab.drop(name)
