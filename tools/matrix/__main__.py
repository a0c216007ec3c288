"""`python -m matrix`, the command of `make matrix`: hosts × ansible-core × Python, as a table."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .bistro import VARIABLES, open_the_shop
from .controllers import REFUSED, ROOT, Controller, others, own
from .hosts import Host, lab
from .roots import SYSTEMS, root
from .walk import Verdict, play, walk, write_project

FOLDER = ROOT / "build" / "matrix"
NOT_TRIED = ("RHEL 9 and 10 families", "Ubuntu 22.04 and 24.04")
HEAD = (
    "| host | its Python | its PostgreSQL | ansible-core | on Python | verdict | first run"
    " | second run |"
)
GOOD = "proved restore; the second run changed nothing; rollback left nothing"


def main(arguments: list[str] | None = None) -> int:
    """Walk with every controller on every system; return 0 where all went well."""
    parser = argparse.ArgumentParser(prog="matrix", description="a new owner's walk on real hosts")
    parser.add_argument("--own", action="store_true", help="only the ansible-core of the tests")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("make matrix needs root: its hosts are namespaces of this machine", file=sys.stderr)
        return 2
    assert len(VARIABLES) <= 8
    # The hosts end with the block that runs them, so a signal must leave it in order.
    signal.signal(signal.SIGTERM, lambda *_given: sys.exit(1))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows, failed = [], False
    more, lacking = ([], []) if options.own else others(FOLDER)
    for controller in [own(), *more]:
        for row, well in _rows(controller):
            rows.append(row)
            failed |= not well
            print(row, flush=True)
    rows += [f"| any | | | {core} | | not tried: {why} | | |" for core, why in lacking]
    rows += [
        f"| {name} | | | | | not tried: no root of it can be had here | | |" for name in NOT_TRIED
    ]
    table = "\n".join([HEAD, "|" + "---|" * 8, *rows])
    (FOLDER / "table.md").write_text(table + "\n")
    print(table)
    return int(failed)


def _rows(controller: Controller) -> list[tuple[str, bool]]:
    """Walk with one controller on fresh hosts; return a row a host, and whether it went well."""
    home = FOLDER / f"home-{controller.core}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    _install(controller, home)
    roots = [(system, root(system, FOLDER / "roots")) for system in SYSTEMS]
    plan = [(system.suite, system, place, True) for system, place in roots]
    plan.append(("backup", *roots[1], False))
    with lab(FOLDER / "lab", plan) as made:
        *production, backup = made.hosts
        for host in production:
            open_the_shop(host)
        backup.run("useradd --create-home --shell /bin/sh backupuser && mkdir /backups")
        tail = f"{controller.core} | {controller.python}"
        if controller.core.startswith(REFUSED):
            write_project(home, made.hosts)
            printed, seconds = play(controller, home, "site")
            good = "needs ansible-core 2.19" in printed and "changed=0" in printed
            verdict = "refused at the start, with the version" if good else "not refused"
            return [(f"| any | | | {tail} | {verdict} | {seconds:.0f} s | |", good)]
        verdicts = walk(controller, made.hosts, home)
        return [
            (_row(host, tail, verdict), not verdict.problems)
            for host, verdict in zip(production, verdicts, strict=True)
        ]


def _row(host: Host, tail: str, verdict: Verdict) -> str:
    python, postgres = (_version(host.run(f"{one} -V")) for one in ("python3", "psql"))
    outcome = "; ".join(verdict.problems).replace("|", "/") or GOOD
    times = f"{verdict.first:.0f} s | {verdict.second:.0f} s"
    return f"| {host.system.name} | {python} | {postgres} | {tail} | {outcome} | {times} |"


def _version(printed: str) -> str:
    words = [word for word in printed.split() if word[:1].isdigit()]
    return words[0] if words else "?"


def _install(controller: Controller, home: Path) -> None:
    """Build the artifact of the files that git knows, and install it into an empty folder."""
    source = home / "source"
    source.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    subprocess.run(
        ["xargs", "-0", "cp", "--parents", "-t", str(source)],
        input=listed.stdout,
        check=True,
        cwd=ROOT,
    )
    galaxy = controller.program("ansible-galaxy")
    # Away from the checkout, whose ansible.cfg names it as an installed collection.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}
    build = [galaxy, "collection", "build", "--output-path", str(home), str(source)]
    subprocess.run(build, check=True, capture_output=True, env=environment, cwd=home)
    (artifact,) = home.glob("chefwell-resilience-*.tar.gz")
    install = [galaxy, "collection", "install", "--no-deps", "-p", str(home / "collections")]
    subprocess.run(
        [*install, str(artifact)], check=True, capture_output=True, env=environment, cwd=home
    )


if __name__ == "__main__":
    raise SystemExit(main())
