"""The checkpoint on a real Swarm: it passes, and each of the plan's items fails for real."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.checkpoint import (
    checkpoint,
    checkpoint_settings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import (
    docker_engine,
    docker_services,
)
from docker_lab import Engine
from docker_lab.swarm import Swarm
from testbed import sample

Settings = checkpoint_settings.CheckpointSettings

FOUND = {"login", "pos", "products", "dashboard", "logs", "postgres", "services"}


class Checked:
    """A checkpoint's result, by item."""

    def __init__(self, result: checkpoint.CheckpointResult) -> None:
        self.result = result
        self.statuses = {item.id: item.status for item in result.items}
        self.evidence = {item.id: item.evidence for item in result.items}
        for name, status in self.statuses.items():
            print(f"{name:10} {status:8} {self.evidence[name]}")

    def not_passed(self) -> set[str]:
        return {name for name, status in self.statuses.items() if status != "passed"}


def check(swarm: Swarm, since: float | None = None, **more: Any) -> Checked:
    settings = {
        # Without TLS, which `test_plan.py` tests: the front's port 443 is published on loopback.
        "api_url": "https://127.0.0.1",
        "api_verify_tls": False,
        "api_email": sample.FLAGSHIP_EMAIL,
        "api_password": sample.PASSWORD,
        "test_order": True,
        "services": ["chefwell_*"],
        "log_sources": ["chefwell_backend"],
        "postgres": {"container": "chefwell_postgres", "user": "postgres", "dbname": "restaurante"},
        "docker_url": f"unix://{swarm.engine.socket}",
        "time_limit": 5,
        "tries": 1,
        **more,
    }
    with swarm.engine.network():
        result = checkpoint.run(Settings(**settings), since=since or time.time())
    shown = json.dumps(result.to_dict())
    assert swarm.settings["password"] not in shown and sample.PASSWORD not in shown
    return Checked(result)


def test_a_working_system_passes_whole(swarm: Swarm) -> None:
    count = "SELECT count(*) FROM tenant_chefwell.orders"
    before = swarm.run_sql(count)
    checked = check(swarm, tries=3)
    assert checked.result.status == "passed"
    assert set(checked.statuses) == FOUND and not checked.not_passed()
    assert "chefwell_backend 2/2" in checked.evidence["services"]
    assert swarm.run_sql(count) == before


def test_routes_that_are_broken_are_named(swarm: Swarm) -> None:
    with swarm.broken("/api/products:empty,/api/orders:slow,/api/dashboard/stats", "500"):
        checked = check(swarm, time_limit=2)
        assert checked.not_passed() == {"products", "pos", "dashboard"}
        assert "at least 1 was expected" in checked.evidence["products"]
        # Its outcome is unknown, so the message names where to look.
        assert "timed out" in checked.evidence["pos"]
        assert "look for an order with the note" in checked.evidence["pos"]
        assert "HTTP 500" in checked.evidence["dashboard"]
        swarm.set_backend("BREAK_ROUTE=/api/auth/login:500")
        checked = check(swarm)
        assert checked.not_passed() == {"login", "pos", "products", "dashboard"}
        assert {checked.statuses[name] for name in checked.not_passed()} == {"failed"}
    # What it was before is not in the way of what it is now.
    assert check(swarm, tries=3).result.status == "passed"


def test_an_error_in_the_log_counts_only_if_it_is_new(swarm: Swarm) -> None:
    began = time.time()
    swarm.run_sql("ALTER TABLE tenant_chefwell.products RENAME TO away")
    try:
        assert check(swarm, since=began).not_passed() == {"products", "dashboard", "pos", "logs"}
    finally:
        swarm.run_sql("ALTER TABLE tenant_chefwell.away RENAME TO products")
    # The system works again, and the log still has what happened in between.
    after = check(swarm, since=began, tries=3)
    assert after.not_passed() == {"logs"}
    assert after.statuses["logs"] == "failed"
    assert "does not exist" in after.evidence["logs"]
    assert check(swarm).result.status == "passed"
    ignored = check(swarm, since=began, log_ignore=[r"relation \S+ does not exist"])
    assert ignored.statuses["logs"] == "passed"
    assert check(swarm, log_sources=["nobody"]).statuses["logs"] == "unknown"


