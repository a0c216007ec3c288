"""Fixtures of the corpus: clusters of two versions, the healthy databases, each restored once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from testbed import production

from corpus.lab import HEALTHY, Dump, Lab, running_lab


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """PostgreSQL 16."""
    yield from running_lab(tmp_path_factory, production.binaries())


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """PostgreSQL 18, from the same Python package."""
    of_16 = production.binaries().bin_dir
    yield from running_lab(
        tmp_path_factory, postgres.find_binaries(of_16.replace("pginstall", "pginstall18"))
    )


@pytest.fixture(scope="module")
def sources(old: Lab) -> dict[str, Path]:
    """The healthy databases, made; where their SQL lies."""
    for path in HEALTHY:
        old.create(path.stem, path.read_text(encoding="utf-8"))
    return {path.stem: path for path in HEALTHY}


@pytest.fixture(scope="module")
def restored(old: Lab, sources: dict[str, Path]) -> dict[str, Dump]:
    """Each of them dumped, and restored under `restored <name>` to be copied and spoilt."""
    dumps = {name: old.prepare(old.dump(name)) for name in sources}
    for name, dump in dumps.items():
        assert old.restore(dump, f"restored {name}") == []
    return dumps
