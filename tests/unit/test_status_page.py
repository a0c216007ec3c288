"""The status page: overdue is as red as failed, and nothing depends on colour alone."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import shares
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    LANGUAGES,
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import follow_up
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    Event,
    History,
    Sample,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import (
    status_assets,
    status_html,
    status_text,
    status_values,
)
from support.status_hosts import DAY, HOUR, KINDS, NOW, fill, fill_all, many, settings, status


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of each kind of host."""
    return fill_all(tmp_path_factory.mktemp("hosts"))


def page(hosts: list[dict[str, Any]], language: str = "en", now: float = NOW) -> str:
    return status_html.status_page(translations(language), hosts, language, now, "Bistro")


def words(text: str) -> str:
    """The text of a page as a screen reader has it: without signs, pictures, style and script."""

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.hidden: list[str] = []
            self.found: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag in ("meta", "br"):
                return
            hides = ("aria-hidden", "true") in attrs or tag in ("style", "script", "noscript")
            self.hidden.append(tag if hides or (self.hidden and self.hidden[-1]) else "")

        def handle_endtag(self, tag: str) -> None:
            if tag not in ("meta", "br"):
                self.hidden.pop()

        def handle_data(self, data: str) -> None:
            if not (self.hidden and self.hidden[-1]):
                self.found.append(data)

    reader = Reader()
    reader.feed(text)
    assert reader.hidden == [], "every element is closed"
    return re.sub(r"\s+", " ", " ".join(reader.found))


def states(found: dict[str, Any], now: float = NOW) -> dict[str, str]:
    return {part["id"]: status_text.part_state(part, now) for part in found["parts"]}


@pytest.mark.parametrize(
    ("kind", "disk", "offsite", "drill", "whole"),
    [
        ("ok", "ok", "ok", "ok", "ok"),
        ("warning", "warn", "ok", "ok", "warn"),
        ("late", "bad", "bad", "bad", "bad"),
        ("broken", "bad", "bad", "bad", "bad"),
        ("nothing", "none", "none", "none", "none"),
    ],
)
def test_each_state(held: Path, kind: str, disk: str, offsite: str, drill: str, whole: str) -> None:
    found = status(held / kind)
    assert states(found) == {"disk": disk, "offsite": offsite, "drill": drill}
    assert status_text.host_state(found, NOW) == whole


def test_what_could_not_be_verified_is_not_ok(held: Path) -> None:
    found = status(held / "unverified", status_overdue_hours={"drill": 1000})
    assert states(found)["drill"] == "unknown"
    assert status_text.host_state(found, NOW) == "unknown"
    text = words(page([found]))
    assert "could not verify" in text and "1.2 GB are missing in /var/lib" in text


def test_a_drill_that_only_could_not_verify_becomes_overdue(held: Path) -> None:
    """The clock is that of the last proved backup, not that of the last try."""
    found = status(held / "unverified")
    assert states(found)["drill"] == "bad"
    assert "Overdue for 2 days: no backup was proved to restore" in words(page([found]))


@pytest.mark.parametrize(("name", "hours"), [("disk", 13), ("offsite", 30), ("drill", 192)])
def test_overdue_begins_at_the_limit(held: Path, name: str, hours: float) -> None:
    found = status(held / "ok")
    (part,) = (part for part in found["parts"] if part["id"] == name)
    due = part["good"] + hours * HOUR
    assert states(found, due)[name] == "ok"
    assert states(found, due + 1)[name] == "bad"
    assert "overdue" in words(page([found], now=due + 1))
    assert "overdue" not in words(page([found], now=part["good"]))


def test_what_never_ran_becomes_overdue_too(tmp_path: Path) -> None:
    with History(str(tmp_path)) as history:
        history.add_samples([Sample("mount:/", NOW - 9 * DAY, 10, 90, 100, 1, 9, "ok")])
        history.add_samples([Sample("mount:/", NOW - HOUR, 10, 90, 100, 1, 9, "ok")])
        found = status_values.host_status(settings(tmp_path, "web1"), history, NOW)
    assert states(found) == {"disk": "ok", "offsite": "bad", "drill": "bad"}
    early = states(found, NOW - 8.9 * DAY)
    assert early["offsite"] == early["drill"] == "none"
    assert status_text.host_state(found, NOW - 8.9 * DAY) == "unknown", "never run is not ok"


def test_a_part_that_is_not_used_is_left_out(held: Path) -> None:
    found = status(held / "ok", status_overdue_hours={"offsite": 0})
    assert sorted(states(found)) == ["disk", "drill"]
    assert "Offsite copy" not in words(page([found]))