def test_a_database_that_hangs_or_is_gone(swarm: Swarm) -> None:
    (container,) = swarm.containers("chefwell_postgres")
    swarm.engine.docker("kill", "--signal", "STOP", container)
    try:
        hung = check(swarm, time_limit=2, items=["postgres"])
        assert hung.statuses["postgres"] == "failed"
        assert "psql ended with 124" in hung.evidence["postgres"]
    finally:
        swarm.engine.docker("kill", "--signal", "CONT", container)
    swarm.engine.docker("pause", container)
    try:
        assert check(swarm, items=["postgres"]).statuses["postgres"] == "unknown"
    finally:
        swarm.engine.docker("unpause", container)
    wrong = {"container": "chefwell_postgres", "user": "postgres", "dbname": "another"}
    checked = check(swarm, items=["postgres"], postgres=wrong)
    assert (
        checked.statuses["postgres"] == "failed"
        and "does not exist" in checked.evidence["postgres"]
    )
    gone = check(swarm, items=["postgres"], postgres={**wrong, "container": "chefwell_postgress"})
    assert gone.statuses["postgres"] == "failed"


def test_a_docker_that_does_not_come_to_an_end(swarm: Swarm) -> None:
    """A silent program stands for every stream: the SDK itself would wait for ever."""
    engine = docker_engine.DockerEngine(f"unix://{swarm.engine.socket}", 1.5)
    docker = docker_services.DockerServices(engine)
    began = time.monotonic()
    with pytest.raises(ResilienceError, match="did not come to an end"):
        docker.execute(
            docker_services.ServiceSelector("swarm", "chefwell_backend"), ["sleep", "60"]
        )
    took = time.monotonic() - began
    print(f"given up after {took:.1f} s")
    assert 1.5 <= took < 20
    # It went on in one of the replicas.
    for container in swarm.containers("chefwell_backend"):
        swarm.engine.docker("exec", container, "sh", "-c", "! pgrep sleep || pkill sleep")
    engine.close()


def test_postgres_over_the_network(swarm: Swarm) -> None:
    named = ("host", "port", "user", "password", "dbname")
    access = {name: swarm.settings[name] for name in named}
    checked = check(swarm, items=["postgres"], postgres=access)
    assert checked.statuses["postgres"] == "passed"
    # A closed port does not prove that no service is there.
    shut = check(swarm, items=["postgres"], postgres={**access, "password": "wrong-password"})
    assert shut.statuses["postgres"] == "unknown"
    away = check(swarm, items=["postgres"], postgres={**access, "port": 1})
    assert away.statuses["postgres"] == "failed"


def test_a_service_that_is_not_whole(swarm: Swarm) -> None:
    only = ["services"]
    assert check(swarm, items=only, services=["chefwell_x"]).statuses["services"] == "failed"
    swarm.engine.docker(
        *("service", "create", "--detach", "--quiet", "--name", "third", "--replicas", "2"),
        *("--replicas-max-per-node", "1", "chefwell-test/base:1", "sleep", "1000"),
    )
    swarm.engine.docker(
        *("service", "create", "--detach", "--quiet", "--name", "falls", "chefwell-test/base:1"),
        *("sh", "-c", "sleep 0.5; exit 3"),
    )
    try:
        began = time.time()
        time.sleep(3)
        half = check(swarm, items=only, services=["third"])
        assert "third: 1 of 2 run" in half.evidence["services"]
        falling = check(swarm, since=began, items=only, services=["falls"])
        assert falling.statuses["services"] == "failed"
        assert "non-zero exit (3)" in falling.evidence["services"]
        swarm.engine.docker("service", "scale", "--detach", "third=0")
        nothing = check(swarm, items=only, services=["third"])
        assert "scaled to nothing" in nothing.evidence["services"]
    finally:
        swarm.engine.docker("service", "rm", "third", "falls")


