"""Puts the collection on the import path under its full name, as Ansible does.

The checkout may lie anywhere, so a link `build/collections/ansible_collections/chefwell/resilience`
points at it. The engine imports from there without Ansible being involved.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINK = ROOT / "build" / "collections" / "ansible_collections" / "chefwell" / "resilience"


def _link() -> None:
    LINK.parent.mkdir(parents=True, exist_ok=True)
    if not LINK.is_symlink():
        LINK.symlink_to(ROOT)


_link()
sys.path.insert(0, str(ROOT / "build" / "collections"))
# The testbed, and what the tests share (tests/support).
sys.path.insert(0, str(ROOT / "tests"))

from support.filesystems import Disks
from support.http_receiver import Receiver, receiving
from testbed import Testbed

# A runner that was started in the background ignores Ctrl-C, and whatever it starts inherits that;
# tests send the signal to others and to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)


# What takes long begins first, so that the lanes end together; `build/test/lanes.json` tells what.
LONG = tuple(
    f"tests/{path}.py"
    for path in (
        "house/test_static_checks",
        "faults/test_plan_faults",
        "faults/test_stage_faults",
        "integration/test_stage2_play",
        "integration/test_demo",
        "integration/test_stage2_as_written",
        "integration/test_stage3_play",
        "integration/test_stage3_as_written",
    )
)
ROOMS = ("plan", "docker", "faults", "integration", "house", "corpus", "unit")


def room(path: str) -> str:
    """The folder of `tests/` that a file of this path, or node identifier, lies in."""
    return path.removeprefix("tests/").split("/")[0]


def together(nodeid: str) -> str:
    """What one lane does whole: tests of the same answer are never split over two.

    A file's tests share what they set up. All that need a Docker engine say so in their path, and
    make up two lanes, each with an engine of its own: one after the other they take too long.
    """
    path = nodeid.split("::")[0]
    if path in ("tests/docker/test_molecule.py", "tests/docker/test_many_hosts.py"):
        return "docker, molecule"
    if "docker" in path or room(path) == "plan":
        return "docker"
    return nodeid if room(path) == "house" else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the tests: the Docker engine's first, then what takes long, then room by room."""

    def place(item: pytest.Item) -> tuple[bool, str, int, int]:
        lane = together(item.nodeid)
        docker = lane if lane.startswith("docker") else ""
        path = item.nodeid.split("::")[0]
        long = LONG.index(path) if path in LONG else len(LONG)
        return not docker, docker, long, ROOMS.index(room(item.nodeid))

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tells pytest-xdist, in a run of several lanes, what stays together."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid)

    return Scheduling(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Whoever hands out work to lanes tells at the end how long each was at what."""
    if hasattr(config, "workerinput"):
        return
    from support.lane_times import LaneTimes

    config.pluginmanager.register(LaneTimes(), "lane-times")


def lane() -> str:
    """The name of the lane that this is, `gw0` for the first one, also where there is one only."""
    return os.environ.get("PYTEST_XDIST_WORKER", "gw0")


@pytest.fixture(autouse=True)
def blocking_input() -> None:
    """ssh makes its standard input non-blocking, and one that a test kills leaves it so for all who
    inherit it; Ansible refuses to begin with such an input."""
    os.set_blocking(0, True)


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Disks]:
    """A maker of filesystems below a folder of their own, which are unmounted afterwards."""
    (tmp_path / "disks").mkdir()
    disks = Disks(tmp_path / "disks")
    yield disks
    disks.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An HTTP service that takes notifications and pings."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def bed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Testbed]:
    """ChefWell in miniature for one module: two stores, or as many as its `STORES` says."""
    stores = getattr(request.module, "STORES", 2)
    bed = Testbed.up(tmp_path_factory.mktemp("bed") / "bed", stores=stores)
    yield bed
    bed.down()


# One Docker engine for all tests of a run that want it, whatever room they are in. What it is made
# of is imported by who uses it: most tests do not.
@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A Docker engine with the images of the tests, which are built once and kept."""
    from docker_lab import Engine, images

    with Engine.up(ROOT / "build" / "docker" / lane(), say=print) as made:
        images.make(made, say=print)
        yield made


@pytest.fixture(scope="module")
def swarm(engine: Any) -> Iterator[Any]:
    """ChefWell in production on a Swarm of that engine."""
    from docker_lab.swarm import Swarm

    with Swarm.up(engine, ROOT / "build" / "docker" / lane() / "swarm", say=print) as made:
        yield made
