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
from support.backup_trees import contents
from support.crontab import crontab
from support.http_receiver import Receiver
from support.offsite_client import backups_of
from support.play_host import PlayHost
from support.sshd import Sshd, make_key, sshd_without_keys
from support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
# A later run of the same play needs not begin at its beginning.
FROM_KEYS = ("--start-at-task", "Create and authorize the keys, and pin the servers")
FROM_MARKER = (
    "--start-at-task",
    "Install the stage's configuration, commands and marker, and pin the servers' host keys",
)


def add_backup(backups: Path, tier: str, hours_ago: float) -> str:
    taken = datetime.datetime.now() - datetime.timedelta(hours=hours_ago)
    name = f"chefwell_backup_{taken:%Y%m%d_%H%M%S}.dump.gz"
    (backups / tier / name).write_bytes(os.urandom(3000))
    return f"{tier}/{name}"


class Host(PlayHost):
    """A managed host with a backup tree, and the backup server that takes its copies."""

    def __init__(self, root: Path, server: Sshd) -> None:
        self.server = server
        self.backups = root / "backups"
        self.log = root / "offsite-sync.log"
        self.key = root / "ssh" / "chefwell_backup"
        for number, tier in enumerate(("daily", "weekly", "monthly")):
            (self.backups / tier).mkdir(parents=True)
            add_backup(self.backups, tier, 2 + number)
        super().__init__(
            root,
            inventory="localhost,server,",
            resilience_backup_path=str(self.backups),
        )
        self.destination = {
            "host": "127.0.0.1",
            "port": server.port,
            "user": server.user,
            "path": str(server.backups),
            "host_key": server.host_key,
            "authorized_keys": str(server.authorized_keys),
            "retry_seconds": 0.1,
            "server_kit_dir": str(root / "kit"),
            "server_python": sys.executable,
        }
        self.variables |= self.to()
        # In the inventory of its own name: what Ansible does on the server.
        self.inventoried = {
            "inventory_host": "server",
            "host_key_file": str(server.root / "host_key.pub"),
            "host_key": "",
        }
        self.managed = self.to(**self.inventoried)

    def to(self, *further: dict[str, object], **changes: object) -> dict[str, object]:
        """Return the variable of the destinations, with changes to the first one."""
        first = {**self.destination, **changes}
        return {"resilience_offsite": [first, *further] if further else first}


@pytest.fixture
def server():
    with sshd_without_keys() as made:
        yield made


@pytest.fixture
def host(tmp_path: Path, server: Sshd):
    made = Host(tmp_path, server)
    before = crontab()
    yield made
    if "sync-backups-offsite" in crontab():
        made.play("rollback_stage2.yml")
    assert crontab().strip() == before.strip()


def further(host: Host, server: Sshd, **own: object) -> list[dict[str, object]]:
    """A second folder on the same server, as of another client, and a third place by rclone."""
    conf = host.root / "rclone.conf"
    conf.write_text("[here]\ntype = local\n")
    conf.chmod(0o600)
    own = {**host.destination, **host.inventoried, **own}
    third = {"transport": "rclone", "rclone_remote": f"here:{host.root}/third"}
    return [
        {**own, "name": "second", "path": str(server.root / "second"), "tries": 1},
        {**third, "name": "third", "rclone_config_file": str(conf)},
    ]


