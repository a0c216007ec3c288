"""A drill of the newest backup says when that is older than the RPO allows; its age is exact."""

from __future__ import annotations

import datetime
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    manifest,
    manifest_snapshot,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill, follow_up
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import (
    drill_result,
    proof_settings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from corpus.lab import Lab
from support.drill_settings import drill_settings
from testbed import production

DAY = 86400


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[proof_settings.ProofSettings]:
    root = tmp_path_factory.mktemp("rpo")
    root.chmod(0o755)
    made = drill_settings(root, production.binaries().bin_dir)
    drill.set_up(made)
    server = staging.make_engine(made.staging).find()
    assert server is not None
    lab = Lab(server, root)
    lab.create("source", "CREATE TABLE public.sale AS SELECT generate_series(1, 10) AS id")
    (Path(made.backup_path) / "daily").mkdir(parents=True)
    lab.dump("source").rename(Path(made.backup_path) / "made.dump")
    try:
        yield made
    finally:
        drill.clean_up(made)


def backup(settings: proof_settings.ProofSettings, days: float) -> Path:
    daily = Path(settings.backup_path) / "daily"
    for old in daily.iterdir():
        old.unlink()
    moment = datetime.datetime.now() - datetime.timedelta(days=days)
    path = daily / f"shop_{moment:%Y%m%d_%H%M%S}.dump"
    shutil.copy(daily.parent / "made.dump", path)
    return path


def test_twenty_one_days_old_and_nothing_newer(settings: proof_settings.ProofSettings) -> None:
    path = backup(settings, 21)
    result = drill.run(settings)
    assert (result["verdict"], result["rpo_broken"]) == ("passed", True), result["problem"]
    assert drill_result.exit_code(result) == 1
    assert follow_up.level_of(result) == "warning"
    assert "OLDER THAN THE RPO" in follow_up.reason(translations("en"), result)
    # Where an old backup is named, the age of the newest is no condition.
    named = drill.run(settings, path=str(path))
    assert (named["verdict"], named["rpo_broken"]) == ("passed", False)
    assert drill_result.exit_code(named) == 0


def test_a_fresh_one(settings: proof_settings.ProofSettings) -> None:
    backup(settings, 0.2)
    result = drill.run(settings)
    assert (result["verdict"], result["rpo_broken"]) == ("passed", False)
    assert drill_result.exit_code(result) == 0


def test_the_manifest_knows_the_moment(settings: proof_settings.ProofSettings) -> None:
    """The name is of an hour ago; the snapshot is 30 hours old, and says so with its zone."""
    path = backup(settings, 1 / 24)
    server = staging.make_engine(settings.staging).find()
    assert server is not None
    with manifest_snapshot.export({"dsn": server.url("source")}) as snapshot:
        manifest.write(str(path), snapshot.read())
    known = Path(manifest.path_of(str(path)))
    values = json.loads(known.read_text())
    zone = datetime.timezone(datetime.timedelta(hours=-3))
    taken = datetime.datetime.fromtimestamp(time.time() - 30 * 3600, zone)
    values["taken_at"] = taken.isoformat(timespec="seconds")
    known.write_text(json.dumps(values))
    result = drill.run(settings)
    assert (result["verdict"], result["rpo_broken"]) == ("passed", True), result["problem"]
    assert abs(result["rpo_seconds"] - 30 * 3600) < 120
