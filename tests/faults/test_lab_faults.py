"""Faults of the place where a backup is tried, and of what runs there: D6 to D9."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import (
    drill_result,
    proof_settings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import (
    staging,
    staging_state,
)
from support.drill_settings import backend_of, drill_of_testbed
from support.fault_log import Fault
from testbed import Testbed
from testbed.services import free_port


class Lab:
    """Drills of the testbed's newest backup, each in a folder of its own.

    Args:
        bed: the testbed.
        root: the folder.
    """

    def __init__(self, bed: Testbed, root: Path) -> None:
        self.bed, self.root = bed, root
        self.work = root / "work"
        self.port = free_port()

    def settings(self, engine: str = "embedded", **backend: Any) -> proof_settings.ProofSettings:
        served = {"port": self.port, **backend}
        return drill_of_testbed(
            self.bed,
            self.root,
            staging={"engine": engine, "backend": backend_of(self.bed, **served)},
            api_time_limit=2,
        )

    def drill(self, settings: proof_settings.ProofSettings, **more: Any) -> dict[str, Any]:
        result = drill.run(settings, **more)
        kept = json.loads((self.root / "state" / drill_result.RESULT).read_text())
        assert kept["verdict"] == result["verdict"], "the report was not written"
        return result

    def left(self) -> list[str]:
        """What stands or lies there still, the lock aside."""
        found = [name for name in os.listdir(self.work) if name != staging_state.LOCK]
        for one in psutil.process_iter(["cmdline", "status"]):
            words = one.info["cmdline"] or []
            if one.info["status"] != psutil.STATUS_ZOMBIE:
                found += [word for word in words if str(self.work) in word]
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                found.append(f"port {self.port}")
        return found


@pytest.fixture
def lab(bed: Testbed, tmp_path: Path) -> Lab:
    tmp_path.chmod(0o755)
    return Lab(bed, tmp_path)


def failed(result: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["evidence"] for one in result["checks"] if one["status"] == "failed"}


def test_d6_routes_of_the_backend_are_broken(fault: Fault, lab: Lab) -> None:
    broken = {
        "/api/products": "500",
        "/api/sales": "empty",
        "/api/customers": "wrong",
        "/api/dashboard/stats": "slow",
    }
    routes = ",".join(f"{path}:{how}" for path, how in broken.items())
    settings = lab.settings(env={"BREAK_ROUTE": routes, "BREAK_SECONDS": "3"})
    fault.cause(f"a staging backend with {routes}, 3 s where 2 s are allowed")
    result = lab.drill(settings)
    failures = failed(result)
    expected = {
        "api_products": "HTTP 500 instead of 200: {",
        "api_sales": "the API says 0,",
        "api_customers": "the API says",
        "api_dashboard": "no answer: timed out",
    }
    missing = [name for name, words in expected.items() if words not in failures.get(name, "")]
    logged = "GET /api/products 500" in result["backend_log"]
    fault.see(
        f"verdict {result['verdict']}, {len(expected) - len(missing)} of 4 reported with the"
        f" response's status or beginning; the backend's log is in the result: {logged};"
        f" left: {lab.left()}",
        holds=(result["verdict"], missing, logged, lab.left()) == ("failed", [], True, []),
    )


def test_d6_login_fails(fault: Fault, lab: Lab) -> None:
    settings = lab.settings()
    first, *others = settings.api_users
    users = [{**first, "password": "not the password"}, *others]
    fault.cause(f"1 of {len(users)} users logs in with a password of another user")
    failures = failed(lab.drill(dataclasses.replace(settings, api_users=users)))
    login = failures.get("api_login", "")
    fault.see(
        login, holds=f"{first['schema']}: HTTP 401 instead of 200" in login and "1/2" in login
    )


@pytest.mark.parametrize("how", ["never healthy", "ends"])
def test_d6_backend_does_not_come_up(fault: Fault, lab: Lab, how: str) -> None:
    settings = lab.settings(env={"BREAK_ROUTE": "/health:500"}, seconds=2)
    if how == "ends":
        settings = lab.settings(env={"BREAK_ROUTE": "nonsense"})
    fault.cause(f"a staging backend that {how}")
    result = lab.drill(settings)
    text = "was not healthy within 2 s" if how == "never healthy" else "BREAK_ROUTE: 'nonsense'"
    fault.see(
        f"{result['verdict']}: {result['problem'][:120]}; left: {lab.left()}",
        holds=result["verdict"] == "could_not_verify"
        and text in result["problem"]
        and result["confidence"] is None
        and not lab.left(),
    )


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A filesystem of that many bytes, for the block."""
    folder.mkdir(mode=0o755)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_d7_disk_is_too_small(fault: Fault, lab: Lab) -> None:
    with small_disk(lab.work, 200 << 20):
        fault.cause("a staging disk of 200 MiB")
        result = lab.drill(lab.settings())
        phases = [phase["name"] for phase in result["phases"]]
        fault.see(
            f"{result['verdict']} in the phase {phases[-2]}: {result['problem'][:90]}",
            holds=result["verdict"] == "could_not_verify"
            and "restore" not in phases
            and not lab.left(),
        )


