"""The gate killed behind a real sshd, at each moment between its moves and its ledger."""

from __future__ import annotations

import hashlib
import shlex
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import sync
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import server_job
from support.backup_trees import add_backup
from support.gated_backup_server import copied, settings, store, tree
from support.offsite_client import copied_backups, in_sync
from support.sshd import ENGINE, Sshd, server

__all__ = ["copied", "server", "settings", "tree"]

# The gate as it is; at one call, the first time, its process kills itself. From outside no signal
# hits a moment that takes microseconds.
KILLED_GATE = """
import os, signal, sys
from {engine}.server import gate, new_names, placement, server_store

moment, count, flag = {moment!r}, {count}, {flag!r}
places = (server_store.Store, new_names.FolderMove, placement)
place = next(one for one in places if hasattr(one, moment))
original, calls = getattr(place, moment), []

def killed(*arguments):
    calls.append(1)
    if len(calls) == count and not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)

setattr(place, moment, killed)
sys.exit(gate.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("moment", "count"),
    [
        ("save_intents", 1),
        ("move", 2),
        ("save_ledger", 1),
        ("rename_new", 1),
        ("save_previous_ledger", 1),
    ],
)
def test_it_heals_by_itself(
    copied: SyncSettings, tree: Path, server: Sshd, tmp_path: Path, moment: str, count: int
) -> None:
    """Two new backups are placed and one is moved aside; the kill comes at one of these steps."""
    program, flag = tmp_path / "gate.py", tmp_path / "killed"
    program.write_text(
        KILLED_GATE.format(engine=ENGINE, moment=moment, count=count, flag=str(flag))
    )
    line = server.authorized_keys.read_text()
    whole = f"{sys.executable} -s -m {ENGINE}.server.gate"
    assert whole in line
    server.authorized_keys.write_text(
        line.replace(whole, shlex.join([sys.executable, "-s", str(program)]))
    )
    oldest = sorted((tree / "daily").iterdir())[0]
    oldest.unlink()
    for number in (1, 2):
        add_backup(tree, "daily", -number / 100)
    result = sync.sync(copied)
    assert flag.exists(), "the moment did not come"
    assert result.attempts == 2 and result.status == "warning", result
    held = {path: body for path, body in copied_backups(server).items() if path[:4] != "old_"}
    local = {f"{one.parent.name}/{one.name}": one.read_bytes() for one in tree.glob("*/*.gz")}
    assert held == local
    (aside,) = server.backups.glob("old_*/daily/*")
    assert aside.name == oldest.name
    copy = store(server)
    # Where nothing was left to do for the second attempt, the daily job completes the ledger.
    job = server_job.run(copy)
    assert (job.alarms, job.failures, job.rotten) == ({}, {}, [])
    assert {path: one.sha256 for path, one in copy.ledger().items()} == {
        path: hashlib.sha256(body).hexdigest() for path, body in local.items()
    }
    assert copy.intents() is None
    assert in_sync(copied, full=True)
