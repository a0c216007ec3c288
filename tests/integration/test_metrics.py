"""The textfile for node_exporter."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import prometheus_client
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import metrics
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.metrics import Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from support.exposition import families
from support.filesystems import Disks

ENGINE = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"

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


def test_it_follows_the_exposition_format_to_the_letter(tmp_path: Path) -> None:
    """By a parser of the format that accepts nothing else, and by promtool where it is there."""
    metrics.write(str(tmp_path / "disk.prom"), GAUGES)
    text = (tmp_path / "disk.prom").read_text()
    found = families(text)
    assert found["chefwell_disk_used_bytes"].samples == {
        (("target", "/"),): 12.0,
        (("target", '/a "b"\n\\c\\udcff'),): 7.0,
    }
    promtool_accepts(text)


LABELS = (
    'back\\slash\\n and "quotes"',
    "linha\nnova, ção, 店, 🗂",
    'a="b",c',
    "\\",
    "}{ # TYPE",
)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), -0.5, 2.0**63, 1e-9])
def test_odd_labels_and_values_read_back(tmp_path: Path, value: float) -> None:
    name, file = "chefwell_disk_used_bytes", tmp_path / "disk.prom"
    gauges = [Gauge(name, 'Used, "so" \\ to say.', value, {"target": one}) for one in LABELS]
    metrics.write(str(file), gauges)
    text = file.read_text()
    samples = families(text)[name].samples
    assert {*samples} == {(("target", one),) for one in LABELS}
    assert all(read == value or (read != read and value != value) for read in samples.values())
    (family,) = text_string_to_metric_families(text)
    assert {sample.labels["target"] for sample in family.samples} == {*LABELS}
    promtool_accepts(text)


def promtool_accepts(text: str) -> None:
    """Fail where promtool, if it is installed, finds anything wrong or bad style."""
    if shutil.which("promtool"):
        checked = subprocess.run(
            ["promtool", "check", "metrics"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), checked


@pytest.mark.parametrize(
    "text",
    [
        "a 1",  # no line feed at the end
        "a 1\n",  # no type
        "# TYPE a gauge\na 1\na 2\n",  # twice
        "# TYPE a gauge\n# TYPE a gauge\na 1\n",
        '# TYPE a gauge\na{x="1",x="2"} 1\n',  # a label twice
        '# TYPE a gauge\na{x="\\q"} 1\n',  # an escape that there is not
        "# TYPE a gauge\na{x=1} 1\n",
        "# TYPE a gauge\na one\n",
        '# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\na{x="1"} 2\n',  # not together
        "# TYPE 1a gauge\n1a 1\n",
        "# TYPE a gauge\na nan\n",  # NaN alone
        "# TYPE a gauge\na inf\n",
        "# TYPE a gauge\na 0x10\n",
        '# TYPE a gauge\na{x="a"b"} 1\n',  # a quote that is not escaped
        '# TYPE a gauge\na{x="a\nb"} 1\n',  # a line feed that is not
    ],
)
def test_the_parser_accepts_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        families(text)


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


def test_it_is_to_the_byte_what_the_library_itself_writes(tmp_path: Path) -> None:
    class Collector:
        def collect(self) -> list[GaugeMetricFamily]:
            used = GaugeMetricFamily(GAUGES[0].name, GAUGES[0].help, labels=["target"])
            used.add_metric(["/"], 12.0)
            used.add_metric(['/a "b"\n\\c\\udcff'], 7.0)
            return [used, GaugeMetricFamily(GAUGES[3].name, GAUGES[3].help, value=1.5e9)]

    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector())
    prometheus_client.write_to_textfile(str(tmp_path / "library.prom"), registry)
    metrics.write(str(tmp_path / "engine.prom"), GAUGES)
    assert (tmp_path / "engine.prom").read_bytes() == (tmp_path / "library.prom").read_bytes()


def test_without_the_library_the_remedy_is_named(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "chefwell_resilience").symlink_to(ENGINE)
    done = subprocess.run(
        [
            "/usr/bin/python3",
            "-I",
            "-c",
            f"import sys; sys.path[:] = [p for p in sys.path if "
            f"'packages' not in p] + [{str(tmp_path / 'engine')!r}]\n"
            "from chefwell_resilience.notifications import metrics\n"
            f"metrics.write({str(tmp_path / 'a.prom')!r}, [])",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "apt install python3-prometheus-client" in done.stderr
    assert not (tmp_path / "a.prom").exists()
