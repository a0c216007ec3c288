# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of stage 2 on the client: the backup tree, the guards and the destinations."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from ..common.errors import ResilienceError, known_names
from ..common.messages import _
from ..common.settings import LARGEST, option
from ..inventory import freshness
from ..inventory.inventory import readable
from ..inventory.tree_settings import FLAT, MARKER
from ..notifications.notification_settings import StageSettings
from ..sealing.seal_settings import SealSettings
from .ssh import RESTRICTED, Destination

DEFAULT = "default"


@dataclasses.dataclass(frozen=True)
class DestinationSettings:
    """One destination of the copies.

    Attributes:
        name: of the destination; the first one may go without.
        transport: what carries the copies.
        rclone_remote, rclone_config_file: for the transport `rclone`.
        host, port, user, path: of the backup server, for the transport `rsync`.
        mode: whether the key is let in through the gate (`restricted`) or into an account.
        key_file: private key; a key of the destination's own beside the first one's when empty.
        known_hosts_file: the pinned host keys.
        ssh_options: more options for ssh, as `-o` takes them.
        bandwidth_kbps: limit of the transfer, kilobytes a second; 0 for none.
        compress: whether rsync compresses on the way.
        durable: whether the server writes each file through to its disk before it gets its name.
        time_limit: seconds that one transfer may take.
        connect_seconds, silence_seconds: that the server has to answer, and may be silent.
        tries, retry_seconds: how often to try, and the pause before the second try.
    """

    name: str = DEFAULT
    transport: str = option("rsync", choices=("rsync", "rclone"))
    rclone_remote: str = ""
    rclone_config_file: str = "/root/.config/rclone/rclone.conf"
    host: str = ""
    port: int = 22
    user: str = ""
    path: str = ""
    mode: str = option(RESTRICTED, choices=(RESTRICTED, "account"))
    key_file: str = ""
    known_hosts_file: str = ""
    ssh_options: tuple[str, ...] = ()
    bandwidth_kbps: int = 5000
    compress: bool = False
    durable: bool = True
    time_limit: float = 7200
    connect_seconds: int = 20
    silence_seconds: int = 300
    tries: int = 3
    retry_seconds: float = 10


@dataclasses.dataclass(frozen=True)
class OffsiteSettings(StageSettings):
    """Stage 2 on a client.

    Attributes:
        destinations: where copies go; the first one is meant where only one can be.
        key_file: private key of destinations that name none.
        config_dir: folder of the pinned host keys.
        marker: file that must be in the tree, so that an empty mount point is not taken for it;
            empty for none.
        least_backups, change_percent, least_bytes, shrink_percent, rpo_hours,
            most_rewritten: limits of the guards.
        reread_days: a verification reads every file of both sides again at least this often.
        wait_minutes: how long a sync waits for backups that are still being written.
        schedule: hours between two backups by tier.
        log_file: each sync appends its lines to it.
        seal: for whom copies are encrypted.
    """

    destinations: tuple[DestinationSettings, ...] = ()
    key_file: str = "/root/.ssh/chefwell_backup"
    config_dir: str = option(required=True)
    marker: str = MARKER
    least_backups: int = 1
    change_percent: float = 40
    least_bytes: int = option(100, maximum=LARGEST)
    shrink_percent: float = 50
    rpo_hours: float = 24
    most_rewritten: int = option(1, maximum=LARGEST)
    reread_days: float = 30
    wait_minutes: float = 30
    schedule: Mapping[str, float] = option(dict(freshness.SCHEDULE))
    log_file: str = "/var/log/chefwell-offsite-sync.log"
    seal: SealSettings = SealSettings()


def marker(settings: OffsiteSettings) -> str:
    """Return the marker file, relative to the tree; empty for none.

    That of a flat folder lies in the folder itself: a disk may be mounted there.
    """
    return os.path.join(settings.inner_folder, settings.marker) if settings.marker else ""


