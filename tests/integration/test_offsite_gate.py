"""The restricted key: what a sync does through the gate, and what a thief of the key cannot."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import fcntl
import gzip
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    ssh_command,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.ssh import (
    ServerError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    landlock,
    retention,
    server_store,
)
from support.backup_trees import add_backup, contents
from support.offsite_client import copied_backups, gated_sync, in_sync
from support.processes import kill
from support.sshd import Sshd, server

__all__ = ["server"]

NOTHING = json.dumps({"files": {}, "unread": [], "in_progress": []}).encode()


@pytest.fixture
def settings(server: Sshd, tmp_path: Path) -> SyncSettings:
    """A tree and an empty copy of its own behind the gate."""
    access: dict[str, object] = {"connect_seconds": 5, "time_limit": 30}
    return gated_sync(server, tmp_path, access, retry_seconds=0.05)


@pytest.fixture
def tree(settings: SyncSettings) -> Path:
    return Path(settings.backup_path)


@pytest.fixture
def copied(settings: SyncSettings) -> SyncSettings:
    result = sync.sync(settings)
    assert (result.status, result.files_sent, result.attempts) == ("ok", 14, 1), result
    return settings


def store(server: Sshd) -> server_store.Store:
    values = {key: value.default for key, value in server_store.KEYS.items()}
    return server_store.Store({**values, "root": str(server.backups)})


class TestSync:
    def test_whole_round(self, copied: SyncSettings, tree: Path, server: Sshd) -> None:
        for ours in tree.glob("*/*.gz"):
            theirs = server.backups / ours.parent.name / ours.name
            assert theirs.read_bytes() == ours.read_bytes()
            assert theirs.stat().st_mtime_ns == ours.stat().st_mtime_ns
            assert theirs.stat().st_mode == ours.stat().st_mode
        verification = offsite_verification.verify(copied)
        assert verification["comparison"]["in_sync"]
        assert verification["comparison"]["compared_by"] == "sha256"
        assert verification["weaker"] == [] and verification["server_alarms"] == []
        assert verification["digests"]["remote"] == {"read": 14, "cached": 0}
        # Digests that the sync took are cached, and then those of the verification, too.
        assert verification["digests"]["local"] == {"read": 0, "cached": 14}
        again = offsite_verification.verify(copied)["digests"]
        assert again["remote"] == {"read": 0, "cached": 14}

        second = sync.sync(copied)
        assert (second.status, second.files_sent, second.bytes_sent) == ("ok", 0, 0)
        oldest = sorted((tree / "daily").iterdir())[0]
        kept = oldest.read_bytes()
        oldest.unlink()
        new = add_backup(tree, "daily", -0.01, size=30_000)
        planned = sync.sync(copied, dry_run=True)
        assert (planned.sent, planned.aside) == (
            (f"daily/{new.name}",),
            (f"daily/{oldest.name}",),
        )
        third = sync.sync(copied)
        assert (third.sent, third.aside) == ((f"daily/{new.name}",), (f"daily/{oldest.name}",))
        print(f"a new backup of 30000 bytes: {third.bytes_sent} bytes on the wire")
        assert 30_000 <= third.bytes_sent < 30_000 + 500
        assert in_sync(copied)
        (aside,) = server.backups.glob("old_*/daily/*")
        assert aside.read_bytes() == kept

    def test_replaced_content_is_kept(self, copied: SyncSettings, tree: Path, server: Sshd) -> None:
        victim = sorted((tree / "daily").iterdir())[-1]
        before = victim.read_bytes()
        victim.write_bytes(os.urandom(4001))
        result = sync.sync(copied)
        assert (result.status, result.files_sent, result.files_aside) == ("ok", 1, 1)
        (aside,) = server.backups.glob("old_*/daily/*")
        assert aside.read_bytes() == before
        assert in_sync(copied)

    def test_mass_change_takes_a_person_on_the_server(
        self, copied: SyncSettings, tree: Path, server: Sshd
    ) -> None:
        """Overridden here, it is still the server's to say."""
        before = copied_backups(server)
        for file in sorted((tree / "daily").iterdir())[:4]:
            file.unlink()
        new = add_backup(tree, "weekly", -0.01)
        assert sync.sync(copied).kind == "guard"
        refused = sync.sync(copied, overrides=["mass-change"])
        assert (refused.status, refused.kind, refused.exit_code) == ("refused", "server_guard", 2)
        assert "keep-offsite-copy.sh CLIENT --accept" in refused.remedy
        after = copied_backups(server)
        assert after.pop(f"weekly/{new.name}") == new.read_bytes()
        assert after == before
        verification = offsite_verification.verify(copied)
        assert "mass-change" in verification["server_alarms"][0]
        assert len(verification["comparison"]["extra"]) == 4

        settled = retention.accept(store(server))
        assert settled and len(settled.aside) == 4
        assert in_sync(copied) and store(server).alarms() == {}
        assert retention.accept(store(server)) is None
        # Both sides have been asked once: the next night needs nobody.
        later = sync.sync(copied)
        assert (later.status, later.overridden) == ("ok", ()), later

    def test_what_is_cut_off_goes_on(self, copied: SyncSettings, tree: Path, server: Sshd) -> None:
        big = add_backup(tree, "monthly", 200, size=6_000_000)
        destination = dataclasses.replace(copied.transport.destination, bandwidth_kbps=3000)
        slow = dataclasses.replace(copied, transport=GateTransport(destination))
        cut = []

        def progress(done: int, total: int) -> None:
            if not cut:
                cut.append(done)
                for pid in server.children():
                    kill(pid)
                assert not (server.backups / "monthly" / big.name).exists()

        result = sync.sync(slow, progress=progress)
        assert (result.status, result.attempts) == ("warning", 2), result
        assert in_sync(copied)

    def test_another_job_of_the_server_is_no_failure(
        self, settings: SyncSettings, server: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The wait is in the server's process; only a lock held for longer than it would show the
        # end. Here the shorter half: it waits, and then does its work.
        held = store(server)
        release = threading.Event()

        def hold() -> None:
            with held.locked():
                release.wait(2)

        holder = threading.Thread(target=hold)
        holder.start()
        result = sync.sync(settings)
        holder.join()
        assert result.status == "ok" and result.seconds > 1.5

    def test_a_full_reserve(self, settings: SyncSettings, server: Sshd) -> None:
        server.install_gate(reserve_percent=100)
        result = sync.sync(settings)
        assert [refusal.guard for refusal in result.refusals] == ["room"]
        result = sync.sync(settings, overrides=["room"])
        assert (result.status, result.kind) == ("failed", "no_space"), result
        assert copied_backups(server) == {}

    def test_a_key_without_the_gate_is_said(self, settings: SyncSettings, server: Sshd) -> None:
        server.authorized_keys.write_text((server.root / "client_key.pub").read_text())
        result = sync.sync(settings)
        assert result.status == "failed"
        assert "offsite_backup_server_mode: account" in result.remedy, result


class Thief:
    """Somebody with the key, and with every option of ssh and rsync."""

    def __init__(self, settings: SyncSettings, server: Sshd) -> None:
        self.server = server
        destination = settings.transport.destination
        self.ssh = ["ssh", "-F", "none", "-p", str(server.port), "-i", str(server.key)]
        for option in ("StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes"):
            self.ssh += ["-o", option]
        self.ssh += ["-o", f"UserKnownHostsFile={server.known_hosts}"]
        self.at = f"{destination.user}@127.0.0.1"

    def asks(self, *command: str, options: tuple[str, ...] = (), input: bytes = b""):
        return subprocess.run(
            [*self.ssh, *options, self.at, *command],
            input=input,
            capture_output=True,
            timeout=20,
            check=False,
        )

    def rsync(self, *arguments: str, rsh: str | None = None):
        shell = rsh or shlex.join(self.ssh)
        return subprocess.run(
            ["rsync", "--rsh", shell, *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def commits(self, files: dict[str, bytes], **more: object):
        listed = {
            path: [hashlib.sha256(content).hexdigest(), len(content)]
            for path, content in files.items()
        }
        values = {"files": listed, "unread": [], "in_progress": [], **more}
        return self.asks("chefwell-commit", input=json.dumps(values).encode())


@pytest.fixture
def thief(settings: SyncSettings, server: Sshd) -> Thief:
    """The copy is there as a sync would leave it."""
    for tier in settings.tiers:
        shutil.copytree(Path(settings.backup_path, tier), server.backups / tier)
    return Thief(settings, server)


class TestThief:
    def test_the_plans_connection_test_works(self, thief: Thief) -> None:
        assert thief.asks("hostname").stdout.strip() == os.uname().nodename.encode()
        assert thief.asks("echo 'Conexão OK'").stdout == "Conexão OK\n".encode()

    @pytest.mark.parametrize("allow", ["write", "read"])
    @pytest.mark.parametrize(
        "command",
        [
            "",
            "sh",
            "rm -rf .",
            "hostname; touch pwned",
            "echo `touch pwned`; rm x",
            "/usr/lib/openssh/sftp-server",
            "scp -t .",
            "rsync --daemon",
            "chefwell-nothing",
            "'unbalanced",
        ],
    )
    def test_no_shell(self, thief: Thief, server: Sshd, command: str, allow: str) -> None:
        server.install_gate(allow)
        before = copied_backups(server)
        done = thief.asks(command)
        assert done.returncode != 0 or done.stdout.startswith(b"`touch pwned`")
        assert copied_backups(server) == before
        assert not list(server.root.rglob("pwned"))
        if done.returncode:
            assert "refused-request" in store(server).alarms()

    @pytest.mark.parametrize("allow", ["write", "read"])
    def test_no_forwarding_no_sftp(self, thief: Thief, server: Sshd, allow: str) -> None:
        server.install_gate(allow)
        through = thief.asks(options=("-W", f"127.0.0.1:{server.port}"))
        assert through.returncode != 0 and b"prohibited" in through.stderr, through
        back = thief.asks(
            "hostname", options=("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1")
        )
        assert back.returncode != 0 and b"forward" in back.stderr
        assert thief.asks(options=("-s", "sftp")).returncode != 0
        terminal = thief.asks("sh", options=("-tt",))
        assert terminal.returncode != 0 and b"PTY allocation request failed" in terminal.stderr

    @pytest.mark.parametrize(
        "options",
        [
            ("-a",),
            ("-rtl",),
            ("-rt", "--delete"),
            ("-rt", "--inplace"),
            ("-rt", "--append"),
            ("-rt", "--backup", "--backup-dir=../../daily"),
            ("-rt", "--partial-dir=/tmp/elsewhere"),
            ("-rt", "--temp-dir=/tmp"),
            ("-rt", "--link-dest=../../daily"),
            ("-rt", "--copy-dest=/etc"),
            ("-rt", "--remove-source-files"),
            ("-rt", "--existing"),
            ("-rt", "-M--copy-devices"),
            ("-rt", "--write-devices"),
            ("-rt", "--keep-dirlinks"),
            ("-rt", "--chown=root"),
            ("-rt", "-M--log-file=/tmp/pwned"),
            ("-rt", "-M--config=/tmp/x"),
            ("-rt", "--secluded-args"),
            ("-rt", "--mkpath"),
        ],
        ids=" ".join,
    )
    def test_no_other_rsync_options(self, thief: Thief, tree: Path, options: tuple) -> None:
        before = copied_backups(thief.server)
        done = thief.rsync(*options, f"{tree}/", f"{thief.at}:incoming/")
        assert done.returncode != 0 and "chefwell gate: refused" in done.stderr, done
        assert copied_backups(thief.server) == before

    @pytest.mark.parametrize("folder", ["/etc", "daily", "..", "incoming/../..", ".", "a b"])
    def test_no_other_folder(self, thief: Thief, tree: Path, folder: str) -> None:
        done = thief.rsync("-rt", f"{tree}/", f"{thief.at}:{folder}/")
        assert "one folder only" in done.stderr
        read = thief.rsync("-rt", f"{thief.at}:{folder}/", f"{tree}/stolen/")
        assert "may not read" in read.stderr and not (tree / "stolen").exists()

    @pytest.mark.parametrize("way", ["../../.././pwned", "/tmp/chefwell-pwned-by-a-test"])
    def test_hostile_names_in_rsyncs_stream(
        self, thief: Thief, tmp_path: Path, server: Sshd, way: str
    ) -> None:
        """A client that lies about names: the stream is changed on its way, byte for byte."""
        folder = tmp_path / "loot"
        folder.mkdir()
        name = "x" * len(way)
        (folder / name).write_text("evil")
        middle = tmp_path / "middle.py"
        middle.write_text(
            "import os, subprocess, sys\n"
            "with subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE) as real:\n"
            "    while block := os.read(0, 65536):\n"
            f"        real.stdin.write(block.replace({name!r}.encode(), {way!r}.encode()))\n"
            "        real.stdin.flush()\n"
            "    real.stdin.close()\n"
            "raise SystemExit(real.returncode)\n"
        )
        before = copied_backups(server)
        rsh = shlex.join([sys.executable, str(middle), *thief.ssh])
        done = thief.rsync("-t", f"{folder}/{name}", f"{thief.at}:incoming/", rsh=rsh)
        print(done.stderr)
        assert done.returncode != 0
        assert copied_backups(server) == before
        assert not list(tmp_path.rglob("pwned")) and not Path(way).exists()

    def test_overwriting_and_truncating_reach_incoming_only(
        self, thief: Thief, tree: Path, tmp_path: Path
    ) -> None:
        before = copied_backups(thief.server)
        evil = tmp_path / "evil"
        for file in tree.glob("*/*.gz"):
            (evil / file.parent.name).mkdir(parents=True, exist_ok=True)
            (evil / file.parent.name / file.name).touch()
        assert thief.rsync("-rt", f"{evil}/", f"{thief.at}:incoming/").returncode == 0
        assert copied_backups(thief.server) == before
        # Asked into their places: so many at once are refused, and one is only moved aside.
        everything = thief.commits(dict.fromkeys(before, b""))
        assert "backups changed" in json.loads(everything.stdout)["refused"]
        assert copied_backups(thief.server) == before
        assert "mass-change" in store(thief.server).alarms()
        one = sorted(before)[0]
        thief.rsync("-rt", f"{evil}/", f"{thief.at}:incoming/")
        done = json.loads(thief.commits({**before, one: b""}).stdout)
        assert done["replaced"] == [one]
        (aside,) = thief.server.backups.glob(f"old_*/{one}")
        assert aside.read_bytes() == before[one]

    def test_a_whole_rotation_of_his_own_takes_nothing_away_for_90_days(
        self, thief: Thief, server: Sshd, tmp_path: Path
    ) -> None:
        """The server cannot know that the new backups are none. So what they replace stays."""
        before = copied_backups(server)
        junk = {}
        for path in before:
            tier, _slash, name = path.partition("/")
            later = f"{tier}/{name.replace('_20', '_21', 1)}"
            junk[later] = gzip.compress(os.urandom(4000))
            (tmp_path / "junk" / tier).mkdir(parents=True, exist_ok=True)
            (tmp_path / "junk" / later).write_bytes(junk[later])
        thief.rsync("-rt", f"{tmp_path}/junk/", f"{thief.at}:incoming/")
        left = sorted(before)[0]
        done = json.loads(thief.commits({**junk, left: before[left]}).stdout)
        assert done["refused"] == "" and len(done["aside"]) == len(before) - 1
        held = copied_backups(server)
        (old,) = {path.partition("/")[0] for path in held if path.startswith("old_")}
        assert {path: held[f"{old}/{path}"] for path in before.keys() - {left}} == {
            path: content for path, content in before.items() if path != left
        }
        retention.tend(store(server))
        assert copied_backups(server) == held
        # 90 days later nobody has looked, and his are the newest that begin like a backup.
        long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=91)
        (server.backups / old).rename(server.backups / f"old_{long_ago:%Y%m%d_%H%M%S}")
        assert len(retention.tend(store(server)).dropped) == len(before) - 1

    def test_a_planted_backup_is_named_and_moved_aside(
        self, copied: SyncSettings, server: Sshd, tmp_path: Path
    ) -> None:
        thief, before = Thief(copied, server), copied_backups(server)
        planted = "daily/chefwell_backup_20991231_030000.dump.gz"
        (tmp_path / "his" / "daily").mkdir(parents=True)
        (tmp_path / "his" / planted).write_bytes(b"poison")
        thief.rsync("-rt", f"{tmp_path}/his/", f"{thief.at}:incoming/")
        done = json.loads(thief.commits({**before, planted: b"poison"}).stdout)
        assert done["placed"] == [planted] and copied_backups(server)[planted] == b"poison"
        comparison = offsite_verification.verify(copied)["comparison"]
        assert (comparison["in_sync"], comparison["extra"]) == (False, [planted])
        assert sync.sync(copied).aside == (planted,)
        assert in_sync(copied)

    def test_an_account_says_that_it_is_weaker_and_is(
        self, copied: SyncSettings, server: Sshd
    ) -> None:
        server.authorized_keys.write_text(
            f"restrict {(server.root / 'client_key.pub').read_text()}"
        )
        account = dataclasses.replace(copied.transport.destination, mode="account")
        plain = dataclasses.replace(copied, transport=AccountTransport(account))
        assert "can delete and overwrite the copy" in sync.sync(plain).weaker[0]
        thief = Thief(copied, server)
        (victim, *_others) = copied_backups(server)
        assert thief.asks(f"rm {shlex.quote(str(server.backups / victim))}").returncode == 0
        assert victim not in copied_backups(server)
        # Not even here does the key open a way through, or a terminal.
        through = thief.asks(options=("-W", f"127.0.0.1:{server.port}"))
        assert through.returncode != 0 and b"prohibited" in through.stderr

    def test_an_empty_inventory_moves_nothing(self, thief: Thief) -> None:
        before = copied_backups(thief.server)
        for values in ({}, {"files": {}}, {"files": [], "unread": [], "in_progress": []}):
            bad = thief.asks("chefwell-commit", input=json.dumps(values).encode())
            assert bad.returncode == 2 and b"cannot be used" in bad.stderr
        done = json.loads(thief.commits({}).stdout)
        assert "lost 7 of 7" in done["refused"] and done["aside"] == []
        assert copied_backups(thief.server) == before

    @pytest.mark.parametrize(
        "path", ["daily/../../x", ".chefwell/ledger.json", "/etc/passwd", "yearly/x", "daily/.x"]
    )
    def test_an_inventory_of_other_paths(self, thief: Thief, path: str) -> None:
        done = thief.commits({path: b"x"})
        assert done.returncode == 2 and b"cannot be used" in done.stderr

    def test_what_came_with_other_content_is_not_placed(
        self, thief: Thief, tree: Path, tmp_path: Path
    ) -> None:
        before = copied_backups(thief.server)
        name = "chefwell_backup_20300101_000000.dump.gz"
        (tmp_path / "one" / "daily").mkdir(parents=True)
        (tmp_path / "one" / "daily" / name).write_bytes(b"half")
        assert thief.rsync("-rt", f"{tmp_path}/one/", f"{thief.at}:incoming/").returncode == 0
        done = json.loads(thief.commits({**before, f"daily/{name}": b"half and half"}).stdout)
        assert done["unfit"] == [f"daily/{name}"] and done["placed"] == []
        assert copied_backups(thief.server) == before

    def test_a_reading_key_reads_backups_and_nothing_else(
        self, thief: Thief, server: Sshd, tree: Path, tmp_path: Path
    ) -> None:
        server.install_gate("read")
        fetched = tmp_path / "fetched"
        done = thief.rsync("-av", f"{thief.at}:daily", f"{fetched}/")
        assert done.returncode == 0, done.stderr
        assert contents(fetched / "daily") == contents(tree / "daily")
        whole = thief.rsync("-a", f"{thief.at}:.", f"{tmp_path}/whole/")
        assert whole.returncode == 0, whole.stderr
        assert not (tmp_path / "whole" / ".chefwell").exists()
        for folder in ("/etc", "..", ".chefwell", ".chefwell/incoming", "daily/../..", "*"):
            assert thief.rsync("-a", f"{thief.at}:{folder}", f"{tmp_path}/no/").returncode != 0
        for refused in (
            thief.rsync("-rt", f"{tree}/", f"{thief.at}:incoming/"),
            thief.rsync("-aL", f"{thief.at}:daily", f"{fetched}/"),
            thief.rsync("-a", "--remove-source-files", f"{thief.at}:daily", f"{fetched}/"),
            thief.commits({}),
        ):
            assert refused.returncode != 0 and "refused" in str(refused.stderr)


def test_landlock_holds_against_a_program_that_would(tmp_path: Path) -> None:
    """Beneath rsync's own checks: whatever runs there writes in its folder only."""
    assert landlock.version() >= landlock.WHOLE, (
        "this kernel has no Landlock, so this cannot be shown here"
    )
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "backup").write_text("precious")
    (inside / "link").symlink_to(outside)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        f"from {landlock.__package__} import landlock\n"
        "assert landlock.write_only_in(sys.argv[2])\n"
        "import os; os.execvp('sh', ['sh', '-c', sys.argv[3]])\n"
    )
    attempts = (
        "rm ../out/backup; echo x > ../out/backup; echo y > link/new; truncate -s 0 link/backup;"
        "mv ../out/backup .; mkdir ../out/d; ln ../out/backup hard; echo ok > mine; mv mine kept;"
        f"{sys.executable} -c 'import os; os.truncate(\"../out/backup\", 0)'"
    )
    collections = Path(__file__).resolve().parents[2] / "build" / "collections"
    done = subprocess.run(
        [sys.executable, "-c", code, str(collections), str(inside), attempts],
        check=False,
        cwd=inside,
        capture_output=True,
        text=True,
    )
    assert "PermissionError" in done.stderr  # truncate(2), which asks for no open file
    assert done.stderr.count("ermission denied") >= 6 or "cross-device" in done.stderr, done
    assert contents(outside) == {"backup": b"precious"}
    assert (inside / "kept").read_text() == "ok\n" and not (inside / "hard").exists()


