"""What an attacker who has the client's key can and cannot do on the backup server."""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    landlock,
    server_job,
)
from support.backup_trees import contents
from support.gated_backup_server import Attacker, attacker, copied, settings, store, tree
from support.offsite_client import copied_backups, in_sync
from support.sshd import Sshd, server

__all__ = ["attacker", "copied", "server", "settings", "tree"]


def test_the_plans_connection_test_works(attacker: Attacker) -> None:
    assert attacker.run("hostname").stdout.strip() == os.uname().nodename.encode()
    assert attacker.run("echo 'Conexão OK'").stdout == "Conexão OK\n".encode()


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
def test_no_shell(attacker: Attacker, server: Sshd, command: str, allow: str) -> None:
    server.install_gate(allow)
    before = copied_backups(server)
    done = attacker.run(command)
    assert done.returncode != 0 or done.stdout.startswith(b"`touch pwned`")
    assert copied_backups(server) == before
    assert not list(server.root.rglob("pwned"))
    if done.returncode:
        assert "refused-request" in store(server).alarms.all()


@pytest.mark.parametrize("allow", ["write", "read"])
def test_no_forwarding_no_sftp(attacker: Attacker, server: Sshd, allow: str) -> None:
    server.install_gate(allow)
    through = attacker.run(options=("-W", f"127.0.0.1:{server.port}"))
    assert through.returncode != 0 and b"prohibited" in through.stderr, through
    back = attacker.run(
        "hostname", options=("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1")
    )
    assert back.returncode != 0 and b"forward" in back.stderr
    assert attacker.run(options=("-s", "sftp")).returncode != 0
    terminal = attacker.run("sh", options=("-tt",))
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
def test_no_other_rsync_options(attacker: Attacker, tree: Path, options: tuple) -> None:
    before = copied_backups(attacker.server)
    done = attacker.rsync(*options, f"{tree}/", f"{attacker.account}:incoming/")
    assert done.returncode != 0 and "chefwell gate: refused" in done.stderr, done
    assert copied_backups(attacker.server) == before


@pytest.mark.parametrize("folder", ["/etc", "daily", "..", "incoming/../..", ".", "a b"])
def test_no_other_folder(attacker: Attacker, tree: Path, folder: str) -> None:
    done = attacker.rsync("-rt", f"{tree}/", f"{attacker.account}:{folder}/")
    assert "one folder only" in done.stderr
    read = attacker.rsync("-rt", f"{attacker.account}:{folder}/", f"{tree}/stolen/")
    assert "may not read" in read.stderr and not (tree / "stolen").exists()


