"""A configuration is parsed once into typed settings; an error names the option and the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.settings import (
    load,
    option,
    parse,
    plain,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.tree_settings import (
    BackupTreeSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import destinations
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_config import (
    DestinationSettings,
    OffsiteSettings,
)


@dataclasses.dataclass(frozen=True)
class Inner:
    host: str = option(required=True)
    port: int = 22


@dataclasses.dataclass(frozen=True)
class Outer:
    path: str = option(required=True)
    warning: Union[float, str] = 70
    language: str = option("en", choices=("en", "pt_BR"))
    hours: float = option(24, minimum=0)
    limit: Optional[int] = None
    names: tuple[str, ...] = ("a",)
    schedule: Mapping[str, float] = option({"daily": 24})
    password: str = option("", secret=True)
    inner: Optional[Inner] = None
    many: tuple[Inner, ...] = ()
    anything: tuple[Mapping[str, Any], ...] = ()


def write(folder: Path, text: str) -> str:
    file = folder / "stage.json"
    file.write_text(text)
    return str(file)


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    assert load(write(tmp_path, '{"path": "/b"}'), Outer) == Outer("/b")


def test_values_become_the_types_of_their_fields() -> None:
    values = {
        "path": "/b",
        "warning": "20GB",
        "limit": None,
        "names": ["x", "y"],
        "schedule": {"weekly": 168},
        "inner": {"host": "h"},
        "many": [{"host": "a", "port": 1}, {"host": "b"}],
        "anything": [{"free": [1]}],
    }
    parsed = parse(values, Outer)
    assert parsed.names == ("x", "y") and parsed.inner == Inner("h")
    assert parsed.many == (Inner("a", 1), Inner("b")) and parsed.warning == "20GB"
    assert parse(plain(parsed), Outer) == parsed


def test_a_mutable_default_is_not_shared() -> None:
    assert Outer("/a").schedule is not Outer("/b").schedule


@pytest.mark.parametrize(
    ("text", "part", "option_name"),
    [
        ('{"path": "/b", "waning": 60}', "did you mean 'warning'?", "waning"),
        ('{"path": "/b", "warning": true}', "float or str", "warning"),
        ('{"path": "/b", "warning": [60]}', "float or str", "warning"),
        ('{"path": "/b", "hours": "24"}', "type float", "hours"),
        ('{"path": "/b", "hours": -1}', "0 or more", "hours"),
        ('{"path": "/b", "language": "fr"}', "en, pt_BR", "language"),
        ('{"path": "/b", "names": "x"}', "type list", "names"),
        ('{"path": "/b", "names": ["x", 1]}', "type str", "names[1]"),
        ('{"path": "/b", "many": [{"host": "a"}, {}]}', "give many[1].host", "many[1].host"),
        ('{"path": "/b", "inner": {"hots": "h"}}', "did you mean 'host'?", "inner.hots"),
        ('{"path": "/b", "schedule": {"daily": "often"}}', "type float", "schedule.daily"),
        ('{"warning": 60}', "give path", "path"),
        ('{"path": ""}', "give path", "path"),
        ("[]", "not a JSON object", "config"),
        ("{", "not JSON", "config"),
    ],
)
def test_an_error_names_the_option_the_file_and_the_remedy(
    tmp_path: Path, text: str, part: str, option_name: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ResilienceError) as raised:
        load(file, Outer)
    assert part in str(raised.value) and file in str(raised.value)
    assert raised.value.option == option_name


def test_the_value_of_a_secret_is_in_no_error() -> None:
    with pytest.raises(ResilienceError) as raised:
        parse({"path": "/b", "password": ["hunter2"]}, Outer)
    assert "hunter2" not in str(raised.value) + repr(raised.value) and "password" in str(
        raised.value
    )


def test_a_missing_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ResilienceError, match="run the stage's playbook"):
        load(str(tmp_path / "none.json"), Outer)


class TestBackupTree:
    """Where backups lie: in tiers, or in one flat folder."""

    def test_tiers_are_folders_of_the_tree(self) -> None:
        tree = BackupTreeSettings("/srv/dumps/", ("daily", "weekly"))
        assert (tree.tree_root, tree.tiers, tree.inner_folder) == (
            "/srv/dumps",
            ("daily", "weekly"),
            "",
        )

    def test_a_flat_folder_is_the_only_tier_of_its_parent(self) -> None:
        tree = BackupTreeSettings("/srv/dumps/", (".",))
        assert (tree.tree_root, tree.tiers, tree.inner_folder) == ("/srv", ("dumps",), "dumps")

    def test_the_marker_of_a_flat_folder_lies_in_it(self) -> None:
        settings = OffsiteSettings(
            backup_path="/srv/dumps",
            backup_tiers=(".",),
            config_dir="/c",
            state_dir="/s",
            destinations=(DestinationSettings(host="h", user="u", path="/b", mode="account"),),
        )
        (sync,) = destinations.syncs(settings)
        assert (sync.backup_path, sync.tiers) == ("/srv", ("dumps",))
        assert (sync.marker, sync.schedule) == ("dumps/.chefwell-backups", {"dumps": 24.0})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"path": "/a\\u0000b"}', ["path", "zero byte"]),
        ('{"path": "\\ud800"}', ["path", "half a character"]),
        ('{"path": "/b", "anything": [{"x": ["\\u0000"]}]}', ["anything[0].x[0]", "zero byte"]),
        ('{"path": "/b", "warning": NaN}', ["warning", "too large, or is none"]),
        ('{"path": "/b", "warning": -Infinity}', ["warning", "too large, or is none"]),
        ('{"path": "/b", "anything": [{"x": 1e400}]}', ["anything[0].x", "too large, or is none"]),
        ('{"path": "/b", "limit": 1%s}' % ("0" * 400), ["[limit=", "too large, or is none"]),
        ('{"path": "/b", "limit": 1000000001}', ["limit", "above 1000000000"]),
        ('{"path": "/b", "inner": {"host": "h", "port": 10000000000}}', ["inner.port", "above"]),
        ('{"path": "/b", "path": "/c"}', ["is not JSON", "'path' is given twice"]),
        ('{"path": ' + "[" * 100_000, ["is not JSON"]),
        ("\ufeff{}", ["is not JSON", "BOM"]),
    ],
)
def test_what_no_option_can_mean_is_refused(tmp_path: Path, text: str, named: list[str]) -> None:
    with pytest.raises(ResilienceError) as refused:
        load(write(tmp_path, text), Outer)
    for part in [*named, "stage.json"]:
        assert part in str(refused.value), refused.value


def test_a_path_may_hold_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    """Python writes them as halves of characters (PEP 383)."""
    assert load(write(tmp_path, '{"path": "/b\\udce9"}'), Outer).path == "/b\udce9"
