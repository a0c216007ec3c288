"""Backups that are written again after they were copied (O10): a warning, then critical."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    placement,
    server_job,
)
from support.backup_trees import add_backup
from support.gated_backup_server import Attacker, copied, settings, store, tree
from support.offsite_client import account_sync
from support.sshd import Sshd, server

__all__ = ["copied", "server", "settings", "tree"]


def days_pass(settings: SyncSettings, *, days: int = 1) -> None:
    """Move what the client remembers to the days before."""
    path = Path(settings.state_dir, "offsite.json")
    values = json.loads(path.read_text())
    for day in values["days"]:
        day["day"] -= days
    path.write_text(json.dumps(values))


def write_again(file: Path, *, backdated: bool) -> bytes:
    """Write other bytes of the same size; return those that were there."""
    before, status = file.read_bytes(), file.stat()
    file.write_bytes(os.urandom(len(before)))
    if backdated:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    return before


@pytest.mark.parametrize(
    ("mode", "backdated"),
    [("gate", False), ("gate", True), ("account", False), ("account", True)],
    ids=["gate, new times", "gate, old times", "account, new times", "account, old times"],
)
def test_one_a_day(
    copied: SyncSettings, tree: Path, server: Sshd, mode: str, backdated: bool
) -> None:
    """One old backup is written again each day."""
    client = copied if mode == "gate" else account_sync(copied, server)
    if mode == "account":
        assert sync.sync(client).status == "ok"
    assert offsite_verification.verify(client, full=True)["comparison"]["in_sync"]
    files = sorted((tree / "daily").iterdir())[:3]
    genuine, results = {}, []
    for file in files:
        time.sleep(1.1)  # a filesystem's times are those of its ticks
        genuine[file.name] = write_again(file, backdated=backdated)
        new = add_backup(tree, "weekly", -0.01)
        results.append(sync.sync(client))
        assert (server.backups / "weekly" / new.name).read_bytes() == new.read_bytes()
        days_pass(client)
    first, others = results[0], results[1:]
    assert (first.status, first.exit_code) == ("warning", 1), first
    assert any("1 backup was written again" in one for one in first.warnings), first
    for result in others:
        assert (result.status, result.kind, result.exit_code) == ("refused", "rewritten", 2), result
        assert "--override rewritten" in result.remedy
    # The genuine ones stand where they stood; the first one that was let pass is kept aside.
    for number, file in enumerate(files):
        held = (server.backups / "daily" / file.name).read_bytes()
        if number or backdated:
            assert held == genuine[file.name], file.name
        else:
            (aside,) = server.backups.glob(f"old_*/daily/{file.name}")
            assert aside.read_bytes() == genuine[file.name]
    # A person lets them pass: once, and all of them.
    passed = sync.sync(client, overrides=["rewritten", "mass-change"])
    if mode == "gate":
        assert passed.kind == "server_guard", passed
        assert placement.accept_refused(store(server)) is not None
    else:
        assert passed.status == "warning", passed
    for file in files:
        assert (server.backups / "daily" / file.name).read_bytes() == file.read_bytes()
        kept = [one.read_bytes() for one in server.backups.glob(f"old_*/daily/{file.name}")]
        assert genuine[file.name] in kept
    assert sync.sync(client).status == "ok"
    assert offsite_verification.verify(client, full=True)["comparison"]["in_sync"]


@pytest.mark.parametrize("lost", [0, 4], ids=["all replaced", "some lost, too"])
def test_one_look_and_one_override_are_enough(
    copied: SyncSettings, tree: Path, server: Sshd, lost: int
) -> None:
    """The guards behind the first one are in the same refusal, and what it prints passes all."""
    client = account_sync(copied, server)
    assert sync.sync(client).status == "ok"
    files = sorted(one for one in tree.rglob("*.gz"))
    time.sleep(1.1)
    for file in files[lost:]:
        write_again(file, backdated=False)
    for file in files[:lost]:
        file.unlink()
    refused = sync.sync(client)
    assert {one.guard for one in refused.refusals} == {"mass-change", "rewritten"}, refused
    named = refused.remedy.split("--override ")[1:]
    once = sync.sync(client, overrides=[words.split()[0] for words in named])
    assert (once.status, once.refusals) == ("warning", ()), once
    assert offsite_verification.verify(client, full=True)["comparison"]["in_sync"]


def test_an_attacker_with_the_key_alone(copied: SyncSettings, server: Sshd) -> None:
    """The server counts by itself: one is a notice there, the next one is refused."""
    attacker = Attacker(copied, server)
    before = {
        str(file.relative_to(server.backups)): file.read_bytes()
        for file in server.backups.glob("*/*.gz")
    }
    held = store(server)
    names = sorted(before)[:3]
    outputs = []
    for number, name in enumerate(names):
        other = os.urandom(len(before[name]))
        folder = Path(copied.state_dir, f"again{number}")
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(other)
        done = attacker.rsync("-rt", f"{folder}/", f"{attacker.account}:incoming/")
        assert done.returncode == 0, done.stderr
        outputs.append(json.loads(attacker.commit({**before, name: other}).stdout))
    assert outputs[0]["replaced"] == [names[0]] and not outputs[0]["refused"]
    for output in outputs[1:]:
        assert output["replaced"] == [] and output["refused"], output
    alarms = held.alarms.all()
    assert names[0] in alarms["rewritten"].reason and "mass-change" in alarms
    # The client shows the notice as a warning, the alarm as one, and the verification both.
    result = sync.sync(copied)
    assert any("written again by its client" in one for one in result.warnings), result.warnings
    assert any("mass-change" in one for one in result.server_alarms)


def test_the_notice_ends_with_the_days(copied: SyncSettings, tree: Path, server: Sshd) -> None:
    victim = sorted((tree / "weekly").iterdir())[0]
    victim.write_bytes(os.urandom(5000))
    assert sync.sync(copied).status == "warning"
    held = store(server)
    assert set(held.alarms.all()) == {"rewritten"}
    assert set(server_job.run(held).alarms) == {"rewritten"}
    values = held.load("days")
    for day in values["days"]:
        day["changed"] = 0
    held.save("days", values)
    result = server_job.run(held)
    assert set(result.over) == {"rewritten"} and result.alarms == {}


def test_touching_and_changing_modes_is_no_writing(copied: SyncSettings, tree: Path) -> None:
    for file in sorted((tree / "daily").iterdir()):
        file.chmod(0o600)
    result = sync.sync(copied)
    assert result.status == "ok" and not result.warnings, result