@pytest.mark.parametrize("way", ["../../.././pwned", "/tmp/chefwell-pwned-by-a-test"])
def test_hostile_names_in_rsyncs_stream(
    attacker: Attacker, tmp_path: Path, server: Sshd, way: str
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
    rsh = shlex.join([sys.executable, str(middle), *attacker.ssh])
    done = attacker.rsync("-t", f"{folder}/{name}", f"{attacker.account}:incoming/", rsh=rsh)
    print(done.stderr)
    assert done.returncode != 0
    assert copied_backups(server) == before
    assert not list(tmp_path.rglob("pwned")) and not Path(way).exists()


def test_overwriting_and_truncating_reach_incoming_only(
    attacker: Attacker, tree: Path, tmp_path: Path
) -> None:
    before = copied_backups(attacker.server)
    evil = tmp_path / "evil"
    for file in tree.glob("*/*.gz"):
        (evil / file.parent.name).mkdir(parents=True, exist_ok=True)
        (evil / file.parent.name / file.name).touch()
    assert attacker.rsync("-rt", f"{evil}/", f"{attacker.account}:incoming/").returncode == 0
    assert copied_backups(attacker.server) == before
    # Announced for their places: so many at once are refused, and one is only moved aside.
    everything = attacker.commit(dict.fromkeys(before, b""))
    assert "backups changed" in json.loads(everything.stdout)["refused"]
    assert copied_backups(attacker.server) == before
    assert "mass-change" in store(attacker.server).alarms.all()
    one = sorted(before)[0]
    attacker.rsync("-rt", f"{evil}/", f"{attacker.account}:incoming/")
    done = json.loads(attacker.commit({**before, one: b""}).stdout)
    assert done["replaced"] == [one]
    (aside,) = attacker.server.backups.glob(f"old_*/{one}")
    assert aside.read_bytes() == before[one]


def test_an_attackers_own_rotation_removes_nothing_for_90_days(
    attacker: Attacker, server: Sshd, tmp_path: Path
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
    attacker.rsync("-rt", f"{tmp_path}/junk/", f"{attacker.account}:incoming/")
    left = sorted(before)[0]
    done = json.loads(attacker.commit({**junk, left: before[left]}).stdout)
    assert done["refused"] == "" and len(done["aside"]) == len(before) - 1
    held = copied_backups(server)
    (old,) = {path.partition("/")[0] for path in held if path.startswith("old_")}
    assert {path: held[f"{old}/{path}"] for path in before.keys() - {left}} == {
        path: content for path, content in before.items() if path != left
    }
    server_job.run(store(server))
    assert copied_backups(server) == held
    # 90 days later no person has looked, and the attacker's files are the newest backups.
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=91)
    (server.backups / old).rename(server.backups / f"old_{long_ago:%Y%m%d_%H%M%S}")
    assert len(server_job.run(store(server)).dropped) == len(before) - 1


def test_a_planted_backup_is_named_and_moved_aside(
    copied: SyncSettings, server: Sshd, tmp_path: Path
) -> None:
    attacker, before = Attacker(copied, server), copied_backups(server)
    planted = "daily/chefwell_backup_20991231_030000.dump.gz"
    (tmp_path / "planted" / "daily").mkdir(parents=True)
    (tmp_path / "planted" / planted).write_bytes(b"poison")
    attacker.rsync("-rt", f"{tmp_path}/planted/", f"{attacker.account}:incoming/")
    done = json.loads(attacker.commit({**before, planted: b"poison"}).stdout)
    assert done["placed"] == [planted] and copied_backups(server)[planted] == b"poison"
    comparison = offsite_verification.verify(copied)["comparison"]
    assert (comparison["in_sync"], comparison["extra"]) == (False, [planted])
    assert sync.sync(copied).aside == (planted,)
    assert in_sync(copied)


def test_an_account_is_weaker_and_a_warning_says_so(copied: SyncSettings, server: Sshd) -> None:
    server.authorized_keys.write_text(f"restrict {(server.root / 'client_key.pub').read_text()}")
    account = dataclasses.replace(copied.transport.destination, mode="account")
    plain = dataclasses.replace(copied, transport=AccountTransport(account))
    assert "can delete and overwrite the copy" in sync.sync(plain).weaker[0]
    attacker = Attacker(copied, server)
    (victim, *_others) = copied_backups(server)
    assert attacker.run(f"rm {shlex.quote(str(server.backups / victim))}").returncode == 0
    assert victim not in copied_backups(server)
    # Not even here does the key open a way through, or a terminal.
    through = attacker.run(options=("-W", f"127.0.0.1:{server.port}"))
    assert through.returncode != 0 and b"prohibited" in through.stderr


def test_an_empty_inventory_moves_nothing(attacker: Attacker) -> None:
    before = copied_backups(attacker.server)
    for values in ({}, {"files": {}}, {"files": [], "unread": [], "in_progress": []}):
        bad = attacker.run("chefwell-commit", input=json.dumps(values).encode())
        assert bad.returncode == 2 and b"cannot be used" in bad.stderr
    done = json.loads(attacker.commit({}).stdout)
    assert "lost 7 of 7" in done["refused"] and done["aside"] == []
    assert copied_backups(attacker.server) == before


@pytest.mark.parametrize(
    "path", ["daily/../../x", ".chefwell/ledger.json", "/etc/passwd", "yearly/x", "daily/.x"]
)
def test_an_inventory_of_other_paths(attacker: Attacker, path: str) -> None:
    """Such a path is rejected alone, and nothing but backups of the tiers is placed."""
    before = copied_backups(attacker.server)
    done = json.loads(attacker.commit({**before, path: b"x"}).stdout)
    assert (done["rejected"], done["placed"], done["aside"]) == ([path], [], [])
    assert done["refused"] == "" and copied_backups(attacker.server) == before


def test_what_came_with_other_content_is_not_placed(
    attacker: Attacker, tree: Path, tmp_path: Path
) -> None:
    before = copied_backups(attacker.server)
    name = "chefwell_backup_20300101_000000.dump.gz"
    (tmp_path / "one" / "daily").mkdir(parents=True)
    (tmp_path / "one" / "daily" / name).write_bytes(b"half")
    assert (
        attacker.rsync("-rt", f"{tmp_path}/one/", f"{attacker.account}:incoming/").returncode == 0
    )
    done = json.loads(attacker.commit({**before, f"daily/{name}": b"half and half"}).stdout)
    assert done["unfit"] == [f"daily/{name}"] and done["placed"] == []
    assert copied_backups(attacker.server) == before


def test_a_reading_key_reads_backups_and_nothing_else(
    attacker: Attacker, server: Sshd, tree: Path, tmp_path: Path
) -> None:
    server.install_gate("read")
    fetched = tmp_path / "fetched"
    done = attacker.rsync("-av", f"{attacker.account}:daily", f"{fetched}/")
    assert done.returncode == 0, done.stderr
    assert contents(fetched / "daily") == contents(tree / "daily")
    whole = attacker.rsync("-a", f"{attacker.account}:.", f"{tmp_path}/whole/")
    assert whole.returncode == 0, whole.stderr
    assert not (tmp_path / "whole" / ".chefwell").exists()
    for folder in ("/etc", "..", ".chefwell", ".chefwell/incoming", "daily/../..", "*"):
        assert (
            attacker.rsync("-a", f"{attacker.account}:{folder}", f"{tmp_path}/no/").returncode != 0
        )
    for refused in (
        attacker.rsync("-rt", f"{tree}/", f"{attacker.account}:incoming/"),
        attacker.rsync("-aL", f"{attacker.account}:daily", f"{fetched}/"),
        attacker.rsync("-a", "--remove-source-files", f"{attacker.account}:daily", f"{fetched}/"),
        attacker.commit({}),
    ):
        assert refused.returncode != 0 and "refused" in str(refused.stderr)


def test_landlock_confines_a_program_that_tries_to_write_elsewhere(tmp_path: Path) -> None:
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
    assert "PermissionError" in done.stderr  # truncate(2), which needs no open file
    assert done.stderr.count("ermission denied") >= 6 or "cross-device" in done.stderr, done
    assert contents(outside) == {"backup": b"precious"}
    assert (inside / "kept").read_text() == "ok\n" and not (inside / "hard").exists()
