# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain from production to what was restored, where the backup came sealed: one line."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import checks
from ..checks.checks import Evidence
from ..common.messages import _, join

CHECK = "sealed"
# Digits of a digest that a person can compare.
SHORT = 12


def evidence(
    backup: Mapping[str, Any], validation: Sequence[Mapping[str, Any]], *, recorded: bool
) -> Evidence:
    """Return the evidence of the chain, from production to the restored content.

    Args:
        backup: of the result: `sealed` holds what was signed and opened, `sha256` the digest of the
            dump that was restored.
        validation: the checks of the restored database.
        recorded: whether a manifest, which was signed with the backup, recorded production's
            content.
    """
    sealed = backup["sealed"]
    statuses = {check["id"]: check["status"] for check in validation}
    failed = [id for id, status in statuses.items() if status == checks.FAILED]
    compared = recorded and statuses.get("content") == checks.PASSED
    line = _(
        "production at %(taken)s → dump of %(written)s, %(dump)s → sealed copy of %(sealed)s, "
        "%(copy)s → opened at %(opened)s → restored content at %(restored)s",
        taken=sealed["taken_at"] or "?",
        written=sealed["written_at"] or "?",
        dump=sealed["sha256"][:SHORT],
        sealed=sealed["sealed_at"],
        copy=sealed["sealed_sha256"][:SHORT],
        opened=sealed["opened_at"],
        restored=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    if backup.get("sha256") not in (None, sealed["sha256"]):
        return Evidence(line, [_("the dump that was restored is not the one that was signed")])
    if failed:
        return Evidence(
            join([line, _("equal up to the dump; the restored content is not")], ": "), skipped=True
        )
    ending = (
        _("equal link by link")
        if compared
        else _("equal up to the dump; no manifest says what production held")
    )
    link = _("signed as link %(link)s", link=sealed["position"].rpartition("/")[0])
    return Evidence(join([join([line, ending], ": "), link, *sealed["notes"]], "; "))
