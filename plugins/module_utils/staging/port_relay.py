# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets this host reach one port of a sandbox that has no network, and nothing the other way.

A program of its own, with the standard library alone; it runs twice:

    port_relay.py inside SOCKET PORT UID COMMAND...
        in the sandbox: starts the application, and passes connections to SOCKET on to its port
    port_relay.py outside SOCKET PORT UID
        on this host: passes connections to the port of its loopback on to SOCKET

The socket lies in a folder of both. What runs in the sandbox can accept connections there and
make none. Outside, nothing in that folder is followed that is not a socket of the folder itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

LOOPBACK = "127.0.0.1"
# prctl(2): so that this process may use its own /proc/self/fd after it changed its user.
PR_SET_DUMPABLE = 4
PIECE = 1 << 16


def pass_on(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes, until it ends; the end, too."""
    with contextlib.suppress(OSError):
        while True:
            piece = source.recv(PIECE)
            if not piece:
                break
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def serve(listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Accept connections for ever, and join each with a new one.

    Args:
        listener: where connections come.
        connect: returns the other one.
    """

    def join(here: socket.socket) -> None:
        with here:
            try:
                there = connect()
            except OSError:
                return
            with there:
                back = threading.Thread(target=pass_on, args=(there, here), daemon=True)
                back.start()
                pass_on(here, there)
                back.join()

    while True:
        try:
            accepted, _peer = listener.accept()
        except OSError:
            # Too many files are open: those that end make room.
            threading.Event().wait(0.1)
            continue
        threading.Thread(target=join, args=(accepted,), daemon=True).start()


def inside(path: str, port: int, command: Sequence[str]) -> int:
    """Run the application, and pass connections on to its port meanwhile; return its exit code."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    # By the folder's descriptor: the path of a socket has at most 107 bytes (unix(7)).
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        listener.listen(64)

        def connect() -> socket.socket:
            return socket.create_connection((LOOPBACK, port))

        threading.Thread(target=serve, args=(listener, connect), daemon=True).start()
        code = subprocess.call(list(command))  # pylint: disable=ansible-bad-function
    return 128 - code if code < 0 else code


def outside(path: str, port: int, uid: int) -> int:
    """Pass connections to a port of loopback on to the socket, as a user that may do nothing."""
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    name = os.path.basename(path)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(64)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)

        def connect() -> socket.socket:
            held = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
            try:
                if not stat.S_ISSOCK(os.fstat(held).st_mode):
                    raise OSError("not a socket")
                made = socket.socket(socket.AF_UNIX)
                try:
                    made.connect(f"/proc/self/fd/{held}")
                except OSError:
                    made.close()
                    raise
                return made
            finally:
                os.close(held)

        serve(listener, connect)
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run one of the two sides."""
    side, path, port, uid, *command = arguments
    if side == "inside":
        return inside(path, int(port), command)
    return outside(path, int(port), int(uid))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
