"""Stage 1's examples and the plan's tests as they are written, on a copy of this machine.

The README's play with Debian's own interpreter, which apt gives what it lacks; the module's
examples; the document's commands; the plan's T1.1 to T1.4 and its rollback.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.filesystems import run
from support.host_copy import HostCopy, host_copy
from support.http_receiver import Receiver, receiving
from support.markdown import page_blocks

ROOT = Path(__file__).resolve().parents[2]

from plan import plan_text

LACKS = "/usr/bin/python3 -c 'import apprise'"
SCRIPTS = "/root/restaurante/scripts"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[HostCopy]:
    """The copy after the README's play: what the play names is there, and apprise was not."""
    with host_copy(tmp_path_factory.mktemp("copy")) as copy:
        copy.run("dpkg --remove --force-depends apprise")
        assert copy.run(LACKS).returncode != 0
        copy.write("/root/backups/.keep", "")
        for number, tier in enumerate(("daily", "weekly", "monthly")):
            for night in range(7 - number * 2):
                name = f"chefwell_backup_202511{20 - night:02}_030000.dump.gz"
                copy.write(f"/root/backups/{tier}/{name}", "x" * 4096)
        for name in ("srv/old", "srv/uploads", "var/lib/postgresql"):
            (copy.root / name).mkdir(parents=True, exist_ok=True)
        database = copy.root / "var/lib/postgresql"
        run("mount", "-t", "tmpfs", "-o", "size=60G", "database", str(database))
        (play,) = page_blocks("roles/disk_monitor/README.md", "yaml")
        copy.write("/root/play.yml", play.text)
        copy.play(
            "/root/play.yml",
            ansible_become=False,
            # Instead of the example's addresses, which do not exist.
            disk_monitor_notify=[receiver.webhook],
            disk_monitor_ping_url=receiver.check,
        )
        yield copy


def test_apt_brings_what_debians_interpreter_lacks(host: HostCopy, receiver: Receiver) -> None:
    assert host.run(LACKS).returncode == 0
    assert host.must("dpkg-query -W -f '${Status}' apprise") == "install ok installed"
    assert receiver.pings()[0][0] == "/start"


def test_the_plans_tests_word_for_word(host: HostCopy) -> None:
    host.must("rm -f /var/log/chefwell-disk-monitor.log")
    tests = {test.id: test for test in plan_text.tests()}
    reported = {}
    for name in ("T1.1", "T1.2", "T1.3", "T1.4"):
        for command in tests[name].commands:
            done = host.run(command)
            # The level of this machine's own disks is no error of the monitor's.
            assert done.returncode in (0, 1, 2), f"{command}\n{done.stdout}{done.stderr}"
            assert done.stderr == "", f"{command}\n{done.stderr}"
            reported[name] = done.stdout
    assert reported["T1.1"].count("level=") == reported["T1.2"].count("level=") > 3
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", reported["T1.2"])
    assert (
        "Daily: 7 backups (28 KB)" in reported["T1.3"] and "Total: 15 backups" in reported["T1.3"]
    )
    assert (
        "📊 STATUS DO SISTEMA:" in reported["T1.3"] and "   Root Filesystem: " in reported["T1.3"]
    )
    assert reported["T1.4"].splitlines() == plan_text.cron_lines(1)
    for path in plan_text.files_created(1):
        host.must(f"test -f {path}")


def test_the_commands_of_the_document(host: HostCopy) -> None:
    (block,) = [
        block.text
        for block in page_blocks("docs/stage1-disk-monitor.md", "")
        if SCRIPTS in block.text
    ]
    commands = [re.split(r"\s{2,}", line)[0] for line in block.splitlines() if line.strip()]
    assert len(commands) == 7
    for command in commands:
        # In the foreground: else the signal comes twice, and the second one may meet the exit.
        watched = "timeout --foreground --preserve-status -s INT 4 "
        limit = watched if "--watch" in command else ""
        done = host.run(limit + command)
        assert done.returncode in (0, 1, 2), f"{command}\n{done.stdout}{done.stderr}"
        if "--json" in command:
            seen = json.loads(done.stdout)
            held = {target["path"]: target["bytes_used"] for target in seen["targets"]}
            # 15 backups of a block each, on the overlay that the copy's root is.
            assert held["/root/backups"] >= 15 * 4096
            assert seen["tiers"]["daily"]["bytes_used"] >= 7 * 4096
        elif "--nagios" in command:
            assert re.match(r"DISK (OK|WARNING|CRITICAL) - .+ \| .+B;\d+;\d+;0;\d+", done.stdout)
        elif "--check" in command:
            assert done.stdout == "a configuração está correta\n"
        else:
            assert "level=" in done.stdout or "CHEFWELL - DISK SPACE MONITOR" in done.stdout


def test_the_modules_examples(host: HostCopy) -> None:
    module = importlib.import_module(
        "ansible_collections.chefwell.resilience.plugins.modules.disk_usage_check"
    )
    tasks = yaml.safe_load(module.EXAMPLES)
    assert len(tasks) == 3
    for number, task in enumerate(tasks):
        task["register"] = f"seen_{number}"
    report = {
        "ansible.builtin.copy": {
            "dest": "/root/seen.json",
            "content": "{{ [seen_0, seen_1, seen_2] | to_json }}",
        }
    }
    play = [{"hosts": "production", "gather_facts": False, "tasks": [*tasks, report]}]
    host.write("/root/examples.yml", yaml.safe_dump(play))
    host.play("/root/examples.yml")
    seen = json.loads((host.root / "root/seen.json").read_text())
    paths = [[target["path"] for target in result["targets"]] for result in seen]
    assert "/" in paths[0]
    assert paths[1:] == [["/", "/root/backups"], ["/var/lib/postgresql", "/srv/uploads"]]
    assert all(result["changed"] is False for result in seen)
    reported = yaml.safe_load(module.RETURN)
    for result in seen:
        assert {*reported} <= {*result}
        for target in result["targets"]:
            assert {*target} == {*reported["targets"]["contains"]}
    for tier in seen[1]["tiers"].values():
        assert {*tier} == {*reported["tiers"]["contains"]}


def test_the_rollback_leaves_what_was_there(host: HostCopy) -> None:
    host.must("(crontab -l; echo '5 4 * * * /usr/local/bin/own') | crontab -")
    host.play(str(ROOT / "playbooks" / "rollback_stage1.yml"), resilience_become=False)
    for path in [*plan_text.files_created(1), "/etc/chefwell-resilience/disk.json"]:
        assert host.run(f"test -e {path}").returncode != 0, path
    # No other stage is there, so the kit goes as well.
    for path in ("/usr/local/lib", "/etc", "/var/lib", "/run"):
        assert host.run(f"test -e {path}/chefwell-resilience").returncode != 0, path
    assert host.must("crontab -l").splitlines()[-1:] == ["5 4 * * * /usr/local/bin/own"]
    assert "monitor-disk-space" not in host.must("crontab -l")
    assert host.must("ls /root/backups/daily").count("chefwell_backup_") == 7
