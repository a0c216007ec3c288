# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set-up of one client on the backup server, for the role as for the script that is run by hand.

`launch.py server.server_setup` reads a JSON object from standard input, the
fields of `ClientSetup`, and needs root. It prints what it changed as JSON; running it again changes
nothing. With `--check` it only reports what it would change.
"""

from __future__ import annotations

import dataclasses
import grp
import json
import os
import pwd
import shlex
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..common import crontab, launcher, process, settings
from ..common.errors import ResilienceError
from ..common.files import replace_file, usual_umask
from ..common.system_errors import reason
from ..notifications import metrics
from . import server_clients
from .server_settings import ServerSettings
from .server_store import IDENTITY_FILE, STATE_FOLDER, identity_of


@dataclasses.dataclass(frozen=True)
class ClientSetup:
    """What one client needs on the backup server.

    Attributes:
        kit_dir: folder of the engine and of all clients' configurations.
        python: the server's interpreter.
        client: the client's name.
        account: the account that its keys open.
        authorized_keys: of that account; `~/.ssh/authorized_keys` when empty.
        public_key: may write; empty where the client has no key yet.
        read_key: may read; empty for none.
        cron: the five fields of the daily job's crontab entry; empty for no entry.
        config: the client's configuration, as `ServerSettings` reads it.
    """

    kit_dir: str
    python: str
    client: str
    account: str
    authorized_keys: str = ""
    public_key: str = ""
    read_key: str = ""
    cron: str = ""
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class _Changes:
    """Changes that are made, or in check mode only listed."""

    def __init__(self, *, check: bool) -> None:
        self.check = check
        self.names: list[str] = []

    def make(self, name: str, change: Callable[[], object]) -> None:
        """Make one change, and note it."""
        self.names.append(name)
        if not self.check:
            change()


def set_up(setup: ClientSetup, *, check: bool = False) -> list[str]:
    """Set up one client.

    Args:
        setup: of the client.
        check: only return what would be changed.

    Returns:
        What was changed: paths, and `crontab`.

    Raises:
        ResilienceError: the account or a library is missing, another client has the name or the
            folder, or the copy's folder is not the one that was set up earlier.
        OSError: a file cannot be written.
    """
    config = settings.parse(setup.config, ServerSettings, source=setup.client)
    config.check_notifications()
    if config.notify and not _has_apprise():
        raise ResilienceError(
            f"{setup.python} lacks apprise, which the server's notifications need",
            option="server_notify",
            remedy="install apprise (Debian)",
        )
    metrics.validate_path(config.metrics_file, "chefwell_offsite_server.prom")
    if config.metrics_file and not metrics.available():
        raise ResilienceError(
            f"{setup.python} lacks prometheus_client, which the server's metrics need",
            option="server_metrics_file",
            remedy="install prometheus_client (Debian: apt install python3-prometheus-client)",
        )
    try:
        account = pwd.getpwnam(setup.account)
    except KeyError as error:
        raise ResilienceError(
            f"the server has no account {setup.account}",
            option="user",
            value=setup.account,
            remedy="create it, or name another one",
        ) from error
    server_clients.require_free(os.path.join(setup.kit_dir, "clients"), setup.client, config.root)
    changes = _Changes(check=check)
    _make_folders(setup, config.root, account, changes)
    identity = _identity(setup, config.root, account, changes)
    _write_kit(setup, account, identity, changes)
    _allow_keys(setup, account, changes)
    _schedule_job(setup, config.root, changes)
    return changes.names


def _has_apprise() -> bool:
    try:
        import apprise  # noqa: F401  (only whether it can be)
    except ImportError:
        return False
    return True


def _make_folders(
    setup: ClientSetup, root: str, account: pwd.struct_passwd, changes: _Changes
) -> None:
    for folder in (setup.kit_dir, os.path.join(setup.kit_dir, "clients")):
        _require_folder(folder, 0o755, None, changes)
    _require_folder(root, 0o700, account.pw_uid, changes)


def _require_folder(path: str, mode: int, owner: int | None, changes: _Changes) -> None:
    def change() -> None:
        # The account must be able to enter the folders above.
        with usual_umask():
            os.makedirs(path, exist_ok=True)
        if owner is not None:
            os.chown(path, owner, -1)
        os.chmod(path, mode)

    try:
        status = os.stat(path)
    except FileNotFoundError:
        changes.make(path, change)
        return
    right_owner = owner is None or status.st_uid == owner
    if stat.S_IMODE(status.st_mode) != mode or not right_owner:
        changes.make(path, change)


def _identity(setup: ClientSetup, root: str, account: pwd.struct_passwd, changes: _Changes) -> str:
    """Return the identity of the copy's folder; write one where the copy is set up first."""
    config_file = _config_file(setup)
    known = ""
    if os.path.exists(config_file):
        known = str(settings.read(config_file).get("identity", ""))
    found = identity_of(root)
    if known and found != known:
        raise ResilienceError(
            "the copy's folder is not the one that was set up: its identity is missing",
            option="path",
            value=root,
            remedy=f"mount the copy's disk; where the copy begins anew, remove {config_file} first",
        )
    if found:
        return found
    identity = uuid.uuid4().hex
    folder = os.path.join(root, STATE_FOLDER)

    def change() -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        path = os.path.join(folder, IDENTITY_FILE)
        replace_file(path, f"{identity}\n")
        for owned in (folder, path):
            os.chown(owned, account.pw_uid, account.pw_gid, follow_symlinks=False)

    changes.make(os.path.join(folder, IDENTITY_FILE), change)
    return identity


def _config_file(setup: ClientSetup) -> str:
    return os.path.join(setup.kit_dir, "clients", f"{setup.client}.json")


