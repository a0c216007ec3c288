# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""History between runs: samples of disks, events of the stages, documents with alert states.

All stages share one file, `history_file.HistoryFile`. An event is anything with a time, a level and
plain values, such as a sync or a drill; a document holds the alerts of one stage on one host.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..common.errors import ResilienceError
from ..common.mask import mask
from ..common.messages import _
from .history_file import DAY, FILE, HistoryFile, waiting

# How many are kept, by number and not by age: a clock that was wrong once must delete nothing. For
# samples, 400 days of one every 15 minutes; for events, years of a daily one.
KEEP_SAMPLES = 40_000
KEEP_EVENTS = 4_000
# What is dated later than now by so many seconds is of a clock that was wrong, and set back since.
CLOCK_SLACK = 60.0
# The end of the year 9999, seconds since 1970: no date can be made of a later time.
_LAST_TIME = 253_402_300_799


def _number(column: str) -> str:
    """Return SQL for a column that holds whole numbers; NULL where it holds something else."""
    # SQLite keeps a value of any kind in any column. Compared here, as it takes longer in Python.
    return f"CASE typeof({column}) WHEN 'integer' THEN {column} END"


_NUMBERS = ("bytes_used", "bytes_available", "bytes_total", "inodes_used", "inodes_total")
_SAMPLE = f"target, time, {', '.join(map(_number, _NUMBERS))}, level"
# A time that can be one; text sorts after every number.
_DATED = f"time >= 0 AND time <= {_LAST_TIME}"


class Sample(NamedTuple):
    """One measurement of one target; `time` is in seconds since 1970, sizes in bytes."""

    target: str
    time: float
    bytes_used: int | None
    bytes_available: int | None
    bytes_total: int | None
    inodes_used: int | None
    inodes_total: int | None
    level: str


class Amount(NamedTuple):
    """What a forecast needs of one measurement."""

    time: float
    bytes_used: int | None
    inodes_used: int | None


class Event(NamedTuple):
    """Something that happened: a sync, a drill, a run; `time` in seconds since 1970."""

    stage: str
    kind: str
    time: float
    level: str
    data: dict[str, Any]


