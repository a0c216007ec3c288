# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssh to the backup server with a pinned host key, and the meaning of its errors.

ssh ends with exit code 255 whatever went wrong; its standard error distinguishes the cases.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import stat

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.system_errors import reason, system_message

MODES = RESTRICTED, ACCOUNT = "restricted", "account"


@dataclasses.dataclass(frozen=True)
class Destination:
    """Address of the backup server, and options of the connection.

    Attributes:
        host, port, user: the account on the backup server.
        path: the folder there that holds the tiers; absolute.
        key_file: the private key, without a passphrase.
        known_hosts_file: holds the server's host key; no other known_hosts file is read.
        bandwidth_kbps: most KiB a second that are sent; None for no limit.
        compress: whether rsync compresses (`-z`). Dumps are compressed already.
        time_limit: seconds that one attempt may take.
        connect_seconds: seconds to reach the server.
        silence_seconds: seconds without a byte from the server after which an attempt ends; a
            command that works for longer writes one byte each second.
        ssh_options: more options, as `ssh -o` takes them; they cannot undo the ones set here.
        mode: `restricted` where the server's gate runs as forced command of the key, `account`
            where the account runs any command.

    Raises:
        ResilienceError: a value that ssh or rsync would read as something else.
    """

    host: str
    port: int
    user: str
    path: str
    key_file: str
    known_hosts_file: str
    bandwidth_kbps: int | None = None
    compress: bool = False
    time_limit: float = 7200
    connect_seconds: int = 20
    silence_seconds: int = 300
    ssh_options: tuple[str, ...] = ()
    mode: str = "account"

    def __post_init__(self) -> None:
        rules = (
            ("host", r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]*", "a host name or an IP address"),
            ("user", r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*", "the name of the account"),
            ("path", r"/[^\x00-\x1f\x7f]+", "an absolute path, such as /backups/chefwell"),
        )
        for name, pattern, remedy in rules:
            value = getattr(self, name)
            if not re.fullmatch(pattern, value):
                raise ResilienceError(
                    f"the backup server's {name} cannot be used",
                    option=f"server_{name}",
                    value=value,
                    remedy=f"give {remedy}",
                )
        if self.mode not in MODES:
            raise ResilienceError(
                "the backup server's mode is none",
                option="server_mode",
                value=self.mode,
                remedy=f"give one of {', '.join(MODES)}",
            )
        if not 0 < self.port < 65536:
            raise ResilienceError(
                "the backup server's port is none",
                option="server_port",
                value=self.port,
                remedy="give a number from 1 to 65535",
            )

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}{self.path}"


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why the server could not be used.

    Attributes:
        kind: identifier of the failure, such as `host_key_changed`.
        problem: one sentence.
        remedy: what to do about it.
        retryable: whether another attempt may help.
    """

    kind: str
    problem: str
    remedy: str
    retryable: bool


class ServerError(ResilienceError):
    """The server could not be used, for the reason `failure`."""

    def __init__(self, failure: Failure, detail: str, destination: object) -> None:
        self.failure = failure
        problem = (
            _("%(why)s (%(detail)s)", why=failure.problem, detail=detail)
            if detail
            else failure.problem
        )
        super().__init__(problem, option="server", value=str(destination), remedy=failure.remedy)


# Written to standard error where a command on the server begins: what stands before it is the
# account's shell and says nothing of the command.
MARK = "chefwell: begins"
_MARK_LINE = re.compile(rf"^{MARK}$", re.MULTILINE)
# A shell that runs no command may end with any exit code, and write anything.
NO_COMMANDS = Failure(
    "no_commands",
    _("the account's shell did not run the command"),
    _(
        "give the account a shell that runs any command (sh, bash), or use transport: rclone with "
        "a remote of type sftp"
    ),
    False,
)
# Text that an account's shell writes before what a command writes makes rsync's protocol unusable.
SHELL_PRINTS = Failure(
    "shell_prints",
    _("the account's shell prints text of its own before what a command writes"),
    _(
        "make its start-up files (.bashrc, .profile) print nothing where no terminal is: rsync "
        "cannot work behind it"
    ),
    False,
)
# What ssh or the server's shell writes, and what it means. The first match counts.
_FAILURES: tuple[tuple[str, Failure], ...] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Offending .* key in",
        Failure(
            "host_key_changed",
            _("the server shows another host key than the pinned one, so nothing was sent"),
            _(
                "find out from whoever runs the server, by another way than this "
                "network, whether its "
                "key was renewed; only then pin the new one (host_key of the destination)"
            ),
            False,
        ),
    ),
    (
        r"Host key verification failed|host key is known for|No matching host key",
        Failure(
            "host_key_unknown",
            _("the server's host key is not pinned, so nothing was sent"),
            _(
                "compare the output of ssh-keyscan with the key on the server itself and pin it "
                "(host_key of the destination)"
            ),
            False,
        ),
    ),
    (
        r"chefwell-[a-z]+: .*not found|chefwell-[a-z]+'? is not recognized",
        Failure(
            "no_gate",
            _("the server does not restrict the key: it has no gate"),
            _("set up the server's part (docs/stage2-offsite-backup.md), or set mode: account"),
            False,
        ),
    ),
    (
        r"chefwell gate: busy",
        Failure(
            "busy",
            _("another job of the server is at work on the copy"),
            _("wait for it"),
            True,
        ),
    ),
    (
        r"chefwell gate: refused",
        Failure(
            "gate_refused",
            _("the server's gate does not let the key do that"),
            _(
                "use the same version of the collection on both sides: run the play again, with "
                "inventory_host of the destination, or the server's part by hand"
            ),
            False,
        ),
    ),
    (
        r"chefwell gate: .*inventory cannot be used",
        Failure(
            "inventory_refused",
            _("the server cannot use the inventory"),
            _("use the same tiers and pattern on both sides"),
            False,
        ),
    ),
    (
        r"bad permissions|UNPROTECTED PRIVATE KEY FILE",
        Failure(
            "key_permissions",
            _("ssh does not use the key because others may read it"),
            _("chmod 600 the key file"),
            False,
        ),
    ),
    (
        r"Too many authentication failures",
        Failure(
            "too_many_keys",
            _("the server ended the login after too many keys that it does not accept"),
            _(
                "offer the stage's key alone (no IdentityFile in ssh_options), and "
                "check that the public key is in the user's authorized_keys on the server"
            ),
            False,
        ),
    ),
    (
        r"Permission denied \([a-z]|No more authentication",
        Failure(
            "permission_denied",
            _("the server does not accept the key for this user"),
            _(
                "check the user's name, and that the public key is in the user's "
                "authorized_keys on "
                "the server, writable by no other user"
            ),
            False,
        ),
    ),
    (
        r"Could not resolve hostname",
        Failure(
            "unknown_host_name",
            _("the server's name cannot be resolved"),
            _("check the host name, and the name servers of this host"),
            True,
        ),
    ),
    (
        r"Connection refused",
        Failure(
            "refused",
            _("nothing listens on that port of the server"),
            _("check the port, and that sshd runs on the server"),
            True,
        ),
    ),
    (
        r"[Tt]imed out|not responding|banner exchange: .*timeout",
        Failure(
            "timed_out",
            _("the server did not answer in time"),
            _("check that the server runs and that no firewall is in between"),
            True,
        ),
    ),
    (
        r"No route to host|Network is unreachable",
        Failure(
            "no_route",
            _("there is no way to the server"),
            _("check this host's network, and the address"),
            True,
        ),
    ),
    (
        r"This service allows sftp connections only",
        Failure(
            "sftp_only",
            _("the account allows SFTP alone, and no command"),
            _(
                "use transport: rclone with a remote of type sftp, or have commands allowed for "
                "the account (no ForceCommand internal-sftp)"
            ),
            False,
        ),
    ),
    (
        r"[Pp]assword has expired|[Pp]assword change required|account has expired",
        Failure(
            "expired",
            _("the account on the server, or its password, has expired"),
            _("renew it on the server: chage -E -1 -M -1 ACCOUNT"),
            False,
        ),
    ),
    (
        r"account is (currently )?not available|^nologin|does not allow (shell|login) access",
        Failure(
            "no_login",
            _("the account on the server may not log in"),
            _("give the account a shell"),
            False,
        ),
    ),
    (
        r"/gate\.sh: .*(No such file|not found)",
        Failure(
            "gate_missing",
            _("the gate, to which the key leads, is not installed on the server"),
            _("run stage 2's playbook, which sets the server up"),
            False,
        ),
    ),
    (
        r"(sh|find|sha256sum|xargs|rsync): .*not found|command not found|No such file .*rsync"
        r"|chefwell_resilience'|No module named",
        Failure(
            "program_missing",
            _("a program is missing on the server"),
            _("install rsync, GNU findutils and GNU coreutils there"),
            False,
        ),
    ),
    (
        r"No space left on device|File too large",
        Failure("no_space", _("the server's disk is full"), _("make room on the server"), False),
    ),
    (
        r"[Qq]uota exceeded",
        Failure("quota", _("the account's quota on the server is used up"), _("raise it"), False),
    ),
    (
        r"Read-only file system",
        Failure(
            "read_only",
            _("the server's filesystem is read-only"),
            _("look for disk errors on the server and mount it writable"),
            False,
        ),
    ),
    (
        r"Connection (to \S+ )?(closed|reset)|kex_exchange_identification|[Bb]roken pipe"
        r"|unexpected(ly)? (closed|end)|connection unexpectedly closed",
        Failure(
            "cut",
            _("the connection was cut"),
            _("check that sshd runs on the server and the line to it"),
            True,
        ),
    ),
)


def failure(errors: str) -> Failure | None:
    """Return the meaning of a text on standard error; None where it is not known."""
    errors = _after_mark(errors)
    for pattern, meaning in _FAILURES:
        if re.search(pattern, errors, re.MULTILINE):
            return meaning
    return None


def begins(errors: str) -> bool:
    """Return whether a text on standard error shows that the command began."""
    return _MARK_LINE.search(errors) is not None


def _after_mark(errors: str) -> str:
    # A line of its own: a shell that rejects the command may repeat it.
    return _MARK_LINE.split(errors)[-1]


def command(destination: Destination) -> list[str]:
    """Return ssh and its options, without user and host."""
    options = [
        "BatchMode=yes",
        # A server's banner is no message of ssh's, and must not be taken for one.
        "LogLevel=ERROR",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={_config_quoted(destination.known_hosts_file)}",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        # OpenSSH before 8.5 would add the address of the server to the file of the pinned key.
        "CheckHostIP=no",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "PreferredAuthentications=publickey",
        "ClearAllForwardings=yes",
        "ControlPath=none",
        f"ConnectTimeout={destination.connect_seconds}",
        f"ServerAliveInterval={max(1, min(15, destination.silence_seconds))}",
        "ServerAliveCountMax=4",
        *destination.ssh_options,
    ]
    # `-F none`: whatever stands in this account's own ssh configuration changes nothing here.
    arguments = ["ssh", "-F", "none", "-T", "-p", str(destination.port)]
    arguments += ["-i", destination.key_file]
    return arguments + [word for option in options for word in ("-o", option)]


def _config_quoted(path: str) -> str:
    # In ssh's configuration `%` begins a token, and white space a second file name.
    return '"' + path.replace("%", "%%") + '"'


def check_key(destination: Destination) -> None:
    """Check that the private key can be used without a person at the keyboard.

    Raises:
        ResilienceError: it is missing, others may read it, it has a passphrase, or it is no key.
    """
    path = destination.key_file
    try:
        seen = os.stat(path)
    except OSError as error:
        raise ResilienceError(
            _("the private key cannot be read: %(why)s", why=reason(error)),
            option="key_file",
            value=path,
            remedy=_("run the stage's playbook, which makes it"),
        ) from error
    if stat.S_IMODE(seen.st_mode) & 0o077:
        raise ResilienceError(
            _("the private key may be read by others, so ssh will not use it"),
            option="key_file",
            value=path,
            remedy=f"chmod 600 {shlex.quote(path)}",
        )
    identity = (path, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
    if identity in _usable_keys:
        return
    outcome = process.run(["ssh-keygen", "-y", "-P", "", "-f", path], time_limit=30)
    if outcome.code != 0:
        locked = "passphrase" in outcome.errors
        raise ResilienceError(
            _("the private key has a passphrase, which nobody is there to type")
            if locked
            else _("the private key is damaged or no key"),
            option="key_file",
            value=path,
            remedy=_("name a key without a passphrase, of its own for this purpose"),
        )
    _usable_keys.add(identity)


# Keys that were checked already: one run logs in several times.
_usable_keys: set[tuple[str, int, int, int]] = set()


def environment() -> dict[str, str]:
    """Return the environment of ssh and rsync: messages in English, no settings of this account."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