def test_a_failed_verification_is_red_until_the_next_one(tmp_path: Path) -> None:
    fill(tmp_path, "ok")
    with History(str(tmp_path)) as history:
        data = {"name": "", "missing": 1, "extra": 0, "different": 2}
        history.add_event(Event("offsite", "verify", NOW - HOUR, "critical", data))
        found = status_values.host_status(settings(tmp_path, "web1"), history, NOW)
        assert states(found)["offsite"] == "bad"
        assert "1 missing, 0 extra, 2 different" in words(page([found]))
        history.add_event(Event("offsite", "verify", NOW, "ok", {"name": ""}))
        found = status_values.host_status(settings(tmp_path, "web1"), history, NOW)
    assert states(found)["offsite"] == "ok"


def test_each_destination_has_its_part_and_a_removed_one_goes(tmp_path: Path) -> None:
    with History(str(tmp_path)) as history:
        for name, age in (("", 1), ("second", 2), ("removed", 5 * 24)):
            event = Event("offsite", "sync", NOW - age * HOUR, "ok", {"name": name})
            history.add_event(event)
        found = status_values.host_status(settings(tmp_path, "web1"), history, NOW)
    names = [part["name"] for part in found["parts"] if part["id"] == "offsite"]
    assert names == ["default", "second"]
    assert "Offsite copy: second" in words(page([found]))


def test_age_and_trend_of_each_part(held: Path) -> None:
    text = words(page([status(held / "ok")]))
    assert "2 hours ago" in text and "points in 29 days" in text
    assert "5 hours ago" in text and "29 hours ago" in text
    assert "14 of the last 14 runs were good" in text
    assert "3 days ago" in text and "1 min, before it 59 s" in text


