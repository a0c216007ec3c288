"""The runbook of a host: its content, and when it counts as changed."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.settings import parse
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import restore_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.restore_settings import (
    RestoreSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery, runbook
from support.markdown import code_blocks
from support.production_server import PRODUCTION, production_server, run_sql
from support.stage_config import offsite_config

DRILL = {
    "time": "2025-11-20T15:30:00-03:00",
    "verdict": "passed",
    "backup": {"file": "chefwell_backup_20251120_030000.dump.gz", "bytes": 36864},
    "phases": [{"name": "restore", "seconds": 45.0}],
    "rto_seconds": 58.0,
    "rpo_seconds": 90000.0,
}
TARGET = restore_settings.RecoveryServer(
    host="db.chefwell.pro", user="postgres", password="a-secret-password"
)


@pytest.fixture
def values(tmp_path: Path) -> RestoreSettings:
    (tmp_path / "offsite.json").write_text(
        json.dumps(
            offsite_config({"host": "backup.example", "user": "u", "path": "/b", "state_dir": "/s"})
        )
    )
    given = {
        "work_dir": "/var/lib/chefwell-resilience/staging",
        "backup_path": "/root/backups",
        "log_file": "/var/log/chefwell-staging-restore.log",
        "scripts_dir": "/root/restaurante/scripts",
        "featured_schema": "tenant_chefwell",
        "runbook": str(tmp_path / "book" / "DISASTER-RECOVERY-PLAYBOOK.md"),
        "offsite_config": str(tmp_path / "offsite.json"),
        "contacts": [{"name": "Ana | Souza", "role": "DBA", "phone": "+55 11 5555-0100"}],
        "state_dir": str(tmp_path),
    }
    return parse(given, RestoreSettings)


def test_it_has_commands_people_and_what_was_measured(values: RestoreSettings) -> None:
    assert runbook.write(values, TARGET, DRILL)
    path = Path(values.runbook)
    text = path.read_text()
    for line in (
        "/root/restaurante/scripts/disaster-recovery.sh --from-offsite",
        f"--switch newest --confirm {recovery.host_name()}",
        "--tenant tenant_chefwell",
        "pg_restore -h db.chefwell.pro -p 5432 -U postgres -d restaurante_recovered",
        "u@backup.example:/b",
        "58 segundos | < 10 minutos | ✅",
        "25 horas | < 24 horas | ❌",
        "DBA, +55 11 5555-0100",
        "Contatos de emergência",
        "- [ ] ",
    ):
        assert line in text, text
    assert "a-secret-password" not in text
    assert path.stat().st_mode & 0o777 == 0o600
    english = runbook.render(dataclasses.replace(values, language="en"), TARGET, DRILL)
    assert "58 seconds | < 10 minutes | ✅" in english and "# 🚨 DISASTER" in english
    assert len(english.splitlines()) == len(text.splitlines())


def test_other_times_alone_are_no_change(values: RestoreSettings) -> None:
    assert runbook.write(values, TARGET, None)
    first = Path(values.runbook).read_text()
    assert "Nenhum teste de restauração foi feito" in first
    assert not runbook.write(values, TARGET, DRILL)
    second = Path(values.runbook).read_text()
    assert "58 segundos" in second
    assert not runbook.write(values, TARGET, DRILL)
    assert runbook.write(dataclasses.replace(values, contacts=[{"name": "Bia"}]), TARGET, DRILL)
    assert list(Path(values.runbook).parent.iterdir()) == [Path(values.runbook)]


def test_a_runbook_without_a_server_says_so(values: RestoreSettings) -> None:
    text = runbook.render(
        dataclasses.replace(values, offsite_config=""), restore_settings.RecoveryServer(), None
    )
    assert "staging_restore_recovery" in text and "--from-offsite\n" not in text


@pytest.mark.parametrize("person", [{"role": "DBA"}, {"name": "Ana", "fone": "1"}])
def test_a_contact_that_cannot_be_used_is_named(
    values: RestoreSettings, person: dict[str, str]
) -> None:
    with pytest.raises(ResilienceError, match="contact"):
        runbook.write(dataclasses.replace(values, contacts=[person]), TARGET, None)
    assert not Path(values.runbook).exists()


def test_by_hand_every_format_is_restored(
    values: RestoreSettings, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With PostgreSQL's programs alone; a dump that names production goes beside it."""
    daily = tmp_path / "backups" / "daily"
    daily.mkdir(parents=True)
    settings = dataclasses.replace(values, backup_path=str(tmp_path / "backups"), offsite_config="")
    with production_server(tmp_path_factory.mktemp("production")) as server:
        run_sql(server, "postgres", f"CREATE DATABASE {PRODUCTION}")
        run_sql(server, PRODUCTION, "CREATE TABLE content AS SELECT generate_series(1, 9) AS id")
        target = dataclasses.replace(
            TARGET, host=server.host, port=server.port, user=server.user, dbname=PRODUCTION
        )
        text = runbook.render(settings, target, None)
        (block,) = [one.text for one in code_blocks(text, "bash") if "createdb" in one.text]
        env = {"PATH": f"{server.binaries.bin_dir}:{os.defpath}", "PGPASSWORD": server.password}
        for number, options in enumerate((["-Fc"], ["-Fp"], ["-Fp", "--create"], ["-Ft"])):
            dump = [server.binaries.path("pg_dump"), *options, server.url(PRODUCTION)]
            made = subprocess.run(dump, capture_output=True, check=True).stdout
            kind = {"-Fc": "dump", "-Ft": "tar"}.get(options[0], "sql")
            (daily / f"shop_2025112{number}_030000.{kind}.gz").write_bytes(gzip.compress(made))
            (daily / f"shop_2025112{number}_030000.{kind}.gz.sha256").write_text("0\n")
            run_sql(server, PRODUCTION, "DELETE FROM content")
            ran = subprocess.run(
                ["bash", "-c", f"set -eo pipefail\n{block}"],
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, (options, ran.stdout, ran.stderr)
            count = "SELECT count(*) FROM content"
            assert run_sql(server, PRODUCTION, count) == [(9,)], options
            assert run_sql(server, f"{PRODUCTION}_before", count) == [(0,)], options
            run_sql(server, "postgres", f"DROP DATABASE {PRODUCTION}_before")
