"""Faults of the disk that stage 1 watches, A6 to A12."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    History,
    Sample,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history_file import FILE
from support.fault_log import Fault
from support.filesystems import Disks, fill, run
from support.http_receiver import Receiver
from support.monitor_host import ENGINE, MonitorHost

DAY = 86400


def test_a6_hostile_names_in_log_json_and_page(
    fault: Fault, tmp_path: Path, disks: Disks, receiver: Receiver
) -> None:
    raw = b'/d\n"q"<b>\x1b[31m\xff\''
    point = Path(os.fsdecode(os.fsencode(disks.root) + raw))
    point.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1M", "hostile", str(point))
    disks.mounted.append(point)
    fill(point, 95)
    host = MonitorHost(tmp_path, paths=[str(point)], notify=[receiver.webhook])
    daily = host.backups / "daily"
    (daily / os.fsdecode(raw[1:] + b"_20251120_030000.dump")).write_bytes(b"x" * 100)
    (daily / os.fsdecode(raw[1:])).write_bytes(b"no backup")
    (daily / os.fsdecode(b"folder" + raw[1:])).mkdir()
    fault.cause("a mount point, a backup, a file and a folder with a newline, quotes, HTML, ...")
    ended = host.run("monitor-disk-space", "--json")
    result = json.loads(ended.stdout)
    fault.see(
        f"exit {ended.returncode}, {len(result['targets'])} targets, one line of JSON",
        holds=ended.returncode == 2
        and result["backups"]["total_count"] == 1
        and ended.stdout.count("\n") == 1
        and ended.stdout.isascii()
        and "\x1b" not in ended.stdout,
    )
    ignored = result["backups"]["ignored"]
    fault.see(
        f"ignored: {ignored}",
        holds=len(ignored) == 2 and all("\\x1b[31m\\xff" in name for name in ignored),
    )
    log = Path(host.settings["log_file"]).read_bytes()
    fault.see(
        f"{log.count(bytes([10]))} lines in the log, no raw escape in it",
        holds=log.count(b"\n") == 2 and b"\x1b" not in log and b"\\\\x1b[31m" in log,
    )
    plugin = host.run("monitor-disk-space", "--nagios").stdout
    fault.see(
        "one line of the plugin, no raw escape in it",
        holds=plugin.count("\n") == 1 and "\x1b" not in plugin and "\\x1b[31m" in plugin,
    )
    (message,) = receiver.messages()
    fault.see(
        f"notified: {message['title']}",
        holds="\\x1b[31m" in message["title"] and "\n" not in message["title"],
    )
    page = host.run("disk-status").stdout
    fault.see(
        "the page counts the backup and shows the name escaped",
        holds="Daily: 1 backup (100 B)" in page and "\x1b" not in page and "\\x1b[31m" in page,
    )


def test_a7_what_is_no_file_in_the_backup_folder(fault: Fault, tmp_path: Path) -> None:
    host = MonitorHost(tmp_path)
    daily = host.backups / "daily"
    (daily / "out").symlink_to("/")
    (daily / "loop").symlink_to(daily)
    (daily / "round").symlink_to("round")
    os.mkfifo(daily / "pipe_20251120_030000.dump")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(daily)
        listener.bind("socket")
        os.chdir("/")
        fault.cause("links out of the tree and in loops, a named pipe, a socket")
        started = time.monotonic()
        code, result = host.monitor()
    seconds = time.monotonic() - started
    size = result["targets"][0]["bytes_used"]
    fault.see(f"exit {code} after {seconds:.1f} s, {size} bytes", holds=code == 0 and seconds < 20)
    ignored = result["backups"]["ignored"]
    fault.see(f"reported: {ignored}", holds=len(ignored) == 5 and size < 1 << 20)


def test_a7_a_folder_that_an_ordinary_user_may_not_read(fault: Fault) -> None:
    """Root reads everything, so another user runs the monitor, below /tmp: pytest's is closed."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        host = MonitorHost(root, python="/usr/bin/python3")
        host.library.joinpath("chefwell_resilience").unlink()
        shutil.copytree(ENGINE, host.library / "chefwell_resilience")
        closed = host.backups / "daily" / "closed"
        closed.mkdir()
        (closed / "large").write_bytes(b"x" * 100_000)
        command = [*nobody, *host.command("monitor-disk-space", "--json")]
        for path in (root, *root.rglob("*")):
            os.chown(path, 65534, 65534)
        os.chown(closed, 0, 0)
        closed.chmod(0o700)
        fault.cause("a folder of root's, mode 0700, in a tier; the monitor is run by nobody")
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env={})
        (target,) = json.loads(ended.stdout)["targets"]
        fault.see(
            f"exit {ended.returncode}, {target['level']}: {target['reason']}",
            holds=ended.returncode == 3
            and target["level"] == "unknown"
            and target["bytes_used"] is None
            and "closed" in target["reason"]
            and "Permission denied" in target["reason"],
        )
        os.chown(closed, 65534, 65534)
        os.chown(host.backups / "weekly", 0, 0)
        (host.backups / "weekly").chmod(0o700)
        fault.cause("a tier that may not be read")
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env={})
        (target,) = json.loads(ended.stdout)["targets"]
        fault.see(
            f"exit {ended.returncode}, {target['level']}: {target['reason']}",
            holds=ended.returncode == 3 and "weekly" in target["reason"],
        )
        (host.backups / "weekly").chmod(0o755)
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env={})
        fault.see(f"once it may be read: exit {ended.returncode}", holds=ended.returncode == 0)


