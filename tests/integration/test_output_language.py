"""What a command prints in Portuguese holds no English of the engine's, on either stream."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from support.backup_trees import add_backup
from support.english_words import english
from support.stage_config import offsite_config

Printed = Callable[..., str]
# A service that cannot be reached; a page, a log and a textfile that cannot be written.
SERVICE = {"notify": ["json://127.0.0.1:1/x"]}
REFUSED = {
    "metrics_file": "/nowhere/x.prom",
    "status_page": "/nowhere/status.html",
    "log_file": "/nowhere/x.log",
}


@pytest.fixture
def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Printed:
    """Run a command with the usual language of a stage, Portuguese; return what it printed."""

    def run(command: str, *arguments: str, **values: Any) -> str:
        config = tmp_path / "stage.json"
        places = {"state_dir": str(tmp_path / "state"), "host_name": "web1"}
        config.write_text(json.dumps({**places, **REFUSED, **values}))
        host_cli.main([command, "--config", str(config), *arguments])
        shown = capsys.readouterr()
        # What is for programs stays English: the monitor's log, `key="value"`.
        lines = [line for line in shown.out.splitlines() if ' path="' not in line]
        text = "\n".join([*lines, shown.err])
        print(text)
        assert "Traceback" not in text
        return text

    return run


def test_the_test_finds_english() -> None:
    assert english("x: the metrics cannot be written: why")
    assert not english("as métricas não podem ser escritas: /the/metrics cannot")


def test_the_monitor_and_its_dashboard(printed: Printed, tmp_path: Path) -> None:
    values = {"paths": ["/"], "discover": False, "backup_path": str(tmp_path / "none")}
    values |= {
        **SERVICE,
        "warning": 1,
        "critical": 2,
        "emergency": 3,
        "fallback_dir": str(tmp_path / "run"),
    }
    text = printed("monitor-disk-space", **values)
    assert english(text) == []
    for sentence in (
        "o log /nowhere/x.log não pode ser escrito",
        "as métricas não podem ser escritas",
        "a página de status não pode ser escrita",
        "guardada(s) para a próxima execução",
    ):
        assert sentence in text
    assert english(printed("disk-status", **values)) == []
    (tmp_path / "state" / "history.sqlite3").write_bytes(b"no database" * 100)
    assert english(printed("disk-status", **values)) == []
    text = printed("monitor-disk-space", **{**values, "notify": []})
    assert english(text) == [] and "o histórico estava danificado" in text


@pytest.fixture
def destination(tmp_path: Path) -> Mapping[str, Any]:
    """A stage 2 with backups, whose server nobody runs."""
    for tier in ("daily", "weekly", "monthly"):
        (tmp_path / "b" / tier).mkdir(parents=True)
    add_backup(tmp_path / "b", "daily", 0.1)
    add_backup(tmp_path / "b", "weekly", 2)
    (tmp_path / "b" / ".chefwell-backups").touch()
    key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")]
    subprocess.run(key, check=True)
    (tmp_path / "known").touch()
    access = {"host": "127.0.0.1", "port": 1, "user": "backup", "path": "/copy", "tries": 1}
    keys = {"key_file": str(tmp_path / "key"), "known_hosts_file": str(tmp_path / "known")}
    return offsite_config({**REFUSED, **access, **keys, "backup_path": str(tmp_path / "b")})


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("sync-backups-offsite", (), "falhou: "),
        ("sync-backups-offsite", ("--dry-run",), "falhou: "),
        ("sync-backups-offsite", ("--check",), "a configuração está correta"),
        ("sync-backups-offsite", ("--test-connection",), "confira a porta"),
        ("sync-backups-offsite", ("--test-message",), "Nenhum endereço"),
        ("verify-offsite-backups", (), "confira a porta"),
        ("repair-offsite", (), "confira a porta"),
    ],
)
def test_stage_2(
    printed: Printed,
    destination: Mapping[str, Any],
    command: str,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    text = printed(command, *arguments, **destination)
    assert english(text) == [] and sentence in text


def test_a_sync_that_a_guard_refuses(
    printed: Printed, destination: Mapping[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "b" / ".chefwell-backups").unlink()
    (tmp_path / "b" / "daily" / "latest.dump.gz").symlink_to("/nowhere")
    text = printed("sync-backups-offsite", **destination)
    assert english(text) == [] and "recusado: recusado antes de enviar" in text
    text = printed("sync-backups-offsite", "--override", "source-marker", **destination)
    assert english(text) == []


def test_the_servers_job(printed: Printed, tmp_path: Path) -> None:
    server = {"root": str(tmp_path / "copy"), "language": "pt_BR"}
    config = tmp_path / "server.json"
    config.write_text(json.dumps(server))
    text = printed("keep-offsite-copy", **server)
    assert english(text) == []


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("setup-staging", ()),
        ("test-restore-staging", ()),
        ("test-restore-staging", ("--date", "2001-01-01")),
        ("validate-staging", ()),
        ("cleanup-staging", ()),
        ("write-runbook", ()),
        ("disaster-recovery", ()),
        ("disaster-recovery", ("--status",)),
        ("disaster-recovery", ("--undo",)),
        ("backup-manifest", ("--orphans", "list")),
    ],
)
def test_stage_3(
    printed: Printed, tmp_path: Path, command: str, arguments: tuple[str, ...]
) -> None:
    values = {"backup_path": str(tmp_path / "none"), "engine": "embedded"}
    values |= {"bin_dir": "/nowhere", "work_dir": str(tmp_path / "work"), "scripts_dir": "/s"}
    assert english(printed(command, *arguments, **values)) == []
