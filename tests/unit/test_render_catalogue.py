"""Every message is translated, the compiled catalogue is that of its source, and without it a page
is English."""

from __future__ import annotations

import gettext
import importlib.util
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import language
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import render
from support import render_data

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("catalogue", ROOT / "tools" / "catalogue.py")
assert _spec and _spec.loader
catalogue = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(catalogue)

PO = catalogue.LOCALE / "pt_BR" / "LC_MESSAGES" / f"{language.DOMAIN}.po"


@pytest.fixture
def no_cache() -> Iterator[None]:
    language.translations.cache_clear()
    yield
    language.translations.cache_clear()


def test_everything_is_translated_compiled_and_used() -> None:
    assert catalogue.problems() == []
    assert len(catalogue.messages()) > 100


def test_gettext_reads_what_was_compiled() -> None:
    translations = catalogue.read_po(PO.read_text(encoding="utf-8"))
    read = gettext.GNUTranslations(io.BytesIO(catalogue.compile_mo(translations)))
    for (text, plural), wanted in translations.items():
        if plural is None:
            assert [read.gettext(text)] == wanted
        else:
            assert [read.ngettext(text, plural, number) for number in (1, 2)] == wanted
            assert read.ngettext(text, plural, 0) == wanted[1]


def test_placeholders_survive_translation() -> None:
    for (text, plural), texts in catalogue.read_po(PO.read_text(encoding="utf-8")).items():
        wanted = set(re.findall(r"%\(\w+\)[sd]", plural or text))
        for translated in texts if text else []:
            assert set(re.findall(r"%\(\w+\)[sd]", translated)) == wanted, text


def test_a_message_without_translation_is_noticed(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "pt_BR" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / PO.name).write_text('msgid "a"\nmsgstr "b"\n', encoding="utf-8")
    monkeypatch.setattr(catalogue, "LOCALE", tmp_path)
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    found = "\n".join(catalogue.problems())
    assert "not translated: 'not measured'" in found
    assert "used nowhere: 'a'" in found
    assert "run tools/catalogue.py" in found


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
    text = render.validation_report(render_data.drill(), "pt_BR", False)
    assert text == render.validation_report(render_data.drill(), "en", False)
    assert "BACKUP VALID AND RESTORABLE" in text