def test_d7_disk_fills_up_meanwhile(fault: Fault, lab: Lab) -> None:
    with small_disk(lab.work, 700 << 20):

        def fill(phase: str, what: str) -> None:
            if phase == "restore":
                with (
                    contextlib.suppress(OSError),
                    open(lab.work / "unpacked-by-another", "wb") as file,
                ):
                    while True:
                        file.write(bytes(1 << 20))

        fault.cause("a staging disk of 700 MiB that somebody fills when the restore begins")
        result = lab.drill(lab.settings(), progress=fill)
        (lab.work / "unpacked-by-another").unlink(missing_ok=True)
        failures = result["problem"] or " ".join(failed(result).values())
        fault.see(
            f"{result['verdict']}: {failures[:140]}; left: {lab.left()}",
            holds=result["verdict"] == "could_not_verify"
            and "No space left on device" in failures
            and not lab.left(),
        )


def _kill_server(lab: Lab) -> None:
    data = str(lab.work / "cluster" / "data")
    # The number in its pid file is one of the sandbox's own namespace.
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "postgres" and data in (process.info["cmdline"] or ()):
            process.kill()


def _interrupt(_lab: Lab) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("phase", ["restore", "validate"])
@pytest.mark.parametrize(
    ("what", "cause"),
    [("PostgreSQL is killed", _kill_server), ("Ctrl-C", _interrupt)],
    ids=["killed", "interrupted"],
)
def test_d7_cut_off(
    fault: Fault, lab: Lab, phase: str, what: str, cause: Callable[[Lab], None]
) -> None:
    done: list[str] = []

    def strike(now: str, detail: str) -> None:
        if now == phase and not done:
            done.append(now)
            cause(lab)

    fault.cause(f"{what} when the phase {phase} begins")
    result = lab.drill(lab.settings(), progress=strike)
    fault.see(
        f"{result['verdict']}: {str(result['problem'])[:100]}; left: {lab.left()}",
        holds=result["verdict"] == "could_not_verify" and bool(done) and not lab.left(),
    )


def test_d7_port_is_taken(fault: Fault, lab: Lab) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", lab.port))
        other.listen()
        fault.cause("something else listens on the staging backend's port")
        result = lab.drill(lab.settings())
    phases = [phase["name"] for phase in result["phases"]]
    fault.see(
        f"{result['verdict']}, before anything was restored: {result['problem'][:90]}",
        holds=result["verdict"] == "could_not_verify"
        and str(lab.port) in result["problem"]
        and "restore" not in phases
        and not lab.left(),
    )


def _held(bed: Testbed) -> Any:
    """What stands in production: databases with their comments, rows, servers."""
    with contextlib.closing(bed.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY 1"
        )
        databases = cursor.fetchall()
        cursor.execute("SELECT count(*) FROM tenant_chefwell.products")
        return databases, cursor.fetchall(), bed.status()


