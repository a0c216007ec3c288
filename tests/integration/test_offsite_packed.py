"""Many small backups travel in one stream: as they are here, owned at once, and without trust."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import packed_stream
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    packed_sending,
    ssh_command,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport import Delivery
from ansible_collections.chefwell.resilience.plugins.module_utils.server import packed_files
from ansible_collections.chefwell.resilience.plugins.module_utils.server.incoming import (
    ArrivalSession,
)
from support.backup_trees import add_backup
from support.gated_backup_server import Attacker, attacker, settings, store, tree
from support.offsite_client import copied_backups, in_sync, with_destination
from support.server_copies import make_store, packed
from support.sshd import Sshd, server

__all__ = ["attacker", "server", "settings", "tree"]

COUNT = packed_sending.LEAST_FILES
NAME = "daily/chefwell_backup_20251120_0300{:02}.dump.gz"


@pytest.fixture
def many(settings: SyncSettings, tree: Path) -> dict[str, bytes]:
    """A tree of so many small backups that they are packed, and one large one."""
    for number in range(COUNT):
        add_backup(tree, "daily", 30 + number / 24, size=number)
    add_backup(tree, "weekly", 20, size=packed_stream.MOST_BYTES + 1)
    odd = tree / "daily" / "loja\nnova_20240101_030000.dump.gz"
    odd.write_bytes(b"x" * packed_stream.MOST_BYTES)
    odd.chmod(0o640)
    return {
        f"{file.parent.name}/{file.name}": file.read_bytes()
        for file in tree.glob("*/*")
        if not file.name.startswith(".")
    }


def test_what_is_packed_arrives_as_it_is_here(
    settings: SyncSettings, tree: Path, many: dict[str, bytes], server: Sshd
) -> None:
    requests = []
    start = ssh_command.SshCommand.__init__

    def noted(self: ssh_command.SshCommand, destination, arguments, **more) -> None:
        requests.append(tuple(arguments))
        start(self, destination, arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssh_command.SshCommand, "__init__", noted)
        result = sync.sync(settings)
    assert ("chefwell-commit", "packed") in requests
    assert (result.status, result.files_sent) == ("ok", len(many)), result
    assert result.bytes_sent > sum(map(len, many.values()))
    assert copied_backups(server) == many
    for local in tree.glob("*/*.gz"):
        remote = (server.backups / local.parent.name / local.name).stat()
        seen = local.stat()
        assert (remote.st_mtime_ns, remote.st_mode) == (seen.st_mtime_ns, seen.st_mode)
    assert os.listdir(store(server).placing) == []
    assert sync.sync(settings).message.startswith("0 files") and in_sync(settings, full=True)


def test_a_change_between_scan_and_sending_is_not_placed_under_the_old_digest(
    settings: SyncSettings, tree: Path, many: dict[str, bytes], server: Sshd
) -> None:
    victim = sorted((tree / "daily").glob("*.gz"))[7]
    send = packed_sending.send

    def changed(*arguments):
        victim.write_bytes(b"written again meanwhile")
        return send(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_sending, "send", changed)
        result = sync.sync(settings)
    assert "changed while it was sent" in "".join(map(str, result.warnings))
    path = f"daily/{victim.name}"
    assert path not in copied_backups(server)
    assert sync.sync(settings).status in ("ok", "warning")
    assert copied_backups(server)[path] == b"written again meanwhile"


def test_what_a_cut_connection_left_is_completed_by_the_next_sync(
    settings: SyncSettings, many: dict[str, bytes], server: Sshd
) -> None:
    feed, fed = ssh_command.SshCommand.feed, []

    def cut(self: ssh_command.SshCommand, block: bytes) -> None:
        fed.append(block)
        if len(fed) == 2:
            self._running.kill()
            self._running.wait()
        feed(self, block)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssh_command.SshCommand, "feed", cut)
        patch.setattr(packed_sending, "_BLOCK_BYTES", 4096)
        broken = sync.sync(settings)
    assert broken.attempts == 2 and broken.status == "warning", broken
    assert copied_backups(server) == many
    assert store(server).intents() is None


def test_a_stream_has_the_time_limit_of_an_attempt(
    settings: SyncSettings, many: dict[str, bytes], server: Sshd
) -> None:
    slow = with_destination(settings, bandwidth_kbps=16, time_limit=1.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_sending, "_BLOCK_BYTES", 4096)
        result = sync.sync(dataclasses.replace(slow, tries=1))
    assert (result.status, result.kind) == ("failed", "time_limit"), result
    assert result.seconds < 10 and not copied_backups(server)


def test_a_full_disk_is_a_failed_transfer(
    settings: SyncSettings, many: dict[str, bytes], server: Sshd
) -> None:
    server.install_gate(reserve_percent=100)
    # The guard would refuse before anything is sent.
    result = sync.sync(settings, overrides=("room",))
    assert result.status == "failed" and "No space left" in result.message, result
    assert copied_backups(server) == {} and os.listdir(store(server).placing) == []


def test_a_stream_that_is_none_changes_nothing(attacker: Attacker, server: Sshd) -> None:
    before = copied_backups(server)
    for header in (
        b"file 70000 0 600 daily/x\0",
        b"file -1 0 600 daily/x\0",
        b"file 1 99999999999999999999 600 daily/x\0",
        b"file 1 0 4755 daily/x\0x",
        b"directory 1 0 600 daily/x\0",
        b"\0",
        b"x" * 20_000,
        b"",
    ):
        done = attacker.run("chefwell-commit", "packed", input=header)
        assert done.returncode == 2 and b"Traceback" not in done.stderr, header
        assert os.listdir(store(server).placing) == []
    assert copied_backups(server) == before


def test_no_path_leads_out_of_the_session(attacker: Attacker, server: Sshd) -> None:
    outside = server.root / "outside"
    paths = ["../../../../outside", "daily/../../x", str(outside), ".chefwell/ledger.json"]
    body = packed({path: b"mine" for path in [*paths, "daily/.x", "yearly/x", "daily"]})
    listed = b'{"files": {}, "unread": ["daily"], "in_progress": []}'
    done = attacker.run("chefwell-commit", "packed", input=body + listed)
    assert done.returncode == 0, done.stderr
    found = [file for file in server.root.rglob("*") if file.is_file()]
    assert not any(file.read_bytes() == b"mine" for file in found)
    assert not outside.exists()


def test_more_files_than_an_inventory_lists_end_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_files, "MOST_FILES", 2)
    copy = make_store(tmp_path)
    readable, writable = os.pipe()
    os.write(writable, packed({NAME.format(number): b"x" for number in range(3)}))
    with ArrivalSession(copy) as session, pytest.raises(ResilienceError, match="more packed"):
        packed_files.receive(copy, session, readable)


def test_the_reserve_of_the_disk_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = make_store(tmp_path, reserve_percent=100)
    readable, writable = os.pipe()
    os.write(writable, packed({NAME.format(1): b"x"}))
    with ArrivalSession(copy) as session, pytest.raises(ResilienceError, match="No space left"):
        packed_files.receive(copy, session, readable)
    assert copy.incoming_backups() == {}


def test_the_bandwidth_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream is a stand-in that takes no time: only the pauses are looked at."""
    names = [f"{number}.dump.gz" for number in range(100)]
    for name in names:
        (tmp_path / name).write_bytes(os.urandom(20_000))
    pauses: list[float] = []
    monkeypatch.setattr(packed_sending.time, "sleep", pauses.append)
    fed = SimpleNamespace(feed=lambda block: None, read_until=lambda ending: ending)
    done, left = packed_sending.send(fed, names, Delivery(str(tmp_path), "old"), 1000)
    assert done.ok and left == [] and done.bytes_sent > 2_000_000
    assert 1.5 < pauses[-1] < 2.1  # seconds behind the wall clock, which did not move


