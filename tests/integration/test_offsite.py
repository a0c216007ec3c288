"""The offsite copy against a real sshd: sync, verification, guards, and every kind of failure."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_guards,
    offsite_verification,
    remote_listing,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    MARKER,
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from support.backup_trees import add_backup, backup_name, contents, plan_tree
from support.offsite_client import destination_on, in_sync, start_sync, with_destination
from support.processes import descendants, has_ended, kill
from support.sshd import Sshd, make_key
from support.waiting import wait_for
from testbed.services import free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server():
    made = Sshd()
    made.backups.mkdir()
    made.start()
    yield made
    made.remove()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plan_tree(tmp_path / "backups")


@pytest.fixture
def settings(server: Sshd, tree: Path, tmp_path: Path) -> SyncSettings:
    destination = destination_on(server, connect_seconds=5, time_limit=30)
    return SyncSettings(
        AccountTransport(destination), str(tree), str(tmp_path / "state"), retry_seconds=0.05
    )


def test_sync_verify_and_only_what_is_new(settings: SyncSettings, tree: Path, server: Sshd) -> None:
    first = sync.sync(settings)
    assert (first.status, first.files_sent, first.attempts) == ("ok", 14, 1), first
    verification = offsite_verification.verify(settings)
    assert verification["comparison"]["in_sync"]
    assert verification["comparison"]["compared_by"] == "sha256"
    assert verification["remote"]["total_count"] == 14
    assert verification["last_good_sync"] == first.time
    for local in tree.glob("*/*.gz"):
        remote = server.backups / local.parent.name / local.name
        assert remote.stat().st_mtime_ns == local.stat().st_mtime_ns
        assert remote.stat().st_mode == local.stat().st_mode

    second = sync.sync(settings)
    assert (second.status, second.files_sent, second.bytes_of_files) == ("ok", 0, 0)

    # Rotation: the oldest goes, a new one comes. Only that is on the wire (T2.5 of the plan).
    oldest = sorted((tree / "daily").iterdir())[0]
    kept = oldest.read_bytes()
    oldest.unlink()
    new = add_backup(tree, "daily", -0.01, size=30_000)
    third = sync.sync(settings)
    assert third.sent == (f"daily/{new.name}",)
    assert third.aside == (f"daily/{oldest.name}",)
    assert third.bytes_sent < 30_000 + 2_000
    assert in_sync(settings)
    # What the copy dropped is beside it, as with the plan's --backup-dir.
    (aside,) = server.backups.glob("old_*/daily/*")
    assert aside.read_bytes() == kept


def test_a_replaced_backup_keeps_its_older_version(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    sync.sync(settings)
    victim = sorted((tree / "daily").iterdir())[-1]
    before = victim.read_bytes()
    victim.write_bytes(os.urandom(4001))
    assert sync.sync(settings).files_sent == 1
    (aside,) = server.backups.glob("old_*/daily/*")
    assert aside.read_bytes() == before
    assert in_sync(settings)


def test_bit_rot_with_the_same_size_and_time_is_named(settings: SyncSettings, server: Sshd) -> None:
    sync.sync(settings)
    victim = sorted((server.backups / "weekly").iterdir())[0]
    seen = victim.stat()
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes(content)
    os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert sync.sync(settings).files_sent == 0, "rsync's quick check cannot see it"
    verification = offsite_verification.verify(settings, full=True)
    assert verification["comparison"]["different"] == [f"weekly/{victim.name}"]
    assert offsite_verification.verify_exit_code(verification) == 2


@pytest.mark.parametrize("kind", ["empty", "missing", "unmarked"])
def test_an_empty_source_is_refused_and_the_copy_untouched(
    settings: SyncSettings, tree: Path, server: Sshd, kind: str
) -> None:
    sync.sync(settings)
    before = contents(server.backups)
    if kind == "unmarked":
        (tree / MARKER).unlink()
    else:
        shutil.rmtree(tree)
        if kind == "empty":
            tree.mkdir()
    result = sync.sync(settings)
    assert result.status == "refused" and result.exit_code == 2
    assert "source-marker" in [refusal.guard for refusal in result.refusals]
    assert contents(server.backups) == before


def test_half_of_the_backups_gone_is_refused_and_overridden_once(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    sync.sync(settings)
    before = contents(server.backups)
    for file in [*sorted((tree / "daily").iterdir())[:4], *list((tree / "weekly").iterdir())[:3]]:
        file.unlink()
    refused = sync.sync(settings)
    assert refused.status == "refused"
    assert {refusal.guard for refusal in refused.refusals} == {"mass-change"}
    assert "daily lost 4 of 7" in refused.message and "--override mass-change" in refused.remedy
    assert contents(server.backups) == before

    once = sync.sync(settings, overrides=["mass-change"])
    assert (once.status, once.files_aside) == ("warning", 7)
    assert len(list(server.backups.glob("old_*/*/*"))) == 7
    assert in_sync(settings)
    assert sync.sync(settings).status == "ok"


def test_a_lost_memory_does_not_let_a_mass_change_through(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    sync.sync(settings)
    Path(settings.state_dir, "offsite.json").write_text("{half")
    for file in sorted((tree / "daily").iterdir()):
        file.unlink()
    before = contents(server.backups)
    result = sync.sync(settings)
    assert result.status == "refused" and "moved aside" in result.message
    assert any("damaged" in warning for warning in result.warnings)
    assert contents(server.backups) == before


def test_every_backup_replaced_by_noise_is_refused(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    sync.sync(settings)
    before = contents(server.backups)
    for file in tree.glob("*/*.gz"):
        file.write_bytes(os.urandom(4000))
    result = sync.sync(settings)
    assert result.status == "refused" and "14 of 14 backups changed" in result.message
    assert contents(server.backups) == before


def test_an_emptied_server_is_refused(settings: SyncSettings, server: Sshd) -> None:
    sync.sync(settings)
    shutil.rmtree(server.backups)
    result = sync.sync(settings)
    assert [refusal.guard for refusal in result.refusals] == ["destination"]
    assert not server.backups.exists()
    server.backups.mkdir()
    assert sync.sync(settings).status == "refused"
    assert offsite_verification.verify_exit_code(offsite_verification.verify(settings)) == 2
    assert sync.sync(settings, overrides=["destination"]).files_sent == 14


def test_an_unknown_guard_is_refused(settings: SyncSettings) -> None:
    with pytest.raises(ResilienceError, match="mass-change"):
        sync.sync(settings, overrides=["mass"])


def test_the_folder_is_made_once_but_not_the_one_above(
    settings: SyncSettings, server: Sshd
) -> None:
    below = with_destination(settings, path=f"{server.root}/new folder's")
    assert sync.sync(below, dry_run=True).files_sent == 14
    assert not (server.root / "new folder's").exists()
    assert sync.sync(below).files_sent == 14
    assert in_sync(below)
    lost = sync.sync(with_destination(settings, path=f"{server.root}/no/such"))
    assert (lost.status, lost.kind) == ("failed", "no_folder")
    assert "mkdir -p" in lost.remedy


def test_a_dry_run_reports_and_changes_nothing(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    planned = sync.sync(settings, dry_run=True)
    assert (planned.status, planned.files_sent, planned.dry_run) == ("ok", 14, True)
    assert contents(server.backups) == {}
    assert not Path(settings.state_dir).exists()
    sync.sync(settings)
    before = contents(server.backups), contents(Path(settings.state_dir))
    oldest = sorted((tree / "daily").iterdir())[0]
    oldest.unlink()
    planned = sync.sync(settings, dry_run=True)
    assert planned.aside == (f"daily/{oldest.name}",)
    assert (contents(server.backups), contents(Path(settings.state_dir))) == before


def test_a_backup_being_written_is_left_out(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    sync.sync(settings)
    name = "chefwell_backup_20991231_030000.dump.gz"
    with (tree / "daily" / name).open("wb") as growing:
        growing.write(b"x" * 500)
        growing.flush()
        result = sync.sync(settings)
        assert result.in_progress == (f"daily/{name}",)
        assert result.files_sent == 0
        assert not (server.backups / "daily" / name).exists()
        assert in_sync(settings)
    assert sync.sync(settings).sent == (f"daily/{name}",)


def test_hostile_names_arrive_and_compare(settings: SyncSettings, tree: Path, server: Sshd) -> None:
    settings = dataclasses.replace(settings, pattern=r"(?s).*\.dump")
    names = [
        b"new\nline.dump",
        b"quo'te\".dump",
        b"$(touch pwned) `x` ;&.dump",
        b"not-utf8-\xff\xfe.dump",
        b"\x1b[31mred.dump",
        b"#hash \\#012 *?[a].dump",
        b"-rf.dump",
        b" lead and trail .dump",
    ]
    for name in names:
        (tree / "daily" / os.fsdecode(name)).write_bytes(os.urandom(500))
    result = sync.sync(settings)
    assert result.files_sent == 14 + len(names), result
    assert all(path.isprintable() for path in result.sent)
    verification = offsite_verification.verify(settings)
    assert verification["comparison"]["in_sync"], (
        verification["comparison"],
        verification["remote"]["problems"],
    )
    assert set(names) <= set(os.listdir(os.fsencode(server.backups / "daily")))
    json.dumps(verification).encode("ascii")
    assert sync.sync(settings).files_sent == 0
    for name in names:
        (tree / "daily" / os.fsdecode(name)).unlink()
    aside = sync.sync(settings, overrides=["mass-change"])
    assert aside.files_aside == len(names)
    assert in_sync(settings)
    assert not list(server.root.rglob("pwned"))


def test_links_and_pipes_are_neither_followed_nor_waited_for(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    (tree / "daily" / "chefwell_backup_20200101_000000.dump.gz").symlink_to("/etc/passwd")
    os.mkfifo(tree / "daily" / "chefwell_backup_20200102_000000.dump.gz")
    assert sync.sync(settings).files_sent == 14
    assert in_sync(settings)
    # The same on the server: a link there is no copy.
    victim = sorted((server.backups / "daily").iterdir())[0]
    victim.unlink()
    victim.symlink_to(sorted((tree / "daily").glob("*.gz"))[-1])
    assert offsite_verification.verify(settings)["comparison"]["missing"] == [
        f"daily/{victim.name}"
    ]


def test_foreign_files_on_the_server_stay(settings: SyncSettings, server: Sshd) -> None:
    sync.sync(settings)
    mine = server.backups / "daily" / "README.txt"
    mine.write_text("the owner's")
    other = server.backups / "elsewhere" / backup_name(500)
    other.parent.mkdir()
    other.write_text("another's backup")
    assert sync.sync(settings).files_aside == 0
    assert mine.exists() and other.exists()


class TestFailures:
    """Each cause has a message of its own, and none is taken for success."""

    def assert_failure(self, settings: SyncSettings, kind: str, text: str, attempts: int) -> None:
        result = sync.sync(settings)
        assert (result.status, result.kind) == ("failed", kind), result
        assert text in result.message
        assert result.remedy
        assert (result.attempts, result.exit_code) == (attempts, 2)
        with pytest.raises(ResilienceError, match=text):
            offsite_verification.verify(settings)

    def test_host_key_changed(self, settings: SyncSettings, server: Sshd) -> None:
        server.stop()
        server.renew_host_key()
        server.start()
        self.assert_failure(settings, "host_key_changed", "another host key", 1)
        assert contents(server.backups) == {}
        assert "SHA256:" in sync.sync(settings).message

    def test_unknown_host(self, settings: SyncSettings, server: Sshd) -> None:
        server.known_hosts.write_text("")
        self.assert_failure(settings, "host_key_unknown", "not pinned", 1)
        assert server.known_hosts.read_text() == "", "no trust on first use"

    def test_wrong_user(self, settings: SyncSettings) -> None:
        wrong = with_destination(settings, user="nobody-here")
        self.assert_failure(wrong, "permission_denied", "does not accept the key", 1)

    def test_key_that_was_not_let_in(self, settings: SyncSettings, server: Sshd) -> None:
        server.authorized_keys.write_text("")
        self.assert_failure(settings, "permission_denied", "does not accept the key", 1)

    def test_key_with_a_passphrase(self, settings: SyncSettings, server: Sshd) -> None:
        make_key(server.root / "locked", "secret words")
        locked = with_destination(settings, key_file=str(server.root / "locked"))
        self.assert_failure(locked, "key", "has a passphrase", 0)

    def test_key_that_others_may_read(self, settings: SyncSettings, server: Sshd) -> None:
        server.key.chmod(0o644)
        self.assert_failure(settings, "key", "may be read by others", 0)

    def test_no_key(self, settings: SyncSettings) -> None:
        self.assert_failure(
            with_destination(settings, key_file="/no/key"), "key", "cannot be read", 0
        )

    def test_nothing_listens(self, settings: SyncSettings) -> None:
        nothing = with_destination(settings, port=free_port())
        nothing = dataclasses.replace(nothing, marker="")
        self.assert_failure(nothing, "refused", "nothing listens", 3)

    def test_unknown_name(self, settings: SyncSettings) -> None:
        self.assert_failure(
            with_destination(settings, host="backup.invalid"),
            "unknown_host_name",
            "cannot be resolved",
            3,
        )

    def test_a_server_that_never_responds(self, settings: SyncSettings, server: Sshd) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            mute = with_destination(settings, port=port, connect_seconds=1)
            result = sync.sync(dataclasses.replace(mute, tries=2))
        assert (result.status, result.kind, result.attempts) == ("failed", "timed_out", 2), result

    def test_a_server_that_runs_another_command(self, settings: SyncSettings, server: Sshd) -> None:
        server.authorized_keys.write_text(
            'command="echo hello" ' + (server.root / "client_key.pub").read_text()
        )
        with pytest.raises(ResilienceError, match="shell did not run the command"):
            offsite_verification.verify(settings)
        result = sync.sync(settings)
        assert (result.status, result.kind) == ("failed", "no_commands")


def test_a_session_that_dies_is_tried_again(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    add_backup(tree, "monthly", 200, size=6_000_000)
    slow = with_destination(settings, bandwidth_kbps=3000)
    cut = []

    def progress(done: int, total: int) -> None:
        if not cut:
            cut.append(done)
            for pid in server.children():
                kill(pid)

    result = sync.sync(slow, progress=progress)
    assert (result.status, result.attempts) == ("warning", 2), result
    assert "try 1 failed: the connection was cut" in result.warnings[0]
    assert in_sync(settings)


def test_kill_9_leaves_nothing_half_and_the_lock_while_rsync_lives(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    big = add_backup(tree, "weekly", 100, size=8_000_000)
    apart = start_sync(with_destination(settings, bandwidth_kbps=1500))
    temporary = f".{big.name}.*"
    folder = server.backups / "weekly"
    wait_for(lambda: sum(part.stat().st_size for part in folder.glob(temporary)) > 500_000)
    children = descendants(apart.pid)
    kill(apart.pid)
    apart.wait()
    # Its rsync is still sending, so the lock must still hold.
    locked = sync.sync(settings)
    assert (locked.status, locked.exit_code, locked.attempts) == ("locked", 1, 0)
    for pid in children:
        kill(pid)
    wait_for(lambda: all(map(has_ended, children)) and not list(folder.glob(temporary)))

    assert not (folder / big.name).exists()
    local = contents(tree)
    for path, content in contents(server.backups).items():
        assert ".rsync-partial" in path or content == local[path]
    result = sync.sync(settings)
    assert result.status == "ok", result
    # It went on from what had arrived.
    assert result.bytes_sent < 7_600_000
    assert in_sync(settings)
    assert not list(server.backups.rglob(".rsync-partial"))


def test_two_at_once(settings: SyncSettings, tree: Path) -> None:
    add_backup(tree, "weekly", 100, size=3_000_000)
    apart = start_sync(with_destination(settings, bandwidth_kbps=2000))
    try:
        wait_for(lambda: Path(settings.state_dir, "offsite.lock").exists())
        time.sleep(0.2)
        assert sync.sync(settings).status == "locked"
        assert apart.wait(20) == 0
    finally:
        apart.kill()
    assert sync.sync(settings).files_sent == 0
    assert in_sync(settings)


def meanwhile(monkeypatch: pytest.MonkeyPatch, action) -> None:
    """Has something happen after the tree was looked at and before anything is sent."""
    parse = remote_listing.parse

    def parsed(*arguments, **options):
        action()
        return parse(*arguments, **options)

    monkeypatch.setattr(remote_listing, "parse", parsed)


def test_a_backup_rotated_away_meanwhile_is_reported(
    settings: SyncSettings, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = sorted((tree / "daily").iterdir())[0]
    meanwhile(monkeypatch, lambda: victim.unlink(missing_ok=True))
    result = sync.sync(settings)
    assert result.status == "warning"
    assert result.vanished == (f"daily/{victim.name}",)
    assert result.files_sent == 13
    assert in_sync(settings)


def test_a_tree_unmounted_meanwhile_fails_and_moves_nothing(
    settings: SyncSettings, tree: Path, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.sync(settings)
    before = contents(server.backups)

    def unmount() -> None:
        if tree.exists():
            tree.rename(tree.with_name("gone"))
            tree.mkdir()

    meanwhile(monkeypatch, unmount)
    result = sync.sync(settings)
    assert (result.status, result.kind) == ("failed", "vanished"), result
    assert contents(server.backups) == before


def test_an_unread_tier_is_not_taken_for_an_empty_one(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    sync.sync(settings)
    (tree / "monthly").rename(tree / "elsewhere")
    generous = dataclasses.replace(settings, limits=offsite_guards.Limits(change_percent=100))
    result = sync.sync(generous)
    assert (result.status, result.files_aside) == ("warning", 0)
    assert len(list((server.backups / "monthly").iterdir())) == 3
    assert not in_sync(settings)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small filesystem takes root")
def test_a_full_or_read_only_server_leaves_the_earlier_set_whole(
    settings: SyncSettings, tree: Path, server: Sshd
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", server.backups], check=True)
    try:
        assert sync.sync(settings).status == "ok"
        before = contents(server.backups)
        big = add_backup(tree, "weekly", 50, size=2_000_000)
        guarded = sync.sync(settings)
        assert [refusal.guard for refusal in guarded.refusals] == ["room"]
        full = sync.sync(settings, overrides=["room"])
        assert (full.status, full.kind) == ("failed", "no_space"), full
        after = contents(server.backups)
        assert {path: after[path] for path in before} == before
        assert not list(server.backups.glob("old_*"))

        # What had arrived waits to be gone on from; it takes room until then.
        shutil.rmtree(server.backups / "weekly" / ".rsync-partial")
        big.write_bytes(os.urandom(500))
        subprocess.run(["mount", "-o", "remount,ro", server.backups], check=True)
        read_only = sync.sync(settings)
        assert (read_only.status, read_only.kind) == ("failed", "read_only"), read_only
    finally:
        subprocess.run(["umount", server.backups], check=True)
