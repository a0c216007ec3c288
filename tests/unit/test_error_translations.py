"""Errors of a run are in the page's language: every one of them is a message."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.messages import translate
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import (
    backend_process,
    staging,
    staging_state,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.docker_engine import (
    DockerEngine,
)

ENGINE = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
ROOMS = ("staging", "drill", "database", "backup", "proof", "recovery")
FILES = (
    "disk/mounts.py",
    "history/history_file.py",
    "notifications/metrics.py",
    "offsite/offsite_fetch.py",
    "offsite/remote_listing.py",
    "offsite/transport_gate.py",
    "offsite/transport_rclone.py",
    "pages/status_file.py",
    "server/server_store.py",
    "validation/restore_validation.py",
)
# They find fault with the configuration, in English as its keys are, before there is any page; are
# of the checkpoint, which has pages of its own; or of the runbook, whose problems are no drill's.
ELSEWHERE = {
    ("staging.py", "__post_init__"),
    ("staging.py", "from_mapping"),
    ("docker_services.py", ""),
    ("metrics.py", "validate_path"),
    ("transport_rclone.py", "__post_init__"),
    ("runbook.py", ""),
}


def errors() -> Iterator[tuple[str, ast.Call]]:
    """Each error that a run can end with: where, and how."""
    paths = [path for room in ROOMS for path in (ENGINE / room).glob("*.py")]
    for path in sorted([*paths, *(ENGINE / name for name in FILES)]):
        if (path.name, "") in ELSEWHERE:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        exempt = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and (path.name, function.name) in ELSEWHERE
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            error = node.func.id in ("ResilienceError", "BackupError", "WrongCopy")
            if error and id(node) not in exempt:
                yield f"{path.name}:{node.lineno}", node


def test_no_error_of_a_run_is_plain_text() -> None:
    plain = []
    for where, call in errors():
        shown = [*call.args[:1], *(one.value for one in call.keywords if one.arg == "remedy")]
        plain += [where for text in shown if isinstance(text, (ast.Constant, ast.JoinedStr))]
    assert plain == []


@pytest.mark.parametrize("problem", ["docker", "port", "programs", "folder"])
def test_frequent_errors_are_in_the_owners_language(tmp_path: Path, problem: str) -> None:
    """Caused for real; the others are held by the test before."""
    with pytest.raises(ResilienceError) as raised:
        if problem == "docker":
            DockerEngine(f"unix://{tmp_path}/no.sock").ping()
        elif problem == "port":
            with backend_process.socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
                backend_process.require_free_port(port, "backend_port", "x")
        elif problem == "programs":
            postgres.find_binaries(str(tmp_path))
        else:
            (tmp_path / "file").write_text("")
            with staging_state.locked(
                staging.StagingSettings("embedded", str(tmp_path / "file" / "work"))
            ):
                pass
    english, text = str(raised.value), translate(translations("pt_BR"), raised.value.message())
    expected = {
        "docker": "o Docker não responde",
        "port": "a porta não está livre",
        "programs": "na pasta faltam programas do PostgreSQL",
        "folder": "a pasta de trabalho não pode ser usada",
    }
    assert text != english and expected[problem] in text, text
    remedy = translate(translations("pt_BR"), raised.value.remedy)
    assert remedy in text and remedy != raised.value.remedy


def test_no_problem_that_a_run_reports_is_plain_text() -> None:
    """They are printed to standard error, in the owner's language."""
    plain = []
    for room in ("commands", "disk", "drill", "notifications", "offsite", "pages", "server"):
        for path in sorted((ENGINE / room).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith(
                    ("problems.append", "problems.insert", "warn_problems")
                ):
                    continue
                if any(isinstance(one, (ast.Constant, ast.JoinedStr)) for one in node.args[-1:]):
                    plain.append(f"{path.name}:{node.lineno}")
    assert plain == []
