# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions of a checkpoint's items. Each asks for real and answers with what it saw."""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

from ..checks.checks import Evidence
from ..common.errors import ResilienceError
from ..common.safe_text import one_line
from ..database.connection import driver, open_connection
from ..staging.docker_state import Docker, ServiceSelector
from ..validation import api_probe
from .checkpoint_settings import CheckpointSettings, api

# An answer, and whether it is worth asking again if it is a bad one.
Question = Callable[[], tuple[Evidence, bool]]
# How much of one line of a log is shown.
LINE = 200


class CannotTell(Exception):
    """It could not be asked, and why."""


def questions(
    settings: CheckpointSettings, since: float, read_only: bool
) -> dict[str, Question | str]:
    """A question for each item, or why there is none."""
    no_api = "" if settings.api_url else "no address of the API is given"
    order = no_api or (
        "off: it would make an order (test_order)"
        if not settings.test_order
        else "a run that changes nothing makes no order"
        if read_only
        else ""
    )
    return {
        "login": no_api or (lambda: _http(settings, ("login",))),
        "pos": order or (lambda: _order(settings)),
        "products": no_api or (lambda: _http(settings, ("login", "products"))),
        "dashboard": no_api or (lambda: _http(settings, ("login", "dashboard"))),
        "logs": (lambda: _logs(settings, since))
        if settings.log_sources
        else "no source of logs is given",
        "postgres": (lambda: _postgres(settings))
        if settings.postgres
        else "no PostgreSQL is given",
        "services": (lambda: _services(settings, since))
        if settings.services
        else "no service is given",
    }


def _http(settings: CheckpointSettings, names: Sequence[str]) -> tuple[Evidence, bool]:
    _checks, results = api_probe.probe(api(settings, names), lambda _schema, _table: None)
    bad = [result for result in results if result.problem]
    for result in bad:
        if result.id != names[-1]:
            return Evidence("not asked", [f"{result.id}: {result.problem}"]), True
    last = results[-1]
    told = f"HTTP {last.http_status} in {last.seconds * 1000:.0f} ms"
    return Evidence(told, [str(result.problem) for result in bad]), True


def _order(settings: CheckpointSettings) -> tuple[Evidence, bool]:
    """Makes an order and takes it back. One that may be left behind is named, and not repeated."""
    mark = f"chefwell.resilience checkpoint {uuid.uuid4().hex[:12]}"
    names = ("login", "order_create", "order_delete")
    _checks, results = api_probe.probe(
        api(settings, names, {"mark": mark}), lambda _schema, _table: None
    )
    login, made, gone = results
    if login.problem:
        return Evidence("not asked", [f"login: {login.problem}"]), True
    if made.problem:
        # Without an answer nobody knows whether there is an order now.
        left = made.http_status is None or made.http_status < 400
        note = f"; look for an order with the note {mark!r}" if left else ""
        return Evidence("no order was made", [f"{made.problem}{note}"]), not left
    if gone.problem:
        problem = f"the order with the note {mark!r} was not taken back: {gone.problem}"
        return Evidence("an order was made", [problem]), False
    total = made.seconds + gone.seconds
    return Evidence(f"an order was made and taken back in {total * 1000:.0f} ms"), True


def _logs(settings: CheckpointSettings, since: float) -> tuple[Evidence, bool]:
    error = re.compile(settings.log_pattern)
    ignored = [re.compile(one) for one in settings.log_ignore]
    lines = 0
    findings = []
    with _docker(settings) as docker:
        for source in settings.log_sources:
            wanted = ServiceSelector.of(source, "log_sources")
            try:
                held, cut = docker.log(wanted, since)
            except ResilienceError as problem:
                raise CannotTell(str(problem)) from problem
            if cut:
                findings.append(f"{wanted}: its log is longer than is read")
            lines += len(held)
            findings += [
                f"{wanted}: {line.strip()[:LINE]}"
                for line in held
                if error.search(line) and not any(one.search(line) for one in ignored)
            ]
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    # What was written stays written: asking again changes nothing.
    return Evidence(f"{lines} lines since {moment}", findings), False


def _services(settings: CheckpointSettings, since: float) -> tuple[Evidence, bool]:
    seen = []
    findings = []
    with _docker(settings) as docker:
        for one in settings.services:
            wanted = ServiceSelector.of(one, "services")
            states = docker.states(wanted, since)
            if not states:
                findings.append(f"{wanted}: there is none")
            for state in states:
                seen.append(f"{state.name} {state.running}/{state.wanted}")
                if state.running < state.wanted:
                    findings.append(f"{state.name}: {state.running} of {state.wanted} run")
                findings += [f"{state.name}: {problem}" for problem in state.problems]
    return Evidence(", ".join(seen) or "nothing runs", findings), True


def _postgres(settings: CheckpointSettings) -> tuple[Evidence, bool]:
    given = settings.postgres
    started = time.monotonic()
    ask = _ask_in_container if "container" in given else _ask_over_network
    problem = ask(settings)
    evidence = f"{given['dbname']}, {(time.monotonic() - started) * 1000:.0f} ms"
    return Evidence(evidence, [problem] if problem else []), True


def _ask_in_container(settings: CheckpointSettings) -> str | None:
    given = settings.postgres
    limit = max(1, int(settings.time_limit))
    # `timeout` is in every image that has a shell (coreutils, busybox).
    command = ["timeout", str(limit), "psql", "-X", "-w", "-U", str(given["user"])]
    command += ["-d", str(given["dbname"]), "-tAc", "SELECT 40 + 2"]
    with _docker(settings, settings.time_limit + 5) as docker:
        wanted = ServiceSelector.of(given["container"], "postgres")
        if not any(state.running for state in docker.states(wanted, time.time())):
            return f"{wanted} does not run"
        code, output = docker.execute(wanted, command)
    words = one_line(output, LINE)
    if code in (126, 127):
        raise CannotTell(f"psql cannot be run there: {words}")
    if code != 0 or words != "42":
        return f"psql ended with {code}: {words or 'no word'}"
    return None


def _ask_over_network(settings: CheckpointSettings) -> str | None:
    given = settings.postgres
    try:
        psycopg2 = driver()
    except ResilienceError as error:
        raise CannotTell(str(error)) from error
    limit = max(1, int(settings.time_limit))
    try:
        database = open_connection(
            {
                "host": given.get("host"),
                "port": given.get("port", 5432),
                "user": given["user"],
                "password": given.get("password"),
                "dbname": given["dbname"],
            },
            connect_timeout=limit,
            settings={"statement_timeout": limit * 1000},
        )
        with contextlib.closing(database), database.cursor() as cursor:
            cursor.execute("SELECT 40 + 2")
            row = cursor.fetchone()
    except psycopg2.Error as error:
        words = one_line(error, LINE)
        # Who is turned away at the door has not seen whether the house is empty.
        if "authentication failed" in words or "no password supplied" in words:
            raise CannotTell(words) from error
        return words
    return None if row == (42,) else f"40 + 2 is {row}"


@contextlib.contextmanager
def _docker(settings: CheckpointSettings, time_limit: float | None = None) -> Iterator[Docker]:
    try:
        docker = Docker(settings.docker_url, time_limit or settings.time_limit)
    except ResilienceError as error:
        raise CannotTell(str(error)) from error
    try:
        yield docker
    finally:
        docker.close()
