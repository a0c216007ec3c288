"""Secrets are in no output, page, report, log, history, queued message or process list.


The backend repeats each request in its error, the address of the notifications is refused, and the
play prints all that it can: whatever comes from outside is masked before it is kept or shown.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import gzip
import html
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support.http_receiver import Receiver
from support.play_host import PlayHost
from support.repeated import repeated
from testbed import production
from testbed.services import free_port

# Each is written otherwise by JSON, HTML, a shell or an address.
PASSWORD = 'Ze"9<&>ü-kitchen-secret'
NOTIFY = "n0tify-s%20cret-4711"
TOKEN = "a1b2c3d4-ping-e5f6a7b8"
DATABASE = "pg'pass\\word-0815"
BACKEND = "jwt$signing#key-2342"
ECHO = """
import http.server, sys
class Backend(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print("refused:", body.decode(), flush=True)
        self.send_response(500); self.end_headers()
        self.wfile.write(b"cannot do this: " + body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Backend).serve_forever()
"""


def written(secret: str) -> set[str]:
    """A secret as a text, JSON, HTML, an address or base64 writes it."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(secret)[1:-1])[1:-1],
        html.escape(secret),
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode().rstrip("="),
    }


def leaks(text: str) -> list[str]:
    """The secrets that a text holds."""
    secrets = (PASSWORD, NOTIFY, TOKEN, DATABASE, BACKEND)
    return [one for secret in secrets for one in written(secret) if one in text]


@contextlib.contextmanager
def process_lists() -> Iterator[dict[str, str]]:
    """Arguments of every process that is seen meanwhile, by the secret that they hold."""
    found: dict[str, str] = {"samples": "0"}

    def look() -> None:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                arguments = file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                # The tests hand variables to ansible-playbook, as no owner does.
                if "ansible-playbook" not in arguments:
                    found.update({one: arguments for one in leaks(arguments)})
        found["samples"] = str(int(found["samples"]) + 1)

    with repeated(look, 0.02):
        yield found


@pytest.fixture
def dumps(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder with one small dump; the folder of PostgreSQL's programs."""
    folder = tmp_path / "dumps"
    folder.mkdir()
    (tmp_path / "server").mkdir()
    with production.alone(tmp_path / "server") as made:
        with contextlib.closing(made.connect("postgres")) as connection:
            connection.autocommit = True
            connection.cursor().execute("CREATE SCHEMA shop_north")
            connection.cursor().execute("CREATE TABLE shop_north.dishes (id int)")
        settings = made.settings
        dump = subprocess.run(
            [
                str(Path(settings["bin_dir"]) / "pg_dump"),
                *("-h", settings["host"], "-p", str(settings["port"])),
                *("-U", settings["user"], "postgres"),
            ],
            env={"PGPASSWORD": settings["password"]},
            capture_output=True,
            check=True,
        ).stdout
        name = f"bistro-{datetime.date.today():%Y-%m-%d}.sql.gz"
        (folder / name).write_bytes(gzip.compress(dump))
        yield folder, settings["bin_dir"]


def test_secrets_are_nowhere_but_in_configurations(
    dumps: tuple[Path, str], receiver: Receiver, tmp_path: Path
) -> None:
    folder, programs = dumps
    (tmp_path / "backend.py").write_text(ECHO)
    port = free_port()
    receiver.status = 503  # what cannot be delivered is queued
    root = tmp_path / "host"
    host = PlayHost(
        root,
        resilience_language="en",
        resilience_backup_path=f"{folder}/bistro-%Y-%m-%d.sql.gz",
        resilience_tenants={"prefix": "shop_", "query": ""},
        resilience_database={"host": "127.0.0.1", "dbname": "x", "password": DATABASE},
        resilience_notify=[f"json://cook:{quote(NOTIFY, safe='')}@127.0.0.1:{receiver.port}/"],
        resilience_ping_url=f"http://127.0.0.1:{receiver.port}/{TOKEN}/{{stage}}",
        staging_restore_engine="embedded",
        staging_restore_bin_dir=programs,
        staging_restore_backend_command=[sys.executable, f"{tmp_path}/backend.py", str(port)],
        staging_restore_backend_port=port,
        staging_restore_backend_env={"JWT_SECRET": BACKEND},
        staging_restore_api_users=[
            {"email": "cook@bistro.example", "password": PASSWORD, "schema": "shop_north"}
        ],
    )
    with process_lists() as seen:
        play = ("stage3_staging_restore.yml", "-vvv", "--diff")
        installed = host.run(*play, staging_restore_drill_now=False)
        run = host.run(*play)
        drill = host.command("test-restore-staging")
        status = host.command("test-restore-staging", "--json")
    assert installed.returncode == 0, installed.stdout[-3000:]
    assert run.returncode != 0 and "cannot do this: " in run.stdout, run.stdout[-3000:]
    assert "cannot do this: " in drill.stdout + drill.stderr + status.stdout
    for name, text in (
        ("the installation", installed.stdout + installed.stderr),
        ("the play", run.stdout + run.stderr),
        ("the page", drill.stdout + drill.stderr),
        ("JSON", status.stdout + status.stderr),
    ):
        assert leaks(text) == [], name
    assert int(seen.pop("samples")) > 50 and seen == {}

    # Whatever lies on the host but the configuration, which root alone reads.
    files = [path for path in root.rglob("*") if path.is_file() and "lib" not in path.parts]
    kinds = {path.suffix for path in files}
    assert kinds >= {".html", ".json", ".xml", ".log", ".sqlite3"}, kinds
    holders = {
        str(path.relative_to(root)): path.stat().st_mode & 0o077
        for path in files
        if leaks(path.read_bytes().decode("utf-8", "replace"))
    }
    assert set(holders) <= {"etc/staging.json"} and not any(holders.values()), holders
    # A refused message waits in the history, without its address.
    assert any(path.name.startswith("history.sqlite3") for path in files)
    sent = [body for _method, _path, body in receiver.requests]
    assert sent and [leaks(body) for body in sent if leaks(body)] == []
