"""Source and copy (rows A1 to A7, B4 to B7, B9, B11): a real sshd on another host address."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import (
    inventory,
    tree_comparison,
    tree_digests,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_settings,
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import (
    render_html,
    render_offsite,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    placement,
    server_job,
    server_store,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server.server_settings import (
    ServerSettings,
)
from support.backup_trees import add_backup
from support.offsite_client import copied_backups, in_sync, with_destination
from support.remote_backup_server import copied, remote_host, server, settings, tree
from support.sshd import Sshd, make_key
from support.stage_config import write_offsite_config

__all__ = ["copied", "remote_host", "server", "settings", "tree"]


@pytest.mark.parametrize("kind", ["empty", "missing", "unmarked"])
def test_a1_source_gone(fault, copied: SyncSettings, tree: Path, server: Sshd, kind: str) -> None:
    fault.cause(f"the source is {kind}")
    before = copied_backups(server)
    if kind == "unmarked":
        (tree / copied.marker).unlink()
    else:
        shutil.rmtree(tree)
    if kind == "empty":
        tree.mkdir()
    result = sync.sync(copied)
    fault.see(result.message[:120], holds=(result.status, result.exit_code) == ("refused", 2))
    fault.see("the copy is untouched", holds=copied_backups(server) == before)


def test_a2_half_a_tier_lost(fault, copied: SyncSettings, tree: Path, server: Sshd) -> None:
    fault.cause("4 of 7 daily backups removed")
    before = copied_backups(server)
    for file in sorted((tree / "daily").iterdir())[:4]:
        file.unlink()
    result = sync.sync(copied)
    fault.see(result.message[:120], holds="daily lost 4 of 7" in result.message)
    fault.see("the override is explicit", holds="--override mass-change" in result.remedy)
    fault.see("the copy is untouched", holds=copied_backups(server) == before)


def test_a3_tiny_dump(fault, copied: SyncSettings, tree: Path) -> None:
    fault.cause("a newest backup of 0 bytes, and one of a tenth of the size before")
    empty = add_backup(tree, "daily", -0.01, size=0)
    result = sync.sync(copied)
    named = empty.name in result.message
    fault.see(result.message[:120], holds=result.status == "refused" and named)
    empty.write_bytes(os.urandom(400))
    result = sync.sync(copied)
    warned = [one for one in result.warnings if "smaller" in one and empty.name in one]
    fault.see(str(warned), holds=result.status == "warning" and bool(warned))


def test_a4_still_written(fault, copied: SyncSettings, tree: Path, server: Sshd) -> None:
    fault.cause("a process keeps a new backup open for writing")
    name = "chefwell_backup_20991231_030000.dump.gz"
    with (tree / "daily" / name).open("wb") as growing:
        growing.write(b"x" * 500)
        growing.flush()
        result = sync.sync(copied)
    fault.see(f"left out: {result.in_progress}", holds=result.in_progress == (f"daily/{name}",))
    fault.see("not sent", holds=not (server.backups / "daily" / name).exists())


def test_a5_old_and_future(fault, settings: SyncSettings, tree: Path) -> None:
    fault.cause("the newest real backup is 3 days old; another one is from 2099")
    for file in sorted((tree / "daily").iterdir())[-3:]:
        file.unlink()
    for tier in ("weekly", "monthly"):
        for file in (tree / tier).iterdir():
            file.unlink()
    (tree / "daily" / "chefwell_backup_20990101_030000.dump.gz").write_bytes(os.urandom(4000))
    result = sync.sync(settings)
    reported = " ".join(result.warnings)
    fault.see(
        reported[:160], holds="from the future" in reported and "the RPO is 24 hours" in reported
    )
    fresh = offsite_verification.verify(settings)["freshness"]["local"]["daily"]["fresh"]
    fault.see(f"daily fresh: {fresh}", holds=fresh is False)


def test_a6_hostile_names(
    fault, settings: SyncSettings, tree: Path, server: Sshd, tmp_path: Path
) -> None:
    fault.cause(
        "names with a line break, quotes, HTML, a shell command, an escape, bytes not UTF-8"
    )
    pattern = r"(?s).*\.dump(\.gz)?"
    server.install_gate(backup_pattern=pattern)
    names = [b"new\nline.dump", b"q'\".dump", b"$(id);`x`.dump", b"\x1b[31m.dump", b"\xff.dump"]
    names.append(b"<script>alert(1)<\xe2\x80\xae.dump")
    for name in names:
        (tree / "daily" / os.fsdecode(name)).write_bytes(os.urandom(500))
    code, sent = by_command(
        settings,
        tmp_path,
        "sync-backups-offsite",
        backup_pattern=pattern,
        backup_tiers=list(settings.tiers),
    )
    fault.see(
        f"exit {code}, {sent['files_sent']} sent", holds=sent["files_sent"] == 14 + len(names)
    )
    fault.see("JSON: escaped", holds=all(path.isprintable() for path in sent["sent"]))
    log = (tmp_path / "log").read_bytes().decode("utf-8")
    lines = [line for line in log.splitlines() if " envia daily/" in line]
    escaped = ("new\\nline", "\\x1b[31m", "\\xff", "\\u202e")
    plain = all(line.isprintable() for line in log.splitlines())
    whole = len(lines) == 7 + len(names) and all(mark in log for mark in escaped)
    fault.see(f"log: {len(lines)} lines for {7 + len(names)} backups", holds=plain and whole)
    settings = dataclasses.replace(settings, pattern=pattern)
    verification = offsite_verification.verify(settings)
    fault.see("in sync by SHA-256", holds=verification["comparison"]["in_sync"])
    json.dumps(verification).encode("ascii")
    for name in names:
        (tree / "daily" / os.fsdecode(name)).write_bytes(os.urandom(600))
    differing = offsite_verification.verify(settings)
    text = render_offsite.offsite_report(differing, "en", False)
    shown = all(line.isprintable() for line in text.splitlines())
    fault.see("page: all named", holds=shown and all(mark in text for mark in escaped))
    page = render_html.html_report({"offsite": differing}, "en")
    safe = "<script" not in page and "\x1b" not in page and "&lt;script&gt;alert(1)" in page
    fault.see("HTML: escaped", holds=safe and all(mark in page for mark in escaped))


def test_a7_links_and_pipes(fault, settings: SyncSettings, tree: Path) -> None:
    fault.cause("a link out of the tree, a loop, a FIFO, a socket")
    daily = tree / "daily"
    (daily / "chefwell_backup_20200101_000000.dump.gz").symlink_to("/etc/passwd")
    (daily / "chefwell_backup_20200102_000000.dump.gz").symlink_to(daily)
    os.mkfifo(daily / "chefwell_backup_20200103_000000.dump.gz")
    with socket.socket(socket.AF_UNIX) as listener, short_way(daily) as way:
        listener.bind(f"{way}/chefwell_backup_20200104_000000.dump.gz")
    result = sync.sync(settings)
    fault.see(f"{result.files_sent} sent", holds=result.files_sent == 14)
    ignored = offsite_verification.verify(settings)["local"]["ignored"]
    fault.see(str(ignored), holds=len([one for one in ignored if ", not " in one]) == 4)


def test_a7_unreadable_folder(fault, copied: SyncSettings, server: Sshd) -> None:
    fault.cause("user 65534 looks at a tree of which one folder is closed, and one file unreadable")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        shutil.copytree(copied.backup_path, root / "backups")
        (root / "backups" / "monthly").chmod(0o700)
        closed = sorted((root / "backups" / "daily").iterdir())[0]
        closed.chmod(0o000)
        tree = str(root / "backups")
        found = as_nobody(lambda: tree_digests.with_digests(inventory.scan(tree)).to_dict())
        problems = found["problems"]
        named = ["monthly: Permission denied", f"daily/{closed.name}: Permission denied"]
        fault.see(str(problems), holds=sorted(problems) == sorted(named))
        fault.see(f"{found['total_count']} read", holds=found["total_count"] == 7 + 4 - 1)
        own = tree_digests.with_digests(inventory.scan(copied.backup_path))
        both = tree_comparison.compare(own, inventory.from_dict(found))
        fault.see("never taken for equal", holds=not both.in_sync)


def as_nobody(work):
    """What `work` returns, done by a child process that is user 65534."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        reported = answer.read()
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(reported)


