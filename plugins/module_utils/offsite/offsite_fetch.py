# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch a backup from a destination of the offsite copy, by whatever transport it has.

The listing is not trusted: a name counts only if it lies in one of the tiers and fits the pattern,
or is a folder that pg_dump wrote, and what was fetched must have the bytes that were listed.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping, Sequence

from ..backup.backup_choice import CONTENTS, ChosenBackup, choose
from ..backup.roles_file import holds_roles_alone
from ..common.errors import ResilienceError
from ..common.messages import _, ngettext
from ..common.room import require_room
from ..common.settings import load
from ..inventory import backup_names, companions, inventory, sealed_names
from ..inventory.inventory import readable
from . import destinations, offsite_config
from .offsite_config import OffsiteSettings
from .sync_source import PlainSource, Source
from .transport import RemoteFile, Transport

PREFIX = "fetched-"


def transport(
    config_file: str, key_file: str = "", name: str = "", *, pattern: str = ""
) -> Transport:
    """Return what fetches from a destination of the offsite stage's configuration.

    Args:
        config_file: the offsite stage's configuration.
        key_file: a key that may read at the first destination, where the stage's own may not.
        name: of the destination; empty for the first.
        pattern: of the names of the backups, as the stage that fetches knows it; that of the
            configuration when empty. A new server may know no more than where to fetch from.

    Raises:
        ResilienceError: the stage is not installed on this host, its configuration is incomplete,
            or it has no such destination.
    """
    settings = load(config_file, OffsiteSettings)
    if pattern:
        settings = dataclasses.replace(settings, backup_pattern=pattern)
    first = offsite_config.first(settings)
    chosen = offsite_config.named(settings, name) if name else first
    if key_file and chosen == first:
        chosen = dataclasses.replace(chosen, key_file=key_file)
    return destinations.transport(settings, chosen, fetches=True)


def fetch(
    server: Transport,
    folder: str,
    *,
    tiers: Sequence[str] = inventory.TIERS,
    pattern: str = backup_names.PATTERN,
    tier: str | None = None,
    date: str | None = None,
    source: Source | None = None,
) -> ChosenBackup:
    """Fetch one backup, the newest that fits.

    Args:
        server: from `transport`.
        folder: gets a new tree with the backup.
        tiers, pattern: of the tree there.
        tier, date: which backup; the newest of all when left out.
        source: what the backups are on the server; plain files when left out.

    Returns:
        The fetched backup.

    Raises:
        ResilienceError: the server cannot be reached, holds no such backup, or the transfer failed.
    """
    server.check()
    tree = tempfile.mkdtemp(prefix=PREFIX, dir=folder)
    os.chmod(tree, 0o711)
    source = source or PlainSource(tree, tiers, pattern, tree, 0)
    # What each file is called there, by its name as a backup of this host.
    files = server.list_files(tiers)
    there = {source.original(path): path for path in files}
    listed = _backups({path: files[name] for path, name in there.items()}, tiers, pattern)
    set_aside: list[str] = []
    while True:
        chosen = _choice(server, tree, listed, tiers=tiers, pattern=pattern, tier=tier, date=date)
        set_aside += [why for why in chosen.set_aside if why not in set_aside]
        needed = {path: file for path, file in listed.items() if _belongs(path, chosen.path)}
        _fetch_whole(server, tree, {there[path]: file for path, file in needed.items()})
        backup = source.receive(tree, chosen.path)
        if not holds_roles_alone(backup):
            found = choose(tree, path=backup, pattern=pattern, follow=False)
            return dataclasses.replace(
                found,
                tier=chosen.tier,
                set_aside=tuple(set_aside),
                sealed=server.evidence(chosen.path),
            )
        # Only its content shows that; the next newest is the backup.
        name = readable(chosen.path)
        set_aside.append(_("%(file)s holds roles and no database", file=name))
        listed = {path: file for path, file in listed.items() if path not in needed}


def _backups(
    listed: Mapping[str, RemoteFile], tiers: Sequence[str], pattern: str
) -> dict[str, RemoteFile]:
    """Return the files of backups, and those that belong to one."""
    known = backup_names.compiled(pattern)
    found = {}
    for path, file in listed.items():
        tier, _slash, name = path.partition("/")
        folder, inner = os.path.split(name)
        if tier not in tiers or "/" in folder or _is_hidden(name):
            continue
        owner = companions.owner(path)
        if folder:
            counts = f"{tier}/{folder}/{CONTENTS}" in listed
        else:
            owners = (owner, sealed_names.sealed(owner), f"{owner}/{CONTENTS}")
            counts = any(one in listed for one in owners)
        if counts or not folder and backup_names.match_name(inner, known):
            found[path] = file
    return found


def _is_hidden(name: str) -> bool:
    return any(not part or part.startswith(".") for part in name.split("/"))


def _belongs(path: str, backup: str) -> bool:
    if path == backup or path.startswith(f"{backup}/"):
        return True
    return companions.owner(path) == sealed_names.plain(backup)


def _choice(
    server: Transport,
    tree: str,
    listed: Mapping[str, RemoteFile],
    *,
    tiers: Sequence[str],
    pattern: str,
    tier: str | None,
    date: str | None,
) -> ChosenBackup:
    """Return the backup that fits, as if the listed ones were a tree here; its path is relative."""
    with tempfile.TemporaryDirectory(prefix="choice-", dir=tree) as names:
        for name in tiers:
            os.makedirs(os.path.join(names, name))
        for path, file in listed.items():
            if companions.is_companion(path):
                continue
            whole = os.path.join(names, path)
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            with open(whole, "wb"):
                pass
            os.utime(whole, ns=(file.mtime_ns, file.mtime_ns))
        try:
            chosen = choose(names, tiers=tuple(tiers), pattern=pattern, tier=tier, date=date)
        except ResilienceError as error:
            raise ResilienceError(
                error.problem,
                option="offsite",
                value=str(server),
                remedy=_("look with verify-offsite-backups.sh what the server holds"),
            ) from error
        return dataclasses.replace(chosen, path=os.path.relpath(chosen.path, names))


def _too_large(size: int, free: int) -> str:
    return _(
        "the backup on the server has %(size)d bytes, of which %(free)d fit here",
        size=size,
        free=free,
    )


def _fetch_whole(server: Transport, tree: str, needed: Mapping[str, RemoteFile]) -> None:
    """Fetch files, and compare them with what was listed: an exit code alone proves nothing."""
    require_room(sum(file.bytes for file in needed.values()), tree, _too_large)
    server.fetch(list(needed), tree)
    short = []
    for path, file in needed.items():
        try:
            size = os.lstat(os.path.join(tree, path)).st_size
        except OSError:
            size = -1
        if size != file.bytes:
            short.append(readable(path))
    if short:
        raise ResilienceError(
            ngettext(
                "%(count)d file was not fetched as the server lists it: %(files)s",
                "%(count)d files were not fetched as the server lists them: %(files)s",
                len(short),
                files=", ".join(short[:5]),
            ),
            option="offsite",
            value=str(server),
            remedy=_("look whether it still changes there, and try again"),
        )
