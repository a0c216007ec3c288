"""The backup server's own job, on a real folder."""

from __future__ import annotations

import datetime
import getpass
import gzip
import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    retention,
    server_clients,
    server_store,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server.server_settings import (
    ServerSettings,
)

BACKUPS = [f"daily/chefwell_backup_202511{day:02}_030000.dump.gz" for day in range(1, 8)]


def content(path: str) -> bytes:
    return gzip.compress(path.encode() * 40, mtime=0) + os.urandom(200)


@pytest.fixture
def copy(tmp_path: Path) -> server_store.Store:
    """A copy of seven daily backups that came the usual way."""
    made = store(tmp_path)
    bring(made, {path: content(path) for path in BACKUPS})
    assert sorted(made.held()) == BACKUPS
    return made


def store(root: Path, **settings: object) -> server_store.Store:
    return server_store.Store(
        ServerSettings(**{"root": str(root), "reserve_percent": 0, **settings})
    )


def put(made: server_store.Store, files: dict[str, bytes]) -> None:
    """What rsync would have left in `incoming`."""
    for path, body in files.items():
        target = Path(made.incoming, path)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(body)


def listed(files: dict[str, bytes]) -> dict[str, object]:
    entries = {path: [hashlib.sha256(body).hexdigest(), len(body)] for path, body in files.items()}
    return {"files": entries, "unread": [], "in_progress": []}


def bring(made: server_store.Store, files: dict[str, bytes]) -> retention.Settled:
    put(made, files)
    return retention.settle(made, listed(files))


def now_held(made: server_store.Store) -> dict[str, bytes]:
    return {path: Path(made.root, path).read_bytes() for path in made.held()}


def test_rotation_moves_aside_and_the_ledger_follows(copy: server_store.Store) -> None:
    files = now_held(copy)
    gone = files.pop(BACKUPS[0])
    new = "daily/chefwell_backup_20251108_030000.dump.gz"
    files[new] = content(new)
    put(copy, {new: files[new]})
    done = retention.settle(copy, listed(files))
    assert (done.placed, done.aside, done.refused) == ([new], [BACKUPS[0]], "")
    assert Path(copy.root, done.old_folder, BACKUPS[0]).read_bytes() == gone
    assert sorted(copy.ledger()) == sorted(files) == sorted(copy.held())
    assert os.listdir(copy.settling) == []


def test_unread_tiers_and_unfinished_backups_are_not_gone(copy: server_store.Store) -> None:
    files = now_held(copy)
    del files[BACKUPS[0]]
    kept = retention.settle(copy, {**listed(files), "in_progress": [BACKUPS[0]]})
    assert kept.aside == []
    assert retention.settle(copy, {**listed({}), "unread": ["daily"]}).aside == []


def test_a_lost_ledger_is_made_again(copy: server_store.Store) -> None:
    os.unlink(os.path.join(copy.own, "ledger.json"))
    done = retention.settle(copy, listed(now_held(copy)))
    assert done.placed == done.aside == done.missing == []
    assert len(copy.ledger()) == 7


def test_a_listed_backup_that_never_came_is_missing(copy: server_store.Store) -> None:
    files = {**now_held(copy), "weekly/chefwell_backup_20251102_030000.dump.gz": b"x"}
    assert retention.settle(copy, listed(files)).missing == [
        "weekly/chefwell_backup_20251102_030000.dump.gz"
    ]


def test_links_in_incoming_are_not_taken(copy: server_store.Store, tmp_path: Path) -> None:
    path = "weekly/chefwell_backup_20251102_030000.dump.gz"
    Path(copy.incoming, "weekly").mkdir()
    Path(copy.incoming, path).symlink_to("/etc/passwd")
    body = Path("/etc/passwd").read_bytes()
    done = retention.settle(copy, listed({**now_held(copy), path: body}))
    assert done.missing == [path]


