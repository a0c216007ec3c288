"""What the dashboard says of a forecast, and of none."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.disk import forecast
from ansible_collections.chefwell.resilience.plugins.module_utils.disk.forecast import DAY
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import render_trend

NOW = 1_780_000_000.0


def text(amounts: list[float], language: str = "en") -> str:
    """The dashboard's text for samples of every six hours that end now."""
    points = [
        (NOW - (len(amounts) - 1 - number) * DAY / 4, amount)
        for number, amount in enumerate(amounts)
    ]
    found = forecast.forecast(points, {"emergency": 90, "full": 100}, 100, NOW)
    return render_trend.forecast_text(translations(language), found.to_dict())


GROWN = [30 + number / 4 for number in range(41)]


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ([50.0], "Forecast: not enough data yet"),
        # Two days are needed: one and a quarter of them have passed, then half a day.
        ([50.0] * 6, "Forecast: in 18 hours, after the first 30 hours"),
        ([*GROWN, 12, 12.2, 12.4], "Forecast: in 36 hours, after a clean-up or jump 12 hours ago"),
    ],
)
def test_why_there_is_no_forecast_and_when_there_will_be(
    amounts: list[float], expected: str
) -> None:
    assert text(amounts) == expected


def test_then_there_is_one() -> None:
    assert text(GROWN).startswith("Forecast: +1 B a day, full in 60 days")
    assert text([*GROWN, *(12 + number / 5 for number in range(9))]).startswith("Forecast: +")


def test_it_is_written_in_portuguese() -> None:
    assert text([*GROWN, 12, 12.2, 12.4], "pt_BR") == (
        "Previsão: em 36 horas, depois de uma limpeza ou salto há 12 horas"
    )
    assert text([50.0] * 6, "pt_BR").startswith("Previsão: em 18 horas")
