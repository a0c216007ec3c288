"""Twenty hosts and two backup servers in one inventory, several at a time, some of them bad.

All twenty are watched (stage 1), ten at a time; six of them copy to the servers (stage 2), three at
a time: a host costs the same whatever its number, and the tests have twenty minutes for everything.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    MARKER,
)
from docker_lab import Engine, instance_ssh
from support.backup_trees import plan_tree

ROOT = Path(__file__).resolve().parents[2]
HOSTS = [f"shop-{number:02}" for number in range(1, 21)]
SERVERS = ["copies-1", "copies-2"]
SERIAL = 10
COPYING = HOSTS[:6]
COPYING_SERIAL = 3
# Two lack a program that a stage needs; the other one cannot be reached.
WITHOUT_CRON, WITHOUT_RSYNC, AWAY = "shop-13", "shop-02", "shop-05"
LABEL = "pro.chefwell.test.fleet"


def server_of(host: str) -> str:
    """Hosts with an odd number use the first server."""
    return SERVERS[(int(host[-2:]) - 1) % 2]


@pytest.fixture(scope="module")
def fleet(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The containers; an inventory for them."""
    folder = tmp_path_factory.mktemp("fleet")
    backups = plan_tree(folder / "backups")
    (backups / MARKER).unlink()
    addresses: dict[str, str] = {}
    opened = instance_ssh.environment(folder)[instance_ssh.OPENED_BY]

    def start(name: str) -> None:
        known = [f"--add-host={server}:{address}" for server, address in addresses.items()]
        engine.docker(
            *("run", "--detach", "--init", "--label", LABEL, "--name", name),
            *("--hostname", name, *known, "--env", f"{instance_ssh.OPENED_BY}={opened}"),
            "chefwell-test/host:1",
        )
        if name not in SERVERS:
            engine.docker("cp", f"{backups}/.", f"{name}:/root/backups")

    try:
        for name in SERVERS:
            start(name)
            shown = "{{.NetworkSettings.IPAddress}}"
            addresses[name] = engine.docker("inspect", "--format", shown, name)
            made = "useradd --create-home --password '*' --shell /bin/bash backupuser"
            engine.docker("exec", name, "sh", "-c", f"{made} && mkdir -p /backups")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(start, HOSTS))
        engine.docker("exec", WITHOUT_CRON, "rm", "/usr/bin/crontab")
        engine.docker("exec", WITHOUT_RSYNC, "rm", "/usr/bin/rsync")
        engine.docker("kill", AWAY)
        yield _write_inventory(folder / "inventory.json")
    finally:
        names = engine.docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        engine.docker("rm", "--force", "--volumes", *names)


def _write_inventory(path: Path) -> Path:
    everywhere = {
        **instance_ssh.VARIABLES,
        "resilience_become": False,
    }
    stage2 = {
        "resilience_offsite": {
            "inventory_host": "{{ server }}",
            "host": "{{ server }}",
            "user": "backupuser",
            # Hosts that share a server have each a folder of their own there, and a gate before it.
            "path": "/backups/{{ inventory_hostname }}",
            "server_kit_dir": "/usr/local/lib/chefwell-offsite-{{ inventory_hostname }}",
        },
        "offsite_backup_rpo_hours": 36,
    }
    hosts = {name: {"server": server_of(name)} for name in HOSTS}
    content = {
        "all": {
            "vars": everywhere,
            "children": {
                "production": {"hosts": hosts, "vars": stage2},
                "backup_servers": {"hosts": dict.fromkeys(SERVERS, {})},
            },
        }
    }
    path.write_text(json.dumps(content))
    return path


