"""`python -m matrix`, the command of `make matrix`: hosts × ansible-core × Python, as a table."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys

import artifact

from . import results
from .bistro import RECEIVER, VARIABLES, open_the_shop
from .controllers import REFUSED, ROOT, Controller, others, own
from .hosts import Host, lab
from .roots import SYSTEMS, root
from .walk import Verdict, play, walk, write_project

FOLDER = ROOT / "build" / "matrix"
GOOD = "proved restore; the second run changed nothing; rollback left nothing"


def main(arguments: list[str] | None = None) -> int:
    """Walk with every controller on every system; return 0 where all went well."""
    parser = argparse.ArgumentParser(prog="matrix", description="a new owner's walk on real hosts")
    parser.add_argument("--own", action="store_true", help="only the ansible-core of the tests")
    parser.add_argument("--core", action="append", help="only this ansible-core, such as 2.21")
    parser.add_argument("--document", action="store_true", help="write the table into the document")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("make matrix needs root: its hosts are namespaces of this machine", file=sys.stderr)
        return 2
    assert len(VARIABLES) <= 8
    # The hosts end with the block that runs them, so a signal must leave it in order.
    signal.signal(signal.SIGTERM, lambda *_given: sys.exit(1))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed = False
    more, lacking = ([], []) if options.own else others(FOLDER)
    for controller in [one for one in [own(), *more] if _is_chosen(one, options.core)]:
        rows = []
        for row, well in _rows(controller):
            rows.append(row)
            failed |= not well
            print(row, flush=True)
        results.write(FOLDER, controller.core, rows)
    print(results.table(FOLDER, lacking))
    if options.document:
        results.write_document(FOLDER, lacking)
    return int(failed)


def _is_chosen(controller: Controller, cores: list[str] | None) -> bool:
    return not cores or any(controller.core.startswith(f"{core}.") for core in cores)


def _rows(controller: Controller) -> list[tuple[str, bool]]:
    """Walk with one controller on fresh hosts; return a row a host, and whether it went well."""
    home = FOLDER / f"home-{controller.core}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    artifact.install(controller.program("ansible-galaxy"), home)
    roots = [(system, root(system, FOLDER / "roots")) for system in SYSTEMS]
    plan = [(system.suite, system, place, True) for system, place in roots]
    plan.append(("backup", *roots[1], False))
    with lab(FOLDER / "lab", plan) as made:
        *production, backup = made.hosts
        for host in production:
            open_the_shop(host)
        backup.run("useradd --create-home --shell /bin/sh backupuser && mkdir /backups")
        backup.run(RECEIVER)
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


if __name__ == "__main__":
    raise SystemExit(main())
