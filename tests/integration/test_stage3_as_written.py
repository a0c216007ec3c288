"""The commands of stage 3's two documents as they are written, on a copy of this machine.

Each of their fenced blocks is named here: with the test that runs it, or with the reason why none
here can, and the test elsewhere that does. A block or a line that is not named fails.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.filesystems import run
from support.host_copy import SCRIPTS, HostCopy, host_copy
from support.markdown import code_blocks, page_blocks
from testbed import Testbed, production
from testbed.backend_service import healthy
from testbed.services import free_port

ROOT = Path(__file__).resolve().parents[2]
STAGE, DAY = "docs/stage3-staging-restore.md", "docs/disaster-recovery.md"
HOST = socket.gethostname()
STATE = "var/lib/chefwell-resilience"
STORE = "tenant_chefwell"

# First line of each block: the tests here that run it, or where else it is run, and why.
BLOCKS: dict[tuple[str, str], tuple[str, ...]] = {
    (STAGE, "ansible-playbook playbooks/stage3_staging_restore.yml"): (
        "test_the_play_installs_and_runs_a_drill",
        "test_the_rollback_takes_it_back",
    ),
    # It needs a Docker engine.
    (STAGE, "docker-compose -f /root/restaurante/staging/docker-compose.staging.yml down"): (
        "tests/docker/test_staging_compose.py::test_t3_1_to_t3_7",
        "tests/plan/test_plan.py",
    ),
    (DAY, "staging_restore_recovery:"): ("host",),
    (DAY, "disaster-recovery.sh"): ("test_the_database",),
    (DAY, "ansible-playbook chefwell.resilience.disaster_recovery"): (
        "test_the_database_from_the_machine_with_the_inventory",
    ),
    (DAY, "resilience_offsite:"): ("test_a_new_server",),
    (
        DAY,
        "ansible-playbook chefwell.resilience.disaster_recovery"
        " -e staging_restore_recovery_from_offsite=true \\",
    ): ("test_a_new_server",),
    (DAY, "disaster-recovery.sh --tenant tenant_x"): ("test_one_store_alone",),
}


def blocks(page: str) -> dict[str, str]:
    """Every fenced block of a page, by its first line without a comment."""
    return {block.name: block.text for block in page_blocks(page)}


def lines(page: str, first: str, number: int) -> list[str]:
    """The commands of a block, of which there are so many; one may go on over a line's end."""
    text = blocks(page)[first].replace("\\\n", " ")
    commands = [line for line in text.splitlines() if line.strip()]
    assert len(commands) == number, f"{page}: a line that no test knows: {commands}"
    return commands


def test_every_block_is_run_by_a_test() -> None:
    written = {(page, first) for page in (STAGE, DAY) for first in blocks(page)}
    assert written == set(BLOCKS)
    for where in (one for names in BLOCKS.values() for one in names):
        path, _colons, name = where.rpartition("::") if "/" in where else ("", "", where)
        if not path and "/" not in where:
            assert where in globals(), where
            continue
        text = (ROOT / (path or where)).read_text(encoding="utf-8")
        assert not path or f"def {name}(" in text, where


class Written(HostCopy):
    """The copy, on which the documents' lines are typed.

    Attributes:
        inventory: Ansible's inventory file.
    """

    inventory = "/root/inventory.yml"

    def type(self, line: str, *, code: int = 0, **filled: str) -> subprocess.CompletedProcess[str]:
        """Run a line as typed by root in the checkout; `filled` are its placeholders."""
        for name, value in filled.items():
            assert name in line, f"{line}: no {name}"
            line = line.replace(name, value)
        done = self.ansible(line)
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
        return done

    def drill(self) -> dict[str, Any]:
        """The newest drill's result."""
        found: dict[str, Any] = json.loads((self.root / STATE / "drill.json").read_text())
        return found

    def configure(self, variables: dict[str, Any]) -> None:
        """Writes the inventory: this host, and the backup server."""
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "host_kit_python": sys.executable,
            "resilience_become": False,
        }
        groups = {
            "production": {"hosts": {"this": {**local, **variables}}},
            "backup_servers": {"hosts": {"backup": local}},
        }
        self.write(self.inventory, yaml.safe_dump(groups))


