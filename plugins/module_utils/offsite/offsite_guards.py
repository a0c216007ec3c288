# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guards: what must be true before anything is sent. Pure functions of what was measured.

`rsync --delete` from an empty folder ends with success and empties the copy as well, and
`--max-delete` stops only when files are gone already. So every guard is checked beforehand.
"""

from __future__ import annotations

import dataclasses
import datetime
import heapq
from array import array
from collections.abc import Iterable, Mapping, Sequence

from ..common.messages import Message, _, ngettext
from ..inventory import companions, unrecognised
from ..inventory.inventory import BackupFile, Inventory, readable
from ..inventory.path_table import PathTable

# Guards that refuse, in the order in which they are checked; each may be overridden once.
SOURCE, LEAST, DUMP_SIZE, MASS_CHANGE, REWRITTEN, DESTINATION, ROOM = GUARDS = (
    "source-marker",
    "least-backups",
    "dump-size",
    "mass-change",
    "rewritten",
    "destination",
    "room",
)
SINCE_SYNC = _("the last good sync")
SINCE_INVENTORY = _("the last inventory")
# A clock may differ this much before a backup counts as one from the future.
CLOCK_SECONDS = 3600
# Guards judge a change against the best state of so many days with a sync.
WINDOW_DAYS = 7


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of the guards.

    Attributes:
        least_backups: fewer than these in the whole tree are too few.
        change_percent: greatest share of backups (in a tier, also of its bytes) that may be lost
            or changed since the last good sync; also of the server's that may be moved aside.
        least_bytes: a newest backup below this holds nothing: gzip of nothing has 20 bytes.
        shrink_percent: a newest backup that is smaller than the one before by more is warned of.
        rpo_hours: the newest backup must not be older.
        most_rewritten: how many backups may be written again in the days that are remembered.
    """

    least_backups: int = 1
    change_percent: float = 40
    least_bytes: int = 100
    shrink_percent: float = 50
    rpo_hours: float = 24
    most_rewritten: int = 1


@dataclasses.dataclass(frozen=True)
class Refusal:
    """The refusal of one guard, and its reason."""

    guard: str
    reason: str

    def message(self) -> Message:
        """Return guard and reason as one sentence."""
        return _("guard %(guard)s: %(reason)s", guard=self.guard, reason=self.reason)

    def __str__(self) -> str:
        return str(self.message())


# A backup at the last good sync: its size, and its time of change in nanoseconds.
FileState = tuple[int, int]


def check_source(
    tree: Inventory,
    limits: Limits,
    marker: str | None,
    last_good: Mapping[str, FileState],
    days: Sequence[DayState] = (),
) -> list[Refusal]:
    """Return the refusals that depend on the source alone.

    Args:
        tree: the source.
        limits: what is allowed.
        marker: the marker file's name where it should be but is not; None where all is well.
        last_good: the backups of the last good sync; empty where there was none.
        days: the state of the last days with a sync.
    """
    refusals = []
    if marker is not None:
        reason = _(
            "%(root)s lacks its marker file %(marker)s: is the right folder mounted there?",
            root=tree.root,
            marker=marker,
        )
        refusals.append(Refusal(SOURCE, reason))
    if tree.total_count < limits.least_backups:
        refusals.append(
            Refusal(
                LEAST,
                _(
                    "%(count)s backups in %(root)s, at least %(least)s are expected",
                    count=tree.total_count,
                    root=tree.root,
                    least=limits.least_backups,
                ),
            )
        )
    refusals += (
        Refusal(
            DUMP_SIZE,
            _(
                "%(file)s has %(bytes)s bytes, so it holds nothing",
                file=readable(file.path),
                bytes=file.bytes,
            ),
        )
        for file in _newest_by_tier(tree)
        if file.bytes < limits.least_bytes
    )
    now = companions.without(tree.states)
    found = changes(now, limits, last_good)
    found = found or window_changes(now, changed_count(now, last_good), days, limits)
    refusals += (Refusal(MASS_CHANGE, reason) for reason in found)
    return refusals


