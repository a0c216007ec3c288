"""Whoever takes a name from the engine (modules, tests, benchmark, tools) takes one that exists."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "plugins" / "module_utils"
FULL = "ansible_collections.chefwell.resilience.plugins.module_utils"


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements of a module define."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        for inner in ("body", "orelse", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With, ast.For)):
                yield from defined(getattr(node, inner, []))
        for handler in getattr(node, "handlers", []):
            yield from defined(handler.body)


def engine_names() -> dict[str, set[str]]:
    """Return the names of each module of the engine, by `room/module`."""
    return {
        path.relative_to(ENGINE).with_suffix("").as_posix(): set(
            defined(ast.parse(path.read_text(encoding="utf-8")).body)
        )
        for path in ENGINE.rglob("*.py")
    }


def source_of(node: ast.ImportFrom, path: Path) -> str | None:
    """Return the `room` or `room/module` that an import is from; None if it is not the engine."""
    if not node.level:
        module = node.module or ""
        inside = module == FULL or module.startswith(f"{FULL}.")
        return module.removeprefix(FULL).lstrip(".").replace(".", "/") if inside else None
    base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    return base.relative_to(ENGINE).as_posix() if base.is_relative_to(ENGINE) else None


def missing(path: Path, source: str, names: dict[str, set[str]]) -> list[str]:
    """Return the names that a file takes from the engine and that are not there."""
    tree, modules, found = ast.parse(source), dict[str, str](), []
    for node in ast.walk(tree):
        origin = source_of(node, path) if isinstance(node, ast.ImportFrom) else None
        if origin is None or not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            module = f"{origin}/{alias.name}".removeprefix("./").lstrip("/")
            if module in names:
                modules[alias.asname or alias.name] = module
            elif not (ENGINE / module).is_dir() and alias.name not in names.get(origin, ()):
                found.append(f"{path.name} imports {alias.name} from {origin}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id, "")
            if module and node.attr not in names[module] and not node.attr.startswith("__"):
                found.append(f"{path.name}:{node.lineno} uses {node.value.id}.{node.attr}")
    return found


def test_every_name_of_the_engine_that_is_used_exists() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    names = engine_names()
    found = [
        one
        for path in map(ROOT.joinpath, listed)
        if path.is_file()
        for one in missing(path, path.read_text(encoding="utf-8"), names)
    ]
    assert found == []


def test_a_name_that_is_gone_is_found() -> None:
    names = {"room/module": {"there"}}
    path = ROOT / "tests" / "x.py"
    assert missing(path, f"from {FULL}.room import module\nmodule.there", names) == []
    assert missing(path, f"from {FULL}.room import module\nmodule.gone", names) != []
    assert missing(path, f"from {FULL}.room.module import gone", names) != []
    module = ROOT / "plugins" / "modules" / "x.py"
    relative = "from ..module_utils.room import module\nmodule.gone"
    assert missing(module, relative, names) == ["x.py:2 uses module.gone"]


def underscore_pairs(source: str) -> list[str]:
    """Return the names of functions and classes that another of the file has with an underscore."""
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, named)}
    return sorted(name for name in names if f"_{name}" in names)


def test_no_two_names_of_a_file_differ_by_an_underscore_alone() -> None:
    found = {
        path.relative_to(ENGINE).as_posix(): underscore_pairs(path.read_text(encoding="utf-8"))
        for path in ENGINE.rglob("*.py")
    }
    assert {name: pairs for name, pairs in found.items() if pairs} == {}
    assert underscore_pairs(
        "def read():\n  def _write(): ...\nclass A:\n  def write(self): ..."
    ) == ["write"]
