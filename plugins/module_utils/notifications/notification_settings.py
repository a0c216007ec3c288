# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of notifications and of the dead man's switch, the same for every stage.

Apart from what uses them, because the backup server's gate reads them at each request.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.config import Key
from ..common.errors import ResilienceError

# tmpfs on every Linux; gone after a restart, as is the reason why the disk was full.
FALLBACK = "/run/chefwell-resilience"
KEYS = {
    "notify_urls": Key(list, []),
    "notify_time_limit": Key((int, float), 60),
    "remind_hours": Key((int, float), 24),
    "ping_url": Key(str, ""),
    "host_name": Key(str, ""),
    "fallback_dir": Key(str, FALLBACK),
}


@dataclasses.dataclass(frozen=True)
class NotificationSettings:
    """Settings of one stage's notifications.

    Attributes:
        notify_urls: Apprise URLs of the services to notify.
        notify_time_limit: seconds for all deliveries of a run together.
        remind_hours: after which there is a reminder of what is still not ok; 0 for never.
        ping_url: of the dead man's switch, without an action; empty for none.
        host_name: of this host, as people know it.
        fallback_dir: folder for the alerts' state while the history cannot be written.
    """

    notify_urls: Sequence[str] = ()
    notify_time_limit: float = 60
    remind_hours: float = 24
    ping_url: str = ""
    host_name: str = dataclasses.field(default_factory=lambda: os.uname().nodename)
    fallback_dir: str = FALLBACK

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> NotificationSettings:
        """Return the settings of a configuration that has the keys of `KEYS`.

        Raises:
            ResilienceError: one is wrong; the message never shows an address, which may hold a
                password.
        """
        chosen = {name: values[name] for name in KEYS}
        chosen["host_name"] = chosen["host_name"] or os.uname().nodename
        settings = cls(**chosen)
        settings.validate()
        return settings

    def validate(self) -> None:
        """Check every value.

        Raises:
            ResilienceError: one is wrong.
        """
        for address in self.notify_urls:
            if not isinstance(address, str) or "://" not in address:
                raise ResilienceError(
                    "one of the addresses is no Apprise URL",
                    option="notify_urls",
                    value="(not shown: it may hold a password)",
                    remedy="write it as json://host/path, mailto://... or another of Apprise's",
                )
        if self.ping_url and not self.ping_url.startswith(("http://", "https://")):
            raise ResilienceError(
                "the address of the dead man's switch is no http or https address",
                option="ping_url",
                remedy="write it as https://hc-ping.com/...",
            )
        for name, least in (("remind_hours", 0), ("notify_time_limit", 1)):
            if getattr(self, name) < least:
                raise ResilienceError(
                    f"this is below {least}",
                    option=name,
                    value=getattr(self, name),
                    remedy=f"give {least} or more",
                )