def _newest_by_tier(tree: Inventory) -> list[BackupFile]:
    files = tree.backups
    tiers = (files.table.rows_of(tier) for tier in tree.tier_names)
    return sorted(files[files.newest(rows)] for rows in tiers if rows)


def changes(
    now: Mapping[str, FileState],
    limits: Limits,
    last_good: Mapping[str, FileState],
    *,
    since: str = SINCE_SYNC,
) -> list[str]:
    """Return what changed beyond the limits, one sentence each.

    Rotation replaces old backups by new ones, so a tier has lost only what no new backup replaces.
    A backup is never written again, so every changed one counts.

    Args:
        now: the backups as they are.
        limits: what is allowed.
        last_good: the backups as they were.
        since: what to call that time.
    """
    now, last_good = companions.without(now), companions.without(last_good)
    if now == last_good:
        return []
    found, lost = [], 0
    then, after = _tier_totals(last_good), _tier_totals(now)
    for tier, (count_before, bytes_before) in sorted(then.items()):
        count_after, bytes_after = after.get(tier, (0, 0))
        fewer = max(0, count_before - count_after)
        lost += fewer
        bytes_fewer = max(0, bytes_before - bytes_after)
        if _beyond(fewer, count_before, limits):
            found.append(
                _(
                    "%(tier)s lost %(part)s of %(whole)s backups",
                    tier=readable(tier),
                    part=fewer,
                    whole=count_before,
                )
            )
        elif _beyond(bytes_fewer, bytes_before, limits):
            found.append(
                _(
                    "%(tier)s lost %(part)s of %(whole)s bytes",
                    tier=readable(tier),
                    part=bytes_fewer,
                    whole=bytes_before,
                )
            )
    changed = changed_count(now, last_good)
    if _beyond(changed + lost, len(last_good), limits) and (changed or not found):
        found.append(
            _(
                "%(changed)s of %(whole)s backups changed and %(lost)s are lost",
                changed=changed,
                whole=len(last_good),
                lost=lost,
            )
        )
    none_kept = not any(path in now for path in last_good)
    if len(last_good) > 3 and none_kept and not found:
        found.append(_("none of the %(whole)s backups is left", whole=len(last_good)))
    return [_allowed(what, since, limits) for what in found]


def changed_count(now: Mapping[str, FileState], last_good: Mapping[str, FileState]) -> int:
    """Return how many backups that are still there were changed."""
    now, last_good = companions.without(now), companions.without(last_good)
    if now == last_good:
        return 0
    missing = object()
    return sum(now.get(path, missing) not in (missing, seen) for path, seen in last_good.items())


def _tier_totals(states: Mapping[str, FileState]) -> dict[str, tuple[int, int]]:
    """Return how many backups each tier holds, and their bytes."""
    totals: dict[str, tuple[int, int]] = {}
    for path, (size, _time) in states.items():
        tier = path.partition("/")[0]
        count, held = totals.get(tier, (0, 0))
        totals[tier] = (count + 1, held + size)
    return totals


@dataclasses.dataclass(frozen=True)
class DayState:
    """The best state of a tree on one day.

    Attributes:
        day: days since 1970 (UTC).
        counts: the most backups that each tier held.
        changed: how many backups were changed that day.
    """

    day: int
    counts: dict[str, int]
    changed: int = 0


