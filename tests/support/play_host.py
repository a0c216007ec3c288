"""This machine as a managed host, with every path of the plan moved under one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.ansible_run import COLLECTIONS, recap, run_playbook


class PlayHost:
    """A host on which playbooks are run, and whose commands are run as cron would.

    Args:
        root: the folder.
        inventory: hosts, each followed by a comma.
        variables: of the roles, in addition to these paths or instead of them.
    """

    def __init__(self, root: Path, *, inventory: str = "localhost,", **variables: object) -> None:
        self.root = root
        self.inventory = inventory
        self.scripts = root / "scripts"
        self.variables = {
            "resilience_hosts": "localhost",
            "resilience_become": False,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "host_kit_python": sys.executable,
            "host_kit_lib_dir": str(root / "lib"),
            "host_kit_config_dir": str(root / "etc"),
            "host_kit_state_dir": str(root / "state"),
            "host_kit_scripts_dir": str(self.scripts),
            "disk_monitor_log_file": str(root / "disk.log"),
            "disk_monitor_logrotate_file": str(root / "logrotate.d" / "disk-monitor"),
            "disk_monitor_fallback_dir": str(root / "run"),
            "offsite_backup_key_file": str(root / "ssh" / "chefwell_backup"),
            "offsite_backup_log_file": str(root / "offsite-sync.log"),
            "offsite_backup_logrotate_file": str(root / "logrotate.d" / "offsite-backup"),
            "staging_restore_dir": str(root / "staging"),
            "staging_restore_work_dir": str(root / "work"),
            "staging_restore_log_file": str(root / "staging.log"),
            "staging_restore_logrotate_file": str(root / "logrotate.d" / "staging-restore"),
            "staging_restore_report_dir": str(root / "reports"),
            "staging_restore_runbook": str(root / "DISASTER-RECOVERY-PLAYBOOK.md"),
            **variables,
        }

    def run(
        self,
        playbook: str,
        *arguments: str,
        collections: Path = COLLECTIONS,
        **variables: object,
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook with more variables: by file name, or by full name as installed."""
        return run_playbook(
            playbook,
            *arguments,
            variables={**self.variables, **variables},
            inventory=self.inventory,
            collections=collections,
        )

    def play(self, playbook: str, *arguments: str, **variables: object) -> dict[str, int]:
        """Run a playbook, which must succeed; return the counts of its recap."""
        run = self.run(playbook, *arguments, **variables)
        assert run.returncode == 0, run.stdout + run.stderr
        return recap(run.stdout)

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an installed command with cron's environment: no PATH, no locale."""
        return subprocess.run(
            [str(self.scripts / f"{name}.sh"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={},
        )