def test_jobs_that_finished_and_a_global_service_in_update(swarm: Swarm) -> None:
    """None of them is scaled to nothing."""
    docker, base = swarm.engine.docker, "chefwell-test/base:1"
    new = ("service", "create", "--detach", "--quiet")
    docker(*new, "--name", "jobs-done", "--mode", "replicated-job", "--replicas", "2", base, "true")
    docker(*new, "--name", "jobs-each", "--mode", "global-job", base, "true")
    # Once: while it is tried again it runs, and that is no failure.
    once = ("--restart-condition", "none", base, "sh", "-c", "exit 3")
    docker(*new, "--name", "jobs-bad", "--mode", "replicated-job", *once)
    # It takes its time to stop, and its next task waits for that.
    slow = ("sh", "-c", "trap : TERM; while :; do sleep 0.2; done")
    docker(
        *new, "--name", "everywhere", "--mode", "global", "--stop-grace-period", "6s", base, *slow
    )
    only: dict[str, Any] = {"items": ["services"], "tries": 30, "retry_seconds": 0.5}
    try:
        well = check(swarm, services=["jobs-done", "jobs-each", "everywhere"], **only)
        assert well.statuses["services"] == "passed"
        for text in ("jobs-done 2/2", "jobs-each 1/1", "everywhere 1/1"):
            assert text in well.evidence["services"]
        until = time.monotonic() + 30
        while True:  # its only task may still run
            bad = check(swarm, services=["jobs-bad"], **(only | {"tries": 1}))
            if bad.statuses["services"] == "failed":
                break
            assert time.monotonic() < until
        docker("service", "update", "--detach", "--quiet", "--force", "everywhere")
        until = time.monotonic() + 5
        while True:
            update = check(swarm, services=["everywhere"], **(only | {"tries": 1}))
            assert "scaled to nothing" not in update.evidence["services"]
            assert "no node runs it" not in update.evidence["services"]
            if update.statuses["services"] == "failed":
                break
            assert time.monotonic() < until
        assert "it is being updated" in update.evidence["services"]
        after = check(swarm, services=["everywhere"], **only)
        assert after.statuses["services"] == "passed"
    finally:
        docker("service", "rm", "jobs-done", "jobs-each", "jobs-bad", "everywhere")


def test_plain_containers_and_compose_projects(swarm: Swarm, tmp_path: Path) -> None:
    engine: Engine = swarm.engine
    file = tmp_path / "compose.yml"
    file.write_text(
        "services:\n"
        "  good: {image: 'chefwell-test/base:1', command: [sleep, '1000'], network_mode: none}\n"
        "  sick:\n"
        "    image: chefwell-test/base:1\n"
        "    network_mode: none\n"
        "    command: [sh, -c, 'echo an ERROR of old; sleep 1000']\n"
        "    healthcheck: {test: [CMD, test, -e, /well], interval: 1s, retries: 1}\n"
    )
    engine.compose("-p", "lab-shop", "-f", str(file), "up", "--detach")
    try:
        while "of old" not in engine.docker("logs", "lab-shop-sick-1"):
            time.sleep(0.1)
        began = time.time()
        good, sick = ({"kind": "compose", "name": f"lab-shop/{part}"} for part in ("good", "sick"))
        single = {"kind": "container", "name": "lab-shop-good-*"}
        time.sleep(2.5)
        only = ["services", "logs"]
        well = check(swarm, began, items=only, services=[good, single], log_sources=[sick, single])
        assert well.statuses["services"] == "passed" and well.statuses["logs"] == "passed"
        ill = check(
            swarm, began - 30, items=only, services=["chefwell_*", sick], log_sources=[sick]
        )
        assert ill.statuses["services"] == "failed" and ill.statuses["logs"] == "failed"
        assert "its health check says unhealthy" in ill.evidence["services"]
        engine.compose("-p", "lab-shop", "-f", str(file), "stop", "--timeout", "0", "good")
        stopped = check(swarm, items=only, services=[{"kind": "compose", "name": "lab-shop"}])
        assert "it is exited" in stopped.evidence["services"]
    finally:
        engine.compose("-p", "lab-shop", "-f", str(file), "down", "--timeout", "0")
