# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sealed manifest of a backup that a command of the owner's sealed itself."""

from __future__ import annotations

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.system_errors import reason
from ..inventory import sealed_names
from ..sealing import age, opened_backup
from ..sealing.keys import SealKeys
from . import manifest
from .manifest import Manifest
from .manifest_snapshot import SnapshotContent

# No reading of a backup reaches it.
_LONGEST_SECONDS = 7 * 86400


def write(backup: str, held: SnapshotContent, seal: SealKeys) -> Manifest:
    """Open a sealed backup to its end, write its manifest beside it, sealed, and return that.

    It does not say for whom the backup is sealed: the command may have named others.

    Args:
        backup: the finished file.
        held: what the database held at the backup's snapshot.
        seal: the keys of this host.

    Raises:
        ResilienceError: the backup cannot be opened whole, or the manifest not be written.
    """
    if not opened_backup.is_sealed(backup):
        raise ResilienceError(
            _("the backup is not sealed, though its name ends in .age"),
            option="--backup",
            value=backup,
            remedy=_("remove it, and let the command pipe its dump through age"),
        )
    plain = sealed_names.plain(backup)
    path = sealed_names.sealed(manifest.path_of(plain))
    try:
        done = age.read_whole(backup, seal.identity_files, time_limit=_LONGEST_SECONDS)
        made = manifest.of(held, done.sha256, done.bytes)
        content = "".join(made.file_parts()).encode("utf-8", "backslashreplace")
        age.seal_bytes(content, path, seal.recipients_file)
    except (OSError, age.ChangedFile) as error:
        why = reason(error) if isinstance(error, OSError) else _("the backup changed meanwhile")
        raise ResilienceError(
            _("the manifest cannot be written: %(why)s", why=why),
            option="backup",
            value=path,
            remedy=_("make room there, or look who may write to that folder"),
        ) from error
    return made
