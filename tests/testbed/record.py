"""`testbed.json`: what a testbed consists of, for its users and for `down`.

Everything is written there before it is made, so that half a testbed can be removed as well.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .engine import ResilienceError

NAME = "testbed.json"
VERSION = 1


def read(root: Path) -> dict[str, Any] | None:
    """The record of the testbed in `root`; None if there is no testbed.

    Raises:
        ResilienceError: the file is there, but is no record.
    """
    try:
        text = (root / NAME).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ResilienceError(
            f"the record of the testbed cannot be read: {error}",
            option="root",
            value=str(root),
            remedy=f"correct or remove {NAME} there",
        ) from error
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ResilienceError(
            "the record of the testbed is not of this version",
            option="root",
            value=str(root),
            remedy="stop it with the version that made it",
        )
    return found


def write(root: Path, content: dict[str, Any]) -> None:
    """Replaces the record, whole or not at all; it holds passwords, so only its owner reads it."""
    write_private(root / NAME, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replaces a file that only its owner may read, whole or not at all."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(half, path)