def rsync_environment() -> dict[str, str]:
    """Return the environment of rsync: aliases in this account's ~/.popt change nothing."""
    return {**environment(), "HOME": "/nonexistent", "TZ": "UTC"}


def rsync_shell(destination: Destination) -> str:
    """Return the value of rsync's `--rsh`: ssh, with this account's own home folder."""
    home = [f"HOME={os.environ['HOME']}"] if "HOME" in os.environ else ["-u", "HOME"]
    words = ["env", *home, *command(destination)]
    return " ".join("'" + word.replace("'", "''") + "'" for word in words)


# rsync's own summary of its exit code, ssh's frame around a changed key, and empty lines.
_UNHELPFUL_LINES = re.compile(
    r"rsync error: |rsync: (\[\w+\] )?(connection unexpectedly closed|safe_read failed)|@|\s*$"
    r"|Warning: |\*\* "
)


def error_line(errors: str) -> str:
    """Return the most informative line of standard error, printable.

    The system's messages in it are translatable.
    """
    if shown := re.search(r"IDENTIFICATION HAS CHANGED.*?(SHA256:[\w+/]{43})", errors, re.DOTALL):
        return _("it shows %(key)s", key=shown[1])
    for line in _after_mark(errors).splitlines():
        if not _UNHELPFUL_LINES.match(line):
            text = line.strip()[:300]
            return system_message("".join(char if char.isprintable() else "?" for char in text))
    return ""