def days_from(values: object) -> list[DayState]:
    """Return the days of values that `dataclasses.asdict` made; none where they are malformed."""
    try:
        return [
            DayState(
                int(value["day"]),
                {str(tier): int(count) for tier, count in value["counts"].items()},
                int(value["changed"]),
            )
            for value in (values if isinstance(values, list) else [])
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def with_today(
    days: Sequence[DayState], now: float, paths: Iterable[str], changed: int
) -> list[DayState]:
    """Return the last `WINDOW_DAYS` recorded days, with a tree's state added to today's.

    Days on which nothing was recorded do not count, so that neither a pause nor a clock that jumps
    makes the guards forget.

    Args:
        days: earlier days.
        now: seconds since 1970.
        paths: the backups that the tree holds.
        changed: how many of them were changed since the last call.
    """
    today = int(now // 86400)
    counts = _counts(paths)
    earlier = [day for day in days if day.day != today]
    for day in days:
        if day.day == today:
            tiers = {*day.counts, *counts}
            counts = {tier: max(day.counts.get(tier, 0), counts.get(tier, 0)) for tier in tiers}
            changed += day.changed
    return [*earlier, DayState(today, counts, changed)][-WINDOW_DAYS:]


def _counts(paths: Iterable[str]) -> dict[str, int]:
    if isinstance(paths, PathTable):
        backups = companions.without(paths)
        if isinstance(backups, PathTable):
            return backups.count_by_folder()
    counts: dict[str, int] = {}
    for path in paths:
        if companions.is_companion(path):
            continue
        tier = path.partition("/")[0]
        counts[tier] = counts.get(tier, 0) + 1
    return counts


def window_changes(
    now: Iterable[str], changed: int, days: Sequence[DayState], limits: Limits
) -> list[str]:
    """Return what was lost or changed beyond the limits against the best of the last days.

    However finely a loss is divided, it is judged as a whole.

    Args:
        now: the backups as they are.
        changed: how many of them are changed now.
        days: the last days, as `with_today` returned them.
        limits: what is allowed.
    """
    counts, found = _counts(now), []
    best: dict[str, int] = {}
    for day in days:
        for tier, count in day.counts.items():
            best[tier] = max(best.get(tier, 0), count)
    for tier, whole in sorted(best.items()):
        fewer = max(0, whole - counts.get(tier, 0))
        if _beyond(fewer, whole, limits):
            found.append(
                _(
                    "%(tier)s lost %(part)s of %(whole)s backups",
                    tier=readable(tier),
                    part=fewer,
                    whole=whole,
                )
            )
    total, rewritten = sum(best.values()), changed + sum(day.changed for day in days)
    if changed and _beyond(rewritten, total, limits):
        found.append(_("%(changed)s of %(whole)s backups changed", changed=rewritten, whole=total))
    since = ngettext(
        "the best state of the last %(count)d day with a sync",
        "the best state of the last %(count)d days with a sync",
        len(days),
    )
    return [_allowed(what, since, limits) for what in found]


def rewritten(
    changed: int, days: Sequence[DayState], most: int, *, standing: bool = False
) -> list[str]:
    """Return why backups may not be written again, if too many are.

    A backup is never written again: one may be a mistake, several over days are somebody who
    replaces them by other content, slowly.

    Args:
        changed: how many are changed now.
        days: the last days, as `with_today` returned them.
        most: how many may be changed in all these days.
        standing: whether earlier ones of these days are still there.
    """
    total = changed + sum(day.changed for day in days)
    if not (changed or standing) or total <= most:
        return []
    return [
        ngettext(
            "%(count)d backup was written again in %(days)d days with a sync; up to %(most)d is "
            "allowed, for a backup is never written again",
            "%(count)d backups were written again in %(days)d days with a sync; up to %(most)d is "
            "allowed, for a backup is never written again",
            total,
            days=len(days) or 1,
            most=most,
        )
    ]


def _allowed(what: str, since: str, limits: Limits) -> Message:
    return _(
        "%(what)s since %(since)s; up to %(percent)s %% is allowed",
        what=what,
        since=since,
        percent=f"{limits.change_percent:g}",
    )


def _beyond(part: float, whole: float, limits: Limits) -> bool:
    return whole > 0 and 100 * part / whole > limits.change_percent


def check_destination(
    *,
    exists: bool,
    held: Sequence[object],
    aside: Iterable[str],
    bytes_to_send: int,
    room: int | None,
    synced_before: bool,
    limits: Limits,
) -> list[Refusal]:
    """Return the refusals that depend on the server.

    Args:
        exists: whether the server's folder is there.
        held: the backups that the server holds.
        aside: those of them that would be moved aside.
        bytes_to_send: size of the files that the server lacks.
        room: bytes that it can take; None where that is not known.
        synced_before: whether a good sync to this destination is on record.
        limits: what is allowed.
    """
    refusals = []
    if synced_before and not exists:
        reason = _("the folder on the server is gone: is its disk mounted there?")
        refusals.append(Refusal(DESTINATION, reason))
    elif synced_before and not held:
        reason = _(
            "the server holds none of the backups that were sent: is its disk mounted there?"
        )
        refusals.append(Refusal(DESTINATION, reason))
    moved = sum(not companions.is_companion(path) for path in aside)
    if moved > 1 and _beyond(moved, len(held), limits):
        reason = _(
            "%(part)s of the %(whole)s backups on the server would be moved aside, more than "
            "%(percent)s %% is too many",
            part=moved,
            whole=len(held),
            percent=f"{limits.change_percent:g}",
        )
        refusals.append(Refusal(MASS_CHANGE, reason))
    if room is not None and bytes_to_send > room:
        reason = _(
            "%(bytes)s bytes are to be sent, the server has room for %(room)s",
            bytes=bytes_to_send,
            room=room,
        )
        refusals.append(Refusal(ROOM, reason))
    return refusals


def warnings(tree: Inventory, limits: Limits, now: datetime.datetime) -> list[str]:
    """Return the warnings, which do not keep the sync from running."""
    found: list[str] = []
    files, local = tree.backups, now.astimezone().replace(tzinfo=None)
    latest = int(f"{local + datetime.timedelta(seconds=CLOCK_SECONDS):%Y%m%d%H%M%S}")
    moments, everything = files.moments, range(len(files))
    past: Sequence[int] = everything
    if files and max(moments) > latest:
        past = array("Q", (row for row in everything if moments[row] <= latest))
        found += [
            _(
                "%(file)s is from the future (%(when)s), so it does not count as fresh",
                file=readable(files[row].path),
                when=files[row].taken_at or _("by its time of change"),
            )
            for row in everything
            if moments[row] > latest
        ]
    if past:
        newest = files[max(past, key=moments.__getitem__)]
        hours = newest.age_seconds(now) / 3600
        if hours > limits.rpo_hours:
            found.append(
                _(
                    "the newest backup, %(file)s, is %(hours)s hours old; the RPO is %(rpo)s hours",
                    file=readable(newest.path),
                    hours=f"{hours:.1f}",
                    rpo=f"{limits.rpo_hours:g}",
                )
            )
    else:
        found.append(_("there is no backup that could count as fresh"))
    for tier in tree.tier_names:
        rows = (row for row in files.table.rows_of(tier) if moments[row] <= latest)
        own = [files[row] for row in reversed(heapq.nlargest(2, rows, key=moments.__getitem__))]
        if len(own) > 1 and _fall(own[-2].bytes, own[-1].bytes) > limits.shrink_percent:
            found.append(
                _(
                    "%(file)s has %(bytes)s bytes, the one before %(before)s: more than "
                    "%(percent)s %% smaller",
                    file=readable(own[-1].path),
                    bytes=own[-1].bytes,
                    before=own[-2].bytes,
                    percent=f"{limits.shrink_percent:g}",
                )
            )
    found += [_("%(file)s: still being written, left out", file=name) for name in tree.in_progress]
    if others := unrecognised.warning(tree):
        found.append(others)
    return found


def _fall(before: int, after: int) -> float:
    return 100 * (before - after) / before if before else 0.0
