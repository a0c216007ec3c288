"""One notification a change of level, hysteresis, reminders, recoveries, silence."""

from __future__ import annotations

from ansible_collections.chefwell.resilience.plugins.module_utils.common.levels import Thresholds
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications import alerts
from ansible_collections.chefwell.resilience.plugins.module_utils.notifications.alerts import (
    AlertState,
    Condition,
)

LIMITS = Thresholds()
HOUR = 3600.0


class Story:
    """What happens to one disk, run after run."""

    def __init__(self, **options: object) -> None:
        self.options = options
        self.states: dict[str, AlertState] = {}
        self.now = 1_000_000.0

    def run(self, percent: float | None, hours: float = 6) -> list[tuple[str, str]]:
        """One run; returns kind and level of each notification."""
        self.now += hours * HOUR
        if percent is None:
            level = falls_to = "unknown"
        else:
            level, falls_to = LIMITS.judge(percent), LIMITS.judge(percent, slack=2)
        condition = Condition("mount:/", "/", level, falls_to, f"{percent}%")
        self.states, notifications = alerts.decide(
            self.states, [condition], self.now, **{"remind_seconds": 0, **self.options}
        )
        self.notifications = notifications
        return [(one.kind, one.level) for one in notifications]


def test_one_notification_a_change_of_level_and_one_recovery_with_its_length() -> None:
    story = Story()
    assert story.run(50) == []
    assert story.run(71) == [("raised", "warning")]
    assert story.run(72) == []
    assert story.run(91) == [("raised", "emergency")]
    assert story.run(85) == [("eased", "critical")]
    assert story.run(60) == [("recovered", "ok")]
    assert story.notifications[0].seconds == 4 * 6 * HOUR
    assert story.run(60) == []


def test_a_level_that_flaps_around_its_threshold_is_notified_once() -> None:
    story = Story()
    sent = [one for _turn in range(50) for value in (70.3, 69.7) for one in story.run(value)]
    assert sent == [("raised", "warning")]
    assert story.run(68.1) == []
    assert story.run(67.9) == [("recovered", "ok")]
    # Without hysteresis there would be one every time.
    bare = [LIMITS.judge(value) for _turn in range(50) for value in (70.3, 69.7)]
    assert sum(first != second for first, second in zip(bare, bare[1:])) == 99


def test_a_fall_by_two_levels_keeps_the_hysteresis_of_the_one_between() -> None:
    story = Story()
    story.run(95)
    assert story.run(79) == [("eased", "critical")]  # 79 is within 2 points of 80
    assert story.run(77) == [("eased", "warning")]


def test_unknown_is_notified_and_clears_nothing() -> None:
    story = Story()
    story.run(85)
    assert story.run(None) == [("raised", "unknown")]
    assert story.run(None) == []
    assert story.run(85) == [("raised", "critical")]
    assert story.run(10) == [("recovered", "ok")]
    assert story.notifications[0].seconds == 4 * 6 * HOUR


def test_reminders_come_after_the_set_time_and_survive_a_clock_that_goes_back() -> None:
    story = Story(remind_seconds=24 * HOUR)
    story.run(75)
    assert [story.run(75) for _turn in range(4)] == [[], [], [], [("reminder", "warning")]]
    assert story.run(75) == []
    assert story.run(75, hours=-100) == [("reminder", "warning")]
    assert story.run(75) == []


def test_silence_holds_notifications_back_and_follows_the_level() -> None:
    story = Story()
    story.options["silent_until"] = {"mount:/": story.now + 24 * HOUR}
    assert [story.run(value) for value in (75, 85, 95)] == [[], [], []]
    assert story.states["mount:/"].level == "emergency"
    assert story.run(95) == [("raised", "emergency")]  # the silence is over
    assert story.notifications[0].previous == "ok"


def test_what_came_and_went_in_silence_is_not_notified() -> None:
    story = Story()
    story.options["silent_until"] = {"mount:/": story.now + 24 * HOUR}
    assert [one for value in (75, 50, 50, 50, 50) for one in story.run(value)] == []


def test_what_is_no_longer_watched_is_forgotten_without_a_recovery() -> None:
    story = Story()
    story.run(95)
    states, notifications = alerts.decide(story.states, [], story.now)
    assert (states, notifications) == ({}, [])


def test_states_survive_storage_and_a_damaged_one_is_left_out() -> None:
    story = Story()
    story.run(95)
    stored = {key: state.to_dict() for key, state in story.states.items()}
    assert alerts.states_from({**stored, "x": {"no": "state"}}) == story.states
