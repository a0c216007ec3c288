"""The history on real filesystems: damaged, full, read-only, and written by several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import sqlite3
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.locks import single_run
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    KEEP_SAMPLES,
    Event,
    History,
    Sample,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history_file import (
    ALWAYS_CHECKED_BYTES,
    FILE,
    VERSION,
)
from support.filesystems import Disks, run
from support.monitor_host import MonitorHost


def sample(moment: float, target: str = "mount:/") -> Sample:
    return Sample(target, moment, 10, 20, 30, 1, 100, "ok")


def test_samples_events_and_documents_come_back(tmp_path: Path) -> None:
    with History(str(tmp_path / "new" / "state")) as history:
        history.add_samples([sample(2), sample(1), sample(1, "mount:/srv")])
        history.add_event(Event("offsite", "sync", 5.0, "ok", {"sent": 3, "why": "é"}))
        history.add_event(Event("offsite", "sync", 6.0, "critical", {}))
        history.set_document("disk", {"a": [1]})
    with History(str(tmp_path / "new" / "state")) as history:
        assert history.samples("mount:/") == [sample(1), sample(2)]
        assert history.samples("mount:/", since=2) == [sample(2)]
        assert [event.time for event in history.events("offsite", "sync")] == [6.0, 5.0]
        assert history.events("offsite", "sync", limit=2)[1].data == {"sent": 3, "why": "é"}
        assert (history.document("disk"), history.document("offsite")) == ({"a": [1]}, {})
    assert (tmp_path / "new" / "state" / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["noise", "cut off", "pages overwritten", "empty"])
def test_a_damaged_file_is_set_aside_and_the_run_goes_on(tmp_path: Path, damage: str) -> None:
    file = tmp_path / FILE
    with History(str(tmp_path)) as history:
        history.add_samples([sample(moment) for moment in range(3000)])
    content = file.read_bytes()
    noise = random.Random(1).randbytes
    broken = {
        "noise": noise(len(content)),
        "cut off": content[: len(content) // 2],
        "pages overwritten": content[:4096] + noise(len(content) - 4096),
        "empty": b"",
    }[damage]
    file.write_bytes(broken)
    with History(str(tmp_path)) as history:
        history.add_samples([sample(1)])
        assert history.samples("mount:/") == [sample(1)]
        if damage == "empty":  # an empty file is a new one, with nothing to set aside
            assert history.set_aside is None
        else:
            assert history.problem and "set aside" in history.problem
            assert Path(str(history.set_aside)).read_bytes() == broken
    with History(str(tmp_path)) as history:
        assert (history.problem, history.samples("mount:/")) == (None, [sample(1)])


def test_damage_in_a_large_file_is_found_by_use_or_by_the_first_start_of_a_day(
    tmp_path: Path,
) -> None:
    file = tmp_path / FILE
    with History(str(tmp_path)) as history:
        history.add_samples([sample(moment) for moment in range(1, 40_000)])
    content = file.read_bytes()
    assert len(content) > ALWAYS_CHECKED_BYTES
    broken = content[:4096] + random.Random(1).randbytes(len(content) - 4096)
    file.write_bytes(broken)
    with History(str(tmp_path)) as history:  # not looked through: it was written today
        assert history.problem is None
        with pytest.raises(ResilienceError, match="cannot be read"):
            history.samples("mount:/")
    with History(str(tmp_path)) as history:  # but now it is known to be doubtful
        assert history.problem and "set aside" in history.problem
        assert history.samples("mount:/") == []
    file.write_bytes(broken)
    yesterday = time.time() - 86400
    os.utime(file, (yesterday, yesterday))
    with History(str(tmp_path)) as history:
        assert history.problem and "set aside" in history.problem


def test_a_full_disk_is_reported_and_the_history_is_still_read(disks: Disks) -> None:
    point = disks.memory("full", pages=32)
    with History(str(point)) as history:
        history.add_samples([sample(1)])
    with pytest.raises(OSError, match="No space left"), (point / "filler").open("wb") as file:
        while True:
            file.write(b"x" * 4096)
            file.flush()
    with History(str(point)) as history:
        assert history.samples("mount:/") == [sample(1)]
        with pytest.raises(ResilienceError, match="cannot be written.*make room"):
            history.add_samples([sample(moment) for moment in range(2, 400)])
        assert history.samples("mount:/") == [sample(1)]
    (point / "filler").unlink()
    with History(str(point)) as history:
        history.add_samples([sample(2)])


def test_a_read_only_disk_is_reported_and_the_history_is_still_read(disks: Disks) -> None:
    point = disks.ext4("ext4")
    with History(str(point / "state")) as history:
        history.add_samples([sample(1)])
    run("mount", "-o", "remount,ro", str(point))
    with History(str(point / "state")) as history:
        assert not history.writable
        assert history.problem and "cannot be written" in history.problem
        assert history.samples("mount:/") == [sample(1)]
        with pytest.raises(ResilienceError, match="cannot be written"):
            history.add_samples([sample(2)])
    with pytest.raises(ResilienceError, match="neither written nor read"):
        History(str(point / "other"))


def _write(folder: str, number: int, count: int) -> None:
    for turn in range(count):
        with History(folder) as history:
            history.add_samples([sample(number * 1000 + turn)])
            history.add_event(Event("disk", "run", float(turn), "ok", {"writer": number}))


def test_several_processes_write_and_nothing_is_lost(tmp_path: Path) -> None:
    writers = [
        multiprocessing.Process(target=_write, args=(str(tmp_path), number, 20))
        for number in range(6)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 6
    with History(str(tmp_path)) as history:
        assert len(history.samples("mount:/")) == 120
        assert len(history.events("disk", "run", limit=1000)) == 120


def _hold(folder: str, seconds: float) -> None:
    with single_run(folder, "disk") as alone:
        (Path(folder) / "held").touch()
        time.sleep(seconds if alone else 0)


def test_one_run_at_a_time(disks: Disks) -> None:
    folder = disks.memory("state")
    holder = multiprocessing.Process(target=_hold, args=(str(folder), 1.5))
    holder.start()
    while not (folder / "held").exists():
        time.sleep(0.01)
    with single_run(str(folder), "disk", wait=0.1) as alone:
        assert not alone
    with single_run(str(folder), "other", wait=0.1) as alone:
        assert alone
    started = time.monotonic()
    with single_run(str(folder), "disk", wait=10) as alone:
        assert alone and time.monotonic() - started > 0.5
    holder.join()


def test_the_lock_works_where_no_file_can_be_made(disks: Disks) -> None:
    point = disks.ext4("ext4")
    (point / "state").mkdir()
    run("mount", "-o", "remount,ro", str(point))
    with single_run(str(point / "state"), "disk", wait=0.1) as first:
        child = os.fork()
        if not child:
            with single_run(str(point / "state"), "disk", wait=0.1) as second:
                os._exit(0 if second is False else 1)
        assert first and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nothing_is_deleted_by_a_clock_that_was_wrong(tmp_path: Path) -> None:
    with History(str(tmp_path)) as history:
        history.add_samples([sample(moment * 86400.0) for moment in range(1, 40)])
        history.add_event(Event("staging", "drill", 86400.0, "ok", {}))
        future = (40 + 400) * 86400.0
        history.add_samples([sample(future)])
        history.add_event(Event("offsite", "sync", future, "ok", {}))
        history.add_samples([sample(40 * 86400.0)])
        assert len(history.samples("mount:/")) == 41
        assert len(history.events("staging", "drill")) == 1
        # Nor by one that begins at 1970, as that of a board without a battery does.
        history.add_samples([sample(0.0)])
        history.add_event(Event("staging", "drill", 0.0, "ok", {}))
        assert len(history.samples("mount:/")) == 42
        assert len(history.events("staging", "drill")) == 2


def test_the_newest_are_kept_by_their_number(tmp_path: Path) -> None:
    with History(str(tmp_path)) as history:
        history.add_samples([sample(moment) for moment in range(KEEP_SAMPLES + 5)])
        history.add_samples([sample(1.0, "mount:/srv")])
        kept = history.samples("mount:/")
        assert (len(kept), kept[0].time) == (KEEP_SAMPLES, 5.0)
        assert len(history.samples("mount:/srv")) == 1
        for number in range(3):
            history.add_event(Event("disk", "run", 100.0 - number, "ok", {"number": number}))
        assert len(history.events("disk", "run")) == 3


def test_a_newer_version_is_reported_and_its_file_left_alone(tmp_path: Path) -> None:
    with History(str(tmp_path)) as history:
        history.add_samples([sample(1)])
        history.set_document("disk@web1", {"order": 3})
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
        database.execute("ALTER TABLE sample ADD COLUMN more TEXT")
    before = (tmp_path / FILE).read_bytes()
    with History(str(tmp_path)) as history:
        assert not history.writable
        assert (
            history.problem
            and f"a newer version wrote it ({VERSION + 1}; this program" in history.problem
        )
        assert history.samples("mount:/") == [sample(1)]
        assert history.document("disk@web1") == {"order": 3}
        with pytest.raises(ResilienceError, match="newer version"):
            history.add_samples([sample(2)])
    assert (tmp_path / FILE).read_bytes() == before
    assert not list(tmp_path.glob("*damaged*"))


def test_hosts_that_share_the_folder_have_samples_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with History(str(tmp_path)) as history:
        history.add_samples([sample(1), sample(2)])
    here = os.uname()
    other = os.uname_result((here.sysname, "web2", *here[2:]))
    monkeypatch.setattr(os, "uname", lambda: other)
    with History(str(tmp_path)) as history:
        assert history.samples("mount:/") == []
        history.add_samples([sample(1)._replace(bytes_used=99)])
        assert history.amounts(["mount:/"], 0, 10) == {"mount:/": [(1.0, 99, 1)]}
    monkeypatch.undo()
    with History(str(tmp_path)) as history:
        assert history.samples("mount:/") == [sample(1), sample(2)]


def test_a_history_of_the_first_version_is_carried_over(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as database:
        database.executescript(
            "CREATE TABLE sample (target TEXT NOT NULL, time REAL NOT NULL, bytes_used INTEGER,"
            " bytes_available INTEGER, bytes_total INTEGER, inodes_used INTEGER,"
            " inodes_total INTEGER, level TEXT NOT NULL, PRIMARY KEY (target, time)) WITHOUT ROWID;"
            "INSERT INTO sample VALUES ('mount:/', 1.0, 10, 20, 30, 1, 100, 'ok');"
            "CREATE TABLE document (stage TEXT PRIMARY KEY, content TEXT NOT NULL);"
            "INSERT INTO document VALUES ('disk@web1', '{\"order\": 7}');"
            "PRAGMA user_version = 1;"
        )
    for _turn in range(2):
        with History(str(tmp_path)) as history:
            assert (history.problem, history.samples("mount:/")) == (None, [sample(1)])
            assert history.document("disk@web1") == {"order": 7}


def test_to_read_only_a_history_that_is_not_there_yet_makes_none(tmp_path: Path) -> None:
    with History(str(tmp_path / "state"), read_only=True) as history:
        assert history.samples("mount:/") == []
        assert history.problem and "no history" in history.problem
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE document",
        "DROP TABLE event",
        "DROP TABLE sample",
        "DROP TABLE sample; CREATE TABLE sample (host TEXT, target TEXT)",
    ],
)
def test_a_file_without_what_its_version_has_is_set_aside(tmp_path: Path, damage: str) -> None:
    with History(str(tmp_path)) as history:
        history.add_samples([sample(1)])
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.executescript(damage)
    with History(str(tmp_path)) as history:
        assert history.writable and "set aside" in str(history.problem)
        history.add_samples([sample(2)])
        history.set_document("disk", {"a": 1})
    with History(str(tmp_path)) as history:
        assert (history.problem, history.samples("mount:/")) == (None, [sample(2)])


def test_values_of_another_kind_cost_themselves_alone(tmp_path: Path, disks: Disks) -> None:
    """SQLite keeps any value in any column, and its check of the file finds none of that wrong."""
    host = MonitorHost(tmp_path, paths=[str(disks.memory("a"))], language="pt_BR")
    assert host.monitor()[0] == 0
    file = tmp_path / "state" / FILE
    columns = "bytes_available, bytes_total, inodes_used, inodes_total, level"
    with contextlib.closing(sqlite3.connect(file)) as database:
        for moment in ("time - 60", "9e999", "-9e999", "'yesterday'", "x'00ff'", "1e15"):
            for used in ("'lots'", "x'00ff'", "9e999", "-1e300", "NULL"):
                database.execute(
                    "INSERT OR REPLACE INTO sample"
                    f" SELECT host, target, {moment}, {used}, {columns} FROM sample"
                )
        database.execute(
            "INSERT INTO event (stage, kind, time, level, data) VALUES"
            " ('staging', 'drill', 9e999, 'ok', '{}'), ('staging', 'drill', 5, 'ok', '{'),"
            " ('staging', 'drill', 6, 'ok', '3'), ('staging', 'drill', 7, 'ok', '{\"a\": 1}')"
        )
        database.execute("UPDATE document SET content = '12'")
        database.commit()
    done = host.run("monitor-disk-space")
    (problem,) = done.stderr.splitlines()
    assert done.returncode == 0 and problem.startswith("o que está guardado dos alertas"), problem
    for command in ("disk-status", "monitor-disk-space"):
        done = host.run(command)
        assert (done.returncode, done.stderr) == (0, "")
    with History(str(tmp_path / "state")) as history:
        assert [event.data for event in history.events("staging", "drill")] == [{"a": 1}]
        assert all(0 < one.time < 1e12 for one in history.newest_samples(time.time()))
