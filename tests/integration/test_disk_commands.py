"""The commands of stage 1: plugin line, dashboard, watching, silence, and a real cron daemon."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    History,
    Sample,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages.render_text import width
from support.filesystems import Disks, fill, private_crontabs, run
from support.http_receiver import receiving
from support.monitor_host import MonitorHost

DAY = 86400.0


def remember(host: MonitorHost, point: Path, pages: list[float], whole: int = 1000) -> None:
    """Samples every six hours that end six hours ago."""
    now = time.time()
    samples = [
        Sample(
            f"mount:{point}",
            now - (len(pages) - n) * DAY / 4,
            int(used * 4096),
            int((whole - used) * 4096),
            whole * 4096,
            1,
            1000,
            "ok",
        )
        for n, used in enumerate(pages)
    ]
    with History(host.settings["state_dir"]) as history:
        history.add_samples(samples)


def test_growth_is_notified_before_any_threshold(tmp_path: Path, disks: Disks) -> None:
    point = disks.memory("memory")
    fill(point, 78)
    limits = {"warning": 85, "critical": 88, "emergency": 90}
    with receiving() as receiver:
        host = MonitorHost(tmp_path, paths=[str(point)], notify=[receiver.webhook], **limits)
        remember(host, point, [780 - (120 - n) * 5 for n in range(120)])  # 2 % a day, 30 days
        code, result = host.monitor()
        target = result["targets"][0]
        assert (code, target["level"]) == (1, "warning")
        assert target["forecast"]["days_to"]["emergency"] == pytest.approx(6, abs=0.1)
        text = r"emergency in [56] days, full in 1[01] days at the present growth"
        assert re.fullmatch(text, target["reason"])
        (message,) = receiver.messages()
        assert target["reason"] in message["message"]


def test_the_plugin_line_follows_the_monitoring_plugins_guidelines(
    tmp_path: Path, disks: Disks
) -> None:
    point = disks.memory("it's=a|disk")
    fill(point, 85)
    host = MonitorHost(tmp_path, paths=[str(point)])
    run = host.run("monitor-disk-space", "--nagios")
    assert run.returncode == 2
    (line,) = run.stdout.splitlines()
    text, _bar, data = line.partition(" | ")
    assert text.startswith("DISK CRITICAL - ") and "space 85.0% used" in text and "|" not in text
    label = str(point).replace("'", "''").replace("=", "_")
    assert f"'{label}'={850 * 4096}B;{700 * 4096};{800 * 4096};0;{1000 * 4096}" in data
    assert re.search(r" inodes'=\d+\.\d\d%;70;80;0;100", data)
    host.settings |= {
        "inodes_warning": "905 left",
        "inodes_critical": "100 left",
        "inodes_emergency": "5 left",
    }
    data = host.run("monitor-disk-space", "--nagios").stdout
    assert re.search(r" inodes'=\d+\.\d\d%;9\.5;90;0;100", data)
    # It only measures: nothing is logged, and no notification is sent.
    assert not Path(host.settings["log_file"]).exists()


@pytest.mark.parametrize("language", ["pt_BR", "en"])
def test_the_dashboard_with_a_history(tmp_path: Path, disks: Disks, language: str) -> None:
    point = disks.memory("memory")
    fill(point, 72)
    host = MonitorHost(tmp_path, paths=[str(point)], language=language)
    (host.backups / "daily" / "chefwell_backup_20251120_030000.dump.gz").write_bytes(b"x" * 9999)
    plain = host.run("disk-status").stdout
    remember(host, point, [720 - (100 - n) * 2 for n in range(100)])
    host.monitor()
    run = host.run("disk-status")
    assert run.returncode == 1
    lines = run.stdout.splitlines()
    assert all(width(line) <= 80 for line in lines if str(tmp_path) not in line)
    assert "\x1b" not in run.stdout
    page = run.stdout
    sections = {
        "pt_BR": (
            "📈 ÚLTIMOS 30 DIAS:",
            "🔮 O QUE CABE:",
            "🔔 ALERTAS EM VIGOR:",
            "confiança alta",
        ),
        "en": ("📈 LAST 30 DAYS:", "🔮 WHAT FITS:", "🔔 ALERTS IN FORCE:", "high confidence"),
    }[language]
    assert all(section in page and section not in plain for section in sections)
    assert "██████████████░░░░░░" in page  # 72 % of 20 columns
    assert re.search(r"·*[▁▂▃▄▅▆▇█]{20,}", page)
    assert lines[:5] == plain.splitlines()[:5]
    status = json.loads(host.run("disk-status", "--json").stdout)
    assert status["alerts"][0]["level"] == "warning"
    assert len(status["targets"][0]["days"]) == 30


def test_each_tier_has_its_size_its_share_and_its_growth(tmp_path: Path, disks: Disks) -> None:
    point = disks.ext4("ext4", megabytes=64)
    host = MonitorHost(
        tmp_path, backup_path=str(point / "backups"), metrics_file=str(tmp_path / "disk.prom")
    )
    sizes = {"daily": 7, "weekly": 4, "monthly": 3}
    for tier, count in sizes.items():
        folder = point / "backups" / tier
        folder.mkdir(parents=True)
        for night in range(count):
            name = f"chefwell_backup_202511{20 - night:02}_030000.dump.gz"
            (folder / name).write_bytes(b"x" * 100_000)
    run_once = json.loads(host.run("monitor-disk-space", "--json").stdout)
    first = run_once["tiers"]
    du = dict(
        reversed(line.split("\t"))
        for line in run("du", "-B1", "-d1", str(point / "backups")).splitlines()
    )
    assert {tier: use["bytes_used"] for tier, use in first.items()} == {
        tier: int(du[str(point / "backups" / tier)]) for tier in sizes
    }
    whole = run_once["targets"][0]["bytes_total"]
    for use in first.values():
        assert use["percent_used"] == pytest.approx(100 * use["bytes_used"] / whole, abs=0.001)
        assert use["growth_per_day"] is None  # unknown after one measurement
    assert "growth not known yet" not in host.run("disk-status").stdout  # nor is there a trend yet
    # Ten days in which the daily tier grew by 50 KB a day and the others stood still.
    with History(host.settings["state_dir"]) as history:
        (held,) = history.samples(f"tier:{point}/backups/daily")
        assert held.bytes_used == first["daily"]["bytes_used"]
        for tier, growth in (("daily", 51200), ("weekly", 0)):
            history.add_samples(
                [
                    Sample(
                        f"{kind}:{point}/backups{place}",
                        held.time - run_back * 6 * 3600,
                        first[tier]["bytes_used"] - growth * run_back // 4,
                        1,
                        whole,
                        None,
                        None,
                        "ok",
                    )
                    for run_back in range(1, 41)
                    for kind, place in (("tier", f"/{tier}"), ("folder", ""))
                ]
            )
    seen = json.loads(host.run("monitor-disk-space", "--json").stdout)["tiers"]
    assert seen["daily"]["growth_per_day"] == pytest.approx(51200, rel=0.02)
    assert seen["weekly"]["growth_per_day"] == pytest.approx(0, abs=1)
    assert seen["monthly"]["growth_per_day"] is None
    status = json.loads(host.run("disk-status", "--json").stdout)["tiers"]
    assert status["daily"] == pytest.approx(seen["daily"], rel=0.02)
    english = host.run("disk-status").stdout
    host.settings["language"] = "pt_BR"
    portuguese = host.run("disk-status").stdout
    for reported in (
        r"^      Daily: 68\d KB, 1% of the disk, \+(49\.\d|50|50\.\d) KB a day$",
        r"^      Weekly: 39\d KB, 0\.\d+% of the disk, \+0 B a day$",
        r"^      Monthly: 29\d KB, 0\.\d+% of the disk, growth not known yet$",
    ):
        assert re.search(reported, english, re.MULTILINE), english
    assert re.search(r"Daily: 68\d KB, 1% do disco, \+\S+ KB por dia$", portuguese, re.MULTILINE)
    metrics = (tmp_path / "disk.prom").read_text()
    growth = re.search(r'chefwell_backups_growth_bytes_per_second{tier="daily"} (\S+)', metrics)
    assert growth and float(growth[1]) == pytest.approx(51200 / 86400, rel=0.02)
    assert f'chefwell_backups_disk_bytes{{tier="daily"}} {held.bytes_used:.1f}' in metrics


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("metrics_file", "/x/y.txt", "ends in .prom"),
        ("notify", ["no address"], "no Apprise URL"),
        ("ping_url", "hc-ping.com/1", "no http or https address"),
        ("remind_hours", -1, "below 0"),
        ("targets", [{"path": "/", "silence_until": "0001-01-01"}], "this is no date"),
    ],
)
def test_trying_the_configuration_names_what_is_wrong(
    tmp_path: Path, key: str, value: object, expected: str
) -> None:
    host = MonitorHost(tmp_path, **{key: value})
    ended = host.run("monitor-disk-space", "--check")
    assert ended.returncode == 3 and expected in ended.stderr and key in ended.stderr, ended.stderr
    assert "no address" not in ended.stderr  # it may hold a password


def test_colour_follows_the_terminal(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path)
    command = " ".join(host.command("disk-status"))
    for more, coloured in (("", True), ("NO_COLOR=1 ", False)):
        shown = subprocess.run(
            ["script", "-qec", f"{more}{command}", "/dev/null"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("\x1b[32m✅ OK" in shown.stdout) == coloured
        assert "✅" in shown.stdout


def test_the_dashboard_fits_a_narrow_terminal(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path)
    command = " ".join(host.command("disk-status"))
    shown = subprocess.run(
        ["script", "-qec", f"stty cols 50; NO_COLOR=1 {command}", "/dev/null"],
        capture_output=True,
        text=True,
        check=True,
    )
    frame = shown.stdout.splitlines()[0]
    assert frame == "╔" + "═" * 48 + "╗"


def test_watching_goes_on_until_it_is_stopped(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path)
    watching = subprocess.Popen(
        host.command("disk-status", "--watch", "0.2"),
        stdout=subprocess.PIPE,
        text=True,
        env={},
    )
    assert watching.stdout is not None
    out = ""
    while out.count("Ctrl-C ends it") < 2:
        line = watching.stdout.readline()
        assert line, out
        out += line
    watching.send_signal(signal.SIGINT)
    out += watching.communicate(timeout=10)[0]
    assert watching.returncode == 0
    assert out.count("DISK SPACE MONITOR") > 1
    assert re.search(r"^\d{4}-\S+, again every 0\.2 s; Ctrl-C ends it$", out, re.MULTILINE)
    refused = host.run("disk-status", "--watch", "-1")
    assert refused.returncode == 3 and "--watch" in refused.stderr


def test_a_watched_screen_is_never_blank(tmp_path: Path) -> None:
    """It is wiped by the same write that fills it again, not before the disks are measured."""
    host = MonitorHost(tmp_path, paths=["/"])
    controller, terminal = os.openpty()
    watching = subprocess.Popen(
        host.command("disk-status", "--watch", "0.1"), stdout=terminal, stderr=terminal, env={}
    )
    os.close(terminal)
    seen = b""
    until = time.monotonic() + 30
    while seen.count(b"\x1b[3J") < 4 and time.monotonic() < until:
        seen += os.read(controller, 1 << 16)
        wiped = seen.rpartition(b"\x1b[3J")
        assert not wiped[1] or wiped[2].lstrip().startswith("╔".encode()), wiped
    watching.send_signal(signal.SIGINT)
    watching.wait(timeout=10)
    os.close(controller)
    assert seen.count(b"\x1b[3J") == 4 and b"Ctrl-C ends it" in seen


@pytest.mark.parametrize("output", ["> /dev/full", "--json > /dev/full", "--watch 0.1 | head -n 1"])
def test_a_page_that_cannot_be_written_is_unknown_in_one_line(tmp_path: Path, output: str) -> None:
    host = MonitorHost(tmp_path)
    (script,) = host.command("disk-status")
    command = f"{script} {output}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["/bin/bash", "-c", command], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3, ended.stderr
    assert re.fullmatch(r"disk-status: the output cannot be written: .+\n", ended.stderr)


def test_an_alert_that_waits_for_its_end_has_the_present_level(
    tmp_path: Path, disks: Disks
) -> None:
    """Just below its threshold an alert is kept; "all normal" below it would puzzle its reader."""
    point = disks.memory("memory")
    fill(point, 71)
    host = MonitorHost(tmp_path, paths=[str(point)])
    assert host.monitor()[0] == 1
    assert " (now " not in host.run("disk-status").stdout
    (point / "filler").unlink()
    fill(point, 69)
    assert host.monitor()[0] == 0
    page = host.run("disk-status")
    assert f": disk {point} (now ✅ OK)" in " ".join(page.stdout.split()), page.stdout
    assert page.returncode == 0 and page.stdout.rstrip().endswith("✅ All systems normal")
    (alert,) = json.loads(host.run("disk-status", "--json").stdout)["alerts"]
    assert (alert["key"], alert["level"], alert["level_now"]) == (f"mount:{point}", "warning", "ok")
    host.settings["language"] = "pt_BR"
    assert "(agora ✅ OK)" in " ".join(host.run("disk-status").stdout.split())


def test_the_exit_code_is_the_disks_whatever_becomes_of_the_messages(
    tmp_path: Path, disks: Disks
) -> None:
    point = disks.memory("memory")
    fill(point, 75)
    with receiving() as receiver:
        host = MonitorHost(
            tmp_path,
            paths=[str(point)],
            notify=[f"{receiver.webhook}?rto=30&cto=30"],
            notify_time_limit=3,
            ping_url=receiver.check,
        )
        receiver.stop()
        code, result = host.monitor()
        assert (code, result["delivered"], result["kept"]) == (1, 0, 1)  # refused
        assert sum("could not be pinged" in problem for problem in result["problems"]) == 2
        host.settings["ping_url"] = ""
        fill(point, 85)
        receiver.start()
        receiver.status = 500
        code, result = host.monitor()
        assert (code, result["delivered"], result["kept"]) == (2, 0, 2)
        assert any("500" in problem for problem in result["problems"])
        receiver.status, receiver.delay = 200, 10
        fill(point, 60)
        started = time.monotonic()
        code, result = host.monitor()
        assert time.monotonic() - started < 10  # 3 s for all messages
        assert (code, result["delivered"], result["kept"]) == (0, 0, 3)
        receiver.delay = 0
        before = len(receiver.requests)
        code, result = host.monitor()
        assert (code, result["delivered"], result["kept"]) == (0, 3, 0)
        late = [json.loads(body) for _m, path, body in receiver.requests[before:] if "hook" in path]
        kinds = [message["title"].split(":")[0].split(" ", 1)[1] for message in late]
        assert kinds == ["CRITICAL", "WARNING", "OK again"]  # the worst first, nothing lost
        assert host.monitor()[1]["delivered"] == 0


def test_a_silenced_target_is_notified_when_the_silence_ends(tmp_path: Path, disks: Disks) -> None:
    point = disks.memory("memory")
    fill(point, 95)
    tomorrow = (datetime.date.today() + datetime.timedelta(days=1)).isoformat()
    with receiving() as receiver:
        host = MonitorHost(
            tmp_path,
            targets=[{"path": str(point), "silence_until": tomorrow}],
            notify=[receiver.webhook],
        )
        code, result = host.monitor()
        assert (code, result["level"], receiver.messages()) == (2, "emergency", [])
        host.settings["targets"][0]["silence_until"] = "2020-01-01"
        host.monitor()
        assert len(receiver.messages()) == 1


def test_a_dump_and_a_retention_plan_that_will_not_fit_are_notified(
    tmp_path: Path, disks: Disks
) -> None:
    point = disks.memory("memory", pages=5000)
    backups = point / "backups"
    today = datetime.datetime.now()
    with receiving() as receiver:
        host = MonitorHost(
            tmp_path,
            backup_path=str(backups),
            notify=[receiver.webhook],
            emergency=99,
            critical=98,
            warning=97,
        )
        for tier in ("daily", "weekly", "monthly"):
            (backups / tier).mkdir(parents=True)
        for night in range(3):
            day = (today - datetime.timedelta(days=night)).strftime("%Y%m%d")
            file = backups / "daily" / f"chefwell_backup_{day}_030000.dump.gz"
            with file.open("wb") as handle:
                os.posix_fallocate(handle.fileno(), 0, 1000 * 4096)
        code, result = host.monitor()
        assert result["fits"]["dump_fits"] and result["fits"]["nights"] == 2
        assert code == 1
        titles = [message["message"].splitlines()[0] for message in receiver.messages()]
        assert any("tonight's takes up to 4.7 MB, 7.8 MB are left" in title for title in titles)
        assert any("the retention plan fits for 2 more nights" in title for title in titles)
        (backups / "filler").write_bytes(b"x" * 1200 * 4096)
        code, result = host.monitor()
        assert code == 2 and not result["fits"]["dump_fits"]
        assert any("dump will not fit" in message["message"] for message in receiver.messages())


def test_a_real_cron_daemon_runs_it_without_path_or_locale(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path)
    (command,) = host.command("monitor-disk-space")
    script = tmp_path / "from-cron.sh"
    script.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\nexec {command}\n")
    script.chmod(0o755)
    log = Path(host.settings["log_file"])
    with private_crontabs():
        # A pid file of its own: another daemon on this machine holds the usual one.
        own_run = tmp_path / "cronrun"
        own_run.mkdir()
        subprocess.run(["mount", "--bind", str(own_run), "/run"], check=True)
        daemon = None
        try:
            line = f"* * * * * {script} > {tmp_path}/output 2>&1\n"
            subprocess.run(["crontab", "-"], input=line, text=True, check=True)
            daemon = subprocess.Popen(["/usr/sbin/cron", "-f"], env={})
            until = time.monotonic() + 90
            while not log.exists() and time.monotonic() < until:
                time.sleep(0.5)
            time.sleep(1)
        finally:
            if daemon:
                daemon.terminate()
                daemon.wait()
            subprocess.run(["umount", "-l", "/run"], check=True)
    output = (tmp_path / "output").read_text()
    assert log.exists(), output
    # Nothing is wrong, so cron has nothing to send a mail about; a person sees the lines.
    assert output == ""
    assert 'level="ok"' in host.run("monitor-disk-space").stdout
    assert f'path="{host.backups}" level="ok"' in log.read_text()
    environment = (tmp_path / "environment").read_text()
    assert "LANG=" not in environment and "LC_ALL=" not in environment
    assert re.search(r"^PATH=/usr/bin:/bin$", environment, re.MULTILINE)


def test_a_mount_that_is_gone_while_its_alert_is_in_force_is_notified(
    tmp_path: Path, disks: Disks
) -> None:
    """It was found, not named, so no other message would report it."""
    point = disks.ext4("ext4")
    fill(point, 95)
    with receiving() as receiver:
        host = MonitorHost(tmp_path, discover=True, notify=[receiver.webhook], warning=85)
        host.settings |= {"critical": 88, "emergency": 90}
        host.monitor()
        titles = [message["title"] for message in receiver.messages()]
        assert f"🔴 EMERGENCY: disk {point} on web1" in titles
        disks.unmount(point)
        result = host.monitor()[1]
        assert str(point) not in {target["path"] for target in result["targets"]}
        (gone,) = receiver.messages()[len(titles) :]
        assert gone["title"] == f"❓ UNKNOWN: disk {point} on web1"
        assert gone["message"].startswith("no longer mounted; its last level was emergency")
        # Once, and then it is forgotten.
        result = host.monitor()[1]
        assert len(receiver.messages()) == len(titles) + 1
        assert f"mount:{point}" not in {alert["key"] for alert in result["alerts"]}


def test_a_target_that_is_watched_no_longer_is_notified(tmp_path: Path, disks: Disks) -> None:
    point = disks.memory("memory")
    fill(point, 95)
    with receiving() as receiver:
        host = MonitorHost(
            tmp_path, paths=[str(point)], notify=[receiver.webhook], language="pt_BR"
        )
        host.monitor()
        host.settings["paths"] = []
        host.monitor()
        texts = [message["message"] for message in receiver.messages()]
        assert len(texts) == 2
        assert texts[1].startswith("não é mais monitorado; seu último nível foi emergência")


def test_what_is_right_passes_the_check(tmp_path: Path) -> None:
    for address in ("", "https://ops:p%40ss@[::1]:8443/ping/café?create=1", "http://hc-ping.com"):
        root = tmp_path / str(len(address))
        root.mkdir()
        host = MonitorHost(root, notify=["json://127.0.0.1:1/hook"])
        host.settings["ping_url"] = address
        assert host.run("monitor-disk-space", "--check").returncode == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("log_file", "disk.log"),
        ("log_file", ""),
        ("state_dir", "state"),
        ("state_dir", ""),
        ("fallback_dir", ""),
        ("metrics_file", "disk.prom"),
        ("drill_path", "drills"),
        ("backup_path", "backups"),
        ("paths", [""]),
        ("targets", [{"path": ""}]),
        ("notify", ["json://127.0.0.1/hook", "nosuchservice://user:s3cret@host/path"]),
        ("notify", ["mailto://"]),
        ("notify", ["json://[::1"]),
        ("notify", ["json://127.0.0.1/\udcff"]),
        ("ping_url", "https://"),
        ("ping_url", "https://[::1/ping"),
        ("ping_url", "https://hc.example.com:99999/ping"),
        ("ping_url", "https://hc.example.com/s3cret ping"),
    ],
)
def test_paths_and_services_are_checked(tmp_path: Path, key: str, value: object) -> None:
    host = MonitorHost(tmp_path, **{"notify": ["json://127.0.0.1:1/hook"], key: value})
    ended = host.run("monitor-disk-space", "--check")
    assert (ended.returncode, ended.stdout) == (3, "") and key in ended.stderr, ended.stderr
    assert len(ended.stderr.splitlines()) == 1 and "s3cret" not in ended.stderr
    assert str(host.config) in ended.stderr


def test_a_dumb_terminal_gets_no_colours(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path)
    command = " ".join(host.command("disk-status"))
    shown = subprocess.run(
        ["script", "-qec", f"TERM=dumb {command}", "/dev/null"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "✅ OK" in shown.stdout and "\x1b" not in shown.stdout


@pytest.fixture(scope="module")
def latin_locale(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an old server: its locale, made where this machine may lack it."""
    folder = tmp_path_factory.mktemp("locales")
    made = ["localedef", "--no-archive", "-i", "pt_BR", "-f", "ISO-8859-1"]
    subprocess.run([*made, str(folder / "pt_BR.ISO-8859-1")], check=True)
    return {"LANG": "pt_BR.ISO-8859-1", "LOCPATH": str(folder)}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "locale"])
@pytest.mark.parametrize("arguments", [("disk-status",), ("monitor-disk-space", "--nagios")])
def test_an_output_that_is_no_utf_8_replaces_what_it_cannot_show(
    tmp_path: Path,
    disks: Disks,
    latin_locale: dict[str, str],
    encoding: str,
    arguments: tuple[str, ...],
) -> None:
    point = disks.memory("memória 💾")
    fill(point, 85)
    host = MonitorHost(tmp_path, paths=[str(point)], language="pt_BR")
    (script, *options) = host.command(*arguments)
    environment = latin_locale
    if encoding != "locale":
        # The launcher has the interpreter ignore this variable.
        text = Path(script).read_text()
        Path(script).write_text(text.replace(" -E ", " ", 1))
        environment = {"PYTHONIOENCODING": encoding}
    shown = subprocess.run([script, *options], capture_output=True, check=False, env=environment)
    assert shown.returncode == 2 and shown.stderr == b""
    text = shown.stdout.decode("latin-1" if encoding == "locale" else encoding)
    assert "CRITICAL" in text and "85" in text
    assert ("mem?ria" if encoding == "ascii" else "memória") in text
