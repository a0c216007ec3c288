"""Keep the gettext catalogues with Babel: extract the messages, update each `.po`, compile it.

    .venv/bin/python tools/catalogue.py          write the template, each `.po` and each `.mo`
    .venv/bin/python tools/catalogue.py --check  change nothing; fail when a file is out of date or
                                                 a message has no translation

Translations are never guessed from similar messages, and unused ones do not stay in a `.po`.
"""

from __future__ import annotations

import datetime
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
MAPPING = ROOT / "babel.cfg"
ENGINE = ROOT / "plugins" / "module_utils"
LOCALE = ENGINE / "locale"
sys.path.insert(0, str(ROOT / "build" / "collections"))
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import DOMAIN

# Where a message stands in a call. Of a kind of finding the pages show the remedy, its second text;
# docs/findings.md, which is English, shows the meaning as well.
KEYWORDS = {"_": (1,), "gettext": (1,), "tr": (1,), "ngettext": (1, 2), "Kind": (2,)}
# The date in the head of the catalogues. Babel's default, now, would be a conflict in every merge.
CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def template() -> Catalog:
    """Return every message of the engine with the files that use it."""
    catalog = Catalog(
        project="chefwell.resilience",
        fuzzy=False,
        charset="utf-8",
        creation_date=CREATED,
        header_comment="# Messages of the pages of chefwell.resilience.",
    )
    with MAPPING.open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    for name, line, message, comments, context in extract_from_dir(
        ENGINE, methods, options, keywords=KEYWORDS
    ):
        path = (ENGINE / name).relative_to(ROOT).as_posix()
        catalog.add(message, None, [(path, line)], auto_comments=comments, context=context)
    return catalog


def po_text(catalog: Catalog) -> bytes:
    """Return a catalogue as a `.po` or `.pot`, without line numbers: they change too often."""
    text = io.BytesIO()
    write_po(
        text, catalog, width=100, sort_by_file=True, ignore_obsolete=True, include_lineno=False
    )
    return text.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """Return a catalogue as the `.mo` that gettext reads."""
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    return compiled.getvalue()


def updated(path: Path, messages: Catalog) -> Catalog:
    """Return the catalogue of a `.po` with exactly these messages."""
    with path.open("rb") as file:
        catalog = read_po(file, locale=path.parent.parent.name, domain=DOMAIN)
    catalog.update(messages, no_fuzzy_matching=True)
    return catalog


def catalogues(messages: Catalog) -> Iterator[tuple[Path, Catalog]]:
    """Yield the path of each `.po` and its updated catalogue."""
    for path in sorted(LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po")):
        yield path, updated(path, messages)


def files(messages: Catalog) -> Iterator[tuple[Path, bytes]]:
    """Yield each file that this tool keeps, and what it must hold."""
    yield LOCALE / f"{DOMAIN}.pot", po_text(messages)
    for path, catalog in catalogues(messages):
        yield path, po_text(catalog)
        yield path.with_suffix(".mo"), mo_bytes(catalog)


def problems() -> list[str]:
    """Return what is out of date, not translated, or translated with other placeholders."""
    messages = template()
    found = [
        f"{path.relative_to(ROOT)}: out of date; run tools/catalogue.py"
        for path, content in files(messages)
        if not path.exists() or path.read_bytes() != content
    ]
    for path, catalog in catalogues(messages):
        name = path.relative_to(ROOT)
        for message in catalog:
            texts = message.string if message.pluralizable else [message.string]
            if not message.id:
                continue
            # A fuzzy message is one whose translation is in doubt: it is not compiled.
            if message.fuzzy or not all(texts):
                found.append(f"{name}: not translated: {message.id!r}")
                continue
            found += [f"{name}: {message.id!r}: {error}" for error in message.check(catalog)]
    return found


def main() -> int:
    """Write or check the files; return the exit code."""
    if "--check" not in sys.argv[1:]:
        for path, content in list(files(template())):
            path.write_bytes(content)
    found = problems()
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
