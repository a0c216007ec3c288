"""What a stage needs of a host, and what of it is missing there."""

from __future__ import annotations

import dataclasses
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.commands import commands_doctor
from ansible_collections.chefwell.resilience.plugins.module_utils.common.settings import parse
from ansible_collections.chefwell.resilience.plugins.module_utils.disk.disk_settings import (
    DiskSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_config import (
    DestinationSettings,
    OffsiteSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.preflight import (
    host_problems,
    packages,
    stage_needs,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.restore_settings import (
    RestoreSettings,
)

CLASSES = {
    "disk_monitor": DiskSettings,
    "offsite_backup": OffsiteSettings,
    "staging_restore": RestoreSettings,
}


def needs(stage: str, config: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """What a stage with these options needs, without a folder of backups unless they name one."""
    host = {"state_dir": "/s", "config_dir": "/c", "scripts_dir": "/p", "backup_path": ""}
    kind = CLASSES[stage]
    names = {field.name for field in dataclasses.fields(kind)}
    known = {key: value for key, value in host.items() if key in names}
    return stage_needs.needs_of(parse({**known, **config}, kind), **more)


def names(stage: str, config: dict[str, Any], **more: Any) -> set[str]:
    return {str(need.get("name", need["kind"])) for need in needs(stage, config, **more)}


def test_a_stage_needs_what_its_options_use() -> None:
    assert names("disk_monitor", {}) == {"psutil"}
    monitored = {"notify": ["json://x"], "metrics_file": "/m", "backup_path": "/b"}
    assert names("disk_monitor", monitored, scheduled=True) == {
        *("psutil", "crontab", "apprise", "prometheus_client", "folder")
    }
    offsite = {"destinations": [{"host": "backup", "port": 22}], "backup_path": "/b"}
    assert names("offsite_backup", offsite) == {"folder", "reach", "rsync", "ssh", "ssh-keygen"}
    (reach,) = (one for one in needs("offsite_backup", offsite) if one["kind"] == "reach")
    default = DestinationSettings()
    assert (reach["port"], reach["seconds"]) == (default.port, default.connect_seconds)
    rclone = {"destinations": [{"transport": "rclone"}]}
    assert names("offsite_backup", rclone) == {"rclone"}
    embedded = {"engine": "embedded", "sandbox": True, "source": "offsite", "runbook": ""}
    assert names("staging_restore", embedded) == {"psycopg2", "psutil", "bwrap", "postgres"}
    compose = {"engine": "compose", "runbook": "/r", "source": "offsite"}
    assert names("staging_restore", compose) == {
        *("psycopg2", "jinja2", "docker", "docker program")
    }


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"backend_build": "/srv/app"}, "/srv/app"),
        ({"backend_build": "app", "dir": "/srv/staging"}, "/srv/staging/app"),
        # The plan's own folder is used only where it is there; the rest is built elsewhere.
        ({"backend_build": "../backend"}, None),
        ({"backend_build": "app", "backend_image": "bistro:1"}, None),
        ({"backend_build": "https://git.example.com/app.git"}, None),
        ({"backend_build": "git@git.example.com:app.git"}, None),
    ],
)
def test_a_folder_to_build_from_that_is_named_must_be_there(
    config: dict[str, str], named: str | None, tmp_path: Path
) -> None:
    found = needs("staging_restore", {"engine": "compose", **config})
    assert [need["path"] for need in found if need["kind"] == "build"] == ([named] if named else [])
    need = {"kind": "build", "option": "staging_restore_backend_build", "path": str(tmp_path)}
    (problem,) = host_problems.problems([need], sys.executable, "debian")
    assert "has no Dockerfile [staging_restore_backend_build]" in problem.text
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert host_problems.problems([need], sys.executable, "debian") == []


