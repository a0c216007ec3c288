"""The sources of the documentation site: complete, each link leads to a page or a file.

`make docs` builds the site and looks at every page in a browser.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import docs_check
import docs_site

# `(internal)` in its short description, or not: what ansible-doc lists.
PUBLIC = {
    "backup_inventory",
    "disk_usage_check",
    "restore_validate",
    "status_page",
    "system_checkpoint",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources in a folder of this lane: several assemble them at once."""
    folder = tmp_path_factory.mktemp("docs") / "source"
    docs_site.assemble(folder)
    return folder


def entries(nav: list[Any]) -> list[str]:
    found = []
    for one in nav:
        held = next(iter(one.values())) if isinstance(one, dict) else one
        found += [held] if isinstance(held, str) else entries(held)
    return found


def test_the_navigation_has_every_page_of_users_and_no_other(source: Path) -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    named = entries(config["nav"])
    assert [one for one in named if not (source / one).is_file()] == []
    pages = {str(path.relative_to(source)) for path in (source / "docs").rglob("*.md")}
    roles = {str(path.relative_to(source)) for path in (source / "roles").rglob("*.md")}
    assert (pages | roles) - set(named) == set()


def test_every_link_leads_to_a_page_or_a_file(source: Path) -> None:
    wrong = [
        f"{page.relative_to(source)}: {link}"
        for page in source.rglob("*.md")
        for link in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text())
        if not (page.parent / link).is_file()
    ]
    assert wrong == []


def test_the_reference_has_every_option_of_every_module(source: Path) -> None:
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    for name in modules:
        text = (ROOT / "plugins" / "modules" / f"{name}.py").read_text()
        documented = yaml.safe_load(text.split('DOCUMENTATION = r"""')[1].split('"""')[0])
        page = (source / "reference" / f"{name}.md").read_text()
        for option in documented.get("options", {}):
            assert f"| `{option}` |" in page, f"{name}: {option}"
    listed, internal = (source / "reference" / "README.md").read_text().split("## Internal")
    assert set(re.findall(r"\[`(\w+)`\]", listed)) == PUBLIC
    assert modules - PUBLIC <= set(re.findall(r"\[`(\w+)`\]", internal))


def test_how_to_pages_are_in_both_languages() -> None:
    english = sorted((ROOT / "docs" / "how-to").glob("*.md"))
    for page in english:
        (link,) = re.findall(r"\[Português\]\(\.\./pt-BR/(.+?)\)", page.read_text())
        other = ROOT / "docs" / "pt-BR" / link
        assert f"[English](../how-to/{page.name})" in other.read_text()

        def commands(text: str) -> list[str]:
            """Commands without what is a placeholder in one language."""
            found = re.findall(r"[a-z-]+\.sh(?: --[a-z-]+)*|chefwell\.resilience\.\w+", text)
            return sorted(found)

        assert commands(page.read_text()) == commands(other.read_text()), page.name
    assert len(english) == len(list((ROOT / "docs" / "pt-BR").glob("*.md"))) == 8


def test_internal_modules_say_so_in_the_list_of_ansible_doc() -> None:
    for path in (ROOT / "plugins" / "modules").glob("*.py"):
        (short,) = re.findall(r"^short_description: (.+)$", path.read_text(), re.MULTILINE)
        assert short.startswith("(internal)") == (path.stem not in PUBLIC), path.stem


def test_what_belongs_to_an_item_of_a_list_stays_in_it() -> None:
    """The site's Markdown ends a list where a block is indented by fewer than four spaces."""
    page = "1. One:\n   - a\n     b\n\n   ```\n   c\n   ```\n2. Two\n\nText\n"
    expected = "1. One:\n    - a\n      b\n\n    ```\n    c\n    ```\n\n2. Two\n\nText\n"
    assert docs_site.four_spaces(page) == expected
    assert docs_site.four_spaces("- Three\n  four\n") == "- Three\n    four\n"
    fence = "- a\n\n  ```\n1. no item\n  ```\n"
    assert "\n  1. no item\n" in docs_site.four_spaces(fence)


@pytest.mark.parametrize(
    ("text", "torn"),
    [
        ('<ol start="3"><li>Three</li></ol>', 1),
        ("<p>Two\n3. Three</p>", 1),
        ("<p>Some\n- <code>one</code></p>", 1),
        ("<ol><li>One</li></ol><p>1 - 2 - 3</p>\n<pre>\n- a</pre>", 0),
    ],
)
def test_a_list_that_is_torn_is_found(text: str, torn: int) -> None:
    assert len(docs_check.TORN_LIST.findall(text)) == torn
