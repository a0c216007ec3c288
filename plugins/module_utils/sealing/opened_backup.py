# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open a backup that lies sealed on this host: the one step before it is restored.

Whoever restores sees a plain backup in a folder of their own, with what lies beside it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.room import require_room
from ..common.system_errors import reason
from ..inventory import sealed_names
from . import age

_PREFIX = "opened-"


def is_sealed(path: str) -> bool:
    """Return whether age encrypted a file, by its first bytes."""
    if not os.path.isfile(path):
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return sealed_names.is_sealed(file.read(sealed_names.HEAD_BYTES))
    return False


def require_key(path: str, identity_files: Sequence[str]) -> None:
    """Require a key where a backup is sealed, before anything is done for its restore.

    Raises:
        ResilienceError: there is none.
    """
    if is_sealed(path):
        age.require_identity(identity_files)


def open_backup(path: str, folder: str, identity_files: Sequence[str], *, time_limit: float) -> str:
    """Open a sealed backup, and what lies beside it, and return the path of the opened one.

    Args:
        path: of the backup.
        folder: gets a folder with the opened files.
        identity_files: what opens it.
        time_limit: seconds for one file.

    Raises:
        BackupError: it, or what lies beside it, is damaged or cut off.
        WrongIdentity: it was sealed for other keys.
        ResilienceError: there is no key, no age, or no room.
    """
    plain = sealed_names.plain(path)
    sources = {"": path, **sealed_names.stored_beside(plain)}
    require_room(sum(os.path.getsize(one) for one in sources.values()), folder, _too_large)
    inner = tempfile.mkdtemp(prefix=_PREFIX, dir=folder)
    # The restore does not run as root, and must reach what is in it; others cannot list it.
    os.chmod(inner, 0o711)
    opened = os.path.join(inner, os.path.basename(plain))
    try:
        for ending, source in sources.items():
            target = opened + ending
            if is_sealed(source):
                age.open_file(source, target, identity_files, time_limit=time_limit)
            else:
                shutil.copyfile(source, target)
    except OSError as error:
        raise ResilienceError(
            _("the backup cannot be opened: %(why)s", why=reason(error)),
            option="work_dir",
            value=inner,
            remedy=_("make room there, or name a folder on another filesystem"),
        ) from error
    return opened


def _too_large(size: int, free: int) -> str:
    return _(
        "the opened backup has %(size)d bytes, of which %(free)d fit here", size=size, free=free
    )
