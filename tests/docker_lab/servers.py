"""The two servers of the plan as containers: production's host, and the backup server.

Production's host is in the engine's own network, so that published ports are its own, and its
Docker is that engine. Names are mapped in its own `/etc/hosts`. Ansible reaches both by ssh, as
root.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testbed import backup_tree, sample
from testbed.engine import ResilienceError

from . import images, instance_ssh
from .engine import OWNERS, Engine
from .swarm import NAMES, Swarm

ROOT = Path(__file__).resolve().parents[2]
HOST, BACKUP = "producao", "backup.server.com"
BACKUP_USER, BACKUP_PATH = "backupuser", "/backups/chefwell"
SCRIPTS = "/root/restaurante/scripts"
# Cron lines of the owner, which must be there afterwards.
OWN_CRON = ("0 3 * * * /root/restaurante/scripts/backup-database.sh", "15 2 * * 0 /usr/bin/true")
# Folders in which a stage could leave something.
PLACES = (
    "/etc",
    "/root",
    OWNERS,
    "/usr/local",
    "/var/lib",
    "/var/log",
    "/var/spool",
    "/opt",
    "/home",
)
# Files that change by themselves, or by being read.
PASSING = (
    r"^/root/\.ansible|__pycache__|^/var/log/(lastlog|wtmp|btmp|faillog)|^/etc/(mtab|hosts) "
    # The client's own memory of what it built; and cron's table, which begins with the time of its
    # writing: what is in it is compared below.
    r"|^/root/\.docker"
)


@dataclasses.dataclass(frozen=True)
class Ended:
    """The outcome of a command on a server."""

    code: int
    output: str
    errors: str = ""


class Server:
    """A container that acts as a server."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    def sh(self, script: str, seconds: float = 300, **environment: str) -> Ended:
        """Run a script as root in a shell of its own; the code is 124 if it takes too long."""
        given = [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]
        command = ["docker", "exec", "--workdir", "/root", *given, self.name, "bash", "-c", script]
        try:
            ended = subprocess.run(
                command,
                env=self.engine.environment,
                capture_output=True,
                text=True,
                errors="backslashreplace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ended(124, "", f"took over {seconds:g} s")
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def must(self, script: str) -> str:
        """Run a script, which must succeed; return its output."""
        ended = self.sh(script)
        if ended.code != 0:
            raise ResilienceError(f"{script[:80]}: {ended.code}: {ended.errors[-500:]}")
        return ended.output

    def snapshot(self) -> dict[str, str]:
        """Files, texts, accounts, packages, cron tables, and what is in its Docker."""
        places = " ".join(PLACES)
        script = (
            f"find {places} -xdev ! -type d -printf '%p %y %m %u %s %l\\n'"
            f"; find {places} -xdev -type d -printf '%p %y %m %u\\n'"
            "; echo ==; crontab -l 2>/dev/null"
            "; for folder in /root/restaurante /root/.ssh /etc/cron.d; do"
            ' find "$folder" -type f -exec sha256sum {} +; done'
            "; echo ==; cat /etc/passwd /etc/group"
            "; echo ==; dpkg-query -W -f '${Package} ${Status}\\n'"
            "; echo ==; if docker info >/dev/null 2>&1; then for kind in 'volume ls -q'"
            " 'network ls -q --no-trunc' 'ps -aq --no-trunc' 'images -aq --no-trunc'"
            '; do docker $kind | sed "s/^/$kind /"; done; fi'
        )
        parts = self.must(script).split("==\n")
        state = dict(zip(("files", "texts", "accounts", "packages", "docker"), parts, strict=True))
        kept = (line for line in state["files"].splitlines() if not re.search(PASSING, line))
        return {**state, "files": "\n".join(kept)}


class Servers:
    """Production's host with backups and an owner's things, and the backup server."""

    def __init__(self, swarm: Swarm, folder: Path) -> None:
        self.swarm = swarm
        self.engine = swarm.engine
        self.folder = folder
        self.host = Server(self.engine, HOST)
        self.backup = Server(self.engine, "backup-server")
        self.inventory = folder / "inventory.json"
        self.key = folder / "ansible_key"

    @classmethod
    @contextlib.contextmanager
    def up(cls, swarm: Swarm, folder: Path) -> Iterator[Servers]:
        """Start both servers, and remove them when the block ends."""
        images.make(swarm.engine, ["host"])
        made = cls(swarm, folder)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            made._start_backup_server()
            made._start_host()
            made._give_host_its_things()
            made._write_inventory()
            yield made
        finally:
            for server in (made.host, made.backup):
                with contextlib.suppress(ResilienceError):
                    made.engine.docker("rm", "--force", "--volumes", server.name)
            made._empty_owners()

    def variables(self) -> dict[str, Any]:
        """The variables that the plan's owner would set for the host."""
        return {
            "resilience_become": False,
            "resilience_offsite": {
                "host": BACKUP,
                "user": BACKUP_USER,
                "path": BACKUP_PATH,
                "inventory_host": self.backup.name,
                # The disk below is this machine's, whatever is free there.
                "server_reserve_percent": 0,
            },
            # No registry is available: HAProxy is in the tests' base image.
            "staging_restore_forwarder_image": images.BASE,
            "staging_restore_memory": "512m",
            "staging_restore_api_users": [
                {
                    "email": sample.FLAGSHIP_EMAIL,
                    "password": sample.PASSWORD,
                    "schema": "tenant_chefwell",
                }
            ],
            "checkpoint_api_url": f"https://{NAMES[1]}",
            "checkpoint_api_verify_tls": False,
            "checkpoint_api_email": sample.FLAGSHIP_EMAIL,
            "checkpoint_api_password": sample.PASSWORD,
            "checkpoint_test_order": True,
            "checkpoint_services": ["chefwell_*"],
            "checkpoint_log_sources": ["chefwell_backend"],
            "checkpoint_postgres": {
                "container": "chefwell_postgres",
                "user": "postgres",
                "dbname": "restaurante",
            },
        }

    def play(
        self, playbook: str, *arguments: str, collections: Path | None = None, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook from this machine on the servers.

        Args:
            playbook: a path, from the checkout's root or absolute, or a full name.
            arguments: more of `ansible-playbook`'s.
            collections: the folder in which the collection is installed; the checkout's own link
                when left out.
            more: variables.
        """
        named = str(ROOT / playbook) if playbook.endswith(".yml") else playbook
        command = [str(Path(sys.executable).with_name("ansible-playbook"))]
        command += ["-i", str(self.inventory), "-e", json.dumps(more), *arguments, named]
        control = self.folder / "cp"
        return subprocess.run(
            self.engine.within(*command),
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(collections or ROOT / "build" / "collections"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "1",
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(control),
                "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks",
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def _write_inventory(self) -> None:
        common = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_args": instance_ssh.ARGUMENTS,
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.folder}/known_hosts"
            " -o StrictHostKeyChecking=accept-new",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        hosts = {
            HOST: {**common, "ansible_host": "127.0.0.1", **self.variables()},
            self.backup.name: {**common, "ansible_host": self._address()},
        }
        groups = {
            "production": {"hosts": {HOST: {}}},
            "backup_servers": {"hosts": {self.backup.name: {}}},
        }
        content = {"all": {"hosts": hosts, "children": groups}}
        self.inventory.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _address(self) -> str:
        shown = "{{.NetworkSettings.IPAddress}}"
        return self.engine.docker("inspect", "--format", shown, self.backup.name)

    def _start_backup_server(self) -> None:
        self.engine.docker(
            *("run", "--detach", "--init", "--name", self.backup.name, "--hostname", BACKUP),
            images.NAMES["host"][0],
        )
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ansible", "-f", str(self.key)],
            check=True,
        )
        self.backup.must(
            f"useradd --create-home --shell /bin/bash --password '*' {BACKUP_USER}"
            f" && install -d -o {BACKUP_USER} -m 0750 {Path(BACKUP_PATH).parent}"
        )
        self._let_ansible_in(self.backup)

    def _start_host(self) -> None:
        mapped = {**dict.fromkeys(NAMES, "127.0.0.1"), BACKUP: self._address()}
        added = [part for name, at in mapped.items() for part in ("--add-host", f"{name}:{at}")]
        self._empty_owners()
        images.backend_context(self.engine.owners / "backend")
        self.engine.docker(
            *("run", "--detach", "--init", "--name", HOST, "--network", "host", *added),
            # Every server has it: a restore that is not root's reads backups below /root.
            *("--cap-add", "DAC_READ_SEARCH"),
            *("--volume", f"{self.engine.socket}:/var/run/docker.sock"),
            *("--volume", f"{OWNERS}:{OWNERS}"),
            images.NAMES["host"][0],
        )
        self._let_ansible_in(self.host)

    def _empty_owners(self) -> None:
        for path in self.engine.owners.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _let_ansible_in(self, server: Server) -> None:
        public = self.key.with_suffix(".pub").read_text(encoding="ascii").strip()
        server.must(
            "install -d -m 0700 /root/.ssh"
            f" && echo '{public}' >> /root/.ssh/authorized_keys"
            " && until test -s /etc/ssh/ssh_host_ed25519_key.pub; do sleep 0.1; done"
        )

    def _give_host_its_things(self) -> None:
        """The owner's backup script, cron lines and key, and the backups of the last days."""
        settings = self.swarm.settings
        env = {
            "PGHOST": "127.0.0.1",
            "PGPORT": "5432",
            "PGUSER": settings["user"],
            "PGDATABASE": settings["dbname"],
            "PGPASSFILE": f"{SCRIPTS}/pgpass",
            "PG_DUMP": "/usr/bin/pg_dump",
            "BACKUP_DIR": "/root/backups",
        }
        files = {
            "backup-database.sh": backup_tree.SCRIPT.read_text(encoding="utf-8"),
            "backup-database.env": "".join(f"{name}={value}\n" for name, value in env.items()),
            "pgpass": f"127.0.0.1:5432:*:{settings['user']}:{settings['password']}\n",
        }
        self.host.must(f"mkdir -p {SCRIPTS}")
        for name, text in files.items():
            source = self.folder / name
            source.touch(mode=0o600)
            source.write_text(text, encoding="utf-8")
            self.engine.docker("cp", str(source), f"{HOST}:{SCRIPTS}/{name}")
            source.unlink()
        own_cron = "".join(f"{line}\\n" for line in OWN_CRON)
        self.host.must(
            f"cd {SCRIPTS} && chown root:root * && chmod 0600 pgpass *.env && chmod 0755 *.sh"
            f" && printf '{own_cron}' | crontab -"
            " && ssh-keygen -q -t ed25519 -N '' -C owner -f /root/.ssh/id_ed25519"
            # The owner has logged in to the backup server before, so its host key is known.
            f" && ssh-keyscan -t ed25519 {BACKUP} 2>/dev/null > /root/.ssh/known_hosts"
        )
        public = self.host.must("cat /root/.ssh/id_ed25519.pub").strip()
        self.backup.must(
            f"cd ~{BACKUP_USER} && install -d -o {BACKUP_USER} -m 0700 .ssh && cd .ssh"
            f" && echo '{public}' > authorized_keys && chmod 0600 authorized_keys"
            f" && chown {BACKUP_USER}: authorized_keys"
        )
        # One dump under the names of 14: 7 days, 4 Sundays, 3 firsts of a month.
        named = [
            f"put {tier}/{backup_tree.file_name(moment)} {moment:%Y%m%d%H%M.%S}"
            for tier, moments in backup_tree.moments(datetime.datetime.now()).items()
            for moment in moments
        ]
        self.host.must(
            f"set -e; {SCRIPTS}/backup-database.sh; cd /root/backups; mv daily/*.gz /tmp/dump"
            '; rm -f */*.gz; put() { cp /tmp/dump "$1"; touch -t "$2" "$1"; }; '
            + "; ".join(named)
            + "; rm /tmp/dump"
        )


def recap(output: str) -> dict[str, dict[str, int]]:
    """The counts of a play's recap by host."""
    lines = re.findall(r"^(\S+) +: (ok=\d+ .*)$", output, re.MULTILINE)
    return {
        host: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", figures)}
        for host, figures in lines
    }


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The differences between two states of a server, a line each."""
    found = []
    for name in before:
        was, now = set(before[name].splitlines()), set(after[name].splitlines())
        found += [f"{name}: gone: {line}" for line in sorted(was - now)]
        found += [f"{name}: new: {line}" for line in sorted(now - was)]
    return found
