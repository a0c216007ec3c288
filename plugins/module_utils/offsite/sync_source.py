# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy is made of: the backups of this host, as the server gets them.

A source knows the name and the bytes that each backup has on the server. The plain one gives the
files as they lie here. Guards, comparison and transports see only what the source gives, so that
another source may give other names and bytes of the same backups.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from ..inventory import digest_cache, inventory, sealed_names, tree_digests
from ..inventory.digest_cache import DigestCache, TakenDigest
from ..inventory.inventory import Inventory
from . import digest_updates
from .digest_updates import DigestSources

Progress = Callable[[int, int], None]


class Source(Protocol):
    """The backups of this host under the names, and with the bytes, that the server gets.

    Attributes:
        folder: names are relative to it when a transport sends them.
    """

    folder: str

    def scan(self, known: Mapping[str, tuple[int, int]] | None = None) -> Inventory:
        """Return the backups: paths, sizes and times as they are on the server.

        Args:
            known: size and time of change (nanoseconds) of backups that were complete before.

        Raises:
            ResilienceError: the backup tree cannot be read (option `path`).
        """

    def with_digests(
        self,
        tree: Inventory,
        *,
        full: bool = False,
        share: bool = True,
        progress: Progress | None = None,
        taken: Mapping[str, TakenDigest] | None = None,
    ) -> tuple[Inventory, DigestSources]:
        """Return the same backups with the SHA-256 of the bytes that the server gets.

        Args:
            tree: as `scan` returned it.
            full: whether to read everything.
            share: whether to read a share of the known files again.
            progress: called with bytes read and bytes to read in all.
            taken: digests that were taken since the scan, while files were sent.
        """

    def accept(self, paths: Sequence[str]) -> None:
        """Let what these backups hold now be what they are compared with."""

    def digest(self, path: str) -> str:
        """Return the SHA-256 of the bytes that the server gets for one path, read now.

        Raises:
            OSError: it cannot be read.
        """

    def earlier_digests(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the SHA-256 that was taken last of these paths, as far as one is known."""

    def state(self, path: str) -> tuple[int, int] | None:
        """Return size and time of change, as `scan` would now; None where it is gone."""

    def provided(self, paths: Sequence[str]) -> contextlib.AbstractContextManager[object]:
        """Return a context in which these files lie in `folder`, under their paths."""

    def original(self, path: str) -> str:
        """Return the path on this host of what has a path on the server."""

    def receive(self, folder: str, path: str) -> str:
        """Turn a fetched file or folder into the backup that it holds; return the backup's path.

        Args:
            folder: what was fetched lies there under its paths of the server.
            path: of the backup on this host, as `original` returned it.
        """


class PlainSource:
    """The backup tree as it is.

    Args:
        root: the tree.
        tiers, pattern: of the tree.
        state_dir: takes the cache of digests.
        reread_days: every backup is read again at least this often.
        plain_names: whether backups that lie sealed in the tree have the names of plain ones, as
            where the copy is sealed in any case.
        with_companions: whether the files that belong to a backup are copied as files of their own.
    """

    def __init__(
        self,
        root: str,
        tiers: Sequence[str],
        pattern: str,
        state_dir: str,
        reread_days: float,
        *,
        plain_names: bool = False,
        with_companions: bool = False,
    ) -> None:
        self.folder = root
        self.tiers, self.pattern = tuple(tiers), pattern
        self.state_dir, self.reread_days = state_dir, reread_days
        self.plain_names, self.with_companions = plain_names, with_companions

    def scan(self, known: Mapping[str, tuple[int, int]] | None = None) -> Inventory:
        """Return the backups of the tree, as `Source.scan`."""
        return inventory.scan(
            self.folder,
            tiers=self.tiers,
            pattern=self.pattern,
            known=known,
            plain_names=self.plain_names,
            with_companions=self.with_companions,
        )

    def with_digests(
        self,
        tree: Inventory,
        *,
        full: bool = False,
        share: bool = True,
        progress: Progress | None = None,
        taken: Mapping[str, TakenDigest] | None = None,
    ) -> tuple[Inventory, DigestSources]:
        """Return the same tree with digests, as `Source.with_digests`."""
        identities = tree.identities
        cache = self._cache(identities)
        cache.learn_new(identities, taken or {}, digest_cache.today())
        planned = digest_cache.plan(
            cache.entries,
            identities,
            now=digest_cache.today(),
            full_days=self.reread_days if share else float("inf"),
            full=full,
            written_once=True,
        )
        found = tree_digests.with_digests(tree, planned.cached, progress)
        digests = found.rows.digests
        sources = digest_updates.update_cache(cache, planned, identities, digests, found)
        return found, sources

    def accept(self, paths: Sequence[str]) -> None:
        """Forget the earlier digests, as `Source.accept`."""
        tree = self.scan()
        cache = self._cache()
        cache.forget(paths)
        cache.save(tree.identities)  # where it cannot be, they are reported again
        self.with_digests(tree, share=False)

    def digest(self, path: str) -> str:
        """Return the SHA-256 of one backup, as `Source.digest`."""
        return tree_digests.sha256(self._at(path))

    def earlier_digests(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the digests of the cache, as `Source.earlier_digests`."""
        known = self._cache().entries
        return {path: known[path].sha256 for path in paths if path in known}

    def _at(self, path: str) -> str:
        whole = f"{self.folder}/{path}"
        return sealed_names.stored(whole) if self.plain_names else whole

    def _cache(self, like: Mapping[str, object] | None = None) -> DigestCache:
        # All destinations share one cache, because the local tree is the same.
        return DigestCache(os.path.join(self.state_dir, "offsite-digests.json"), like)

    def state(self, path: str) -> tuple[int, int] | None:
        """Return size and time of change of one backup, as `Source.state`."""
        try:
            now = os.lstat(self._at(path))
        except OSError:
            return None
        return now.st_size, inventory.bounded_ns(now.st_mtime_ns)

    @contextlib.contextmanager
    def provided(self, paths: Sequence[str]) -> Iterator[None]:
        """Do nothing: the files lie there, as `Source.provided`."""
        yield

    def original(self, path: str) -> str:
        """Return the same path, as `Source.original`."""
        return path

    def receive(self, folder: str, path: str) -> str:
        """Return where the backup was fetched to, as `Source.receive`."""
        return os.path.join(folder, path)
