"""Backups sealed on the host: never plain on its disk, opened for a restore, sent like others."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import backup_choice
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import inventory
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery_run
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import age, keys
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.seal_settings import (
    SealSettings,
)
from support.backup_command import BESIDE, BINARIES, dsn, server, tree
from support.production_server import recovery_settings, run_sql
from support.sealed_tree import (
    COMMAND,
    CUSTOMER,
    SealedTree,
    customers,
    found_in,
    killed_dumps,
    opened,
    sealed,
)
from support.waiting import wait_for

__all__ = ["customers", "sealed", "server", "tree"]


@pytest.mark.parametrize("form", ["custom", "plain"])
def test_the_folder_of_backups_holds_no_word_of_the_customers(
    sealed: SealedTree, tmp_path: Path, form: str
) -> None:
    # Uncompressed, so that a plain byte would be found.
    assert sealed.run("--format", form, "--compress", "0", "--roles") == 0, sealed.errors
    ending = {"custom": ".dump.age", "plain": ".sql.age"}[form]
    (backup,) = (
        path for path in sealed.daily.glob(f"backup_*{ending}") if "roles" not in path.name
    )
    plain = backup.name[: -len(".age")]
    assert sealed.names() == sorted([backup.name, *(f"{plain}{end}.age" for end in BESIDE)])
    assert all(path.stat().st_mode & 0o077 == 0 for path in sealed.daily.iterdir())
    assert found_in(sealed.daily.parent) == {}
    # All of it is there for who has the offline key, with age and sha256sum alone.
    for path in sealed.daily.iterdir():
        (tmp_path / path.name[: -len(".age")]).write_bytes(opened(path, sealed.offline))
    check = ["sha256sum", "--check", "--quiet", f"{plain}.sha256"]
    subprocess.run(check, cwd=tmp_path, check=True)
    held = (tmp_path / plain).read_bytes()
    assert all(word.encode() in held for word in CUSTOMER)
    assert "CREATE ROLE clerk" in (tmp_path / f"{plain}.roles.sql").read_text()
    assert found_in(tmp_path, ("customer_card",))  # the search finds what is there
    # A drill opens it with the host's key; its manifest proves the content.
    place = tmp_path / "drill"
    result = drill.run(sealed.settings(place))
    assert (result["verdict"], result["problem"]) == ("passed", None), result
    assert result["backup"]["opened_from"] == str(backup)
    assert result["backup"]["file"] == plain
    assert {"open"} <= {phase["name"] for phase in result["phases"]}
    statuses = {one["id"]: one["status"] for one in result["checks"]}
    assert statuses["content"] == "passed" and statuses["archive"] == "passed", statuses
    # Nothing of the opened one is left.
    assert found_in(place / "work", CUSTOMER) == {}


def test_the_offline_key_alone_recovers(
    sealed: SealedTree, customers: Server, tmp_path: Path
) -> None:
    assert sealed.run() == 0, sealed.errors
    settings = sealed.by_offline_key_alone(tmp_path / "new")
    given = recovery_settings(customers, tmp_path / "new", dbname="shop", bin_dir=BINARIES.bin_dir)
    result = recovery_run.restore_beside(dataclasses.replace(given, drill=settings))
    assert result["verdict"] == "passed", result
    query = "SELECT name, mail FROM tenant_oak.customer_card"
    assert run_sql(customers, result["name"], query) == [CUSTOMER]
    run_sql(customers, "postgres", f'DROP DATABASE "{result["name"]}"')


def test_a_missing_and_a_wrong_key_are_named_before_anything_is_built(
    sealed: SealedTree, tmp_path: Path
) -> None:
    assert sealed.run() == 0, sealed.errors
    with pytest.raises(ResilienceError) as caught:
        drill.run(sealed.settings(tmp_path / "a", keys_folder=str(tmp_path / "none")))
    assert caught.value.option == "seal.identity_files" and caught.value.remedy
    other = tmp_path / "other.key"
    other.write_text(age.new_identity()[0] + "\n")
    other.chmod(0o600)
    settings = dataclasses.replace(
        sealed.by_offline_key_alone(tmp_path / "b"),
        seal=SealSettings(identity_files=(str(other),)),
    )
    result = drill.run(settings)
    assert result["verdict"] == "could_not_verify"
    for word in ("sealed for other keys", "seal.identity_files", str(other)):
        assert word in result["problem"], result["problem"]
    assert [phase["name"] for phase in result["phases"]] == ["open", "cleanup"]


@pytest.mark.parametrize("ending", ["", ".manifest.json", ".sha256"])
def test_a_damaged_one_fails_the_drill(sealed: SealedTree, tmp_path: Path, ending: str) -> None:
    assert sealed.run() == 0, sealed.errors
    (backup,) = sealed.daily.glob("*.dump.age")
    path = sealed.daily / f"{backup.name[: -len('.age')]}{ending}.age"
    body = path.read_bytes()
    for spoilt in (body[:-1] + bytes([body[-1] ^ 1]), body[: len(body) // 2], body[:30]):
        path.write_bytes(spoilt)
        result = drill.run(sealed.settings(tmp_path / "drill"))
        assert result["verdict"] == "failed" and path.name in result["problem"], result["problem"]
    # What is no dump inside is found by what reads dumps.
    if not ending:
        recipients = keys.load_for_opening(sealed.keys_folder, SealSettings()).recipients_file
        age.seal_bytes(b"no dump", str(path), recipients)
        assert drill.run(sealed.settings(tmp_path / "drill"))["verdict"] == "failed"


def test_a_tree_of_both_forms_is_one_tree(sealed: SealedTree) -> None:
    """Sealing is switched on, and off again; names, ages and rotation go on."""
    seal = sealed.config.pop("seal")
    for day in range(1, 4):
        (sealed.daily / f"shop_2025010{day}_030000.dump").write_bytes(b"PGDMP" + b"x" * 10)
        (sealed.daily / f"shop_2025010{day}_030000.dump.manifest.json").write_text("{}")
    sealed.config["seal"] = seal
    assert sealed.run("--name", "shop", "--keep", "3") == 0, sealed.errors
    backups = [name for name in sealed.names() if ".manifest" not in name and ".sha" not in name]
    assert [name[5:13] for name in backups[:2]] == ["20250102", "20250103"]
    assert len(backups) == 3 and backups[2].endswith(".dump.age")
    assert not [name for name in sealed.names() if "20250101" in name]
    root = str(sealed.root / "backups")
    listed = inventory.scan(root, tiers=("daily",))
    assert [file.name for file in listed.files] == backups
    assert listed.newest() == listed.files[-1] and listed.files[-1].taken_at
    chosen = backup_choice.choose(root, tiers=("daily",))
    assert os.path.basename(chosen.path) == backups[2]
    assert backup_choice.choose(root, path=chosen.path).taken_at == chosen.taken_at
    # Of one backup in both forms the plain one counts, once.
    (sealed.daily / f"{backups[1]}.age").write_bytes(b"again")
    assert [file.name for file in inventory.scan(root, tiers=("daily",)).files] == backups
    (sealed.daily / f"{backups[1]}.age").unlink()
    # Off again: the next is plain, and takes the oldest ones' place.
    time.sleep(1.1)
    del sealed.config["seal"]
    assert sealed.run("--name", "shop", "--keep", "2") == 0, sealed.errors
    left = inventory.scan(root, tiers=("daily",)).files
    assert [file.name.endswith(".age") for file in left] == [True, False]
    time.sleep(1.1)
    assert sealed.run("--name", "shop", "--keep", "1") == 0, sealed.errors
    assert not [name for name in sealed.names() if name.endswith(".age")]


WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "directory": ({}, ("--format", "directory"), "--format"),
    "tar": ({}, ("--format", "tar"), "--format"),
    "no recipient": ({"recipients": []}, (), "seal.at_rest"),
    "a key that nobody proved": ({"untested": False}, (), "seal.recipients"),
    "a recipient without set-up": ({"recipients": ["age1" + "q" * 58]}, (), "seal.recipients"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_sealed_is_refused_before_anything(sealed: SealedTree, case: str) -> None:
    changes, options, named = WRONG[case]
    sealed.config["seal"].update(changes)
    if case == "a key that nobody proved":
        proof = Path(sealed.keys_folder, keys.PROOF)
        proof.write_text(proof.read_text().replace('"declared"', '""'))
    assert sealed.run(*options) == 3
    assert named in sealed.errors and sealed.names() == [], sealed.errors


def test_without_age_there_is_no_backup_and_no_plain_one(
    sealed: SealedTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """age is gone, or ends early; pg_dump is ended, and nothing plain is left."""
    for program, why in (("/nowhere/age", "cannot be run"), ("false", "it could not be sealed")):
        monkeypatch.setattr(age, "PROGRAM", program)
        assert sealed.run() == 2
        assert why in sealed.errors and sealed.names() == [], sealed.errors


def run_own(tree: SealedTree, target: Path, script: str) -> int:
    """Run a script of the owner's that makes a backup; $0 is its path."""
    config = str(tree.root / "staging.json")
    own = ["--config", config, "--backup", target, "--dsn", dsn(tree.server)]
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "backup-manifest", *own, "--", "sh", "-c", script, target],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    ).returncode  # fmt: skip


