"""Assemble the sources of the documentation site in `build/docs/source`.

The pages are the repository's own Markdown, in the same folders, so that their links stay. A link
to a file that is no page leads to a copy of it. The reference of modules is made of what
ansible-doc prints. `make docs` runs mkdocs and `tools/docs_check.py` afterwards.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from antsibull_docs_parser import dom
from antsibull_docs_parser.md import to_md
from antsibull_docs_parser.parser import Context, parse

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "build" / "docs" / "source"
COLLECTION = "chefwell.resilience"
PAGES = ("*.md", "docs/**/*.md", "roles/*/README.md", "tests/**/README.md", "bench/README.md")
PAGES += ("extensions/molecule/README.md",)
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)")


def copy_pages(source: Path) -> None:
    """Copy every page, and every file to which one leads."""
    for pattern in PAGES:
        for page in ROOT.glob(pattern):
            _copy(page, source)
            for _before, link in LINK.findall(page.read_text(encoding="utf-8")):
                linked = (page.parent / link).resolve()
                if linked.is_file() and linked.suffix != ".md":
                    _copy(linked, source)


def _copy(path: Path, source: Path) -> None:
    held = source / path.relative_to(ROOT)
    # mkdocs treats README.md as the index of its folder.
    held.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".md":
        held.write_text(_page_text(path), encoding="utf-8")
    else:
        shutil.copyfile(path, held)


def _page_text(path: Path) -> str:
    """Return a page as the site has it: a link to a folder leads to its page; see `four_spaces`."""

    def lead(match: re.Match[str]) -> str:
        target = (path.parent / match[2]).resolve()
        page = target / "README.md"
        return match[0].rstrip("/") + "/README.md" if page.is_file() else match[0]

    return LINK.sub(lead, four_spaces(path.read_text(encoding="utf-8")))


def four_spaces(text: str) -> str:
    """Return a page in which what belongs to an item of a list is indented by four spaces.

    The forges' Markdown takes as many as the item's mark is wide. The site's takes four: with less
    it ends the list there, and begins to count anew.
    """
    lines: list[str] = []
    more, width, fenced, has_blocks = 0, 0, False, False
    for line in text.splitlines():
        blank, indent = not line.strip(), len(line) - len(line.lstrip())
        mark = None if fenced else re.match(r"(?:\d+\.|[-*]) +", line)
        if mark:
            if has_blocks and lines[-1].strip():
                lines.append("")
            width, more, has_blocks = len(mark[0]), max(4 - len(mark[0]), 0), False
        elif width and not blank and indent < width and not fenced:
            width, has_blocks = 0, False
        has_blocks = has_blocks or (blank and bool(width))
        lines.append(" " * more + line if width and not mark and not blank else line)
        fenced ^= line.lstrip().startswith("```")
    return "\n".join(lines) + "\n"


# --- reference ------------------------------------------------------------------------------------


def documentation(kind: str) -> dict[str, Any]:
    """Return what ansible-doc knows of the plugins of one kind."""
    program = str(Path(sys.executable).with_name("ansible-doc"))
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections")}

    def run(*arguments: str) -> Any:
        command = [program, "-t", kind, "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
        return json.loads(done.stdout)

    names = sorted(run("--list", COLLECTION))
    return dict(run(*names)) if names else {}


def markup(text: object, name: str = "", kind: str = "module") -> str:
    """Return a text with Ansible's markup as Markdown."""
    current = dom.PluginIdentifier(fqcn=name, type=kind) if name else None
    return str(to_md(parse(str(text), Context(current_plugin=current)))).strip()


def paragraphs(given: object, name: str) -> str:
    """Return a description, one paragraph after the other."""
    texts = given if isinstance(given, list) else [given]
    return "\n\n".join(markup(text, name) for text in texts if text)


def cell(given: object, name: str) -> str:
    """Return a description as the cell of a table."""
    return paragraphs(given, name).replace("\n", " ").replace("|", "\\|")


def option_rows(options: dict[str, Any], name: str, prefix: str = "") -> list[str]:
    """Return a row for each option, and for those within it."""
    rows = []
    for key, option in sorted(options.items()):
        kind = option.get("type", "str")
        if option.get("elements"):
            kind += f" of {option['elements']}"
        default = "required" if option.get("required") else option.get("default")
        shown = "" if default is None else default if default == "required" else f"`{default!r}`"
        choices = option.get("choices")
        more = f" One of {', '.join(f'`{one}`' for one in choices)}." if choices else ""
        meaning = cell(option.get("description", ""), name) + more
        rows.append(f"| `{prefix}{key}` | {kind} | {shown} | {meaning} |")
        dots = "[]." if option.get("elements") else "."
        rows += option_rows(option.get("suboptions") or {}, name, f"{prefix}{key}{dots}")
    return rows


def return_rows(values: dict[str, Any], name: str, prefix: str = "") -> list[str]:
    """Return a row for each value that a module returns."""
    rows = []
    for key, value in values.items():
        meaning = cell(value.get("description", ""), name)
        when = cell(value.get("returned", ""), name)
        rows.append(f"| `{prefix}{key}` | {value.get('type', '')} | {when} | {meaning} |")
        dots = "[]." if value.get("type") == "list" else "."
        rows += return_rows(value.get("contains") or {}, name, f"{prefix}{key}{dots}")
    return rows


def module_page(name: str, held: dict[str, Any], kind: str) -> str:
    """Return the page of one plugin."""
    doc = held["doc"]
    parts = [
        f"# {name.rsplit('.', 1)[-1]}",
        f"*{kind} `{name}`* - {markup(doc['short_description'], name)}",
        paragraphs(doc.get("description", []), name),
    ]
    options = option_rows(doc.get("options") or {}, name)
    if options:
        head = "| option | type | default | meaning |\n|---|---|---|---|"
        parts.append("## Options\n\n" + "\n".join([head, *options]))
    if held.get("examples"):
        parts.append(f"## Examples\n\n```yaml\n{held['examples'].strip()}\n```")
    values = return_rows(held.get("return") or {}, name)
    if values:
        head = "| key | type | returned | meaning |\n|---|---|---|---|"
        parts.append("## Returned\n\n" + "\n".join([head, *values]))
    return "\n\n".join(parts) + "\n"


def is_internal(doc: dict[str, Any]) -> bool:
    """Return whether the roles alone call it."""
    return any(str(one).startswith("Internal.") for one in doc.get("description", []))


def write_reference(source: Path) -> None:
    """Write a page for each module and lookup, and the list of them."""
    folder = source / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[bool, list[str]] = {False: [], True: []}
    for kind in ("module", "lookup"):
        for name, held in documentation(kind).items():
            short = name.rsplit(".", 1)[-1]
            (folder / f"{short}.md").write_text(module_page(name, held, kind), encoding="utf-8")
            text = markup(held["doc"]["short_description"], name)
            rows[is_internal(held["doc"])].append(f"| [`{short}`]({short}.md) | {text} |")
    head = "| name | what it does |\n|---|---|\n"
    public, internal = ("\n".join(rows[one]) for one in (False, True))
    text = (
        "# Modules\n\nFor your own plays. `ansible-doc chefwell.resilience.NAME` prints the same."
        f"\n\n{head}{public}\n\n## Internal\n\nThe roles call these; they may change without "
        f"notice.\n\n{head}{internal}\n"
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def assemble(source: Path) -> None:
    """Write the sources anew into a folder, which is emptied first."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    copy_pages(source)
    write_reference(source)
    shutil.copyfile(ROOT / "tools" / "docs_site.css", source / "docs-site.css")


if __name__ == "__main__":
    assemble(SOURCE)
