"""The textfile for node_exporter."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.telling import metrics
from ansible_collections.chefwell.resilience.plugins.module_utils.telling.metrics import Gauge
from filesystems import Disks
from prometheus_client.parser import text_string_to_metric_families

GAUGES = [
    Gauge("chefwell_disk_used_bytes", "Used.", 12.0, {"target": "/"}),
    Gauge("chefwell_disk_used_bytes", "Used.", 7.0, {"target": '/a "b"\n\\c\udcff'}),
    Gauge("chefwell_disk_free_bytes", "Free.", None, {"target": "/"}),
    Gauge("chefwell_disk_run_timestamp_seconds", "When.", 1.5e9),
]


def test_what_is_written_reads_back_and_unknown_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "disk.prom"
    metrics.write(str(file), GAUGES)
    families = {f.name: f for f in text_string_to_metric_families(file.read_text())}
    assert sorted(families) == ["chefwell_disk_run_timestamp_seconds", "chefwell_disk_used_bytes"]
    values = {s.labels["target"]: s.value for s in families["chefwell_disk_used_bytes"].samples}
    assert values == {"/": 12.0, '/a "b"\n\\c\\udcff': 7.0}
    assert [path.name for path in tmp_path.iterdir()] == ["disk.prom"]
    assert file.stat().st_mode & 0o777 == 0o644


def test_on_a_full_disk_the_earlier_file_stays_whole(tmp_path: Path) -> None:
    disks = Disks(tmp_path)
    try:
        point = disks.memory("full", pages=8)
        file = point / "disk.prom"
        metrics.write(str(file), GAUGES)
        before = file.read_text()
        with pytest.raises(OSError, match="No space left"), (point / "filler").open("wb") as filler:
            while True:
                filler.write(b"x" * 4096)
                filler.flush()
        with pytest.raises(ResilienceError, match="the metrics cannot be written"):
            metrics.write(str(file), GAUGES)
        assert file.read_text() == before
    finally:
        disks.close()
