"""The testbed is what the tests that use it take it for."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from support.page_data import STORE_ROWS
from testbed import Testbed, backup_tree
from testbed.engine import ResilienceError

TENANTS = 3


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="chefwell-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def query(bed: Testbed, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(bed.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def call(
    url: str, body: object = None, token: str = "", method: str | None = None
) -> tuple[int, Any]:
    request = urllib.request.Request(
        url,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            status, content = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, content = error.code, error.read()
    return status, json.loads(content)


def log_in(bed: Testbed, url: str = "", user: int = 0) -> str:
    who = bed.record["users"][user]
    status, response = call(
        f"{url or bed.record['backend']['url']}/api/auth/login",
        {"email": who["email"], "password": who["password"]},
    )
    assert status == 200
    return str(response["token"])


def digest(bed: Testbed) -> str:
    """Over every row of every table."""
    tables = query(
        bed,
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname = 'public' OR schemaname LIKE 'tenant%' ORDER BY 1",
    )
    assert len(tables) == 2 + 8 * bed.record["tenants"]
    rows = [query(bed, f"SELECT t::text FROM {table} t ORDER BY id") for (table,) in tables]
    return hashlib.md5(repr(rows).encode()).hexdigest()


def test_the_database_has_what_the_plans_report_shows(bed: Testbed) -> None:
    tenants = [user["schema"] for user in bed.record["users"]]
    assert len(tenants) == len(set(tenants)) == TENANTS
    counts = {
        name: query(bed, f"SELECT count(*) FROM tenant_chefwell.{name}")[0][0]
        for name in STORE_ROWS
    }
    assert counts == STORE_ROWS
    for tenant in tenants:
        ((indexes,),) = query(bed, f"SELECT count(*) FROM pg_indexes WHERE schemaname = '{tenant}'")
        kinds = dict(
            query(
                bed,
                "SELECT contype::text, count(*) FROM pg_constraint"
                f" WHERE connamespace = '{tenant}'::regnamespace GROUP BY 1",
            )
        )
        assert (kinds["f"], indexes, kinds["u"], kinds["p"]) == (9, 14, 2, 8)


def test_every_reference_holds_and_every_sequence_is_past_its_rows(bed: Testbed) -> None:
    keys = query(
        bed,
        "SELECT c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text"
        " FROM pg_constraint c JOIN pg_attribute a"
        " ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] WHERE contype = 'f'",
    )
    assert len(keys) == 9 * TENANTS + 1
    linked = 0
    for table, column, target in keys:
        ((orphans, links),) = query(
            bed,
            f"SELECT count(*) FILTER (WHERE t.id IS NULL), count(*) FROM {table} s"
            f" LEFT JOIN {target} t ON t.id = s.{column} WHERE s.{column} IS NOT NULL",
        )
        assert orphans == 0, (table, column)
        linked += links
    assert linked > 1000
    with contextlib.closing(bed.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenant_chefwell.customers (name, phone, address, created_at)"
            " VALUES ('x', '', '{}', now()) RETURNING id"
        )
        assert cursor.fetchone() == (22,)
        connection.rollback()


def test_the_backups_are_real_dumps_of_a_growing_database(bed: Testbed) -> None:
    expected = backup_tree.moments(datetime.datetime.now())
    found = {}
    for tier, count in (("daily", 7), ("weekly", 4), ("monthly", 3)):
        names = sorted(path.name for path in (bed.root / "backups" / tier).iterdir())
        assert names == sorted(backup_tree.file_name(moment) for moment in expected[tier])
        assert len(names) == count
        for moment in expected[tier]:
            path = bed.root / "backups" / tier / backup_tree.file_name(moment)
            assert path.stat().st_mtime == moment.timestamp()
            found[moment] = pg_restore(bed, path, "-l")
            assert found[moment].count(" TABLE DATA ") == 2 + 8 * TENANTS
    newest = bed.root / "backups" / "daily" / backup_tree.file_name(max(found))
    oldest = bed.root / "backups" / "monthly" / backup_tree.file_name(min(found))
    sales = [
        pg_restore(bed, path, "-a", "-n", "tenant_chefwell", "-t", "sales", "-f", "-")
        .partition("FROM stdin;\n")[2]
        .partition("\n\\.")[0]
        .count("\n")
        + 1
        for path in (oldest, newest)
    ]
    assert sales[0] < sales[1] == STORE_ROWS["sales"]


def pg_restore(bed: Testbed, path: Path, *arguments: str) -> str:
    program = Path(bed.record["postgres"]["bin_dir"]) / "pg_restore"
    with gzip.open(path) as packed:
        dump = packed.read()
    ended = subprocess.run([program, *arguments], input=dump, capture_output=True, check=True)
    return ended.stdout.decode()


@pytest.mark.parametrize(
    ("now", "daily", "weekly", "monthly"),
    [
        # A Sunday that is a first, after 3 o'clock and before it.
        ("2026-02-01 03:00", "2026-02-01", "2026-02-01", "2026-02-01"),
        ("2026-02-01 02:59", "2026-01-31", "2026-01-25", "2026-01-01"),
        ("2025-11-20 15:30", "2025-11-20", "2025-11-16", "2025-11-01"),
    ],
)
def test_dates_go_back_from_the_last_three_oclock(
    now: str, daily: str, weekly: str, monthly: str
) -> None:
    found = backup_tree.moments(datetime.datetime.fromisoformat(now))
    newest = {tier: f"{max(moments):%Y-%m-%d}" for tier, moments in found.items()}
    assert newest == {"daily": daily, "weekly": weekly, "monthly": monthly}
    assert {tier: len(moments) for tier, moments in found.items()} == {
        "daily": 7,
        "weekly": 4,
        "monthly": 3,
    }


def test_the_backend_shows_each_user_their_own_store(bed: Testbed) -> None:
    url = bed.record["backend"]["url"]
    wrong = {"email": bed.record["backend"]["admin_email"], "password": "admin124"}
    assert call(f"{url}/api/auth/login", wrong)[0] == 401
    assert call(f"{url}/api/auth/login", {"email": "nobody@x.example", "password": "x"})[0] == 401
    assert call(f"{url}/api/auth/login", {"email": 5})[0] == 400
    for number, user in enumerate(bed.record["users"]):
        token = log_in(bed, user=number)
        stats = call(f"{url}/api/dashboard/stats", token=token)[1]
        for table in ("products", "sales", "customers", "orders"):
            status, response = call(f"{url}/api/{table}", token=token)
            ((held,),) = query(bed, f"SELECT count(*) FROM {user['schema']}.{table}")
            assert status == 200
            assert response["total"] == len(response["data"]) == stats[table] == held > 0
        assert stats["revenue"] > 0
    assert call(f"{url}/api/products")[0] == 401
    assert call(f"{url}/api/products", token=token[:-2] + "xx")[0] == 401
    assert call(f"{url}/api/nothing", token=token)[0] == 404
    with urllib.request.urlopen(url, timeout=20) as page:
        assert page.status == 200 and b"<title>ChefWell</title>" in page.read()


def test_an_order_is_made_and_removed(bed: Testbed) -> None:
    url, token = f"{bed.record['backend']['url']}/api/orders", log_in(bed)
    status, order = call(url, {"product_id": 2, "quantity": 3, "note": "\0<b>sem</b>"}, token)
    assert status == 201 and order["quantity"] == 3 and order["note"] == "<b>sem</b>"
    assert call(url, token=token)[1]["total"] == STORE_ROWS["orders"] + 1
    assert call(f"{url}/{order['id']}", token=token, method="DELETE")[0] == 200
    assert call(f"{url}/{order['id']}", token=token, method="DELETE")[0] == 404
    assert call(url, {"product_id": 99999}, token)[0] == 404
    assert call(url, {"product_id": "1; --"}, token)[0] == 400
    assert call(url, token=token)[1]["total"] == STORE_ROWS["orders"]


def test_a_route_can_be_broken(bed: Testbed) -> None:
    broken = "/api/products:500,/api/sales:empty,/api/customers:wrong,/api/orders:slow"
    with bed.backend_with(BREAK_ROUTE=broken, BREAK_SECONDS="0.5") as url:
        token = log_in(bed, url)
        assert call(f"{url}/api/products", token=token)[0] == 500
        assert call(f"{url}/api/sales", token=token) == (200, {"data": [], "total": 0})
        customers = call(f"{url}/api/customers", token=token)[1]
        assert customers["total"] == len(customers["data"]) == STORE_ROWS["customers"] - 1
        started = time.monotonic()
        assert call(f"{url}/api/orders", token=token)[1]["total"] == STORE_ROWS["orders"]
        assert time.monotonic() - started >= 0.5
    with pytest.raises(urllib.error.URLError):
        call(f"{url}/health")


def test_a_missing_table_is_an_error_and_a_lost_connection_none(bed: Testbed) -> None:
    url, token = bed.record["backend"]["url"], log_in(bed, user=1)
    table = f"{bed.record['users'][1]['schema']}.expenses"
    with contextlib.closing(bed.connect()) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO away")
            assert call(f"{url}/api/expenses", token=token)[0] == 500
            cursor.execute(f"ALTER TABLE {table.replace('expenses', 'away')} RENAME TO expenses")
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = 'restaurante' AND pid <> pg_backend_pid()"
            )
    assert call(f"{url}/api/expenses", token=token)[0] == 200


def test_the_backend_takes_urls_of_prisma_and_of_sockets() -> None:
    from testbed.backend import libpq_url

    assert libpq_url("postgresql://u:p@h:5/d?schema=public") == "postgresql://u:p@h:5/d"
    assert (
        libpq_url("postgresql://postgres@/d?schema=public&host=/tmp/x&connection_limit=5")
        == "postgresql://postgres@/d?host=/tmp/x"
    )


def test_the_backup_script_adds_one_and_keeps_seven(bed: Testbed) -> None:
    daily = bed.root / "backups" / "daily"
    before = sorted(path.name for path in daily.iterdir())
    added = bed.back_up()
    after = sorted(path.name for path in daily.iterdir())
    assert after == [*before[1:], added.name]
    assert added.stat().st_mode & 0o777 == 0o600
    assert " TABLE DATA tenant_chefwell sales " in pg_restore(bed, added, "-l")


def test_a_sunday_that_is_a_first_goes_to_every_tier_once(bed: Testbed, tmp_path: Path) -> None:
    config = tmp_path / "other.env"
    text = Path(bed.record["backup_env"]).read_text()
    config.write_text(f"{text}BACKUP_DIR={tmp_path}/backups\n")
    date = tmp_path / "date"
    env = {**os.environ, "BACKUP_CONFIG": str(config), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    # February, March and November 2026 begin with a Sunday.
    for stamp in ("20260201_030000", "20260201_120000", "20260301_030000", "20261101_030000"):
        date.write_text(f"#!/bin/sh\n[ $1 = +%u ] && echo 7 || echo {stamp}\n")
        date.chmod(0o755)
        subprocess.run([bed.record["backup_script"]], env=env, check=True, capture_output=True)
    tiers = [sorted((tmp_path / "backups" / tier).iterdir()) for tier in backup_tree.TIERS]
    assert [len(tier) for tier in tiers] == [4, 3, 3]
    names = [path.name for path in tiers[1]]
    assert names == [path.name for path in tiers[2]] and "20260201_030000" in names[0]


def test_a_failed_backup_leaves_nothing(bed: Testbed, tmp_path: Path) -> None:
    daily = bed.root / "backups" / "daily"
    before = sorted(path.name for path in daily.iterdir())
    config = tmp_path / "other.env"
    text = Path(bed.record["backup_env"]).read_text()
    config.write_text(text + "PGDATABASE=nowhere\n")
    ended = subprocess.run(
        [bed.record["backup_script"]],
        env={**os.environ, "BACKUP_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "does not exist" in ended.stderr and "nothing was kept" in ended.stderr
    assert sorted(path.name for path in daily.iterdir()) == before


def test_the_password_is_on_no_command_line(bed: Testbed) -> None:
    password = bed.record["postgres"]["password"]
    assert not [one for one in psutil.process_iter(["cmdline"]) if password in str(one.info)]
    for name in ("passfile", "backup_env"):
        assert Path(bed.record[name]).stat().st_mode & 0o777 == 0o600
    assert (bed.root / "testbed.json").stat().st_mode & 0o777 == 0o600


def log_in_by_key(bed: Testbed, key: Path, command: str) -> subprocess.CompletedProcess[str]:
    server = bed.record["ssh"]
    known = key.with_name("known_hosts")
    known.write_text(server["host_key_line"] + "\n")
    return subprocess.run(
        [
            *("ssh", "-F", "none", "-i", str(key), "-p", str(server["port"])),
            *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
            *("-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"),
            *(f"{server['user']}@{server['host']}", command),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_backup_server_accepts_authorized_keys(bed: Testbed, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    refused = log_in_by_key(bed, key, "true")
    assert refused.returncode == 255 and "Permission denied" in refused.stderr
    public = key.with_suffix(".pub").read_text()
    bed.authorize(public)
    bed.authorize(public)
    assert Path(bed.record["ssh"]["authorized_keys"]).read_text() == public
    folder = bed.record["ssh"]["path"]
    accepted = log_in_by_key(bed, key, f"whoami; touch {folder}/here && ls {folder}")
    assert accepted.stdout.split() == [bed.record["ssh"]["user"], "here"], accepted.stderr


def test_up_again_changes_nothing_but_starts_what_has_ended(bed: Testbed) -> None:
    reported: list[str] = []
    status = bed.status()
    again = Testbed.up(bed.root, tenants=TENANTS, report=reported.append)
    assert again.status() == status and all(status.values())
    assert reported == ["is up already, nothing changed"]
    for name in ("backend", "postgres"):
        pid = status[name]
        assert pid
        os.kill(pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(pid)], timeout=10)
    assert again.status()["postgres"] is None
    again = Testbed.up(bed.root, tenants=TENANTS, report=reported.append)
    assert all(again.status().values()) and again.status()["sshd"] == status["sshd"]
    assert query(again, "SELECT count(*) FROM tenant_chefwell.sales") == [(STORE_ROWS["sales"],)]
    assert log_in(again)
    with pytest.raises(ResilienceError, match=f"tenants {TENANTS} is up there"):
        Testbed.up(bed.root, tenants=TENANTS + 1)


def test_the_same_seed_gives_the_same_rows_and_down_leaves_nothing(
    bed: Testbed, open_folder: Path
) -> None:
    (open_folder / "somebody's").write_text("stays")
    twin = Testbed.up(open_folder, tenants=TENANTS)
    try:
        assert digest(twin) == digest(bed)
        pids = [pid for pid in twin.status().values() if pid]
        assert len(pids) == 3 and not set(pids) & set(bed.status().values())
        children = [child for pid in pids for child in psutil.Process(pid).children(recursive=True)]
        assert children
    finally:
        twin.down()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert not [child for child in children if child.is_running()]
    assert_nothing_is_left(twin)
    assert [path.name for path in open_folder.iterdir()] == ["somebody's"]
    twin.down()
    assert all(bed.status().values())
    other = Testbed.up(open_folder, tenants=2, seed=2)
    try:
        assert [user["schema"] for user in other.record["users"]] != [
            user["schema"] for user in bed.record["users"][:2]
        ]
    finally:
        other.down()


def test_down_after_a_start_that_was_killed(open_folder: Path) -> None:
    root = open_folder / "bed"
    started = subprocess.Popen(
        [sys.executable, "-m", "testbed", "up", "--root", str(root), "--tenants", "40"],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with started:
        assert started.stderr
        # The database runs, its stores are being made.
        assert "PostgreSQL 16 on port" in started.stderr.readline()
        started.kill()
    half = Testbed.open(root)
    assert half and half.status()["postgres"] and not half.record["complete"]
    half.down()
    assert_nothing_is_left(half)
    assert not root.exists()


def test_a_container_whose_account_has_the_same_number_lives_on(open_folder: Path) -> None:
    """Accounts of a container are its own; their numbers may be those of accounts here."""
    bed = Testbed.up(open_folder / "bed", tenants=1)
    number = str(pwd.getpwnam(bed.record["ssh"]["user"]).pw_uid)
    as_account = ["setpriv", "--reuid", number, "--clear-groups", "sleep", "300"]
    apart = ["unshare", "--pid", "--fork", "--kill-child"]
    with (
        subprocess.Popen([*apart, *as_account]) as contained,
        subprocess.Popen(as_account) as own,
    ):
        deadline = time.monotonic() + 20
        inside = None
        while inside is None or inside.uids().real != int(number):
            assert time.monotonic() < deadline
            inside = next(iter(psutil.Process(contained.pid).children()), None)
            time.sleep(0.05)
        try:
            bed.down()
            assert own.wait(10) == -signal.SIGKILL
            assert inside.is_running() and inside.status() != psutil.STATUS_ZOMBIE
        finally:
            for one in (contained, own):
                one.kill()
    assert_nothing_is_left(bed)


def assert_nothing_is_left(bed: Testbed) -> None:
    assert not any(bed.status().values())
    own = [one for one in psutil.process_iter(["cmdline"]) if str(bed.root) in str(one.info)]
    assert not own
    server = bed.record["ssh"]
    if server["own_user"]:
        assert server["user"] not in {account.pw_name for account in pwd.getpwall()}
    assert not Path(server["home"]).exists()
    assert not (bed.root / "testbed.json").exists()


def test_a_folder_that_no_testbed_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    with pytest.raises(ResilienceError, match="which no testbed made"):
        Testbed.up(tmp_path, tenants=1)
    assert [path.name for path in tmp_path.iterdir()] == ["backups"]