def test_a_host_whose_history_cannot_be_opened_is_red(tmp_path: Path) -> None:
    found = status_values.host_status(settings(tmp_path, "web1"), None, NOW)
    assert status_text.host_state(found, NOW) == "bad"
    assert "the history cannot be opened" in words(page([found]))
    assert "o histórico não pode ser aberto" in words(page([found], "pt_BR"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("count", [1, 20, 200])
def test_many_hosts_worst_first(held: Path, language: str, count: int) -> None:
    hosts = many(held, count)
    started = time.perf_counter()
    text = page(hosts, language)
    print(f"{count} hosts: {time.perf_counter() - started:.3f} s, {len(text) >> 10} KB")
    shown = words(text)
    assert all(one["host"] in shown for one in hosts)
    if count > 1:
        rows = re.findall(r'<tr class="(\w+)">', text)
        order = ("bad", "unknown", "warn", "none", "ok")
        assert rows == sorted(rows, key=order.index) and len(rows) == count
        assert "connection timed out" in shown
        # The age of what failed is that of the last good run, and the page says so.
        assert {"en": "last success: 14 days ago", "pt_BR": "último sucesso: há 14 dias"}[
            language
        ] in shown
        counted = {state: rows.count(state) for state in order}
        assert f"<b>{counted['bad']}</b>" in text and f"<b>{counted['ok']}</b>" in text


def test_what_failed_stands_before_what_is_overdue(held: Path) -> None:
    late, broken = ({**status(held / kind), "host": kind} for kind in ("late", "broken"))
    away = status_values.unreachable("unreachable", "connection timed out")
    late["host"] = "a-late-one"
    shown = page([late, {**broken, "host": "z-broken"}, away])
    rows = re.findall(r"<th[^>]*>.*?(a-late-one|z-broken|unreachable)", shown, re.DOTALL)
    assert rows == ["unreachable", "z-broken", "a-late-one"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_depends_on_colour_alone(held: Path, language: str) -> None:
    """Each state has a sign of its own and a word beside it, which a screen reader reads."""
    assert len(set(status_text.SIGNS.values())) == len(status_text.STATES)
    seen = set()
    for kind in KINDS:
        text = page([status(held / kind)], language)
        for state, rest in re.findall(r'<section class="card (\w+)"[^>]*>(.*?)</section>', text):
            sign = status_text.SIGNS[state]
            assert f'aria-hidden="true">{sign}</span> <span class="word">' in rest
            assert re.search(r'<span class="word">[^<]+</span>', rest)
            seen.add(state)
    assert seen == {"none", "ok", "warn", "bad"}


def test_the_structure_that_a_screen_reader_needs(held: Path) -> None:
    text = page(many(held, 20), "pt_BR")
    assert '<html lang="pt-BR">' in text and "<main>" in text and text.count("<h1>") == 1
    assert text.count('<th scope="col">') == 4 and text.count('<th scope="row">') == 20
    for picture in re.findall(r"<svg[^>]*>", page(many(held, 1))):
        assert 'aria-hidden="true"' in picture, "its trend stands beside it in words"


HOSTILE = '<script>alert("x")</script>&\x1b[31m\u202e\udcff'


def test_text_from_elsewhere_is_only_text(tmp_path: Path) -> None:
    with History(str(tmp_path)) as history:
        data = {"name": HOSTILE, "destination": HOSTILE, "message": HOSTILE}
        history.add_event(Event("offsite", "sync", NOW, "critical", data))
        drill = {"verdict": "failed", "problem": HOSTILE, "file": HOSTILE}
        history.add_event(Event("staging", "drill", NOW, "critical", drill))
        found = status_values.host_status(settings(tmp_path, HOSTILE), history, NOW)
    for hosts in ([found], [found, status_values.unreachable(HOSTILE, HOSTILE)]):
        text = page(hosts)
        text.encode("utf-8")
        assert text.count("<script>") == 1 and "alert(&quot;x&quot;)" in text
        if len(hosts) == 1:
            assert "\x1b" not in text and "\u202e" not in text


def test_the_page_names_its_only_script_by_digest(held: Path) -> None:
    digest = hashlib.sha256(status_assets.script().encode()).digest()
    assert f"sha256-{base64.b64encode(digest).decode()}" == status_assets.SCRIPT_DIGEST
    text = page([status(held / "ok")])
    assert f"script-src '{status_assets.SCRIPT_DIGEST}'" in text and "default-src 'none'" in text
    assert not re.search(r"https?://|@import|url\(", text)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"status_page": "status.htm"}, "status_page=status.htm"),
        ({"status_overdue_hours": {"dsk": 1}}, "status_overdue_hours=dsk"),
        ({"status_overdue_hours": {"disk": -1}}, "status_overdue_hours.disk=-1"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, values: dict[str, Any], named: str) -> None:
    with pytest.raises(ResilienceError) as raised:
        settings(tmp_path, "web1", **values).check_status_page()
    assert named in str(raised.value).replace("'", "") and raised.value.remedy


@pytest.mark.parametrize(
    "percent", [None, 0.0, 0.004, 0.05, 0.999, 1.0, 28.999, 57.0, 99.99, 100.0]
)
def test_a_share_is_that_of_the_other_pages(percent: float | None) -> None:
    assert status_text.share(percent) == shares.percent(percent)


def test_of_many_hosts_that_need_attention_the_first_are_open(held: Path) -> None:
    """Each of the others is a line that names what is wrong, and unfolds."""
    broken = status(held / "broken")
    for count, shown, opened in ((1, 0, 0), (2, 2, 2), (4, 4, 3), (40, 30, 3)):
        text = page([{**broken, "host": f"shop{number}"} for number in range(count)])
        found = re.findall(r'<details class="host bad"( open)?><summary>(.*?)</summary>', text)
        assert len(found) == shown and sum(bool(one) for one, _line in found) == opened
        assert all("Disk: critical, 86%" in line for _open, line in found)
        assert ("10 more hosts in the table below" in text) is (count == 40)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_of_many_hosts_is_a_part_for_each_state(held: Path, language: str) -> None:
    """Of 200 hosts a reader unfolds those of one state; of 30 all are there at once."""
    assert '<details class="group' not in page(many(held, 30), language)
    hosts = many(held, 200)
    text = page(hosts, language)
    groups = re.findall(r'<details class="group (\w+)">(.*?)</details>', text, re.DOTALL)
    assert [state for state, _part in groups] == ["bad", "warn", "none", "ok"]
    for state, part in groups:
        rows = re.findall(r'<tr class="(\w+)">', part)
        assert set(rows) == {state}
        assert f"<b>{len(rows)}</b>" in part.partition("</summary>")[0]
        assert part.count(" hidden>") == 1, "what the script shows when one is overdue by now"
    assert sum(part.count("<tr class=") for _state, part in groups) == len(hosts)


def test_a_clock_that_was_ahead_hides_nothing_that_came_after_it(tmp_path: Path) -> None:
    """In ten years all was well; now the disk is full and nothing works."""
    ahead = NOW + 3650 * 86400
    with History(str(tmp_path)) as history:
        for moment, level, verdict in ((ahead, "ok", "passed"), (NOW - 60, "critical", "failed")):
            sample = Sample("mount:/", moment, 10 if level == "ok" else 99, 1, 100, 1, 9, level)
            history.add_samples([sample])
            history.add_event(Event("offsite", "sync", moment, level, {"message": level}))
            history.add_event(Event("offsite", "verify", moment, level, {"missing": 1}))
            history.add_event(Event("staging", "drill", moment, level, {"verdict": verdict}))
        found = status_values.host_status(settings(tmp_path, "web1"), history, NOW)
        last_success = follow_up._last_success(history)
    disk, offsite, drill = found["parts"]
    assert disk["time"] == offsite["time"] == drill["time"] == NOW - 60
    assert disk["targets"][0]["percent"] == 99.0
    assert (offsite["level"], drill["level"]) == ("critical", "critical")
    assert offsite["good"] is drill["good"] is last_success is None
    assert all(part["due"] < ahead for part in found["parts"])
