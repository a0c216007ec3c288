"""A Docker engine of the tests' own, without an image registry: see README.md.

from docker_lab import Engine, images

with Engine.up(root) as engine:
    images.make(engine, ["postgres", "backend"])
    with engine.network():
        ...  # this thread, and what it starts, is in the engine's own network
"""

from __future__ import annotations

from . import images
from .engine import Engine

__all__ = ["Engine", "images"]
