"""What the documents name is there: links, variables, commands, playbooks, keys."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.chefwell.resilience.plugins.module_utils.checks import check_titles
from support.markdown import page_blocks

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "roles").glob("*/README.md")),
    ROOT / "bench" / "README.md",
    ROOT / "extensions" / "molecule" / "README.md",
    *sorted((ROOT / "tests").rglob("README.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
GUIDES = ("README.md", "docs/getting-started.md")


def options() -> set[str]:
    """Every variable that a role takes."""
    found: set[str] = set()
    for specification in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        read: dict[str, Any] = yaml.safe_load(specification.read_text())
        for entry in read["argument_specs"].values():
            found |= set(entry.get("options", {}))
    # A stage has the shared ones under its own name, too.
    shared = {name.removeprefix("resilience_") for name in found if name.startswith("resilience_")}
    stages = ("disk_monitor", "offsite_backup", "staging_restore")
    return found | {f"{stage}_{name}" for stage in stages for name in shared}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]+)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", GUIDES)
def test_variables_of_the_examples_exist(page: str) -> None:
    known, used = options(), 0
    for block in page_blocks(page, "yaml"):
        for name in yaml.safe_load(block.text):
            if name.startswith(
                ("disk_monitor_", "offsite_", "staging_", "host_kit_", "checkpoint_", "resilience_")
            ):
                assert name in known, name
                used += 1
    assert used > 3


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_variables_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(
        r"\b(?:disk_monitor|offsite_backup|staging_restore|host_kit|checkpoint|resilience)_[a-z_]+",
        page.read_text(),
    )
    # Beside options: files, playbooks, modules, and the variables of the playbooks.
    others = {"disk_monitor_run", "offsite_backup_server", "staging_restore_", "resilience_become"}
    others |= {"resilience_hosts", "resilience_serial", "checkpoint_settings"}
    assert sorted(set(named) - options() - others) == []


@pytest.mark.parametrize("page", GUIDES)
def test_the_example_inventory_is_one(page: str, tmp_path: Path) -> None:
    (inventory,) = [
        block.text for block in page_blocks(page, "yaml") if "backup_servers:" in block.text
    ]
    path = tmp_path / "inventory.yml"
    path.write_text(inventory)
    tool = str(Path(sys.executable).with_name("ansible-inventory"))
    listed = subprocess.run(
        [tool, "-i", str(path), "--list"], capture_output=True, text=True, check=True
    )
    hosts = json.loads(listed.stdout)
    assert hosts["production"]["hosts"] == ["chefwell.example.com"]
    assert hosts["backup_servers"]["hosts"] == ["backup.example.com"]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_can_be_run_exists(page: Path) -> None:
    text = page.read_text()
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    for target in re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.M):
        assert target in targets, target
    for name in re.findall(r"\bchefwell\.resilience\.(site|stage\w+|rollback\w+)", text):
        assert (ROOT / "playbooks" / f"{name}.yml").exists(), name
    for name in re.findall(r"ansible-playbook (\S+\.yml)", text):
        assert (ROOT / name).exists(), name


def test_make_lists_every_target_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "demo-clean", "test", "check", "faults", "bench", "lock"):
        assert f"`make {target}`" in readme and f"{target} - " in listed


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_tests_that_a_page_names_are_there(page: Path) -> None:
    known = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    for path in (ROOT / "tests").rglob("test_*.py"):
        known |= set(re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE))
    for name in re.findall(r"`(test_\w+(?:\.py)?)`", page.read_text()):
        assert name in known, name


def _test_functions() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    texts = (path.read_text() for path in files)
    return {name for text in texts for name in re.findall(r"^ *def (test_\w+)", text, re.M)}


def _threats(page: str, beginning: str) -> list[list[str]]:
    """Return the rows of a table of threats, the name of the test last."""
    text = (ROOT / "docs" / page).read_text().partition(beginning)[2].partition("\n## ")[0]
    rows = re.findall(r"^\|(.+)\|$", text, re.M)
    begin = next(number for number, row in enumerate(rows) if set(row) <= set("-|")) + 1
    return [[cell.strip() for cell in row.split("|")] for row in rows[begin:]]


@pytest.mark.parametrize(
    ("page", "beginning", "columns", "least"),
    [("stage2-offsite-backup.md", "## Threats", 4, 28), ("security.md", "| threat |", 3, 14)],
)
def test_every_row_of_a_table_of_threats_names_tests_that_exist(
    page: str, beginning: str, columns: int, least: int
) -> None:
    known, threats = _tests_by_name(), _threats(page, beginning)
    assert len(threats) >= least
    for row in threats:
        named = re.findall(r"`(test_\w+)`", row[-1])
        assert len(row) == columns and row[1] and named, row[0]
        assert [name for name in named if len(known.get(name, [])) != 1] == [], row[0]
        # Each shows something, and runs.
        assert [name for name in named if not _is_evidence(known[name][0])] == [], row[0]


def _tests_by_name() -> dict[str, list[ast.FunctionDef]]:
    found: dict[str, list[ast.FunctionDef]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.setdefault(node.name, []).append(node)
    return found


def _is_evidence(test: ast.FunctionDef) -> bool:
    """Return whether a test asserts something, itself or by `fault`, and is never left out."""
    marks = " ".join(map(ast.unparse, test.decorator_list))
    body = ast.unparse(test.body)  # type: ignore[arg-type]
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(test))
    by_fault = "fault" in [one.arg for one in test.args.args] and "fault" in body
    return (asserts or by_fault or "pytest.raises(" in body) and not re.search("skip|xfail", marks)


def test_a_test_that_shows_nothing_is_no_evidence() -> None:
    def parsed(text: str) -> ast.FunctionDef:
        (node,) = ast.parse(text).body
        assert isinstance(node, ast.FunctionDef)
        return node

    assert _is_evidence(parsed("def test_a():\n    assert 1"))
    assert _is_evidence(parsed("def test_a(fault):\n    fault.outcome('x')"))
    assert not _is_evidence(parsed("def test_a():\n    print(1)"))
    assert not _is_evidence(parsed("def test_a(fault):\n    pass"))
    assert not _is_evidence(parsed("@pytest.mark.skip\ndef test_a():\n    assert 1"))


def test_the_page_of_the_tests_names_every_folder_and_every_helper() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "tests" / "README.md").read_text(), re.MULTILINE)
    tests = ROOT / "tests"
    folders = {f"{path.name}/" for path in tests.iterdir() if path.is_dir()}
    helpers = {f"support/{path.name}" for path in (tests / "support").glob("*.py")}
    expected = folders - {"support/", "__pycache__/"} | helpers - {"support/__init__.py"}
    assert sorted(rows) == sorted(expected)


def test_every_check_is_documented() -> None:
    text = (ROOT / "docs" / "validation.md").read_text()
    # The transfer is a part of the recovery: docs/disaster-recovery.md.
    assert sorted(set(check_titles.TITLES) - {"transfer"} - set(re.findall(r"`(\w+)`", text))) == []


def test_contributing_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`([a-z_]+/[a-z_/.]+\.(?:py|yml|toml|md))`", text))
    engine = ROOT / "plugins" / "module_utils"
    assert len(named) > 20
    assert sorted(one for one in named if not any((p / one).exists() for p in (ROOT, engine))) == []


# Links that leave the repository. Each was looked at when it was added: tests have no network.
# The collection's own address is that of galaxy.yml, where its owner publishes it.
EXTERNAL = {
    "https://github.com/caronc/apprise",
    "https://github.com/prometheus/node_exporter",
    "https://docs.ansible.com/ansible/latest/community/code_of_conduct.html",
    "https://json-schema.org/draft/2020-12/schema",
}


def test_links_that_leave_the_repository_were_looked_at() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    own = {galaxy[key] for key in ("repository", "documentation", "issues")}
    assert all(link.startswith(galaxy["repository"]) for link in own)
    found = set()
    for page in [
        *PAGES,
        ROOT / "docs" / "manifest.schema.json",
        ROOT / "docs" / "results.schema.json",
    ]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        found |= set(re.findall(r"(?<![`\w])https?://[^\s)>\"`]+", text))
    # The plan's own product, and addresses that show what an option looks like.
    examples = r"https?://(\w+\.chefwell\.pro|hc-ping\.com|localhost|127\.0\.0\.1|[\w.]*example(\.com)?)\b.*"
    assert {link for link in found - EXTERNAL - own if not re.fullmatch(examples, link)} == set()
