"""`backup-manifest --tier` runs pg_dump itself: a whole backup and what belongs to it, or none."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive,
    backup_choice,
    backup_digest,
    dump_run,
    manifest,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from support.backup_command import BESIDE, BINARIES, Tree, dsn, server, tree
from support.drill_settings import drill_settings

__all__ = ["server", "tree"]

FORMS: dict[str, tuple[str, ...]] = {
    "custom": (),
    "custom, zstd": ("--compress", "zstd:1"),
    "directory": ("--format", "directory", "--jobs", "2"),
    "tar": ("--format", "tar"),
    "plain": ("--format", "plain"),
    "plain, gzip": ("--format", "plain", "--compress", "gzip:1"),
    "plain, lz4": ("--format", "plain", "--compress", "lz4"),
}


@pytest.mark.parametrize("form", FORMS)
def test_it_is_whole_and_restores(tree: Tree, form: str, tmp_path: Path) -> None:
    form_options = FORMS[form]
    if BINARIES.major < 16:
        # Until then pg_dump knew gzip alone, by its level.
        methods = {"zstd:1": "1", "gzip:1": "1", "lz4": "9"}
        form_options = tuple(methods.get(option, option) for option in form_options)
    assert tree.run(*form_options, "--roles") == 0, tree.errors
    backup = tree.backup()
    assert tree.names() == [backup.name, *sorted(backup.name + ending for ending in BESIDE)]
    # sha256sum reads what was written.
    folder = backup if backup.is_dir() else tree.daily
    digests = ["sha256sum", "--check", "--quiet", f"{backup}.sha256"]
    subprocess.run(digests, cwd=folder, check=True)
    roles = Path(f"{backup}.roles.sql")
    assert "CREATE ROLE clerk" in roles.read_text() and roles.stat().st_mode & 0o077 == 0
    chosen = backup_choice.choose(str(tree.root / "backups"), tiers=("daily",))
    assert chosen.path == str(backup)
    known = manifest.read(str(backup))
    assert known is not None and known.tables["public", "sale"][0] == 3000
    assert backup_digest.verify_digest(str(backup), known.sha256, "x").source
    ready = archive.prepare(str(backup), str(tmp_path), BINARIES)
    assert ready.rows["public", "sale"] == 3000
    if form == "custom":
        result = drill.run(drill_settings(tmp_path, BINARIES.bin_dir), path=str(backup))
        assert (result["verdict"], result["problem"]) == ("passed", None)


def test_exclusions_are_passed_on(tree: Tree) -> None:
    assert (
        tree.run("--exclude-schema", "old", "--exclude-table-data", "public.log", "--name", "part")
        == 0
    )
    listed = subprocess.run(
        [BINARIES.path("pg_restore"), "--list", str(tree.backup())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert tree.backup().name.startswith("part_")
    assert " TABLE public sale " in listed and " TABLE DATA public log " not in listed
    assert "old" not in listed


def test_an_ordinary_user_saves_roles_without_their_passwords(tree: Tree, server: Server) -> None:
    assert tree.run("--roles", connection=dsn(server, "clerk")) == 0, tree.errors
    roles = Path(f"{tree.backup()}.roles.sql").read_text()
    assert "CREATE ROLE clerk" in roles and "PASSWORD" not in roles


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "tier": (("--tier", "weekly"), "--tier"),
    "jobs": (("--jobs", "4"), "--jobs"),
    "compress": (("--compress", "brotli"), "--compress"),
    "tar": (("--format", "tar", "--compress", "gzip"), "--compress"),
    "keep": (("--keep", "0"), "--keep"),
    "name": (("--name", "../x"), "--name"),
    "command": (("--", "pg_dump"), "COMMAND"),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_cannot_be_called_wrongly(tree: Tree, case: str) -> None:
    options, named = WRONG[case]
    assert tree.run(*options) == 3
    assert named in tree.errors and tree.names() == []


def test_options_of_the_one_form_are_none_of_the_other(tree: Tree) -> None:
    config = tree.root / "staging.json"
    config.write_text(json.dumps(tree.config))
    arguments = ["backup-manifest", "--config", str(config), "--backup", "x", "--keep", "3"]
    assert host_cli.main([*arguments, "--", "true"]) == 3


def test_no_database_is_no_backup(tree: Tree, server: Server) -> None:
    assert tree.run(connection=dsn(server, dbname="")) == 3
    assert "--dsn" in tree.errors and tree.names() == []
    assert tree.run(connection=dsn(server, dbname="dbname=none")) == 2
    assert "no backup" in tree.errors and tree.names() == []


def test_a_name_that_nobody_would_find_is_refused(tree: Tree) -> None:
    tree.config["backup_pattern"] = "shop-%Y-%m-%d.sql.gz"
    assert tree.run("--format", "tar") == 3
    assert tree.run("--format", "plain", "--compress", "6") == 0
    assert tree.backup().name.startswith("shop-20")
    # A second one on the same day would have the same name.
    assert tree.run("--format", "plain", "--compress", "6") == 3
    assert "exists" in tree.errors


def old(tree: Tree, name: str, size: int) -> None:
    (tree.daily / name).write_bytes(b"x" * size)
    for ending in BESIDE:
        (tree.daily / (name + ending)).write_text("{}")


def test_rotation_removes_the_oldest_of_this_name_alone(tree: Tree) -> None:
    for day in range(1, 6):
        old(tree, f"shop_2025010{day}_030000.dump", 10)
    old(tree, "other_20240101_030000.dump", 10)
    old(tree, "shop_20990101_030000.dump", 10)
    (tree.daily / "notes.txt").write_text("mine")
    assert tree.run("--name", "shop", "--keep", "3", "--json") == 0, tree.errors
    left = [name for name in tree.names() if not name.endswith(BESIDE)]
    now = time.strftime("shop_%Y%m%d")
    assert [name for name in left if not name.startswith(now)] == [
        *("notes.txt", "other_20240101_030000.dump"),
        *("shop_20250104_030000.dump", "shop_20250105_030000.dump", "shop_20990101_030000.dump"),
    ]
    assert "shop_20250103_030000.dump.manifest.json" not in tree.names()
    assert "removed" in (tree.root / "log").read_text()


def test_a_shrunken_backup_rotates_nothing(tree: Tree) -> None:
    old(tree, "shop_20250101_030000.dump", 10)
    old(tree, "shop_20250102_030000.dump", 50_000_000)
    assert tree.run("--name", "shop", "--keep", "1") == 1
    assert "50000000" in tree.errors and "shop_20250101_030000.dump" in tree.names()


def test_a_backup_without_its_manifest_rotates_nothing(
    tree: Tree, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot's session is refused by a limit of the role; pg_dump's own comes in."""
    old(tree, "shop_20250101_030000.dump", 10)

    def refused(*_arguments: Any, **_more: Any) -> Any:
        raise RuntimeError("no snapshot to be had")

    # A role that may connect only once at a time would race with the reader: the cause is planted.
    monkeypatch.setattr(dump_run.snapshot_command.manifest_snapshot, "export", refused)
    assert tree.run("--name", "shop", "--keep", "1") == 1
    assert "shop_20250101_030000.dump" in tree.names() and "no snapshot" in tree.errors
    assert len([name for name in tree.names() if name.endswith(".dump")]) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_backup(tree: Tree, server: Server, number: int) -> None:
    """pg_dump waits for a lock meanwhile; what a SIGKILL leaves is hidden, and removed a day on."""
    config = tree.root / "staging.json"
    config.write_text(json.dumps(tree.config))
    with contextlib.closing(psycopg2.connect(**server.dsn("shop"))) as connection:
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE public.sale IN ACCESS EXCLUSIVE MODE")
        command = (
            "from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli\n"
            "import sys; sys.exit(host_cli.main(sys.argv[1:]))"
        )
        arguments = ["backup-manifest", "--config", str(config), "--tier", "daily"]
        started = subprocess.Popen(
            [sys.executable, "-c", command, *arguments, "--dsn", dsn(server)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        deadline = time.monotonic() + 60
        while not list(tree.daily.glob(".new-backup-*/backup")):
            assert time.monotonic() < deadline and started.poll() is None
            time.sleep(0.05)
        started.send_signal(number)
        code = started.wait(30)
    hidden = tree.names()
    if number == signal.SIGTERM:
        assert (code, hidden) == (2, [])
        return
    assert [name[:12] for name in hidden] == [".new-backup-"]
    for path in tree.daily.iterdir():
        os.utime(path, (1, 1))
    time.sleep(0.5)
    assert tree.run() == 0
    assert not [name for name in tree.names() if name.startswith(".")]
