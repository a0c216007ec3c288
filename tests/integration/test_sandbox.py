"""What a backup starts in an embedded staging reaches nothing, and is gone with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.proof_settings import (
    ProofSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import sandbox, staging
from support.drill_settings import settings
from support.waiting import wait_for

__all__ = ["settings"]

SECRET = "what only this host knows"


def program(settings: ProofSettings, script: str) -> str:
    """What a program that the restored database starts writes."""
    server = staging.make_engine(settings.staging).find()
    assert server
    with contextlib.closing(psycopg2.connect(**server.dsn("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS output")
            cursor.execute("CREATE TABLE output (line text)")
            cursor.execute(
                "COPY output FROM PROGRAM %s", [f"( {script} ) 2>&1 | tr '\\\\\\t' '/ '"]
            )
            cursor.execute("SELECT coalesce(string_agg(line, chr(10)), '') FROM output")
            return str(cursor.fetchone()[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's sandbox is that user's own")
def test_a_program_of_the_database_leads_nobody_to_another_server(settings: ProofSettings) -> None:
    """Where the server listens, and by which password, is what a later command believes."""
    drill.set_up(settings)
    server = staging.make_engine(settings.staging).find()
    assert server
    folder, socket = (
        Path(settings.staging.work_dir) / "cluster",
        Path(server.host) / ".s.PGSQL.5432",
    )
    held = {name: (folder / name).read_text() for name in ("sockets", "password")}
    before = socket.lstat()
    output = program(
        settings,
        f"cd {folder}; cat password; echo /elsewhere > sockets; echo known > password;"
        f" rm -rf password sockets; ln -s /etc/shadow server.log;"
        f" rm -f {socket}; mv {socket} {socket}.gone; ln -sf /run/other {socket};"
        f" mv {server.host} {server.host}.gone; mount -t tmpfs tmpfs {server.host}",
    )
    assert server.password not in output
    assert {name: (folder / name).read_text() for name in held} == held
    assert not (folder / "server.log").is_symlink()
    assert (socket.lstat().st_ino, socket.is_symlink()) == (before.st_ino, False), output
    assert staging.make_engine(settings.staging).find() == server
    psycopg2.connect(**server.dsn("postgres")).close()
    assert held["password"] == server.password and not (folder / "secret").exists()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(**{**server.dsn("postgres"), "password": "known"})


def test_a_program_of_the_database_reaches_nothing(settings: ProofSettings, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o644)
    drill.set_up(settings)
    output = program(
        settings,
        f"id -u; cat {tmp_path}/secret /etc/shadow; ls /root /home; cat /proc/net/dev; ls /proc",
    )
    lines = output.splitlines()
    assert lines[0] == str(65534 if os.geteuid() == 0 else os.geteuid())
    assert SECRET not in output and "root:" not in output
    assert output.count("No such file") + output.count("Permission denied") >= 3
    devices = [line.split(":")[0].strip() for line in lines if ":" in line and "|" not in line]
    assert "lo" in devices and not [one for one in devices if one.startswith(("eth", "ens"))]
    # Of all processes it sees its own alone.
    assert len([line for line in lines if line.isdigit()]) < 20


def test_what_a_program_left_behind_ends_with_staging(settings: ProofSettings) -> None:
    drill.set_up(settings)
    program(settings, "setsid sleep 4321 > /dev/null 2>&1 & echo started")
    wait_for(sleeping)
    drill.clean_up(settings)
    wait_for(lambda: not sleeping())
    assert not sleeping()


def test_it_ends_at_once_where_sigquit_is_ignored(settings: ProofSettings) -> None:
    """As it is below `command &` of a shell, which programs inherit."""
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        drill.set_up(settings)
        began = time.monotonic()
        drill.clean_up(settings)
        assert time.monotonic() - began < 5
    finally:
        signal.signal(signal.SIGQUIT, before)


def sleeping() -> list[int]:
    return [
        one.pid
        for one in psutil.process_iter(["cmdline"])
        if one.info["cmdline"] == ["sleep", "4321"]
    ]


@pytest.mark.parametrize("form", ["-Fc", "-Fd", "-Fp"])
@pytest.mark.parametrize("closed", [False, True])
def test_backups_are_restored_in_it(
    settings: ProofSettings, tmp_path: Path, form: str, closed: bool
) -> None:
    """Also one that only root may read."""
    drill.set_up(settings)
    server = staging.make_engine(settings.staging).find()
    assert server
    with contextlib.closing(psycopg2.connect(**server.dsn("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE source")
            cursor.execute("CREATE TABLE shop AS SELECT generate_series(1, 100) AS id")
    backup = tmp_path / "closed" / "backup_20251120_030000.dump"
    backup.parent.mkdir()
    dump = [server.binaries.path("pg_dump"), form, f"--file={backup}", server.url("postgres")]
    subprocess.run(dump, check=True)
    if closed:
        backup.parent.chmod(0o700)
        backup.chmod(0o700 if backup.is_dir() else 0o600)
    result = drill.run(settings, path=str(backup))
    assert result["verdict"] == "passed", result
    assert result["totals"]["rows"] == 100


def test_where_there_is_none_it_is_refused(
    settings: ProofSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("true", "ldd"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    monkeypatch.setattr(sandbox, "PROGRAM_PATH", str(tools))
    with pytest.raises(ResilienceError, match="bubblewrap is not installed") as caught:
        drill.set_up(settings)
    assert "staging_restore_sandbox" in str(caught.value.remedy)
    refuses = tools / "bwrap"
    refuses.write_text(
        "#!/bin/sh\necho 'bwrap: no permissions to create new namespace' >&2; exit 1"
    )
    refuses.chmod(0o755)
    with pytest.raises(ResilienceError, match="no permissions to create"):
        drill.set_up(settings)
