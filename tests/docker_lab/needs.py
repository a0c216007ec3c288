"""System packages that tests need (Docker, a browser, Prometheus): named, then installed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from testbed.engine import ResilienceError

# Command that must exist -> Debian package that brings it.
PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-init": "tini",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    # Pages are looked at in a real browser, alert rules and queries run by the real program.
    "chromium": "chromium",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
}
PLACES = "/usr/sbin:/usr/bin:/sbin:/bin"
# Debian 12 has no `docker compose`; the one file of trixie's package runs on it as a plugin.
COMPOSE_SUITE, COMPOSE_PACKAGE = "trixie", "docker-compose"
COMPOSE_FILE = "usr/libexec/docker/cli-plugins/docker-compose"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def program(name: str) -> str:
    """The full path of a system program, also of one in the administrator's folders.

    Raises:
        ResilienceError: it is not installed.
    """
    found = shutil.which(name, path=PLACES)
    if not found:
        raise ResilienceError(f"{name} is missing", remedy=f"install {PROGRAMS.get(name, name)}")
    return found


def install(report: Callable[[str], None], names: Sequence[str] = ()) -> None:
    """Install the missing packages: those of these programs, or of all.

    Debian's package would start an engine of the system; the tests have their own, so it must not.

    Raises:
        ResilienceError: this is not root, or apt failed.
    """
    if os.geteuid() != 0:
        raise ResilienceError("a Docker engine is started by root only", remedy="run this as root")
    missing = {PROGRAMS[name] for name in names or PROGRAMS if not shutil.which(name, path=PLACES)}
    if not missing:
        return
    run(["apt-get", "update", "-qq"], 300)
    _install(missing, report)
    if names:
        return
    # Since Debian 13 the client is a package of its own.
    if not shutil.which("docker", path=PLACES):
        _install({"docker-cli"}, report)
    for name in PROGRAMS:
        program(name)


def _install(packages: set[str], report: Callable[[str], None]) -> None:
    report(f"installing the system packages: {', '.join(sorted(packages))}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *sorted(packages)]
    with _no_service_starts():
        run(command, 600, env)


def compose_plugin(cache: Path) -> Path:
    """The `docker compose` plugin: the system's, else the file of a package of Debian trixie."""
    for folder in ("/usr/libexec/docker", "/usr/lib/docker", "/usr/local/lib/docker"):
        held = Path(folder) / "cli-plugins" / "docker-compose"
        if held.exists():
            return held
    plugin = cache / "compose" / COMPOSE_FILE
    with locked(cache):
        if not plugin.exists():
            _fetch_compose(plugin, cache / "apt")
    return plugin


def _fetch_compose(plugin: Path, work: Path) -> None:
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    (work / "sources.list").write_text(
        f"deb [signed-by={KEYRING}] {MIRROR} {COMPOSE_SUITE} main\n", encoding="ascii"
    )
    settings = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    run(["apt-get", *options, "update", "-qq"], 300)
    run(["apt-get", *options, "download", "-qq", COMPOSE_PACKAGE], 300, cwd=work)
    (package,) = work.glob(f"{COMPOSE_PACKAGE}_*.deb")
    run(["dpkg-deb", "-x", str(package), str(plugin.parents[4])], 60)
    shutil.rmtree(work)


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Lock a cache: of several engines that need the same file, one makes it."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(
    command: list[str], seconds: float, env: dict[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run a program to its end; return its standard output.

    Raises:
        ResilienceError: it failed, or took longer; with its last words.
    """
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=seconds,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ResilienceError(f"{' '.join(command[:3])} took over {seconds:g} s") from error
    if ended.returncode != 0:
        output = (ended.stderr or ended.stdout).strip()[-1500:]
        raise ResilienceError(f"{' '.join(command[:4])} ended with {ended.returncode}: {output}")
    return ended.stdout


class _no_service_starts:
    """Keep packages from starting services while the block runs.

    It is done by policy-rc.d, as Debian's policy 9.3.3.2 describes.

    A policy that is there already stays as it is.
    """

    policy = Path("/usr/sbin/policy-rc.d")
    made = False

    def __enter__(self) -> None:
        if not self.policy.exists():
            self.policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
            self.policy.chmod(0o755)
            self.made = True

    def __exit__(self, *_exc: object) -> None:
        if self.made:
            self.policy.unlink(missing_ok=True)
