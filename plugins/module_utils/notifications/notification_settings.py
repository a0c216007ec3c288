# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of notifications, and what all stages have in common."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping

from ..common.errors import ResilienceError
from ..common.language import LANGUAGES
from ..common.settings import HIDDEN, option
from ..inventory.tree_settings import BackupTreeSettings

# tmpfs on every Linux; gone after a restart, like the full disk that made it necessary.
FALLBACK = "/run/chefwell-resilience"
# Hours after which each part of the status page is overdue: two runs of the monitor missed, one
# night's sync, a week without a proved backup.
OVERDUE_HOURS = {"disk": 13, "offsite": 30, "drill": 192}
# An http or https address (RFC 3986); text that is no ASCII is encoded when it is used. Compiled
# only where there is one.
_PING_URL = r"https?://([^\s/?#@]*@)?(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]{1,253})(:(?P<port>\d{1,5}))?([/?#]\S*)?"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NotificationSettings:
    """Who is notified.

    Attributes:
        notify: Apprise URLs; they may hold passwords.
        notify_time_limit: seconds for all messages of a run.
        remind_hours: after which a standing alert is sent again; 0 for never.
        ping_url: of a dead man's switch (healthchecks protocol); empty for none.
        host_name: of this host in messages; its own name when empty.
        fallback_dir: where alert states are kept while the state folder's disk takes no writes.
    """

    notify: tuple[str, ...] = option((), secret=True)
    notify_time_limit: float = option(60, minimum=1)
    remind_hours: float = option(24, minimum=0)
    ping_url: str = option("", secret=True)
    host_name: str = ""
    fallback_dir: str = FALLBACK

    @property
    def named_host(self) -> str:
        """The host's name in messages."""
        return self.host_name or os.uname().nodename

    def check_notifications(self) -> None:
        """Check the addresses.

        Raises:
            ResilienceError: one is wrong; the message never shows it, for it may hold a password.
        """
        for address in self.notify:
            if "://" not in address or not address.isprintable():
                raise ResilienceError(
                    "one of the addresses is no Apprise URL",
                    option="notify",
                    value=HIDDEN,
                    remedy="write it as json://host/path, mailto://... or another of Apprise's",
                )
        if self.ping_url and not self.ping_url.startswith(("http://", "https://")):
            raise ResilienceError(
                "the address of the dead man's switch is no http or https address",
                option="ping_url",
                remedy="write it as https://hc-ping.com/...",
            )
        found = re.fullmatch(_PING_URL, self.ping_url) if self.ping_url else None
        sound = found and int(found["port"] or 1) < 1 << 16 and self.ping_url.isprintable()
        if self.ping_url and not sound:
            raise ResilienceError(
                "the address of the dead man's switch is no address that could be pinged",
                option="ping_url",
                value=HIDDEN,
                remedy="write it as https://hc-ping.com/...",
            )

    def validate_services(self) -> None:
        """Check that Apprise knows the service of each address; nothing is sent.

        Apart from `check_notifications`, because it loads Apprise.

        Raises:
            ResilienceError: it does not, or Apprise is missing. The message shows an address's
                scheme only.
        """
        if not self.notify:
            return
        try:
            import apprise
            from apprise.logger import logger
        except ImportError as error:
            raise ResilienceError(
                "apprise is missing, which sends notifications",
                option="notify",
                remedy="install apprise (Debian: apt install apprise)",
            ) from error
        # It logs the addresses that it does not understand, passwords included.
        logger.disabled = True
        for number, address in enumerate(self.notify):
            if not apprise.Apprise().add(address):
                raise ResilienceError(
                    "Apprise knows no such service, or part of its address is missing",
                    option=f"notify[{number}]",
                    value=f"{address.partition('://')[0]}://",
                    remedy="write it as json://host/path, mailto://... or another of Apprise's",
                )


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class StageSettings(NotificationSettings, BackupTreeSettings):
    """What every stage on the client has in common.

    Attributes:
        owner: whose system this is, for the titles of pages.
        language: of pages and messages.
        metrics_file: Prometheus textfile, ending in `.prom`; empty for none.
        state_dir: folder of the history, alert states and locks, shared by all stages.
        status_page: the status page that each run writes; a name without a folder is a file in the
            state folder. Empty for none.
        status_overdue_hours: hours after the last good run at which a part of that page (`disk`,
            `offsite`, `drill`) is overdue; 0 leaves out a part that this host does not use.
    """

    owner: str = "ChefWell"
    language: str = option("pt_BR", choices=LANGUAGES)
    metrics_file: str = ""
    state_dir: str = option(required=True)
    status_page: str = "status.html"
    status_overdue_hours: Mapping[str, float] = option(OVERDUE_HOURS)

    @property
    def overdue_hours(self) -> dict[str, float]:
        """The hours of every part of the status page."""
        return {**OVERDUE_HOURS, **self.status_overdue_hours}

    @property
    def status_path(self) -> str:
        """The path of the status page; empty for none."""
        return self.status_page and os.path.join(self.state_dir, self.status_page)

    def check_status_page(self) -> None:
        """Check the options of the status page.

        Raises:
            ResilienceError: one is wrong.
        """
        if self.status_page and not self.status_page.endswith(".html"):
            raise ResilienceError(
                "the name of the status page does not end in .html",
                option="status_page",
                value=self.status_page,
                remedy="give a name such as status.html or /var/www/html/status.html",
            )
        for name, hours in self.status_overdue_hours.items():
            if name not in OVERDUE_HOURS:
                raise ResilienceError(
                    "the status page has no such part",
                    option="status_overdue_hours",
                    value=name,
                    remedy=f"give hours for {', '.join(OVERDUE_HOURS)}",
                )
            if hours < 0:
                raise ResilienceError(
                    "hours below 0",
                    option=f"status_overdue_hours.{name}",
                    value=hours,
                    remedy="give the hours after which it is overdue, or 0 where it is not used",
                )
