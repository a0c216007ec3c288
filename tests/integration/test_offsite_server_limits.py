"""The backup server's bounds: what a reading key reaches, sessions, clocks, and each reading."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    sync,
    sync_plan,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    client_inventory,
    gate_limits,
    server_job,
    server_setup,
    server_store,
)
from support.backup_trees import add_backup, contents
from support.gated_backup_server import Attacker, attacker, copied, settings, store, tree
from support.offsite_client import account_sync
from support.server_copies import BACKUPS, content, make_store, place
from support.sshd import COLLECTIONS, ENGINE, Sshd, server
from support.waiting import wait_for

__all__ = ["attacker", "copied", "server", "settings", "tree"]

DAY = 86400.0


@contextlib.contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Path]:
    """A filesystem in memory, which the server of this lane sees, too."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "t", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class TestReadingKey:
    """It reads the backups of named tiers, whatever filter its rsync sends (O17)."""

    @pytest.mark.parametrize("options", [(), ("--protocol=29",), ("--protocol=30",)])
    @pytest.mark.parametrize(
        "path", ["", ".chefwell", "daily/../.chefwell", "old_20260101_000000/x"]
    )
    def test_nothing_beside_them(
        self, attacker: Attacker, tmp_path: Path, path: str, options: tuple[str, ...]
    ) -> None:
        server = attacker.server
        held = store(server)
        held.alarms.set("mass-change", "secret text of an alarm")
        (Path(held.incoming) / "secret").write_text("incoming")
        (server.backups / "old_20260101_000000" / "x").mkdir(parents=True)
        (server.backups / "secret").write_text("beside the tiers")
        server.install_gate("read")
        loot = tmp_path / "loot"
        for rules in ((), ("--filter=!",), ("--include=.chefwell/***", "--filter=!")):
            done = attacker.rsync(
                "-rt", *options, *rules, f"{attacker.account}:{server.backups}/{path}/", f"{loot}/"
            )
            if path:
                assert "may read these folders only: daily, weekly, monthly" in done.stderr, done
            found = contents(loot) if loot.exists() else {}
            assert not any("secret" in name or ".chefwell" in name for name in found)
            assert bool(found) is not bool(path)

    def test_tiers_and_previous_versions(self, attacker: Attacker, tmp_path: Path) -> None:
        server = attacker.server
        old = server.backups / "old_20260101_000000" / "daily"
        old.mkdir(parents=True)
        (old / "chefwell_backup_20250101_030000.dump.gz").write_bytes(b"old")
        # A link in a tier is not followed out of it.
        (server.backups / "daily" / "chefwell_backup_20991231_030000.dump").symlink_to(
            "/etc/passwd"
        )
        server.install_gate("read")
        for path in ("daily", "old_20260101_000000/daily"):
            loot = tmp_path / path.replace("/", "_")
            done = attacker.rsync("-rt", f"{attacker.account}:{server.backups}/{path}/", f"{loot}/")
            assert done.returncode == 0, done.stderr
            assert contents(loot) == {
                name: (server.backups / path / name).read_bytes()
                for name in os.listdir(server.backups / path)
                if not (server.backups / path / name).is_symlink()
            }
        assert attacker.run("chefwell-list daily").returncode == 0


