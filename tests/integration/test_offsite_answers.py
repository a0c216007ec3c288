"""What a server or an account writes of its own: the right diagnosis, and data in any case."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_fetch,
    offsite_verification,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport import (
    Delivery,
    TransferRequest,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)
from support.backup_trees import add_backup, plan_tree
from support.offsite_client import destination_on, in_sync
from support.sshd import Sshd

BANNER = "This account has login access for Permission denied (publickey) and nologin users only.\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    made = Sshd()
    made.backups = tmp_path / "copy"
    made.backups.mkdir()
    yield made
    made.remove()


def client(server: Sshd, root: Path, mode: str) -> SyncSettings:
    destination = destination_on(server, connect_seconds=5, time_limit=30, mode=mode)
    transport = (
        GateTransport(destination) if mode == "restricted" else AccountTransport(destination)
    )
    if not (root / "backups").exists():
        plan_tree(root / "backups")
    return SyncSettings(transport, str(root / "backups"), str(root / "state"), tries=1)


def shell_of(server: Sshd, *lines: str) -> None:
    """Let the account's commands run in a shell that first does this.

    A start-up file of the real account would be every other session's, too.
    """
    shell = server.root / "shell.sh"
    body = '\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
    shell.write_text("#!/bin/sh\n" + "\n".join(lines) + body)
    shell.chmod(0o755)
    key = (server.root / "client_key.pub").read_text()
    server.authorized_keys.write_text(f'restrict,command="{shell}" {key}')


class TestDiagnosis:
    """Each is distinguished, with its remedy (O19)."""

    @pytest.mark.parametrize("mode", ["account", "restricted"])
    def test_a_banner_is_no_diagnosis(self, server: Sshd, tmp_path: Path, mode: str) -> None:
        """Whatever stands in it: a sync works, and another failure is named as what it is."""
        banner = server.root / "banner"
        banner.write_text(BANNER)
        server.start(f"Banner {banner}")
        if mode == "restricted":
            server.install_gate()
        settings = client(server, tmp_path, mode)
        assert sync.sync(settings).status == "ok"
        moved = tmp_path / "elsewhere"
        server.backups.rename(moved)
        add_backup(tmp_path / "backups", "weekly", -0.01)
        failed = sync.sync(settings)
        assert failed.kind not in ("no_login", "permission_denied", "program_missing"), failed
        assert failed.status in ("failed", "refused"), failed
        assert "login access" not in failed.message

    @pytest.mark.parametrize(
        ("lines", "kind", "part"),
        [
            (("echo 'Welcome to login access'",), "shell_prints", "Welcome to login access"),
            (("printf '\\033[2Jbad\\n'",), "shell_prints", "\\x1b[2Jbad"),
            (("seq 1 100000",), "shell_prints", "1\\n2\\n3"),
            (("exec /usr/sbin/nologin",), "no_login", "may not log in"),
            (("echo 'Permission denied (publickey)' >&2", "exit 3"), "permission_denied", ""),
            (('exec git-shell -c "$SSH_ORIGINAL_COMMAND"',), "no_commands", "unrecognized command"),
            (('exec rbash -c "$SSH_ORIGINAL_COMMAND"',), "no_commands", "restricted"),
            (("echo '1) status 2) quit'", "exit 0"), "no_commands", "1) status"),
            (("exec /bin/false",), "no_commands", "exit 1"),
            (("echo 'WARNING: Your password has expired.' >&2", "exit 1"), "expired", ""),
        ],
        ids=[
            *("a line", "escapes", "many lines", "no shell", "an error of ssh's"),
            *("git alone", "a restricted shell", "a menu", "no command", "expired"),
        ],
    )
    def test_an_account_whose_shell_prints(
        self, server: Sshd, tmp_path: Path, lines: tuple[str, ...], kind: str, part: str
    ) -> None:
        server.start()
        shell_of(server, *lines)
        result = sync.sync(client(server, tmp_path, "account"))
        assert (result.status, result.kind) == ("failed", kind), result
        assert part in result.message and result.remedy and len(result.message) < 1000
        assert result.message.isprintable()

    def test_noise_on_standard_error_is_none(self, server: Sshd, tmp_path: Path) -> None:
        """What an account's shell writes there is no error of a command."""
        server.start()
        shell_of(server, "echo 'No space left on device; Connection refused' >&2")
        settings = client(server, tmp_path, "account")
        assert sync.sync(settings).status == "ok"
        assert in_sync(settings, full=True)
        # A command that fails after it is judged by what it writes itself.
        os.chmod(server.backups, 0o755)
        (server.backups / "daily").rename(server.backups / "away")
        (server.backups / "daily").write_text("no folder")
        failed = sync.sync(settings)
        assert failed.kind not in ("no_space", "refused"), failed

    def test_sftp_alone(self, server: Sshd, tmp_path: Path) -> None:
        server.start("ForceCommand internal-sftp", "Subsystem sftp internal-sftp")
        result = sync.sync(client(server, tmp_path, "account"))
        assert (result.status, result.kind) == ("failed", "sftp_only"), result
        assert "rclone" in result.remedy


