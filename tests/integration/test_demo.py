"""`make demo` runs all stages and reports them truthfully; `make demo-clean` leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
from support.crontab import crontab

ROOT = Path(__file__).resolve().parents[2]
TENANTS = 3
# Places outside the demo's folder that an installation would use, and names it would use there.
OUTSIDE = ("/etc", "/etc/cron.d", "/etc/logrotate.d", "/root", "/root/.ssh", "/usr/local/lib")
OUTSIDE += ("/var/lib", "/var/log")
PROJECT_NAMES = re.compile(r"chefwell|resilience|restaurante")
CRONTABS = "/var/spool/cron/crontabs"


def outside() -> dict[str, list[str]]:
    """The files with names of the demo, and the users that have a crontab."""
    found = {
        folder: sorted(name for name in os.listdir(folder) if PROJECT_NAMES.search(name))
        for folder in OUTSIDE
        if os.access(folder, os.R_OK)
    }
    if os.access(CRONTABS, os.R_OK):
        known = {one.pw_name for one in pwd.getpwall()}
        found[CRONTABS] = sorted(name for name in os.listdir(CRONTABS) if name not in known)
    return found


def running(root: Path) -> list[str]:
    """Processes that have to do with a folder, by their command line or their environment."""
    found = []
    for one in psutil.process_iter():
        try:
            words = one.cmdline()
            marked = f"CHEFWELL_DEMO_ROOT={root}".encode()
            environment = Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0")
            if one.status() != psutil.STATUS_ZOMBIE and (
                any(f"{root}/" in word for word in words) or marked in environment
            ):
                found.append(" ".join(words))
        except (psutil.Error, OSError):
            continue
    return found


class Demo:
    """One demo, run as from a shell, with an empty home folder."""

    def __init__(self, checkout: Path, root: Path, home: Path, user: str | None = None) -> None:
        self.checkout, self.root, self.home, self.user = checkout, root, home, user

    def command(self, target: str, tenants: int = TENANTS) -> list[str]:
        as_user: list[str] = []
        if self.user:
            as_user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]
        return [*as_user, "make", target, f"DEMO_TENANTS={tenants}", f"DEMO_ROOT={self.root}"]

    @property
    def environment(self) -> dict[str, str]:
        # An ordinary user's path: without /usr/sbin.
        return {"HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

    def make(self, target: str, tenants: int = TENANTS) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(target, tenants),
            cwd=self.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=400,
        )

    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "results.json").read_text())
        return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that has run once; cleaned up at the end, where nothing may be left."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "home").mkdir()
    made = Demo(ROOT, folder / "root", folder / "home")
    lines, accounts, places = crontab(), {one.pw_name for one in pwd.getpwall()}, outside()
    made.places = places  # type: ignore[attr-defined]
    ended = made.make("demo")
    made.output = ended.stdout  # type: ignore[attr-defined]
    try:
        assert ended.returncode == 0, ended.stdout
        server = json.loads((made.root / "bed" / "testbed.json").read_text())["ssh"]
        yield made
    finally:
        cleaned = made.make("demo-clean")
        assert cleaned.returncode == 0, cleaned.stdout
    assert not made.root.exists() and running(made.root) == []
    assert not server["outside"] or not Path(server["outside"]).exists()
    assert crontab() == lines
    homes = [one.pw_dir for one in pwd.getpwall() if one.pw_name not in accounts]
    assert not [home for home in homes if home.startswith(str(made.root))]
    assert outside() == places
    assert list(made.home.iterdir()) == []
    assert made.make("demo-clean").returncode == 0


def test_the_results_are_as_documented(demo: Demo) -> None:
    found = demo.results()
    schema = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    checker.validate(found)
    documented = (ROOT / "docs" / "results.md").read_text()
    assert all(f"`{key}`" in documented for key in found)

    assert (found["tenants"], found["tables"]) == (TENANTS, 2 + 8 * TENANTS)
    assert found["validation"]["confidence"] == 100.0 and found["validation"]["failed"] == 0
    assert found["offsite"]["in_sync"] and found["offsite"]["compared_by"] == "sha256"
    assert found["offsite"]["local"] == found["offsite"]["remote"]
    assert found["offsite"]["local"]["files"] == 14
    first, second = found["play"]["first"], found["play"]["second"]
    assert first["changed"] > 0 and first["failed"] == 0
    assert (second["changed"], second["failed"]) == (0, 0) and second["ok"] > 20
    limit = found["limits"]["command_memory_bytes"]
    assert max(found["memory"].values()) < limit == 150 << 20, found["memory"]


def test_the_pages_and_the_summary_are_on_the_terminal(demo: Demo) -> None:
    output, found = demo.output, demo.results()  # type: ignore[attr-defined]
    for line in (
        "CHEFWELL - DISK SPACE MONITOR",
        "Total: 14 backups",
        "✅ Local e remoto sincronizados!",
        "RELATÓRIO DE VALIDAÇÃO - STAGING RESTORE",
        "   - products: 28 registros ✅",
        "   - Foreign Keys: 9/9 ✅",
        "✅ RESULTADO: BACKUP VÁLIDO E RESTAURÁVEL",
        "TASK [chefwell.resilience.staging_restore : ",
        f"{TENANTS} stores, {found['tables']} tables, {found['rows']} rows",
        "limit 90 s",
        str(demo.root / "report.html"),
        str(demo.root / "results.json"),
    ):
        assert line in output, output
    assert "cannot be written" not in output and "WARNING" not in output, output
    page = (demo.root / "report.html").read_text()
    assert found["backup"]["file"] in page and "BACKUP VÁLIDO E RESTAURÁVEL" in page
    assert f"ChefWell - {TENANTS} lojas" in page and "Local e remoto sincronizados" in page


def test_nothing_lies_outside_its_folder_but_marked_cron_lines(demo: Demo) -> None:
    assert outside() == demo.places  # type: ignore[attr-defined]
    mine = [line for line in crontab().splitlines() if str(demo.root) in line]
    assert len(mine) >= 2
    before = crontab().splitlines()
    assert all(before[before.index(line) - 1].startswith("#Ansible: ") for line in mine)
    assert list(demo.home.iterdir()) == []
    for secret in ("host/root/.ssh/chefwell_backup", "inventory/group_vars/production.yml"):
        assert (demo.root / secret).stat().st_mode & 0o077 == 0


def test_another_number_of_stores_is_refused_and_the_remedy_named(demo: Demo) -> None:
    other = demo.make("demo", TENANTS + 1)
    assert other.returncode != 0
    assert f"a testbed with tenants {TENANTS} is up there" in other.stdout
    assert "make demo-clean" in other.stdout


def test_a_damaged_backup_fails_the_demo_with_task_and_reason(demo: Demo) -> None:
    daily = demo.root / "bed" / "backups" / "daily"
    newest = max(daily.glob("*.dump.gz"))
    stamp = time.strftime("%Y%m%d_%H%M%S")
    damaged = daily / f"chefwell_backup_{stamp}.dump.gz"
    damaged.write_bytes(newest.read_bytes()[:-2000])
    try:
        ended = demo.make("demo")
    finally:
        damaged.unlink()
    assert ended.returncode != 0
    failed = [line for line in ended.stdout.splitlines() if line.startswith("demo: the task '")]
    assert len(failed) == 1 and "damaged or cut off" in failed[0], ended.stdout
    assert "make demo-clean" in ended.stdout


def test_killed_half_way(demo: Demo) -> None:
    """At the worst moment, a restore in a throw-away server; what is left, `demo-clean` ends."""
    with subprocess.Popen(
        demo.command("demo"),
        cwd=demo.checkout,
        env=demo.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as started:
        staging = f"{demo.root}/host/var/lib/chefwell-resilience/staging"
        deadline = time.monotonic() + 200
        while not any("/postgres -D" in line and staging in line for line in running(demo.root)):
            assert time.monotonic() < deadline and started.poll() is None
            time.sleep(0.02)
        demos = [psutil.Process(started.pid), *psutil.Process(started.pid).children(recursive=True)]
        # The demo itself and make; Ansible and what it started go on without them.
        for one in demos:
            # One that ended since it was listed needs no signal.
            with contextlib.suppress(psutil.NoSuchProcess):
                words = one.cmdline()
                if "demo" in words and "ansible" not in words:
                    one.send_signal(signal.SIGKILL)
    assert running(demo.root) != []
    cleaned = demo.make("demo-clean")
    assert cleaned.returncode == 0, cleaned.stdout
    assert running(demo.root) == [] and not demo.root.exists()
    assert str(demo.root) not in crontab()


@pytest.fixture
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A throw-away user with a copy of the checkout."""
    assert os.geteuid() == 0, "making a user takes root"
    name = f"cwdemo{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="chefwell-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    subprocess.run(
        ["useradd", "--create-home", "--home-dir", folder / "home", "--shell", "/bin/bash", name],
        check=True,
    )
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        checkout = folder / "checkout"
        checkout.mkdir()
        subprocess.run(
            ["xargs", "-0", "cp", "--parents", "-t", str(checkout)],
            cwd=ROOT,
            input=listed,
            check=True,
        )
        _environment_for(checkout)
        subprocess.run(["chown", "-R", "--no-dereference", f"{name}:", str(checkout)], check=True)
        yield Demo(checkout, checkout / "build" / "demo", folder / "home", name)
    finally:
        subprocess.run(["crontab", "-r", "-u", name], capture_output=True, check=False)
        subprocess.run(["userdel", name], check=True)
        shutil.rmtree(folder)


