"""A manifest, a digest and saved roles travel with their backup, and are never taken for one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import backup_digest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_fetch,
    offsite_repair,
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from support.backup_trees import add_backup, plan_tree
from support.offsite_client import destination_on, gated_sync
from support.sshd import Sshd, server

__all__ = ["server"]

# A digest file is smaller than the least size of a backup.
CONTENTS = {".manifest.json": b'{"tables": []}', ".roles.sql": b"CREATE ROLE a;", ".sha256": b"ab"}


@pytest.fixture(params=["account", "gate"])
def settings(request: pytest.FixtureRequest, server: Sshd, tmp_path: Path) -> SyncSettings:
    """A plan's tree and its empty copy; two backups have all that may belong to one."""
    if request.param == "gate":
        made = gated_sync(server, tmp_path, {})
        tree = Path(made.backup_path)
    else:
        server.backups = tmp_path / "copy"
        server.backups.mkdir()
        server.authorized_keys.write_text((server.root / "client_key.pub").read_text())
        tree = plan_tree(tmp_path / "backups")
        transport = AccountTransport(destination_on(server))
        made = SyncSettings(transport, str(tree), str(tmp_path / "state"))
    for tier in ("daily", "weekly"):
        write_beside(max((tree / tier).iterdir()))
    return dataclasses.replace(made, retry_seconds=0.05)


def write_beside(backup: Path) -> list[Path]:
    written = {backup.with_name(backup.name + ending): ending for ending in CONTENTS}
    for path, ending in written.items():
        path.write_bytes(CONTENTS[ending])
    return list(written)


def seal(backup: Path) -> None:
    """Let a backup lie sealed, and what belongs to it; nothing here looks into it."""
    for path in (backup, *write_beside(backup)):
        path.rename(path.with_name(f"{path.name}.age"))


def verified(settings: SyncSettings) -> tuple[bool, int, int]:
    found = offsite_verification.verify(settings)
    sides = (found[side]["total_count"] for side in ("local", "remote"))
    return (found["comparison"]["in_sync"], *sides)


def test_what_belongs_to_a_backup_travels_with_it(settings: SyncSettings, server: Sshd) -> None:
    tree = Path(settings.backup_path)
    first = sync.sync(settings)
    assert (first.status, first.files_sent, first.warnings) == ("ok", 14 + 6, ()), first
    assert verified(settings) == (True, 14, 14)
    newest = max(path for path in (tree / "daily").iterdir() if path.name.endswith(".gz"))
    for ending, content in CONTENTS.items():
        assert (server.backups / "daily" / (newest.name + ending)).read_bytes() == content

    # Its digest is written again, and the oldest backup rotates with all that belongs to it; no
    # guard takes that for an attack. The manifest that a script forgets stays on both sides.
    newest.with_name(newest.name + ".sha256").write_bytes(b"another")
    oldest = min((tree / "daily").iterdir())
    beside = write_beside(oldest)
    assert sync.sync(settings).files_sent == 3 + 1
    forgotten = beside.pop(0)
    for path in (oldest, *beside):
        path.unlink()
    new = add_backup(tree, "daily", -0.01)
    again = sync.sync(settings)
    assert (again.status, again.sent) == ("ok", (f"daily/{new.name}",)), again
    assert set(again.aside) == {f"daily/{path.name}" for path in (oldest, *beside)}
    assert verified(settings) == (True, 14, 14)
    assert (server.backups / "daily" / forgotten.name).exists()

    if settings.transport.takes_digests:
        # What a rotation forgot is named by a repair, and goes from the copy when it goes here.
        (left,) = offsite_repair.repair(settings).left
        name = f"daily/{forgotten.name}"
        assert left.what == f"1 file belongs to a backup that is gone: {name}", left
        forgotten.unlink()
        repaired = offsite_repair.repair(settings)
        assert (repaired.sync.aside, repaired.left, repaired.exit_code) == ((name,), (), 0)
        return
    # One that is lost there is missing in the copy.
    (server.backups / "daily" / f"{newest.name}.manifest.json").unlink()
    assert verified(settings) == (False, 14, 14)


def test_what_belongs_to_a_backup_that_lies_sealed_travels_with_it(
    settings: SyncSettings, server: Sshd
) -> None:
    """A copy that is not sealed gets what lies sealed here as it is."""
    tree = Path(settings.backup_path)
    first, *_others, newest = sorted(path for path in (tree / "monthly").iterdir())
    seal(newest)
    seal(first)
    assert sync.sync(settings).status == "ok"
    assert verified(settings) == (True, 14, 14)
    for path in (tree / "monthly").glob("*.age"):
        assert (server.backups / "monthly" / path.name).read_bytes() == path.read_bytes()
    for path in (tree / "monthly").glob(f"{first.name}*"):
        path.unlink()
    again = sync.sync(settings)
    assert (again.status, len(again.aside)) == ("ok", 4), again
    assert verified(settings) == (True, 13, 13)


@pytest.mark.parametrize("settings", ["account"], indirect=True)
def test_what_belongs_to_a_backup_is_fetched_with_it(
    settings: SyncSettings, tmp_path: Path
) -> None:
    tree = Path(settings.backup_path)
    newest = max(path for path in (tree / "daily").iterdir() if path.name.endswith(".gz"))
    lines, _digest = backup_digest.lines_of(str(newest), str(newest))
    newest.with_name(f"{newest.name}.sha256").write_text(lines)
    assert sync.sync(settings).status == "ok"
    (tmp_path / "here").mkdir()
    chosen = offsite_fetch.fetch(settings.transport, str(tmp_path / "here"), tier="daily")
    assert Path(chosen.path).name == newest.name
    for ending in CONTENTS:
        assert Path(chosen.path + ending).read_bytes() == Path(f"{newest}{ending}").read_bytes()
    assert backup_digest.verify_digest(chosen.path).source == f"{newest.name}.sha256"
    # The oldest lies sealed, here and in the copy.
    oldest = min((tree / "monthly").iterdir())
    seal(oldest)
    assert sync.sync(settings).status == "ok"
    day = oldest.name.split("_")[2]
    date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    sealed = offsite_fetch.fetch(settings.transport, str(tmp_path / "here"), date=date)
    fetched = {path.name for path in Path(sealed.path).parent.iterdir()}
    assert fetched == {path.name for path in (tree / "monthly").glob(f"{oldest.name}*")}
    assert len(fetched) == 4