class TestAccountsThatDoLess:
    """What was sent is looked at before it is called sent (O23)."""

    @pytest.mark.parametrize("alias", ["--dry-run", "--max-size=1"])
    def test_an_alias_on_the_server(self, server: Sshd, tmp_path: Path, alias: str) -> None:
        home = tmp_path / "home"
        home.mkdir()
        (home / ".popt").write_text(f"rsync alias --server --server {alias}\n")
        server.start()
        shell_of(server, f"export HOME={home}")
        settings = client(server, tmp_path, "account")
        result = sync.sync(settings)
        if not list(server.backups.glob("*/*.gz")):
            assert (result.status, result.kind) == ("failed", "not_arrived"), result
            assert ".popt" in result.remedy and result.sent == ()
        else:  # this rsync reads no aliases for its server's side
            assert result.status == "ok" and in_sync(settings)

    def test_a_program_in_rsyncs_place(self, server: Sshd, tmp_path: Path) -> None:
        """It takes everything, and keeps the half of it."""
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "rsync").write_text(
            '#!/bin/sh\n/usr/bin/rsync "$@"; code=$?\n'
            f'case "$*" in *--server*) rm -f {server.backups}/daily/*;; esac\nexit $code\n'
        )
        (folder / "rsync").chmod(0o755)
        server.start()
        shell_of(server, f"export PATH={folder}:$PATH")
        settings = client(server, tmp_path, "account")
        result = sync.sync(settings)
        assert (result.status, result.kind) == ("failed", "not_arrived"), result
        assert "daily/" in result.message

    def test_a_replacement_that_is_ignored(self, server: Sshd, tmp_path: Path) -> None:
        """What is there already stays as it is, and rsync finds nothing to send."""
        server.start()
        settings = client(server, tmp_path, "account")
        assert sync.sync(settings).status == "ok"
        newest = max((tmp_path / "backups" / "daily").iterdir())
        newest.write_bytes(newest.read_bytes()[::-1])
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "rsync").write_text(
            '#!/bin/sh\ncase "$*" in *--server*) set -- "$1" --ignore-existing "$@";; esac\n'
            'exec /usr/bin/rsync "$@"\n'
        )
        (folder / "rsync").chmod(0o755)
        shell_of(server, f"export PATH={folder}:$PATH")
        result = sync.sync(settings)
        assert (result.status, result.kind) == ("failed", "not_arrived"), result
        assert newest.name in result.message

    def test_an_alias_on_this_host(
        self, server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / "home"
        home.mkdir()
        (home / ".popt").write_text("rsync alias --times --times --dry-run --max-size=1\n")
        monkeypatch.setenv("HOME", str(home))
        server.start()
        settings = client(server, tmp_path, "account")
        assert sync.sync(settings).status == "ok" and in_sync(settings, full=True)
        target = tmp_path / "target"
        target.mkdir()
        fetched = offsite_fetch.fetch(settings.transport, str(target))
        assert Path(fetched.path).stat().st_size > 1


HOSTILE: dict[str, str] = {
    "escapes": '"alarm bit-rot 2026 \\x1b]0;owned\\x07\\x1b[2J\\n2026-01-01 ok: all is well"',
    "a format": '"alarm x 2026 y", "alarm-message x " + json.dumps('
    '{"message": "%(x)2000000000d", "values": {"x": 1}})',
    "a format of names": '"alarm x 2026 y", "alarm-message x " + json.dumps('
    '{"message": "%(x)s" * 400, "values": {"x": "A" * 10**6}})',
    "nested lists": '"alarm x 2026 y", "alarm-message x " + "[" * 900 + "]" * 900',
    "nested forms": '"alarm x 2026 y", "alarm-message x " + '
    "'{\"parts\": [' * 900 + '1' + '], \"between\": \"\"}' * 900",
    "many alarms": '*(f"alarm kind{number} 2026 text" for number in range(100000))',
    "numbers": '"free ²", "gate ² confined", "gate " + "9" * 5000 + " confined", '
    '"free " + "9" * 5000',
    "endless text": '"alarm x 2026 " + "A" * 10**7',
    "names": '"link \\x1b[31mdaily", "unreadable \\x1b[31mdaily", "rotten daily/\\x1b[31m", '
    '"entry f 1 1 1 1 daily/\\x1b[31m_20260101_030000.dump"',
}
ENTRIES = {
    "a size": "entry f 99999999999999999999 1 1 1 daily/a_20260101_030000.dump",
    "a time": f"entry f 1 {10**30} 1 1 daily/a_20260101_030000.dump",
    "no number": "entry f x 1 1 1 daily/a_20260101_030000.dump",
}


def hostile_gate(server: Sshd, records: str) -> None:
    """A server whose gate answers a listing with these records."""
    program = server.root / "hostile.py"
    program.write_text(
        "import json, os, sys\n"
        "if os.environ['SSH_ORIGINAL_COMMAND'].startswith('chefwell-list'):\n"
        f"    records = ['begin', 'gate 1 confined', 'free 10000000', 'rsync rsync  version 3.2.7',"
        f" {records}, 'end']\n"
        "    sys.stdout.buffer.write(''.join(one + chr(0) for one in records).encode())\n"
        "elif os.environ['SSH_ORIGINAL_COMMAND'] == 'chefwell-commit':\n"
        "    print(json.dumps({'aside': ['\\x1b[2J'], 'replaced': [], 'missing': [], 'unfit': [],"
        " 'refused': '\\x1b[2J%(x)s' * 10**6, 'refused_message':"
        " {'message': '%(x)2000000000d', 'values': {'x': 1}}}))\n"
    )
    key = (server.root / "client_key.pub").read_text()
    server.authorized_keys.write_text(f'restrict,command="{sys.executable} {program}" {key}')


class TestHostileAnswers:
    """They are data: bounded, escaped, never a format (O20)."""

    @pytest.mark.parametrize("records", HOSTILE.values(), ids=HOSTILE.keys())
    def test_a_listing(self, server: Sshd, tmp_path: Path, records: str) -> None:
        server.start()
        hostile_gate(server, records)
        settings = client(server, tmp_path, "restricted")
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = sync.sync(settings)
        assert result.status == "failed", "it takes no rsync"
        request = TransferRequest((), dict, {}, frozenset(), frozenset())
        finished = settings.transport.finish(request, Delivery("/", "old"))
        assert finished.refused.isprintable() and len(finished.refused) < 1000
        text = json.dumps(result.to_dict(), ensure_ascii=False)
        assert text.isprintable(), text[:2000]
        assert len(text) < 200_000 and time.monotonic() - began < 25
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 200_000, f"{grown} KiB"

    @pytest.mark.parametrize("record", ENTRIES.values(), ids=ENTRIES.keys())
    def test_numbers_that_no_filesystem_has(
        self, server: Sshd, tmp_path: Path, record: str
    ) -> None:
        server.start()
        hostile_gate(server, repr(record))
        settings = client(server, tmp_path, "restricted")
        result = sync.sync(settings)
        assert (result.status, result.kind) == ("failed", "answer"), result
        with pytest.raises(ResilienceError, match="cannot be read"):
            offsite_verification.verify(settings)
