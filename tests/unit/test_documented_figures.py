"""Figures that the pages state are those of the engine and of the roles' defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.chefwell.resilience.plugins.module_utils.disk import disk_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.history import history
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import packed_stream
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import (
    delivery_worker,
    notification_settings,
    outbox,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_guards,
    packed_sending,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import status_html
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery_lock
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import links
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    gate_limits,
    incoming,
    server_job,
    server_settings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import (
    engine_compose,
    engine_embedded,
)

ROOT = Path(__file__).resolve().parents[2]
DAY = 86400


def defaults() -> dict[str, Any]:
    """The default of each variable of the roles, also of those within a destination."""
    found: dict[str, Any] = {}
    for file in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(file.read_text())["argument_specs"].values():
            for name, option in entry.get("options", {}).items():
                found[name] = option.get("default")
                found |= {key: one.get("default") for key, one in option.get("options", {}).items()}
    return found


ROLE = defaults()
OVERDUE = notification_settings.OVERDUE_HOURS
STAGE1, STAGE2 = "docs/stage1-disk-monitor.md", "docs/stage2-offsite-backup.md"
# The page, its words with the figure as `{}`, and the figure in the code.
FIGURES = [
    (STAGE1, "`disk_monitor_run_time_limit` ({} seconds)", ROLE["disk_monitor_run_time_limit"]),
    (STAGE1, "`disk_monitor_hysteresis` ({}) percentage points", int(disk_settings.HYSTERESIS)),
    (STAGE1, "`disk_monitor_forecast_days` ({})", ROLE["disk_monitor_forecast_days"]),
    (STAGE1, "`1 + disk_monitor_drill_factor` ({}:", int(disk_settings.DRILL_FACTOR)),
    (STAGE1, "the newest {:,} samples of each target", history.KEEP_SAMPLES),
    (STAGE1, "After {} runs it is given up", {8: "eight"}[outbox.GIVE_UP_AFTER]),
    (STAGE1, "More than {} messages for one service", {10: "ten"}[outbox.SUMMARY_ABOVE]),
    (STAGE1, "is tried {} times within the run", {3: "three"}[delivery_worker.TRIES]),
    (STAGE2, "`server_keep_days` ({})", ROLE["server_keep_days"]),
    (STAGE2, "`server_keep_days` ({})", server_settings.ServerSettings.keep_days),
    (STAGE2, "up to {} % of a tier passes", ROLE["offsite_backup_change_percent"]),
    (STAGE2, "`offsite_backup_most_rewritten` backups ({})", ROLE["offsite_backup_most_rewritten"]),
    (STAGE2, "the last {} days with a sync", {7: "seven"}[offsite_guards.WINDOW_DAYS]),
    (STAGE2, "either side everything again within {} days", ROLE["offsite_backup_reread_days"]),
    (STAGE2, "alarm after {} hours", server_settings.ServerSettings.silent_hours),
    (STAGE2, "{} sessions of a client", {12: "twelve"}[gate_limits.MOST_SESSIONS]),
    (STAGE2, "{} days each", {2 * DAY: "two"}[gate_limits.MOST_SECONDS]),
    (STAGE2, "goes on by {} days from run to run", {2 * DAY: "two"}[server_job.MOST_STEP]),
    (STAGE2, "waits in `incoming` for {} days", {7: "seven"}[incoming.INCOMING_DAYS]),
    (STAGE2, "From {} new files on", packed_sending.LEAST_FILES),
    (STAGE2, "those of up to {} KiB", packed_stream.MOST_BYTES >> 10),
    (STAGE2, "{} tries, with pauses", {3: "Three"}[ROLE["tries"]]),
    (STAGE2, "with pauses of 10 and {} seconds", 3 * ROLE["retry_seconds"]),
    ("docs/stage3-staging-restore.md", "is given {} seconds", engine_compose.SLOW_SECONDS),
    ("docs/stage3-staging-restore.md", "is given {} seconds", engine_embedded.SLOW_SECONDS),
    (
        "docs/stage3-staging-restore.md",
        "runs every Sunday at {}",
        f"{ROLE['staging_restore_cron_hour']}:{ROLE['staging_restore_cron_minute']}",
    ),
    ("docs/security.md", "A tree of more than {:,} backups", links.MOST_PRESENT),
    (
        "docs/disaster-recovery.md",
        "beside the objectives ({} minutes,",
        ROLE["staging_restore_rto_seconds"] // 60,
    ),
    ("docs/disaster-recovery.md", "{} hours;", ROLE["staging_restore_rpo_seconds"] // 3600),
    ("docs/status.md", "`disk` ({disk}), `offsite` ({offsite}) and `drill` ({drill})", OVERDUE),
    ("docs/metrics.md", "{disk}, {offsite} and {drill} hours", OVERDUE),
    ("docs/status.md", "of more than {} hosts the table", status_html.FEW_HOSTS),
    ("docs/status.md", "The first {} hosts", {3: "three"}[status_html.OPEN_ATTENTION]),
    ("docs/status.md", "up to {} more", status_html.MOST_ATTENTION - status_html.OPEN_ATTENTION),
    ("docs/how-to/alert.md", "again every {} hours", ROLE["resilience_remind_hours"]),
    ("docs/pt-BR/alerta.md", "de novo a cada {} horas", ROLE["resilience_remind_hours"]),
    ("docs/how-to/sync-is-red.md", "previous versions for {} days", ROLE["server_keep_days"]),
    ("docs/pt-BR/sincronizacao.md", "as versões anteriores por {} dias", ROLE["server_keep_days"]),
]


def is_stated(text: str, words: str, figure: Any) -> bool:
    """Whether a page has these words with this figure, wherever its lines end."""
    shown = words.format(**figure) if isinstance(figure, dict) else words.format(figure)
    return shown.lower() in " ".join(text.split()).lower()


@pytest.mark.parametrize(("page", "words", "figure"), FIGURES)
def test_a_figure_is_the_codes(page: str, words: str, figure: Any) -> None:
    assert is_stated((ROOT / page).read_text(), words, figure), words


def test_another_figure_is_found() -> None:
    assert is_stated("kept for\n90 days", "for {} days", 90)
    assert not is_stated("kept for\n90 days", "for {} days", 91)


def test_a_host_that_is_gone_frees_the_lock_of_a_recovery_within_a_minute() -> None:
    given = recovery_lock.KEEPALIVES
    tries = given["tcp_keepalives_interval"] * given["tcp_keepalives_count"]
    assert given["tcp_keepalives_idle"] + tries <= 60
    assert "within about a minute" in (ROOT / "docs" / "disaster-recovery.md").read_text()