def test_what_a_command_sealed_itself_gets_a_sealed_manifest(
    sealed: SealedTree, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = sealed.daily / "shop_20260101_030000.dump.age"
    recipients = Path(sealed.keys_folder, keys.RECIPIENTS)
    program = f'{BINARIES.path("pg_dump")} -Fc "{dsn(sealed.server)}"'
    with_snapshot = f'{program} ${{BACKUP_SNAPSHOT:+--snapshot="$BACKUP_SNAPSHOT"}}'
    dump = f'{with_snapshot} | age -R "{recipients}" > "$0"'
    assert sealed.run() == 0
    before = sealed.names()
    # What it would write plain is refused, and the command does not run.
    for name in ("shop_20260101_030000.dump", "shop_20260101_030000.dump.gz"):
        assert run_own(sealed, sealed.daily / name, f"{program} > $0") == 3
        errors = capfd.readouterr().err
        assert "--backup" in errors and f"age -R {recipients}" in errors, errors
    assert sealed.names() == before
    assert run_own(sealed, target, dump) == 0, capfd.readouterr().err
    manifest = f"{target.name.removesuffix('.age')}.manifest.json.age"
    assert sealed.names() == sorted([*before, target.name, manifest])
    assert found_in(sealed.daily.parent) == {}
    values = json.loads(opened(target.with_name(manifest), sealed.offline))
    assert values["sha256"] == hashlib.sha256(opened(target, sealed.offline)).hexdigest()
    # The command may have named other keys: the copy is sealed anew for those of today.
    assert "sealed_for" not in values
    drilled = drill.run(sealed.settings(tmp_path / "drill"), date="2026-01-01")
    assert (drilled["verdict"], drilled["backup"]["opened_from"]) == ("passed", str(target)), (
        drilled
    )
    assert {one["id"]: one["status"] for one in drilled["checks"]}["content"] == "passed"
    # A name alone seals nothing; neither does it where nothing is sealed at rest.
    assert run_own(sealed, sealed.daily / "shop_20260102_030000.dump.age", f"{program} > $0") == 1
    assert "not sealed, though its name ends in .age" in capfd.readouterr().err
    sealed.config["seal"]["at_rest"] = False
    assert sealed.run("--name", "plain") == 0
    assert run_own(sealed, sealed.daily / "shop_20260103_030000.dump.age", dump) == 1
    assert "gets no manifest" in capfd.readouterr().err


def test_a_killed_run_leaves_nothing_plain_and_nothing_that_counts(sealed: SealedTree) -> None:
    """While pg_dump waits, and in the middle of it."""
    assert killed_dumps(sealed, (0, 0.05, 0.2)) == []


def test_a_run_that_is_ended_ends_at_once(sealed: SealedTree) -> None:
    """pg_dump waits for a lock, and age for pg_dump."""
    assert sealed.run("--name", "whole") == 0, sealed.errors
    before = sealed.names()
    with contextlib.closing(psycopg2.connect(**sealed.server.dsn("shop"))) as connection:
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE public.log IN ACCESS EXCLUSIVE MODE")
        config = str(sealed.root / "staging.json")
        arguments = ["backup-manifest", "--config", config, "--tier", "daily"]
        started = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments, "--dsn", dsn(sealed.server)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: list(sealed.daily.glob(".new-backup-*/backup")), 60)
        started.terminate()
        _output, errors = started.communicate(timeout=15)
    assert (started.returncode, sealed.names()) == (2, before), errors
    assert "interrupted" in errors and "Traceback" not in errors, errors
