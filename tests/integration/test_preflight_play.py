"""Before anything is changed, everything that is wrong or missing is found at once.

Also: one crontab entry among lines of any encoding, and no secret in any output of Ansible.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.ansible_run import run_module
from support.play_host import PlayHost

# Distinctive, and each written otherwise by JSON, HTML or an address.
PASSWORD = 'Zx9"geheim<&>ü'
TOKEN = "a1b2c3d4e5f6a7b8"


@pytest.mark.parametrize("check", [["--check"], []], ids=["check mode", "for real"])
def test_everything_is_found_at_once_and_nothing_is_touched(
    tmp_path: Path, check: list[str]
) -> None:
    host = PlayHost(
        tmp_path / "host",
        disk_monitor_warning=300,
        resilience_backup_path=str(tmp_path / "no backups"),
        resilience_offsite={
            **{"host": "127.0.0.1", "port": 1, "user": "nobody-of-this-name", "path": "/b"},
            **{"inventory_host": "localhost", "server_python": "/usr/bin/true"},
        },
        staging_restore_engine="embedded",
        staging_restore_bin_dir=str(tmp_path),
    )
    run = host.run("site.yml", *check)
    assert run.returncode != 0
    (fatal,) = (line for line in run.stdout.splitlines() if line.startswith("fatal:"))
    found = json.loads(fatal.partition("=> ")[2])["msg"].splitlines()
    for words in (
        "a threshold is neither a percentage above 0 and up to 100 nor a size"
        " [disk_monitor_warning=300] - give a number such as 70",
        f"{tmp_path}/no backups: No such file or directory [resilience_backup_path]; mount or make",
        "127.0.0.1, port 1, cannot be reached from this host: Connection refused",
        "the folder lacks PostgreSQL's",
        "On the backup server localhost: /usr/bin/true is not Python 3.9 or newer",
        "useradd --create-home --shell /bin/sh nobody-of-this-name",
    ):
        assert sum(words in line for line in found) == 1, (words, found)
    assert len(found) == 6, found
    assert not (tmp_path / "host").exists()


@pytest.mark.parametrize("playbook", ["stage1_disk_monitor", "stage3_staging_restore"])
def test_a_stage_that_runs_alone_looks_first_too(tmp_path: Path, playbook: str) -> None:
    host = PlayHost(
        tmp_path / "host",
        resilience_backup_path=str(tmp_path / "no backups"),
        staging_restore_engine="embedded",
    )
    run = host.run(f"{playbook}.yml", "--check")
    assert run.returncode != 0
    (fatal,) = (line for line in run.stdout.splitlines() if line.startswith("fatal:"))
    (found,) = json.loads(fatal.partition("=> ")[2])["msg"].splitlines()
    assert found.startswith(f"{tmp_path}/no backups: No such file or directory"), found
    assert not (tmp_path / "host").exists()


def test_a_wrong_variable_leaves_a_working_host_as_it_is(tmp_path: Path) -> None:
    host = PlayHost(
        tmp_path,
        resilience_backup_path=str(tmp_path),
        disk_monitor_paths=[str(tmp_path)],
        disk_monitor_cron_enabled=False,
        resilience_language="en",
        resilience_ping_url=f"http://127.0.0.1:9/{TOKEN}",
    )
    shown = host.run("stage1_disk_monitor.yml", "-vvv", "--diff")
    assert shown.returncode == 0, shown.stdout
    # What is no secret is readable, and the secret is nowhere.
    assert TOKEN not in shown.stdout + shown.stderr
    assert '"backup_path"' in shown.stdout and "(hidden)" in shown.stdout
    before = (tmp_path / "etc" / "disk.json").read_bytes()
    for wrong, words in (
        ({"disk_monitor_hysteresis": -3}, ["--check"]),
        ({"resilience_notify": ["json://"]}, ["--check"]),
        ({"resilience_notify": ["json://"]}, []),
    ):
        run = host.run("stage1_disk_monitor.yml", *words, **wrong)
        assert run.returncode != 0, (wrong, run.stdout)
        assert "Traceback" not in run.stdout and "One or more items" not in run.stdout
        assert next(iter(wrong)).split("_")[-1] in run.stdout
    assert (tmp_path / "etc" / "disk.json").read_bytes() == before
    assert host.command("monitor-disk-space", "--check").stdout == "the configuration is right\n"
    well = host.command("doctor")
    assert (well.returncode, "has what its stages need" in well.stdout) == (0, True), well
    (tmp_path / "etc" / "disk.json").write_text('{"state_dir": "/s", "backup_path": "/nowhere"}')
    ill = host.command("doctor", "--json")
    assert ill.returncode == 2 and "/nowhere" in json.loads(ill.stdout)["problems"][0]


def test_secrets_are_in_no_output_and_in_no_diff(tmp_path: Path) -> None:
    config = {"owner": "Bistro", "notify": [f"json://cook:{PASSWORD}@h/"], "language": "en"}
    stage = {
        "config_file": str(tmp_path / "etc" / "disk.json"),
        "config": config,
        "secrets": [config["notify"][0], PASSWORD],
        "secret_options": ["notify"],
        "scripts_dir": str(tmp_path / "scripts"),
        "commands": ["disk-status"],
        "python": sys.executable,
        "lib_dir": str(tmp_path / "lib"),
    }
    first = run_module("stage_install", "-vvv", "--diff", **stage)
    other = {**config, "notify": [f"json://cook:old{TOKEN}@h/"], "owner": "Cantina"}
    stage |= {"config": other, "secrets": [other["notify"][0]]}
    second = run_module("stage_install", "-vvv", "--diff", **stage)
    for shown in (first["output"], second["output"]):
        assert "geheim" not in shown and TOKEN not in shown and "(hidden" in shown
    # Ordinary words stay readable: ansible-core 2.22 masks what it is given even within words.
    assert '"owner": "Bistro"' in first["output"] and '+    "owner": "Cantina"' in second["output"]


def test_a_crontab_is_bytes(tmp_path: Path) -> None:
    own = b"# caf\xe9 of the owner\n1 2 * * * /root/d\xfcmp.sh\n"
    subprocess.run(["crontab", "-"], input=own, check=True)
    entry = {"name": "chefwell.resilience disk monitor", "job": "/opt/scripts/monitor.sh"}
    try:
        assert run_module("cron_entry", "--diff", cron_entries=[entry])["changed"]
        assert not run_module("cron_entry", cron_entries=[entry])["changed"]
        moved = {**entry, "job": "/srv/scripts/monitor.sh"}
        assert run_module("cron_entry", cron_entries=[moved])["lines"] == 4
        listed = subprocess.run(["crontab", "-l"], capture_output=True, check=True).stdout
        assert listed.startswith(own) and b"/opt/scripts" not in listed
        assert run_module("cron_entry", cron_entries=[{**moved, "state": "absent"}])["changed"]
        listed = subprocess.run(["crontab", "-l"], capture_output=True, check=True).stdout
        assert listed == own
    finally:
        subprocess.run(["crontab", "-r"], check=False)
