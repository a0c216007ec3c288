# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification of the offsite copy."""

from __future__ import annotations

import gettext
from typing import Any

from ..common.levels import LEVEL_DISPLAY
from ..common.messages import translate, translate_all
from ..common.safe_text import clean_all
from ..inventory import freshness
from . import render_inventory
from .render_text import STATUSES, mark, paint, wrap

KINDS = ("missing", "extra", "different")


def kind_text(words: gettext.NullTranslations, kind: str) -> str:
    """What a difference between the two sides is called."""
    say = words.gettext
    return {
        "missing": say("missing on the remote side"),
        "extra": say("only on the remote side"),
        "different": say("content differs"),
    }[kind]


def _side(verification: dict[str, Any], name: str) -> dict[str, Any]:
    return verification.get(name) or {}


def _comparison(verification: dict[str, Any]) -> dict[str, Any]:
    return verification.get("comparison") or {}


def _unfinished(verification: dict[str, Any]) -> set[str]:
    """The backups that either side still writes: they are on neither side yet."""
    return {
        str(path)
        for side in ("local", "remote")
        for path in _side(verification, side).get("in_progress") or []
    }


def _files(verification: dict[str, Any], side: str) -> dict[str, dict[str, Any]]:
    """The finished backups of one side by their path."""
    unfinished = _unfinished(verification)
    files = {str(file.get("path")): file for file in _side(verification, side).get("files") or []}
    return {path: file for path, file in files.items() if path not in unfinished}


