"""Attacks by whoever holds a client's key, against a real sshd with the gate."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import sync
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    incoming,
    server_job,
    server_store,
)
from support.backup_trees import add_backup
from support.gated_backup_server import Attacker, copied, settings, tree
from support.offsite_client import copied_backups, gated_sync, in_sync
from support.server_copies import listed, make_store
from support.sshd import Sshd, server
from support.waiting import wait_for

__all__ = ["copied", "server", "settings", "tree"]

NAME = "chefwell_backup_20991231_030000.dump.gz"
PATH = f"daily/{NAME}"


@pytest.fixture
def attacker(copied: SyncSettings, server: Sshd) -> Attacker:
    """An attacker with the key of a client that has copied its tree."""
    return Attacker(copied, server)


@pytest.fixture
def store(copied: SyncSettings, server: Sshd) -> server_store.Store:
    return make_store(server.backups, language="en")


def loot(root: Path, content: bytes, moment: int = 10**9) -> Path:
    """A folder with one backup of this content, as `incoming` should hold it."""
    shutil.rmtree(root, ignore_errors=True)
    (root / "daily").mkdir(parents=True)
    (root / PATH).write_bytes(content)
    os.utime(root / PATH, (moment, moment))
    return root


def announcement(files: dict[str, bytes]) -> bytes:
    """The inventory of these contents by path, as a client sends it."""
    return json.dumps(listed(files)).encode()


def sends(attacker: Attacker, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Send a folder's content to `incoming`."""
    return attacker.rsync("-rt", *options, f"{folder}/", f"{attacker.account}:incoming/")


