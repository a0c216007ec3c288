"""Status of hosts in every state, read from a real history that holds months of runs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.disk.disk_settings import (
    DiskSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    Event,
    History,
    Sample,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import notify
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.alerts import (
    Condition,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import status_values

NOW = 1764300000.0
HOUR, DAY, GB = 3600.0, 86400.0, 1 << 30
DESTINATION = "backupuser@backup.example.com:22/backups/chefwell"
BACKUP = "chefwell_backup_20251125_030000.dump.gz"
# What each kind of host is like.
KINDS = ("ok", "warning", "unverified", "late", "broken", "nothing")


def settings(folder: Path, name: str, **values: Any) -> DiskSettings:
    """Settings of a host whose state is in a folder."""
    return DiskSettings(
        state_dir=str(folder),
        host_name=name,
        language="en",
        fallback_dir=str(folder / "f"),
        **values,
    )


def fill(folder: Path, kind: str) -> None:
    """Fill the history in `folder` as that of a host of one of `KINDS`."""
    folder.mkdir(parents=True, exist_ok=True)
    own = settings(folder, kind)
    with History(str(folder)) as history:
        if kind != "nothing":
            end = NOW - (10 * DAY if kind in ("late", "broken") else 0)
            _disk(history, own, kind, end - 2 * HOUR)
            _offsite(history, own, kind, end - 5 * HOUR)
            _drills(history, own, kind, end - 3 * DAY)


def status(folder: Path, name: str = "", **values: Any) -> dict[str, Any]:
    """Return the status of the host whose history is in `folder`, with other settings."""
    with History(str(folder), read_only=True) as history:
        found = status_values.host_status(settings(folder, folder.name, **values), history, NOW)
    return {**found, "host": name or found["host"]}


def _notify(history: History, own: DiskSettings, stage: str, found: list[Condition]) -> None:
    notify.notify(stage, found, own, history, translations("en"), now=NOW - 2 * HOUR)


def _disk(history: History, own: DiskSettings, kind: str, end: float) -> None:
    rng = random.Random(kind)
    root = rng.uniform(20, 60)
    root = {"broken": 84.0, "warning": 68.8}.get(kind, root)
    filesystems = {
        "mount:/": (root, 100),
        "mount:/var/lib/docker": (rng.uniform(10, 50), 50),
        "folder:/root/backups": (rng.uniform(1, 9), 100),
    }
    samples = []
    for run in range(120):
        moment = end - (119 - run) * 6 * HOUR
        for target, (percent, size) in filesystems.items():
            used = int((percent + run * 0.02 + rng.uniform(-0.2, 0.2)) / 100 * size * GB)
            free = size * GB - used
            samples.append(Sample(target, moment, used, free, size * GB, 1, 100, "ok"))
    history.add_samples(samples)
    found = []
    if kind == "broken":
        text = "space 86.4% used (critical from 80%); full in 4 days"
        found.append(Condition("mount:/", "/", "critical", "critical", text))
        text = "no longer mounted; its last level was warning"
        found.append(Condition("mount:/mnt/x", "/mnt/x", "unknown", "unknown", text))
    if kind == "warning":
        found.append(Condition("mount:/", "/", "warning", "warning", "space 71.2% used"))
    _notify(history, own, "disk", found)


def _offsite(history: History, own: DiskSettings, kind: str, end: float) -> None:
    for night in range(14):
        failed = kind == "broken" and night > 9
        data = {
            "status": "failed" if failed else "ok",
            "name": "",
            "destination": DESTINATION,
            "message": "the host key has changed" if failed else "done",
            "files_sent": 1,
            "bytes_of_files": 1 << 20,
            "seconds": 3.2,
        }
        level = "critical" if failed else "ok"
        history.add_event(Event("offsite", "sync", end - (13 - night) * DAY, level, data))
    wrong = {"missing": 2, "extra": 0, "different": 1} if kind == "broken" else {}
    level = "critical" if wrong else "ok"
    history.add_event(Event("offsite", "verify", end - DAY, level, {"name": "", **wrong}))
    if kind == "broken":
        text = "the server's host key has changed"
        alert = Condition("sync:default", "offsite backup.example.com", level, level, text)
        _notify(history, own, "offsite", [alert])


def _drills(history: History, own: DiskSettings, kind: str, end: float) -> None:
    last = {"broken": "failed", "unverified": "could_not_verify"}.get(kind, "passed")
    levels = {"failed": "critical", "passed": "ok", "could_not_verify": "unknown"}
    for week in range(6):
        verdict = last if week == 5 else "passed"
        data = {
            "verdict": verdict,
            "problem": "1.2 GB are missing in /var/lib" if levels[verdict] == "unknown" else None,
            "file": BACKUP,
            "rto_seconds": 55.0 + week,
            "passed": 27 if verdict == "failed" else 30,
            "failed": 3 if verdict == "failed" else 0,
            "skipped": 1,
        }
        moment = end - (5 - week) * 7 * DAY
        history.add_event(Event("staging", "drill", moment, levels[verdict], data))
    if kind == "broken":
        text = f"{BACKUP}: BACKUP NOT VALIDATED - tenant_bistro.orders: 12 rows of 40"
        alert = Condition("drill", "Restore drill", "critical", "critical", text)
        _notify(history, own, "staging", [alert])


def fill_all(folder: Path) -> Path:
    """Fill a history of each of `KINDS` in a folder of its name; return the folder of them."""
    for kind in KINDS:
        fill(folder / kind, kind)
    return folder


def many(folder: Path, count: int) -> list[dict[str, Any]]:
    """Return hosts of every kind, most of them well, and one that cannot be reached.

    Args:
        folder: as `fill_all` filled it.
        count: of the hosts.
    """
    held = {kind: status(folder / kind) for kind in KINDS}
    kinds = [KINDS[number // 3 % len(KINDS)] if number % 3 else "ok" for number in range(count)]
    found = [
        {**held[kind], "host": f"shop{number:03d}.example.com"} for number, kind in enumerate(kinds)
    ]
    if count > 1:
        problem = "Failed to connect to the host via ssh: connection timed out"
        found[-1] = status_values.unreachable(found[-1]["host"], problem)
    return found