def _environment_for(checkout: Path) -> None:
    """The Python environment that is here, for another user.

    Where its interpreter lies in a closed home folder, the system's takes its place, with
    the same packages.
    """
    made = ROOT / ".venv"
    reached = (made, *made.parents, *Path(os.path.realpath(made / "bin" / "python")).parents)
    if all(step.stat().st_mode & 0o005 == 0o005 for step in reached):
        (checkout / ".venv").symlink_to(made)
        return
    copy = checkout / ".venv"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", copy], check=True)
    (packages,) = (copy / "lib").glob("python3*/site-packages")
    local = made / packages.relative_to(copy)
    assert local.is_dir(), f"/usr/bin/python3 is of another version than {made}"
    (packages / "checkout.pth").write_text(f"{local}\n")
    shutil.copy(made / ".lock-digest", copy)


def test_an_ordinary_user(ordinary: Demo) -> None:
    before = set(ordinary.home.iterdir())
    ended = ordinary.make("demo", 2)
    assert ended.returncode == 0, ended.stdout
    found = ordinary.results()
    assert (found["tenants"], found["validation"]["confidence"]) == (2, 100.0)
    assert found["play"]["second"]["changed"] == 0 and found["offsite"]["in_sync"]
    cleaned = ordinary.make("demo-clean")
    assert cleaned.returncode == 0, cleaned.stdout
    assert not ordinary.root.exists() and running(ordinary.root) == []
    user = str(ordinary.user)
    lines = subprocess.run(["crontab", "-l", "-u", user], capture_output=True, check=False)
    assert lines.stdout == b""
    assert set(ordinary.home.iterdir()) == before
