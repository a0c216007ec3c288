"""Secrets of the configuration are masked by value, however a text writes them."""

from __future__ import annotations

import html
import json
import sys
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.checkpoint import (
    checkpoint_settings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.commands.command import (
    append_log,
    print_result,
    warn,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common import known_secrets
from ansible_collections.chefwell.resilience.plugins.module_utils.common.mask import (
    MARK,
    mask,
    mask_all,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.settings import parse
from ansible_collections.chefwell.resilience.plugins.module_utils.disk.disk_settings import (
    DiskSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    Event,
    History,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.restore_settings import (
    RestoreSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import api_probe

SECRET = "Kü&\"'</x y%1"
WRITTEN = [
    str,
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    html.escape,
    urllib.parse.quote,
    urllib.parse.quote_plus,
    repr,
    # A response that repeats its request, in a report that is JSON, and in a page of that.
    lambda text: json.dumps(json.dumps({"password": text})),
    lambda text: json.dumps(json.dumps(text), ensure_ascii=False),
    lambda text: html.escape(json.dumps({"password": text}, ensure_ascii=False)),
    lambda text: html.escape(json.dumps(json.dumps(text))),
]


@pytest.mark.parametrize("write", WRITTEN)
def test_a_secret_is_masked_as_a_text_writes_it(write: Any) -> None:
    known_secrets.remember([SECRET])
    masked = mask(f"the backend answered {write(SECRET)}, twice {write(SECRET)}")
    assert masked.count(MARK) == 2 and "x y" not in masked and "x+y" not in masked


def test_a_short_one_is_masked_as_a_word_only() -> None:
    known_secrets.remember(["etc", "shop1", "correcthorse"])
    assert mask("etc: shop1, shop12, eshop1; correcthorsebattery") == (
        f"etc: {MARK}, shop12, eshop1; {MARK}battery"
    )


def test_without_secrets_nothing_is_masked() -> None:
    value = {"a": ["b", 1, None]}
    assert mask("b") == "b" and mask_all(value) is value


@pytest.mark.parametrize(
    ("kind", "values", "secrets", "plain"),
    [
        (
            DiskSettings,
            {"state_dir": "/s", "notify": ["json://cook:hunter2hunter2@hooks.example/in"]},
            ["hunter2hunter2", "json://cook:hunter2hunter2@hooks.example/in"],
            ["cook", "hooks.example"],
        ),
        (
            DiskSettings,
            {"state_dir": "/s", "ping_url": "https://hc.example/a1b2c3d4e5f6"},
            ["a1b2c3d4e5f6"],
            ["https", "hc.example"],
        ),
        (
            checkpoint_settings.CheckpointSettings,
            {"api_url": "http://x", "api_email": "cook@x", "api_password": "geheim99"},
            ["geheim99"],
            ["cook@x"],
        ),
        (
            RestoreSettings,
            {
                **{"state_dir": "/s", "scripts_dir": "/c", "backup_path": "/b"},
                "api_users": [{"email": "cook@x", "password": "geheim99", "schema": "shop_a"}],
                "backend_env": {"JWT_SECRET": "only-here", "NODE_ENV": "staging"},
            },
            ["geheim99", "only-here"],
            ["cook@x", "shop_a", "staging"],
        ),
    ],
)
def test_settings_register_their_secrets_alone(
    kind: Any, values: dict[str, Any], secrets: list[str], plain: list[str]
) -> None:
    parse(values, kind)
    assert [mask(f"<{one}>") for one in secrets] == [f"<{MARK}>"] * len(secrets)
    assert [mask(one) for one in plain] == plain


def test_a_password_that_is_the_name_of_something_hides_nothing() -> None:
    """Otherwise a page would lose the database's name."""
    known_secrets.remember(known_secrets.secrets_in("bistro"), ["Bistro"])
    assert mask("the database bistro") == "the database bistro"


def test_what_commands_write_is_masked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known_secrets.remember([SECRET])
    print_result(f"a page with {SECRET}")
    warn(f"a problem with {SECRET}")
    append_log(str(tmp_path / "log"), [f"a line with {SECRET}"])
    with History(str(tmp_path)) as history:
        history.add_event(Event("staging", "drill", 1.0, "ok", {"problem": f"it says {SECRET}"}))
        history.set_document("staging", {"queue": [SECRET]})
        assert history.events("staging", "drill")[0].data == {"problem": f"it says {MARK}"}
        assert history.document("staging") == {"queue": [MARK]}
    written = capsys.readouterr()
    texts = [written.out, written.err, (tmp_path / "log").read_text()]
    assert all(MARK in text and SECRET not in text for text in texts)


@pytest.mark.parametrize("before", [0, 60, 100, 115])
def test_half_a_secret_is_not_left_where_a_text_is_cut(before: int) -> None:
    known_secrets.remember(["correct-horse-battery"])
    body = ("x" * before + " correct-horse-battery").encode()
    with pytest.raises(Exception, match="HTTP 401") as raised:
        api_probe._judge({"id": "login"}, 401, body, {}, "shop", lambda schema, table: None)
    assert "correct" not in str(raised.value)


def test_many_threads_bring_secrets_at_once() -> None:
    """As the users of an API do, each with a token; once a drill ended by it."""
    secrets = [f"token-number-{number}-of-many" for number in range(150)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(max_workers=8) as pool:
            seen = list(
                pool.map(lambda one: (known_secrets.remember([one]), mask(one))[1], secrets)
            )
    finally:
        sys.setswitchinterval(interval)
    assert set(seen) == {MARK}
    assert {mask(one) for one in secrets} == {MARK}