class TestSessions:
    """What one key may keep busy (O22)."""

    def test_no_more_than_a_few_at_once(self, copied: SyncSettings, server: Sshd) -> None:
        attacker = Attacker(copied, server)
        held = store(attacker.server)
        folder = Path(held.state_dir, "sessions")
        open_ones = [
            subprocess.Popen(
                [*attacker.ssh, attacker.account, "chefwell-commit"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for _number in range(gate_limits.MOST_SESSIONS)
        ]
        try:
            wait_for(lambda: len(list(folder.glob("*.lock"))) == gate_limits.MOST_SESSIONS)
            time.sleep(0.5)
            refused = attacker.run("chefwell-list daily")
            assert (
                refused.returncode == 75 and b"sessions of this client are open" in refused.stderr
            )
            assert sync.sync(copied).kind == "busy"
        finally:
            for one in open_ones:
                one.kill()
                one.communicate()
        wait_for(lambda: attacker.run("chefwell-list daily").returncode == 0)
        assert sync.sync(copied).status == "ok"

    def test_a_session_ends(self, attacker: Attacker, tmp_path: Path) -> None:
        """The limit holds for the gate as for the rsync that it becomes."""
        limited = tmp_path / "limited.py"
        limited.write_text(
            "import sys\n"
            f"from {server_store.__package__} import gate, gate_limits\n"
            "gate_limits.MOST_SECONDS = 2\n"
            "raise SystemExit(gate.main())\n"
        )
        line = attacker.server.authorized_keys.read_text()
        attacker.server.authorized_keys.write_text(
            line.replace(f"-m {server_store.__package__}.gate", str(limited))
        )
        big = tmp_path / "big"
        (big / "daily").mkdir(parents=True)
        (big / "daily" / "chefwell_backup_20260101_030000.dump.gz").write_bytes(os.urandom(1 << 20))
        began = time.monotonic()
        waiting = attacker.run("chefwell-commit", options=("-n",))
        done = attacker.rsync("-rt", "--bwlimit=60", f"{big}/", f"{attacker.account}:incoming/")
        assert done.returncode != 0 and time.monotonic() - began < 15
        assert waiting.returncode in (1, 2)

    def test_a_name_is_read_once(self, attacker: Attacker) -> None:
        """However often it is requested, and one request after the other."""
        name = next(file for file in (attacker.server.backups / "daily").iterdir())
        path = f"daily/{name.name}".encode()
        done = attacker.run("chefwell-digest", input=b"\0".join([path] * 20000))
        assert done.stdout.count(path) == 1
        with ThreadPoolExecutor(max_workers=4) as pool:
            results = pool.map(
                lambda _number: attacker.run("chefwell-digest", input=path), range(4)
            )
            assert [one.stdout.count(path) for one in results] == [1] * 4


def test_the_accounts_home_is_not_searched_for_modules(server: Sshd, tmp_path: Path) -> None:
    """Python started with `-m` looks first in the folder that it is started in (O22)."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("json", "shlex", "chefwell_resilience", "argparse"):
        (home / f"{name}.py").write_text(f"open({str(home / 'pwned')!r}, 'w')\n")
    kit = tmp_path / "kit"
    (kit / "clients").mkdir(parents=True)
    module_utils = COLLECTIONS / "ansible_collections/chefwell/resilience/plugins/module_utils"
    (kit / "chefwell_resilience").symlink_to(module_utils)
    copy = tmp_path / "copy"
    copy.mkdir()
    (kit / "clients" / "shop.json").write_text(json.dumps({"root": str(copy)}))
    words = {"gate.sh": ["shop", "write"], "keep-offsite-copy.sh": ["shop", "--json"]}
    for name, text in server_setup.scripts(str(kit), sys.executable).items():
        script = kit / name
        script.write_text(text)
        script.chmod(0o755)
        done = subprocess.run(
            [str(script), *words[name]],
            cwd=home,
            env={"PATH": os.environ["PATH"], "SSH_ORIGINAL_COMMAND": "hostname", "HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not (home / "pwned").exists(), name


class TestClock:
    def test_a_clock_that_is_ahead_for_one_run(
        self, copied: SyncSettings, tree: Path, server: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """100 days ahead: nothing is dropped, and silence counts as before (O21)."""
        for file in sorted((tree / "daily").iterdir())[:2]:
            file.unlink()
        add_backup(tree, "daily", -0.01)
        assert sync.sync(copied).files_aside == 2
        held = store(server)
        arrived = Path(held.incoming) / "daily"
        arrived.mkdir(exist_ok=True)
        (arrived / "chefwell_backup_20260101_030000.dump.gz").write_bytes(b"x" * 500)
        assert server_job.run(held).dropped == []
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 100 * DAY)
        ahead = server_job.run(held)
        assert ahead.dropped == [] and "clock-jumped" in ahead.alarms
        assert "100 days" in ahead.alarms["clock-jumped"].reason
        assert (arrived / "chefwell_backup_20260101_030000.dump.gz").exists()
        monkeypatch.undo()
        back = server_job.run(held)
        assert back.dropped == [] and "silent" in back.over
        assert len(list(server.backups.glob("old_*/daily/*"))) == 2
        # Digests that were taken by the wrong clock are no reason to read nothing for 100 days.
        ledger = held.ledger()
        assert back.read >= len(ledger)
        assert all(entry.read <= real() for entry in ledger.values())
        # An inventory that came by the wrong clock does not hide a silence either.
        held.save("last", {"time": real() + 100 * DAY, "listed": 1})
        server_job.run(held)
        monkeypatch.setattr(time, "time", lambda: real() + 3 * DAY)
        assert "silent" in server_job.run(held).alarms

    @pytest.mark.parametrize("runs", [1, 3])
    def test_a_clock_without_a_battery(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: int
    ) -> None:
        """In 1970 for some runs: it is reported, and after one run all is as it was (O21)."""
        held = make_store(tmp_path)
        place(held, {path: content(path) for path in BACKUPS})
        assert server_job.run(held).alarms == {}
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() % DAY)
        for _run in range(runs):
            alarms = server_job.run(held).alarms
        assert set(alarms) <= {"clock-jumped"} and ("clock-jumped" in alarms) is (runs == 1)
        monkeypatch.undo()
        back = server_job.run(held).alarms
        assert ("clock-jumped" in back) is (runs > 1)
        assert back.keys() <= ({"clock-jumped", "silent"} if runs > 1 else set())

    def test_a_server_that_was_off_drops_later(
        self, copied: SyncSettings, tree: Path, server: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is old is dropped after all, a few runs later."""
        sorted((tree / "daily").iterdir())[0].unlink()
        add_backup(tree, "daily", -0.01)
        sync.sync(copied)
        held = store(server)
        real, dropped, runs = time.time, [], 0
        server_job.run(held)
        monkeypatch.setattr(time, "time", lambda: real() + 200 * DAY + runs * DAY)
        while not dropped and runs < 60:
            runs += 1
            dropped = server_job.run(held).dropped
        assert len(dropped) == 1 and 40 <= runs <= 50, runs


class TestReadSoon:
    def test_what_was_spoilt_on_arrival(
        self, copied: SyncSettings, tree: Path, server: Sshd
    ) -> None:
        """Every backup is read once soon after it was placed, previous versions too (O6)."""
        held = store(server)
        found = []
        for night in range(3):
            new = add_backup(tree, "daily", -0.01 - night)
            oldest = sorted((tree / "daily").iterdir())[0]
            oldest.unlink()
            assert sync.sync(copied).status in ("ok", "warning")
            placed = server.backups / "daily" / new.name
            body, status = bytearray(placed.read_bytes()), placed.stat()
            body[7] ^= 1
            placed.write_bytes(body)
            os.utime(placed, ns=(status.st_atime_ns, status.st_mtime_ns))
            found.append(server_job.run(held).rotten == [f"daily/{new.name}"])
            # The next sync repairs it.
            assert sync.sync(copied).repaired == (f"daily/{new.name}",)
        assert found == [True] * 3

    def test_a_previous_version(self, copied: SyncSettings, tree: Path, server: Sshd) -> None:
        oldest = sorted((tree / "daily").iterdir())[0]
        oldest.unlink()
        add_backup(tree, "daily", -0.01)
        sync.sync(copied)
        held = make_store(server.backups)
        first = server_job.run(held)
        assert first.rotten_previous == [] and first.oldest
        (aside,) = server.backups.glob(f"old_*/daily/{oldest.name}")
        body, status = bytearray(aside.read_bytes()), aside.stat()
        body[7] ^= 1
        aside.write_bytes(body)
        os.utime(aside, ns=(status.st_atime_ns, status.st_mtime_ns))
        daily = make_store(server.backups, reread_days=0)
        result = server_job.run(daily)
        path = str(aside.relative_to(server.backups))
        assert result.rotten_previous == [path]
        assert path in result.alarms["previous-version-rot"].reason
        assert any(oldest.name in one for one in sync.sync(copied).server_alarms)
        server_job.clear(daily)
        assert server_job.run(daily).alarms == {}


class TestInRealLife:
    """What was shown on parts alone, on a real server."""

    def test_many_refused_requests_lose_no_alarm(self, attacker: Attacker) -> None:
        """(O4)"""
        held = store(attacker.server)
        held.alarms.set("mass-change", "much")
        with ThreadPoolExecutor(max_workers=10) as pool:
            codes = list(pool.map(lambda n: attacker.run(f"rm -rf {n}").returncode, range(40)))
        assert set(codes) == {1}
        assert set(held.alarms.all()) == {"mass-change", "refused-request"}
        log = Path(held.state_dir, "refused.log").read_text().splitlines()
        assert len(log) == 40

    def test_the_inventory_that_was_seen_is_accepted(
        self,
        copied: SyncSettings,
        tree: Path,
        server: Sshd,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The owner's and an attacker's wait; `--accept` alone chooses neither (O11)."""
        for file in sorted((tree / "daily").iterdir())[:4]:
            file.unlink()
        owners = sync.sync(copied, overrides=["mass-change"])
        assert owners.kind == "server_guard", owners
        attacker = Attacker(copied, server)
        foreign = json.loads(attacker.commit({}).stdout)["refused_id"]
        held = store(server)
        waiting = [one.id for one in client_inventory.refused(held)]
        assert len(waiting) == 2 and foreign in waiting
        command = ["keep-offsite-copy", "--config", str(server.root / "gate.json"), "--accept"]
        assert host_cli.main(command) == 3
        assert "several refused inventories wait" in capsys.readouterr().err
        (own,) = set(waiting) - {foreign}
        assert host_cli.main([*command, own]) == 0
        assert len(held.backups()) == 10 and client_inventory.refused(held) == []
        assert sync.sync(copied).status == "ok"

    def test_a_disk_that_is_not_mounted(
        self, copied: SyncSettings, server: Sshd, tmp_path: Path
    ) -> None:
        """Neither the gate nor the job takes the folder below for the copy (O13)."""
        with tmpfs(tmp_path / "disk", "size=64M") as disk:
            server.backups = disk
            config = server.install_gate(identity="the-copy")
            state = disk / server_store.STATE_FOLDER
            state.mkdir()
            (state / server_store.IDENTITY_FILE).write_text("the-copy\n")
            destination = dataclasses.replace(copied.transport.destination, path=str(disk))
            here = dataclasses.replace(
                copied, transport=type(copied.transport)(destination), state_dir=str(tmp_path / "s")
            )
            assert sync.sync(here).status == "ok"
            assert host_cli.main(["keep-offsite-copy", "--config", str(config)]) == 0
        failed = sync.sync(here)
        assert failed.status == "failed" and "identity is missing" in failed.message, failed
        assert host_cli.main(["keep-offsite-copy", "--config", str(config)]) == 3
        assert os.listdir(tmp_path / "disk") == []

    def test_no_inode_is_free(self, copied: SyncSettings, server: Sshd, tmp_path: Path) -> None:
        """The full disk is the alarm that goes out (O8)."""
        with tmpfs(tmp_path / "disk", "size=64M,nr_inodes=60") as disk:
            server.backups = disk
            config = server.install_gate(language="en")
            destination = dataclasses.replace(copied.transport.destination, path=str(disk))
            here = dataclasses.replace(
                copied, transport=type(copied.transport)(destination), state_dir=str(tmp_path / "s")
            )
            assert sync.sync(here).status == "ok"
            number = 0
            while True:
                try:
                    (disk / f"filler{number}").write_text("")
                except OSError:
                    break
                number += 1
            done = subprocess.run(
                [sys.executable, "-m", f"{ENGINE}.host_cli", "keep-offsite-copy", "--config",
                 str(config)],
                env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 2, done
            assert "ALARM room" in done.stdout and "Traceback" not in done.stderr, done
            add_backup(Path(here.backup_path), "daily", -0.01)
            failed = sync.sync(here)
            assert failed.status in ("failed", "refused") and "room" in failed.message

    def test_a_backup_that_may_not_be_read(self, server: Sshd, tmp_path: Path) -> None:
        """By an account that is not root: named, and all others are read (O8)."""
        copy = tmp_path / "copy"
        (copy / "daily").mkdir(parents=True)
        for number in range(3):
            name = f"chefwell_backup_2026010{number + 1}_030000.dump"
            (copy / "daily" / name).write_bytes(b"x" * 200)
        for path in [tmp_path, *tmp_path.parents]:
            if path.stat().st_mode & 0o005 != 0o005 and str(path).startswith("/tmp/"):
                path.chmod(path.stat().st_mode | 0o005)
        for path in [copy, *copy.rglob("*")]:
            os.chown(path, 65534, 65534)
        closed = copy / "daily" / "chefwell_backup_20260102_030000.dump"
        os.chown(closed, 0, 0)
        closed.chmod(0)
        config = tmp_path / "client.json"
        config.write_text(json.dumps({"root": str(copy), "language": "en"}))
        config.chmod(0o644)
        done = subprocess.run(
            [sys.executable, "-m", f"{ENGINE}.host_cli", "keep-offsite-copy", "--config",
             str(config)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(COLLECTIONS)},
            cwd="/", user=65534, group=65534, extra_groups=[],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 2 and "ALARM unreadable" in done.stdout, done
        assert closed.name in done.stdout and "read 2 backups again" in done.stdout
        assert "Traceback" not in done.stderr


class TestTwoReplacementsInOneSecond:
    """Neither overwrites what the other has kept (O22)."""

    def test_names_of_the_folders_only_go_up(self) -> None:
        seen = [""]
        for _attempt in range(5):
            seen.append(sync_plan.next_old_folder(seen[-1]))
        assert len(set(seen)) == 6 and seen == sorted(seen)
        assert sync_plan.next_old_folder("old_29991231_235959") == "old_30000101_000000"
        assert sync_plan.next_old_folder("nonsense") != "nonsense"

    @pytest.mark.parametrize("mode", ["gate", "account"])
    def test_both_are_kept(self, copied: SyncSettings, tree: Path, server: Sshd, mode: str) -> None:
        client = copied if mode == "gate" else account_sync(copied, server)
        victim = sorted((tree / "daily").iterdir())[0]
        limits = dataclasses.replace(client.limits, most_rewritten=99, change_percent=1000)
        client = dataclasses.replace(client, limits=limits)
        if mode == "gate":
            server.install_gate(most_rewritten=99, change_percent=1000)
        kept = [victim.read_bytes()]
        for turn in range(3):
            victim.write_bytes(os.urandom(4000 + turn))
            kept.append(victim.read_bytes())
            result = sync.sync(client)
            assert result.status == "warning", result
        found = [one.read_bytes() for one in server.backups.glob(f"old_*/daily/{victim.name}")]
        assert sorted(found) == sorted(kept[:-1])

    def test_a_retry_does_not_hide_what_was_not_placed(
        self, copied: SyncSettings, tree: Path, server: Sshd
    ) -> None:
        """The copy holds other content of the same size and time: it is sent in the end."""
        victim = sorted((tree / "daily").iterdir())[0]
        held = server.backups / "daily" / victim.name
        status = held.stat()
        held.write_bytes(os.urandom(status.st_size))
        os.utime(held, ns=(status.st_atime_ns, status.st_mtime_ns))
        ledger = store(server).ledger()
        del ledger[f"daily/{victim.name}"]  # the server takes what is there as it is
        store(server).save_ledger(ledger)
        add_backup(tree, "weekly", -0.01)
        result = sync.sync(copied)
        assert result.attempts == 2 and result.status == "warning", result
        assert held.read_bytes() == victim.read_bytes()
        assert any("did not arrive as they are here" in one for one in result.warnings)