def test_a_rename_never_replaces(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("new")
    two.write_text("old")
    with pytest.raises(FileExistsError):
        server_store.rename_new(str(one), str(two))
    assert (one.read_text(), two.read_text()) == ("new", "old")


def test_a_held_lock_is_told_as_busy(
    copy: server_store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_store, "LOCK_SECONDS", 0.2)
    with (
        copy.locked(),
        pytest.raises(server_store.Busy, match="at work"),
    ):
        retention.settle(copy, listed(now_held(copy)))


def age(made: server_store.Store, folder: str, days: int) -> str:
    """Moves a folder of old backups back in time."""
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    older = f"old_{moment:%Y%m%d_%H%M%S}"
    Path(made.root, folder).rename(Path(made.root, older))
    return older


def test_old_backups_are_dropped_after_their_days(copy: server_store.Store) -> None:
    files = now_held(copy)
    del files[BACKUPS[0]]
    folder = age(copy, retention.settle(copy, listed(files)).old_folder, 89)
    assert retention.tend(copy).dropped == []
    folder = age(copy, folder, 91)
    assert retention.tend(copy).dropped == [f"{folder}/{BACKUPS[0]}"]
    assert not Path(copy.root, folder).exists()


def test_the_newest_good_backup_of_a_tier_is_never_dropped(copy: server_store.Store) -> None:
    """An attacker lists noise only, day after day; what is in place then is no backup."""
    noise = {f"daily/chefwell_backup_2026010{day}_030000.dump.gz": b"noise" * 90 for day in (1, 2)}
    values = listed(noise)
    put(copy, noise)
    assert retention.settle(copy, values).refused
    settled = retention.accept(copy)
    assert settled and len(settled.aside) == 7
    folder = age(copy, settled.old_folder, 200)
    done = retention.tend(copy)
    assert done.kept_longer == [f"{folder}/{BACKUPS[-1]}"]
    assert len(done.dropped) == 6
    assert Path(copy.root, folder, BACKUPS[-1]).exists()
    # Once a good one is in place, the old one may go.
    better = "daily/chefwell_backup_20260103_030000.dump.gz"
    bring(copy, {**noise, better: content(better)})
    assert retention.tend(copy).dropped == [f"{folder}/{BACKUPS[-1]}"]


def test_bit_rot_is_named_until_it_is_gone(copy: server_store.Store) -> None:
    assert retention.tend(copy).alarms == {}
    victim = Path(copy.root, BACKUPS[2])
    whole = victim.read_bytes()
    seen = victim.stat()
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    daily = store(Path(copy.root), reread_days=1)
    done = retention.tend(daily)
    assert done.rotten == [BACKUPS[2]] and BACKUPS[2] in done.alarms["bit-rot"]["saw"]
    assert retention.tend(daily).alarms["bit-rot"]["since"] == done.alarms["bit-rot"]["since"]
    victim.write_bytes(whole)
    assert retention.tend(daily).alarms == {}


def test_every_backup_is_read_within_the_days(copy: server_store.Store) -> None:
    weekly = store(Path(copy.root), reread_days=7)
    before = {path: entry.read for path, entry in copy.ledger().items()}
    for _day in range(7):
        assert 1 <= retention.tend(weekly).read <= 2
    assert all(entry.read > before[path] for path, entry in copy.ledger().items())


def test_what_is_lost_silent_or_full_raises_an_alarm(copy: server_store.Store) -> None:
    os.unlink(os.path.join(copy.root, BACKUPS[0]))
    copy.save("last", {"time": time.time() - 60 * 3600, "listed": 7})
    alarms = retention.tend(store(Path(copy.root), reserve_percent=100)).alarms
    assert set(alarms) == {"lost", "silent", "room"}
    assert "60 hours" in alarms["silent"]["saw"] and BACKUPS[0] in alarms["lost"]["saw"]


def test_forgotten_arrivals_are_thrown_away(
    copy: server_store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(copy, {BACKUPS[0]: b"x"})
    retention.tend(copy)
    assert Path(copy.incoming, BACKUPS[0]).exists()
    monkeypatch.setattr(retention, "INCOMING_DAYS", -1)
    retention.tend(copy)
    assert not Path(copy.incoming, BACKUPS[0]).exists()


def test_a_missing_folder_is_no_empty_copy(tmp_path: Path) -> None:
    with pytest.raises(ResilienceError, match="is not there"):
        store(tmp_path / "none")


class TestClients:
    """Several hosts on one server: each has its own name and its own folder."""

    @pytest.fixture
    def clients(self, tmp_path: Path) -> Path:
        folder = tmp_path / "clients"
        folder.mkdir()
        (folder / "one.json").write_text(json.dumps({"root": "/backups/one"}))
        (folder / "notes.txt").write_text("no client")
        return folder

    @pytest.mark.parametrize(
        ("name", "root", "said"),
        [
            ("one", "/backups/one", ""),
            ("two", "/backups/two", ""),
            ("two", "/backups/one-more", ""),
            ("one", "/backups/two", "another client of this name"),
            ("two", "/backups/one", "another client, one"),
            ("two", "/backups", "another client, one"),
            ("two", "/backups/one/inside", "another client, one"),
        ],
    )
    def test_none_takes_the_place_of_another(
        self, clients: Path, capsys: pytest.CaptureFixture[str], name: str, root: str, said: str
    ) -> None:
        account = getpass.getuser()
        assert server_clients.main([str(clients), name, root, account]) == bool(said)
        told = capsys.readouterr()
        assert said in told.err and bool(told.out) != bool(said)

    def test_an_account_that_is_not_there(
        self, clients: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert server_clients.main([str(clients), "one", "/backups/one", "nobody-here"]) == 1
        assert "no account nobody-here" in capsys.readouterr().err

    def test_a_first_client_of_a_server(self, tmp_path: Path) -> None:
        server_clients.claim(str(tmp_path / "none"), "one", "/backups/one")
