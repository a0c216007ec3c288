"""T3.6 in earnest: the server is gone with its database, backups, keys and commands. A new one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.play_host import PlayHost
from testbed import Testbed, production

HOST = socket.gethostname()
PLAYBOOK = "disaster_recovery.yml"


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """A testbed of which nothing is left but the copies on the backup server."""
    bed = Testbed.up(tmp_path_factory.mktemp("bed"), tenants=2)
    held = Path(bed.record["ssh"]["path"])
    shutil.copytree(bed.record["backups"], held, dirs_exist_ok=True)
    for path in [held, *held.rglob("*")]:
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
    bed.production.stop()
    for gone in (bed.record["postgres"]["data_dir"], bed.record["backups"]):
        shutil.rmtree(gone)
    yield bed
    bed.down()


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[production.Production]:
    """PostgreSQL as after its installation: without a database of the product."""
    with production.alone(tmp_path_factory.mktemp("new")) as made:
        yield made


@pytest.fixture(scope="module")
def host(
    lost: Testbed, new: production.Production, tmp_path_factory: pytest.TempPathFactory
) -> PlayHost:
    root = tmp_path_factory.mktemp("host")
    server, access = lost.record["ssh"], new.settings
    known = ("host", "port", "user", "password", "dbname", "bin_dir")
    return PlayHost(
        root,
        # Only the inventory is left; it holds the path of the copies.
        resilience_offsite={
            "host": server["host"],
            "port": server["port"],
            "user": server["user"],
            "path": server["path"],
            "mode": "account",
            "inventory_host": "localhost",
            "host_key_file": server["host_key_file"],
            "authorized_keys": server["authorized_keys"],
        },
        staging_restore_offsite_key_file=str(root / "ssh" / "chefwell_read"),
        staging_restore_source="offsite",
        staging_restore_engine="embedded",
        staging_restore_bin_dir=access["bin_dir"],
        staging_restore_backup_path=str(root / "backups"),
        staging_restore_runbook="",
        staging_restore_logrotate_file="",
        staging_restore_recovery={name: access[name] for name in known},
    )


def rows(new: production.Production, dbname: str) -> int:
    with contextlib.closing(new.connect(dbname)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenant_chefwell.products")
        found = cursor.fetchone()
    assert found is not None
    return int(found[0])


def databases(new: production.Production) -> set[str]:
    with contextlib.closing(new.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
        return {name for (name,) in cursor.fetchall()}


def test_one_play_brings_production_to_a_new_server(
    host: PlayHost, new: production.Production
) -> None:
    assert not host.scripts.exists() and databases(new) == {"postgres"}
    play = host.run(
        PLAYBOOK,
        staging_restore_recovery_from_offsite=True,
        staging_restore_recovery_confirm=HOST,
    )
    assert play.returncode == 0, play.stdout + play.stderr
    assert "there was none" in play.stdout
    assert "Not as before: replication slots of the lost database" in play.stdout
    assert databases(new) == {"postgres", "restaurante"}
    assert rows(new, "restaurante") == 28


def test_the_commands_fetch_from_offsite_too(host: PlayHost, new: production.Production) -> None:
    drill = host.command("test-restore-staging", "--from-offsite", "--json")
    result = json.loads(drill.stdout)
    assert (drill.returncode, result["verdict"]) == (0, "passed"), result
    assert result["phases"][0]["name"] == "fetch" and result["backup"]["fetched_from"]
    # Without the option the configuration decides, and there is no local backup anyway.
    configured = json.loads(host.command("test-restore-staging", "--json").stdout)
    assert configured["backup"]["fetched_from"] == result["backup"]["fetched_from"]
    beside = host.command("disaster-recovery", "--from-offsite", "--tier", "weekly", "--json")
    result = json.loads(beside.stdout)
    assert (beside.returncode, result["verdict"]) == (0, "passed"), result
    assert result["backup"]["tier"] == "weekly" and rows(new, result["name"]) > 0
    which = ["--from-offsite", "--backup", "/nowhere"]
    both = host.command("disaster-recovery", *which, "--json")
    assert both.returncode == 3 and "cannot be fetched from offsite" in both.stderr


def test_the_key_goes_when_the_stage_does(host: PlayHost, lost: Testbed) -> None:
    let_in = Path(lost.record["ssh"]["authorized_keys"])
    public = (host.root / "ssh" / "chefwell_read.pub").read_text().split()[1]
    assert f"restrict ssh-ed25519 {public}" in let_in.read_text()
    assert (host.root / "ssh" / "chefwell_read").stat().st_mode & 0o777 == 0o600
    assert host.play("stage3_staging_restore.yml", staging_restore_drill_now=False)["changed"] == 0
    host.play("rollback_stage3.yml")
    assert public not in let_in.read_text()
    assert not (host.root / "etc" / "offsite_read.json").exists()
    # The pair itself stays: it may have been there before.
    assert (host.root / "ssh" / "chefwell_read.pub").exists()
    assert host.play("rollback_stage3.yml")["changed"] == 0
