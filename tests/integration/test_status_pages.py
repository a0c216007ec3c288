"""The status page is written by each stage's run, by the play for all hosts, and fits a phone."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    LANGUAGES,
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import follow_up
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import status_html
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.restore_settings import (
    RestoreSettings,
)
from support import page_data
from support.ansible_run import run_playbook
from support.browser import WIDTHS, look
from support.gated_backup_server import settings
from support.monitor_host import MonitorHost
from support.sshd import server
from support.stage_config import write_offsite_config
from support.status_hosts import KINDS, NOW, fill_all, many, status

__all__ = ["server", "settings"]


def parts(folder: Path) -> dict[str, str]:
    """The level of each part of the page in a state folder, which has the page too."""
    values = json.loads((folder / "status.json").read_text())
    page = (folder / "status.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n")
    return {part["id"]: part["level"] for part in values["parts"]}


def offsite(folder: Path) -> dict[str, Any]:
    """The part about the copy."""
    values = json.loads((folder / "status.json").read_text())
    (found,) = (part for part in values["parts"] if part["id"] == "offsite")
    return dict(found)


def test_every_run_of_a_stage_writes_it(tmp_path: Path, settings: SyncSettings) -> None:
    """One state folder, as on a host: monitor, sync, verification and drill in turn."""
    state = tmp_path / "state"
    host = MonitorHost(tmp_path, paths=["/"], state_dir=str(state))
    assert host.run("monitor-disk-space").stderr == ""
    found = parts(state)
    assert found["disk"] != "never" and found["offsite"] == found["drill"] == "never"
    assert (state / "status.html").stat().st_mode & 0o777 == 0o600, "root alone reads it there"

    config = write_offsite_config(tmp_path, settings, state_dir=str(state), language="en")
    assert host_cli.main(["sync-backups-offsite", "--config", str(config)]) == 0
    assert parts(state)["offsite"] == "ok"
    assert "verified" not in offsite(state)["figures"]
    assert host_cli.main(["verify-offsite-backups", "--config", str(config)]) == 0
    assert offsite(state)["figures"]["verified"] and offsite(state)["level"] == "ok"

    # A backup that is gone here since the last sync: the copy has one more.
    next(Path(settings.backup_path, "daily").iterdir()).unlink()
    assert host_cli.main(["verify-offsite-backups", "--config", str(config)]) == 2
    assert parts(state)["offsite"] == "critical"

    drill = RestoreSettings(
        state_dir=str(state), language="en", fallback_dir=str(tmp_path / "run"), report_dir=""
    )
    assert follow_up.follow(drill, {**page_data.drill(), "total_seconds": 56.0}) == []
    assert parts(state)["drill"] == "ok"


def test_elsewhere_it_can_be_read_and_a_wrong_folder_is_named(tmp_path: Path) -> None:
    web = tmp_path / "web"
    web.mkdir()
    host = MonitorHost(tmp_path, paths=["/"], status_page=str(web / "disk.html"))
    host.run("monitor-disk-space")
    assert (web / "disk.html").stat().st_mode & 0o777 == 0o644
    assert json.loads((web / "disk.json").read_text())["host"] == "web1"
    host = MonitorHost(tmp_path / "web", paths=["/"], status_page=str(tmp_path / "none" / "a.html"))
    run = host.run("monitor-disk-space")
    assert (
        "the status page cannot be written" in run.stderr and "a folder that exists" in run.stderr
    )
    assert "Traceback" not in run.stderr and run.stdout.startswith("20")


def test_without_a_name_there_is_none(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path, paths=["/"], status_page="")
    host.run("monitor-disk-space")
    assert not list((tmp_path / "state").glob("status.*"))


def busy_ssh(folder: Path) -> Path:
    """An ssh as on a busy machine: a while passes between the end of its input and its own."""
    script = folder / "busy-ssh"
    script.write_text('#!/bin/sh\nexec 0<&-\nsleep 0.3\nexec ssh "$@"\n')
    script.chmod(0o755)
    return script


def test_the_play_makes_one_page_of_all_hosts(tmp_path: Path) -> None:
    """A host with a status, one without, one with a damaged status, one that cannot be reached."""
    held = fill_all(tmp_path / "held")
    for name, text in (
        ("good", json.dumps(status(held / "broken"))),
        ("damaged", '{"version": 0}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "status.json").write_text(text)
    inventory = tmp_path / "inventory.yml"
    hosts = {
        **{
            name: {"ansible_connection": "local", "host_kit_state_dir": str(tmp_path / name)}
            for name in ("good", "new", "damaged")
        },
        "away": {
            "ansible_host": "127.0.0.1",
            "ansible_port": 1,
            "ansible_ssh_executable": str(busy_ssh(tmp_path)),
        },
    }
    inventory.write_text(json.dumps({"production": {"hosts": hosts}}))
    page = tmp_path / "all.html"
    local = {"resilience_become": False, "ansible_python_interpreter": sys.executable}
    variables = {**local, "resilience_status_report": str(page)}
    run = run_playbook("status.yml", variables=variables, inventory=str(inventory))
    assert run.returncode == 0, run.stdout + run.stderr
    text = page.read_text()
    for expected in (
        *hosts,
        "BACKUP NOT VALIDATED",
        "another version of the collection wrote it",
        "Connection refused",
    ):
        assert expected in text, expected
    assert "away" in re.split("needs? action", run.stdout)[-1]

    # At the end of site.yml there is one only where it is named.
    run = run_playbook(
        "status.yml",
        variables={**local, "resilience_status_default": ""},
        inventory=str(inventory),
    )
    assert run.returncode == 0 and "ok=0" in run.stdout
    wrong = {**variables, "resilience_status_report": str(tmp_path / "none" / "a.html")}
    run = run_playbook("status.yml", variables=wrong, inventory=str(inventory))
    assert run.returncode != 0 and "a folder that exists" in run.stdout + run.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of one host of each kind, and of 1, 20 and 200 hosts, in both languages."""
    folder = tmp_path_factory.mktemp("pages")
    held = fill_all(folder / "held")
    long = "a" * 60 + ".example.com"
    cases = {kind: [status(held / kind)] for kind in KINDS}
    cases |= {f"hosts{count}": many(held, count) for count in (1, 20, 200)}
    cases["broken200"] = [
        {**status(held / "broken"), "host": f"shop{number:03d}.example.com"}
        for number in range(200)
    ]
    cases["long"] = [{**status(held / "broken"), "host": long}] * 2
    for language in LANGUAGES:
        for name, hosts in cases.items():
            page = status_html.status_page(translations(language), hosts, language, NOW, "Bistro")
            (folder / f"{name}-{language}.html").write_text(page, encoding="utf-8")
    return folder


