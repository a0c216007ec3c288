"""Stage 3 as a user runs it: the playbook, the drill, the four commands, and the rollback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psutil
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import age
from support.play_host import PlayHost
from testbed import Testbed
from testbed.services import free_port

PLAYBOOK = "stage3_staging_restore.yml"
TENANTS = 3


@pytest.fixture(scope="module")
def host(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayHost]:
    root = tmp_path_factory.mktemp("host")
    record = bed.record
    made = PlayHost(
        root,
        staging_restore_engine="embedded",
        staging_restore_bin_dir=record["postgres"]["bin_dir"],
        staging_restore_backup_path=record["backups"],
        staging_restore_backend_command=[record["backend"]["python"], record["backend"]["script"]],
        staging_restore_backend_env={"JWT_SECRET": "staging-only"},
        staging_restore_backend_port=free_port(),
        staging_restore_api_users=record["users"],
        staging_restore_database={"host": "127.0.0.1", "port": record["postgres"]["port"]},
    )
    before = production(bed)
    first = made.play(PLAYBOOK)
    assert first["changed"] > 0
    made.variables["first"] = first
    yield made
    made.play("rollback_stage3.yml")
    assert not made.scripts.exists() and not (root / "lib").exists()
    for gone in (
        "staging",
        "work",
        "staging.log",
        "reports",
        "etc/staging.json",
        "state/drill.json",
        "DISASTER-RECOVERY-PLAYBOOK.md",
        "logrotate.d/staging-restore",
    ):
        assert not (root / gone).exists(), gone
    assert servers(root) == []
    assert production(bed) == before
    assert made.play("rollback_stage3.yml")["changed"] == 0


def production(bed: Testbed) -> dict[str, Any]:
    """What must be the same afterwards: the servers, the rows, the backups."""
    connection = bed.connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenant_chefwell.products")
        row = cursor.fetchone()
    connection.close()
    files = {
        str(path): path.stat().st_size for path in sorted(Path(bed.record["backups"]).rglob("*.gz"))
    }
    return {"servers": bed.status(), "products": row, "files": files}


def servers(root: Path) -> list[str]:
    """Processes that have a path of this host in their command line."""
    found = []
    for one in psutil.process_iter(["cmdline", "status"]):
        words = one.info["cmdline"] or []
        if one.info["status"] != psutil.STATUS_ZOMBIE and any(str(root) in word for word in words):
            found.append(" ".join(words))
    return found


def result(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_the_second_run_changes_nothing(host: PlayHost) -> None:
    assert host.play(PLAYBOOK)["changed"] == 0
    kept = json.loads((host.root / "state" / "drill.json").read_text())
    assert kept["verdict"] == "passed" and kept["confidence"] == 100.0
    assert (host.root / "etc" / "staging.json").stat().st_mode & 0o777 == 0o600


def test_a_drill_leaves_nothing_and_reports_everything(host: PlayHost, bed: Testbed) -> None:
    ended = host.command("test-restore-staging")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for line in (
        "RELATÓRIO DE VALIDAÇÃO - STAGING RESTORE",
        "   - products: 28 registros ✅",
        "   - stripe_payments: 0 registros ✅",
        "   - Foreign Keys: 9/9 ✅",
        "   - Indexes: 14/14 ✅",
        "   - Unique Constraints: 2/2 ✅",
        "   - Listar Clientes: ✅ OK (21 clientes)",
        "✅ RESULTADO: BACKUP VÁLIDO E RESTAURÁVEL",
        "🎯 Confiança: 100%",
    ):
        assert line in ended.stdout, ended.stdout
    tables = ended.stdout.split("TABELAS")[1].split("INTEGRIDADE")[0]
    names = [line.split()[1].rstrip(":") for line in tables.splitlines() if " - " in line]
    assert names == host_order()
    assert servers(host.root) == []
    assert os.listdir(host.root / "work") == ["lock"]
    log = (host.root / "staging.log").read_text()
    assert "verdict=passed" in log
    reports = host.root / "reports"
    assert sorted(os.listdir(reports)) == ["junit.xml", "report.html", "report.json"]
    assert {path.stat().st_mode & 0o777 for path in reports.iterdir()} == {0o600}
    result = json.loads((reports / "report.json").read_text())
    assert result["verdict"] == "passed"
    suite = ElementTree.parse(reports / "junit.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert suite.get("tests") == str(len(result["checks"]))
    # The first drill was the play's own, so there is a history to plot.
    page = (reports / "report.html").read_text()
    assert "Testes anteriores" in page and "Tempo de recuperação" in page


def host_order() -> list[str]:
    """The plan's own order."""
    return [
        *("products", "categories", "sales", "customers"),
        *("tabs", "orders", "expenses", "stripe_payments"),
    ]