@pytest.mark.parametrize("what", ["bytes", "inodes", "read-only"])
def test_a8_a_disk_that_takes_nothing_is_still_notified(
    fault: Fault, tmp_path: Path, disks: Disks, receiver: Receiver, what: str
) -> None:
    point = disks.ext4("ext4", megabytes=16, inodes=300)
    host = MonitorHost(
        tmp_path,
        paths=[str(point)],
        log_file=str(point / "log" / "disk.log"),
        state_dir=str(point / "state"),
        notify=[receiver.webhook],
        ping_url=receiver.check,
    )
    (point / "log").mkdir()
    (point / "state").mkdir(mode=0o700)
    level, reason = "emergency", "space 100.0% used"
    if what == "read-only":
        run("mount", "-o", "remount,ro", str(point))
        level, reason = "critical", "mounted read-only"
    elif what == "inodes":
        reason = "inodes 100.0% used"
        with pytest.raises(OSError, match="No space"):
            for number in range(10_000):
                (point / str(number)).touch()
    else:
        with pytest.raises(OSError, match="No space"), (point / "f").open("wb", 0) as file:
            while True:
                file.write(b"x" * 1024)
    caused = "is mounted read-only" if what == "read-only" else f"has no {what} left"
    fault.cause(f"log and history lie on a disk that {caused}")
    code, result = host.monitor()
    target = result["targets"][0]
    fault.see(
        f"exit {code}, {target['level']}: {target['reason']}",
        holds=code == 2 and target["level"] == level and reason in target["reason"],
    )
    fault.see(
        f"reported: {result['log_problem']}",
        holds="cannot be written" in str(result["log_problem"]),
    )
    titles = [message["title"] for message in receiver.messages()]
    fault.see(f"notified: {titles}", holds=len(titles) == 1 and str(point) in titles[0])
    fault.see(
        f"pings: {[action for action, _body in receiver.pings()]}",
        holds=[action for action, _body in receiver.pings()] == ["/start", "/fail"],
    )
    for _turn in range(2):
        host.monitor()
    fault.see(
        f"{len(receiver.messages())} message after three runs", holds=len(receiver.messages()) == 1
    )


