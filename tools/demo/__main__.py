"""`python -m demo up|clean`, the command of `make demo` and `make demo-clean`."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import LANGUAGES
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import drill_result
from testbed import Testbed

from . import play, summary, variables
from .clean import clean
from .commands import Host
from .layout import ROOT, DemoError, Layout, heading, report
from .play import PlayRecap

# Environment variable: when `make demo` began, in seconds since 1970.
STARTED = "DEMO_STARTED"
DAY = 86400


def main(arguments: list[str] | None = None) -> int:
    """Run the demo or remove it; return 0, or 1 when something failed."""
    parser = argparse.ArgumentParser(prog="demo", description="all three stages on this machine")
    parser.add_argument("command", choices=("up", "clean"))
    parser.add_argument("--root", type=Path, default=ROOT / "build" / "demo", help="its folder")
    parser.add_argument("--tenants", type=int, default=100, help="how many (100)")
    parser.add_argument("--language", choices=LANGUAGES, default="pt_BR")
    options = parser.parse_args(arguments)
    layout = Layout(options.root.resolve())
    # useradd and sshd are there, and an ordinary user's PATH lacks these folders.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

    try:
        if options.command == "clean":
            clean(layout)
            return 0
        with _alone(layout):
            return up(layout, options.tenants, options.language)
    except (DemoError, ResilienceError) as error:
        report()
        report(str(error))
    except KeyboardInterrupt:
        report()
        report("interrupted")
    _print_what_stays(layout)
    return 1


def up(layout: Layout, tenants: int, language: str) -> int:
    """Start the testbed, run the play twice, show pages and summary; return 0 or 1."""
    setup = _set_up(layout, tenants, language)
    plays = _play(layout)
    host = Host(layout)
    heading("Stage 1: the disk dashboard")
    host.show("disk-status")
    heading("Stage 2: the offsite copy, verified")
    host.show("verify-offsite-backups")
    heading("Stage 3: the newest backup, restored and validated")
    verdict = host.show("test-restore-staging")
    pages = {
        "disk": host.result("disk-status"),
        "offsite": host.result("verify-offsite-backups"),
        "drill": _drill(layout),
    }
    # The two commands that cron runs, to measure their memory.
    host.result("monitor-disk-space")
    host.result("sync-backups-offsite")
    found = summary.results(tenants, setup, pages, plays, host.peaks)
    summary.write(layout, found, pages, language)
    heading("Summary")
    for line in summary.lines(found):
        print(line)
    print(f"\nreport:  {layout.report}\nresults: {layout.results}")
    _print_what_stays(layout)
    kept = verdict == 0 and found["offsite"]["in_sync"] and plays["second"].changed == 0
    if not kept:
        report("FAILED: see above")
    return 0 if kept else 1


def _set_up(layout: Layout, tenants: int, language: str) -> dict[str, float]:
    """Start the testbed and write the inventory; return the seconds of each part."""
    begun = time.monotonic()
    packages = max(0.0, time.time() - float(os.environ.get(STARTED) or time.time()))
    heading(f"Set-up: ChefWell in miniature with {tenants} stores, in {layout.root}")
    bed = Testbed.up(layout.bed, tenants=tenants, report=report)
    newest = max(path.stat().st_mtime for path in (layout.bed / "backups").rglob("*.dump.gz"))
    if time.time() - newest > DAY:
        report("the newest backup is more than a day old: the backup script makes another")
        bed.back_up()
    variables.write(layout, bed.record, language)
    report(f"inventory: {layout.inventory}")
    return {
        "packages_seconds": round(packages, 2),
        "testbed_seconds": round(time.monotonic() - begun, 2),
    }


def _play(layout: Layout) -> dict[str, PlayRecap]:
    """Run `site.yml` twice.

    Raises:
        DemoError: a task failed.
    """
    plays = {}
    for which in ("first", "second"):
        heading(f"site.yml, {which} run")
        plays[which] = play.site(layout)
        if plays[which].problem:
            raise DemoError(plays[which].problem)
    return plays


def _drill(layout: Layout) -> dict[str, object]:
    found = drill_result.last_result(str(layout.state))
    if found is None:
        raise DemoError(f"test-restore-staging.sh left no {drill_result.RESULT} in {layout.state}")
    return found


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Lock the folder of the demo, so that one runs at a time."""
    layout.root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(f"another demo runs in {layout.root}") from error
        yield
    finally:
        os.close(descriptor)


def _print_what_stays(layout: Layout) -> None:
    if layout.root.exists():
        report()
        report(f"the demo stays in {layout.root}, and its servers run;")
        report("`make demo-clean` stops and removes all of it.")


if __name__ == "__main__":
    sys.exit(main())
