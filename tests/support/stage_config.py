"""Configurations of stages as their roles write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_config import (
    DestinationSettings,
)

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
