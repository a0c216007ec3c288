# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a checkpoint's items, each made for real."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping

from ..checks.checks import Evidence
from ..common.errors import ResilienceError
from ..common.messages import _, join
from ..common.safe_text import error_line, one_line
from ..database.connection import driver, open_connection
from ..staging.docker_engine import DockerEngine
from ..staging.docker_services import DockerServices, ServiceSelector
from ..validation import api_probe
from . import log_lines
from .checkpoint_settings import CheckpointSettings, api

# How much of one line of a log is shown.
LINE = 200
# Responses after which certainly no order was made: the request was refused as it stood.
REFUSED = {400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 429}


class CannotCheck(Exception):
    """The check could not be made, and why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One attempt at a check.

    Attributes:
        evidence: its result.
        again: whether another attempt may have another result, and does no harm.
        wait: seconds that the system demands to wait before that; None if it does not.
    """

    evidence: Evidence
    again: bool = True
    wait: float | None = None


Check = Callable[[], Attempt]


def item_checks(
    settings: CheckpointSettings, since: float, read_only: bool
) -> dict[str, Check | str]:
    """Return a check for each item, or the reason why there is none."""
    no_api = "" if settings.api_url else _("no address of the API is given")
    no_order = no_api or (
        _("off: it would make an order (test_order)")
        if not settings.test_order
        else _("a run that changes nothing makes no order")
        if read_only
        else ""
    )
    session = ApiSession(settings)
    return {
        "login": no_api or session.login,
        "pos": no_order or session.order,
        "products": no_api or (lambda: session.step("products")),
        "dashboard": no_api or (lambda: session.step("dashboard")),
        "logs": (lambda: _logs(settings, since))
        if settings.log_sources
        else _("no source of logs is given"),
        "postgres": (lambda: _postgres(settings))
        if settings.postgres
        else _("no PostgreSQL is given"),
        "services": (lambda: _services(settings, since))
        if settings.services
        else _("no service is given"),
    }


