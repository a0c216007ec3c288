"""Twenty hosts and two backup servers in one inventory, ten at a time; two hosts are bad."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_lab import Engine
from testbed import Testbed

ROOT = Path(__file__).resolve().parents[2]
HOSTS = [f"shop-{number:02}" for number in range(1, 21)]
SERVERS = ["copies-1", "copies-2"]
SERIAL = 10
# One lacks a program that the stage needs; the other one cannot be reached.
LACKING, AWAY = "shop-07", "shop-13"
LABEL = "pro.chefwell.test.fleet"


def server_of(host: str) -> str:
    """Hosts with an odd number use the first server."""
    return SERVERS[(int(host[-2:]) - 1) % 2]


@pytest.fixture(scope="module")
def fleet(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The containers; an inventory for them."""
    folder = tmp_path_factory.mktemp("fleet")
    bed = Testbed.up(folder / "bed", stores=1)
    addresses = {}
    try:
        for name in SERVERS + HOSTS:
            known = [f"--add-host={server}:{address}" for server, address in addresses.items()]
            engine.docker(
                *("run", "--detach", "--init", "--label", LABEL, "--name", name),
                *("--hostname", name, *known, "chefwell-test/host:1"),
            )
            if name in SERVERS:
                shown = "{{.NetworkSettings.IPAddress}}"
                addresses[name] = engine.docker("inspect", "--format", shown, name)
                made = "useradd --create-home --password '*' --shell /bin/bash backupuser"
                engine.docker("exec", name, "sh", "-c", f"{made} && mkdir -p /backups")
            else:
                engine.docker("cp", f"{bed.record['backups']}/.", f"{name}:/root/backups")
        engine.docker("exec", LACKING, "rm", "/usr/bin/rsync")
        engine.docker("kill", AWAY)
        yield _write_inventory(folder / "inventory.json")
    finally:
        bed.down()
        names = engine.docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        engine.docker("rm", "--force", "--volumes", *names)


def _write_inventory(path: Path) -> Path:
    everywhere = {
        "ansible_connection": "community.docker.docker",
        "ansible_python_interpreter": "/usr/bin/python3",
        "resilience_become": False,
    }
    stage2 = {
        "offsite_backup_server_inventory_host": "{{ server }}",
        "offsite_backup_server_host": "{{ server }}",
        "offsite_backup_server_user": "backupuser",
        # Hosts that share a server have each a folder of their own there, and a gate before it.
        "offsite_backup_server_path": "/backups/{{ inventory_hostname }}",
        "offsite_backup_server_kit_dir": "/usr/local/lib/chefwell-offsite-{{ inventory_hostname }}",
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


def test_eighteen_of_twenty_hosts_have_their_copies(engine: Engine, fleet: Path) -> None:
    home = fleet.parent / "ansible"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-i", str(fleet)),
            # A play's own keyword: hosts' variables do not reach it.
            *("-e", f"resilience_serial={SERIAL}", "--forks", str(SERIAL)),
            str(ROOT / "playbooks" / "stage2_offsite_backup.yml"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            **engine.environment,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        },
    )
    recap = {
        host: (int(ok), int(unreachable), int(failed))
        for host, ok, unreachable, failed in re.findall(
            r"^(\S+)\s+: ok=(\d+)\s+changed=\d+\s+unreachable=(\d+)\s+failed=(\d+)",
            ran.stdout,
            re.MULTILINE,
        )
    }
    well = [host for host in HOSTS if host not in (LACKING, AWAY)]
    print(f"{len(well)} hosts well; of all: {recap}")
    shown = ran.stdout[-6000:] + ran.stderr[-2000:]
    assert ran.returncode != 0 and set(HOSTS) <= set(recap), shown
    assert [host for host in HOSTS if recap[host][1] or recap[host][2]] == [LACKING, AWAY], shown
    assert "rsync: not found on this host. Install rsync (Debian)" in ran.stdout
    # Each play of a batch begins with its own banner: it ran in two.
    assert len(re.findall(r"^PLAY \[", ran.stdout, re.MULTILINE)) == len(HOSTS) // SERIAL
    counted = {
        server: engine.docker(
            *(
                "exec",
                server,
                "sh",
                "-c",
                "cd /backups && for h in *; do echo $h $(ls $h/*/*.gz | wc -l); done",
            )
        )
        for server in SERVERS
    }
    for server in SERVERS:
        copies = dict(line.split() for line in counted[server].splitlines())
        expected = {host for host in well if server_of(host) == server}
        assert {host: copies[host] for host in expected} == dict.fromkeys(expected, "14"), copies
        # Hosts set themselves up side by side on one server; none lost its line to another one.
        keys = engine.docker("exec", server, "cat", "/home/backupuser/.ssh/authorized_keys")
        assert {host for host in HOSTS if f"-{host}/gate.sh" in keys} == expected
        cron = engine.docker("exec", server, "crontab", "-l", "-u", "backupuser")
        assert cron.count("keep-offsite-copy.sh") == len(expected)