@pytest.mark.parametrize("output", ["> /dev/full", ">&-", "| true", "> /dev/full 2>&1", ">&- 2>&-"])
def test_a8_output_that_takes_nothing(
    fault: Fault, tmp_path: Path, disks: Disks, receiver: Receiver, output: str
) -> None:
    """Cron lines often redirect into a file on the very disk that is full."""
    point = disks.memory("memory")
    fill(point, 95)
    host = MonitorHost(tmp_path, paths=[str(point)], notify=[receiver.webhook])
    (script,) = host.command("monitor-disk-space")
    for more in ("", " --json", " --nagios"):
        fault.cause(f"monitor-disk-space.sh{more} {output}")
        command = f"{script}{more} {output}; exit ${{PIPESTATUS[0]}}"
        ended = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=False, env={}
        )
        fault.see(
            f"exit {ended.returncode} {ended.stderr.strip()}",
            holds=ended.returncode == 2 and "Traceback" not in ended.stderr,
        )
    titles = [message["title"] for message in receiver.messages()]
    fault.see(f"notified: {titles}", holds=len(titles) == 1)
    lines = Path(host.settings["log_file"]).read_text().count('level="emergency"')
    fault.see(f"{lines} lines in the log", holds=lines == 2)


def test_a9_what_cannot_be_looked_at_is_unknown(fault: Fault, tmp_path: Path, disks: Disks) -> None:
    mounted = disks.memory("mounted")
    disks.unmount(mounted)
    host = MonitorHost(
        tmp_path,
        targets=[
            {"path": str(mounted), "must_be_mount": True},
            {"path": str(disks.root / "gone")},
        ],
    )
    fault.cause("one path is gone, one mount point is not mounted")
    code, result = host.monitor()
    levels = {target["path"]: target for target in result["targets"]}
    seen = [levels[str(disks.root / name)] for name in ("mounted", "gone")]
    fault.see(
        f"exit {code}; {'; '.join(target['reason'] for target in seen)}",
        holds=code == 3 and [target["level"] for target in seen] == ["unknown", "unknown"],
    )


def test_a9_a_file_server_that_is_silent(fault: Fault, tmp_path: Path, disks: Disks) -> None:
    import ctypes

    point = disks.root / "hung"
    point.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        mount = ctypes.CDLL(None).mount
        assert mount(b"hung:/srv", os.fsencode(point), b"fuse.sshfs", 0, options) == 0
        disks.mounted.append(point)
        host = MonitorHost(tmp_path, paths=[str(point)], time_limit=2)
        fault.cause("a network mount whose server never answers; its time limit is 2 s")
        started = time.monotonic()
        code, result = host.monitor()
        seconds = time.monotonic() - started
        target = result["targets"][0]
        fault.see(
            f"exit {code} after {seconds:.1f} s: {target['reason']}",
            holds=code == 3 and target["level"] == "unknown" and seconds < 12,
        )
        dump = host.backups / "daily" / "chefwell_backup_20251120_030000.dump"
        dump.write_bytes(b"x" * 100)
        host.settings |= {"paths": [], "drill_path": str(point / "drills" / "database")}
        fault.cause("the same server holds the place where restore drills are made")
        started = time.monotonic()
        code, result = host.monitor()
        seconds = time.monotonic() - started
        fits = result["fits"]
        fault.see(
            f"exit {code} after {seconds:.1f} s: {result['targets'][0]['reason']}",
            holds=seconds < 12
            and (code, result["level"]) == (3, "unknown")
            and "whether a restore drill fits is not known" in result["targets"][0]["reason"]
            and (fits["drill_fits"], fits["dump_fits"]) == (None, True),
        )
    finally:
        os.close(device)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("warning", 95, "not before critical"),
        ("critical", "much", "neither a percentage"),
        ("emergency", 101, "neither a percentage"),
        ("warnig", 70, "did you mean 'warning'"),
        ("inodes_warning", True, "wrong type"),
        ("inodes_warning", "20GB", "nor a number of inodes left"),
        ("targets", [{"path": "/", "emergncy": 1}], "did you mean 'emergency'"),
    ],
)
def test_a10_a_wrong_configuration(
    fault: Fault, tmp_path: Path, key: str, value: object, expected: str
) -> None:
    host = MonitorHost(tmp_path, **{key: value})
    fault.cause(f"{key} = {value!r}")
    ended = host.run("monitor-disk-space")
    name = "emergncy" if key == "targets" else key
    whole = len(ended.stderr.splitlines()) == 1 and "Traceback" not in ended.stderr
    fault.see(
        f"exit {ended.returncode}: {ended.stderr.strip()}",
        holds=ended.returncode == 3 and name in ended.stderr and expected in ended.stderr and whole,
    )
    fault.see("the file is named", holds=str(host.config) in ended.stderr)
    fault.see("nothing was written", holds=not (tmp_path / "disk.log").exists())


