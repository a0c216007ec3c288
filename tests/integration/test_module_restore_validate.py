"""The module restore_validate, called by Ansible over a real database and a real backend."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from support.ansible_run import run_module
from testbed import Testbed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def options(bed: Testbed) -> dict[str, Any]:
    """Production stands for staging: the module only reads, and what it holds is in the backup."""
    server = bed.record["postgres"]
    return {
        "backup": str(bed.back_up()),
        "bin_dir": server["bin_dir"],
        "login_host": server["host"],
        "login_port": server["port"],
        "login_user": server["user"],
        "login_password": server["password"],
        "login_db": server["dbname"],
        "tenant_query": "SELECT schema_name FROM public.companies",
        "api_url": bed.record["backend"]["url"],
        "api_users": bed.record["users"],
    }


call = functools.partial(run_module, "restore_validate")


def test_a_whole_database_passes_and_nothing_changes(options: dict[str, Any], bed: Testbed) -> None:
    result = call(**options, fail_on="failed")
    assert not result["failed"] and result["changed"] is False, result["output"]
    assert (result["failed_checks"], result["totals"]["schemas"]) == (0, 3)
    assert result["totals"]["tables"] == 18
    by_id = {check["id"]: check for check in result["checks"]}
    assert by_id["api_login"]["evidence"].startswith("2/2 users")
    assert [one["id"] for one in result["api"]][:2] == ["login", "products"]
    # Nothing that was given in confidence comes back.
    for secret in (options["login_password"], bed.record["users"][0]["password"]):
        assert secret not in result["output"]


def test_check_mode_runs_the_same_checks(options: dict[str, Any]) -> None:
    result = call("--check", **{**options, "api_url": ""})
    assert not result["failed"] and result["passed_checks"] > 10 and result["skipped_checks"] == 5


def test_a_finding_fails_the_task_only_if_configured(options: dict[str, Any], bed: Testbed) -> None:
    connection = bed.connect()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexdef FROM pg_indexes WHERE indexname = 'products_category_id_idx'"
        )
        row = cursor.fetchone() or pytest.fail("the testbed has no such index")
        cursor.execute("DROP INDEX tenant_chefwell.products_category_id_idx")
        try:
            reported = call(**options)
            fatal = call(**options, fail_on="failed")
        finally:
            cursor.execute(row[0])
    connection.close()
    assert not reported["failed"] and reported["failed_checks"] >= 1
    assert fatal["failed"] and "tenant_chefwell.products_category_id_idx is missing" in fatal["msg"]
    bad = {check["id"] for check in fatal["checks"] if check["status"] == "failed"}
    assert "indexes" in bad


def test_a_skipped_check_is_no_pass(options: dict[str, Any]) -> None:
    bare = {**options, "api_url": ""}
    assert not call(**bare, fail_on="failed")["failed"]
    strict = call(**bare, fail_on="not_pass")
    assert strict["failed"] and "api_login" in strict["msg"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"login_password": "wrong"}, "the restored database cannot be connected to"),
        ({"login_db": "nowhere"}, "the restored database cannot be connected to"),
        ({"backup": "/nowhere.dump"}, "the backup cannot be read"),
        ({"bin_dir": "/nowhere"}, "the folder lacks PostgreSQL's"),
        ({"api_steps": [{"id": "login"}]}, "lacks id or path"),
    ],
)
def test_bad_input_is_one_clear_error(
    options: dict[str, Any], change: dict[str, Any], expected: str
) -> None:
    result = call(**{**options, **change})
    assert result["failed"] and expected in result["msg"], result["output"]
    assert "Traceback" not in result["output"]


def test_psycopg2_is_named_when_it_is_missing(options: dict[str, Any], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    python = {"ansible_python_interpreter": str(bare / "bin" / "python")}
    result = call("-e", json.dumps(python), **options)
    assert result["failed"] and "psycopg2" in result["msg"]
    assert psycopg2.__name__ == "psycopg2"