def offsite(bed: Testbed) -> dict[str, Any]:
    """Where the copies lie: the testbed's own server instead of the document's example."""
    server = bed.record["ssh"]
    example = yaml.safe_load(blocks(DAY)["resilience_offsite:"])
    assert {*example} == {
        *("resilience_offsite", "staging_restore_offsite_key_file", "staging_restore_recovery"),
    }
    del example["staging_restore_recovery"]
    return {
        **example,
        "resilience_offsite": {
            **example["resilience_offsite"],
            "host": server["host"],
            "port": server["port"],
            "user": server["user"],
            "path": server["path"],
            "mode": "account",
            "host_key_file": server["host_key_file"],
            "authorized_keys": server["authorized_keys"],
        },
    }


def embedded(bed: Testbed) -> dict[str, Any]:
    """Staging without Docker, and the testbed's application over it."""
    record = bed.record
    return {
        "staging_restore_engine": "embedded",
        "staging_restore_bin_dir": record["postgres"]["bin_dir"],
        "staging_restore_backend_command": [
            record["backend"]["python"],
            record["backend"]["script"],
        ],
        "staging_restore_backend_env": {"JWT_SECRET": "staging-only", "MAIL_ENABLED": "false"},
        "staging_restore_backend_port": free_port(),
        "staging_restore_api_users": record["users"],
    }


