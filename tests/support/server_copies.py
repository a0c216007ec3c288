"""Copies on a backup server, made and filled without a network."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import packed_stream
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.packed_stream import (
    Header,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    placement,
    server_store,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server.server_settings import (
    ServerSettings,
)

BACKUPS = [f"daily/chefwell_backup_202511{day:02}_030000.dump.gz" for day in range(1, 8)]


def content(path: str) -> bytes:
    """Return content that begins like a backup, other for each call."""
    return gzip.compress(path.encode() * 40, mtime=0) + os.urandom(200)


def make_store(root: Path, **settings: object) -> server_store.Store:
    """Return the copy in a folder, with the default settings but these."""
    return server_store.Store(
        ServerSettings(**{"root": str(root), "reserve_percent": 0, **settings})
    )


def put(store: server_store.Store, files: dict[str, bytes]) -> None:
    """Leave files in `incoming`, as rsync would."""
    for path, body in files.items():
        target = Path(store.incoming, path)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(body)


def listed(files: dict[str, bytes]) -> dict[str, Any]:
    """Return the inventory of these contents by path."""
    entries = {path: [hashlib.sha256(body).hexdigest(), len(body)] for path, body in files.items()}
    return {"files": entries, "unread": [], "in_progress": []}


def packed(files: dict[str, bytes], *, end: bytes = b"end\0") -> bytes:
    """Return files as a client packs them into one stream."""
    parts = [
        packed_stream.packed(Header(path, len(body), 10**18, 0o600)) + body
        for path, body in files.items()
    ]
    return b"".join([*parts, end])


def place(store: server_store.Store, files: dict[str, bytes]) -> placement.PlacementResult:
    """Leave files in `incoming` and apply their inventory."""
    put(store, files)
    return placement.apply_inventory(store, listed(files))


def held_content(store: server_store.Store) -> dict[str, bytes]:
    """Return the content of the backups in place, by path."""
    return {path: Path(store.root, path).read_bytes() for path in store.backups()}
