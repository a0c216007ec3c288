# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Page of the offsite verification."""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from typing import Any

from ..common.language import translations as language_translations
from ..common.levels import LEVEL_DISPLAY
from ..common.messages import translate, translate_all
from ..common.safe_text import clean_all
from ..common.zip_equal import zip_equal
from ..inventory import freshness, unrecognised
from ..inventory.tree_comparison import Content, tier_contents
from . import render_inventory
from .render_text import STATUSES, mark, paint, wrap

KINDS = ("missing", "extra", "different")


def kind_text(translations: gettext.NullTranslations, kind: str) -> str:
    """Return the name of a kind of difference."""
    tr = translations.gettext
    return {
        "missing": tr("missing on the remote side"),
        "extra": tr("only on the remote side"),
        "different": tr("content differs"),
    }[kind]


def _side(verification: dict[str, Any], name: str) -> dict[str, Any]:
    return verification.get(name) or {}


def _comparison(verification: dict[str, Any]) -> dict[str, Any]:
    return verification.get("comparison") or {}


def _unfinished(verification: dict[str, Any]) -> set[str]:
    """Return the backups that either side still writes: they count on neither side yet."""
    return {
        str(path)
        for side in ("local", "remote")
        for path in _side(verification, side).get("in_progress") or []
    }


def _files(verification: dict[str, Any], side: str) -> Iterator[Content]:
    for file in _side(verification, side).get("files") or []:
        yield str(file.get("path")), str(file.get("tier") or ""), file.get("sha256")


def summarised(verification: dict[str, Any]) -> dict[str, Any]:
    """Return a verification with the state of each tier's content in place of all files."""
    if "content" in verification:
        return verification
    content = tier_contents(
        _files(verification, "local"),
        _files(verification, "remote"),
        unfinished=_unfinished(verification),
        by_digest=_comparison(verification).get("compared_by") == "sha256",
    )
    sides = {side: {**_side(verification, side), "files": []} for side in ("local", "remote")}
    return {**verification, **sides, "content": content}


