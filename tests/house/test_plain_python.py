"""Imports stand at the top of a file, and a process ends as Python ends it."""

from __future__ import annotations

import ast
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
# What else is loaded where it is used, and why.
LATE = {
    # It describes a broken installation, whose other files may be what is broken.
    ("module_utils/common/unforeseen.py", "mask"),
    ("module_utils/common/unforeseen.py", "traceback"),
    # Looked for only where a name is wrong; each run of the monitor would load it, which has no
    # millisecond to spare of its limit.
    ("module_utils/common/errors.py", "difflib"),
}
# Libraries that a host may lack: they are loaded where they are used, and an error names them.
OPTIONAL = {"apprise", "jinja2", "prometheus_client", "psutil", "psycopg2", "requests"}


def sources() -> list[tuple[str, ast.Module]]:
    return [
        (str(path.relative_to(PLUGINS)), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(PLUGINS.rglob("*.py"))
    ]


def names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    return [node.module or "."] if isinstance(node, ast.ImportFrom) else []


def late_imports(tree: ast.Module) -> list[str]:
    """What is imported anywhere but at the top."""
    top = {id(node) for node in tree.body}
    return [name for node in ast.walk(tree) if id(node) not in top for name in names(node)]


def test_only_what_a_host_may_lack_is_imported_late() -> None:
    found = [
        f"{path}: {name}"
        for path, tree in sources()
        for name in late_imports(tree)
        if name.partition(".")[0] not in OPTIONAL and (path, name) not in LATE
    ]
    assert found == []
    assert late_imports(ast.parse("def f():\n    import os\n    from . import a\n")) == ["os", "."]


def forbidden(tree: ast.Module) -> list[str]:
    """Calls that end a process at once, or tune the collector."""
    used = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    imported = {name for node in ast.walk(tree) for name in names(node)}
    return sorted(used & {"os._exit", "os.abort"}) + sorted(imported & {"gc"})


def test_no_process_is_cut_off_and_the_collector_is_left_alone() -> None:
    assert [(path, forbidden(tree)) for path, tree in sources() if forbidden(tree)] == []
    assert forbidden(ast.parse("import gc, os\nos._exit(0)")) == ["os._exit", "gc"]