def test_a11_a_clock_that_went_back(fault: Fault, tmp_path: Path, disks: Disks) -> None:
    point = disks.memory("memory")
    fill(point, 50)
    host = MonitorHost(tmp_path, paths=[str(point)])
    now = time.time()
    used, whole = 500 * 4096, 1000 * 4096
    samples = [
        Sample(
            f"mount:{point}", now + (n + 1) * 6 * 3600, used + n, whole - used, whole, 1, 9, "ok"
        )
        for n in range(60)
    ]
    with History(host.settings["state_dir"]) as history:
        history.add_samples(samples)
    fault.cause("60 samples from a time when the clock was up to 15 days ahead")
    code, result = host.monitor()
    status = result["targets"][0]["forecast"]["status"]
    fault.see(f"exit {code}, forecast: {status}", holds=(code, status) == (0, "not enough data"))


def test_a11_a_damaged_history(fault: Fault, tmp_path: Path) -> None:
    host = MonitorHost(tmp_path)
    host.monitor()
    file = Path(host.settings["state_dir"]) / FILE
    file.write_bytes(random.Random(3).randbytes(20_000))
    fault.cause("20 000 bytes of noise in place of the history")
    code, result = host.monitor()
    aside = list(file.parent.glob(f"{FILE}.damaged-*"))
    fault.see(f"exit {code}, {result['problems']}", holds=code == 0 and len(aside) == 1)
    again, after = host.monitor()
    fault.see(
        f"the next run: exit {again}, problems {after['problems']}",
        holds=again == 0 and after["problems"] == [],
    )


def test_a11_two_monitors_at_once(
    fault: Fault, tmp_path: Path, disks: Disks, receiver: Receiver
) -> None:
    point = disks.memory("memory")
    fill(point, 95)
    host = MonitorHost(tmp_path, paths=[str(point)], notify=[receiver.webhook])
    receiver.delay = 0.5
    fault.cause("four monitors are started at the same moment on a disk at 95 %")
    arguments = host.command("monitor-disk-space", "--json")
    running = [subprocess.Popen(arguments, stdout=subprocess.PIPE, env={}) for _number in range(4)]
    outputs = [process.communicate()[0] for process in running]
    codes = [process.returncode for process in running]
    levels = {json.loads(output)["level"] for output in outputs}
    fault.see(f"exits {codes}, levels {levels}", holds=codes == [2] * 4 and levels == {"emergency"})
    with History(host.settings["state_dir"]) as history:
        kept = len(history.samples(f"mount:{point}"))
    fault.see(
        f"{len(receiver.messages())} message, {kept} samples",
        holds=len(receiver.messages()) == 1 and kept == 4,
    )


def test_a12_a_level_that_flaps(
    fault: Fault, tmp_path: Path, disks: Disks, receiver: Receiver
) -> None:
    point = disks.memory("memory")
    host = MonitorHost(tmp_path, paths=[str(point)], notify=[receiver.webhook])
    story = [60, *[70.3, 69.7] * 4, 60, 60]
    fault.cause(f"percent used, run by run: {story}")
    levels = []
    for percent in story:
        fill(point, percent)
        levels.append(host.monitor()[1]["targets"][0]["level"])
    titles = [message["title"] for message in receiver.messages()]
    changes = sum(first != second for first, second in zip(levels, levels[1:], strict=False))
    fault.note(f"the level itself changed {changes} times")
    fault.see(
        f"notified: {titles}",
        holds=len(titles) == 2 and "WARNING" in titles[0] and "OK again" in titles[1],
    )