def test_every_tenant_is_checked(host: PlayHost, bed: Testbed) -> None:
    drill = result(host.command("test-restore-staging", "--json"))
    assert drill["totals"]["schemas"] == 4 and drill["totals"]["tables"] == 3 * 8 + 2
    by_id = {check["id"]: check for check in drill["checks"]}
    assert by_id["tenants"]["evidence"].startswith("tenants listed: 3, schemas of tenants: 3")
    assert by_id["api_login"]["evidence"].startswith("3/3 users")
    assert [phase["name"] for phase in drill["phases"]] == [
        *("digest", "decode", "staging", "restore", "backend", "validate", "cleanup")
    ]
    assert drill["rto_seconds"] < drill["objectives"]["rto_seconds"]


def test_staging_that_was_set_up_stays_until_cleaned_up(host: PlayHost) -> None:
    nothing = host.command("validate-staging")
    assert nothing.returncode == 3 and "setup-staging" in nothing.stderr
    assert host.command("setup-staging").returncode == 0
    assert len(servers(host.root)) >= 1
    assert host.command("test-restore-staging").returncode == 0
    validated = result(host.command("validate-staging", "--json"))
    assert validated["verdict"] == "passed"
    # A second restore replaces the first one's database.
    older = result(host.command("test-restore-staging", "--json", "--tier", "monthly"))
    assert older["verdict"] == "passed" and older["backup"]["tier"] == "monthly"
    cleaned = host.command("cleanup-staging")
    assert cleaned.returncode == 0 and "produção" in cleaned.stdout
    assert servers(host.root) == []
    assert result(host.command("cleanup-staging", "--json")) == {"removed": []}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_a_drill_that_was_ended_leaves_nothing(host: PlayHost, number: signal.Signals) -> None:
    """SIGKILL: the next one cleans up. Others: it does so itself, whatever comes meanwhile."""
    with subprocess.Popen(
        [str(host.scripts / "test-restore-staging.sh"), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={},
    ) as running:
        deadline = time.monotonic() + 30
        # The server itself: what initdb starts ends with it.
        while not any("/postgres -D" in line for line in servers(host.root / "work")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(number)
        if number != signal.SIGKILL:
            for _again in range(20):
                time.sleep(0.02)
                if running.poll() is None:
                    running.send_signal(signal.SIGTERM)
        output = running.communicate()[0]
    if number != signal.SIGKILL:
        drill = json.loads(output)
        assert running.returncode == 3
        assert (drill["verdict"], drill["confidence"]) == ("could_not_verify", None)
        assert servers(host.root / "work") == []
    else:
        assert servers(host.root / "work") != []
        assert result(host.command("test-restore-staging", "--json"))["verdict"] == "passed"
    assert servers(host.root / "work") == []
    assert os.listdir(host.root / "work") == ["lock"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"staging_restore_bin_dir": "/nowhere"}, "bin_dir"),
        ({"staging_restore_backend_command": ["/bin/false"]}, "the staging backend ended"),
        ({"staging_restore_backup_path": "/nowhere"}, "the backup tree cannot be read"),
    ],
)
def test_what_is_wrong_with_the_lab_is_no_verdict_on_the_backup(
    host: PlayHost, change: dict[str, object], expected: str
) -> None:
    failed = host.run(PLAYBOOK, **change)
    try:
        assert failed.returncode != 0 and expected in failed.stdout, failed.stdout
        assert "could_not_verify" in failed.stdout or "cannot be read" in failed.stdout
        assert servers(host.root / "work") == []
    finally:
        host.play(PLAYBOOK, staging_restore_drill_now=False)


