"""The transfer (rows B1 to B3, B8, B10): kills, cuts, full disks, exit codes of rsync."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    rsync,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    server_job,
    server_store,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server.server_settings import (
    ServerSettings,
)
from support.backup_trees import add_backup, contents
from support.filesystems import Disks, enter_private_mounts, run
from support.http_receiver import DeadMan, receiving
from support.offsite_client import (
    backups_of,
    copied_backups,
    in_sync,
    remote_sync,
    start_sync,
    with_destination,
)
from support.processes import descendants, kill
from support.remote_backup_server import copied, remote_host, server, settings, tree
from support.remote_host import RemoteHost
from support.sshd import Sshd
from support.stage_config import write_offsite_config
from support.waiting import wait_for
from testbed.services import free_port

__all__ = ["copied", "remote_host", "server", "settings", "tree"]

COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "collections"


def arrived(copy: Path) -> int:
    """Bytes of what waits on the server for its place, finished or not."""
    found = 0
    # rsync and the server remove folders meanwhile; `os.walk` passes over those, `rglob` fails.
    for folder, _, names in os.walk(copy / ".chefwell" / "incoming"):
        for name in names:
            with contextlib.suppress(OSError):
                found += os.stat(os.path.join(folder, name)).st_size
    return found


def foreign(copy: dict[str, bytes], tree: Path) -> list[str]:
    """Final names in a copy whose content differs from the client's tree."""
    local = contents(tree)
    return [path for path, body in copy.items() if local.get(path) != body]


def killed(settings: SyncSettings, server: Sshd, more: int, who: str) -> int:
    """Kills a sync once so many bytes more have arrived; bytes under way at that moment."""
    before = arrived(server.backups)
    apart = start_sync(
        dataclasses.replace(with_destination(settings, bandwidth_kbps=1500), tries=1)
    )

    def now() -> bool:
        under_way = bool(server.children()) and arrived(server.backups) - before >= more
        return under_way or apart.poll() is not None

    wait_for(now, seconds=20)
    seen = arrived(server.backups)
    for pid in [*descendants(apart.pid), apart.pid] if who == "the host" else server.children():
        kill(pid)
    apart.wait()
    wait_for(lambda: not server.children(), seconds=10)
    return seen


@pytest.mark.parametrize("who", ["the host", "the server"])
def test_b1_killed_at_any_moment(
    fault, copied: SyncSettings, tree: Path, server: Sshd, who: str
) -> None:
    names = [add_backup(tree, "weekly", 100 + number, size=700_000).name for number in range(4)]
    moments: list[int] = []
    wrong: list[str] = []
    for more in (0, 100_000, 600_000, 900_000):
        moments.append(killed(copied, server, more, who))
        wrong += foreign(copied_backups(server), tree)
    fault.cause(f"kill -9 of {who}, {len(moments)} times: with {moments} bytes under way")
    fault.see(f"final names with partial content: {wrong}", holds=not wrong)
    waiting = arrived(server.backups)
    left = sum(f"weekly/{name}" not in copied_backups(server) for name in names) * 700_000
    result = sync.sync(copied)
    fault.see(
        f"the next run sends {result.bytes_sent} of {left} bytes, for {waiting} had arrived: "
        f"{result.message}",
        holds=result.status == "ok" and result.bytes_sent < left - waiting * 0.5 + 100_000,
    )
    fault.see("equal", holds=in_sync(copied, full=True))


