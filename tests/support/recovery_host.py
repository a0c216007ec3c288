"""A host with the command `disaster-recovery`, and production on a server of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg2
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.common import interrupt
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery

from support.production_server import HOST, PRODUCTION, recovery_settings, run_sql

COMMAND = "/scripts/disaster-recovery.sh"


class RecoveryHost:
    """A host with the command, its configuration and production."""

    def __init__(self, server: Server, root: Path, dbname: str = PRODUCTION, **access: Any) -> None:
        self.server, self.root, self.dbname = server, root, dbname
        self.restored = recovery.dated_name(dbname, "recovered", "20251120_030000")
        settings = recovery_settings(server, root, dbname=dbname, **access)
        target = settings.target
        self.state = Path(settings.drill.state_dir)
        self.values: dict[str, Any] = {
            "engine": "embedded",
            "work_dir": settings.drill.staging.work_dir,
            "state_dir": settings.drill.state_dir,
            "bin_dir": target.bin_dir,
            "backup_path": str(root),
            "scripts_dir": "/scripts",
            "tenants": {"query": ""},
            "log_file": str(root / "log"),
            "language": "en",
            "recovery": {
                "host": target.host,
                "port": target.port,
                "user": target.user,
                "password": target.password,
                "dbname": target.dbname,
                "bin_dir": target.bin_dir,
                "seconds": 5,
                "stop_command": [str(self.script("stop"))],
                "start_command": [str(self.script("start"))],
            },
        }

    def make_databases(self) -> None:
        """Production, which holds `old`, and a validated database beside it, which holds `new`."""
        for name, whose in ((self.dbname, "old"), (self.restored, "new")):
            make_database(self.server, name, whose)
        text = f"{recovery.MARK}{recovery.VALIDATED}, from a.dump"
        comment = f"COMMENT ON DATABASE {quoted(self.restored)} IS '{text}'"
        run_sql(self.server, "postgres", comment)

    def databases(self) -> dict[str, str]:
        """Every database that holds content, and what it holds; empty where it is closed."""
        query = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        found = {}
        for (name,) in run_sql(self.server, "postgres", query):
            try:
                found[name] = run_sql(self.server, name, "SELECT whose FROM content")[0][0]
            except psycopg2.Error:
                found[name] = ""
        return found

    def drop_databases(self) -> None:
        for name in self.databases():
            drop = f"DROP DATABASE {quoted(name)} WITH (FORCE)"
            run_sql(self.server, "postgres", drop)

    def follow(self, lines: list[str], most: int = 5) -> list[str]:
        """Run what the last line says until nothing is left to do; return the last lines."""
        for _number in range(most):
            if lines[3] == "nothing needs to be done" or not lines[3].startswith(COMMAND):
                return lines
            _code, lines = self.run(*shlex.split(lines[3])[1:])
        raise AssertionError(f"it does not come to an end: {lines}")

    def script(self, name: str, then: str = "") -> Path:
        path = self.root / f"{name}.sh"
        path.write_text(f"#!/bin/sh\n{then}\n")
        path.chmod(0o755)
        return path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        config = self.root / "staging.json"
        config.write_text(json.dumps(self.values))
        collection = "ansible_collections.chefwell.resilience.plugins.module_utils"
        command = [sys.executable, "-m", f"{collection}.host_cli", "disaster-recovery"]
        return subprocess.Popen(
            [*command, *arguments, f"--config={config}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def run(self, *arguments: str) -> tuple[int, list[str]]:
        """Run the command here; return its exit code and the last four lines that people see."""
        code, output, errors = self.run_whole(*arguments)
        return code, last_lines(output, errors)

    def run_whole(self, *arguments: str) -> tuple[int, str, str]:
        config = self.root / "staging.json"
        config.write_text(json.dumps(self.values))
        output, errors = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in interrupt.SIGNALS}
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
                code = host_cli.main(["disaster-recovery", *arguments, f"--config={config}"])
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return code, output.getvalue(), errors.getvalue()

    def begin_switch(self) -> None:
        """Begin a switch that dies while the application stops."""
        self.begin("--switch", self.restored, "--confirm", HOST)

    def begin(self, *arguments: str) -> None:
        """Run the command until it stops the application, and kill it then."""
        pid = os.fork()
        if pid == 0:
            self.script("stop", f"kill -9 {os.getpid()}")
            with contextlib.suppress(BaseException):
                self.run_whole(*arguments)
            os._exit(0)
        os.waitpid(pid, 0)
        self.script("stop")


def last_lines(output: str, errors: str) -> list[str]:
    assert "Traceback" not in output + errors, output + errors
    text = output if "▶" in output else errors
    found = re.search(
        r"^▶ Serves: (.+)\n▶ Kept: (.+)\n▶ Stopped: (.+)\n▶ Next: (.+)\n\Z", text, re.MULTILINE
    )
    assert found, (output, errors)
    return list(found.groups())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def make_database(server: Server, name: str, whose: str) -> None:
    run_sql(server, "postgres", f"CREATE DATABASE {quoted(name)}")
    run_sql(server, name, f"CREATE TABLE content AS SELECT '{whose}'::text AS whose")