@contextlib.contextmanager
def short_way(folder: Path) -> Iterator[str]:
    """A socket's path may have 107 bytes only."""
    number = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


def by_command(
    settings: SyncSettings, root: Path, command: str, **values: object
) -> tuple[int, dict]:
    """The host's command, with its log in `root`; exit code and result."""
    config = write_offsite_config(root, settings, **values)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = host_cli.main([command, "--config", str(config), "--json"])
    return code, json.loads(output.getvalue())


def test_b4_two_at_once(fault, copied: SyncSettings, tree: Path) -> None:
    fault.cause("a second sync while the first one sends")
    add_backup(tree, "weekly", 100, size=4_000_000)
    first: list[offsite_settings.SyncResult] = []
    slow = with_destination(copied, bandwidth_kbps=2000)
    thread = threading.Thread(target=lambda: first.append(sync.sync(slow)))
    thread.start()
    time.sleep(0.8)
    second = sync.sync(copied)
    thread.join()
    status = (second.status, second.exit_code)
    fault.see(f"second: {second.status}", holds=status == ("locked", 1))
    fault.see(
        f"first: {first[0].status}", holds=first[0].status == "ok" and in_sync(copied, full=True)
    )


def test_b5_host_key(fault, settings: SyncSettings, server: Sshd) -> None:
    fault.cause("the server shows another host key; the host is not pinned at all")
    pinned = server.known_hosts.read_text()
    make_key(server.root / "stranger")
    stranger = (server.root / "stranger.pub").read_text()
    server.known_hosts.write_text(f"[{server.address}]:{server.port} {stranger}")
    changed = sync.sync(settings)
    server.known_hosts.write_text("")
    unknown = sync.sync(settings)
    server.known_hosts.write_text(pinned)
    for result, kind in ((changed, "host_key_changed"), (unknown, "host_key_unknown")):
        fault.see(f"{result.message[:90]}", holds=(result.kind, result.attempts) == (kind, 1))
        fault.see(f"remedy: {result.remedy[:80]}", holds="pin" in result.remedy)
    fault.see("no data sent", holds=copied_backups(server) == {})


