"""Every message is translated, the catalogues are up to date, and without one a page is English."""

from __future__ import annotations

import ast
import gettext
import importlib.util
import io
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import language
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import render_drill
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from support import page_data

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("catalogue", ROOT / "tools" / "catalogue.py")
assert _spec and _spec.loader
catalogue = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(catalogue)

PO = catalogue.LOCALE / "pt_BR" / "LC_MESSAGES" / f"{language.DOMAIN}.po"


def _translations() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file, locale="pt_BR")


@pytest.fixture
def no_cache() -> Iterator[None]:
    language.translations.cache_clear()
    yield
    language.translations.cache_clear()


def test_everything_is_translated_compiled_and_used() -> None:
    assert catalogue.problems() == []
    assert len(catalogue.template()) > 900


def test_gettext_reads_what_was_compiled() -> None:
    translations = _translations()
    read = gettext.GNUTranslations(io.BytesIO(catalogue.mo_bytes(translations)))
    for message in translations:
        if not message.id:
            continue
        if message.pluralizable:
            text, plural = message.id
            assert [read.ngettext(text, plural, number) for number in (1, 2)] == list(
                message.string
            )
            assert read.ngettext(text, plural, 0) == message.string[1]
        else:
            assert read.gettext(message.id) == message.string


def test_placeholders_survive_translation() -> None:
    for message in _translations():
        texts = message.string if message.pluralizable else [message.string]
        expected = message.id[1] if message.pluralizable else message.id
        for translated in texts if message.id else []:
            assert set(re.findall(r"%\(\w+\)[sd]", translated)) == set(
                re.findall(r"%\(\w+\)[sd]", expected)
            ), expected


def test_a_language_as_babel_starts_one_lacks_every_message(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "pt_BR" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / PO.name).write_text('msgid "a"\nmsgstr "b"\n', encoding="utf-8")
    monkeypatch.setattr(catalogue, "LOCALE", tmp_path)
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    monkeypatch.setattr(catalogue, "ENGINE", tmp_path / "engine")
    (tmp_path / "engine").mkdir()
    module = tmp_path / "engine" / "module.py"
    module.write_text('_("%(count)d of %(total)d", count=1, total=_("all"))\n', encoding="utf-8")

    found = catalogue.problems()
    assert f"{language.DOMAIN}.pot: out of date; run tools/catalogue.py" in found
    assert f"pt_BR/LC_MESSAGES/{PO.name}: not translated: 'all'" in found
    monkeypatch.setattr(sys, "argv", ["catalogue.py"])
    assert catalogue.main() == 1
    text = (folder / PO.name).read_text(encoding="utf-8")
    messages = text.split("\n\n", 1)[1]
    assert 'msgid "all"\nmsgstr ""' in messages and "fuzzy" not in messages
    assert 'msgid "a"' not in text
    (folder / PO.name).write_text(
        text.replace('"all"\nmsgstr ""', '"all"\nmsgstr "tudo"').replace(
            '%(total)d"\nmsgstr ""', '%(total)d"\nmsgstr "%(number)d"'
        ),
        encoding="utf-8",
    )
    assert catalogue.main() == 1
    assert "\n".join(catalogue.problems()).count("unknown named placeholder") == 1


def test_a_message_that_is_gone_is_noticed(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "pt_BR" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    shutil.copy(PO, folder)
    messages = catalogue.template()
    monkeypatch.setattr(catalogue, "LOCALE", tmp_path)
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    monkeypatch.setattr(catalogue, "template", lambda: messages)
    monkeypatch.setattr(sys, "argv", ["catalogue.py"])
    catalogue.main()
    unused = '\n#: plugins/module_utils/gone.py\nmsgid "a"\nmsgstr "b"\n'
    with (folder / PO.name).open("a", encoding="utf-8") as file:
        file.write(unused)
    out_of_date = f"pt_BR/LC_MESSAGES/{PO.name}: out of date; run tools/catalogue.py"
    assert out_of_date in catalogue.problems()


def test_no_message_stands_inside_an_f_string() -> None:
    # On Python 3.11 an f-string is one token, so Babel does not find what is called in it.
    hidden = [
        f"{path.name}:{call.lineno}"
        for path in catalogue.ENGINE.rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", getattr(call.func, "attr", "")) in catalogue.KEYWORDS
    ]
    assert hidden == []


@pytest.mark.parametrize(
    "content", [None, b"", b"no catalogue", b"\xde\x12\x04\x95" + b"\xff" * 24]
)
def test_a_missing_or_damaged_catalogue_yields_english(
    tmp_path: Path, monkeypatch, no_cache: None, content: bytes | None
) -> None:
    if content is not None:
        folder = tmp_path / "pt_BR" / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / f"{language.DOMAIN}.mo").write_bytes(content)
    monkeypatch.setattr(language, "CATALOGUES", str(tmp_path))
    text = render_drill.validation_report(page_data.drill(), "pt_BR", False)
    assert text == render_drill.validation_report(page_data.drill(), "en", False)
    assert "BACKUP VALID AND RESTORABLE" in text
