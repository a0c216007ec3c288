"""A Docker engine of the tests' own: started, entered, stopped.

It runs in namespaces of its own: network (bridges, packet filter rules and published ports are seen
in there only), mounts and processes. When its first process ends, the kernel ends all the others,
so that no container, interface or mount can be left behind, however the tests ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
from testbed.engine import ResilienceError
from testbed.services import Service

from . import needs
from .shared_folder import SharedFolder

CLONE_NEWNET = 0x40000000
# Folders outside the engine's own that dockerd and containerd write to, whatever their options; and
# the owner's folder, from which staging mounts a file, so that a container and the engine share it.
OWNERS = "/root/restaurante"
ELSEWHERE = ("/etc/docker", "/var/lib/docker", "/opt/containerd", OWNERS)
STOP_SECONDS = 30

_START = """
set -e
ip link set lo up
{binds}
mount -t tmpfs tmpfs /run
exec docker-init -- dockerd --config-file {root}/daemon.json --data-root {data} \
  --exec-root /run/docker-exec --pidfile /run/docker.pid --host unix://{socket} \
  --cgroup-parent {cgroup} {options}
"""


class Engine:
    """A Docker engine, running or not.

    Made by `up`.

    Attributes:
        root: its folder.
        data: keeps images from one start to the next; a folder in its own unless given.
        socket: where it listens, a path; another process reaches it through `environment`.
    """

    def __init__(self, root: Path, data: Path | None = None) -> None:
        self.root = root
        self.data = data or root / "data"
        self.service = Service("dockerd", root)
        # The path of a socket has at most 107 bytes (unix(7)), and a root may lie deep.
        mark = hashlib.sha256(str(root).encode()).hexdigest()[:10]
        self.socket = Path("/tmp") / f"chefwell-docker-{mark}.sock"
        self.cgroup = f"chefwell-{mark}"
        self._lock: int | None = None
        self._elsewhere = [SharedFolder(path) for path in ELSEWHERE]

    @classmethod
    @contextlib.contextmanager
    def up(
        cls,
        root: str | os.PathLike[str],
        *,
        data: Path | None = None,
        report: Callable[[str], None] = lambda line: None,
        options: Sequence[str] = (),
    ) -> Iterator[Engine]:
        """Install missing packages, start an engine, and stop it when the block ends.

        Args:
            root: its folder, made if it is not there; one engine at a time uses it, the next waits.
            data: a folder for images and containers that is not in it.
            report: called with a line about the progress.
            options: more of dockerd's own.

        Raises:
            ResilienceError: this is not root, a package cannot be installed, or it does not start.
        """
        needs.install(report)
        engine = cls(Path(root).resolve(), data)
        engine.root.mkdir(parents=True, exist_ok=True)
        engine._lock = os.open(engine.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(engine._lock, fcntl.LOCK_EX)
            engine.stop()
            engine.start(options)
            yield engine
        finally:
            engine.stop()
            os.close(engine._lock)

    def start(self, options: Sequence[str] = ()) -> None:
        """Start the engine and wait until it responds."""
        config = self.root / "daemon.json"
        config.write_text("{}\n", encoding="ascii")
        binds = []
        for folder in self._elsewhere:
            folder.hold()
            path = folder.path
            own = self.root / "elsewhere" / path.name
            own.mkdir(parents=True, exist_ok=True)
            binds.append(f"mount --bind {shlex.quote(str(own))} {path}")
        script = _START.format(
            root=shlex.quote(str(self.root)),
            data=shlex.quote(str(self.data)),
            socket=self.socket,
            cgroup=self.cgroup,
            binds="\n".join(binds),
            options=shlex.join(options),
        )
        env = {**os.environ, "PATH": f"{needs.PLACES}:{os.environ.get('PATH', '')}"}
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
            env.pop(name, None)
        namespaces = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        self.service.start(["unshare", *namespaces, "bash", "-c", script], env)
        self.service.await_ready(self.is_ready, 60)
        # A killed engine leaves more than images in its data; only images may outlive it.
        self.empty()

    def empty(self) -> None:
        """Remove everything but images: the swarm, containers, volumes, networks."""
        if self.docker("info", "--format", "{{.Swarm.LocalNodeState}}") != "inactive":
            self.docker("swarm", "leave", "--force")
        containers = self.docker("ps", "--all", "--quiet").split()
        if containers:
            self.docker("rm", "--force", "--volumes", *containers)
        volumes = self.docker("volume", "ls", "--quiet").split()
        if volumes:
            self.docker("volume", "rm", "--force", *volumes)
        self.docker("network", "prune", "--force")
        self.docker("image", "prune", "--force")

    def stop(self) -> None:
        """Stop the engine and everything in it; images stay. The second time does nothing."""
        running = self.service.process()
        if running:
            with contextlib.suppress(ResilienceError):
                self.empty()
            with contextlib.suppress(psutil.NoSuchProcess):
                for first in running.children():
                    # docker-init passes the signal on, and dockerd closes its data.
                    first.send_signal(signal.SIGTERM)
                    with contextlib.suppress(psutil.TimeoutExpired):
                        first.wait(STOP_SECONDS)
        self.service.stop([signal.SIGKILL])
        self.socket.unlink(missing_ok=True)
        for folder in self._elsewhere:
            folder.release()
        self._remove_cgroups()

    def remove(self) -> None:
        """Remove the folder of a stopped engine, images included."""
        shutil.rmtree(self.root)

    def is_ready(self) -> bool:
        """Whether the engine responds."""
        with contextlib.suppress(ResilienceError):
            return bool(self.docker("version", "--format", "{{.Server.Version}}", seconds=10))
        return False

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, with this engine as the one that Docker's programs use."""
        held = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
        return {**held, "DOCKER_HOST": f"unix://{self.socket}"}

    @property
    def owners(self) -> Path:
        """The folder of this machine that the engine sees as `OWNERS`."""
        return self.root / "elsewhere" / Path(OWNERS).name

    @property
    def cache(self) -> Path:
        """The folder for downloads and builds that engines with neighbouring roots share."""
        folder = self.root.parent / "cache"
        folder.mkdir(exist_ok=True)
        return folder

    def docker(
        self,
        *arguments: str,
        seconds: float = 120,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a `docker` command; return its output.

        Args:
            arguments: the command's.
            seconds: its time limit.
            environment: variables beside this process's.

        Raises:
            ResilienceError: it failed.
        """
        env = {**self.environment, **(environment or {})}
        return needs.run([needs.program("docker"), *arguments], seconds, env).strip()

    def compose(self, *arguments: str, seconds: float = 300) -> str:
        """Run `docker compose`; return its output. The plugin is downloaded at the first use."""
        plugin = needs.compose_plugin(self.cache)
        return needs.run([str(plugin), *arguments], seconds, self.environment).strip()

    def pid(self) -> int:
        """The number of a process in the engine's namespaces, for `nsenter`.

        Raises:
            ResilienceError: it is not running.
        """
        running = self.service.process()
        inside = running.children() if running else []
        if not inside:
            raise ResilienceError("the Docker engine is not running", value=str(self.root))
        return int(inside[0].pid)

    def within(self, *command: str) -> list[str]:
        """The command line that runs a command in the engine's network."""
        return ["nsenter", f"--target={self.pid()}", "--net", "--", *command]

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Move this thread into the engine's network, where ports are published, for the block.

        So are threads and programs that it starts there. Other threads stay where they were.
        """
        own = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        other = os.open(f"/proc/{self.pid()}/ns/net", os.O_RDONLY)
        try:
            _enter(other)
            yield
        finally:
            _enter(own)
            os.close(other)
            os.close(own)

    def bridge(self) -> str:
        """The address of this host on the engine's own bridge.

        Of the interface: an engine reports this gateway only from its second start on (issue 26799
        of moby).
        """
        command = self.within("ip", "-4", "-o", "addr", "show", "docker0")
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return shown.partition(" inet ")[2].partition("/")[0]

    def _remove_cgroups(self) -> None:
        """Remove the engine's control groups, which the kernel keeps until then."""
        deadline = time.monotonic() + 5
        for top in [*Path("/sys/fs/cgroup").glob(f"*/{self.cgroup}"), *_unified(self.cgroup)]:
            below = sorted(top.rglob("*/"), key=lambda path: len(path.parts), reverse=True)
            for folder in [*below, top]:
                while folder.is_dir():
                    try:
                        folder.rmdir()
                    except OSError:
                        if time.monotonic() > deadline:
                            return
                        time.sleep(0.1)


def _unified(name: str) -> list[Path]:
    path = Path("/sys/fs/cgroup") / name
    return [path] if path.is_dir() else []


def _enter(descriptor: int) -> None:
    """setns(2); Python has it from 3.12 on only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