def play(
    engine: Engine, inventory: Path, playbook: str, serial: int, hosts: list[str]
) -> subprocess.CompletedProcess[str]:
    """Run a playbook on so many hosts at once."""
    home = inventory.parent / "ansible"
    return subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-i", str(inventory)),
            # A play's own keyword: hosts' variables do not reach it.
            *("-e", f"resilience_serial={serial}", "--forks", str(serial)),
            *("--limit", ",".join([*hosts, *SERVERS])),
            str(ROOT / "playbooks" / playbook),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            **engine.environment,
            **instance_ssh.environment(inventory.parent),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        },
    )


def assert_bad_alone(
    ran: subprocess.CompletedProcess[str], hosts: list[str], bad: list[str], serial: int
) -> None:
    """The bad hosts failed, every other one did not, and they were done so many at once."""
    recap = {
        host: (int(ok), int(unreachable), int(failed))
        for host, ok, unreachable, failed in re.findall(
            r"^(\S+)\s+: ok=(\d+)\s+changed=\d+\s+unreachable=(\d+)\s+failed=(\d+)",
            ran.stdout,
            re.MULTILINE,
        )
    }
    failures = re.findall(r"^(?:fatal|failed): .*$", ran.stdout, re.MULTILINE)
    shown = "\n".join([*failures, ran.stdout[-2000:], ran.stderr[-2000:]])
    print(f"{len(hosts) - len(bad)} of {len(hosts)} hosts well; of all: {recap}")
    assert ran.returncode != 0 and set(hosts) <= set(recap), shown
    assert [host for host in hosts if recap[host][1] or recap[host][2]] == bad, shown
    # Each play of a batch begins with its own banner.
    assert len(re.findall(r"^PLAY \[", ran.stdout, re.MULTILINE)) == len(hosts) // serial


def test_eighteen_of_twenty_hosts_are_watched(engine: Engine, fleet: Path) -> None:
    ran = play(engine, fleet, "stage1_disk_monitor.yml", SERIAL, HOSTS)
    assert_bad_alone(ran, HOSTS, [AWAY, WITHOUT_CRON], SERIAL)
    assert "crontab: not found on this host. Install cron (Debian)" in ran.stdout
    watched = [host for host in HOSTS if host not in (AWAY, WITHOUT_CRON)]
    shown = "crontab -l && echo == && cat /var/log/chefwell-disk-monitor.log"
    with ThreadPoolExecutor(4) as pool:
        for host, seen in zip(
            watched,
            pool.map(lambda name: engine.docker("exec", name, "sh", "-c", shown), watched),
            strict=True,
        ):
            lines, _between, log = seen.partition("\n==\n")
            assert sum("monitor-disk-space" in line for line in lines.splitlines()) == 1, host
            assert "level=" in log, host


def test_four_of_six_hosts_have_their_copies_on_two_servers(engine: Engine, fleet: Path) -> None:
    ran = play(engine, fleet, "stage2_offsite_backup.yml", COPYING_SERIAL, COPYING)
    assert_bad_alone(ran, COPYING, [WITHOUT_RSYNC, AWAY], COPYING_SERIAL)
    assert "rsync: not found on this host. Install rsync (Debian)" in ran.stdout
    for server in SERVERS:
        count = "cd /backups && for h in *; do echo $h $(ls $h/*/*.gz | wc -l); done"
        counted = engine.docker("exec", server, "sh", "-c", count)
        copies = dict(line.split() for line in counted.splitlines())
        expected = {
            host
            for host in COPYING
            if host not in (WITHOUT_RSYNC, AWAY) and server_of(host) == server
        }
        assert len(expected) == 2
        assert {host: copies[host] for host in expected} == dict.fromkeys(expected, "14"), copies
        # Hosts set themselves up side by side on one server; none lost its line to another one.
        keys = engine.docker("exec", server, "cat", "/home/backupuser/.ssh/authorized_keys")
        assert {host for host in HOSTS if f"-{host}/gate.sh" in keys} == expected
        cron = engine.docker("exec", server, "crontab", "-l", "-u", "backupuser")
        assert cron.count("keep-offsite-copy.sh") == len(expected)
