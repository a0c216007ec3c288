"""The relay leads a port of loopback into a folder's socket, however long the folder's path is."""

import contextlib
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import port_relay
from support.waiting import wait_for
from testbed.services import free_port

# The longest path of a socket is 107 bytes (unix(7)).
LONG = "a-folder-with-a-long-name/" * 6


@contextlib.contextmanager
def relayed(folder: Path) -> Iterator[int]:
    """Run a web server behind the relay; yield the port outside."""
    inside, outside = free_port(), free_port()
    path = str(folder / "backend")
    program = [sys.executable, "-I", port_relay.__file__]
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(inside)]
    sides = [
        subprocess.Popen(
            [*program, "inside", path, str(inside), str(os.geteuid()), *command], cwd=folder
        ),
        subprocess.Popen([*program, "outside", path, str(outside), str(os.geteuid())]),
    ]
    try:
        yield outside
    finally:
        for side in sides:
            side.kill()
            side.wait()
        subprocess.run(["pkill", "-f", f"http.server --bind 127.0.0.1 {inside}"], check=False)


@pytest.mark.parametrize("name", ["short", LONG])
def test_a_request_reaches_the_application(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "page").write_text("from inside")
    with relayed(folder) as port:

        def page() -> str:
            with contextlib.suppress(OSError):
                url = f"http://127.0.0.1:{port}/page"
                with urllib.request.urlopen(url, timeout=2) as response:
                    return str(response.read().decode())
            return ""

        wait_for(lambda: page() == "from inside", seconds=20)
        assert page() == "from inside"
        os.unlink(folder / "backend")
        (folder / "backend").symlink_to(folder / "page")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b"", "what is no socket of the folder is not followed"
