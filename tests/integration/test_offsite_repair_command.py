"""`repair-offsite` does what a sync can do, and lists what is left for a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)
from support.backup_trees import add_backup, rot
from support.gated_backup_server import Attacker, copied, settings, store, tree
from support.http_receiver import Receiver
from support.offsite_client import in_sync
from support.sshd import Sshd, server
from support.stage_config import write_offsite_config

__all__ = ["copied", "server", "settings", "tree"]


def run(
    config: Path, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, dict[str, Any]]:
    code = host_cli.main(["repair-offsite", "--config", str(config), "--json", *words])
    return code, json.loads(capsys.readouterr().out)["destinations"][0]


def test_rot_refused_inventories_and_what_is_in_the_way(
    copied: SyncSettings,
    tree: Path,
    server: Sshd,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = write_offsite_config(tmp_path, copied, mode="restricted", language="en", marker="")
    assert in_sync(copied, full=True)
    code, nothing = run(config, capsys)
    assert (code, nothing["repaired"], nothing["left"]) == (0, [], [])
    # Rot there is repaired; rot here is left to a person; a lost copy is there again.
    there, here = sorted((server.backups / "weekly").iterdir())[:2]
    rot(there)
    rot(tree / "weekly" / here.name)
    lost = sorted((server.backups / "daily").iterdir())[0]
    lost.unlink()
    # An attacker's inventory waits, and a folder of that attacker is in the way.
    attacker = Attacker(copied, server)
    assert json.loads(attacker.commit({}).stdout)["refused"]
    hostile = tmp_path / "hostile"
    (hostile / "daily" / "folder").mkdir(parents=True)
    assert attacker.rsync("-r", f"{hostile}/", f"{attacker.account}:incoming/").returncode == 0
    attacker.run("chefwell-commit", input=b"{}")
    code, result = run(config, capsys, "--full")
    assert code == 1, result
    assert set(result["repaired"]) == {f"weekly/{there.name}", f"daily/{lost.name}"}
    left = {one["what"]: one["remedy"] for one in result["left"]}
    assert any("incoming-blocked" in what and "quarantine" in left[what] for what in left), left
    assert any(here.name in what and "changed on this host" in what for what in left), left
    assert all(left.values()) and not any("bit-rot" in what for what in left), left
    assert (server.backups / "weekly" / there.name).read_bytes() == (
        tree / "weekly" / there.name
    ).read_bytes()
    # As text: a line for each, and the log has them, too.
    code = host_cli.main(["repair-offsite", "--config", str(config)])
    output = capsys.readouterr().out
    assert code == 1 and "0 repaired" in output and "→" in output
    assert "repair: " in Path(tmp_path, "log").read_text()


def test_a_refused_inventory_names_its_remedy(
    copied: SyncSettings,
    tree: Path,
    server: Sshd,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = write_offsite_config(
        tmp_path, copied, mode="restricted", language="en", marker="", change_percent=100
    )
    for file in sorted((tree / "daily").iterdir())[:5]:
        file.unlink()
    code, result = run(config, capsys)
    assert (code, result["sync"]["kind"]) == (1, "server_guard"), result
    assert any("--accept ID" in one["remedy"] for one in result["left"]), result["left"]


def test_alarms_are_those_after_the_reading_and_listed_once(
    copied: SyncSettings, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verification that ends an alarm shows none, and lists the server's backups once."""
    assert in_sync(copied, full=True)
    held = store(server)
    path = next(iter(held.ledger()))
    held.change_stored_paths("rotten", add=[path])
    lists: list[str] = []
    inner = GateTransport.list_backups

    def counted(self: GateTransport, *arguments: Any) -> Any:
        lists.append("list")
        return inner(self, *arguments)

    monkeypatch.setattr(GateTransport, "list_backups", counted)
    verification = offsite_verification.verify(copied, full=True)
    assert verification["server_alarms"] == [] and lists == ["list"]
    # One that the reading raises is there at once.
    rot(server.backups / path)
    verification = offsite_verification.verify(copied, full=True)
    assert any("bit-rot" in one for one in verification["server_alarms"]), verification
    assert len(lists) == 2
    assert (
        verification["digests"]["remote"]["oldest"] and verification["digests"]["local"]["oldest"]
    )


def test_a_verification_notifies(
    copied: SyncSettings, server: Sshd, tree: Path, tmp_path: Path, receiver: Receiver
) -> None:
    """From cron nobody reads its page (O6)."""
    config = write_offsite_config(
        tmp_path,
        copied,
        mode="restricted",
        language="en",
        notify=[receiver.webhook],
    )
    command = ["verify-offsite-backups", "--config", str(config), "--full"]
    assert host_cli.main(command) == 0 and receiver.messages() == []
    rot(sorted((server.backups / "daily").iterdir())[0])
    assert host_cli.main(command) == 2
    (message,) = receiver.messages()
    assert "1 different" in json.dumps(message)
    add_backup(tree, "weekly", -0.01)
    assert sync.sync(copied).repaired
    assert host_cli.main(command) == 0
    assert len(receiver.messages()) == 2
