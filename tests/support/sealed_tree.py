"""A backup tree whose backups are sealed on the host, and runs that are killed while they seal."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import inventory
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.proof_settings import (
    ProofSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import age, keys
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.seal_settings import (
    SealSettings,
)

from support.backup_command import BINARIES, Tree, dsn
from support.drill_settings import drill_settings
from support.production_server import run_sql
from support.sealed_client import walk_text
from support.waiting import wait_for

# Values of a customer, and names of what holds them.
CUSTOMER = ("Ada Byron 123.456.789-09", "ada@example.org")
KNOWN = (*CUSTOMER, "tenant_oak", "customer_card", "clerk")


@pytest.fixture(scope="module")
def customers(server: Server) -> Server:
    """Fixture: the server of `backup_command`, with a tenant of known customers."""
    return with_customers(server)


def with_customers(server: Server) -> Server:
    """Add a tenant of known customers to the database."""
    run_sql(
        server,
        "shop",
        "CREATE SCHEMA tenant_oak; CREATE TABLE tenant_oak.customer_card (name text, mail text)",
        f"INSERT INTO tenant_oak.customer_card VALUES ('{CUSTOMER[0]}', '{CUSTOMER[1]}')",
        "GRANT USAGE ON SCHEMA tenant_oak TO clerk",
        "GRANT SELECT ON tenant_oak.customer_card TO clerk",
    )
    return server


class SealedTree(Tree):
    """A tree whose backups are sealed; the owner's offline key lies elsewhere."""

    def set_up(self) -> None:
        self.offline = self.root / "owner.key"
        secret, public = age.new_identity()
        self.offline.write_text(f"{secret}\n")
        self.offline.chmod(0o600)
        seal = {"recipients": [public], "untested": True, "at_rest": True}
        self.config.update(seal=seal, config_dir=str(self.root / "etc"))
        keys.set_up(self.keys_folder, SealSettings(recipients=(public,), untested=True))

    @property
    def keys_folder(self) -> str:
        return keys.folder_of(str(self.root / "etc"))

    def settings(self, folder: Path, **options: Any) -> ProofSettings:
        """Of a drill on this host."""
        folder.mkdir(mode=0o755, exist_ok=True)
        own = {"keys_folder": self.keys_folder, **options}
        return drill_settings(
            folder, BINARIES.bin_dir, backup_path=str(self.root / "backups"), tiers=("daily",),
            **own,
        )  # fmt: skip

    def by_offline_key_alone(self, folder: Path) -> ProofSettings:
        """Of a host that has lost its own keys."""
        seal = SealSettings(identity_files=(str(self.offline),))
        return self.settings(folder, keys_folder=str(folder / "none"), seal=seal)


@pytest.fixture
def sealed(tree: Tree, customers: Server) -> SealedTree:
    """Fixture: the tree of `backup_command`, sealed."""
    return sealed_tree(tree)


def sealed_tree(tree: Tree) -> SealedTree:
    """The same tree, whose backups are sealed from now on."""
    made = SealedTree.__new__(SealedTree)
    made.__dict__.update(tree.__dict__)
    made.set_up()
    return made


def found_in(folder: Path, known: tuple[str, ...] = KNOWN) -> dict[str, str]:
    """Which known value is in which file below a folder, or in its name."""
    return {
        word: str(path)
        for path, body in walk_text(folder)
        for word in known
        if word.encode() in body or word in path.name
    }


def opened(path: Path, key: Path) -> bytes:
    """What the owner reads with age alone."""
    return subprocess.run(["age", "-d", "-i", key, path], capture_output=True, check=True).stdout


COMMAND = (
    "from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli\n"
    "import sys; sys.exit(host_cli.main(sys.argv[1:]))"
)


def killed_dumps(tree: SealedTree, moments: Sequence[float]) -> list[str]:
    """Kill `backup-manifest` at moments of its dump; return what was left wrong.

    Args:
        tree: of the backups.
        moments: seconds after pg_dump goes on; before, it waits for a lock. 0 is while it waits.
    """
    run_sql(
        tree.server,
        "shop",
        "CREATE TABLE IF NOT EXISTS tenant_oak.many AS SELECT md5(n::text) || 'ada@example.org' t"
        " FROM generate_series(1, 60000) n",
    )
    root = str(tree.root / "backups")
    assert tree.run("--name", "whole", "--roles") == 0, tree.errors
    config = str(tree.root / "staging.json")
    arguments = ["backup-manifest", "--config", config, "--tier", "daily", "--roles"]
    wrong = []
    for number, moment in enumerate(moments):
        with contextlib.closing(psycopg2.connect(**tree.server.dsn("shop"))) as connection:
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE public.log IN ACCESS EXCLUSIVE MODE")
            started = subprocess.Popen(
                [sys.executable, "-c", COMMAND, *arguments, "--dsn", dsn(tree.server),
                 "--name", f"n{number}"],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            wait_for(lambda: list(tree.daily.glob(".new-backup-*/backup")), 60)
            if moment:
                connection.rollback()
                time.sleep(moment)
            started.send_signal(signal.SIGKILL)
            started.wait(30)
        # pg_dump and age find that nobody is there.
        wait_for(lambda: not _running_on(tree.daily), 30)
        wrong += [
            f"{moment:.2f} s: {word} in {path}" for word, path in found_in(tree.daily).items()
        ]
        for file in inventory.scan(root, tiers=("daily",)).files:
            to = str(tree.root / "opened")
            try:
                age.open_file(f"{root}/{file.path}", to, [str(tree.offline)], time_limit=60)
            except ResilienceError as error:
                wrong.append(f"{moment:.2f} s: {file.path}: {error}")
            if not file.name.startswith("whole"):  # it was quicker
                os.unlink(f"{root}/{file.path}")
        for path in tree.daily.glob(".new-backup-*"):
            os.utime(path, (1, 1))
    assert tree.run() == 0, tree.errors
    return wrong + [name for name in tree.names() if name.startswith(".")]


def _running_on(folder: Path) -> list[str]:
    """The processes that have a file below a folder open."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for number in (entry / "fd").iterdir():
                if os.readlink(number).startswith(str(folder)):
                    found.append(entry.name)
    return found