def test_b1_power_cut_of_the_server(fault, remote_host: RemoteHost, tmp_path: Path) -> None:
    """What the server's disk holds is copied while it works: without what is still in memory."""
    enter_private_mounts()
    disks = Disks(tmp_path)
    copy = disks.ext4("far", megabytes=48)
    far = Sshd(remote_host.address, remote_host.inside)
    try:
        far.start()
        settings = remote_sync(far, copy, tmp_path)
        assert sync.sync(settings).status == "ok"
        for number in range(4):
            add_backup(tmp_path / "backups", "weekly", 100 + number, size=1_200_000)
        apart = start_sync(with_destination(settings, bandwidth_kbps=2500))
        cuts = []
        while apart.poll() is None:
            cuts.append(tmp_path / f"cut{len(cuts)}.img")
            run("cp", "--sparse=always", str(tmp_path / "far.img"), str(cuts[-1]))
            time.sleep(0.25)
        cuts.append(tmp_path / f"cut{len(cuts)}.img")
        run("cp", "--sparse=always", str(tmp_path / "far.img"), str(cuts[-1]))
        for pid in [*far.children(), far.process.pid]:
            kill(pid)
        far.stop()
        fault.cause(f"power cut of the server at {len(cuts)} moments of a sync of 4 backups")
        counts, wrong = [], []
        for number, image in enumerate(cuts):
            found = disks._mount(f"after{number}", "-o", "loop", str(image))
            counts.append(len(backups_of(found)))
            wrong += foreign(backups_of(found), tmp_path / "backups")
        fault.see(f"backups in place by moment: {counts}", holds=min(counts) == 14)
        fault.see(f"final names with partial content: {wrong}", holds=not wrong)
        far.start()
        again = remote_sync(far, tmp_path / f"after{len(cuts) // 2}", tmp_path)
        result = sync.sync(again)
        fault.see(
            f"next run: {result.message}", holds=result.status == "ok" and in_sync(again, full=True)
        )
    finally:
        far.remove()
        disks.close()


