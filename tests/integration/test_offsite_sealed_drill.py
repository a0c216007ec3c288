"""A drill from a sealed copy closes the chain; the server's disk and logs hold no customer."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import backup_digest
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import (
    render_drill,
    render_html,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import restore_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import (
    recovery,
    recovery_run,
)
from support.backup_trees import backup_name
from support.drill_settings import drill_settings
from support.sealed_client import SealedClient, let_read, sealed_client, walk_text
from support.sshd import COLLECTIONS, ENGINE, Sshd, server
from testbed import Testbed

__all__ = ["server"]


@pytest.fixture
def client(
    bed: Testbed, server: Sshd, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[SealedClient]:
    """A client with one backup of the testbed's database, plain SQL, and its manifest, sealed."""
    with sealed_client(getattr(request, "param", "gate"), server, tmp_path) as made:
        daily = made.tree / "daily"
        for tier in ("daily", "weekly", "monthly"):
            (made.tree / tier).mkdir(parents=True)
        (made.tree / ".chefwell-backups").touch()
        access = bed.record["postgres"]
        backup = daily / backup_name(0).replace(".dump.gz", ".sql")
        config = tmp_path / "staging.json"
        places = {name: str(tmp_path) for name in ("work_dir", "state_dir", "backup_path")}
        config.write_text(json.dumps({**places, "log_file": str(tmp_path / "log")}))
        dsn = " ".join(
            f"{name}={access[name]}" for name in ("host", "port", "user", "password", "dbname")
        )
        dump = f'{access["bin_dir"]}/pg_dump ${{BACKUP_SNAPSHOT:+--snapshot="$BACKUP_SNAPSHOT"}}'
        subprocess.run(
            [sys.executable, "-m", f"{ENGINE}.host_cli", "backup-manifest", "--config", config,
             "--backup", backup, "--dsn", dsn, "--", "sh", "-c", f'{dump} "{dsn}" > "$0"', backup],
            check=True,
            env={"PYTHONPATH": str(COLLECTIONS), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert backup.with_name(f"{backup.name}.manifest.json").exists()
        result = made.sync()
        assert result.status == "ok", result
        yield made


def settings_of(bed: Testbed, client: SealedClient, root: Path) -> Any:
    root.mkdir(exist_ok=True)
    return drill_settings(
        root,
        bed.record["postgres"]["bin_dir"],
        backup_path=str(root / "gone"),
        offsite_config=str(client.config_file),
    )


def test_a_drill_closes_the_chain_in_one_line(
    bed: Testbed, client: SealedClient, server: Sshd, tmp_path: Path
) -> None:
    let_read(server)
    result = drill.run(settings_of(bed, client, tmp_path / "drill"), from_offsite=True)
    assert result["verdict"] == "passed", result
    check = next(one for one in result["checks"] if one["id"] == "sealed")
    assert check["status"] == "passed", check
    assert (
        check["evidence"].startswith("production at ") and "equal link by link" in check["evidence"]
    )
    backup = next((client.tree / "daily").glob("*.sql"))
    sealed = result["backup"]["sealed"]
    assert sealed["sha256"] == result["backup"]["sha256"] == backup_digest.take(str(backup))
    manifest = json.loads(backup.with_name(f"{backup.name}.manifest.json").read_text())
    assert sealed["taken_at"] == manifest["taken_at"]
    assert sealed["taken_at"] < sealed["sealed_at"] or "+" in sealed["sealed_at"]
    for language, words in (("en", "equal link by link"), ("pt_BR", "igual elo por elo")):
        page = render_drill.validation_report(result, language, False)
        assert words in " ".join(page.split()), page
    # Each link has its time: of the dump by its time of change, to the second.
    written = datetime.datetime.fromtimestamp(backup.stat().st_mtime, datetime.UTC)
    assert sealed["written_at"] == written.isoformat(timespec="seconds")
    times = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^ ,:]*", check["evidence"])
    assert len(times) == 5, check["evidence"]
    for language, word in (("en", "Chain"), ("pt_BR", "Cadeia")):
        page = render_html.html_report({"drill": result}, language)
        row = re.search(rf"<dt>{word}</dt><dd class=\"ok\">(.*?)</dd>", page, re.DOTALL)
        assert row and sealed["sha256"][:12] in row[1] and " → " in row[1], re.findall(
            "<dt>.*", page
        )
    recover_on_a_fresh_host(bed, client, tmp_path)


def recover_on_a_fresh_host(bed: Testbed, client: SealedClient, tmp_path: Path) -> None:
    """Restore beside production; the offline key and the public key are all that the host has."""
    fresh = client.new_host(tmp_path / "fresh", last_link=client.sync().last_link)
    access = bed.record["postgres"]
    target = restore_settings.RecoveryServer(
        **{name: access[name] for name in ("host", "port", "user", "password", "bin_dir")},
        dbname=access["dbname"],
    )
    recovered = recovery_run.restore_beside(
        recovery.RecoverySettings(settings_of(bed, fresh, tmp_path / "new"), target),
        from_offsite=True,
    )
    assert recovered["verdict"] == "passed", recovered
    assert any(one["id"] == "sealed" for one in recovered["checks"]), recovered["checks"]


@pytest.mark.parametrize("client", ["s3"], indirect=True)
def test_a_drill_and_a_recovery_from_object_storage(
    bed: Testbed, client: SealedClient, tmp_path: Path
) -> None:
    """S3 by moto's server, a stand-in: there is no S3 server among the packages."""
    again = client.sync()
    assert (again.status, again.files_sent) == ("ok", 0), again
    assert client.in_sync()
    (backup,) = (client.tree / "daily").glob("*.sql")
    (file,) = client.root.glob("rclone.conf")
    listed = subprocess.run(
        ["rclone", f"--config={file}", "lsf", "-R", "--files-only", "there:copy"],
        capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
    ).stdout.split()  # fmt: skip
    endings = (".age", ".link", ".manifest.json.age")
    assert sorted(listed) == sorted(f"daily/{backup.name}{ending}" for ending in endings)
    result = drill.run(settings_of(bed, client, tmp_path / "drill"), from_offsite=True)
    assert result["verdict"] == "passed", result
    check = next(one for one in result["checks"] if one["id"] == "sealed")
    assert check["status"] == "passed" and "equal link by link" in check["evidence"], check
    recover_on_a_fresh_host(bed, client, tmp_path)


def known_values(bed: Testbed) -> list[str]:
    """Names of tenants and tables, and what customers of the testbed are called."""
    access = bed.record["postgres"]
    found: set[str] = set()
    names = {name: access[name] for name in ("host", "port", "user", "password", "dbname")}
    with psycopg2.connect(**names) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema LIKE 'tenant%' OR table_schema = 'public'"
        )
        tables = cursor.fetchall()
        found |= {one for pair in tables for one in pair} - {"public"}
        for schema, table in tables:
            cursor.execute(f'SELECT * FROM "{schema}"."{table}" LIMIT 30')
            found |= {value for row in cursor.fetchall() for value in row if isinstance(value, str)}
    # Short words stand in any text, "closed" in sshd's log, and the server's folder has that name.
    return sorted(value for value in found - {"closed", "chefwell"} if len(value) > 5)


