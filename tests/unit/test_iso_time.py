"""Times in ISO 8601 are read alike on every Python."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import iso_time

UTC = datetime.timezone.utc
WEST = datetime.timezone(-datetime.timedelta(hours=3, minutes=30))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-27", datetime.datetime(2026, 11, 27)),
        ("20261127", datetime.datetime(2026, 11, 27)),
        ("2026-11-27T02", datetime.datetime(2026, 11, 27, 2)),
        ("2026-11-27 02:15", datetime.datetime(2026, 11, 27, 2, 15)),
        ("20261127T021503", datetime.datetime(2026, 11, 27, 2, 15, 3)),
        ("2026-11-27T02:15:03Z", datetime.datetime(2026, 11, 27, 2, 15, 3, tzinfo=UTC)),
        ("2026-11-27T02:15:03.25Z", datetime.datetime(2026, 11, 27, 2, 15, 3, 250000, UTC)),
        (
            "2026-11-27T02:15:03.123456789-0330",
            datetime.datetime(2026, 11, 27, 2, 15, 3, 123456, WEST),
        ),
        ("2026-11-27T02:15-03:30", datetime.datetime(2026, 11, 27, 2, 15, tzinfo=WEST)),
    ],
)
def test_a_time_is_read(text: str, moment: datetime.datetime) -> None:
    assert iso_time.parse(text) == moment
    assert iso_time.parse(moment.isoformat()) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-11",
        "2026-13-01",
        "2026-02-30",
        "2026-11-27T24:15",
        "2026-11-27T02:15:03+",
        "٢٠٢٦-11-27",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        iso_time.parse(text)