def test_no_page_scrolls_sideways_at_any_width(site: Path) -> None:
    pages = sorted(path.name for path in site.glob("*.html"))
    found = look(site, pages)
    assert len(found) == len(pages) * len(WIDTHS) == 66
    assert [one for one in found if one["scroll"] > one["width"] or one["wide"]] == []
    # Of two hundred hosts that are all broken, too, the first ones and their number are in sight.
    tall = [one["height"] for one in found if one["page"].startswith("/broken200")]
    assert len(tall) == 6 and max(tall) < 6000, tall
    large = [f"{name}-{language}.html" for name in ("broken", "hosts20") for language in LANGUAGES]
    found = look(site, large, text_size=32)
    assert [one for one in found if one["scroll"] > one["width"] or one["wide"]] == []


def test_a_page_that_is_too_wide_is_seen(site: Path) -> None:
    (site / "wide.htm").write_text("<!DOCTYPE html><p><img width=900 height=9></p>")
    (narrow, tablet, wide) = look(site, ["wide.htm"])
    assert narrow["scroll"] > 412 and narrow["wide"] and tablet["wide"] and not wide["wide"]


def test_an_old_page_turns_red_by_itself(site: Path) -> None:
    """Each was written when all was well, long before it is looked at now."""
    headlines = {"en": "Action needed", "pt_BR": "É preciso agir"}
    names = ("ok", "hosts20", "hosts200")
    pages = [f"{name}-{language}.html" for language in headlines for name in names]
    late = {"en": "some are overdue by now", "pt_BR": "alguns já estão atrasados"}
    for page in look(site, pages, [800]):
        (language,) = (one for one in headlines if f"-{one}." in page["page"])
        assert "bad" in page["header"] and headlines[language] in page["h1"][0]
        assert {"overdue", "atrasado"} & set(page["words"])
        assert not {"ok", "proved to restore", "restauração comprovada"} & set(page["words"])
        assert page["title"].startswith("✕")
        if "hosts200" in page["page"]:
            *_groups, (state, summary) = page["groups"]
            assert state == "group bad" and summary.startswith("✕ 89 ok"), page["groups"]
            assert late[language] in summary
        assert any("days ago" in age or "dias" in age for age in page["ages"])