def test_packed_noise_never_gets_a_place(attacker: Attacker, server: Sshd) -> None:
    """The last of several with one name counts, and only with the digest that is announced."""
    before = copied_backups(server)
    good, noise = b"g" * 300, b"n" * 300
    first, second = NAME.format(1), NAME.format(2)
    listed = attacker_inventory({first: good, second: good}, before)
    body = packed({first: good}, end=b"") + packed({first: noise, second: noise}, end=b"")
    done = attacker.run("chefwell-commit", "packed", input=body + packed({second: good}) + listed)
    assert done.returncode == 0, done.stderr
    assert copied_backups(server) == {**before, second: good}


def test_a_packed_file_replaces_what_waits_of_the_same_name(
    attacker: Attacker, server: Sshd
) -> None:
    before = copied_backups(server)
    path = NAME.format(3)
    waits = Path(store(server).incoming, path)
    waits.parent.mkdir(exist_ok=True)
    waits.write_bytes(b"half of an earlier one")
    listed = attacker_inventory({path: b"whole"}, before)
    assert attacker.run("chefwell-commit", "packed", input=packed({path: b"whole"}) + listed)
    assert copied_backups(server) == {**before, path: b"whole"}


def attacker_inventory(files: dict[str, bytes], held: dict[str, bytes]) -> bytes:
    """Return the inventory of these files and of all that the copy holds."""
    listed = {
        path: [hashlib.sha256(body).hexdigest(), len(body)]
        for path, body in {**held, **files}.items()
    }
    return json.dumps({"files": listed, "unread": [], "in_progress": []}).encode()
