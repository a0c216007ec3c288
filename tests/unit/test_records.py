"""Records are dataclasses to whoever uses them, without the library's cost."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.common import records

DISK = [name for name, stage in host_cli.STAGE_OF.items() if stage == "disk"]
ENGINE = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"


@records.dataclass(frozen=True)
class Part:
    size: int
    names: list[str] = records.field(default_factory=list)
    aside: list[int] = records.field(default_factory=list, repr=False, compare=False)


@records.dataclass(frozen=True)
class Whole:
    part: Part
    label: str = "none"
    more: dict[str, Part] = records.field(default_factory=dict)

    @property
    def twice(self) -> int:
        return self.part.size * 2


def test_a_record_is_made_compared_and_shown_as_a_dataclass() -> None:
    whole = Whole(Part(3), more={"a": Part(4, ["x"])})
    assert (whole.twice, whole.label) == (6, "none")
    assert whole == Whole(part=Part(3, []), more={"a": Part(4, ["x"])})
    assert whole != Whole(Part(4)) and whole != "none"
    assert repr(Part(3)) == "Part(size=3, names=[])"
    assert hash(Whole.__match_args__) and Whole.__match_args__ == ("part", "label", "more")
    assert Part(1).names is not Part(1).names
    assert Part(1, [], [7]) == Part(1) and "7" not in repr(Part(1, [], [7]))


def test_the_librarys_own_functions_work_on_it() -> None:
    whole = Whole(Part(3), more={"a": Part(4, ["x"])})
    plain = {
        "part": {"size": 3, "names": [], "aside": []},
        "label": "none",
        "more": {"a": {"size": 4, "names": ["x"], "aside": []}},
    }
    assert dataclasses.asdict(whole) == records.asdict(whole) == plain
    assert dataclasses.replace(whole, label="b") == records.replace(whole, label="b")
    assert [field.name for field in dataclasses.fields(whole)] == ["part", "label", "more"]
    assert dataclasses.is_dataclass(whole)
    with pytest.raises(TypeError):
        dataclasses.replace(whole, nonsense=1)


def test_the_fields_are_made_once() -> None:
    """To make them compiles methods: a fifth of a second for copies of 500 backups."""
    first = Part.__dataclass_fields__
    assert first is Part.__dataclass_fields__ is Part(1).__dataclass_fields__
    assert first is not Whole.__dataclass_fields__


WRONG = [((), {}), ((1, [], [], 2), {}), ((1,), {"size": 2}), ((1,), {"nonsense": 2})]


@pytest.mark.parametrize(("given", "named"), WRONG)
def test_wrong_arguments_are_refused(given: tuple[object, ...], named: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="Part"):
        Part(*given, **named)


def test_it_cannot_be_changed() -> None:
    part = Part(1)
    with pytest.raises(AttributeError):
        part.size = 2
    with pytest.raises(AttributeError):
        del part.size
    with pytest.raises(ValueError, match="frozen"):
        records.dataclass(frozen=False)


def loaded_by(script: str, folder: Path) -> set[str]:
    """The modules that are loaded after some lines, which know the engine as the host does."""
    (folder / "chefwell_resilience").symlink_to(ENGINE)
    shown = subprocess.run(
        [sys.executable, "-P", "-s", "-S", "-c", f"import sys\n{script}\nprint(*sys.modules)"],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(shown.stdout.split())


def test_the_servers_gate_loads_no_more_than_a_list_needs(tmp_path: Path) -> None:
    """A third of what a list takes, for every request of every host."""
    loaded = loaded_by("import chefwell_resilience.keeper.offsite_gate", tmp_path)
    assert "chefwell_resilience.keeper.keeper_store" in loaded
    assert not loaded & {"concurrent", "dataclasses", "inspect", "shutil", "tempfile", "typing"}


@pytest.mark.parametrize("name", DISK)
def test_a_plain_run_loads_no_more_than_it_needs(name: str, tmp_path: Path) -> None:
    """What would be loaded again by mistake costs every run on every host."""
    script = f"import chefwell_resilience.host_cli as cli; cli.commands_for({name!r})"
    loaded = loaded_by(script, tmp_path)
    assert f"{ENGINE.name}" not in loaded and "chefwell_resilience.disk.disk" in loaded
    assert not loaded & {
        "argparse",
        "dataclasses",
        "decimal",
        "gettext",
        "inspect",
        "site",
        "subprocess",
        "tempfile",
        "typing",
    }
    rooms = {module.split(".")[1] for module in loaded if module.startswith("chefwell_resilience.")}
    assert rooms == {"commands", "common", "disk", "host_cli", "inventory", "pages", "telling"}


@pytest.mark.parametrize("name", DISK)
def test_what_is_not_parsed_is_what_the_parser_would_say(name: str) -> None:
    commands = host_cli.commands_for(name)
    given = [name, "--config", "/etc/disk.json"]
    short, whole = host_cli.plain(given, commands), host_cli.parsed(given, commands)
    assert vars(short) == vars(whole)
    for more in (["--json"], ["--check"], ["--help"], ["--watch"]):
        assert host_cli.plain([*given, *more], commands) is None
    assert host_cli.plain([name, "--config", "--json"], commands) is None
    assert host_cli.plain(["no-such", "--config", "x"], commands) is None
