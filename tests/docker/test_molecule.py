"""Every molecule scenario from create to destroy; and that one fails when something is amiss."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_lab import Engine
from docker_lab.scenario import BUILD, SCENARIOS, Ran, Scenario
from docker_lab.swarm import Swarm
from support.ansible_run import changed_by_playbook
from testbed import Testbed

# As many as the Swarm's production has, so that the testbed's backups could be its own.
TENANTS = 3
STEPS = 10


@dataclasses.dataclass(frozen=True)
class Least:
    """What a scenario does at least, so that it cannot pass empty.

    Attributes:
        hosts: that its playbooks ran against, in all.
        tasks: of the converging run on production's host that did not skip.
        changed: of them, those that changed something.
        tests: of `verify`; those after the rollback are a number of their own.
    """

    hosts: set[str]
    tasks: int
    changed: int
    tests: int


AFTER_ROLLBACK = 11  # for each host
BOTH = {"shop", "backup-server"}
LEAST = {
    "disk_monitor": Least({"shop"}, tasks=12, changed=2, tests=6),
    "offsite_backup": Least(BOTH, tasks=20, changed=7, tests=7),
    "staging_restore": Least({"shop"}, tasks=12, changed=3, tests=4),
    "plan": Least(BOTH, tasks=50, changed=12, tests=6),
}


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The owner's backups, from a real database."""
    bed = Testbed.up(tmp_path_factory.mktemp("bed"), tenants=TENANTS)
    yield Path(bed.record["backups"])
    bed.down()


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    """A folder that the engine and the instances see under the same path."""
    folder = BUILD / "shared"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def scenario(
    request: pytest.FixtureRequest, engine: Engine, backups: Path, shared: Path
) -> Iterator[Scenario]:
    """A scenario by name, with nothing of an earlier run; afterwards its instances are gone."""
    name: str = request.param
    shutil.rmtree(BUILD / name, ignore_errors=True)
    made = Scenario(
        name, engine, backups, MOLECULE_SOCKET=str(engine.socket), MOLECULE_SHARED=str(shared)
    )
    yield made
    left = engine.docker("ps", "--all", "--quiet", "--filter", "label=pro.chefwell.test.molecule")
    if left:
        engine.docker("rm", "--force", "--volumes", *left.split())


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scenario", [name], indirect=True, ids=[name])


def assert_whole(name: str, ran: Ran) -> None:
    """It ended well, and did all that it is there for."""
    shown = "\n".join(ran.output.splitlines()[-60:])
    assert ran.code == 0, shown
    least, plays, tests = LEAST[name], ran.plays(), ran.tests()
    assert least.hosts <= {play.host for play in plays}
    assert all(play.failed == 0 for play in plays)
    check, converge, again = [play for play in plays if play.host == "shop"][1:4]
    print(
        f"{name}: {ran.seconds:.0f} s; converge {converge.ok} tasks, {converge.changed} changed,"
        f" foretold {check.changed}; again {again.ok}, {again.changed} changed; tests {tests}"
    )
    assert converge.ok >= least.tasks and converge.changed >= least.changed
    assert 0 < check.changed <= converge.changed
    foretold, made = changed_by_playbook(ran.output, "shop")[1:3]
    assert foretold and not foretold - made, f"foretold and not made: {foretold - made}"
    assert again.ok >= least.tasks and again.changed == 0
    assert tests == [least.tests, AFTER_ROLLBACK * len(least.hosts)]
    assert not ran.not_passed()
    assert ran.output.count("] Executed: Successful") == STEPS


def test_every_scenario_is_run() -> None:
    assert {path.parent.name for path in SCENARIOS.glob("*/molecule.yml")} == set(LEAST)


@only("disk_monitor")
def test_the_disk_monitor(scenario: Scenario) -> None:
    assert_whole("disk_monitor", scenario.molecule("test"))


@only("disk_monitor")
def test_what_is_amiss_fails_a_scenario(scenario: Scenario) -> None:
    """Nothing is installed, so that what `verify` looks for is missing; then things are planted."""
    assert scenario.molecule("create").code == 0
    missing = scenario.molecule("verify")
    assert missing.code != 0 and "FAILED tests/test_disk_monitor.py" in missing.output
    before = {"MOLECULE_VERIFY": "../shared/as_before"}
    untouched = scenario.molecule("verify", **before)
    assert untouched.code == 0 and untouched.tests() == [AFTER_ROLLBACK], untouched.output
    for planted, removed in (
        ("touch /etc/chefwell-left", "rm /etc/chefwell-left"),
        (
            "(crontab -l; echo '1 1 * * * left') | crontab -",
            "crontab -l | grep -v left | crontab -",
        ),
    ):
        scenario.inside("shop", planted)
        left = scenario.molecule("verify", **before)
        assert left.code != 0 and "failed" in left.not_passed()[0], left.output
        scenario.inside("shop", removed)
    assert scenario.molecule("destroy").code == 0


@only("offsite_backup")
def test_the_offsite_backup(scenario: Scenario) -> None:
    assert_whole("offsite_backup", scenario.molecule("test"))


@only("staging_restore")
def test_the_staging_restore(scenario: Scenario) -> None:
    assert_whole("staging_restore", scenario.molecule("test"))


@only("plan")
def test_the_whole_plan_on_a_swarm(scenario: Scenario, swarm: Swarm) -> None:
    before = swarm.containers("chefwell_postgres") + swarm.containers("chefwell_backend")
    assert_whole("plan", scenario.molecule("test"))
    assert swarm.containers("chefwell_postgres") + swarm.containers("chefwell_backend") == before


def test_a_run_that_did_nothing_is_no_success() -> None:
    """Hosts that match nothing, and no tests: molecule prints "Successful" for both."""
    for output in (
        "[plan > step] Executed: Successful\n" * STEPS,
        "shop : ok=1 changed=0 unreachable=0 failed=0 skipped=0\n" * 5,
    ):
        with pytest.raises((AssertionError, ValueError)):
            assert_whole("disk_monitor", Ran(0, output, 1.0))


def test_a_change_that_was_predicted_and_not_made_is_named() -> None:
    """Check mode is judged task by task; as many changes of another kind are not enough."""
    least = LEAST["disk_monitor"]
    run = "TASK [chefwell.resilience.disk_monitor : {}] ***\nchanged: [shop]\n"
    recap = "PLAY RECAP ****\nshop : ok={} changed={} unreachable=0 failed=0 skipped=0\n\n"
    counts = (1, 1), (20, 3), (20, 3), (20, 0), (1, 1)
    tests = (least.tests, AFTER_ROLLBACK)

    def whole(foretold: str) -> Ran:
        tasks = ("prepare", foretold, "made", "nothing", "roll back")
        plays = [
            (run.format(task) if changed else "") + recap.format(ok, changed)
            for task, (ok, changed) in zip(tasks, counts, strict=True)
        ]
        passed = [f"==== {number} passed in 1.00s ====\n" for number in tests]
        ended = ["[x > y] Executed: Successful\n"] * STEPS
        return Ran(0, "".join([*plays, *passed, *ended]), 1.0)

    assert_whole("disk_monitor", whole("made"))
    with pytest.raises(AssertionError, match="foretold and not made: {'another'}"):
        assert_whole("disk_monitor", whole("another"))
