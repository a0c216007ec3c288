"""Stage 2 as a user runs it: the playbook, the commands it installs, and its rollback."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sshd import Sshd

ROOT = Path(__file__).resolve().parents[2]
# A later run of the same play needs not begin at its beginning.
FROM_KEYS = ("--start-at-task", "Look for the key's folder")
FROM_MARKER = (
    "--start-at-task",
    "See whether this is a first installation on a tree that is there",
)


def crontab() -> str:
    return subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout


def add_backup(backups: Path, tier: str, hours_ago: float) -> str:
    taken = datetime.datetime.now() - datetime.timedelta(hours=hours_ago)
    name = f"chefwell_backup_{taken:%Y%m%d_%H%M%S}.dump.gz"
    (backups / tier / name).write_bytes(os.urandom(3000))
    return f"{tier}/{name}"


class Host:
    """This machine, with every path of the plan moved under one folder, and a backup server."""

    def __init__(self, root: Path, server: Sshd) -> None:
        self.root = root
        self.server = server
        self.scripts = root / "scripts"
        self.backups = root / "backups"
        self.log = root / "offsite-sync.log"
        self.key = root / "ssh" / "chefwell_backup"
        for number, tier in enumerate(("daily", "weekly", "monthly")):
            (self.backups / tier).mkdir(parents=True)
            add_backup(self.backups, tier, 2 + number)
        self.variables = {
            "resilience_hosts": "localhost",
            "resilience_become": False,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "host_kit_python": sys.executable,
            "host_kit_lib_dir": str(root / "lib"),
            "host_kit_config_dir": str(root / "etc"),
            "host_kit_state_dir": str(root / "state"),
            "host_kit_scripts_dir": str(self.scripts),
            "offsite_backup_server_host": "127.0.0.1",
            "offsite_backup_server_port": server.port,
            "offsite_backup_server_user": server.user,
            "offsite_backup_server_path": str(server.backups),
            "offsite_backup_host_key": server.host_key,
            "offsite_backup_key_file": str(self.key),
            "offsite_backup_path": str(self.backups),
            "offsite_backup_log_file": str(self.log),
            "offsite_backup_retry_seconds": 0.1,
            "offsite_backup_logrotate_file": str(root / "logrotate.conf"),
            "offsite_backup_server_kit_dir": str(root / "kit"),
            "offsite_backup_server_python": sys.executable,
            "offsite_backup_server_authorized_keys": str(server.authorized_keys),
        }
        # In the inventory of its own name: what Ansible does on the server.
        self.managed = {
            "offsite_backup_server_inventory_host": "server",
            "offsite_backup_server_host_key_file": str(server.root / "host_key.pub"),
            "offsite_backup_host_key": "",
        }

    def run(
        self, playbook: str, *arguments: str, **more: object
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                "-i",
                "localhost,server,",
                "-e",
                json.dumps({**self.variables, **more}),
                *arguments,
                str(ROOT / "playbooks" / playbook),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "1",
                "LC_ALL": "C.UTF-8",
            },
        )

    def play(self, playbook: str, *arguments: str, **more: object) -> dict[str, int]:
        """Runs a playbook and returns its recap; a failed play fails the test."""
        run = self.run(playbook, *arguments, **more)
        assert run.returncode == 0, run.stdout + run.stderr
        recap = re.search(r"^localhost +: (.*)$", run.stdout, re.MULTILINE)
        assert recap, run.stdout
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", recap[1])}

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs an installed command as cron would: no PATH, no locale."""
        return subprocess.run(
            [str(self.scripts / f"{name}.sh"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={},
        )


@pytest.fixture
def server():
    made = Sshd()
    made.authorized_keys.write_text("")
    made.start()
    yield made
    made.remove()


@pytest.fixture
def host(tmp_path: Path, server: Sshd):
    made = Host(tmp_path, server)
    before = crontab()
    yield made
    if "sync-backups-offsite" in crontab():
        made.play("rollback_stage2.yml")
    assert crontab().strip() == before.strip()


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def backups_in(folder: Path) -> dict[str, bytes]:
    """The copy without what the server keeps of its own."""
    return {path: body for path, body in files(folder).items() if not path.startswith(".chefwell/")}


def test_converges_syncs_verifies_and_rolls_back(host: Host, server: Sshd) -> None:
    plain = files(host.backups)
    assert host.play("stage2_offsite_backup.yml", "--check", **host.managed)["failed"] == 0
    assert not host.key.exists() and not server.backups.exists()

    assert host.play("stage2_offsite_backup.yml", **host.managed)["changed"] > 0
    assert host.play("stage2_offsite_backup.yml", **host.managed)["changed"] == 0
    assert backups_in(server.backups) == {**plain}
    gate = f'restrict,command="{host.root}/kit/gate.sh write" ssh-ed25519 '
    assert server.authorized_keys.read_text().startswith(gate)
    job = f"0 6 * * * {host.root}/kit/keep-offsite-copy.sh"
    assert job in crontab().splitlines()
    subprocess.run(["sh", "-c", job.split("* * * ")[1]], check=True, env={})
    (line,) = [entry for entry in crontab().splitlines() if "sync-backups-offsite" in entry]
    assert line == f"0 4 * * * {host.scripts}/sync-backups-offsite.sh >> {host.log} 2>&1"
    for file in (host.key, host.root / "etc" / "offsite.json"):
        assert file.stat().st_mode & 0o777 == 0o600

    # T2.5 of the plan: a new backup, a sync by hand, and the log tells that only it was sent.
    new = add_backup(host.backups, "daily", 0.1)
    before = len(host.log.read_text().splitlines())
    manual = host.command("sync-backups-offsite")
    assert manual.returncode == 0, manual.stdout + manual.stderr
    told = host.log.read_text().splitlines()[before:]
    assert manual.stdout.splitlines() == told
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* ", entry) for entry in told)
    assert [entry.split(" ", 1)[1] for entry in told if " send " in entry] == [f"send {new}"]

    # As cron runs it: the output goes to the log, and each line is there once.
    (cron,) = re.findall(r"^0 4 \* \* \* (.*)$", crontab(), re.MULTILINE)
    before = len(host.log.read_text().splitlines())
    subprocess.run(["sh", "-c", cron], check=True, env={})
    told = host.log.read_text().splitlines()[before:]
    assert len(told) == 3 and told[0].endswith(" start")

    page = host.command("verify-offsite-backups")
    assert page.returncode == 0, page.stdout + page.stderr
    assert "Daily: 2 backups" in page.stdout
    listed = host.command("sync-backups-offsite", "--dry-run")
    assert listed.returncode == 0 and "0 files" in listed.stdout

    copy, ours = files(server.backups), {**plain, new: (host.backups / new).read_bytes()}
    host.play("rollback_stage2.yml", offsite_backup_remove_key=True, **host.managed)
    assert files(server.backups) == copy
    assert files(host.backups) == ours
    assert "sync-backups-offsite" not in crontab() and "keep-offsite" not in crontab()
    assert not host.scripts.exists() and list((host.root / "kit").iterdir()) == []
    assert not (host.root / "lib").exists()
    assert not host.key.exists() and server.authorized_keys.read_text().strip() == ""
    # On a host where nothing is installed.
    again = host.play("rollback_stage2.yml", offsite_backup_remove_key=True, **host.managed)
    assert again["changed"] == 0


def test_a_server_of_somebody_elses(host: Host, server: Sshd) -> None:
    """The key must be let in by hand: the play says what to paste, and goes on from there."""
    first = host.run("stage2_offsite_backup.yml")
    assert first.returncode != 0
    public = host.key.with_suffix(".pub").read_text().strip()
    told = " ".join(first.stdout.split())
    assert f'gate.sh write" {public}' in told.replace("\\", "")
    # What it says to do needs the engine on this host: it was not taken back.
    assert "is left as it is" in told
    wrong = host.run("stage2_offsite_backup.yml", *FROM_KEYS, offsite_backup_server_port=1)
    assert wrong.returncode != 0
    assert "nothing listens on that port" in wrong.stdout
    assert "sync-backups-offsite" not in crontab()

    # What was printed, with a pipe where there would be an ssh to root on the server.
    kit = host.root / "kit"
    assert f"tar -C {host.root}/lib -cz chefwell_resilience install-offsite-server.sh" in told
    assert f"sh {kit}/install-offsite-server.sh" in told
    by_hand = (
        f"tar -C {host.root}/lib -cz chefwell_resilience install-offsite-server.sh |"
        f" (mkdir -p {kit} && tar -C {kit} --no-same-owner -xz &&"
        f" sh {kit}/install-offsite-server.sh)"
    )
    for _twice in range(2):
        subprocess.run(["sh", "-c", by_hand], check=True)
    assert server.authorized_keys.read_text().count(public.split()[1]) == 1
    assert crontab().count("keep-offsite-copy.sh") == 1
    subprocess.run(
        ["sh", "-c", "crontab -l | grep -v keep-offsite-copy.sh | crontab -"], check=True
    )
    key = host.key.read_bytes()
    host.play("stage2_offsite_backup.yml", *FROM_KEYS)
    assert host.key.read_bytes() == key
    assert len(backups_in(server.backups)) == 3

    # An unmounted tree: the play does not mark what is there now, and nothing is sent.
    host.backups.rename(host.root / "away")
    host.backups.mkdir()
    before = files(server.backups)
    refused = host.run("stage2_offsite_backup.yml", *FROM_MARKER)
    assert refused.returncode != 0 and "source-marker" in refused.stdout
    assert files(server.backups) == before
    assert list(host.backups.iterdir()) == []

    # A plain rollback leaves the key where it is.
    host.play("rollback_stage2.yml")
    assert host.key.read_bytes() == key


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("offsite_backup_server_user", "", "offsite_backup_server_user is not set"),
        ("offsite_backup_host_key", "", "ssh-keyscan -t ed25519 -p"),
    ],
)
def test_what_has_no_default_is_asked_for_first(
    host: Host, variable: str, value: object, said: str
) -> None:
    run = host.run("stage2_offsite_backup.yml", **{variable: value})
    assert run.returncode != 0
    assert said in run.stdout and variable in run.stdout
    assert not host.key.exists()
