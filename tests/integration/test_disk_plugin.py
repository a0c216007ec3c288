"""The monitoring plugin only measures, always prints one line, and reports what it could not read.

Source of the line's form: Monitoring Plugins Development Guidelines, "Performance data".
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.exposition import families
from support.filesystems import Disks, fill, run
from support.monitor_host import ENGINE, MonitorHost

NUMBER = r"-?\d+(?:\.\d+)?"
ITEM = re.compile(
    rf"'((?:[^'=|]|'')+)'=({NUMBER})(B|%);({NUMBER})?;({NUMBER})?;({NUMBER})?;({NUMBER})?"
)
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def parsed(line: str) -> tuple[str, str, dict[str, tuple[str, ...]]]:
    """Return status, text and performance data of a line, which must be of the guidelines' form."""
    assert line.endswith("\n") and line.count("\n") == 1, line
    text, bar, data = line.rstrip("\n").partition(" | ")
    status, dash, shown = text.partition(" - ")
    assert dash and shown and "|" not in text, line
    assert status in ("DISK OK", "DISK WARNING", "DISK CRITICAL", "DISK UNKNOWN"), line
    found: dict[str, tuple[str, ...]] = {}
    position = 0
    while bar and position < len(data):
        item = ITEM.match(data, position)
        assert item, data[position:]
        assert item[1] not in found, f"{item[1]} is there twice: {data}"
        found[item[1]] = item.groups()[1:]
        value, unit, *limits = found[item[1]]
        warning, critical, least, most = (float(one) if one else None for one in limits)
        # In the unit of the value; 0 to 100 for percent; the worse threshold further on.
        assert least is None or least <= float(value), item[0]
        assert most is None or float(value) <= most, item[0]
        assert unit != "%" or (least, most) == (0, 100), item[0]
        assert warning is None or critical is None or warning <= critical, item[0]
        position = item.end()
        assert position == len(data) or data[position] == " ", data[position:]
        position += 1
    return status, shown, found


@pytest.mark.parametrize(
    "data",
    [
        "'a'b'=1B;;;0;1",  # a quote that is not doubled
        "'a=b'=1B;;;0;1",
        "a=1B;;;0;1",
        "'a'=nanB;;;0;1",
        "'a'=infB;;;0;1",
        "'a'=1B;10:20;;0;1",  # a range, which this plugin has no use for
        "'a'=1B;@5;;0;1",
        "'a'=1%;;;0;50",
        "'a'=1B;9;8;0;10",
        "'a'=11B;8;9;0;10",
        "'a'=1B;8;9;0;10  'b'=1B;8;9;0;10",
        "'a'=1B;8;9;0;10 'a'=2B;8;9;0;10",
        "'a'=1,5B;8;9;0;10",
    ],
)
def test_the_parser_accepts_nothing_else(data: str) -> None:
    assert parsed("DISK OK - x | 'it''s 1'=1B;8;9;0;10\n")[2] == {
        "it''s 1": ("1", "B", "8", "9", "0", "10")
    }
    with pytest.raises(AssertionError):
        parsed(f"DISK OK - x | {data}\n")


def plugin(host: MonitorHost, *more: str) -> tuple[int, str, str, dict[str, tuple[str, ...]]]:
    done = host.run("monitor-disk-space", "--nagios", *more)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, *parsed(done.stdout)


def state(host: MonitorHost) -> dict[str, tuple[bytes, int]]:
    folder = Path(host.settings["state_dir"])
    found = folder.iterdir() if folder.exists() else ()
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def test_without_a_history_it_measures_and_makes_none(tmp_path: Path, disks: Disks) -> None:
    point = disks.memory("memory")
    fill(point, 50)
    host = MonitorHost(tmp_path, paths=[str(point)])
    code, status, text, data = plugin(host)
    assert (code, status) == (0, "DISK OK") and f"{point} 50.0%" in text
    assert data[str(point)][0] == str(500 * 4096)
    assert not Path(host.settings["state_dir"]).exists()
    assert not Path(host.settings["log_file"]).exists()


@pytest.mark.parametrize("percent", [50, 95])
def test_a_damaged_history_is_reported_and_left_where_it_is(
    tmp_path: Path, disks: Disks, percent: int
) -> None:
    point = disks.memory("memory")
    fill(point, percent)
    host = MonitorHost(tmp_path, paths=[str(point)])
    host.monitor()
    file = Path(host.settings["state_dir"]) / "history.sqlite3"
    file.write_bytes(random.Random(3).randbytes(20_000))
    before = state(host)
    code, status, text, data = plugin(host)
    # The forecast is unknown, so the level is not ok; a worse level stays.
    assert (code, status) == ((3, "DISK UNKNOWN") if percent == 50 else (2, "DISK CRITICAL"))
    assert "history" in text and "cannot be read" in text and str(point) in data
    assert state(host) == before


