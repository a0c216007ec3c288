"""Every form that people keep dumps in is restored whole: four formats, bare and packed."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive,
    kind_archive,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common import process
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import BackupError
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from support.drill_settings import standing_staging
from testbed import production

FORMATS = {"custom": "-Fc", "tar": "-Ft", "plain": "-Fp"}
PACKERS = {
    "none": None,
    "gzip": ["gzip", "-c"],
    "zstd": ["zstd", "-qc"],
    "xz": ["xz", "-c"],
    "lz4": ["lz4", "-qc"],
}
ROWS = {"one": 1000, "two": 300}
# Formats that pg_restore reads in parallel.
PARALLEL = ("custom", "directory")
SOURCE = """
CREATE SCHEMA "Loja é";
CREATE TABLE "Loja é".one (id serial PRIMARY KEY, text text NOT NULL UNIQUE);
INSERT INTO "Loja é".one (text) SELECT md5(n::text) FROM generate_series(1, 1000) n;
CREATE TABLE public.two (id int REFERENCES "Loja é".one, at timestamptz DEFAULT now());
INSERT INTO public.two SELECT n FROM generate_series(1, 300) n;
CREATE INDEX by_time ON public.two (at);
SELECT lo_from_bytea(0, 'a large object')
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[proof_settings.ProofSettings]:
    """A staging that stands, so that no drill needs a cluster of its own."""
    with standing_staging(tmp_path_factory.mktemp("forms"), production.binaries().bin_dir) as made:
        yield made


