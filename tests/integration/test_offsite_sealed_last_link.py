"""The last link of a sealed copy is known elsewhere: in notifications, pings, log and runbook."""

from __future__ import annotations

import contextlib
import dataclasses
import gettext
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import BackupError
from ansible_collections.chefwell.resilience.plugins.module_utils.common.settings import parse
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import offsite_report
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import restore_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.restore_settings import (
    RestoreSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import runbook
from support.backup_trees import add_backup, plan_tree
from support.http_receiver import Receiver
from support.sealed_client import SealedClient, let_read, sealed_client
from support.sshd import Sshd, server

__all__ = ["server"]


@pytest.fixture
def client(server: Sshd, receiver: Receiver, tmp_path: Path) -> Iterator[SealedClient]:
    with sealed_client("gate", server, tmp_path) as made:
        plan_tree(made.tree)
        made.write(notify=[receiver.webhook], ping_url=receiver.check)
        yield made


def command(client: SealedClient) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return host_cli.main(["sync-backups-offsite", "--config", str(client.config_file)])


def test_each_night_sends_it_and_a_new_host_needs_no_more(
    client: SealedClient, server: Sshd, receiver: Receiver, tmp_path: Path
) -> None:
    assert command(client) == 0
    first = client.sync_settings().transport.last_link
    new = add_backup(client.tree, "daily", -0.01)
    assert command(client) == 0
    last = client.sync_settings().transport.last_link
    assert last != first
    assert [first in body or last in body for action, body in receiver.pings() if not action] == [
        True,
        True,
    ]
    assert last in receiver.pings()[-1][1]
    log = Path(client.options["log_file"]).read_text()
    assert f"last_link={first}" in log and f"last_link={last}" in log
    server.stop()
    assert command(client) == 2
    assert last in receiver.messages()[-1]["message"]
    assert last in dict(receiver.pings())["/fail"]
    server.start()
    # The runbook's lines alone, with the offline key, find out that the newest is withheld.
    values = parse(
        {
            "work_dir": str(tmp_path),
            "backup_path": str(client.tree),
            "state_dir": str(tmp_path),
            "offsite_config": str(client.config_file),
        },
        RestoreSettings,
    )
    page = runbook.render(values, restore_settings.RecoveryServer(host="db", user="u"), None)
    (signer,) = re.findall(r'^signers: \["(.+)"\]$', page, re.MULTILINE)
    (link,) = re.findall(r'^last_link: "(.+?)"', page, re.MULTILINE)
    assert link == last
    let_read(server)
    fresh = client.new_host(tmp_path / "fresh", signers=[signer], last_link=link)
    assert fresh.fetch(tmp_path / "there").name == new.name
    for path in client.copy.glob(f"daily/{new.name}*"):
        path.unlink()
    with pytest.raises(BackupError, match="withheld"):
        fresh.fetch(tmp_path / "there")


def test_many_warnings_do_not_cut_it_off(client: SealedClient) -> None:
    result = dataclasses.replace(client.sync(), warnings=("something " * 50,) * 10)
    first = offsite_report.alert_conditions(result, gettext.NullTranslations())[0]
    assert len(first.reason) == 2000 and result.last_link in first.reason