def stopped(server: Sshd) -> list[int]:
    """Every process of the server's open sessions, from now on deaf and dumb."""
    pids = server.children()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


class TestSilence:
    """A server that says nothing more ends a try after `silence_seconds`, not after its limit."""

    @pytest.fixture
    def hasty(self, copied: SyncSettings) -> SyncSettings:
        destination = dataclasses.replace(
            copied.transport.destination, silence_seconds=3, bandwidth_kbps=2000, time_limit=60
        )
        return dataclasses.replace(copied, transport=GateTransport(destination), tries=1)

    def test_in_the_middle_of_a_file(self, hasty: SyncSettings, tree: Path, server: Sshd) -> None:
        add_backup(tree, "monthly", 200, size=8_000_000)
        held: list[int] = []

        def progress(done: int, total: int) -> None:
            if not held:
                held.extend(stopped(server))

        began = time.monotonic()
        result = sync.sync(hasty, progress=progress)
        took = time.monotonic() - began
        (other,) = Path(hasty.state_dir).glob("*.lock")
        with other.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for pid in held:
            kill(pid)
        print(f"took {took:.1f} s; silence 3 s, limit 60 s; {result.message}")
        assert (result.status, result.kind) == ("failed", "rsync_30") and held
        assert took < 20
        assert sync.sync(dataclasses.replace(hasty, tries=2)).status in ("ok", "warning")

    def test_while_it_is_asked(self, hasty: SyncSettings, server: Sshd) -> None:
        """Its lock is held, so that the gate waits and lives; then it is stopped, and does not."""
        waits = store(server)
        began = time.monotonic()
        with waits.locked(), concurrent.futures.ThreadPoolExecutor() as pool:
            asked = pool.submit(send_inventory, hasty)
            with pytest.raises(concurrent.futures.TimeoutError):
                asked.result(7)  # longer than the silence that is allowed
            held = stopped(server)
            with pytest.raises(ServerError, match="sent nothing for 3 s"):
                asked.result(10)
        for pid in held:
            kill(pid)
        print(f"alive for 7 s, then silent: ended after {time.monotonic() - began:.1f} s in all")

    def test_an_account_that_reads_for_long_is_not_silent(
        self, hasty: SyncSettings, server: Sshd, tree: Path, tmp_path: Path
    ) -> None:
        """sha256sum that takes its time, and then one that is stopped."""
        slow = tmp_path / "slow"
        slow.mkdir()
        (slow / "sha256sum").write_text('#!/bin/sh\nsleep 5\nexec /usr/bin/sha256sum "$@"\n')
        (slow / "sha256sum").chmod(0o755)
        key = (server.root / "client_key.pub").read_text()
        server.authorized_keys.write_text(
            f'command="PATH={slow}:$PATH exec sh -c \\"$SSH_ORIGINAL_COMMAND\\"" {key}'
        )
        name = next(iter(copied_backups(server)))
        account = dataclasses.replace(hasty.transport.destination, mode="account")
        taken = AccountTransport(account).digests([name])
        assert taken == {name: hashlib.sha256((server.backups / name).read_bytes()).hexdigest()}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = pool.submit(AccountTransport(account).digests, [name])
            time.sleep(1.5)
            held = stopped(server)
            with pytest.raises(ServerError, match="sent nothing for 3 s"):
                asked.result(10)
        for pid in held:
            kill(pid)


def send_inventory(settings: SyncSettings) -> None:
    ssh_command.run_command(settings.transport.destination, ["chefwell-commit"], stdin=NOTHING)
