"""What stage 2 tells people in Portuguese is Portuguese: page, messages, the server's own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import words
from ansible_collections.chefwell.resilience.plugins.module_utils.common.told import spoken
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite,
    offsite_report,
    offsite_verify,
    rsync,
    ssh,
    ssh_question,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    Settings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_rsync import (
    AccountTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import render
from gated_copy import gated
from offsite_parts import add_backup
from receiver import receiving
from sshd import COLLECTIONS, ENGINE, Sshd

# Words that stand in every English sentence of ours and in no Portuguese one.
ENGLISH = re.compile(
    r"\b(the|is|are|was|were|of|and|or|to|that|this|not|with|which|hours|lost|since|cannot|whoever"
    r"|allowed|backup was|read now|old)\b",
    re.IGNORECASE,
)
PORTUGUESE = words("pt_BR")


def english(text: str) -> list[str]:
    """The lines that still have an English word; paths and names are left out."""
    plain = re.sub(r"\S*[/=@]\S*|\S+\.dump\S*|--\S+ \S+", "", text)
    return [line for line in plain.splitlines() if ENGLISH.search(line)]


@pytest.fixture(scope="module")
def server():
    made = Sshd()
    made.start()
    yield made
    made.remove()


@pytest.fixture
def settings(server: Sshd, tmp_path: Path) -> Settings:
    return gated(server, tmp_path, {}, tries=1)


def test_the_test_itself_finds_english() -> None:
    assert english("   🟡 the server raised an alarm") and not english("O servidor de backups")


def test_the_page_of_a_copy_with_everything_wrong(settings: Settings, server: Sshd) -> None:
    assert offsite.sync(settings).status == "ok"
    tree = Path(settings.backup_path)
    daily = sorted((tree / "daily").iterdir())
    for file in [*daily[-3:], daily[1]]:
        file.unlink()
    for file in (tree / "monthly").iterdir():
        file.unlink()
    refused = offsite.sync(settings, overrides=["mass-change"])
    assert refused.kind == "server_guard"
    with pytest.raises(ssh.ServerError, match="does not let the key do that"):
        ssh_question.ask(settings.transport.destination, ["sh"])
    (server.backups / "weekly" / "chefwell_backup_20200101_000000.dump.gz").symlink_to("/etc")
    verification = offsite_verify.verify(settings, full=True)
    assert len(verification["server_alarms"]) == 2
    account = AccountTransport(settings.transport.destination)
    weaker = [*account.weaker(None), *settings.transport.weaker(NotConfined)]
    page = render.offsite_report({**verification, "weaker": weaker}, "pt_BR", False)
    told = " ".join(page.split())
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
        assert sentence in told
    plain = render.offsite_report({**verification, "weaker": weaker}, "en", False)
    assert "lost 4 of 7 backups since the last inventory" in " ".join(plain.split())
    # For programs it stays English, whatever the page speaks.
    assert "lost 4 of 7 backups" in json.dumps(verification)


class NotConfined:
    """What the gate of a server without Landlock says of itself."""

    confined = False


def test_the_message_of_a_sync_that_was_refused(settings: Settings) -> None:
    offsite.sync(settings)
    tree = Path(settings.backup_path)
    for file in sorted((tree / "daily").iterdir())[:4]:
        file.unlink()
    add_backup(tree, "weekly", -0.01, size=10)
    (tree / settings.marker).unlink()
    result = offsite.sync(settings)
    conditions = offsite_report._conditions(result, PORTUGUESE)
    for one in conditions:
        assert english(one.reason) == [], one.reason
    assert "recusado antes de enviar qualquer coisa" in conditions[0].reason
    assert "falta em" in conditions[0].reason and "portanto não contém nada" in conditions[0].reason
    assert "refused before anything was sent" in result.message


def test_every_way_to_fail_has_words(server: Sshd) -> None:
    for _pattern, why in ssh._FAILURES:
        for text in (why.words, why.remedy):
            assert english(spoken(PORTUGUESE, text)) == [], text
    for code, text in rsync.EXIT_WORDS.items():
        judged = rsync.judge(code, [], "")
        assert english(spoken(PORTUGUESE, judged.words)) == [], text
        assert text in judged.words


def test_the_servers_own_message(settings: Settings, server: Sshd) -> None:
    offsite.sync(settings)
    with receiving() as people:
        config = server.guard(language="pt_BR", notify_urls=[people.webhook])
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