def schedule(settings: OffsiteSettings) -> dict[str, float]:
    """Return the hours between two backups by tier; a flat folder's are those of `.`, or a day.

    Raises:
        ResilienceError: it holds anything but hours above 0, names a tier that is not there, or is
            the default and leaves out a tier, whose age nobody would look at.
    """
    hours = freshness.schedule_hours(settings.schedule)
    tiers, flat = FLAT if settings.inner_folder else settings.tiers, bool(settings.inner_folder)
    default = hours == freshness.SCHEDULE
    unknown = [] if default else [tier for tier in hours if tier not in tiers]
    left_out = [tier for tier in tiers if tier not in hours] if default and not flat else []
    if unknown or left_out:
        shown = ", ".join(f"{readable(tier)}: 24" for tier in tiers)
        problem = (
            _(
                "the schedule names tiers that are not there: %(names)s",
                names=", ".join(map(readable, unknown)),
            )
            if unknown
            else _(
                "no schedule is given for the tiers %(names)s",
                names=", ".join(map(readable, left_out)),
            )
        )
        raise ResilienceError(
            problem,
            option="schedule",
            value=dict(settings.schedule),
            remedy=_(
                "give the hours between two backups of each tier, such as {%(example)s}; a tier "
                "that is left out then is not checked",
                example=shown,
            ),
        )
    return {settings.inner_folder: hours.get(FLAT[0], 24.0)} if flat else hours


def check(settings: OffsiteSettings) -> None:
    """Check what the class of the settings cannot see.

    Raises:
        ResilienceError: the schedule does not fit the tiers.
    """
    schedule(settings)


def first(settings: OffsiteSettings) -> DestinationSettings:
    """Return the destination that is meant where only one can be.

    Raises:
        ResilienceError: there is none.
    """
    return next(iter(by_name(settings).values()))


def named(settings: OffsiteSettings, name: str) -> DestinationSettings:
    """Return the destination of a name.

    Raises:
        ResilienceError: there is none.
    """
    known = by_name(settings)
    if name not in known:
        raise ResilienceError(
            "there is no such destination",
            option="destination",
            value=name,
            remedy=known_names(name, known),
        )
    return known[name]


def by_name(settings: OffsiteSettings) -> dict[str, DestinationSettings]:
    """Return the destinations by their names, in their order.

    Raises:
        ResilienceError: there is none, or two have one name.
    """
    if not settings.destinations:
        raise ResilienceError(
            "there is no destination for the copies",
            option="destinations",
            remedy="give one, with host, user and path",
        )
    named: dict[str, DestinationSettings] = {}
    for number, destination in enumerate(settings.destinations):
        if destination.name in named:
            raise ResilienceError(
                "each further destination needs a name of its own",
                option=f"destinations[{number}].name",
                value=destination.name,
                remedy="give it a name that no other destination has",
            )
        named[destination.name] = destination
    return named


def key_file(settings: OffsiteSettings, destination: DestinationSettings) -> str:
    """Return the private key of a destination; the role uses the same rule."""
    own = "" if destination.name == DEFAULT else f"_{destination.name}"
    return destination.key_file or settings.key_file + own


def known_hosts_file(settings: OffsiteSettings, destination: DestinationSettings) -> str:
    """Return the file of a destination's pinned host keys; the role uses the same rule."""
    own = "" if destination.name == DEFAULT else f"-{destination.name}"
    return destination.known_hosts_file or os.path.join(
        settings.config_dir, f"offsite_known_hosts{own}"
    )


def ssh_destination(settings: OffsiteSettings, destination: DestinationSettings) -> Destination:
    """Return how a destination is reached over ssh.

    Raises:
        ResilienceError: a setting is wrong.
    """
    return Destination(
        host=destination.host,
        port=destination.port,
        user=destination.user,
        path=destination.path,
        mode=destination.mode,
        key_file=key_file(settings, destination),
        known_hosts_file=known_hosts_file(settings, destination),
        compress=destination.compress,
        bandwidth_kbps=destination.bandwidth_kbps or None,
        ssh_options=destination.ssh_options,
        time_limit=destination.time_limit,
        connect_seconds=destination.connect_seconds,
        silence_seconds=destination.silence_seconds,
    )