def differences(verification: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """The differences of each tier as (kind, path); those of no tier stand under an empty name."""
    tiers = render_inventory.tiers(_side(verification, "local"))
    tier_of = {
        path: str(file.get("tier") or "")
        for side in ("remote", "local")
        for path, file in _files(verification, side).items()
    }
    found: dict[str, list[tuple[str, str]]] = {}
    for kind in KINDS:
        for path in map(str, _comparison(verification).get(kind) or []):
            tier = tier_of.get(path) or path.split("/", 1)[0]
            found.setdefault(tier if tier in tiers else "", []).append((kind, path))
    return found


def _content(verification: dict[str, Any], tier: str) -> str:
    """Whether the files that both sides list in one tier are the same: passed, failed, unknown."""
    ours, theirs = (
        {
            path: file.get("sha256")
            for path, file in _files(verification, side).items()
            if file.get("tier") == tier
        }
        for side in ("local", "remote")
    )
    if ours.keys() != theirs.keys():
        return "failed"
    if any(ours[path] and theirs[path] and ours[path] != theirs[path] for path in ours):
        return "failed"
    proved = _comparison(verification).get("compared_by") == "sha256"
    return "passed" if proved and all(ours[path] and theirs[path] for path in ours) else "unknown"


def _same_figures(
    verification: dict[str, Any], ours: tuple[int, int], theirs: tuple[int, int]
) -> bool:
    # A backup that one side still writes is counted on the other; the files tell what is equal.
    return ours == theirs or bool(_unfinished(verification))


def tier_status(verification: dict[str, Any], tier: str) -> str:
    """Whether a tier is equal on both sides in count, bytes and content.

    Returns:
        `passed`, `failed`, or `unknown` where nothing differs but the content was not proved equal.
    """
    figures = [
        render_inventory.tier_figures(_side(verification, side), tier)
        for side in ("local", "remote")
    ]
    if differences(verification).get(tier) or not _same_figures(verification, *figures):
        return "failed"
    return _content(verification, tier)


def problems(verification: dict[str, Any]) -> list[str]:
    """What kept either side from being read in full."""
    found = [str(problem) for problem in _comparison(verification).get("unknown") or []]
    for side in ("local", "remote"):
        for problem in (verification.get(side) or {"problems": ["?"]}).get("problems") or []:
            if f"{side}: {problem}" not in found:
                found.append(f"{side}: {problem}")
    return found


def status(verification: dict[str, Any]) -> str:
    """Whether the copy is proved: `passed`, `failed`, or `unknown` when it could not be told."""
    local, remote = _side(verification, "local"), _side(verification, "remote")
    tiers = [tier_status(verification, tier) for tier in render_inventory.tiers(local)]
    if not differences(verification) and problems(verification):
        return "unknown"
    totals = render_inventory.total_figures(local), render_inventory.total_figures(remote)
    in_sync = _comparison(verification).get("in_sync") is True
    if not in_sync or differences(verification) or not _same_figures(verification, *totals):
        return "failed"
    return "failed" if "failed" in tiers else "unknown" if "unknown" in tiers else "passed"


def verdict_text(words: gettext.NullTranslations, verification: dict[str, Any]) -> str:
    """What the verification says, one sentence without its mark."""
    say = words.gettext
    state = status(verification)
    if state == "passed":
        return say("Local and remote are in sync!")
    if state == "unknown":
        return say("The remote copy could not be verified in full: nothing is claimed about it")
    counts = {kind: len(_comparison(verification).get(kind) or []) for kind in KINDS}
    text = say(
        "Local and remote are NOT in sync: "
        "%(missing)d missing, %(extra)d extra, %(different)d different"
    )
    return text % counts


def remote_lines(
    words: gettext.NullTranslations, verification: dict[str, Any], colour: bool
) -> list[str]:
    """One marked line for each tier of the remote side and its total, differences beneath."""
    tiers = render_inventory.tiers(_side(verification, "local"))
    remote = _side(verification, "remote")
    held = remote.get("tiers") or {}
    # Under the names of the local tiers, so that both lists run alike.
    plain = render_inventory.lines(
        words, {**remote, "tiers": {name: held.get(name) for name in tiers}}
    )
    statuses = [*(tier_status(verification, tier) for tier in tiers), status(verification)]
    found = differences(verification)
    lines = []
    for tier, line, state in zip([*tiers, ""], plain, statuses, strict=True):
        lines.append(f"{line} {mark(state, colour)}")
        for kind, path in found.get(tier, []):
            lines += wrap(f"      {mark('failed', colour)} {kind_text(words, kind)}: {path}", 9)
    return lines + [f"   {line}" for line in render_inventory.unfinished(words, remote)]


def offsite_report(
    words: gettext.NullTranslations, verification: dict[str, Any], colour: bool
) -> str:
    """The verification as the plan shows it."""
    say = words.gettext
    verification = clean_all(translate_all(words, verification))
    local = _side(verification, "local")
    lines = [
        say("🔍 Verifying the remote backups on %(host)s...") % {"host": verification.get("host")},
        "",
        say("📊 LOCAL BACKUPS:"),
        *render_inventory.lines(words, local),
        *(f"   {line}" for line in render_inventory.unfinished(words, local)),
        "",
        say("📊 REMOTE BACKUPS:"),
        *remote_lines(words, verification, colour),
        "",
    ]
    state = status(verification)
    emoji, code = STATUSES[state]
    for line in wrap(f"{emoji} {verdict_text(words, verification)}", 3):
        lines.append(paint(line, code, colour))
    for problem in problems(verification):
        side, colon, what = problem.partition(": ")
        problem = f"{_side_name(words, side)}{colon}{what}"
        lines += wrap(f"   {LEVEL_DISPLAY['unknown'][0]} {problem}", 6)
    return "\n".join([*lines, *_background(words, verification)])


def _background(words: gettext.NullTranslations, verification: dict[str, Any]) -> list[str]:
    """What stands behind the verdict: ages, the last good sync, what was read, what is doubtful."""
    say = words.gettext
    lines: list[str] = []
    fresh = verification.get("freshness") or {}
    if fresh:
        ages = {side: _newest_age(words, fresh.get(side) or {}) for side in ("local", "remote")}
        lines.append("   " + say("Newest backup: local %(local)s, remote %(remote)s") % ages)
    if "last_good_sync" in verification:
        moment = verification["last_good_sync"] or say("never")
        lines.append("   " + say("Last good sync: %(time)s") % {"time": moment})
    for side, counts in (verification.get("digests") or {}).items():
        told = {"side": _side_name(words, side), **counts}
        text = say("Digests verified, %(side)s: %(read)d read now, %(believed)d read before")
        lines.append("   " + text % told)
    changed = say("the content changed in its place")
    alarm, weaker = say("The server raised an alarm"), say("Weaker here")
    doubtful = [
        *(
            f"{_side_name(words, side)}: {path}: {changed}"
            for side, paths in (verification.get("rotted") or {}).items()
            for path in paths
        ),
        *(f"{alarm}: {sentence}" for sentence in verification.get("server_alarms") or ()),
        *(translate(words, one) for one in freshness.complaints(fresh.get("local") or {})),
        *(f"{weaker}: {sentence}" for sentence in verification.get("weaker") or ()),
    ]
    for sentence in doubtful:
        lines += wrap(f"   {LEVEL_DISPLAY['warning'][0]} {sentence}", 6)
    return ["", *lines] if lines else []


def _side_name(words: gettext.NullTranslations, side: str) -> str:
    say = words.gettext
    return {"local": say("local"), "remote": say("remote")}.get(side, side)


def _newest_age(words: gettext.NullTranslations, tiers: dict[str, Any]) -> str:
    ages = [tier["age_hours"] for tier in tiers.values() if tier["age_hours"] is not None]
    if not ages:
        return words.gettext("none")
    return words.gettext("%(hours).1f hours old") % {"hours": min(ages)}