@pytest.fixture(scope="module")
def host(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """The copy with the testbed's backups, and the document's settings of recovery."""
    postgres = bed.record["postgres"]
    held = Path(bed.record["ssh"]["path"])
    run("cp", "-a", f"{bed.record['backups']}/.", str(held))
    run("chmod", "-R", "a+rX", str(held))
    configured = yaml.safe_load(blocks(DAY)["staging_restore_recovery:"])
    recovery = configured["staging_restore_recovery"]
    # A Swarm's commands: tests/docker/test_recovery_swarm.py has them.
    assert recovery.pop("stop_command")[0] == recovery.pop("start_command")[0] == "docker"
    access = {name: postgres[name] for name in ("host", "port", "user", "password", "dbname")}
    assert {*recovery} == {*access, "health_url"}
    recovery |= {**access, "bin_dir": postgres["bin_dir"]}
    recovery["health_url"] = f"{bed.record['backend']['url']}/health"
    with host_copy(tmp_path_factory.mktemp("copy")) as copy:
        made = Written(copy.root)
        # The server that the copies lie on is not in the copy, so its home is in both: a key that
        # a play lets in there is let in.
        home = str(held.parent)
        run("mount", "--bind", home, str(copy.root / home.lstrip("/")))
        made.must(f"mkdir -p /root/backups && cp -a {bed.record['backups']}/. /root/backups/")
        made.configure({**configured, **embedded(bed), **offsite(bed)})
        yield made


def test_the_play_installs_and_runs_a_drill(host: Written) -> None:
    play, rollback = lines(STAGE, "ansible-playbook playbooks/stage3_staging_restore.yml", 2)
    assert "rollback_stage3" in rollback
    host.type(play)
    drill = host.drill()
    assert (drill["verdict"], drill["confidence"]) == ("passed", 100.0), drill
    runbook = (host.root / "root/restaurante/DISASTER-RECOVERY-PLAYBOOK.md").read_text()
    assert f"--confirm {HOST}" in runbook and "Ana Souza" in runbook


def test_the_commands_of_the_table(host: Written, bed: Testbed) -> None:
    """Each is typed, those that let staging stand in one shell with what removes it."""
    text = (ROOT / STAGE).read_text(encoding="utf-8").partition("## Commands")[2]
    rows = [line.split("|")[1] for line in text.partition("\n\nWith")[0].splitlines()[4:]]
    cells = [re.findall(r"`([^`]+)`", row) for row in rows]
    written = [
        cell if cell.endswith(".sh") or ".sh " in cell else f"{cells_of[0].split()[0]} {cell}"
        for cells_of in cells
        for cell in cells_of
    ]
    newest = max((host.root / "root/backups/daily").glob("*.gz")).name
    day = re.search(r"(\d{4})(\d\d)(\d\d)", newest)
    assert day
    stands = f"; {SCRIPTS}/validate-staging.sh --json && {SCRIPTS}/cleanup-staging.sh"
    clean = f" && {SCRIPTS}/cleanup-staging.sh"
    # What is filled in, what follows in the same shell, and what is seen.
    known: dict[str, tuple[dict[str, str], str, str]] = {
        "test-restore-staging.sh": ({}, "", "🎯 Confiança: 100%"),
        "test-restore-staging.sh --backup FILE": (
            {"FILE": f"/root/backups/daily/{newest}"},
            "",
            newest,
        ),
        "test-restore-staging.sh --tier T": ({" T": " weekly"}, "", "BACKUP VÁLIDO"),
        "test-restore-staging.sh --date D": ({" D": f" {'-'.join(day.groups())}"}, "", newest),
        "test-restore-staging.sh --from-offsite": ({}, "", "BACKUP VÁLIDO"),
        "test-restore-staging.sh --keep": ({}, stands, '"verdict": "passed"'),
        "setup-staging.sh": ({}, clean, "produção"),
        "setup-staging.sh --prepare": ({}, clean, "produção"),
        "write-runbook.sh": ({}, "", "DISASTER-RECOVERY-PLAYBOOK.md"),
    }
    # What these do is seen with those that make something for them.
    assert {*written} - {*known} == {"validate-staging.sh", "cleanup-staging.sh"}
    for command, (filled, after, seen) in known.items():
        assert command in written, command
        done = host.type(command + after, **filled)
        assert seen in done.stdout, f"{command}\n{done.stdout}"
    removed = host.type("cleanup-staging.sh --remove-image --json")
    assert json.loads(removed.stdout) == {"removed": []}


def count(bed: Testbed, dbname: str | None = None) -> int:
    """Products of the plan's store."""
    with contextlib.closing(bed.connect(dbname)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {STORE}.products")
        found = cursor.fetchone()
    assert found
    return int(found[0])


def lose(bed: Testbed) -> None:
    """The products of a store are gone."""
    with contextlib.closing(bed.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {STORE}.products CASCADE")
        connection.commit()
    assert count(bed) == 0


def test_the_database(host: Written, bed: Testbed) -> None:
    newest, from_offsite, listing, switch, status, resume, undo = lines(
        DAY, "disaster-recovery.sh", 7
    )
    lose(bed)
    assert "não foi tocada" in host.type(newest).stdout
    fetched = host.type(from_offsite).stdout
    assert count(bed) == 0
    names = re.findall(r"^(restaurante_recovered_\w+):", host.type(listing).stdout, re.M)
    assert names and names[-1] in fetched, names
    assert count(bed, names[-1]) == 28
    switched = host.type(switch, NAME=names[-1], HOST=HOST).stdout
    assert "restaurante_before_" in switched
    assert count(bed) == 28 and healthy(bed.record["backend"]["url"])
    # The way back is the same command.
    (kept,) = set(re.findall(r"--switch (restaurante_before_\w+)", switched))
    host.type(switch, NAME=kept, HOST=HOST)
    assert count(bed) == 0
    assert "aceita conexões" in host.type(status).stdout
    assert "nenhuma troca está inacabada" in host.type(resume, code=3).stderr
    host.type(undo, HOST=HOST)
    assert count(bed) == 28
    assert "--switch restaurante_before_" in host.type(undo, code=3, HOST=HOST).stderr
    assert count(bed) == 28
    lose(bed)


def test_the_database_from_the_machine_with_the_inventory(host: Written, bed: Testbed) -> None:
    without, confirmed = lines(DAY, "ansible-playbook chefwell.resilience.disaster_recovery", 2)
    assert count(bed) == 0
    assert f"--confirm {HOST}" in host.type(without).stdout
    assert count(bed) == 0
    host.type(confirmed, HOST=HOST)
    assert count(bed) == 28 and healthy(bed.record["backend"]["url"])


def test_one_store_alone(host: Written, bed: Testbed) -> None:
    beside, switch = lines(DAY, "disaster-recovery.sh --tenant tenant_x", 2)
    lose(bed)
    output = host.type(beside, tenant_x=STORE).stdout
    (name,) = set(re.findall(rf"--switch {STORE}_recovered_(\w+)", output))
    assert count(bed) == 0
    host.type(switch.replace("tenant_x", STORE), **{"<time>": name}, HOST=HOST)
    assert count(bed) == 28


def test_by_hand_with_postgresqls_programs_alone(host: Written, bed: Testbed) -> None:
    """The runbook's commands for a host without the collection's commands."""
    runbook = (host.root / "root/restaurante/DISASTER-RECOVERY-PLAYBOOK.md").read_text()
    section = runbook.partition("## 5.")[2].partition("## 6.")[0]
    fetch, restore, switch = [found.text for found in code_blocks(section, "bash")]
    assert "rsync" in fetch and "CREATE DATABASE" in restore and "RENAME" in switch
    lose(bed)
    newest = max((host.root / "root/backups/daily").glob("*.gz")).name
    server, postgres = bed.record["ssh"], bed.record["postgres"]
    # The local backup is gone; and that the server is the right one was seen to before.
    host.must(f"rm /root/backups/daily/{newest}")
    host.must(f"ssh-keyscan -p {server['port']} {server['host']} >> /root/.ssh/known_hosts")
    script = f"set -e\n{fetch.replace('BACKUP', newest)}\n{restore}\n{switch}"
    host.write("/root/by-hand.sh", script)
    access = f"PGPASSWORD={postgres['password']} PATH={postgres['bin_dir']}:$PATH"
    host.must(f"{access} bash /root/by-hand.sh")
    assert count(bed) == 28 and healthy(bed.record["backend"]["url"])


def test_the_rollback_takes_it_back(host: Written, bed: Testbed) -> None:
    _play, rollback = lines(STAGE, "ansible-playbook playbooks/stage3_staging_restore.yml", 2)
    host.type(rollback)
    for gone in (SCRIPTS, "/root/restaurante/DISASTER-RECOVERY-PLAYBOOK.md", f"/{STATE}"):
        assert host.run(f"test -e {gone}").returncode != 0, gone
    assert count(bed) == 28
    assert host.must("ls /root/backups/daily").count(".gz") > 0


def test_a_new_server(
    host: Written, bed: Testbed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The old one is gone with its database, backups, keys and commands."""
    (play,) = lines(
        DAY,
        "ansible-playbook chefwell.resilience.disaster_recovery"
        " -e staging_restore_recovery_from_offsite=true \\",
        1,
    )
    host.must("rm -rf /root/backups /root/restaurante /root/.ssh")
    example = yaml.safe_load(blocks(DAY)["resilience_offsite:"])
    with production.alone(tmp_path_factory.mktemp("new")) as new:
        access = {name: new.settings[name] for name in ("host", "port", "user", "password")}
        recovery = {**example["staging_restore_recovery"], **access}
        recovery["bin_dir"] = new.settings["bin_dir"]
        host.configure({**embedded(bed), **offsite(bed), "staging_restore_recovery": recovery})
        host.type(play, HOST=HOST)
        with (
            contextlib.closing(new.connect(recovery["dbname"])) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SELECT count(*) FROM {STORE}.products")
            assert cursor.fetchone() == (28,)
    host.must("test -s /root/.ssh/chefwell_read")