def test_converges_syncs_verifies_and_rolls_back(
    host: Host, server: Sshd, receiver: Receiver
) -> None:
    plain = contents(host.backups)
    make_key(server.root / "reader")
    second = server.root / "second"
    third = host.root / "third"
    reported = {"server_notify": [receiver.webhook], "server_ping_url": receiver.check}
    managed = host.to(
        *further(host, server, **reported),
        **host.inventoried,
        **reported,
        read_key=(server.root / "reader.pub").read_text(),
    )
    assert host.play("stage2_offsite_backup.yml", "--check", **managed)["failed"] == 0
    assert not host.key.exists() and not server.backups.exists()

    assert host.play("stage2_offsite_backup.yml", **managed)["changed"] > 0
    assert host.play("stage2_offsite_backup.yml", **managed)["changed"] == 0
    for copy in (server.backups, second, third):
        assert backups_of(copy) == plain
    # One kit serves both clients; each key leads to its own folder and no other.
    kit = host.root / "kit"
    lines = server.authorized_keys.read_text().splitlines()
    gates = [line.split('"')[1] for line in lines]
    ways = ("localhost write", "localhost read", "localhost-second write")
    assert sorted(gates) == sorted(f"{kit}/gate.sh {way}" for way in ways)
    assert all(line.startswith("restrict,command=") for line in lines)
    assert {path.name for path in (kit / "clients").iterdir()} == {
        "localhost.json",
        "localhost-second.json",
    }
    thieves = {"first": host.key, "second": host.key.with_name("chefwell_backup_second")}
    for name, key in {**thieves, "reader": server.root / "reader"}.items():
        other = second if name != "second" else server.backups
        loot = host.root / f"loot-{name}"
        fetched = fetch(server, key, f"{other}/daily", loot)
        assert fetched.returncode != 0 and "refused" in fetched.stderr, fetched.stderr
    assert fetch(server, server.root / "reader", "daily", host.root / "got").returncode == 0
    assert len(list((host.root / "got" / "daily").iterdir())) == 1
    sent = send(server, server.root / "reader", host.backups)
    assert sent.returncode != 0 and "refused" in sent.stderr

    job = f"0 6 * * * {kit}/keep-offsite-copy.sh localhost"
    assert {job, f"{job}-second"} <= set(crontab().splitlines())

    # The server notified the attackers' requests of both folders at once; its daily job does not
    # repeat them.
    def refused() -> list[str]:
        return [one["title"] for one in receiver.messages() if "refused-request" in one["title"]]

    wait_for(lambda: len(refused()) == 2, 60)
    before = len(receiver.requests)
    subprocess.run(["sh", "-c", job.split("* * * ")[1]], check=False, env={})
    assert [action for action, _body in receiver.pings()][-2:] == ["/start", "/fail"]
    for folder in (server.backups, second):
        assert sum(f" {folder}: " in title for title in refused()) == 1
    assert len(receiver.requests) == before + 2
    for client in ("localhost", "localhost-second"):
        cleared = [f"{kit}/keep-offsite-copy.sh", client, "--clear"]
        subprocess.run(cleared, check=True, env={})
    (line,) = [entry for entry in crontab().splitlines() if "sync-backups-offsite" in entry]
    assert line == f"0 4 * * * {host.scripts}/sync-backups-offsite.sh >> {host.log} 2>&1"
    for file in (host.key, host.root / "etc" / "offsite.json", *thieves.values()):
        assert file.stat().st_mode & 0o777 == 0o600

    # T2.5 of the plan: a new backup, a sync by hand, and by the log only it was sent.
    new = add_backup(host.backups, "daily", 0.1)
    before = len(host.log.read_text().splitlines())
    manual = host.command("sync-backups-offsite")
    assert manual.returncode == 0, manual.stdout + manual.stderr
    reported = host.log.read_text().splitlines()[before:]
    assert manual.stdout.splitlines() == reported
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* ", entry) for entry in reported)
    sends = [entry.split(" ", 1)[1] for entry in reported if " envia " in entry]
    assert sends == [f"envia {new}"] * 3

    # As cron runs it: the output goes to the log, and each line is there once.
    (cron,) = re.findall(r"^0 4 \* \* \* (.*)$", crontab(), re.MULTILINE)
    before = len(host.log.read_text().splitlines())
    subprocess.run(["sh", "-c", cron], check=True, env={})
    reported = host.log.read_text().splitlines()[before:]
    # Start, ending and counts of each, and what is weaker with rclone.
    assert sum(" garantia menor: " in entry for entry in reported) == 2
    assert len(reported) == 3 * 3 + 2 and reported[0].endswith(" início")

    page = host.command("verify-offsite-backups")
    assert page.returncode == 0, page.stdout + page.stderr
    assert page.stdout.count("Daily: 2 backups") == 6
    listed = host.command("sync-backups-offsite", "--dry-run")
    assert listed.returncode == 0 and "0 arquivos" in listed.stdout

    copies = {copy: contents(copy) for copy in (server.backups, second, third)}
    local = {**plain, new: (host.backups / new).read_bytes()}
    host.play("rollback_stage2.yml", offsite_backup_remove_key=True, **managed)
    for copy, held in copies.items():
        assert contents(copy) == held
    assert contents(host.backups) == local
    assert "sync-backups-offsite" not in crontab() and "keep-offsite" not in crontab()
    assert not host.scripts.exists() and not kit.exists()
    left = {str(path.relative_to(host.root)) for path in host.root.rglob("*") if path.is_file()}
    mine = ("backups/", "third/", "loot", "got/", "rclone.conf", "offsite-sync.log")
    assert {path for path in left if not path.startswith(mine)} == set()
    assert not any(key.exists() for key in thieves.values())
    assert server.authorized_keys.read_text().strip() == ""
    # On a host where nothing is installed.
    again = host.play("rollback_stage2.yml", offsite_backup_remove_key=True, **managed)
    assert again["changed"] == 0


