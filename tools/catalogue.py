"""Keeps the gettext catalogues: compiles every `.po`, and tells which messages lack a translation.

    python3 tools/catalogue.py          compile each .po under plugins/module_utils/locale
    python3 tools/catalogue.py --check  change nothing; fail when anything is not up to date

It reads and writes the part of gettext's formats that the catalogues use, so that nothing has to be
installed: one `msgid`, perhaps a `msgid_plural`, and quoted strings over one or more lines.
"""

from __future__ import annotations

import ast
import re
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / "plugins" / "module_utils"
LOCALE = ENGINE / "locale"

# A message: its English text, and its English plural if it has one.
Message = tuple[str, str | None]


def read_po(text: str) -> dict[Message, list[str]]:
    """The translations of a `.po`, the header under the empty message.

    Raises:
        ValueError: a line is none that this reader knows, or a message occurs twice.
    """
    found: dict[Message, list[str]] = {}
    fields: dict[str, str] = {}
    field = ""
    for number, line in enumerate([*text.splitlines(), ""], 1):
        line = line.strip()
        match = re.fullmatch(r'(?:(msgid|msgid_plural|msgstr(?:\[\d\])?)\s+)?(".*")', line)
        if match:
            field = match[1] or field
            fields[field] = fields.get(field, "") + ast.literal_eval(match[2])
        elif line and not line.startswith("#"):
            raise ValueError(f"line {number} is not understood: {line}")
        elif not line and fields:
            message = (fields.pop("msgid"), fields.pop("msgid_plural", None))
            if message in found:
                raise ValueError(f"line {number}: {message[0]!r} occurs twice")
            found[message] = [fields[name] for name in sorted(fields)]
            fields = {}
    return found


def compile_mo(translations: dict[Message, list[str]]) -> bytes:
    """The same translations as a `.mo` (GNU gettext manual, "The Format of GNU MO Files")."""
    pairs = sorted(
        ("\0".join(filter(None, message)).encode(), "\0".join(texts).encode())
        for message, texts in translations.items()
    )
    count, head = len(pairs), 28
    offset = head + 16 * count
    tables, strings = [b"", b""], b""
    for side in (0, 1):
        for pair in pairs:
            tables[side] += struct.pack("<II", len(pair[side]), offset + len(strings))
            strings += pair[side] + b"\0"
    start = struct.pack("<7I", 0x950412DE, 0, count, head, head + 8 * count, 0, offset)
    return start + tables[0] + tables[1] + strings


def messages_of_python(source: str) -> set[Message]:
    """The messages in calls of `say` (a local name of `gettext`), `gettext`, `ngettext` and of
    `_`, which a page translates later.
    """
    found: set[Message] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        if name in ("say", "gettext", "_") and len(texts) == 1:
            found.add((str(texts[0]), None))
        elif name == "Kind" and len(texts) == 2:
            # Of a kind of finding pages show the remedy; docs/findings.md has its meaning too.
            found.add((str(texts[1]), None))
        elif name in ("ngettext",) and len(texts) >= 2:
            found.add((str(texts[0]), str(texts[1])))
    return found


def messages_of_template(source: str) -> set[Message]:
    """The messages of a Jinja2 template."""
    import jinja2.ext

    tree = jinja2.Environment(extensions=["jinja2.ext.i18n"]).parse(source)
    found: set[Message] = set()
    for _line, name, texts in jinja2.ext.extract_from_ast(tree):
        # Arguments that are no text, such as a placeholder's value, come as None.
        constant = [texts] if isinstance(texts, str) else [str(text) for text in texts if text]
        found.add((constant[0], constant[1] if name == "ngettext" else None))
    return found


def messages() -> set[Message]:
    """Every message of the engine."""
    found: set[Message] = set()
    for path in ENGINE.rglob("*.py"):
        found |= messages_of_python(path.read_text(encoding="utf-8"))
    for path in ENGINE.rglob("*.j2"):
        found |= messages_of_template(path.read_text(encoding="utf-8"))
    return found


def problems() -> list[str]:
    """What is not as it should be, in words."""
    found = []
    wanted = messages()
    for path in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
        name = path.relative_to(ROOT)
        translations = read_po(path.read_text(encoding="utf-8"))
        compiled = path.with_suffix(".mo")
        if not compiled.exists() or compiled.read_bytes() != compile_mo(translations):
            found.append(f"{name}: the .mo beside it is another; run tools/catalogue.py")
        done = {message for message, texts in translations.items() if all(texts)}
        for message in sorted(wanted - done, key=str):
            found.append(f"{name}: not translated: {message[0]!r}")
        for message in sorted(translations.keys() - wanted - {("", None)}, key=str):
            found.append(f"{name}: used nowhere: {message[0]!r}")
    return found


def main() -> int:
    """Compiles, or checks only; returns the exit code."""
    if "--check" not in sys.argv[1:]:
        for path in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
            translations = read_po(path.read_text(encoding="utf-8"))
            path.with_suffix(".mo").write_bytes(compile_mo(translations))
    found = problems()
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
