"""How drills end: signals in the clean-up, programs cut off, a kept staging that is slow."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import drill_result
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.proof_settings import (
    ProofSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import (
    engine_embedded,
    staging,
    staging_state,
)
from support.drill_settings import drill_settings, settings
from support.waiting import wait_for
from testbed import production

__all__ = ["settings"]


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Backups of one database in several forms."""
    folder = tmp_path_factory.mktemp("backups")
    folder.chmod(0o755)
    made = drill_settings(folder, production.binaries().bin_dir)
    drill.set_up(made)
    try:
        server = staging.make_engine(made.staging).find()
        assert server
        with contextlib.closing(psycopg2.connect(**server.dsn("postgres"))) as connection:
            connection.autocommit = True
            connection.cursor().execute(
                "CREATE TABLE shop AS SELECT n AS id, md5(n::text) AS name"
                " FROM generate_series(1, 60000) n"
            )
        for form, name in (("-Fc", "shop.dump"), ("-Ft", "shop.tar"), ("-Fp", "shop.sql")):
            dump = [server.binaries.path("pg_dump"), form, f"--file={folder / name}"]
            subprocess.run([*dump, server.url("postgres")], check=True)
        subprocess.run(["zstd", "-q", str(folder / "shop.sql")], check=True)
        (folder / "shop.sql").unlink()
    finally:
        drill.clean_up(made)
    return folder


def configuration(settings: ProofSettings, root: Path) -> Path:
    path = root / "staging.json"
    values = {
        "engine": "embedded",
        "work_dir": settings.staging.work_dir,
        "state_dir": settings.state_dir,
        "bin_dir": settings.staging.bin_dir,
        "report_dir": str(root / "reports"),
        "backup_path": str(root),
        "runbook": "",
        "tenants": {"query": ""},
        "log_file": str(root / "log"),
        "language": "en",
    }
    path.write_text(json.dumps(values))
    return path


def command(config: Path, *arguments: str) -> list[str]:
    collection = "ansible_collections.chefwell.resilience.plugins.module_utils"
    return [sys.executable, "-m", f"{collection}.host_cli", *arguments, f"--config={config}"]


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGHUP])
def test_signals_in_the_clean_up_change_nothing(
    settings: ProofSettings, backups: Path, tmp_path: Path, first: signal.Signals
) -> None:
    """Ctrl-C in the clean-up, and again: the report is there, nothing is left, the code counts."""
    config = configuration(settings, tmp_path)
    backup = str(backups / "shop.dump")
    with subprocess.Popen(
        command(config, "test-restore-staging", "--json", "--backup", backup),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    ) as running:
        assert running.stderr and running.stdout
        for line in running.stderr:
            if "Clean" in line:
                break
        for number in (first, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, number)
            time.sleep(0.05)
        rest = running.stderr.read()
        result = json.loads(running.stdout.read())
        running.wait(60)
    assert (running.returncode, result["verdict"]) == (0, "passed"), rest
    assert "Traceback" not in rest
    assert (drill_result.last_result(settings.state_dir) or {})["verdict"] == "passed"
    assert list((tmp_path / "reports").iterdir())
    assert nothing_left(settings)


def nothing_left(settings: ProofSettings) -> bool:
    work = Path(settings.staging.work_dir)
    left = [path.name for path in work.iterdir() if path.name != staging_state.LOCK]
    return left == [] and not servers(settings)


def servers(settings: ProofSettings) -> list[psutil.Process]:
    data = os.path.join(settings.staging.work_dir, "cluster", "data")
    return [one for one in psutil.process_iter(["cmdline"]) if data in (one.info["cmdline"] or ())]


def test_a_signal_while_staging_is_removed_does_not_leave_half_of_it(
    settings: ProofSettings, tmp_path: Path
) -> None:
    drill.set_up(settings)
    config = configuration(settings, tmp_path)
    with subprocess.Popen(
        command(config, "cleanup-staging", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as running:
        wait_for(lambda: not servers(settings), 20)
        for number in (signal.SIGINT, signal.SIGTERM):
            running.send_signal(number)
        _output, errors = running.communicate(timeout=60)
    assert "Traceback" not in errors
    assert nothing_left(settings)


class Killer:
    """Kills each program of some name that a drill starts."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.killed = names, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        own = psutil.Process()
        while not self._stop.is_set():
            with contextlib.suppress(psutil.Error):
                for one in own.children(recursive=True):
                    if one.name() in self.names:
                        one.kill()
                        self.killed += 1
            time.sleep(0.001)


@pytest.mark.parametrize(
    ("name", "program"),
    [("shop.dump", "pg_restore"), ("shop.tar", "pg_restore"), ("shop.sql.zst", "zstd")],
)
def test_a_program_that_is_cut_off_says_nothing_about_the_backup(
    settings: ProofSettings, backups: Path, name: str, program: str
) -> None:
    """As the kernel does for memory, and an engine that ends."""
    with Killer([program]) as killer:
        result = drill.run(settings, path=str(backups / name))
    assert killer.killed
    assert result["verdict"] == "could_not_verify", result
    assert "was cut off" in result["problem"], result


@pytest.mark.parametrize("what", ["drill", "set up again"])
def test_a_kept_staging_that_is_slow_is_not_removed(
    settings: ProofSettings, backups: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(engine_embedded, "SLOW_SECONDS", 2)
    drill.set_up(settings)
    first = servers(settings)[0]
    stopped = [one for server in servers(settings) for one in (server, *server.children())]
    for one in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.suspend()
    try:
        if what == "drill":
            result = drill.run(settings, path=str(backups / "shop.dump"))
            assert result["verdict"] == "could_not_verify"
            problem: Any = result["problem"]
        else:
            with pytest.raises(ResilienceError) as caught:
                drill.set_up(settings)
            problem = str(caught.value)
        assert "does not respond" in problem and "cleanup-staging" in problem
        assert first.is_running() and staging_state.read(settings.staging)
    finally:
        for one in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()
    assert drill.run(settings, path=str(backups / "shop.dump"))["verdict"] == "passed"
    kept = staging_state.read(settings.staging)
    assert kept and kept.kept and first.is_running()
    assert dataclasses.asdict(kept)["restored"]
