"""Stage 2's examples as they are written, on a copy of this machine.

Its backup servers are copies of this machine, too, each at the end of a cable with an sshd on port
22, as backup.example.com and backup2.example.com.

The steps are in the order in which a reader of the pages would take them. Each runs what the page
shows word for word; only placeholders in capitals are filled in.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from support.backup_trees import add_backup, plan_tree
from support.copied_server import CopiedServer, copied_server, without_keys
from support.host_copy import PROGRAMS, HostCopy, host_copy
from support.markdown import examples

DOCUMENT, README = "docs/stage2-offsite-backup.md", "roles/offsite_backup/README.md"
SCRIPTS, KIT = "/root/restaurante/scripts", "/usr/local/lib/chefwell-offsite"
LOG = "/var/log/chefwell-offsite-sync.log"
ACCOUNT = "backupuser"
Hashes = dict[str, str]

# What no step runs, why not, and where it is covered instead.
NOT_RUN = {
    (DOCUMENT, "gate.sh"): "sshd runs it, at every login of every step",
    (DOCUMENT, "make bench ROWS=offsite"): "takes an hour; bench/ measures, test_bench.py runs it",
    (README, "sync-backups-offsite.sh"): "the document's, which is run",
    (README, "verify-offsite-backups.sh"): "the document's, which is run",
}


@dataclasses.dataclass
class Bed:
    """The production host, its two backup servers, and what a step leaves for the next."""

    host: HostCopy
    server: CopiedServer
    second: CopiedServer
    host_key: str = ""

    @property
    def tree(self) -> Path:
        return self.host.root / "root/backups"

    @property
    def copy(self) -> Path:
        return self.server.machine.root / "backups/chefwell"

    def typed(self, command: str, *codes: int) -> str:
        """Runs a command of the document on the host, where the stage's commands are at hand."""
        done = self.host.run(command, PATH=f"{SCRIPTS}:{PROGRAMS}")
        assert done.returncode in (codes or (0,)), f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def typed_there(self, command: str) -> str:
        """Runs one on the server, as the account; `CLIENT` is this host."""
        filled = command.replace("CLIENT", "production")
        within = f"cd / && runuser -u {ACCOUNT} -- env PATH={KIT}:{PROGRAMS} {filled}"
        return self.server.machine.must(within)

    def play(self, path: str, *options: str, fails: bool = False) -> str:
        done = self.host.ansible(" ".join(["ansible-playbook", path, *options]))
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with contextlib.ExitStack() as up:

        def folder(name: str) -> Path:
            return tmp_path_factory.mktemp(name)

        server = up.enter_context(copied_server(folder("server"), ACCOUNT))
        second = up.enter_context(copied_server(folder("second"), ACCOUNT))
        host = up.enter_context(host_copy(folder("host")))
        without_keys(host)
        named = {"backup.example.com": server, "backup2.example.com": second}
        host.must("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
        known = "".join(f"{name} {one.host_key}\n" for name, one in named.items())
        host.write("/root/.ssh/known_hosts", known)
        hosts = "".join(f"{one.address} {name}\n" for name, one in named.items())
        host.write("/etc/hosts", f"127.0.0.1 localhost\n{hosts}")
        public = host.must("cat /root/.ssh/id_ed25519.pub")
        for one in (server, second):
            one.let_root_in(public)
        plan_tree(host.root / "root/backups")
        host.must("rm /root/backups/.chefwell-backups && mkdir -p /srv/bucket")
        conf = "/root/.config/rclone/rclone.conf"
        host.write(conf, "[bucket]\ntype = alias\nremote = /srv/bucket\n")
        host.must(f"chmod 600 {conf}")
        inventory = {
            "all": {
                "hosts": {
                    "production": {"ansible_connection": "local"},
                    "backup-server": {"ansible_host": "backup.example.com"},
                    "backup2": {"ansible_host": "backup2.example.com"},
                },
                "vars": {
                    "ansible_python_interpreter": "/usr/bin/python3",
                    "ansible_user": "root",
                    "ansible_become": False,
                },
            },
        }
        host.write("/root/site/hosts.yml", yaml.safe_dump(inventory))
        host.inventory = "/root/site/hosts.yml"
        yield Bed(host, server, second)


def hashes(folder: Path) -> Hashes:
    """The backups below a folder; not what the server or the stage keeps of its own."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("*ly/*")
    }


def pins_what_ssh_keyscan_says(bed: Bed, command: str) -> None:
    bed.host_key = bed.typed(command).strip()
    assert bed.host_key.endswith(" ".join(bed.server.host_key.split()[:2]))


def plays_the_readmes_play_on_a_server_of_somebody_elses(bed: Bed, play: str) -> None:
    """It stops, and prints what to do; that is done as it is printed; it goes on."""
    bed.host.write("/root/play.yml", play)
    # Instead of the example's host key, the one that ssh-keyscan printed.
    (example,) = yaml.safe_load(play)
    (role,) = example["roles"]
    destination = role["vars"]["resilience_offsite"] | {
        "host_key": bed.host_key,
        "retry_seconds": 0.1,
    }
    bed.host.write("/root/key.json", json.dumps({"resilience_offsite": destination}))
    given = "-e @/root/key.json"
    output = bed.play("/root/play.yml", given, fails=True)
    text = " ".join(re.findall(r'"msg": "(.*)"', output))
    text = json.loads(f'"{text}"')
    (by_hand,) = re.findall(r"(tar -C \S+ -cz .*install-offsite-server\.sh')", text)
    public = bed.host.must("cat /root/.ssh/chefwell_backup.pub").strip()
    line = f'restrict,command="{KIT}/gate.sh production write" {public}'
    assert line in text and not hashes(bed.copy)
    assert "the server's part is set up" in bed.typed(by_hand)
    allowed = bed.server.machine.must(f"cat ~{ACCOUNT}/.ssh/authorized_keys")
    assert allowed.splitlines() == [line]
    bed.play("/root/play.yml", given)
    assert hashes(bed.copy) == hashes(bed.tree) and len(hashes(bed.tree)) == 14
    assert "sync-backups-offsite.sh >> " in bed.host.must("crontab -l")
    assert "keep-offsite-copy.sh production" in bed.server.machine.must(f"crontab -l -u {ACCOUNT}")


def logs_in(bed: Bed, command: str) -> None:
    assert bed.typed(command).strip() == bed.host.must("uname -n").strip()


def lists_and_writes_nothing(bed: Bed, command: str) -> None:
    new = add_backup(bed.tree, "daily", -0.01)
    before = hashes(bed.copy)
    output = bed.typed(command)
    assert f"enviaria daily/{new.name}" in output and hashes(bed.copy) == before


def sends_what_is_new(bed: Bed, command: str) -> None:
    assert bed.typed(command).count(" envia daily/") == 1
    assert hashes(bed.copy) == hashes(bed.tree)


def lets_a_guard_pass_once(bed: Bed, command: str) -> None:
    """For each guard that a fault on this side calls for, of those in the document's table."""
    bed.host.must("mv /root/backups/.chefwell-backups /root/marker")
    refused = bed.typed("sync-backups-offsite.sh", 2)
    assert "source-marker" in refused and "--override source-marker" in refused
    passed = bed.typed(command.replace("GUARD", "source-marker"), 0, 1)
    assert "ignora guarda source-marker" in passed
    assert "source-marker" in bed.typed("sync-backups-offsite.sh", 2)  # once, and not for ever
    bed.host.must("mv /root/marker /root/backups/.chefwell-backups")

    for file in sorted((bed.tree / "daily").iterdir())[:4]:
        file.unlink()
    before = hashes(bed.copy)
    assert "mass-change" in bed.typed("sync-backups-offsite.sh", 2)
    # Overridden on the client, the server still needs a person on its side.
    output = bed.typed(command.replace("GUARD", "mass-change"), 2)
    assert "keep-offsite-copy.sh CLIENT --accept" in output and hashes(bed.copy) == before


def a_person_on_the_server_lets_it_through(bed: Bed, command: str) -> None:
    assert hashes(bed.copy) != hashes(bed.tree)
    bed.typed_there(command)
    assert hashes(bed.copy) == hashes(bed.tree)
    assert len([*bed.copy.glob("old_*/daily/*")]) == 4


def the_servers_job_has_nothing_to_say(bed: Bed, command: str) -> None:
    assert "alarm" not in bed.typed_there(command)


def proves_the_copy_and_finds_what_rotted(bed: Bed, command: str) -> None:
    output = bed.typed(command)
    assert output.count("Daily: 4 backups") == 2 and output.count("Weekly: 4 backups") == 2
    (victim, *_others) = sorted((bed.copy / "monthly").iterdir())
    seen, good = victim.stat(), victim.read_bytes()
    victim.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    assert victim.stat().st_size == seen.st_size
    found = bed.typed("verify-offsite-backups.sh --full", 2)
    assert victim.name in found
    victim.write_bytes(good)
    bed.typed("verify-offsite-backups.sh --full")


def repairs_and_lists_what_is_left(bed: Bed, command: str) -> None:
    """One that rots is equal again; what earlier steps left for a person is listed."""
    victim = sorted((bed.copy / "monthly").iterdir())[0]
    good = victim.read_bytes()
    status = victim.stat()
    victim.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert victim.name in bed.typed(f"{command} --full", 0, 1)
    assert victim.read_bytes() == good


def copies_to_further_destinations(bed: Bed, block: str) -> None:
    """Another server, of the inventory, and whatever rclone knows."""
    bed.host.write("/root/further.yml", block)
    bed.play("/root/play.yml", "-e @/root/key.json -e @/root/further.yml")
    there = bed.second.machine
    assert hashes(there.root / "backups/chefwell") == hashes(bed.tree)
    assert hashes(bed.host.root / "srv/bucket/chefwell-backups") == hashes(bed.tree)
    (line,) = there.must(f"cat ~{ACCOUNT}/.ssh/authorized_keys").splitlines()
    assert line.startswith(f'restrict,command="{KIT}/gate.sh production-second write" ')
    result = json.loads(bed.typed("sync-backups-offsite.sh --json"))
    assert [one["destination"].split("@")[-1] for one in result["destinations"]] == [
        "backup.example.com:22/backups/chefwell",
        "backup2.example.com:22/backups/chefwell",
        "rclone:bucket:chefwell-backups",
    ]


def knows_the_servers_key_from_the_inventory(bed: Bed, block: str) -> None:
    """The variables as they stand: nothing else is needed."""
    (place,) = re.findall(r"# (host_vars/\S+)", block)
    bed.host.write(f"/root/site/{place}", block)
    bed.host.must("rm /etc/chefwell-resilience/offsite_known_hosts")


def installs_copies_and_verifies(bed: Bed, command: str) -> None:
    new = add_backup(bed.tree, "weekly", -0.02)
    done = bed.host.ansible(command)
    assert done.returncode == 0, done.stdout + done.stderr
    pinned = bed.host.must("cat /etc/chefwell-resilience/offsite_known_hosts")
    assert " ".join(bed.server.host_key.split()[:2]) in pinned
    assert f"weekly/{new.name}" in hashes(bed.copy) and hashes(bed.copy) == hashes(bed.tree)
    assert "In sync, compared by sha256" in done.stdout


def takes_it_back_and_leaves_every_backup(bed: Bed, command: str) -> None:
    local, remote = hashes(bed.tree), hashes(bed.copy)
    done = bed.host.ansible(command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (hashes(bed.tree), hashes(bed.copy)) == (local, remote)
    assert "sync-backups-offsite" not in bed.host.run("crontab -l").stdout
    for path in (f"{SCRIPTS}/sync-backups-offsite.sh", "/etc/chefwell-resilience/offsite.json"):
        assert bed.host.run(f"test -e {path}").returncode != 0, path
    bed.host.must("test -f /root/.ssh/chefwell_backup")


def rotates_its_log(bed: Bed, _nothing: str) -> None:
    """logrotate itself, by the file that the role put there."""
    file = "/etc/logrotate.d/chefwell-offsite-sync"
    before = bed.host.must(f"cat {LOG}")
    assert "ok: " in before
    bed.host.must(f"logrotate --state /root/rotated --force {file}")
    assert bed.host.must(f"zcat {LOG}.1.gz") == before
    assert bed.host.run(f"test -s {LOG}").returncode != 0
    bed.typed("sync-backups-offsite.sh")
    after = bed.host.must(f"cat {LOG}")
    assert after.splitlines()[0].endswith(" início") and before not in after
    # Not due again for a week, and never without a log: by the rule, not by the option.
    bed.host.must(f"logrotate --state /root/rotated {file} && rm {LOG}")
    assert "error" not in bed.host.must(f"logrotate --state /root/rotated --force {file} 2>&1")
    assert bed.host.run(f"test -e {LOG}.2.gz").returncode != 0


def runs_the_modules_examples(bed: Bed, _nothing: str) -> None:
    """By delegation to the backup server, which compares its tree with what was found here."""
    module = importlib.import_module(
        "ansible_collections.chefwell.resilience.plugins.modules.backup_inventory"
    )
    nightly = "db-20251120.dump"
    bed.host.write(f"/srv/dumps/nightly/{nightly}", "one")
    bed.host.write("/srv/dumps/nightly/README", "none")
    tasks = yaml.safe_load(module.EXAMPLES)
    assert len(tasks) == 5
    tasks[-1]["register"] = "counted"
    kept = "{{ [production, copy, nights, counted] | to_json }}"
    report = {"ansible.builtin.copy": {"dest": "/root/seen.json", "content": kept}}
    tasks.append(report)
    play = [{"hosts": "production", "gather_facts": False, "tasks": tasks}]
    bed.host.write("/root/examples.yml", yaml.safe_dump(play, sort_keys=False))
    bed.play("/root/examples.yml")
    seen = json.loads((bed.host.root / "root/seen.json").read_text())
    production, copy, nights, counted = seen
    found = {file["path"]: file["sha256"] for file in copy["inventory"]["files"]}
    assert found == hashes(bed.copy)
    assert (production["inventory"]["root"], copy["inventory"]["root"]) == (
        "/root/backups",
        "/backups/chefwell",
    )
    assert copy["comparison"]["compared_by"] == "sha256" and copy["comparison"]["in_sync"]
    assert nights["freshness"]["daily"]["gaps"] == []
    assert [file["path"] for file in counted["inventory"]["files"]] == [f"nightly/{nightly}"]
    assert counted["inventory"]["ignored"] == ["nightly/README"]

    # The same play with one backup that differs there, and one that is only there.
    (victim, *_others) = sorted((bed.copy / "weekly").iterdir())
    good = victim.read_bytes()
    victim.write_bytes(good[::-1])
    extra = add_backup(bed.copy, "monthly", 200)
    kept_back = bed.play("/root/examples.yml", fails=True)
    assert "Fail if the two differ" in kept_back.rpartition("TASK [")[2]
    play[0]["tasks"] = [task for task in tasks if "assert" not in str([*task])]
    bed.host.write("/root/examples.yml", yaml.safe_dump(play, sort_keys=False))
    bed.play("/root/examples.yml")
    comparison = json.loads((bed.host.root / "root/seen.json").read_text())[1]["comparison"]
    assert comparison["different"] == [f"weekly/{victim.name}"]
    assert (comparison["extra"], comparison["missing"]) == ([f"monthly/{extra.name}"], [])
    assert comparison["in_sync"] is False
    victim.write_bytes(good)
    extra.unlink()


Step = Callable[[Bed, str], None]
STEPS: tuple[tuple[str, str, Step], ...] = (
    (DOCUMENT, "ssh-keyscan -t ed25519 -p 22 backup.example.com", pins_what_ssh_keyscan_says),
    (README, "- hosts: production", plays_the_readmes_play_on_a_server_of_somebody_elses),
    (DOCUMENT, "sync-backups-offsite.sh --test-connection", logs_in),
    (DOCUMENT, "sync-backups-offsite.sh --dry-run", lists_and_writes_nothing),
    (DOCUMENT, "sync-backups-offsite.sh", sends_what_is_new),
    ("", "", rotates_its_log),
    ("", "", runs_the_modules_examples),
    (DOCUMENT, "sync-backups-offsite.sh --override GUARD", lets_a_guard_pass_once),
    (DOCUMENT, "keep-offsite-copy.sh CLIENT --accept", a_person_on_the_server_lets_it_through),
    (DOCUMENT, "keep-offsite-copy.sh CLIENT", the_servers_job_has_nothing_to_say),
    (DOCUMENT, "verify-offsite-backups.sh", proves_the_copy_and_finds_what_rotted),
    (DOCUMENT, "repair-offsite.sh", repairs_and_lists_what_is_left),
    (README, "resilience_offsite:", copies_to_further_destinations),
    (DOCUMENT, "# host_vars/production.yml", knows_the_servers_key_from_the_inventory),
    (
        DOCUMENT,
        "ansible-playbook playbooks/stage2_offsite_backup.yml",
        installs_copies_and_verifies,
    ),
    (
        DOCUMENT,
        "ansible-playbook playbooks/rollback_stage2.yml",
        takes_it_back_and_leaves_every_backup,
    ),
)


def test_every_example_is_run_or_named() -> None:
    shown = {(page, name) for page in (DOCUMENT, README) for name in examples(page)}
    run = {(page, name) for page, name, _step in STEPS if page}
    assert run | NOT_RUN.keys() == shown
    assert not run & NOT_RUN.keys()


def test_an_example_that_is_not_run_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Text `of/no.command`.\n```\nsync-backups-offsite.sh --new   # as such\n```\n"
        "```yaml\n- hosts: x\n  roles: []\n```\n```sh\nls\n```\nType `verify-offsite-backups.sh -x`"
    )
    assert [*examples(str(page))] == [
        "sync-backups-offsite.sh --new",
        "- hosts: x",
        "ls",
        "verify-offsite-backups.sh -x",
    ]


@pytest.mark.parametrize(
    ("page", "name", "step"), STEPS, ids=[step.__name__ for _page, _name, step in STEPS]
)
def test_as_it_is_written(bed: Bed, page: str, name: str, step: Step) -> None:
    step(bed, examples(page)[name] if page else "")