def scripts(kit_dir: str, python: str) -> dict[str, str]:
    """Return the scripts of all clients on the server, by their file names.

    Args:
        kit_dir: folder of the engine and of all clients' configurations.
        python: the server's interpreter.
    """
    launch = os.path.join(kit_dir, "chefwell_resilience", "launch.py")
    clients = shlex.quote(os.path.join(kit_dir, "clients"))
    gate = launcher.script(
        python,
        launch,
        "server.gate",
        f'--config {clients}/"$1".json --allow "$2"',
        name="the gate",
        options="-E -s",
        about="The forced command of a client's keys: `gate.sh CLIENT write` or `read`.",
    )
    job = launcher.script(
        python,
        launch,
        "host_cli",
        f'keep-offsite-copy --config {clients}/"${{client%.json}}".json "$@"',
        name="keep-offsite-copy",
        options="-E -s",
        about="The daily job of one client's copy: `keep-offsite-copy.sh CLIENT`; --help has more.",
        before=f'client="${{1:?name the client, one of: $(cd {clients} && echo *.json)}}"\nshift\n',
    )
    return {"gate.sh": gate, "keep-offsite-copy.sh": job}


def _write_kit(
    setup: ClientSetup, account: pwd.struct_passwd, identity: str, changes: _Changes
) -> None:
    for name, text in scripts(setup.kit_dir, setup.python).items():
        _write(os.path.join(setup.kit_dir, name), text, 0o755, None, changes)
    values = {**setup.config, "identity": identity}
    text = json.dumps(values, indent=4, sort_keys=True, ensure_ascii=False) + "\n"
    # The account reads it and must not write it; the addresses in it may hold passwords.
    group = grp.getgrgid(account.pw_gid).gr_gid
    owners = (0, group) if os.geteuid() == 0 else None  # in a demo of an ordinary user
    _write(_config_file(setup), text, 0o640, owners, changes)


def _write(
    path: str, text: str, mode: int, owners: tuple[int, int] | None, changes: _Changes
) -> None:
    def change() -> None:
        replace_file(path, text, mode=mode)
        if owners:
            os.chown(path, *owners, follow_symlinks=False)

    try:
        status = os.lstat(path)
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
            same = file.read() == text
    except FileNotFoundError:
        changes.make(path, change)
        return
    right_owners = owners is None or (status.st_uid, status.st_gid) == owners
    if not same or stat.S_IMODE(status.st_mode) != mode or not right_owners:
        changes.make(path, change)


def _allow_keys(setup: ClientSetup, account: pwd.struct_passwd, changes: _Changes) -> None:
    path = setup.authorized_keys or os.path.join(account.pw_dir, ".ssh", "authorized_keys")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        # sshd reads the keys as the account, which must be able to enter.
        _require_folder(folder, 0o700, account.pw_uid, changes)
    before: list[str] = []
    mode = 0o600
    try:
        # Not through a link: the account owns the folder.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        with open(descriptor, encoding="utf-8") as file:
            before = file.read().splitlines()
    except FileNotFoundError:
        pass
    gate = shlex.join([os.path.join(setup.kit_dir, "gate.sh"), setup.client])
    after = before
    for key, allow in ((setup.public_key, "write"), (setup.read_key, "read")):
        if key.strip():
            after = with_key(after, key.strip(), f'restrict,command="{gate} {allow}"')
    if after != before:

        def change() -> None:
            replace_file(path, "".join(f"{line}\n" for line in after), mode=mode)
            os.chown(path, account.pw_uid, -1, follow_symlinks=False)

        changes.make(path, change)


def with_key(lines: Sequence[str], key: str, options: str) -> list[str]:
    """Return the lines of an authorized_keys file with one line for a key, in its place.

    Args:
        lines: of the file.
        key: the public key, type and content first.
        options: that stand before the key.
    """
    content = key.split()[1]
    line, found = f"{options} {key}", False
    result = []
    for one in lines:
        if content not in one.split():
            result.append(one)
        elif not found:
            # Others who write the file, such as Ansible's authorized_key, end a line with a blank.
            result.append(one if one.split() == line.split() else line)
            found = True
    return result if found else [*result, line]


def _schedule_job(setup: ClientSetup, root: str, changes: _Changes) -> None:
    program = shutil.which("crontab")
    if program is None:
        if setup.cron:
            raise ResilienceError(
                "the server has no crontab for the daily job",
                option="server_cron_enabled",
                value=True,
                remedy="install cron (Debian) or cronie (RHEL)",
            )
        return
    command = [program, "-u", setup.account]
    listed = process.run([*command, "-l"], time_limit=60, undecodable="surrogateescape")
    before = listed.output.splitlines() if listed.code == 0 else []
    job = f"{os.path.join(setup.kit_dir, 'keep-offsite-copy.sh')} {setup.client}"
    name = f"chefwell.resilience offsite copy {root}"
    after = crontab.with_entry(before, name, job, setup.cron or None)
    if after == before:
        return

    def change() -> None:
        text = "".join(f"{line}\n" for line in after).encode("utf-8", "surrogateescape")
        outcome = process.run([*command, "-"], time_limit=60, input=text)
        if outcome.code != 0:
            raise ResilienceError(
                f"the crontab cannot be written: {outcome.errors.strip()}",
                option="user",
                value=setup.account,
            )

    changes.make("crontab", change)


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up one client from standard input.

    Args:
        arguments: `--check` or none; those of the process when left out.

    Returns:
        The exit code: 0 done, 2 it cannot be done.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        setup = settings.parse(json.load(sys.stdin), ClientSetup)
        names = set_up(setup, check="--check" in given)
    except ResilienceError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {reason(error)}\n")
        return 2
    sys.stdout.write(json.dumps({"changes": names}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
