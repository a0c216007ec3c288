"""The staging backend is not root: it reaches its database below a folder that is closed to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg2
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from support.waiting import wait_for
from testbed.production import binaries


def test_the_socket_of_a_cluster_below_a_closed_folder() -> None:
    """Below /var/lib/chefwell-resilience, of mode 0700 and short enough to hold a socket."""
    folder = Path(tempfile.mkdtemp(prefix="cwt-"))
    cluster = Cluster(str(folder / "cluster"), binaries())
    try:
        cluster.create()
        server = cluster.start()
        socket = Path(server.host) / f".s.PGSQL.{server.port}"
        assert socket.is_socket()
        if os.geteuid() == 0:
            # As the backend runs: no root, and no capability to pass through closed folders.
            other = postgres.unprivileged(["/usr/bin/test"])
            assert not any("dac_read_search" in word for word in other), other
            subprocess.run([*other, "test", "-w", str(socket)], check=True)
            # Its folder is root's by now, and a server that ended starts again all the same.
            running = cluster.server_process()
            assert running and socket.parent.stat().st_uid == 0
            os.kill(running.pid, signal.SIGQUIT)
            wait_for(lambda: cluster.server_process() is None)
            psycopg2.connect(**cluster.start().dsn("postgres")).close()
    finally:
        cluster.remove()
        shutil.rmtree(folder)
    assert not Path(server.host).exists()
