"""The SSH key of a test's instances, and the variables that make Ansible use it."""

from __future__ import annotations

import subprocess
from pathlib import Path

CONFIG = Path(__file__).resolve().with_name("instance_ssh_config")
# The variable with which an instance is started, so that `host-start.sh` authorizes the key.
OPENED_BY = "INSTANCE_PUBLIC_KEY"
# Ansible's own without `-C`: to compress what stays on this machine takes a twentieth of a play.
ARGUMENTS = "-o ControlMaster=auto -o ControlPersist=60s"
# Variables for an inventory.
VARIABLES = {
    "ansible_connection": "ssh",
    "ansible_ssh_common_args": f"-F {CONFIG}",
    "ansible_ssh_args": ARGUMENTS,
    # A busy machine may start ten `docker exec` at once.
    "ansible_ssh_timeout": 60,
    "ansible_python_interpreter": "/usr/bin/python3",
}


def environment(folder: Path) -> dict[str, str]:
    """Variables for starting instances and for reaching them; a missing key is made.

    Args:
        folder: of the key.
    """
    key = folder / "instance_key"
    if not key.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "instance", "-f", str(key)],
            stdin=subprocess.DEVNULL,
            check=True,
        )
    public = key.with_suffix(".pub").read_text(encoding="ascii").strip()
    return {"INSTANCE_KEY": str(key), OPENED_BY: public}
