"""Write the demo inventory: what a user would write, with every path below one folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from testbed.services import answers, free_port

from .layout import Layout

HOST = "chefwell"
SERVER = "backup_server"
BACKEND_PORT = 3001
# Folders that every host has.
ALWAYS_THERE = ("etc/logrotate.d", "run", "root", "usr/local/lib", "var/lib", "var/log")


def write(layout: Layout, record: dict[str, Any], language: str) -> None:
    """Write the inventory and its variables.

    Args:
        layout: where.
        record: of the testbed, from its `testbed.json`.
        language: `pt_BR` or `en`.
    """
    for folder in ALWAYS_THERE:
        (layout.host / folder).mkdir(parents=True, exist_ok=True)
    group_vars = layout.inventory.parent / "group_vars"
    group_vars.mkdir(parents=True, exist_ok=True)
    _write(layout.inventory, [("Production, and the server that takes the copies.", _hosts())])
    _write(group_vars / "all.yml", [("Both are this machine.", _everywhere())])
    _write(group_vars / "production.yml", _production(layout, record, language))


def _hosts() -> dict[str, Any]:
    return {
        "production": {"hosts": {HOST: None}},
        "backup_servers": {"hosts": {SERVER: None}},
    }


def _everywhere() -> dict[str, Any]:
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "resilience_become": False,
    }


def _production(
    layout: Layout, record: dict[str, Any], language: str
) -> list[tuple[str, dict[str, Any]]]:
    host, log = layout.host, layout.host / "var/log"
    postgres, server, backend = record["postgres"], record["ssh"], record["backend"]
    return [
        (
            "The engine on the host; on a real host the defaults are these paths without .../host.",
            {
                "host_kit_python": sys.executable,
                "host_kit_lib_dir": str(host / "usr/local/lib/chefwell-resilience"),
                "host_kit_config_dir": str(layout.config),
                "host_kit_state_dir": str(layout.state),
                "host_kit_scripts_dir": str(layout.scripts),
            },
        ),
        (
            "What all stages share.",
            {
                "resilience_language": language,
                "resilience_backup_path": record["backups"],
                "resilience_database": {
                    name: postgres[name] for name in ("host", "port", "dbname")
                },
                "resilience_fallback_dir": str(host / "run/chefwell-resilience"),
                # The server is in the inventory, so its host key is read there.
                "resilience_offsite": {
                    "inventory_host": SERVER,
                    "host": server["host"],
                    "port": server["port"],
                    "user": server["user"],
                    "path": server["path"],
                    "authorized_keys": server["authorized_keys"],
                    "host_key_file": server["host_key_file"],
                    # Owned by root on the server; the account may read it only.
                    "server_kit_dir": str(Path(server["outside"] or layout.root) / "server-kit"),
                },
            },
        ),
        (
            "Stage 1: the disk monitor.",
            {
                "disk_monitor_log_file": str(log / "chefwell-disk-monitor.log"),
                "disk_monitor_logrotate_file": str(host / "etc/logrotate.d/chefwell-disk-monitor"),
                # The filesystem that a drill fills: of a private PostgreSQL here, not of Docker.
                "disk_monitor_drill_path": str(host / "var/lib"),
            },
        ),
        (
            "Stage 2: the offsite copy.",
            {
                "offsite_backup_key_file": str(host / "root/.ssh/chefwell_backup"),
                "offsite_backup_log_file": str(log / "chefwell-offsite-sync.log"),
                "offsite_backup_logrotate_file": str(
                    host / "etc/logrotate.d/chefwell-offsite-sync"
                ),
            },
        ),
        (
            "Stage 3: the restore drill.",
            {
                "staging_restore_engine": "embedded",
                "staging_restore_dir": str(host / "root/restaurante/staging"),
                "staging_restore_work_dir": str(layout.state / "staging"),
                "staging_restore_bin_dir": postgres["bin_dir"],
                "staging_restore_backend_command": [backend["python"], backend["script"]],
                "staging_restore_backend_env": {"JWT_SECRET": "staging-only"},
                "staging_restore_backend_port": _backend_port(layout),
                "staging_restore_api_users": record["users"],
                "staging_restore_log_file": str(log / "chefwell-staging-restore.log"),
                "staging_restore_report_dir": str(layout.state / "drill"),
                "staging_restore_logrotate_file": str(
                    host / "etc/logrotate.d/chefwell-staging-restore"
                ),
                "staging_restore_runbook": str(
                    host / "root/restaurante/DISASTER-RECOVERY-PLAYBOOK.md"
                ),
            },
        ),
    ]


def _backend_port(layout: Layout) -> int:
    """Return the plan's port, or, if it is taken, the port of the run before or a free one."""
    if not answers(BACKEND_PORT):
        return BACKEND_PORT
    try:
        before = json.loads((layout.config / "staging.json").read_text(encoding="utf-8"))
        port = int(before["backend_port"])
    except (OSError, ValueError, KeyError):
        return free_port()
    return free_port() if answers(port) else port


def _write(path: Path, sections: list[tuple[str, dict[str, Any]]]) -> None:
    text = "---\n" + "\n".join(
        f"# {about}\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}"
        for about, values in sections
    )
    # It holds the passwords of the users who log in to staging.
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
