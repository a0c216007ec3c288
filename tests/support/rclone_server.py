"""Servers for rclone: SFTP and WebDAV by `rclone serve`, S3 by moto's server (a stand-in)."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from testbed.services import free_port


def configuration(root: Path, remote: str) -> Path:
    """Write rclone's configuration with the remote `there` into a folder; return its path."""
    file = root / "rclone.conf"
    file.write_text(f"[there]\n{remote}")
    file.chmod(0o600)
    return file


@contextlib.contextmanager
def serving(kind: str, folder: Path) -> Iterator[str]:
    """A server; yields the configuration of a remote `there` that reaches it."""
    port = free_port()
    secret = subprocess.run(
        ["rclone", "obscure", "secret"], capture_output=True, text=True, check=True
    ).stdout.strip()
    arguments = ["rclone", "serve", kind, str(folder), f"--addr=127.0.0.1:{port}", "--user=u"]
    arguments += ["--pass=secret", "--config=/dev/null", "--dir-cache-time=0s"]
    if kind == "s3":
        arguments = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    running = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder.parent), "XDG_CACHE_HOME": str(folder.parent)},
    )
    try:
        limit = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert running.poll() is None and time.monotonic() < limit, f"no {kind} server"
            time.sleep(0.05)
        yield {
            "sftp": f"type = sftp\nhost = 127.0.0.1\nport = {port}\nuser = u\npass = {secret}\n",
            "webdav": f"type = webdav\nurl = http://127.0.0.1:{port}\nvendor = other\n"
            f"user = u\npass = {secret}\n",
            "s3": f"type = s3\nprovider = Other\nendpoint = http://127.0.0.1:{port}\n"
            "access_key_id = u\nsecret_access_key = secret\nforce_path_style = true\n",
        }[kind]
    finally:
        running.kill()
        running.wait()
