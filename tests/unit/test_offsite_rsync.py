"""rsync and ssh: every ending in words, command lines that cannot be misread."""

from __future__ import annotations

import os
import shlex

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import process
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import rsync, ssh

DESTINATION = ssh.Destination(
    "backup.example.com", 2222, "backupuser", "/backups/chef well", "/k/it's", "/etc/my hosts"
)
SUMMARY = "rsync error: some words (code 12) at io.c(285) [sender=3.5.0]"


def command(**values: object) -> list[str]:
    usual: dict[str, object] = {
        "old_folder": "old_1",
        "dry_run": False,
        "remove_missing": False,
        "progress": False,
        "durable": False,
    }
    return rsync.command(DESTINATION, "/root/backups", **{**usual, **values})


@pytest.mark.parametrize("code", [*range(1, 7), *range(10, 17), *range(19, 26), 30, 35, 255])
def test_every_exit_code_has_words_and_is_no_success(code: int) -> None:
    done = rsync.transfer_result(code, [], SUMMARY)
    assert not done.ok
    assert f"(rsync exit {code})" in done.problem and rsync.EXIT_REASONS[code] in done.problem
    assert done.kind == f"rsync_{code}"


def test_an_exit_code_of_a_later_rsync_is_no_success() -> None:
    assert "does not name" in rsync.transfer_result(77, [], "").problem


def test_a_signal_is_named_and_tried_again() -> None:
    done = rsync.transfer_result(-9, [], "")
    assert (done.kind, done.retryable) == ("signal", True)
    assert "SIGKILL" in done.problem


def test_the_time_limit_is_named() -> None:
    done = rsync.transfer_result(-9, [], "", late=process.TimeLimitError(5, silent=False))
    assert (done.kind, done.retryable) == ("time_limit", True)
    assert "5 s" in done.problem


def test_the_line_with_the_cause_is_shown_and_not_the_summary() -> None:
    errors = 'rsync: [sender] opendir "/x" failed: Input/output error (5)\n' + SUMMARY
    assert "Input/output error" in rsync.transfer_result(23, [], errors).problem


@pytest.mark.parametrize(
    ("errors", "kind", "again"),
    [
        ("ssh: connect to host x port 22: Connection refused", "refused", True),
        ("ssh: connect to host x port 22: Connection timed out", "timed_out", True),
        ("Connection timed out during banner exchange", "timed_out", True),
        ("Timeout, server x not responding.", "timed_out", True),
        ("ssh: connect to host x port 22: No route to host", "no_route", True),
        ("ssh: Could not resolve hostname x: Name or service not known", "unknown_host_name", True),
        ("@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@", "host_key_changed", 0),
        ("No ED25519 host key is known for x and you have requested", "host_key_unknown", False),
        ("u@x: Permission denied (publickey,password).", "permission_denied", False),
        ("Received disconnect: Too many authentication failures", "too_many_keys", False),
        ("Connection closed by 1.2.3.4 port 22", "cut", True),
        ("kex_exchange_identification: read: Connection reset by peer", "cut", True),
        ("bash: line 1: rsync: command not found", "program_missing", False),
        ("bash: line 1: /kit/gate.sh: No such file or directory", "gate_missing", False),
        ("sh: 1: /kit/gate.sh: not found", "gate_missing", False),
        ("sh: 1: find: not found", "program_missing", False),
        ('rsync: write failed on "/b/x": No space left on device (28)', "no_space", False),
        ('rsync: write failed on "/b/x": Disk quota exceeded (122)', "quota", False),
        ('rsync: mkstemp "/b/.x" failed: Read-only file system (30)', "read_only", False),
        ("This account is currently not available.", "no_login", False),
    ],
)
def test_errors_are_distinguished_by_their_output(errors: str, kind: str, again: bool) -> None:
    known = ssh.failure(errors)
    assert known and (known.kind, known.retryable) == (kind, bool(again))
    assert known.remedy
    done = rsync.transfer_result(255, [], errors)
    assert (done.kind, done.retryable) == (kind, bool(again))


@pytest.mark.parametrize(
    "errors",
    ['rsync: [receiver] mkstemp "/b/.x" failed: Permission denied (13)', "", "something else"],
)
def test_what_is_not_known_is_not_guessed(errors: str) -> None:
    assert ssh.failure(errors) is None


def test_items_and_figures_are_read() -> None:
    lines = [
        "cd+++++++++ 4096 daily/",
        "<f+++++++++ 30000 daily/a b.dump",
        r"<f..t...... 12 daily/new\#012line \#134#012 \#377.dump",
        ".f...p..... 5 daily/only-its-mode.dump",
        "*deleting   0 weekly/old.dump",
        "Number of files: 3 (reg: 2, dir: 1)",
        "Total bytes sent: 1,234,567",
    ]
    done = rsync.transfer_result(0, lines, "")
    assert done.ok and done.problem == ""
    assert done.sent == (
        rsync.Item("daily/a b.dump", 30000),
        rsync.Item("daily/new\nline \\#012 \udcff.dump", 12),
    )
    assert done.removed == (rsync.Item("weekly/old.dump", 0),)
    assert done.bytes_sent == 1234567


def test_only_named_files_go_and_nothing_is_removed_that_was_not_named() -> None:
    arguments = command()
    assert {"--files-from=-", "--from0", "--ignore-missing-args"} <= set(arguments)
    assert not [word for word in arguments if word.startswith("--delete")]
    assert arguments[-3:] == [
        "--",
        "/root/backups/",
        "backupuser@backup.example.com:/backups/chef well/",
    ]
    assert "--delete-missing-args" in command(remove_missing=True)
    assert "--compress" not in arguments and not [w for w in arguments if "bwlimit" in w]


def test_ssh_trusts_the_pinned_key_only_and_never_prompts() -> None:
    arguments = ssh.command(DESTINATION)
    options = [after for word, after in zip(arguments, arguments[1:]) if word == "-o"]
    assert {
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "CheckHostIP=no",  # else ssh 8.4 writes the address into the file of the pinned key
        'UserKnownHostsFile="/etc/my hosts"',
    } <= set(options)
    assert arguments[1:3] == ["-F", "none"]
    # rsync splits the remote shell by white space and single quotes, doubled within.
    (shell,) = [word[6:] for word in command() if word.startswith("--rsh=")]
    words = shlex.split(shell.replace("''", "'\"'\"'"))
    assert words[:2] == ["env", f"HOME={os.environ['HOME']}"] and words[2:] == arguments
    assert "LogLevel=ERROR" in options, "a server's banner is not taken for an error"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "-oProxyCommand=evil"),
        ("host", "a b"),
        ("host", ""),
        ("user", "-l"),
        ("user", "me;id"),
        ("path", "relative"),
        ("path", "/"),
        ("path", "/a\nb"),
        ("port", 0),
        ("port", 70000),
    ],
)
def test_values_that_would_be_read_as_something_else_are_refused(name: str, value: object) -> None:
    values = {**DESTINATION.__dict__, name: value}
    with pytest.raises(ResilienceError, match=f"server_{name}"):
        ssh.Destination(**values)
