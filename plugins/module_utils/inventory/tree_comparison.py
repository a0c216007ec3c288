# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparison of two backup trees."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Optional

from ..common.messages import join
from .inventory import Inventory, readable
from .path_table import only_in


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Comparison of another tree with the local one.

    Attributes:
        missing: backups that the other tree lacks.
        extra: backups that only the other tree has.
        different: backups whose content differs.
        compared_by: `sha256`, or `bytes` where either side has no digests.
        unknown: problems of either side; with any, the trees are not known to be equal.
    """

    missing: list[str]
    extra: list[str]
    different: list[str]
    compared_by: str
    unknown: list[str] = dataclasses.field(default_factory=list)

    @property
    def in_sync(self) -> bool:
        """Whether both trees were read completely and hold the same backups."""
        return not (self.missing or self.extra or self.different or self.unknown)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and Ansible."""
        return {**dataclasses.asdict(self), "in_sync": self.in_sync}


# A backup as the content of a tier is judged by it: path, tier, and SHA-256 where it is known.
Content = tuple[str, str, Optional[str]]


def tier_contents(
    local: Iterable[Content],
    remote: Iterable[Content],
    *,
    unfinished: Container[str] = (),
    by_digest: bool,
) -> dict[str, str]:
    """Return whether both sides hold the same files in each tier: passed, failed or unknown.

    Args:
        local, remote: the backups of both sides.
        unfinished: backups that either side still writes: they count on neither side yet.
        by_digest: whether both sides were compared by SHA-256.
    """
    held = {path: (tier, sha256) for path, tier, sha256 in local if path not in unfinished}
    states: dict[str, str] = {}
    for tier, sha256 in held.values():
        known = "passed" if by_digest and sha256 else "unknown"
        states[tier] = _worse(states.get(tier, "passed"), known)
    for path, tier, sha256 in remote:
        if path in unfinished:
            continue
        own_tier, own = held.pop(path, ("", None))
        if own_tier != tier or (own and sha256 and own != sha256):
            states[tier] = "failed"
        elif not sha256:
            states[tier] = _worse(states.get(tier, "passed"), "unknown")
    for tier, _sha256 in held.values():  # only the local side has them
        states[tier] = "failed"
    return states


def _worse(one: str, other: str) -> str:
    return max(one, other, key=("passed", "unknown", "failed").index)


def compare(local: Inventory, other: Inventory) -> Comparison:
    """Return what `other` lacks, has in addition, or holds with other content.

    Two empty trees are equal; two trees with problems are not known to be.
    """
    here, there = local.states, other.states
    by_digest = local.has_all_digests and other.has_all_digests
    # A backup that is still being written is on neither side yet.
    unfinished = {*local.in_progress, *other.in_progress}

    def named(paths: Iterable[str]) -> list[str]:
        return sorted(name for name in map(readable, paths) if name not in unfinished)

    return Comparison(
        missing=named(only_in(here, there)),
        extra=named(only_in(there, here)),
        different=named(_differing(local, other, by_digest)),
        compared_by="sha256" if by_digest else "bytes",
        unknown=[
            join([side, problem], ": ")
            for side, tree in (("local", local), ("remote", other))
            for problem in tree.problems
        ],
    )


def _differing(local: Inventory, other: Inventory, by_digest: bool) -> Iterator[str]:
    """Yield the paths of both trees whose content differs."""
    if by_digest and local.digests == other.digests:
        return
    here: Mapping[str, Any] = local.digests if by_digest else local.rows.sizes
    there: Mapping[str, Any] = other.digests if by_digest else other.rows.sizes
    for path, content in here.items():
        if there.get(path, content) != content:
            yield path
