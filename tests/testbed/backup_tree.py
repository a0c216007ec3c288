"""The owner's backup script with its configuration, and the backups of the last days and months.

Every backup comes from a run of pg_dump over the database as it stood when it held fewer rows; a
weekly or monthly one of a day that has a daily one too is a copy of that, as the script makes it.
"""

from __future__ import annotations

import datetime
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg2

from . import record
from .engine import ResilienceError
from .production import Production
from .seeding import Seeding

SCRIPT = Path(__file__).resolve().with_name("backup-database.sh")
TIERS = ("daily", "weekly", "monthly")
# The hour of the owner's cron job.
HOUR = datetime.time(3)
# The share of the rows that the oldest backup holds.
OLDEST = Fraction(3, 10)
# A dump and its compression keep one core busy.
DUMPS_AT_ONCE = 2


def moments(now: datetime.datetime) -> dict[str, list[datetime.datetime]]:
    """The times of the backups of each tier: 7 days, 4 Sundays, 3 firsts of a month.

    Args:
        now: local time; the newest daily backup is of the last 3 o'clock before it.
    """
    newest = datetime.datetime.combine(now.date(), HOUR)
    if newest > now:
        newest -= datetime.timedelta(days=1)
    days = [newest - datetime.timedelta(days=back) for back in range(100)]
    return {
        "daily": days[:7],
        "weekly": [day for day in days if day.isoweekday() == 7][:4],
        "monthly": [day for day in days if day.day == 1][:3],
    }


def file_name(moment: datetime.datetime) -> str:
    """A backup's name, as in the plan."""
    return f"chefwell_backup_{moment:%Y%m%d_%H%M%S}.dump.gz"


def install_script(root: Path, postgres: dict[str, Any]) -> dict[str, str]:
    """Write the owner's script and its configuration into `<root>/scripts`.

    Returns:
        Their paths, as they stand in the record.
    """
    scripts = root / "scripts"
    scripts.mkdir(mode=0o755, exist_ok=True)
    script, env, passfile = (
        scripts / name for name in ("backup-database.sh", "backup-database.env", "pgpass")
    )
    # For every database of this server.
    access = (postgres["host"], postgres["port"], "*", postgres["user"], postgres["password"])
    record.write_private(passfile, ":".join(str(part) for part in access) + "\n")
    settings = {
        "PGHOST": postgres["host"],
        "PGPORT": postgres["port"],
        "PGUSER": postgres["user"],
        "PGDATABASE": postgres["dbname"],
        "PGPASSFILE": passfile,
        "PG_DUMP": Path(postgres["bin_dir"]) / "pg_dump",
        "BACKUP_DIR": root / "backups",
    }
    lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()]
    record.write_private(env, "".join(lines))
    shutil.copy(SCRIPT, script)
    script.chmod(0o755)
    return {"backup_script": str(script), "backup_env": str(env), "passfile": str(passfile)}


def remove_script(root: Path) -> None:
    """Removes what `install_script` put there, and the folder if nothing else is in it."""
    scripts = root / "scripts"
    for name in ("backup-database.sh", "backup-database.env", "pgpass"):
        (scripts / name).unlink(missing_ok=True)
    if scripts.is_dir() and not any(scripts.iterdir()):
        scripts.rmdir()


def fill(
    folder: Path,
    production: Production,
    passfile: str,
    seeding: Seeding,
    now: datetime.datetime,
    *,
    newest_only: bool = False,
) -> int:
    """Fill the database up to its present state, with backups on the way.

    Each dump looks at the snapshot of its own moment, so the rows of later days go in meanwhile.

    Args:
        folder: the backup tree to make.
        production: the server.
        passfile: its password, for libpq.
        seeding: has made the tables, and no rows yet.
        now: local time.
        newest_only: make the newest daily backup alone.

    Returns:
        How many dumps were made; the other backups are copies.
    """
    expected = moments(now)
    if newest_only:
        expected = {"daily": expected["daily"][:1], "weekly": [], "monthly": []}
    for tier in TIERS:
        (folder / tier).mkdir(mode=0o700, parents=True)
    ascending = sorted({moment for tier in TIERS for moment in expected[tier]})
    places = {
        moment: [folder / tier / file_name(moment) for tier in TIERS if moment in expected[tier]]
        for moment in ascending
    }
    dumps: list[Future[None]] = []
    with ThreadPoolExecutor(DUMPS_AT_ONCE) as pool:
        for number, moment in enumerate(ascending, 1):
            seeding.grow(OLDEST + (1 - OLDEST) * Fraction(number, len(ascending)))
            held = production.connect()
            dumps.append(
                pool.submit(
                    _back_up, production, passfile, held, _export(held), moment, places[moment]
                )
            )
    for dump in dumps:
        dump.result()
    return len(ascending)


def _export(connection: psycopg2.extensions.connection) -> str:
    """A snapshot of this moment; it lasts as long as the connection's transaction."""
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        row = cursor.fetchone()
    assert row
    return str(row[0])


def _back_up(
    production: Production,
    passfile: str,
    held: psycopg2.extensions.connection,
    snapshot: str,
    moment: datetime.datetime,
    places: Sequence[Path],
) -> None:
    """Dumps a snapshot into the first place, and copies that to the others."""
    settings = production.settings
    command = [
        str(production.programs / "pg_dump"),
        "-Fc",
        f"--snapshot={snapshot}",
        f"--host={settings['host']}",
        f"--port={settings['port']}",
        f"--username={settings['user']}",
        "--no-password",
        str(settings["dbname"]),
    ]
    env = {**os.environ, "PGPASSFILE": passfile}
    try:
        descriptor = os.open(places[0], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            open(descriptor, "wb") as file,
            subprocess.Popen(command, env=env, stdout=subprocess.PIPE, cwd="/") as dump,
            subprocess.Popen(["gzip", "-c"], stdin=dump.stdout, stdout=file, cwd="/") as packing,
        ):
            assert dump.stdout
            dump.stdout.close()
            codes = packing.wait(), dump.wait()
    finally:
        held.close()
    if any(codes):
        raise ResilienceError(f"the dump {places[0].name} failed: gzip, pg_dump ended with {codes}")
    seconds = moment.timestamp()
    os.utime(places[0], (seconds, seconds))
    for place in places[1:]:
        shutil.copy2(places[0], place)
