# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text files and folders as they should be on a host: what differs, and what a diff tells of it.

Modules use it; many files in one task keep a second run short.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any

# Only its owner reads such a file, so its content is in no diff.
PRIVATE = 0o077


@dataclasses.dataclass(frozen=True)
class TextFile:
    """One file.

    Attributes:
        path: where it lies.
        content: what it holds.
        mode: its permissions.
        keep: whether a file that is there keeps its content; its mode is mended all the same.
    """

    path: str
    content: str
    mode: int
    keep: bool = False

    @property
    def private(self) -> bool:
        """Whether only its owner may read it."""
        return not self.mode & PRIVATE


@dataclasses.dataclass(frozen=True)
class Change:
    """A file that is not there as it should be.

    Attributes:
        file: as it should be.
        before: what it holds now; None if it is not there.
    """

    file: TextFile
    before: str | None


def from_options(options: Iterable[Mapping[str, Any]]) -> list[TextFile]:
    """Files as a module's option `texts` has them.

    Raises:
        ValueError: a mode is no octal number.
    """
    return [
        TextFile(one["path"], one["content"], int(one["mode"], 8), bool(one.get("keep")))
        for one in options
    ]


# What a module's option `texts` is.
TEXTS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "mode": {"type": "str", "required": True},
        "keep": {"type": "bool", "default": False},
    },
}


def changes(files: Iterable[TextFile]) -> list[Change]:
    """Which files are to be written or mended.

    Raises:
        OSError: one cannot be read.
    """
    found = []
    for file in files:
        before, mode = _held(file.path)
        same = before is not None and (file.keep or before == file.content)
        if not same or mode != file.mode:
            found.append(Change(file, before))
    return found


def _held(path: str) -> tuple[str | None, int]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return None, 0


def lacking(folders: Mapping[str, str]) -> list[str]:
    """The folders, path to octal mode, that are not there or have another mode.

    Raises:
        OSError: one cannot be looked at.
        ValueError: a mode is no octal number.
    """
    found = []
    for path, mode in folders.items():
        wanted = int(mode, 8)
        try:
            right = stat.S_IMODE(os.stat(path).st_mode) == wanted
        except FileNotFoundError:
            right = False
        if not right:
            found.append(path)
    return found


def make_folders(paths: Iterable[str], folders: Mapping[str, str]) -> None:
    """Makes these folders, and mends their modes.

    Raises:
        OSError: one cannot be made.
    """
    for path in paths:
        os.makedirs(path, exist_ok=True)
        os.chmod(path, int(folders[path], 8))


def write(module: Any, found: Iterable[Change]) -> None:
    """Writes files, each whole or not at all, and the folders that they lie in.

    Args:
        module: the AnsibleModule; its `tmpdir` and `atomic_move` are used.
        found: from `changes`.

    Raises:
        OSError: one cannot be written.
    """
    for change in found:
        file = change.file
        if file.keep and change.before is not None:
            os.chmod(file.path, file.mode)
            continue
        folder = os.path.dirname(file.path)
        os.makedirs(folder, mode=0o700 if file.private else 0o755, exist_ok=True)
        half = os.path.join(module.tmpdir, "text-file")
        with open(half, "w", encoding="utf-8", opener=_private) as opened:
            opened.write(file.content)
        os.chmod(half, file.mode)
        module.atomic_move(half, file.path)
        os.chmod(file.path, file.mode)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def diff(found: Iterable[Change]) -> list[dict[str, str]]:
    """What `--diff` shows of them: names of private files, the content of the others."""
    shown = []
    for change in found:
        file = change.file
        header = f"{file.path} (mode {file.mode:04o})"
        if file.private or file.keep:
            before = "" if change.before is None else "held back\n"
            after = "held back, and it differs\n" if before else "held back\n"
        else:
            before, after = change.before or "", file.content
        shown.append(
            {"before_header": header, "after_header": header, "before": before, "after": after}
        )
    return shown