def held_commit(attacker: Attacker) -> subprocess.Popen[bytes]:
    """A commit that waits for its inventory."""
    return subprocess.Popen(
        [*attacker.ssh, attacker.account, "chefwell-commit"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


class TestNoiseUnderAnAnnouncedDigest:
    """What is digested is what gets its place (O1)."""

    @pytest.fixture
    def settings(self, server: Sshd) -> Iterator[SyncSettings]:
        """A client whose copy lies on a disk: a filesystem in memory uses no inode again."""
        access: dict[str, object] = {"connect_seconds": 5, "time_limit": 30}
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            yield gated_sync(server, Path(folder), access, retry_seconds=0.05)

    def test_an_inode_that_is_used_again(self, attacker: Attacker, tmp_path: Path) -> None:
        """A held commit has digested X; then noise of X's size and time takes X's inode."""
        before = copied_backups(attacker.server)
        for _round in range(5):
            genuine, noise = os.urandom(5000), os.urandom(5000)
            held = held_commit(attacker)
            assert sends(attacker, loot(tmp_path / "x", genuine)).returncode == 0
            time.sleep(1.2)
            sends(attacker, loot(tmp_path / "other", os.urandom(7000)))
            sends(attacker, loot(tmp_path / "noise", noise))
            output, _errors = held.communicate(announcement({**before, PATH: genuine}), 20)
            result = json.loads(output)
            placed = attacker.server.backups / PATH
            if PATH in result["placed"]:
                assert placed.read_bytes() == genuine
                placed.unlink()
            else:
                assert not placed.exists()

    def test_a_second_session_that_swaps_a_file(
        self, attacker: Attacker, copied: SyncSettings, tmp_path: Path
    ) -> None:
        """While an honest sync runs, the attacker writes the same name again and again."""
        tree = Path(copied.backup_path)
        new = add_backup(tree, "daily", -0.01, size=300_000)
        noise = tmp_path / "noise"
        (noise / "daily").mkdir(parents=True)
        (noise / "daily" / new.name).write_bytes(os.urandom(300_000))
        shutil.copystat(new, noise / "daily" / new.name)
        sent = 0

        def progress(done: int, total: int) -> None:
            nonlocal sent
            if sent < 3:
                sent += 1
                sends(attacker, noise)

        sync.sync(copied, progress=progress)
        sends(attacker, noise)
        placed = attacker.server.backups / "daily" / new.name
        assert not placed.exists() or placed.read_bytes() == new.read_bytes()
        assert sync.sync(copied).status in ("ok", "warning")
        assert placed.read_bytes() == new.read_bytes() and in_sync(copied)

    def test_a_file_that_is_still_open_for_writing(
        self, attacker: Attacker, store: server_store.Store
    ) -> None:
        """A writer that keeps the file open cannot change it after it was digested."""
        genuine = os.urandom(5000)
        (Path(store.incoming) / "daily").mkdir(exist_ok=True)
        arrived = Path(store.incoming) / PATH
        arrived.write_bytes(genuine)
        before = copied_backups(attacker.server)
        with arrived.open("r+b") as writer:
            done = json.loads(attacker.commit({**before, PATH: genuine}).stdout)
            writer.write(b"noise")
        assert (done["placed"], done["unfit"]) == ([], [PATH])
        assert copied_backups(attacker.server) == before
        # Nor a second name of it.
        arrived.write_bytes(genuine)
        os.link(arrived, Path(store.incoming) / "daily" / f".{NAME}.abcdef")
        done = json.loads(attacker.commit({**before, PATH: genuine}).stdout)
        assert (done["placed"], done["unfit"]) == ([], [PATH])


class TestNestedFolders:
    """Depth is refused, and silences nobody (O2, O18)."""

    def test_they_are_refused_and_moved_away(
        self, attacker: Attacker, copied: SyncSettings, store: server_store.Store, tmp_path: Path
    ) -> None:
        deep = tmp_path / "deep"
        deep.mkdir()
        descriptor = os.open(deep, os.O_RDONLY)
        for _level in range(1100):
            os.mkdir("d", dir_fd=descriptor)
            inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        os.close(descriptor)
        done = attacker.rsync(
            "-rt", "--bwlimit=20", f"{deep}/", f"{attacker.account}:incoming/daily/"
        )
        assert done.returncode != 0
        done = sends(attacker, deep, "--bwlimit=20")
        print(done.stderr.strip()[-200:])
        wait_for(lambda: os.listdir(store.quarantine) and not list(incoming.obstructions(store)))
        assert "incoming-blocked" in store.alarms.all()
        # The job runs whole, and what is old enough is removed however deep it is.
        result = server_job.run(store)
        assert result.failures == {} and "silent" not in result.alarms
        incoming.clean(store, time.time() + (incoming.INCOMING_DAYS + 1) * 86400)
        assert os.listdir(store.quarantine) == []
        assert sync.sync(copied).status == "ok"
        shutil_free(deep)

    def test_folders_without_rights(
        self, attacker: Attacker, copied: SyncSettings, store: server_store.Store, tmp_path: Path
    ) -> None:
        """Folders of mode 0, a file called as a tier, a folder called as the next backup (O9)."""
        tree = Path(copied.backup_path)
        new = add_backup(tree, "daily", -0.01)
        incoming_folder = f"{attacker.account}:incoming/"
        for number, name in enumerate(("daily", "daily/.rsync-partial", f"daily/{new.name}")):
            hostile = tmp_path / f"hostile{number}"
            (hostile / name).mkdir(parents=True)
            (hostile / name).chmod(0)
            assert attacker.rsync("-rp", f"{hostile}/", incoming_folder).returncode == 0
        blocking = tmp_path / "file"
        blocking.mkdir()
        (blocking / "weekly").write_text("no folder")
        assert sends(attacker, blocking).returncode == 0
        add_backup(tree, "weekly", -0.01)
        result = sync.sync(copied)
        assert (result.status, result.files_sent) == ("ok", 2), result
        assert in_sync(copied)
        alarm = store.alarms.all()["incoming-blocked"]
        assert "weekly" in alarm.reason or new.name in alarm.reason


def shutil_free(path: Path) -> None:
    """Remove a folder that is too deep for shutil."""
    while path.exists():
        inner = path / "d"
        if inner.exists():
            moved = path.parent / "inner"
            inner.rename(moved)
            path.rmdir()
            moved.rename(path)
        else:
            path.rmdir()


class TestGuardsThatRemember:
    def test_six_small_cuts(self, attacker: Attacker) -> None:
        """Each inventory lists 40 % less than the one before (O3)."""
        before = copied_backups(attacker.server)
        files = dict(before)
        reasons = []
        for _step in range(6):
            for tier in ("daily", "weekly", "monthly"):
                own = sorted(path for path in files if path.startswith(f"{tier}/"))
                for path in own[len(own) - int(len(own) * 0.4) :]:
                    del files[path]
            reasons.append(json.loads(attacker.commit(files).stdout)["refused"])
        left = copied_backups(attacker.server)
        in_place = [path for path in left if not path.startswith("old_")]
        assert sum(map(bool, reasons)) >= 4 and len(in_place) >= len(before) * 0.6, reasons
        assert any("the best state of the last 1 day with a sync" in reason for reason in reasons)

    def test_an_announced_size_counts_for_nothing(self, attacker: Attacker) -> None:
        """One path announced with 10^15 bytes hides no loss (O16)."""
        before = copied_backups(attacker.server)
        big = max(before, key=lambda path: len(before[path]))
        kept = {path: body for path, body in before.items() if not path.startswith("daily/")}
        kept |= {path: before[path] for path in sorted(before) if path.startswith("daily/")}
        values = listed(kept)
        for path in list(values["files"]):
            if path.startswith("daily/") and path != big and len(values["files"]) > 9:
                del values["files"][path]
        values["files"][big] = ["0" * 64, 10**15]
        done = json.loads(attacker.run("chefwell-commit", input=json.dumps(values).encode()).stdout)
        assert done["refused"] and copied_backups(attacker.server) == before


class TestOddNames:
    """One odd path costs that path (O7)."""

    def test_a_hidden_file_in_the_tree(self, copied: SyncSettings, server: Sshd) -> None:
        tree = Path(copied.backup_path)
        for name in (f".{NAME}", "._x"):
            (tree / "daily" / name).write_bytes(os.urandom(500))
        new = add_backup(tree, "daily", -0.01)
        result = sync.sync(copied)
        assert (result.status, result.sent) == ("ok", (f"daily/{new.name}",)), result
        assert (server.backups / "daily" / new.name).read_bytes() == new.read_bytes()
        assert in_sync(copied)

    def test_a_pattern_that_the_server_does_not_know(
        self, copied: SyncSettings, server: Sshd
    ) -> None:
        """The client's pattern is wider than the server's: this is reported, the rest is placed."""
        tree = Path(copied.backup_path)
        (tree / "daily" / "bistro-2099.sql").write_bytes(os.urandom(500))
        new = add_backup(tree, "daily", -0.01)
        wider = dataclasses.replace(copied, pattern=r".+\.(dump\.gz|sql)\Z")
        for _night in range(2):
            result = sync.sync(wider)
            assert result.status == "warning", result
            assert any("bistro-2099.sql" in warning for warning in result.warnings), result
            assert not any("gone on the server" in warning for warning in result.warnings), result
        assert (server.backups / "daily" / new.name).read_bytes() == new.read_bytes()
