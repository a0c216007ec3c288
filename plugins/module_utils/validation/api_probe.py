# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probe a backend over HTTP as a user would: log in, list, compare with the database.

The steps are data, so another product's API needs no code. A step has:

- `id`, `title`, `kind` (`login`, `list`, `stats` or another name, for reports);
- `method`, `path`, `headers`, `json`: the request; `{name}` stands for a captured value or one of
  the user's own (`email`, `password`, `schema`);
- `status`: the expected HTTP status;
- `capture`: values of the response to keep, name by dotted path;
- `present`: dotted paths that the response must have;
- `equals`: values that it must have, by dotted path;
- `least`: numbers that its values, or the lengths of its lists, must reach, by dotted path;
- `count`: `{"at": dotted path to a number or a list, "table": the tenant's table}`, which must
  agree.
"""

from __future__ import annotations

import dataclasses
import email.utils
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..checks import checks
from ..checks.checks import CheckResult, Evidence
from ..checks.findings import Finding
from ..common import json_text, known_secrets
from ..common.errors import ResilienceError
from ..common.mask import mask
from ..common.messages import _, join

LARGEST_RESPONSE = 32 << 20
# All that may stand in an address; anything else that a path was filled with is written as %XX.
_IN_A_PATH = "!#$%&'()*+,/:;=?@[]~"
WORKERS = 8

_AUTHORIZED = {"Authorization": "Bearer {token}"}


def _listing(name: str, title: str) -> dict[str, Any]:
    return {
        "id": name,
        "title": title,
        "kind": "list",
        "path": f"/api/{name}",
        "headers": _AUTHORIZED,
        "count": {"at": "total", "table": name},
    }


# ChefWell's, as in the plan's validation report.
STEPS: tuple[dict[str, Any], ...] = (
    {
        "id": "login",
        "title": "Login",
        "kind": "login",
        "method": "POST",
        "path": "/api/auth/login",
        "json": {"email": "{email}", "password": "{password}"},
        "capture": {"token": "token"},
    },
    _listing("products", "List products"),
    _listing("sales", "List sales"),
    _listing("customers", "List customers"),
    {
        "id": "dashboard",
        "title": "Dashboard stats",
        "kind": "stats",
        "path": "/api/dashboard/stats",
        "headers": _AUTHORIZED,
        "count": {"at": "products", "table": "products"},
    },
)
_STEP_KEYS = {
    *("id", "title", "kind", "method", "path", "headers", "json"),
    *("status", "capture", "present", "equals", "least", "count"),
}


@dataclasses.dataclass(frozen=True)
class Api:
    """A backend, its users and the steps to probe.

    Attributes:
        url: without a path.
        users: each with `email`, `password` and `schema`, the tenant's.
        steps: the requests, in order.
        time_limit: seconds that one response may take; a later one fails its step.
        verify_tls: whether the certificate is verified.
    """

    url: str
    users: Sequence[Mapping[str, str]]
    steps: Sequence[Mapping[str, Any]] = STEPS
    time_limit: float = 10
    verify_tls: bool = True

    def __post_init__(self) -> None:
        for step in self.steps:
            unknown = set(step) - _STEP_KEYS
            if unknown or not {"id", "path"} <= set(step):
                raise ResilienceError(
                    f"an API step has unknown keys {sorted(unknown)} or lacks id or path",
                    option="api.steps",
                    value=step.get("id", step),
                    remedy=f"known keys: {', '.join(sorted(_STEP_KEYS))}",
                )
        for user in self.users:
            if not {"email", "password", "schema"} <= set(user):
                raise ResilienceError(
                    "an API user lacks email, password or schema",
                    option="api.users",
                    value=user.get("email", "?"),
                    remedy="give all three",
                )
        if not self.url.startswith(("http://", "https://")):
            raise ResilienceError(
                "the API's address is no HTTP address",
                option="api.url",
                value=self.url,
                remedy="give one such as http://127.0.0.1:3001",
            )


@dataclasses.dataclass(frozen=True)
class StepResult:
    """The result of one step of one user.

    Attributes:
        problem: why it failed; None if it passed.
        seconds: how long the response took.
        captured: the values that the step captured, by name.
        retry_after: seconds that the response demands to wait (RFC 9110, "Retry-After"); None if it
            does not.
    """

    id: str
    schema: str
    problem: str | None
    http_status: int | None
    count: int | None
    seconds: float
    captured: Mapping[str, str] = dataclasses.field(default_factory=dict)
    retry_after: float | None = None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuse to follow redirects, which could lead to production."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def _opener(verify_tls: bool) -> urllib.request.OpenerDirector:
    # No proxy from the environment: only the given address is called.
    handlers: list[Any] = [urllib.request.ProxyHandler({}), _NoRedirect]
    if not verify_tls:
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        handlers.append(urllib.request.HTTPSHandler(context=trusting))
    return urllib.request.build_opener(*handlers)


_OPENERS = {verify: _opener(verify) for verify in (True, False)}


def probe(
    api: Api,
    rows: Callable[[str, str], int | None],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[CheckResult], list[StepResult]]:
    """Takes every user through every step.

    Args:
        api: the backend and its steps.
        rows: gives the rows of a table, from schema and name, as counted in the database.
        progress: called with users done and users in all.

    Returns:
        One check a step over all users, and every single result.
    """
    done = 0

    def one(user: Mapping[str, str]) -> list[StepResult]:
        nonlocal done
        results = _walk(api, user, rows)
        done += 1
        if progress:
            progress(done, len(api.users))
        return results

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        results = [result for walked in pool.map(one, api.users) for result in walked]
    return [_check(step, results, len(api.users)) for step in api.steps], results


def skipped(steps: Sequence[Mapping[str, Any]], why: str) -> list[CheckResult]:
    """Return the checks of an API that is not probed."""
    return [
        checks.conclude(_id(step), Evidence(why, skipped=True), 0.0, _title(step)) for step in steps
    ]


def _id(step: Mapping[str, Any]) -> str:
    return f"api_{step['id']}"


def _title(step: Mapping[str, Any]) -> str:
    return str(step.get("title") or step["id"])


def _check(step: Mapping[str, Any], results: Sequence[StepResult], users: int) -> CheckResult:
    own = [result for result in results if result.id == step["id"]]
    good = [result for result in own if result.problem is None]
    slowest = max((result.seconds for result in own), default=0.0)
    findings = [
        Finding("api.response_differs", result.schema, join([result.schema, result.problem], ": "))
        for result in own
        if result.problem
    ]
    if not users:
        nobody = Evidence(_("no user is configured"), skipped=True)
        return checks.conclude(_id(step), nobody, 0, _title(step))
    evidence = _(
        "%(good)d/%(users)d users, slowest answer %(slowest)d ms",
        good=len(good),
        users=users,
        slowest=round(slowest * 1000),
    )
    seconds = sum(result.seconds for result in own)
    return checks.conclude(_id(step), Evidence(evidence, findings), seconds, _title(step))


def _walk(
    api: Api, user: Mapping[str, str], rows: Callable[[str, str], int | None]
) -> list[StepResult]:
    values = {str(key): str(value) for key, value in user.items()}
    results = []
    for step in api.steps:
        started = time.monotonic()
        status: int | None = None
        count: int | None = None
        retry_after: float | None = None
        try:
            status, body, retry_after = _request(api, step, values)
            count = _judge(step, status, body, values, user["schema"], rows)
            problem = None
        except _Wrong as error:
            problem = error.why
            count = error.count
            status = status if status is not None else error.status
        results.append(
            StepResult(
                step["id"],
                user["schema"],
                problem,
                status,
                count,
                time.monotonic() - started,
                {name: values[name] for name in step.get("capture", {}) if name in values},
                retry_after,
            )
        )
    return results


class _Wrong(Exception):
    """The step failed, and why."""

    def __init__(self, why: str, status: int | None = None, count: int | None = None) -> None:
        super().__init__(why)
        self.why, self.status, self.count = why, status, count


def _request(
    api: Api, step: Mapping[str, Any], values: Mapping[str, str]
) -> tuple[int, bytes, float | None]:
    body = _filled(step.get("json"), values)
    headers = {"Accept": "application/json", **_filled(step.get("headers", {}), values)}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    path = urllib.parse.quote(_filled(step["path"], values), safe=_IN_A_PATH)
    request = urllib.request.Request(
        api.url.rstrip("/") + path,
        data=data,
        headers=headers,
        method=step.get("method", "GET"),
    )
    deadline = time.monotonic() + api.time_limit
    try:
        with _OPENERS[api.verify_tls].open(request, timeout=api.time_limit) as response:
            status, content = response.status, response.read(LARGEST_RESPONSE)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _read(error), _retry_after(error.headers.get("Retry-After"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise _Wrong(_("no answer: %(why)s", why=str(reason))) from error
    except http.client.HTTPException as error:
        kind = type(error).__name__
        raise _Wrong(_("the response is damaged (%(kind)s)", kind=kind)) from error
    if time.monotonic() > deadline:
        raise _Wrong(
            _("the answer took longer than %(limit)s s", limit=f"{api.time_limit:g}"), status
        )
    return status, content, None


def _read(error: urllib.error.HTTPError) -> bytes:
    """Return how the body of a refusal begins; nothing where the connection ends within it."""
    try:
        return error.read(2000)
    except (OSError, ValueError, http.client.HTTPException):
        return b""


def _retry_after(written: str | None) -> float | None:
    """Return the seconds of a header `Retry-After`, which holds seconds or a date."""
    if not written:
        return None
    try:
        return max(0.0, float(written))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(written).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """Return the value with `{name}` replaced in all its strings."""
    if isinstance(value, str):
        for name, known in values.items():
            value = value.replace("{" + name + "}", known)
        return value
    if isinstance(value, Mapping):
        return {key: _filled(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, values) for one in value]
    return value


def _judge(
    step: Mapping[str, Any],
    status: int,
    body: bytes,
    values: dict[str, str],
    schema: str,
    rows: Callable[[str, str], int | None],
) -> int | None:
    expected = step.get("status", 200)
    if status != expected:
        raise _Wrong(
            _(
                "HTTP %(status)d instead of %(expected)d: %(begins)s",
                status=status,
                expected=expected,
                begins=_beginning(body),
            ),
            status,
        )
    needs = {
        **dict.fromkeys(step.get("present", ())),
        **dict.fromkeys(step.get("capture", {}).values()),
        **dict.fromkeys(step.get("equals", {})),
        **dict.fromkeys(step.get("least", {})),
        **dict.fromkeys([step["count"]["at"]] if "count" in step else []),
    }
    if not needs:
        return None
    try:
        response = json_text.loads(body)
    except ValueError as error:
        begins = _beginning(body)
        raise _Wrong(_("the answer is not JSON: %(begins)s", begins=begins), status) from error
    seen = {path: _at(response, path) for path in needs}
    lacking = [path for path, value in seen.items() if value is None]
    if lacking:
        raise _Wrong(
            _(
                "the answer lacks %(paths)s: %(begins)s",
                paths=", ".join(lacking),
                begins=_beginning(body),
            ),
            status,
        )
    for name, path in step.get("capture", {}).items():
        values[name] = str(seen[path])
        if name in ("token", "cookie", "session"):
            known_secrets.remember([values[name]])
    for path, value in step.get("equals", {}).items():
        if seen[path] != value:
            raise _Wrong(_differs(path, seen[path], repr(value)), status)
    for path, least in step.get("least", {}).items():
        held = len(seen[path]) if isinstance(seen[path], list) else seen[path]
        if not isinstance(held, (int, float)) or held < least:
            raise _Wrong(
                _(
                    "%(path)s is %(found)s, at least %(least)s was expected",
                    path=path,
                    found=repr(held),
                    least=str(least),
                ),
                status,
            )
    return _counted(step, seen, schema, rows, status)


def _beginning(body: bytes) -> str:
    """Return how a response begins; masked before it is cut, because half a secret is unknown."""
    return mask(body[:4000].decode("utf-8", "backslashreplace"))[:120]


def _differs(path: str, found: Any, expected: str) -> str:
    return _(
        "%(path)s is %(found)s instead of %(expected)s",
        path=path,
        found=mask(repr(found)),
        expected=expected,
    )


def _counted(
    step: Mapping[str, Any],
    seen: Mapping[str, Any],
    schema: str,
    rows: Callable[[str, str], int | None],
    status: int,
) -> int | None:
    if "count" not in step:
        return None
    value = seen[step["count"]["at"]]
    count = len(value) if isinstance(value, list) else value
    if not isinstance(count, int):
        text = _(
            "%(path)s is no number and no list: %(found)s",
            path=step["count"]["at"],
            found=mask(repr(value))[:120],
        )
        raise _Wrong(text, status)
    table = f"{schema}.{step['count']['table']}"
    held = rows(schema, step["count"]["table"])
    if held is None:
        text = _("the API says %(count)d, %(table)s was not counted", count=count, table=table)
        raise _Wrong(text, status, count)
    if count != held:
        text = _(
            "the API says %(count)d, %(table)s has %(held)d rows",
            count=count,
            table=table,
            held=held,
        )
        raise _Wrong(text, status, count)
    return count


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