def differences(verification: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the differences of each tier as (kind, path); those of no tier under an empty name."""
    tiers = render_inventory.tiers(_side(verification, "local"))
    found: dict[str, list[tuple[str, str]]] = {}
    for kind in KINDS:
        for path in map(str, _comparison(verification).get(kind) or []):
            tier = path.split("/", 1)[0]
            found.setdefault(tier if tier in tiers else "", []).append((kind, path))
    return found


def _content(verification: dict[str, Any], tier: str) -> str:
    """Return whether both sides hold the same files in one tier: passed, failed or unknown."""
    proved = _comparison(verification).get("compared_by") == "sha256"
    of_none = "passed" if proved else "unknown"
    return str(summarised(verification)["content"].get(tier, of_none))


def _same_figures(
    verification: dict[str, Any], local: tuple[int, int], remote: tuple[int, int]
) -> bool:
    # A backup that one side still writes is counted on the other; the files show what is equal.
    return local == remote or bool(_unfinished(verification))


def tier_status(verification: dict[str, Any], tier: str) -> str:
    """Return whether a tier is equal on both sides in count, bytes and content.

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
    """Return what kept either side from being read completely."""
    found = [str(problem) for problem in _comparison(verification).get("unknown") or []]
    for side in ("local", "remote"):
        for problem in (verification.get(side) or {"problems": ["?"]}).get("problems") or []:
            if f"{side}: {problem}" not in found:
                found.append(f"{side}: {problem}")
    return found


def status(verification: dict[str, Any]) -> str:
    """Return the verdict: `passed`, `failed`, or `unknown` where it could not be verified."""
    local, remote = _side(verification, "local"), _side(verification, "remote")
    tiers = [tier_status(verification, tier) for tier in render_inventory.tiers(local)]
    if not differences(verification) and problems(verification):
        return "unknown"
    totals = render_inventory.total_figures(local), render_inventory.total_figures(remote)
    in_sync = _comparison(verification).get("in_sync") is True
    if not in_sync or differences(verification) or not _same_figures(verification, *totals):
        return "failed"
    return "failed" if "failed" in tiers else "unknown" if "unknown" in tiers else "passed"


def verdict_text(translations: gettext.NullTranslations, verification: dict[str, Any]) -> str:
    """Return the verdict as one sentence without its mark."""
    tr = translations.gettext
    state = status(verification)
    if state == "passed":
        return tr("Local and remote are in sync!")
    if state == "unknown":
        return tr("The remote copy could not be verified in full: nothing is claimed about it")
    counts = {kind: len(_comparison(verification).get(kind) or []) for kind in KINDS}
    text = tr(
        "Local and remote are NOT in sync: "
        "%(missing)d missing, %(extra)d extra, %(different)d different"
    )
    return text % counts


def remote_lines(
    translations: gettext.NullTranslations, verification: dict[str, Any], colour: bool
) -> list[str]:
    """Return a marked line for each tier of the remote side and its total, differences beneath."""
    tiers = render_inventory.tiers(_side(verification, "local"))
    remote = _side(verification, "remote")
    held = remote.get("tiers") or {}
    # Under the names of the local tiers, so that both lists have the same order.
    plain = render_inventory.lines(
        translations, {**remote, "tiers": {name: held.get(name) for name in tiers}}
    )
    statuses = [*(tier_status(verification, tier) for tier in tiers), status(verification)]
    found = differences(verification)
    lines = []
    for tier, line, state in zip_equal([*tiers, ""], plain, statuses):
        lines.append(f"{line} {mark(state, colour)}")
        for kind, path in found.get(tier, []):
            lines += wrap(
                f"      {mark('failed', colour)} {kind_text(translations, kind)}: {path}", 9
            )
    return lines + [
        f"   {line}" for line in render_inventory.unfinished_lines(translations, remote)
    ]


def offsite_report(verification: dict[str, Any], language: str, colour: bool) -> str:
    """Return the page about the verification of the offsite copy, as the plan shows it.

    Args:
        verification: `host`, the inventories `local` and `remote`, and their `comparison`.
        language: one of `language.LANGUAGES`.
        colour: whether to use ANSI colours.

    Raises:
        ResilienceError: the language is not known.
    """
    translations = language_translations(language)
    tr = translations.gettext
    verification = clean_all(translate_all(translations, summarised(verification)))
    local = _side(verification, "local")
    lines = [
        tr("🔍 Verifying the remote backups on %(host)s...") % {"host": verification.get("host")},
        "",
        tr("📊 LOCAL BACKUPS:"),
        *render_inventory.lines(translations, local),
        *(f"   {line}" for line in render_inventory.unfinished_lines(translations, local)),
        "",
        tr("📊 REMOTE BACKUPS:"),
        *remote_lines(translations, verification, colour),
        "",
    ]
    state = status(verification)
    emoji, code = STATUSES[state]
    for line in wrap(f"{emoji} {verdict_text(translations, verification)}", 3):
        lines.append(paint(line, code, colour))
    for problem in problems(verification):
        side, colon, what = problem.partition(": ")
        problem = f"{_side_name(translations, side)}{colon}{what}"
        lines += wrap(f"   {LEVEL_DISPLAY['unknown'][0]} {problem}", 6)
    return "\n".join([*lines, *_background(translations, verification)])


def _background(translations: gettext.NullTranslations, verification: dict[str, Any]) -> list[str]:
    """Return the details: ages, the last good sync, digests read, warnings."""
    tr = translations.gettext
    lines: list[str] = []
    fresh = verification.get("freshness") or {}
    if fresh:
        ages = {
            side: _newest_age(translations, fresh.get(side) or {}) for side in ("local", "remote")
        }
        lines.append("   " + tr("Newest backup: local %(local)s, remote %(remote)s") % ages)
    if "last_good_sync" in verification:
        moment = verification["last_good_sync"] or tr("never")
        lines.append("   " + tr("Last good sync: %(time)s") % {"time": moment})
    for side, counts in (verification.get("digests") or {}).items():
        values = {"side": _side_name(translations, side), **counts}
        text = tr("Digests verified, %(side)s: %(read)d read now, %(cached)d read before")
        lines.append("   " + text % values)
        if counts.get("oldest"):
            lines.append("   " + tr("   each of them was read since %(oldest)s") % counts)
    changed = tr("the content changed in its place")
    warns = tr("The server warns")
    alarm, weaker = tr("The server raised an alarm"), tr("Weaker here")
    warnings = [
        *(
            f"{_side_name(translations, side)}: {path}: {changed}"
            for side, paths in (verification.get("rotted") or {}).items()
            for path in paths
        ),
        *(f"{alarm}: {sentence}" for sentence in verification.get("server_alarms") or ()),
        *(f"{warns}: {sentence}" for sentence in verification.get("server_notices") or ()),
        *filter(None, [_unrecognised(translations, verification)]),
        *(translate(translations, one) for one in freshness.problems(fresh.get("local") or {})),
        *(f"{weaker}: {sentence}" for sentence in verification.get("weaker") or ()),
    ]
    for sentence in warnings:
        lines += wrap(f"   {LEVEL_DISPLAY['warning'][0]} {sentence}", 6)
    return ["", *lines] if lines else []


def _unrecognised(translations: gettext.NullTranslations, verification: dict[str, Any]) -> str:
    return translate(translations, unrecognised.sentence(verification.get("unrecognised") or []))


def _side_name(translations: gettext.NullTranslations, side: str) -> str:
    tr = translations.gettext
    return {"local": tr("local"), "remote": tr("remote")}.get(side, side)


def _newest_age(translations: gettext.NullTranslations, tiers: dict[str, Any]) -> str:
    ages = [tier["age_hours"] for tier in tiers.values() if tier["age_hours"] is not None]
    if not ages:
        return translations.gettext("none")
    return translations.gettext("%(hours).1f hours old") % {"hours": min(ages)}