class History(HistoryFile):
    """The file while it is open; attributes and errors are those of `HistoryFile`."""

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Store measurements; of each target the newest `KEEP_SAMPLES` are kept.

        Raises:
            ResilienceError: they cannot be written.
        """
        if not samples:
            return
        with self.writing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(self.host, *sample) for sample in samples],
            )
            database.executemany(
                "DELETE FROM sample WHERE host = ?1 AND target = ?2 AND time <="
                " (SELECT time FROM sample WHERE host = ?1 AND target = ?2"
                " ORDER BY time DESC LIMIT 1 OFFSET ?3)",
                [(self.host, name, KEEP_SAMPLES) for name in {one.target for one in samples}],
            )

    def samples(self, target: str, since: float = 0) -> list[Sample]:
        """Return the measurements of one target, the oldest first.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            f"SELECT {_SAMPLE} FROM sample WHERE host = ? AND target = ? AND time >= ?"
            f" AND {_DATED} ORDER BY time"
        )
        return [Sample(*row) for row in self.rows(query, (self.host, target, since))]

    def amounts(
        self, targets: Iterable[str], since: float, until: float
    ) -> dict[str, list[Amount]]:
        """Return by target time, bytes used and inodes used of each measurement, the oldest first.

        A month of twenty targets is thousands of rows, and a forecast needs no more of them.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            f"SELECT time, {_number('bytes_used')}, {_number('inodes_used')} FROM sample"
            " WHERE host = ? AND target = ? AND time >= ? AND time < ? ORDER BY time"
        )
        with waiting():
            return {
                target: [
                    Amount(*row) for row in self.rows(query, (self.host, target, since, until))
                ]
                for target in targets
            }

    def newest_samples(self, now: float) -> list[Sample]:
        """Return the newest measurement of each target of the last run that measured any.

        Args:
            now: seconds since 1970; what is dated later is left out.

        Raises:
            ResilienceError: they cannot be read.
        """
        # Each step jumps to the next target by the primary key: nothing else of it is read.
        targets = (
            "WITH RECURSIVE known(target) AS (SELECT min(target) FROM sample WHERE host = ?1"
            " UNION ALL SELECT (SELECT min(target) FROM sample WHERE host = ?1"
            " AND target > known.target) FROM known WHERE known.target IS NOT NULL)"
            " SELECT target FROM known WHERE target IS NOT NULL"
        )
        newest = (
            f"SELECT {_SAMPLE} FROM sample WHERE host = ? AND target = ? AND {_DATED}"
            " AND time <= ? ORDER BY time DESC LIMIT 1"
        )
        with waiting():
            found = [
                Sample(*row)
                for (target,) in self.rows(targets, (self.host,))
                for row in self.rows(newest, (self.host, target, now + CLOCK_SLACK))
            ]
        last = max((sample.time for sample in found), default=0.0)
        return [sample for sample in found if sample.time == last]

    def most_used_by_day(
        self, targets: Iterable[str], now: float, days: int
    ) -> dict[str, list[int | None]]:
        """Return by target the most bytes used on each of the last days, the oldest first.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            f"SELECT CAST((? - time) / ? AS INTEGER) AS age, max({_number('bytes_used')})"
            " FROM sample WHERE host = ? AND target = ? AND time > ? AND time <= ? GROUP BY age"
        )
        found = {}
        with waiting():
            for target in targets:
                values = (now, DAY, self.host, target, now - days * DAY, now)
                by_age = dict(self.rows(query, values))
                found[target] = [by_age.get(age) for age in reversed(range(days))]
        return found

    def began(self) -> float | None:
        """Return when the oldest record of any stage was made; None where there is none.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            f"SELECT min(time) FROM sample WHERE host = ?1 AND {_DATED}"
            f" UNION ALL SELECT min(time) FROM event WHERE {_DATED}"
        )
        known = [time for (time,) in self.rows(query, (self.host,)) if time is not None]
        return min(known, default=None)

    def add_event(self, event: Event) -> None:
        """Remember something that happened.

        Raises:
            ResilienceError: it cannot be written.
        """
        with self.writing() as database:
            database.execute(
                "INSERT INTO event (stage, kind, time, level, data) VALUES (?, ?, ?, ?, ?)",
                (event.stage, event.kind, event.time, event.level, mask(json.dumps(event.data))),
            )
            database.execute(
                "DELETE FROM event WHERE stage = ? AND kind = ? AND id <="
                " (SELECT id FROM event WHERE stage = ? AND kind = ?"
                " ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (event.stage, event.kind, event.stage, event.kind, KEEP_EVENTS),
            )

    def events(
        self, stage: str, kind: str, *, limit: int = 100, now: float = _LAST_TIME
    ) -> list[Event]:
        """Return the latest events of one kind, the newest first; without those that are damaged.

        Args:
            stage, kind: of the events.
            limit: how many at most.
            now: seconds since 1970; what is dated later is left out.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            "SELECT stage, kind, time, level, data FROM event WHERE stage = ? AND kind = ?"
            f" AND {_DATED} AND time <= ? ORDER BY time DESC, id DESC LIMIT ?"
        )
        found = []
        values = (stage, kind, now + CLOCK_SLACK, limit)
        for of_stage, of_kind, moment, level, data in self.rows(query, values):
            held = _mapping(data)
            if held is not None:
                found.append(Event(of_stage, of_kind, moment, level, held))
        return found

    def remove_stage(self, stage: str) -> bool:
        """Delete what is stored of a stage; return whether nothing at all is left.

        Raises:
            ResilienceError: it cannot be written.
        """
        with self.writing() as database:
            # Documents of alerts are named `stage@host`.
            database.execute(
                "DELETE FROM document WHERE stage = ? OR substr(stage, 1, ?) = ?",
                (stage, len(stage) + 1, f"{stage}@"),
            )
            database.execute("DELETE FROM event WHERE stage = ?", (stage,))
            if stage == "disk":
                database.execute("DELETE FROM sample")
        tables = ("sample", "event", "document")
        return not any(self.rows(f"SELECT 1 FROM {table} LIMIT 1", ()) for table in tables)

    def document(self, name: str) -> dict[str, Any]:
        """Return the stored document of this name (`stage@host`); empty where there is none yet.

        Raises:
            ResilienceError: it cannot be read, or is damaged.
        """
        rows = self.rows("SELECT content FROM document WHERE stage = ?", (name,))
        values = _mapping(rows[0][0]) if rows else {}
        if values is None:
            raise ResilienceError(
                _("what is stored of alerts is damaged, and begun anew: %(path)s", path=self.path),
                option="state_dir",
                value=os.path.dirname(self.path),
            )
        return values

    def set_document(self, name: str, content: dict[str, Any]) -> None:
        """Store a document in place of the one that was there.

        Raises:
            ResilienceError: it cannot be written.
        """
        with self.writing() as database:
            database.execute(
                "INSERT OR REPLACE INTO document VALUES (?, ?)", (name, mask(json.dumps(content)))
            )


def _mapping(content: Any) -> dict[str, Any] | None:
    """Return the values of a stored JSON text; None where it is no mapping."""
    try:
        values = json.loads(content)
    except (TypeError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def delete_stage(folder: str, stage: str) -> bool:
    """Delete what is stored of a stage (the samples belong to `disk`).

    The file goes too when nothing of another stage is in it.

    Returns:
        Whether there was a file.

    Raises:
        ResilienceError: it cannot be written.
    """
    path = os.path.join(folder, FILE)
    with waiting():
        if not os.path.exists(path):
            return False
        history = History(folder)
    with history:
        empty = history.remove_stage(stage)
    if empty:
        for name in (path, f"{path}-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    return True


@contextlib.contextmanager
def open_history(
    state_dir: str, problems: list[str], *, read_only: bool = False
) -> Iterator[History | None]:
    """Open the history for a run that goes on without it.

    Args:
        state_dir: the folder that holds it.
        problems: what is wrong with it is added here, as texts.
        read_only: whether to leave everything as it is; one that does not exist is no problem.

    Yields:
        The history, or None where it can be neither written nor read.
    """
    try:
        with waiting():
            opened = History(state_dir, read_only=read_only)
    except ResilienceError as error:
        problems.append(error.message())
        yield None
        return
    with opened:
        if opened.problem and not read_only:
            problems.append(opened.problem)
        yield opened
