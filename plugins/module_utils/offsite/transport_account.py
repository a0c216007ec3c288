# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rsync over ssh to an account that runs any command, such as a storage box."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from ..inventory.inventory import readable
from ..inventory.path_list import PathList
from ..inventory.path_table import PathTable
from . import packed_sending, remote_listing, rsync, rsync_fetch, ssh, ssh_command
from .command_output import CommandOutput
from .early_listing import Started
from .remote_listing import RemoteListing
from .rsync import Transfer
from .ssh import Destination
from .ssh_command import SshCommand
from .transport import Delivery, FinishResult, RemoteFile, TransferRequest

# rsync writes files through to disk (`--fsync`) from this version on, on both sides.
_DURABLE_FROM = (3, 2, 4)


@dataclasses.dataclass(frozen=True)
class _RunOptions:
    """What a run of rsync is started with; its names and its progress callback come later."""

    source: str
    old_folder: str
    dry_run: bool
    remove_missing: bool
    durable: bool
    counted: bool
    keep_open: tuple[int, ...]
    ignore_times: bool

    @classmethod
    def of(cls, delivery: Delivery, *, durable: bool, remove_missing: bool = False) -> _RunOptions:
        """Return the options of a delivery."""
        return cls(
            source=delivery.source,
            old_folder=delivery.old_folder,
            dry_run=delivery.dry_run,
            remove_missing=remove_missing,
            durable=durable,
            counted=delivery.progress is not None,
            keep_open=delivery.keep_open,
            ignore_times=delivery.ignore_times,
        )

    def start(self, destination: Destination) -> rsync.RsyncRun:
        """Start rsync, which logs in at once."""
        return rsync.RsyncRun(destination, **dataclasses.asdict(self))


