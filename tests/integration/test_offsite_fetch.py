"""A backup fetched from the offsite server is drilled and recovered from like a local one."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import offsite_fetch
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from support.drill_settings import drill_settings
from support.offsite_client import destination_on
from support.sshd import Sshd
from support.stage_config import offsite_config
from testbed import Testbed


@pytest.fixture(scope="module")
def config(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The offsite stage's configuration; the server holds what is here, and files of no backup."""
    folder = tmp_path_factory.mktemp("offsite")
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    bed.authorize(key.with_suffix(".pub").read_text())
    server = bed.record["ssh"]
    held = Path(server["path"])
    shutil.copytree(bed.record["backups"], held, dirs_exist_ok=True)
    newest = max((held / "daily").iterdir())
    digest = subprocess.run(
        ["sha256sum", newest.name], cwd=newest.parent, capture_output=True, text=True, check=True
    )
    newest.with_name(newest.name + ".sha256").write_text(digest.stdout)
    (held / "daily" / "chefwell_backup_29991231_030000.dump.gz.half").write_text("no backup")
    (held / "old_20250101_000000").mkdir()
    shutil.copy(newest, held / "old_20250101_000000" / "chefwell_backup_29991231_030000.dump.gz")
    for path in [held, *held.rglob("*")]:
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
    known = folder / "known_hosts"
    known.write_text(server["host_key_line"] + "\n")
    made = folder / "offsite.json"
    values = {
        "host": server["host"],
        "port": server["port"],
        "user": server["user"],
        "path": server["path"],
        "key_file": str(key),
        "known_hosts_file": str(known),
    }
    made.write_text(json.dumps(offsite_config({**values, "state_dir": str(folder)})))
    return made


@pytest.fixture
def settings(bed: Testbed, config: Path, tmp_path: Path) -> proof_settings.ProofSettings:
    # No local backups at all: this is the day on which they are gone, too.
    return drill_settings(
        tmp_path,
        bed.record["postgres"]["bin_dir"],
        backup_path=str(tmp_path / "gone"),
        offsite_config=str(config),
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"port": 1}, "nothing listens on that port"),
        ({"path": "/nowhere"}, "there is no backup"),
        ({"key_file": "/nowhere"}, "the private key cannot be read"),
    ],
)
def test_what_is_wrong_with_the_server_is_no_verdict_on_the_backup(
    settings: proof_settings.ProofSettings,
    config: Path,
    tmp_path: Path,
    change: dict[str, Any],
    expected: str,
) -> None:
    other = tmp_path / "other.json"
    values = json.loads(config.read_text())
    values["destinations"][0] |= change
    other.write_text(json.dumps(values))
    result = drill.run(dataclasses.replace(settings, offsite_config=str(other)), from_offsite=True)
    assert result["verdict"] == "could_not_verify" and expected in result["problem"], result
    assert os.listdir(tmp_path / "work") == ["lock"]


@pytest.mark.parametrize("allow", ["read", "write"])
def test_through_the_servers_gate(bed: Testbed, tmp_path: Path, allow: str) -> None:
    """A key that may read is enough; the one that writes is refused with a message."""
    gated = Sshd()
    gated.start()
    try:
        gated.backups = tmp_path / "copy"
        shutil.copytree(bed.record["backups"], gated.backups)
        gated.install_gate(allow)
        server = GateTransport(destination_on(gated, connect_seconds=5, mode="restricted"))
        if allow == "write":
            with pytest.raises(ResilienceError, match="may not read what is there"):
                offsite_fetch.fetch(server, str(tmp_path))
        else:
            fetched = offsite_fetch.fetch(server, str(tmp_path))
            newest = max(Path(bed.record["backups"], "daily").iterdir())
            assert Path(fetched.path).read_bytes() == newest.read_bytes()
    finally:
        gated.remove()