def test_d8_staging_that_is_production(fault: Fault, lab: Lab, bed: Testbed) -> None:
    server = bed.record["postgres"]
    before = _held(bed)
    ways = {
        "its address": {"host": server["host"]},
        "its name": {"host": "localhost"},
        "another address of this machine": {"host": "127.0.0.3"},
        "all addresses": {"host": "0.0.0.0"},
        "a socket folder": {"host": "/var/run/postgresql"},
    }
    access = {name: server[name] for name in ("port", "user", "password")}
    settings = lab.settings("external")
    refused = []
    fault.cause(f"an external staging that is production, given by {', '.join(ways)}")
    for way, given in ways.items():
        place = dataclasses.replace(
            settings.staging, external=staging.ExternalSettings(**{**access, **given})
        )
        for call in (drill.set_up, drill.run):
            try:
                ended = call(dataclasses.replace(settings, staging=place))
                problem = str(ended.get("problem"))
            except ResilienceError as error:
                problem = str(error)
            refused.append((way, "staging is production" in problem))
    missed = [way for way, right in refused if not right]
    fault.see(
        f"{len(refused) - len(missed)} of {len(refused)} refused, not: {missed};"
        f" production as before: {_held(bed) == before}",
        holds=not missed and _held(bed) == before,
    )


def test_d8_staging_that_holds_production(fault: Fault, lab: Lab, bed: Testbed) -> None:
    """Behind a tunnel the address proves nothing; the server's own identifier does."""
    server = bed.record["postgres"]
    before = _held(bed)
    access = {name: server[name] for name in ("host", "port", "user", "password")}
    settings = lab.settings("external")
    place = dataclasses.replace(
        settings.staging,
        external=staging.ExternalSettings(**access),
        production=staging.ProductionSettings("192.0.2.1", 6432, server["dbname"]),
    )
    fault.cause("an external staging that is production under an address that says nothing")
    result = lab.drill(dataclasses.replace(settings, staging=place))
    fault.see(
        f"{result['verdict']}: {result['problem'][:110]}",
        holds="it holds production's database" in result["problem"] and _held(bed) == before,
    )


def test_d9_clean_up_of_any_state(fault: Fault, lab: Lab, bed: Testbed) -> None:
    before = _held(bed)
    settings = lab.settings()
    states: dict[str, Callable[[], object]] = {
        "nothing was ever set up": lambda: None,
        "a set-up": lambda: drill.set_up(settings),
        "a restored one with its backend": lambda: lab.drill(settings, keep=True),
        "half a cluster": lambda: _half(lab),
        "a note alone": lambda: staging_state.write(settings.staging, kept=True, restored=None),
        "an unpacked backup": (lab.work / "unpacked-x").mkdir,
    }
    fault.cause(f"clean-up, twice each, after: {', '.join(states)}")
    reported = []
    for name, make in states.items():
        make()
        drill.clean_up(settings)
        again = drill.clean_up(settings)
        reported += [f"{name}: {again or lab.left()}"] if again or lab.left() else []
    fault.see(
        f"{len(states) - len(reported)} of {len(states)} left nothing {reported or ''};"
        f" production as before: {_held(bed) == before}",
        holds=not reported and _held(bed) == before,
    )


def _half(lab: Lab) -> None:
    (lab.work / "cluster" / "data").mkdir(parents=True)
    (lab.work / "cluster" / "password").write_text("x")


def test_d9_like_names_on_a_shared_server(fault: Fault, lab: Lab, bed: Testbed) -> None:
    """Production itself is the server here, so that there is something to lose."""
    server = bed.record["postgres"]
    access = {name: server[name] for name in ("host", "port", "user", "password")}
    settings = lab.settings("external")
    place = dataclasses.replace(
        settings.staging,
        external=staging.ExternalSettings(**access),
        production=staging.ProductionSettings(),
    )
    like = ("restaurante_staging", "restaurante_staging_2", "staging")
    with contextlib.closing(bed.connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            try:
                for name in like:
                    cursor.execute(f"CREATE DATABASE {name}")
                before = _held(bed)
                fault.cause(f"drill and clean-up beside somebody's databases {', '.join(like)}")
                result = lab.drill(dataclasses.replace(settings, staging=place))
                staging_state.write(place, kept=True, restored=None)
                removed = drill.clean_up(dataclasses.replace(settings, staging=place))
                fault.see(
                    f"{result['verdict']}: {result['problem'][:80]}; removed: {removed}",
                    holds=_held(bed) == before and removed == [],
                )
            finally:
                for name in like:
                    cursor.execute(f"DROP DATABASE IF EXISTS {name}")
