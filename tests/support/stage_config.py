"""Configurations of stages as their roles write them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_config import (
    DestinationSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)

# Fields of a destination that a client needs to reach a test server.
ACCESS = ("host", "port", "user", "path", "key_file", "known_hosts_file")
DESTINATION = {field.name for field in dataclasses.fields(DestinationSettings)}


def offsite_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return stage 2's configuration: what a destination has goes to the first one.

    Args:
        values: of the stage and of its first destination; `destinations` are further ones.
    """
    first = {name: value for name, value in values.items() if name in DESTINATION}
    stage = {name: value for name, value in values.items() if name not in DESTINATION}
    stage.setdefault("config_dir", "/nowhere")
    stage["destinations"] = [first, *stage.get("destinations", [])]
    return stage


def write_offsite_config(root: Path, settings: SyncSettings, **values: object) -> Path:
    """Write stage 2's configuration of the same sync into `root`; return its path.

    Args:
        root: the folder, which takes the log, too.
        settings: of the sync.
        values: of the stage and of its destination, in addition or instead.
    """
    destination = settings.transport.destination
    config = offsite_config(
        {
            **{name: getattr(destination, name) for name in ACCESS},
            "backup_path": settings.backup_path,
            "state_dir": settings.state_dir,
            "log_file": str(root / "log"),
            **values,
        }
    )
    path = root / "offsite.json"
    path.write_text(json.dumps(config))
    return path
