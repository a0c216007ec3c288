# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a checkpoint, and ChefWell's own requests."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.language import LANGUAGES
from ..common.settings import option
from ..staging.docker_services import ServiceSelector
from ..validation import api_probe

ITEMS = ("login", "pos", "products", "dashboard", "logs", "postgres", "services")
TITLES = {
    "login": "Login works",
    "pos": "Point of sale works (a test order)",
    "products": "Products load",
    "dashboard": "Dashboard shows stats",
    "logs": "Backend logs without errors",
    "postgres": "PostgreSQL answers",
    "services": "Docker services active",
}
_IN_CONTAINER = {"container", "user", "dbname"}
_OVER_NETWORK = {"host", "port", "user", "password", "dbname"}

# ChefWell's requests; a step in `api_steps` replaces the one here that has its id.
STEPS: tuple[dict[str, Any], ...] = (
    next(step for step in api_probe.STEPS if step["id"] == "login"),
    {
        "id": "products",
        "path": "/api/products",
        "headers": {"Authorization": "Bearer {token}"},
        "least": {"total": 1},
    },
    {
        "id": "dashboard",
        "path": "/api/dashboard/stats",
        "headers": {"Authorization": "Bearer {token}"},
        "present": ["products", "sales"],
    },
    {
        "id": "order_create",
        "method": "POST",
        "path": "/api/orders",
        "headers": {"Authorization": "Bearer {token}"},
        "json": {"quantity": 1, "note": "{mark}"},
        "status": 201,
        "capture": {"order_id": "id"},
    },
    {
        "id": "order_delete",
        "method": "DELETE",
        "path": "/api/orders/{order_id}",
        "headers": {"Authorization": "Bearer {token}"},
    },
)


@dataclasses.dataclass(frozen=True)
class CheckpointSettings:
    """Settings of a checkpoint. An item whose target is not given is skipped, with that reason.

    Attributes:
        api_url: where the API is, such as `https://api.chefwell.pro`.
        api_email, api_password: of the user who logs in.
        api_verify_tls: whether the certificate must be valid.
        api_steps: requests of the items `login`, `products`, `dashboard` and, for `pos`, of
            `order_create`, `order_delete` and `order_find`, in the form of `api_probe`; ChefWell's
            requests where left out. `order_find` has no default: it captures `order_id` of the
            order with the note `{mark}`, when it is not known whether `order_create` made one.
        test_order: whether the item `pos` makes a test order and deletes it.
        services: what must run in Docker.
        log_sources: the services whose logs must hold no error.
        log_pattern: regular expression of an error; if empty, the level that a line states decides,
            else its words (`log_lines`).
        log_ignore: regular expressions of lines that match but are no errors.
        log_seconds: how many seconds of the logs are read when no start time is given.
        postgres: `{"container": service of PostgreSQL, "user", "dbname"}`, queried in its own
            container; or `{"host", "port", "user", "password", "dbname"}`, over the network.
        docker_url: where Docker listens; empty for the environment's (`DOCKER_HOST`).
        items: which items to check.
        time_limit: seconds for one response.
        tries, retry_seconds: how often an item that did not pass is checked, and the pause between.
        language: of the page.
    """

    api_url: str = ""
    api_email: str = ""
    api_password: str = option("", secret=True)
    api_verify_tls: bool = True
    api_steps: tuple[Mapping[str, Any], ...] = ()
    test_order: bool = False
    services: tuple[Any, ...] = ()
    log_sources: tuple[Any, ...] = ()
    log_pattern: str = ""
    log_ignore: tuple[str, ...] = ()
    log_seconds: float = 300
    postgres: Mapping[str, Any] = option({})
    docker_url: str = ""
    items: tuple[str, ...] = option(ITEMS, choices=ITEMS)
    time_limit: float = 10
    tries: int = 3
    retry_seconds: float = 2
    language: str = option("pt_BR", choices=LANGUAGES)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.items) - set(ITEMS))
        if unknown:
            raise ResilienceError(
                "a checkpoint has no such item",
                option="items",
                value=unknown[0],
                remedy=f"use some of {', '.join(ITEMS)}",
            )
        if self.tries < 1:
            raise ResilienceError(
                "an item is checked at least once",
                option="tries",
                value=self.tries,
                remedy="give 1",
            )
        for name in ("time_limit", "log_seconds"):
            if getattr(self, name) <= 0:
                raise ResilienceError(
                    "seconds must be more than 0",
                    option=name,
                    value=getattr(self, name),
                    remedy="give a time",
                )
        for name, pattern in (
            ("log_pattern", self.log_pattern),
            *(("log_ignore", one) for one in self.log_ignore),
        ):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ResilienceError(
                    f"not a regular expression: {error}",
                    option=name,
                    value=pattern,
                    remedy="correct it",
                ) from error
        for name in ("services", "log_sources"):
            for one in getattr(self, name):
                ServiceSelector.of(one, name)
        if self.postgres:
            check_postgres(self.postgres)
        if self.api_url:
            api(self, [step["id"] for step in STEPS])

    @property
    def secrets(self) -> list[str]:
        """Return the values that must not appear in any output."""
        return [self.api_password, str(self.postgres.get("password") or "")]


def check_postgres(given: Mapping[str, Any]) -> None:
    """Make sure that the settings of PostgreSQL are complete.

    Raises:
        ResilienceError: they are not.
    """
    known = _IN_CONTAINER if "container" in given else _OVER_NETWORK
    unknown = sorted(set(given) - known)
    lacking = sorted({"user", "dbname"} - set(given))
    if unknown or lacking or not ("container" in given or "host" in given):
        raise ResilienceError(
            f"the settings of PostgreSQL are wrong: unknown {unknown}, missing {lacking}",
            option="postgres",
            value=sorted(given),
            remedy="give container, user and dbname, or host, port, user, password and dbname",
        )
    if "container" in given:
        ServiceSelector.of(given["container"], "postgres")


def api(
    settings: CheckpointSettings, names: Sequence[str], values: Mapping[str, str] | None = None
) -> api_probe.Api:
    """Return the API with the steps of these names, as configured or ChefWell's.

    Args:
        settings: of the checkpoint.
        names: of the steps.
        values: values of `{name}` in steps, in addition to what earlier steps captured.

    Raises:
        ResilienceError: a step or the address is not well formed.
    """
    given = {str(step.get("id")): step for step in settings.api_steps}
    known = {step["id"]: step for step in STEPS}
    unknown = sorted(set(given) - {*known, "order_find"})
    if unknown:
        raise ResilienceError(
            "a checkpoint has no such step",
            option="api_steps",
            value=unknown[0],
            remedy=f"use the ids {', '.join(known)}",
        )
    # Findings name a user by the schema; a checkpoint has one user, and no schema.
    user = {"email": settings.api_email, "password": settings.api_password, "schema": "API"}
    return api_probe.Api(
        settings.api_url,
        [{**user, **(values or {})}],
        [given[name] if name in given else known[name] for name in names],
        settings.time_limit,
        settings.api_verify_tls,
    )
