"""Row B14: the backup server killed at any moment; row B15: a year of nights."""

from __future__ import annotations

import os
from pathlib import Path

from support.fault_log import Fault
from support.killed_server import KilledServer
from support.year_of_nights import Year

THOROUGH = bool(os.environ.get("THOROUGH"))
# Rounds, and kills among them that came while there was work to do: some rounds end before.
ROUNDS, KILLS = (420, 300) if THOROUGH else (12, 5)


def test_b14_killed_at_any_moment(fault: Fault, tmp_path: Path) -> None:
    """Placing, ledger, reading again, retention and cleaning; what is spoilt is reported."""
    fault.cause(f"SIGKILL within the time that the work takes, until {KILLS} came at work")
    server = KilledServer(tmp_path / "copy", seed=13)
    seen = server.seen
    # On a busy machine more kills come when the work is done: more rounds make up for them.
    for number in range(4 * ROUNDS):
        if number >= ROUNDS and seen.killed >= KILLS:
            break
        server.round(number)
    fault.note(f"{dict(seen.rounds)}, {seen.killed} of them killed at work")
    wrong = [*seen.lost, *seen.half, *seen.stuck, *seen.unreported]
    fault.see(
        f"lost {len(seen.lost)}, half {len(seen.half)}, stuck {len(seen.stuck)}, "
        f"unreported {len(seen.unreported)}: {wrong[:3]}",
        holds=not wrong and seen.killed >= KILLS,
    )


def test_b15_a_year_of_nights(fault: Fault, tmp_path: Path) -> None:
    """Thieves, rot, losses, outages, clocks and rotation; each is named, and nothing is lost."""
    nights, pause = (365, 5) if THOROUGH else (62, 3)
    fault.cause(f"{nights} nights, the clock moved, with something every {pause} nights")
    root = tmp_path / "year"
    root.mkdir()
    year = Year(root, pause=pause)
    year.run(nights)
    print(year.table())
    fault.note(year.table().splitlines()[-1])
    wrong = [*year.lost, *(f"{event.kind}, night {event.night}" for event in year.undetected)]
    fault.see(
        f"lost {len(year.lost)}, undetected {len(year.undetected)}: {wrong[:3]}",
        holds=not wrong and len(year.events) > 10,
    )
