# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All kinds of backups: a new one is a file beside these, and a line here."""

from __future__ import annotations

from . import file_kind
from .kind import Kind
from .kind_custom import CustomKind
from .kind_directory import DirectoryKind
from .kind_plain import PlainKind
from .kind_tar import TarKind

FOLDER = DirectoryKind()
BY_NAME: dict[str, Kind] = {
    kind.name: kind for kind in (CustomKind(), FOLDER, TarKind(), PlainKind())
}


def of_head(head: bytes) -> Kind | None:
    """Return the kind of a file; None if it is no dump.

    Args:
        head: at least its first `file_kind.HEAD_BYTES`, decompressed.
    """
    name = file_kind.dump_format(head)
    return BY_NAME[name] if name else None


def of_label(label: str) -> Kind | None:
    """Return the kind of a backup as a report names it, such as `custom+gzip`; None if unknown."""
    return BY_NAME.get(label.partition("+")[0])
