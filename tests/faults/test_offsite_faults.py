"""Source and transfer (rows A1 to A7, B1 to B12): a real sshd on another host address."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from ansible_collections.chefwell.resilience.plugins.module_utils.keeper import keeper, keeper_store  # noqa: E402
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (  # noqa: E402
    offsite,
    offsite_verify,
    rsync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    Settings,  # noqa: E402
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.ssh import Destination  # noqa: E402
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_rsync import (
    GateTransport,  # noqa: E402
)
from offsite_parts import add_backup, contents, plan_tree  # noqa: E402
from sshd import Sshd, end, make_key  # noqa: E402

CUT = "chefwell-cut"


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Net:
    """Another host: a network namespace behind a pair of virtual cables."""

    def __init__(self) -> None:
        tag = f"cw{os.getpid() % 10000}"
        self.name, self.ours, theirs = f"{tag}ns", f"{tag}a", f"{tag}b"
        block = f"10.231.{os.getpid() % 200 + 10}"
        self.address = f"{block}.2"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.ours, "type", "veth", "peer", "name", theirs)
        run("ip", "link", "set", theirs, "netns", self.name)
        run("ip", "address", "add", f"{block}.1/30", "dev", self.ours)
        run("ip", "link", "set", self.ours, "up")
        self.inside = ("ip", "netns", "exec", self.name)
        run(*self.inside, "ip", "address", "add", f"{self.address}/30", "dev", theirs)
        run(*self.inside, "ip", "link", "set", theirs, "up")
        run(*self.inside, "ip", "link", "set", "lo", "up")

    @contextlib.contextmanager
    def rule(self, *words: str) -> Iterator[None]:
        """A packet filter on the other host."""
        run(*self.inside, "iptables", "-I", "INPUT", "-p", "tcp", *words)
        try:
            yield
        finally:
            run(*self.inside, "iptables", "-D", "INPUT", "-p", "tcp", *words)

    def remove(self) -> None:
        run("ip", "netns", "del", self.name)


@pytest.fixture(scope="module")
def net():
    made = Net()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def server(net: Net):
    made = Sshd(net.address, net.inside)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def settings(server: Sshd, tmp_path: Path) -> Settings:
    server.backups = tmp_path / "copy"
    server.backups.mkdir()
    server.guard()
    destination = Destination(
        host=server.address,
        port=server.port,
        user=server.user,
        path=str(server.backups),
        key_file=str(server.key),
        known_hosts_file=str(server.known_hosts),
        connect_seconds=3,
        silence_seconds=4,
        time_limit=40,
        mode="restricted",
    )
    tree = plan_tree(tmp_path / "backups")
    return Settings(
        GateTransport(destination), str(tree), str(tmp_path / "state"), retry_seconds=0.05
    )


@pytest.fixture
def tree(settings: Settings) -> Path:
    return Path(settings.backup_path)


@pytest.fixture
def copied(settings: Settings) -> Settings:
    assert offsite.sync(settings).status == "ok"
    return settings


def other(settings: Settings, **values: object) -> Settings:
    destination = dataclasses.replace(settings.transport.destination, **values)
    return dataclasses.replace(settings, transport=GateTransport(destination))


def mirror(server: Sshd) -> dict[str, bytes]:
    held = contents(server.backups)
    return {path: body for path, body in held.items() if not path.startswith(".chefwell/")}


def in_sync(settings: Settings) -> bool:
    return bool(offsite_verify.verify(settings, full=True)["comparison"]["in_sync"])


@pytest.mark.parametrize("kind", ["empty", "missing", "unmarked"])
def test_a1_source_gone(fault, copied: Settings, tree: Path, server: Sshd, kind: str) -> None:
    fault.cause(f"the source is {kind}")
    before = mirror(server)
    if kind == "unmarked":
        (tree / copied.marker).unlink()
    else:
        shutil.rmtree(tree)
    if kind == "empty":
        tree.mkdir()
    result = offsite.sync(copied)
    fault.see(result.message[:120], holds=(result.status, result.exit_code) == ("refused", 2))
    fault.see("the copy is untouched", holds=mirror(server) == before)


def test_a2_half_a_tier_lost(fault, copied: Settings, tree: Path, server: Sshd) -> None:
    fault.cause("4 of 7 daily backups removed")
    before = mirror(server)
    for file in sorted((tree / "daily").iterdir())[:4]:
        file.unlink()
    result = offsite.sync(copied)
    fault.see(result.message[:120], holds="daily lost 4 of 7" in result.message)
    fault.see("the override is explicit", holds="--override mass-change" in result.remedy)
    fault.see("the copy is untouched", holds=mirror(server) == before)


def test_a3_tiny_dump(fault, copied: Settings, tree: Path) -> None:
    fault.cause("a newest backup of 0 bytes, and one of a tenth of the size before")
    empty = add_backup(tree, "daily", -0.01, size=0)
    result = offsite.sync(copied)
    named = empty.name in result.message
    fault.see(result.message[:120], holds=result.status == "refused" and named)
    empty.write_bytes(os.urandom(400))
    result = offsite.sync(copied)
    warned = [one for one in result.warnings if "smaller" in one and empty.name in one]
    fault.see(str(warned), holds=result.status == "warning" and bool(warned))


def test_a4_still_written(fault, copied: Settings, tree: Path, server: Sshd) -> None:
    fault.cause("a process keeps a new backup open for writing")
    name = "chefwell_backup_20991231_030000.dump.gz"
    with (tree / "daily" / name).open("wb") as growing:
        growing.write(b"x" * 500)
        growing.flush()
        result = offsite.sync(copied)
    fault.see(f"left out: {result.in_progress}", holds=result.in_progress == (f"daily/{name}",))
    fault.see("not sent", holds=not (server.backups / "daily" / name).exists())


def test_a5_old_and_future(fault, settings: Settings, tree: Path) -> None:
    fault.cause("the newest real backup is 3 days old; another one is from 2099")
    for file in sorted((tree / "daily").iterdir())[-3:]:
        file.unlink()
    for tier in ("weekly", "monthly"):
        for file in (tree / tier).iterdir():
            file.unlink()
    (tree / "daily" / "chefwell_backup_20990101_030000.dump.gz").write_bytes(os.urandom(4000))
    result = offsite.sync(settings)
    told = " ".join(result.warnings)
    fault.see(told[:160], holds="from the future" in told and "the RPO is 24 hours" in told)
    fresh = offsite_verify.verify(settings)["freshness"]["local"]["daily"]["fresh"]
    fault.see(f"daily fresh: {fresh}", holds=fresh is False)


def test_a6_hostile_names(fault, settings: Settings, tree: Path, server: Sshd) -> None:
    fault.cause("names with a line break, quotes, a shell command, an escape, bytes not UTF-8")
    pattern = r"(?s).*\.dump(\.gz)?"
    server.guard(pattern=pattern)
    settings = dataclasses.replace(settings, pattern=pattern)
    names = [b"new\nline.dump", b"q'\".dump", b"$(id);`x`.dump", b"\x1b[31m.dump", b"\xff.dump"]
    for name in names:
        (tree / "daily" / os.fsdecode(name)).write_bytes(os.urandom(500))
    result = offsite.sync(settings)
    fault.see(f"{result.files_sent} sent", holds=result.files_sent == 14 + len(names))
    fault.see("shown escaped", holds=all(path.isprintable() for path in result.sent))
    verification = offsite_verify.verify(settings)
    fault.see("in sync by SHA-256", holds=verification["comparison"]["in_sync"])
    json.dumps(verification).encode("ascii")


def test_a7_links_and_pipes(fault, settings: Settings, tree: Path) -> None:
    fault.cause("a link out of the tree, a loop, a FIFO")
    daily = tree / "daily"
    (daily / "chefwell_backup_20200101_000000.dump.gz").symlink_to("/etc/passwd")
    (daily / "chefwell_backup_20200102_000000.dump.gz").symlink_to(daily)
    os.mkfifo(daily / "chefwell_backup_20200103_000000.dump.gz")
    result = offsite.sync(settings)
    fault.see(f"{result.files_sent} sent", holds=result.files_sent == 14)
    ignored = offsite_verify.verify(settings)["local"]["ignored"]
    fault.see(f"{len(ignored)} reported", holds=len([one for one in ignored if "not " in one]) == 3)


def test_b1_killed_and_cut(fault, copied: Settings, tree: Path, server: Sshd) -> None:
    fault.cause("the server's session is killed in the middle of a file")
    big = add_backup(tree, "weekly", 100, size=6_000_000)
    slow = dataclasses.replace(other(copied, bandwidth_kbps=3000), tries=1)
    halves = []

    def told(done: int, total: int) -> None:
        halves.append((server.backups / "weekly" / big.name).exists())
        for pid in server.children():
            end(pid)

    result = offsite.sync(slow, progress=told)
    fault.see(result.message[:100], holds=result.status == "failed" and bool(halves))
    absent = not any(halves) and f"weekly/{big.name}" not in mirror(server)
    fault.see("no final name with partial content", holds=absent)
    result = offsite.sync(copied)
    fault.see(f"next run: {result.bytes_sent} of 6000000 bytes sent", holds=result.status == "ok")
    fault.see("equal", holds=in_sync(copied))


@pytest.mark.parametrize("kind", ["rejected", "silent after connecting", "half of packets lost"])
def test_b2_network(fault, copied: Settings, tree: Path, net: Net, server: Sshd, kind: str) -> None:
    fault.cause(f"network: {kind}")
    add_backup(tree, "weekly", 100, size=3_000_000)
    port = ("--dport", str(server.port))
    if kind == "rejected":
        with net.rule(*port, "-j", "REJECT", "--reject-with", "tcp-reset"):
            result = offsite.sync(copied)
        expected = (result.kind, result.attempts) == ("refused", 3)
    elif kind == "half of packets lost":
        words = ("-m", "statistic", "--mode", "random", "--probability", "0.5", "-j", "DROP")
        with net.rule(*port, *words):
            result = offsite.sync(dataclasses.replace(copied, tries=2))
        # TCP may carry it through; a sync that gives up must say that the network was why.
        network = ("timed_out", "cut", "rsync_30", "rsync_12", "time_limit", "no_route")
        expected = result.status in ("ok", "warning") or result.kind in network
    else:
        silence = net.rule(*port, "-j", "DROP")
        slow = dataclasses.replace(other(copied, bandwidth_kbps=1000), tries=2)

        def told(done: int, total: int) -> None:
            if not entered:
                entered.append(silence.__enter__())

        entered: list[None] = []
        result = offsite.sync(slow, progress=told)
        silence.__exit__(None, None, None)
        expected = result.status == "failed" and result.attempts == 2
    fault.see(
        f"{result.status} after {result.attempts} tries: {result.message[:90]}", holds=expected
    )
    assert offsite.sync(copied).status in ("ok", "warning")
    fault.see("equal once the network is back", holds=in_sync(copied))


def test_b3_remote_full(fault, copied: Settings, tree: Path, server: Sshd) -> None:
    fault.cause("the server's room is used up to its reserve, with the room guard overridden")
    before = mirror(server)
    server.guard(reserve_percent=100)
    add_backup(tree, "weekly", 50, size=20_000)
    result = offsite.sync(copied, overrides=["room"])
    fault.see(result.message[:100], holds=(result.status, result.kind) == ("failed", "no_space"))
    fault.see("the earlier set is whole", holds=mirror(server) == before)


def test_b4_two_at_once(fault, copied: Settings, tree: Path) -> None:
    fault.cause("a second sync while the first one sends")
    add_backup(tree, "weekly", 100, size=4_000_000)
    first: list[offsite.SyncResult] = []
    slow = other(copied, bandwidth_kbps=2000)
    thread = threading.Thread(target=lambda: first.append(offsite.sync(slow)))
    thread.start()
    time.sleep(0.8)
    second = offsite.sync(copied)
    thread.join()
    status = (second.status, second.exit_code)
    fault.see(f"second: {second.status}", holds=status == ("locked", 1))
    fault.see(f"first: {first[0].status}", holds=first[0].status == "ok" and in_sync(copied))


def test_b5_host_key(fault, settings: Settings, server: Sshd) -> None:
    fault.cause("the server shows another host key; the host is not pinned at all")
    pinned = server.known_hosts.read_text()
    make_key(server.root / "stranger")
    stranger = (server.root / "stranger.pub").read_text()
    server.known_hosts.write_text(f"[{server.address}]:{server.port} {stranger}")
    changed = offsite.sync(settings)
    server.known_hosts.write_text("")
    unknown = offsite.sync(settings)
    server.known_hosts.write_text(pinned)
    for result, kind in ((changed, "host_key_changed"), (unknown, "host_key_unknown")):
        fault.see(f"{result.message[:90]}", holds=(result.kind, result.attempts) == (kind, 1))
        fault.see(f"remedy: {result.remedy[:80]}", holds="pin" in result.remedy)
    fault.see("no data sent", holds=mirror(server) == {})


@pytest.mark.parametrize("what", ["delete", "overwrite", "shell", "read elsewhere", "forward"])
def test_b6_thief_of_the_key(fault, copied: Settings, tree: Path, server: Sshd, what: str) -> None:
    fault.cause(f"the key is used to {what}")
    before = mirror(server)
    ssh = [
        "ssh",
        "-F",
        "none",
        "-p",
        str(server.port),
        "-i",
        str(server.key),
        "-o",
        "BatchMode=yes",
    ]
    ssh += ["-o", f"UserKnownHostsFile={server.known_hosts}"]
    at = f"{server.user}@{server.address}"
    shell = " ".join(ssh)
    empty = tree.parent / "empty"
    empty.mkdir()
    command = {
        "delete": ["rsync", "-r", "--delete", "-e", shell, f"{empty}/", f"{at}:{server.backups}/"],
        "overwrite": ["rsync", "-r", "--inplace", "-e", shell, f"{tree}/", f"{at}:incoming/"],
        "shell": [*ssh, at, "sh -c 'rm -rf *'"],
        "read elsewhere": ["rsync", "-r", "-e", shell, f"{at}:/etc/ssh/", f"{empty}/"],
        "forward": [*ssh, "-W", f"127.0.0.1:{server.port}", at],
    }[what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    refused = "refused" in done.stderr or "prohibited" in done.stderr
    fault.see(done.stderr.strip().splitlines()[0][:100], holds=done.returncode != 0 and refused)
    untouched = mirror(server) == before and list(empty.iterdir()) == []
    fault.see("the copy is untouched, nothing was read", holds=untouched)


def test_b7_bit_rot(fault, copied: Settings, server: Sshd) -> None:
    fault.cause("one bit flipped on the server, with the same size and time")
    victim = sorted((server.backups / "weekly").iterdir())[0]
    seen = victim.stat()
    body = bytearray(victim.read_bytes())
    body[100] ^= 1
    victim.write_bytes(body)
    os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    found = offsite_verify.verify(copied, full=True)["comparison"]["different"]
    fault.see(f"named: {found}", holds=found == [f"weekly/{victim.name}"])
    values = {key: value.default for key, value in keeper_store.KEYS.items()}
    own = keeper.tend(
        keeper_store.Store({**values, "root": str(server.backups), "reread_days": 1})
    ).rotten
    fault.see(f"the server's own job: {own}", holds=own == [f"weekly/{victim.name}"])


def test_b8_rsync_endings(fault) -> None:
    fault.cause("rsync's exit codes 23, 24, 25, 30 and 255")
    for code in (23, 24, 25, 30, 255):
        judged = rsync.judge(code, [], "")
        words = rsync.EXIT_WORDS[code]
        fault.see(f"{code}: {judged.words}", holds=not judged.ok and words in judged.words)


def test_b9_ransomware(fault, copied: Settings, tree: Path, server: Sshd) -> None:
    fault.cause("every local backup replaced by noise; then the guard overridden as well")
    before = mirror(server)
    for file in tree.glob("*/*.gz"):
        file.write_bytes(os.urandom(4000))
    result = offsite.sync(copied)
    fault.see(result.message[:100], holds=result.status == "refused")
    forced = offsite.sync(copied, overrides=["mass-change"])
    fault.see(forced.message[:100], holds=forced.kind == "server_guard")
    fault.see("the copy is untouched", holds=mirror(server) == before)


def test_b10_host_dead(fault, copied: Settings, server: Sshd) -> None:
    fault.cause("no sync for 60 hours")
    good = offsite_verify.verify(copied)["last_good_sync"]
    fault.see(f"verify says: last good sync {good}", holds=bool(good))
    values = {key: value.default for key, value in keeper_store.KEYS.items()}
    store = keeper_store.Store({**values, "root": str(server.backups)})
    store.save("last", {"time": time.time() - 60 * 3600, "listed": 14})
    alarm = keeper.tend(store).alarms.get("silent", {}).get("saw", "")
    fault.see(f"the server says: {alarm}", holds="60 hours" in alarm)


def test_b11_rotated_away_meanwhile(
    fault, settings: Settings, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault.cause("a backup is removed between the listing and the sending")
    victim = sorted((tree / "daily").iterdir())[0]
    transport = settings.transport
    look = transport.look

    def looked(*arguments: object) -> object:
        victim.unlink(missing_ok=True)
        return look(*arguments)

    monkeypatch.setattr(transport, "look", looked)
    result = offsite.sync(settings)
    fault.see(
        f"vanished: {result.vanished}",
        holds=(result.status, result.vanished) == ("warning", (f"daily/{victim.name}",)),
    )
    fault.see("the rest is there", holds=in_sync(settings))


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("a key with a passphrase", "key"),
        ("another user", "permission_denied"),
        ("an authorized_keys without the key", "permission_denied"),
        ("nothing on the port", "refused"),
    ],
)
def test_b12_cannot_log_in(fault, settings: Settings, server: Sshd, what: str, kind: str) -> None:
    fault.cause(what)
    if "passphrase" in what:
        locked = server.root / "locked"
        if not locked.exists():
            make_key(locked, "secret words")
        settings = other(settings, key_file=str(locked))
    elif "user" in what:
        settings = other(settings, user="nobody-here")
    elif "authorized" in what:
        server.authorized_keys.write_text("")
    else:
        settings = other(settings, port=1)
    result = offsite.sync(settings)
    fault.see(f"{result.kind}: {result.message[:90]}", holds=result.kind == kind)
    fault.see(f"remedy: {result.remedy[:80]}", holds=bool(result.remedy))