def test_a_state_folder_that_is_none_is_reported(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path, paths=["/"], warning=98, critical=99, emergency=100)
    Path(host.settings["state_dir"]).write_text("")
    code, status, text, _data = plugin(host)
    assert (code, status) == (3, "DISK UNKNOWN") and "state is no folder" in text


def test_as_another_user_it_names_what_it_may_not_read() -> None:
    """In /tmp, for the tests' own folder is closed to others; by Debian's Python for the same
    reason."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        host = MonitorHost(root, python="/usr/bin/python3", backup_path="", paths=["/"])
        host.library.joinpath("chefwell_resilience").unlink()
        shutil.copytree(ENGINE, host.library / "chefwell_resilience")
        host.monitor()
        before = state(host)
        command = [*NOBODY, *host.command("monitor-disk-space", "--nagios")]
        Path(host.settings["state_dir"]).chmod(0o700)
        host.config.chmod(0o644)
        for closed, shown in ((None, "history"), (host.config, "disk.json")):
            if closed is not None:
                closed.chmod(0o600)
            done = subprocess.run(command, capture_output=True, text=True, check=False, env={})
            status, text, _data = parsed(done.stdout)
            assert (done.returncode, status) == (3, "DISK UNKNOWN"), done
            assert shown in text and "Permission denied" in text
            assert "Traceback" not in done.stderr
        assert state(host) == before


@pytest.mark.parametrize(
    ("settings", "more", "expected"),
    [
        ({"warning": 95}, (), "not before critical"),
        ({"warnig": 70}, (), "no such option"),
        ({"paths": ["srv"]}, (), "no absolute path"),
        ({}, ("--no-such-option",), "arguments are wrong"),
        ({}, ("--warning",), "arguments are wrong"),
    ],
)
def test_what_is_wrong_is_one_line_on_standard_output(
    tmp_path: Path, settings: dict[str, object], more: tuple[str, ...], expected: str
) -> None:
    code, status, text, data = plugin(MonitorHost(tmp_path, **settings), *more)
    assert (code, status, data) == (3, "DISK UNKNOWN", {}) and expected in text


def test_labels_and_series_are_unique_by_kind_and_path(tmp_path: Path, disks: Disks) -> None:
    """A backup folder that is its own mount; paths that a label cannot distinguish."""
    own = disks.memory("own")
    twins = [disks.memory(name) for name in ("a=b", "a_b", "a_b inodes")]
    for tier in ("daily", "weekly", "monthly"):
        (own / tier).mkdir()
    host = MonitorHost(
        tmp_path,
        paths=[str(point) for point in (own, *twins)],
        backup_path=str(own),
        metrics_file=str(tmp_path / "disk.prom"),
    )
    _code, _status, _text, data = plugin(host)
    assert {str(own), f"folder {own}", str(twins[1]), f"{twins[1]} 2"} <= {*data}
    assert len(data) == 5 + 4  # each with its inodes, but for the folder
    host.monitor()
    metrics = (tmp_path / "disk.prom").read_text()
    assert len(families(metrics)) > 5
    series = [
        (sample.name, *sorted(sample.labels.items()))
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
    ]
    assert len(series) == len({*series}) > 20
    used = [dict(labels) for name, *labels in series if name == "chefwell_disk_used_bytes"]
    assert {(one["kind"], one["path"]) for one in used} == {
        ("folder", str(own)),
        *(("filesystem", str(point)) for point in (own, *twins)),
    }


def test_two_slashes_at_the_beginning_are_one(tmp_path: Path) -> None:
    host = MonitorHost(tmp_path, paths=["/", "//", "/./"], backup_path="")
    _code, _status, _text, data = plugin(host)
    assert sorted(data) == ["/", "/ inodes"]


@pytest.mark.parametrize("name", ["data", "/srv/other"])
def test_two_targets_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    host = MonitorHost(
        tmp_path,
        targets=[{"path": "/srv", "name": name}, {"path": "/srv/other", "name": "data"}],
    )
    if name != "data":
        del host.settings["targets"][1]["name"]
    done = host.run("monitor-disk-space", "--check")
    assert done.returncode == 3 and "the same name" in done.stderr, done.stderr
    host.settings["targets"][0]["name"] = "another"
    assert host.run("monitor-disk-space", "--check").returncode == 0


def test_a_name_of_its_own_is_the_label(tmp_path: Path, disks: Disks) -> None:
    point = disks.memory("memory")
    for name, label in (("O'Hara", "O''Hara"), ("'a'=b ção", "''a''_b ção")):
        root = tmp_path / str(len(name))
        root.mkdir()
        host = MonitorHost(root, targets=[{"path": str(point), "name": name}])
        assert label in plugin(host)[3]
    assert run("stat", "-c", "%n", str(point)).strip() == str(point)
    assert os.path.ismount(point)