def test_a_key_that_may_only_write_fetches_nothing() -> None:
    offsite = {"engine": "external", "source": "offsite"}
    gated = (DestinationSettings(host="backup"),)
    found = needs("staging_restore", offsite, destinations=gated)
    (wrong,) = (need for need in found if "text" in need)
    assert "staging_restore_offsite_key_file" in wrong["text"]
    for more, destinations in (
        ({"offsite_key_file": "/root/.ssh/read"}, gated),
        ({"source": "local"}, gated),
        ({"offsite_destination": "other"}, gated),
        ({}, (DestinationSettings(host="backup", mode="account"),)),
        ({}, (DestinationSettings(transport="rclone"),)),
        ({}, ()),
    ):
        assert "wrong" not in names(
            "staging_restore", {**offsite, **more}, destinations=destinations
        )


def test_everything_that_is_missing_is_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_problems, "PLACES", str(tmp_path))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        needs = [
            {"kind": "program", "name": "rsync"},
            {"kind": "program", "name": "rsync"},
            {"kind": "program", "name": "crontab", "instead": "turn it off"},
            {"kind": "program", "name": "docker program", "docker": True},
            {"kind": "library", "name": "no_such_library"},
            {"kind": "library", "name": "json"},
            {"kind": "folder", "option": "resilience_backup_path", "path": str(tmp_path / "none")},
            {"kind": "reach", "option": "o", "host": "127.0.0.1", "port": port, "seconds": 1},
            {"kind": "postgres", "bin_dir": str(tmp_path)},
            {"kind": "account", "option": "user", "name": "nobody-of-this-name"},
            {"kind": "wrong", "text": "a threshold is wrong"},
        ]
        found = host_problems.problems(needs, sys.executable, "debian")
    texts = [one.text for one in found]
    assert texts[0] == "rsync: not found on this host. Install rsync (Debian)"
    assert texts[1].endswith("Install cron (Debian), or turn it off")
    assert "No such file or directory [resilience_backup_path]; mount or make" in texts[2]
    assert "cannot be reached from this host: Connection refused [o]" in texts[3]
    assert "the folder lacks PostgreSQL's" in texts[4]
    assert "useradd --create-home --shell /bin/sh nobody-of-this-name" in texts[5]
    assert texts[6] == "a threshold is wrong"
    assert texts[7] == f"{sys.executable} lacks no_such_library" and len(texts) == 8
    command = packages.install_command("debian", {one.name for one in found})
    assert command == "apt-get install cron rsync"


@pytest.mark.parametrize(
    ("known", "family"),
    [
        (["debian"], "debian"),
        (["ubuntu", "debian"], "debian"),
        (["rocky", "rhel", "centos", "fedora"], "rhel"),
        (["alpine"], ""),
    ],
)
def test_systems_have_families(known: list[str], family: str) -> None:
    assert packages.family(known) == family


def test_a_library_without_a_package_is_installed_by_pip() -> None:
    bullseye = {"id": "debian", "version": "11", "name": "Debian GNU/Linux 11 (bullseye)"}
    helps = packages.by_pip(bullseye, "apprise", "/usr/bin/python3")
    assert helps.endswith("has no package of it: /usr/bin/python3 -m pip install apprise")
    assert packages.by_pip(bullseye, "psutil", "/usr/bin/python3") == ""
    assert packages.by_pip({**bullseye, "version": "12"}, "apprise", "/usr/bin/python3") == ""
    needs = [{"kind": "library", "name": "apprise"}, {"kind": "library", "name": "psutil"}]
    none = "/usr/bin/false"  # an interpreter that lacks everything
    pip, package = host_problems.problems(needs, none, "debian", bullseye)
    assert (pip.name, package.name) == ("", "psutil") and "-m pip install apprise" in pip.text


def test_packages_have_the_names_of_the_family() -> None:
    assert packages.install_command("rhel", ["crontab", "ssh"]) == (
        "dnf install cronie openssh-clients"
    )
    assert packages.install_command("", ["crontab"]) == ""
    assert set(packages.PACKAGES["debian"]) == set(packages.PACKAGES["rhel"])


