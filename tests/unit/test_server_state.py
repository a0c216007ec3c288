"""The backup server's own files: alarms, ledger, intents, identity; nothing of them gets lost."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    client_inventory,
    incoming,
    packed_files,
    placement,
    server_alarms,
    server_job,
    server_store,
    server_verification,
)
from support.server_copies import (
    BACKUPS,
    content,
    held_content,
    listed,
    make_store,
    packed,
    place,
    put,
)

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def copy(tmp_path: Path) -> server_store.Store:
    """A copy of seven daily backups that arrived the usual way."""
    store = make_store(tmp_path)
    place(store, {path: content(path) for path in BACKUPS})
    return store


_SHA256 = server_verification.tree_digests.sha256


def _fourth_unreadable(path: str) -> str:
    """The digest of a file, but for one backup that cannot be read."""
    if path.endswith(BACKUPS[3]):
        raise OSError(5, "Input/output error", path)
    return _SHA256(path)


class TestAlarms:
    def test_many_at_once(self, tmp_path: Path) -> None:
        """A standing alarm is there after any number of others were raised and cleared (O4)."""
        server_alarms.AlarmStore(str(tmp_path)).set(server_alarms.MASS_CHANGE, "much")
        own_kinds = [kind for kind in server_alarms.KINDS if kind != server_alarms.MASS_CHANGE][:6]

        def work(number: int) -> None:
            alarms, kind = server_alarms.AlarmStore(str(tmp_path)), own_kinds[number]
            for turn in range(20):
                alarms.set(kind, f"{number} {turn}")
                # No other one clears it.
                assert {server_alarms.MASS_CHANGE, kind} <= alarms.all().keys()
                alarms.set(kind, None)
                assert kind not in alarms.all()
            alarms.set(kind, f"{number}")
            os._exit(0)

        children = [FORK.Process(target=work, args=(number,)) for number in range(6)]
        for child in children:
            child.start()
        for child in children:
            child.join(60)
            assert child.exitcode == 0
        found = server_alarms.AlarmStore(str(tmp_path)).all()
        assert set(found) == {server_alarms.MASS_CHANGE, *own_kinds}

    @pytest.mark.parametrize("damage", ['{"mass-cha', "[]", '{"mass-change": 5}'])
    def test_a_damaged_file_is_an_alarm(self, tmp_path: Path, damage: str) -> None:
        alarms = server_alarms.AlarmStore(str(tmp_path))
        alarms.set(server_alarms.MASS_CHANGE, "much")
        (tmp_path / "alarms.json").write_text(damage)
        assert "alarms.json" in alarms.all()[server_alarms.STATE].reason
        # It stays one when others are raised, until a person clears it.
        alarms.set(server_alarms.ROOM, "full")
        assert set(alarms.all()) == {server_alarms.STATE, server_alarms.ROOM}

    def test_a_file_that_cannot_be_written(self, tmp_path: Path) -> None:
        """The alarm stays in memory, so that its process can notify (O8)."""
        alarms = server_alarms.AlarmStore(str(tmp_path / "none"))
        alarms.set(server_alarms.ROOM, "full")
        assert alarms.all()[server_alarms.ROOM].reason == "full" and alarms.problems
        alarms.set(server_alarms.ROOM, None)
        assert alarms.all() == {}


class TestJob:
    def test_each_part_is_its_own(
        self, copy: server_store.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A part that raises whatever it raises is an alarm; the others run (O2)."""

        def deep(*_arguments: object) -> None:
            raise RecursionError("maximum recursion depth exceeded")

        copy.save("last", {"time": time.time() - 60 * 3600, "listed": 7})
        monkeypatch.setattr(server_verification, "reread", deep)
        monkeypatch.setattr("os.statvfs", deep)
        seen: list[set[str]] = []
        result = server_job.run(copy, lambda: seen.append(set(copy.alarms.all())))
        assert set(result.failures) == {"room", "verification"}
        assert set(result.alarms) == {"silent", "job-failed"}
        assert "RecursionError" in result.alarms["job-failed"].reason
        assert seen == [{"silent"}], "notified before the work"
        monkeypatch.undo()
        after = server_job.run(copy)
        assert set(after.over) == {"job-failed"} and set(after.alarms) == {"silent"}

    def test_an_unreadable_backup(
        self, copy: server_store.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is an alarm, and costs no other backup its reading (O8)."""
        monkeypatch.setattr(server_verification.tree_digests, "sha256", _fourth_unreadable)
        daily = make_store(Path(copy.root), reread_days=1)
        result = server_job.run(daily)
        assert (result.unreadable, result.read, result.failures) == ([BACKUPS[3]], 6, {})
        assert BACKUPS[3] in result.alarms["unreadable"].reason
        monkeypatch.undo()
        assert server_job.run(daily).alarms == {}

    def test_an_unreadable_backup_costs_no_other_one_its_place(
        self, copy: server_store.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where the ledger is lost, so that each one is read (O8)."""
        files = held_content(copy)
        os.unlink(os.path.join(copy.state_dir, "ledger.json"))
        monkeypatch.setattr(server_verification.tree_digests, "sha256", _fourth_unreadable)
        new = "daily/chefwell_backup_20251108_030000.dump.gz"
        files[new] = content(new)
        put(copy, {new: files[new]})
        result = placement.apply_inventory(copy, listed(files))
        assert (list(result.placed), result.unreadable) == ([new], [BACKUPS[3]])
        assert BACKUPS[3] in str(copy.alarms.all()["unreadable"].reason)

    def test_losses_are_reported_before_the_work(self, copy: server_store.Store) -> None:
        """So that no part that hangs or fails keeps them back (O2, O12)."""
        os.unlink(os.path.join(copy.root, BACKUPS[0]))
        seen: dict[str, server_alarms.Alarm] = {}
        server_job.run(copy, notify=lambda: seen.update(copy.alarms.all()))
        assert BACKUPS[0] in str(seen["lost"].reason)

    def test_no_inode_free(self, copy: server_store.Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing can be written, and yet the full disk is reported (O8)."""

        def full(*_arguments: object, **_options: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(server_store.json_stream, "replace", full)
        monkeypatch.setattr(server_alarms, "replace_json", full)
        store = make_store(Path(copy.root), reserve_percent=100)
        seen: list[set[str]] = []
        result = server_job.run(store, lambda: seen.append(set(store.alarms.all())))
        assert "room" in result.alarms and seen == [{"room"}]
        assert "verification" in result.failures and store.alarms.problems

    @pytest.mark.parametrize("name", ["ledger", "last"])
    @pytest.mark.parametrize("damage", ["lost", "damaged"])
    def test_a_lost_or_damaged_file(self, copy: server_store.Store, name: str, damage: str) -> None:
        """What is found then cannot be compared with anything: an alarm (O13)."""
        path = Path(copy.state_dir, f"{name}.json")
        if damage == "lost":
            path.unlink()
        else:
            path.write_text('{"files": {"dai')
        result = server_job.run(copy)
        assert f"{name}.json" in result.alarms["state-damaged"].reason
        assert set(server_job.run(copy).alarms) == {"state-damaged"}, "until a person clears it"
        place(copy, held_content(copy))
        server_job.clear(copy)
        assert server_job.run(copy).alarms == {}
        assert path.exists()


class TestIdentity:
    def test_a_folder_without_the_identity_is_not_the_copy(self, tmp_path: Path) -> None:
        """Nothing is made in a folder that is not the copy's (O13)."""
        store = make_store(tmp_path)
        Path(store.state_dir, server_store.IDENTITY_FILE).write_text("one")
        assert make_store(tmp_path, identity="one").backups() == {}
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(server_store.WrongCopy, match="identity is missing"):
            make_store(empty, identity="one")
        assert list(empty.iterdir()) == []
        Path(store.state_dir, server_store.IDENTITY_FILE).write_text("another")
        with pytest.raises(server_store.WrongCopy):
            make_store(tmp_path, identity="one")


class TestRefusedInventories:
    def test_a_person_accepts_the_one_that_was_seen(
        self, copy: server_store.Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An attacker's comes after the owner's; neither takes the other's place (O11)."""
        files = held_content(copy)
        owners = {path: files[path] for path in BACKUPS[4:]}
        first = placement.apply_inventory(copy, listed(owners))
        foreign = placement.apply_inventory(copy, listed({}))
        assert first.refused and foreign.refused and first.refused_id != foreign.refused_id
        waiting = {one.id for one in client_inventory.refused(copy)}
        assert waiting == {first.refused_id, foreign.refused_id}
        with pytest.raises(ResilienceError, match="several refused inventories wait"):
            placement.accept_refused(copy)
        with pytest.raises(ResilienceError, match="no such refused inventory"):
            placement.accept_refused(copy, "0123456789ab")
        config = tmp_path / "client.json"
        config.write_text(json.dumps({"root": copy.root, "reserve_percent": 0}))
        command = ["keep-offsite-copy", "--config", str(config), "--accept", first.refused_id]
        assert host_cli.main(command) == 0
        assert "accepted: 4 moved" in capsys.readouterr().out
        assert sorted(copy.backups()) == sorted(owners)
        assert client_inventory.refused(copy) == [] and copy.alarms.all() == {}

    def test_only_what_was_refused_is_accepted(self, copy: server_store.Store) -> None:
        """A file of the server's that was spoilt, and still is JSON, moves nothing (O11)."""
        refused = placement.apply_inventory(copy, listed({}))
        file = Path(copy.state_dir, "refused", f"{refused.refused_id}.json")
        values = json.loads(file.read_text())
        other = {**values, "inventory": {**values["inventory"], "unread": ["daily"]}}
        for spoilt, problem in ((other, "is damaged"), ({}, "no such refused inventory")):
            file.write_text(json.dumps(spoilt))
            with pytest.raises(ResilienceError, match=problem) as raised:
                placement.accept_refused(copy, refused.refused_id)
            assert raised.value.remedy == "let the client sync again, which sends it once more"
        assert sorted(copy.backups()) == BACKUPS

    def test_they_are_not_kept_without_limit(self, copy: server_store.Store) -> None:
        for number in range(client_inventory.MOST_REFUSED + 5):
            values = {"files": {}, "unread": [], "in_progress": [str(number)]}
            client_inventory.keep_refused(copy, client_inventory.parse(values, copy), "much")
        assert len(client_inventory.refused(copy)) == client_inventory.MOST_REFUSED


def test_backups_that_the_server_cut_off_are_repaired_not_refused(copy: server_store.Store) -> None:
    """A power cut empties several: that is rot, and no client has written them again (O5, O10)."""
    files = held_content(copy)
    spoilt = BACKUPS[:3]
    for path, size in zip(spoilt, (0, 10, 10_000)):
        os.truncate(Path(copy.root, path), size)
    put(copy, {path: files[path] for path in spoilt})
    result = placement.apply_inventory(copy, listed(files))
    assert (result.repaired, result.replaced, result.refused) == (spoilt, [], "")
    assert held_content(copy) == files and copy.alarms.all() == {}
    aside = [path for path in copy.previous_sizes() if path.partition("/")[2] in spoilt]
    assert len(aside) == 3, "what was found is kept"


def test_a_backup_that_was_cut_off_and_not_sent_again_stays_marked(
    copy: server_store.Store,
) -> None:
    files = held_content(copy)
    os.truncate(Path(copy.root, BACKUPS[0]), 0)
    placement.apply_inventory(copy, listed(files))
    assert copy.stored_paths("rotten") == {BACKUPS[0]} and "bit-rot" in copy.alarms.all()
    assert copy.ledger()[BACKUPS[0]].bytes == len(files[BACKUPS[0]]), "what it was is still known"


def test_a_name_that_no_filesystem_has_costs_itself_alone(copy: server_store.Store) -> None:
    """Too long for this one, or half a surrogate pair: everything else is placed (O7)."""
    new = "daily/chefwell_backup_20251201_030000.dump.gz"
    long = f"daily/{'x' * 300}_20251202_030000.dump.gz"
    half = "daily/\ud800_20251203_030000.dump.gz"
    files = {**held_content(copy), new: content(new), long: content(long)}
    put(copy, {new: files[new]})
    values = listed(files)
    values["files"][half] = ["0" * 64, 5]
    result = placement.apply_inventory(copy, values)
    assert (result.placed, result.missing, result.rejected) == ([new], [long], [half])
    assert result.refused == "" and new in copy.ledger()


def test_a_packed_file_that_this_filesystem_cannot_name_is_left_out(
    copy: server_store.Store, tmp_path: Path
) -> None:
    new = "daily/chefwell_backup_20251201_030000.dump.gz"
    long = f"daily/{'x' * 300}_20251202_030000.dump.gz"
    files = {long: b"long", new: b"new"}
    stream = tmp_path / "stream"
    stream.write_bytes(packed(files))
    with incoming.ArrivalSession(copy) as session, stream.open("rb") as file:
        assert packed_files.receive(copy, session, file.fileno()) == b""
        values = listed({**held_content(copy), **files})
        result = placement.apply_inventory(copy, values, session=session)
    assert (result.placed, result.missing) == ([new], [long])


def test_a_name_with_a_zero_byte_costs_itself_alone(tmp_path: Path) -> None:
    """No file is called so, and no pattern may let it through: also not one that fits anything."""
    copy = make_store(tmp_path, backup_pattern="(?s).+")
    files = {path: content(path) for path in BACKUPS[:2]}
    put(copy, files)
    odd = ["daily/a\0b", "daily/../weekly/x", "daily/", "daily/.", "daily/.."]
    values = listed({**files, **{path: b"odd" for path in odd}})
    result = placement.apply_inventory(copy, values)
    assert list(result.placed) == sorted(files) and result.rejected == sorted(odd)


@pytest.mark.parametrize("size", [float("inf"), float("nan"), None, [], "many", 10**400])
def test_a_size_that_is_none(copy: server_store.Store, size: object) -> None:
    """One clear error, or a size that nothing has; never a traceback."""
    path = "daily/chefwell_backup_20251201_030000.dump.gz"
    values = {"files": {path: ["0" * 64, size]}, "unread": ["daily"], "in_progress": []}
    if size == 10**400:
        assert placement.apply_inventory(copy, values).missing == [path]
        return
    with pytest.raises(ResilienceError, match="the inventory cannot be used"):
        placement.apply_inventory(copy, values)


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """kill -9 between any two steps: nothing is lost, half or unknown to the ledger (O15)."""
    store = make_store(tmp_path)
    rng = random.Random(15)
    files = {path: content(path) for path in BACKUPS}
    place(store, files)
    everything = set(files.values())
    killed, whole = 0, 1.0
    for turn in range(40):
        gone = rng.choice(sorted(files))
        del files[gone]
        day = f"2026{1 + turn // 28:02}{1 + turn % 28:02}"
        new = f"daily/chefwell_backup_{day}_030000.dump.gz"
        changed = rng.choice(sorted(files))
        files[new] = content(new)
        files[changed] = content(f"{changed} {turn}")
        put(store, {new: files[new], changed: files[changed]})
        values = listed(files)

        def work(values: object = values) -> None:
            placement.apply_inventory(
                make_store(tmp_path, change_percent=10**6, most_rewritten=10**6), values
            )
            os._exit(0)

        child = FORK.Process(target=work)
        started = time.monotonic()
        child.start()
        # The first one is not killed: the others are killed within the time that one takes.
        if turn:
            time.sleep(rng.uniform(0, whole))
            os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        if child.exitcode == 0:
            # On a machine whose pace changes most would end before their kill.
            whole = min(0.8 * whole, time.monotonic() - started)
        else:
            killed, whole = killed + 1, 1.1 * whole
            assert child.exitcode == -signal.SIGKILL
        # The next sync sends again what is not in place.
        store = make_store(tmp_path, change_percent=10**6, most_rewritten=10**6)
        put(store, {path: files[path] for path in (new, changed)})
        result = placement.apply_inventory(store, values)
        assert (result.lost, result.missing, result.refused) == ([], [], ""), turn
        assert held_content(store) == files, turn
        everything |= set(files.values())
        ledger = store.ledger()
        assert {path: entry.sha256 for path, entry in ledger.items()} == {
            path: digest for path, (digest, _size) in values["files"].items()
        }, turn
        sessions = [name for name in os.listdir(store.placing) if not name.startswith(".new-")]
        assert store.intents() is None and sessions == []
    print(f"{killed} of 40 were killed at work")
    assert killed > 10
    assert set(store.alarms.all()) == {"rewritten"}
    # Every content that was ever in place is still there, in its place or moved aside.
    kept = set(files.values())
    for folder, paths in store.previous_versions().items():
        kept |= {Path(store.root, folder, path).read_bytes() for path in paths}
    assert everything <= kept


def test_a_lost_backup_is_reported_by_whoever_sees_it_first(copy: server_store.Store) -> None:
    """Backups removed on the server, and an inventory before the daily job (O12)."""
    files = held_content(copy)
    for path in BACKUPS[:5]:
        os.unlink(os.path.join(copy.root, path))
    put(copy, {path: files[path] for path in BACKUPS[:5]})
    result = placement.apply_inventory(copy, listed(files))
    assert result.lost == BACKUPS[:5] and result.placed == BACKUPS[:5]
    assert "lost" in copy.alarms.all()
    job = server_job.run(copy)
    assert "lost" in job.over and BACKUPS[0] in job.over["lost"].reason
    assert server_job.run(copy).over == {}


def test_a_rotten_backup_is_replaced_by_what_the_ledger_knows(copy: server_store.Store) -> None:
    """Only by that content; the rotten one is kept aside (O5)."""
    files = held_content(copy)
    victim = Path(copy.root, BACKUPS[2])
    rotten = files[BACKUPS[2]][:-1] + b"?"
    victim.write_bytes(rotten)
    daily = make_store(Path(copy.root), reread_days=1)
    assert server_job.run(daily).rotten == [BACKUPS[2]]
    put(copy, {BACKUPS[2]: files[BACKUPS[2]]})
    result = placement.apply_inventory(copy, listed(files))
    assert (result.repaired, result.replaced, result.refused) == ([BACKUPS[2]], [], "")
    assert held_content(copy) == files
    assert Path(copy.root, result.old_folder, BACKUPS[2]).read_bytes() == rotten
    assert copy.alarms.all() == {} and server_job.run(daily).alarms == {}


def test_bytes_that_never_arrive_make_up_for_no_loss(tmp_path: Path) -> None:
    """Few backups go, but most bytes, and one that is only announced claims more (O16)."""
    copy = make_store(tmp_path)
    files = {path: os.urandom(1000) for path in BACKUPS}
    files[BACKUPS[0]] = os.urandom(100_000)
    place(copy, files)
    values = listed({path: body for path, body in files.items() if path != BACKUPS[0]})
    values["files"]["daily/chefwell_backup_20251108_030000.dump.gz"] = ["0" * 64, 10**15]
    result = placement.apply_inventory(copy, values)
    assert "bytes" in result.refused and held_content(copy) == files


def test_rot_is_no_way_around_a_refusal(copy: server_store.Store) -> None:
    """Other content than the ledger knows repairs nothing, and waits like any other change."""
    files = held_content(copy)
    rotten = BACKUPS[0]
    copy.change_stored_paths("rotten", add=[rotten])
    noise = {rotten: b"noise" * 100}
    put(copy, noise)
    refused = placement.apply_inventory(copy, listed(noise))
    assert refused.refused and refused.repaired == []
    assert held_content(copy) == files
    assert copy.stored_paths("rotten") == {rotten}


def test_a_rotten_backup_that_reads_well_again_is_not_rotten(copy: server_store.Store) -> None:
    """Somebody put the good file back; the client's full verification reads it."""
    files, ledger = held_content(copy), copy.ledger()
    good = hashlib.sha256(files[BACKUPS[2]]).hexdigest()
    bad = hashlib.sha256(b"rot").hexdigest()
    compare = server_verification.compare_with_ledger
    assert compare(copy, ledger, {BACKUPS[2]: bad}) == [BACKUPS[2]]
    assert "bit-rot" in copy.alarms.all()
    assert compare(copy, ledger, {BACKUPS[1]: ledger[BACKUPS[1]].sha256}) == []
    assert "bit-rot" in copy.alarms.all()
    assert compare(copy, ledger, {BACKUPS[2]: good}) == []
    assert copy.alarms.all() == {} and copy.stored_paths("rotten") == set()