@pytest.fixture(scope="module")
def server(settings: proof_settings.ProofSettings) -> Server:
    found = staging.make_engine(settings.staging).find()
    assert found is not None
    with contextlib.closing(psycopg2.connect(**found.dsn("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE source")
    with psycopg2.connect(**found.dsn("source")) as connection, connection.cursor() as cursor:
        cursor.execute(SOURCE)
    connection.close()
    return found


def dump(server: Server, *options: str) -> bytes:
    command = [server.binaries.path("pg_dump"), *options, server.url("source")]
    return subprocess.run(command, capture_output=True, check=True).stdout


def assert_restored_whole(
    settings: proof_settings.ProofSettings, path: Path, form: str, packer: str
) -> None:
    result = drill.run(settings, path=str(path))
    assert (result["verdict"], result["problem"]) == ("passed", None), result
    assert result["backup"]["format"] == (form if packer == "none" else f"{form}+{packer}")
    assert (result["restore"]["jobs"] > 1) == (form in PARALLEL)
    tables = {
        table["name"]: table["rows"] for schema in result["schemas"] for table in schema["tables"]
    }
    assert tables == ROWS
    statuses = {check["id"]: check["status"] for check in result["checks"]}
    for id in ("row_counts", "foreign_keys", "indexes", "sequences", "large_objects"):
        assert statuses[id] == "passed", (id, result["checks"])


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("form", FORMATS)
def test_a_file(
    settings: proof_settings.ProofSettings, server: Server, tmp_path: Path, form: str, packer: str
) -> None:
    content = dump(server, FORMATS[form])
    if command := PACKERS[packer]:
        content = subprocess.run(command, input=content, capture_output=True, check=True).stdout
    # Its content decides what it is, not its name.
    path = tmp_path / "backup"
    path.write_bytes(content)
    assert_restored_whole(settings, path, form, packer)


@pytest.mark.parametrize("inner", ["none", "gzip"])
def test_a_folder(
    settings: proof_settings.ProofSettings, server: Server, tmp_path: Path, inner: str
) -> None:
    dump(server, "-Fd", "-j2", "-Z", inner, "-f", str(tmp_path / "backup"))
    assert_restored_whole(settings, tmp_path / "backup", "directory", "none")


def test_a_folder_that_holds_more_and_a_link_to_it(
    settings: proof_settings.ProofSettings, server: Server, tmp_path: Path
) -> None:
    """A folder within a directory dump is no part of it; a link is followed, and named."""
    dump(server, "-Fd", "-f", str(tmp_path / "backup"))
    (tmp_path / "backup" / "lost+found").mkdir()
    (tmp_path / "backup" / "lost+found" / "x").write_bytes(b"x")
    (tmp_path / "latest").symlink_to("backup")
    assert_restored_whole(settings, tmp_path / "latest", "directory", "none")
    result = drill.run(settings, path=str(tmp_path / "latest"))
    (evidence,) = (one["evidence"] for one in result["checks"] if one["id"] == "archive")
    assert f"latest is a symbolic link to {tmp_path / 'backup'}" in evidence


def test_what_is_no_dump_at_all_is_named(
    settings: proof_settings.ProofSettings, tmp_path: Path
) -> None:
    for name in ("data/base/1", "around/dump", "empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data" / "PG_VERSION").write_text("16\n")
    (tmp_path / "around" / "dump" / "toc.dat").write_bytes(b"PGDMP")
    os.mkfifo(tmp_path / "pipe")
    for name, what in {
        "data": "a data folder of PostgreSQL",
        "around": "a folder around the directory dump dump",
        "empty": "a folder without toc.dat",
        "pipe": "a device, a named pipe or a socket",
    }.items():
        result = drill.run(settings, path=str(tmp_path / name))
        assert result["verdict"] == "failed" and what in result["problem"], result["problem"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of other users")
@pytest.mark.parametrize("closed", ["the folder", "its files"])
def test_a_folder_of_another_user(
    settings: proof_settings.ProofSettings, server: Server, tmp_path: Path, closed: str
) -> None:
    """As `postgres` makes it; pg_restore runs as another user, who may read it all the same."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "backup"
    dump(server, "-Fd", "-f", str(folder))
    for path in [folder] if closed == "the folder" else folder.iterdir():
        os.chown(path, 1000, 1000)
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert_restored_whole(settings, folder, "directory", "none")


def _packed(program: Sequence[str], content: bytes) -> bytes:
    return subprocess.run(program, input=content, capture_output=True, check=True).stdout


OTHER_PACKINGS = {
    "zstd --long": lambda content: _packed(["zstd", "-qc", "--long=31"], content),
    "as pzstd": lambda content: (
        b"\x50\x2a\x4d\x18\x04\0\0\0" + b"size" + _packed(["zstd", "-qc"], content)
    ),
    "zstd, a long frame to skip": lambda content: (
        b"\x5f\x2a\x4d\x18"
        + (9000).to_bytes(4, "little")
        + b"x" * 9000
        + _packed(["zstd", "-qc"], content[:5000])
        + _packed(["zstd", "-qc"], content[5000:])
    ),
    "lz4 -l": lambda content: _packed(["lz4", "-qcl"], content),
    "lz4 behind a frame to skip": lambda content: (
        b"\x52\x2a\x4d\x18\x02\0\0\0ab" + _packed(["lz4", "-qc"], content)
    ),
    "xz, padded": lambda content: lzma.compress(content) + b"\0" * 4096,
    "xz, several streams": lambda content: lzma.compress(content[:9]) + lzma.compress(content[9:]),
    "gzip, padded": lambda content: gzip.compress(content) + b"\0" * 999,
}


@pytest.mark.parametrize("packing", OTHER_PACKINGS)
def test_what_packers_make_with_options(server: Server, tmp_path: Path, packing: str) -> None:
    content = dump(server, "-Fc")
    path = tmp_path / "backup"
    path.write_bytes(OTHER_PACKINGS[packing](content))
    ready = archive.prepare(str(path), str(tmp_path), server.binaries)
    assert Path(ready.ready_path).read_bytes() == content
    path.write_bytes(OTHER_PACKINGS[packing](content)[:-6000])
    with pytest.raises(BackupError):
        archive.prepare(str(path), str(tmp_path), server.binaries)


def test_deadlocks_of_processes_are_no_fault_of_the_backup(
    server: Server,
    settings: proof_settings.ProofSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pg_restore's own deadlocks come by chance: here its words are planted, the rest is real."""
    tmp_path.chmod(0o755)
    path = tmp_path / "chefwell_backup_20251120_030000.dump"
    path.write_bytes(dump(server, "-Fc"))
    jobs = []
    real = kind_archive.process.run

    def planted(arguments: Sequence[str], **more: Any) -> process.ProcessResult:
        ended = real(arguments, **more)
        text = [word for word in arguments if word.startswith("--jobs=")]
        jobs.extend(text)
        if text and text != ["--jobs=1"]:
            words = "pg_restore: error: could not execute query: ERROR:  deadlock detected\n"
            return ended._replace(code=1, errors=ended.errors + words)
        return ended

    monkeypatch.setattr(kind_archive.process, "run", planted)
    result = drill.run(settings, path=str(path))
    assert (result["verdict"], result["restore"]["jobs"]) == ("passed", 1), result["problem"]
    assert jobs == [f"--jobs={kind_archive.default_jobs()}", "--jobs=1"]
