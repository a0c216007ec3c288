"""Settings of a restore drill, with everything it writes below one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.proof_settings import (
    ProofSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.staging import (
    BackendSettings,
    ProductionSettings,
    StagingSettings,
)
from testbed import Testbed, production
from testbed.services import free_port


def drill_settings(
    root: Path,
    bin_dir: str,
    *,
    staging: Mapping[str, object] | None = None,
    backup_path: str = "",
    **options: object,
) -> ProofSettings:
    """Settings of a drill in an embedded staging.

    Args:
        root: the folder: `work` and `state` lie in it, and the backups unless `backup_path` is set.
        bin_dir: the folder of PostgreSQL's programs.
        staging: fields of the staging's settings that differ from these.
        backup_path: the backup tree.
        options: fields of the drill's settings that differ from their defaults.
    """
    place = {"engine": "embedded", "work_dir": str(root / "work"), "bin_dir": bin_dir}
    return ProofSettings(
        staging=StagingSettings(**{**place, **(staging or {})}),
        state_dir=str(root / "state"),
        backup_path=backup_path or str(root),
        **options,
    )


@contextlib.contextmanager
def standing_staging(root: Path, bin_dir: str) -> Iterator[ProofSettings]:
    """Settings of a drill whose staging stands for the block, so that no drill makes its own."""
    root.chmod(0o755)
    made = drill_settings(root, bin_dir)
    drill.set_up(made)
    try:
        yield made
    finally:
        drill.clean_up(made)


def backend_of(
    bed: Testbed, *words: str, env: Mapping[str, str] | None = None, **options: object
) -> BackendSettings:
    """The testbed's backend for a staging, on a free port.

    Args:
        words: put between the interpreter and the script.
        env: variables beside the secret that the backend needs.
        options: fields of the backend's settings that differ from their defaults.
    """
    program = bed.record["backend"]
    return BackendSettings(
        command=(program["python"], *words, program["script"]),
        env={"JWT_SECRET": "staging-only", **(env or {})},
        **{"port": free_port(), **options},
    )


def drill_of_testbed(
    bed: Testbed, root: Path, *, staging: Mapping[str, object] | None = None, **options: object
) -> ProofSettings:
    """Settings of a drill of the testbed's backups, with its backend and its API users.

    Args:
        bed: the testbed; its database is production.
        root, staging, options: as of `drill_settings`.
    """
    server = bed.record["postgres"]
    production = ProductionSettings(server["host"], server["port"], server["dbname"])
    place = {"backend": backend_of(bed), "production": production, **(staging or {})}
    return drill_settings(
        root,
        server["bin_dir"],
        staging=place,
        **{
            "backup_path": bed.record["backups"],
            "api_users": bed.record["users"],
            **options,
        },
    )


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[ProofSettings]:
    """Fixture: settings of a drill below the test's folder, whose staging is removed afterwards."""
    tmp_path.chmod(0o755)
    made = drill_settings(tmp_path, production.binaries().bin_dir)
    yield made
    drill.clean_up(made)