def test_the_server_holds_no_word_of_the_customers(
    bed: Testbed, client: SealedClient, server: Sshd
) -> None:
    client.sync()
    assert client.in_sync()
    words = [value.encode() for value in known_values(bed)]
    # By a digest in clear the server could verify a guess at a file.
    plain = [path for path in (client.tree / "daily").glob("*") if path.is_file()]
    assert len(plain) >= 2
    for path in plain:
        digest = hashlib.sha256(path.read_bytes()).digest()
        words += [digest, digest.hex().encode(), base64.b64encode(digest)[:40]]
    assert len(words) > 50
    backup = next((client.tree / "daily").glob("*.sql")).read_bytes()
    local = [word for word in words if word in backup]
    assert len(local) > 50, "the search itself finds nothing"
    places = [client.copy, server.root]
    text = b"".join(body for place in places for _path, body in walk_text(place))
    text += b"".join(str(path).encode() for place in places for path, _body in walk_text(place))
    assert len(text) > len(backup)
    assert [word for word in words if word in text] == []
    secret = (client.keys_folder / "identity").read_bytes().split()[-1]
    log = Path(client.options["log_file"])
    here = [client.ledger_file.read_bytes(), log.read_bytes() if log.exists() else b""]
    assert secret.startswith(b"AGE-SECRET-KEY-")
    assert not any(secret in body for body in [text, *here])
