"""The rooms of the engine import downwards only, as docs/architecture.md orders them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "plugins" / "module_utils"
DOCUMENT = ROOT / "docs" / "architecture.md"


def rooms(text: str) -> list[str]:
    """The rooms in the order of the document's table, the lowest first."""
    table = text.split("## Rooms of the engine")[1].split("\n## ")[0]
    return re.findall(r"^\| `([a-z_]+)(?:/|\.py)`", table, re.MULTILINE)


def imports(engine: Path) -> dict[str, set[str]]:
    """The modules (`room/file`) that each module imports, wherever in the file it does."""
    found: dict[str, set[str]] = {}
    for path in sorted(engine.rglob("*.py")):
        module = path.relative_to(engine).with_suffix("").as_posix()
        targets = found.setdefault(module, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            base = path.parent
            for _level in range(node.level - 1):
                base = base.parent
            named = base / (node.module or "").replace(".", "/")
            for one in (named, *(named / alias.name for alias in node.names)):
                if one.with_suffix(".py").is_file():
                    targets.add(one.relative_to(engine).as_posix())
    return found


def room(module: str) -> str:
    return module.split("/")[0]


def upwards(found: dict[str, set[str]], order: list[str]) -> list[str]:
    """The imports that run from a room to one above it."""
    height = {name: number for number, name in enumerate(order)}
    return sorted(
        f"{importer} imports {imported}"
        for importer, targets in found.items()
        for imported in targets
        if height[room(imported)] > height[room(importer)]
    )


def circles(found: dict[str, set[str]]) -> list[str]:
    """The modules that import each other, one chain for each."""
    done: set[str] = set()
    chains: list[str] = []

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            chains.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for imported in sorted(found.get(module, ())):
                visit(imported, [*path, module])
            done.add(module)

    for module in sorted(found):
        visit(module, [])
    return chains


def private_calls(engine: Path) -> list[str]:
    """Names beginning with an underscore that a module takes from another module of the engine."""
    found = []
    for path in sorted(engine.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = set()
        where = path.relative_to(engine).as_posix()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                for alias in node.names:
                    modules.add(alias.asname or alias.name)
                    if alias.name.startswith("_") and alias.name != "_":
                        found.append(f"{where} imports {alias.name}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                private = node.attr.startswith("_") and not node.attr.startswith("__")
                if private and node.value.id in modules:
                    found.append(f"{where} uses {node.value.id}.{node.attr}")
    return found


def test_every_room_is_in_the_document() -> None:
    there = {room(module) for module in imports(ENGINE)}
    assert sorted(there) == sorted(rooms(DOCUMENT.read_text(encoding="utf-8")))


def test_no_import_runs_upwards() -> None:
    assert upwards(imports(ENGINE), rooms(DOCUMENT.read_text(encoding="utf-8"))) == []


def test_no_modules_import_each_other() -> None:
    assert circles(imports(ENGINE)) == []


def test_no_room_uses_what_another_keeps_to_itself() -> None:
    assert private_calls(ENGINE) == []


@pytest.mark.parametrize("broken", ["upwards", "circle", "private"])
def test_a_wrong_import_is_found(tmp_path: Path, broken: str) -> None:
    low, high = tmp_path / "low", tmp_path / "high"
    for folder in (low, high):
        folder.mkdir()
    (high / "one.py").write_text("from ..low import two\n")
    (low / "two.py").write_text("")
    assert upwards(imports(tmp_path), ["low", "high"]) == circles(imports(tmp_path)) == []
    if broken == "upwards":
        (low / "two.py").write_text("def f():\n    from ..high.one import x\n")
        assert upwards(imports(tmp_path), ["low", "high"]) == ["low/two imports high/one"]
    elif broken == "circle":
        (low / "two.py").write_text("from ..high import one\n")
        assert circles(imports(tmp_path)) == ["high/one -> low/two -> high/one"]
    else:
        (high / "one.py").write_text("from ..low import two\ntwo._hidden()\n")
        assert private_calls(tmp_path) == ["high/one.py uses two._hidden"]
