"""Page and messages of stage 2 in Portuguese are Portuguese, those of the server, too."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import system_errors
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.messages import translate
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_report,
    offsite_settings,
    offsite_verification,
    rsync,
    ssh,
    ssh_command,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_account import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import render_offsite
from support.backup_trees import add_backup
from support.http_receiver import receiving
from support.offsite_client import gated_sync
from support.sshd import COLLECTIONS, ENGINE, Sshd, server
from testbed.services import free_port

__all__ = ["server"]

# Words of the English messages that no Portuguese sentence has.
ENGLISH = re.compile(
    r"\b(the|is|are|was|were|of|and|or|to|that|this|not|with|which|hours|lost|since|cannot|whoever"
    r"|allowed|backup was|read now|old)\b",
    re.IGNORECASE,
)
PORTUGUESE = translations("pt_BR")


def english(text: str) -> list[str]:
    """The lines that still have an English word; paths and names are left out."""
    plain = re.sub(r"\S*[/=@]\S*|\S+\.dump\S*|--\S+ \S+", "", text)
    return [line for line in plain.splitlines() if ENGLISH.search(line)]


@pytest.fixture
def settings(server: Sshd, tmp_path: Path) -> SyncSettings:
    return gated_sync(server, tmp_path, {}, tries=1)


def test_the_test_itself_finds_english() -> None:
    assert english("   🟡 the server raised an alarm") and not english("O servidor de backups")


def test_the_page_of_a_copy_with_everything_wrong(settings: SyncSettings, server: Sshd) -> None:
    assert sync.sync(settings).status == "ok"
    tree = Path(settings.backup_path)
    daily = sorted((tree / "daily").iterdir())
    for file in [*daily[-3:], daily[1]]:
        file.unlink()
    for file in (tree / "monthly").iterdir():
        file.unlink()
    refused = sync.sync(settings, overrides=["mass-change"])
    assert refused.kind == "server_guard"
    with pytest.raises(ssh.ServerError, match="does not let the key do that"):
        ssh_command.run_command(settings.transport.destination, ["sh"])
    (server.backups / "weekly" / "chefwell_backup_20200101_000000.dump.gz").symlink_to("/etc")
    verification = offsite_verification.verify(settings, full=True)
    assert len(verification["server_alarms"]) == 2
    account = AccountTransport(settings.transport.destination)
    weaker = [*account.weaker(None), *settings.transport.weaker(NotConfined)]
    page = render_offsite.offsite_report({**verification, "weaker": weaker}, "pt_BR", False)
    output = " ".join(page.split())
    print(page)
    assert english(page) == []
    for sentence in (
        "perdeu 4 de 7 backups desde o último inventário; até 40 % é permitido",
        "não está entre o que esta chave pode fazer",
        "daily: o backup mais recente tem",
        "daily: nenhum backup foi feito em",
        "monthly não tem nenhum backup que conte",
        "quem tem a chave pode apagar e sobrescrever a cópia",
        "Landlock",
    ):
        assert sentence in output
    plain = render_offsite.offsite_report({**verification, "weaker": weaker}, "en", False)
    assert "lost 4 of 7 backups since the last inventory" in " ".join(plain.split())
    # For programs it stays English, whatever the page's language.
    assert "lost 4 of 7 backups" in json.dumps(verification)


class NotConfined:
    """The warning of the gate of a server without Landlock."""

    confined = False


def test_the_message_of_a_sync_that_was_refused(settings: SyncSettings) -> None:
    sync.sync(settings)
    tree = Path(settings.backup_path)
    for file in sorted((tree / "daily").iterdir())[:4]:
        file.unlink()
    add_backup(tree, "weekly", -0.01, size=10)
    (tree / settings.marker).unlink()
    result = sync.sync(settings)
    conditions = offsite_report.alert_conditions(result, PORTUGUESE)
    for one in conditions:
        assert english(one.reason) == [], one.reason
    assert "recusado antes de enviar qualquer coisa" in conditions[0].reason
    assert "falta em" in conditions[0].reason and "portanto não contém nada" in conditions[0].reason
    assert "refused before anything was sent" in result.message


def test_every_way_to_fail_has_words(server: Sshd) -> None:
    for _pattern, why in ssh._FAILURES:
        for text in (why.problem, why.remedy):
            assert english(translate(PORTUGUESE, text)) == [], text
    for code, text in rsync.EXIT_REASONS.items():
        judged = rsync.transfer_result(code, [], "")
        assert english(translate(PORTUGUESE, judged.problem)) == [], text
        assert text in judged.problem


def test_the_servers_own_message(settings: SyncSettings, server: Sshd) -> None:
    sync.sync(settings)
    with receiving() as people:
        config = server.install_gate(language="pt_BR", notify=[people.webhook])
        sorted((server.backups / "daily").iterdir())[0].unlink()
        job = ["host_cli", "keep-offsite-copy", "--config", str(config)]
        subprocess.run(
            [sys.executable, "-s", "-m", f"{ENGINE}.{job[0]}", *job[1:]],
            check=False,
            capture_output=True,
            env={"PYTHONPATH": str(COLLECTIONS)},
        )
        (message,) = people.messages()
    assert "não estão mais na cópia: daily/" in message["message"]
    assert english(message["message"]) == []


@pytest.mark.parametrize("phrase", system_errors.PHRASES)
def test_every_error_of_the_system_is_translated(phrase: str) -> None:
    line = f'rsync: [sender] open "/b/{phrase[:4]}" failed: {phrase} (13)'
    reported = system_errors.system_message(line)
    assert reported == line  # English stays, to the letter
    text = translate(PORTUGUESE, reported)
    assert phrase not in text and text.startswith('rsync: [sender] open "/b/')
    assert english(translate(PORTUGUESE, system_errors.system_message(phrase))) == []


def test_the_phrases_are_the_systems_own() -> None:
    """As this system says them; what is no errno's is another program's."""
    known = {os.strerror(number) for number in errno.errorcode}
    spelled = {str(phrase) for phrase in system_errors.PHRASES if phrase[0].isupper()}
    others = {
        "Operation timed out",  # of BSD's and macOS's ssh
        "Name or service not known",
        "Temporary failure in name resolution",
    }
    assert spelled - others <= known


def in_portuguese(result: offsite_settings.SyncResult) -> str:
    """Messages of a sync for people."""
    text = "\n".join(one.reason for one in offsite_report.alert_conditions(result, PORTUGUESE))
    print(text)
    return text


def test_no_such_file(settings: SyncSettings, tmp_path: Path) -> None:
    """A tier that is gone, and a key that is."""
    assert sync.sync(settings).status == "ok"
    shutil.rmtree(Path(settings.backup_path, "weekly"))
    page = render_offsite.offsite_report(offsite_verification.verify(settings), "pt_BR", False)
    assert "weekly: arquivo ou diretório inexistente" in page and english(page) == []
    missing = dataclasses.replace(
        settings.transport.destination, key_file=str(tmp_path / "no" / "key")
    )
    broken = dataclasses.replace(settings, transport=GateTransport(missing))
    result = sync.sync(broken, overrides=["mass-change"])
    reported = in_portuguese(result)
    assert "a chave privada não pode ser lida: arquivo ou diretório inexistente" in reported
    assert english(reported) == []
    assert "the private key cannot be read: No such file or directory" in result.message


def test_no_space_and_connection_refused(settings: SyncSettings, server: Sshd) -> None:
    server.install_gate(reserve_percent=100)
    reported = in_portuguese(sync.sync(settings, overrides=["room"]))
    assert "o disco do servidor está cheio" in reported and english(reported) == []
    assert "não há espaço disponível no dispositivo: o disco está cheio até a reserva" in reported
    server.install_gate()
    nobody = dataclasses.replace(settings.transport.destination, port=free_port())
    reported = in_portuguese(
        sync.sync(dataclasses.replace(settings, transport=GateTransport(nobody)))
    )
    # What is left of ssh's own line is no sentence: where to, and which port.
    assert reported.startswith("nada escuta nessa porta do servidor (ssh: connect to host")
    assert reported.strip().endswith(": conexão recusada)")


@pytest.mark.skipif(os.geteuid() != 0, reason="to be another user takes root")
def test_permission_denied_in_rsyncs_own_words(tmp_path: Path) -> None:
    """rsync itself, as a user who may not write there."""
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir(mode=0o755)
    (tmp_path / "backup").write_text("x")
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "rsync"]
        + [str(tmp_path / "backup"), str(tmp_path / "closed/")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=ssh.environment(),
    )
    judged = rsync.transfer_result(done.returncode, [], done.stderr)
    reported = translate(PORTUGUESE, judged.problem)
    print(reported)
    assert "Permission denied (13)" in judged.problem
    assert "permissão negada (13)" in reported and "Permission" not in reported