def shell(server: Sshd, key: Path) -> list[str]:
    """rsync with a key and none of our options."""
    words = ["ssh", "-F", "none", "-p", str(server.port), "-i", str(key), "-o", "BatchMode=yes"]
    words += ["-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={server.known_hosts}"]
    return ["rsync", "-r", "-e", " ".join(words)]


def fetch(server: Sshd, key: Path, what: str, to: Path) -> subprocess.CompletedProcess[str]:
    at = f"{server.user}@127.0.0.1:{what}"
    command = [*shell(server, key), at, f"{to}/"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def send(server: Sshd, key: Path, what: Path) -> subprocess.CompletedProcess[str]:
    command = [*shell(server, key), "--delete", f"{what}/", f"{server.user}@127.0.0.1:incoming/"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_server_that_ansible_does_not_manage(host: Host, server: Sshd) -> None:
    """The key must be authorized by hand: the play prints what to paste, and then goes on."""
    first = host.run("stage2_offsite_backup.yml")
    assert first.returncode != 0
    public = host.key.with_suffix(".pub").read_text().strip()
    output = " ".join(first.stdout.split())
    assert f'gate.sh localhost write" {public}' in output.replace("\\", "")
    # What it prints needs the engine on this host, so that was not removed.
    assert "is left as it is" in output
    wrong = host.run("stage2_offsite_backup.yml", *FROM_KEYS, **host.to(port=1))
    assert wrong.returncode != 0
    assert "nothing listens on that port" in wrong.stdout
    assert "sync-backups-offsite" not in crontab()

    # What was printed, with a pipe where there would be an ssh to root on the server.
    kit = host.root / "kit"
    assert f"tar -C {host.root}/lib -cz chefwell_resilience install-offsite-server.sh" in output
    assert f"sh {kit}/install-offsite-server.sh" in output
    by_hand = (
        f"tar -C {host.root}/lib -cz chefwell_resilience install-offsite-server.sh |"
        f" (mkdir -p {kit} && tar -C {kit} --no-same-owner -xz &&"
        f" sh {kit}/install-offsite-server.sh)"
    )
    for _twice in range(2):
        subprocess.run(["sh", "-c", by_hand], check=True)
    assert server.authorized_keys.read_text().count(public.split()[1]) == 1
    assert crontab().count("keep-offsite-copy.sh") == 1
    without = "crontab -l | grep -v 'keep-offsite-copy.sh\\|offsite copy' | crontab -"
    subprocess.run(["sh", "-c", without], check=True)
    key = host.key.read_bytes()
    host.play("stage2_offsite_backup.yml", *FROM_KEYS)
    assert host.key.read_bytes() == key
    assert len(backups_of(server.backups)) == 3

    # An unmounted tree: the play does not mark what is there now, and nothing is sent.
    host.backups.rename(host.root / "away")
    host.backups.mkdir()
    before = contents(server.backups)
    refused = host.run("stage2_offsite_backup.yml", *FROM_MARKER)
    assert refused.returncode != 0 and "source-marker" in refused.stdout
    assert contents(server.backups) == before
    assert list(host.backups.iterdir()) == []

    # A plain rollback leaves the key where it is.
    host.play("rollback_stage2.yml")
    assert host.key.read_bytes() == key


def test_what_has_no_default_is_required_first(host: Host) -> None:
    """Each destination lacks something else; one run names both."""
    second = {**host.destination, "name": "second", "host_key": ""}
    run = host.run("stage2_offsite_backup.yml", **host.to(second, user=""))
    assert run.returncode != 0
    for key, expected in (("user", "user is not set"), ("host_key", "ssh-keyscan -t ed25519 -p")):
        assert expected in run.stdout and f"{key} is not set" in run.stdout
    assert not host.key.exists()


def test_copies_are_sealed_once_the_offline_key_is_proved(host: Host, server: Sshd) -> None:
    """Until then nothing changes: the configuration before it stays, and copies as before."""
    play = "stage2_offsite_backup.yml"
    plain = contents(host.backups)
    assert host.play(play, **host.managed)["changed"] > 0
    assert backups_of(server.backups) == plain
    offline = host.root / "offline.key"
    made = subprocess.run(
        ["age-keygen", "-o", offline], capture_output=True, text=True, check=True
    ).stderr
    seal = {"recipients": [made.partition(": ")[2].strip()]}

    refused = host.run(play, resilience_seal=seal, **host.managed)
    assert refused.returncode != 0 and "nobody has opened the test file" in refused.stdout
    secret = (host.root / "etc" / "sealing" / "identity").read_text().split()[-1]
    assert "AGE-SECRET-KEY" in secret and secret not in refused.stdout + refused.stderr
    assert host.command("sync-backups-offsite").returncode == 0
    assert backups_of(server.backups) == plain

    proof = json.loads((host.root / "etc" / "sealing" / "proof.json").read_text())
    (test,) = [one["test"] for one in proof.values()]
    assert test.splitlines()[1] in refused.stdout
    word = subprocess.run(
        ["age", "-d", "-i", offline], input=test, capture_output=True, text=True, check=True
    ).stdout.strip()
    seal["opened"] = word
    assert host.play(play, resilience_seal=seal, **host.managed)["changed"] > 0
    assert host.play(play, resilience_seal=seal, **host.managed)["changed"] == 0
    # The plain ones are kept as previous versions.
    held = {name for name in backups_of(server.backups) if not name.startswith("old_")}
    assert {name.removesuffix(".age") for name in held if name.endswith(".age")} == set(
        name for name in plain if name.endswith(".gz")
    )
    assert not [name for name in held if name.endswith(".gz")]
    shown = host.command("seal-keys", "--json")
    assert shown.returncode == 0 and json.loads(shown.stdout)["proofs"][0]["proved"] == "opened"
    fresh = json.loads(host.command("seal-keys", "--new-offline-key", "--json").stdout)
    assert fresh["secret_key"].startswith("AGE-SECRET-KEY-1")
    assert not [one for one in host.root.rglob("*") if one.is_file() and fresh["secret_key"]
                in one.read_text(errors="replace")]  # fmt: skip
    host.play("rollback_stage2.yml", resilience_seal=seal, **host.managed)
    assert not (host.scripts / "seal-keys.sh").exists()
    # The keys stay: without them nobody opens the copies that the server holds.
    assert (host.root / "etc" / "sealing" / "identity").exists()
