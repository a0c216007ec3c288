"""Import path, order and lanes of the tests, and the fixtures of all of them (see README.md).

The collection is imported under its full name, as Ansible does. The checkout may lie anywhere, so
`build/collections/ansible_collections/chefwell/resilience` is a link to it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
LINK = ROOT / "build" / "collections" / "ansible_collections" / "chefwell" / "resilience"


def _link() -> None:
    LINK.parent.mkdir(parents=True, exist_ok=True)
    if not LINK.is_symlink():
        LINK.symlink_to(ROOT)


_link()
sys.path.insert(0, str(ROOT / "build" / "collections"))
# The packages support, testbed, docker_lab, corpus and plan.
sys.path.insert(0, str(ROOT / "tests"))

from ansible_collections.chefwell.resilience.plugins.module_utils.common import known_secrets
from docker_lab import Engine, images
from docker_lab.swarm import Swarm
from support.filesystems import Disks
from support.http_receiver import Receiver, receiving
from support.lane_times import LaneTimes
from testbed import Testbed

# A test runner in the background ignores Ctrl-C and Ctrl-Backslash, and so does every process that
# it starts. Tests send these signals to their own processes, so they must work.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


# The longest files start first, so that all lanes end at about the same time. When a file becomes
# long (`build/test/lanes.json` has the times), add it here; the order changes nothing else.
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
FOLDERS = ("timing", "plan", "docker", "faults", "integration", "house", "corpus", "unit")


def folder(path: str) -> str:
    """The folder of `tests/` in which the file of this path, or node identifier, lies."""
    return path.removeprefix("tests/").split("/")[0]


def together(nodeid: str) -> str:
    """The name of the group that one lane runs as a whole.

    The tests of a file share fixtures, so they are one group. All tests that need a Docker engine
    are two groups, each with an engine of its own: one group would take too long, and
    a group a file would start an engine for each file.
    """
    path = nodeid.split("::")[0]
    if path in ("tests/docker/test_molecule.py", "tests/docker/test_many_hosts.py"):
        return "docker, molecule"
    if "docker" in path or folder(path) == "plan":
        return "docker"
    return nodeid if folder(path) == "house" else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests: Docker first, then the longest files, then folder by folder."""

    def position(item: pytest.Item) -> tuple[bool, str, int, int]:
        group = together(item.nodeid)
        docker = group if group.startswith("docker") else ""
        path = item.nodeid.split("::")[0]
        long = LONG.index(path) if path in LONG else len(LONG)
        return not docker, docker, long, FOLDERS.index(folder(item.nodeid))

    items.sort(key=position)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler of pytest-xdist that keeps groups together (see `together`)."""

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let the process that hands out the tests print what each lane did, and how long.

    A lane has a folder of its own for temporary files (`lane.sh`), where `tmp_path` is as well.
    """
    if hasattr(config, "workerinput"):
        if "LANE_FOLDER" in os.environ:
            own = f"pytest-of-root/popen-{lane()}"  # as long as usual: pages break long lines
            config.option.basetemp = f"{os.environ['LANE_FOLDER']}/{own}"
        return
    config.pluginmanager.register(LaneTimes(), "lane-times")


def lane() -> str:
    """The name of this lane: `gw0` for the first one, and where there are no lanes."""
    return os.environ.get("PYTEST_XDIST_WORKER", "gw0")


@pytest.fixture(autouse=True)
def blocking_input() -> None:
    """Make standard input blocking again before each test.

    ssh makes it non-blocking, and leaves it so when a test kills it; Ansible refuses such an input.
    """
    os.set_blocking(0, True)


@pytest.fixture(autouse=True)
def no_known_secrets() -> Iterator[None]:
    """Forget the secrets that a test registered: a process of a user has one configuration."""
    yield
    known_secrets.forget()


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
    """ChefWell in miniature for one module: two stores, or as many as its `TENANTS` says."""
    tenants = getattr(request.module, "TENANTS", 2)
    bed = Testbed.up(tmp_path_factory.mktemp("bed") / "bed", tenants=tenants)
    yield bed
    bed.down()


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker engine for all tests of a lane, with the tests' images, which are built once.

    In a lane its images and containers are in memory, where `lane.sh` keeps temporary files.
    """
    folder = os.environ.get("LANE_FOLDER")
    data = Path(folder) / "docker" if folder else None
    with Engine.up(ROOT / "build" / "docker" / lane(), data=data, report=print) as engine:
        images.make(engine, report=print)
        yield engine


@pytest.fixture(scope="module")
def swarm(engine: Engine) -> Iterator[Swarm]:
    """ChefWell's production on a Swarm of that engine, for one module."""
    with Swarm.up(engine, ROOT / "build" / "docker" / lane() / "swarm", report=print) as swarm:
        yield swarm