@pytest.mark.parametrize("what", ["delete", "overwrite", "shell", "read elsewhere", "forward"])
def test_b6_an_attacker_with_the_key(
    fault, copied: SyncSettings, tree: Path, server: Sshd, what: str
) -> None:
    fault.cause(f"the key is used to {what}")
    before = copied_backups(server)
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
    untouched = copied_backups(server) == before and list(empty.iterdir()) == []
    fault.see("the copy is untouched, nothing was read", holds=untouched)


def test_b7_bit_rot(fault, copied: SyncSettings, server: Sshd) -> None:
    fault.cause("one bit flipped on the server, with the same size and time")
    victim = sorted((server.backups / "weekly").iterdir())[0]
    seen = victim.stat()
    body = bytearray(victim.read_bytes())
    body[100] ^= 1
    victim.write_bytes(body)
    os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    found = offsite_verification.verify(copied, full=True)["comparison"]["different"]
    fault.see(f"named: {found}", holds=found == [f"weekly/{victim.name}"])
    own = server_job.run(
        server_store.Store(ServerSettings(root=str(server.backups), reread_days=1))
    ).rotten
    fault.see(f"the server's own job: {own}", holds=own == [f"weekly/{victim.name}"])


def test_b9_ransomware(fault, copied: SyncSettings, tree: Path, server: Sshd) -> None:
    fault.cause("every local backup replaced by noise; then the guard overridden as well")
    before = copied_backups(server)
    for file in tree.glob("*/*.gz"):
        file.write_bytes(os.urandom(4000))
    result = sync.sync(copied)
    fault.see(result.message[:100], holds=result.status == "refused")
    forced = sync.sync(copied, overrides=["mass-change"])
    fault.see(forced.message[:100], holds=forced.kind == "rewritten")
    forced = sync.sync(copied, overrides=["mass-change", "rewritten"])
    fault.see(forced.message[:100], holds=forced.kind == "server_guard")
    fault.see("the copy is untouched", holds=copied_backups(server) == before)
    placement.accept_refused(server_store.Store(ServerSettings(root=str(server.backups))))
    aside = {
        path.partition("/")[2]: body
        for path, body in copied_backups(server).items()
        if path.startswith("old_")
    }
    fault.see(f"accepted on the server by mistake: {len(aside)} kept", holds=aside == before)


def test_b11_rotated_away_meanwhile(
    fault, settings: SyncSettings, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault.cause("a backup is removed between the listing and the sending")
    victim = sorted((tree / "daily").iterdir())[0]
    transport = settings.transport
    list_backups = transport.list_backups

    def looked(*arguments: object) -> object:
        victim.unlink(missing_ok=True)
        return list_backups(*arguments)

    monkeypatch.setattr(transport, "list_backups", looked)
    result = sync.sync(settings)
    fault.see(
        f"vanished: {result.vanished}",
        holds=(result.status, result.vanished) == ("warning", (f"daily/{victim.name}",)),
    )
    fault.see("the rest is there", holds=in_sync(settings, full=True))
