"""A backup is decoded while a staging restores it; what is damaged, or too large, ends the restore.

`test_plain_one_walk.py` has the kind that is decoded by its restore.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import kinds, proof_beside
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from corpus.lab import Lab
from support.drill_settings import drill_settings, standing_staging
from testbed import production

# The index takes a minute in the restore: the function sleeps only since the index was made.
SLOW_SECONDS = 60
SLOW = f"""
CREATE FUNCTION public.slow(integer) RETURNS integer IMMUTABLE LANGUAGE sql RETURN $1;
CREATE TABLE public.one (id integer);
INSERT INTO public.one VALUES (1);
CREATE INDEX by_slow ON public.one (public.slow(id));
CREATE OR REPLACE FUNCTION public.slow(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_catalog.pg_sleep({SLOW_SECONDS}); RETURN $1; END';
"""
SOURCE = f"""
CREATE TABLE public.item (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO public.item SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
{SLOW}
CREATE TABLE public.zz_last (note text);
INSERT INTO public.zz_last SELECT repeat('x', 1000) || n FROM generate_series(1, 2000) n;
"""
OPTIONS = {"custom": ["-Fc", "-Z6"], "directory": ["-Fd", "-Z6"], "tar": ["-Ft"]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[proof_settings.ProofSettings]:
    with standing_staging(tmp_path_factory.mktemp("beside"), production.binaries().bin_dir) as made:
        yield made


@pytest.fixture(scope="module")
def lab(settings: proof_settings.ProofSettings, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    made = Lab.standing(settings, tmp_path_factory.mktemp("dumps"))
    made.create("source", SOURCE)
    return made


def damaged(path: Path, kind: str) -> None:
    """Damage the data of the last table, so that all before it is in order."""
    if kind == "directory":
        file = max(path.glob("*.dat.gz"), key=lambda one: one.stat().st_size)
        file.write_bytes(file.read_bytes()[:-9])
        return
    content = path.read_bytes()
    if kind == "tar":
        path.write_bytes(content[:-1024])  # its end mark
        return
    middle = len(content) - 4000
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])


def _archive(result: dict[str, Any]) -> list[str]:
    check = next(one for one in result["checks"] if one["id"] == "archive")
    return [found["id"] for found in check["findings"]]


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_damaged_backup_ends_a_restore_that_would_go_on(
    settings: proof_settings.ProofSettings, lab: Lab, kind: str
) -> None:
    path = lab.dump("source", *OPTIONS[kind])
    damaged(path, kind)
    began = time.monotonic()
    result = drill.run(settings, path=str(path))
    took = time.monotonic() - began
    assert (result["verdict"], _archive(result)) == ("failed", ["archive.damaged"]), result
    assert took < SLOW_SECONDS / 2
    phases = [one["name"] for one in result["phases"]]
    assert "restore" in phases and "validate" not in phases
    assert _sessions(lab) == 0


def test_a_backup_is_proved_where_no_priority_can_be_set(
    settings: proof_settings.ProofSettings, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where seccomp forbids it, which is not had for one thread of this process: planted."""

    def forbidden(*_arguments: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(proof_beside.os, "setpriority", forbidden)
    path = lab.dump("source", "-Fc", "-Z6")
    damaged(path, "custom")
    result = drill.run(settings, path=str(path))
    assert (result["verdict"], _archive(result)) == ("failed", ["archive.damaged"]), result
    assert _sessions(lab) == 0


def _sessions(lab: Lab) -> int:
    """Sessions that still restore; what a killed pg_restore left ends by its connection."""
    for _try in range(50):
        with lab.connected("postgres") as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname NOT IN ('postgres') AND query LIKE '%%pg_sleep%%'"
            )
            left = cursor.rowcount
        if not left:
            return 0
        time.sleep(0.1)
    return left


def test_a_limit_of_time_ends_both(settings: proof_settings.ProofSettings, lab: Lab) -> None:
    path = lab.dump("source", "-Fc")
    began = time.monotonic()
    result = drill.run(dataclasses.replace(settings, time_limit=3), path=str(path))
    assert result["verdict"] == "could_not_verify"
    assert "did not end within 3 s" in result["problem"]
    assert time.monotonic() - began < SLOW_SECONDS / 2
    assert _sessions(lab) == 0


def test_a_damaged_backup_is_the_cause_where_the_restore_fails_first(
    settings: proof_settings.ProofSettings, lab: Lab
) -> None:
    """The time limit ends the restore at once, and the decode says what is wrong."""
    path = lab.dump("source", "-Fc", "-Z6")
    damaged(path, "custom")
    result = drill.run(dataclasses.replace(settings, time_limit=0.3), path=str(path))
    assert (result["verdict"], _archive(result)) == ("failed", ["archive.damaged"]), result


def test_what_is_too_large_once_it_is_decoded_ends_the_restore(tmp_path: Path, lab: Lab) -> None:
    """Its file is small, so that only the decode shows what it needs."""
    lab.create(
        "large",
        f"{SLOW} CREATE TABLE public.large AS SELECT repeat('x', 1 << 20) AS note"
        " FROM generate_series(1, 240)",
    )
    path = lab.dump("large", "-Fc", "-Z1")
    lab.drop("large")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=460m", "chefwell", str(disk)], check=True)
    try:
        place = {"work_dir": str(disk / "work")}
        result = drill.run(
            drill_settings(tmp_path, production.binaries().bin_dir, staging=place), path=str(path)
        )
        assert result["verdict"] == "could_not_verify"
        assert "restored, the backup needs about" in result["problem"], result["problem"]
        assert "restore" in [one["name"] for one in result["phases"]]
        assert os.listdir(disk / "work") == ["lock"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_each_kind_is_one_object_with_a_name_and_a_suffix() -> None:
    assert list(kinds.BY_NAME) == ["custom", "directory", "tar", "plain"]
    for name, kind in kinds.BY_NAME.items():
        assert kind.name == name and kind.compressed in ("inside", "around", "never")
        assert kinds.of_label(f"{name}+gzip") is kind and kinds.of_label(name) is kind
    assert kinds.of_label("") is None
