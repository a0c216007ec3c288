"""Each transport lists and fetches: a drill and a recovery work from it, first or further."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_fetch,
    rsync_fetch,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import (
    proof_settings,
    restore_settings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import (
    recovery,
    recovery_run,
)
from support.drill_settings import drill_settings
from support.offsite_client import destination_on
from support.rclone_server import configuration, serving
from support.sshd import Sshd, server
from testbed import Testbed

__all__ = ["server"]

BARE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
KINDS = ("gate", "account", "sftp", "webdav", "s3")


@pytest.fixture(scope="module")
def held(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the testbed's backups; the newest has its digest beside it."""
    folder = tmp_path_factory.mktemp("held") / "backups"
    shutil.copytree(bed.record["backups"], folder)
    newest = max((folder / "daily").iterdir())
    digest = subprocess.run(
        ["sha256sum", newest.name], cwd=newest.parent, capture_output=True, text=True, check=True
    )
    newest.with_name(newest.name + ".sha256").write_text(digest.stdout)
    return folder


@pytest.fixture(params=KINDS)
def config(
    request: pytest.FixtureRequest, server: Sshd, held: Path, tmp_path: Path
) -> Iterator[Path]:
    """Stage 2's configuration: the first destination is gone, the second, `far`, holds a copy."""
    kind = request.param
    gone = {"host": "127.0.0.1", "port": 1, "user": "u", "path": "/gone", "key_file": "/nowhere"}
    made = tmp_path / "offsite.json"

    def written(far: dict[str, Any]) -> Path:
        stage = {"config_dir": str(tmp_path), "state_dir": str(tmp_path / "state")}
        made.write_text(
            json.dumps({**stage, "destinations": [gone, {"name": "far", "tries": 1, **far}]})
        )
        return made

    if kind in ("gate", "account"):
        server.backups = held
        if kind == "gate":
            server.install_gate("read")
        else:
            key = (server.root / "client_key.pub").read_text()
            server.authorized_keys.write_text(f"restrict {key}")
        reached = dataclasses.asdict(destination_on(server, connect_seconds=5))
        mode = "restricted" if kind == "gate" else "account"
        yield written({**reached, "bandwidth_kbps": 0, "mode": mode})
        return
    with serving(kind, held.parent) as remote:
        file = configuration(tmp_path, remote)
        if kind == "s3":
            copy = ["rclone", f"--config={file}", "copy", str(held), "there:backups"]
            subprocess.run(copy, check=True, capture_output=True, env=BARE)
        yield written(
            {
                "transport": "rclone",
                "rclone_remote": "there:backups",
                "rclone_config_file": str(file),
                "time_limit": 60,
            }
        )


def settings_of(
    bed: Testbed, config: Path, root: Path, **options: object
) -> proof_settings.ProofSettings:
    """A drill's settings on a host that has no local backups any more."""
    return drill_settings(
        root,
        bed.record["postgres"]["bin_dir"],
        backup_path=str(root / "gone"),
        offsite_config=str(config),
        **options,
    )


def test_a_drill_and_a_recovery_from_it(bed: Testbed, config: Path, tmp_path: Path) -> None:
    settings = settings_of(bed, config, tmp_path, offsite_destination="far")
    result = drill.run(settings, from_offsite=True)
    assert result["verdict"] == "passed", result
    assert "far" not in result["backup"]["fetched_from"] and result["backup"]["fetched_from"]
    assert result["phases"][0]["name"] == "fetch"
    # The digest beside the backup came along, and was compared.
    archive = next(check for check in result["checks"] if check["id"] == "archive")
    assert archive["status"] == "passed", archive

    server = bed.record["postgres"]
    target = restore_settings.RecoveryServer(
        **{name: server[name] for name in ("host", "port", "user", "password", "bin_dir")},
        dbname=server["dbname"],
    )
    recovered = recovery_run.restore_beside(
        recovery.RecoverySettings(settings, target), tier="weekly", from_offsite=True
    )
    assert recovered["verdict"] == "passed", recovered
    assert recovered["backup"]["tier"] == "weekly" and recovered["backup"]["fetched_from"]
    # The first destination is the one that is gone.
    with pytest.raises(ResilienceError, match="cannot be read"):
        offsite_fetch.transport(str(config)).check()
    with pytest.raises(ResilienceError, match="no such destination"):
        offsite_fetch.transport(str(config), name="fra")


