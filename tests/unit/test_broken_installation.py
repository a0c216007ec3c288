"""A broken installation: one line with cause and remedy and exit code 3, no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import launch
from ansible_collections.chefwell.resilience.plugins.module_utils.preflight import host_problems
from ansible_collections.chefwell.resilience.plugins.module_utils.server import server_setup
from ansible_collections.chefwell.resilience.plugins.modules import stage_install

ENGINE, ENGINE_NAME = Path(launch.__file__).parent, "chefwell_resilience"
MONITOR, RECOVERY = ("host_cli", "monitor-disk-space"), ("host_cli", "disaster-recovery")
GATE = ("server.gate", "--allow", "write")
PYTHON = (sys.executable, "-E")
# Without the folders where libraries are installed.
BARE = (*PYTHON, "-S", "-s")


class Kit:
    """The engine as it is installed on a host, to be broken: files linked from a whole one."""

    def __init__(self, whole: Path, root: Path) -> None:
        self.root = root
        shutil.copytree(whole, root / ENGINE_NAME, copy_function=os.link)

    def file(self, name: str) -> Path:
        return self.root / ENGINE_NAME / name

    def write(self, name: str, content: bytes) -> None:
        self.file(name).unlink()
        self.file(name).write_bytes(content)

    def half(self, name: str) -> None:
        content = self.file(name).read_bytes()
        self.write(name, content[: len(content) // 2] + b"\n(((")

    def cut(self, name: str) -> None:
        """About half of a file, which is still Python."""
        lines = self.file(name).read_text().splitlines(keepends=True)
        del lines[len(lines) // 2 :]
        while not _compiles("".join(lines)):
            del lines[-1]
        self.write(name, "".join(lines).encode())

    def beside(self, name: str, text: str) -> None:
        """A module that is found before all others."""
        (self.root / name).write_text(text)

    def run(self, given: tuple[str, ...], python: tuple[str, ...] = PYTHON, **env: str) -> Any:
        config = self.root / "config.json"
        config.write_text('{"paths": ["/"], "state_dir": "%s"}' % self.root)  # noqa: UP031
        return subprocess.run(
            [*python, str(self.file("launch.py")), *given, "--config", str(config)],
            env={"PATH": os.environ["PATH"], **env},
            capture_output=True,
            text=True,
            cwd="/",
            timeout=60,
            check=False,
        )


def _compiles(text: str) -> bool:
    try:
        compile(text, "cut.py", "exec")
    except SyntaxError:
        return False
    return True


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole") / ENGINE_NAME
    shutil.copytree(ENGINE, place, ignore=shutil.ignore_patterns("__pycache__", "*.po"))
    for given in (MONITOR, RECOVERY):
        subprocess.run([*PYTHON, place / "launch.py", *given, "--help"], check=True)
    return place


@pytest.fixture
def kit(whole: Path, tmp_path: Path) -> Kit:
    return Kit(whole, tmp_path)


def damage_the_cache(kit: Kit) -> None:
    (path,) = kit.file("common/__pycache__").glob("errors.*.pyc")
    kit.write(str(path), path.read_bytes()[:40])


class Case(NamedTuple):
    """How an installation is broken, what is run then, and what its one line holds."""

    damage: Callable[[Kit], object]
    given: tuple[str, ...]
    expected: tuple[str, ...]
    python: tuple[str, ...] = PYTHON


AGAIN = "run the stage's playbook again"
CASES = {
    "a file of the engine is missing": Case(
        lambda kit: kit.file("recovery/recovery.py").unlink(), RECOVERY, ("broken", AGAIN)
    ),
    "a folder of the engine is missing": Case(
        lambda kit: shutil.rmtree(kit.file("disk")), MONITOR, ("broken", ".disk'", AGAIN)
    ),
    "the entry point is missing": Case(
        lambda kit: kit.file("host_cli.py").unlink(), RECOVERY, ("broken", "host_cli", AGAIN)
    ),
    "a file is half-written": Case(
        lambda kit: kit.half("recovery/recovery_switch.py"), RECOVERY, ("broken", AGAIN)
    ),
    "a file is empty": Case(
        lambda kit: kit.write("host_cli.py", b""), RECOVERY, ("broken", "main", AGAIN)
    ),
    "a file is full of zeros": Case(
        lambda kit: kit.write("server/gate.py", bytes(4096)), GATE, ("broken", AGAIN)
    ),
    "a file of the supervisor's child is half-written": Case(
        lambda kit: kit.half("disk/disk_check.py"), MONITOR, ("broken", "disk_check.py", AGAIN)
    ),
    "a file is cut off where one statement ends": Case(
        lambda kit: kit.cut("disk/usage.py"), MONITOR, (AGAIN,)
    ),
    "the supervisor is half-written": Case(
        lambda kit: kit.half("commands/supervisor.py"), MONITOR, ("broken", AGAIN)
    ),
    "what describes errors is missing, too": Case(
        lambda kit: shutil.rmtree(kit.file("common")), RECOVERY, ("broken", "common", AGAIN)
    ),
    "a library is missing": Case(
        lambda kit: None, MONITOR, ("psutil", "python3-psutil", sys.executable), BARE
    ),
    "a library is half-written": Case(
        lambda kit: kit.beside("psutil.py", "import os\ndef f(:\n"),
        MONITOR,
        ("psutil", "SyntaxError", sys.executable),
    ),
    "a library of all commands is half-written": Case(
        lambda kit: kit.beside("argparse.py", "class HelpFormatter(\n"),
        RECOVERY,
        ("library", "argparse.py", "install"),
    ),
    "a part of Python itself is missing": Case(
        lambda kit: kit.beside("argparse.py", "import _ctypes_of_nobody, argparse_of_nobody\n"),
        RECOVERY,
        ("_ctypes_of_nobody", "install"),
    ),
    "the cache of compiled code is damaged": Case(
        damage_the_cache, RECOVERY, ("cache", "__pycache__", "find ")
    ),
    "a signal comes while it is loaded": Case(
        lambda kit: kit.beside("argparse.py", "import os, signal\nos.kill(os.getpid(), 2)\n"),
        RECOVERY,
        ("stopped before the end",),
    ),
}


def one_line(ended: Any) -> str:
    assert ended.returncode == 3, ended
    assert "Traceback" not in ended.stdout + ended.stderr, ended.stderr
    (line,) = ended.stderr.splitlines()
    return str(line)


@pytest.mark.parametrize("what", CASES)
def test_it_is_one_line_with_its_remedy(kit: Kit, what: str) -> None:
    case = CASES[what]
    case.damage(kit)
    line = one_line(kit.run(case.given, case.python))
    assert line.startswith(f"{case.given[1]}: "), line
    for expected in case.expected:
        assert expected in line, line


def test_a_damaged_zip_of_a_library(kit: Kit) -> None:
    archive = kit.root / "library.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("psutil.py", "".join(f"value_{n} = {n * 7919}\n" for n in range(400)))
    content = archive.read_bytes()
    archive.write_bytes(content[:60] + bytes(600) + content[660:])
    line = one_line(kit.run(MONITOR, (sys.executable,), PYTHONPATH=str(archive)))
    assert "psutil" in line and "python3-psutil" in line, line


def test_without_a_program(kit: Kit) -> None:
    ended = subprocess.run(
        [*PYTHON, str(kit.file("launch.py"))], capture_output=True, text=True, check=False
    )
    assert one_line(ended).startswith("launch.py: usage: ")


def test_a_monitoring_system_reads_it_too(kit: Kit) -> None:
    kit.half("disk/disk_check.py")
    ended = kit.run((*MONITOR, "--nagios"))
    assert ended.returncode == 3 and ended.stdout.startswith("UNKNOWN - the installation is broken")


def test_with_the_traceback_where_it_is_requested(kit: Kit) -> None:
    kit.half("recovery/recovery.py")
    ended = kit.run(RECOVERY, RESILIENCE_DEBUG="1")
    assert ended.returncode == 3 and ended.stderr.startswith("Traceback")
    assert ended.stderr.splitlines()[-1].startswith("disaster-recovery: the installation is broken")


OLD = sorted(Path("~/.pyenv/versions").expanduser().glob("3.[5678].*/bin/python"))
PRETENDED = "import runpy, sys; sys.version_info = (3, 8, 2, 'final', 0); del sys.argv[0];"
PRETENDED += "runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.mark.parametrize("python", [(sys.executable, "-c", PRETENDED), *((str(p),) for p in OLD)])
@pytest.mark.parametrize("given", [MONITOR, RECOVERY, GATE])
def test_a_python_that_is_too_old(
    kit: Kit, python: tuple[str, ...], given: tuple[str, ...]
) -> None:
    """In whatever encoding its locale has: it does not start itself again and again."""
    line = one_line(kit.run(given, python, LC_ALL="C"))
    assert line.startswith(f"{given[1]}: ")
    assert "is Python 3." in line and "3.9 or newer" in line and "host_kit_python" in line


def test_the_oldest_python_stands_in_two_places_alike() -> None:
    """`launch.py` can import nothing before it has looked at the version."""
    assert launch.OLDEST == host_problems.OLDEST


LAUNCHERS: dict[str, Callable[[Path, str], str]] = {
    "a stage's": lambda root, python: stage_install.launcher(
        {"lib_dir": str(root), "python": python, "config_file": "/none"}, "disaster-recovery"
    ),
    "the gate's": lambda root, python: server_setup.scripts(str(root), python)["gate.sh"],
    "the server job's": lambda root, python: server_setup.scripts(str(root), python)[
        "keep-offsite-copy.sh"
    ],
}


def _in_the_middle(source: bytes, text: bytes) -> bytes:
    half = len(source) // 2
    return source[:half] + text + source[half + len(text) :]


SOURCE = (ENGINE / "launch.py").read_bytes()
DAMAGED = {
    "no engine": None,
    "an empty file": b"",
    "cut in its middle": SOURCE[: len(SOURCE) // 2],
    "cut where a statement ends": SOURCE[: SOURCE.index(b"def main()")],
    "without its last line": SOURCE[: SOURCE.rindex(b"if __name__")],
    "another text in its middle": _in_the_middle(SOURCE, b"\n(((\xff"),
    "zeros in its middle": _in_the_middle(SOURCE, bytes(512)),
    "zeros": bytes(len(SOURCE)),
    "a name that is not there": SOURCE.replace(b"import os", b"import so"),
}


def run_script(text: str, *given: str) -> Any:
    return subprocess.run(
        ["/bin/sh", "-c", text, "name", "client", "write", *given],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("which", LAUNCHERS)
@pytest.mark.parametrize("how", ["no Python", *DAMAGED])
def test_a_launcher_without_what_it_launches(tmp_path: Path, which: str, how: str) -> None:
    engine = tmp_path / ENGINE_NAME / "launch.py"
    engine.parent.mkdir()
    content = DAMAGED.get(how, SOURCE)
    if content is not None:
        engine.write_bytes(content)
    python = str(tmp_path / "python3.9") if how == "no Python" else sys.executable
    line = one_line(run_script(LAUNCHERS[which](tmp_path, python)))
    assert "the installation is broken" in line and "playbook again" in line, line
    assert (python if how == "no Python" else str(engine)) in line


def test_a_monitoring_system_reads_of_a_damaged_launch_file_too(tmp_path: Path) -> None:
    (tmp_path / ENGINE_NAME).mkdir()
    (tmp_path / ENGINE_NAME / "launch.py").write_bytes(SOURCE[:-600])
    ended = run_script(LAUNCHERS["a stage's"](tmp_path, sys.executable), "--nagios")
    one_line(ended)
    assert ended.stdout.startswith("UNKNOWN - the installation is broken: ")


@pytest.mark.parametrize("python", OLD)
def test_an_old_python_reports_of_a_damaged_launch_file(tmp_path: Path, python: Path) -> None:
    (tmp_path / ENGINE_NAME).mkdir()
    (tmp_path / ENGINE_NAME / "launch.py").write_bytes(SOURCE[: len(SOURCE) // 2])
    assert "broken" in one_line(run_script(LAUNCHERS["a stage's"](tmp_path, str(python))))


@pytest.mark.parametrize("which", LAUNCHERS)
def test_a_launcher_that_was_cut_runs_nothing(tmp_path: Path, which: str) -> None:
    """Wherever it ends, from its first command on: a shell error, and nothing has begun."""
    (tmp_path / ENGINE_NAME).mkdir()
    (tmp_path / ENGINE_NAME / "launch.py").write_text("print('begun')\nraise SystemExit(0)\n")
    whole = LAUNCHERS[which](tmp_path, sys.executable)
    assert run_script(whole).stdout == "begun\n"
    for end in range(whole.index("\n{") + 2, len(whole) - 2, 40):
        ended = run_script(whole[:end])
        assert ended.returncode == 2 and not ended.stdout, (end, ended)
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
