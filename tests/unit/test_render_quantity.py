"""Figures are written as the plan writes them, and never flatter."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import (
    quantity,
    shares,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)

PT = translations("pt_BR")
EN = translations("en")
KB, MB, GB = 1 << 10, 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (45.2 * GB, "45.2 GB"),
        (100 * GB, "100 GB"),
        (52 * MB, "52 MB"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KB"),
        (1024 * KB - 1, "1 MB"),
        (99.96 * KB, "100 KB"),
        (100.6 * KB, "101 KB"),
        (5 << 60, "5120 PB"),
        (None, "?"),
    ],
)
def test_size(count: float | None, shown: str) -> None:
    assert quantity.size(count) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (36 * KB, "36K"),
        (36 * KB + 1, "37K"),
        (99, "99B"),
        (0, "0B"),
        (1024, "1.0K"),
        (9 * KB + 1, "9.1K"),
        (1024 * KB - 1, "1.0M"),
        (None, "?"),
    ],
)
def test_short_size(count: int | None, shown: str) -> None:
    assert quantity.short_size(count) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (45.2, "45%"),
        (100 * 52 / 102400, "0.05%"),
        (69.999, "69%"),
        (100, "100%"),
        (99.99, "99%"),
        (0.5, "0.5%"),
        (0, "0%"),
        (0.004, "<0.01%"),
        (0.57 * 100, "57%"),
        (None, "?%"),
    ],
)
def test_percent(value: float | None, shown: str) -> None:
    assert shares.percent(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (100, "100%"),
        (100.0, "100%"),
        (99.9999999999, "99.9%"),
        (98.0, "98.0%"),
        (89.99, "89.9%"),
        (0.0, "0.0%"),
        (None, "?%"),
    ],
)
def test_confidence_is_100_only_when_it_is(value: float | None, shown: str) -> None:
    assert shares.confidence(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (45.0, "45 segundos"),
        (1, "1 segundo"),
        (0, "0 segundos"),
        (0.01, "< 0.1 segundos"),
        (3.21, "3.2 segundos"),
        (9.96, "10 segundos"),
        (59.6, "1 minuto"),
        (125, "2 minutos e 5 segundos"),
        (86400, "24 horas"),
        (45000, "12 horas e 30 minutos"),
        (3 * 86400 + 3600, "3 dias e 1 hora"),
        (None, "não medido"),
    ],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert quantity.duration(PT, seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (55.4, "< 1 minuto"),
        (59.99, "< 1 minuto"),
        (60, "1 minuto"),
        (60.5, "2 minutos"),
        (180, "3 minutos"),
        (3601, "1 hora e 1 minuto"),
        (None, "não medido"),
    ],
)
def test_recovery_time_is_never_understated(seconds: float | None, shown: str) -> None:
    assert quantity.recovery_time(PT, seconds) == shown


def test_english_has_its_own_words() -> None:
    assert quantity.duration(EN, 125) == "2 minutes and 5 seconds"
    assert quantity.recovery_time(EN, 1) == "< 1 minute"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "<1 ms"),
        (0.0006, "1 ms"),
        (0.42, "420 ms"),
        (0.9999, "1 s"),
        (3.25, "3.2 s"),
        (59.97, "1 min"),
        (125, "2 min 5 s"),
    ],
)
def test_brief_duration(seconds: float, shown: str) -> None:
    assert quantity.brief_duration(seconds) == shown
    assert quantity.brief_duration(None) == "?"
    assert quantity.brief_duration(3700) == "1 h 2 min"
