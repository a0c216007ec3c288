"""Faults around one stage: E1, E2 (checkpoints), E4 (rollbacks), E7 (hosts that lack something)."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fault_log import Fault
from support.filesystems import enter_private_mounts, private_crontabs, run
from support.plan_host import Layout, Plan
from support.play_host import PlayHost
from testbed import Testbed

OWN_CRON = "7 3 * * * /usr/local/bin/mine # chefwell.resilience is not named by this one\n"


@pytest.fixture
def plan(bed: Testbed, tmp_path: Path) -> Iterator[Plan]:
    """A fresh host with things of its user's, cron lines among them; production is shared."""
    made = Plan(Layout(tmp_path / "root"), bed)
    postgres, backend = bed.record["postgres"], bed.record["backend"]
    named = ("host", "port", "user", "password", "dbname")
    made.add(
        checkpoint_api_url=backend["url"],
        checkpoint_api_email=bed.record["users"][0]["email"],
        checkpoint_api_password=bed.record["users"][0]["password"],
        checkpoint_items=["login", "products", "dashboard", "postgres"],
        checkpoint_postgres={name: postgres[name] for name in named},
        checkpoint_tries=1,
    )
    host = made.layout.host
    for path, text in (
        ("root/restaurante/scripts/mine.sh", "#!/bin/sh\n"),
        ("root/.ssh/id_ed25519", "a key of the user's\n"),
        ("root/.ssh/authorized_keys", "ssh-ed25519 AAAA the.users.own\n"),
    ):
        (host / path).parent.mkdir(parents=True, exist_ok=True)
        (host / path).write_text(text)
    with private_crontabs():
        subprocess.run(["crontab", "-"], input=OWN_CRON, text=True, check=True)
        yield made
        made.remove()


@contextlib.contextmanager
def products_gone(bed: Testbed) -> Iterator[None]:
    """Production without its flagship's products, for the block."""
    _sql(bed, "ALTER TABLE tenant_chefwell.products RENAME TO gone")
    try:
        yield
    finally:
        _sql(bed, "ALTER TABLE tenant_chefwell.gone RENAME TO products")


def _sql(bed: Testbed, statement: str) -> None:
    with contextlib.closing(bed.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        connection.commit()


def crontab() -> str:
    return subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=True).stdout


def final(output: str) -> str:
    """The message with which the play ended."""
    *_others, last = re.findall(r'^fatal: \[\S+\]: FAILED! => \{.*"msg": "(.*)"\}$', output, re.M)
    return str(last)


def test_e1_an_item_fails_after_a_stage(fault: Fault, plan: Plan) -> None:
    with contextlib.ExitStack() as broken:
        running, before = plan.run_until("Copy the backups")
        broken.enter_context(products_gone(plan.bed))
        fault.cause("the products' table is renamed while stage 2 copies the backups")
        output = "".join(before) + running.communicate()[0]
    printed = final(output)
    fault.see(
        f"exit {running.returncode}: {printed}",
        holds=running.returncode != 0
        and "The stage was rolled back, earlier stages stay" in printed
        and "Products load: failed" in printed,
    )
    scripts = plan.layout.scripts
    there = {name: (scripts / f"{name}.sh").exists() for name in ("disk-status", "mine")}
    gone = {
        name: not (scripts / f"{name}.sh").exists()
        for name in ("sync-backups-offsite", "verify-offsite-backups", "test-restore-staging")
    }
    lines = crontab()
    fault.see(
        f"there: {there}; not there: {gone}; cron: {lines.count('monitor-disk-space')} line of"
        f" stage 1, {lines.count('sync-backups')} of stage 2",
        holds=all(there.values())
        and all(gone.values())
        and OWN_CRON in lines
        and "monitor-disk-space" in lines
        and "sync-backups" not in lines,
    )
    fault.see("stage 3 did not start", holds="PLAY [Stage 3" not in output)


def test_e2_an_item_fails_before_a_stage(fault: Fault, plan: Plan) -> None:
    before, lines = plan.held(), crontab()
    fault.cause("the products' table is renamed before site.yml runs")
    with products_gone(plan.bed):
        recap, output = plan.run()
    printed = final(output)
    fault.see(
        f"{recap.failed} failed, {recap.changed} changed: {printed}",
        holds=recap.failed == 1
        and recap.changed == 0
        and "does not start, nothing was touched" in printed
        and "Products load: failed" in printed,
    )
    fault.see(
        "the host is as it was, no later stage started",
        holds=plan.held() == before and crontab() == lines and "PLAY [Stage 2" not in output,
    )


