# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch a backup from the offsite server, with the offsite stage's configuration.

rsync lists as well as it fetches, so that an account that may only read through rsync is enough.
The listing is not trusted: a name counts only if it lies directly in one of the tiers and fits the
pattern.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from collections.abc import Sequence

from ..backup.backup_choice import ChosenBackup, choose
from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.settings import load
from ..inventory import backup_names, inventory
from . import offsite_config, ssh
from .offsite_config import OffsiteSettings

PREFIX = "fetched-"
TRIES = 3
# How rsync writes `%l %n`: bytes, then the name; odd bytes in it as `\#ooo`.
_LISTED = re.compile(r"(\d+) ([^/]+)/([^/]+)/?$")
# Endings of the files that belong to a backup.
BESIDE = (".sha256", ".manifest.json")


def destination(config_file: str, key_file: str = "") -> ssh.Destination:
    """Return the server of the offsite stage's configuration.

    Args:
        config_file: the offsite stage's configuration.
        key_file: a key that may read there, where the stage's own key may not.

    Raises:
        ResilienceError: the stage is not installed on this host, or its configuration is
            incomplete.
    """
    settings = load(config_file, OffsiteSettings)
    server = offsite_config.first(settings)
    if server.transport != "rsync":
        raise ResilienceError(
            _("a backup is fetched over rsync only"),
            option="destinations[0].transport",
            value=server.transport,
            remedy=_("copy it here with rclone, and name the file with --backup"),
        )
    own_key = key_file or offsite_config.key_file(settings, server)
    return offsite_config.ssh_destination(settings, dataclasses.replace(server, key_file=own_key))


def fetch(
    server: ssh.Destination,
    folder: str,
    *,
    tiers: Sequence[str] = inventory.TIERS,
    pattern: str = backup_names.PATTERN,
    tier: str | None = None,
    date: str | None = None,
) -> ChosenBackup:
    """Fetch one backup, the newest that fits.

    Args:
        server: from `destination`.
        folder: gets a new tree with the backup.
        tiers, pattern: of the tree there.
        tier, date: which backup; the newest of all when left out.

    Returns:
        The fetched backup.

    Raises:
        ResilienceError: the server cannot be reached, holds no such backup, or the transfer failed.
    """
    ssh.check_key(server)
    known = backup_names.compiled(pattern)
    listed = _rsync(server, ["--recursive", "--dry-run", "--out-format=%l %n"], tiers, folder)
    tree = tempfile.mkdtemp(prefix=PREFIX, dir=folder)
    os.chmod(tree, 0o711)
    sizes: dict[str, int] = {}
    for line in listed.splitlines():
        match = _LISTED.fullmatch(line)
        if match and match[2] in tiers and backup_names.match_name(match[3], known):
            sizes[f"{match[2]}/{match[3]}"] = int(match[1])
    # An empty file of each name, so that `choose` works as on a local tree.
    for name in tiers:
        os.makedirs(os.path.join(tree, name))
    for name in sizes:
        open(os.path.join(tree, name), "wb").close()
    try:
        chosen = choose(tree, tiers=tuple(tiers), pattern=pattern, tier=tier, date=date)
    except ResilienceError as error:
        raise ResilienceError(
            error.problem,
            option="offsite",
            value=str(server),
            remedy=_("look with verify-offsite-backups.sh what the server holds"),
        ) from error
    finally:
        for name in sizes:
            os.unlink(os.path.join(tree, name))
    name = os.path.relpath(chosen.path, tree)
    _require_room(sizes[name], folder, server)
    includes = [f"--include=/{os.path.basename(name)}{end}" for end in ("", "/**", *BESIDE)]
    options = ["--recursive", "--times", "--partial-dir=.rsync-partial", *includes, "--exclude=*"]
    _rsync(server, options, [os.path.dirname(name) + "/"], os.path.join(tree, chosen.tier or ""))
    return choose(tree, tiers=tuple(tiers), pattern=pattern, tier=chosen.tier)


def _require_room(size: int, folder: str, server: ssh.Destination) -> None:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if size > free:
        raise ResilienceError(
            _(
                "the backup on the server has %(size)d bytes, of which %(free)d fit here",
                size=size,
                free=free,
            ),
            option="work_dir",
            value=folder,
            remedy=_("make room there, or name a folder on another filesystem"),
        )


def _rsync(server: ssh.Destination, options: Sequence[str], names: Sequence[str], to: str) -> str:
    shell = " ".join("'" + word.replace("'", "''") + "'" for word in ssh.command(server))
    host = f"[{server.host}]" if ":" in server.host else server.host
    root = f"{server.user}@{host}:{server.path.rstrip('/')}/"
    for left in range(TRIES - 1, -1, -1):
        ended = process.run(
            [
                *("rsync", *options, "--no-human-readable"),
                *(f"--timeout={server.silence_seconds}", f"--rsh={shell}", "--"),
                *(root + name for name in names),
                os.path.join(to, ""),
            ],
            time_limit=server.time_limit,
            env=ssh.environment(),
        )
        # 23 and 24: a part could not be read; when listing, a tier that is not there.
        if ended.code == 0 or (ended.code in (23, 24) and "--dry-run" in options):
            return ended.output
        why = ssh.failure(ended.errors)
        if left == 0 or (why and not why.retryable):
            break
    if why:
        raise ssh.ServerError(why, ssh.error_line(ended.errors), server)
    raise ResilienceError(
        _(
            "%(program)s ended with %(ending)s: %(why)s",
            program="rsync",
            ending=ended.ending(),
            why=ssh.error_line(ended.errors),
        ),
        option="offsite",
        value=str(server),
        remedy=_(
            "try sync-backups-offsite.sh --test-connection, and look whether the key may read"
        ),
    )
