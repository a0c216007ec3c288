"""A plain dump is unpacked, loaded, counted and proved in one walk; a damaged one is reported."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    decompress,
    plain_dump,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from corpus.lab import Lab
from support.drill_settings import standing_staging
from testbed import production

SOURCE = """
CREATE TABLE public.item (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
INSERT INTO public.item SELECT n, md5(n::text) FROM generate_series(1, 40000) n;
CREATE TABLE public.sold (id serial PRIMARY KEY, item integer REFERENCES public.item, at date);
INSERT INTO public.sold (item, at) SELECT n, date '2025-01-01' + n % 90
    FROM generate_series(1, 20000) n;
CREATE VIEW public.days AS SELECT at, count(*) FROM public.sold GROUP BY at;
"""
PACKERS = {"none": None, "gzip": ["gzip", "-c"], "zstd": ["zstd", "-qc"], "xz": ["xz", "-0c"]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[proof_settings.ProofSettings]:
    with standing_staging(tmp_path_factory.mktemp("walk"), production.binaries().bin_dir) as made:
        yield made


@pytest.fixture(scope="module")
def lab(settings: proof_settings.ProofSettings, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    made = Lab.standing(settings, tmp_path_factory.mktemp("dumps"))
    made.create("source", SOURCE)
    return made


def packed(content: bytes, packer: str) -> bytes:
    command = PACKERS[packer]
    if command is None:
        return content
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


@pytest.mark.parametrize("packer", PACKERS)
def test_it_is_read_once(
    settings: proof_settings.ProofSettings,
    lab: Lab,
    tmp_path: Path,
    packer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counted where bytes are unpacked; the dump is real, and so are its restore and checks."""
    content = lab.dump("source", "-Fp").read_bytes()
    path = tmp_path / "backup"
    path.write_bytes(packed(content, packer))
    read: list[int] = []
    real = decompress._opened

    def counted(*arguments: Any) -> Any:
        opened = real(*arguments)
        stream = opened.__enter__()

        class Stream:
            def __enter__(self) -> Callable[[int], bytes]:
                return self  # type: ignore[return-value]

            def __exit__(self, *error: Any) -> Any:
                return opened.__exit__(*error)

            def read(self, size: int) -> bytes:
                block: bytes = stream.read(size)
                read.append(len(block))
                return block

        return Stream()

    monkeypatch.setattr(decompress, "_opened", counted)
    result = drill.run(settings, path=str(path))
    assert (result["verdict"], result["problem"]) == ("passed", None)
    # The head is looked at beforehand.
    assert len(content) <= sum(read) <= len(content) + 4 * plain_dump.HEAD_BLOCK
    assert list(Path(settings.staging.work_dir).glob("**/unpacked.dump")) == []
    checks = {check["id"]: check for check in result["checks"]}
    assert "completion line" in checks["archive"]["evidence"]
    assert checks["row_counts"]["status"] == "passed" and result["totals"]["rows"] == 60_000
    assert list(checks)[:2] == ["archive", "restore"]


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def without_end(content: bytes) -> bytes:
    return content.replace(b"-- PostgreSQL database dump complete", b"--")


def appended(content: bytes) -> bytes:
    return content + b"\nDROP TABLE public.item;\n"


def without_mark(content: bytes) -> bytes:
    start = content.rindex(b"\n\\.\n")
    return content[: start + 1]


@pytest.mark.parametrize(
    ("spoil", "packer"),
    [
        *((spoil, "none") for spoil in (cut, without_end, appended, without_mark)),
        *((cut, "gzip"), (appended, "zstd"), (without_mark, "xz")),
    ],
)
def test_a_damaged_one_fails_whenever_that_is_seen(
    settings: proof_settings.ProofSettings,
    lab: Lab,
    tmp_path: Path,
    packer: str,
    spoil: Callable[[bytes], bytes],
) -> None:
    path = tmp_path / "backup"
    path.write_bytes(packed(spoil(lab.dump("source", "-Fp").read_bytes()), packer))
    result = drill.run(settings, path=str(path))
    assert result["verdict"] == "failed" and result["checks"], result["problem"]
    assert [check["id"] for check in result["checks"]] == ["archive"]
    assert result["checks"][0]["findings"][0]["id"] == "archive.damaged"


@pytest.mark.parametrize("packer", ["gzip", "zstd", "xz"])
def test_damaged_packing_fails(
    settings: proof_settings.ProofSettings, lab: Lab, tmp_path: Path, packer: str
) -> None:
    content = packed(lab.dump("source", "-Fp").read_bytes(), packer)
    for name, spoilt in {
        "cut": content[: len(content) * 2 // 3],
        "flipped": content[:-4] + bytes([content[-4] ^ 1]) + content[-3:],
    }.items():
        path = tmp_path / name
        path.write_bytes(spoilt)
        result = drill.run(settings, path=str(path))
        assert result["verdict"] == "failed", (name, result["problem"])
        assert "the archive is damaged or cut off" in result["problem"], name


def test_a_bomb_ends_before_the_disk_is_full(
    settings: proof_settings.ProofSettings,
    lab: Lab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The room that must stay is set to more than there is: filling a disk takes too long here."""
    path = tmp_path / "backup"
    path.write_bytes(gzip.compress(lab.dump("source", "-Fp").read_bytes()))
    monkeypatch.setattr(decompress, "HEADROOM", 1 << 60)
    result = drill.run(settings, path=str(path))
    assert result["verdict"] == "could_not_verify"
    assert "work_dir" in str(result["problem"])


def test_a_dump_that_others_have_edited(settings: proof_settings.ProofSettings, lab: Lab) -> None:
    """Other lines around it, a schema for extensions, and statements that may be repeated."""
    text = lab.dump("source", "-Fp").read_text(encoding="utf-8")
    for kind in ("TABLE", "SEQUENCE"):
        text = text.replace(f"\nCREATE {kind} ", f"\nCREATE {kind} IF NOT EXISTS ")
    path = lab.folder / "edited.sql"
    path.write_text(
        "-- Exported at night.\n" * 60
        + "CREATE SCHEMA IF NOT EXISTS of_extensions;\nSET a_setting_of_tomorrow = 1;\n"
        + f"{text}\nRESET ALL;\n",
        encoding="utf-8",
    )
    result = drill.run(settings, path=str(path))
    assert (result["verdict"], result["problem"]) == ("passed", None), result["checks"]
    path.write_text(f"{text}\nRESET ALL;\nDROP TABLE public.item;\n", encoding="utf-8")
    result = drill.run(settings, path=str(path))
    assert result["verdict"] == "failed"
