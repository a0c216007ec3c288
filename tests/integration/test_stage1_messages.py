"""Messages of stage 1 to the letter: the document's examples are what is sent."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import History
from support.filesystems import Disks, fill
from support.http_receiver import receiving
from support.mail_receiver import receiving_mail
from support.markdown import code_blocks
from support.monitor_host import MonitorHost

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "stage1-disk-monitor.md"
HOUR = 3600
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d")


def refill(point: Path, percent: float) -> None:
    """Another fullness, in a file of its own: what `fill` makes only grows."""
    for file in point.glob("filler"):
        file.unlink()
    fill(point, percent)


def hours_pass(host: MonitorHost, hours: float) -> None:
    """What is remembered becomes so much older, as if the host had run on for that long."""
    with History(host.settings["state_dir"]) as history:
        content = history.document("disk@web1")
        for state in content["states"].values():
            for name in ("since", "notified_at"):
                state[name] -= hours * HOUR
        history.set_document("disk@web1", content)


def as_written(text: str, point: Path) -> str:
    return MOMENT.sub("(time)", text.replace(str(point), "/srv"))


def example(language: str) -> str:
    """The document's only block of a language."""
    (block,) = code_blocks(DOCUMENT.read_text(), language)
    return block.text


def test_the_documents_examples_are_what_is_sent(tmp_path: Path, disks: Disks) -> None:
    # 101 GB that take up next to nothing: what fills it is set aside and never written. (No figure
    # of the document lies where another version of mkfs would round it the other way.)
    point = disks.ext4("srv", megabytes=103_400)
    written, sent = json.JSONDecoder(), []
    for language in ("en", "pt_BR"):
        refill(point, 85)
        (tmp_path / language).mkdir()
        with receiving() as receiver:
            host = MonitorHost(
                tmp_path / language,
                paths=[str(point)],
                notify=[receiver.webhook],
                language=language,
            )
            assert host.monitor()[0] == 2
            sent.append(receiver.messages()[0])
            for percent, hours in ((72, 6), (72, 24), (60, 6)):
                hours_pass(host, hours)
                refill(point, percent)
                host.monitor()
            messages = receiver.messages()[1:]
        if language == "en":
            texts = [f"{message['title']}\n{message['message']}" for message in messages]
            shown = "\n\n".join(as_written(text, point) for text in texts)
            assert MOMENT.sub("(time)", example("text")).rstrip("\n") == shown
            assert [message["type"] for message in messages] == ["warning", "warning", "success"]
        else:
            assert [message["title"].split(": ")[0] for message in messages] == [
                "🟡 WARNING (era CRITICAL)",
                "ainda 🟡 WARNING",
                "✅ OK novamente",
            ]
    block, expected = example("json"), []
    while block.strip():
        value, end = written.raw_decode(block.lstrip())
        expected.append(value)
        block = block.lstrip()[end:]
    for one, other in zip(expected, sent, strict=True):
        assert [*one] == [*other]
        for key, value in one.items():
            if isinstance(value, str):
                assert MOMENT.sub("(time)", value) == as_written(other[key], point), key
            else:
                assert value == other[key]


@pytest.mark.parametrize("language", ["en", "pt_BR"])
def test_a_mail_has_a_clear_subject_and_keeps_its_lines(
    tmp_path: Path, disks: Disks, language: str
) -> None:
    point = disks.memory("a <b>bold & name")
    fill(point, 85)
    with receiving_mail() as receiver:
        host = MonitorHost(
            tmp_path, paths=[str(point)], notify=[receiver.address], language=language
        )
        assert host.monitor()[1]["delivered"] == 1
        hours_pass(host, 25)
        host.monitor()
        first, second = receiver.mails
    words = {
        "en": ("disk {} on web1", "space 85.0% used (600 KB left), critical from 80%", "Not ok"),
        "pt_BR": (
            "disco {} em web1",
            "espaço 85.0% usado (600 KB livres), crítico a partir de 80%",
            "Sem normalizar",
        ),
    }[language]
    about = words[0].format(point)
    assert first["Subject"] == f"🟠 CRITICAL: {about}"
    still = {"en": "still", "pt_BR": "ainda"}[language]
    assert second["Subject"] == f"{still} 🟠 CRITICAL: {about}"
    assert second["To"] == "ops@example.com"
    plain = second.get_body(preferencelist=("plain",))
    assert plain is not None
    lines = [line for line in plain.get_content().splitlines() if line.strip()]
    assert lines[0] == words[1] and lines[1].startswith(words[2]) and MOMENT.fullmatch(lines[2])
    # Apprise may add the same as HTML, where a line end and a name's "<" are not themselves.
    page = second.get_body(preferencelist=("html",))
    if page is not None:
        assert page.get_content().count("<br") >= 2 and "<b>" not in page.get_content()


def test_what_is_apart_has_a_title_of_its_own(tmp_path: Path, disks: Disks) -> None:
    """Three conditions of one folder have titles that name which of them it is."""
    point = disks.memory("memory", pages=5000)
    daily = point / "backups" / "daily"
    daily.mkdir(parents=True)
    for tier in ("weekly", "monthly"):
        (point / "backups" / tier).mkdir()
    with (daily / "chefwell_backup_20251120_030000.dump.gz").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1000 * 4096)
    fill(point, 68)
    with receiving() as receiver:
        host = MonitorHost(
            tmp_path,
            backup_path=str(point / "backups"),
            drill_path=str(point),
            notify=[receiver.webhook],
        )
        result = host.monitor()[1]
        messages = {message["title"]: message["message"] for message in receiver.messages()}
    assert list(messages) == [
        "🟡 WARNING: room for tonight's dump on web1",
        "🟡 WARNING: room for a restore drill on web1",
        "🟡 WARNING: room for the retention plan on web1",
    ]
    first, second, third = (text.splitlines()[0] for text in messages.values())
    just = "room for less than two dumps: tonight's takes up to 4.7 MB, 6.2 MB are left"
    assert first == just  # "fits", and a message all the same
    assert second == "a restore drill will not fit: it takes 307 MB, 6.2 MB are left"
    assert third == "the retention plan fits for 1 more night"
    keys = [one["key"] for one in result["notifications"]]
    folder = f"folder:{point}/backups"
    assert keys == [f"{folder}:dump_fit", f"{folder}:drill_fit", f"{folder}:retention_fit"]
    assert {alert["key"] for alert in result["alerts"]} == {*keys}


def test_the_commands_of_the_remedies_run(tmp_path: Path) -> None:
    text = DOCUMENT.read_text().partition("## What to do about an alert")[2].partition("\n## ")[0]
    commands = [line for line in re.findall(r"`([^`]+)`", text) if "/srv" in line or "-" in line]
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command.replace("/srv", str(tmp_path)))
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        # findmnt ends with 1 where fstab has no entry.
        assert done.returncode == 0 or words[0] == "findmnt", done.stderr