def test_e4_rollback_of_nothing_of_half_and_twice(fault: Fault, plan: Plan) -> None:
    before, lines = plan.held(), crontab()
    backups = sorted(Path(plan.bed.record["backups"]).rglob("*"))
    fault.cause("rollback_all.yml where nothing was installed")
    none, output = plan.run(playbook="rollback_all.yml")
    fault.see(
        f"{none.failed} failed, {none.changed} changed",
        holds=none.failed == none.changed == 0 and plan.held() == before,
    )
    plan.interrupt("Test the connection", signal.SIGKILL)
    half = set(plan.held()) - set(before)
    fault.cause(f"rollback_all.yml where site.yml was killed in stage 2, with {len(half)} files")
    done, output = plan.run(
        "--extra-vars", "offsite_backup_remove_key=true", playbook="rollback_all.yml"
    )
    left = set(plan.held()) ^ set(before)
    fault.see(
        f"{done.failed} failed, {done.changed} changed, left or lost: {sorted(left) or 'nothing'}",
        holds=done.failed == 0 and done.changed > 0 and not left and len(half) > 50,
    )
    fault.cause("and once more")
    twice, output = plan.run(playbook="rollback_all.yml")
    fault.see(
        f"{twice.failed} failed, {twice.changed} changed",
        holds=twice.failed == twice.changed == 0 and plan.held() == before,
    )
    kept = (plan.layout.host / "root/.ssh/authorized_keys").read_text()
    fault.see(
        "the user's cron line, key and script stay, and so do the backups",
        holds=crontab() == lines == OWN_CRON
        and "the.users.own" in kept
        and sorted(Path(plan.bed.record["backups"]).rglob("*")) == backups,
    )


@contextlib.contextmanager
def covered(*covers: tuple[str, str]) -> Iterator[None]:
    """Each path shows another file, to this process and its children alone."""
    enter_private_mounts()
    for path, file in covers:
        run("mount", "--bind", file, os.path.realpath(path))
    try:
        yield
    finally:
        for path, _file in covers:
            run("umount", os.path.realpath(path))


def assert_refused(
    fault: Fault, host: PlayHost, playbook: str, *words: str, **more: object
) -> None:
    """The play ends with one message that holds these words, and has left nothing."""
    ended = host.run(playbook, **more)
    output = final(ended.stdout)
    left = sorted(str(path.relative_to(host.root)) for path in host.root.rglob("*"))
    fault.see(
        f"exit {ended.returncode}: {output}; left: {left or 'nothing'}",
        holds=ended.returncode != 0 and all(word in output for word in words) and not left,
    )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PlayHost]:
    root = tmp_path / "host"
    root.mkdir()
    with private_crontabs():
        yield PlayHost(
            root,
            disk_monitor_backup_path=str(root),
        )


def test_e7_an_unsupported_system(fault: Fault, host: PlayHost, tmp_path: Path) -> None:
    # There is no other system here; the file with this one's name is covered by another.
    other = tmp_path / "os-release"
    other.write_text('ID=alpine\nPRETTY_NAME="Alpine Linux v3.22"\n')
    fault.cause("the host says that it is Alpine Linux v3.22")
    with covered(("/etc/os-release", str(other))):
        words = ("Alpine Linux v3.22 is not supported", "Debian 11", "host_kit_any_system")
        assert_refused(fault, host, "stage1_disk_monitor.yml", *words)


def test_e7_a_missing_library(fault: Fault, host: PlayHost, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    fault.cause("notifications are configured, and the interpreter lacks apprise")
    python = str(bare / "bin" / "python")
    words = (
        f"{python} lacks apprise, psutil",
        "Install apprise, python3-psutil (Debian",
        "host_kit_python",
    )
    more = {"host_kit_python": python, "disk_monitor_notify": ["json://127.0.0.1:1/"]}
    assert_refused(fault, host, "stage1_disk_monitor.yml", *words, **more)


def test_e7_no_docker(fault: Fault, host: PlayHost, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.touch(mode=0o644)
    places = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
    docker = [f"{place}/docker" for place in places if os.path.exists(f"{place}/docker")]
    fault.cause(f"stage 3 is to use Docker, and the host has none ({len(docker)} programs covered)")
    with covered(*((path, str(nothing)) for path in docker)):
        words = ("docker: not found", "Install docker.io", "staging_restore_engine")
        compose = {"staging_restore_engine": "compose"}
        assert_refused(fault, host, "stage3_staging_restore.yml", *words, **compose)


def test_e7_no_privilege(fault: Fault, host: PlayHost) -> None:
    fault.cause("Ansible is nobody on the host, who may write nowhere")
    assert_refused(
        fault,
        host,
        "stage1_disk_monitor.yml",
        "nobody may not write in",
        "resilience_become",
        ansible_python_interpreter="/usr/bin/python3",
        host_kit_python="/usr/bin/python3",
        resilience_become=True,
        ansible_become_user="nobody",
        ansible_become_method="su",
        ansible_become_flags="-s /bin/sh",
    )
