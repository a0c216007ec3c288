"""One Docker engine for all tests here; images are built once and kept under build/docker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from docker_lab import Engine, images  # noqa: E402
from docker_lab.swarm import Swarm  # noqa: E402

LAB = ROOT / "build" / "docker"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with Engine.up(LAB, say=print) as made:
        images.make(made, say=print)
        yield made


@pytest.fixture(scope="module")
def swarm(engine: Engine) -> Iterator[Swarm]:
    with Swarm.up(engine, LAB / "swarm", say=print) as made:
        yield made