class AccountTransport:
    """Transport to an account without a gate.

    Args:
        destination: the account.
        started: commands that run on its server already.
    """

    def __init__(self, destination: Destination, started: Started | None = None) -> None:
        self.destination = destination
        self._server_rsync = "0"
        # Commands that were started before their output is needed, by their arguments.
        self._started: Started = {} if started is None else started
        # Runs of rsync that were started before their names are known, by their options.
        self._started_runs: dict[_RunOptions, rsync.RsyncRun] = {}

    @property
    def host(self) -> str:
        """The server's name or address."""
        return self.destination.host

    @property
    def takes_digests(self) -> bool:
        """No inventory is announced, as `Transport.takes_digests`."""
        return False

    def arrived_digests(self) -> Mapping[str, str]:
        """Nothing: no ledger is kept, as `Transport.arrived_digests`."""
        return {}

    @property
    def last_link(self) -> str:
        """No link: nothing is signed, as `Transport.last_link`."""
        return ""

    def __str__(self) -> str:
        return str(self.destination)

    def check(self) -> None:
        """Check the private key, as `Transport.check`."""
        ssh.check_key(self.destination)

    def prefetch(self, tiers: Sequence[str], *, digests: bool = False) -> None:
        """Start the listing, as `Transport.prefetch`.

        Listing and digests share a single login, for each login costs a key exchange.
        """
        if digests:
            self._start_command(self._list_command(tiers, digests=True), stdin=None)
        else:
            self._start_command(self._list_command(tiers))

    def prepare_send(self, delivery: Delivery, count: int) -> None:
        """Log in for the next `send`, as `Transport.prepare_send`.

        The server's rsync is assumed to be a recent one.
        """
        options = _RunOptions.of(delivery, durable=self._is_durable(delivery))
        with contextlib.suppress(ResilienceError, OSError):
            self._started_runs[options] = options.start(self.destination)

    def discard_leftovers(self) -> None:
        """Do nothing: nothing is left on this host, as `Transport.discard_leftovers`."""

    def cancel(self) -> None:
        """End what was started, as `Transport.cancel`."""
        self._cancel_commands()
        cancel_all(self._started_runs)

    def _cancel_commands(self) -> None:
        cancel_all(self._started)

    def _start_command(self, arguments: Sequence[str], stdin: Iterable[bytes] | None = ()) -> None:
        if tuple(arguments) not in self._started:
            # Without ssh, `_output` raises the error.
            with contextlib.suppress(ResilienceError):
                self._started[tuple(arguments)] = SshCommand(
                    self.destination, arguments, stdin=stdin
                )

    def _output(
        self, arguments: Sequence[str], stdin: Callable[[], Iterable[bytes]] | None = None
    ) -> CommandOutput:
        """Return the output of a command that was started before, or is run now.

        Args:
            arguments: the command.
            stdin: returns the parts of its standard input.
        """
        started = self._started.pop(tuple(arguments), None)
        if started and stdin and not started.is_running:
            started.cancel()
            started = None
        # A server that ended without output did not know that input would follow.
        output = started.output(stdin() if stdin else ()) if started else None
        if output:
            return output
        parts = stdin() if stdin else ()
        return ssh_command.run_command(self.destination, arguments, stdin=parts)

    def _list_output(self, tiers: Sequence[str]) -> CommandOutput:
        """Return the output of the listing; its command may then wait for names to digest."""
        arguments = tuple(self._list_command(tiers, digests=True))
        if arguments not in self._started:
            return self._output(self._list_command(tiers))
        # It stays where `cancel` finds it until its output is here.
        output = self._started[arguments].read_until(remote_listing.LIST_END)
        started = self._started.pop(arguments)
        if started.is_running:
            self._started[tuple(self._digest_command())] = started
        return output

    def list_backups(
        self,
        tiers: Sequence[str],
        pattern: str,
        known: str = "",
        like: PathTable[Any] | None = None,
    ) -> RemoteListing:
        """List the server's backups, as `Transport.list_backups`."""
        output = self._list_output(tiers)
        remote = remote_listing.parse(output, str(self.destination), tiers, pattern, known, like)
        self._server_rsync = remote.rsync or "0"
        return remote

    def _list_command(self, tiers: Sequence[str], *, digests: bool = False) -> list[str]:
        return remote_listing.list_command(self.destination, tiers, digests=digests)

    def _digest_command(self) -> list[str]:
        return remote_listing.digest_command(self.destination)

    def digests(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Return the server's digests, as `Transport.digests`."""
        if not paths:
            return {}
        output = self._output(self._digest_command(), lambda: remote_listing.digest_input(paths))
        return remote_listing.parse_sums(output, str(self.destination), paths)

    def standing(self, remote: RemoteListing) -> RemoteListing:
        """Return the same listing, as `Transport.standing`: there are no alarms."""
        return remote

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """Send files, as `Transport.send`."""
        return self._confirmed(names, delivery, self._run_rsync(names, delivery))

    def _confirmed(self, names: Sequence[str], delivery: Delivery, done: Transfer) -> Transfer:
        """Return a failure where the server does not hold what rsync has sent.

        The account's own settings may make its rsync do less than it says: an alias in `~/.popt`,
        a program in rsync's place, a quota.
        """
        if delivery.dry_run or not done.ok:
            return done
        tiers = sorted({name.partition("/")[0] for name in names})
        output = ssh_command.run_command(self.destination, self._list_command(tiers))
        like = names.table if isinstance(names, PathList) else None
        held = remote_listing.parse(
            output, str(self.destination), tiers, ".+", like=like
        ).tree.states
        sent = packed_sending.sizes(done.sent)
        lost = []
        for name in names:
            with contextlib.suppress(OSError):  # rotated away meanwhile
                local = os.lstat(os.path.join(delivery.source, name))
                size, changed = held.get(name, (-1, 0))
                # What rsync found equal is so by its time, too.
                is_old = name not in sent and changed // 10**9 != local.st_mtime_ns // 10**9
                if size != local.st_size or is_old:
                    lost.append(name)
        if not lost:
            return done
        return dataclasses.replace(
            done,
            code=1,
            sent=(),
            problem=_(
                "rsync ended well, but the server does not hold what was sent: %(files)s",
                files=", ".join(readable(name) for name in lost[:5]),
            ),
            kind="not_arrived",
            remedy=_(
                "look at the account on the server: aliases in ~/.popt, a program in rsync's "
                "place, or a quota"
            ),
            retryable=True,
        )

    def finish(self, request: TransferRequest, delivery: Delivery) -> FinishResult:
        """Move obsolete backups aside, as `Transport.finish`."""
        if not request.aside:
            return FinishResult(Transfer(0))
        return FinishResult(self._run_rsync(request.aside, delivery, remove_missing=True))

    def list_files(self, tiers: Sequence[str]) -> dict[str, RemoteFile]:
        """Return the files of some tiers, as `Transport.list_files`."""
        return rsync_fetch.list_files(self.destination, tiers)

    def fetch(self, paths: Sequence[str], folder: str) -> None:
        """Fetch files, as `Transport.fetch`."""
        rsync_fetch.fetch(self.destination, paths, folder)

    def evidence(self, path: str) -> Mapping[str, Any]:
        """Return nothing: it is not sealed, as `Transport.evidence`."""
        return {}

    def fetch_command(self, path: str, folder: str) -> str:
        """Return the command for a person, as `Transport.fetch_command`."""
        return rsync_fetch.fetch_command(self.destination, path, folder)

    def weaker(self, remote: RemoteListing) -> tuple[str, ...]:
        """Return the guarantees that are missing, as `Transport.weaker`."""
        return (
            _(
                "whoever has the key can delete and overwrite the copy: the server "
                "does not restrict "
                "it (mode account)"
            ),
            _(
                "nothing on the server limits how much one sync may move aside, or "
                "drops what is old"
            ),
        )

    def server_name(self) -> str:
        """Return the server's host name, as `Transport.server_name`."""
        output = ssh_command.run_command(self.destination, ["hostname"])
        return remote_listing.shown(output.whole())

    def _is_durable(self, delivery: Delivery) -> bool:
        """Return whether rsync itself writes each file through to the server's disk."""
        return delivery.durable and rsync.local_version() >= _DURABLE_FROM

    def _run_rsync(
        self, names: Sequence[str], delivery: Delivery, *, remove_missing: bool = False
    ) -> Transfer:
        version = tuple(int(part) for part in self._server_rsync.split("."))
        durable = self._is_durable(delivery) and version >= _DURABLE_FROM
        options = _RunOptions.of(delivery, durable=durable, remove_missing=remove_missing)
        run = self._started_runs.pop(options, None)
        cancel_all(self._started_runs)
        if run and not run.is_fresh:
            run.cancel()
            run = None
        return (run or options.start(self.destination)).send(names, delivery.progress)


def cancel_all(started: dict[Any, SshCommand] | dict[Any, rsync.RsyncRun]) -> None:
    """End commands or runs that were started and are not needed any more."""
    while started:
        started.popitem()[1].cancel()
