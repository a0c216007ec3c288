# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the links of a sealed copy: forged, altered, out of order, replayed, withheld.

It reads no files and no network: links, files and trusted public keys are given. Only a signature
is verified by another program (`links.verified`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ..common.messages import _
from ..inventory.inventory import readable
from . import links
from .links import Link
from .positions import Position

FORGED, ALTERED, MISSING_LINK = "forged", "altered", "without_link"
UNREADABLE = "unreadable"
OUT_OF_ORDER, REPLAYED, WITHHELD, GONE = "out_of_order", "replayed", "withheld", "gone"
# Problems that no honest, undamaged server has. A backup that is gone may be rotated away.
SERIOUS = (FORGED, ALTERED, MISSING_LINK, UNREADABLE, OUT_OF_ORDER, REPLAYED, WITHHELD)


@dataclasses.dataclass(frozen=True)
class ChainProblem:
    """One thing that is wrong: its kind, the backup's path (empty for the whole), a sentence."""

    kind: str
    path: str
    text: str


@dataclasses.dataclass(frozen=True)
class ServedFile:
    """A file of the copy as the server handed it out; no digest where it was not read."""

    bytes: int
    sha256: str = ""


@dataclasses.dataclass
class ChainJudgement:
    """What the links of a copy say.

    Attributes:
        links: the links that are genuine and belong to their backups, by path.
        problems: what is wrong.
    """

    links: dict[str, Link] = dataclasses.field(default_factory=dict)
    problems: list[ChainProblem] = dataclasses.field(default_factory=list)

    @property
    def newest(self) -> Link | None:
        """The newest link."""
        return max(self.links.values(), key=lambda link: link.position.order, default=None)

    def serious(self, path: str | None = None) -> list[ChainProblem]:
        """Return the problems that no honest server has: of a backup and of the whole, or all."""
        return [
            one
            for one in self.problems
            if one.kind in SERIOUS and (path is None or one.path in ("", path))
        ]


def judge(
    served: Mapping[str, bytes | None],
    files: Mapping[str, Mapping[str, ServedFile]],
    public_keys: Sequence[str],
    known: Position | None = None,
) -> ChainJudgement:
    """Judge what a server handed out.

    Args:
        served: content of the link of each backup that the server lists, by the backup's path; None
            where it has none.
        files: the files of each backup by ending (`.age`, `.manifest.json`), by the backup's path.
        public_keys: of those who may sign.
        known: the last link that is known from elsewhere; None where none is.
    """
    found = ChainJudgement()
    for path, body in sorted(served.items()):
        _judge_one(found, path, body, files.get(path, {}), list(public_keys))
    _judge_order(found)
    _judge_newest(found, known)
    return found


def _judge_one(
    found: ChainJudgement,
    path: str,
    body: bytes | None,
    files: Mapping[str, ServedFile],
    public_keys: list[str],
) -> None:
    name = readable(path)
    if body is None:
        text = _("%(file)s: it has no signed link", file=name)
        found.problems.append(ChainProblem(MISSING_LINK, path, text))
        return
    try:
        link = links.verified(body, public_keys)
    except links.OtherVersion as error:
        text = _("%(file)s: the link cannot be read: %(why)s", file=name, why=error.why)
        found.problems.append(ChainProblem(UNREADABLE, path, text))
        return
    except links.NoLink as error:
        text = _("%(file)s: the link is forged or altered: %(why)s", file=name, why=error.why)
        found.problems.append(ChainProblem(FORGED, path, text))
        return
    if link.name != path:
        text = _("%(file)s: the link is that of %(other)s", file=name, other=readable(link.name))
        found.problems.append(ChainProblem(REPLAYED, path, text))
        return
    found.links[path] = link
    expected = {".age": link.content, **link.beside}
    for ending, content in expected.items():
        seen = files.get(ending)
        shown = name if ending == ".age" else f"{name}{ending}"
        if seen is None:
            text = _("%(file)s: it is signed, but not there", file=shown)
        elif seen.bytes != content.sealed_bytes or (
            seen.sha256 and seen.sha256 != content.sealed_sha256
        ):
            text = _("%(file)s: its content is not the one that was signed", file=shown)
        else:
            continue
        found.problems.append(ChainProblem(ALTERED, path, text))


def _judge_order(found: ChainJudgement) -> None:
    """Compare each link with the one before it, where both are there."""
    by_order: dict[tuple[str, int], Link] = {}
    for _path, link in sorted(found.links.items()):
        other = by_order.setdefault(link.position.order, link)
        # Which of them belongs there, nobody can know.
        for one, same in ((link, other), (other, link)) if other is not link else ():
            text = _(
                "%(file)s: its link has the number of that of %(other)s",
                file=readable(one.name),
                other=readable(same.name),
            )
            found.problems.append(ChainProblem(OUT_OF_ORDER, one.name, text))
    for order, link in sorted(by_order.items()):
        before = by_order.get((link.chain, link.number - 1))
        if before is not None and before.position.sha256 != link.previous:
            text = _(
                "%(file)s: its link does not follow the one before it (number %(number)d)",
                file=readable(link.name),
                number=order[1],
            )
            found.problems.append(ChainProblem(OUT_OF_ORDER, link.name, text))


def _judge_newest(found: ChainJudgement, known: Position | None) -> None:
    newest = found.newest
    if known is not None:
        # Another chain proves nothing: it may be of a host whose key is trusted as well.
        numbers = [link.number for link in found.links.values() if link.chain == known.chain]
        last = max(numbers, default=0)
        if last < known.number:
            if newest is not None and not numbers:
                text = _(
                    "the newest link is of chain %(chain)s, but number %(known)d of chain %(sent)s "
                    "was sent: newer backups are withheld, or that link went to another "
                    "destination, or a new chain began since",
                    chain=newest.chain,
                    known=known.number,
                    sent=known.chain,
                )
            else:
                text = _(
                    "the newest link is number %(number)s, but number %(known)d was sent: newer "
                    "backups are withheld",
                    number=str(last),
                    known=known.number,
                )
            found.problems.append(ChainProblem(WITHHELD, "", text))
        for path, link in found.links.items():
            same = link.position.order == known.order
            if same and known.sha256 and link.position.sha256 != known.sha256:
                text = _("%(file)s: its link is not the one that was sent", file=readable(path))
                found.problems.append(ChainProblem(OUT_OF_ORDER, path, text))
    if newest is None or newest.present is None:
        return
    for path, number in sorted(newest.present.items()):
        held = found.links.get(path)
        if held is not None and held.chain == newest.chain and held.number < number:
            text = _(
                "%(file)s: an older version is handed out in place of number %(number)d",
                file=readable(path),
                number=number,
            )
            found.problems.append(ChainProblem(REPLAYED, path, text))
        elif held is None and not any(one.path == path for one in found.problems):
            text = _(
                "%(file)s: it was there when the newest backup was sent, and is gone",
                file=readable(path),
            )
            found.problems.append(ChainProblem(GONE, path, text))
