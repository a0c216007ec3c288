# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed backups fetched: links judged, files compared with what was signed, opened.

The server is not trusted in anything: not for what it lists, nor for what it hands out.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..common import iso_time
from ..common.errors import BackupError, ResilienceError
from ..common.messages import _, join
from ..common.room import require_room
from ..inventory import backup_names, sealed_names
from ..inventory.inventory import readable
from ..sealing import age, chain, links
from ..sealing.chain import ChainJudgement, ServedFile
from ..sealing.keys import SealKeys
from ..sealing.links import Content, Link
from ..sealing.positions import Position
from .transport import RemoteFile, Transport

_FINDING = "archive.digest_differs"


class SealedFetching:
    """Fetches sealed backups through a transport, and opens them.

    Args:
        inner: the transport.
        keys: what opens and verifies them.
        pattern: of the names of backups.
        known: returns the last link that is known from elsewhere; None where none is.
        time_limit: seconds for opening one file.

    Attributes:
        evidence: what was opened, by the backup's path, as plain values.
    """

    def __init__(
        self,
        inner: Transport,
        keys: SealKeys,
        *,
        pattern: str,
        known: Callable[[], Position | None],
        time_limit: float,
    ) -> None:
        self.inner = inner
        self.keys = keys
        self.pattern = backup_names.compiled(pattern)
        self.known = known
        self.time_limit = time_limit
        self.evidence: dict[str, dict[str, Any]] = {}
        self._judged = ChainJudgement()
        self._last: Position | None = None

    def list_files(self, tiers: Sequence[str]) -> dict[str, RemoteFile]:
        """Return the backups under their plain names, with their plain sizes where these are known.

        Raises:
            BackupError: newer backups are withheld.
            ResilienceError: the server cannot be listed, or no key is known that signs.
        """
        if not self.keys.signers:
            raise ResilienceError(
                _("no public key is known whose signatures count"),
                option="seal.signers",
                remedy=_("give the host's public key as the play printed it; the runbook has it"),
            )
        age.require_identity(self.keys.identity_files)
        listed = self.inner.list_files(tiers)
        files: dict[str, dict[str, ServedFile]] = {}
        for path, file in listed.items():
            found = sealed_names.match(os.path.basename(path), self.pattern)
            if found:
                backup = os.path.join(os.path.dirname(path), found.backup)
                ending = found.ending.removesuffix(sealed_names.SEALED) or sealed_names.SEALED
                files.setdefault(backup, {})[ending] = ServedFile(file.bytes)
        backups = {path: held for path, held in files.items() if sealed_names.SEALED in held}
        self._last = self.known()
        self._judged = chain.judge(self._links(backups), backups, self.keys.signers, self._last)
        whole = [one.text for one in self._judged.serious("") if not one.path]
        if whole:
            raise BackupError(
                join(whole, "; "),
                option="seal.last_link",
                value=str(self._last),
                remedy=_(
                    "get the newest backup elsewhere; to take what is there, clear the option"
                ),
                finding=_FINDING,
            )
        return {
            name: RemoteFile(size, self._written_ns(path, listed[sealed_names.sealed(path)]))
            for path, held in backups.items()
            for name, size in self._plain_sizes(path, held).items()
        }

    def _written_ns(self, path: str, listed: RemoteFile) -> int:
        """Return the signed time of a backup: by it the newest is chosen where names hold none."""
        link = self._judged.links.get(path)
        with contextlib.suppress(ValueError):  # links of early versions hold none
            second = int(iso_time.parse(link.written_at if link else "").timestamp())
            # The server's time has its fraction, which is not signed.
            if listed.mtime_ns // 10**9 != second:
                return second * 10**9
        return listed.mtime_ns

    def _plain_sizes(self, path: str, held: Mapping[str, ServedFile]) -> dict[str, int]:
        link = self._judged.links.get(path)
        if link is None:
            # Whoever chooses it is given the reason by `fetch`.
            return {path: held[sealed_names.SEALED].bytes}
        beside = {path + ending: one.bytes for ending, one in link.beside.items()}
        return {path: link.content.bytes, **beside}

    def _links(self, backups: Mapping[str, Mapping[str, ServedFile]]) -> dict[str, bytes | None]:
        """Return the content of each backup's link."""
        needed = {
            path: sealed_names.link(path)
            for path, held in backups.items()
            if 0 < held.get(sealed_names.LINK, ServedFile(0)).bytes <= links.MOST_BYTES
        }
        found: dict[str, bytes | None] = dict.fromkeys(backups)
        if not needed:
            return found
        with tempfile.TemporaryDirectory(prefix="chefwell-links-") as folder:
            self.inner.fetch(list(needed.values()), folder)
            for path, name in needed.items():
                with contextlib.suppress(OSError), open(os.path.join(folder, name), "rb") as file:
                    found[path] = file.read(links.MOST_BYTES + 1)
        return found

    def fetch(self, paths: Sequence[str], folder: str) -> None:
        """Fetch and open backups of which `list_files` returned these names.

        Raises:
            BackupError: one is not what was signed, or cannot be opened whole.
            ResilienceError: it cannot be fetched, or was sealed for other keys.
        """
        self._open_links(paths)
        parts = self._parts(paths)
        sealed_bytes = sum(content.sealed_bytes for _name, content in parts.values())
        opened_bytes = sum(one.bytes for _name, one in parts.values())
        require_room(sealed_bytes + opened_bytes, folder, _too_large)
        sealed = tempfile.mkdtemp(prefix=".sealed-", dir=folder)
        opened: list[str] = []
        try:
            self.inner.fetch([name for name, _content in parts.values()], sealed)
            for path, (name, content) in parts.items():
                target = os.path.join(folder, path)
                os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
                opened.append(target)
                self._open(os.path.join(sealed, name), target, path, content)
                os.unlink(os.path.join(sealed, name))
        except BaseException:
            # A backup without its manifest looks whole, and is readable.
            for target in opened:
                with contextlib.suppress(OSError):
                    os.unlink(target)
            raise
        finally:
            shutil.rmtree(sealed, ignore_errors=True)
        for path in paths:
            if path in self._judged.links:
                self.evidence[path] = self._evidence(self._judged.links[path])

    def _open_links(self, paths: Sequence[str]) -> None:
        """Decrypt what the links of these files hold of the plain ones."""
        for path, link in list(self._judged.links.items()):
            names = {path, *(path + ending for ending in link.beside)}
            if names.intersection(paths) and not self._judged.serious(path):
                self._judged.links[path] = links.opened(link, self.keys.identity_files)

    def _parts(self, paths: Sequence[str]) -> dict[str, tuple[str, Content]]:
        """Return the sealed name and the signed content of each file.

        Raises:
            BackupError: nothing that counts was signed about one.
        """
        owners = {}
        for path, link in self._judged.links.items():
            owners[path] = (sealed_names.sealed(path), link.content, path)
            for ending, content in link.beside.items():
                owners[path + ending] = (sealed_names.sealed(path + ending), content, path)
        found = {}
        for path in paths:
            wrong = self._judged.serious(owners[path][2] if path in owners else path)
            if path not in owners or wrong:
                raise BackupError(
                    join((one.text for one in wrong), "; ")
                    or _("%(file)s: it has no signed link", file=readable(path)),
                    option="backup",
                    value=readable(path),
                    remedy=_("name another backup with --date or --tier, and look at the server"),
                    finding=_FINDING,
                )
            found[path] = owners[path][:2]
        return found

    def _open(self, source: str, target: str, path: str, content: Content) -> None:
        try:
            done = age.open_file(
                source, target, self.keys.identity_files, time_limit=self.time_limit
            )
        except OSError as error:
            raise ResilienceError(
                _("the backup cannot be opened: %(why)s", why=str(error)),
                option="work_dir",
                value=target,
                remedy=_("make room there, or name a folder on another filesystem"),
            ) from error
        found = (done.sealed_sha256, done.sha256, done.bytes)
        if found != (content.sealed_sha256, content.sha256, content.bytes):
            os.unlink(target)
            raise BackupError(
                _("%(file)s: its content is not the one that was signed", file=readable(path)),
                option="backup",
                value=readable(path),
                remedy=_("name another backup with --date or --tier, and look at the server"),
                finding=_FINDING,
            )

    def _evidence(self, link: Link) -> dict[str, Any]:
        return {
            "position": str(link.position),
            "taken_at": link.taken_at,
            "written_at": link.written_at,
            "sha256": link.content.sha256,
            "sealed_at": link.time,
            "sealed_sha256": link.content.sealed_sha256,
            "opened_at": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "known": self._last is not None,
            "notes": [str(one.text) for one in self._judged.problems],
        }

    def fetch_command(self, path: str, folder: str) -> str:
        """Return the command for a person, as `Transport.fetch_command`."""
        return self.inner.fetch_command(sealed_names.sealed(path), folder)


def _too_large(size: int, free: int) -> str:
    return _(
        "the sealed backup and the opened one have %(size)d bytes, of which %(free)d fit here",
        size=size,
        free=free,
    )
