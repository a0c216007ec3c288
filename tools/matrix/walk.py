"""The walk: from the built artifact to a proved restore, a second run and a rollback."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import time
from pathlib import Path

from .bistro import VARIABLES, WITHOUT_NOTIFICATIONS
from .controllers import Controller
from .hosts import Host, ssh

# What a host may keep: its own logs and caches, what PostgreSQL writes, Ansible's folder, and the
# client's key, as docs/getting-started.md says. The crontab is compared by what it holds.
LEFT = (
    *(
        "/proc",
        "/sys",
        "/dev",
        "/run",
        "/tmp",
        "/var/tmp",
        "/var/log",
        "/var/cache",
        "/var/lib/apt",
    ),
    *("/var/lib/postgresql", "/var/spool/cron", "/root/.ansible", "/root/.ssh", "/.old"),
)
SCRIPTS = "/root/restaurante/scripts"
# One task of each stage at which a run may begin.
LATER = (
    "Run the monitor and the dashboard once",
    "Copy the backups",
    "Run a restore drill of the newest backup",
)
# How ansible-core masks what it takes for a secret; 2.22 within words, too.
MASKED = re.compile(r"\$REDACTED|\*{4}|VALUE_SPECIFIED_IN_NO_LOG")
READABLE = (
    *(
        '"owner": "Bistro"',
        '"backup_path": "/srv/dumps"',
        '"config_dir": "/etc/chefwell-resilience"',
    ),
    *('"user": "backupuser"', '"notify": "(hidden)"', "2 2 * * * /root/dump-bistro.sh"),
)
SECRET = ("/ping/", "json://")
SNAPSHOT = "find / -xdev {} ! -type d -printf '%p %m %u %s %T@\\n' | sort; crontab -l"


@dataclasses.dataclass
class Verdict:
    """The result of one host.

    Attributes:
        host: its name.
        problems: what was not as it must be; empty where all was.
        first, second: seconds of the two runs of the play for all hosts.
    """

    host: str
    problems: list[str]
    first: float = 0.0
    second: float = 0.0


def walk(controller: Controller, hosts: list[Host], home: Path) -> list[Verdict]:
    """Walk on all hosts but the last one, which is the backup server."""
    *production, backup = hosts
    write_project(home, hosts)
    before = {host.name: snapshot(host) for host in production}
    verdicts = {host.name: Verdict(host.name, []) for host in production}
    shown, _seconds = play(controller, home, "site", "--check", "--diff")
    (home / "check.log").write_text(shown)
    for host in production:
        verdicts[host.name].problems += _check_mode(host, shown)
        if snapshot(host) != before[host.name]:
            verdicts[host.name].problems.append("--check changed the host")
    first, seconds = play(controller, home, "site")
    (home / "first.log").write_text(first)
    for host in production:
        one = verdicts[host.name]
        one.first = seconds
        one.problems += _first_run(host, backup, first)
    second, seconds = play(controller, home, "site")
    (home / "second.log").write_text(second)
    for host in production:
        verdicts[host.name].second = seconds
        if not _recap(host, second, changed="0"):
            verdicts[host.name].problems.append("the second run changed something, or failed")
    verdicts[production[-1].name].problems += _started_later(controller, home, production[-1])
    back, _seconds = play(controller, home, "rollback_all")
    (home / "rollback.log").write_text(back)
    for host in production:
        left = snapshot(host) ^ before[host.name]
        if left:
            verdicts[host.name].problems.append(f"rollback left {sorted(left)[:5]}")
    return list(verdicts.values())


def play(controller: Controller, home: Path, name: str, *words: str) -> tuple[str, float]:
    """Run a playbook by its full name; return what it printed, and its seconds."""
    started = time.monotonic()
    ended = subprocess.run(
        [
            controller.program("ansible-playbook"),
            "-i",
            "inventory.yml",
            f"chefwell.resilience.{name}",
        ]
        + list(words),
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_COLLECTIONS_PATH": f"{home / 'collections'}:{controller.collections}",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ended.stdout, time.monotonic() - started


def snapshot(host: Host) -> set[str]:
    """Return path, mode, owner, size and time of each file of a host, and its crontab."""
    left_out = " ".join(f"-path {path} -prune -o" for path in LEFT)
    return set(host.run(SNAPSHOT.format(left_out), check=False).splitlines())


def _recap(host: Host, printed: str, *, changed: str) -> bool:
    counts = rf"^{host.name} +: ok=\d+ +changed={changed} +unreachable=0 +failed=0"
    return re.search(counts, printed, re.MULTILINE) is not None


def _check_mode(host: Host, printed: str) -> list[str]:
    """Return what a reader of `--check --diff` cannot read: ordinary words that are masked."""
    if not _recap(host, printed, changed=r"\d+"):
        reason = re.findall(rf"fatal: \[{host.name}[^\n]*", printed)
        return [f"--check failed: {' '.join(reason)[:400]}"]
    lines = [line for line in printed.splitlines() if not line.startswith(("TASK", "PLAY"))]
    problems = [f"masked: {line.strip()}" for line in lines if MASKED.search(line)][:3]
    problems += [f"--diff lacks {word!r}" for word in READABLE if word not in printed]
    return problems + [f"--diff shows {word!r}" for word in SECRET if word in printed]


def _first_run(host: Host, backup: Host, printed: str) -> list[str]:
    problems = []
    if not _recap(host, printed, changed=r"\d+"):
        reason = re.findall(rf"fatal: \[{host.name}[^\n]*", printed)
        return [f"the play failed: {' '.join(reason)[:400]}"]
    report = json.loads(host.run("cat /var/lib/chefwell-resilience/drill/report.json || echo '{}'"))
    if report.get("verdict") != "passed":
        problems.append(f"the drill: {report.get('verdict')} {report.get('problem')}")
    if {"shop_north", "shop_south"} - {one["name"] for one in report.get("schemas", [])}:
        problems.append("the report lacks a tenant")
    copies = backup.run(f"ls -R /backups/{host.name} | grep -c 'bistro-.*sql.gz$'", check=False)
    if copies.strip() != "3":
        problems.append(f"the backup server has {copies.strip()} copies instead of 3")
    for command in ("disk-status", "verify-offsite-backups", "doctor"):
        page = host.run(f"{SCRIPTS}/{command}.sh", check=False)
        if not page or re.search(r"chefwell(?![-._]resilience)", page, re.IGNORECASE):
            problems.append(f"{command}: {page[:200]!r}")
    scheduled = host.run("crontab -l")
    jobs = ("monitor-disk-space", "sync-backups-offsite", "verify-offsite", "test-restore-staging")
    if not all(job in scheduled for job in (*jobs, "/root/dump-bistro.sh")):
        problems.append(f"the crontab is {scheduled!r}")
    return problems + _notified(host, backup)


def _notified(host: Host, backup: Host) -> list[str]:
    """Return what did not arrive of pings and of a test message."""
    problems = []
    if host.name not in WITHOUT_NOTIFICATIONS:
        host.run(f"{SCRIPTS}/monitor-disk-space.sh --test-message", check=False)
    received = [
        line
        for line in backup.run("cat /root/received", check=False).splitlines()
        if line.startswith(f"{host.address} ")
    ]
    for stage in ("disk-monitor", "offsite-backup", "staging-restore"):
        if not any(f"/ping/{stage}" in line for line in received):
            problems.append(f"no ping of {stage} arrived")
    if host.name not in WITHOUT_NOTIFICATIONS and not any("/alert" in line for line in received):
        problems.append("no message arrived")
    return problems


def _started_later(controller: Controller, home: Path, host: Host) -> list[str]:
    """Return what went wrong in runs that begin at a task in the middle."""
    problems = []
    for task in LATER:
        words = ("--check", "--limit", host.name, "--start-at-task", task)
        printed, _seconds = play(controller, home, "site", *words)
        if not _recap(host, printed, changed="0"):
            problems.append(f"--start-at-task {task!r}: {printed[-300:]!r}")
    return problems


def _host_variables(host: Host) -> dict[str, object]:
    own: dict[str, object] = {"ansible_host": host.address}
    return {**own, "resilience_notify": []} if host.name in WITHOUT_NOTIFICATIONS else own


def write_project(home: Path, hosts: list[Host]) -> None:
    """Write what the owner has: an inventory and one file of variables."""
    *production, backup = hosts
    key = backup.key
    common = " ".join(ssh(key)[3:])
    inventory = {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(key),
                "ansible_ssh_common_args": common,
            },
            "children": {
                "production": {"hosts": {one.name: _host_variables(one) for one in production}},
                "backup_servers": {"hosts": {backup.name: {"ansible_host": backup.address}}},
            },
        }
    }
    (home / "inventory.yml").write_text(json.dumps(inventory, indent=1))
    (home / "group_vars").mkdir(exist_ok=True)
    (home / "group_vars" / "production.yml").write_text(json.dumps(VARIABLES, indent=1))
