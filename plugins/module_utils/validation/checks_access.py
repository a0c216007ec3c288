# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare owners and privileges with those in production when the backup was taken."""

from __future__ import annotations

from collections.abc import Iterator

from ..checks.findings import Finding
from ..common.messages import Message, _
from ..common.safe_text import one_line
from ..database import access
from ..database.structure import Difference
from .check_context import CheckContext

# What stands for privileges that nobody changed.
BY_DEFAULT = "default"


def findings(context: CheckContext) -> Iterator[Finding]:
    """Yield what is owned or granted otherwise; nothing where that was not restored."""
    for one in context.access_differences:
        owner = one.kind.startswith(access.OWNER)
        if not owner and not context.same_major:
            # Other versions have other privileges.
            continue
        if one.kind in (access.COMMENT, access.SETTING):
            kind = "definition.differs"
        else:
            kind = "owner.differs" if owner else "privileges.differ"
        yield Finding(kind, _name(one), _text(one))


def _name(one: Difference) -> str:
    if one.kind == access.DEFAULTS:
        return one.name
    return ".".join(part for part in (one.schema, one.name) if part)


def _what(one: Difference) -> Message:
    if one.kind == access.COMMENT:
        return _("the comment of the database")
    if one.kind == access.SETTING:
        return _("the setting %(name)s of the database", name=one.name)
    if one.kind == access.DEFAULTS:
        return _("privileges by default %(what)s", what=_name(one))
    what = f"{access.object_kind(one)} {_name(one)}".strip()
    if one.kind.startswith(access.OWNER):
        return _("the owner of %(what)s", what=what)
    return _("privileges on %(what)s", what=what)


def _text(one: Difference) -> Message:
    before, after = (
        BY_DEFAULT if text is None else one_line(text, None) for text in (one.before, one.after)
    )
    return _(
        "%(what)s is `%(found)s`, in production it was `%(expected)s`",
        what=_what(one),
        found=after,
        expected=before,
    )