class ApiSession:
    """The API's items over one login: a limit on logins is not used up by a checkpoint.

    Args:
        settings: of the checkpoint.
    """

    def __init__(self, settings: CheckpointSettings) -> None:
        self.settings = settings
        self._login: api_probe.StepResult | None = None

    def login(self) -> Attempt:
        """Check that the login works; the other items use its token."""
        if self._login is None or self._login.problem:
            self._login = self._send("login", {})
        return _attempt(self._login)

    def step(self, name: str) -> Attempt:
        """Check one request of a user who is logged in."""
        refused = self._refused_login()
        return refused or _attempt(self._send(name, self._captured()))

    def order(self) -> Attempt:
        """Check that an order can be made and taken back.

        An order that may be left behind is looked for where a step `order_find` is given, else
        named; the request that makes it is sent again only if it was certainly refused.
        """
        refused = self._refused_login()
        if refused:
            return refused
        mark = f"chefwell.resilience checkpoint {uuid.uuid4().hex[:12]}"
        try:
            return self._make_order(mark)
        except Exception as error:  # the order may be there, whatever failed afterwards
            problem = join([error_line(error), _look(mark)], "; ")
            return Attempt(Evidence(_("an order may have been made"), [problem]), False)

    def _make_order(self, mark: str) -> Attempt:
        values = {**self._captured(), "mark": mark}
        made = self._send("order_create", values)
        if made.problem and made.http_status in REFUSED:
            evidence = Evidence(_("no order was made"), [made.problem])
            return Attempt(evidence, True, made.retry_after)
        problems: list[str] = [made.problem] if made.problem else []
        found = dict(made.captured) or self._find_order(values)
        if not found:
            problems = problems or [_("the response does not identify the order")]
            problems[-1] = join([problems[-1], _look(mark)], "; ")
            return Attempt(Evidence(_("an order may have been made"), problems), False)
        deleted = self._send("order_delete", {**values, **found})
        if deleted.problem:
            problems.append(
                _(
                    "the order with the note %(mark)s was not taken back: %(why)s",
                    mark=repr(mark),
                    why=deleted.problem,
                )
            )
            return Attempt(Evidence(_("an order was made"), problems), False)
        total = made.seconds + deleted.seconds
        text = _("an order was made and taken back in %(ms)d ms", ms=round(total * 1000))
        return Attempt(Evidence(text, problems), False)

    def _find_order(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return what `order_find` captures of an order that may have been made."""
        if not any(step.get("id") == "order_find" for step in self.settings.api_steps):
            return {}
        return self._send("order_find", values).captured

    def _refused_login(self) -> Attempt | None:
        """Return the failed login; None if there is a token.

        A login that failed is repeated here only where no item of its own does that.
        """
        own_item = "login" in self.settings.items
        if self._login is None or not own_item:
            self.login()
        login = self._login
        if login is None or login.problem is None:
            return None
        evidence = Evidence(_("not checked"), [join([_("login"), login.problem], ": ")])
        return Attempt(evidence, not own_item, login.retry_after)

    def _captured(self) -> Mapping[str, str]:
        return self._login.captured if self._login else {}

    def _send(self, name: str, values: Mapping[str, str]) -> api_probe.StepResult:
        _checks, results = api_probe.probe(
            api(self.settings, [name], values), lambda _schema, _table: None
        )
        return results[0]


def _look(mark: str) -> str:
    return _("look for an order with the note %(mark)s", mark=repr(mark))


def _attempt(result: api_probe.StepResult) -> Attempt:
    milliseconds = round(result.seconds * 1000)
    text = _("HTTP %(status)s in %(ms)d ms", status=result.http_status, ms=milliseconds)
    problems = [result.problem] if result.problem else []
    return Attempt(Evidence(text, problems), True, result.retry_after)


def _logs(settings: CheckpointSettings, since: float) -> Attempt:
    is_error: Callable[[str], object] = log_lines.is_error
    if settings.log_pattern:
        is_error = re.compile(settings.log_pattern).search
    ignored = [re.compile(one) for one in settings.log_ignore]
    count = 0
    findings: list[str] = []
    with _docker(settings) as docker:
        for source in settings.log_sources:
            selector = ServiceSelector.of(source, "log_sources")
            try:
                lines, cut = docker.log(selector, since)
            except ResilienceError as problem:
                raise CannotCheck(problem.message()) from problem
            if cut:
                findings.append(join([str(selector), _("its log is longer than is read")], ": "))
            count += len(lines)
            findings += [
                f"{selector}: {line.strip()[:LINE]}"
                for line in lines
                if is_error(line) and not any(one.search(line) for one in ignored)
            ]
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    # What was written stays written: another attempt changes nothing.
    text = _("%(count)d lines since %(moment)s", count=count, moment=moment)
    return Attempt(Evidence(text, findings), False)


def _services(settings: CheckpointSettings, since: float) -> Attempt:
    seen = []
    findings: list[str] = []
    with _docker(settings) as docker:
        for service in settings.services:
            selector = ServiceSelector.of(service, "services")
            states = docker.states(selector, since)
            if not states:
                findings.append(join([str(selector), _("there is none")], ": "))
            for state in states:
                seen.append(f"{state.name} {state.running}/{state.expected}")
                if state.running < state.expected:
                    text = _(
                        "%(running)d of %(expected)d run",
                        running=state.running,
                        expected=state.expected,
                    )
                    findings.append(join([state.name, text], ": "))
                findings += [join([state.name, problem], ": ") for problem in state.problems]
    return Attempt(Evidence(", ".join(seen) or _("nothing runs"), findings))


def _postgres(settings: CheckpointSettings) -> Attempt:
    postgres = settings.postgres
    started = time.monotonic()
    query = _query_in_container if "container" in postgres else _query_over_network
    problem = query(settings)
    evidence = f"{postgres['dbname']}, {(time.monotonic() - started) * 1000:.0f} ms"
    return Attempt(Evidence(evidence, [problem] if problem else []))


def _query_in_container(settings: CheckpointSettings) -> str | None:
    """Return the problem of a query by psql in the server's own container; None without one."""
    postgres = settings.postgres
    limit = max(1, int(settings.time_limit))
    # `timeout` is in every image that has a shell (coreutils, busybox).
    command = ["timeout", str(limit), "psql", "-X", "-w", "-U", str(postgres["user"])]
    command += ["-d", str(postgres["dbname"]), "-tAc", "SELECT 40 + 2"]
    with _docker(settings, settings.time_limit + 5) as docker:
        selector = ServiceSelector.of(postgres["container"], "postgres")
        if not any(state.running for state in docker.states(selector, time.time())):
            return _("%(what)s does not run", what=str(selector))
        code, output = docker.execute(selector, command)
    line = one_line(output)[:LINE]
    if code in (126, 127):
        raise CannotCheck(_("psql cannot be run there: %(why)s", why=line))
    if code != 0 or line != "42":
        return _("psql ended with %(code)d: %(why)s", code=code, why=line or _("no output"))
    return None


def _query_over_network(settings: CheckpointSettings) -> str | None:
    """Return the problem of a query over the network; None without one."""
    postgres = settings.postgres
    try:
        psycopg2 = driver()
    except ResilienceError as error:
        raise CannotCheck(error.message()) from error
    limit = max(1, int(settings.time_limit))
    try:
        database = open_connection(
            {
                "host": postgres.get("host"),
                "port": postgres.get("port", 5432),
                "user": postgres["user"],
                "password": postgres.get("password"),
                "dbname": postgres["dbname"],
            },
            connect_timeout=limit,
            settings={"statement_timeout": limit * 1000},
        )
        with contextlib.closing(database), database.cursor() as cursor:
            cursor.execute("SELECT 40 + 2")
            row = cursor.fetchone()
    except psycopg2.Error as error:
        line = one_line(error)[:LINE]
        # Without a login nothing is known about the database.
        if "authentication failed" in line or "no password supplied" in line:
            raise CannotCheck(line) from error
        return line
    return None if row == (42,) else _("40 + 2 is %(row)s", row=str(row))


@contextlib.contextmanager
def _docker(
    settings: CheckpointSettings, time_limit: float | None = None
) -> Iterator[DockerServices]:
    engine = DockerEngine(settings.docker_url or None, time_limit or settings.time_limit)
    try:
        engine.ping()
        yield DockerServices(engine)
    except ResilienceError as error:
        raise CannotCheck(error.message()) from error
    finally:
        engine.close()
