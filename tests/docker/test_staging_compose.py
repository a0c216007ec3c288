"""Stage 3 in Docker as a user runs it: T3.1 to T3.7 in their order, and the closed network."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_lab import Engine
from docker_lab.staging_host import (
    BACKEND_PORT,
    COMPOSE,
    PLAYBOOK,
    PORT,
    REACH,
    DockerHost,
    labelled,
    result,
)
from testbed import Testbed

TENANTS = 3


@pytest.fixture(scope="module")
def host(
    engine: Engine, bed: Testbed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerHost]:
    root = tmp_path_factory.mktemp("host")
    # A volume and a container with similar names, which are not staging's, must stay.
    engine.docker("volume", "create", "staging_postgres_data_of_production")
    engine.docker(
        *("run", "--detach", "--name", "postgres_staging", "--network", "none"),
        *("chefwell-test/base:1", "sleep", "infinity"),
    )
    made = DockerHost.installed(engine, bed, root)
    yield made
    made.play("rollback_stage3.yml")
    assert not (root / "staging").exists()
    assert labelled(made) == {"container": [], "network": [], "volume": []}
    assert engine.docker("ps", "--format", "{{.Names}}").split() == ["postgres_staging"]
    assert "staging_postgres_data_of_production" in engine.docker("volume", "ls", "--quiet")
    engine.docker("rm", "--force", "postgres_staging")
    engine.docker("volume", "rm", "staging_postgres_data_of_production")


def test_the_play_ran_a_drill_and_a_second_one_changes_nothing(host: DockerHost) -> None:
    assert host.play(PLAYBOOK, staging_restore_drill_now=False)["changed"] == 0
    kept = json.loads((host.root / "state" / "drill.json").read_text())
    assert (kept["verdict"], kept["confidence"]) == ("passed", 100.0), kept
    assert kept["restore"]["engine"] == "compose"
    assert labelled(host) == {"container": [], "network": [], "volume": []}
    for name in (COMPOSE, "postgres_staging.env", "backend_staging.env", ".env"):
        assert (host.root / "staging" / name).stat().st_mode & 0o777 == 0o600, name


def test_t3_1_to_t3_7(host: DockerHost, bed: Testbed) -> None:
    # T3.1
    up = host.command("setup-staging")
    assert up.returncode == 0, up.stderr
    assert host.sh("docker ps | grep staging-postgres_staging").returncode == 0
    # T3.2, T3.3
    drill = result(host.command("test-restore-staging", "--json"))
    assert drill["verdict"] == "passed", drill
    report = host.command("validate-staging")
    assert "✅ RESULTADO: BACKUP VÁLIDO E RESTAURÁVEL" in report.stdout, report
    assert "🎯 Confiança: 100%" in report.stdout
    # T3.4
    login = host.sh(
        f"curl -sS -X POST http://localhost:{BACKEND_PORT}/api/auth/login"
        ' -H "Content-Type: application/json"'
        ' -d \'{"email":"admin@chefwell.pro","password":"admin123"}\''
    )
    token = json.loads(login.stdout)["token"]
    shown = host.sh(
        f'curl -sS -H "Authorization: Bearer {token}" http://localhost:{BACKEND_PORT}/api/products'
    )
    assert json.loads(shown.stdout)["total"] == 28
    # T3.5
    query = "SELECT count(*) FROM tenant_chefwell.products;"
    container = host.sh("docker ps --format '{{.Names}}' | grep staging-postgres").stdout.strip()
    counted = host.sh(
        f'docker exec {container} psql -U postgres -d restaurante_staging -Atc "{query}"'
    )
    assert counted.stdout.strip() == "28", counted
    # T3.6
    compose = host.root / "staging" / COMPOSE
    down = host.sh(f"docker-compose -f {compose} down && docker volume rm staging_postgres_data")
    assert down.returncode == 0, down
    again = host.command("test-restore-staging")
    assert again.returncode == 0, again.stdout + again.stderr
    assert result(host.command("validate-staging", "--json"))["confidence"] == 100.0
    # T3.7
    cleaned = result(host.command("cleanup-staging", "--json"))
    assert len(cleaned["removed"]) == 6, cleaned
    assert labelled(host) == {"container": [], "network": [], "volume": []}
    assert result(host.command("cleanup-staging", "--json")) == {"removed": []}
    assert host.sh(f"ss -Hltn | grep -E ':({PORT}|{BACKEND_PORT}) '").stdout == ""


def test_ansible_lets_it_stand_by_compose(host: DockerHost) -> None:
    """community.docker.docker_compose_v2 brings it up; the commands take it for their own."""
    stands = {"staging_restore_drill_now": False, "staging_restore_stands": True}
    assert host.play(PLAYBOOK, **stands)["changed"] == 2
    before = labelled(host)
    assert (len(before["container"]), len(before["volume"])) == (2, 1), before
    assert host.play(PLAYBOOK, **stands)["changed"] == 0
    drill = result(host.command("test-restore-staging", "--json"))
    assert (drill["verdict"], drill["confidence"]) == ("passed", 100.0), drill
    assert set(before["container"]) < set(labelled(host)["container"])
    assert len(result(host.command("cleanup-staging", "--json"))["removed"]) == 6
    assert labelled(host) == {"container": [], "network": [], "volume": []}


def listening(engine: Engine, *within: str) -> subprocess.Popen[bytes]:
    """A server on port 5432 of all addresses of the engine's network, or of another one."""
    serve = [sys.executable, "-m", "http.server", "5432", "--bind", "0.0.0.0"]
    return subprocess.Popen(
        engine.within(*within, *serve), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture(scope="class")
def restored(host: DockerHost) -> Iterator[DockerHost]:
    """A host with a restored staging that is kept for people, for the tests of one class."""
    assert host.command("setup-staging").returncode == 0
    assert host.command("test-restore-staging").returncode == 0
    yield host
    assert host.command("cleanup-staging").returncode == 0


def isolation(host: DockerHost) -> dict[str, Any]:
    """The report of the staging that is up."""
    report = result(host.command("validate-staging", "--json"))
    (found,) = [check for check in report["checks"] if check["id"] == "isolation"]
    assert (report["verdict"] == "passed") == (found["status"] == "passed"), report
    return dict(found)


class TestARestoredStaging:
    def test_nothing_leads_out_and_loopback_works(self, restored: DockerHost) -> None:
        """Both promises at once, beside a container in an ordinary network."""
        engine = restored.engine
        # This host listens everywhere, as production's published ports do.
        listener = listening(engine)
        # And there is a world beyond it, in a network of its own.
        beyond = listening(engine, "unshare", "--net")
        outside = "203.0.113.7"
        inside = f"nsenter --net --target {beyond.pid} ip"
        cabled = restored.sh(
            "set -e; ip link add beyond type veth peer name cable"
            "; ip addr add 203.0.113.1/24 dev beyond"
            f"; ip link set beyond up; ip link set cable netns {beyond.pid}"
            f"; {inside} addr add {outside}/24 dev cable; {inside} link set cable up"
        )
        assert cabled.returncode == 0, cabled
        try:
            shown = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
            gateways = [
                engine.docker("network", "inspect", "--format", shown, name)
                for name in (
                    "chefwell-staging_staging_network",
                    "chefwell-staging_staging_loopback",
                )
            ]
            places = [f"{address}:5432" for address in (*gateways, engine.bridge(), outside)]
            time.sleep(1)
            compared = engine.docker(
                *("run", "--rm", "chefwell-test/base:1", "python3", "-c", REACH, *places[2:])
            )
            assert compared.count("answered") == 2, compared
            for service in ("postgres", "backend"):
                text = engine.docker(
                    *("exec", f"chefwell-staging-{service}_staging-1"),
                    *("python3", "-c", REACH, *places),
                )
                assert text.count("no:") == len(places) and "answered" not in text, text
            reached = restored.sh(
                f"{sys.executable} -c '{REACH}' 127.0.0.1:{PORT} 127.0.0.1:{BACKEND_PORT}"
            )
            assert reached.stdout.count("answered") == 2, reached
            others = restored.sh(
                f"{sys.executable} -c '{REACH}' {outside}:{PORT} {outside}:{BACKEND_PORT}"
            )
            assert others.stdout.count("no:") == 2, others
        finally:
            for one in (listener, beyond):
                one.kill()
                one.wait()
            restored.sh("ip link del beyond")

    def test_the_report_shows_that_nothing_left(self, restored: DockerHost) -> None:
        """And a second network fails it: one of the backend, or of the server."""
        engine = restored.engine
        try:
            check = isolation(restored)
            assert check["status"] == "passed", check
            for shown in (
                *(
                    "postgres_staging-1",
                    "backend_staging-1",
                    "in the networks chefwell-staging_staging_net",
                ),
                *(
                    "internal, and this host has no address in them",
                    "their routes lead nowhere else",
                ),
                *("COST", "DATABASE_URL", "JWT_SECRET", "MAIL", "NODE_ENV"),
            ):
                assert shown in check["evidence"], check
            secrets = (restored.root / "staging" / "backend_staging.env").read_text().splitlines()
            for line in secrets:
                assert line.partition("=")[2] not in check["evidence"]
            engine.docker("network", "create", "--internal", "beside-this-host")
            for service in ("postgres", "backend"):
                container = f"chefwell-staging-{service}_staging-1"
                for network, shown in (
                    ("bridge", "is in bridge, which is not internal"),
                    ("beside-this-host", "reaches this host, which is in beside-this-host"),
                ):
                    engine.docker("network", "connect", network, container)
                    check = isolation(restored)
                    texts = [one["text"] for one in check["findings"]]
                    assert check["status"] == "failed" and f"{container} {shown}" in texts, check
                    assert {one["id"] for one in check["findings"]} == {"isolation.way_out"}
                    routes = [text for text in texts if f"{container} has a route out: eth" in text]
                    assert routes or network != "bridge", texts
                    engine.docker("network", "disconnect", network, container)
                    assert isolation(restored)["status"] == "passed"
        finally:
            engine.docker("network", "rm", "beside-this-host")

    def test_secrets_are_nowhere_to_be_read(self, restored: DockerHost) -> None:
        folder = restored.root / "staging"
        secret = (folder / "postgres_staging.env").read_text().split("=", 1)[1].strip()
        assert len(secret) >= 24
        for path in restored.root.rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o044:
                assert secret.encode() not in path.read_bytes(), path
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert secret.encode() not in entry.read_bytes(), entry
            except OSError:
                continue
        assert secret not in (folder / COMPOSE).read_text()


def test_a_host_without_programs_restores_in_the_container(host: DockerHost, bed: Testbed) -> None:
    """No program of PostgreSQL is found: no folder is configured, no package is installed."""
    drill = result(host.command("test-restore-staging", "--json"))
    assert drill["verdict"] == "passed", drill
    assert drill["restore"]["programs"].startswith("image "), drill["restore"]
    settings = json.loads((host.root / "etc" / "staging.json").read_text())
    settings["bin_dir"] = bed.record["postgres"]["bin_dir"]
    with_host = host.root / "with-programs.json"
    with_host.write_text(json.dumps(settings))
    drill = result(host.command("test-restore-staging", "--json", "--config", str(with_host)))
    assert drill["verdict"] == "passed", drill
    assert drill["restore"]["programs"] == bed.record["postgres"]["bin_dir"]


def test_without_an_engine_there_is_no_verdict(host: DockerHost) -> None:
    settings = json.loads((host.root / "etc" / "staging.json").read_text())
    settings["docker_host"] = "unix:///nowhere/docker.sock"
    settings["state_dir"] = str(host.root / "state-of-another")
    other = host.root / "no-engine.json"
    other.write_text(json.dumps(settings))
    ended = host.command("test-restore-staging", "--json", "--config", str(other))
    drill = result(ended)
    assert (ended.returncode, drill["verdict"]) == (3, "could_not_verify")
    assert "docker" in drill["problem"] and drill["confidence"] is None, drill


def test_a_missing_image_and_a_missing_folder_have_their_remedies(host: DockerHost) -> None:
    compose = host.root / "staging" / COMPOSE
    written = compose.read_text()
    built = 'build:\n      context: "../backend"'
    assert 'image: "postgres:16-alpine"' in written and built in written, written
    # Under another name, because an image that is there is not built again.
    elsewhere = "image: new:1\n    build:\n      context: /nowhere/backend"
    causes = {
        "staging_restore_postgres_image": written.replace("postgres:16-alpine", "bistro-db:1"),
        "staging_restore_backend_build": written.replace(built, elsewhere),
    }
    try:
        for option, text in causes.items():
            compose.write_text(text)
            ended = host.command("test-restore-staging", "--json")
            assert ended.returncode == 3 and option in result(ended)["problem"], (option, ended)
            assert "Traceback" not in ended.stderr
        compose.unlink()  # as the plan's rollback by hand does, which leaves the cron line
        ended = host.command("test-restore-staging", "--json")
        assert ended.returncode == 3 and "crontab -e" in result(ended)["problem"], ended
    finally:
        compose.write_text(written)
        host.command("cleanup-staging")
    assert labelled(host) == {"container": [], "network": [], "volume": []}


def test_what_was_left_over_long_ago_is_removed(host: DockerHost) -> None:
    labels = {
        "pro.chefwell.resilience.staging": "/another/folder",
        "pro.chefwell.resilience.expires": str(int(time.time()) - 1),
    }
    options = [part for name, value in labels.items() for part in ("--label", f"{name}={value}")]
    host.engine.docker("volume", "create", *options, "left-over")
    labels["pro.chefwell.resilience.expires"] = "never"
    options = [part for name, value in labels.items() for part in ("--label", f"{name}={value}")]
    host.engine.docker("volume", "create", *options, "requested")
    try:
        assert result(host.command("test-restore-staging", "--json"))["verdict"] == "passed"
        volumes = host.engine.docker("volume", "ls", "-q").split()
        assert "left-over" not in volumes and "requested" in volumes
    finally:
        host.engine.docker("volume", "rm", "--force", "requested", "left-over")