@pytest.mark.parametrize(
    "kind", ["rejected", "cut in the middle", "hangs after connecting", "half of packets lost"]
)
def test_b2_network(
    fault, copied: SyncSettings, tree: Path, remote_host: RemoteHost, server: Sshd, kind: str
):
    fault.cause(f"network: {kind}")
    big = add_backup(tree, "weekly", 100, size=1_500_000)
    port = ("--dport", str(server.port))
    if kind == "rejected":
        with remote_host.rule(*port, "-j", "REJECT", "--reject-with", "tcp-reset"):
            result = sync.sync(copied)
        expected = (result.kind, result.attempts) == ("refused", 3)
    elif kind == "half of packets lost":
        words = ("-m", "statistic", "--mode", "random", "--probability", "0.5", "-j", "DROP")
        lossy = with_destination(copied, connect_seconds=2, silence_seconds=2, time_limit=4)
        with remote_host.rule(*port, *words):
            result = sync.sync(lossy)
        # TCP may carry it through; a sync that gives up must name the network as the cause.
        network = ("timed_out", "cut", "rsync_30", "rsync_12", "time_limit", "silent", "no_route")
        given_up = result.attempts == 3 and result.kind in network
        expected = result.status in ("ok", "warning") or given_up
    elif kind == "hangs after connecting":
        os.kill(server.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        result = sync.sync(with_destination(copied, connect_seconds=1))
        took = time.monotonic() - began
        os.kill(server.process.pid, signal.SIGCONT)
        fault.see(f"{took:.1f} s for three tries of 1 s", holds=took < 10)
        expected = (result.kind, result.attempts) == ("timed_out", 3)
    else:
        silence = remote_host.rule(*port, "-j", "DROP")
        entered: list[None] = []

        def progress(done: int, total: int) -> None:
            if not entered:
                entered.append(silence.__enter__())

        slow = with_destination(copied, bandwidth_kbps=600, connect_seconds=1, silence_seconds=2)
        result = sync.sync(slow, progress=progress)
        silence.__exit__(None, None, None)
        expected = result.status == "failed" and result.attempts == 3 and bool(entered)
    fault.see(
        f"{result.status} after {result.attempts} tries: {result.message[:90]}", holds=expected
    )
    fault.see("no partial content", holds=not foreign(copied_backups(server), tree))
    for pid in server.children():
        kill(pid)  # sessions that the cut left behind
    assert sync.sync(copied).status in ("ok", "warning"), big
    fault.see("equal once the network is back", holds=in_sync(copied, full=True))


def test_b2_alert(fault, copied: SyncSettings, server: Sshd, tmp_path: Path) -> None:
    fault.cause("a sync by the host's command to a server that accepts and says nothing")
    with socket.create_server(("127.0.0.1", 0)) as mute, receiving() as service:
        config = write_offsite_config(
            tmp_path,
            copied,
            host="127.0.0.1",
            port=mute.getsockname()[1],
            connect_seconds=1,
            retry_seconds=0.05,
            state_dir=str(tmp_path / "alerts"),
            fallback_dir=str(tmp_path / "alerts"),
            language="en",
            notify=[service.webhook],
            ping_url=service.check,
        )
        code = host_cli.main(["sync-backups-offsite", "--config", str(config)])
        messages, pings = service.messages(), service.pings()
    log = (tmp_path / "log").read_text()
    fault.see(f"exit {code}; {log.count('try ')} tries before the last in the log", holds=code == 2)
    fault.see(f"notified: {len(messages)} message", holds=len(messages) == 1)
    fault.see(f"pings: {[action for action, _body in pings]}", holds=pings[-1][0] == "/fail")


@pytest.mark.parametrize("what", ["full", "over its quota"])
def test_b3_no_room_on_the_server(
    fault, remote_host: RemoteHost, tmp_path: Path, what: str
) -> None:
    enter_private_mounts()
    disks = Disks(tmp_path)
    far = Sshd(remote_host.address, remote_host.inside)
    try:
        if what == "full":
            copy = disks.memory("far", pages=400)
        else:
            image = tmp_path / "far.img"
            with image.open("wb") as file:
                file.truncate(128 << 20)
            run("mkfs.btrfs", "-q", "-M", str(image))
            copy = disks._mount("far", "-o", "loop", str(image)) / "copy"
            run("btrfs", "quota", "enable", str(copy.parent))
            run("btrfs", "subvolume", "create", str(copy))
            run("btrfs", "qgroup", "limit", "1600K", str(copy))
        far.start()
        settings = remote_sync(far, copy, tmp_path, reserve_percent=0)
        assert sync.sync(settings).status == "ok"
        before = backups_of(copy)
        for number in range(4):
            add_backup(tmp_path / "backups", "weekly", 50 + number, size=600_000)
        fault.cause(f"the server's disk really is {what}: 2.4 MB to a copy with room for 1.6 MB")
        if what == "full":
            guarded = sync.sync(settings)
            fault.see(guarded.message[:120], holds=guarded.refusals[0].guard == "room")
        result = sync.sync(settings, overrides=["room"])
        # What the server says last may be lost with the connection; its ending (11) is not, and
        # those words mean that the disk is full.
        kinds = ("no_space" if what == "full" else "quota", "rsync_11")
        failed = (result.status, result.exit_code) == ("failed", 2)
        fault.see(f"{result.message[:140]}", holds=failed and result.kind in kinds)
        fault.note(f"{result.attempts} tries; {result.warnings}")
        after = backups_of(copy)
        whole = {path: after.get(path) for path in before} == before
        fault.see("the earlier set is whole", holds=whole)
        fault.see("no partial content", holds=not foreign(after, tmp_path / "backups"))
        if what == "full":
            run("mount", "-o", "remount,size=8m", str(copy))
        else:
            run("btrfs", "qgroup", "limit", "none", str(copy))
        result = sync.sync(settings)
        fault.see(f"with room again: {result.status}", holds=result.status == "ok")
        fault.see("equal", holds=in_sync(settings, full=True))
    finally:
        far.remove()
        disks.close()


def test_b8_rsync_23_a_file_cannot_be_put_there(
    fault, copied: SyncSettings, tree: Path, server: Sshd
) -> None:
    """In an account; behind a gate it is moved away (test_folders_without_rights)."""
    new = add_backup(tree, "weekly", 100)
    fault.cause(f"a folder with something in it has the name of {new.name} where it is to arrive")
    server.authorized_keys.write_text(f"restrict {(server.root / 'client_key.pub').read_text()}")
    account = dataclasses.replace(copied.transport.destination, mode="account")
    plain = dataclasses.replace(copied, transport=AccountTransport(account), tries=1)
    way = server.backups / "weekly" / new.name
    way.mkdir(parents=True)
    (way / "in the way").touch()
    result = sync.sync(plain)
    expected = (result.status, result.kind) == ("failed", "rsync_23")
    fault.see(result.message[:160], holds=expected and "exit 23" in result.message)
    shutil.rmtree(way)
    fault.see("sent once it is gone", holds=sync.sync(plain).files_sent == 1)


def test_b8_rsync_24_a_file_vanishes(fault, copied: SyncSettings, tree: Path) -> None:
    first = add_backup(tree, "monthly", 200, size=1_000_000)
    victim = add_backup(tree, "weekly", 100)
    fault.cause(f"{victim.name} is removed while {first.name}, which comes before it, is sent")

    def progress(done: int, total: int) -> None:
        victim.unlink(missing_ok=True)

    result = sync.sync(with_destination(copied, bandwidth_kbps=1000), progress=progress)
    named = result.vanished == (f"weekly/{victim.name}",)
    fault.see(f"{result.status}: {result.warnings}", holds=result.status == "warning" and named)
    fault.see("the rest is there", holds=in_sync(copied, full=True))
    judged = rsync.transfer_result(24, [], "file has vanished")
    fault.see(f"on its own: {judged.problem}", holds=not judged.ok)


def test_b8_rsync_25_a_limit_of_deletions(fault, tmp_path: Path) -> None:
    fault.cause("rsync --delete --max-delete=1 by itself; none of our calls has such a limit")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    for name in "abc":
        (tmp_path / "full" / name).touch()
    line = ["rsync", "-r", "--delete", "--max-delete=1", f"{tmp_path}/empty/", f"{tmp_path}/full/"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    judged = rsync.transfer_result(done.returncode, done.stdout.splitlines(), done.stderr)
    as_expected = not judged.ok and rsync.EXIT_REASONS[25] in judged.problem
    fault.see(judged.problem[:140], holds=done.returncode == 25 and as_expected)


def test_b8_rsync_30_silence(fault, copied: SyncSettings, tree: Path, server: Sshd) -> None:
    fault.cause("the server's session stops in the middle of a file, without ending")
    add_backup(tree, "weekly", 100, size=8_000_000)  # more than the buffers in between hold
    stopped: list[int] = []

    def progress(done: int, total: int) -> None:
        for pid in [] if stopped else server.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)

    slow = dataclasses.replace(
        with_destination(copied, bandwidth_kbps=2000, silence_seconds=2), tries=1
    )
    result = sync.sync(slow, progress=progress)
    for pid in stopped:
        kill(pid)
    as_expected = (result.status, result.kind) == ("failed", "rsync_30")
    fault.see(result.message[:140], holds=as_expected and rsync.EXIT_REASONS[30] in result.message)
    fault.see(
        "afterwards equal", holds=sync.sync(copied).status == "ok" and in_sync(copied, full=True)
    )


def test_b8_rsync_255_no_ssh(fault, copied: SyncSettings, tree: Path) -> None:
    fault.cause("rsync itself is called while nothing listens on the server's port")
    nobody = dataclasses.replace(copied.transport.destination, port=free_port())
    name = f"daily/{sorted((tree / 'daily').iterdir())[0].name}"
    done = rsync.RsyncRun(nobody, str(tree), old_folder="old_x").send([name])
    # 255 is what ssh ended with; an rsync that notices the closed pipe first says 12 instead.
    as_expected = (done.ok, done.kind, done.retryable) == (False, "refused", True)
    fault.see(
        done.problem[:140], holds=as_expected and done.code in (255, 12) and bool(done.remedy)
    )
    judged = rsync.transfer_result(255, [], "")
    fault.see(f"by itself: {judged.problem}", holds=rsync.EXIT_REASONS[255] in judged.problem)


def test_b10_the_ping_that_does_not_come(
    fault, copied: SyncSettings, server: Sshd, tmp_path: Path
) -> None:
    fault.cause("one sync, then none any more: cron does not run, or the host is dead")
    with DeadMan(period=1.5).watching() as service:
        config = write_offsite_config(tmp_path, copied, ping_url=service.check)
        code = host_cli.main(["sync-backups-offsite", "--config", str(config)])
        up = service.state()
        fault.see(f"exit {code}; the service: {up}", holds=(code, up) == (0, "up"))
        wait_for(lambda: service.alarms, seconds=10)
        fault.see(f"the service: {service.alarms[0]}", holds=service.state() == "down")
    good = offsite_verification.verify(copied)["last_good_sync"]
    fault.see(f"verify says: last good sync {good}", holds=bool(good))
    store = server_store.Store(ServerSettings(root=str(server.backups)))
    store.save("last", {"time": time.time() - 60 * 3600, "listed": 14})
    alarm = server_job.run(store).alarms["silent"].reason
    fault.see(f"the server says: {alarm}", holds="60 hours" in alarm)
