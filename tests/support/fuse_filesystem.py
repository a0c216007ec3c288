"""A FUSE filesystem of the tests: it reports any figures, and hangs on request.

Its daemon is this file, run as a program. It has the kernel's protocol (linux/fuse.h) as far as
an empty folder needs it. Once it hangs it reads requests and responds to none, so that a process
that reads it is in state D, which not even SIGKILL ends, until the daemon is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from support.filesystems import Disks

FORGET, GETATTR, STATFS, INIT, OPENDIR, READDIR, RELEASEDIR = 2, 3, 17, 26, 27, 28, 29
INTERRUPT, BATCH_FORGET = 36, 42
# Whatever makes a file or a folder: MKNOD, MKDIR, CREATE.
CREATES = (8, 9, 35)
# Whoever looks for a name in a folder: LOOKUP.
LOOKS_UP = (1,)
MODE = 0o040755


class FuseFilesystem:
    """One such filesystem, mounted; its figures are those of statvfs(3).

    Args:
        disks: where it is mounted and unmounted.
        name: of its folder there.
        kind: its type in the table of mounts.
        hangs: whether it responds to nothing from the beginning on.
        hangs_on: the operations alone that it does not respond to.
        figures: of statvfs(3).
    """

    def __init__(
        self,
        disks: Disks,
        name: str,
        *,
        kind: str = "fuse",
        hangs: bool = False,
        hangs_on: tuple[int, ...] = (),
        **figures: int,
    ) -> None:
        self.disks = disks
        self.point = disks.root / name
        self.point.mkdir()
        device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        mounted = libc.mount(
            b"daemon", os.fsencode(self.point), kind.encode(), 0, ctypes.c_char_p(options)
        )
        assert mounted == 0, os.strerror(ctypes.get_errno())
        disks.mounted.append(self.point)
        self.daemon = subprocess.Popen(
            [sys.executable, "-m", __name__, str(device), json.dumps([figures, hangs_on])],
            cwd=Path(__file__).parents[1],
            pass_fds=[device],
            stdout=subprocess.PIPE,
        )
        os.close(device)
        assert self.daemon.stdout is not None
        assert self.daemon.stdout.readline() == b"ready\n"
        os.statvfs(self.point)
        if hangs:
            self.hang()

    def hang(self) -> None:
        """Stop responding."""
        self.daemon.send_signal(signal.SIGUSR1)
        assert self.daemon.stdout is not None
        assert self.daemon.stdout.readline() == b"hanging\n"
        time.sleep(1.1)  # attributes that were read before are valid for a second

    def close(self) -> None:
        """End the daemon: a process that waits for it gets an error."""
        self.daemon.kill()
        self.daemon.communicate()
        self.disks.unmount(self.point)


@contextlib.contextmanager
def hanging(
    disks: Disks, name: str = "hangs", kind: str = "fuse", hangs_on: tuple[int, ...] = ()
) -> Iterator[FuseFilesystem]:
    """One that hangs for as long as the block lasts: on everything, or on some operations alone."""
    made = FuseFilesystem(disks, name, kind=kind, hangs=not hangs_on, hangs_on=hangs_on)
    try:
        yield made
    finally:
        made.close()


def stuck(named: str = "") -> list[int]:
    """Return the threads that are in state D while they wait for a FUSE daemon.

    Args:
        named: only those of programs with this text in their command line.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*/task/[0-9]*"):
        try:
            state = folder.joinpath("stat").read_text().rpartition(")")[2].split()[0]
            where = folder.joinpath("wchan").read_text()
            words = folder.joinpath("cmdline").read_text() if named else ""
        except OSError:
            continue
        if named not in words:
            continue
        if state == "D" and ("fuse" in where or "request_wait_answer" in where):
            found.append(int(folder.name))
    return found


def serve(device: int, figures: dict[str, int], hangs_on: list[int]) -> None:
    """Respond to the kernel until the filesystem is unmounted."""
    hanging = False

    def hang(_signal: int, _frame: object) -> None:
        nonlocal hanging
        hanging = True
        print("hanging", flush=True)

    signal.signal(signal.SIGUSR1, hang)

    def answer(unique: int, content: bytes = b"", error: int = 0) -> None:
        os.write(device, struct.pack("<IiQ", 16 + len(content), -error, unique) + content)

    stated = {"bsize": 4096, "blocks": 1000, "bfree": 900, "bavail": 900, "files": 0, "ffree": 0}
    stated |= figures
    while True:
        try:
            request = os.read(device, 1 << 17)
        except OSError as error:
            if error.errno == errno.ENODEV:  # unmounted
                return
            raise
        _length, opcode, unique = struct.unpack_from("<IIQ", request)
        if hanging or opcode in (FORGET, BATCH_FORGET, INTERRUPT, *hangs_on):
            continue
        if opcode == INIT:
            answer(unique, struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 12, 9, 4096, 1, 0, 0, 0))
            print("ready", flush=True)
        elif opcode == GETATTR:
            attributes = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, MODE, 2, 0, 0, 0, 4096, 0)
            answer(unique, struct.pack("<QII", 1, 0, 0) + attributes)
        elif opcode == STATFS:
            counts = [stated[name] for name in ("blocks", "bfree", "bavail", "files", "ffree")]
            sizes = (stated["bsize"], 255, stated["bsize"])
            answer(unique, struct.pack("<5Q3I28x", *(n % (1 << 64) for n in counts), *sizes))
        elif opcode == OPENDIR:
            answer(unique, struct.pack("<QII", 1, 0, 0))
        elif opcode in (READDIR, RELEASEDIR):
            answer(unique)
        else:
            answer(unique, error=errno.ENOSYS if opcode != 1 else errno.ENOENT)


if __name__ == "__main__":
    serve(int(sys.argv[1]), *json.loads(sys.argv[2]))