# os-release(5) of systems that are no Debian, and what installs everything on a host without any.
RELEASES = {
    "Rocky Linux 9.4 (Blue Onyx)": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"',
    "AlmaLinux 10.0": 'ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"',
    "Red Hat Enterprise Linux 9.4 (Plow)": 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"',
    "Ubuntu 22.04.4 LTS": "ID=ubuntu\nID_LIKE=debian\nVERSION_ID='22.04'",
    "Ubuntu 24.04.2 LTS": "ID=ubuntu\nID_LIKE=debian\nVERSION_ID='24.04'",
}
DNF = (
    "dnf install age apprise bubblewrap cronie docker-ce openssh-clients python3-docker"
    " python3-jinja2 python3-prometheus_client python3-psutil python3-psycopg2 rclone rsync"
)
APT = (
    "apt-get install age apprise bubblewrap cron docker.io openssh-client python3-docker"
    " python3-jinja2 python3-prometheus-client python3-psutil python3-psycopg2 rclone rsync"
)


@pytest.mark.parametrize("name", RELEASES)
def test_on_other_systems_everything_has_their_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such host is at hand: its os-release, and a search path without any program."""
    release = tmp_path / "os-release"
    release.write_text(f'PRETTY_NAME="{name}"\n{RELEASES[name]}\n')
    monkeypatch.setattr(packages, "RELEASES", (str(release),))
    monkeypatch.setattr(host_problems, "PLACES", str(tmp_path))
    system = packages.system()
    family = packages.family([str(system["id"]), *system["like"]])  # type: ignore[misc]
    assert system["name"] == name and family == ("rhel" if "rhel" in RELEASES[name] else "debian")
    everything = packages.PACKAGES["debian"]
    libraries = {"apprise", "docker", "jinja2", "prometheus_client", "psutil", "psycopg2"}
    needs = [
        {"kind": "library" if one in libraries else "program", "name": one} for one in everything
    ]
    found = host_problems.problems(needs, "/usr/bin/false", family, system)
    assert len(found) == len(everything)
    texts = "\n".join(one.text for one in found)
    assert ("(Debian)" in texts, "(RHEL" in texts) == (family == "debian", family == "rhel")
    assert ("rclone (RHEL, from EPEL)" in texts) == (family == "rhel")
    command = packages.install_command(family, {one.name for one in found if one.name})
    assert command == (DNF if family == "rhel" else APT)


def test_an_interpreter_that_is_none_or_too_old_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\necho "[[3, 8], []]"\n')
    old.chmod(0o755)
    assert host_problems.interpreter(str(old), [])[0] == "it is Python 3.8"
    assert host_problems.interpreter("/bin/true", ["x"]) == ("it prints nothing", ["x"])
    assert host_problems.interpreter(sys.executable, ["json"]) == ("", [])


def test_doctor_finds_what_a_stage_lost(tmp_path: Path) -> None:
    settings = commands_doctor.DoctorSettings(str(tmp_path), (str(tmp_path),))
    assert "no stage is installed" in commands_doctor.diagnosis(settings)["problems"][0]
    (tmp_path / "disk.json").write_text(f'{{"state_dir": "/s", "backup_path": "{tmp_path}"}}')
    well = commands_doctor.diagnosis(settings)
    assert well["problems"] == [] and well["stages"] == ["disk"]
    (tmp_path / "offsite.json").write_text('{"state_dir": "/s", "desinations": []}')
    (tmp_path / "disk.json").write_text('{"state_dir": "/s", "backup_path": "/nowhere"}')
    ill = commands_doctor.diagnosis(settings)["problems"]
    assert any("did you mean 'destinations'?" in one for one in ill)
    assert any("/nowhere: No such file" in one for one in ill)
    assert len(ill) == 2
