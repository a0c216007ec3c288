"""What runs on hosts runs on Python 3.9, the oldest that ansible-core 2.19 takes there."""

from __future__ import annotations

import ast
import glob
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
# Compiles every file, imports the engine under the name that it has on hosts, and evaluates the
# annotations by which configurations are parsed.
IMPORT = """
import dataclasses, importlib, pathlib, sys, typing

plugins, place = map(pathlib.Path, sys.argv[1:])
for path in plugins.rglob("*.py"):
    compile(path.read_bytes(), str(path), "exec")
(place / "chefwell_resilience").symlink_to(plugins / "module_utils")
sys.path.insert(0, str(place))
sys.dont_write_bytecode = True
engine = place / "chefwell_resilience"
names = sorted(
    ".".join(path.relative_to(place).with_suffix("").parts)
    for path in (plugins / "module_utils").rglob("*.py")
    for path in [engine / path.relative_to(plugins / "module_utils")]
)
modules = {name: importlib.import_module(name) for name in names}
commands = modules["chefwell_resilience.host_cli"].commands_for()
kinds = [command.settings for command in commands.values()]
kinds.append(modules["chefwell_resilience.server.server_setup"].ClientSetup)
kinds.append(modules["chefwell_resilience.validation.check_context"].ValidationSettings)
for kind in kinds:
    for hint in typing.get_type_hints(kind).values():
        kinds += filter(dataclasses.is_dataclass, typing.get_args(hint))
    unions = [one.name for one in dataclasses.fields(kind) if "|" in one.type]
    assert not unions, f"{kind}: Python 3.9 cannot evaluate the types of {unions}"
print(len(modules))
"""


def interpreters() -> list[str]:
    """Return the oldest and the newest interpreter that the machine has, and that of the tests."""
    found = [
        path
        for minor in range(9, 15)
        for pattern in (f"/usr/bin/python3.{minor}", f"~/.pyenv/versions/3.{minor}.*/bin/python")
        for path in glob.glob(str(Path(pattern).expanduser()))
    ]
    return list(dict.fromkeys([sys.executable, *found[:1], *found[-1:]]))


@pytest.mark.parametrize("python", interpreters())
def test_the_engine_is_imported_by(python: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [python, "-E", "-s", "-c", IMPORT, str(PLUGINS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) == len(list((PLUGINS / "module_utils").rglob("*.py")))


@pytest.mark.parametrize(
    "newer",
    [
        "import datetime\nprint(datetime.datetime.now(datetime.UTC))\n",
        "print(list(zip([1], [2], strict=True)))\n",
        "from typing import TypeAlias\nX: TypeAlias = int\n",
        "import hashlib\nprint(hashlib.file_digest(open('x', 'rb'), 'sha256'))\n",
        "import tomllib\nprint(tomllib)\n",
        "def f(x):\n    match x:\n        case 1:\n            return 2\n",
        "import dataclasses\n@dataclasses.dataclass(slots=True)\nclass X:\n    y: int\n",
        "print((5).bit_count())\n",
    ],
)
def test_what_is_newer_than_python_3_9_is_found(newer: str, tmp_path: Path) -> None:
    file = tmp_path / "newer.py"
    file.write_text(newer)
    assert oldest(file).returncode == 1


# Keyword arguments that vermin does not see where they travel in `**options`.
NEWER_KEYWORDS = {"pipesize", "process_group"}


def newer_keywords(source: str) -> list[str]:
    """Return the keyword arguments in a source that Python 3.9 does not know."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [one.arg for call in calls for one in call.keywords if one.arg in NEWER_KEYWORDS]


def test_no_newer_keyword_argument_is_given() -> None:
    assert newer_keywords("start([], pipesize=9)") == ["pipesize"]
    found = {path: newer_keywords(path.read_text()) for path in PLUGINS.rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_nothing_in_the_plugins_is_newer() -> None:
    ended = oldest(PLUGINS)
    assert ended.returncode == 0, ended.stdout


def oldest(place: Path) -> subprocess.CompletedProcess[str]:
    """Run the tool that `make lint` runs."""
    command = Path(sys.executable).with_name("vermin")
    return subprocess.run(
        [command, "--target=3.9-", "--violations", "--no-tips", str(place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


# Names of classes, and the built-in ones that unions are made of.
CLASS = re.compile(r"[A-Z]\w*[a-z]\w*|bool|bytes|dict|float|int|list|object|set|str|tuple|type")


def unions(source: str) -> list[int]:
    """Return the lines of unions that are evaluated: `X | Y` outside an annotation."""
    tree = ast.parse(source)
    annotations = set()
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if getattr(node, name, None) is not None:
                annotations |= set(ast.walk(getattr(node, name)))

    def is_class(node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return node.value is None
        last = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        return bool(CLASS.fullmatch(last))

    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.BitOr)
        and node not in annotations
        and (is_class(node.left) or is_class(node.right))
    ]


def test_no_union_is_evaluated() -> None:
    """Vermin takes those in annotations for evaluated ones."""
    found = {path: unions(path.read_text(encoding="utf-8")) for path in PLUGINS.rglob("*.py")}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("X = int | None", 1),
        ("X = ipaddress.IPv4Address | ipaddress.IPv6Address", 1),
        ("if isinstance(x, str | bytes): pass", 1),
        ("y = cast(dict[str, int] | None, x)", 1),
        ("def f(x: int | None = None) -> str | None:\n    y: int | str = 1", 0),
        ("flags = os.O_RDONLY | os.O_NOFOLLOW\nall |= other | {1}", 0),
    ],
)
def test_evaluated_unions_are_found(source: str, count: int) -> None:
    assert len(unions(source)) == count
