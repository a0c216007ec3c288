# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare text files and folders of a host with how they should be, write them, and show the diff.

Modules use it; many files in one task keep a second run short.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .files import replace_file, usual_umask

# A file with none of these bits is read by its owner alone, so its content is in no diff.
PRIVATE = 0o077


@dataclasses.dataclass(frozen=True)
class TextFile:
    """One file as it should be.

    Attributes:
        path: where it lies.
        content: what it holds.
        mode: its permissions.
        keep: whether an existing file keeps its content; its mode is set all the same.
        unless: for a file that is made once and never again: a path that is there from the first
            time on. Such a file is not made where its folder is missing. Empty for other files.
    """

    path: str
    content: str
    mode: int
    keep: bool = False
    unless: str = ""

    @property
    def private(self) -> bool:
        """Return whether only its owner may read it."""
        return not self.mode & PRIVATE


@dataclasses.dataclass(frozen=True)
class Change:
    """A file that differs from how it should be.

    Attributes:
        file: as it should be.
        before: what it holds now; None if it is not there.
    """

    file: TextFile
    before: str | None


def text_files(options: Iterable[Mapping[str, Any]]) -> list[TextFile]:
    """Return the files of a module's option `texts`.

    Raises:
        ValueError: a mode is no octal number.
    """
    return [
        TextFile(
            one["path"],
            one["content"],
            int(one["mode"], 8),
            bool(one.get("keep")),
            one.get("unless") or "",
        )
        for one in options
    ]


# The argument spec of a module's option `texts`.
TEXTS_SPEC: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "mode": {"type": "str", "required": True},
        "keep": {"type": "bool", "default": False},
        "unless": {"type": "str", "default": ""},
    },
}


def pending_changes(
    files: Iterable[TextFile], known: Collection[str] | None = None
) -> list[Change]:
    """Return the files that must be written, or whose mode must be set.

    Args:
        files: as they should be.
        known: paths that were installed earlier; None where that is not known.

    Raises:
        OSError: one cannot be read.
    """
    found = []
    for file in files:
        if file.unless and not _is_first_time(file, known):
            continue
        before, mode = _content_and_mode(file.path)
        same = before is not None and (file.keep or before == file.content)
        if not same or mode != file.mode:
            found.append(Change(file, before))
    return found


def _is_first_time(file: TextFile, known: Collection[str] | None) -> bool:
    if os.path.lexists(file.path) or not os.path.isdir(os.path.dirname(file.path)):
        return False
    # Under another path than before it is made anew: that path was configured, and is no empty
    # mount point.
    moved = known is not None and file.path not in known
    return moved or not os.path.lexists(file.unless)


def _content_and_mode(path: str) -> tuple[str | None, int]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return None, 0


def folders_to_make(folders: Mapping[str, str]) -> list[str]:
    """Return the folders that are missing or have another mode.

    Args:
        folders: path to octal mode.

    Raises:
        OSError: one cannot be looked at.
        ValueError: a mode is no octal number.
    """
    found = []
    for path, mode in folders.items():
        expected = int(mode, 8)
        try:
            right = stat.S_IMODE(os.stat(path).st_mode) == expected
        except FileNotFoundError:
            right = False
        if not right:
            found.append(path)
    return found


def make_folders(paths: Iterable[str], folders: Mapping[str, str]) -> None:
    """Make folders, and set their modes; everybody may enter what has to be made above them.

    Raises:
        OSError: one cannot be made.
    """
    for path in paths:
        with usual_umask():
            os.makedirs(path, exist_ok=True)
        os.chmod(path, int(folders[path], 8))


def write_files(changes: Iterable[Change]) -> None:
    """Write files, each whole or not at all, and make the folders that they lie in.

    Args:
        changes: from `pending_changes`.

    Raises:
        OSError: one cannot be written.
    """
    for change in changes:
        file = change.file
        if file.keep and change.before is not None:
            os.chmod(file.path, file.mode)
            continue
        folder = os.path.dirname(file.path)
        with usual_umask():
            os.makedirs(folder, mode=0o700 if file.private else 0o755, exist_ok=True)
        replace_file(file.path, file.content, mode=file.mode, durable=False)


def diff(changes: Iterable[Change]) -> list[dict[str, str]]:
    """Return what `--diff` shows of changes: names of private files, the content of the others."""
    shown = []
    for change in changes:
        file = change.file
        header = f"{file.path} (mode {file.mode:04o})"
        if file.private or file.keep:
            before = "" if change.before is None else "hidden\n"
            after = "hidden, and it differs\n" if before else "hidden\n"
        else:
            before, after = change.before or "", file.content
        shown.append(
            {"before_header": header, "after_header": header, "before": before, "after": after}
        )
    return shown
