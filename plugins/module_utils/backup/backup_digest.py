# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a backup's digest with the one that was recorded.

Only a recorded digest reveals a flipped bit in a table of contents or in data that is not
compressed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import os
import re

from ..common.errors import BackupError, ResilienceError
from ..common.messages import _, join
from ..inventory import tree_digests
from .unreadable import unreadable_error

DIGEST_SUFFIX = ".sha256"
# A digest file of a folder has one line a file; no dump has so many tables that this is too little.
LARGEST = 64 << 20
# Where a digest that is compared with may come from.
GIVEN, MANIFEST, LAST_DRILL = _("what was given"), _("its manifest"), _("the last drill")
_LINE = re.compile(r"\\?([0-9a-fA-F]{64})(?: [ *](.+))?")


@dataclasses.dataclass(frozen=True)
class Digest:
    """A backup's digest.

    Attributes:
        sha256: of the file as it is; for a folder, of the sorted lines of sha256sum(1) over it.
        source: where the digest that it was compared with comes from; None if there is none.
    """

    sha256: str
    source: str | None


def take(path: str) -> str:
    """Return the SHA-256 of a backup, file or folder; see `Digest`.

    Raises:
        ResilienceError: it cannot be read.
    """
    try:
        return _of_folder(_file_digests(path)) if os.path.isdir(path) else tree_digests.sha256(path)
    except OSError as error:
        raise unreadable_error(path, error) from error


def lines_of(made: str, backup: str, digest: str = "") -> tuple[str, str]:
    """Return the lines of sha256sum(1) over a backup, and its digest; see `Digest`.

    Args:
        made: where the backup lies now.
        backup: where it will lie.
        digest: of a file, if that was taken already.

    Raises:
        ResilienceError: it cannot be read.
    """
    if os.path.isdir(made):
        try:
            digests = _file_digests(made)
        except OSError as error:
            raise unreadable_error(made, error) from error
        digest = _of_folder(digests)
        lines = "".join(f"{one}  {name}\n" for name, one in sorted(digests.items()))
    else:
        digest = digest or take(made)
        lines = f"{digest}  {os.path.basename(backup)}\n"
    return lines, digest


def verify_digest(path: str, known: str | None = None, source: str = GIVEN) -> Digest:
    """Compare a backup's SHA-256 with what it should be.

    Args:
        path: the backup.
        known: its SHA-256 as recorded earlier.
        source: where `known` comes from, as a text.

    The file `<path>.sha256`, in the form of sha256sum(1), is read as well, if there is one. That of
    a folder has a line for each of its files.

    Raises:
        ResilienceError: it differs, or the digest file is not one, or belongs to another file.
    """
    sources = []
    found = take(path)
    if known is not None:
        _compare(path, found, known.lower(), source)
        sources.append(source)
    lines = _digest_file(path)
    if lines is not None:
        name = os.path.basename(path.rstrip("/")) + DIGEST_SUFFIX
        if os.path.isdir(path):
            _compare_folder(path, lines, name)
        else:
            _compare(path, found, _only(path, lines), name)
        sources.append(name)
    return Digest(found, _joined(sources) if sources else None)


def _joined(sources: list[str]) -> str:
    if len(sources) == 1:
        return sources[0]
    return _("%(one)s and %(other)s", one=join(sources[:-1]), other=sources[-1])


def _compare(path: str, found: str, known: str, source: str) -> None:
    if not hmac.compare_digest(known, found):
        text = _(
            "its SHA-256 is %(found)s, %(source)s says %(known)s",
            found=found,
            source=source,
            known=known,
        )
        raise _changed(path, text)


def _changed(path: str, change: str) -> BackupError:
    return BackupError(
        _("the backup is not what it was: %(why)s", why=change),
        option="backup",
        value=path,
        remedy=_("take another backup, or the same one from offsite"),
        finding="archive.digest_differs",
    )


def _file_digests(folder: str) -> dict[str, str]:
    """Return the digest of each file; a folder within a directory dump is no part of it."""
    return {
        name: tree_digests.sha256(path)
        for name in sorted(os.listdir(folder))
        if os.path.islink(path := os.path.join(folder, name)) or not os.path.isdir(path)
    }


def _of_folder(digests: dict[str, str]) -> str:
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _digest_file(path: str) -> list[tuple[str, str | None]] | None:
    """Return digest and name of each line; None without a digest file."""
    try:
        with open(path.rstrip("/") + DIGEST_SUFFIX, encoding="utf-8") as file:
            text = file.read(LARGEST)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _bad_digest_file(path, str(error)) from error
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    matches = [_LINE.fullmatch(line) for line in lines]
    if not lines or not all(matches):
        raise _bad_digest_file(path, _("it does not hold lines of sha256sum"))
    return [(match[1].lower(), match[2]) for match in matches if match]


def _only(path: str, lines: list[tuple[str, str | None]]) -> str:
    if len(lines) != 1:
        raise _bad_digest_file(path, _("it does not hold one line of sha256sum"))
    digest, named = lines[0]
    if named and os.path.basename(named.strip()) != os.path.basename(path):
        raise _bad_digest_file(path, _("it belongs to %(file)s", file=repr(named.strip())))
    return digest


def _compare_folder(path: str, lines: list[tuple[str, str | None]], source: str) -> None:
    recorded = {os.path.basename((named or "").strip()): digest for digest, named in lines}
    found = _file_digests(path)
    for what, names in (
        (_("it lacks"), sorted(set(recorded) - set(found))),
        (_("it has the unknown"), sorted(set(found) - set(recorded))),
        (
            _("it has another"),
            sorted(n for n in set(found) & set(recorded) if found[n] != recorded[n]),
        ),
    ):
        if names:
            text = _(
                "by %(source)s %(what)s %(names)s",
                source=source,
                what=what,
                names=", ".join(names[:5]),
            )
            raise _changed(path, text)


def _bad_digest_file(path: str, problem: str) -> ResilienceError:
    return ResilienceError(
        _("the backup's digest file cannot be used: %(why)s", why=problem),
        option="backup",
        value=path.rstrip("/") + DIGEST_SUFFIX,
        remedy=_("write it anew with: sha256sum %(file)s", file=os.path.basename(path.rstrip("/"))),
    )
