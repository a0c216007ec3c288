# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of the parts of the HTML report, and the items that need attention."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Sequence

# States of anything on the page, from best to worst; each has a colour and a sign.
STATES = ("none", "ok", "warn", "unknown", "bad")
OF_LEVEL = {
    "ok": "ok",
    "warning": "warn",
    "critical": "bad",
    "emergency": "bad",
    "unknown": "unknown",
}
OF_STATUS = {"passed": "ok", "failed": "bad", "skipped": "warn", "unknown": "unknown"}

# An error as `ResilienceError` writes it: problem, option with its value, remedy.
_ERROR = re.compile(r"(?P<problem>.*?) \[(?P<setting>[a-z_.]+=.*?)\](?: - (?P<remedy>.*))?", re.S)


@dataclasses.dataclass(frozen=True)
class AttentionItem:
    """One item that needs attention.

    Attributes:
        state: one of `STATES`.
        title: what it is about.
        evidence: what was seen.
        lines: its first findings.
        remedies: what to do about it.
        setting: the option and the value that an error names.
        part: the part of the page that it is of.
    """

    state: str
    title: str
    evidence: str = ""
    lines: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    setting: str = ""
    part: int = 0


def worst_state(states: list[str]) -> str:
    """Return the worst of several states; `none` if there are none."""
    return max(states, key=STATES.index, default="none")


def grouped(number: int | None) -> str:
    """Return a count with narrow spaces between thousands, in every language; `?` for None."""
    return "?" if number is None else f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def error_item(state: str, title: str, error: str) -> AttentionItem:
    """Return the item of an error, with its remedy and its option apart from the sentence."""
    if not (parts := _ERROR.fullmatch(error)):
        return AttentionItem(state, title, error)
    remedies = (parts["remedy"],) if parts["remedy"] else ()
    return AttentionItem(state, title, parts["problem"], (), remedies, parts["setting"])


def remedies_once(items: Sequence[AttentionItem]) -> list[AttentionItem]:
    """Return the items, each remedy with the first of them that has it."""
    known: set[str] = set()
    shown = []
    for item in items:
        new = tuple(remedy for remedy in item.remedies if remedy not in known)
        known.update(new)
        shown.append(dataclasses.replace(item, remedies=new))
    return shown


def opened(items: Sequence[AttentionItem], most: int, of_each: int) -> list[AttentionItem]:
    """Return the items that are shown, in their order: some of each part, then the first ones.

    Args:
        items: the worst first.
        most: how many are shown. Where one alone would be left out, it is shown, too: the line
            that unfolds it takes as much room.
        of_each: how many of a part are shown before any other one.
    """
    if len(items) <= most + 1:
        return list(items)
    seen: collections.Counter[int] = collections.Counter()
    # Places of the items that come first, and of those that fill up what is left.
    before, behind = list[int](), list[int]()
    for number, item in enumerate(items):
        seen[item.part] += 1
        (before if seen[item.part] <= of_each else behind).append(number)
    return [items[number] for number in sorted([*before, *behind][:most])]


def joined(items: Sequence[AttentionItem]) -> list[AttentionItem]:
    """Return the items, those without findings that say the same about several things as one."""
    groups: dict[object, list[AttentionItem]] = {}
    for number, item in enumerate(items):
        single = item.lines or item.setting or not item.evidence
        key: object = number if single else (item.state, item.evidence, item.remedies)
        groups.setdefault(key, []).append(item)
    return [_as_one(group) for group in groups.values()]


def _as_one(group: Sequence[AttentionItem]) -> AttentionItem:
    """Return one item for all: titles such as `Login: skipped` share what stands after them."""
    subjects, ends = zip(*(item.title.rpartition(": ")[::2] for item in group))
    if len(group) == 1 or len(set(ends)) > 1 or not all(subjects):
        titles = "; ".join(item.title for item in group)
    else:
        first = subjects[0].partition(": ")
        if all(subject.startswith(f"{first[0]}: ") for subject in subjects):
            subjects = (subjects[0], *(one[len(first[0]) + 2 :] for one in subjects[1:]))
        titles = f"{', '.join(subjects)}: {ends[0]}"
    return dataclasses.replace(group[0], title=titles)
