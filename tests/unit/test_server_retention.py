"""Placement, retention and daily job of the backup server, on a real folder."""

from __future__ import annotations

import datetime
import gzip
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import backup_names
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    incoming,
    new_names,
    placement,
    retention,
    server_job,
    server_store,
)
from support.server_copies import BACKUPS, content, held_content, listed, make_store, place, put


@pytest.fixture
def copy(tmp_path: Path) -> server_store.Store:
    """A copy of seven daily backups that came the usual way."""
    made = make_store(tmp_path)
    place(made, {path: content(path) for path in BACKUPS})
    assert sorted(made.backups()) == BACKUPS
    return made


def test_rotation_moves_aside_and_the_ledger_follows(copy: server_store.Store) -> None:
    files = held_content(copy)
    gone = files.pop(BACKUPS[0])
    new = "daily/chefwell_backup_20251108_030000.dump.gz"
    files[new] = content(new)
    put(copy, {new: files[new]})
    done = placement.apply_inventory(copy, listed(files))
    assert (done.placed, done.aside, done.refused) == ([new], [BACKUPS[0]], "")
    assert Path(copy.root, done.old_folder, BACKUPS[0]).read_bytes() == gone
    assert sorted(copy.ledger()) == sorted(files) == sorted(copy.backups())
    assert os.listdir(copy.placing) == []


def test_unread_tiers_and_unfinished_backups_are_not_gone(copy: server_store.Store) -> None:
    files = held_content(copy)
    del files[BACKUPS[0]]
    kept = placement.apply_inventory(copy, {**listed(files), "in_progress": [BACKUPS[0]]})
    assert kept.aside == []
    assert placement.apply_inventory(copy, {**listed({}), "unread": ["daily"]}).aside == []


def test_a_lost_ledger_is_made_again(copy: server_store.Store) -> None:
    os.unlink(os.path.join(copy.state_dir, "ledger.json"))
    done = placement.apply_inventory(copy, listed(held_content(copy)))
    assert done.placed == done.aside == done.missing == []
    assert len(copy.ledger()) == 7


def test_a_listed_backup_that_never_came_is_missing(copy: server_store.Store) -> None:
    files = {**held_content(copy), "weekly/chefwell_backup_20251102_030000.dump.gz": b"x"}
    assert placement.apply_inventory(copy, listed(files)).missing == [
        "weekly/chefwell_backup_20251102_030000.dump.gz"
    ]


def test_links_in_incoming_are_not_taken(copy: server_store.Store, tmp_path: Path) -> None:
    path = "weekly/chefwell_backup_20251102_030000.dump.gz"
    Path(copy.incoming, "weekly").mkdir()
    Path(copy.incoming, path).symlink_to("/etc/passwd")
    body = Path("/etc/passwd").read_bytes()
    done = placement.apply_inventory(copy, listed({**held_content(copy), path: body}))
    assert done.missing == [path]