def test_it_lists_what_can_be_fetched(config: Path, held: Path) -> None:
    """Sizes and times are those of the files; the command for a person names the file."""
    transport = offsite_fetch.transport(str(config), name="far")
    shutil.rmtree(held / "monthly", ignore_errors=True)
    listed = transport.list_files(("daily", "weekly", "monthly"))
    local = {
        str(file.relative_to(held)): file.stat()
        for tier in ("daily", "weekly")
        for file in (held / tier).rglob("*")
    }
    assert {path: one.bytes for path, one in listed.items()} == {
        path: status.st_size for path, status in local.items()
    }
    for path, one in listed.items():
        assert abs(one.mtime_ns - local[path].st_mtime_ns) < 2e9, path
    assert "daily/BACKUP" in transport.fetch_command("daily/BACKUP", "/there")


def test_names_that_rsync_reads_as_patterns(server: Sshd, tmp_path: Path) -> None:
    """A name with wildcards fetches itself alone."""
    copy = tmp_path / "copy"
    (copy / "daily" / "a[1]*_20260101_030000").mkdir(parents=True)
    names = ("a[1]*.dump", "a1x.dump", "back\\slash.dump", "q?.dump", "qq.dump", "new\nline.dump")
    for name in names:
        (copy / "daily" / name).write_text(name)
    (copy / "daily" / "a[1]*_20260101_030000" / "toc.dat").write_text("toc")
    server.backups = copy
    key = (server.root / "client_key.pub").read_text()
    server.authorized_keys.write_text(f"restrict {key}")
    destination = destination_on(server, connect_seconds=5)
    listed = rsync_fetch.list_files(destination, ["daily", "weekly"])
    folder = "daily/a[1]*_20260101_030000/toc.dat"
    assert set(listed) == {*(f"daily/{name}" for name in names), folder}
    for number, path in enumerate([*(f"daily/{name}" for name in names), folder]):
        target = tmp_path / f"target{number}"
        target.mkdir()
        rsync_fetch.fetch(destination, [path], str(target))
        found = [str(file.relative_to(target)) for file in target.rglob("*") if file.is_file()]
        assert found == [path]


def test_the_newest_that_is_a_backup(server: Sshd, bed: Testbed, tmp_path: Path) -> None:
    """Roles, hidden files and files of the future are not chosen; a folder of pg_dump's is."""
    copy = tmp_path / "copy"
    shutil.copytree(bed.record["backups"], copy)
    newest = max((copy / "daily").iterdir())
    (copy / "daily" / "chefwell_backup_29991231_030000.dump.gz").write_bytes(newest.read_bytes())
    (copy / "daily" / ".chefwell_backup_29991231_030000.dump.gz").write_text("hidden")
    shutil.copytree(copy / "daily", copy / "daily" / ".rsync-partial")
    roles = b"--\n-- PostgreSQL database cluster dump\n--\nCREATE ROLE shop;\n"
    (copy / "daily" / "chefwell_backup_20991231_030000.sql").write_bytes(roles)
    later = newest.name.replace("chefwell_backup", "zz_roles").replace(".dump.gz", ".sql")
    (copy / "daily" / later).write_bytes(roles)
    server.backups = copy
    server.install_gate("read")
    config = tmp_path / "offsite.json"
    reached = dataclasses.asdict(destination_on(server, connect_seconds=5))
    stage = {"config_dir": "/nowhere", "state_dir": str(tmp_path)}
    config.write_text(
        json.dumps(
            {**stage, "destinations": [{**reached, "bandwidth_kbps": 0, "mode": "restricted"}]}
        )
    )
    transport = offsite_fetch.transport(str(config))
    chosen = offsite_fetch.fetch(transport, str(tmp_path))
    assert Path(chosen.path).name == newest.name
    assert any("29991231" in why for why in chosen.set_aside), chosen
    assert any(later in why and "roles" in why for why in chosen.set_aside), chosen
    # A folder that pg_dump wrote, newer than all others.
    server_bin = Path(bed.record["postgres"]["bin_dir"])
    made = copy / "daily" / "shop_20260101_120000"
    access = bed.record["postgres"]
    subprocess.run(
        [server_bin / "pg_dump", "-Fd", "-f", str(made), "-h", access["host"], "-p",
         str(access["port"]), "-U", access["user"], access["dbname"]],
        check=True,
        env={**os.environ, "PGPASSWORD": access["password"]},
    )  # fmt: skip
    fetched = offsite_fetch.fetch(transport, str(tmp_path), date="2026-01-01")
    assert Path(fetched.path).name == made.name
    assert {file.name for file in Path(fetched.path).iterdir()} == set(os.listdir(made))
