# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page of one host or of many, as HTML.

It is written after every run, so it is made without a template engine, which takes longer to load
than the page to make. Every text from elsewhere goes through `text`. The page loads nothing. Its
one script, which the Content-Security-Policy names by its digest, shows how old each thing is when
the page is looked at, and turns red what became overdue after it was written.
"""

from __future__ import annotations

import gettext
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.messages import translate_result
from . import status_assets, status_text
from .status_text import BAD, NONE, OK, SIGNS, UNKNOWN, WARN

# Hosts under "Needs attention"; the table has every host.
MOST_ATTENTION = 30
# How many of them show their reasons at once; the others show a line, and unfold.
OPEN_ATTENTION = 3
# The table of more hosts is folded into one part for each state.
FEW_HOSTS = 30


def text(value: object) -> str:
    """Return a value as text of an HTML page or of an attribute."""
    shown = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return shown.replace('"', "&quot;").encode("utf-8", "backslashreplace").decode()


def status_page(
    translations: gettext.NullTranslations,
    hosts: Sequence[Mapping[str, Any]],
    language: str,
    now: float,
    owner: str,
) -> str:
    """Return the page.

    Args:
        translations: of the page's language.
        hosts: each as `status_values.host_status` returns it.
        language: one of `language.LANGUAGES`.
        now: seconds since 1970.
        owner: whose systems these are, for the title.
    """
    tr = translations.gettext
    judged = [
        (status_text.host_state(host, now), host) for host in translate_result(translations, hosts)
    ]
    order = (BAD, UNKNOWN, WARN, NONE, OK)
    judged.sort(
        key=lambda one: (
            order.index(one[0]),
            -status_text.bad_parts(one[1]),
            str(one[1].get("host")),
        )
    )
    state = status_text.worst([state for state, _host in judged])
    alone = len(judged) == 1
    headline = status_text.headline(translations, state)
    title = f"{owner} - {judged[0][1].get('host')}" if alone else owner
    body = (
        _one_host(translations, judged[0][1], now)
        if alone
        else _many_hosts(translations, judged, now)
    )
    late = status_text.headline(translations, BAD)
    written = tr("Written %(time)s") % {"time": _moment(now)}
    return "".join(
        [
            "<!DOCTYPE html>\n",
            f'<html lang="{text(language.replace("_", "-"))}">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="color-scheme" content="light dark">\n',
            '<meta http-equiv="refresh" content="300">\n',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; ',
            f"style-src 'unsafe-inline'; script-src '{status_assets.SCRIPT_DIGEST}'\">\n",
            f"<title>{SIGNS[state]} {text(headline)} - {text(title)}</title>\n",
            f"<style>{status_assets.style()}</style>\n</head>\n<body>\n",
            f'<header class="top {state}" data-late="{text(late)}">',
            f'<p class="soft">{text(title)}</p>',
            f'<h1><span class="sign" aria-hidden="true">{SIGNS[state]}</span> ',
            f'<span class="headline">{text(headline)}</span></h1>',
            f'<p class="soft">{text(written)} ({_ago(translations, now, now)})</p>',
            "" if alone else _counts(translations, [one for one, _host in judged]),
            "</header>\n<main>\n",
            body,
            '<noscript><p class="soft">',
            text(tr("Without JavaScript, ages and what is overdue are as of the time above.")),
            "</p></noscript>\n</main>\n",
            f"<script>{status_assets.script()}</script>\n</body>\n</html>\n",
        ]
    )


def _moment(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _ago(translations: gettext.NullTranslations, moment: float | None, now: float) -> str:
    """Return how long ago something was, which the script keeps true."""
    if moment is None:
        return text(translations.gettext("never"))
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(moment))
    return (
        f'<time datetime="{stamp}" data-at="{moment:.0f}" title="{_moment(moment)}">'
        f"{text(status_text.ago(translations, now - moment))}</time>"
    )


def _counts(translations: gettext.NullTranslations, states: Sequence[str]) -> str:
    items = []
    for state in (BAD, UNKNOWN, WARN, NONE, OK):
        count = states.count(state)
        if count:
            word = status_text.state_word(translations, state, count)
            items.append(
                f'<li class="{state}"><span class="sign" aria-hidden="true">{SIGNS[state]}</span> '
                f"<b>{count}</b> {text(word)}</li>"
            )
    label = text(translations.gettext("Hosts"))
    return f'<ul class="counts" aria-label="{label}">{"".join(items)}</ul>'


def _due(translations: gettext.NullTranslations, part: Mapping[str, Any], state: str) -> str:
    """Return the attributes by which the script finds what became overdue."""
    if not part.get("due") or state == BAD:
        return ""
    late = status_text.overdue_word(translations)
    return f' data-due="{part["due"]:.0f}" data-late="{text(late)}"'


# --- one host -------------------------------------------------------------------------------------


def _one_host(translations: gettext.NullTranslations, host: Mapping[str, Any], now: float) -> str:
    if host.get("problem"):
        return _problem(translations, host)
    cards = [_card(translations, part, now) for part in host.get("parts") or []]
    return f'<div class="cards">{"".join(cards)}</div>\n'


def _problem(translations: gettext.NullTranslations, host: Mapping[str, Any]) -> str:
    title = translations.gettext("No status")
    return (
        f'<section class="card bad"><h2>{text(title)}</h2>'
        f'<p class="reason">{text(host["problem"])}</p></section>\n'
    )


def _card(translations: gettext.NullTranslations, part: Mapping[str, Any], now: float) -> str:
    state = status_text.part_state(part, now)
    title = status_text.part_title(translations, part)
    rows = _facts(translations, part, now)
    facts = "".join(f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in rows)
    return "".join(
        [
            f'<section class="card {state}"{_due(translations, part, state)}>',
            f"<h2>{text(title)}</h2>",
            f'<p class="figure"><span class="sign" aria-hidden="true">{SIGNS[state]}</span> ',
            f'<span class="word">{text(status_text.part_word(translations, part, now))}</span></p>',
            _reasons(translations, part, now),
            f"<dl>{facts}</dl>",
            _targets(translations, part),
            _runs(translations, part),
            "</section>\n",
        ]
    )


def _reasons(translations: gettext.NullTranslations, part: Mapping[str, Any], now: float) -> str:
    shown = []
    if status_text.is_overdue(part, now):
        shown.append(text(status_text.overdue_text(translations, part, now)))
    for reason in part.get("reasons") or []:
        name = f"<b>{text(reason['name'])}</b>: " if reason.get("name") else ""
        shown.append(name + text(status_text.reason_text(translations, reason)))
    if not shown:
        return ""
    return f'<ul class="reasons">{"".join(f"<li>{one}</li>" for one in shown)}</ul>'


def _facts(
    translations: gettext.NullTranslations, part: Mapping[str, Any], now: float
) -> list[tuple[str, str]]:
    tr, figures = translations.gettext, part.get("figures") or {}
    if part["time"] is None:
        return []
    if part["id"] == "disk":
        return [(tr("Measured"), _ago(translations, part["time"], now))]
    if part["id"] == "offsite":
        found = [(tr("Last good sync"), _ago(translations, part["good"], now))]
        if part["time"] != part["good"]:
            found.append((tr("Last try"), _ago(translations, part["time"], now)))
        found.append((tr("Verified by content"), _ago(translations, figures.get("verified"), now)))
        found.append((tr("Destination"), f"<code>{text(figures.get('destination') or '?')}</code>"))
        return found
    found = [(tr("Last proved backup"), _ago(translations, part["good"], now))]
    if part["time"] != part["good"]:
        found.append((tr("Last try"), _ago(translations, part["time"], now)))
    if figures.get("file"):
        found.append((tr("Backup"), f"<code>{text(figures['file'])}</code>"))
    counts = {name: figures.get(name) for name in ("passed", "failed", "skipped")}
    if None not in counts.values():
        checks = tr("%(passed)s passed, %(failed)s failed, %(skipped)s skipped")
        found.append((tr("Checks"), text(checks % counts)))
    if figures.get("rto_seconds") is not None:
        found.append((tr("Recovery time"), text(status_text.recovery_trend(translations, part))))
    return found


def _targets(translations: gettext.NullTranslations, part: Mapping[str, Any]) -> str:
    """Return a row for each measured filesystem and folder, with its last 30 days."""
    rows = []
    for target in part.get("targets") or []:
        state = status_text.OF_LEVEL[target["level"]]
        percent = target.get("percent")
        width = min(percent or 0.0, 100.0)
        free = status_text.free_text(translations, target)
        rows.append(
            f'<li class="{state}"><div class="line"><span class="sign" aria-hidden="true">'
            f"{SIGNS[state]}</span> <code>{text(target['path'])}</code>{_spark(target)}"
            f" <b>{status_text.share(percent)}</b></div>"
            f'<div class="bar" aria-hidden="true"><i style="width:{width:.1f}%"></i></div>'
            f'<div class="line soft"><span>{text(free)}</span> '
            f"<span>{text(status_text.disk_trend(translations, target))}</span></div></li>"
        )
    if not rows:
        return ""
    more = int((part.get("figures") or {}).get("targets") or 0) - len(rows)
    rest = (
        f'<p class="soft">{text(status_text.more_text(translations, more))}</p>' if more > 0 else ""
    )
    return f'<ul class="targets">{"".join(rows)}</ul>{rest}'


def _spark(target: Mapping[str, Any]) -> str:
    """Return the line of the last 30 days, which the trend says in words."""
    days = target.get("days") or []
    known = [(at, value) for at, value in enumerate(days) if value is not None]
    if len(known) < 2:
        return ""
    low = max(0.0, min(value for _at, value in known) - 1)
    span = max(max(value for _at, value in known) - low, 2.0)
    points = " ".join(
        f"{at * 100 / (len(days) - 1):.1f},{22 - 20 * (value - low) / span:.1f}"
        for at, value in known
    )
    return f'<svg viewBox="0 0 100 24" aria-hidden="true"><polyline points="{points}"/></svg>'


def _runs(translations: gettext.NullTranslations, part: Mapping[str, Any]) -> str:
    """Return the last runs as a row of signs, with the same in words for a screen reader."""
    runs = part.get("runs") or []
    if not runs:
        return ""
    states = [status_text.OF_LEVEL[level] for _moment, level in runs]
    marks = "".join(f'<i class="{state}">{SIGNS[state]}</i>' for state in states)
    label = status_text.runs_text(translations, states)
    return (
        f'<p class="runs"><span class="strip" aria-hidden="true">{marks}</span> '
        f'<span class="soft">{text(label)}</span></p>'
    )


# --- many hosts -----------------------------------------------------------------------------------


def _many_hosts(
    translations: gettext.NullTranslations,
    judged: Sequence[tuple[str, Mapping[str, Any]]],
    now: float,
) -> str:
    tr = translations.gettext
    wrong = [(state, host) for state, host in judged if state not in (OK, NONE)]
    parts = []
    if wrong:
        title = text(tr("Needs attention"))
        parts.append(f"<section><h2>{title}</h2>")
        parts += [
            _attention(translations, *one, now, is_open=number < OPEN_ATTENTION)
            for number, one in enumerate(wrong[:MOST_ATTENTION])
        ]
        if len(wrong) > MOST_ATTENTION:
            beyond = status_text.more_hosts_text(translations, len(wrong) - MOST_ATTENTION)
            parts.append(f'<p class="soft">{text(beyond)}</p>')
        parts.append("</section>\n")
    title = text(tr("All hosts"))
    parts.append(f"<section><h2>{title}</h2>")
    if len(judged) <= FEW_HOSTS:
        parts.append(_table(translations, judged, now))
    else:
        for state in (BAD, UNKNOWN, WARN, NONE, OK):
            parts.append(
                _folded(translations, state, [one for one in judged if one[0] == state], now)
            )
    parts.append("</section>\n")
    return "".join(parts)


def _folded(
    translations: gettext.NullTranslations,
    state: str,
    judged: Sequence[tuple[str, Mapping[str, Any]]],
    now: float,
) -> str:
    """Return the table of the hosts of one state, folded; the script marks it when one is late."""
    if not judged:
        return ""
    word = status_text.state_word(translations, state, len(judged))
    late = text(translations.gettext("some are overdue by now"))
    return (
        f'<details class="group {state}"><summary><span class="sign" aria-hidden="true">'
        f"{SIGNS[state]}</span> <b>{len(judged)}</b> {text(word)}"
        f'<span class="late" hidden> · {late}</span></summary>'
        f"{_table(translations, judged, now)}</details>\n"
    )


def _table(
    translations: gettext.NullTranslations,
    judged: Sequence[tuple[str, Mapping[str, Any]]],
    now: float,
) -> str:
    tr = translations.gettext
    heads = [tr("Host"), tr("Disk"), tr("Offsite copy"), tr("Restore drill")]
    columns = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    rows = "".join(_row(translations, state, host, heads, now) for state, host in judged)
    return f"<table><thead><tr>{columns}</tr></thead><tbody>\n{rows}</tbody></table>"


def _attention(
    translations: gettext.NullTranslations,
    state: str,
    host: Mapping[str, Any],
    now: float,
    *,
    is_open: bool,
) -> str:
    lines, brief = [], []
    if host.get("problem"):
        lines.append(text(host["problem"]))
        brief.append(text(host["problem"]))
    for part in host.get("parts") or []:
        if status_text.part_state(part, now) == OK:
            continue
        title = status_text.part_title(translations, part)
        word = status_text.part_word(translations, part, now)
        lines.append(f"<b>{text(title)}: {text(word)}</b>{_reasons(translations, part, now)}")
        brief.append(f"{text(title)}: {text(word)}")
    shown = "".join(f"<li>{line}</li>" for line in lines)
    return (
        f'<details class="host {state}"{" open" if is_open else ""}><summary><h3><span '
        f'class="sign" aria-hidden="true">{SIGNS[state]}</span> {text(host.get("host"))}</h3> '
        f'<span class="brief soft">{" · ".join(brief)}</span></summary>'
        f'<ul class="lines">{shown}</ul></details>\n'
    )


def _row(
    translations: gettext.NullTranslations,
    state: str,
    host: Mapping[str, Any],
    heads: Sequence[str],
    now: float,
) -> str:
    cells = []
    for at, name in enumerate(("disk", "offsite", "drill"), 1):
        parts = [part for part in host.get("parts") or [] if part["id"] == name]
        held = "<br>".join(_cell(translations, part, now) for part in parts)
        held = held or '<span class="soft">–</span>'
        cells.append(f'<td data-head="{text(heads[at])}">{held}</td>')
    if host.get("problem"):
        cells = [f'<td class="problem" colspan="{len(cells)}">{text(host["problem"])}</td>']
    return (
        f'<tr class="{state}"><th scope="row"><div class="name"><span class="sign" '
        f'aria-hidden="true">{SIGNS[state]}</span> <span>{text(host.get("host"))}</span></div></th>'
        f"{''.join(cells)}</tr>\n"
    )


def _cell(translations: gettext.NullTranslations, part: Mapping[str, Any], now: float) -> str:
    state = status_text.part_state(part, now)
    word = status_text.part_word(translations, part, now)
    trend = status_text.brief_trend(translations, part)
    age = _ago(translations, part["good"] if part["id"] != "disk" else part["time"], now)
    if part["id"] != "disk" and state not in (OK, WARN):
        # Its age is that of the last good run, and not of what the word says.
        last = text(translations.gettext("last success:"))
        age = f"{last} {age}"
    after = f" · {age}" if part["time"] is not None else ""
    more = f'<span class="soft"> · {text(trend)}</span>' if trend else ""
    return (
        f'<span class="{state}"{_due(translations, part, state)}><span class="sign" '
        f'aria-hidden="true">{SIGNS[state]}</span> <span class="word">{text(word)}</span></span>'
        f'<span class="soft">{after}</span>{more}'
    )