def test_a_rename_never_replaces(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("new")
    two.write_text("old")
    with pytest.raises(FileExistsError):
        new_names.rename_new(str(one), str(two))
    assert (one.read_text(), two.read_text()) == ("new", "old")


def test_a_held_lock_is_reported_as_busy(
    copy: server_store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_store, "LOCK_SECONDS", 0.2)
    with (
        copy.locked("test"),
        pytest.raises(server_store.Busy, match="at work"),
    ):
        placement.apply_inventory(copy, listed(held_content(copy)))


def age(made: server_store.Store, folder: str, days: int) -> str:
    """Moves a folder of old backups back in time."""
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
    older = f"old_{moment:%Y%m%d_%H%M%S}"
    Path(made.root, folder).rename(Path(made.root, older))
    return older


@pytest.fixture
def immutable(copy: server_store.Store) -> Iterator[Callable[[str], None]]:
    """Set a file's attribute `i`, which even root's programs obey; it is taken back at the end."""
    made = []

    def make(path: str) -> None:
        whole = os.path.join(copy.root, path)
        done = subprocess.run(["chattr", "+i", whole], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this filesystem or user cannot: {done.stderr}")
        made.append(whole)

    yield make
    for whole in made:
        subprocess.run(["chattr", "-i", whole], capture_output=True, check=False)


def test_what_cannot_be_moved_aside_costs_itself_alone(
    copy: server_store.Store, immutable: Callable[[str], None]
) -> None:
    """A person has protected a backup by an attribute: the others go, and an alarm names it."""
    files = held_content(copy)
    for path in BACKUPS[:2]:
        files.pop(path)
    immutable(BACKUPS[0])
    immutable(BACKUPS[2])
    files[BACKUPS[2]] = b"written again"
    new = [f"daily/chefwell_backup_2025110{day}_030000.dump.gz" for day in (8, 9)]
    files.update({path: content(path) for path in new})
    put(copy, {path: files[path] for path in [*new, BACKUPS[2]]})
    done = placement.apply_inventory(copy, listed(files))
    assert (sorted(done.placed), done.aside, done.replaced) == (new, [BACKUPS[1]], [])
    assert BACKUPS[0] in copy.backups() and BACKUPS[1] not in copy.backups()
    reason = str(copy.alarms.all()["unmovable"].reason)
    assert BACKUPS[0] in reason and BACKUPS[2] in reason
    for path in (BACKUPS[0], BACKUPS[2]):
        subprocess.run(["chattr", "-i", os.path.join(copy.root, path)], check=True)
    put(copy, {BACKUPS[2]: files[BACKUPS[2]]})
    done = placement.apply_inventory(copy, listed(files))
    assert (done.aside, done.replaced) == ([BACKUPS[0]], [BACKUPS[2]])
    assert "unmovable" not in copy.alarms.all()


def test_what_cannot_be_removed_costs_itself_alone(
    copy: server_store.Store, immutable: Callable[[str], None]
) -> None:
    files = held_content(copy)
    del files[BACKUPS[0]], files[BACKUPS[1]]
    new = [f"daily/chefwell_backup_2025110{day}_030000.dump.gz" for day in (8, 9)]
    files.update({path: content(path) for path in new})
    put(copy, {path: files[path] for path in new})
    folder = placement.apply_inventory(copy, listed(files)).old_folder
    old = os.path.join(copy.root, "old_20200101_000000")
    os.rename(os.path.join(copy.root, folder), old)
    immutable(f"old_20200101_000000/{BACKUPS[0]}")
    job = server_job.run(copy)
    assert job.dropped == [f"old_20200101_000000/{BACKUPS[1]}"]
    assert set(job.failures) == {"retention"} and BACKUPS[0] in str(job.failures["retention"])


def test_old_backups_are_dropped_after_their_days(copy: server_store.Store) -> None:
    files = held_content(copy)
    del files[BACKUPS[0]]
    folder = age(copy, placement.apply_inventory(copy, listed(files)).old_folder, 89)
    assert server_job.run(copy).dropped == []
    folder = age(copy, folder, 91)
    assert server_job.run(copy).dropped == [f"{folder}/{BACKUPS[0]}"]
    assert not Path(copy.root, folder).exists()


def test_the_newest_good_backup_of_a_tier_is_never_dropped(copy: server_store.Store) -> None:
    """An attacker lists noise only, day after day; what is in place then is no backup."""
    noise = {f"daily/chefwell_backup_2026010{day}_030000.dump.gz": b"noise" * 90 for day in (1, 2)}
    values = listed(noise)
    put(copy, noise)
    assert placement.apply_inventory(copy, values).refused
    accepted = placement.accept_refused(copy)
    assert accepted and len(accepted.aside) == 7
    folder = age(copy, accepted.old_folder, 200)
    done = server_job.run(copy)
    assert done.kept_longer == [f"{folder}/{BACKUPS[-1]}"]
    assert len(done.dropped) == 6
    assert Path(copy.root, folder, BACKUPS[-1]).exists()
    # Once a good one is in place, the old one may go.
    better = "daily/chefwell_backup_20260103_030000.dump.gz"
    place(copy, {**noise, better: content(better)})
    assert server_job.run(copy).dropped == [f"{folder}/{BACKUPS[-1]}"]


@pytest.mark.parametrize("ahead_hours", [10, 24 * 365])
def test_a_name_that_is_spelled_later_makes_no_genuine_backup_go(
    tmp_path: Path, ahead_hours: int
) -> None:
    """Names are the client's (O22): a decoy that arrived before the genuine newest one."""
    copy = make_store(tmp_path)
    later = datetime.datetime.now() + datetime.timedelta(hours=ahead_hours)
    decoy = f"daily/chefwell_backup_{later:%Y%m%d_%H%M%S}.dump.gz"
    files = {decoy: content(decoy)}
    place(copy, files)
    place(copy, {**files, **{path: content(path) for path in BACKUPS}})
    noise = {"daily/chefwell_backup_20260101_030000.dump.gz": b"noise" * 90}
    put(copy, noise)
    assert placement.apply_inventory(copy, listed(noise)).refused
    accepted = placement.accept_refused(copy)
    assert accepted and len(accepted.aside) == 8
    kept = retention.drop_old(copy, time.time() + 200 * 86400).kept_longer
    genuine = f"{accepted.old_folder}/{BACKUPS[-1]}"
    # By its name the decoy is the newest, as long as that lies not in the future.
    assert set(kept) == {
        genuine,
        *([f"{accepted.old_folder}/{decoy}"] if ahead_hours == 10 else []),
    }


def test_bit_rot_is_named_until_it_is_gone(copy: server_store.Store) -> None:
    assert server_job.run(copy).alarms == {}
    victim = Path(copy.root, BACKUPS[2])
    whole = victim.read_bytes()
    seen = victim.stat()
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    daily = make_store(Path(copy.root), reread_days=1)
    done = server_job.run(daily)
    assert done.rotten == [BACKUPS[2]] and BACKUPS[2] in done.alarms["bit-rot"].reason
    assert server_job.run(daily).alarms["bit-rot"].since == done.alarms["bit-rot"].since
    victim.write_bytes(whole)
    assert server_job.run(daily).alarms == {}


def test_every_backup_is_read_within_the_days(copy: server_store.Store) -> None:
    weekly = make_store(Path(copy.root), reread_days=7)
    assert server_job.run(weekly).read == 7, "each once soon after it was placed"
    before = {path: entry.read for path, entry in copy.ledger().items()}
    for _day in range(7):
        assert 1 <= server_job.run(weekly).read <= 2
    assert all(entry.read > before[path] for path, entry in copy.ledger().items())


def test_what_is_lost_silent_or_full_raises_an_alarm(copy: server_store.Store) -> None:
    os.unlink(os.path.join(copy.root, BACKUPS[0]))
    copy.save("last", {"time": time.time() - 60 * 3600, "listed": 7})
    alarms = server_job.run(make_store(Path(copy.root), reserve_percent=100)).alarms
    assert set(alarms) == {"lost", "silent", "room"}
    assert "60 hours" in alarms["silent"].reason and BACKUPS[0] in alarms["lost"].reason


def test_forgotten_arrivals_are_thrown_away(
    copy: server_store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(copy, {BACKUPS[0]: b"x"})
    server_job.run(copy)
    assert Path(copy.incoming, BACKUPS[0]).exists()
    monkeypatch.setattr(incoming, "INCOMING_DAYS", -1)
    server_job.run(copy)
    assert not Path(copy.incoming, BACKUPS[0]).exists()


def test_empty_folders_do_not_stay(
    copy: server_store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that a client made unreadable (O18)."""
    partial = Path(copy.incoming, "weekly", ".rsync-partial")
    partial.mkdir(parents=True)
    partial.chmod(0)
    partial.parent.chmod(0)
    server_job.run(copy)
    assert partial.exists()
    monkeypatch.setattr(incoming, "INCOMING_DAYS", -1)
    server_job.run(copy)
    assert not partial.exists() and not partial.parent.exists()


def test_a_missing_folder_is_no_empty_copy(tmp_path: Path) -> None:
    with pytest.raises(ResilienceError, match="is not there"):
        make_store(tmp_path / "none")


def sealed_backup(path: str) -> dict[str, bytes]:
    """The files of a sealed backup on the server, by path."""
    return {
        f"{path}.age": b"age-encryption.org/v1\n" + os.urandom(300),
        f"{path}.manifest.json.age": b"age-encryption.org/v1\n" + os.urandom(300),
        f"{path}.link": b'{"version":1}\nsignature\n' + os.urandom(100),
    }


def plain_backup(path: str) -> dict[str, bytes]:
    """The files of a backup that is not sealed, by path."""
    return {
        path: gzip.compress(os.urandom(300)),
        **{f"{path}{ending}": os.urandom(20) for ending in backup_names.COMPANIONS},
    }


@pytest.mark.parametrize("form", [sealed_backup, plain_backup])
def test_the_newest_backup_is_kept_with_all_that_lies_beside_it(
    tmp_path: Path, form: Callable[[str], dict[str, bytes]]
) -> None:
    store = make_store(tmp_path)
    files = {name: body for path in BACKUPS[:3] for name, body in form(path).items()}
    done = place(store, files)
    assert sorted(done.placed) == sorted(files)
    assert done.rejected == [] and sorted(store.backups()) == sorted(files)
    # All are moved aside, long ago.
    folder = tmp_path / "old_20200101_000000" / "daily"
    folder.mkdir(parents=True)
    for path in files:
        (tmp_path / path).rename(folder / Path(path).name)
    dropped = retention.drop_old(store, time.time())
    newest = {f"old_20200101_000000/{name}" for name in form(BACKUPS[2])}
    assert set(dropped.kept_longer) == newest
    assert len(dropped.dropped) == 2 * len(newest)
    assert {str(path.relative_to(tmp_path)) for path in folder.iterdir()} == newest


@pytest.mark.parametrize("form", [sealed_backup, plain_backup])
def test_a_guard_counts_backups_and_not_what_lies_beside_them(
    tmp_path: Path, form: Callable[[str], dict[str, bytes]]
) -> None:
    store = make_store(tmp_path)
    files = {name: body for path in BACKUPS for name, body in form(path).items()}
    place(store, files)
    # Manifests that are written anew are no mass change; backups that are, are one.
    beside = dict(files)
    for path in files:
        if ".manifest.json" in path:
            beside[path] += b"new"
    assert not place(store, beside).refused
    gone = {name: body for name, body in beside.items() if not name.startswith(BACKUPS[0])}
    assert not place(store, gone).refused
    few = {name: body for name, body in gone.items() if name.startswith((BACKUPS[5], BACKUPS[6]))}
    assert "4 of 6" in place(store, few).refused
    changed = {name: body + b"x" for name, body in gone.items()}
    assert place(store, changed).refused


def test_names_like_those_of_sealed_backups_are_rejected(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for name in ("x.age", "daily/x.link", f"{BACKUPS[0]}.age.age", f"{BACKUPS[0]}.exe.age"):
        assert not store.accepts(name), name
    for name in sealed_backup(BACKUPS[0]):
        assert store.accepts(name), name