def test_a_backup_is_made_with_its_manifest(host: PlayHost, bed: Testbed, tmp_path: Path) -> None:
    server = bed.record["postgres"]
    dsn = " ".join(
        f"{key}='{server[name]}'"
        for key, name in (
            *(("host", "host"), ("port", "port"), ("user", "user")),
            *(("password", "password"), ("dbname", "dbname")),
        )
    )
    backup = tmp_path / "chefwell_backup_20251120_030000.dump.gz"
    beside = Path(f"{backup}.manifest.json")
    dump = f'{server["bin_dir"]}/pg_dump -Fc -d "$0" --snapshot="$BACKUP_SNAPSHOT"'
    made = ["/bin/sh", "-c", f"set -e; {dump} | /usr/bin/gzip > {backup}", dsn]
    # Of a backup that was rotated away two days ago, and of one that is still to get its name.
    rotated, young = (tmp_path / f"{name}.dump.gz.manifest.json" for name in ("old", "young"))
    for orphan in (rotated, young):
        orphan.write_text("{}")
    os.utime(rotated, (time.time() - 2 * 86400,) * 2)
    ended = host.command("backup-manifest", "--backup", str(backup), "--dsn", dsn, "--", *made)
    assert ended.returncode == 0, ended.stderr
    assert "Manifesto gravado: 26 tabelas" in ended.stdout
    assert (rotated.exists(), young.exists()) == (False, True)
    assert json.loads(beside.read_text())["locale"]["collate"] == "C.UTF-8"
    assert beside.stat().st_mode & 0o777 == 0o600
    drill = result(host.command("test-restore-staging", "--json", "--backup", str(backup)))
    by_id = {check["id"]: check for check in drill["checks"]}
    assert drill["verdict"] == "passed" and drill["confidence"] == 100.0
    assert by_id["content"]["evidence"].startswith("26/26 tables")
    assert "SHA-256 as in its manifest" in by_id["archive"]["evidence"]
    assert "compared with the manifest" in by_id["row_counts"]["evidence"]
    # Whatever becomes of the manifest, the command runs, and its own end counts.
    beside.unlink()
    lone = ["/bin/sh", "-c", f"echo ran ${{BACKUP_SNAPSHOT:-without}} > {backup}"]
    nowhere = host.command(
        "backup-manifest", "--backup", str(backup), "--dsn", "host=/nowhere dbname=x", "--", *lone
    )
    assert nowhere.returncode == 1 and "não pode ser lido para o manifesto" in nowhere.stderr
    assert backup.read_text() == "ran without\n" and not beside.exists()
    failed = host.command(
        "backup-manifest", "--backup", str(backup), "--dsn", dsn, "--", "/bin/sh", "-c", "exit 7"
    )
    assert failed.returncode == 2 and "terminou com 7" in failed.stderr and not beside.exists()


def test_a_damaged_backup_fails_the_drill_and_the_play(host: PlayHost, tmp_path: Path) -> None:
    daily = tmp_path / "daily"
    daily.mkdir()
    whole = max(Path(str(host.variables["staging_restore_backup_path"])).glob("daily/*.gz"))
    damaged = daily / whole.name
    damaged.write_bytes(whole.read_bytes()[:-1000])
    ended = host.command("test-restore-staging", "--json", "--backup", str(damaged))
    drill = result(ended)
    assert ended.returncode == 2
    assert drill["verdict"] == "failed" and "damaged or cut off" in drill["problem"]
    assert [check["id"] for check in drill["checks"] if check["status"] == "failed"] == ["archive"]
    assert "staging" not in [phase["name"] for phase in drill["phases"]]


def test_check_mode_on_a_fresh_host_touches_nothing(bed: Testbed, tmp_path: Path) -> None:
    fresh = PlayHost(
        tmp_path / "fresh",
        staging_restore_backup_path=bed.record["backups"],
    )
    assert fresh.play(PLAYBOOK, "--check", "--diff")["changed"] >= 2
    assert list(tmp_path.iterdir()) == []


def test_backups_are_sealed_on_the_host_where_at_rest_is_set(
    host: PlayHost, bed: Testbed, tmp_path: Path
) -> None:
    """Without stage 2 the play makes the keys, too; what it installs seals, opens and drills."""
    _secret, public = age.new_identity()
    seal = {"recipients": [public], "untested": True, "at_rest": True}
    backups = tmp_path / "backups"
    (backups / "daily").mkdir(parents=True)
    host.play(
        PLAYBOOK,
        staging_restore_drill_now=False,
        staging_restore_backup_path=str(backups),
        resilience_backup_tiers=["daily"],
        resilience_seal=seal,
    )
    server = bed.record["postgres"]
    dsn = " ".join(f"{key}={server[key]}" for key in ("host", "port", "user", "password", "dbname"))
    made = host.command("backup-manifest", "--tier", "daily", "--dsn", dsn)
    assert made.returncode == 0, made.stderr
    assert {path.suffix for path in (backups / "daily").iterdir()} == {".age"}
    drill = result(host.command("test-restore-staging", "--json"))
    assert drill["verdict"] == "passed" and drill["backup"]["opened_from"].endswith(".dump.age")
    assert host.play(PLAYBOOK, staging_restore_drill_now=False)["changed"] > 0
